package simulator

import (
	"html"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
)

// happenings are all events of the shop.
var happenings = list[*Happening]{
	typename: "BasicEvent",
	index:    func(s *Shop) *Index[*Happening] { return &s.Events },
	filters: map[string]graph.Filter[*Happening]{
		"id":           graph.ByID(func(h *Happening) []int64 { return []int64{h.ID} }),
		"comments":     graph.ByText(func(*Happening) []string { return []string{"false", "true"} }), // There are none.
		"action":       graph.ByText(func(h *Happening) []string { return []string{h.Action} }),
		"subject_type": graph.ByText(func(h *Happening) []string { return []string{h.subjectType()} }),
		"created_at":   graph.ByTime(func(h *Happening) time.Time { return h.At }),
	},
	sorts: map[string]func(*Happening) string{"CREATED_AT": func(h *Happening) string { return sortable(h.At) }},
}

func init() {
	define(fields{
		"id":                   of(func(h *Happening) any { return gid("BasicEvent", h.ID) }),
		"action":               of(func(h *Happening) any { return h.Action }),
		"createdAt":            of(func(h *Happening) any { return h.At }),
		"message":              of(func(h *Happening) any { return html.EscapeString(h.message()) }),
		"subjectId":            of(func(h *Happening) any { return h.SubjectID }),
		"subjectType":          of(func(h *Happening) any { return h.subjectType() }),
		"appTitle":             always(nil),
		"author":               always("Shopify"),
		"attributeToApp":       always(false),
		"attributeToUser":      always(false),
		"criticalAlert":        always(false),
		"hasAdditionalContent": always(false),
		"subject": with(func(q *query, h *Happening, _ map[string]any) (any, error) { // Null once it is gone.
			return q.node(h.SubjectID, "subject")
		}),
	}, "BasicEvent")
	extend(fields{
		"event": func(q *query, _ any, args map[string]any) (any, error) {
			id, err := numberOf(args["id"], "BasicEvent")
			if err != nil {
				return nil, err
			}
			return q.visibleEvents(nil).get(q, id), nil
		},
		"events":      func(q *query, _ any, args map[string]any) (any, error) { return q.visibleEvents(nil).page(q, args) },
		"eventsCount": func(q *query, _ any, args map[string]any) (any, error) { return q.visibleEvents(nil).count(q, args) },
	}, "QueryRoot")
	extend(fields{"events": eventsOf(func(p *Product) string { return p.GID() })}, typeProduct)
	extend(fields{"events": eventsOf(func(v *Variant) string { return v.GID() })}, typeVariant)
	extend(fields{"events": eventsOf(func(c *Collection) string { return c.GID() })}, typeCollection)
	extend(fields{"events": eventsOf(func(o *Order) string { return o.GID() })}, typeOrder)
	extend(fields{"events": eventsOf(func(d *Discount) string { return d.GID() })},
		"DiscountNode", typeDiscountCode, typeDiscountAutomatic, "DiscountAutomaticBxgy")
}

func eventsOf[T any](gid func(T) string) resolver {
	return with(func(q *query, owner T, args map[string]any) (any, error) {
		subject := gid(owner)
		return q.visibleEvents(func(h *Happening) bool { return h.SubjectID == subject }).page(q, args)
	})
}

// visibleEvents are the events of what the token may read, of one subject or all.
func (q *query) visibleEvents(keep func(*Happening) bool) list[*Happening] {
	out := happenings
	out.visible = func(q *query, h *Happening) bool {
		scope := "read_products"
		switch word := h.subjectType(); {
		case word == "ORDER":
			scope = "read_orders"
		case strings.HasPrefix(word, "DISCOUNT"):
			scope = "read_discounts"
		}
		return q.denied(scope, "events") == nil && (keep == nil || keep(h))
	}
	return out
}
