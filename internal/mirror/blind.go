package mirror

import (
	"slices"
	"time"
)

// Net is what catches a change that no webhook tells of.
type Net string

const (
	NetPoll   Net = "the poll"            // The next full read finds it; it is drift until then.
	NetRead   Net = "a read by id"        // Another webhook, of what changed it, asks for the read.
	NetSecond Net = "a second read by id" // Half a minute after the first: Shopify itself lags. Then the poll.
	NetClock  Net = "the clock"           // It is worked out when asked for, and not kept.
	NetParent Net = "the record above it" // What its parent or its set no longer holds is not shown.
)

// BlindSpot is a fact that changes without a webhook of its own. BlindSpots
// lists all that are known: the cause of drift is judged by it, and the
// documentation prints it.
type BlindSpot struct {
	Name   string // Short, for tests and documentation.
	Kind   Kind
	Fields []string // Nil for any, and for whether the record is there at all.
	Fact   string
	Net    Net

	// when tells whether drift can be put down to it; nil where the fields say all.
	when func(Evidence) bool
}

// sameVersion: the object's own updatedAt did not move, so no webhook of its was due.
func sameVersion(e Evidence) bool { return e.SameVersion }

// longestLag is how long a product's total may follow its stock, with room: no
// source tells. Seconds are usual, of minutes there are reports.
const longestLag = 15 * time.Minute

// lagging: the total was read so soon after the stock moved, as far as that is
// known, that Shopify itself may have shown the old one.
func lagging(e Evidence) bool {
	return e.Changed == 0 || e.Read >= e.Changed.Add(-clockSlack) && e.Read < e.Changed.Add(longestLag)
}

// BlindSpots are the facts that change without a webhook of their own.
var BlindSpots = []BlindSpot{
	{"smart membership", KindCollectionMembers, []string{"productIds"},
		"A product starts or stops matching a smart collection's rule.", NetPoll, func(e Evidence) bool { return e.Smart }},
	{"metafield of a variant or the shop", KindMetafield, nil,
		"A metafield of a variant or of the shop is set, changed or deleted. Those of products and collections move their owner, which is told of.",
		NetPoll, func(e Evidence) bool { return e.Owner == KindProductVariant || e.Owner == KindShop }},
	{"publication", KindProductDerived, []string{"onlineStoreUrl"},
		"A product is published to the online store, or taken off it, by somebody else.", NetPoll, nil},
	{"publication's date", KindProduct, []string{"publishedAt"},
		"The same: whether it moves `updatedAt` and fires `products/update` is not documented.", NetPoll, sameVersion},
	{"lagging total", KindProductDerived, []string{"totalInventory"},
		"A product's total follows its stock with a delay, in Shopify itself, and was read within 15 minutes of a change.", NetSecond, lagging},
	{"discount's targets", KindDiscount, []string{"appliesTo"},
		"A product, variant or collection that a discount names is deleted.", NetParent, sameVersion},
	{"order line's variant", KindOrder, []string{"lineItems"},
		"A variant that was ordered is deleted: the line's variantId becomes null.", NetPoll, sameVersion},
	{"shop setting", KindShop, []string{"currencyCode", "ianaTimezone", "myshopifyDomain", "name", "primaryDomainUrl"},
		"A setting of the shop that moves no updatedAt and fires no `shop/update`.", NetPoll, sameVersion},
	{"discount's status", KindDiscount, nil,
		"A discount starts or ends.", NetClock, never},
	{"order's age", KindOrder, nil,
		"An order becomes older than 60 days and leaves the window without `read_all_orders`.", NetClock, never},
	{"stock of a location that opens or closes", KindInventoryLevel, nil,
		"A location opens, closes or is deleted, and with it all stock there.", NetRead, never},
	{"what a location's opening puts up for sale", KindProductVariantDerived, []string{"availableForSale", "inventoryQuantity"},
		"A location opens or closes, and what is stocked there can be sold or not.", NetRead, never},
	{"variant's position", KindProductVariantDerived, []string{"position"},
		"Another variant of the product is removed or moved: those behind it move up, and their own updatedAt stays.", NetRead, never},
	{"children of what was deleted", KindProductVariant, nil,
		"A product is deleted, and with it variants, items, stock and metafields, of which only items are told of.", NetParent, never},
}

// never is for what other records' webhooks bring in: drift of it is theirs.
func never(Evidence) bool { return false }

// blindSpotOf finds the blind spot that explains drift.
func blindSpotOf(e Evidence) (BlindSpot, bool) {
	for _, spot := range BlindSpots {
		if spot.Kind != e.Kind || spot.when != nil && !spot.when(e) {
			continue
		}
		outside := func(field string) bool { return !slices.Contains(spot.Fields, field) }
		if spot.Fields == nil || len(e.Fields) > 0 && !slices.ContainsFunc(e.Fields, outside) {
			return spot, true
		}
	}
	return BlindSpot{}, false
}
