package simulator

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

func init() {
	node := map[bool]string{false: "codeDiscountNode", true: "automaticDiscountNode"}
	add := func(name string, change func(*query, input) (payload, error), field string) {
		mutationWith(name, "write_discounts", "userErrors", "DiscountUserError", change, field)
	}
	add("discountRedeemCodeBulkAdd", (*query).codesAdd, "bulkCreation")
	for _, automatic := range []bool{false, true} {
		prefix := "discountCode"
		if automatic {
			prefix = "discountAutomatic"
		}
		add(prefix+"BasicCreate", func(q *query, in input) (payload, error) { return q.discountCreate(in, automatic) }, node[automatic])
		add(prefix+"BasicUpdate", func(q *query, in input) (payload, error) { return q.discountUpdate(in, automatic) }, node[automatic])
		add(prefix+"Activate", func(q *query, in input) (payload, error) { return q.discountTurn(in, automatic, true) }, node[automatic])
		add(prefix+"Deactivate", func(q *query, in input) (payload, error) { return q.discountTurn(in, automatic, false) }, node[automatic])
		add(prefix+"Delete", func(q *query, in input) (payload, error) { return q.discountDelete(in, automatic) },
			"deleted"+strings.TrimPrefix(strings.ToUpper(prefix[:1])+prefix[1:], "Discount")+"DiscountId")
	}
}

// discountInput is the name of the input object of a basic discount.
func discountInput(automatic bool) string {
	if automatic {
		return "automaticBasicDiscount"
	}
	return "basicCodeDiscount"
}

func discountKind(automatic bool) string {
	if automatic {
		return typeDiscountAutomatic
	}
	return typeDiscountCode
}

// applyDiscount puts what an input names into a discount. Complaints name
// fields below the input object.
func (q *query) applyDiscount(d *Discount, in input) (*UserError, error) {
	problem := func(code, message string, field ...string) (*UserError, error) {
		return &UserError{field, message, code}, nil
	}
	in.put("title", &d.Title)
	if strings.TrimSpace(d.Title) == "" {
		return problem("BLANK", "Title can't be blank", "title")
	}
	for name, into := range map[string]*time.Time{"startsAt": &d.StartsAt, "endsAt": &d.EndsAt} {
		if !in.has(name) {
			continue
		}
		at, err := in.moment(name)
		if err != nil {
			return problem("INVALID", name+" is invalid", name)
		}
		if name == "startsAt" && at.IsZero() {
			continue
		}
		*into = at
		if !at.IsZero() {
			*into = second(at)
		}
	}
	if !d.EndsAt.IsZero() && !d.EndsAt.After(d.StartsAt) {
		return problem("END_DATE_BEFORE_START_DATE", "Ends at needs to be after starts_at", "endsAt")
	}
	if in.has("appliesOncePerCustomer") {
		d.OncePerCustomer = in.flag("appliesOncePerCustomer")
	}
	if in.has("usageLimit") {
		if d.UsageLimit = in.number("usageLimit"); in["usageLimit"] != nil && d.UsageLimit <= 0 {
			return problem("GREATER_THAN", "Usage limit must be greater than 0", "usageLimit")
		}
	}
	gets := in.object("customerGets")
	if value := gets.object("value"); value != nil {
		percentage, byPercentage := value.fraction("percentage")
		amount := value.object("discountAmount")
		switch {
		case byPercentage && amount != nil:
			return problem("TOO_MANY_ARGUMENTS", "Only one of percentage and discountAmount can be given", "customerGets", "value")
		case byPercentage && (percentage <= 0 || percentage > 1):
			return problem("VALUE_OUTSIDE_RANGE", "Value must be between 0.0 and 1.0", "customerGets", "value", "percentage")
		case byPercentage:
			d.Value = DiscountValue{Percentage: strconv.FormatFloat(percentage, 'f', -1, 64)}
		case amount != nil:
			off, err := amount.amount("amount")
			if err != nil || off <= 0 {
				return problem("GREATER_THAN", "Discount amount must be greater than 0", "customerGets", "value", "discountAmount", "amount")
			}
			d.Value = DiscountValue{Amount: off, Each: amount.flag("appliesOnEachItem")}
		}
	}
	if items := gets.object("items"); items != nil {
		if message, err := q.applyItems(&d.Gets, items); err != nil {
			return nil, err
		} else if message != "" {
			return problem("INVALID", message, "customerGets", "items")
		}
	}
	if minimum := in.object("minimumRequirement"); in.has("minimumRequirement") {
		d.Minimum = DiscountMinimum{}
		quantity, subtotal := minimum.object("quantity"), minimum.object("subtotal")
		if quantity != nil && subtotal != nil {
			return problem("MINIMUM_SUBTOTAL_AND_QUANTITY_RANGE_BOTH_PRESENT", "Minimum subtotal and quantity cannot both be given", "minimumRequirement")
		}
		if quantity["greaterThanOrEqualToQuantity"] != nil {
			n, err := strconv.ParseInt(fmt.Sprint(quantity["greaterThanOrEqualToQuantity"]), 10, 64)
			if err != nil || n < 0 {
				return problem("INVALID", "Minimum quantity is invalid", "minimumRequirement", "quantity", "greaterThanOrEqualToQuantity")
			}
			d.Minimum.Quantity = n
		}
		amount, err := subtotal.amount("greaterThanOrEqualToSubtotal")
		if err != nil || amount < 0 {
			return problem("INVALID", "Minimum subtotal is invalid", "minimumRequirement", "subtotal", "greaterThanOrEqualToSubtotal")
		}
		d.Minimum.Subtotal = amount
	}
	return nil, nil
}

// applyItems adds to and takes from what a discount applies to. The message
// says what is wrong.
func (q *query) applyItems(items *DiscountItems, in input) (message string, err error) {
	if in.flag("all") {
		*items = DiscountItems{All: true}
		return "", nil
	}
	changed := DiscountItems{Products: slices.Clone(items.Products), Variants: slices.Clone(items.Variants), Collections: slices.Clone(items.Collections)}
	products, collections := in.object("products"), in.object("collections")
	if products != nil && collections != nil {
		return "Cannot entitle collections and products at the same time", nil
	}
	for _, step := range []struct {
		in     input
		name   string
		kind   string
		list   *[]int64
		add    bool
		exists func(int64) bool
	}{
		{products, "productsToAdd", typeProduct, &changed.Products, true, func(id int64) bool { _, ok := q.shop.Products.Get(id); return ok }},
		{products, "productVariantsToAdd", typeVariant, &changed.Variants, true, func(id int64) bool { _, ok := q.shop.Variants.Get(id); return ok }},
		{collections, "add", typeCollection, &changed.Collections, true, func(id int64) bool { _, ok := q.shop.Collections.Get(id); return ok }},
		{products, "productsToRemove", typeProduct, &changed.Products, false, nil},
		{products, "productVariantsToRemove", typeVariant, &changed.Variants, false, nil},
		{collections, "remove", typeCollection, &changed.Collections, false, nil},
	} {
		ids, err := step.in.ids(step.name, step.kind)
		if err != nil {
			return "", err
		}
		for _, id := range ids {
			switch {
			case !step.add:
				*step.list = without(*step.list, id)
			case !step.exists(id):
				return step.kind + " with id: " + number(id) + " is invalid", nil
			default:
				*step.list = insert(*step.list, id)
			}
		}
	}
	if products != nil {
		changed.Collections = nil
	}
	if collections != nil {
		changed.Products, changed.Variants = nil, nil
	}
	if len(changed.Products)+len(changed.Variants)+len(changed.Collections) == 0 {
		return "Items in 'customer get' cannot be empty", nil
	}
	*items = changed
	return "", nil
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

func (q *query) discountCreate(in input, automatic bool) (payload, error) {
	name := discountInput(automatic)
	wanted := in.object(name)
	spec := DiscountSpec{Typename: "DiscountCodeBasic"}
	if automatic {
		spec.Typename = "DiscountAutomaticBasic"
	}
	s := q.shop
	e := s.begin()
	defer e.end()
	if !automatic {
		code := strings.TrimSpace(wanted.text("code"))
		switch {
		case code == "":
			return below(name, &UserError{[]string{"code"}, "Code can't be blank", "BLANK"})
		case s.codeTaken(code, 0):
			return below(name, &UserError{[]string{"code"}, "Code must be unique. Please try a different code.", "TAKEN"})
		}
		spec.Codes = []string{code}
		if !wanted.has("title") {
			spec.Title = code
		}
	}
	// Judged on a sketch first: nothing is changed by what is refused.
	sketch := &Discount{Typename: spec.Typename, Title: spec.Title, StartsAt: e.now}
	problem, err := q.applyDiscount(sketch, wanted)
	if err != nil {
		return payload{}, err
	}
	if problem != nil {
		return below(name, problem)
	}
	if sketch.Value == (DiscountValue{}) {
		return below(name, &UserError{[]string{"customerGets", "value"}, "Value can't be blank", "BLANK"})
	}
	if !sketch.Gets.All && len(sketch.Gets.Products)+len(sketch.Gets.Variants)+len(sketch.Gets.Collections) == 0 {
		return below(name, &UserError{[]string{"customerGets", "items"}, "Items in 'customer get' cannot be empty", "APPLIES_ON_NOTHING"})
	}
	spec.Title, spec.Value, spec.Gets, spec.Minimum = sketch.Title, sketch.Value, sketch.Gets, sketch.Minimum
	spec.UsageLimit, spec.StartsAt, spec.EndsAt = sketch.UsageLimit, sketch.StartsAt, sketch.EndsAt
	d := s.newDiscount(spec, e.now)
	d.OncePerCustomer = sketch.OncePerCustomer
	s.Discounts.put(d)
	e.note("create", d.GID(), d.Title)
	e.discount("discounts/create", d)
	return q.discountAnswer(d)
}

func (q *query) discountAnswer(d *Discount) (payload, error) {
	if d.Automatic() {
		return done(map[string]any{"automaticDiscountNode": q.object(typeDiscountAutomatic, d)})
	}
	return done(map[string]any{"codeDiscountNode": q.object(typeDiscountCode, d)})
}

// findBasic finds a discount of a kind.
func (s *Shop) findBasic(id int64, automatic bool) (*Discount, bool) {
	d, ok := s.Discounts.Get(id)
	return d, ok && d.Automatic() == automatic
}

func (q *query) discountUpdate(in input, automatic bool) (payload, error) {
	id, err := in.id("id", discountKind(automatic))
	if err != nil {
		return payload{}, err
	}
	name := discountInput(automatic)
	wanted := in.object(name)
	s := q.shop
	e := s.begin()
	defer e.end()
	d, ok := s.findBasic(id, automatic)
	if !ok || !strings.HasSuffix(d.Typename, "Basic") {
		return refuse(complaint("INVALID", "Discount does not exist", "id"))
	}
	sketch := *d
	problem, err := q.applyDiscount(&sketch, wanted)
	if err != nil {
		return payload{}, err
	}
	if problem != nil {
		return below(name, problem)
	}
	code := strings.TrimSpace(wanted.text("code"))
	if !automatic && wanted.has("code") {
		if code == "" {
			return below(name, &UserError{[]string{"code"}, "Code can't be blank", "BLANK"})
		}
		if s.codeTaken(code, d.ID) {
			return below(name, &UserError{[]string{"code"}, "Code must be unique. Please try a different code.", "TAKEN"})
		}
	}
	if err := e.updateDiscount(id, func(d *Discount) {
		d.Title, d.StartsAt, d.EndsAt, d.UsageLimit, d.OncePerCustomer = sketch.Title, sketch.StartsAt, sketch.EndsAt, sketch.UsageLimit, sketch.OncePerCustomer
		d.Value, d.Gets, d.Minimum = sketch.Value, sketch.Gets, sketch.Minimum
		if code != "" && len(d.Codes) > 0 && d.Codes[0].Code != code {
			d.Codes = append([]*RedeemCode{{ID: d.Codes[0].ID, Code: code}}, d.Codes[1:]...)
		}
	}); err != nil {
		return unexpected(err, "INTERNAL_ERROR", "id")
	}
	return q.discountAnswer(d)
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
	s := q.shop
	e := s.begin()
	defer e.end()
	d, ok := s.findBasic(id, automatic)
	if !ok {
		return refuse(complaint("INVALID", "Discount does not exist", "id"))
	}
	if status := d.Status(e.now); (status == "ACTIVE") == on || status == "EXPIRED" && !on {
		return q.discountAnswer(d)
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
	return q.discountAnswer(d)
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
	e := s.begin()
	defer e.end()
	d, ok := s.findBasic(id, false)
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
	d, ok := q.shop.findBasic(id, automatic)
	q.shop.mu.RUnlock()
	if !ok || q.shop.DeleteDiscount(id) != nil {
		return refuse(complaint("INVALID", "Discount does not exist", "id"))
	}
	if automatic {
		return done(map[string]any{"deletedAutomaticDiscountId": d.GID()})
	}
	return done(map[string]any{"deletedCodeDiscountId": d.GID()})
}
