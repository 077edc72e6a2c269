package mirror

const (
	KindShop     Kind = "Shop"
	KindLocation Kind = "Location"

	ReadShop     Read = "shop"     // Answers with the shop that the token belongs to, and its metafields.
	ReadLocation Read = "location" // Answers with the location, active or not.
)

var (
	_ = register(KindInfo{Kind: KindShop, Type: TypeShop, Governed: true, Read: ReadShop,
		Objects: []string{"Shop"}, Topics: Topics{Created: "shop/update", Changed: "shop/update"},
		Blank: func() Content { return new(Shop) }})
	_ = register(KindInfo{Kind: KindLocation, Type: TypeLocation, Scopes: []string{"read_locations"}, Governed: true, Read: ReadLocation,
		Objects: []string{"Location"}, Topics: Topics{Created: "locations/create", Changed: "locations/update", Deleted: "locations/delete"},
		Blank: func() Content { return new(Location) }})
)

// Shop is what the shop says of itself. shop/update carries the primary
// domain's host without its scheme, so the record arrives whole from reads alone.
type Shop struct {
	Name             string `json:"name"`
	MyshopifyDomain  string `json:"myshopifyDomain"`
	PrimaryDomainURL string `json:"primaryDomainUrl"`
	CurrencyCode     string `json:"currencyCode"`
	IANATimezone     string `json:"ianaTimezone"`
	UpdatedAt        Time   `json:"updatedAt"` // Not in the export: not every setting moves it.
}

// Location is a place that holds stock; inactive ones are kept and shown too.
type Location struct {
	Name      string `json:"name"`
	IsActive  bool   `json:"isActive"`
	UpdatedAt Time   `json:"updatedAt"` // Not in the export.
}

func (Shop) Kind() Kind              { return KindShop }
func (Shop) ParentID() GID           { return "" }
func (s Shop) UpdatedTime() Time     { return s.UpdatedAt }
func (Location) Kind() Kind          { return KindLocation }
func (Location) ParentID() GID       { return "" }
func (l Location) UpdatedTime() Time { return l.UpdatedAt }

// LocationActive tells whether a location, as Encode wrote it, is open. One that
// is not known, nil, is not.
func LocationActive(encoded []byte) (bool, error) {
	if encoded == nil {
		return false, nil
	}
	content, err := Decode(KindLocation, encoded)
	if err != nil {
		return false, err
	}
	return content.(*Location).IsActive, nil
}
