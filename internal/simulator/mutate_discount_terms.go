package simulator

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

func wrong(code, message string, field ...string) *UserError {
	return &UserError{field, message, code}
}

// within puts the names of the objects around it before a complaint's field.
func within(problem *UserError, names ...string) *UserError {
	return wrong(problem.Code, problem.Message, append(names, problem.Field...)...)
}

// applyDiscount puts what an input names into a discount, whatever its type:
// an input has only fields that its type knows. Complaints name fields below
// the input object.
func (q *query) applyDiscount(d *Discount, in input) (*UserError, error) {
	for _, apply := range []func(*Discount, input) *UserError{
		applyTitle, applyPeriod, applyLimits, applyBuyers, applyTags, applyMinimum, applyShipping, applyFunction,
	} {
		if problem := apply(d, in); problem != nil {
			return problem, nil
		}
	}
	if problem, err := q.applyGets(d, in.object("customerGets")); problem != nil || err != nil {
		return problem, err
	}
	if problem, err := q.applyBuys(d, in.object("customerBuys")); problem != nil || err != nil {
		return problem, err
	}
	if problem := applyPurchases(d, in); problem != nil {
		return problem, nil
	}
	return applyCombination(d, in), nil
}

// lacking is the complaint about a discount that is made without what its type needs.
func lacking(d *Discount) *UserError {
	needsItems := !d.App() && !strings.HasSuffix(d.Typename, "FreeShipping")
	switch {
	case d.App() && d.Terms.Function.ID == "":
		return wrong("MISSING_FUNCTION_IDENTIFIER", "Either function ID or function handle must be provided.", "functionHandle")
	case needsItems && d.Value == DiscountValue{}:
		return wrong("BLANK", "Value can't be blank", "customerGets", "value")
	case needsItems && d.Gets.none():
		return wrong("BLANK", "Items in 'customer get' cannot be empty", "customerGets", "items")
	case d.Bxgy() && d.Minimum == DiscountMinimum{}:
		return wrong("BLANK", "Value can't be blank", "customerBuys", "value")
	case d.Bxgy() && d.Buys.none():
		return wrong("BLANK", "Items in 'customer buys' cannot be empty", "customerBuys", "items")
	}
	return nil
}

func applyTitle(d *Discount, in input) *UserError {
	in.put("title", &d.Title)
	if strings.TrimSpace(d.Title) == "" {
		return wrong("BLANK", "Title can't be blank", "title")
	}
	return nil
}

func applyPeriod(d *Discount, in input) *UserError {
	for _, end := range []struct {
		name string
		into *time.Time
	}{{"startsAt", &d.StartsAt}, {"endsAt", &d.EndsAt}} {
		if !in.has(end.name) {
			continue
		}
		at, err := in.moment(end.name)
		if err != nil {
			return wrong("INVALID", end.name+" is invalid", end.name)
		}
		if end.name == "startsAt" && at.IsZero() {
			continue
		}
		*end.into = at
		if !at.IsZero() {
			*end.into = second(at)
		}
	}
	if !d.EndsAt.IsZero() && !d.EndsAt.After(d.StartsAt) {
		return wrong("END_DATE_BEFORE_START_DATE", "Ends at needs to be after starts_at", "endsAt")
	}
	return nil
}

func applyLimits(d *Discount, in input) *UserError {
	if in.has("appliesOncePerCustomer") {
		d.OncePerCustomer = in.flag("appliesOncePerCustomer")
	}
	for _, limit := range []struct {
		name, called string
		into         *int64
	}{{"usageLimit", "Usage limit", &d.UsageLimit}, {"usesPerOrderLimit", "Uses per order limit", &d.Terms.UsesPerOrder}} {
		if !in.has(limit.name) {
			continue
		}
		n, given, err := in.unsigned(limit.name)
		if err != nil || given && n == 0 {
			return wrong("GREATER_THAN", limit.called+" must be greater than 0", limit.name)
		}
		*limit.into = n
	}
	return nil
}

// applyBuyers looks at whom a discount is for. Here it is for all: the schema
// has no other choice, since there are no customers.
func applyBuyers(_ *Discount, in input) *UserError {
	selection := in.object("customerSelection")
	switch {
	case selection == nil:
		return nil
	case in.object("context") != nil:
		return wrong("CONFLICT", "Only one of context and customerSelection can be given", "context")
	case !selection.flag("all"):
		return wrong("BLANK", "Customer selection can't be blank", "customerSelection")
	}
	return nil
}

// Limits of a discount's tags. Source: the descriptions of DiscountErrorCode (2026-10).
const (
	maxDiscountTags = 5
	maxDiscountTag  = 255
)

func applyTags(d *Discount, in input) *UserError {
	if !in.has("tags") {
		return nil
	}
	var tags []string
	for _, tag := range in.texts("tags") {
		if tag = strings.TrimSpace(tag); tag != "" {
			tags = append(tags, tag)
		}
		if utf8.RuneCountInString(tag) > maxDiscountTag {
			return wrong("INVALID_TAG_LENGTH", fmt.Sprintf("The tag title exceeds the maximum length of %d characters.", maxDiscountTag), "tags")
		}
	}
	if tags = tagSet(tags); len(tags) > maxDiscountTags {
		return wrong("TOO_MANY_TAGS", fmt.Sprintf("The number of tags exceeds the maximum of %d.", maxDiscountTags), "tags")
	}
	d.Terms.Tags = tags
	return nil
}

func applyMinimum(d *Discount, in input) *UserError {
	if !in.has("minimumRequirement") {
		return nil
	}
	minimum := in.object("minimumRequirement")
	d.Minimum = DiscountMinimum{}
	quantity, subtotal := minimum.object("quantity"), minimum.object("subtotal")
	if quantity != nil && subtotal != nil {
		return wrong("MINIMUM_SUBTOTAL_AND_QUANTITY_RANGE_BOTH_PRESENT", "Minimum subtotal and quantity cannot both be given", "minimumRequirement")
	}
	n, _, err := quantity.unsigned("greaterThanOrEqualToQuantity")
	if err != nil {
		return wrong("INVALID", "Minimum quantity is invalid", "minimumRequirement", "quantity", "greaterThanOrEqualToQuantity")
	}
	amount, err := subtotal.amount("greaterThanOrEqualToSubtotal")
	if err != nil || amount < 0 {
		return wrong("INVALID", "Minimum subtotal is invalid", "minimumRequirement", "subtotal", "greaterThanOrEqualToSubtotal")
	}
	d.Minimum = DiscountMinimum{Quantity: n, Subtotal: amount}
	return nil
}

// applyShipping reads what free shipping alone has: how much it may cost, and whereto.
func applyShipping(d *Discount, in input) *UserError {
	if in.has("maximumShippingPrice") {
		price, err := in.amount("maximumShippingPrice")
		if err != nil || in["maximumShippingPrice"] != nil && price <= 0 {
			return wrong("GREATER_THAN", "Maximum shipping price must be greater than 0", "maximumShippingPrice")
		}
		d.Terms.MaximumShipping = price
	}
	if !in.has("destination") {
		return nil
	}
	destination := in.object("destination")
	countries := destination.object("countries")
	switch {
	case countries != nil && destination.flag("all"):
		return wrong("CONFLICT", "All countries and a list of countries cannot both be given", "destination")
	case countries == nil:
		d.Terms.Destination = Destination{}
		return nil
	}
	removed := countries.texts("remove")
	list := slices.DeleteFunc(sortedSet(append(countries.texts("add"), d.Terms.Destination.Countries...)),
		func(code string) bool { return slices.Contains(removed, code) })
	d.Terms.Destination = Destination{Countries: list, RestOfWorld: countries.flag("includeRestOfWorld")}
	if len(list) == 0 && !d.Terms.Destination.RestOfWorld {
		return wrong("BLANK", "Countries can't be blank", "destination", "countries")
	}
	return nil
}

// applyFunction reads what app discounts alone have. Which functions an app has
// is not known here, so that any handle and any id is one.
func applyFunction(d *Discount, in input) *UserError {
	if !d.App() {
		return nil
	}
	handle, id := strings.TrimSpace(in.text("functionHandle")), strings.TrimSpace(in.text("functionId"))
	switch {
	case handle != "" && id != "":
		return wrong("MULTIPLE_FUNCTION_IDENTIFIERS", "Only one of function ID or function handle is allowed.", "functionHandle")
	case handle != "":
		d.Terms.Function = AppFunction{ID: functionID(handle), Title: handle, AppKey: d.Terms.Function.AppKey}
	case id != "":
		d.Terms.Function = AppFunction{ID: id, Title: id, AppKey: d.Terms.Function.AppKey}
	}
	if classes := in.texts("discountClasses"); in["discountClasses"] != nil {
		if len(classes) == 0 {
			return wrong("BLANK", "Discount classes can't be blank", "discountClasses")
		}
		d.Terms.Classes = sortedSet(classes)
	}
	if problems := checkMetafields(in); len(problems) > 0 {
		return wrong("BLANK", problems[0].Message, problems[0].Field...)
	}
	return nil
}

// functionID is the id of the function that a handle stands for; the form is Shopify's.
func functionID(handle string) string {
	sum := sha256.Sum256([]byte(handle))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// applyGets reads what the customer gets. Source for what buy X get Y takes as
// its value: the descriptions of DiscountCustomerGetsValueInput (2026-10).
func (q *query) applyGets(d *Discount, gets input) (*UserError, error) {
	if value := gets.object("value"); value != nil {
		var problem *UserError
		onQuantity := value.object("discountOnQuantity")
		_, byPercentage := value.fraction("percentage")
		switch amount := value.object("discountAmount"); {
		case !d.Bxgy() && onQuantity != nil:
			problem = wrong("INVALID", "Discount on quantity is only for buy X get Y discounts", "discountOnQuantity")
		case d.Bxgy() && byPercentage:
			problem = wrong("INVALID", "Buy X get Y discounts don't support percentage", "percentage")
		case d.Bxgy() && amount != nil:
			problem = wrong("INVALID", "Buy X get Y discounts don't support discountAmount", "discountAmount")
		case d.Bxgy() && onQuantity != nil:
			problem = applyOnQuantity(d, onQuantity)
		case !d.Bxgy():
			problem = applyValue(d, value)
		}
		if problem != nil {
			return within(problem, "customerGets", "value"), nil
		}
	}
	return q.applyItems(d, &d.Gets, gets.object("items"), "customerGets", "customer get")
}

func applyValue(d *Discount, value input) *UserError {
	percentage, byPercentage := value.fraction("percentage")
	amount := value.object("discountAmount")
	switch {
	case byPercentage && amount != nil:
		return wrong("TOO_MANY_ARGUMENTS", "Only one of percentage and discountAmount can be given")
	case byPercentage && (percentage <= 0 || percentage > 1):
		return wrong("VALUE_OUTSIDE_RANGE", "Value must be between 0.0 and 1.0", "percentage")
	case byPercentage:
		d.Value = DiscountValue{Percentage: strconv.FormatFloat(percentage, 'f', -1, 64)}
	case amount != nil:
		off, err := amount.amount("amount")
		if err != nil || off <= 0 {
			return wrong("GREATER_THAN", "Discount amount must be greater than 0", "discountAmount", "amount")
		}
		d.Value = DiscountValue{Amount: off, Each: amount.flag("appliesOnEachItem")}
	}
	return nil
}

// applyOnQuantity reads how many of Y a customer gets, and for how much less.
// Either may be named alone later on, not in the beginning.
func applyOnQuantity(d *Discount, in input) *UserError {
	value := d.Value
	if effect := in.object("effect"); effect != nil {
		percentage, byPercentage := effect.fraction("percentage")
		amount, err := effect.amount("amount")
		byAmount := effect["amount"] != nil
		switch {
		case byPercentage && byAmount:
			return wrong("TOO_MANY_ARGUMENTS", "Only one of percentage and amount can be given", "discountOnQuantity", "effect")
		case byPercentage && (percentage <= 0 || percentage > 1):
			return wrong("VALUE_OUTSIDE_RANGE", "Value must be between 0.0 and 1.0", "discountOnQuantity", "effect", "percentage")
		case byAmount && (err != nil || amount <= 0):
			return wrong("GREATER_THAN", "Discount amount must be greater than 0", "discountOnQuantity", "effect", "amount")
		case byPercentage:
			value.Percentage, value.Amount, value.Each = strconv.FormatFloat(percentage, 'f', -1, 64), 0, false
		case byAmount:
			value.Percentage, value.Amount, value.Each = "", amount, true
		}
	}
	n, given, err := in.unsigned("quantity")
	if err != nil || given && n == 0 {
		return wrong("GREATER_THAN", "Quantity must be greater than 0", "discountOnQuantity", "quantity")
	}
	if given {
		value.Quantity = n
	}
	switch {
	case value.Quantity == 0:
		return wrong("BLANK", "Quantity can't be blank", "discountOnQuantity", "quantity")
	case value.Percentage == "" && value.Amount == 0:
		return wrong("BLANK", "Effect can't be blank", "discountOnQuantity", "effect")
	}
	d.Value = value
	return nil
}

// applyBuys reads the X of buy X get Y, and how many or how much of it.
func (q *query) applyBuys(d *Discount, buys input) (*UserError, error) {
	if buys == nil {
		return nil, nil
	}
	d.Terms.BuysOn = Purchases{NotOnce: !buys.flag("isOneTimePurchase"), Subscription: buys.flag("isSubscription")}
	if value := buys.object("value"); value != nil {
		quantity, byQuantity, err := value.unsigned("quantity")
		if err != nil || byQuantity && quantity == 0 {
			return wrong("GREATER_THAN", "Quantity must be greater than 0", "customerBuys", "value", "quantity"), nil
		}
		amount, err := value.amount("amount")
		byAmount := value["amount"] != nil
		switch {
		case byQuantity && byAmount:
			return wrong("TOO_MANY_ARGUMENTS", "Only one of quantity and amount can be given", "customerBuys", "value"), nil
		case byAmount && (err != nil || amount <= 0):
			return wrong("GREATER_THAN", "Amount must be greater than 0", "customerBuys", "value", "amount"), nil
		case byQuantity || byAmount:
			d.Minimum = DiscountMinimum{Quantity: quantity, Subtotal: amount}
		}
	}
	return q.applyItems(d, &d.Buys, buys.object("items"), "customerBuys", "customer buys")
}

// applyItems adds to and takes from what a discount applies to.
func (q *query) applyItems(d *Discount, items *DiscountItems, in input, field, called string) (*UserError, error) {
	if in == nil {
		return nil, nil
	}
	if in.flag("all") {
		if d.Bxgy() {
			return wrong("INVALID", "Items in '"+called+"' cannot be set to all", field, "items"), nil
		}
		*items = DiscountItems{All: true}
		return nil, nil
	}
	changed := DiscountItems{Products: slices.Clone(items.Products), Variants: slices.Clone(items.Variants), Collections: slices.Clone(items.Collections)}
	products, collections := in.object("products"), in.object("collections")
	if products != nil && collections != nil {
		return wrong("INVALID", "Cannot entitle collections and products at the same time", field, "items"), nil
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
			return nil, err
		}
		for _, id := range ids {
			switch {
			case !step.add:
				*step.list = without(*step.list, id)
			case !step.exists(id):
				return wrong("INVALID", step.kind+" with id: "+number(id)+" is invalid", field, "items"), nil
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
	if changed.none() {
		return wrong("INVALID", "Items in '"+called+"' cannot be empty", field, "items"), nil
	}
	*items = changed
	return nil, nil
}

// applyPurchases reads whether a discount is for what is bought once, for
// subscriptions, and for how many of their payments. Source of the rules: the
// descriptions of DiscountErrorCode (2026-10).
func applyPurchases(d *Discount, in input) *UserError {
	place, at := in, []string{}
	if gets := in.object("customerGets"); gets != nil {
		place, at = gets, []string{"customerGets"}
	}
	if place["appliesOnOneTimePurchase"] != nil {
		d.Terms.AppliesOn.NotOnce = !place.flag("appliesOnOneTimePurchase")
	}
	if place["appliesOnSubscription"] != nil {
		d.Terms.AppliesOn.Subscription = place.flag("appliesOnSubscription")
	}
	if d.Terms.AppliesOn.NotOnce && !d.Terms.AppliesOn.Subscription {
		return within(wrong("APPLIES_ON_NOTHING", "A discount cannot have both appliesOnOneTimePurchase and appliesOnSubscription set to false.", "appliesOnOneTimePurchase"), at...)
	}
	if in["recurringCycleLimit"] != nil {
		n := in.number("recurringCycleLimit")
		if n < 0 {
			return wrong("RECURRING_CYCLE_LIMIT_NOT_A_VALID_INTEGER", "Recurring cycle limit must be a valid integer greater than or equal to 0.", "recurringCycleLimit")
		}
		d.Terms.Cycles = &n
	}
	if d.cycles() != 1 && !d.Terms.AppliesOn.Subscription {
		return wrong("MULTIPLE_RECURRING_CYCLE_LIMIT_FOR_NON_SUBSCRIPTION_ITEMS", "Recurring cycle limit must be 1 when discount does not apply to subscription items.", "recurringCycleLimit")
	}
	return nil
}

// applyCombination reads with which classes a discount combines. That free
// shipping does not combine with shipping discounts is our reading of the code
// for it (2026-10). It goes last, for the class depends on the rest.
func applyCombination(d *Discount, in input) *UserError {
	if combines := in.object("combinesWith"); combines != nil {
		d.Terms.CombinesWith = Combination{
			Order: combines.flag("orderDiscounts"), Product: combines.flag("productDiscounts"), Shipping: combines.flag("shippingDiscounts"),
		}
	}
	if d.Terms.CombinesWith.Shipping && strings.HasSuffix(d.Typename, "FreeShipping") {
		return wrong("INVALID_COMBINES_WITH_FOR_DISCOUNT_CLASS", "The combinesWith settings are invalid for the discount class.", "combinesWith")
	}
	return nil
}

// unsigned reads an Int or UnsignedInt64, which may come as text; given tells
// whether there is one.
func (in input) unsigned(name string) (n int64, given bool, err error) {
	if in[name] == nil {
		return 0, false, nil
	}
	if n, err = strconv.ParseInt(fmt.Sprint(in[name]), 10, 64); err == nil && n < 0 {
		err = ErrInvalid
	}
	return n, true, err
}
