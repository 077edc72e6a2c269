package reconcile

import (
	"context"
	"fmt"
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
	var total int64
	err := r.Store.View(ctx, func(tx *store.Tx) (err error) {
		total, err = tx.CountShown(r.shop.ID, kind)
		return err
	})
	if err != nil {
		return fmt.Errorf("count %s: %w", kind, err)
	}

	// Confirmed absences are held until all are known, for the fuse judges
	// them together. Found records are written at once.
	var confirmed []mirror.Observation
	contents := map[mirror.GID][]byte{}
	for after := mirror.GID(""); ; {
		var rows []store.Row
		var last mirror.GID
		err := r.Store.View(ctx, func(tx *store.Tx) (err error) {
			if rows, err = tx.Unread(r.shop.ID, r.run.ID, kind, r.run.StartedAt, after, absenceBatch); err != nil || len(rows) == 0 {
				return err
			}
			last = rows[len(rows)-1].ID
			rows, err = tx.Visible(r.shop.ID, kind, rows)
			return err
		})
		if err != nil {
			return fmt.Errorf("list unread %s: %w", kind, err)
		}
		if last == "" {
			break
		}
		after = last
		var ids []mirror.GID
		for _, row := range rows {
			old, err := r.leftTheWindow(kind, row)
			if err != nil {
				return err
			}
			if !old {
				ids = append(ids, row.ID)
				contents[row.ID] = row.Content
			}
		}
		r.progress.Now = fmt.Sprintf("confirming %d missing %s records", len(ids), kind)
		absent, ok, err := r.confirm(ctx, info, ids)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		confirmed = append(confirmed, absent...)
		if !r.run.AcceptDeletions && r.MaxDelete.Blows(int64(len(confirmed)), total) {
			r.complete[kind] = false
			r.gap("%d or more of %d %s records would be deleted, more than POLL_MAX_DELETE allows: nothing was. If that is right, run "+
				"`stockroom poll --shop %s --accept-deletions`", len(confirmed), total, info.Type, r.shop.Domain)
			return nil
		}
	}
	return r.delete(ctx, confirmed, contents)
}

// confirm reads candidates by id. Those found are written, those gone returned.
// When a read fails the kind is not complete and ok is false.
func (r *reading) confirm(ctx context.Context, info *mirror.KindInfo, ids []mirror.GID) (absent []mirror.Observation, ok bool, err error) {
	for len(ids) > 0 {
		part := ids[:min(len(ids), shopify.MaxIDs(info.Read))]
		ids = ids[len(part):]
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
func (r *reading) delete(ctx context.Context, confirmed []mirror.Observation, contents map[mirror.GID][]byte) error {
	for len(confirmed) > 0 {
		part := confirmed[:min(len(confirmed), absenceBatch)]
		confirmed = confirmed[len(part):]
		err := r.Store.Update(ctx, func(tx *store.Tx) error {
			if _, err := apply.Apply(tx, apply.Batch{Shop: r.shop.ID, Observations: part}, mirror.At(r.Now())); err != nil {
				return err
			}
			rows := make([]store.DriftRow, 0, len(part))
			for _, o := range part {
				diffs, err := mirror.Compare(contents[o.Key.ID], nil)
				if err != nil {
					return err
				}
				row, _, err := driftRow(o.Key, ClassUndeleted, diffs)
				if err != nil {
					return err
				}
				rows = append(rows, row)
			}
			return tx.AddDrift(r.run.ID, rows)
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
