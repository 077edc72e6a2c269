package demo

import (
	"fmt"
	"math/rand/v2"

	"stockroom/internal/simulator"
)

// LoseEdits makes changes of every sort that webhooks tell of, one or more of
// each, and counts them by kind. The caller sees to it that the webhooks get lost.
func LoseEdits(shop *simulator.Shop, rng *rand.Rand) (map[string]int, error) {
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
		{"collection deleted", 1, func() error { return shop.DeleteCollection(pick.collection()) }},
	} {
		for range edit.times {
			if err := edit.do(); err != nil {
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

func (p picker) from(ids []int64) int64 { return ids[p.rng.IntN(len(ids))] }

func (p picker) product() int64 {
	return p.from(p.read(func() []int64 { return p.shop.Products.IDs() }))
}
func (p picker) variant() int64 {
	return p.from(p.read(func() []int64 { return p.shop.Variants.IDs() }))
}
func (p picker) discount() int64 {
	return p.from(p.read(func() []int64 { return p.shop.Discounts.IDs() }))
}
func (p picker) collection() int64 {
	return p.from(p.read(func() []int64 { return p.shop.Collections.IDs() }))
}

func (p picker) read(ids func() []int64) []int64 {
	p.shop.RLock()
	defer p.shop.RUnlock()
	return append([]int64(nil), ids()...)
}

// lesserVariant draws a variant that is not its product's only one.
func (p picker) lesserVariant() int64 {
	p.shop.RLock()
	defer p.shop.RUnlock()
	ids := p.shop.Variants.IDs()
	for {
		if found, _ := p.shop.Variants.Get(p.from(ids)); len(found.Product.Variants) > 1 {
			return found.ID
		}
	}
}

// level draws an item with stock at more than one location, and one of those.
func (p picker) level() (item, location int64) {
	p.shop.RLock()
	defer p.shop.RUnlock()
	ids := p.shop.Items.IDs()
	for {
		found, _ := p.shop.Items.Get(p.from(ids))
		var locations []int64
		for _, level := range found.Levels {
			if level.Shown() {
				locations = append(locations, level.Location.ID)
			}
		}
		if found.Tracked && len(locations) > 1 {
			return found.ID, p.from(locations)
		}
	}
}
