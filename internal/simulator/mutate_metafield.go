package simulator

import (
	"encoding/json"
	"strconv"
	"strings"
)

func init() {
	mutationWith("metafieldsSet", "", "userErrors", "MetafieldsSetUserError", (*query).metafieldsSet, "metafields")
	mutation("metafieldsDelete", "", (*query).metafieldsDelete, "deletedMetafields")
	define(fields{
		"ownerId":   of(func(m input) any { return m.text("ownerId") }),
		"namespace": of(func(m input) any { return m.text("namespace") }),
		"key":       of(func(m input) any { return m.text("key") }),
	}, "MetafieldIdentifier")
}

// maxMetafields is how many metafields a request may set.
const maxMetafields = 25

// ownerScope is the scope that writing an owner's metafields needs; the shop's
// need none.
func ownerScope(owner string) string {
	kind, _, _, _ := parseGID(owner)
	switch kind {
	case typeProduct, typeVariant, typeCollection:
		return "write_products"
	case typeDiscountCode, typeDiscountAutomatic:
		return "write_discounts"
	}
	return ""
}

// mayWrite tells whether the token may write the metafields of all owners.
func (q *query) mayWrite(name string, list []input) error {
	for _, m := range list {
		if scope := ownerScope(m.text("ownerId")); scope != "" {
			if err := q.denied(scope, name); err != nil {
				return err
			}
		}
	}
	return nil
}

// metafieldsSet sets all or none.
func (q *query) metafieldsSet(in input) (payload, error) {
	list := in.objects("metafields")
	if err := q.mayWrite("metafieldsSet", list); err != nil {
		return payload{}, err
	}
	if len(list) > maxMetafields {
		return refuse(complaint("LESS_THAN_OR_EQUAL_TO", "Exceeded the maximum metafields input limit of 25.", "metafields"))
	}
	s := q.shop
	e := s.begin()
	defer e.end()
	for i, m := range list {
		field := func(name string) []string { return []string{"metafields", strconv.Itoa(i), name} }
		_, _, owned, err := s.metafieldsOf(m.text("ownerId"))
		if err != nil {
			return refuse(complaint("INVALID", "Owner does not exist.", field("ownerId")...))
		}
		kind := m.text("type")
		if kind == "" { // That of the value which is there already.
			for _, known := range *owned {
				if known.Namespace == m.namespace() && known.Key == m.text("key") {
					kind = known.Type
				}
			}
		}
		switch {
		case m.text("key") == "":
			return refuse(complaint("BLANK", "Key can't be blank", field("key")...))
		case kind == "":
			return refuse(complaint("BLANK", "Type can't be blank", field("type")...))
		case m.text("value") == "":
			return refuse(complaint("BLANK", "Value can't be blank.", field("value")...))
		case !fitsType(kind, m.text("value")):
			return refuse(complaint("INVALID_VALUE", "Value must be of type "+kind+".", field("value")...))
		}
		m["type"] = kind
	}
	made := []any{}
	for _, m := range list {
		set, err := e.setMetafield(m.text("ownerId"), m.namespace(), m.text("key"), m.text("type"), m.text("value"))
		if err != nil {
			return unexpected(err, "INTERNAL_ERROR", "metafields")
		}
		made = append(made, q.object(typeMetafield, set))
	}
	return done(map[string]any{"metafields": made})
}

// namespace is that of a metafield's input; without one the app's own is meant,
// which the simulator calls app.
func (in input) namespace() string {
	if namespace := in.text("namespace"); namespace != "" {
		return namespace
	}
	return "app"
}

// fitsType tells whether a value has the form of its type.
func fitsType(kind, value string) bool {
	switch kind {
	case "boolean":
		return value == "true" || value == "false"
	case "number_integer":
		_, err := strconv.ParseInt(value, 10, 64)
		return err == nil
	case "number_decimal":
		_, err := strconv.ParseFloat(value, 64)
		return err == nil
	case "json", "money", "dimension", "volume", "weight", "rating", "link", "rich_text_field":
		return json.Valid([]byte(value))
	}
	return !strings.HasPrefix(kind, "list.") || json.Valid([]byte(value)) && strings.HasPrefix(value, "[")
}

// metafieldsDelete answers null for what was not there.
func (q *query) metafieldsDelete(in input) (payload, error) {
	list := in.objects("metafields")
	if err := q.mayWrite("metafieldsDelete", list); err != nil {
		return payload{}, err
	}
	s := q.shop
	e := s.begin()
	defer e.end()
	var found []*Metafield
	for i, m := range list {
		_, _, owned, err := s.metafieldsOf(m.text("ownerId"))
		if err != nil {
			return refuse(complaint("", "Owner does not exist.", "metafields", strconv.Itoa(i), "ownerId"))
		}
		var one *Metafield
		for _, known := range *owned {
			if known.Namespace == m.text("namespace") && known.Key == m.text("key") {
				one = known
			}
		}
		found = append(found, one)
	}
	out := []any{}
	for i, m := range found {
		if m == nil {
			out = append(out, nil)
			continue
		}
		if err := e.deleteMetafield(m.ID); err != nil { // Named twice.
			out = append(out, nil)
			continue
		}
		out = append(out, q.object("MetafieldIdentifier", list[i]))
	}
	return done(map[string]any{"deletedMetafields": out})
}
