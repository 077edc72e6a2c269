package simulator

import (
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/simulator/graph"
)

var _ = define(fields{
	"id":               of(func(c *Collection) any { return c.GID() }),
	"legacyResourceId": of(func(c *Collection) any { return number(c.ID) }),
	"title":            of(func(c *Collection) any { return c.Title }),
	"handle":           of(func(c *Collection) any { return c.Handle }),
	"descriptionHtml":  of(func(c *Collection) any { return c.DescriptionHTML }),
	"description": with(func(_ *query, c *Collection, args map[string]any) (any, error) {
		return plain(c.DescriptionHTML, args), nil
	}),
	"sortOrder": of(func(c *Collection) any { return c.SortOrder }),
	"updatedAt": of(func(c *Collection) any { return c.UpdatedAt }),
	"hasProduct": with(func(_ *query, c *Collection, args map[string]any) (any, error) {
		kind, id, _, ok := parseGID(fmt.Sprint(args["id"]))
		if !ok || kind != typeProduct {
			return nil, invalidID(args["id"])
		}
		return c.Holds(id), nil
	}),
	"productsCount": with(func(q *query, c *Collection, _ map[string]any) (any, error) {
		n := int64(len(existing(&q.shop.Products, c.Members)))
		return q.count(n, n), nil
	}),
	"products": with((*query).members),
	"ruleSet": with(func(q *query, c *Collection, _ map[string]any) (any, error) {
		if !c.Smart() {
			return nil, nil
		}
		return q.object("CollectionRuleSet", c), nil
	}),
	// Chosen by hand or by rules, the members have one source; it has conditions
	// where there are rules.
	"sources": with(func(q *query, c *Collection, _ map[string]any) (any, error) {
		return []any{q.object("CollectionConditionsSource", c)}, nil
	}),
	"metafield":  metafieldOf(func(c *Collection) []*Metafield { return c.Metafields }),
	"metafields": metafieldsOf(func(c *Collection) []*Metafield { return c.Metafields }),
}, typeCollection)

// memberSorts gives the sort values of a collection's products, by sort key or,
// for COLLECTION_DEFAULT, by the collection's own order. The others are by number.
var memberSorts = map[string]func(*Product) string{
	"TITLE":        products.sorts["TITLE"],
	"ALPHA_ASC":    products.sorts["TITLE"],
	"ALPHA_DESC":   products.sorts["TITLE"],
	"CREATED":      products.sorts["CREATED_AT"],
	"CREATED_DESC": products.sorts["CREATED_AT"],
	"PRICE":        lowestPrice,
	"PRICE_ASC":    lowestPrice,
	"PRICE_DESC":   lowestPrice,
}

func lowestPrice(p *Product) string {
	if len(p.Variants) == 0 {
		return graph.NumberValue(0)
	}
	return graph.NumberValue(int64(slices.Min(each(p.Variants, func(v *Variant) Money { return v.Price }))))
}

// members pages over the products of a collection.
func (q *query) members(c *Collection, args map[string]any) (any, error) {
	order, _ := args["sortKey"].(string)
	if order == "COLLECTION_DEFAULT" {
		order = c.SortOrder
		if strings.HasSuffix(order, "_DESC") {
			turned := map[string]any{"reverse": args["reverse"] != true}
			for name, value := range args {
				if name != "reverse" {
					turned[name] = value
				}
			}
			args = turned
		}
	}
	value := memberSorts[order]
	if value == nil {
		return numbered(q, args, typeProduct, &q.shop.Products, c.Members)
	}
	rows := each(existing(&q.shop.Products, c.Members), func(id int64) *Product { p, _ := q.shop.Products.Get(id); return p })
	return connect(args, sortOf(order), graph.Sorted(rows, func(p *Product) graph.Key { return graph.Key{Value: value(p), ID: p.ID} },
		func(p *Product) graph.Object { return q.object(typeProduct, p) }))
}

var _ = define(fields{
	"appliedDisjunctively": of(func(c *Collection) any { return c.AnyRule }),
	"rules": with(func(q *query, c *Collection, _ map[string]any) (any, error) {
		return each(c.Rules, func(r Rule) any { return q.object("CollectionRule", r) }), nil
	}),
}, "CollectionRuleSet")

var _ = define(fields{
	"column":    of(func(r Rule) any { return r.Column }),
	"condition": of(func(r Rule) any { return r.Condition }),
	"relation":  of(func(r Rule) any { return r.Relation }),
}, "CollectionRule")

var _ = define(fields{
	"id":         of(func(c *Collection) any { return gid("CollectionConditionsSource", c.ID) }),
	"title":      of(func(c *Collection) any { return c.Title }),
	"shareable":  always(false),
	"targetType": always("PRODUCTS"),
	"inclusion": with(func(q *query, c *Collection, _ map[string]any) (any, error) {
		return q.object("CollectionSourceInclusion", c), nil
	}),
}, "CollectionConditionsSource")

var _ = define(fields{
	"matchType": of(func(c *Collection) any {
		switch {
		case !c.Smart():
			return nil
		case c.AnyRule:
			return "ANY"
		}
		return "ALL"
	}),
	"conditions": with(func(q *query, c *Collection, _ map[string]any) (any, error) {
		out := []any{}
		for i, rule := range c.Rules {
			name, ok := conditionTypes[rule.Column]
			if !ok {
				return nil, fmt.Errorf("rules about %s have no condition", rule.Column)
			}
			out = append(out, q.object(name, condition{rule, c.ID*100 + int64(i)}))
		}
		return out, nil
	}),
}, "CollectionSourceInclusion")

// condition is a rule as an object with a number.
type condition struct {
	Rule
	id int64
}

// conditionTypes names the type of a rule's condition, by the rule's column.
var conditionTypes = map[string]string{
	"TAG":           "CollectionSourceInclusionConditionProductTag",
	"TITLE":         "CollectionSourceInclusionConditionProductTitle",
	"TYPE":          "CollectionSourceInclusionConditionProductType",
	"VENDOR":        "CollectionSourceInclusionConditionProductVendor",
	"VARIANT_PRICE": "CollectionSourceInclusionConditionVariantPrice",
}

func conditionID(name string) resolver {
	return of(func(c condition) any { return gid(name, c.id) })
}

var _ = define(fields{
	"id":        conditionID("CollectionSourceInclusionConditionProductTag"),
	"matchType": always("ANY"),
	"relation": of(func(c condition) any {
		if c.Relation == "NOT_EQUALS" {
			return "NOT_TAGGED_WITH"
		}
		return "TAGGED_WITH"
	}),
	"values": of(func(c condition) any { return []string{c.Condition} }),
}, "CollectionSourceInclusionConditionProductTag")

var _ = defineTextConditions("CollectionSourceInclusionConditionProductTitle",
	"CollectionSourceInclusionConditionProductType", "CollectionSourceInclusionConditionProductVendor")

func defineTextConditions(names ...string) struct{} {
	for _, name := range names {
		define(fields{
			"id":        conditionID(name),
			"matchType": always("ANY"),
			"relation":  of(func(c condition) any { return c.Relation }),
			"values":    of(func(c condition) any { return []string{c.Condition} }),
		}, name)
	}
	return struct{}{}
}

var _ = define(fields{
	"id":       conditionID("CollectionSourceInclusionConditionVariantPrice"),
	"relation": of(func(c condition) any { return c.Relation }),
	"value": with(func(q *query, c condition, _ map[string]any) (any, error) {
		amount, err := parseMoney(c.Condition)
		if err != nil {
			return nil, err
		}
		return q.money(amount, q.shop.Currency), nil
	}),
}, "CollectionSourceInclusionConditionVariantPrice")
