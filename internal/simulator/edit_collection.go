package simulator

import (
	"fmt"
	"time"
)

// CollectionSpec describes a new collection: with rules, or with products by hand.
type CollectionSpec struct {
	Title           string
	DescriptionHTML string
	SortOrder       string // Default: BEST_SELLING.
	Rules           []Rule
	AnyRule         bool
	Products        []int64
	Handle          string // Default: made from the title.
	Unpublished     bool
}

// CreateCollection makes a collection.
func (s *Shop) CreateCollection(spec CollectionSpec) (*Collection, error) {
	if spec.Title == "" || len(spec.Rules) > 0 && len(spec.Products) > 0 {
		return nil, fmt.Errorf("create collection %q: %w", spec.Title, ErrInvalid)
	}
	e := s.begin()
	defer e.end()
	c := s.newCollection(spec, e.now)
	for _, id := range spec.Products {
		if _, ok := s.Products.Get(id); !ok {
			return nil, missing(typeProduct, id)
		}
	}
	c.Members = sortedSet(spec.Products)
	s.fillSmart(c)
	s.Collections.put(c)
	e.note("create", c.GID(), c.Title)
	e.collection("collections/create", c)
	return c, nil
}

func (s *Shop) newCollection(spec CollectionSpec, at time.Time) *Collection {
	c := &Collection{
		ID: s.newID(typeCollection), Title: spec.Title, Handle: s.handle(spec.Title), DescriptionHTML: spec.DescriptionHTML,
		SortOrder: spec.SortOrder, Rules: spec.Rules, AnyRule: spec.AnyRule, CreatedAt: at, UpdatedAt: at, PublishedAt: at,
	}
	if spec.Handle != "" {
		c.Handle = spec.Handle
	}
	if spec.Unpublished {
		c.PublishedAt = time.Time{}
	}
	if c.SortOrder == "" {
		c.SortOrder = "BEST_SELLING"
	}
	return c
}

// fillSmart lets a smart collection's rules choose among all products.
func (s *Shop) fillSmart(c *Collection) {
	if !c.Smart() {
		return
	}
	c.Members = nil
	for p := range s.Products.All() {
		if c.fits(p) {
			c.Members = append(c.Members, p.ID)
		}
	}
}

// UpdateCollection changes what change does to a collection's title,
// description, order or rules. New rules choose anew.
func (s *Shop) UpdateCollection(id int64, change func(*Collection)) error {
	return s.changeCollection(id, func(c *Collection) error {
		smart := c.Smart()
		change(c)
		if smart {
			s.fillSmart(c)
		}
		return nil
	})
}

func (s *Shop) changeCollection(id int64, change func(*Collection) error) error {
	e := s.begin()
	defer e.end()
	return e.changeCollection(id, change)
}

func (e *edit) changeCollection(id int64, change func(*Collection) error) error {
	s := e.shop
	c, ok := s.Collections.Get(id)
	if !ok {
		return missing(typeCollection, id)
	}
	if err := change(c); err != nil {
		return err
	}
	c.UpdatedAt = e.now
	s.Collections.put(c)
	e.collection("collections/update", c)
	return nil
}

// AddToCollection puts products into a collection that is filled by hand. The
// products themselves do not change.
func (s *Shop) AddToCollection(id int64, products ...int64) error {
	return s.changeCollection(id, func(c *Collection) error { return s.addMembers(c, products...) })
}

func (s *Shop) addMembers(c *Collection, products ...int64) error {
	if c.Smart() {
		return fmt.Errorf("add to collection %d: its rules decide: %w", c.ID, ErrInvalid)
	}
	for _, product := range products {
		if _, ok := s.Products.Get(product); !ok {
			return missing(typeProduct, product)
		}
	}
	for _, product := range products {
		c.Members = insert(c.Members, product)
	}
	return nil
}

// RemoveFromCollection takes products out of a collection that is filled by hand.
func (s *Shop) RemoveFromCollection(id int64, products ...int64) error {
	return s.changeCollection(id, func(c *Collection) error { return removeMembers(c, products...) })
}

func removeMembers(c *Collection, products ...int64) error {
	if c.Smart() {
		return fmt.Errorf("remove from collection %d: its rules decide: %w", c.ID, ErrInvalid)
	}
	for _, product := range products {
		c.Members = without(c.Members, product)
	}
	return nil
}

// DeleteCollection removes a collection; its products stay.
func (s *Shop) DeleteCollection(id int64) error {
	e := s.begin()
	defer e.end()
	c, ok := s.Collections.Get(id)
	if !ok {
		return missing(typeCollection, id)
	}
	s.dropMetafields(c.Metafields)
	s.Collections.remove(id)
	e.note("destroy", c.GID(), c.Title)
	e.fixed("collections/delete", c.GID(), map[string]any{"id": id, "published_scope": "web", "admin_graphql_api_id": c.GID()})
	return nil
}
