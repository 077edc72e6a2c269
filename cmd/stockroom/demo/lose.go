package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"stockroom/internal/mirror"
	"stockroom/internal/simulator"
)

// LoseEdits makes changes of every sort that webhooks tell of, one or more of
// each, and one that none tells of, and counts them by kind. Record makes each of them. The caller sees to it
// that the webhooks get lost.
func LoseEdits(shop *simulator.Shop, rng *rand.Rand, record func(func() error) error) (map[string]int, error) {
	made := map[string]int{}
	pick := picker{shop, rng}
	for _, edit := range []struct {
		kind  string
		times int
		do    func() error
	}{
		{"product created", 3, func() error {
			return shopErr(shop.CreateProduct(simulator.ProductSpec{Title: fmt.Sprintf("Unheard product %d", rng.IntN(1000)), Vendor: "Quiet & Co",
				Variants: []simulator.VariantSpec{{SKU: "QUIET-1", Price: 1990}}}))
		}},
		{"product updated", 6, func() error {
			return shop.UpdateProduct(pick.product(), func(p *simulator.Product) { p.Title += " (renamed)" })
		}},
		{"product deleted", 3, func() error { return shop.DeleteProduct(pick.product()) }},
		{"variant removed", 2, func() error { return shop.RemoveVariant(pick.lesserVariant()) }},
		{"price changed", 5, func() error { return shop.SetPrice(pick.variant(), simulator.Money(100+rng.IntN(9000)), 0) }},
		{"stock changed", 8, func() error {
			item, location := pick.level()
			return shop.SetStock(item, location, int64(1000+rng.IntN(1000)))
		}},
		{"stock disconnected", 2, func() error {
			item, location := pick.level()
			return shop.DisconnectLevel(item, location)
		}},
		{"discount created", 1, func() error {
			return shopErr(shop.CreateDiscount(simulator.DiscountSpec{Typename: "DiscountCodeBasic", Title: "Unheard", Codes: []string{"UNHEARD10"},
				Value: simulator.DiscountValue{Percentage: "0.1"}, Gets: simulator.DiscountItems{All: true}}))
		}},
		{"discount updated", 2, func() error {
			return shop.UpdateDiscount(pick.discount(), func(d *simulator.Discount) { d.Title += " (extended)" })
		}},
		{"discount deleted", 1, func() error { return shop.DeleteDiscount(pick.discount()) }},
		{"collection created", 1, func() error {
			return shopErr(shop.CreateCollection(simulator.CollectionSpec{Title: "Unheard collection", Products: []int64{pick.product()}}))
		}},
		{"collection updated", 2, func() error {
			return shop.UpdateCollection(pick.collection(), func(c *simulator.Collection) { c.Title += " (renamed)" })
		}},
		{"metafield of a variant set", 2, func() error {
			return shopErr(shop.SetMetafield(string(mirror.NewGID("ProductVariant", pick.variant())), "custom", "note", "single_line_text_field", fmt.Sprint("quiet ", rng.IntN(1000))))
		}},
		{"collection deleted", 1, func() error { return shop.DeleteCollection(pick.collection()) }},
	} {
		for range edit.times {
			if err := record(edit.do); err != nil {
				return made, fmt.Errorf("%s: %w", edit.kind, err)
			}
			made[edit.kind]++
		}
	}
	return made, nil
}

func shopErr[T any](_ T, err error) error { return err }

// picker draws records of a shop by its source of chance.
type picker struct {
	shop *simulator.Shop
	rng  *rand.Rand
}

// from draws one of the candidates that list finds; zero where there are none,
// which the edit that asked then refuses.
func (p picker) from(list func() []int64) int64 {
	p.shop.RLock()
	defer p.shop.RUnlock()
	ids := list()
	if len(ids) == 0 {
		return 0
	}
	return ids[p.rng.IntN(len(ids))]
}

func (p picker) product() int64    { return p.from(p.shop.Products.IDs) }
func (p picker) variant() int64    { return p.from(p.shop.Variants.IDs) }
func (p picker) discount() int64   { return p.from(p.shop.Discounts.IDs) }
func (p picker) collection() int64 { return p.from(p.shop.Collections.IDs) }

// lesserVariant draws a variant that is not its product's only one.
func (p picker) lesserVariant() int64 {
	return p.from(func() (ids []int64) {
		for variant := range p.shop.Variants.All() {
			if len(variant.Product.Variants) > 1 {
				ids = append(ids, variant.ID)
			}
		}
		return ids
	})
}

// level draws an item whose stock is shown somewhere, and one of those locations.
func (p picker) level() (item, location int64) {
	item = p.from(func() (ids []int64) {
		for item := range p.shop.Items.All() {
			if item.Tracked && slices.ContainsFunc(item.Levels, (*simulator.Level).Shown) {
				ids = append(ids, item.ID)
			}
		}
		return ids
	})
	location = p.from(func() (ids []int64) {
		if found, ok := p.shop.Items.Get(item); ok {
			for _, level := range found.Levels {
				if level.Shown() {
					ids = append(ids, level.Location.ID)
				}
			}
		}
		return ids
	})
	return item, location
}
