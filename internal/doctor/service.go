package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

const (
	// waitsTooLong is from when on webhooks that are stored and not applied are a
	// fault: they are applied within a second.
	waitsTooLong = 10 * time.Minute
	// provenWithin is how old the last complete poll may be.
	provenWithin = 3 * 24 * time.Hour
)

// service looks at what a running service leaves in the database.
func service(ctx context.Context, p *Patient) (found []Finding) {
	if p.Store == nil {
		return unseen("the database cannot be opened")
	}
	switch release, err := store.Lock(p.Config.Database.URL.Reveal()); {
	case err == nil:
		release()
		found = append(found, Finding{Level: Warning, Found: "no service runs on this database", Remedy: "Start it: `stockroom serve`, by your system's service manager (docs/operating.md)."})
	case errors.Is(err, store.ErrLocked):
		found = append(found, Finding{Level: OK, Found: "a service runs on this database"})
	default:
		found = append(found, unseen("whether a service runs cannot be told: %v", err)...)
	}
	err := p.Store.View(ctx, func(tx *store.Tx) error {
		for _, shop := range p.Shops {
			more, err := standing(tx, shop, mirror.At(p.Now()))
			if err != nil {
				return err
			}
			found = append(found, more...)
		}
		open, err := tx.OpenErasures()
		for _, r := range open {
			if r.AskedAt.Add(24*time.Hour) < mirror.At(p.Now()) {
				found = append(found, Finding{Level: Fault, Shop: r.Shop, Found: fmt.Sprintf("%s was asked for at %s and is not carried out", r.Topic, r.AskedAt),
					Remedy: "Start the service and look for \"an erasure could not be carried on\" in its log. The law gives 30 days."})
			}
		}
		return err
	})
	if err != nil {
		found = append(found, Finding{Level: Fault, Found: fmt.Sprintf("the database cannot be read: %v", err), Remedy: "Look at the disk, then restore the backup (docs/operating.md)."})
	}
	return found
}

// standing is how the copy of a connected shop stands.
func standing(tx *store.Tx, shop store.Shop, now mirror.Instant) (found []Finding, err error) {
	if shop.State != store.ShopConnected {
		return nil, nil
	}
	oldest, err := tx.OldestNew(shop.ID)
	if err != nil {
		return nil, err
	}
	if oldest != 0 && oldest.Add(waitsTooLong) < now {
		found = append(found, Finding{Level: Fault, Shop: shop.Domain, Found: fmt.Sprintf("webhooks wait since %s to be applied", oldest),
			Remedy: "Start the service; if it runs, its log says why it cannot apply them. Nothing is lost."})
	}
	counts, err := tx.CountDeliveries(shop.ID)
	if err != nil {
		return nil, err
	}
	if n := counts[store.DeliveryQuarantined]; n > 0 {
		found = append(found, Finding{Level: Warning, Shop: shop.Domain, Found: fmt.Sprintf("%d webhooks are in quarantine", n),
			Remedy: fmt.Sprintf("Look for \"webhook set aside\" in the log. After an update: `stockroom replay --shop %s --quarantined`.", shop.Domain)})
	}
	start, err := tx.LastReadStart(shop.ID)
	if err != nil {
		return nil, err
	}
	if start != 0 && start.Add(provenWithin) < now || start == 0 && shop.InstalledAt.Add(provenWithin) < now {
		found = append(found, Finding{Level: Warning, Shop: shop.Domain, Found: fmt.Sprintf("no poll has proven the copy since %s", start),
			Remedy: fmt.Sprintf("`stockroom poll --shop %s` says what is in the way.", shop.Domain)})
	}
	silences, err := tx.OpenSilences(shop.ID)
	if err != nil {
		return nil, err
	}
	for _, s := range silences {
		found = append(found, Finding{Level: Warning, Shop: shop.Domain, Found: fmt.Sprintf("%s is improbably quiet since %s", s.Topic, s.Since),
			Remedy: "See docs/operating.md, Silence."})
	}
	return found, nil
}
