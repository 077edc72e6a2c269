package simtest

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"stockroom/internal/store"
)

// journal is what a life writes into the records of its database, told by SQLite
// itself before each row is written and held back until the commit. So every
// state that a reader could ever see is judged, however soon it was mended, at
// the cost of the rows that changed.
type journal struct {
	mu         sync.Mutex
	open       []write
	committing bool // SQLite is about to commit what is open, and may still fail.
	done       []write
}

// write is a row of the records as it will be.
type write struct {
	shop                      int64
	kind, id, parent, content string
	updated, asOf, dead, seen int64
	isNull, deleted           bool
}

// journals are those of the lives that go on, by the database's path.
var journals sync.Map

// keepJournals has every writing connection of a known database tell its journal.
var keepJournals = sync.OnceFunc(func() {
	sqlite.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, dsn string) error {
		path, options, _ := strings.Cut(strings.TrimPrefix(dsn, "file:"), "?")
		found, known := journals.Load(path)
		if !known || !strings.HasPrefix(options, "mode=rw") {
			return nil
		}
		j := found.(*journal)
		hooks := conn.(sqlite.HookRegisterer)
		hooks.RegisterPreUpdateHook(j.writes)
		hooks.RegisterCommitHook(func() int32 { j.commits(); return 0 })
		hooks.RegisterRollbackHook(j.rollsBack)
		return nil
	})
})

// journalOf opens a life's journal. Call it before the database is opened.
func journalOf(dir string) *journal {
	keepJournals()
	j := &journal{}
	journals.Store(filepath.Join(dir, "stockroom.db"), j)
	return j
}

// recordColumns are those of the table that are looked at, in its order: shop,
// kind, id, parent, link, content, digest, updated_at, as_of, dead, seen.
const recordColumns = 11

func (j *journal) writes(row sqlite.SQLitePreUpdateData) {
	if row.TableName != "records" {
		return
	}
	values := make([]any, recordColumns)
	read := row.New
	if row.Op == sqlite3.SQLITE_DELETE {
		read = row.Old
	}
	if err := read(values...); err != nil {
		panic(err)
	}
	content, isText := values[5].(string)
	w := write{shop: values[0].(int64), kind: values[1].(string), id: values[2].(string), parent: values[3].(string), content: content, isNull: !isText,
		updated: values[7].(int64), asOf: values[8].(int64), dead: values[9].(int64), seen: values[10].(int64), deleted: row.Op == sqlite3.SQLITE_DELETE}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settle()
	j.open = append(j.open, w)
}

func (j *journal) commits() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settle()
	j.committing = true
}

func (j *journal) rollsBack() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open, j.committing = nil, false
}

// settle tells that what was about to be committed was; mu is held.
func (j *journal) settle() {
	if j.committing {
		j.done = append(j.done, j.open...)
		j.open, j.committing = nil, false
	}
}

// take is what was committed since the last call, in its order.
func (j *journal) take() []write {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.settle()
	done := j.done
	j.done = nil
	return done
}

// rowKey names a row of a shop's records.
type rowKey struct{ kind, id string }

// row is what the files hold of a record.
type row struct {
	parent  string
	shown   bool            // As far as the record's own marks decide.
	died    bool            // It was deleted at some time.
	updated int64           // The greatest that readers saw, in milliseconds.
	members map[string]bool // Of a set; nil for what is none.
	// hidden and back are since when a set hides what lives, and shows again
	// what does not; zero while it does not.
	hidden, back time.Time
	left         bool // It went out of its set when it lived no more.
}

// ledger is what the files hold of a shop, after the last commit.
type ledger struct {
	mu    sync.Mutex
	rows  map[rowKey]*row
	doubt map[rowKey]bool // Rows that a set hides or shows wrongly.
}

// memberKinds are the kinds of what a set holds, by the set's kind, and the
// field of its content that names them.
var memberKinds = map[string]struct{ kind, field string }{
	"ProductVariantSet": {"ProductVariant", "variantIds"},
	"MetafieldSet":      {"Metafield", "metafieldIds"},
}

// committed judges what a commit made visible: P3 and P4.
func (w *world) committed(l *life) {
	for _, change := range l.journal.take() {
		if s := w.shopByID(l, change.shop); s != nil {
			w.count("rows judged", 1)
			w.judgeWrite(s, change)
		}
	}
	for _, s := range w.shops {
		if !w.isAway(s) { // Nobody can tell the service what became of what is in doubt.
			w.judgeDoubts(s)
		}
	}
}

func (w *world) judgeWrite(s *watched, c write) {
	b := &s.ledger
	b.mu.Lock()
	defer b.mu.Unlock()
	key := rowKey{c.kind, c.id}
	if c.deleted { // A row that was there goes with its shop alone: what dies leaves a tombstone.
		if !w.isAway(s) {
			w.violate("P4", "the row of %s %s is gone, and its shop has not left", c.kind, c.id)
		}
		delete(b.rows, key)
		delete(b.doubt, key)
		return
	}
	r := b.rows[key]
	if r == nil {
		r = &row{}
		b.rows[key] = r
	}
	was := r.shown
	r.parent = c.parent
	r.shown = !c.deleted && !c.isNull && (c.dead == 0 || c.dead < c.seen || returns[c.kind] && c.dead < c.asOf)
	if r.shown {
		if c.updated < r.updated {
			w.violate("P3", "%s %s went back in time: readers saw updatedAt %v, and now %v", c.kind, c.id, time.UnixMilli(r.updated).UTC(), time.UnixMilli(c.updated).UTC())
		}
		r.updated = max(r.updated, c.updated)
	}
	if field, isSet := memberKinds[c.kind]; isSet && r.shown {
		w.judgeSet(s, r, c, field.kind, field.field)
	}
	if !objects[c.kind] {
		return
	}
	switch {
	case was && !r.shown && w.isThere(s, c.kind, c.id):
		w.violate("P4", "%s was deleted though it lives", c.id)
	case !was && r.shown && r.died && !w.isThere(s, c.kind, c.id):
		w.violate("P3", "%s was resurrected: it was deleted, and is shown again", c.id)
	}
	r.died = r.died || c.dead != 0
}

// objects are the kinds that are objects in the shop, and stay away once they
// are deleted. Levels come back; the others are parts of objects.
var objects = map[string]bool{"Shop": true, "Location": true, "Product": true, "ProductVariant": true, "InventoryItem": true, "Collection": true,
	"Discount": true, "Metafield": true, "Order": true}

// judgeSet follows who comes and goes by a set. For the moments in which two
// versions of one second are told apart it may be wrong.
func (w *world) judgeSet(s *watched, set *row, c write, kind, field string) {
	var content map[string]json.RawMessage
	var ids []string
	if err := json.Unmarshal([]byte(c.content), &content); err != nil {
		w.violate("reader", "%s %s holds %q: %v", c.kind, c.id, c.content, err)
		return
	}
	if err := json.Unmarshal(content[field], &ids); err != nil {
		w.violate("reader", "%s %s holds %q: %v", c.kind, c.id, c.content, err)
		return
	}
	now := map[string]bool{}
	for _, id := range ids {
		now[id] = true
	}
	for id := range set.members {
		r := s.ledger.rows[rowKey{kind, id}]
		if now[id] || r == nil {
			continue
		}
		r.back = time.Time{}
		if w.isThere(s, kind, id) {
			r.hidden = time.Now()
			s.ledger.doubt[rowKey{kind, id}] = true
		} else {
			r.left = true
		}
	}
	for id := range now {
		r := s.ledger.rows[rowKey{kind, id}]
		if set.members[id] || r == nil {
			continue
		}
		r.hidden = time.Time{}
		if r.left && !w.isThere(s, kind, id) {
			r.back = time.Now()
			s.ledger.doubt[rowKey{kind, id}] = true
		}
	}
	set.members = now
}

// judgeDoubts judges what a set has hidden or shown wrongly for too long.
func (w *world) judgeDoubts(s *watched) {
	b := &s.ledger
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.doubt {
		r, lives := b.rows[key], w.isThere(s, key.kind, key.id)
		hidden := !r.hidden.IsZero() && lives && r.shown
		back := !r.back.IsZero() && !lives && r.shown
		switch {
		case hidden && time.Since(r.hidden) > hiddenFor:
			w.violate("P4", "%s has been hidden by its set for %v though it lives", key.id, time.Since(r.hidden))
		case back && time.Since(r.back) > hiddenFor:
			w.violate("P3", "%s was resurrected by its set for %v", key.id, time.Since(r.back))
		case hidden, back:
			continue
		}
		delete(b.doubt, key)
	}
}

// isThere tells whether the shop has a record at present.
func (w *world) isThere(s *watched, kind, id string) bool {
	number, err := strconv.ParseInt(id[strings.LastIndexByte(id, '/')+1:], 10, 64)
	if err != nil {
		panic(err)
	}
	s.shop.RLock()
	defer s.shop.RUnlock()
	lives := false
	switch kind {
	case "Shop":
		lives = true
	case "Location":
		_, lives = s.shop.Locations.Get(number)
	case "Product":
		_, lives = s.shop.Products.Get(number)
	case "ProductVariant":
		_, lives = s.shop.Variants.Get(number)
	case "InventoryItem":
		_, lives = s.shop.Items.Get(number)
	case "Collection":
		_, lives = s.shop.Collections.Get(number)
	case "Discount":
		_, lives = s.shop.Discounts.Get(number)
	case "Metafield":
		_, lives = s.shop.Metafields.Get(number)
	case "Order":
		order, found := s.shop.Orders.Get(number)
		lives = found && w.plan.protected && time.Since(order.CreatedAt) < 59*day // Older ones leave by the clock.
	}
	return lives
}

// shopByID finds a shop by its number in the service's database.
func (w *world) shopByID(l *life, id int64) *watched {
	for _, s := range w.shops {
		w.mu.Lock()
		known := s.id
		w.mu.Unlock()
		if known == 0 {
			_ = l.app.Store.View(context.Background(), func(tx *store.Tx) error {
				shop, err := tx.ShopByDomain(s.shop.Domain)
				known = shop.ID
				return err
			})
			w.mu.Lock()
			s.id = known
			w.mu.Unlock()
		}
		if known == id {
			return s
		}
	}
	return nil
}
