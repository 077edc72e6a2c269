// Package query is the read model: what every way out asks of the copy.
//
// It promises that each answer is of one moment (one read transaction a
// question), that nothing hidden is in it, be it a row or an id in a list, that
// every answer says as of when it is known to be right, and that the export is
// written in bounded memory. See TestTheExportShowsWhatReadersSee,
// TestAnswersSayAsOfWhenTheyAreRight and docs/export.schema.json.
//
// It changes nothing. Who may ask is left to the ways out.
package query

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Reader answers questions. Its methods may be called from any goroutine.
type Reader struct {
	store *store.Store
	now   func() time.Time
}

// New makes a reader of the store; now is this machine's clock.
func New(s *store.Store, now func() time.Time) *Reader { return &Reader{s, now} }

// Codes of Error.
const (
	BadRequest = "bad_request"
	NotFound   = "not_found"
)

// Error is a question that has no answer. Asking it again cannot help.
type Error struct {
	Code    string // BadRequest or NotFound.
	Message string // Safe to show to whoever asked.
	Fix     string // What to do instead.
}

func (e *Error) Error() string { return e.Message + ": " + e.Fix }

// Limits of a list. Larger ones are cut to MaxLimit; Limit of the answer says which one was used.
const (
	DefaultLimit = 20
	MaxLimit     = 100
)

func limitOf(asked int) (int, error) {
	switch {
	case asked < 0:
		return 0, &Error{BadRequest, fmt.Sprintf("the limit %d is negative", asked), fmt.Sprintf("ask for 1 to %d items", MaxLimit)}
	case asked == 0:
		return DefaultLimit, nil
	default:
		return min(asked, MaxLimit), nil
	}
}

// Freshness says how far an answer can be trusted. Its moments are on Shopify's
// clock, like the updatedAt of the items.
type Freshness struct {
	AsOf       mirror.Time `json:"as_of" doc:"Everything that the shop had told by then is in the answer."`
	VerifiedAt mirror.Time `json:"verified_at" doc:"Start of the last complete read of this resource; null before the first."`
}

// List is a page of items.
type List[T any] struct {
	Freshness
	Items []T     `json:"items" nullable:"false"`
	Next  *string `json:"next" doc:"The cursor of the next page; null on the last one."`
	Limit int     `json:"-"` // How many items a page holds at most: less than was asked for where that was above MaxLimit.
}

// PageLimit is Limit, for who holds a list of any type.
func (l List[T]) PageLimit() int { return l.Limit }

// Single is one item.
type Single[T any] struct {
	Freshness
	Item T `json:"item"`
}

// Shop finds a shop by its full myshopify domain.
func (r *Reader) Shop(ctx context.Context, domain string) (store.Shop, error) {
	var shop store.Shop
	err := r.store.View(ctx, func(tx *store.Tx) (err error) {
		shop, err = findShop(tx, domain)
		return err
	})
	return shop, err
}

// ShopOrOnly finds a shop by its domain, or, where none is given, the only one that is known.
func (r *Reader) ShopOrOnly(ctx context.Context, domain string) (store.Shop, error) {
	if domain != "" {
		return r.Shop(ctx, domain)
	}
	var shops []store.Shop
	err := r.store.View(ctx, func(tx *store.Tx) (err error) {
		shops, err = tx.Shops()
		return err
	})
	if err != nil {
		return store.Shop{}, fmt.Errorf("list shops: %w", err)
	}
	if len(shops) != 1 {
		return store.Shop{}, &Error{NotFound, fmt.Sprintf("%d shops are known", len(shops)), "name one by its full myshopify domain, with --shop; `stockroom shops list` lists them"}
	}
	return shops[0], nil
}

func findShop(tx *store.Tx, domain string) (store.Shop, error) {
	shop, err := tx.ShopByDomain(domain)
	if errors.Is(err, store.ErrNotFound) {
		return store.Shop{}, &Error{NotFound, fmt.Sprintf("no shop %q is connected", domain), "name a shop by its full myshopify domain; `stockroom shops list` lists them"}
	}
	return shop, err
}

// shopNow is the present moment on the shop's Shopify clock.
func (r *Reader) shopNow(shop store.Shop) mirror.Instant {
	return mirror.At(r.now()) + mirror.Instant(shop.ClockOffsetMS)
}

// freshness reads how far answers made of these export types can be trusted:
// as far as the least verified one.
func (r *Reader) freshness(tx *store.Tx, shop store.Shop, types ...string) (Freshness, error) {
	asOf, err := tx.OldestNew(shop.ID)
	if err != nil {
		return Freshness{}, fmt.Errorf("find the oldest unapplied webhook of %s: %w", shop.Domain, err)
	}
	if asOf == 0 {
		if asOf, err = r.heardUntil(tx, shop); err != nil {
			return Freshness{}, err
		}
	}
	verified, err := verifiedAt(tx, shop, types...)
	return Freshness{mirror.TimeOf(asOf.Time()), verified}, err
}

// heardUntil is up to when the shop has been heard: the present, for one that is
// connected. One that is not tells nothing any more, and its copy grows old.
func (r *Reader) heardUntil(tx *store.Tx, shop store.Shop) (mirror.Instant, error) {
	switch shop.State {
	case store.ShopConnected:
		return r.shopNow(shop), nil
	case store.ShopUninstalled:
		return shop.UninstalledAt, nil
	}
	heard, err := tx.LastHeard(shop.ID)
	if err != nil {
		return 0, fmt.Errorf("find when %s was last heard: %w", shop.Domain, err)
	}
	return heard, nil
}

func verifiedAt(tx *store.Tx, shop store.Shop, types ...string) (mirror.Time, error) {
	var all []mirror.Instant
	for _, name := range types {
		at, err := tx.VerifiedAt(shop.ID, name)
		if err != nil {
			return mirror.Time{}, err
		}
		all = append(all, at)
	}
	return mirror.TimeOf(slices.Min(all).Time()), nil
}

// view runs do in one read transaction and puts what it was about into an error's text.
func (r *Reader) view(ctx context.Context, shop store.Shop, what string, do func(*store.Tx) error) error {
	err := r.store.View(ctx, do)
	if asked := (*Error)(nil); err == nil || errors.As(err, &asked) {
		return err
	}
	return fmt.Errorf("read %s of %s: %w", what, shop.Domain, err)
}

// encodeCursor writes where a page of a list ended.
func encodeCursor(list string, position any) *string {
	data, err := json.Marshal(map[string]any{list: position})
	if err != nil {
		panic(fmt.Sprintf("query: cursor of %s: %v", list, err)) // Strings and numbers alone.
	}
	return new(base64.RawURLEncoding.EncodeToString(data))
}

// decodeCursor reads a cursor of the same list into position; an empty one leaves it as it is.
func decodeCursor(cursor, list string, position any) error {
	if cursor == "" {
		return nil
	}
	bad := &Error{BadRequest, fmt.Sprintf("the cursor is not one of %s", list), "pass the `next` of the page before as it is, or none for the first page"}
	data, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return bad
	}
	var lists map[string]json.RawMessage
	if err := json.Unmarshal(data, &lists); err != nil || lists[list] == nil || json.Unmarshal(lists[list], position) != nil {
		return bad
	}
	return nil
}

// gidOf reads an id as users give it: Shopify's global id, or its number alone.
// ok is false for what can only be a handle.
func gidOf(object, ref string) (mirror.GID, bool) {
	if strings.HasPrefix(ref, "gid://") {
		return mirror.GID(ref), true
	}
	if ref == "" || strings.Trim(ref, "0123456789") != "" {
		return "", false
	}
	return mirror.GID("gid://shopify/" + object + "/" + ref), true
}

func splitScopes(scopes string) []string { return mirror.ParseScopes(scopes) }
