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

// Cursor is the opaque form of a key.
func (k Key) Cursor() string {
	value := k.Value
	if value == "" {
		value = strconv.FormatInt(k.ID, 10)
	}
	text, err := json.Marshal(cursor{k.ID, value})
	if err != nil {
		panic(err) // A number and a string always encode.
	}
	return base64.StdEncoding.EncodeToString(text)
}

func parseCursor(text string) (*Key, error) {
	invalid := Errorf(CodeBadRequest, "Invalid cursor for current pagination sort.")
	plain, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, invalid
	}
	var parsed cursor
	if err := json.Unmarshal(plain, &parsed); err != nil || parsed.LastID == 0 && parsed.LastValue == "" {
		return nil, invalid
	}
	key := &Key{parsed.LastValue, parsed.LastID}
	if key.Value == strconv.FormatInt(key.ID, 10) {
		key.Value = ""
	}
	return key, nil
}

// Connection is one page of a source.
type Connection struct {
	// Search is reported beside the data where it holds warnings or where that was asked for.
	Search *SearchReport

	items          []Item
	asked          int
	next, previous func() bool
}

// Connect answers a connection field: first, last, after, before and reverse
// are read from args. It reads no further than one item past the page.
func Connect(args map[string]any, source Source) (*Connection, error) {
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
			key, err := parseCursor(text)
			if err != nil {
				return nil, err
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
	page := &Connection{asked: asked}
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
			edges[i] = edge(item)
		}
		return edges, nil
	case "pageInfo":
		return pageInfo{c}, nil
	}
	return nil, fmt.Errorf("connection has no field %s", name)
}

type edge Item

func (edge) Typename() string { return "" }

func (e edge) Field(_ context.Context, name string, _ map[string]any) (any, error) {
	switch name {
	case "node":
		return e.Node(), nil
	case "cursor":
		return e.Key.Cursor(), nil
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
			return p.items[0].Key.Cursor(), nil
		}
		return p.items[len(p.items)-1].Key.Cursor(), nil
	}
	return nil, fmt.Errorf("pageInfo has no field %s", name)
}
