package demo

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"stockroom/internal/simulator"
)

// A ledger writes down what every change to the shop did to the shop's own data,
// and what became of its webhooks. From it follows what lost webhooks have left
// wrong, without a word of the service: only the shop's data, the simulator's
// log of deliveries, and what Shopify's webhooks tell of.
type ledger struct {
	shop *simulator.Shop
	sim  *simulator.Simulator

	now     snapshot
	lines   map[string]line // Of the shop's exports so far: most stay as they were.
	edits   int
	changed map[record]map[string]int // By field: the edit that changed it last. The field "" is the whole record.
	sent    map[int][]simulator.Delivery
	rel     relations
}

// record names a line of an export.
type record struct{ Type, ID string }

// snapshot is an export, by record and field.
type snapshot map[record]map[string]json.RawMessage

// relations are what belongs to what, of all that ever was.
type relations struct {
	product   map[string]string // Of a variant.
	variant   map[string]string // Of an item.
	item      map[string]string // Of a level.
	location  map[string]string // Of a level.
	owner     map[string]string // Of a metafield.
	level     map[[2]string]string
	locations map[string]map[string]bool // Where an item ever was.
}

func newLedger(sim *simulator.Simulator, shop *simulator.Shop) (*ledger, error) {
	l := &ledger{shop: shop, sim: sim, lines: map[string]line{}, changed: map[record]map[string]int{}, sent: map[int][]simulator.Delivery{}, rel: relations{
		map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}, map[[2]string]string{}, map[string]map[string]bool{}}}
	var err error
	l.now, err = l.look()
	return l, err
}

// look reads the shop's own data.
func (l *ledger) look() (snapshot, error) {
	var out bytes.Buffer
	if err := l.shop.Export(&out); err != nil {
		return nil, err
	}
	s, err := readExport(&out, l.lines)
	if err == nil {
		l.rel.learn(s)
	}
	return s, err
}

// line is a line of an export.
type line struct {
	key    record
	fields map[string]json.RawMessage
}

// readExport reads an export. Lines are those that are known already; the others are added.
func readExport(r io.Reader, lines map[string]line) (snapshot, error) {
	s := snapshot{}
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 64<<20)
	for scanner.Scan() {
		one, known := lines[string(scanner.Bytes())]
		if !known {
			var err error
			if one, err = readLine(scanner.Bytes()); err != nil {
				return nil, fmt.Errorf("read an export: %w", err)
			}
			lines[scanner.Text()] = one
		}
		s[one.key] = one.fields
	}
	return s, scanner.Err()
}

// readLine reads a line. The members of a collection become a field each, since
// each has a history of its own.
func readLine(raw []byte) (line, error) {
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &fields); err != nil {
		return line{}, err
	}
	key := record{text(fields["type"]), text(fields["id"])}
	delete(fields, "type")
	delete(fields, "id")
	if key.Type == "Collection" {
		var members []string
		if err := json.Unmarshal(fields["productIds"], &members); err != nil {
			return line{}, err
		}
		delete(fields, "productIds")
		for _, id := range members {
			fields[memberField+id] = json.RawMessage("true")
		}
	}
	for name, value := range fields { // One spelling, whoever wrote it.
		var plain any
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.UseNumber()
		if err := decoder.Decode(&plain); err != nil {
			return line{}, err
		}
		spelled, err := json.Marshal(plain)
		if err != nil {
			return line{}, err
		}
		fields[name] = spelled
	}
	return line{key, fields}, nil
}

const memberField = "productIds:"

func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // What is no text is none.
	return s
}

// learn keeps what a snapshot says of who belongs to whom.
func (r *relations) learn(s snapshot) {
	for key, fields := range s {
		switch key.Type {
		case "ProductVariant":
			r.product[key.ID] = text(fields["productId"])
			r.variant[text(fields["inventoryItemId"])] = key.ID
		case "InventoryLevel":
			item, location := text(fields["inventoryItemId"]), text(fields["locationId"])
			r.item[key.ID], r.location[key.ID] = item, location
			r.level[[2]string{item, location}] = key.ID
			if r.locations[item] == nil {
				r.locations[item] = map[string]bool{}
			}
			r.locations[item][location] = true
		case "Metafield":
			r.owner[key.ID] = text(fields["ownerId"])
		}
	}
}

// differ lists, by record, the fields in which two snapshots differ; "" for a
// record that one of them lacks.
func differ(a, b snapshot) map[record][]string {
	all := map[record][]string{}
	for key, fields := range a {
		others, there := b[key]
		if !there {
			all[key] = []string{""}
			continue
		}
		if reflect.ValueOf(fields).Pointer() == reflect.ValueOf(others).Pointer() {
			continue // One line, read once.
		}
		for name, value := range fields {
			if !bytes.Equal(value, others[name]) {
				all[key] = append(all[key], name)
			}
		}
		for name := range others {
			if _, known := fields[name]; !known {
				all[key] = append(all[key], name)
			}
		}
	}
	for key := range b {
		if _, there := a[key]; !there {
			all[key] = []string{""}
		}
	}
	return all
}

// record makes a change and writes down what it did.
func (l *ledger) record(do func() error) error {
	before := len(l.sim.Deliveries())
	if err := do(); err != nil {
		return err
	}
	after, err := l.look()
	if err != nil {
		return err
	}
	l.edits++
	for key, fields := range differ(l.now, after) {
		if l.changed[key] == nil || fields[0] == "" {
			l.changed[key] = map[string]int{}
		}
		for _, name := range fields {
			l.changed[key][name] = l.edits
		}
	}
	l.now = after
	l.sent[l.edits] = l.sim.Deliveries()[before:]
	return nil
}

// Expected is a field that differs now, and why.
type Expected struct {
	Type  string `json:"type"`
	ID    string `json:"id"`
	Field string `json:"field,omitempty"` // Empty for a record that is missing or should be gone.

	// Lost: a webhook that told of the change was lost. Perhaps: one was that
	// would have mended it in some states of a copy. Neither: no webhook tells of it.
	Lost    bool   `json:"lost"`
	Perhaps bool   `json:"-"`
	Topic   string `json:"topic,omitempty"` // Of the lost one.
}

// expect compares a copy with the shop, and tells for each difference whether a
// lost webhook left it so.
func (l *ledger) expect(copied snapshot) []Expected {
	l.rel.learn(copied)
	var all []Expected
	for key, fields := range differ(l.now, copied) {
		for _, field := range fields {
			e := Expected{Type: key.Type, ID: key.ID, Field: field}
			edit, known := l.changed[key][field]
			if !known {
				edit = l.changed[key][""]
			}
			for _, d := range l.sent[edit] {
				if !d.Lost {
					continue
				}
				if l.rel.tells(d, key, field) {
					e.Lost, e.Topic = true, d.Topic
				}
			}
			all = append(all, e)
		}
	}
	// A record whose parent the copy lacks is not shown, whatever came of its own.
	lacks := map[string]bool{}
	for _, e := range all {
		if _, there := copied[record{e.Type, e.ID}]; e.Field == "" && e.Lost && !there {
			lacks[e.ID] = true
		}
		if e.Type == "Location" && e.Field == "isActive" && e.Lost {
			lacks[e.ID] = true // Nor is the stock of a location that it takes for closed.
		}
	}
	for i := range all {
		e := &all[i]
		if member, ok := strings.CutPrefix(e.Field, memberField); ok {
			e.Perhaps = e.Perhaps || lacks[member]
		}
		if e.Field != "" || !slices.ContainsFunc(l.rel.above(record{e.Type, e.ID}), func(id string) bool { return lacks[id] }) {
			continue
		}
		if e.Type == "Metafield" {
			e.Perhaps = true // None tells of a variant's own.
		} else {
			e.Lost = true
		}
	}
	slices.SortFunc(all, func(a, b Expected) int {
		return strings.Compare(a.Type+a.ID+a.Field, b.Type+b.ID+b.Field)
	})
	return all
}

// derivedFields are what Shopify works out from stock.
var derivedFields = map[string][]string{
	"Product":        {"totalInventory"},
	"ProductVariant": {"inventoryQuantity", "availableForSale"},
}

// tells says whether a webhook tells of a field: in its body, or by naming what
// has to be read again because of it.
func (r relations) tells(d simulator.Delivery, key record, field string) bool {
	group, verb, _ := strings.Cut(d.Topic, "/")
	product := r.productOf(key)
	switch group {
	case "products":
		if verb == "delete" && key.Type == "Collection" && field == memberField+d.Subject {
			return true
		}
		if product != d.Subject {
			return false
		}
		switch key.Type {
		case "InventoryItem", "InventoryLevel":
			return field == "" // There is none without its variant.
		}
		return true
	case "inventory_items":
		return key == (record{"InventoryItem", d.Subject}) || r.derived(key, field, d.Subject)
	case "inventory_levels":
		return key == (record{"InventoryLevel", d.Subject}) || r.derived(key, field, r.item[d.Subject])
	case "locations":
		switch key.Type {
		case "Location":
			return key.ID == d.Subject
		case "InventoryLevel":
			return field == "" && r.location[key.ID] == d.Subject
		}
		for item, variant := range r.variant {
			if r.locations[item][d.Subject] && (key.ID == variant || key.ID == r.product[variant]) && r.derived(key, field, item) {
				return true
			}
		}
		return false
	case "collections":
		return key == (record{"Collection", d.Subject}) || r.owner[key.ID] == d.Subject
	case "discounts":
		return key == (record{"Discount", d.Subject})
	case "orders":
		return key == (record{"Order", d.Subject})
	case "shop":
		return key == (record{"Shop", d.Subject})
	}
	return false
}

// derived tells whether a field is worked out from an item's stock.
func (r relations) derived(key record, field, item string) bool {
	variant := r.variant[item]
	return (key.ID == variant || key.ID == r.product[variant]) && slices.Contains(derivedFields[key.Type], field)
}

// above lists the records without which one is not shown.
func (r relations) above(key record) []string {
	switch key.Type {
	case "ProductVariant":
		return []string{r.product[key.ID]}
	case "InventoryItem":
		return []string{r.variant[key.ID], r.product[r.variant[key.ID]]}
	case "InventoryLevel":
		item := r.item[key.ID]
		return []string{r.location[key.ID], item, r.variant[item], r.product[r.variant[item]]}
	case "Metafield":
		owner := r.owner[key.ID]
		return []string{owner, r.product[owner]}
	}
	return nil
}

// productOf is the product that a record belongs to; empty for none.
func (r relations) productOf(key record) string {
	switch key.Type {
	case "Product":
		return key.ID
	case "ProductVariant":
		return r.product[key.ID]
	case "InventoryItem":
		return r.product[r.variant[key.ID]]
	case "InventoryLevel":
		return r.product[r.variant[r.item[key.ID]]]
	case "Metafield":
		owner := r.owner[key.ID]
		if product, isVariant := r.product[owner]; isVariant {
			return product
		}
		return owner
	}
	return ""
}

// told tells whether some webhook told of what made a field differ: then a copy
// that was sent all webhooks should not be wrong in it.
func (l *ledger) told(e Expected) bool {
	key := record{e.Type, e.ID}
	edit, known := l.changed[key][e.Field]
	if !known {
		edit = l.changed[key][""]
	}
	return slices.ContainsFunc(l.sent[edit], func(d simulator.Delivery) bool { return l.rel.tells(d, key, e.Field) })
}
