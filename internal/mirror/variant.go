package mirror

const (
	KindProductVariant        Kind = "ProductVariant"
	KindProductVariantDerived Kind = "ProductVariantDerived"

	// ReadVariant answers with the variant, what is derived of it, and its metafields.
	ReadVariant Read = "variant"
)

var (
	_ = register(KindInfo{Kind: KindProductVariant, Type: TypeVariant, Scopes: []string{"read_products"}, Governed: true, Read: ReadVariant,
		Objects: []string{"ProductVariant"}, ToldWith: KindProduct,
		Blank: func() Content { return new(ProductVariant) }})
	_ = register(KindInfo{Kind: KindProductVariantDerived, Type: TypeVariant, Of: KindProductVariant, Read: ReadVariant,
		Blank: func() Content { return new(ProductVariantDerived) }})
)

// ProductVariant is what a product's webhook carries of each of its first 100 variants.
type ProductVariant struct {
	ProductID       GID              `json:"productId"`
	InventoryItemID GID              `json:"inventoryItemId"`
	Title           string           `json:"title"`
	SKU             *string          `json:"sku"`
	Barcode         *string          `json:"barcode"`
	Price           Decimal          `json:"price"` // In the shop's currency.
	CompareAtPrice  *Decimal         `json:"compareAtPrice"`
	Taxable         bool             `json:"taxable"`
	InventoryPolicy string           `json:"inventoryPolicy"` // DENY or CONTINUE selling when out of stock.
	SelectedOptions []SelectedOption `json:"selectedOptions"`
	CreatedAt       Time             `json:"createdAt"`
	UpdatedAt       Time             `json:"updatedAt"`
}

// SelectedOption is a variant's value for one of its product's options.
type SelectedOption struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ProductVariantDerived is what changes without the variant's updatedAt.
type ProductVariantDerived struct {
	Position          int    `json:"position"`
	InventoryQuantity *int64 `json:"inventoryQuantity"` // Sellable units at all locations; negative when oversold.
	AvailableForSale  bool   `json:"availableForSale"`
}

func (ProductVariant) Kind() Kind               { return KindProductVariant }
func (v ProductVariant) ParentID() GID          { return v.ProductID }
func (v ProductVariant) LinkID() GID            { return v.InventoryItemID }
func (v ProductVariant) UpdatedTime() Time      { return v.UpdatedAt }
func (ProductVariantDerived) Kind() Kind        { return KindProductVariantDerived }
func (ProductVariantDerived) ParentID() GID     { return "" }
func (ProductVariantDerived) UpdatedTime() Time { return Time{} }
