package simulator

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

func init() {
	mutation("productCreate", "write_products", (*query).productCreate, "product", "shop")
	mutation("productUpdate", "write_products", (*query).productUpdate, "product")
	mutation("productDelete", "write_products", (*query).productDelete, "deletedProductId", "shop")
	mutationWith("productVariantsBulkCreate", "write_products", "userErrors", "ProductVariantsBulkCreateUserError", (*query).variantsCreate, "product", "productVariants")
	mutationWith("productVariantsBulkUpdate", "write_products", "userErrors", "ProductVariantsBulkUpdateUserError", (*query).variantsUpdate, "product", "productVariants")
	mutationWith("productVariantsBulkDelete", "write_products", "userErrors", "ProductVariantsBulkDeleteUserError", (*query).variantsDelete, "product")
}

// maxTitle is how long a title may be.
const maxTitle = 255

func checkTitle(in input, needed bool) []UserError {
	title := in.text("title")
	switch {
	case strings.TrimSpace(title) == "" && (needed || in.has("title")):
		return []UserError{complaint("", "Title can't be blank", "title")}
	case len([]rune(title)) > maxTitle:
		return []UserError{complaint("", "Title is too long (maximum is 255 characters)", "title")}
	}
	return nil
}

// metafieldInputs are the metafields that come along with their owner.
func (e *edit) metafieldInputs(owner string, in input) error {
	for _, m := range in.objects("metafields") {
		kind := m.text("type")
		if kind == "" {
			kind = "single_line_text_field"
		}
		if _, err := e.setMetafield(owner, m.namespace(), m.text("key"), kind, m.text("value")); err != nil {
			return err
		}
	}
	return nil
}

func checkMetafields(in input) []UserError {
	for i, m := range in.objects("metafields") {
		at := []string{"metafields", strconv.Itoa(i)}
		switch {
		case m.text("key") == "":
			return []UserError{complaint("", "Key can't be blank", append(at, "key")...)}
		case m.text("value") == "":
			return []UserError{complaint("", "Value can't be blank", append(at, "value")...)}
		}
	}
	return nil
}

// productCreate makes a product with one variant, that of the first value of
// each option. It is in no publication until it is published.
func (q *query) productCreate(in input) (payload, error) {
	wanted := in.object("product")
	if wanted == nil {
		return refuse(complaint("", "Product is required", "product"))
	}
	if problems := append(checkTitle(wanted, true), checkMetafields(wanted)...); len(problems) > 0 {
		return refuse(problems...)
	}
	join, err := wanted.ids("collectionsToJoin", typeCollection)
	if err != nil {
		return payload{}, err
	}
	spec := ProductSpec{
		Title: wanted.text("title"), Status: wanted.text("status"), Vendor: wanted.text("vendor"), ProductType: wanted.text("productType"),
		Tags: wanted.texts("tags"), DescriptionHTML: wanted.text("descriptionHtml"), Unpublished: true,
	}
	var first VariantSpec
	for _, option := range wanted.objects("productOptions") {
		spec.Options = append(spec.Options, option.text("name"))
		value := defaultVariantTitle
		if values := option.objects("values"); len(values) > 0 {
			value = values[0].text("name")
		}
		first.Values = append(first.Values, value)
	}
	if len(spec.Options) > 3 {
		return refuse(complaint("", "Can only specify a maximum of 3 options", "productOptions"))
	}
	if len(spec.Options) > 0 {
		spec.Variants = []VariantSpec{first}
	}
	if media := in.objects("media"); len(media) > 0 {
		spec.ImageURL = media[0].text("originalSource")
		for _, more := range media[1:] {
			spec.Gallery = append(spec.Gallery, more.text("originalSource"))
		}
	}
	var p *Product
	err = q.change(func(e *edit) error {
		if problem := q.shop.handleTaken(wanted.text("handle"), 0); problem != nil {
			return problem
		}
		made, err := e.createProduct(spec)
		if err != nil {
			return err
		}
		p = made
		wanted.put("templateSuffix", &p.TemplateSuffix)
		wanted.applySEO(p)
		if handle := wanted.text("handle"); handle != "" {
			p.Handle = handle
		}
		for at, picture := range p.pictures() {
			if media := in.objects("media")[at]; media.has("alt") {
				picture.Alt = media.text("alt")
			}
		}
		if err := e.metafieldInputs(p.GID(), wanted); err != nil {
			return err
		}
		e.settleNew(p)
		return e.joinCollections(p.ID, join, nil)
	})
	if err != nil {
		return taken(err, "product")
	}
	return done(map[string]any{"product": q.object(typeProduct, p)})
}

// settleNew takes back the plan to tell of a product that was only just told
// of as new.
func (e *edit) settleNew(p *Product) {
	e.touched = slices.DeleteFunc(e.touched, func(other *Product) bool { return other == p })
}

// handleError says that a handle belongs to another record.
type handleError struct{ handle string }

func (h *handleError) Error() string {
	return fmt.Sprintf("Handle '%s' already in use. Please provide a new handle.", h.handle)
}

func (s *Shop) handleTaken(handle string, but int64) error {
	if handle == "" {
		return nil
	}
	for p := range s.Products.All() {
		if p.Handle == handle && p.ID != but {
			return &handleError{handle}
		}
	}
	return nil
}

// taken turns an error of an edit into a payload.
func taken(err error, field string) (payload, error) {
	if problem, ok := err.(*handleError); ok {
		return refuse(complaint("", problem.Error(), "handle"))
	}
	return unexpected(err, "", field)
}

// joinCollections moves a product into and out of collections filled by hand.
func (e *edit) joinCollections(product int64, join, leave []int64) error {
	for _, id := range join {
		if err := e.changeCollection(id, func(c *Collection) error { return e.shop.addMembers(c, product) }); err != nil {
			return err
		}
	}
	for _, id := range leave {
		if err := e.changeCollection(id, func(c *Collection) error { return removeMembers(c, product) }); err != nil {
			return err
		}
	}
	return nil
}

// findProductInput finds the product that an update names: by the id in the
// input, or by an identifier.
func (q *query) findProductInput(in input) (*Product, bool, error) {
	wanted, by := in.object("product"), in.object("identifier")
	value := wanted["id"]
	if by.has("id") {
		value = by["id"]
	}
	q.shop.mu.RLock()
	defer q.shop.mu.RUnlock()
	if handle := by.text("handle"); handle != "" {
		for p := range q.shop.Products.All() {
			if p.Handle == handle {
				return p, true, nil
			}
		}
		return nil, false, nil
	}
	if value == nil {
		return nil, false, nil
	}
	id, err := numberOf(value, typeProduct)
	if err != nil {
		return nil, false, err
	}
	p, ok := q.shop.Products.Get(id)
	return p, ok, nil
}

func (q *query) productUpdate(in input) (payload, error) {
	wanted := in.object("product")
	p, ok, err := q.findProductInput(in)
	if err != nil {
		return payload{}, err
	}
	if !ok {
		return refuse(complaint("", "Product does not exist", "id"))
	}
	if problems := append(checkTitle(wanted, false), checkMetafields(wanted)...); len(problems) > 0 {
		return refuse(problems...)
	}
	join, err := wanted.ids("collectionsToJoin", typeCollection)
	if err != nil {
		return payload{}, err
	}
	leave, err := wanted.ids("collectionsToLeave", typeCollection)
	if err != nil {
		return payload{}, err
	}
	err = q.change(func(e *edit) error {
		if problem := q.shop.handleTaken(wanted.text("handle"), p.ID); problem != nil {
			return problem
		}
		err := e.updateProduct(p.ID, func(p *Product) {
			for name, field := range map[string]*string{
				"title": &p.Title, "handle": &p.Handle, "status": &p.Status, "vendor": &p.Vendor, "productType": &p.ProductType,
				"descriptionHtml": &p.DescriptionHTML, "templateSuffix": &p.TemplateSuffix,
			} {
				wanted.put(name, field)
			}
			wanted.applySEO(p)
			if wanted.has("tags") {
				p.Tags = wanted.texts("tags")
			}
		})
		if err != nil {
			return err
		}
		if err := e.metafieldInputs(p.GID(), wanted); err != nil {
			return err
		}
		return e.joinCollections(p.ID, join, leave)
	})
	if err != nil {
		return taken(err, "product")
	}
	return done(map[string]any{"product": q.object(typeProduct, p)})
}

func (q *query) productDelete(in input) (payload, error) {
	id, err := in.object("input").id("id", typeProduct)
	if err != nil {
		return payload{}, err
	}
	if err := q.shop.DeleteProduct(id); err != nil {
		return refuse(complaint("", "Product does not exist", "id"))
	}
	return done(map[string]any{"deletedProductId": gid(typeProduct, id)})
}

// variantInput is a ProductVariantsBulkInput in the words of the model.
type variantInput struct {
	input
	spec   VariantSpec
	values map[string]string // By name of the option.
}

// readVariant reads an input object; at is its place in the request.
func (s *Shop) readVariant(in input, at string, p *Product) (variantInput, *UserError, error) {
	field := func(names ...string) []string { return append([]string{"variants", at}, names...) }
	v := variantInput{input: in, values: map[string]string{}}
	item := in.object("inventoryItem")
	for name, into := range map[string]*Money{"price": &v.spec.Price, "compareAtPrice": &v.spec.CompareAtPrice} {
		amount, err := in.amount(name)
		if err != nil {
			return v, &UserError{field(name), "Price must be a valid amount", "INVALID_INPUT"}, nil
		}
		if amount < 0 {
			return v, &UserError{field(name), "Price must be greater than or equal to 0", "NEGATIVE_PRICE_VALUE"}, nil
		}
		*into = amount
	}
	cost, err := item.amount("cost")
	if err != nil {
		return v, &UserError{field("inventoryItem", "cost"), "Cost must be a valid amount", "INVALID_INPUT"}, nil
	}
	v.spec.Cost = cost
	v.spec.SKU, v.spec.Barcode, v.spec.Policy = item.text("sku"), in.text("barcode"), in.text("inventoryPolicy")
	v.spec.Untracked = item.has("tracked") && !item.flag("tracked")
	v.spec.NoShipping = item.has("requiresShipping") && !item.flag("requiresShipping")
	for _, option := range in.objects("optionValues") {
		name := option.text("optionName")
		if id := option.text("optionId"); id != "" {
			number, err := numberOf(id, typeOption)
			if err != nil {
				return v, nil, err
			}
			if known := slices.IndexFunc(p.Options, func(o Option) bool { return o.ID == number }); known >= 0 {
				name = p.Options[known].Name
			}
		}
		if !slices.ContainsFunc(p.Options, func(o Option) bool { return o.Name == name }) {
			return v, &UserError{field("optionValues"), "Option does not exist", "OPTION_VALUES_FOR_NUMBER_OF_UNKNOWN_OPTIONS"}, nil
		}
		v.values[name] = option.text("name")
	}
	for i, level := range in.objects("inventoryQuantities") {
		location, err := level.id("locationId", typeLocation)
		if err != nil {
			return v, nil, err
		}
		if l, ok := s.Locations.Get(location); !ok || !l.Active {
			return v, &UserError{field("inventoryQuantities", strconv.Itoa(i), "locationId"), "Location does not exist", "TRACKED_VARIANT_LOCATION_NOT_FOUND"}, nil
		}
		if v.spec.Stock == nil {
			v.spec.Stock = map[int64]int64{}
		}
		v.spec.Stock[location] = level.number("availableQuantity")
	}
	return v, nil, nil
}

func (q *query) variantsCreate(in input) (payload, error) {
	id, err := in.id("productId", typeProduct)
	if err != nil {
		return payload{}, err
	}
	s := q.shop
	e := s.begin()
	defer e.end()
	p, ok := s.Products.Get(id)
	if !ok {
		return refuse(complaint("PRODUCT_DOES_NOT_EXIST", "Product does not exist", "productId"))
	}
	// The variant that a product has of itself gives way to the first real ones.
	var standalone *Variant
	if len(p.Variants) == 1 {
		isDefault := p.Variants[0].Title == defaultVariantTitle
		if in.text("strategy") == "REMOVE_STANDALONE_VARIANT" || isDefault && in.text("strategy") != "PRESERVE_STANDALONE_VARIANT" {
			standalone = p.Variants[0]
		}
	}
	taken := map[string]bool{}
	for _, v := range p.Variants {
		taken[strings.Join(v.Values, "\x00")] = v != standalone
	}
	wanted := in.objects("variants")
	if kept := len(p.Variants); kept+len(wanted) > maxVariants {
		return refuse(complaint("INVALID_INPUT", fmt.Sprintf("A product can have at most %d variants", maxVariants), "variants"))
	}
	var specs []variantInput
	for i, one := range wanted {
		at := strconv.Itoa(i)
		v, problem, err := s.readVariant(one, at, p)
		if err != nil {
			return payload{}, err
		}
		if problem != nil {
			return refuse(*problem)
		}
		for _, option := range p.Options {
			value, ok := v.values[option.Name]
			if !ok {
				return refuse(complaint("NEED_TO_ADD_OPTION_VALUES", "You need to add option values for "+option.Name, "variants", at))
			}
			v.spec.Values = append(v.spec.Values, value)
		}
		key := strings.Join(v.spec.Values, "\x00")
		if taken[key] {
			return refuse(complaint("VARIANT_ALREADY_EXISTS", "The variant '"+strings.Join(v.spec.Values, " / ")+"' already exists.", "variants", at))
		}
		taken[key] = true
		specs = append(specs, v)
	}
	var made []any
	if standalone != nil && len(specs) > 0 {
		p.Variants = nil // A new one may take its values.
	}
	for i, v := range specs {
		variant, err := e.addVariant(id, v.spec)
		if err != nil {
			return unexpected(err, "INVALID", "variants", strconv.Itoa(i))
		}
		if v.has("taxable") {
			variant.Taxable = v.flag("taxable")
		}
		if weight := v.object("inventoryItem").object("measurement").object("weight"); weight != nil {
			variant.Item.Grams = weight.grams()
		}
		if err := e.metafieldInputs(variant.GID(), v.input); err != nil {
			return unexpected(err, "INVALID", "variants", strconv.Itoa(i))
		}
		made = append(made, q.object(typeVariant, variant))
	}
	if standalone != nil && len(made) > 0 {
		p.Variants = append([]*Variant{standalone}, p.Variants...)
		if err := e.removeVariant(standalone.ID); err != nil {
			return unexpected(err, "INVALID", "variants")
		}
	}
	return done(map[string]any{"product": q.object(typeProduct, p), "productVariants": made})
}

func (q *query) variantsUpdate(in input) (payload, error) {
	id, err := in.id("productId", typeProduct)
	if err != nil {
		return payload{}, err
	}
	s := q.shop
	e := s.begin()
	defer e.end()
	p, ok := s.Products.Get(id)
	if !ok {
		return refuse(complaint("PRODUCT_DOES_NOT_EXIST", "Product does not exist", "productId"))
	}
	type planned struct {
		variantInput
		variant *Variant
	}
	var plan []planned
	var problems []UserError
	for i, one := range in.objects("variants") {
		at := strconv.Itoa(i)
		if one["id"] == nil {
			problems = append(problems, complaint("PRODUCT_VARIANT_ID_MISSING", "Product variant is missing ID attribute", "variants", at))
			continue
		}
		number, err := one.id("id", typeVariant)
		if err != nil {
			return payload{}, err
		}
		variant, ok := s.Variants.Get(number)
		if !ok || variant.Product != p {
			problems = append(problems, complaint("PRODUCT_VARIANT_DOES_NOT_EXIST", "Product variant does not exist", "variants", at, "id"))
			continue
		}
		if len(one.objects("inventoryQuantities")) > 0 {
			problems = append(problems, complaint("NO_INVENTORY_QUANTITIES_ON_VARIANTS_UPDATE",
				"Inventory quantities can only be provided during create. To update inventory for existing variants, use inventoryAdjustQuantities.", "variants", at, "inventoryQuantities"))
			continue
		}
		v, problem, err := s.readVariant(one, at, p)
		if err != nil {
			return payload{}, err
		}
		if problem != nil {
			problems = append(problems, *problem)
			continue
		}
		if len(v.values) > 0 {
			for at, option := range p.Options {
				if value, ok := v.values[option.Name]; ok {
					v.spec.Values = append(v.spec.Values, value)
				} else {
					v.spec.Values = append(v.spec.Values, variant.Values[at])
				}
			}
			if slices.ContainsFunc(p.Variants, func(other *Variant) bool { return other != variant && slices.Equal(other.Values, v.spec.Values) }) {
				problems = append(problems, complaint("VARIANT_ALREADY_EXISTS", "The variant '"+strings.Join(v.spec.Values, " / ")+"' already exists. Please change at least one option value.", "variants", at))
				continue
			}
		}
		plan = append(plan, planned{v, variant})
	}
	if len(problems) > 0 && !in.flag("allowPartialUpdates") {
		return refuse(problems...)
	}
	var changed []any
	for _, one := range plan {
		if err := e.applyVariant(one.variant, one.variantInput); err != nil {
			return unexpected(err, "INVALID_INPUT", "variants")
		}
		changed = append(changed, q.object(typeVariant, one.variant))
	}
	return payload{map[string]any{"product": q.object(typeProduct, p), "productVariants": changed}, problems}, nil
}

// applyVariant changes what an input names of a variant and its item.
func (e *edit) applyVariant(v *Variant, in variantInput) error {
	item := in.object("inventoryItem")
	err := e.updateVariant(v.ID, func(v *Variant) {
		if in.has("price") {
			v.Price = in.spec.Price
		}
		if in.has("compareAtPrice") {
			v.CompareAtPrice = in.spec.CompareAtPrice
		}
		in.put("barcode", &v.Barcode)
		in.put("inventoryPolicy", &v.Policy)
		item.put("sku", &v.SKU)
		if in.has("taxable") {
			v.Taxable = in.flag("taxable")
		}
		if len(in.spec.Values) > 0 {
			v.Values = in.spec.Values
			v.Title = strings.Join(v.Values, " / ")
			for at := range v.Product.Options {
				values := []string{}
				for _, other := range v.Product.Variants {
					if !slices.Contains(values, other.Values[at]) {
						values = append(values, other.Values[at])
					}
				}
				v.Product.Options[at].Values = values
			}
		}
	})
	if err != nil {
		return err
	}
	if item.has("tracked") || item.has("cost") || item.has("measurement") || item.has("requiresShipping") {
		if err := e.updateItem(v.Item.ID, func(i *InventoryItem) { item.applyItem(i, in.spec.Cost) }); err != nil {
			return err
		}
	}
	return e.metafieldInputs(v.GID(), in.input)
}

// grams reads a WeightInput.
func (in input) grams() int64 {
	value, _ := in.fraction("value")
	return int64(math.Round(value * grams[in.text("unit")]))
}

// applySEO puts what an input names of a product's SEO into it.
func (in input) applySEO(p *Product) {
	if seo := in.object("seo"); seo != nil {
		seo.put("title", &p.SEO.Title)
		seo.put("description", &p.SEO.Description)
	}
}

// applyItem puts what an InventoryItemInput names into an item.
func (in input) applyItem(i *InventoryItem, cost Money) {
	if in.has("tracked") {
		i.Tracked = in.flag("tracked")
	}
	if in.has("requiresShipping") {
		i.RequiresShipping = in.flag("requiresShipping")
	}
	if in.has("cost") {
		i.Cost = cost
	}
	if weight := in.object("measurement").object("weight"); weight != nil {
		i.Grams = weight.grams()
	}
}

func (q *query) variantsDelete(in input) (payload, error) {
	id, err := in.id("productId", typeProduct)
	if err != nil {
		return payload{}, err
	}
	ids, err := in.ids("variantsIds", typeVariant)
	if err != nil {
		return payload{}, err
	}
	s := q.shop
	e := s.begin()
	defer e.end()
	p, ok := s.Products.Get(id)
	if !ok {
		return refuse(complaint("PRODUCT_DOES_NOT_EXIST", "Product does not exist", "productId"))
	}
	ids = sortedSet(ids)
	for i, one := range ids {
		if v, ok := s.Variants.Get(one); !ok || v.Product != p {
			return refuse(complaint("AT_LEAST_ONE_VARIANT_DOES_NOT_BELONG_TO_THE_PRODUCT", "At least one variant does not belong to the product", "variantsIds", strconv.Itoa(i)))
		}
	}
	if len(ids) == len(p.Variants) {
		return refuse(complaint("CANNOT_DELETE_LAST_VARIANT", "Cannot delete default variant", "variantsIds"))
	}
	for _, one := range ids {
		if err := e.removeVariant(one); err != nil {
			return unexpected(err, "PRODUCT_DOES_NOT_EXIST", "variantsIds")
		}
	}
	return done(map[string]any{"product": q.object(typeProduct, p)})
}
