package simulator

import "time"

func init() {
	mutation("collectionCreate", "write_products", (*query).collectionCreate, "collection")
	mutation("collectionUpdate", "write_products", (*query).collectionUpdate, "collection", "job")
	mutation("collectionDelete", "write_products", (*query).collectionDelete, "deletedCollectionId", "shop")
	mutation("collectionAddProducts", "write_products", (*query).collectionAdd, "collection")
	mutationWith("collectionAddProductsV2", "write_products", "userErrors", "CollectionAddProductsV2UserError", (*query).collectionAddLater, "job")
	mutation("collectionRemoveProducts", "write_products", (*query).collectionRemove, "job")
	define(fields{
		"id":   of(func(j job) any { return gid("Job", int64(j)) }),
		"done": always(true),
	}, "Job")
	extend(fields{"job": func(q *query, _ any, args map[string]any) (any, error) {
		id, err := numberOf(args["id"], "Job")
		if err != nil {
			return nil, err
		}
		if id <= q.shop.lastID["Job"]-1000 || id > q.shop.lastID["Job"] { // The latest are known, and done.
			return nil, nil
		}
		return q.object("Job", job(id)), nil
	}}, "QueryRoot")
}

// job is the number of work that Shopify does after it answered. The
// simulator's is over at once.
type job int64

func (q *query) newJob() any {
	q.shop.mu.Lock()
	defer q.shop.mu.Unlock()
	return q.object("Job", job(q.shop.newID("Job")))
}

// collectionInput is the input of a version: the newer one is named after what
// it is, and knows no rules and no products.
func collectionInput(in input) input {
	if wanted := in.object("collection"); wanted != nil {
		return wanted
	}
	return in.object("input")
}

// rules reads a ruleSet.
func (in input) rules() (rules []Rule, anyRule bool, problem *UserError) {
	set := in.object("ruleSet")
	for _, rule := range set.objects("rules") {
		r := Rule{rule.text("column"), rule.text("relation"), rule.text("condition")}
		if _, ok := conditionTypes[r.Column]; !ok {
			return nil, false, &UserError{Field: []string{"ruleSet", "rules"}, Message: "Column " + r.Column + " is not supported"}
		}
		if r.Column == "VARIANT_PRICE" {
			if _, err := parseMoney(r.Condition); err != nil {
				return nil, false, &UserError{Field: []string{"ruleSet", "rules"}, Message: "Condition must be a number"}
			}
		}
		rules = append(rules, r)
	}
	return rules, set.flag("appliedDisjunctively"), nil
}

func (q *query) collectionCreate(in input) (payload, error) {
	wanted := collectionInput(in)
	if problems := checkTitle(wanted, true); len(problems) > 0 {
		return refuse(problems...)
	}
	members, err := wanted.ids("products", typeProduct)
	if err != nil {
		return payload{}, err
	}
	rules, anyRule, problem := wanted.rules()
	if problem != nil {
		return refuse(*problem)
	}
	if len(rules) > 0 && len(members) > 0 {
		return refuse(complaint("", "Cannot have both products and rules", "products"))
	}
	c, err := q.shop.CreateCollection(CollectionSpec{
		Title: wanted.text("title"), DescriptionHTML: wanted.text("descriptionHtml"), SortOrder: wanted.text("sortOrder"),
		Handle: wanted.text("handle"), Rules: rules, AnyRule: anyRule, Products: members, Unpublished: true,
	})
	if err != nil {
		return unexpected(err, "", "products")
	}
	return done(map[string]any{"collection": q.object(typeCollection, c)})
}

func (q *query) collectionUpdate(in input) (payload, error) {
	wanted := collectionInput(in)
	if wanted["id"] == nil {
		return refuse(complaint("", "Collection does not exist", "id"))
	}
	id, err := wanted.id("id", typeCollection)
	if err != nil {
		return payload{}, err
	}
	if problems := checkTitle(wanted, false); len(problems) > 0 {
		return refuse(problems...)
	}
	rules, anyRule, problem := wanted.rules()
	if problem != nil {
		return refuse(*problem)
	}
	var c *Collection
	refused := false
	err = q.shop.UpdateCollection(id, func(found *Collection) {
		c = found
		if wanted["ruleSet"] != nil && len(rules) > 0 != c.Smart() { // A collection stays of its kind.
			refused = true
			return
		}
		for name, field := range map[string]*string{"title": &c.Title, "descriptionHtml": &c.DescriptionHTML, "sortOrder": &c.SortOrder, "handle": &c.Handle} {
			wanted.put(name, field)
		}
		if wanted["ruleSet"] != nil {
			c.Rules, c.AnyRule = rules, anyRule
		}
	})
	switch {
	case refused:
		return refuse(complaint("", "Cannot change a collection between manual and smart", "ruleSet"))
	case err != nil:
		return refuse(complaint("", "Collection does not exist", "id"))
	}
	values := map[string]any{"collection": q.object(typeCollection, c)}
	if wanted["ruleSet"] != nil { // The rules choose in the background.
		values["job"] = q.newJob()
	}
	return done(values)
}

func (q *query) collectionDelete(in input) (payload, error) {
	id, err := in.object("input").id("id", typeCollection)
	if err != nil {
		return payload{}, err
	}
	if err := q.shop.DeleteCollection(id); err != nil {
		return refuse(complaint("", "Collection does not exist", "id"))
	}
	return done(map[string]any{"deletedCollectionId": gid(typeCollection, id)})
}

// moveProducts puts products into or takes them out of a collection; what does
// not exist is passed over.
func (q *query) moveProducts(in input, into bool) (*Collection, *UserError, error) {
	id, err := in.id("id", typeCollection)
	if err != nil {
		return nil, nil, err
	}
	ids, err := in.ids("productIds", typeProduct)
	if err != nil {
		return nil, nil, err
	}
	var c *Collection
	err = q.change(func(e *edit) error {
		found, ok := e.shop.Collections.Get(id)
		if !ok {
			return missing(typeCollection, id)
		}
		if c = found; c.Smart() {
			return ErrInvalid
		}
		return e.changeCollection(id, func(c *Collection) error {
			if into {
				return e.shop.addMembers(c, existing(&e.shop.Products, ids)...)
			}
			return removeMembers(c, ids...)
		})
	})
	switch {
	case err != nil && c == nil:
		return nil, &UserError{[]string{"id"}, "Collection does not exist", "COLLECTION_DOES_NOT_EXIST"}, nil
	case err != nil && into:
		return nil, &UserError{[]string{"id"}, "Can't manually add products to a smart collection", "CANT_ADD_TO_SMART_COLLECTION"}, nil
	case err != nil:
		return nil, &UserError{[]string{"id"}, "Can't manually remove products from a smart collection", ""}, nil
	}
	return c, nil, nil
}

func (q *query) collectionAdd(in input) (payload, error) {
	c, problem, err := q.moveProducts(in, true)
	if err != nil {
		return payload{}, err
	}
	if problem != nil {
		return refuse(*problem)
	}
	return done(map[string]any{"collection": q.object(typeCollection, c)})
}

func (q *query) collectionAddLater(in input) (payload, error) { return q.moveLater(in, true) }
func (q *query) collectionRemove(in input) (payload, error)   { return q.moveLater(in, false) }

func (q *query) moveLater(in input, into bool) (payload, error) {
	_, problem, err := q.moveProducts(in, into)
	if err != nil {
		return payload{}, err
	}
	if problem != nil {
		return refuse(*problem)
	}
	return done(map[string]any{"job": q.newJob()})
}

// moment reads a DateTime; the zero time where there is none.
func (in input) moment(name string) (time.Time, error) {
	text := in.text(name)
	if text == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, text)
}
