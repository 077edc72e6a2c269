package store

import (
	"fmt"
	"slices"

	"stockroom/internal/mirror"
)

// Visible keeps those rows of a kind that readers see: a record's own marks show
// it (the rows are shown already), and so do its parent and the set it belongs
// to. A deleted product thereby hides its variants, their inventory items and
// stock without a row of theirs being written.
//
// What the shop does not share any more is hidden too, whole: it is in the copy,
// but nobody knows whether it is true still.
//
// One rule a kind, and none for the kinds that stand alone.
func (t *Tx) Visible(shop int64, kind mirror.Kind, rows []Row) ([]Row, error) {
	if len(rows) == 0 {
		return rows, nil
	}
	granted, err := t.granted(shop)
	if err != nil {
		return nil, fmt.Errorf("visible %s: %w", kind, err)
	}
	if mirror.Withheld(kind, granted) {
		return nil, nil
	}
	rule, ok := visibility[kind]
	if of := mirror.InfoOf(kind).Of; of != "" {
		rule, ok = sharesIDWith(of), true
	}
	if !ok {
		return rows, nil
	}
	keep, err := rule(t, shop, rows)
	if err != nil {
		return nil, fmt.Errorf("visible %s: %w", kind, err)
	}
	kept := make([]Row, 0, len(rows))
	for _, row := range rows {
		if keep(row) {
			kept = append(kept, row)
		}
	}
	return kept, nil
}

// granted are the scopes of a shop, looked up once in a transaction.
func (t *Tx) granted(shop int64) ([]string, error) {
	if known, ok := t.scopes[shop]; ok {
		return known, nil
	}
	var text string
	if err := t.one(`SELECT scopes FROM shops WHERE id = $1`, []any{shop}, &text); err != nil {
		return nil, fmt.Errorf("scopes of shop %d: %w", shop, err)
	}
	if t.scopes == nil {
		t.scopes = map[int64][]string{}
	}
	t.scopes[shop] = mirror.ParseScopes(text)
	return t.scopes[shop], nil
}

// VisibleIDs keeps those ids of a kind that readers see, in their order.
func (t *Tx) VisibleIDs(shop int64, kind mirror.Kind, ids []mirror.GID) ([]mirror.GID, error) {
	found, err := t.shownRefs(shop, kind, ids)
	if err != nil {
		return nil, err
	}
	rows := make([]Row, 0, len(found))
	for _, id := range ids {
		if row, ok := found[id]; ok {
			rows = append(rows, row)
		}
	}
	rows, err = t.Visible(shop, kind, rows)
	if err != nil {
		return nil, err
	}
	kept := make([]mirror.GID, len(rows))
	for i, row := range rows {
		kept[i] = row.ID
	}
	return kept, nil
}

type visibilityRule func(t *Tx, shop int64, rows []Row) (func(Row) bool, error)

var visibility map[mirror.Kind]visibilityRule

func init() { // The rules refer to each other through Visible.
	visibility = map[mirror.Kind]visibilityRule{
		mirror.KindProductVariant: variantVisible,
		mirror.KindInventoryItem:  itemVisible,
		mirror.KindInventoryLevel: levelVisible,
		mirror.KindMetafield:      metafieldVisible,
	}
}

func sharesIDWith(of mirror.Kind) visibilityRule {
	return func(t *Tx, shop int64, rows []Row) (func(Row) bool, error) {
		ids, err := t.VisibleIDs(shop, of, idsOf(rows))
		visible := setOf(ids)
		return func(row Row) bool { return visible[row.ID] }, err
	}
}

// variantVisible: its product is shown, and the product's set, where one is known, holds it.
func variantVisible(t *Tx, shop int64, rows []Row) (func(Row) bool, error) {
	products, err := t.shownRefs(shop, mirror.KindProduct, parentsOf(rows))
	if err != nil {
		return nil, err
	}
	sets, err := sets(t, shop, mirror.KindProductVariantSet, parentsOf(rows), func(c *mirror.ProductVariantSet) []mirror.GID { return c.VariantIDs })
	return func(row Row) bool {
		_, parent := products[row.Parent]
		return parent && sets.allow(row)
	}, err
}

// itemVisible: a visible variant names it.
func itemVisible(t *Tx, shop int64, rows []Row) (func(Row) bool, error) {
	variants, err := t.ShownByLink(shop, mirror.KindProductVariant, idsOf(rows))
	if err != nil {
		return nil, err
	}
	candidates := make([]Row, 0, len(variants))
	for _, naming := range variants { // A variant that is gone may name the item too.
		candidates = append(candidates, naming...)
	}
	candidates, err = t.Visible(shop, mirror.KindProductVariant, candidates)
	named := idSet{}
	for _, variant := range candidates {
		named[variant.Link] = true
	}
	return func(row Row) bool { return named[row.ID] }, err
}

// levelVisible: its item is visible, and its location is active.
func levelVisible(t *Tx, shop int64, rows []Row) (func(Row) bool, error) {
	items, err := t.VisibleIDs(shop, mirror.KindInventoryItem, parentsOf(rows))
	if err != nil {
		return nil, err
	}
	locations := make([]mirror.GID, 0, len(rows))
	for _, row := range rows {
		if _, location, ok := mirror.SplitLevelID(row.ID); ok {
			locations = append(locations, location)
		}
	}
	known, err := t.ShownByID(shop, mirror.KindLocation, distinct(locations))
	if err != nil {
		return nil, err
	}
	active := idSet{}
	for id, row := range known {
		content, err := mirror.Decode(mirror.KindLocation, row.Content)
		if err != nil {
			return nil, err
		}
		active[id] = content.(*mirror.Location).IsActive
	}
	visibleItems := setOf(items)
	return func(row Row) bool {
		_, location, ok := mirror.SplitLevelID(row.ID)
		return ok && active[location] && visibleItems[row.Parent]
	}, nil
}

// ownerKinds are the kinds that own metafields, by the object in their gid.
var ownerKinds = map[string]mirror.Kind{
	"Shop": mirror.KindShop, "Product": mirror.KindProduct, "ProductVariant": mirror.KindProductVariant, "Collection": mirror.KindCollection,
}

// metafieldVisible: its owner is visible, and the owner's list, where one is known, holds it.
func metafieldVisible(t *Tx, shop int64, rows []Row) (func(Row) bool, error) {
	byKind := map[mirror.Kind][]mirror.GID{}
	for _, owner := range parentsOf(rows) {
		byKind[ownerKinds[owner.Object()]] = append(byKind[ownerKinds[owner.Object()]], owner)
	}
	owners := idSet{}
	for kind, ids := range byKind {
		if kind == "" {
			continue
		}
		visible, err := t.VisibleIDs(shop, kind, ids)
		if err != nil {
			return nil, err
		}
		for _, id := range visible {
			owners[id] = true
		}
	}
	sets, err := sets(t, shop, mirror.KindMetafieldSet, parentsOf(rows), func(c *mirror.MetafieldSet) []mirror.GID { return c.MetafieldIDs })
	return func(row Row) bool { return owners[row.Parent] && sets.allow(row) }, err
}

type idSet map[mirror.GID]bool

func setOf(ids []mirror.GID) idSet {
	set := make(idSet, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// memberSets holds, by owner, who belongs to it. Owners whose set is not known allow all.
type memberSets map[mirror.GID]idSet

func (s memberSets) allow(row Row) bool {
	set, known := s[row.Parent]
	return !known || set[row.ID]
}

func sets[C any, P interface {
	*C
	mirror.Content
}](t *Tx, shop int64, kind mirror.Kind, owners []mirror.GID, members func(*C) []mirror.GID) (memberSets, error) {
	found, err := t.ShownByID(shop, kind, owners)
	if err != nil {
		return nil, err
	}
	all := memberSets{}
	for owner, row := range found {
		content, err := mirror.Decode(kind, row.Content)
		if err != nil {
			return nil, err
		}
		all[owner] = setOf(members((*C)(content.(P))))
	}
	return all, nil
}

func idsOf(rows []Row) []mirror.GID {
	ids := make([]mirror.GID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids
}

func parentsOf(rows []Row) []mirror.GID {
	parents := make([]mirror.GID, len(rows))
	for i, row := range rows {
		parents[i] = row.Parent
	}
	return distinct(parents)
}

func distinct(ids []mirror.GID) []mirror.GID {
	slices.Sort(ids)
	return slices.Compact(ids)
}
