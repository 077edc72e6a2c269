package simulator

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Catalogue says how a new shop is filled. The zero value is a shop without
// products that has one location.
type Catalogue struct {
	Name     string // Default: made from the domain.
	Currency string // Default: USD.
	Country  string // ISO 3166 alpha-2. Default: the one of the currency, else US.
	Timezone string // IANA. Default: the country's, else America/New_York.
	Plan     string // What the shop pays for, one of Plans, which decides GraphQL budgets. Default: standard.
	Products int
	// Variants, where it is more than zero, decides instead of Products: there
	// are as many products as it takes, and exactly so many variants. From
	// bigShop variants on, one product has as many as Shopify allows.
	Variants int
	// Goods are the trades whose goods the shop sells; see Trades. Default:
	// clothing, hardware, food and books.
	Goods []string
	// CSV, where there are any, are the products; see ReadCSV.
	CSV []CSVProduct
	// BigVariants is how many variants the first product has, to show what
	// happens beyond the hundred that webhooks carry. Default: a few.
	BigVariants int
	// Locations is how many are active. Where there are products, one more was
	// closed. Default: three with products, else one.
	Locations int
	// Orders is how many there were, most of them in the last sixty days.
	// Default: one for ten products, between ten and a thousand; negative is none.
	Orders int
}

// fill makes the shop's data in one pass, with no more work per product for a
// large shop than for a small one. The shop's lock is held.
func (c Catalogue) fill(s *Shop, rng *rand.Rand) {
	g := generator{Catalogue: c, shop: s, rng: rng, now: s.now()}
	g.plan()
	g.settings()
	g.locations()
	if g.Products > 0 {
		g.collections()
		for n := range g.Products {
			if g.Variants > 0 && s.Variants.Len() >= g.Variants {
				break
			}
			g.product(n)
		}
		g.discounts()
		g.ownMetafields()
		g.orders()
	}
	s.Locations.settle()
	s.Products.settle()
	s.Variants.settle()
	s.Items.settle()
	s.Collections.settle()
	s.Discounts.settle()
	s.Metafields.settle()
	s.Orders.settle()
	for l := range s.Locations.All() {
		l.Levels.settle()
	}
}

type generator struct {
	Catalogue
	shop   *Shop
	rng    *rand.Rand
	now    time.Time
	trades []trade
	stocks []map[int64]int64 // Of the variants of one product; made anew for none.
	smart  []*Collection
	manual []*Collection
}

// chance is true with a probability.
func (g *generator) chance(p float64) bool { return g.rng.Float64() < p }

func pickOne[T any](g *generator, list []T) T { return list[g.rng.IntN(len(list))] }

// ago is a time up to so long ago, in whole seconds.
func (g *generator) ago(longest time.Duration) time.Time {
	return second(g.now.Add(-time.Minute - time.Duration(g.rng.Int64N(int64(longest)))))
}

// between is a time between two.
func (g *generator) between(from, to time.Time) time.Time {
	if !to.After(from) {
		return from
	}
	return second(from.Add(time.Duration(g.rng.Int64N(int64(to.Sub(from))))))
}

const day = 24 * time.Hour

// yen are currencies without a smaller unit. Source: ISO 4217.
var yen = []string{"JPY", "KRW", "VND", "CLP", "ISK", "PYG", "UGX", "XAF", "XOF", "XPF", "BIF", "DJF", "GNF", "KMF", "RWF", "VUV"}

// wholeUnits are how many of a currency without a smaller unit are one of the
// prices below, roughly.
const wholeUnits = 150

// money turns a price of about one dollar's scale into one of the shop's currency.
func (s *Shop) money(price Money) Money {
	if !slices.Contains(yen, s.Currency) {
		return price
	}
	return (price*wholeUnits + 99) / 100 * 100
}

// coin rounds amounts to what the shop's currency has coins for: those without a
// smaller unit to whole ones, half up. That Shopify rounds, and how, is our
// reading: it is not published.
func (s *Shop) coin(amounts ...*Money) {
	if !slices.Contains(yen, s.Currency) {
		return
	}
	for _, amount := range amounts {
		*amount = (*amount + 50) / 100 * 100
	}
}

// bigShop is how many variants a shop has that also has a product of maxVariants.
const bigShop = 10_000

// plan settles how many products there are and what is sold.
func (g *generator) plan() {
	for _, name := range g.Goods {
		if at := slices.IndexFunc(trades, func(t trade) bool { return t.name == name }); at >= 0 {
			g.trades = append(g.trades, trades[at])
		}
	}
	if len(g.trades) == 0 {
		g.trades = usualTrades
	}
	switch {
	case len(g.CSV) > 0:
		g.Products, g.Variants = len(g.CSV), 0
	case g.Variants > 0:
		g.Products = g.Variants // At most; one each at least.
		if g.BigVariants == 0 && g.Variants >= bigShop {
			g.BigVariants = maxVariants
		}
		s := g.shop
		s.Variants.grow(g.Variants)
		s.Items.grow(g.Variants)
		s.Products.grow(g.Variants / 3)
	}
}

func (g *generator) settings() {
	s := g.shop
	s.Name, s.Currency, s.Timezone, s.Country = g.Name, g.Currency, g.Timezone, g.Country
	if s.Name == "" {
		words := strings.Split(strings.TrimSuffix(s.Domain, ".myshopify.com"), "-")
		for i, w := range words {
			if w != "" {
				words[i] = strings.ToUpper(w[:1]) + w[1:]
			}
		}
		s.Name = strings.Join(words, " ")
	}
	if s.Currency == "" {
		s.Currency = "USD"
	}
	at := placeOf(s.Country, s.Currency)
	s.Country, s.Timezone = cmp.Or(s.Country, at.country), cmp.Or(s.Timezone, at.timezone)
	s.PrimaryDomain = strings.TrimSuffix(s.Domain, ".myshopify.com") + ".example.com"
	s.Email = "owner@" + s.PrimaryDomain
	s.CreatedAt = second(g.now.Add(-800 * day))
	s.UpdatedAt = g.ago(100 * day)
}

var locationNames = []string{"Main Street Shop", "Riverside Warehouse", "Old Town Kiosk", "台北旗艦店", "Café Annexe", "North Depot", "Harbour Outlet"}

func (g *generator) locations() {
	n := g.Locations
	if n == 0 {
		n = 1
		if g.Products > 0 {
			n = 3
		}
	}
	for i := range n {
		name := locationNames[i%len(locationNames)]
		if i >= len(locationNames) {
			name = fmt.Sprintf("%s %d", name, i/len(locationNames)+1)
		}
		g.shop.Locations.load(g.shop.newLocation(name, second(g.now.Add(-790*day))))
	}
	if g.Products > 0 {
		closed := g.shop.newLocation("Former Warehouse", second(g.now.Add(-780*day)))
		closed.Active = false
		closed.UpdatedAt = g.ago(300 * day)
		g.shop.Locations.load(closed)
	}
}

func (g *generator) collections() {
	s := g.shop
	add := func(spec CollectionSpec) {
		at := second(g.now.Add(-750 * day))
		c := s.newCollection(spec, at)
		c.UpdatedAt = g.ago(200 * day)
		c.DescriptionHTML = "<p>" + spec.Title + ", chosen &amp; checked.</p>"
		s.Collections.load(c)
		if c.Smart() {
			g.smart = append(g.smart, c)
		} else {
			g.manual = append(g.manual, c)
		}
	}
	for i, title := range []string{"Staff Picks", "Gift Ideas 🎁", "Été", "春季特賣"} {
		add(CollectionSpec{Title: title, SortOrder: []string{"MANUAL", "BEST_SELLING", "ALPHA_ASC", "CREATED_DESC"}[i]})
	}
	add(CollectionSpec{Title: "On Sale", Rules: []Rule{{"TAG", "EQUALS", "sale"}}})
	add(CollectionSpec{Title: "Under 20", SortOrder: "PRICE_ASC", Rules: []Rule{{"VARIANT_PRICE", "LESS_THAN", "20.00"}}})
	add(CollectionSpec{Title: "Books", Rules: []Rule{{"TYPE", "EQUALS", "Books"}}})
	add(CollectionSpec{Title: "Organic or Vegan", AnyRule: true, Rules: []Rule{{"TAG", "EQUALS", "vegan"}, {"TITLE", "CONTAINS", "organic"}}})
	add(CollectionSpec{Title: "Fine Tools", Rules: []Rule{{"TYPE", "EQUALS", "Tools"}, {"VARIANT_PRICE", "GREATER_THAN", "100.00"}}})
	for _, c := range []*Collection{g.manual[0], g.smart[0]} {
		g.metafield(&c.Metafields, typeCollection, c.ID, "custom", "banner", "single_line_text_field", "banner-"+c.Handle, c.CreatedAt)
	}
}

// spec describes the n-th product.
func (g *generator) spec(n int) ProductSpec {
	t := g.trades[g.rng.IntN(len(g.trades))]
	what, title := t.title(g.rng)
	vendor := pickOne(g, t.vendors)
	spec := ProductSpec{
		Title: title, Vendor: vendor, ProductType: what.kind, Options: t.options, Status: "ACTIVE",
		DescriptionHTML: description(g.rng, what, title, vendor, n),
	}
	for _, tag := range t.tags {
		if g.chance(0.3) {
			spec.Tags = append(spec.Tags, tag)
		}
	}
	switch roll := g.rng.Float64(); {
	case roll < 0.06:
		spec.Status = "DRAFT"
	case roll < 0.11:
		spec.Status = "ARCHIVED"
	case roll < 0.12:
		spec.Status = "UNLISTED"
	}
	spec.Unpublished = g.chance(0.04)
	if g.chance(0.03) {
		spec.DescriptionHTML = ""
	}
	if n%97 == 41 { // Some merchants write, or paste, a lot.
		spec.DescriptionHTML += longHTML(title)
	}
	if g.chance(0.85) {
		spec.ImageURL = fmt.Sprintf("https://cdn.example.com/products/%06d.jpg?v=1", n+1)
	}
	base := Money(100*(t.low+g.rng.IntN(t.high-t.low)) + pickOne(g, []int{0, 50, 90, 95, 99}))
	forms := g.forms(n, t)
	if g.Variants > 0 {
		forms = forms[:min(len(forms), g.Variants-g.shop.Variants.Len())]
	}
	spec.Variants = make([]VariantSpec, 0, len(forms))
	for i, values := range forms {
		v := g.variant(t.price(base, values[0]), t.prefix, n, i)
		v.Values = values
		if values[0] == "E-book" {
			v.Untracked, v.NoShipping = true, true
		}
		spec.Variants = append(spec.Variants, v)
	}
	return spec
}

// longHTML is what comes out of a text editor of the wild.
func longHTML(title string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n<style>.x { color: #333 }</style><div class=\"MsoNormal\" style=\"margin:0cm\"><h2>All about %s</h2>\n<table border=1><tr><th>No.<th>Property<th>Value</tr>\n", title)
	for i := range 120 {
		fmt.Fprintf(&b, "<tr><td>%d</td><td><span lang=\"fr\">Propriété n&deg;&nbsp;%d</span></td><td>&lt;%d mm &ndash; 中文說明 ✓<br></td></tr>\n", i+1, i+1, 3*i)
	}
	b.WriteString("</table>\n<!-- end of pasted text --><p>&nbsp;</p></div>")
	return b.String()
}

// forms are the option values of a product's variants.
func (g *generator) forms(n int, t trade) [][]string {
	var out [][]string
	if n == 0 && g.BigVariants > 0 {
		for i := range min(g.BigVariants, maxVariants) {
			values := []string{fmt.Sprintf("No. %d", i+1)}
			if len(t.options) > 1 {
				values = append(values, t.values[1][i%len(t.values[1])])
			}
			out = append(out, values)
		}
		return out
	}
	first := t.values[0][:1+g.rng.IntN(len(t.values[0]))]
	for _, a := range first {
		if len(t.options) == 1 {
			out = append(out, []string{a})
			continue
		}
		for _, b := range t.values[1][:1+g.rng.IntN(2)] {
			out = append(out, []string{a, b})
		}
	}
	return out
}

// variant describes a variant but for its options.
func (g *generator) variant(price Money, prefix string, n, i int) VariantSpec {
	v := VariantSpec{Price: price, SKU: fmt.Sprintf("%s-%05d-%02d", prefix, n+1, i+1)}
	switch roll := g.rng.Float64(); { // Skus of the wild: none, shared by several, and odd ones.
	case roll < 0.05:
		v.SKU = ""
	case roll < 0.07:
		v.SKU = prefix + "-COMMON"
	case roll < 0.09:
		v.SKU = fmt.Sprintf(" 00%d/½ %s ", n+1, strings.ToLower(prefix))
	}
	if g.chance(0.4) {
		v.Barcode = fmt.Sprintf("40%011d", 1000*int64(n+1)+int64(i))
	}
	if g.chance(0.2) {
		v.CompareAtPrice = v.Price + v.Price/4
	}
	if g.chance(0.6) {
		v.Cost = v.Price * 6 / 10
	}
	for _, amount := range []*Money{&v.Price, &v.CompareAtPrice, &v.Cost} {
		*amount = g.shop.money(*amount)
	}
	if g.chance(0.08) {
		v.Policy = "CONTINUE"
	}
	v.Untracked = g.chance(0.03)
	if i == len(g.stocks) {
		g.stocks = append(g.stocks, make(map[int64]int64))
	}
	v.Stock = g.stocks[i]
	clear(v.Stock)
	for k, id := range g.shop.Locations.IDs() {
		if k > 0 && g.chance(0.5) {
			continue
		}
		switch {
		case g.chance(0.15):
			v.Stock[id] = 0
		case v.Policy == "CONTINUE" && g.chance(0.2):
			v.Stock[id] = -int64(1 + g.rng.IntN(5))
		default:
			v.Stock[id] = int64(1 + g.rng.IntN(120))
		}
	}
	return v
}

func (g *generator) product(n int) {
	s := g.shop
	// Numbers and times of creation grow together, as in a real shop.
	of, place := g.Products, n
	if g.Variants > 0 {
		of, place = g.Variants, s.Variants.Len()
	}
	created := second(g.now.Add(-700*day + time.Duration(float64(699*day)*float64(place)/float64(of))))
	if len(g.CSV) > 0 {
		p := g.fromCSV(g.CSV[n], created)
		for _, v := range p.Variants {
			g.admit(v)
		}
		g.place(p)
		return
	}
	p := s.newProduct(g.spec(n), created)
	p.UpdatedAt = g.between(created, g.now.Add(-time.Minute))
	if !p.PublishedAt.IsZero() {
		p.PublishedAt = g.between(created, p.UpdatedAt)
	}
	if g.chance(0.05) {
		p.TemplateSuffix = "gift"
	}
	for _, v := range p.Variants {
		v.UpdatedAt = g.between(created, p.UpdatedAt)
		v.Item.UpdatedAt = g.between(created, p.UpdatedAt)
		for _, l := range v.Item.Levels {
			l.UpdatedAt = g.between(created, p.UpdatedAt)
			if g.chance(0.02) {
				l.Active, l.Available = false, 0
			}
		}
		g.admit(v)
		if g.chance(0.03) {
			g.metafield(&v.Metafields, typeVariant, v.ID, "custom", "fit", "single_line_text_field", pickOne(g, []string{"small", "true to size", "大一號"}), v.UpdatedAt)
		}
	}
	if g.chance(0.35) {
		g.metafield(&p.Metafields, typeProduct, p.ID, "custom", "material", "single_line_text_field", pickOne(g, []string{"cotton", "steel", "bois d’érable", "紙"}), p.UpdatedAt)
	}
	if g.chance(0.15) {
		g.metafield(&p.Metafields, typeProduct, p.ID, "facts", "dimensions", "json", fmt.Sprintf(`{"w":%d,"h":%d}`, 1+g.rng.IntN(90), 1+g.rng.IntN(90)), p.UpdatedAt)
	}
	if g.chance(0.05) {
		g.metafield(&p.Metafields, typeProduct, p.ID, "custom", "care", "multi_line_text_field", "Wash at 30°.\nDo not bleach.", p.UpdatedAt)
	}
	g.place(p)
}

// admit puts a variant, its item and their levels into the shop.
func (g *generator) admit(v *Variant) {
	g.shop.Variants.load(v)
	g.shop.Items.load(v.Item)
	for _, l := range v.Item.Levels {
		l.Location.Levels.load(l)
	}
}

// place puts a product into the shop and its collections.
func (g *generator) place(p *Product) {
	g.shop.Products.load(p)
	for _, c := range g.smart {
		if c.fits(p) {
			c.Members = append(c.Members, p.ID)
		}
	}
	for i, c := range g.manual {
		if g.chance([]float64{0.05, 0.1, 0.02, 0.08}[i]) {
			c.Members = append(c.Members, p.ID)
		}
	}
}

func (g *generator) metafield(list *[]*Metafield, ownerType string, owner int64, namespace, key, kind, value string, at time.Time) {
	m := &Metafield{
		ID: g.shop.newID(typeMetafield), OwnerType: ownerType, OwnerID: owner, Namespace: namespace, Key: key, Type: kind, Value: value,
		CreatedAt: at, UpdatedAt: at,
	}
	*list = append(*list, m)
	g.shop.Metafields.load(m)
}

func (g *generator) ownMetafields() {
	s := g.shop
	g.metafield(&s.Own, typeShop, s.ID, "custom", "opening_hours", "multi_line_text_field", "Mon–Fri 9–18\nSat 10–16", s.UpdatedAt)
	g.metafield(&s.Own, typeShop, s.ID, "custom", "returns_days", "number_integer", "30", s.UpdatedAt)
}

func (g *generator) discounts() {
	s := g.shop
	some := func(n int) []int64 {
		ids := s.Products.IDs()
		var out []int64
		for range min(n, len(ids)) {
			out = append(out, pickOne(g, ids))
		}
		return out
	}
	first, _ := s.Products.Get(s.Products.IDs()[0])
	bulk := make([]string, min(300, 20+g.Products))
	for i := range bulk {
		bulk[i] = fmt.Sprintf("SPRING-%04d", i+1)
	}
	all := DiscountItems{All: true}
	specs := []DiscountSpec{
		{Typename: "DiscountCodeBasic", Title: "WELCOME10", Value: DiscountValue{Percentage: "0.1"}, Gets: all, Codes: []string{"WELCOME10"}},
		{Typename: "DiscountCodeBasic", Title: "Spring mailing", Value: DiscountValue{Amount: s.money(500)}, Gets: DiscountItems{Collections: []int64{g.manual[0].ID, g.smart[0].ID}},
			Minimum: DiscountMinimum{Subtotal: s.money(4000)}, Codes: bulk, UsageLimit: 1000},
		{Typename: "DiscountCodeBasic", Title: "FIVEEACH", Value: DiscountValue{Amount: s.money(250), Each: true}, Gets: DiscountItems{Products: some(4)},
			Minimum: DiscountMinimum{Quantity: 2}, Codes: []string{"FIVEEACH", "Été5"}, EndsAt: g.now.Add(30 * day)},
		{Typename: "DiscountCodeBasic", Title: "LASTYEAR", Value: DiscountValue{Percentage: "0.25"}, Gets: all, Codes: []string{"LASTYEAR"}, EndsAt: g.now.Add(-90 * day)},
		{Typename: "DiscountCodeBasic", Title: "BLACKFRIDAY", Value: DiscountValue{Percentage: "0.3"}, Gets: all, Codes: []string{"BLACKFRIDAY"}, StartsAt: g.now.Add(20 * day), EndsAt: g.now.Add(24 * day)},
		{Typename: "DiscountCodeBxgy", Title: "TWOPLUSONE", Value: DiscountValue{Percentage: "1.0", Quantity: 1}, Buys: DiscountItems{Products: some(3)},
			Gets: DiscountItems{Products: some(2)}, Minimum: DiscountMinimum{Quantity: 2}, Codes: []string{"TWOPLUSONE"}},
		{Typename: "DiscountCodeFreeShipping", Title: "SHIPFREE", Minimum: DiscountMinimum{Subtotal: s.money(5000)}, Codes: []string{"SHIPFREE"}},
		{Typename: "DiscountCodeApp", Title: "VIP tiers", Codes: []string{"VIP"}, UsageLimit: 50},
		{Typename: "DiscountAutomaticBasic", Title: "Autumn 15 %", Value: DiscountValue{Percentage: "0.15"}, Gets: DiscountItems{Collections: []int64{g.smart[1].ID}}},
		{Typename: "DiscountAutomaticBasic", Title: "One size less", Value: DiscountValue{Amount: s.money(100)}, Gets: DiscountItems{Variants: []int64{first.Variants[0].ID}, Products: some(1)}, StartsAt: g.now.Add(3 * day)},
		{Typename: "DiscountAutomaticBxgy", Title: "Third book half price", Value: DiscountValue{Percentage: "0.5", Quantity: 1}, Buys: DiscountItems{Collections: []int64{g.smart[2].ID}},
			Gets: DiscountItems{Collections: []int64{g.smart[2].ID}}, Minimum: DiscountMinimum{Subtotal: s.money(3000)}},
		{Typename: "DiscountAutomaticFreeShipping", Title: "Free shipping this week", EndsAt: g.now.Add(6*day + 5*time.Hour)},
		{Typename: "DiscountAutomaticApp", Title: "Bundle price by function"},
	}
	// Every type has been over once, and is to come.
	for i, name := range []string{"Basic", "Bxgy", "FreeShipping", "App"} {
		for _, automatic := range []bool{false, true} {
			for _, when := range []struct {
				title      string
				start, end time.Duration
			}{{"last winter", -time.Duration(200+9*i) * day, -time.Duration(120+7*i) * day}, {"next season", time.Duration(15+5*i) * day, time.Duration(60+5*i) * day}} {
				spec := DiscountSpec{Typename: "DiscountAutomatic" + name, StartsAt: g.now.Add(when.start), EndsAt: g.now.Add(when.end)}
				if !automatic {
					spec.Typename = "DiscountCode" + name
					spec.Codes = []string{strings.ToUpper(strings.ReplaceAll(name+" "+when.title, " ", "-"))}
				}
				switch name {
				case "Basic":
					spec.Title, spec.Value, spec.Gets = "A fifth off", DiscountValue{Percentage: "0.2"}, all
				case "Bxgy":
					spec.Title, spec.Value, spec.Minimum = "One for free", DiscountValue{Percentage: "1.0", Quantity: 1}, DiscountMinimum{Quantity: 3}
					spec.Buys, spec.Gets = DiscountItems{Products: some(2)}, DiscountItems{Products: some(1)}
				case "FreeShipping":
					spec.Title, spec.Minimum = "Free shipping", DiscountMinimum{Subtotal: s.money(3000)}
				case "App":
					spec.Title = "Tiers by function"
				}
				spec.Title += ", " + when.title
				if !automatic {
					spec.Title += ", with a code"
				}
				specs = append(specs, spec)
			}
		}
	}
	for _, spec := range specs {
		at := g.ago(300 * day)
		if spec.StartsAt.IsZero() {
			spec.StartsAt = at
			if !spec.EndsAt.IsZero() && spec.EndsAt.Before(at) {
				spec.StartsAt = spec.EndsAt.Add(-30 * day)
			}
		}
		if at.After(spec.StartsAt) { // It was made before it began.
			at = second(spec.StartsAt.Add(-time.Duration(g.rng.Int64N(int64(5 * day)))))
		}
		d := s.newDiscount(spec, at)
		d.UpdatedAt = g.between(at, g.now.Add(-time.Minute))
		s.Discounts.load(d)
	}
}

func (g *generator) orders() {
	s := g.shop
	n := g.Orders
	if n == 0 {
		n = min(1000, max(10, g.Products/10))
	}
	times := make([]time.Time, 0, max(0, n))
	for i := range max(0, n) {
		at := g.ago(58 * day)
		if i%7 == 6 {
			at = second(g.now.Add(-62 * day).Add(-time.Duration(g.rng.Int64N(int64(300 * day)))))
		}
		times = append(times, at)
	}
	slices.SortFunc(times, time.Time.Compare)
	for _, at := range times {
		var spec OrderSpec
		for range 1 + g.rng.IntN(4) {
			spec.Lines = append(spec.Lines, OrderLine{pickOne(g, s.Variants.IDs()), int64(1 + g.rng.IntN(3))})
		}
		if g.chance(0.2) {
			spec.Note = pickOne(g, []string{"Please gift-wrap.", "Leave at the door", "請在下午送達"})
		}
		if g.chance(0.2) {
			spec.Tags = []string{pickOne(g, []string{"wholesale", "instagram", "first-order"})}
		}
		spec.Pending = g.chance(0.1)
		o := s.newOrder(spec, at)
		o.UpdatedAt = g.between(at, g.now.Add(-time.Minute))
		switch {
		case g.chance(0.05):
			o.CancelledAt, o.FinancialStatus = o.UpdatedAt, "VOIDED"
		case g.chance(0.6):
			o.FulfillmentStatus = "FULFILLED"
		}
		s.Orders.load(o)
	}
}
