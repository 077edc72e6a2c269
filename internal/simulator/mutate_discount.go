package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// discountForm is one of the eight types of discount, with the names that its
// mutations use.
type discountForm struct {
	typename string
	argument string // The input object.
	answer   string // The payload's field.
}

var discountForms = []discountForm{
	{"DiscountCodeBasic", "basicCodeDiscount", "codeDiscountNode"},
	{"DiscountCodeBxgy", "bxgyCodeDiscount", "codeDiscountNode"},
	{"DiscountCodeFreeShipping", "freeShippingCodeDiscount", "codeDiscountNode"},
	{"DiscountCodeApp", "codeAppDiscount", "codeAppDiscount"},
	{"DiscountAutomaticBasic", "automaticBasicDiscount", "automaticDiscountNode"},
	{"DiscountAutomaticBxgy", "automaticBxgyDiscount", "automaticDiscountNode"},
	{"DiscountAutomaticFreeShipping", "freeShippingAutomaticDiscount", "automaticDiscountNode"},
	{"DiscountAutomaticApp", "automaticAppDiscount", "automaticAppDiscount"},
}

func init() {
	node := map[bool]string{false: "codeDiscountNode", true: "automaticDiscountNode"}
	add := func(name string, change func(*query, input) (payload, error), field string) {
		mutationWith(name, "write_discounts", "userErrors", "DiscountUserError", change, field)
	}
	add("discountRedeemCodeBulkAdd", (*query).codesAdd, "bulkCreation")
	for _, form := range discountForms {
		name := strings.ToLower(form.typename[:1]) + form.typename[1:]
		add(name+"Create", func(q *query, in input) (payload, error) { return q.discountCreate(in, form) }, form.answer)
		add(name+"Update", func(q *query, in input) (payload, error) { return q.discountUpdate(in, form) }, form.answer)
	}
	for _, automatic := range []bool{false, true} {
		prefix := "discountCode"
		if automatic {
			prefix = "discountAutomatic"
		}
		add(prefix+"Activate", func(q *query, in input) (payload, error) { return q.discountTurn(in, automatic, true) }, node[automatic])
		add(prefix+"Deactivate", func(q *query, in input) (payload, error) { return q.discountTurn(in, automatic, false) }, node[automatic])
		add(prefix+"Delete", func(q *query, in input) (payload, error) { return q.discountDelete(in, automatic) },
			"deleted"+strings.TrimPrefix(strings.ToUpper(prefix[:1])+prefix[1:], "Discount")+"DiscountId")
	}
}

func discountKind(automatic bool) string {
	if automatic {
		return typeDiscountAutomatic
	}
	return typeDiscountCode
}

// codeTaken tells whether another discount has a code; codes differ in more
// than case.
func (s *Shop) codeTaken(code string, but int64) bool {
	for d := range s.Discounts.All() {
		if d.ID != but && slices.ContainsFunc(d.Codes, func(c *RedeemCode) bool { return strings.EqualFold(c.Code, code) }) {
			return true
		}
	}
	return false
}

func below(name string, problem *UserError) (payload, error) {
	return refuse(UserError{append([]string{name}, problem.Field...), problem.Message, problem.Code})
}

// wantedCode is the code that an input names; but is the discount that has it already.
func (s *Shop) wantedCode(in input, but int64) (string, *UserError) {
	code := strings.TrimSpace(in.text("code"))
	switch {
	case code == "":
		return "", wrong("BLANK", "Code can't be blank", "code")
	case s.codeTaken(code, but):
		return "", wrong("TAKEN", "Code must be unique. Please try a different code.", "code")
	}
	return code, nil
}

func (q *query) discountCreate(in input, form discountForm) (payload, error) {
	wanted := in.object(form.argument)
	s := q.shop
	e := q.begin()
	defer e.end()
	// Judged on a sketch first: nothing is changed by what is refused.
	sketch := Discount{Typename: form.typename, StartsAt: e.now}
	spec := DiscountSpec{Typename: form.typename}
	if sketch.App() {
		sketch.Terms.Function.AppKey = q.access.Installation.App.ClientID
	}
	if !sketch.Automatic() {
		code, problem := s.wantedCode(wanted, 0)
		if problem != nil {
			return below(form.argument, problem)
		}
		spec.Codes = []string{code}
		if !wanted.has("title") {
			sketch.Title = code
		}
	}
	problem, err := q.applyDiscount(&sketch, wanted)
	if err != nil {
		return payload{}, err
	}
	if problem == nil {
		problem = lacking(&sketch)
	}
	if problem != nil {
		return below(form.argument, problem)
	}
	spec.Title, spec.Value, spec.Buys, spec.Gets, spec.Minimum = sketch.Title, sketch.Value, sketch.Buys, sketch.Gets, sketch.Minimum
	spec.UsageLimit, spec.StartsAt, spec.EndsAt = sketch.UsageLimit, sketch.StartsAt, sketch.EndsAt
	d := s.newDiscount(spec, e.now)
	d.OncePerCustomer, d.Terms = sketch.OncePerCustomer, sketch.Terms
	d.settle()
	s.coin(&d.Terms.MaximumShipping)
	s.Discounts.put(d)
	if err := e.metafieldInputs(d.GID(), wanted); err != nil {
		return payload{}, err
	}
	e.note("create", d.GID(), d.Title)
	e.discount("discounts/create", d)
	return q.discountAnswer(d, form.answer)
}

// discountAnswer is a payload with a discount, by the field's name as a node or as itself.
func (q *query) discountAnswer(d *Discount, field string) (payload, error) {
	typename := d.Typename
	if strings.HasSuffix(field, "Node") {
		typename = discountKind(d.Automatic())
	}
	return done(map[string]any{field: q.object(typename, d)})
}

// findDiscountOf finds a discount of a kind.
func (s *Shop) findDiscountOf(id int64, automatic bool) (*Discount, bool) {
	d, ok := s.Discounts.Get(id)
	return d, ok && d.Automatic() == automatic
}

func (q *query) discountUpdate(in input, form discountForm) (payload, error) {
	automatic := strings.HasPrefix(form.typename, "DiscountAutomatic")
	id, err := in.id("id", discountKind(automatic))
	if err != nil {
		return payload{}, err
	}
	wanted := in.object(form.argument)
	s := q.shop
	e := q.begin()
	defer e.end()
	d, ok := s.Discounts.Get(id)
	if !ok || d.Typename != form.typename {
		return refuse(complaint("INVALID", "Discount does not exist", "id"))
	}
	sketch := *d
	if d.App() {
		sketch.Terms.Function = d.function() // That of one which came with the shop goes by its title no more.
	}
	problem, err := q.applyDiscount(&sketch, wanted)
	if err != nil {
		return payload{}, err
	}
	if problem == nil && !automatic && wanted.has("code") {
		var code string
		if code, problem = s.wantedCode(wanted, d.ID); problem == nil && len(d.Codes) > 0 && d.Codes[0].Code != code {
			sketch.Codes = append([]*RedeemCode{{ID: d.Codes[0].ID, Code: code}}, d.Codes[1:]...)
		}
	}
	if problem != nil {
		return below(form.argument, problem)
	}
	if err := e.updateDiscount(id, func(d *Discount) { *d = sketch }); err != nil {
		return unexpected(err, "INTERNAL_ERROR", "id")
	}
	if err := e.metafieldInputs(d.GID(), wanted); err != nil {
		return payload{}, err
	}
	return q.discountAnswer(d, form.answer)
}

// discountTurn makes a discount begin now where it does not hold, or end now.
// Source: the descriptions of the mutations (2026-10); that one which is over
// has no end then, and that one which already is as wished stays as it is, is
// our reading.
func (q *query) discountTurn(in input, automatic, on bool) (payload, error) {
	id, err := in.id("id", discountKind(automatic))
	if err != nil {
		return payload{}, err
	}
	answer := "codeDiscountNode"
	if automatic {
		answer = "automaticDiscountNode"
	}
	s := q.shop
	e := q.begin()
	defer e.end()
	d, ok := s.findDiscountOf(id, automatic)
	if !ok {
		return refuse(complaint("INVALID", "Discount does not exist", "id"))
	}
	if status := d.Status(e.now); (status == "ACTIVE") == on || status == "EXPIRED" && !on {
		return q.discountAnswer(d, answer)
	}
	err = e.updateDiscount(id, func(d *Discount) {
		switch {
		case !on:
			d.StartsAt, d.EndsAt = earlier(d.StartsAt, e.now), e.now
		default:
			d.StartsAt = earlier(d.StartsAt, e.now)
			if !d.EndsAt.IsZero() && !d.EndsAt.After(e.now) {
				d.EndsAt = time.Time{}
			}
		}
	})
	if err != nil {
		return unexpected(err, "INTERNAL_ERROR", "id")
	}
	return q.discountAnswer(d, answer)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// maxCodesAdded is how many codes one request may add. Source: the description
// of discountRedeemCodeBulkAdd (2026-10).
const maxCodesAdded = 250

// codesAdded is what became of codes that were added together.
type codesAdded struct {
	id               int64
	at               time.Time
	discount         *Discount
	imported, failed int
}

var _ = define(fields{
	"id":            of(func(c codesAdded) any { return gid("DiscountRedeemCodeBulkCreation", c.id) }),
	"createdAt":     of(func(c codesAdded) any { return c.at }),
	"codesCount":    of(func(c codesAdded) any { return c.imported + c.failed }),
	"importedCount": of(func(c codesAdded) any { return c.imported }),
	"failedCount":   of(func(c codesAdded) any { return c.failed }),
	"done":          always(true), // Here it takes no time.
	"discountCode": with(func(q *query, c codesAdded, _ map[string]any) (any, error) {
		return q.object(typeDiscountCode, c.discount), nil
	}),
}, "DiscountRedeemCodeBulkCreation")

// codesAdd adds codes to a code discount. Those that are blank or taken fail by
// themselves; all others are told of, each by a webhook.
func (q *query) codesAdd(in input) (payload, error) {
	id, err := in.id("discountId", typeDiscountCode)
	if err != nil {
		return payload{}, err
	}
	codes := in.objects("codes")
	if len(codes) > maxCodesAdded {
		return refuse(complaint("TOO_MANY_ARGUMENTS", fmt.Sprintf("At most %d codes can be added at once", maxCodesAdded), "codes"))
	}
	s := q.shop
	e := q.begin()
	defer e.end()
	d, ok := s.findDiscountOf(id, false)
	if !ok {
		return refuse(complaint("INVALID", "Discount does not exist", "discountId"))
	}
	out := codesAdded{id: q.shop.newID("DiscountRedeemCodeBulkCreation"), at: e.now, discount: d}
	for _, one := range codes {
		code := strings.TrimSpace(one.text("code"))
		if code == "" || s.codeTaken(code, 0) {
			out.failed++
			continue
		}
		c := &RedeemCode{ID: s.newID(typeRedeemCode), Code: code}
		d.Codes = append(d.Codes, c)
		e.code("discounts/redeemcode_added", d, c)
		out.imported++
	}
	return done(map[string]any{"bulkCreation": q.object("DiscountRedeemCodeBulkCreation", out)})
}

func (q *query) discountDelete(in input, automatic bool) (payload, error) {
	id, err := in.id("id", discountKind(automatic))
	if err != nil {
		return payload{}, err
	}
	q.shop.mu.RLock()
	d, ok := q.shop.findDiscountOf(id, automatic)
	q.shop.mu.RUnlock()
	if !ok || q.shop.DeleteDiscount(id) != nil {
		return refuse(complaint("INVALID", "Discount does not exist", "id"))
	}
	if automatic {
		return done(map[string]any{"deletedAutomaticDiscountId": d.GID()})
	}
	return done(map[string]any{"deletedCodeDiscountId": d.GID()})
}
