package shopify

import (
	"context"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

// Metafields have no list of their own: they are read with their owners.
var _ = registerRead(mirror.ReadMetafields, reader{
	kind: mirror.KindMetafieldSet, max: 50,
	objects: []string{"Shop", "Product", "ProductVariant", "Collection"},
	read: func(ctx context.Context, k *collector, ids []mirror.GID) error {
		data, err := admin.ReadMetafields(ctx, k.q, ids)
		if err != nil {
			return err
		}
		for _, node := range data.Nodes {
			if node == nil {
				continue
			}
			if owner, ok := (*node).(metafieldOwner); ok {
				if err := k.metafields(ctx, owner.GetId(), owner.GetMetafields()); err != nil {
					return err
				}
			}
		}
		return nil
	},
})

// metafieldOwner is what the generated type of every owner fits.
type metafieldOwner interface {
	GetId() mirror.GID
	GetMetafields() admin.MetafieldPage
}

// metafields observes an owner's metafields and the list of them.
func (k *collector) metafields(ctx context.Context, owner mirror.GID, first admin.MetafieldPage) error {
	all := first.Nodes
	err := readOn(first.PageInfo, func(after string) (admin.PageEnd, error) {
		data, err := admin.MoreMetafields(ctx, k.q, owner, after)
		if err != nil {
			return admin.PageEnd{}, err
		}
		if data.Node == nil || *data.Node == nil {
			return admin.PageEnd{}, errGone
		}
		node, ok := (*data.Node).(metafieldOwner)
		if !ok {
			return admin.PageEnd{}, errGone
		}
		more := node.GetMetafields()
		all = append(all, more.Nodes...)
		return more.PageInfo, nil
	})
	if err != nil {
		return err
	}
	ids := make([]mirror.GID, len(all))
	for i, m := range all {
		ids[i] = m.Id
		if err := k.metafield(owner, m); err != nil {
			return err
		}
	}
	return k.metafieldSet(owner, ids)
}

func (k *collector) metafield(owner mirror.GID, m admin.MetafieldFields) error {
	return k.present(m.Id, mirror.Metafield{
		OwnerID: owner, Namespace: m.Namespace, Key: m.Key, Type: m.Type, Value: m.Value, UpdatedAt: m.UpdatedAt,
	})
}

func (k *collector) metafieldSet(owner mirror.GID, ids []mirror.GID) error {
	return k.present(owner, mirror.MetafieldSet{MetafieldIDs: mirror.SortedIDs(ids)})
}

// metafieldLine is a metafield's line in a file: it is whole by itself, the
// list that it belongs to is not.
func (k *collector) metafieldLine(line BulkLine) error {
	var m admin.MetafieldFields
	if err := line.decode(&m); err != nil {
		return err
	}
	k.stage(line, nil)
	return k.metafield(line.Parent, m)
}
