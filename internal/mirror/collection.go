package mirror

const (
	KindCollection        Kind = "Collection"
	KindCollectionMembers Kind = "CollectionMembers"

	// ReadCollection answers with the collection, all its members, and its metafields.
	ReadCollection Read = "collection"
)

var (
	_ = register(KindInfo{Kind: KindCollection, Type: TypeCollection, Scopes: []string{"read_products"}, Governed: true, Read: ReadCollection,
		Objects: []string{"Collection"}, Topics: Topics{Created: "collections/create", Changed: "collections/update", Deleted: "collections/delete"},
		Blank: func() Content { return new(Collection) }})
	_ = register(KindInfo{Kind: KindCollectionMembers, Type: TypeCollection, Of: KindCollection, Read: ReadCollection,
		Blank: func() Content { return new(CollectionMembers) }})
)

// Collection is what collections/create and collections/update carry whole.
type Collection struct {
	Title           string `json:"title"`
	Handle          string `json:"handle"`
	DescriptionHTML string `json:"descriptionHtml"`
	SortOrder       string `json:"sortOrder"`
	UpdatedAt       Time   `json:"updatedAt"`
}

// CollectionMembers is who belongs to a collection. No webhook carries it, and
// a product that starts or stops matching a rule fires none.
type CollectionMembers struct {
	Smart      bool  `json:"smart"`      // A rule decides.
	ProductIDs []GID `json:"productIds"` // Sorted.
}

func (Collection) Kind() Kind               { return KindCollection }
func (Collection) ParentID() GID            { return "" }
func (c Collection) UpdatedTime() Time      { return c.UpdatedAt }
func (CollectionMembers) Kind() Kind        { return KindCollectionMembers }
func (CollectionMembers) ParentID() GID     { return "" }
func (CollectionMembers) UpdatedTime() Time { return Time{} }
