package mirror

const (
	KindMetafield    Kind = "Metafield"
	KindMetafieldSet Kind = "MetafieldSet"

	// ReadMetafields answers with all metafields of one owner; its ids are the owner's.
	ReadMetafields Read = "metafields"
)

var (
	_ = register(KindInfo{Kind: KindMetafield, Type: TypeMetafield, Governed: true, Read: ReadMetafields,
		Objects: []string{"Metafield"},
		Blank:   func() Content { return new(Metafield) }})
	_ = register(KindInfo{Kind: KindMetafieldSet, Type: TypeMetafield, Read: ReadMetafields,
		Blank: func() Content { return new(MetafieldSet) }})
)

// Metafield is a value that an app or the merchant attached to an object.
type Metafield struct {
	OwnerID   GID    `json:"ownerId"`
	Namespace string `json:"namespace"`
	Key       string `json:"key"`
	Type      string `json:"type"`
	Value     string `json:"value"`
	UpdatedAt Time   `json:"updatedAt"`
}

// MetafieldSet is the whole list of one owner's metafields; the record's id is
// the owner's. A metafield is shown only while the list holds it.
type MetafieldSet struct {
	MetafieldIDs []GID `json:"metafieldIds"` // Sorted.
}

func (Metafield) Kind() Kind           { return KindMetafield }
func (m Metafield) ParentID() GID      { return m.OwnerID }
func (m Metafield) UpdatedTime() Time  { return m.UpdatedAt }
func (MetafieldSet) Kind() Kind        { return KindMetafieldSet }
func (MetafieldSet) ParentID() GID     { return "" }
func (MetafieldSet) UpdatedTime() Time { return Time{} }
