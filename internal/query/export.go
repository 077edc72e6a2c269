package query

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

const (
	// pageRows bounds the rows of a walk in memory at a time. A product may have
	// 2,048 variants, so pages are small.
	pageRows = 50
	// batchRows bounds the variants whose metafields are in memory at a time.
	batchRows = 500
)

// Export writes the copy of a shop, one JSON object a line, as
// docs/export.schema.json describes it. All lines are of one moment.
//
// An *Error says that the shop is unknown or was erased; then nothing has been
// written. After any other error what was written is cut short.
func (r *Reader) Export(ctx context.Context, w io.Writer, domain string) error {
	return r.store.View(ctx, func(tx *store.Tx) error {
		shop, err := findShop(tx, domain)
		if err != nil {
			return err
		}
		out := bufio.NewWriterSize(w, 1<<16)
		e := exporter{reader{tx, shop, r.shopNow(shop)}, out}
		if err := e.all(); err != nil {
			return fmt.Errorf("export %s: %w", domain, err)
		}
		return out.Flush()
	})
}

type exporter struct {
	reader
	out *bufio.Writer
}

func (e exporter) all() error {
	known, err := e.tx.ShownAfter(e.shop.ID, mirror.KindShop, "", 1)
	if err != nil {
		return err
	}
	if len(known) == 0 && e.shop.State == store.ShopUninstalled {
		return &Error{NotFound, fmt.Sprintf("nothing is kept of %s any more", e.shop.Domain), "it uninstalled the app and its data was erased; connect it again with `stockroom shops add`"}
	}
	for _, step := range []struct {
		kind  mirror.Kind
		write func([]store.Row) error
	}{
		{mirror.KindProduct, e.productPage},
		{mirror.KindInventoryItem, e.itemPage},
		{mirror.KindLocation, each(e, mirror.TypeLocation, e.location)},
		{mirror.KindShop, e.shopPage},
		{mirror.KindCollection, e.collectionPage},
		{mirror.KindDiscount, page(e, mirror.TypeDiscount, e.discounts)},
		{mirror.KindOrder, page(e, mirror.TypeOrder, e.orders)},
	} {
		err := e.pages(step.kind, "", func(rows []store.Row) (bool, error) { return true, step.write(rows) })
		if err != nil {
			return err
		}
	}
	return nil
}

// pages calls do with page after page of a kind's shown rows, by id after an id, until it returns false.
func (r reader) pages(kind mirror.Kind, after mirror.GID, do func([]store.Row) (bool, error)) error {
	for {
		rows, err := r.tx.ShownAfter(r.shop.ID, kind, after, pageRows)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].ID
		if more, err := do(rows); err != nil || !more {
			return err
		}
	}
}

// each writes rows of which every one becomes a line.
func each[T any](e exporter, name string, item func(store.Row) (T, error)) func([]store.Row) error {
	return page(e, name, func(rows []store.Row) ([]T, error) {
		all := make([]T, len(rows))
		for i, row := range rows {
			var err error
			if all[i], err = item(row); err != nil {
				return nil, err
			}
		}
		return all, nil
	})
}

// page writes the lines that a page of rows becomes.
func page[T any](e exporter, name string, items func([]store.Row) ([]T, error)) func([]store.Row) error {
	return func(rows []store.Row) error {
		all, err := items(rows)
		if err != nil {
			return err
		}
		return lines(e, name, all)
	}
}

func lines[T any](e exporter, name string, items []T) error {
	for _, item := range items {
		// Every item is an object that begins with its id.
		object, err := mirror.Encode(item)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(e.out, `{"type":%q,%s`+"\n", name, object[1:]); err != nil {
			return err
		}
	}
	return nil
}

func (e exporter) metafields(owners []mirror.GID) error {
	all, err := e.metafieldsOf(owners)
	if err != nil {
		return err
	}
	out := make([]metafieldLine, len(all))
	for i, m := range all {
		out[i] = metafieldLine{m.ID, m.OwnerID, m.Namespace, m.Key, m.Type, m.Value, m.UpdatedAt}
	}
	return lines(e, mirror.TypeMetafield, out)
}

// metafieldLine gives a metafield's own type another name: a line's type says
// what the line is about, and an object has one field of a name.
type metafieldLine struct {
	ID        mirror.GID  `json:"id"`
	OwnerID   mirror.GID  `json:"ownerId"`
	Namespace string      `json:"namespace"`
	Key       string      `json:"key"`
	Type      string      `json:"metafieldType"`
	Value     string      `json:"value"`
	UpdatedAt mirror.Time `json:"updatedAt"`
}

func (e exporter) shopPage(rows []store.Row) error {
	if err := each(e, mirror.TypeShop, e.shopItem)(rows); err != nil {
		return err
	}
	return e.metafields(ids(rows))
}

func (e exporter) collectionPage(rows []store.Row) error {
	for _, row := range rows { // One by one: a collection may hold all of the shop's products.
		if err := each(e, mirror.TypeCollection, e.collection)([]store.Row{row}); err != nil {
			return err
		}
	}
	return e.metafields(ids(rows))
}

func (e exporter) productPage(rows []store.Row) error {
	if err := page(e, mirror.TypeProduct, e.products)(rows); err != nil {
		return err
	}
	if err := e.metafields(ids(rows)); err != nil {
		return err
	}
	variants, err := e.variantRows(ids(rows))
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(variants, batchRows) {
		if err := e.variantBatch(batch); err != nil {
			return err
		}
	}
	return nil
}

func (e exporter) variantBatch(rows []store.Row) error {
	if err := page(e, mirror.TypeVariant, e.variants)(rows); err != nil {
		return err
	}
	return e.metafields(ids(rows))
}

func (e exporter) itemPage(rows []store.Row) error {
	rows, err := e.tx.Visible(e.shop.ID, mirror.KindInventoryItem, rows)
	if err != nil {
		return err
	}
	if err := page(e, mirror.TypeItem, e.items)(rows); err != nil {
		return err
	}
	levels, err := e.visibleChildren(mirror.KindInventoryLevel, ids(rows))
	if err != nil {
		return err
	}
	return each(e, mirror.TypeLevel, e.level)(levels)
}
