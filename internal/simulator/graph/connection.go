package graph

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"
)

// MaxPage is how many nodes a page may show.
const MaxPage = 250

// Key is a node's place in its connection: the value it is sorted by, then its
// number. Value is empty where the order is that of numbers alone.
type Key struct {
	Value string
	ID    int64
}

// Compare orders keys by value as text, then by number.
func (k Key) Compare(other Key) int {
	return cmp.Or(cmp.Compare(k.Value, other.Value), cmp.Compare(k.ID, other.ID))
}

// Item is a node that a page may show. Node is called only if it does.
type Item struct {
	Key  Key
	Node func() Object
}

// Source runs over a connection's items from the place after from (nil: from
// the end of the order that comes first), ascending by key, or descending
// where backward is true. The place itself is left out; it need not exist any more.
type Source func(from *Key, backward bool) iter.Seq[Item]

// Sorted is the source over a list that is small enough to be sorted for each page.
func Sorted[T any](list []T, key func(T) Key, node func(T) Object) Source {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b T) int { return key(a).Compare(key(b)) })
	return Ordered(list, key, node)
}

// Ordered is the source over a list that is already in the order of its keys.
func Ordered[T any](list []T, key func(T) Key, node func(T) Object) Source {
	return func(from *Key, backward bool) iter.Seq[Item] {
		return func(yield func(Item) bool) {
			start := 0
			if from != nil {
				at, found := slices.BinarySearchFunc(list, *from, func(element T, place Key) int { return key(element).Compare(place) })
				if start = at; found && !backward {
					start++
				}
			} else if backward {
				start = len(list)
			}
			item := func(element T) Item {
				return Item{Key: key(element), Node: func() Object { return node(element) }}
			}
			if !backward {
				for _, element := range list[start:] {
					if !yield(item(element)) {
						return
					}
				}
				return
			}
			for _, element := range slices.Backward(list[:start]) {
				if !yield(item(element)) {
					return
				}
			}
		}
	}
}

// cursor is what Shopify's cursors hold (recorded answers, 2026).
type cursor struct {
	LastID    int64  `json:"last_id"`
	LastValue string `json:"last_value"`
}

// Sort is what the values of a connection's keys are. A cursor holds the value
// and not the name of the sort key (recorded), so that one made under another
// sort is known by a value that cannot be one of this sort's.
type Sort int

// The sorts.
const (
	SortID Sort = iota // By number alone.
	SortTime
	SortNumber
	SortText
)

// TimeValue is how a time is written as a sort value; sorting it as text sorts
// by time.
const TimeValue = "2006-01-02 15:04:05"

// NumberValue is a number as a sort value: text that sorts as the numbers do.
func NumberValue(n int64) string { return fmt.Sprintf("%0*d", numberDigits, uint64(n)^(1<<63)) }

const numberDigits = 20

// Cursor is the opaque form of a key.
func (s Sort) Cursor(k Key) string {
	value := k.Value
	if s == SortID {
		value = strconv.FormatInt(k.ID, 10)
	}
	text, err := json.Marshal(cursor{k.ID, value})
	if err != nil {
		panic(err) // A number and a string always encode.
	}
	return base64.StdEncoding.EncodeToString(text)
}

// parse reads a cursor; false means that it cannot be one of this sort. Of the
// texts only those are known to be foreign that are the row's own number, as
// every cursor by number holds.
func (s Sort) parse(text string) (*Key, bool) {
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, false
	}
	var parsed cursor
	if err := json.Unmarshal(plain, &parsed); err != nil || parsed.LastID == 0 {
		return nil, false
	}
	byNumber := parsed.LastValue == strconv.FormatInt(parsed.LastID, 10)
	switch s {
	case SortID:
		return &Key{ID: parsed.LastID}, byNumber
	case SortTime:
		_, err = time.Parse(TimeValue, parsed.LastValue)
	case SortNumber:
		if len(parsed.LastValue) != numberDigits {
			return nil, false
		}
		_, err = strconv.ParseUint(parsed.LastValue, 10, 64)
	case SortText:
		if byNumber {
			return nil, false
		}
	}
	return &Key{parsed.LastValue, parsed.LastID}, err == nil
}

// Connection is one page of a source.
type Connection struct {
	// Search is reported beside the data where it holds warnings or where that was asked for.
	Search *SearchReport

	sort           Sort
	items          []Item
	asked          int
	next, previous func() bool
}

// Connect answers a connection field whose keys are of a sort: first, last,
// after, before and reverse are read from args. It reads no further than one
// item past the page.
func Connect(args map[string]any, sort Sort, source Source) (*Connection, error) {
	first, hasFirst := args["first"].(int64)
	last, hasLast := args["last"].(int64)
	switch {
	case hasFirst && hasLast:
		return nil, Errorf(CodeBadRequest, "providing both first and last is not supported")
	case !hasFirst && !hasLast:
		return nil, Errorf(CodeBadRequest, "you must provide one of first or last")
	}
	for name, n := range map[string]int64{"first": first, "last": last} {
		if n < 0 {
			return nil, Errorf(CodeBadRequest, "%s must not be negative", name)
		}
		if n > MaxPage {
			return nil, Errorf(CodeBadRequest, "%s must not be greater than %d", name, MaxPage)
		}
	}
	bounds := map[string]*Key{}
	for _, name := range []string{"after", "before"} {
		if text, ok := args[name].(string); ok {
			key, ok := sort.parse(text)
			if !ok {
				return nil, Errorf(CodeBadRequest, "Invalid cursor for current pagination sort.")
			}
			bounds[name] = key
		}
	}
	reverse, _ := args["reverse"].(bool)
	asked := int(first)
	if hasLast {
		asked = int(last)
	}

	// A page is read from its near bound towards its far bound.
	near, far := bounds["after"], bounds["before"]
	if hasLast {
		near, far = far, near
	}
	backward := hasLast != reverse
	page := &Connection{sort: sort, asked: asked}
	more := false
	for item := range source(near, backward) {
		if far != nil {
			if order := item.Key.Compare(*far); order == 0 || (order > 0) != backward {
				break
			}
		}
		if len(page.items) == asked {
			more = true
			break
		}
		page.items = append(page.items, item)
	}
	// Whether something lies on the near side is looked up only where asked for.
	behind := func() bool { return false }
	if near != nil {
		behind = func() bool {
			if len(page.items) > 0 {
				edge := page.items[0].Key
				if hasLast {
					edge = page.items[len(page.items)-1].Key
				}
				return holdsAny(source(&edge, !backward))
			}
			// An empty page: all that there is lies at the cursor or behind it.
			return holdsAny(source(nil, backward))
		}
	}
	ahead := func() bool { return more }
	page.next, page.previous = ahead, behind
	if hasLast {
		slices.Reverse(page.items)
		page.next, page.previous = behind, ahead
	}
	return page, nil
}

func holdsAny(items iter.Seq[Item]) bool {
	for range items {
		return true
	}
	return false
}

// Typename implements Object; the schema's own name of the type is used instead.
func (c *Connection) Typename() string { return "" }

// Field implements Object.
func (c *Connection) Field(_ context.Context, name string, _ map[string]any) (any, error) {
	switch name {
	case "nodes":
		nodes := make([]any, len(c.items))
		for i, item := range c.items {
			nodes[i] = item.Node()
		}
		return nodes, nil
	case "edges":
		edges := make([]any, len(c.items))
		for i, item := range c.items {
			edges[i] = edge{item, c.sort}
		}
		return edges, nil
	case "pageInfo":
		return pageInfo{c}, nil
	}
	return nil, fmt.Errorf("connection has no field %s", name)
}

type edge struct {
	Item
	sort Sort
}

func (edge) Typename() string { return "" }

func (e edge) Field(_ context.Context, name string, _ map[string]any) (any, error) {
	switch name {
	case "node":
		return e.Node(), nil
	case "cursor":
		return e.sort.Cursor(e.Key), nil
	}
	return nil, fmt.Errorf("edge has no field %s", name)
}

type pageInfo struct{ *Connection }

func (p pageInfo) Field(_ context.Context, name string, _ map[string]any) (any, error) {
	switch name {
	case "hasNextPage":
		return p.next(), nil
	case "hasPreviousPage":
		return p.previous(), nil
	case "startCursor", "endCursor":
		if len(p.items) == 0 {
			return nil, nil
		}
		if name == "startCursor" {
			return p.sort.Cursor(p.items[0].Key), nil
		}
		return p.sort.Cursor(p.items[len(p.items)-1].Key), nil
	}
	return nil, fmt.Errorf("pageInfo has no field %s", name)
}
