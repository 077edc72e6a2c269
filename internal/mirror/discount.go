package mirror

const (
	KindDiscount      Kind = "Discount"
	KindDiscountCodes Kind = "DiscountCodes"

	// ReadDiscount answers with the discount, what it applies to, and all its codes.
	ReadDiscount Read = "discount"
)

var (
	_ = register(KindInfo{Kind: KindDiscount, Type: TypeDiscount, Scopes: []string{"read_discounts"}, Governed: true, Read: ReadDiscount,
		Objects: []string{"DiscountNode", "DiscountCodeNode", "DiscountAutomaticNode"}, Topics: Topics{Created: "discounts/create", Changed: "discounts/update", Deleted: "discounts/delete"},
		Blank: func() Content { return new(Discount) }})
	_ = register(KindInfo{Kind: KindDiscountCodes, Type: TypeDiscount, Of: KindDiscount, Read: ReadDiscount,
		Topics: Topics{Created: "discounts/redeemcode_added", Changed: "discounts/redeemcode_added"},
		Blank:  func() Content { return new(DiscountCodes) }})
)

// Discount is a code or automatic discount, by the id that discountNodes gives.
// Webhooks carry little more than its id, so it arrives whole from reads alone.
// Its status is not kept: the clock decides it, see StatusAt.
type Discount struct {
	Typename   string             `json:"__typename"`
	Title      string             `json:"title"`
	Summary    *string            `json:"summary"` // Null for app discounts.
	Value      *DiscountValue     `json:"value"`   // Null for app discounts.
	Minimum    *DiscountMinimum   `json:"minimum"` // Null where nothing is required.
	AppliesTo  *DiscountAppliesTo `json:"appliesTo"`
	StartsAt   Time               `json:"startsAt"`
	EndsAt     Time               `json:"endsAt"`
	UsageLimit *int64             `json:"usageLimit"`
	CreatedAt  Time               `json:"createdAt"`
	UpdatedAt  Time               `json:"updatedAt"`
}

// DiscountValue is what a customer gets; exactly one form is filled.
type DiscountValue struct {
	Percentage   *Decimal `json:"percentage,omitempty"` // A fraction: "0.1" is 10 %.
	Amount       *Decimal `json:"amount,omitempty"`
	CurrencyCode string   `json:"currencyCode,omitempty"`
	Each         *bool    `json:"each,omitempty"`     // The amount is taken off each item, not once.
	Quantity     *int64   `json:"quantity,omitempty"` // Buy X get Y: so many of Y,
	Effect       *Effect  `json:"effect,omitempty"`   // each changed so.
	Free         string   `json:"free,omitempty"`     // "shipping".
}

// Effect is a percentage or an amount.
type Effect struct {
	Percentage   *Decimal `json:"percentage,omitempty"`
	Amount       *Decimal `json:"amount,omitempty"`
	CurrencyCode string   `json:"currencyCode,omitempty"`
	Each         *bool    `json:"each,omitempty"`
}

// DiscountMinimum is what a cart must hold; one form is filled.
type DiscountMinimum struct {
	Quantity     *int64   `json:"quantity,omitempty"`
	Subtotal     *Decimal `json:"subtotal,omitempty"`
	CurrencyCode string   `json:"currencyCode,omitempty"`
}

// DiscountAppliesTo is all items, or the listed ones (sorted, all three lists
// present). It is null for app discounts, whose rules only Shopify's checkout knows.
type DiscountAppliesTo struct {
	All           bool  `json:"all,omitempty"`
	ProductIDs    []GID `json:"productIds,omitzero"`
	VariantIDs    []GID `json:"variantIds,omitzero"`
	CollectionIDs []GID `json:"collectionIds,omitzero"`
}

// DiscountCodes is the whole set of a discount's codes; empty for automatic ones.
type DiscountCodes struct {
	Codes []string `json:"codes"` // Sorted.
}

// The states of a discount.
const (
	DiscountActive    = "ACTIVE"
	DiscountScheduled = "SCHEDULED"
	DiscountExpired   = "EXPIRED"
)

// StatusAt is the discount's state at a moment. Shopify flips it by the clock,
// without a webhook and without moving updatedAt, so it is decided when asked.
func (d Discount) StatusAt(now Instant) string {
	switch {
	case !d.EndsAt.IsZero() && At(d.EndsAt.Time) <= now:
		return DiscountExpired
	case At(d.StartsAt.Time) > now:
		return DiscountScheduled
	default:
		return DiscountActive
	}
}

func (Discount) Kind() Kind             { return KindDiscount }
func (Discount) ParentID() GID          { return "" }
func (d Discount) UpdatedTime() Time    { return d.UpdatedAt }
func (DiscountCodes) Kind() Kind        { return KindDiscountCodes }
func (DiscountCodes) ParentID() GID     { return "" }
func (DiscountCodes) UpdatedTime() Time { return Time{} }
