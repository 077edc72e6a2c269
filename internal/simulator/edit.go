package simulator

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// ErrNotFound is what an edit of an unknown record gives; nothing was changed.
var ErrNotFound = errors.New("no such record")

// ErrInvalid is what an edit that Shopify would refuse gives; nothing was changed.
var ErrInvalid = errors.New("not a valid change")

// edit is one action in a shop, made under the shop's lock. All webhooks that
// it causes share its event. Products that it touches are told of once, at the end.
type edit struct {
	shop    *Shop
	event   event
	now     time.Time // In whole seconds.
	touched []*Product
}

// begin locks the shop until end.
func (s *Shop) begin() *edit {
	s.mu.Lock()
	e := s.newEvent()
	return &edit{shop: s, event: e, now: second(e.at)}
}

func (e *edit) end() {
	for _, p := range e.touched {
		if _, exists := e.shop.Products.Get(p.ID); exists {
			e.product("products/update", p)
		}
	}
	e.shop.mu.Unlock()
}

func missing(kind string, id int64) error { return fmt.Errorf("%s %d: %w", kind, id, ErrNotFound) }

// touch moves a product's updatedAt, lets the rules of smart collections judge
// it anew (which no webhook tells of), and plans its products/update.
func (e *edit) touch(p *Product) {
	p.UpdatedAt = e.now
	e.shop.Products.put(p)
	e.shop.classify(p)
	if !slices.Contains(e.touched, p) {
		e.touched = append(e.touched, p)
	}
}

// classify puts a product into the smart collections that it fits, and takes
// it out of the others.
func (s *Shop) classify(p *Product) {
	for c := range s.Collections.All() {
		if c.Smart() {
			if c.fits(p) {
				c.Members = insert(c.Members, p.ID)
			} else {
				c.Members = without(c.Members, p.ID)
			}
		}
	}
}

// fits tells whether a product fulfils a smart collection's rules.
func (c *Collection) fits(p *Product) bool {
	if c.AnyRule {
		return slices.ContainsFunc(c.Rules, func(r Rule) bool { return r.Matches(p) })
	}
	return !slices.ContainsFunc(c.Rules, func(r Rule) bool { return !r.Matches(p) })
}

// The tellers below make a body from the record as it is when the body is
// sent; for a record that is gone by then there is nothing to send.

func (e *edit) product(topic string, p *Product) {
	s := e.shop
	s.emit(e.event, topic, p.GID(), func(o sendOptions) map[string]any {
		if _, ok := s.Products.Get(p.ID); !ok {
			return nil
		}
		return s.productBody(p, o)
	})
}

func (e *edit) item(topic string, i *InventoryItem) {
	s := e.shop
	s.emit(e.event, topic, i.GID(), func(sendOptions) map[string]any {
		if _, ok := s.Items.Get(i.ID); !ok {
			return nil
		}
		return s.itemBody(i)
	})
}

func (e *edit) level(topic string, l *Level) {
	s := e.shop
	s.emit(e.event, topic, l.GID(), func(sendOptions) map[string]any {
		if _, ok := s.Items.Get(l.Item.ID); !ok || !l.Active {
			return nil
		}
		return s.levelBody(l)
	})
}

func (e *edit) location(topic string, l *Location) {
	s := e.shop
	s.emit(e.event, topic, l.GID(), func(sendOptions) map[string]any {
		if _, ok := s.Locations.Get(l.ID); !ok {
			return nil
		}
		return s.locationBody(l)
	})
}

func (e *edit) collection(topic string, c *Collection) {
	s := e.shop
	s.emit(e.event, topic, c.GID(), func(o sendOptions) map[string]any {
		if _, ok := s.Collections.Get(c.ID); !ok {
			return nil
		}
		return s.collectionBody(c, o)
	})
}

func (e *edit) discount(topic string, d *Discount) {
	s := e.shop
	s.emit(e.event, topic, d.GID(), func(sendOptions) map[string]any {
		if _, ok := s.Discounts.Get(d.ID); !ok {
			return nil
		}
		return s.discountBody(d)
	})
}

func (e *edit) order(topic string, o *Order) {
	s := e.shop
	s.emit(e.event, topic, o.GID(), func(sendOptions) map[string]any {
		if _, ok := s.Orders.Get(o.ID); !ok {
			return nil
		}
		return s.orderBody(o)
	})
}

// fixed tells what was known at once: the end of something.
func (e *edit) fixed(topic, subject string, body map[string]any) {
	e.shop.emit(e.event, topic, subject, func(sendOptions) map[string]any { return body })
}

// ProductSpec describes a new product. Empty fields get what Shopify gives.
type ProductSpec struct {
	Title           string
	Status          string // Default: ACTIVE.
	Vendor          string
	ProductType     string
	Tags            []string
	DescriptionHTML string
	ImageURL        string
	Gallery         []string // Addresses of further images; none without ImageURL.
	Options         []string // Names. Default: the single option Title.
	Variants        []VariantSpec
	Unpublished     bool
}

// defaultVariantTitle is the title of the one variant of a product without options.
const defaultVariantTitle = "Default Title"

// VariantSpec describes a new variant.
type VariantSpec struct {
	Values         []string // One for each option. Default: Default Title.
	SKU            string
	Barcode        string
	Price          Money
	CompareAtPrice Money
	Cost           Money
	Policy         string // Default: DENY.
	Untracked      bool
	NoShipping     bool
	Stock          map[int64]int64 // Units by number of the location. Default: none, at the first active location.
}

// CreateProduct makes a product with its variants, items and levels.
func (s *Shop) CreateProduct(spec ProductSpec) (*Product, error) {
	if spec.Title == "" {
		return nil, fmt.Errorf("create product without a title: %w", ErrInvalid)
	}
	e := s.begin()
	defer e.end()
	return e.createProduct(spec)
}

func (e *edit) createProduct(spec ProductSpec) (*Product, error) {
	s := e.shop
	p := s.newProduct(spec, e.now)
	s.Products.put(p)
	s.classify(p)
	e.note("create", p.GID(), p.Title)
	e.product("products/create", p)
	for _, v := range p.Variants {
		s.Variants.put(v)
		s.Items.put(v.Item)
		e.announce(v)
	}
	return p, nil
}

// announce tells of a new variant's item and levels.
func (e *edit) announce(v *Variant) {
	e.item("inventory_items/create", v.Item)
	for _, l := range v.Item.Levels {
		l.Location.Levels.put(l)
		e.level("inventory_levels/connect", l)
		if l.Available != 0 {
			e.level("inventory_levels/update", l)
		}
	}
}

// newProduct makes a product without putting anything into an index.
func (s *Shop) newProduct(spec ProductSpec, at time.Time) *Product {
	p := &Product{
		ID: s.newID(typeProduct), Title: spec.Title, Handle: s.handle(spec.Title), Status: spec.Status, Vendor: spec.Vendor,
		ProductType: spec.ProductType, Tags: tagSet(spec.Tags), DescriptionHTML: spec.DescriptionHTML,
		CreatedAt: at, UpdatedAt: at, PublishedAt: at,
	}
	if p.Status == "" {
		p.Status = "ACTIVE"
	}
	if p.Vendor == "" {
		p.Vendor = s.Name
	}
	if spec.Unpublished || p.Status == "DRAFT" {
		p.PublishedAt = time.Time{}
	}
	if spec.ImageURL != "" {
		p.Image = &Image{ID: s.newID(typeMediaImage), URL: spec.ImageURL, Alt: spec.Title}
		for _, more := range spec.Gallery {
			p.Gallery = append(p.Gallery, &Image{ID: s.newID(typeMediaImage), URL: more, Alt: spec.Title})
		}
	}
	names := spec.Options
	if len(names) == 0 {
		names = []string{"Title"}
	}
	for _, name := range names {
		p.Options = append(p.Options, Option{ID: s.newID(typeOption), Name: name})
	}
	variants := spec.Variants
	if len(variants) == 0 {
		variants = []VariantSpec{{}}
	}
	p.Variants = make([]*Variant, 0, len(variants))
	for _, v := range variants {
		s.newVariant(p, v, at)
	}
	return p
}

// newVariant adds a variant at a product's end without putting it into an index.
func (s *Shop) newVariant(p *Product, spec VariantSpec, at time.Time) *Variant {
	// Allocated together, as they live together.
	made := &struct {
		variant Variant
		item    InventoryItem
	}{}
	s.coin(&spec.Price, &spec.CompareAtPrice, &spec.Cost)
	v := &made.variant
	*v = Variant{
		ID: s.newID(typeVariant), Product: p, SKU: spec.SKU, Barcode: spec.Barcode, Price: spec.Price,
		CompareAtPrice: spec.CompareAtPrice, Position: len(p.Variants) + 1, Taxable: true, Policy: spec.Policy,
		Values: slices.Clone(spec.Values), CreatedAt: at, UpdatedAt: at,
	}
	if v.Policy == "" {
		v.Policy = "DENY"
	}
	for len(v.Values) < len(p.Options) {
		v.Values = append(v.Values, defaultVariantTitle)
	}
	for i, value := range v.Values {
		if !slices.Contains(p.Options[i].Values, value) {
			p.Options[i].Values = append(p.Options[i].Values, value)
		}
	}
	v.Title = strings.Join(v.Values, " / ")
	v.Item = &made.item
	*v.Item = InventoryItem{
		ID: s.newID(typeItem), Variant: v, SKU: v.SKU, Tracked: !spec.Untracked, RequiresShipping: !spec.NoShipping,
		Cost: spec.Cost, CreatedAt: at, UpdatedAt: at,
	}
	stock := spec.Stock
	if stock == nil {
		for l := range s.Locations.All() {
			if l.Active {
				stock = map[int64]int64{l.ID: 0}
				break
			}
		}
	}
	v.Item.Levels = make([]*Level, 0, len(stock))
	for l := range s.Locations.All() {
		if units, connected := stock[l.ID]; connected {
			if spec.Untracked {
				units = 0
			}
			v.Item.Levels = append(v.Item.Levels, &Level{Item: v.Item, Location: l, Active: true, Available: units, CreatedAt: at, UpdatedAt: at})
		}
	}
	p.Variants = append(p.Variants, v)
	return v
}

// handle makes a handle that no product or collection has yet.
func (s *Shop) handle(title string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(title) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(r)
		} else {
			gap = true
		}
	}
	base := b.String()
	if base == "" {
		base = "item"
	}
	if s.handles == nil {
		s.handles = make(map[string]int)
	}
	n, taken := s.handles[base]
	s.handles[base] = n + 1
	if !taken {
		return base
	}
	return fmt.Sprintf("%s-%d", base, n)
}

// UpdateProduct changes what change does to a product's title, status, tags
// and the like. Its variants have edits of their own.
func (s *Shop) UpdateProduct(id int64, change func(*Product)) error {
	e := s.begin()
	defer e.end()
	return e.updateProduct(id, change)
}

func (e *edit) updateProduct(id int64, change func(*Product)) error {
	s := e.shop
	p, ok := s.Products.Get(id)
	if !ok {
		return missing(typeProduct, id)
	}
	change(p)
	p.Tags = tagSet(p.Tags)
	e.touch(p)
	return nil
}

// DeleteProduct removes a product with its variants, items, levels and
// metafields. Only the product and the items are told of.
func (s *Shop) DeleteProduct(id int64) error {
	e := s.begin()
	defer e.end()
	return e.deleteProduct(id)
}

func (e *edit) deleteProduct(id int64) error {
	s := e.shop
	p, ok := s.Products.Get(id)
	if !ok {
		return missing(typeProduct, id)
	}
	for _, v := range p.Variants {
		e.drop(v)
	}
	s.dropMetafields(p.Metafields)
	for c := range s.Collections.All() {
		c.Members = without(c.Members, id)
	}
	s.Products.remove(id)
	e.note("destroy", p.GID(), p.Title)
	e.fixed("products/delete", p.GID(), map[string]any{"id": id})
	return nil
}

// drop removes a variant from all indexes, and tells of its item's end.
func (e *edit) drop(v *Variant) {
	s := e.shop
	for _, l := range v.Item.Levels {
		l.Location.Levels.remove(v.Item.ID)
	}
	s.dropMetafields(v.Metafields)
	s.Variants.remove(v.ID)
	s.Items.remove(v.Item.ID)
	e.fixed("inventory_items/delete", v.Item.GID(), deletedItemBody(v.Item.ID))
}

func (s *Shop) dropMetafields(list []*Metafield) {
	for _, m := range list {
		s.Metafields.remove(m.ID)
	}
}

// maxVariants is how many variants a product may have.
const maxVariants = 2048

// AddVariant adds a variant at the end of a product.
func (s *Shop) AddVariant(product int64, spec VariantSpec) (*Variant, error) {
	e := s.begin()
	defer e.end()
	return e.addVariant(product, spec)
}

func (e *edit) addVariant(product int64, spec VariantSpec) (*Variant, error) {
	s := e.shop
	p, ok := s.Products.Get(product)
	if !ok {
		return nil, missing(typeProduct, product)
	}
	if len(p.Variants) >= maxVariants {
		return nil, fmt.Errorf("add variant to product %d: it has %d: %w", product, len(p.Variants), ErrInvalid)
	}
	if len(spec.Values) != len(p.Options) || slices.ContainsFunc(p.Variants, func(v *Variant) bool { return slices.Equal(v.Values, spec.Values) }) {
		return nil, fmt.Errorf("add variant %q to product %d: one new value for each option is needed: %w", spec.Values, product, ErrInvalid)
	}
	e.lag(p)
	v := s.newVariant(p, spec, e.now)
	s.Variants.put(v)
	s.Items.put(v.Item)
	e.announce(v)
	e.note("create", v.GID(), v.Title)
	e.touch(p)
	return v, nil
}

// RemoveVariant removes a variant; a product keeps at least one. Those behind
// it move up, without a change of their own updatedAt.
func (s *Shop) RemoveVariant(id int64) error {
	e := s.begin()
	defer e.end()
	return e.removeVariant(id)
}

func (e *edit) removeVariant(id int64) error {
	s := e.shop
	v, ok := s.Variants.Get(id)
	if !ok {
		return missing(typeVariant, id)
	}
	p := v.Product
	if len(p.Variants) == 1 {
		return fmt.Errorf("remove variant %d: it is the product's last: %w", id, ErrInvalid)
	}
	e.lag(p)
	e.drop(v)
	e.note("destroy", v.GID(), v.Title)
	p.Variants = slices.DeleteFunc(slices.Clone(p.Variants), func(other *Variant) bool { return other == v })
	for i, other := range p.Variants {
		other.Position = i + 1
	}
	for i := range p.Options {
		p.Options[i].Values = slices.DeleteFunc(slices.Clone(p.Options[i].Values), func(value string) bool {
			return !slices.ContainsFunc(p.Variants, func(v *Variant) bool { return v.Values[i] == value })
		})
	}
	e.touch(p)
	return nil
}

// UpdateVariant changes what change does to a variant. Its sku is its item's too.
func (s *Shop) UpdateVariant(id int64, change func(*Variant)) error {
	e := s.begin()
	defer e.end()
	return e.updateVariant(id, change)
}

func (e *edit) updateVariant(id int64, change func(*Variant)) error {
	s := e.shop
	v, ok := s.Variants.Get(id)
	if !ok {
		return missing(typeVariant, id)
	}
	change(v)
	s.coin(&v.Price, &v.CompareAtPrice)
	v.UpdatedAt = e.now
	s.Variants.put(v)
	if v.Item.SKU != v.SKU {
		v.Item.SKU = v.SKU
		v.Item.UpdatedAt = e.now
		s.Items.put(v.Item)
		e.item("inventory_items/update", v.Item)
	}
	e.touch(v.Product)
	return nil
}

// SetPrice changes a variant's price; compareAt zero means none.
func (s *Shop) SetPrice(variant int64, price, compareAt Money) error {
	return s.UpdateVariant(variant, func(v *Variant) { v.Price, v.CompareAtPrice = price, compareAt })
}

// UpdateItem changes what change does to an inventory item: tracked, cost,
// requires shipping. Its variant's updatedAt stays.
func (s *Shop) UpdateItem(id int64, change func(*InventoryItem)) error {
	e := s.begin()
	defer e.end()
	return e.updateItem(id, change)
}

func (e *edit) updateItem(id int64, change func(*InventoryItem)) error {
	s := e.shop
	i, ok := s.Items.Get(id)
	if !ok {
		return missing(typeItem, id)
	}
	e.lag(i.Variant.Product)
	change(i)
	s.coin(&i.Cost)
	i.SKU = i.Variant.SKU
	i.UpdatedAt = e.now
	s.Items.put(i)
	e.item("inventory_items/update", i)
	return nil
}
