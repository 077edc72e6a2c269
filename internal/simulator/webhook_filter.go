package simulator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
)

// badFilter is the complaint about a filter without fields (recorded, 2026-07).
const badFilter = "The specified filter is invalid, please ensure you specify the field(s) you wish to filter on."

// checkFilter says what is wrong with a subscription's filter; "" where nothing
// is. Recorded is the refusal of words without a field. That an open quote or
// parenthesis is refused in the same words is unproven, as they are for
// metaobjects, whose filter must name a type (page on filters).
func checkFilter(topic, filter string) string {
	fields, balanced := graph.SearchFields(filter)
	metaobject := strings.HasPrefix(topic, "METAOBJECTS_")
	switch {
	case strings.TrimSpace(filter) == "" && !metaobject:
		return ""
	case !balanced || len(fields) == 0 || slices.Contains(fields, ""):
		return badFilter
	case metaobject && !slices.Contains(fields, "type"):
		return badFilter
	}
	return ""
}

// passes judges a body by a subscription's filter, in the search syntax. Fields
// and values are case-sensitive (page on filters). A field that the body lacks
// fits nothing, so that a misspelt filter is silent, as Shopify's are.
func passes(filter string, body map[string]any, zone *time.Location, now time.Time) bool {
	keep, _ := graph.Search(filter, graph.Vocabulary[map[string]any]{Other: byBody, Zone: zone, Now: now})
	return keep == nil || keep(body)
}

// byBody filters by what lies at a path in a body.
func byBody(field string) graph.Filter[map[string]any] {
	path := strings.Split(field, ".")
	return func(c graph.Comparison) graph.Condition[map[string]any] {
		if c.Operator == "" {
			return graph.ByExactText(func(body map[string]any) []string {
				return each(values(body, path), func(value any) string { return fmt.Sprint(value) })
			})(c)
		}
		return graph.Condition[map[string]any]{Test: func(body map[string]any) bool {
			return slices.ContainsFunc(values(body, path), func(value any) bool { return ordered(fmt.Sprint(value), c) })
		}}
	}
}

// ordered compares a text with that of a comparison: as times or amounts where
// both are such, else as texts.
func ordered(got string, c graph.Comparison) bool {
	if at, err := time.Parse(time.RFC3339, got); err == nil {
		time := graph.ByTime(func(time.Time) time.Time { return at })(c)
		return time.Test != nil && time.Test(at)
	}
	order := strings.Compare(got, c.Value)
	if a, err := parseMoney(got); err == nil {
		if b, err := parseMoney(c.Value); err == nil {
			order = cmp.Compare(a, b)
		}
	}
	return order > 0 && c.Operator[0] == '>' || order < 0 && c.Operator[0] == '<' || order == 0 && strings.HasSuffix(c.Operator, "=")
}

// values are what a path finds in a body, several where it leads through a list.
func values(body any, path []string) []any {
	if len(path) == 0 {
		return []any{body}
	}
	switch body := body.(type) {
	case map[string]any:
		if value, ok := body[path[0]]; ok && value != nil {
			return values(value, path[1:])
		}
	case []map[string]any:
		var out []any
		for _, element := range body {
			out = append(out, values(element, path)...)
		}
		return out
	}
	return nil
}
