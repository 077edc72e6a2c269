package simulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Edit says what RandomEdit did.
type Edit struct {
	Kind string   `json:"kind"` // Like set_stock.
	IDs  []string `json:"ids"`  // The gids of what it was done to.
	What string   `json:"what"` // In words.
}

// randomEdit is an edit that may be drawn. It gives ErrNotFound or ErrInvalid
// where what it drew does not allow it.
type randomEdit struct {
	kind   string
	weight int
	do     func(*Shop, *rand.Rand) (Edit, error)
}

// maxDraws bounds how often an edit is drawn that then cannot be made.
const maxDraws = 200

// RandomEdit makes one edit, drawn as they happen in a shop's day: mostly
// stock, prices and orders. The same shop and source of chance draw the same.
// An empty shop gets a product.
func (s *Shop) RandomEdit(rng *rand.Rand) Edit {
	total := 0
	for _, e := range randomEdits {
		total += e.weight
	}
	for range maxDraws {
		roll := rng.IntN(total)
		at := slices.IndexFunc(randomEdits, func(e randomEdit) bool {
			roll -= e.weight
			return roll < 0
		})
		done, err := randomEdits[at].do(s, rng)
		if err == nil {
			done.Kind = randomEdits[at].kind
			return done
		}
	}
	done, err := createRandomProduct(s, rng)
	if err != nil {
		// The specification below is a constant and valid.
		panic(fmt.Sprintf("simulator: create product: %v", err))
	}
	done.Kind = "create_product"
	return done
}

// draw picks a record of an index; ok is false where it is empty.
func draw[T record](s *Shop, rng *rand.Rand, index *Index[T]) (T, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var none T
	ids := index.IDs()
	if len(ids) == 0 {
		return none, false
	}
	return index.Get(ids[rng.IntN(len(ids))])
}

// look reads from the shop.
func look[T any](s *Shop, read func() T) T {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return read()
}

// label names a variant for people.
func (v *Variant) label() string {
	if v.Title == defaultVariantTitle {
		return v.Product.Title
	}
	return v.Product.Title + " " + v.Title
}

func did(what string, ids ...string) Edit { return Edit{IDs: ids, What: what} }

var randomEdits = []randomEdit{
	{"set_stock", 30, func(s *Shop, rng *rand.Rand) (Edit, error) {
		i, ok := draw(s, rng, &s.Items)
		if !ok {
			return Edit{}, ErrNotFound
		}
		levels := look(s, func() []*Level {
			return slices.DeleteFunc(slices.Clone(i.Levels), func(l *Level) bool { return !l.Shown() || !i.Tracked })
		})
		if len(levels) == 0 {
			return Edit{}, ErrNotFound
		}
		l, units := levels[rng.IntN(len(levels))], int64(rng.IntN(100))
		return did(fmt.Sprintf("%s: stock set to %d", i.Variant.label(), units), l.GID(), i.GID()), s.SetStock(i.ID, l.Location.ID, units)
	}},
	{"create_order", 12, func(s *Shop, rng *rand.Rand) (Edit, error) {
		var spec OrderSpec
		for range 1 + rng.IntN(3) {
			v, ok := draw(s, rng, &s.Variants)
			if !ok {
				return Edit{}, ErrNotFound
			}
			spec.Lines = append(spec.Lines, OrderLine{v.ID, int64(1 + rng.IntN(2))})
		}
		o, err := s.CreateOrder(spec)
		if err != nil {
			return Edit{}, err
		}
		return did(fmt.Sprintf("order %s of %d lines", o.Name, len(spec.Lines)), o.GID()), nil
	}},
	{"set_price", 12, func(s *Shop, rng *rand.Rand) (Edit, error) {
		v, ok := draw(s, rng, &s.Variants)
		if !ok {
			return Edit{}, ErrNotFound
		}
		price := s.money(Money(100 + rng.IntN(20000)))
		var compareAt Money
		if rng.IntN(3) == 0 {
			compareAt = price + s.money(500)
		}
		return did(v.label()+": price set to "+price.String(), v.GID()), s.SetPrice(v.ID, price, compareAt)
	}},
	{"update_product", 12, func(s *Shop, rng *rand.Rand) (Edit, error) {
		p, ok := draw(s, rng, &s.Products)
		if !ok {
			return Edit{}, ErrNotFound
		}
		what, change := "", func(*Product) {}
		switch rng.IntN(4) {
		case 0:
			_, title := usualTrades[rng.IntN(len(usualTrades))].title(rng)
			title = fmt.Sprintf("%s No. %d", title, rng.IntN(1000))
			what, change = "title "+title, func(p *Product) { p.Title = title }
		case 1:
			tag := []string{"sale", "vegan", "new", "gift"}[rng.IntN(4)]
			what, change = "tag "+tag+" turned over", func(p *Product) {
				if n := len(p.Tags); slices.Contains(p.Tags, tag) {
					p.Tags = slices.DeleteFunc(slices.Clone(p.Tags), func(t string) bool { return t == tag })
				} else {
					p.Tags = append(p.Tags[:n:n], tag)
				}
			}
		case 2:
			status := []string{"ACTIVE", "ACTIVE", "DRAFT", "ARCHIVED"}[rng.IntN(4)]
			what, change = "status "+status, func(p *Product) { p.Status = status }
		case 3:
			text := fmt.Sprintf("<p>Now with %d %% more &amp; better.</p>", rng.IntN(100))
			what, change = "description", func(p *Product) { p.DescriptionHTML = text }
		}
		return did(p.Title+": "+what, p.GID()), s.UpdateProduct(p.ID, change)
	}},
	{"create_product", 4, createRandomProduct},
	{"delete_product", 2, func(s *Shop, rng *rand.Rand) (Edit, error) {
		p, ok := draw(s, rng, &s.Products)
		if !ok || look(s, s.Products.Len) < 2 {
			return Edit{}, ErrNotFound
		}
		return did("product "+p.Title+" deleted", p.GID()), s.DeleteProduct(p.ID)
	}},
	{"add_variant", 3, func(s *Shop, rng *rand.Rand) (Edit, error) {
		p, ok := draw(s, rng, &s.Products)
		if !ok {
			return Edit{}, ErrNotFound
		}
		values := look(s, func() []string { return make([]string, len(p.Options)) })
		for i := range values {
			values[i] = fmt.Sprintf("Edition %d", rng.IntN(100_000))
		}
		v, err := s.AddVariant(p.ID, VariantSpec{Values: values, SKU: fmt.Sprintf("NEW-%d", rng.IntN(100_000)), Price: s.money(Money(500 + rng.IntN(5000)))})
		if err != nil {
			return Edit{}, err
		}
		return did("variant "+v.label()+" added", v.GID(), p.GID()), nil
	}},
	{"remove_variant", 2, func(s *Shop, rng *rand.Rand) (Edit, error) {
		v, ok := draw(s, rng, &s.Variants)
		if !ok {
			return Edit{}, ErrNotFound
		}
		return did("variant "+v.label()+" removed", v.GID(), v.Product.GID()), s.RemoveVariant(v.ID)
	}},
	{"update_item", 2, func(s *Shop, rng *rand.Rand) (Edit, error) {
		i, ok := draw(s, rng, &s.Items)
		if !ok {
			return Edit{}, ErrNotFound
		}
		cost := s.money(Money(1 + rng.IntN(9000)))
		return did(i.Variant.label()+": unit cost "+cost.String(), i.GID()), s.UpdateItem(i.ID, func(i *InventoryItem) { i.Cost = cost })
	}},
	{"connect_level", 2, func(s *Shop, rng *rand.Rand) (Edit, error) {
		i, ok := draw(s, rng, &s.Items)
		l, found := draw(s, rng, &s.Locations)
		if !ok || !found {
			return Edit{}, ErrNotFound
		}
		return did(i.Variant.label()+": stocked at "+l.Name, i.GID(), l.GID()), s.ConnectLevel(i.ID, l.ID, int64(rng.IntN(20)))
	}},
	{"disconnect_level", 2, func(s *Shop, rng *rand.Rand) (Edit, error) {
		i, ok := draw(s, rng, &s.Items)
		l, found := draw(s, rng, &s.Locations)
		if !ok || !found {
			return Edit{}, ErrNotFound
		}
		return did(i.Variant.label()+": no longer stocked at "+l.Name, i.GID(), l.GID()), s.DisconnectLevel(i.ID, l.ID)
	}},
	{"add_to_collection", 3, func(s *Shop, rng *rand.Rand) (Edit, error) { return changeMembers(s, rng, true) }},
	{"remove_from_collection", 2, func(s *Shop, rng *rand.Rand) (Edit, error) { return changeMembers(s, rng, false) }},
	{"update_collection", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		c, ok := draw(s, rng, &s.Collections)
		if !ok {
			return Edit{}, ErrNotFound
		}
		title := fmt.Sprintf("Collection %d", rng.IntN(1000))
		return did("collection "+c.Title+" is now "+title, c.GID()), s.UpdateCollection(c.ID, func(c *Collection) { c.Title = title })
	}},
	{"create_collection", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		c, err := s.CreateCollection(CollectionSpec{Title: fmt.Sprintf("Tagged %d", rng.IntN(1000)), Rules: []Rule{{"TAG", "EQUALS", "gift"}}})
		if err != nil {
			return Edit{}, err
		}
		return did("smart collection "+c.Title, c.GID()), nil
	}},
	{"delete_collection", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		c, ok := draw(s, rng, &s.Collections)
		if !ok || look(s, s.Collections.Len) < 4 {
			return Edit{}, ErrNotFound
		}
		return did("collection "+c.Title+" deleted", c.GID()), s.DeleteCollection(c.ID)
	}},
	{"create_discount", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		code := fmt.Sprintf("CODE%d", rng.IntN(1_000_000))
		d, err := s.CreateDiscount(DiscountSpec{Typename: "DiscountCodeBasic", Title: code, Codes: []string{code},
			Value: DiscountValue{Percentage: fmt.Sprintf("0.%d", 1+rng.IntN(9))}, Gets: DiscountItems{All: true}})
		if err != nil {
			return Edit{}, err
		}
		return did("discount "+code, d.GID()), nil
	}},
	{"update_discount", 2, func(s *Shop, rng *rand.Rand) (Edit, error) {
		d, ok := draw(s, rng, &s.Discounts)
		if !ok {
			return Edit{}, ErrNotFound
		}
		title := fmt.Sprintf("Offer %d", rng.IntN(1000))
		return did("discount "+d.Title+" is now "+title, d.GID()), s.UpdateDiscount(d.ID, func(d *Discount) { d.Title = title })
	}},
	{"delete_discount", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		d, ok := draw(s, rng, &s.Discounts)
		if !ok || look(s, s.Discounts.Len) < 4 {
			return Edit{}, ErrNotFound
		}
		return did("discount "+d.Title+" deleted", d.GID()), s.DeleteDiscount(d.ID)
	}},
	{"add_code", 2, func(s *Shop, rng *rand.Rand) (Edit, error) {
		d, ok := draw(s, rng, &s.Discounts)
		if !ok {
			return Edit{}, ErrNotFound
		}
		code := fmt.Sprintf("EXTRA%d", rng.IntN(1_000_000))
		return did("code "+code, d.GID()), s.AddCode(d.ID, code)
	}},
	{"remove_code", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		d, ok := draw(s, rng, &s.Discounts)
		if !ok {
			return Edit{}, ErrNotFound
		}
		codes := look(s, func() []*RedeemCode { return slices.Clone(d.Codes) })
		if len(codes) == 0 {
			return Edit{}, ErrNotFound
		}
		code := codes[rng.IntN(len(codes))].Code
		return did("code "+code+" removed", d.GID()), s.RemoveCode(d.ID, code)
	}},
	{"set_metafield", 4, func(s *Shop, rng *rand.Rand) (Edit, error) {
		owner := s.GID()
		switch rng.IntN(8) {
		case 0:
		case 1:
			if v, ok := draw(s, rng, &s.Variants); ok {
				owner = v.GID()
			}
		case 2:
			if c, ok := draw(s, rng, &s.Collections); ok {
				owner = c.GID()
			}
		default:
			if p, ok := draw(s, rng, &s.Products); ok {
				owner = p.GID()
			}
		}
		m, err := s.SetMetafield(owner, "custom", []string{"material", "season", "note"}[rng.IntN(3)], "single_line_text_field", fmt.Sprintf("value %d", rng.IntN(1000)))
		if err != nil {
			return Edit{}, err
		}
		return did("metafield "+m.Namespace+"."+m.Key, m.GID(), owner), nil
	}},
	{"delete_metafield", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		m, ok := draw(s, rng, &s.Metafields)
		if !ok {
			return Edit{}, ErrNotFound
		}
		return did("metafield deleted", m.GID(), m.OwnerGID()), s.DeleteMetafield(m.ID)
	}},
	{"update_order", 3, func(s *Shop, rng *rand.Rand) (Edit, error) {
		o, ok := draw(s, rng, &s.Orders)
		if !ok {
			return Edit{}, ErrNotFound
		}
		if rng.IntN(2) == 0 {
			return did("order "+o.Name+" fulfilled", o.GID()), s.UpdateOrder(o.ID, func(o *Order) { o.FulfillmentStatus = "FULFILLED" })
		}
		note := fmt.Sprintf("Note %d", rng.IntN(1000))
		return did("order "+o.Name+": note", o.GID()), s.UpdateOrder(o.ID, func(o *Order) { o.Note = note })
	}},
	{"cancel_order", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		o, ok := draw(s, rng, &s.Orders)
		if !ok {
			return Edit{}, ErrNotFound
		}
		return did("order "+o.Name+" cancelled", o.GID()), s.CancelOrder(o.ID)
	}},
	{"rename_location", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		l, ok := draw(s, rng, &s.Locations)
		if !ok {
			return Edit{}, ErrNotFound
		}
		name := fmt.Sprintf("Store %d", rng.IntN(1000))
		return did("location "+l.Name+" is now "+name, l.GID()), s.RenameLocation(l.ID, name)
	}},
	{"turn_location", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		l, ok := draw(s, rng, &s.Locations)
		if !ok {
			return Edit{}, ErrNotFound
		}
		if look(s, func() bool { return l.Active }) {
			return did("location "+l.Name+" closed", l.GID()), s.DeactivateLocation(l.ID)
		}
		return did("location "+l.Name+" opened", l.GID()), s.ActivateLocation(l.ID)
	}},
	{"update_shop", 1, func(s *Shop, rng *rand.Rand) (Edit, error) {
		name := fmt.Sprintf("Shop %d", rng.IntN(1000))
		return did("shop renamed "+name, s.GID()), s.UpdateShop(func(s *Shop) { s.Name = name })
	}},
}

func createRandomProduct(s *Shop, rng *rand.Rand) (Edit, error) {
	t := usualTrades[rng.IntN(len(usualTrades))]
	what, title := t.title(rng)
	spec := ProductSpec{
		Title: title, ProductType: what.kind,
		Tags: t.tags[:rng.IntN(3)], DescriptionHTML: "<p>Just in.</p>", Options: t.options[:1],
	}
	for _, value := range t.values[0] {
		spec.Variants = append(spec.Variants, VariantSpec{Values: []string{value}, Price: s.money(Money(100 * (t.low + rng.IntN(t.high)))), SKU: fmt.Sprintf("%s-%d", t.prefix, rng.IntN(100_000))})
	}
	p, err := s.CreateProduct(spec)
	if err != nil {
		return Edit{}, err
	}
	return did("product "+p.Title+" created", p.GID()), nil
}

// changeMembers adds a product to a collection or removes one.
func changeMembers(s *Shop, rng *rand.Rand, add bool) (Edit, error) {
	c, ok := draw(s, rng, &s.Collections)
	if !ok {
		return Edit{}, ErrNotFound
	}
	if add {
		p, ok := draw(s, rng, &s.Products)
		if !ok {
			return Edit{}, ErrNotFound
		}
		return did(p.Title+" added to "+c.Title, c.GID(), p.GID()), s.AddToCollection(c.ID, p.ID)
	}
	members := look(s, func() []int64 { return slices.Clone(c.Members) })
	if len(members) == 0 {
		return Edit{}, errors.New("no members")
	}
	id := members[rng.IntN(len(members))]
	return did("a product removed from "+c.Title, c.GID(), gid(typeProduct, id)), s.RemoveFromCollection(c.ID, id)
}
