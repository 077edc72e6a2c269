package simulator

import (
	"fmt"
	"slices"
)

// SetMetafield sets a value on the shop, a product, a variant, a collection or a
// discount, named by its gid. The same value again changes nothing. A product or
// collection moves with its metafields and is told of; those of all others
// change in silence.
func (s *Shop) SetMetafield(owner, namespace, key, kind, value string) (*Metafield, error) {
	e := s.begin()
	defer e.end()
	return e.setMetafield(owner, namespace, key, kind, value)
}

func (e *edit) setMetafield(owner, namespace, key, kind, value string) (*Metafield, error) {
	s := e.shop
	ownerType, ownerID, list, err := s.metafieldsOf(owner)
	if err != nil {
		return nil, err
	}
	var m *Metafield
	for _, old := range *list {
		if old.Namespace == namespace && old.Key == key {
			m = old
		}
	}
	switch {
	case m == nil:
		m = &Metafield{ID: s.newID(typeMetafield), OwnerType: ownerType, OwnerID: ownerID, Namespace: namespace, Key: key, CreatedAt: e.now}
		*list = append(*list, m)
	case m.Type == kind && m.Value == value:
		return m, nil
	}
	m.Type, m.Value, m.UpdatedAt = kind, value, e.now
	s.Metafields.put(m)
	e.moveOwner(ownerType, ownerID)
	return m, nil
}

// DeleteMetafield removes a value.
func (s *Shop) DeleteMetafield(id int64) error {
	e := s.begin()
	defer e.end()
	return e.deleteMetafield(id)
}

func (e *edit) deleteMetafield(id int64) error {
	s := e.shop
	m, ok := s.Metafields.Get(id)
	if !ok {
		return missing(typeMetafield, id)
	}
	_, _, list, err := s.metafieldsOf(m.OwnerGID())
	if err != nil {
		return err
	}
	*list = slices.DeleteFunc(slices.Clone(*list), func(other *Metafield) bool { return other == m })
	s.Metafields.remove(id)
	e.moveOwner(m.OwnerType, m.OwnerID)
	return nil
}

// metafieldsOf finds an owner's list.
func (s *Shop) metafieldsOf(owner string) (kind string, id int64, list *[]*Metafield, err error) {
	kind, id, _, ok := parseGID(owner)
	switch {
	case ok && kind == typeShop && id == s.ID:
		return kind, id, &s.Own, nil
	case ok && kind == typeProduct:
		if p, ok := s.Products.Get(id); ok {
			return kind, id, &p.Metafields, nil
		}
	case ok && kind == typeVariant:
		if v, ok := s.Variants.Get(id); ok {
			return kind, id, &v.Metafields, nil
		}
	case ok && kind == typeCollection:
		if c, ok := s.Collections.Get(id); ok {
			return kind, id, &c.Metafields, nil
		}
	case ok && (kind == typeDiscountCode || kind == typeDiscountAutomatic):
		if d, ok := s.findDiscountOf(id, kind == typeDiscountAutomatic); ok {
			return kind, id, &d.Metafields, nil
		}
	}
	return "", 0, nil, fmt.Errorf("owner %s: %w", owner, ErrNotFound)
}

func (e *edit) moveOwner(kind string, id int64) {
	switch kind {
	case typeProduct:
		if p, ok := e.shop.Products.Get(id); ok {
			e.touch(p)
		}
	case typeCollection:
		if c, ok := e.shop.Collections.Get(id); ok {
			c.UpdatedAt = e.now
			e.shop.Collections.put(c)
			e.collection("collections/update", c)
		}
	}
}
