// Package mirror holds what the copy believes about a shop and the rules for
// changing its mind.
//
// It promises that every answer depends on its arguments alone: no clock, no
// I/O, no goroutine. Merge is commutative, associative and idempotent in the
// state it returns, so duplicates, reordering and concurrent workers cannot
// change what the copy ends as; see TestMergeLaws.
//
// Everything Stockroom learns is an Observation of one record: its content or
// its absence, and when that was true. A record is the largest unit that
// arrives whole from one source; Kinds lists them. Reading the observations off
// the wire is left to package shopify, keeping the states to package store.
package mirror

import (
	"fmt"
	"strings"
	"time"
)

// Instant is a moment in Unix milliseconds on Shopify's clock; zero is never.
// States are compared and stored by it, so that no time zone, monotonic reading
// or sub-millisecond remainder can make two equal moments differ.
type Instant int64

// At converts t, cutting what is finer than a millisecond. A zero t is never.
func At(t time.Time) Instant {
	if t.IsZero() {
		return 0
	}
	return Instant(t.UnixMilli())
}

// Time converts back, in UTC; never becomes the zero time.
func (i Instant) Time() time.Time {
	if i == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(i)).UTC()
}

// Add moves the instant by d.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

// Seconds cuts the fraction: Shopify steps updatedAt in whole seconds, though
// some replies carry milliseconds.
func (i Instant) Seconds() Instant { return i - i%1000 }

func (i Instant) String() string {
	if i == 0 {
		return "never"
	}
	return i.Time().Format("2006-01-02T15:04:05.000Z")
}

// GID is Shopify's global id, such as gid://shopify/Product/123.
type GID string

// NewGID builds the id of the object with this number.
func NewGID(object string, number int64) GID {
	return GID(fmt.Sprintf("gid://shopify/%s/%d", object, number))
}

// Number is what stands behind the last slash, without a query part; empty where there is none.
func (g GID) Number() string {
	tail := string(g)[strings.LastIndexByte(string(g), '/')+1:]
	number, _, _ := strings.Cut(tail, "?")
	return number
}

// Object is the type that the id names, such as Product; empty for what is no GID.
func (g GID) Object() string {
	rest, ok := strings.CutPrefix(string(g), "gid://shopify/")
	if !ok {
		return ""
	}
	object, _, ok := strings.Cut(rest, "/")
	if !ok {
		return ""
	}
	return object
}

// LevelID is the key of the stock of one inventory item at one location. It is
// not the level's gid, because inventory_levels/disconnect names just these two.
func LevelID(item, location GID) GID { return item + "@" + GID(location.Number()) }

// SplitLevelID takes a LevelID apart; ok is false for anything else.
func SplitLevelID(id GID) (item, location GID, ok bool) {
	head, tail, ok := strings.Cut(string(id), "@")
	if !ok || head == "" || tail == "" {
		return "", "", false
	}
	return GID(head), GID("gid://shopify/Location/" + tail), true
}

// ItemOfLevel is the inventory item that a level's gid names in its query part;
// ok is false where it names none.
func ItemOfLevel(level GID) (item GID, ok bool) {
	_, number, ok := strings.Cut(string(level), "?inventory_item_id=")
	if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
		return "", false
	}
	return GID("gid://shopify/InventoryItem/" + number), true
}
