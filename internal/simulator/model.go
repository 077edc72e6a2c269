package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"stockroom/internal/simulator/graph"
)

// The types whose gids the simulator gives out.
const (
	typeShop              = "Shop"
	typeProduct           = "Product"
	typeVariant           = "ProductVariant"
	typeItem              = "InventoryItem"
	typeLevel             = "InventoryLevel"
	typeLocation          = "Location"
	typeCollection        = "Collection"
	typeDiscountCode      = "DiscountCodeNode"
	typeDiscountAutomatic = "DiscountAutomaticNode"
	typeRedeemCode        = "DiscountRedeemCode"
	typeMetafield         = "Metafield"
	typeOrder             = "Order"
	typeLineItem          = "LineItem"
	typeSubscription      = "WebhookSubscription"
	typeInstallation      = "AppInstallation"
	typeMediaImage        = "MediaImage"
	typeOption            = "ProductOption"
)

// gid spells a global id.
func gid(kind string, id int64) string {
	return "gid://shopify/" + kind + "/" + strconv.FormatInt(id, 10)
}

// levelGID spells the id of an inventory level, which names its item in a query part.
func levelGID(number, item int64) string {
	return gid(typeLevel, number) + "?inventory_item_id=" + strconv.FormatInt(item, 10)
}

// parseGID takes a global id apart; item is filled for inventory levels only.
func parseGID(text string) (kind string, id, item int64, ok bool) {
	rest, ok := strings.CutPrefix(text, "gid://shopify/")
	if !ok {
		return "", 0, 0, false
	}
	kind, rest, ok = strings.Cut(rest, "/")
	if !ok || kind == "" {
		return "", 0, 0, false
	}
	number, query, hasQuery := strings.Cut(rest, "?")
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || id <= 0 {
		return "", 0, 0, false
	}
	if hasQuery {
		text, ok := strings.CutPrefix(query, "inventory_item_id=")
		if !ok {
			return "", 0, 0, false
		}
		if item, err = strconv.ParseInt(text, 10, 64); err != nil || item <= 0 {
			return "", 0, 0, false
		}
	}
	return kind, id, item, true
}

// Money is an amount in hundredths of the shop's currency.
type Money int64

// String spells it as GraphQL's Money scalar and the REST bodies do: "19.90".
func (m Money) String() string {
	sign, n := "", int64(m)
	if n < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
}

// Decimal spells it as MoneyV2.amount does: "19.9", "25.0".
func (m Money) Decimal() string {
	text := strings.TrimRight(m.String(), "0")
	if strings.HasSuffix(text, ".") {
		text += "0"
	}
	return text
}

// spoken spells it for people, without the decimals that a currency has not.
func (m Money) spoken(currency string) string {
	text := m.String()
	if slices.Contains(yen, currency) {
		text = strings.TrimSuffix(text, ".00")
	}
	return text + " " + currency
}

// Shop is one shop and all it holds. mu guards every field and every record
// below; readers take the read lock for as long as they look at records.
// Installations have a lock of their own, taken after mu where both are needed.
type Shop struct {
	sim    *Simulator
	Domain string // As in name.myshopify.com.
	ID     int64

	mu            sync.RWMutex
	Name          string
	PrimaryDomain string // A host.
	Email         string
	Currency      string
	Timezone      string // IANA.
	Country       string // ISO 3166 alpha-2.
	CreatedAt     time.Time
	UpdatedAt     time.Time
	Locations     Index[*Location]
	Products      Index[*Product]
	Variants      Index[*Variant]
	Items         Index[*InventoryItem]
	Collections   Index[*Collection]
	Discounts     Index[*Discount]
	Metafields    Index[*Metafield] // All of them, whoever owns them.
	Orders        Index[*Order]
	Events        Index[*Happening]
	Own           []*Metafield // The shop's own metafields, by number.
	lastID        map[string]int64
	nextOrder     int
	catalogue     Catalogue          // What it was made from.
	handles       map[string]int     // How often a handle was asked for.
	erasures      map[int64]*erasure // Of customers' data, by the customer's number.

	installMu     sync.Mutex
	installations map[string]*Installation // By client id.
	closed        int                      // The status that the API answers with; zero while it is open.
}

// GID is the shop's global id.
func (s *Shop) GID() string { return gid(typeShop, s.ID) }

// Location is a place that holds stock.
type Location struct {
	ID          int64
	LevelNumber int64 // The number in the gids of its levels.
	Name        string
	Active      bool
	Address1    string
	City        string
	Zip         string
	Country     string
	Levels      Index[*Level] `json:"-"` // By number of the item, inactive ones too.
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

func (l *Location) GID() string        { return gid(typeLocation, l.ID) }
func (l *Location) key() int64         { return l.ID }
func (l *Location) changed() time.Time { return l.UpdatedAt }

// Product is a product with its variants in order of position.
type Product struct {
	ID     int64
	Title  string
	Handle string
	// Status is ACTIVE, DRAFT, ARCHIVED or UNLISTED. The last is shown as it is
	// by API and webhooks from 2025-10 on, so by every version served. Source:
	// ProductStatus.UNLISTED in the published schemas; "New: Unlisted Product
	// Status" (changelog, 2025-10-21).
	Status          string
	Vendor          string
	ProductType     string
	Tags            []string // Sorted.
	DescriptionHTML string
	TemplateSuffix  string // Empty is null.
	SEO             SEO
	Options         []Option
	Image           *Image   // The featured one; nil where there is none.
	Gallery         []*Image // The further ones, in their order.
	GiftCard        bool
	Variants        []*Variant
	Metafields      []*Metafield // By number.
	CreatedAt       time.Time
	UpdatedAt       time.Time
	PublishedAt     time.Time // Zero where it is not in the online store.

	oldTotal int64     // What totalInventory showed before the last change of stock,
	totalDue time.Time // and goes on showing until then.
}

// SEO is what search engines are shown; empty is null, and the title and
// description stand in.
type SEO struct{ Title, Description string }

// Option is a way in which a product's variants differ.
type Option struct {
	ID     int64
	Name   string
	Values []string
}

// Image is a picture of a product.
type Image struct {
	ID  int64
	URL string
	Alt string
}

// pictures are all images of a product, the featured one first.
func (p *Product) pictures() []*Image {
	if p.Image == nil {
		return nil
	}
	return append([]*Image{p.Image}, p.Gallery...)
}

func (p *Product) GID() string        { return gid(typeProduct, p.ID) }
func (p *Product) key() int64         { return p.ID }
func (p *Product) changed() time.Time { return p.UpdatedAt }

// OnlineStoreURL is where the product is shown, or "" where it is not.
func (s *Shop) OnlineStoreURL(p *Product) string {
	if p.PublishedAt.IsZero() || (p.Status != "ACTIVE" && p.Status != "UNLISTED") {
		return ""
	}
	return "https://" + s.PrimaryDomain + "/products/" + p.Handle
}

// TotalInventory counts the sellable units of all tracked variants, as it truly is.
func (p *Product) TotalInventory() int64 {
	var total int64
	for _, v := range p.Variants {
		if v.Item.Tracked {
			total += v.InventoryQuantity()
		}
	}
	return total
}

// ShownTotalInventory is totalInventory as the API shows it: it lags behind
// changes of stock by Faults.TotalsLag.
func (p *Product) ShownTotalInventory(now time.Time) int64 {
	if now.Before(p.totalDue) {
		return p.oldTotal
	}
	return p.TotalInventory()
}

// Variant is a form in which a product is sold. It has exactly one inventory item.
type Variant struct {
	ID             int64
	Product        *Product `json:"-"`
	Item           *InventoryItem
	Title          string
	SKU            string // Empty is null.
	Barcode        string // Empty is null.
	Price          Money
	CompareAtPrice Money // Zero is null.
	Position       int   // From 1.
	Taxable        bool
	Policy         string   // DENY or CONTINUE.
	Values         []string // Its value for each option of the product.
	Metafields     []*Metafield
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

func (v *Variant) GID() string        { return gid(typeVariant, v.ID) }
func (v *Variant) key() int64         { return v.ID }
func (v *Variant) changed() time.Time { return v.UpdatedAt }

// InventoryQuantity counts the sellable units at all active locations.
func (v *Variant) InventoryQuantity() int64 {
	var total int64
	for _, l := range v.Item.Levels {
		if l.Shown() {
			total += l.Available
		}
	}
	return total
}

// AvailableForSale tells whether a customer can buy it now.
func (v *Variant) AvailableForSale() bool {
	return !v.Item.Tracked || v.Policy == "CONTINUE" || v.InventoryQuantity() > 0
}

// InventoryItem is what is stocked of a variant.
type InventoryItem struct {
	ID               int64
	Variant          *Variant `json:"-"`
	SKU              string   // Always the variant's.
	Tracked          bool
	RequiresShipping bool
	Cost             Money    // Zero is null.
	Grams            int64    // Its weight; zero where nobody said.
	Levels           []*Level `json:"-"` // By number of the location, inactive ones too.
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

func (i *InventoryItem) GID() string        { return gid(typeItem, i.ID) }
func (i *InventoryItem) key() int64         { return i.ID }
func (i *InventoryItem) changed() time.Time { return i.UpdatedAt }

// Level returns the item's level at a location, or nil.
func (i *InventoryItem) Level(location int64) *Level {
	for _, l := range i.Levels {
		if l.Location.ID == location {
			return l
		}
	}
	return nil
}

// Level is the stock of an item at a location. A disconnected level stays,
// inactive, and comes back under its id when it is connected again.
type Level struct {
	Item      *InventoryItem `json:"-"`
	Location  *Location      `json:"-"`
	Active    bool
	Available int64 // Sellable units; negative when oversold.
	Committed int64 // Units of orders that are not fulfilled.
	CreatedAt time.Time
	UpdatedAt time.Time
}

func (l *Level) GID() string        { return levelGID(l.Location.LevelNumber, l.Item.ID) }
func (l *Level) key() int64         { return l.Item.ID }
func (l *Level) changed() time.Time { return l.UpdatedAt }

// Shown tells whether the level counts: it is active, at an active location.
func (l *Level) Shown() bool { return l.Active && l.Location.Active }

// Collection is a list of products, chosen by hand or by rules.
type Collection struct {
	ID              int64
	Title           string
	Handle          string
	DescriptionHTML string
	SortOrder       string
	Rules           []Rule  // Empty where members are chosen by hand.
	AnyRule         bool    // One fulfilled rule is enough.
	Members         []int64 // Numbers of the products, sorted.
	Metafields      []*Metafield
	CreatedAt       time.Time
	UpdatedAt       time.Time
	PublishedAt     time.Time
}

func (c *Collection) GID() string        { return gid(typeCollection, c.ID) }
func (c *Collection) key() int64         { return c.ID }
func (c *Collection) changed() time.Time { return c.UpdatedAt }

// Smart tells whether rules decide the members.
func (c *Collection) Smart() bool { return len(c.Rules) > 0 }

// Holds tells whether a product is a member.
func (c *Collection) Holds(product int64) bool { return holds(c.Members, product) }

// Rule is a condition of a smart collection, in the words of CollectionRule.
type Rule struct {
	Column    string // TAG, TYPE, TITLE, VENDOR or VARIANT_PRICE.
	Relation  string // EQUALS, NOT_EQUALS, CONTAINS, STARTS_WITH, GREATER_THAN or LESS_THAN.
	Condition string
}

// Matches tells whether the rule holds for a product.
func (r Rule) Matches(p *Product) bool {
	switch r.Column {
	case "TAG":
		has := slices.ContainsFunc(p.Tags, func(tag string) bool { return strings.EqualFold(tag, r.Condition) })
		return has == (r.Relation != "NOT_EQUALS")
	case "TYPE":
		return r.text(p.ProductType)
	case "TITLE":
		return r.text(p.Title)
	case "VENDOR":
		return r.text(p.Vendor)
	case "VARIANT_PRICE":
		limit, err := parseMoney(r.Condition)
		return err == nil && slices.ContainsFunc(p.Variants, func(v *Variant) bool {
			switch r.Relation {
			case "GREATER_THAN":
				return v.Price > limit
			case "LESS_THAN":
				return v.Price < limit
			case "NOT_EQUALS":
				return v.Price != limit
			default:
				return v.Price == limit
			}
		})
	}
	return false
}

func (r Rule) text(value string) bool {
	value, want := strings.ToLower(value), strings.ToLower(r.Condition)
	switch r.Relation {
	case "NOT_EQUALS":
		return value != want
	case "CONTAINS":
		return strings.Contains(value, want)
	case "STARTS_WITH":
		return strings.HasPrefix(value, want)
	default:
		return value == want
	}
}

// parseMoney reads an amount with at most two decimals.
func parseMoney(text string) (Money, error) {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
	if digits := whole + fraction; digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, fmt.Errorf("amount %q: it is not a number", text)
	}
	if len(fraction) > 2 {
		return 0, fmt.Errorf("amount %q: more than two decimals", text)
	}
	n, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("amount %q: %w", text, err)
	}
	if strings.HasPrefix(text, "-") {
		n = -n
	}
	return Money(n), nil
}

// Discount is a discount of any of the eight types.
type Discount struct {
	ID              int64
	Typename        string // DiscountCodeBasic and so on, as in the union Discount.
	Title           string
	Value           DiscountValue
	Buys            DiscountItems // Buy X get Y: the X; how many is in Minimum.
	Gets            DiscountItems // What it applies to; the Y of buy X get Y.
	Minimum         DiscountMinimum
	Codes           []*RedeemCode // By number; empty for automatic ones.
	UsageLimit      int64         // Zero is null.
	OncePerCustomer bool
	StartsAt        time.Time
	EndsAt          time.Time // Zero is null.
	Terms           DiscountTerms
	Metafields      []*Metafield
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// DiscountTerms are what else holds for a discount. The zero value is that of a
// discount of which nothing else was said.
type DiscountTerms struct {
	CombinesWith    Combination
	Tags            []string    // Sorted.
	UsesPerOrder    int64       // Buy X get Y; zero is null.
	AppliesOn       Purchases   // What is discounted,
	BuysOn          Purchases   // and the X of buy X get Y.
	Cycles          *int64      // How many payments of a subscription; zero is all, null is one.
	MaximumShipping Money       // Free shipping; zero is null.
	Destination     Destination // Free shipping.
	Function        AppFunction // App discounts.
	Classes         []string    // App discounts; sorted, none is ORDER.
}

// Combination is with which classes of discounts one goes together.
type Combination struct{ Order, Product, Shipping bool }

// Purchases are the ways of buying that count: once only, where nothing is said.
type Purchases struct{ NotOnce, Subscription bool }

// Destination is where shipping is free: everywhere, where nothing is said.
type Destination struct {
	Countries   []string // Sorted codes.
	RestOfWorld bool     // Countries besides, in none of the shop's zones.
}

// AppFunction is an app's function that decides on a discount.
type AppFunction struct{ ID, Title, AppKey string }

// DiscountValue is what the customer gets; one form is filled, none for app discounts.
type DiscountValue struct {
	Percentage   string // A fraction, like "0.1".
	Amount       Money
	Each         bool  // The amount comes off each item, not once.
	Quantity     int64 // Buy X get Y: so many of Y, each at Percentage or Amount off.
	FreeShipping bool
}

// DiscountItems is everything or the listed things, sorted.
type DiscountItems struct {
	All         bool
	Products    []int64
	Variants    []int64
	Collections []int64
}

// DiscountMinimum is what a cart must hold; both zero where nothing is required.
// For buy X get Y it is customerBuys.value.
type DiscountMinimum struct {
	Quantity int64
	Subtotal Money
}

// cycles is for how many payments of a subscription a discount holds.
func (d *Discount) cycles() int64 {
	if d.Terms.Cycles == nil {
		return 1
	}
	return *d.Terms.Cycles
}

// function is what decides on an app discount. One that came with the shop is
// another app's, whose key is our own.
func (d *Discount) function() AppFunction {
	if d.Terms.Function != (AppFunction{}) {
		return d.Terms.Function
	}
	return AppFunction{ID: functionID(d.Title), Title: d.Title, AppKey: "another-app"}
}

func (i DiscountItems) none() bool {
	return !i.All && len(i.Products)+len(i.Variants)+len(i.Collections) == 0
}

// RedeemCode is a code of a discount.
type RedeemCode struct {
	ID   int64
	Code string
}

func (c *RedeemCode) GID() string { return gid(typeRedeemCode, c.ID) }

// Automatic tells whether it applies without a code.
func (d *Discount) Automatic() bool { return strings.HasPrefix(d.Typename, "DiscountAutomatic") }

// App tells whether an app's function decides, so that Shopify shows no value.
func (d *Discount) App() bool { return strings.HasSuffix(d.Typename, "App") }

// Bxgy tells whether it is of the form buy X get Y.
func (d *Discount) Bxgy() bool { return strings.HasSuffix(d.Typename, "Bxgy") }

// GID is the id that discountNodes gives.
func (d *Discount) GID() string {
	if d.Automatic() {
		return gid(typeDiscountAutomatic, d.ID)
	}
	return gid(typeDiscountCode, d.ID)
}

func (d *Discount) key() int64         { return d.ID }
func (d *Discount) changed() time.Time { return d.UpdatedAt }

// Status is decided by the clock.
func (d *Discount) Status(now time.Time) string {
	switch {
	case !d.EndsAt.IsZero() && !d.EndsAt.After(now):
		return "EXPIRED"
	case d.StartsAt.After(now):
		return "SCHEDULED"
	}
	return "ACTIVE"
}

// ShortSummary says in a few words what the discount gives.
func (d *Discount) ShortSummary(currency string) string {
	var what string
	switch {
	case d.App():
		return ""
	case d.Value.FreeShipping:
		return "Free shipping"
	case d.Value.Percentage != "":
		what = percent(d.Value.Percentage) + "% off"
	default:
		what = d.Value.Amount.spoken(currency) + " off"
		if d.Value.Each {
			what += " each"
		}
	}
	if d.Bxgy() {
		return fmt.Sprintf("Buy %s, get %d at %s", d.Minimum.words(currency), d.Value.Quantity, what)
	}
	if d.Gets.All {
		return what + " entire order"
	}
	return fmt.Sprintf("%s %s", what, d.Gets.words())
}

// Summary says it with the conditions. It is "" for app discounts, which have none.
func (d *Discount) Summary(currency string) string {
	short := d.ShortSummary(currency)
	if short == "" || d.Bxgy() || d.Minimum == (DiscountMinimum{}) {
		return short
	}
	return short + " • Minimum " + d.Minimum.words(currency)
}

func (m DiscountMinimum) words(currency string) string {
	if m.Subtotal != 0 {
		return m.Subtotal.spoken(currency)
	}
	if m.Quantity == 1 {
		return "1 item"
	}
	return strconv.FormatInt(m.Quantity, 10) + " items"
}

func (i DiscountItems) words() string {
	count := func(n int, one string) string {
		if n == 1 {
			return "1 " + one
		}
		return fmt.Sprintf("%d %ss", n, one)
	}
	switch {
	case len(i.Collections) > 0:
		return count(len(i.Collections), "collection")
	case len(i.Variants) > 0:
		return count(len(i.Variants), "variant")
	default:
		return count(len(i.Products), "product")
	}
}

// percent turns a fraction like "0.125" into "12.5".
func percent(fraction string) string {
	f, err := strconv.ParseFloat(fraction, 64)
	if err != nil {
		return fraction
	}
	return strconv.FormatFloat(f*100, 'f', -1, 32)
}

// Metafield is a value attached to a shop, product, variant, collection or discount.
type Metafield struct {
	ID        int64
	OwnerType string // Shop, Product, ProductVariant or Collection.
	OwnerID   int64
	Namespace string
	Key       string
	Type      string
	Value     string
	CreatedAt time.Time
	UpdatedAt time.Time
}

func (m *Metafield) GID() string        { return gid(typeMetafield, m.ID) }
func (m *Metafield) OwnerGID() string   { return gid(m.OwnerType, m.OwnerID) }
func (m *Metafield) key() int64         { return m.ID }
func (m *Metafield) changed() time.Time { return m.UpdatedAt }

// Order is a sale. Of its customer it holds no more than the number.
type Order struct {
	ID                int64
	Number            int
	Name              string // Like #1001.
	FinancialStatus   string // As in OrderDisplayFinancialStatus.
	FulfillmentStatus string // As in OrderDisplayFulfillmentStatus.
	Currency          string
	Total             Money
	Note              string // Empty is null.
	Tags              []string
	LineItems         []*LineItem
	Customer          int64
	Redacted          bool  // The customer's data was erased.
	Location          int64 // Where its stock was taken.
	CreatedAt         time.Time
	UpdatedAt         time.Time
	Edited            bool      // Its lines were changed after it was placed.
	CancelReason      string    // As in OrderCancelReason; empty is CUSTOMER where it is cancelled.
	CancelledAt       time.Time // Zero is null.
}

// LineItem is one line of an order. Product and variant may have been deleted
// since; the API then shows null, without moving the order's updatedAt.
type LineItem struct {
	ID        int64
	ProductID int64
	VariantID int64 // Zero for a custom line.
	Title     string
	SKU       string
	Quantity  int64
	Price     Money
}

func (o *Order) GID() string        { return gid(typeOrder, o.ID) }
func (o *Order) key() int64         { return o.ID }
func (o *Order) changed() time.Time { return o.UpdatedAt }
func (l *LineItem) GID() string     { return gid(typeLineItem, l.ID) }

// App is an app as its developer registered it.
type App struct {
	Name         string
	ClientID     string
	Secrets      []string // Newest first. Webhooks are signed with the last, the oldest unrevoked one.
	OldSecret    string   // Revoked; only Faults.OldSecret makes it sign. Default: the newest followed by "-old".
	RedirectURIs []string // Matched exactly.
	URL          string   // Where it is opened from a shop's admin; empty where nobody said.
	// Scopes are what an install grants that asks for none: those of the app's
	// configuration (managed installation). OptionalScopes are granted on demand.
	Scopes         []string
	OptionalScopes []string
	Public         bool // Distributed to many shops, so that tokens which do not expire are refused.
	ProtectedData  bool // Approved for protected customer data: orders and topics about them.
	Webhooks       []AppWebhook
}

// signing is the secret that signs webhooks.
func (a *App) signing(old bool) string {
	if old {
		return cmp.Or(a.OldSecret, a.Secrets[0]+"-old")
	}
	return a.Secrets[len(a.Secrets)-1]
}

// AppWebhook is a subscription from the app's configuration: the same for all
// shops, without an id, never removed by failures. The compliance topics
// (shop/redact and so on) can be had in this way only.
type AppWebhook struct {
	Topic         string // Like products/update.
	URI           string
	Name          string // Empty for none.
	Filter        string
	IncludeFields []string
	APIVersion    string // Default: the newest.
}

// Installation is an app in a shop. mu guards its fields.
type Installation struct {
	ID   int64
	App  *App
	Shop *Shop

	mu            sync.Mutex
	scopes        []string
	tokens        map[string]*token // Access tokens by their text.
	refreshes     map[string]*refreshToken
	codes         map[string]*authCode
	migrations    map[string]*migration // By the token that was exchanged.
	subscriptions Index[*Subscription]
	installedAt   time.Time // Zero while the app is not installed.
	bucket        *graph.Bucket

	bulk []*BulkOperation // By number.

	idempotentMu   sync.Mutex
	idempotent     map[string]remembered // Answers of mutations by their idempotency key.
	idempotentKeys []string              // The oldest first.
}

func (i *Installation) GID() string { return gid(typeInstallation, i.ID) }

// Scopes are the granted scopes, sorted.
func (i *Installation) Scopes() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.scopes)
}

// Subscription is a webhook subscription that an app made through the API.
type Subscription struct {
	ID                  int64
	Topic               string // The enum value, like PRODUCTS_UPDATE.
	URI                 string
	Format              string // JSON or XML.
	Filter              string
	Name                string
	IncludeFields       []string
	MetafieldNamespaces []string
	Metafields          []MetafieldName
	APIVersion          string // That of the URL it was made through.
	CreatedAt           time.Time
	UpdatedAt           time.Time

	Delivered time.Time // When it last took one.
}

// MetafieldName names a metafield that bodies are to bring along.
type MetafieldName struct{ Namespace, Key string }

func (s *Subscription) GID() string        { return gid(typeSubscription, s.ID) }
func (s *Subscription) key() int64         { return s.ID }
func (s *Subscription) changed() time.Time { return s.UpdatedAt }

// Access is what a request to the Admin API may do.
type Access struct {
	Installation *Installation
	Scopes       []string // Granted to the token.
	APIVersion   string   // The version that answers.
	Now          time.Time
	Bucket       *graph.Bucket // The app's GraphQL budget in this shop.

	forever bool // The token does not expire.
}

// Allows tells whether a scope was granted; a write scope includes its read scope.
func (a Access) Allows(scope string) bool {
	if slices.Contains(a.Scopes, scope) {
		return true
	}
	noun, isRead := strings.CutPrefix(scope, "read_")
	return isRead && slices.Contains(a.Scopes, "write_"+noun)
}

// second cuts a time to Shopify's step.
func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// tagSet sorts tags and drops those that differ from an earlier one in case alone.
func tagSet(tags []string) []string {
	out := []string{}
	for _, tag := range tags {
		if !slices.ContainsFunc(out, func(other string) bool { return strings.EqualFold(other, tag) }) {
			out = append(out, tag)
		}
	}
	slices.Sort(out)
	return out
}

// sortedSet returns a sorted copy without repetitions.
func sortedSet[S ~[]E, E cmp.Ordered](set S) S {
	out := slices.Clone(set)
	slices.Sort(out)
	return slices.Compact(out)
}
