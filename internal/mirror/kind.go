package mirror

import (
	"fmt"
	"slices"
)

// Kind names a sort of record. It is stored, so a name never changes its meaning.
type Kind string

// Read names a read by id at Shopify. One answer may carry several kinds.
type Read string

// KindInfo is what the rules need to know of a kind.
type KindInfo struct {
	Kind Kind

	// Type is the export type that the kind's fields belong to.
	Type string

	// Of is the kind whose record of the same id decides whether this one is
	// shown: a product's derived values live and die with the product. Empty
	// for kinds that are objects of their own.
	Of Kind

	// Governed says that the content's updatedAt decides between two versions.
	// Otherwise asOf alone does, and two versions never conflict.
	Governed bool

	// Returns says that the record may come back under its id without a read:
	// an inventory level does when it is connected again.
	Returns bool

	// Scopes are what the shop must grant for the record to be read; empty for
	// kinds that need none, or no other than what they belong to.
	Scopes []string

	// Read is the read by id that settles what is unsettled about a record.
	Read Read

	// Objects are the types in the gids of its records, where those are objects
	// in the shop; nil for the parts of objects.
	Objects []string

	// Topics tell of its records; none where only those of another record do.
	Topics Topics

	// ToldWith is the kind whose webhooks tell of this one as well; empty for none.
	ToldWith Kind

	// Blank makes an empty content to decode into.
	Blank func() Content
}

// Topics are the webhooks that tell of a record's creation, change and deletion.
type Topics struct{ Created, Changed, Deleted string }

// Content is the typed content of a record.
type Content interface {
	// Kind is the record's kind, the same for every value of the type.
	Kind() Kind
	// ParentID is the record without which this one is not shown; empty for none.
	ParentID() GID
	// UpdatedTime is Shopify's own updatedAt; zero where the kind is not governed.
	UpdatedTime() Time
}

// Linker is a content that names a record which is shown only while this one
// is, and which does not name it back: a variant's inventory item.
type Linker interface{ LinkID() GID }

func linkOf(content Content) GID {
	if linker, ok := content.(Linker); ok {
		return linker.LinkID()
	}
	return ""
}

var kinds = map[Kind]*KindInfo{}

// register adds a kind; the file of each resource does so for its own.
func register(info KindInfo) *KindInfo {
	if _, taken := kinds[info.Kind]; taken {
		panic(fmt.Sprintf("mirror: kind %s is registered twice", info.Kind))
	}
	kinds[info.Kind] = &info
	return &info
}

// InfoOf looks a kind up. It panics for a kind that nobody registered: kinds
// come from this program alone, never from outside.
func InfoOf(k Kind) *KindInfo {
	info, ok := kinds[k]
	if !ok {
		panic(fmt.Sprintf("mirror: no kind %q", k))
	}
	return info
}

// KindOfRead is the kind of the object that a read by id is asked for: what
// its ids name. For metafields, which have no read of their own, it is the set of their owner.
func KindOfRead(read Read) Kind {
	for _, info := range kinds {
		if info.Read == read && info.Of == "" && info.Kind != KindMetafield {
			return info.Kind
		}
	}
	panic(fmt.Sprintf("mirror: no read %q", read))
}

// KindOfGID is the kind of the object that a gid names; empty for one that is
// not copied.
func KindOfGID(id GID) Kind {
	object := id.Object()
	for _, info := range kinds {
		if slices.Contains(info.Objects, object) {
			return info.Kind
		}
	}
	return ""
}

// Kinds lists every kind by name.
func Kinds() []*KindInfo {
	all := make([]*KindInfo, 0, len(kinds))
	for _, info := range kinds {
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b *KindInfo) int {
		if a.Kind < b.Kind {
			return -1
		}
		return 1
	})
	return all
}

// The export's types, in the order in which documentation and reports list them.
const (
	TypeShop       = "Shop"
	TypeLocation   = "Location"
	TypeProduct    = "Product"
	TypeVariant    = "ProductVariant"
	TypeItem       = "InventoryItem"
	TypeLevel      = "InventoryLevel"
	TypeCollection = "Collection"
	TypeDiscount   = "Discount"
	TypeMetafield  = "Metafield"
	TypeOrder      = "Order"
)

// Types lists the export's types in their usual order.
var Types = []string{
	TypeShop, TypeLocation, TypeProduct, TypeVariant, TypeItem, TypeLevel,
	TypeCollection, TypeDiscount, TypeMetafield, TypeOrder,
}
