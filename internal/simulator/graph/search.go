package graph

import (
	"slices"
	"strings"
	"time"
)

// SearchReport tells how a search was read, and what of it was ignored. Shopify
// answers as if those parts had not been there, possibly with everything.
type SearchReport struct {
	Path     []any           `json:"path"`
	Query    string          `json:"query"`
	Parsed   *Parsed         `json:"parsed,omitempty"`
	Warnings []SearchWarning `json:"warnings"`
}

// SearchWarning is one part of a search that was ignored.
type SearchWarning struct {
	Field   string `json:"field"`
	Message string `json:"message"`
	Code    string `json:"code,omitempty"`
}

// Parsed is a search as it was read: a comparison, or several joined. Recorded
// are all members but Not, MatchPrefix, Exists and the ranges from above.
type Parsed struct {
	And []*Parsed `json:"and,omitempty"`
	Or  []*Parsed `json:"or,omitempty"`
	Not *Parsed   `json:"not,omitempty"`

	Field       string `json:"field,omitempty"` // "default" for words without one.
	MatchAll    any    `json:"match_all,omitempty"`
	MatchPhrase any    `json:"match_phrase,omitempty"` // Of a value in quotes.
	MatchPrefix any    `json:"match_prefix,omitempty"`
	Exists      bool   `json:"exists,omitempty"`
	RangeGT     any    `json:"range_gt,omitempty"`
	RangeGTE    any    `json:"range_gte,omitempty"`
	RangeLT     any    `json:"range_lt,omitempty"`
	RangeLTE    any    `json:"range_lte,omitempty"`
}

func (p *Parsed) isRange() bool {
	return p.RangeGT != nil || p.RangeGTE != nil || p.RangeLT != nil || p.RangeLTE != nil
}

// Comparison is a field:value of a search.
type Comparison struct {
	Operator string // "", ">", ">=", "<" or "<=".
	Value    string
	Quoted   bool
	Zone     *time.Location // Of times that name none.
	Now      time.Time
}

// Condition is what a Filter makes of a comparison.
type Condition[T any] struct {
	Test  func(T) bool   // Nil where the comparison is ignored.
	Shown any            // The value as the report shows it; nil where that is as it was given.
	Why   *SearchWarning // Of an ignored one; nil for a value that is not accepted.
}

// Filter makes the condition of one field.
type Filter[T any] func(Comparison) Condition[T]

// Vocabulary is what a search can speak of.
type Vocabulary[T any] struct {
	Fields map[string]Filter[T] // By name in lower case; searches may write it otherwise.
	// Other finds the filter of a field that is not among Fields, as it is
	// written. Nil, or a nil answer, means that there is none.
	Other func(field string) Filter[T]
	// Words is where words without a field are looked for; nil where the list
	// has no such search.
	Words func(T) string
	// Missing names the fields that Shopify has and this list lacks, as Shopify's
	// descriptions do: metafields.{namespace}.{key} stands for all of those.
	Missing []string

	Zone *time.Location // The shop's; nil is UTC.
	Now  time.Time
}

// Search compiles a query in Shopify's search syntax ("Shopify API search
// syntax", seen 2026-11-24): field:value, quotes, comparisons, AND (or a space),
// OR binding tighter than AND, NOT or a leading minus, parentheses, value* for a
// prefix, field:* for anything set. keep is nil where the query restricts nothing.
//
// A value without quotes ends at a colon, and what follows is read as the next
// term (recorded): updated_at:>2026-01-01T10:00:00Z means after ten o'clock in
// the shop's zone, and a field named 00.
func Search[T any](query string, words Vocabulary[T]) (keep func(T) bool, report *SearchReport) {
	if words.Zone == nil {
		words.Zone = time.UTC
	}
	report = &SearchReport{Query: query, Warnings: []SearchWarning{}}
	keep, report.Parsed = words.compile(parseSearch(query), report)
	return keep, report
}

// SearchFields lists the fields of a search in their order; "" stands for a word
// without one. balanced tells whether all quotes and parentheses are closed.
func SearchFields(query string) (fields []string, balanced bool) {
	parser := &searchParser{rest: query}
	var walk func(*term)
	walk = func(t *term) {
		if t.join == "" {
			fields = append(fields, t.field)
		}
		for _, part := range t.parts {
			walk(part)
		}
	}
	walk(parser.all(0))
	return fields, !parser.torn && parser.rest == ""
}

// term is a node of a parsed search: an operator over its parts, or a comparison.
type term struct {
	join  string // "AND", "OR" or "NOT"; empty for a comparison.
	parts []*term

	field, operator, value string
	quoted                 bool
}

func parseSearch(query string) *term {
	parser := &searchParser{rest: query}
	return parser.all(0)
}

// searchParser reads a search; it has no way to fail, as Shopify's has not.
type searchParser struct {
	rest string
	torn bool // A quote or a parenthesis was left open.
}

// maxSearchDepth bounds parentheses and negations inside one another; what lies
// deeper is ignored.
const maxSearchDepth = 50

const searchSpace = " \t\r\n"

func (p *searchParser) space() { p.rest = strings.TrimLeft(p.rest, searchSpace) }

// word takes a keyword that stands alone.
func (p *searchParser) word(keyword string) bool {
	p.space()
	tail, ok := strings.CutPrefix(p.rest, keyword)
	if !ok || tail != "" && !strings.ContainsRune(searchSpace+"()", rune(tail[0])) {
		return false
	}
	p.rest = tail
	return true
}

// over tells whether nothing more is to be read here.
func (p *searchParser) over() bool {
	p.space()
	return p.rest == "" || p.rest[0] == ')'
}

// all reads parts joined by AND or by nothing, up to the end or a closing parenthesis.
func (p *searchParser) all(depth int) *term {
	out := &term{join: "AND"}
	for {
		for p.word("AND") {
		}
		if p.over() {
			return out
		}
		out.parts = append(out.parts, p.any(depth))
	}
}

// any reads parts joined by OR.
func (p *searchParser) any(depth int) *term {
	out := &term{join: "OR", parts: []*term{p.one(depth)}}
	for p.word("OR") {
		if p.over() {
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
	if p.over() || depth > maxSearchDepth {
		p.torn = p.torn || p.rest != ""
		p.rest = ""
		return &term{join: "AND"}
	}
	if p.word("NOT") {
		if p.over() {
			return &term{join: "AND"}
		}
		return &term{join: "NOT", parts: []*term{p.one(depth + 1)}}
	}
	if len(p.rest) > 1 && p.rest[0] == '-' && !strings.ContainsRune(searchSpace+")", rune(p.rest[1])) {
		p.rest = p.rest[1:]
		return &term{join: "NOT", parts: []*term{p.one(depth + 1)}}
	}
	if tail, ok := strings.CutPrefix(p.rest, "("); ok {
		p.rest = tail
		inner := p.all(depth + 1)
		if tail, ok = strings.CutPrefix(p.rest, ")"); !ok {
			p.torn = true
		}
		p.rest = tail
		return inner
	}
	return p.comparison()
}

// comparison reads field:value or a word without a field.
func (p *searchParser) comparison() *term {
	// The colon that ended an unquoted value separates, and is nothing itself.
	p.rest = strings.TrimLeft(p.rest, ":")
	out := &term{}
	if end := strings.IndexAny(p.rest, searchSpace+`():\'"`); end > 0 && p.rest[end] == ':' {
		out.field, p.rest = p.rest[:end], p.rest[end+1:]
		for _, operator := range []string{">=", "<=", ">", "<"} {
			if tail, ok := strings.CutPrefix(p.rest, operator); ok {
				out.operator, p.rest = operator, tail
				break
			}
		}
	}
	out.value, out.quoted = p.value()
	return out
}

func (p *searchParser) value() (text string, quoted bool) {
	var out strings.Builder
	if p.rest != "" && (p.rest[0] == '\'' || p.rest[0] == '"') {
		quote, i := p.rest[0], 1
		for ; i < len(p.rest) && p.rest[i] != quote; i++ {
			if p.rest[i] == '\\' && i+1 < len(p.rest) {
				i++
			}
			out.WriteByte(p.rest[i])
		}
		p.torn = p.torn || i >= len(p.rest)
		p.rest = p.rest[min(i+1, len(p.rest)):]
		return out.String(), true
	}
	i := 0
	for ; i < len(p.rest) && !strings.ContainsRune(searchSpace+"():", rune(p.rest[i])); i++ {
		if p.rest[i] == '\\' && i+1 < len(p.rest) {
			i++
		}
		out.WriteByte(p.rest[i])
	}
	p.rest = p.rest[i:]
	return out.String(), false
}

// compile makes the test for a term, nil where the term restricts nothing, and
// shows how it was read.
func (v Vocabulary[T]) compile(t *term, report *SearchReport) (func(T) bool, *Parsed) {
	if t.join == "" {
		return v.compare(t, report)
	}
	var tests []func(T) bool
	var read []*Parsed
	for _, part := range t.parts {
		test, parsed := v.compile(part, report)
		if test != nil {
			tests = append(tests, test)
		}
		if parsed != nil {
			read = append(read, parsed)
		}
	}
	return combine(t.join, tests), join(t.join, read)
}

func combine[T any](operator string, tests []func(T) bool) func(T) bool {
	switch {
	case len(tests) == 0:
		return nil
	case operator == "NOT":
		return func(v T) bool { return !tests[0](v) }
	case len(tests) == 1:
		return tests[0]
	case operator == "OR":
		return func(v T) bool { return slices.ContainsFunc(tests, func(test func(T) bool) bool { return test(v) }) }
	}
	return func(v T) bool { return !slices.ContainsFunc(tests, func(test func(T) bool) bool { return !test(v) }) }
}

func join(operator string, read []*Parsed) *Parsed {
	switch {
	case len(read) == 0:
		return nil
	case operator == "NOT":
		return &Parsed{Not: read[0]}
	case len(read) == 1:
		return read[0]
	case operator == "OR":
		return &Parsed{Or: read}
	}
	// Recorded: ranges come first, else the order is that of the query.
	slices.SortStableFunc(read, func(a, b *Parsed) int {
		switch {
		case a.isRange() == b.isRange():
			return 0
		case a.isRange():
			return -1
		}
		return 1
	})
	return &Parsed{And: read}
}

// compare compiles a single comparison.
func (v Vocabulary[T]) compare(t *term, report *SearchReport) (func(T) bool, *Parsed) {
	if t.field == "" {
		if t.value == "" {
			return nil, nil
		}
		parsed := show("default", Comparison{Value: t.value, Quoted: t.quoted}, nil)
		if v.Words == nil {
			report.Warnings = append(report.Warnings,
				SearchWarning{"default", "Input must use named search fields in this query.", "missing_named_field"})
			return nil, parsed
		}
		wanted := strings.ToLower(t.value)
		if !t.quoted {
			wanted = strings.TrimSuffix(wanted, "*")
		}
		if wanted == "" {
			return nil, parsed
		}
		return func(value T) bool { return strings.Contains(strings.ToLower(v.Words(value)), wanted) }, parsed
	}
	given := Comparison{t.operator, t.value, t.quoted, v.Zone, v.Now}
	filter := v.Fields[strings.ToLower(t.field)]
	if filter == nil && v.Other != nil {
		filter = v.Other(t.field)
	}
	if filter == nil {
		warning := SearchWarning{t.field, "Invalid search field for this query.", "invalid_field"}
		if v.lacks(strings.ToLower(t.field)) {
			// Shopify has no such warning: it would filter.
			warning = SearchWarning{t.field, "Shopify has this search field, the simulator has not: it was ignored.", "not_simulated"}
		}
		report.Warnings = append(report.Warnings, warning)
		return nil, show(t.field, given, nil)
	}
	condition := filter(given)
	if condition.Test == nil {
		warning := SearchWarning{t.field, "Input `" + t.value + "` is not an accepted value.", "invalid_value"}
		if condition.Why != nil {
			warning = *condition.Why
			warning.Field = t.field
		}
		report.Warnings = append(report.Warnings, warning)
	}
	return condition.Test, show(t.field, given, condition.Shown)
}

// lacks tells whether a field is one that Shopify has and this list has not.
func (v Vocabulary[T]) lacks(field string) bool {
	if strings.HasPrefix(field, "metafields.") {
		field = "metafields.{namespace}.{key}"
	}
	return slices.Contains(v.Missing, field)
}

// show is a comparison as the report shows it.
func show(field string, given Comparison, value any) *Parsed {
	out := &Parsed{Field: field}
	if value == nil {
		value = given.Value
	}
	prefix, isPrefix := strings.CutSuffix(given.Value, "*")
	switch {
	case given.Operator == ">":
		out.RangeGT = value
	case given.Operator == ">=":
		out.RangeGTE = value
	case given.Operator == "<=":
		out.RangeLTE = value
	case given.Operator == "<":
		out.RangeLT = value
		if _, isTime := value.(shownTime); isTime {
			out.RangeLT, out.RangeLTE = nil, value // Recorded of inventoryItems.
		}
	case given.Quoted:
		out.MatchPhrase = value
	case isPrefix && prefix == "":
		out.Exists = true
	case isPrefix:
		out.MatchPrefix = prefix
	default:
		out.MatchAll = value
	}
	return out
}
