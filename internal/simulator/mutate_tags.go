package simulator

import (
	"fmt"
	"slices"
	"strings"
)

func init() {
	mutation("tagsAdd", "", func(q *query, in input) (payload, error) { return q.changeTags("tagsAdd", in, true) }, "node")
	mutation("tagsRemove", "", func(q *query, in input) (payload, error) { return q.changeTags("tagsRemove", in, false) }, "node")
}

// changeTags adds tags to a product or an order, or takes them away; the scope
// is the owner's. Tags differ in more than case.
func (q *query) changeTags(name string, in input, add bool) (payload, error) {
	kind, id, _, ok := parseGID(fmt.Sprint(in["id"]))
	if !ok || kind != typeProduct && kind != typeOrder {
		return payload{}, invalidID(in["id"])
	}
	scope := "write_products"
	if kind == typeOrder {
		scope = "write_orders"
		if err := q.denied("read_orders", name); err != nil {
			return payload{}, err
		}
	}
	if err := q.denied(scope, name); err != nil {
		return payload{}, err
	}
	var named []string
	for _, text := range in.texts("tags") { // A text may hold several.
		for tag := range strings.SplitSeq(text, ",") {
			if tag = strings.TrimSpace(tag); tag != "" {
				named = append(named, tag)
			}
		}
	}
	change := func(tags []string) []string {
		out := slices.DeleteFunc(slices.Clone(tags), func(old string) bool {
			return !add && slices.ContainsFunc(named, func(tag string) bool { return strings.EqualFold(tag, old) })
		})
		for _, tag := range named {
			if add && !slices.ContainsFunc(out, func(old string) bool { return strings.EqualFold(tag, old) }) {
				out = append(out, tag)
			}
		}
		return out
	}
	var node any
	var err error
	if kind == typeProduct {
		err = q.shop.UpdateProduct(id, func(p *Product) { p.Tags = change(p.Tags); node = q.object(typeProduct, p) })
	} else {
		err = q.shop.UpdateOrder(id, func(o *Order) { o.Tags = change(o.Tags); node = q.object(typeOrder, o) })
	}
	if err != nil {
		return unexpected(err, "", "id")
	}
	return done(map[string]any{"node": node})
}
