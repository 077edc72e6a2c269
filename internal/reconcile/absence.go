package reconcile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// absenceOrder lists the kinds whose absence a full read can show, parents
// first: a deleted product hides its variants, which then need no read.
// Metafields are missing, since their owner's list says which there are.
var absenceOrder = []mirror.Kind{
	mirror.KindLocation, mirror.KindProduct, mirror.KindProductVariant, mirror.KindInventoryItem, mirror.KindInventoryLevel,
	mirror.KindCollection, mirror.KindDiscount, mirror.KindOrder,
}

// absenceBatch bounds the candidates looked at together.
const absenceBatch = 500

// absences deletes what the shop has deleted: records that the run did not
// read, each confirmed by a read by id. When that is more than the fuse allows,
// nothing of the kind is deleted (P4), and the run is partial.
func (r *reading) absences(ctx context.Context, kind mirror.Kind) error {
	info := mirror.InfoOf(kind)
	var read int64
	accepted := false
	err := r.Store.View(ctx, func(tx *store.Tx) (err error) {
		if read, err = tx.CountRead(r.run.ID, kind); err != nil {
			return err
		}
		run, err := tx.RunByID(r.run.ID)
		accepted = run.AcceptDeletions
		return err
	})
	if err != nil {
		return fmt.Errorf("count %s: %w", kind, err)
	}

	// Until the fuse has judged them together, confirmed absences are held.
	// Found records are written at once.
	var confirmed []mirror.Observation
	for after := mirror.GID(""); ; {
		ids, last, err := r.candidates(ctx, kind, after)
		if err != nil {
			return fmt.Errorf("list unread %s: %w", kind, err)
		}
		if last == "" {
			break
		}
		after = last
		r.progress.Now = fmt.Sprintf("confirming %d missing %s records", len(ids), kind)
		absent, ok, err := r.confirm(ctx, info, ids)
		if err != nil || !ok {
			return err
		}
		confirmed = append(confirmed, absent...)
		if accepted {
			if err := r.delete(ctx, kind, confirmed); err != nil {
				return err
			}
			confirmed = confirmed[:0]
		} else if total := read + int64(len(confirmed)); r.MaxDelete.Blows(int64(len(confirmed)), total) {
			r.complete[kind] = false
			r.gap("%d or more of %d %s records would be deleted, more than POLL_MAX_DELETE allows: nothing was. If that is right, run "+
				"`stockroom poll --shop %s --accept-deletions`", len(confirmed), total, info.Type, r.shop.Domain)
			return nil
		}
	}
	return r.delete(ctx, kind, confirmed)
}

// candidates lists the ids after one of a batch of records that readers see and
// the run did not read, and where the batch ended; empty at the end.
func (r *reading) candidates(ctx context.Context, kind mirror.Kind, after mirror.GID) (ids []mirror.GID, last mirror.GID, err error) {
	err = r.Store.View(ctx, func(tx *store.Tx) error {
		rows, err := tx.Unread(r.shop.ID, r.run.ID, kind, r.run.StartedAt, after, absenceBatch)
		if err != nil || len(rows) == 0 {
			return err
		}
		last = rows[len(rows)-1].ID
		if rows, err = tx.Visible(r.shop.ID, kind, rows); err != nil {
			return err
		}
		for _, row := range rows {
			old, err := r.leftTheWindow(kind, row)
			if err != nil {
				return err
			}
			if !old {
				ids = append(ids, row.ID)
			}
		}
		return nil
	})
	return ids, last, err
}

// confirm reads candidates by id. Those found are written, those gone returned.
// When a read fails the kind is not complete and ok is false.
func (r *reading) confirm(ctx context.Context, info *mirror.KindInfo, ids []mirror.GID) (absent []mirror.Observation, ok bool, err error) {
	for part := range slices.Chunk(ids, shopify.MaxIDs(info.Read)) {
		observations, err := r.client.ReadByID(ctx, info.Read, part)
		if err != nil {
			if ctx.Err() != nil {
				return nil, false, ctx.Err()
			}
			r.complete[info.Kind] = false
			r.gap("%d missing %s records could not be confirmed: %v", len(part), info.Type, err)
			return nil, false, nil
		}
		var found []mirror.Observation
		for _, o := range observations {
			if o.Key.Kind == info.Kind && o.Content == nil {
				absent = append(absent, o)
			} else {
				found = append(found, o)
			}
		}
		err = r.Store.Update(ctx, func(tx *store.Tx) error {
			_, err := apply.Apply(tx, apply.Batch{Shop: r.shop.ID, Observations: found}, mirror.At(r.Now()))
			return err
		})
		if err != nil {
			return nil, false, fmt.Errorf("apply what was found: %w", err)
		}
	}
	return absent, true, nil
}

// delete writes confirmed absences and that they were drift.
func (r *reading) delete(ctx context.Context, kind mirror.Kind, confirmed []mirror.Observation) error {
	for part := range slices.Chunk(confirmed, absenceBatch) {
		err := r.Store.Update(ctx, func(tx *store.Tx) error {
			_, err := r.applyNoting(tx, apply.Batch{Shop: r.shop.ID, Observations: part})
			return err
		})
		if err != nil {
			return fmt.Errorf("delete %d records: %w", len(part), err)
		}
	}
	return nil
}

// windowMargin keeps orders at the window's edge from being judged.
const windowMargin = time.Hour

// leftTheWindow reports an order that the shop no longer lists because of its
// age: that is neither deletion nor drift.
func (r *reading) leftTheWindow(kind mirror.Kind, row store.Row) (bool, error) {
	if kind != mirror.KindOrder || len(shopify.MissingScopes(r.granted(), []string{mirror.ScopeAllOrders})) == 0 {
		return false, nil
	}
	content, err := mirror.Decode(kind, row.Content)
	if err != nil {
		return false, err
	}
	created := mirror.At(content.(*mirror.Order).CreatedAt.Time)
	return created < r.run.StartedAt.Add(windowMargin-mirror.OrderWindow), nil
}
