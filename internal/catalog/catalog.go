// Package catalog makes the entries by which products are searched: what a
// customer may type, reduced to tokens, and what a search may filter by.
//
// It promises that an entry depends on the product's records alone, so that
// rebuilding it twice changes nothing, and that after Rebuild exactly those of
// the given products have one that readers see. Calling Rebuild in the
// transaction that changed the records is left to package apply, asking the
// questions to package query.
package catalog

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Variant is a variant that readers see.
type Variant struct {
	*mirror.ProductVariant
	Derived *mirror.ProductVariantDerived // Nil until it has been read: not for sale, as far as is known.
}

// Entry builds the search entry of a product from its records.
func Entry(id mirror.GID, product *mirror.Product, variants []Variant) store.ProductEntry {
	entry := store.ProductEntry{
		ID:        id,
		Handle:    product.Handle,
		SortKey:   mirror.SortKey(product.Title),
		Status:    product.Status,
		Published: !product.PublishedAt.IsZero(),
		Title:     tokens(product.Title),
	}
	rest := []string{product.Vendor, product.ProductType, product.Handle}
	rest = append(rest, product.Tags...)
	for _, option := range product.Options {
		rest = append(rest, option.Name)
		rest = append(rest, option.Values...)
	}
	for _, variant := range variants {
		offer := store.Offer{Price: Millionths(variant.Price), Available: variant.Derived != nil && variant.Derived.AvailableForSale}
		if !slices.Contains(entry.Offers, offer) { // Most variants of a product cost the same.
			entry.Offers = append(entry.Offers, offer)
		}
		entry.Available = entry.Available || offer.Available
		for _, code := range []*string{variant.SKU, variant.Barcode} {
			if code != nil {
				rest = append(rest, *code)
			}
		}
	}
	entry.Rest = tokens(strings.Join(rest, "\n"))
	return entry
}

// tokens are those of a text, and those of its divided words as one.
func tokens(text string) string {
	return strings.TrimSpace(mirror.Tokens(text) + " " + mirror.Joined(text))
}

// Millionths converts a price to millionths of its unit, in which prices can be
// compared by every database engine. No currency is that fine; what is finer is
// cut, and what is too large for an int64 becomes the largest.
func Millionths(price mirror.Decimal) int64 {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(string(price), "-"), ".")
	n, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	if err != nil { // The digits of a Decimal can only be too many.
		n = math.MaxInt64
	}
	if strings.HasPrefix(string(price), "-") {
		return -n
	}
	return n
}

// batch bounds the products whose records are in memory at a time.
const batch = 250

// Rebuild brings the entries of these products in line with their records:
// shown products get a new one, hidden and unknown ones have none.
func Rebuild(tx *store.Tx, shop int64, productIDs []mirror.GID) error {
	for len(productIDs) > 0 {
		part := productIDs[:min(batch, len(productIDs))]
		productIDs = productIDs[len(part):]
		if err := rebuild(tx, shop, part); err != nil {
			return fmt.Errorf("rebuild search entries of %d products from %s: %w", len(part), part[0], err)
		}
	}
	return nil
}

func rebuild(tx *store.Tx, shop int64, ids []mirror.GID) error {
	products, err := tx.ShownByID(shop, mirror.KindProduct, ids)
	if err != nil {
		return err
	}
	variants, err := variantsOf(tx, shop, ids)
	if err != nil {
		return err
	}
	var entries []store.ProductEntry
	var hidden []mirror.GID
	seen := map[mirror.GID]bool{}
	for _, id := range ids {
		if seen[id] { // The store takes each product once.
			continue
		}
		seen[id] = true
		row, shown := products[id]
		if !shown {
			hidden = append(hidden, id)
			continue
		}
		content, err := mirror.Decode(mirror.KindProduct, row.Content)
		if err != nil {
			return err
		}
		entries = append(entries, Entry(id, content.(*mirror.Product), variants[id]))
	}
	if err := tx.DropProductEntries(shop, hidden); err != nil {
		return err
	}
	return tx.SaveProductEntries(shop, entries)
}

// variantsOf loads the variants that readers see, by product.
func variantsOf(tx *store.Tx, shop int64, products []mirror.GID) (map[mirror.GID][]Variant, error) {
	byProduct, err := tx.ShownByParent(shop, mirror.KindProductVariant, products)
	if err != nil {
		return nil, err
	}
	var rows []store.Row
	for _, of := range byProduct {
		rows = append(rows, of...)
	}
	rows, err = tx.Visible(shop, mirror.KindProductVariant, rows)
	if err != nil {
		return nil, err
	}
	ids := make([]mirror.GID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	derived, err := tx.ShownByID(shop, mirror.KindProductVariantDerived, ids)
	if err != nil {
		return nil, err
	}
	variants := map[mirror.GID][]Variant{}
	for _, row := range rows {
		content, err := mirror.Decode(mirror.KindProductVariant, row.Content)
		if err != nil {
			return nil, err
		}
		variant := Variant{ProductVariant: content.(*mirror.ProductVariant)}
		if more, ok := derived[row.ID]; ok {
			content, err := mirror.Decode(mirror.KindProductVariantDerived, more.Content)
			if err != nil {
				return nil, err
			}
			variant.Derived = content.(*mirror.ProductVariantDerived)
		}
		variants[row.Parent] = append(variants[row.Parent], variant)
	}
	return variants, nil
}
