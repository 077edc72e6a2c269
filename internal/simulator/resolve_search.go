package simulator

import (
	"slices"
	"strconv"
	"strings"

	"stockroom/internal/simulator/graph"
)

// Filters of searches that several lists share, or that look beyond their row.

// byMoney filters by an amount, or any of several.
func byMoney[T any](of func(T) []Money) graph.Filter[T] {
	return func(c graph.Comparison) graph.Condition[T] {
		limit, err := parseMoney(c.Value)
		if err != nil {
			return graph.Condition[T]{}
		}
		return graph.Condition[T]{Test: func(v T) bool {
			return slices.ContainsFunc(of(v), func(m Money) bool {
				switch c.Operator {
				case ">":
					return m > limit
				case ">=":
					return m >= limit
				case "<":
					return m < limit
				case "<=":
					return m <= limit
				}
				return m == limit
			})
		}}
	}
}

// byMetafield finds the filter of a field like metafields.custom.material.
func byMetafield[T any](of func(T) []*Metafield) func(string) graph.Filter[T] {
	return func(field string) graph.Filter[T] {
		path := strings.SplitN(field, ".", 3)
		if len(path) < 3 || path[0] != "metafields" {
			return nil
		}
		return graph.ByText(func(v T) []string {
			var out []string
			for _, m := range of(v) {
				if m.Namespace == path[1] && m.Key == path[2] {
					out = append(out, m.Value)
				}
			}
			return out
		})
	}
}

// byPublication filters by where something is shown. There is one channel, the
// online store; words that name another by its id or handle are not simulated.
func byPublication[T any](q *query, of func(T) publishable) graph.Filter[T] {
	shown := func(v T) bool { return published(of(v), q.access.Now) }
	return func(c graph.Comparison) graph.Condition[T] {
		switch value := strings.ToLower(c.Value); {
		case c.Operator != "":
		case value == "online_store_channel": // Regardless of publication.
			return graph.Condition[T]{Test: func(T) bool { return true }}
		case value == "published" || value == "visible":
			return graph.Condition[T]{Test: shown}
		case value == "unpublished" || value == "unavailable":
			return graph.Condition[T]{Test: func(v T) bool { return !shown(v) }}
		case strings.Contains(value, "-"):
			return graph.Condition[T]{Why: &graph.SearchWarning{Code: "not_simulated",
				Message: "Shopify would look for the channel, the simulator does not: it was ignored."}}
		}
		return graph.Condition[T]{}
	}
}

// byCollection filters by the number of a collection that holds the product.
func byCollection[T any](q *query, of func(T) *Product) graph.Filter[T] {
	return func(c graph.Comparison) graph.Condition[T] {
		if id, err := strconv.ParseInt(c.Value, 10, 64); err == nil && c.Operator == "" {
			wanted, ok := q.shop.Collections.Get(id) // Once, not for each product.
			return graph.Condition[T]{Test: func(v T) bool { return ok && wanted.Holds(of(v).ID) }}
		}
		return graph.ByID(func(v T) []int64 {
			var out []int64
			for each := range q.shop.Collections.All() {
				if each.Holds(of(v).ID) {
					out = append(out, each.ID)
				}
			}
			return out
		})(c)
	}
}

// onlyDefault tells whether a product has no options to choose among.
func (p *Product) onlyDefault() bool {
	return len(p.Variants) == 1 && p.Variants[0].Title == defaultVariantTitle
}

// outOfStockSomewhere tells whether a tracked variant is sold out at a location
// that stocks it.
func (p *Product) outOfStockSomewhere() bool {
	return slices.ContainsFunc(p.Variants, func(v *Variant) bool {
		return v.Item.Tracked && slices.ContainsFunc(v.Item.Levels, func(l *Level) bool { return l.Shown() && l.Available <= 0 })
	})
}

// option is a variant's value for the product's option at a place, from 0.
func (v *Variant) option(at int) []string {
	if at >= len(v.Values) {
		return nil
	}
	return []string{v.Values[at]}
}
