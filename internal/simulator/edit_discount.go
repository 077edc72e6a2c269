package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// DiscountSpec describes a new discount. Codes are for the code types only.
type DiscountSpec struct {
	Typename   string // As in the union Discount.
	Title      string
	Value      DiscountValue
	Buys, Gets DiscountItems
	Minimum    DiscountMinimum
	Codes      []string
	UsageLimit int64
	StartsAt   time.Time // Default: now.
	EndsAt     time.Time
}

// discountTypes are the members of the union Discount.
var discountTypes = []string{
	"DiscountCodeBasic", "DiscountCodeBxgy", "DiscountCodeFreeShipping", "DiscountCodeApp",
	"DiscountAutomaticBasic", "DiscountAutomaticBxgy", "DiscountAutomaticFreeShipping", "DiscountAutomaticApp",
}

// CreateDiscount makes a discount.
func (s *Shop) CreateDiscount(spec DiscountSpec) (*Discount, error) {
	automatic := strings.HasPrefix(spec.Typename, "DiscountAutomatic")
	if !slices.Contains(discountTypes, spec.Typename) || spec.Title == "" || automatic && len(spec.Codes) > 0 || !automatic && len(spec.Codes) == 0 {
		return nil, fmt.Errorf("create discount %s %q: %w", spec.Typename, spec.Title, ErrInvalid)
	}
	e := s.begin()
	defer e.end()
	d := s.newDiscount(spec, e.now)
	s.Discounts.put(d)
	e.note("create", d.GID(), d.Title)
	e.discount("discounts/create", d)
	return d, nil
}

func (s *Shop) newDiscount(spec DiscountSpec, at time.Time) *Discount {
	d := &Discount{
		ID: s.newID("Discount"), Typename: spec.Typename, Title: spec.Title, Value: spec.Value, Buys: spec.Buys.sorted(),
		Gets: spec.Gets.sorted(), Minimum: spec.Minimum, UsageLimit: spec.UsageLimit, StartsAt: second(spec.StartsAt),
		CreatedAt: at, UpdatedAt: at,
	}
	if spec.StartsAt.IsZero() {
		d.StartsAt = at
	}
	if !spec.EndsAt.IsZero() {
		d.EndsAt = second(spec.EndsAt)
	}
	for _, code := range spec.Codes {
		d.Codes = append(d.Codes, &RedeemCode{ID: s.newID(typeRedeemCode), Code: code})
	}
	d.settle()
	s.coin(&d.Value.Amount, &d.Minimum.Subtotal)
	return d
}

// settle brings a discount into the one form that its type has.
func (d *Discount) settle() {
	switch {
	case d.App():
		d.Value, d.Minimum, d.Buys, d.Gets = DiscountValue{}, DiscountMinimum{}, DiscountItems{}, DiscountItems{}
	case strings.HasSuffix(d.Typename, "FreeShipping"):
		d.Value, d.Gets, d.Buys = DiscountValue{FreeShipping: true}, DiscountItems{All: true}, DiscountItems{}
	case !d.Bxgy():
		d.Buys = DiscountItems{}
	}
	if d.Automatic() {
		d.UsageLimit = 0
	}
	d.Terms.Tags, d.Terms.Classes = sortedSet(d.Terms.Tags), sortedSet(d.Terms.Classes)
}

func (i DiscountItems) sorted() DiscountItems {
	if i.All {
		return DiscountItems{All: true}
	}
	return DiscountItems{Products: sortedSet(i.Products), Variants: sortedSet(i.Variants), Collections: sortedSet(i.Collections)}
}

// UpdateDiscount changes what change does to a discount.
func (s *Shop) UpdateDiscount(id int64, change func(*Discount)) error {
	e := s.begin()
	defer e.end()
	return e.updateDiscount(id, change)
}

func (e *edit) updateDiscount(id int64, change func(*Discount)) error {
	s := e.shop
	d, ok := s.Discounts.Get(id)
	if !ok {
		return missing("Discount", id)
	}
	change(d)
	d.Buys, d.Gets = d.Buys.sorted(), d.Gets.sorted()
	d.settle()
	s.coin(&d.Value.Amount, &d.Minimum.Subtotal, &d.Terms.MaximumShipping)
	d.UpdatedAt = e.now
	s.Discounts.put(d)
	e.discount("discounts/update", d)
	return nil
}

// AddCode adds a code to a code discount.
func (s *Shop) AddCode(id int64, code string) error {
	e := s.begin()
	defer e.end()
	d, ok := s.Discounts.Get(id)
	if !ok {
		return missing("Discount", id)
	}
	if d.Automatic() || slices.ContainsFunc(d.Codes, func(c *RedeemCode) bool { return strings.EqualFold(c.Code, code) }) {
		return fmt.Errorf("add code to discount %d: %w", id, ErrInvalid)
	}
	c := &RedeemCode{ID: s.newID(typeRedeemCode), Code: code}
	d.Codes = append(d.Codes, c)
	e.code("discounts/redeemcode_added", d, c)
	return nil
}

// RemoveCode takes a code from a code discount, which keeps at least one.
func (s *Shop) RemoveCode(id int64, code string) error {
	e := s.begin()
	defer e.end()
	d, ok := s.Discounts.Get(id)
	if !ok {
		return missing("Discount", id)
	}
	at := slices.IndexFunc(d.Codes, func(c *RedeemCode) bool { return strings.EqualFold(c.Code, code) })
	if at < 0 {
		return fmt.Errorf("code of discount %d: %w", id, ErrNotFound)
	}
	if len(d.Codes) == 1 {
		return fmt.Errorf("remove code of discount %d: it is the last: %w", id, ErrInvalid)
	}
	c := d.Codes[at]
	d.Codes = slices.Delete(slices.Clone(d.Codes), at, at+1)
	e.code("discounts/redeemcode_removed", d, c)
	return nil
}

// code moves the discount and tells of one of its codes.
func (e *edit) code(topic string, d *Discount, c *RedeemCode) {
	d.UpdatedAt = e.now
	e.shop.Discounts.put(d)
	e.fixed(topic, d.GID(), map[string]any{
		"admin_graphql_api_id": d.GID(), "redeem_code": map[string]any{"id": c.GID(), "code": c.Code},
		"updated_at": e.now.Format("2006-01-02T15:04:05.000Z"),
	})
}

// DeleteDiscount removes a discount.
func (s *Shop) DeleteDiscount(id int64) error {
	e := s.begin()
	defer e.end()
	d, ok := s.Discounts.Get(id)
	if !ok {
		return missing("Discount", id)
	}
	s.dropMetafields(d.Metafields)
	s.Discounts.remove(id)
	e.note("destroy", d.GID(), d.Title)
	e.fixed("discounts/delete", d.GID(), map[string]any{"admin_graphql_api_id": d.GID(), "deleted_at": s.local(e.now)})
	return nil
}
