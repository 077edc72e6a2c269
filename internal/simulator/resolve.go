package simulator

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
	"stockroom/internal/simulator/wire"
)

// Query answers one call of the Admin API. The shop stays as it is for the whole
// of a reading query, as if it took no time.
func (s *Shop) Query(ctx context.Context, access Access, request graph.Request) graph.Response {
	op, refusal, ok := schemaOf(access.APIVersion).Admit(request, access.Bucket)
	if !ok {
		return refusal
	}
	q := s.query(access)
	result := q.execute(ctx, op)
	if q.paged {
		wire.Pause(ctx, time.Duration(s.sim.Faults().SlowPages))
	}
	return op.Settle(result, access.Bucket)
}

func (s *Shop) execute(ctx context.Context, access Access, op *graph.Operation) graph.Result {
	return s.query(access).execute(ctx, op)
}

// query is a call that begins now, under the faults of now.
func (s *Shop) query(access Access) *query {
	faults := s.sim.Faults()
	return &query{shop: s, access: access, indexed: access.Now.Add(-time.Duration(faults.IndexLag)),
		deny: faults.Deny, null: faults.Null, unfiltered: faults.Unfiltered}
}

func (q *query) execute(ctx context.Context, op *graph.Operation) graph.Result {
	s := q.shop
	if op.Mutation {
		// Mutations take the locks of what they change themselves; what they
		// show of it is read as a query reads.
		op.Reading = func(write func()) {
			s.mu.RLock()
			defer s.mu.RUnlock()
			write()
		}
		return op.Execute(ctx, q.object("Mutation", nil))
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return op.Execute(ctx, q.object("QueryRoot", nil))
}

// query is one call while it is answered.
type query struct {
	shop   *Shop
	access Access
	// indexed is how far the search index has come: what changed later is
	// missing from searches.
	indexed time.Time

	deny, null, unfiltered []string // As in Faults.

	paged bool // It showed a page of a list.
}

// resolver answers one field of a value.
type resolver func(q *query, value any, args map[string]any) (any, error)

// fields tells how the fields of a type of the schema are answered.
type fields map[string]resolver

// objectTypes are all types that have resolvers, by name.
var objectTypes = map[string]fields{}

// define registers types of the schema that are answered alike.
func define(resolvers fields, names ...string) struct{} {
	for _, name := range names {
		if objectTypes[name] != nil {
			panic("type " + name + " is defined twice")
		}
		objectTypes[name] = resolvers
	}
	return struct{}{}
}

// of makes a resolver from a function of the value alone.
func of[T any](get func(T) any) resolver {
	return func(_ *query, value any, _ map[string]any) (any, error) { return get(value.(T)), nil }
}

// with makes a resolver from a function of query, value and arguments.
func with[T any](get func(*query, T, map[string]any) (any, error)) resolver {
	return func(q *query, value any, args map[string]any) (any, error) { return get(q, value.(T), args) }
}

// always makes a resolver of what never differs in a simulated shop.
func always(answer any) resolver {
	return func(*query, any, map[string]any) (any, error) { return answer, nil }
}

// needs guards a resolver by a scope.
func needs(scope, field string, guarded resolver) resolver {
	fieldScopes[field] = scope
	return func(q *query, value any, args map[string]any) (any, error) {
		if err := q.denied(scope, field); err != nil {
			return nil, err
		}
		return guarded(q, value, args)
	}
}

// denied is the error of a field that the token may not read; nil if it may.
func (q *query) denied(scope, field string) error {
	if !q.access.Allows(scope) {
		return accessDenied(field, scope)
	}
	if scope == "read_orders" && !q.access.Installation.App.ProtectedData {
		err := graph.Errorf(graph.CodeAccessDenied, "This app is not approved to access the Order object.")
		err.Extensions["documentation"] = "https://shopify.dev/docs/apps/launch/protected-customer-data"
		err.Contained = true
		return err
	}
	return nil
}

// object is a value of the model as an object of the schema.
type object struct {
	q        *query
	typename string
	value    any
}

func (q *query) object(typename string, value any) object { return object{q, typename, value} }

// Typename implements graph.Object.
func (o object) Typename() string { return o.typename }

// Field implements graph.Object.
func (o object) Field(_ context.Context, name string, args map[string]any) (any, error) {
	resolve, ok := objectTypes[o.typename][name]
	if !ok {
		return nil, fmt.Errorf("%s.%s is not simulated", o.typename, name)
	}
	if len(o.q.deny) > 0 && slices.Contains(o.q.deny, o.typename+"."+name) {
		return nil, accessDenied(name, o.scope(name))
	}
	if args["savedSearchId"] != nil {
		return nil, graph.Errorf(graph.CodeResourceNotFound, "Invalid id: %v. Saved searches are not simulated: there are none.", args["savedSearchId"])
	}
	return resolve(o.q, o.value, args)
}

// scope is the one that a field asks of a token: its own, or its type's. Empty
// where it asks for none; Shopify's refusals then name none either (recorded).
func (o object) scope(field string) string {
	if scope := fieldScopes[field]; scope != "" {
		return scope
	}
	return typeScopes[o.typename]
}

// typeScopes and fieldScopes are the scopes behind types, and behind the fields
// that lead to them (page "Shopify API access scopes", 2026).
var (
	typeScopes = map[string]string{
		typeProduct: "read_products", typeVariant: "read_products", typeCollection: "read_products",
		typeItem: "read_inventory", typeLevel: "read_inventory", typeLocation: "read_locations",
		"DiscountNode": "read_discounts", typeDiscountCode: "read_discounts", typeDiscountAutomatic: "read_discounts",
		typeOrder: "read_orders", typeLineItem: "read_orders", typePublication: "read_publications",
	}
	fieldScopes = map[string]string{} // By name alone; needs fills it.
)

// accessDenied is the error of a field for which a scope was not granted.
func accessDenied(field, scope string) error {
	err := graph.Errorf(graph.CodeAccessDenied, "Access denied for %s field.", field)
	err.Extensions["documentation"] = "https://shopify.dev/api/usage/access-scopes"
	if scope != "" {
		required := "`" + scope + "` access scope."
		err.Message += " Required access: " + required
		err.Extensions["requiredAccess"] = required
	}
	err.Contained = true
	return err
}

// list is a root of the API that pages over an index.
type list[T record] struct {
	typename string
	index    func(*Shop) *Index[T]
	visible  func(*query, T) bool // Nil where the token sees all.
	filters  map[string]graph.Filter[T]
	more     func(*query) map[string]graph.Filter[T] // Filters that need more than the row.
	other    func(field string) graph.Filter[T]      // As in graph.Vocabulary.
	words    func(T) string                          // As in graph.Vocabulary.
	missing  []string                                // As in graph.Vocabulary.
	// sorts gives the value of each sort key that is neither by number nor by
	// time of change.
	sorts map[string]func(T) string
}

// keep compiles the search among the arguments. The report is nil without a search.
func (l list[T]) keep(q *query, args map[string]any) (keep func(T) bool, report *graph.SearchReport) {
	match, report := search(q, args, graph.Vocabulary[T]{Fields: l.fields(q), Other: l.other, Words: l.words, Missing: l.missing})
	if match == nil {
		return l.seen(q, nil), report
	}
	return l.seen(q, func(v T) bool { return !v.changed().After(q.indexed) && match(v) }), report
}

// fields are all filters of the list.
func (l list[T]) fields(q *query) map[string]graph.Filter[T] {
	if l.more == nil && len(q.unfiltered) == 0 {
		return l.filters
	}
	out := maps.Clone(l.filters)
	if l.more != nil {
		maps.Copy(out, l.more(q))
	}
	for _, field := range q.unfiltered {
		delete(out, field)
	}
	return out
}

// search compiles the search among the arguments, in the shop's zone. The report
// is nil without a search.
func search[T any](q *query, args map[string]any, words graph.Vocabulary[T]) (func(T) bool, *graph.SearchReport) {
	text, _ := args["query"].(string)
	if text == "" {
		return nil, nil
	}
	words.Zone, words.Now = q.shop.zone(), q.access.Now
	return graph.Search(text, words)
}

func (l list[T]) seen(q *query, match func(T) bool) func(T) bool {
	switch {
	case l.visible == nil:
		return match
	case match == nil:
		return func(v T) bool { return l.visible(q, v) }
	}
	return func(v T) bool { return l.visible(q, v) && match(v) }
}

// sortOf is what the values of a sort key are, of one that sorts by a value.
func sortOf(sortKey string) graph.Sort {
	switch sortKey {
	case "INVENTORY_TOTAL", "INVENTORY_QUANTITY", "POSITION", "ORDER_NUMBER", "TOTAL_PRICE", "PRICE", "PRICE_ASC", "PRICE_DESC":
		return graph.SortNumber
	case "CREATED", "CREATED_DESC":
		return graph.SortTime
	}
	if strings.HasSuffix(sortKey, "_AT") {
		return graph.SortTime
	}
	return graph.SortText
}

// page answers a connection over the index.
func (l list[T]) page(q *query, args map[string]any) (any, error) {
	q.paged = true
	keep, report := l.keep(q, args)
	index := l.index(q.shop)
	sortKey, _ := args["sortKey"].(string)
	var source graph.Source
	sort := graph.SortID
	if value := l.sorts[sortKey]; value != nil {
		sort = sortOf(sortKey)
		rows := make([]T, 0, index.Len())
		for row := range index.All() {
			if keep == nil || keep(row) {
				rows = append(rows, row)
			}
		}
		source = graph.Sorted(rows, func(v T) graph.Key { return graph.Key{Value: value(v), ID: v.key()} }, l.node(q))
	} else {
		if sortKey == "UPDATED_AT" {
			sort = graph.SortTime
		}
		source = indexed(index, sort == graph.SortTime, keep, l.node(q))
	}
	connection, err := graph.Connect(args, sort, source)
	if err != nil {
		return nil, err
	}
	connection.Search = report
	return connection, nil
}

func (l list[T]) node(q *query) func(T) graph.Object {
	return func(v T) graph.Object { return q.object(l.typename, v) }
}

// indexed is the source over an index, by number or by time of change.
func indexed[T record](index *Index[T], byChange bool, keep func(T) bool, node func(T) graph.Object) graph.Source {
	return func(from *graph.Key, backward bool) iter.Seq[graph.Item] {
		return func(yield func(graph.Item) bool) {
			for row := range rows(index, byChange, from, backward) {
				if keep != nil && !keep(row) {
					continue
				}
				key := graph.Key{ID: row.key()}
				if byChange {
					key.Value = sortable(row.changed())
				}
				if !yield(graph.Item{Key: key, Node: func() graph.Object { return node(row) }}) {
					return
				}
			}
		}
	}
}

func rows[T record](index *Index[T], byChange bool, from *graph.Key, backward bool) iter.Seq[T] {
	var id int64
	var at time.Time
	if from != nil {
		id = from.ID
		at, _ = time.Parse(graph.TimeValue, from.Value) // Where numbers sort it is empty.
	}
	switch {
	case byChange && backward:
		return index.ChangedBefore(at, id)
	case byChange:
		return index.ChangedAfter(at, id)
	case backward:
		return index.Before(id)
	}
	return index.After(id)
}

// count answers a Count field.
func (l list[T]) count(q *query, args map[string]any) (any, error) {
	keep, report := l.keep(q, args)
	index := l.index(q.shop)
	n := index.Len()
	if keep != nil {
		n = 0
		for row := range index.All() {
			if keep(row) {
				n++
			}
		}
	}
	limit := int64(math.MaxInt64)
	if given, ok := args["limit"].(int64); ok {
		limit = given
	}
	return graph.Searched{Object: q.count(int64(n), limit), Search: report}, nil
}

func (q *query) count(n, limit int64) graph.Object {
	if n > limit {
		return q.object("Count", counted{limit, "AT_LEAST"})
	}
	return q.object("Count", counted{n, "EXACT"})
}

// find answers a root field that takes an id: null for an unknown one, an error
// for the id of something else.
func (l list[T]) find(q *query, args map[string]any) (any, error) {
	kind, id, _, ok := parseGID(fmt.Sprint(args["id"]))
	if !ok || kind != l.typename {
		return nil, invalidID(args["id"])
	}
	if q.lost(l.typename) {
		return nil, nil
	}
	return l.get(q, id), nil
}

// lost tells whether objects of a type are null to who asks by id. What leads to
// them from other objects is answered as ever.
func (q *query) lost(typename string) bool {
	if typename == typeDiscountCode || typename == typeDiscountAutomatic {
		typename = "DiscountNode"
	}
	return slices.Contains(q.null, typename)
}

// get is the object of a number, or nil.
func (l list[T]) get(q *query, id int64) any {
	row, ok := l.index(q.shop).Get(id)
	if !ok || l.visible != nil && !l.visible(q, row) {
		return nil
	}
	return q.object(l.typename, row)
}

func invalidID(id any) error {
	return graph.Errorf(graph.CodeResourceNotFound, "Invalid id: %v", id)
}

// small answers a connection over a short list, by number.
func small[T any](q *query, args map[string]any, typename string, rows []T, number func(T) int64) (any, error) {
	return connect(args, graph.SortID, graph.Sorted(rows, func(v T) graph.Key { return graph.Key{ID: number(v)} },
		func(v T) graph.Object { return q.object(typename, v) }))
}

// numbered answers a connection over the rows of sorted numbers, those that
// the index still has.
func numbered[T record](q *query, args map[string]any, typename string, index *Index[T], ids []int64) (any, error) {
	all := graph.Ordered(ids, func(id int64) graph.Key { return graph.Key{ID: id} },
		func(id int64) graph.Object {
			row, _ := index.Get(id)
			return q.object(typename, row)
		})
	return connect(args, graph.SortID, func(from *graph.Key, backward bool) iter.Seq[graph.Item] {
		return func(yield func(graph.Item) bool) {
			for item := range all(from, backward) {
				if _, ok := index.Get(item.Key.ID); ok && !yield(item) {
					return
				}
			}
		}
	})
}

// connect is graph.Connect, answering an untyped nil beside an error.
func connect(args map[string]any, sort graph.Sort, source graph.Source) (any, error) {
	connection, err := graph.Connect(args, sort, source)
	if err != nil {
		return nil, err
	}
	return connection, nil
}

// existing keeps the numbers that an index still has.
func existing[T record](index *Index[T], ids []int64) []int64 {
	out := make([]int64, 0, len(ids))
	for _, id := range ids {
		if _, ok := index.Get(id); ok {
			out = append(out, id)
		}
	}
	return out
}

// nullable turns an empty text into null.
func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// moment turns the zero time into null.
func moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func number(id int64) string { return strconv.FormatInt(id, 10) }

type counted struct {
	n         int64
	precision string
}

var _ = define(fields{
	"count":     of(func(c counted) any { return c.n }),
	"precision": of(func(c counted) any { return c.precision }),
}, "Count")

type money struct {
	amount   Money
	currency string
}

func (q *query) money(amount Money, currency string) graph.Object {
	return q.object("MoneyV2", money{amount, currency})
}

var _ = define(fields{
	"amount":       of(func(m money) any { return m.amount.Decimal() }),
	"currencyCode": of(func(m money) any { return m.currency }),
}, "MoneyV2")

// A simulated shop sells in its own currency alone.
var _ = define(fields{
	"presentmentMoney": with(func(q *query, m money, _ map[string]any) (any, error) { return q.object("MoneyV2", m), nil }),
	"shopMoney":        with(func(q *query, m money, _ map[string]any) (any, error) { return q.object("MoneyV2", m), nil }),
}, "MoneyBag")
