package mirror

// A product is four records: what its updatedAt governs, the set of its
// variants, which products/update carries in variant_gids under the same
// version, what Shopify derives from elsewhere without moving updatedAt, and
// the list of its metafields (metafield.go).
const (
	KindProduct           Kind = "Product"
	KindProductVariantSet Kind = "ProductVariantSet"
	KindProductDerived    Kind = "ProductDerived"

	// ReadProduct answers with the product, its variant set, its variants, all
	// that is derived, and the metafields of product and variants.
	ReadProduct Read = "product"
)

var (
	_ = register(KindInfo{Kind: KindProduct, Type: TypeProduct, Scopes: []string{"read_products"}, Governed: true, Read: ReadProduct,
		Objects: []string{"Product"}, Topics: Topics{Created: "products/create", Changed: "products/update", Deleted: "products/delete"},
		Blank: func() Content { return new(Product) }})
	_ = register(KindInfo{Kind: KindProductVariantSet, Type: TypeProduct, Of: KindProduct, Governed: true, Read: ReadProduct,
		Blank: func() Content { return new(ProductVariantSet) }})
	_ = register(KindInfo{Kind: KindProductDerived, Type: TypeProduct, Of: KindProduct, Read: ReadProduct,
		Blank: func() Content { return new(ProductDerived) }})
)

// Product is what products/create and products/update carry whole.
type Product struct {
	Title           string   `json:"title"`
	Handle          string   `json:"handle"`
	Status          string   `json:"status"` // ACTIVE, DRAFT, ARCHIVED or UNLISTED.
	Vendor          string   `json:"vendor"`
	ProductType     string   `json:"productType"`
	Tags            []string `json:"tags"` // Sorted.
	DescriptionHTML string   `json:"descriptionHtml"`
	CreatedAt       Time     `json:"createdAt"`
	UpdatedAt       Time     `json:"updatedAt"`
	PublishedAt     Time     `json:"publishedAt"`
	TemplateSuffix  *string  `json:"templateSuffix"`
	Options         []Option `json:"options"`
}

// Option is a way in which a product's variants differ.
type Option struct {
	Name     string   `json:"name"`
	Position int      `json:"position"`
	Values   []string `json:"values"`
}

// ProductVariantSet is the whole set of a product's variants. A variant is
// shown only while the set holds it.
type ProductVariantSet struct {
	VariantIDs []GID `json:"variantIds"` // Sorted.
	UpdatedAt  Time  `json:"updatedAt"`  // The product's.
}

// ProductDerived is what changes without the product's updatedAt.
type ProductDerived struct {
	TotalInventory   int64   `json:"totalInventory"` // Units at all locations; Shopify itself lags here.
	OnlineStoreURL   *string `json:"onlineStoreUrl"`
	FeaturedImageURL *string `json:"featuredImageUrl"`
}

func (Product) Kind() Kind                    { return KindProduct }
func (Product) ParentID() GID                 { return "" }
func (p Product) UpdatedTime() Time           { return p.UpdatedAt }
func (ProductVariantSet) Kind() Kind          { return KindProductVariantSet }
func (ProductVariantSet) ParentID() GID       { return "" }
func (s ProductVariantSet) UpdatedTime() Time { return s.UpdatedAt }
func (ProductDerived) Kind() Kind             { return KindProductDerived }
func (ProductDerived) ParentID() GID          { return "" }
func (ProductDerived) UpdatedTime() Time      { return Time{} }
