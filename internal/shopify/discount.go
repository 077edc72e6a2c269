package shopify

import (
	"context"
	"fmt"
	"strconv"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

var _ = registerList(List{
	Name: "discounts", rank: 7,
	Kinds:  []mirror.Kind{mirror.KindDiscount, mirror.KindDiscountCodes},
	Scopes: []string{"read_discounts", "read_products"},
	Page: func(ctx context.Context, c *Client, cursor string) (Page, error) {
		return listDiscounts(ctx, c, cursor, nil, "ID")
	},
})

var _ = registerSweep(Sweep{
	Name: "discounts", rank: 7, Kinds: []mirror.Kind{mirror.KindDiscount}, Scopes: []string{"read_discounts", "read_products"},
	Page: func(ctx context.Context, c *Client, in Range, cursor string) (Page, error) {
		return listDiscounts(ctx, c, cursor, in.search(), "UPDATED_AT")
	},
})

func listDiscounts(ctx context.Context, c *Client, cursor string, search *string, sort string) (Page, error) {
	k := c.pageCollector()
	data, err := admin.ListDiscounts(ctx, k.q, cursorOf(cursor), search, sort)
	if err != nil {
		return Page{}, err
	}
	return page(k, data.DiscountNodes.Nodes, data.DiscountNodes.PageInfo, func(d admin.DiscountFields) error {
		return k.discount(ctx, d)
	})
}

var _ = registerScan(Scan{
	Name: "discounts", rank: 7, Kind: mirror.KindDiscount, Scopes: []string{"read_discounts"},
	Page: func(ctx context.Context, c *Client, cursor string) (ScanPage, error) {
		q := c.query()
		data, err := admin.ScanDiscounts(ctx, q, cursorOf(cursor))
		if err != nil {
			return ScanPage{}, err
		}
		return scanPage(q, data.DiscountNodes.Nodes, data.DiscountNodes.PageInfo, func(d admin.DiscountStamp) (mirror.GID, mirror.Time, error) {
			discount, ok := d.Discount.(interface{ GetUpdatedAt() mirror.Time })
			if !ok {
				return "", mirror.Time{}, fmt.Errorf("discount %s is of a type that nobody here knows", d.Id)
			}
			return d.Id, discount.GetUpdatedAt(), nil
		})
	},
})

// discountObjects are what a discount's gid may name: discountNodes answers
// with the first two, whatever its own type is called.
var discountObjects = []string{"DiscountCodeNode", "DiscountAutomaticNode", "DiscountNode"}

var _ = registerRead(mirror.ReadDiscount, reader{
	kind: mirror.KindDiscount, max: 20, objects: discountObjects,
	// One by one: what nodes(ids:) calls an object behind a DiscountCodeNode
	// id is not what discountNode calls it, and discountNode is the root that
	// the list's ids are known to work with.
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		if k.witness != "" {
			return k.discountsBeside(ctx, ids)
		}
		for _, id := range ids {
			data, err := admin.ReadDiscount(ctx, k.q, id)
			if err != nil {
				return err
			}
			if data.DiscountNode == nil {
				continue
			}
			if err := k.discount(ctx, *data.DiscountNode); err != nil {
				return err
			}
		}
		return nil
	},
})

// discountsBeside reads discounts one by one, the witness with each. When it
// does not answer once it is not observed, for then nothing is proven.
func (k *collector) discountsBeside(ctx context.Context, ids []mirror.GID) error {
	silent := false
	var witness *admin.DiscountFields
	for _, id := range ids {
		if id == k.witness {
			continue
		}
		data, err := admin.ReadDiscountBeside(ctx, k.q, id, k.witness)
		if err != nil {
			return err
		}
		if data.DiscountNode != nil {
			if err := k.discount(ctx, *data.DiscountNode); err != nil {
				return err
			}
		}
		witness, silent = data.Witness, silent || data.Witness == nil
	}
	if silent || witness == nil {
		return nil
	}
	return k.discount(ctx, *witness)
}

// discount observes a discount and, apart from it, its codes: a code is added
// without moving the discount's updatedAt.
func (k *collector) discount(ctx context.Context, node admin.DiscountFields) error {
	content := mirror.Discount{}
	codes := admin.CodePage{}
	var (
		gets    *admin.GetsFields
		minimum *admin.MinimumFields
		ends    *mirror.Time
	)
	free := &mirror.DiscountValue{Free: "shipping"}
	all := &mirror.DiscountAppliesTo{All: true}
	switch d := node.Discount.(type) {
	case *admin.DiscountFieldsDiscountDiscountCodeBasic:
		content.Title, content.StartsAt, ends, content.CreatedAt, content.UpdatedAt = d.Title, d.StartsAt, d.EndsAt, d.CreatedAt, d.UpdatedAt
		content.Summary, content.UsageLimit = &d.Summary, d.UsageLimit
		gets, minimum, codes = &d.CustomerGets, d.MinimumRequirement, d.Codes
	case *admin.DiscountFieldsDiscountDiscountCodeBxgy:
		content.Title, content.StartsAt, ends, content.CreatedAt, content.UpdatedAt = d.Title, d.StartsAt, d.EndsAt, d.CreatedAt, d.UpdatedAt
		content.Summary, content.UsageLimit = &d.Summary, d.UsageLimit
		gets, codes = &d.CustomerGets, d.Codes
	case *admin.DiscountFieldsDiscountDiscountCodeFreeShipping:
		content.Title, content.StartsAt, ends, content.CreatedAt, content.UpdatedAt = d.Title, d.StartsAt, d.EndsAt, d.CreatedAt, d.UpdatedAt
		content.Summary, content.UsageLimit = &d.Summary, d.UsageLimit
		content.Value, content.AppliesTo = free, all
		minimum, codes = d.MinimumRequirement, d.Codes
	case *admin.DiscountFieldsDiscountDiscountCodeApp:
		content.Title, content.StartsAt, ends, content.CreatedAt, content.UpdatedAt = d.Title, d.StartsAt, d.EndsAt, d.CreatedAt, d.UpdatedAt
		content.UsageLimit, codes = d.UsageLimit, d.Codes
	case *admin.DiscountFieldsDiscountDiscountAutomaticBasic:
		content.Title, content.StartsAt, ends, content.CreatedAt, content.UpdatedAt = d.Title, d.StartsAt, d.EndsAt, d.CreatedAt, d.UpdatedAt
		content.Summary, gets, minimum = &d.Summary, &d.CustomerGets, d.MinimumRequirement
	case *admin.DiscountFieldsDiscountDiscountAutomaticBxgy:
		content.Title, content.StartsAt, ends, content.CreatedAt, content.UpdatedAt = d.Title, d.StartsAt, d.EndsAt, d.CreatedAt, d.UpdatedAt
		content.Summary, gets = &d.Summary, &d.CustomerGets
	case *admin.DiscountFieldsDiscountDiscountAutomaticFreeShipping:
		content.Title, content.StartsAt, ends, content.CreatedAt, content.UpdatedAt = d.Title, d.StartsAt, d.EndsAt, d.CreatedAt, d.UpdatedAt
		content.Summary, minimum = &d.Summary, d.MinimumRequirement
		content.Value, content.AppliesTo = free, all
	case *admin.DiscountFieldsDiscountDiscountAutomaticApp:
		content.Title, content.StartsAt, ends, content.CreatedAt, content.UpdatedAt = d.Title, d.StartsAt, d.EndsAt, d.CreatedAt, d.UpdatedAt
	default:
		return fmt.Errorf("discount %s is of a type that API version %s does not know", node.Id, Version)
	}
	if typename := node.Discount.GetTypename(); typename != nil {
		content.Typename = *typename
	}
	content.EndsAt = timeOf(ends)
	var err error
	if gets != nil {
		if content.Value, err = discountValue(gets.Value); err != nil {
			return fmt.Errorf("discount %s: %w", node.Id, err)
		}
		if content.AppliesTo, err = k.discountItems(ctx, node.Id, gets.Items); err != nil {
			return err
		}
	}
	if minimum != nil {
		if content.Minimum, err = discountMinimum(*minimum); err != nil {
			return fmt.Errorf("discount %s: %w", node.Id, err)
		}
	}
	if err := k.present(node.Id, content); err != nil {
		return err
	}
	return k.discountCodes(ctx, node.Id, codes)
}

func (k *collector) discountCodes(ctx context.Context, id mirror.GID, first admin.CodePage) error {
	nodes := first.Nodes
	err := readOn(first.PageInfo, func(after string) (admin.PageEnd, error) {
		data, err := admin.MoreDiscountCodes(ctx, k.q, id, after)
		if err != nil {
			return admin.PageEnd{}, err
		}
		if data.DiscountNode == nil {
			return admin.PageEnd{}, errGone
		}
		discount, ok := data.DiscountNode.Discount.(interface{ GetCodes() admin.CodePage })
		if !ok {
			return admin.PageEnd{}, errGone
		}
		more := discount.GetCodes()
		nodes = append(nodes, more.Nodes...)
		return more.PageInfo, nil
	})
	if err != nil {
		return err
	}
	codes := make([]string, len(nodes))
	for i, node := range nodes {
		codes[i] = node.Code
	}
	return k.present(id, mirror.DiscountCodes{Codes: mirror.SortedStrings(codes)})
}

func discountValue(value admin.GetsFieldsValueDiscountCustomerGetsValue) (*mirror.DiscountValue, error) {
	switch v := value.(type) {
	case *admin.GetsFieldsValueDiscountPercentage:
		return &mirror.DiscountValue{Percentage: &v.Percentage}, nil
	case *admin.GetsFieldsValueDiscountAmount:
		return &mirror.DiscountValue{
			Amount: &v.Amount.Amount, CurrencyCode: v.Amount.CurrencyCode, Each: &v.AppliesOnEachItem,
		}, nil
	case *admin.GetsFieldsValueDiscountOnQuantity:
		quantity, err := wholeNumber(v.Quantity.Quantity)
		if err != nil {
			return nil, err
		}
		effect := &mirror.Effect{}
		switch e := v.Effect.(type) {
		case *admin.GetsFieldsValueDiscountOnQuantityEffectDiscountPercentage:
			effect.Percentage = &e.Percentage
		case *admin.GetsFieldsValueDiscountOnQuantityEffectDiscountAmount:
			effect.Amount, effect.CurrencyCode, effect.Each = &e.Amount.Amount, e.Amount.CurrencyCode, &e.AppliesOnEachItem
		default:
			return nil, fmt.Errorf("unknown effect %T", v.Effect)
		}
		return &mirror.DiscountValue{Quantity: &quantity, Effect: effect}, nil
	default:
		return nil, fmt.Errorf("unknown value %T", value)
	}
}

func discountMinimum(minimum admin.MinimumFields) (*mirror.DiscountMinimum, error) {
	switch m := minimum.(type) {
	case nil:
		return nil, nil
	case *admin.MinimumFieldsDiscountMinimumQuantity:
		quantity, err := wholeNumber(m.GreaterThanOrEqualToQuantity)
		return &mirror.DiscountMinimum{Quantity: &quantity}, err
	case *admin.MinimumFieldsDiscountMinimumSubtotal:
		subtotal := m.GreaterThanOrEqualToSubtotal
		return &mirror.DiscountMinimum{Subtotal: &subtotal.Amount, CurrencyCode: subtotal.CurrencyCode}, nil
	default:
		return nil, fmt.Errorf("unknown minimum requirement %T", minimum)
	}
}

// wholeNumber reads an UnsignedInt64, which Shopify sends as a string.
func wholeNumber(d mirror.Decimal) (int64, error) {
	n, err := strconv.ParseInt(string(d), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no whole number: %w", d, err)
	}
	return n, nil
}

// discountItems reads what a discount applies to, to the end of each list.
func (k *collector) discountItems(ctx context.Context, id mirror.GID, items admin.GetsFieldsItemsDiscountItems) (*mirror.DiscountAppliesTo, error) {
	var products, variants, collections []mirror.GID
	switch i := items.(type) {
	case *admin.GetsFieldsItemsAllDiscountItems:
		return &mirror.DiscountAppliesTo{All: true}, nil
	case *admin.GetsFieldsItemsDiscountProducts:
		takeProducts := func(page admin.ProductIDPage) admin.PageEnd {
			for _, node := range page.Nodes {
				products = append(products, node.Id)
			}
			return page.PageInfo
		}
		err := readOn(takeProducts(i.Products), func(after string) (admin.PageEnd, error) {
			data, err := admin.MoreDiscountProducts(ctx, k.q, id, after)
			if err != nil || data.DiscountNode == nil {
				return admin.PageEnd{}, goneUnless(err)
			}
			discount, ok := data.DiscountNode.Discount.(interface{ GetCustomerGets() admin.MoreGetsProducts })
			if !ok {
				return admin.PageEnd{}, errGone
			}
			list, ok := discount.GetCustomerGets().Items.(*admin.MoreGetsProductsItemsDiscountProducts)
			if !ok {
				return admin.PageEnd{}, errGone
			}
			return takeProducts(list.Products), nil
		})
		if err != nil {
			return nil, err
		}
		takeVariants := func(page admin.VariantIDPage) admin.PageEnd {
			for _, node := range page.Nodes {
				variants = append(variants, node.Id)
			}
			return page.PageInfo
		}
		err = readOn(takeVariants(i.ProductVariants), func(after string) (admin.PageEnd, error) {
			data, err := admin.MoreDiscountVariants(ctx, k.q, id, after)
			if err != nil || data.DiscountNode == nil {
				return admin.PageEnd{}, goneUnless(err)
			}
			discount, ok := data.DiscountNode.Discount.(interface{ GetCustomerGets() admin.MoreGetsVariants })
			if !ok {
				return admin.PageEnd{}, errGone
			}
			list, ok := discount.GetCustomerGets().Items.(*admin.MoreGetsVariantsItemsDiscountProducts)
			if !ok {
				return admin.PageEnd{}, errGone
			}
			return takeVariants(list.ProductVariants), nil
		})
		if err != nil {
			return nil, err
		}
	case *admin.GetsFieldsItemsDiscountCollections:
		takeCollections := func(page admin.CollectionIDPage) admin.PageEnd {
			for _, node := range page.Nodes {
				collections = append(collections, node.Id)
			}
			return page.PageInfo
		}
		err := readOn(takeCollections(i.Collections), func(after string) (admin.PageEnd, error) {
			data, err := admin.MoreDiscountCollections(ctx, k.q, id, after)
			if err != nil || data.DiscountNode == nil {
				return admin.PageEnd{}, goneUnless(err)
			}
			discount, ok := data.DiscountNode.Discount.(interface {
				GetCustomerGets() admin.MoreGetsCollections
			})
			if !ok {
				return admin.PageEnd{}, errGone
			}
			list, ok := discount.GetCustomerGets().Items.(*admin.MoreGetsCollectionsItemsDiscountCollections)
			if !ok {
				return admin.PageEnd{}, errGone
			}
			return takeCollections(list.Collections), nil
		})
		if err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("discount %s: unknown items %T", id, items)
	}
	return &mirror.DiscountAppliesTo{
		ProductIDs: mirror.SortedIDs(products), VariantIDs: mirror.SortedIDs(variants), CollectionIDs: mirror.SortedIDs(collections),
	}, nil
}

// goneUnless is the call's own error, or that the discount is gone.
func goneUnless(err error) error {
	if err != nil {
		return err
	}
	return errGone
}
