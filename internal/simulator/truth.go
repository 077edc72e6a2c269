package simulator

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// The lines of an export, but for the type that each begins with. Pointers and
// any are null where Shopify says null.
type (
	shopLine struct {
		ID               string `json:"id"`
		Name             string `json:"name"`
		MyshopifyDomain  string `json:"myshopifyDomain"`
		PrimaryDomainURL string `json:"primaryDomainUrl"`
		CurrencyCode     string `json:"currencyCode"`
		IANATimezone     string `json:"ianaTimezone"`
	}
	locationLine struct {
		ID       string `json:"id"`
		Name     string `json:"name"`
		IsActive bool   `json:"isActive"`
	}
	productLine struct {
		ID               string       `json:"id"`
		Title            string       `json:"title"`
		Handle           string       `json:"handle"`
		Status           string       `json:"status"`
		Vendor           string       `json:"vendor"`
		ProductType      string       `json:"productType"`
		Tags             []string     `json:"tags"`
		DescriptionHTML  string       `json:"descriptionHtml"`
		CreatedAt        *string      `json:"createdAt"`
		UpdatedAt        *string      `json:"updatedAt"`
		PublishedAt      *string      `json:"publishedAt"`
		TemplateSuffix   *string      `json:"templateSuffix"`
		TotalInventory   int64        `json:"totalInventory"`
		OnlineStoreURL   *string      `json:"onlineStoreUrl"`
		Options          []optionLine `json:"options"`
		FeaturedImageURL *string      `json:"featuredImageUrl"`
	}
	optionLine struct {
		Name     string   `json:"name"`
		Position int      `json:"position"`
		Values   []string `json:"values"`
	}
	variantLine struct {
		ID                string        `json:"id"`
		ProductID         string        `json:"productId"`
		InventoryItemID   string        `json:"inventoryItemId"`
		Title             string        `json:"title"`
		SKU               *string       `json:"sku"`
		Barcode           *string       `json:"barcode"`
		Price             string        `json:"price"`
		CompareAtPrice    *string       `json:"compareAtPrice"`
		Position          int           `json:"position"`
		Taxable           bool          `json:"taxable"`
		InventoryPolicy   string        `json:"inventoryPolicy"`
		InventoryQuantity int64         `json:"inventoryQuantity"`
		AvailableForSale  bool          `json:"availableForSale"`
		SelectedOptions   []optionValue `json:"selectedOptions"`
		CreatedAt         *string       `json:"createdAt"`
		UpdatedAt         *string       `json:"updatedAt"`
	}
	optionValue struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	itemLine struct {
		ID               string  `json:"id"`
		SKU              *string `json:"sku"`
		Tracked          bool    `json:"tracked"`
		RequiresShipping bool    `json:"requiresShipping"`
		UnitCost         *string `json:"unitCost"`
		UpdatedAt        *string `json:"updatedAt"`
	}
	levelLine struct {
		ID              string  `json:"id"`
		InventoryItemID string  `json:"inventoryItemId"`
		LocationID      string  `json:"locationId"`
		Available       int64   `json:"available"`
		UpdatedAt       *string `json:"updatedAt"`
	}
	collectionLine struct {
		ID              string   `json:"id"`
		Title           string   `json:"title"`
		Handle          string   `json:"handle"`
		DescriptionHTML string   `json:"descriptionHtml"`
		SortOrder       string   `json:"sortOrder"`
		Smart           bool     `json:"smart"`
		UpdatedAt       *string  `json:"updatedAt"`
		ProductIDs      []string `json:"productIds"`
	}
	discountLine struct {
		ID         string   `json:"id"`
		Typename   string   `json:"__typename"`
		Title      string   `json:"title"`
		Status     string   `json:"status"`
		Summary    *string  `json:"summary"`
		Codes      []string `json:"codes"`
		Value      any      `json:"value"`
		Minimum    any      `json:"minimum"`
		AppliesTo  any      `json:"appliesTo"`
		StartsAt   *string  `json:"startsAt"`
		EndsAt     *string  `json:"endsAt"`
		UsageLimit *int64   `json:"usageLimit"`
		CreatedAt  *string  `json:"createdAt"`
		UpdatedAt  *string  `json:"updatedAt"`
	}
	metafieldLine struct {
		ID            string  `json:"id"`
		OwnerID       string  `json:"ownerId"`
		Namespace     string  `json:"namespace"`
		Key           string  `json:"key"`
		MetafieldType string  `json:"metafieldType"` // The line's own type has taken the name.
		Value         string  `json:"value"`
		UpdatedAt     *string `json:"updatedAt"`
	}
	orderLine struct {
		ID                       string     `json:"id"`
		Name                     string     `json:"name"`
		CreatedAt                *string    `json:"createdAt"`
		UpdatedAt                *string    `json:"updatedAt"`
		CancelledAt              *string    `json:"cancelledAt"`
		DisplayFinancialStatus   string     `json:"displayFinancialStatus"`
		DisplayFulfillmentStatus string     `json:"displayFulfillmentStatus"`
		CurrencyCode             string     `json:"currencyCode"`
		TotalPrice               string     `json:"totalPrice"`
		Note                     *string    `json:"note"`
		Tags                     []string   `json:"tags"`
		LineItems                []itemSold `json:"lineItems"`
	}
	itemSold struct {
		ID        string  `json:"id"`
		VariantID *string `json:"variantId"`
		Title     string  `json:"title"`
		Quantity  int64   `json:"quantity"`
	}
)

// truth writes an export.
type truth struct {
	shop *Shop
	now  time.Time
	out  *bufio.Writer
	err  error
}

// Export writes the shop as it truly is, one JSON object a line: what a copy
// of the shop must equal. It holds what an app may know that was granted every
// scope but read_all_orders, and no customer data.
func (s *Shop) Export(w io.Writer) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := &truth{shop: s, now: s.sim.Now(), out: bufio.NewWriterSize(w, 1<<16)}
	t.write("Shop", shopLine{s.GID(), s.Name, s.Domain, "https://" + s.PrimaryDomain, s.Currency, s.Timezone})
	t.metafields(s.Own)
	for l := range s.Locations.All() {
		t.write("Location", locationLine{l.GID(), l.Name, l.Active})
	}
	for p := range s.Products.All() {
		t.product(p)
	}
	for c := range s.Collections.All() {
		t.write("Collection", collectionLine{c.GID(), c.Title, c.Handle, c.DescriptionHTML, c.SortOrder, c.Smart(), stampOf(c.UpdatedAt), sortedGIDs(typeProduct, c.Members)})
		t.metafields(c.Metafields)
	}
	for d := range s.Discounts.All() {
		t.discount(d)
	}
	for o := range s.Orders.All() {
		if o.CreatedAt.After(t.now.Add(-orderWindow)) {
			t.order(o)
		}
	}
	if t.err == nil {
		t.err = t.out.Flush()
	}
	if t.err != nil {
		return fmt.Errorf("export shop %s: %w", s.Domain, t.err)
	}
	return nil
}

// write writes a line; after an error none.
func (t *truth) write(kind string, fields any) {
	if t.err != nil {
		return
	}
	body, err := json.Marshal(fields)
	if err == nil {
		_, err = fmt.Fprintf(t.out, "{\"type\":%q,%s\n", kind, body[1:])
	}
	t.err = err
}

func (t *truth) product(p *Product) {
	line := productLine{
		ID: p.GID(), Title: p.Title, Handle: p.Handle, Status: p.Status, Vendor: p.Vendor, ProductType: p.ProductType,
		Tags: sortedTexts(p.Tags), DescriptionHTML: p.DescriptionHTML, CreatedAt: stampOf(p.CreatedAt), UpdatedAt: stampOf(p.UpdatedAt),
		PublishedAt: stampOf(p.PublishedAt), TemplateSuffix: textOf(p.TemplateSuffix), TotalInventory: p.TotalInventory(),
		OnlineStoreURL: textOf(t.shop.OnlineStoreURL(p)), Options: make([]optionLine, 0, len(p.Options)),
	}
	for i, o := range p.Options {
		line.Options = append(line.Options, optionLine{o.Name, i + 1, o.Values})
	}
	if p.Image != nil {
		line.FeaturedImageURL = textOf(p.Image.URL)
	}
	t.write("Product", line)
	t.metafields(p.Metafields)
	for _, v := range p.Variants {
		t.variant(p, v)
	}
}

func (t *truth) variant(p *Product, v *Variant) {
	line := variantLine{
		ID: v.GID(), ProductID: p.GID(), InventoryItemID: v.Item.GID(), Title: v.Title, SKU: textOf(v.SKU), Barcode: textOf(v.Barcode),
		Price: plainAmount(v.Price), CompareAtPrice: amountOf(v.CompareAtPrice), Position: v.Position, Taxable: v.Taxable,
		InventoryPolicy: v.Policy, InventoryQuantity: v.InventoryQuantity(), AvailableForSale: v.AvailableForSale(),
		SelectedOptions: make([]optionValue, 0, len(v.Values)), CreatedAt: stampOf(v.CreatedAt), UpdatedAt: stampOf(v.UpdatedAt),
	}
	for i, value := range v.Values {
		line.SelectedOptions = append(line.SelectedOptions, optionValue{p.Options[i].Name, value})
	}
	t.write("ProductVariant", line)
	t.metafields(v.Metafields)
	item := v.Item
	t.write("InventoryItem", itemLine{item.GID(), textOf(item.SKU), item.Tracked, item.RequiresShipping, amountOf(item.Cost), stampOf(item.UpdatedAt)})
	for _, l := range item.Levels {
		if l.Shown() {
			t.write("InventoryLevel", levelLine{l.GID(), item.GID(), l.Location.GID(), l.Available, stampOf(l.UpdatedAt)})
		}
	}
}

func (t *truth) metafields(list []*Metafield) {
	for _, m := range list {
		t.write("Metafield", metafieldLine{m.GID(), m.OwnerGID(), m.Namespace, m.Key, m.Type, m.Value, stampOf(m.UpdatedAt)})
	}
}

func (t *truth) discount(d *Discount) {
	codes := make([]string, 0, len(d.Codes))
	for _, c := range d.Codes {
		codes = append(codes, c.Code)
	}
	line := discountLine{
		ID: d.GID(), Typename: d.Typename, Title: d.Title, Status: d.Status(t.now), Summary: textOf(d.Summary(t.shop.Currency)),
		Codes: sortedTexts(codes), StartsAt: stampOf(d.StartsAt), EndsAt: stampOf(d.EndsAt), CreatedAt: stampOf(d.CreatedAt), UpdatedAt: stampOf(d.UpdatedAt),
	}
	if d.UsageLimit != 0 {
		line.UsageLimit = &d.UsageLimit
	}
	if !d.App() {
		line.Value, line.AppliesTo = t.value(d), t.items(d.Gets)
	}
	if !d.Bxgy() { // What must be bought there is no minimum requirement of its own.
		switch {
		case d.Minimum.Quantity != 0:
			line.Minimum = map[string]any{"quantity": d.Minimum.Quantity}
		case d.Minimum.Subtotal != 0:
			line.Minimum = map[string]any{"subtotal": plainAmount(d.Minimum.Subtotal), "currencyCode": t.shop.Currency}
		}
	}
	t.write("Discount", line)
}

func (t *truth) value(d *Discount) any {
	v := d.Value
	if v.FreeShipping {
		return map[string]any{"free": "shipping"}
	}
	effect := map[string]any{"amount": plainAmount(v.Amount), "currencyCode": t.shop.Currency, "each": v.Each}
	if v.Percentage != "" {
		effect = map[string]any{"percentage": withoutZeros(v.Percentage)}
	}
	if d.Bxgy() {
		return map[string]any{"quantity": v.Quantity, "effect": effect}
	}
	return effect
}

// items leaves out what was deleted since.
func (t *truth) items(i DiscountItems) any {
	if i.All {
		return map[string]any{"all": true}
	}
	return map[string]any{
		"productIds":    sortedGIDs(typeProduct, existing(&t.shop.Products, i.Products)),
		"variantIds":    sortedGIDs(typeVariant, existing(&t.shop.Variants, i.Variants)),
		"collectionIds": sortedGIDs(typeCollection, existing(&t.shop.Collections, i.Collections)),
	}
}

func (t *truth) order(o *Order) {
	line := orderLine{
		ID: o.GID(), Name: o.Name, CreatedAt: stampOf(o.CreatedAt), UpdatedAt: stampOf(o.UpdatedAt), CancelledAt: stampOf(o.CancelledAt),
		DisplayFinancialStatus: o.FinancialStatus, DisplayFulfillmentStatus: o.FulfillmentStatus, CurrencyCode: o.Currency,
		TotalPrice: plainAmount(o.Total), Note: textOf(o.Note), Tags: sortedTexts(o.Tags), LineItems: make([]itemSold, 0, len(o.LineItems)),
	}
	for _, l := range o.LineItems {
		sold := itemSold{ID: l.GID(), Title: l.Title, Quantity: l.Quantity}
		if v, ok := t.shop.Variants.Get(l.VariantID); ok {
			sold.VariantID = textOf(v.GID())
		}
		line.LineItems = append(line.LineItems, sold)
	}
	t.write("Order", line)
}

// stampOf is a time in UTC without fraction; null for none.
func stampOf(at time.Time) *string {
	if at.IsZero() {
		return nil
	}
	return textOf(at.UTC().Format("2006-01-02T15:04:05Z"))
}

// textOf is null for an empty text.
func textOf(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// amountOf is null for an amount that was not given.
func amountOf(m Money) *string {
	if m == 0 {
		return nil
	}
	return textOf(plainAmount(m))
}

// plainAmount is an amount without trailing zeros.
func plainAmount(m Money) string { return withoutZeros(m.String()) }

func withoutZeros(number string) string {
	if strings.Contains(number, ".") {
		number = strings.TrimSuffix(strings.TrimRight(number, "0"), ".")
	}
	return number
}

// sortedGIDs are ids in the order of their text.
func sortedGIDs(kind string, numbers []int64) []string {
	out := make([]string, 0, len(numbers))
	for _, n := range numbers {
		out = append(out, gid(kind, n))
	}
	slices.Sort(out)
	return out
}

// sortedTexts is a sorted copy, never null.
func sortedTexts(list []string) []string {
	return sortedSet(append([]string{}, list...))
}
