package graph

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// SearchReport tells what a search did not understand. Shopify then answers as
// if those parts had not been there, possibly with everything.
type SearchReport struct {
	Path     []any           `json:"path"`
	Query    string          `json:"query"`
	Warnings []SearchWarning `json:"warnings"`
}

// SearchWarning is one part of a search that was ignored.
type SearchWarning struct {
	Field   string `json:"field"`
	Message string `json:"message"`
	Code    string `json:"code"`
}

// Filter makes the test for one comparison with a field; ok is false for a
// value that the field cannot have. The operator is one of "", ">", ">=", "<" and "<=".
type Filter[T any] func(operator, value string) (test func(T) bool, ok bool)

// Search compiles a query in Shopify's search syntax ("API search syntax", seen
// 2026-11-24): field:value, quotes, comparisons, AND (or a space), OR binding
// tighter than AND, NOT or a leading minus, parentheses, value* for a prefix,
// field:* for anything set. Words without a field are looked for in what words
// gives. keep is nil where the query restricts nothing.
func Search[T any](query string, fields map[string]Filter[T], words func(T) string) (keep func(T) bool, report *SearchReport) {
	report = &SearchReport{Query: query}
	parser := &searchParser{rest: query}
	tree := parser.all(0)
	return compile(tree, fields, words, report), report
}

// term is a node of a parsed search: an operator over its parts, or a comparison.
type term struct {
	join  string // "AND", "OR" or "NOT"; empty for a comparison.
	parts []*term

	field, operator, value string
}

// searchParser reads a search; it has no way to fail, as Shopify's has not.
type searchParser struct{ rest string }

// maxSearchDepth bounds parentheses and negations inside one another; what lies
// deeper is ignored.
const maxSearchDepth = 50

func (p *searchParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// word takes a keyword that stands alone.
func (p *searchParser) word(keyword string) bool {
	p.space()
	tail, ok := strings.CutPrefix(p.rest, keyword)
	if !ok || tail != "" && !strings.ContainsRune(" \t\r\n()", rune(tail[0])) {
		return false
	}
	p.rest = tail
	return true
}

// all reads parts joined by AND or by nothing, up to the end or a closing parenthesis.
func (p *searchParser) all(depth int) *term {
	out := &term{join: "AND"}
	for {
		for p.word("AND") {
		}
		p.space()
		if p.rest == "" || p.rest[0] == ')' {
			return out
		}
		out.parts = append(out.parts, p.any(depth))
	}
}

// any reads parts joined by OR.
func (p *searchParser) any(depth int) *term {
	out := &term{join: "OR", parts: []*term{p.one(depth)}}
	for p.word("OR") {
		p.space()
		if p.rest == "" || p.rest[0] == ')' {
			break
		}
		out.parts = append(out.parts, p.one(depth))
	}
	if len(out.parts) == 1 {
		return out.parts[0]
	}
	return out
}

func (p *searchParser) one(depth int) *term {
	p.space()
	if depth > maxSearchDepth {
		p.rest = ""
		return &term{join: "AND"}
	}
	if p.word("NOT") {
		p.space()
		if p.rest == "" || p.rest[0] == ')' {
			return &term{join: "AND"}
		}
		return &term{join: "NOT", parts: []*term{p.one(depth + 1)}}
	}
	if len(p.rest) > 1 && p.rest[0] == '-' && !strings.ContainsRune(" \t\r\n()", rune(p.rest[1])) {
		p.rest = p.rest[1:]
		return &term{join: "NOT", parts: []*term{p.one(depth + 1)}}
	}
	if strings.HasPrefix(p.rest, "(") {
		p.rest = p.rest[1:]
		inner := p.all(depth + 1)
		p.rest = strings.TrimPrefix(p.rest, ")")
		return inner
	}
	return p.comparison()
}

// comparison reads field:value or a word without a field.
func (p *searchParser) comparison() *term {
	out := &term{}
	end := 0
	for end < len(p.rest) && (p.rest[end] == '_' || p.rest[end] == '.' || isLetterOrDigit(p.rest[end])) {
		end++
	}
	if end > 0 && end < len(p.rest) && p.rest[end] == ':' {
		out.field, p.rest = p.rest[:end], p.rest[end+1:]
		for _, operator := range []string{">=", "<=", ">", "<"} {
			if tail, ok := strings.CutPrefix(p.rest, operator); ok {
				out.operator, p.rest = operator, tail
				break
			}
		}
	}
	out.value = p.value()
	return out
}

func (p *searchParser) value() string {
	if p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"') {
		quote, out := p.rest[0], strings.Builder{}
		i := 1
		for ; i < len(p.rest) && p.rest[i] != quote; i++ {
			if p.rest[i] == '\\' && i+1 < len(p.rest) {
				i++
			}
			out.WriteByte(p.rest[i])
		}
		p.rest = p.rest[min(i+1, len(p.rest)):]
		return out.String()
	}
	end := strings.IndexAny(p.rest, " \t\r\n()")
	if end < 0 {
		end = len(p.rest)
	}
	out := p.rest[:end]
	p.rest = p.rest[end:]
	return out
}

func isLetterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// compile makes the test for a term; nil where the term restricts nothing.
func compile[T any](t *term, fields map[string]Filter[T], words func(T) string, report *SearchReport) func(T) bool {
	var tests []func(T) bool
	for _, part := range t.parts {
		if test := compile(part, fields, words, report); test != nil {
			tests = append(tests, test)
		}
	}
	switch t.join {
	case "AND", "OR", "NOT":
		switch {
		case len(tests) == 0:
			return nil
		case t.join == "NOT":
			return func(v T) bool { return !tests[0](v) }
		case len(tests) == 1:
			return tests[0]
		case t.join == "OR":
			return func(v T) bool { return slices.ContainsFunc(tests, func(test func(T) bool) bool { return test(v) }) }
		}
		return func(v T) bool { return !slices.ContainsFunc(tests, func(test func(T) bool) bool { return !test(v) }) }
	}
	if t.field == "" {
		wanted := strings.ToLower(strings.TrimSuffix(t.value, "*"))
		if wanted == "" || words == nil {
			return nil
		}
		return func(v T) bool { return strings.Contains(strings.ToLower(words(v)), wanted) }
	}
	filter, known := fields[strings.ToLower(t.field)]
	if !known {
		report.Warnings = append(report.Warnings, SearchWarning{t.field, "Invalid search field for this query.", "invalid_field"})
		return nil
	}
	test, ok := filter(t.operator, t.value)
	if !ok {
		report.Warnings = append(report.Warnings, SearchWarning{t.field, "Input `" + t.value + "` is not an accepted value.", "invalid_value"})
		return nil
	}
	return test
}

// accepts tells whether a comparison's outcome (negative, zero, positive) satisfies the operator.
func accepts(operator string, order int) bool {
	switch operator {
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	}
	return order == 0
}

// ByTime filters by a time, in whole seconds. A value without a time of day is a
// day in UTC.
func ByTime[T any](of func(T) time.Time) Filter[T] {
	return func(operator, value string) (func(T) bool, bool) {
		if value == "*" {
			return func(v T) bool { return !of(v).IsZero() }, true
		}
		if day, err := time.Parse(time.DateOnly, value); err == nil {
			next := day.AddDate(0, 0, 1)
			return func(v T) bool {
				at := of(v)
				switch {
				case at.IsZero():
					return false
				case operator == "":
					return !at.Before(day) && at.Before(next)
				case operator == ">":
					return !at.Before(next)
				case operator == "<=":
					return at.Before(next)
				}
				return accepts(operator, at.Compare(day))
			}, true
		}
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
			if limit, err := time.Parse(layout, value); err == nil {
				limit = limit.Truncate(time.Second)
				return func(v T) bool {
					at := of(v)
					return !at.IsZero() && accepts(operator, at.Truncate(time.Second).Compare(limit))
				}, true
			}
		}
		return nil, false
	}
}

// ByNumber filters by a whole number.
func ByNumber[T any](of func(T) int64) Filter[T] {
	return func(operator, value string) (func(T) bool, bool) {
		limit, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, false
		}
		return func(v T) bool {
			switch n := of(v); {
			case n < limit:
				return accepts(operator, -1)
			case n > limit:
				return accepts(operator, 1)
			}
			return accepts(operator, 0)
		}, true
	}
}

// ByText filters by a text, or any of several, regardless of case.
func ByText[T any](of func(T) []string) Filter[T] {
	return func(operator, value string) (func(T) bool, bool) {
		if operator != "" {
			return nil, false
		}
		wanted, isPrefix := strings.CutSuffix(strings.ToLower(value), "*")
		return func(v T) bool {
			return slices.ContainsFunc(of(v), func(text string) bool {
				text = strings.ToLower(text)
				if isPrefix {
					return text != "" && strings.HasPrefix(text, wanted)
				}
				return text == wanted
			})
		}, true
	}
}

// ByChoice filters by one of a few words; a comma-separated list is any of them.
func ByChoice[T any](of func(T) string, choices ...string) Filter[T] {
	return func(operator, value string) (func(T) bool, bool) {
		wanted := strings.Split(strings.ToLower(value), ",")
		for _, one := range wanted {
			if operator != "" || !slices.Contains(choices, one) {
				return nil, false
			}
		}
		return func(v T) bool { return slices.Contains(wanted, strings.ToLower(of(v))) }, true
	}
}
