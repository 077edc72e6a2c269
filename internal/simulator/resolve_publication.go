package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
)

// A simulated shop has one publication, its online store. What is shown there
// has a PublishedAt; a variant is shown where its product is.
const typePublication = "Publication"

func init() {
	define(fields{
		"id":                       of(func(s *Shop) any { return gid(typePublication, s.ID) }),
		"name":                     always("Online Store"),
		"autoPublish":              always(false),
		"supportsFuturePublishing": always(true),
		"products": needs("read_products", "products", with(func(q *query, _ *Shop, args map[string]any) (any, error) {
			shown := products
			shown.visible = func(q *query, p *Product) bool { return published(p, q.access.Now) }
			return shown.page(q, args)
		})),
		"collections": needs("read_products", "collections", with(func(q *query, _ *Shop, args map[string]any) (any, error) {
			shown := collections
			shown.visible = func(q *query, c *Collection) bool { return published(c, q.access.Now) }
			return shown.page(q, args)
		})),
		"hasCollection": with(func(q *query, s *Shop, args map[string]any) (any, error) {
			id, err := numberOf(args["id"], typeCollection)
			if err != nil {
				return nil, err
			}
			c, ok := s.Collections.Get(id)
			return ok && published(c, q.access.Now), nil
		}),
	}, typePublication)
	define(fields{
		"isPublished": with(func(q *query, p publishable, _ map[string]any) (any, error) { return published(p, q.access.Now), nil }),
		"publishDate": of(func(p publishable) any { return moment(p.publishedAt()) }),
		"publication": with(func(q *query, _ publishable, _ map[string]any) (any, error) { return q.publication(), nil }),
		"publishable": with(func(q *query, p publishable, _ map[string]any) (any, error) { return q.publishable(p), nil }),
	}, "ResourcePublicationV2")
	extend(fields{
		"publication":  root("read_publications", "publication", (*query).findPublication),
		"publications": root("read_publications", "publications", (*query).pagePublications),
		"publicationsCount": root("read_publications", "publicationsCount", func(q *query, args map[string]any) (any, error) {
			return q.count(int64(len(q.publications(args))), 10_000), nil
		}),
	}, "QueryRoot")
	extend(fields{
		"availablePublicationsCount": with(func(q *query, p publishable, _ map[string]any) (any, error) {
			return q.count(q.shownIn(p, true), 10_000), nil
		}),
		"publishedOnPublication": with(func(q *query, p publishable, args map[string]any) (any, error) {
			id, err := numberOf(args["publicationId"], typePublication)
			return id == q.shop.ID && published(p, q.access.Now), err
		}),
		"resourcePublicationsCount": with(func(q *query, p publishable, args map[string]any) (any, error) {
			return q.count(q.shownIn(p, args["onlyPublished"] != false), 10_000), nil
		}),
		"resourcePublicationsV2": needs("read_publications", "resourcePublicationsV2", with(func(q *query, p publishable, args map[string]any) (any, error) {
			var rows []publishable
			if q.shownIn(p, args["onlyPublished"] != false) > 0 && len(q.publications(args)) > 0 {
				rows = append(rows, p)
			}
			return small(q, args, "ResourcePublicationV2", rows, func(publishable) int64 { return q.shop.ID })
		})),
		"unpublishedPublications": needs("read_publications", "unpublishedPublications", with(func(q *query, p publishable, args map[string]any) (any, error) {
			var rows []*Shop
			if !published(p, q.access.Now) {
				rows = append(rows, q.shop)
			}
			return small(q, args, typePublication, rows, func(s *Shop) int64 { return s.ID })
		})),
	}, typeProduct, typeVariant, typeCollection)
	mutation("publishablePublish", "write_publications", func(q *query, in input) (payload, error) { return q.publish(in, true) }, "publishable", "shop")
	mutation("publishableUnpublish", "write_publications", func(q *query, in input) (payload, error) { return q.publish(in, false) }, "publishable", "shop")
}

// publishable is a product, a variant or a collection.
type publishable interface{ publishedAt() time.Time }

func (p *Product) publishedAt() time.Time    { return p.PublishedAt }
func (v *Variant) publishedAt() time.Time    { return v.Product.PublishedAt }
func (c *Collection) publishedAt() time.Time { return c.PublishedAt }

// published tells whether something is shown; it is not before its date.
func published(p publishable, now time.Time) bool {
	at := p.publishedAt()
	return !at.IsZero() && !at.After(now)
}

// shownIn counts the publications of something: those that show it, or those
// that will, too.
func (q *query) shownIn(p publishable, only bool) int64 {
	if p.publishedAt().IsZero() || only && !published(p, q.access.Now) {
		return 0
	}
	return 1
}

func (q *query) publication() graph.Object { return q.object(typePublication, q.shop) }

func (q *query) publishable(p publishable) graph.Object {
	switch p := p.(type) {
	case *Product:
		return q.object(typeProduct, p)
	case *Variant:
		return q.object(typeVariant, p)
	default:
		return q.object(typeCollection, p)
	}
}

func (q *query) findPublication(args map[string]any) (any, error) {
	id, err := numberOf(args["id"], typePublication)
	if err != nil || id != q.shop.ID {
		return nil, err
	}
	return q.publication(), nil
}

// publications are those of a type of catalogue; the online store's is an app's.
func (q *query) publications(args map[string]any) []*Shop {
	if kind, ok := args["catalogType"].(string); ok && kind != "APP" {
		return nil
	}
	return []*Shop{q.shop}
}

func (q *query) pagePublications(args map[string]any) (any, error) {
	return small(q, args, typePublication, q.publications(args), func(s *Shop) int64 { return s.ID })
}

// publish shows a product or collection in the publications named, or hides it.
func (q *query) publish(in input, show bool) (payload, error) {
	kind, id, _, ok := parseGID(in.text("id"))
	if !ok || !slices.Contains([]string{typeProduct, typeCollection}, kind) {
		return payload{}, invalidID(in["id"])
	}
	var at time.Time
	for i, one := range in.objects("input") {
		if one["publicationId"] == nil {
			return refuse(complaint("", "Publication can't be blank", "input", fmt.Sprint(i), "publicationId"))
		}
		publication, err := one.id("publicationId", typePublication)
		if err != nil {
			return payload{}, err
		}
		if publication != q.shop.ID {
			return refuse(complaint("", "Publication does not exist or is not publishable", "input", fmt.Sprint(i), "publicationId"))
		}
		if show {
			if at, err = one.moment("publishDate"); err != nil {
				return refuse(complaint("", "Publish date is invalid", "input", fmt.Sprint(i), "publishDate"))
			}
			if at = second(at); at.IsZero() || at.Year() < 2 {
				at = second(q.access.Now)
			}
		}
	}
	if len(in.objects("input")) == 0 {
		return refuse(complaint("", "Publications can't be blank", "input"))
	}
	var shown publishable
	var err error
	if kind == typeProduct {
		err = q.shop.UpdateProduct(id, func(p *Product) { p.PublishedAt, shown = at, p })
	} else {
		err = q.shop.UpdateCollection(id, func(c *Collection) { c.PublishedAt, shown = at, c })
	}
	if err != nil {
		return refuse(complaint("", strings.TrimSpace(kind)+" does not exist", "id"))
	}
	return done(map[string]any{"publishable": q.publishable(shown)})
}
