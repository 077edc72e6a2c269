package reconcile

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// A scan lists the id and the time of change of everything that a shop has, 250
// a request for 13 points. What the copy lacks or holds older is asked for by
// id. What the shop has not is judged like what a full read lacked. A scan finds
// what no sweep by updated_at can: deletions, and changes that the search index lost.
//
// It costs more than a sweep, so it is not made with every pass.
const (
	// scanEvery is the least time between two scans of a shop.
	scanEvery = time.Hour
	// scanShare bounds the share of the time that scans of a large shop take: one
	// that took ten minutes is made again after a hundred.
	scanShare = 10

	// scanMark is under what name the last complete scan is kept.
	scanMark = "scan"

	// maxScanned bounds the ids of one kind held in memory, eight bytes each.
	// Of a kind that has more, nothing is taken for missing: its polls find that.
	maxScanned = 10_000_000
)

// scanDue reports whether the pass is to scan.
func (p *pass) scanDue(ctx context.Context) (bool, error) {
	if p.args.Scan || p.args.Scans != nil {
		return true, nil
	}
	if p.args.restricted() {
		return false, nil
	}
	mark := p.marks[scanMark]
	at := mark.At
	err := p.Store.View(ctx, func(tx *store.Tx) error { // A full read has done as much, and more.
		start, err := tx.ReadStart(p.shop.ID, mirror.KindProduct)
		at = max(at, start)
		return err
	})
	wait := max(scanEvery, scanShare*time.Duration(mark.Took)*time.Millisecond)
	return p.task.StartedAt >= at.Add(wait), err
}

// scanned is what a scan saw of one kind.
type scanned struct {
	hashes []uint64 // Sorted once the scan is over.
	recent []mirror.GID
}

var scanSeed = maphash.MakeSeed()

// hash stands for an id. Two ids of a shop that share one, of which there is no
// one in ten million millions, would only hide a deletion until the next scan.
func hash(id mirror.GID) uint64 { return maphash.String(scanSeed, string(id)) }

func (s *scanned) has(id mirror.GID) bool {
	_, found := slices.BinarySearch(s.hashes, hash(id))
	return found
}

// scan reads all ids, asks for what differs, and judges what is missing. A scan
// that was interrupted begins again: what it saw is kept in memory alone.
func (p *pass) scan(ctx context.Context) error {
	start, began := p.client.Clock().Now(), p.Now()
	seen := map[mirror.Kind]*scanned{}
	complete := true
	for _, scan := range shopify.Scans() {
		if p.args.Scans != nil && !slices.Contains(p.args.Scans, scan.Name) {
			continue
		}
		if shared := p.shares(scan.Name, scan.Scopes); !shared {
			continue
		}
		result := SweepResult{Name: scan.Name}
		of := &scanned{}
		gaps, notes := len(p.report.Gaps), len(p.report.Notes)
		if err := p.scanList(ctx, scan, start, of, &result); err != nil || p.task.State.Over() {
			return err
		}
		p.report.Scans = append(p.report.Scans, result)
		if result.Done {
			slices.Sort(of.hashes)
			seen[scan.Kind] = of
		}
		complete = complete && (result.Done || len(p.report.Notes) > notes) && len(p.report.Gaps) == gaps
	}
	j := p.inquest(start, seen)
	gaps := len(p.report.Gaps)
	if err := j.all(ctx, func(kind mirror.Kind) bool { return seen[kind] != nil }); err != nil {
		return err
	}
	if !complete || len(p.report.Gaps) > gaps || p.args.restricted() {
		return nil
	}
	return p.Store.Update(ctx, func(tx *store.Tx) error {
		return tx.SetSweepMark(p.shop.ID, p.task.ID, scanMark, store.SweepMark{At: start, Took: p.Now().Sub(began).Milliseconds()})
	})
}

// scanList reads one list of ids to its end.
func (p *pass) scanList(ctx context.Context, scan shopify.Scan, start mirror.Instant, of *scanned, result *SweepResult) error {
	for cursor := ""; ; {
		page, err := scan.Page(ctx, p.client, cursor)
		if err != nil {
			return p.failed(ctx, scan.Name, scan.Protected, err)
		}
		if err := p.compare(ctx, scan.Kind, page, start); err != nil {
			return fmt.Errorf("compare a scan of %s: %w", scan.Name, err)
		}
		if result.Rows += int64(len(page.Rows)); result.Rows > maxScanned {
			p.gap("more than %d %s: what was deleted of them is left to the poll", maxScanned, scan.Name)
			return nil
		}
		for _, row := range page.Rows {
			of.hashes = append(of.hashes, hash(row.ID))
			of.recent = append(of.recent, row.ID)
		}
		of.recent = slices.Clone(of.recent[max(0, len(of.recent)-maxWitnesses):])
		if cursor = page.Next; cursor == "" {
			result.Done = true
			return nil
		}
	}
}

// compare asks for the read of what the copy lacks or holds older than a page shows.
func (p *pass) compare(ctx context.Context, kind mirror.Kind, page shopify.ScanPage, start mirror.Instant) error {
	ids := make([]mirror.GID, len(page.Rows))
	for i, row := range page.Rows {
		ids[i] = row.ID
	}
	return p.Store.Update(ctx, func(tx *store.Tx) error {
		versions, err := tx.Versions(p.shop.ID, kind, ids)
		if err != nil {
			return err
		}
		info := mirror.InfoOf(kind)
		var demands []mirror.Demand
		for _, row := range page.Rows {
			version := versions[row.ID]
			class := ClassStale
			switch {
			case !version.Shown:
				class = ClassMissing
			case version.Updated >= row.Updated:
				continue
			}
			key := mirror.Key{Kind: kind, ID: row.ID}
			demands = append(demands, mirror.Demand{Read: info.Read, ID: key.ReadID(version.Parent), Updated: row.Updated, AsOf: page.AsOf})
			if row.Updated < start.Add(-webhookGrace).Seconds() {
				p.count(info.Type, row.ID, class)
			}
		}
		if len(demands) == 0 {
			return nil
		}
		return tx.AddDemands(p.shop.ID, demands, mirror.At(p.Now()))
	})
}

// inquest decides on what the scan lacked.
func (p *pass) inquest(start mirror.Instant, seen map[mirror.Kind]*scanned) *inquest {
	return &inquest{
		Config: p.Config, shop: p.shop, client: p.client, granted: shopify.ParseScopes(p.shop.Scopes),
		read: fmt.Sprintf("sweep %d", p.task.ID), start: start,
		candidates: func(tx *store.Tx, kind mirror.Kind, after mirror.GID) (ids []mirror.GID, last mirror.GID, err error) {
			for len(ids) == 0 {
				known, err := tx.ShownBefore(p.shop.ID, kind, start, after, scanBatch)
				if err != nil || len(known) == 0 {
					return ids, last, err
				}
				last = known[len(known)-1]
				after = last
				ids = slices.DeleteFunc(known, seen[kind].has)
			}
			return ids, last, nil
		},
		living: func(_ *store.Tx, kind mirror.Kind) (ids []mirror.GID, total int64, err error) {
			return slices.Clone(seen[kind].recent), int64(len(seen[kind].hashes)), nil
		},
		accepted: func(*store.Tx) (bool, error) { return false, nil }, // That is the poll's to be told.
		write: func(tx *store.Tx, batch apply.Batch) ([]apply.Step, error) {
			steps, err := apply.Apply(tx, batch, mirror.At(p.Now()))
			for _, step := range steps {
				if info := mirror.InfoOf(step.Key.Kind); step.Before.Shown(info) && !step.After.Shown(info) {
					p.count(info.Type, step.Key.ID, ClassUndeleted)
				}
			}
			return steps, err
		},
		doubt: func(_ mirror.Kind, reason string) { p.gap("%s", reason) },
		now:   func(string) {},
	}
}

// scanBatch bounds the ids of the copy held against a scan at once.
const scanBatch = 5000
