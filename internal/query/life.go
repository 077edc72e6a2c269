package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Life is all that is known of an object: what the copy says, why, and what
// taught it that. Moments are on Shopify's clock, but for Event.At.
type Life struct {
	Shop    string       `json:"shop"`
	ID      mirror.GID   `json:"id"`
	Others  []mirror.GID `json:"others,omitempty"` // Variants that bear the SKU which was asked for, too.
	Records []LifeRecord `json:"records"`          // Its parts: see docs/records.md. Empty where the copy never heard of it.
	History []Event      `json:"history"`          // The newest first.
	Owed    bool         `json:"owed"`             // A read of it by id is owed.

	// Now is what Shopify says at this moment; nil where it was not asked.
	Now *LifeNow `json:"now"`
}

// LifeRecord is one part of an object.
type LifeRecord struct {
	Key       mirror.Key  `json:"-"`
	Record    mirror.Kind `json:"record"`
	Parent    mirror.GID  `json:"parent,omitempty"` // What it belongs to; empty for what stands alone.
	Shown     bool        `json:"shown"`            // By its own marks.
	Visible   bool        `json:"visible"`          // To readers: its parents and sets show it, too.
	UpdatedAt mirror.Time `json:"updated_at"`
	AsOf      mirror.Time `json:"as_of"`      // When the content was last known to be so.
	ReadAt    mirror.Time `json:"read_at"`    // The last read by id that found it.
	HeardAt   mirror.Time `json:"heard_at"`   // The last content from elsewhere.
	DeletedAt mirror.Time `json:"deleted_at"` // The last word that it was deleted.
	Fields    []LifeField `json:"fields"`

	// Evidence is what decided that it was deleted, where reads by id did: a
	// reconcile.Evidence. Nil otherwise, and for what is shown.
	Evidence json.RawMessage `json:"evidence,omitempty"`

	Content []byte `json:"-"`
}

// LifeField is a value, and what last set it.
type LifeField struct {
	Field string          `json:"field"`
	Value json.RawMessage `json:"value"`
	SetBy *Event          `json:"set_by"` // Null where it was so before the history begins: by the import, mostly.
}

// Event is what an observation did to a record.
type Event struct {
	Record    mirror.Kind   `json:"record"`
	Source    mirror.Source `json:"source"`
	Topic     string        `json:"topic,omitempty"`
	Delivery  int64         `json:"delivery,omitempty"` // The webhook's number in the inbox.
	Outcome   string        `json:"outcome"`            // applied, stale, same, conflict; or asked: it named the record, which was read.
	Deletion  bool          `json:"deletion"`
	UpdatedAt mirror.Time   `json:"updated_at"`
	AsOf      mirror.Time   `json:"as_of"`
	HeardAt   mirror.Time   `json:"heard_at"`
	Fields    []string      `json:"fields"` // Which changed; "*" for a record that was not shown before.
	At        mirror.Time   `json:"at"`     // By this machine's clock.
}

// LifeNow is what one live read found.
type LifeNow struct {
	AskedAt mirror.Time   `json:"asked_at"`
	Error   string        `json:"error,omitempty"` // Why Shopify did not answer; then the rest says nothing.
	Agrees  bool          `json:"agrees"`
	Gone    bool          `json:"gone"` // Shopify has no such object.
	Differs []LifeDiffers `json:"differs"`
}

// LifeDiffers is a part in which the copy and Shopify differ now.
type LifeDiffers struct {
	Record mirror.Kind        `json:"record"`
	Fields []mirror.FieldDiff `json:"fields"`
}

// Life tells of an object by its global id, or of the variant with a SKU. An
// *Error says that there is no such thing.
func (r *Reader) Life(ctx context.Context, shop store.Shop, what string) (Life, error) {
	life := Life{Shop: shop.Domain, Records: []LifeRecord{}, History: []Event{}}
	err := r.view(ctx, shop, "life", func(tx *store.Tx) error {
		in := reader{tx, shop, r.shopNow(shop)}
		ids, err := in.named(what)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return &Error{NotFound, fmt.Sprintf("the copy of %s shows no variant with the SKU %q", shop.Domain, what), "name an object by its SKU or its global id, such as gid://shopify/Product/1; one that the copy does not show by its id alone"}
		}
		life.ID, life.Others = ids[0], ids[1:]
		return in.life(&life)
	})
	return life, err
}

// named finds the id that records are kept under; of variants with a SKU, each one's.
func (r reader) named(what string) ([]mirror.GID, error) {
	id := mirror.GID(what)
	if id.Object() == "InventoryLevel" { // Kept by item and location.
		_, item, _ := strings.Cut(what, "inventory_item_id=")
		of := mirror.NewGID("InventoryItem", 0)
		of = of[:len(of)-1] + mirror.GID(item)
		levels, err := r.tx.ShownByParent(r.shop.ID, mirror.KindInventoryLevel, []mirror.GID{of})
		for _, row := range levels[of] {
			level, err := decode[*mirror.InventoryLevel](mirror.KindInventoryLevel, row)
			if err != nil {
				return nil, err
			}
			if level.LevelGID == id {
				return []mirror.GID{row.ID}, nil
			}
		}
		if err == nil {
			err = &Error{NotFound, fmt.Sprintf("the copy has no stock %s", what), "name it by its item and the location's number: gid://shopify/InventoryItem/1@2"}
		}
		return nil, err
	}
	if id.Object() != "" {
		return []mirror.GID{id}, nil
	}
	items, err := r.itemsBySKU(what)
	if err != nil || len(items) == 0 {
		return nil, err
	}
	variants, err := r.tx.ShownByLink(r.shop.ID, mirror.KindProductVariant, items)
	if err != nil {
		return nil, err
	}
	var rows []store.Row
	for _, item := range items {
		rows = append(rows, variants[item]...)
	}
	rows, err = r.tx.Visible(r.shop.ID, mirror.KindProductVariant, rows) // One that is gone may name the item still.
	ids := make([]mirror.GID, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	return ids, err
}

// life fills what the copy knows of life.ID.
func (r reader) life(life *Life) error {
	var keys []mirror.Key
	for _, info := range mirror.Kinds() {
		keys = append(keys, mirror.Key{Kind: info.Kind, ID: life.ID})
	}
	known, err := r.tx.LoadRecords(r.shop.ID, keys)
	if err != nil {
		return err
	}
	entries, err := r.tx.HistoryOf(r.shop.ID, []mirror.GID{life.ID}, store.MaxHistory)
	if err != nil {
		return err
	}
	for _, e := range entries {
		life.History = append(life.History, eventOf(e))
	}
	owed, err := r.tx.Demanded(r.shop.ID, []mirror.GID{life.ID})
	if err != nil {
		return err
	}
	life.Owed = owed[life.ID]
	for _, key := range keys { // As many as there are kinds.
		record, ok := known[key]
		if !ok {
			continue
		}
		s := record.State
		visible, err := r.tx.VisibleIDs(r.shop.ID, key.Kind, []mirror.GID{key.ID})
		if err != nil {
			return err
		}
		at := func(i mirror.Instant) mirror.Time { return mirror.TimeOf(i.Time()) }
		part := LifeRecord{Key: key, Record: key.Kind, Shown: s.Shown(mirror.InfoOf(key.Kind)), Visible: len(visible) > 0, UpdatedAt: at(s.Updated), AsOf: at(s.AsOf),
			ReadAt: at(s.Seen), HeardAt: at(s.Heard), DeletedAt: at(s.Dead), Fields: []LifeField{}, Content: s.Content, Parent: s.Parent}
		if !part.Shown {
			tombstone, err := r.tx.TombstoneOf(r.shop.ID, key)
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			part.Evidence = tombstone.Evidence
		}
		diffs, err := mirror.Compare(nil, s.Content) // All fields.
		if err != nil {
			return err
		}
		for _, diff := range diffs {
			part.Fields = append(part.Fields, LifeField{diff.Field, diff.New, setBy(life.History, key.Kind, diff.Field)})
		}
		life.Records = append(life.Records, part)
	}
	return nil
}

// setBy is the last event that changed a field.
func setBy(history []Event, kind mirror.Kind, field string) *Event {
	for i := range history {
		e := &history[i]
		if e.Record == kind && (slices.Contains(e.Fields, field) || slices.Contains(e.Fields, store.AllFields)) {
			return e
		}
	}
	return nil
}

func eventOf(e store.Entry) Event {
	at := func(i mirror.Instant) mirror.Time { return mirror.TimeOf(i.Time()) }
	return Event{Record: e.Key.Kind, Source: e.Source, Topic: e.Topic, Delivery: e.Delivery, Outcome: e.Outcome, Deletion: e.Absent,
		UpdatedAt: at(e.Updated), AsOf: at(e.AsOf), HeardAt: at(e.Heard), Fields: strings.Fields(e.Fields), At: at(e.At)}
}
