package simulator

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stockroom/internal/simulator/graph"
)

// payload is what a mutation answers: values by field, or complaints.
type payload struct {
	values   map[string]any
	problems []UserError
}

// refuse is the payload of a mutation that changed nothing.
func refuse(problems ...UserError) (payload, error) { return payload{problems: problems}, nil }

// done is the payload of a mutation that did what it was asked for.
func done(values map[string]any) (payload, error) { return payload{values: values}, nil }

// complaint is a UserError about a field named by its path.
func complaint(code, message string, field ...string) UserError {
	return UserError{Field: field, Message: message, Code: code}
}

// extend adds resolvers to types that are defined already. It is called from
// init functions only, when all types are.
func extend(resolvers fields, names ...string) {
	for _, name := range names {
		if objectTypes[name] == nil {
			panic("type " + name + " is not defined")
		}
		maps.Copy(objectTypes[name], resolvers)
	}
}

// definePayload registers a mutation's payload: its fields, and the name and
// type of its list of complaints.
func definePayload(name, errorsField, errorType string, names ...string) {
	resolvers := fields{errorsField: with(func(q *query, p payload, _ map[string]any) (any, error) {
		return each(p.problems, func(e UserError) any { return q.object(errorType, e) }), nil
	})}
	for _, field := range names {
		resolvers[field] = of(func(p payload) any { return p.values[field] })
	}
	if slices.Contains(names, "shop") {
		resolvers["shop"] = with(func(q *query, _ payload, _ map[string]any) (any, error) { return q.object(typeShop, q.shop), nil })
	}
	define(resolvers, name)
}

// mutation registers a mutation behind its scope, with its payload.
func mutation(name, scope string, change func(*query, input) (payload, error), names ...string) {
	mutationWith(name, scope, "userErrors", "UserError", change, names...)
}

// mutationWith is mutation for payloads whose complaints are of their own type.
func mutationWith(name, scope, errorsField, errorType string, change func(*query, input) (payload, error), names ...string) {
	typename := strings.ToUpper(name[:1]) + name[1:] + "Payload"
	definePayload(typename, errorsField, errorType, names...)
	if errorType != "UserError" && objectTypes[errorType] == nil {
		define(codedError, errorType)
	}
	resolve := func(q *query, _ any, args map[string]any) (any, error) {
		if scope == "write_orders" {
			if err := q.denied("read_orders", name); err != nil {
				return nil, err
			}
		}
		answer, err := change(q, args)
		if err != nil {
			return nil, err
		}
		return q.object(typename, answer), nil
	}
	if scope != "" { // Else the mutation looks for itself.
		resolve = needs(scope, name, resolve)
	}
	extend(fields{name: resolve}, "Mutation")
}

// codedError are the fields of complaints that carry a code.
var codedError = fields{
	"message": of(func(e UserError) any { return e.Message }),
	"code":    of(func(e UserError) any { return nullable(e.Code) }),
	// What a complaint is about, where the field names an element of a list.
	"elementIndex": of(func(e UserError) any {
		if len(e.Field) < 2 {
			return nil
		}
		var at int64
		if _, err := fmt.Sscan(e.Field[1], &at); err != nil {
			return nil
		}
		return at
	}),
	"extraInfo": always(nil),
}

// The type UserError is defined by then, whatever the order of files.
func init() { codedError["field"] = objectTypes["UserError"]["field"] }

// input reads the arguments of a mutation, or one of its input objects. What
// is absent reads as zero; has tells.
type input map[string]any

func (in input) has(name string) bool { _, ok := in[name]; return ok }

func (in input) text(name string) string { text, _ := in[name].(string); return text }

func (in input) number(name string) int64 { n, _ := in[name].(int64); return n }

// fraction is a Float, which may be written as a whole number; given tells whether it is there.
func (in input) fraction(name string) (value float64, given bool) {
	switch n := in[name].(type) {
	case float64:
		return n, true
	case int64:
		return float64(n), true
	}
	return 0, false
}

func (in input) flag(name string) bool { flag, _ := in[name].(bool); return flag }

func (in input) object(name string) input { inner, _ := in[name].(map[string]any); return inner }

// objects are the input objects of a list.
func (in input) objects(name string) []input {
	list, _ := in[name].([]any)
	return each(list, func(v any) input { inner, _ := v.(map[string]any); return inner })
}

func (in input) texts(name string) []string {
	list, _ := in[name].([]any)
	return each(list, func(v any) string { return fmt.Sprint(v) })
}

// id is the number of a gid of a kind.
func (in input) id(name, kind string) (int64, error) { return numberOf(in[name], kind) }

func numberOf(value any, kind string) (int64, error) {
	found, id, _, ok := parseGID(fmt.Sprint(value))
	if !ok || found != kind {
		return 0, invalidID(value)
	}
	return id, nil
}

// ids are the numbers of gids of a kind.
func (in input) ids(name, kind string) ([]int64, error) {
	var out []int64
	for _, text := range in.texts(name) {
		id, err := numberOf(text, kind)
		if err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, nil
}

// amount reads a Money or Decimal value.
func (in input) amount(name string) (Money, error) {
	value, ok := in[name]
	if !ok || value == nil {
		return 0, nil
	}
	return parseMoney(fmt.Sprint(value))
}

// put sets what the input names, and leaves what it does not.
func (in input) put(name string, into *string) {
	if in.has(name) {
		*into = in.text(name)
	}
}

// idempotentSince is the version from which some mutations demand @idempotent,
// and changes of stock demand changeFromQuantity; before, both are optional. Source:
// changelog "Making idempotency mandatory for inventory adjustments and refund
// mutations" and "Making changeFromQuantity field required", 2025-12-12.
const idempotentSince = "2026-04"

// remembered is what an idempotent mutation answered, and to what.
type remembered struct {
	parameters [sha256.Size]byte
	answer     payload
}

// maxRemembered bounds the answers an installation remembers; the oldest goes first.
const maxRemembered = 1000

// once makes a change that is marked with @idempotent a single time: sent
// again under its key it answers as before. A payload with complaints is not
// remembered: nothing was changed then.
func once(name string, change func(*query, input) (payload, error)) func(*query, input) (payload, error) {
	return func(q *query, in input) (payload, error) {
		key := strings.TrimSpace(in.text(graph.IdempotencyKey))
		if key == "" {
			if in.has(graph.IdempotencyKey) {
				return payload{}, graph.Errorf(graph.CodeBadRequest, "The idempotency key cannot be blank.")
			}
			if q.access.APIVersion >= idempotentSince {
				return payload{}, graph.Errorf(graph.CodeBadRequest, "The @idempotent directive is required for this mutation but was not provided.")
			}
			return change(q, in)
		}
		text, err := json.Marshal(in)
		if err != nil {
			return payload{}, fmt.Errorf("read arguments of %s: %w", name, err)
		}
		parameters := sha256.Sum256(append([]byte(name+" "), text...))
		i := q.access.Installation
		i.idempotentMu.Lock() // Held while the change is made: a second request waits for the first's answer.
		defer i.idempotentMu.Unlock()
		if known, ok := i.idempotent[key]; ok {
			if known.parameters != parameters {
				return refuse(complaint("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", "The same idempotency key cannot be used with different operation parameters."))
			}
			return known.answer, nil
		}
		answer, err := change(q, in)
		if err == nil && len(answer.problems) == 0 {
			if i.idempotent == nil {
				i.idempotent = map[string]remembered{}
			}
			if len(i.idempotentKeys) >= maxRemembered {
				delete(i.idempotent, i.idempotentKeys[0])
				i.idempotentKeys = i.idempotentKeys[1:]
			}
			i.idempotent[key] = remembered{parameters, answer}
			i.idempotentKeys = append(i.idempotentKeys, key)
		}
		return answer, err
	}
}

// mandatory checks that every input object of a list names changeFromQuantity,
// be it null, where the version demands it.
func mandatory(q *query, typename string, list []input) error {
	if q.access.APIVersion < idempotentSince {
		return nil
	}
	for _, in := range list {
		if !in.has("changeFromQuantity") {
			return graph.Errorf("INVALID_FIELD_ARGUMENTS", "%s must include the following argument: changeFromQuantity.", typename)
		}
	}
	return nil
}

// begin starts an edit. What is answered then is as of the edit's time: as of
// the request's, which may be a second earlier, a discount that was turned off
// would still be active.
func (q *query) begin() *edit {
	e := q.shop.begin()
	if e.now.After(q.access.Now) {
		q.access.Now = e.now
	}
	return e
}

// change runs one action in the shop.
func (q *query) change(act func(*edit) error) error {
	e := q.begin()
	defer e.end()
	return act(e)
}

// unexpected turns an error of an edit into a complaint, for what the checks
// before it did not foresee.
func unexpected(err error, code string, field ...string) (payload, error) {
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrInvalid):
		return refuse(complaint(code, err.Error(), field...))
	}
	return payload{}, err
}
