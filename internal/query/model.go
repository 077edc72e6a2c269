package query

import (
	"slices"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// The items of answers and of the export's lines. A type joins the records of
// one object; what a record of it that is not known yet would say is null.

// Shop is a shop as it describes itself.
type Shop struct {
	ID               mirror.GID `json:"id"`
	Name             string     `json:"name"`
	MyshopifyDomain  string     `json:"myshopifyDomain"`
	PrimaryDomainURL string     `json:"primaryDomainUrl"`
	CurrencyCode     string     `json:"currencyCode"`
	IANATimezone     string     `json:"ianaTimezone"`
}

// Location is a place that holds stock.
type Location struct {
	ID       mirror.GID `json:"id"`
	Name     string     `json:"name"`
	IsActive bool       `json:"isActive"`
}

// Product is a product without its variants.
type Product struct {
	ID mirror.GID `json:"id"`
	mirror.Product
	TotalInventory   *int64  `json:"totalInventory"`
	OnlineStoreURL   *string `json:"onlineStoreUrl"`
	FeaturedImageURL *string `json:"featuredImageUrl"`
}

// Variant is what is bought: one of a product's variants.
type Variant struct {
	ID mirror.GID `json:"id"`
	mirror.ProductVariant
	Position          *int   `json:"position"`
	InventoryQuantity *int64 `json:"inventoryQuantity"`
	AvailableForSale  *bool  `json:"availableForSale"`
}

// InventoryItem is the physical side of a variant.
type InventoryItem struct {
	ID mirror.GID `json:"id"`
	mirror.InventoryItem
}

// InventoryLevel is the stock of an item at a location. ID is Shopify's own, not the record's key.
type InventoryLevel struct {
	ID              mirror.GID  `json:"id"`
	InventoryItemID mirror.GID  `json:"inventoryItemId"`
	LocationID      mirror.GID  `json:"locationId"`
	Available       *int64      `json:"available"`
	UpdatedAt       mirror.Time `json:"updatedAt"`
}

// Collection is a collection and the products in it.
type Collection struct {
	ID mirror.GID `json:"id"`
	mirror.Collection
	Smart      *bool        `json:"smart"`
	ProductIDs []mirror.GID `json:"productIds"`
}

// Discount is a discount; its status is that of the moment of the answer.
type Discount struct {
	ID mirror.GID `json:"id"`
	mirror.Discount
	Status string   `json:"status"`
	Codes  []string `json:"codes"`
}

// Metafield is a value attached to an object.
type Metafield struct {
	ID mirror.GID `json:"id"`
	mirror.Metafield
}

// Order is an order without customer data.
type Order struct {
	ID mirror.GID `json:"id"`
	mirror.Order
	DisplayFinancialStatus   *string `json:"displayFinancialStatus"`
	DisplayFulfillmentStatus *string `json:"displayFulfillmentStatus"`
}

func decode[P mirror.Content](kind mirror.Kind, row store.Row) (P, error) {
	content, err := mirror.Decode(kind, row.Content)
	if err != nil {
		var none P
		return none, err
	}
	return content.(P), nil
}

// reader loads items in one read transaction.
type reader struct {
	tx   *store.Tx
	shop store.Shop
	now  mirror.Instant // On the shop's Shopify clock.
}

func ids(rows []store.Row) []mirror.GID {
	all := make([]mirror.GID, len(rows))
	for i, row := range rows {
		all[i] = row.ID
	}
	return all
}

func (r reader) shopItem(row store.Row) (Shop, error) {
	s, err := decode[*mirror.Shop](mirror.KindShop, row)
	if err != nil {
		return Shop{}, err
	}
	return Shop{row.ID, s.Name, s.MyshopifyDomain, s.PrimaryDomainURL, s.CurrencyCode, s.IANATimezone}, nil
}

// currency is the shop's currency; empty until the shop has been read.
func (r reader) currency() (string, error) {
	rows, err := r.tx.ShownAfter(r.shop.ID, mirror.KindShop, "", 1)
	if err != nil || len(rows) == 0 {
		return "", err
	}
	shop, err := r.shopItem(rows[0])
	return shop.CurrencyCode, err
}

func (r reader) location(row store.Row) (Location, error) {
	l, err := decode[*mirror.Location](mirror.KindLocation, row)
	if err != nil {
		return Location{}, err
	}
	return Location{row.ID, l.Name, l.IsActive}, nil
}

func (r reader) products(rows []store.Row) ([]Product, error) {
	derived, err := r.tx.ShownByID(r.shop.ID, mirror.KindProductDerived, ids(rows))
	if err != nil {
		return nil, err
	}
	all := make([]Product, len(rows))
	for i, row := range rows {
		product, err := decode[*mirror.Product](mirror.KindProduct, row)
		if err != nil {
			return nil, err
		}
		all[i] = Product{ID: row.ID, Product: *product}
		if more, ok := derived[row.ID]; ok {
			d, err := decode[*mirror.ProductDerived](mirror.KindProductDerived, more)
			if err != nil {
				return nil, err
			}
			all[i].TotalInventory, all[i].OnlineStoreURL, all[i].FeaturedImageURL = &d.TotalInventory, d.OnlineStoreURL, d.FeaturedImageURL
		}
	}
	return all, nil
}

// variantsOf finds the visible variants of products, each product's in its own order.
func (r reader) variantsOf(products []mirror.GID) (map[mirror.GID][]Variant, error) {
	rows, err := r.variantRows(products)
	if err != nil {
		return nil, err
	}
	all, err := r.variants(rows)
	if err != nil {
		return nil, err
	}
	byProduct := map[mirror.GID][]Variant{}
	for _, v := range all {
		byProduct[v.ProductID] = append(byProduct[v.ProductID], v)
	}
	for _, of := range byProduct {
		slices.SortStableFunc(of, func(a, b Variant) int {
			if a.Position == nil || b.Position == nil {
				return 0
			}
			return *a.Position - *b.Position
		})
	}
	return byProduct, nil
}

func (r reader) variantRows(products []mirror.GID) ([]store.Row, error) {
	return r.visibleChildren(mirror.KindProductVariant, products)
}

// visibleChildren finds the visible records of a kind that belong to the parents, in the parents' order.
func (r reader) visibleChildren(kind mirror.Kind, parents []mirror.GID) ([]store.Row, error) {
	byParent, err := r.tx.ShownByParent(r.shop.ID, kind, parents)
	if err != nil {
		return nil, err
	}
	var rows []store.Row
	for _, parent := range parents {
		rows = append(rows, byParent[parent]...)
	}
	return r.tx.Visible(r.shop.ID, kind, rows)
}

func (r reader) variants(rows []store.Row) ([]Variant, error) {
	derived, err := r.tx.ShownByID(r.shop.ID, mirror.KindProductVariantDerived, ids(rows))
	if err != nil {
		return nil, err
	}
	all := make([]Variant, len(rows))
	for i, row := range rows {
		variant, err := decode[*mirror.ProductVariant](mirror.KindProductVariant, row)
		if err != nil {
			return nil, err
		}
		all[i] = Variant{ID: row.ID, ProductVariant: *variant}
		if more, ok := derived[row.ID]; ok {
			d, err := decode[*mirror.ProductVariantDerived](mirror.KindProductVariantDerived, more)
			if err != nil {
				return nil, err
			}
			all[i].Position, all[i].InventoryQuantity, all[i].AvailableForSale = &d.Position, d.InventoryQuantity, &d.AvailableForSale
		}
	}
	return all, nil
}

func (r reader) items(rows []store.Row) ([]InventoryItem, error) {
	all := make([]InventoryItem, len(rows))
	for i, row := range rows {
		item, err := decode[*mirror.InventoryItem](mirror.KindInventoryItem, row)
		if err != nil {
			return nil, err
		}
		all[i] = InventoryItem{row.ID, *item}
	}
	return all, nil
}

func (r reader) level(row store.Row) (InventoryLevel, error) {
	l, err := decode[*mirror.InventoryLevel](mirror.KindInventoryLevel, row)
	if err != nil {
		return InventoryLevel{}, err
	}
	return InventoryLevel{l.LevelGID, l.InventoryItemID, l.LocationID, l.Available, l.UpdatedAt}, nil
}

func (r reader) metafieldsOf(owners []mirror.GID) ([]Metafield, error) {
	rows, err := r.visibleChildren(mirror.KindMetafield, owners)
	if err != nil {
		return nil, err
	}
	all := make([]Metafield, len(rows))
	for i, row := range rows {
		metafield, err := decode[*mirror.Metafield](mirror.KindMetafield, row)
		if err != nil {
			return nil, err
		}
		all[i] = Metafield{row.ID, *metafield}
	}
	return all, nil
}

func (r reader) collection(row store.Row) (Collection, error) {
	collection, err := decode[*mirror.Collection](mirror.KindCollection, row)
	if err != nil {
		return Collection{}, err
	}
	c := Collection{ID: row.ID, Collection: *collection}
	found, err := r.tx.ShownByID(r.shop.ID, mirror.KindCollectionMembers, []mirror.GID{row.ID})
	if err != nil {
		return Collection{}, err
	}
	if more, ok := found[row.ID]; ok {
		members, err := decode[*mirror.CollectionMembers](mirror.KindCollectionMembers, more)
		if err != nil {
			return Collection{}, err
		}
		c.Smart = &members.Smart
		c.ProductIDs, err = r.tx.VisibleIDs(r.shop.ID, mirror.KindProduct, members.ProductIDs)
		if err != nil {
			return Collection{}, err
		}
	}
	return c, nil
}

func (r reader) discounts(rows []store.Row) ([]Discount, error) {
	sets, err := r.tx.ShownByID(r.shop.ID, mirror.KindDiscountCodes, ids(rows))
	if err != nil {
		return nil, err
	}
	all := make([]Discount, len(rows))
	for i, row := range rows {
		discount, err := decode[*mirror.Discount](mirror.KindDiscount, row)
		if err != nil {
			return nil, err
		}
		all[i] = Discount{ID: row.ID, Discount: *discount, Status: discount.StatusAt(r.now)}
		if set, ok := sets[row.ID]; ok {
			codes, err := decode[*mirror.DiscountCodes](mirror.KindDiscountCodes, set)
			if err != nil {
				return nil, err
			}
			all[i].Codes = codes.Codes
		}
		if err := r.hideIn(discount.AppliesTo); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// hideIn leaves hidden ids out of what a discount applies to.
func (r reader) hideIn(to *mirror.DiscountAppliesTo) error {
	if to == nil || to.All {
		return nil
	}
	for _, list := range []struct {
		kind mirror.Kind
		ids  *[]mirror.GID
	}{{mirror.KindProduct, &to.ProductIDs}, {mirror.KindProductVariant, &to.VariantIDs}, {mirror.KindCollection, &to.CollectionIDs}} {
		visible, err := r.tx.VisibleIDs(r.shop.ID, list.kind, *list.ids)
		if err != nil {
			return err
		}
		*list.ids = visible // Never nil: the three lists are all present.
	}
	return nil
}

// orders keeps those of the rows that the copy may show: all, or the last 60
// days', as far back as the granted scopes reach.
func (r reader) orders(rows []store.Row) ([]Order, error) {
	derived, err := r.tx.ShownByID(r.shop.ID, mirror.KindOrderDerived, ids(rows))
	if err != nil {
		return nil, err
	}
	everything, since := len(mirror.MissingScopes(splitScopes(r.shop.Scopes), []string{mirror.ScopeAllOrders})) == 0, r.now.Add(-mirror.OrderWindow)
	var all []Order
	for _, row := range rows {
		order, err := decode[*mirror.Order](mirror.KindOrder, row)
		if err != nil {
			return nil, err
		}
		if !everything && mirror.At(order.CreatedAt.Time) < since {
			continue
		}
		o := Order{ID: row.ID, Order: *order}
		if more, ok := derived[row.ID]; ok {
			d, err := decode[*mirror.OrderDerived](mirror.KindOrderDerived, more)
			if err != nil {
				return nil, err
			}
			o.DisplayFinancialStatus, o.DisplayFulfillmentStatus = d.DisplayFinancialStatus, &d.DisplayFulfillmentStatus
		}
		all = append(all, o)
	}
	return all, nil
}
