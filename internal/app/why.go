package app

import (
	"context"
	"fmt"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Why tells an object's life, by its global id or a variant's SKU, and asks
// Shopify once what it says now. It changes nothing: what differs is left to the
// webhooks and polls whose business it is.
func (a *App) Why(ctx context.Context, shop store.Shop, what string) (query.Life, error) {
	life, err := a.Query.Life(ctx, shop, what)
	if err != nil {
		return life, err
	}
	now := &query.LifeNow{AskedAt: mirror.TimeOf(a.Now()), Differs: []query.LifeDiffers{}}
	life.Now = now
	if err := a.ask(ctx, shop, life, now); err != nil {
		now.Error = err.Error() // The life that is stored is told all the same.
	}
	return life, nil
}

// ask compares the object with one live read of it.
func (a *App) ask(ctx context.Context, shop store.Shop, life query.Life, now *query.LifeNow) error {
	read, id, err := readOf(life)
	if err != nil {
		return err
	}
	client, err := a.Connect.Client(ctx, shop)
	if err != nil {
		return err
	}
	observations, err := client.ReadByID(shopify.WithPriority(ctx), read, []mirror.GID{id})
	if err != nil {
		return err
	}
	answered := map[mirror.Key][]byte{}
	for _, o := range observations {
		answered[o.Key] = o.Content
	}
	now.Gone = true
	copied := map[mirror.Key][]byte{} // What readers see: a wrongly hidden record is just what is asked about.
	for _, part := range life.Records {
		if part.Visible {
			copied[part.Key] = part.Content
		}
	}
	for key, content := range answered {
		if key.ID != life.ID {
			continue
		}
		if content != nil {
			now.Gone = false
		}
		diffs, err := mirror.Compare(copied[key], content)
		if err != nil {
			return err
		}
		if len(diffs) > 0 {
			now.Differs = append(now.Differs, query.LifeDiffers{Record: key.Kind, Fields: diffs})
		}
	}
	if now.Gone {
		for key, content := range copied { // What the read did not mention is gone with it.
			if _, told := answered[key]; told {
				continue
			}
			diffs, err := mirror.Compare(content, nil)
			if err != nil {
				return err
			}
			now.Differs = append(now.Differs, query.LifeDiffers{Record: key.Kind, Fields: diffs})
		}
	}
	now.Agrees = len(now.Differs) == 0
	return nil
}

// readOf is the read by id that answers for an object.
func readOf(life query.Life) (mirror.Read, mirror.GID, error) {
	for _, part := range life.Records {
		if info := mirror.InfoOf(part.Record); string(info.Kind) == info.Type {
			return info.Read, part.Key.ReadID(part.Parent), nil
		}
	}
	if _, _, ok := mirror.SplitLevelID(life.ID); ok {
		return mirror.ReadLevel, life.ID, nil
	}
	if kind := mirror.KindOfGID(life.ID); kind != "" && kind != mirror.KindMetafield {
		return mirror.InfoOf(kind).Read, life.ID, nil
	}
	return "", "", fmt.Errorf("the copy does not know %s, and Shopify cannot be asked for it alone", life.ID)
}
