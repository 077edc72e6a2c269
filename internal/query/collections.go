package query

import (
	"context"
	"fmt"
	"slices"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// CollectionSummary is a collection in a list.
type CollectionSummary struct {
	ID mirror.GID `json:"id"`
	mirror.Collection
	Smart         *bool `json:"smart" doc:"A rule decides what belongs to it; null until that is known."`
	ProductsCount *int  `json:"productsCount" doc:"Null until that is known."`
}

// PageQuery selects a page of a list.
type PageQuery struct {
	Cursor string
	Limit  int
}

// Collections lists collections by id.
func (r *Reader) Collections(ctx context.Context, shop store.Shop, q PageQuery) (List[CollectionSummary], error) {
	page := List[CollectionSummary]{Items: []CollectionSummary{}}
	limit, err := limitOf(q.Limit)
	if err != nil {
		return page, err
	}
	page.Limit = limit
	var after mirror.GID
	if err := decodeCursor(q.Cursor, "collections", &after); err != nil {
		return page, err
	}
	err = r.view(ctx, shop, "collections", func(tx *store.Tx) error {
		if page.Freshness, err = r.freshness(tx, shop, mirror.TypeCollection); err != nil {
			return err
		}
		rows, err := tx.ShownAfter(shop.ID, mirror.KindCollection, after, limit+1)
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows = rows[:limit]
			page.Next = encodeCursor("collections", rows[limit-1].ID)
		}
		in := reader{tx, shop, r.shopNow(shop)}
		for _, row := range rows {
			c, err := in.collection(row)
			if err != nil {
				return err
			}
			summary := CollectionSummary{ID: c.ID, Collection: c.Collection, Smart: c.Smart}
			if c.ProductIDs != nil {
				summary.ProductsCount = new(len(c.ProductIDs))
			}
			page.Items = append(page.Items, summary)
		}
		return nil
	})
	return page, err
}

// CollectionQuery selects products of a collection.
type CollectionQuery struct {
	Collection string // Its global id, the number in it, or its handle.
	All        bool   // Drafts, archived, unlisted and unpublished products too.
	Cursor     string
	Limit      int
}

// CollectionProducts lists the products of a collection by id: the copy does not
// keep a collection's own order. A collection whose members have not been read
// yet has none.
func (r *Reader) CollectionProducts(ctx context.Context, shop store.Shop, q CollectionQuery) (List[ProductSummary], error) {
	page := List[ProductSummary]{Items: []ProductSummary{}}
	limit, err := limitOf(q.Limit)
	if err != nil {
		return page, err
	}
	page.Limit = limit
	var after mirror.GID
	if err := decodeCursor(q.Cursor, "collection_products", &after); err != nil {
		return page, err
	}
	err = r.view(ctx, shop, "a collection's products", func(tx *store.Tx) error {
		if page.Freshness, err = r.freshness(tx, shop, mirror.TypeCollection, mirror.TypeProduct, mirror.TypeVariant); err != nil {
			return err
		}
		in := reader{tx, shop, r.shopNow(shop)}
		row, err := in.findCollection(q.Collection)
		if err != nil {
			return err
		}
		collection, err := in.collection(row)
		if err != nil {
			return err
		}
		members := collection.ProductIDs
		if at, found := slices.BinarySearch(members, after); found {
			members = members[at+1:]
		} else {
			members = members[at:]
		}
		for part := range slices.Chunk(members, pageRows) {
			products, err := in.summaries(part)
			if err != nil {
				return err
			}
			for _, p := range products {
				if q.All || p.Status == "ACTIVE" && !p.PublishedAt.IsZero() {
					page.Items = append(page.Items, p)
				}
			}
			if len(page.Items) > limit {
				break
			}
		}
		if len(page.Items) > limit {
			page.Items = page.Items[:limit]
			page.Next = encodeCursor("collection_products", page.Items[limit-1].ID)
		}
		return nil
	})
	return page, err
}

func (r reader) findCollection(ref string) (store.Row, error) {
	if id, ok := gidOf("Collection", ref); ok {
		found, err := r.tx.ShownByID(r.shop.ID, mirror.KindCollection, []mirror.GID{id})
		if row, ok := found[id]; ok || err != nil {
			return row, err
		}
	}
	var match *store.Row
	err := r.pages(mirror.KindCollection, "", func(rows []store.Row) (bool, error) {
		for _, row := range rows {
			c, err := decode[*mirror.Collection](mirror.KindCollection, row)
			if err != nil {
				return false, err
			}
			if c.Handle == ref {
				match = &row
				return false, nil
			}
		}
		return true, nil
	})
	if err == nil && match == nil {
		err = &Error{NotFound, fmt.Sprintf("the shop has no collection %q", ref), "name a collection by its id or handle, as the list of collections gives them"}
	}
	if err != nil {
		return store.Row{}, err
	}
	return *match, nil
}
