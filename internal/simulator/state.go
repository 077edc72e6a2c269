package simulator

import (
	"bufio"
	"cmp"
	"container/heap"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stockroom/internal/simulator/graph"
)

// stateVersion is what this simulator writes and the only one it reads.
const stateVersion = 1

// maxStateLine bounds a line of a state, so that a file of another kind is
// refused before it fills the memory. A product of 2,048 variants that are
// stocked at a hundred places fits several times.
const maxStateLine = 256 << 20

// line is one line of a state: a JSON object of one member. The first is the
// simulator; a shop comes before what it holds.
type line struct {
	Simulator    *savedSimulator    `json:",omitempty"`
	Shop         *savedShop         `json:",omitempty"`
	Product      *savedProduct      `json:",omitempty"`
	Collection   *Collection        `json:",omitempty"`
	Discount     *Discount          `json:",omitempty"`
	Order        *Order             `json:",omitempty"`
	Event        *Happening         `json:",omitempty"`
	Installation *savedInstallation `json:",omitempty"`
	Delivery     *savedDelivery     `json:",omitempty"`
	Meta         json.RawMessage    `json:",omitempty"` // The other platform.
	End          *int               `json:",omitempty"` // How many lines came before.
}

type savedSimulator struct {
	Version        int
	Seed           uint64
	Number         int64
	Ahead          time.Duration // Of the clock.
	Faults         Faults
	Chance, Secret []byte // Where the sources of chance are.
	MetaSecret     []byte `json:",omitempty"`
	Changes        int64  // Made by traffic.
}

type savedShop struct {
	Domain        string
	ID            int64
	Name          string
	PrimaryDomain string
	Email         string
	Currency      string
	Timezone      string
	Country       string
	CreatedAt     time.Time
	UpdatedAt     time.Time
	Locations     []*Location
	Metafields    []*Metafield // The shop's own.
	LastID        map[string]int64
	NextOrder     int
	Catalogue     Catalogue
	Handles       map[string]int
	Erasures      map[int64]*erasure `json:",omitempty"`
	Closed        int
}

// savedProduct is a product with all that belongs to its variants.
type savedProduct struct {
	*Product
	Levels     []savedLevel `json:",omitempty"` // Of each item in order of its locations.
	ShownTotal int64        `json:",omitempty"`
	TotalDue   time.Time    `json:",omitzero"`
}

type savedLevel struct {
	*Level
	Item, Location int64
}

type savedInstallation struct {
	ID            int64
	ClientID      string
	Scopes        []string
	InstalledAt   time.Time
	Tokens        map[string]*token
	Refreshes     map[string]*refreshToken
	Codes         map[string]*authCode
	Migrations    map[string]*migration
	Subscriptions []*Subscription
	Bulk          []savedBulk `json:",omitempty"`
}

type savedBulk struct {
	*BulkOperation
	Path, Signature string
}

// savedDelivery is an entry of the log, with what is still to be sent of it.
type savedDelivery struct {
	Delivery
	Parcel *savedParcel `json:",omitempty"`
}

type savedParcel struct {
	Due          time.Time
	Subscription int64
	Name         string
	Version      string
	Body         []byte
	OldSecret    bool
	Tries        int
	Copies       int
	Forge        bool
	Skew         time.Duration
	Stale        bool
	Lapse        bool
	Renew        bool
	First        time.Time
	Awaited      bool
}

// Save writes all that the simulator is as JSON lines: shops, installations
// with their tokens, webhooks under way, faults, the clock's lead. It holds no
// app's secret. Left out are the answers remembered by idempotency keys, what
// is spent of the budgets, and flash sales, whose prices stay.
//
// No webhook is sent and nothing changes meanwhile. A webhook that was never
// tried is saved with the body that it would have now.
func (s *Simulator) Save(w io.Writer) error {
	s.clock.turn.Lock()
	defer s.clock.turn.Unlock()
	defer s.hooks.hold()()
	shops := s.inOrder()
	for _, shop := range shops {
		shop.mu.RLock()
		defer shop.mu.RUnlock()
	}
	out := bufio.NewWriterSize(w, 1<<20)
	write := &lineWriter{to: json.NewEncoder(out)}
	write.to.SetEscapeHTML(false)
	state, err := s.saved()
	if err == nil {
		err = write.Encode(line{Simulator: state})
	}
	if err == nil {
		var raw json.RawMessage
		if raw, err = s.meta.Save(); err == nil {
			err = write.Encode(line{Meta: raw})
		}
	}
	for _, shop := range shops {
		if err == nil {
			err = shop.save(write)
		}
	}
	if err == nil {
		err = s.hooks.save(write)
	}
	if err == nil {
		before := write.lines
		err = write.Encode(line{End: &before})
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("save the simulator: %w", err)
	}
	return nil
}

// lineWriter writes a state and counts its lines.
type lineWriter struct {
	to    *json.Encoder
	lines int
}

func (w *lineWriter) Encode(l line) error {
	w.lines++
	return w.to.Encode(l)
}

// inOrder are the shops as they were added.
func (s *Simulator) inOrder() []*Shop {
	shops := s.Shops()
	slices.SortFunc(shops, func(a, b *Shop) int { return cmp.Compare(a.ID, b.ID) })
	return shops
}

func (s *Simulator) saved() (*savedSimulator, error) {
	out := &savedSimulator{Version: stateVersion, Seed: s.config.Seed, Ahead: s.clock.offset(), Faults: s.Faults(), Changes: s.Traffic().Made}
	s.mu.RLock()
	out.Number = s.number
	s.mu.RUnlock()
	var chanceErr, secretErr, metaErr error
	s.faultsMu.Lock()
	out.Chance, chanceErr = s.chanceSource.MarshalBinary()
	s.faultsMu.Unlock()
	s.secretMu.Lock()
	out.Secret, secretErr = s.secretSource.MarshalBinary()
	out.MetaSecret, metaErr = s.metaSource.MarshalBinary()
	s.secretMu.Unlock()
	return out, errors.Join(chanceErr, secretErr, metaErr)
}

// save writes the shop; its read lock is held.
func (s *Shop) save(write *lineWriter) error {
	head := &savedShop{Domain: s.Domain, ID: s.ID, Name: s.Name, PrimaryDomain: s.PrimaryDomain, Email: s.Email, Currency: s.Currency,
		Timezone: s.Timezone, Country: s.Country, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, Locations: slices.Collect(s.Locations.All()),
		Metafields: s.Own, LastID: s.lastID, NextOrder: s.nextOrder, Catalogue: s.catalogue, Handles: s.handles, Erasures: s.erasures}
	s.installMu.Lock()
	head.Closed = s.closed
	installations := slices.SortedFunc(maps.Values(s.installations), func(a, b *Installation) int { return cmp.Compare(a.ID, b.ID) })
	s.installMu.Unlock()
	if err := write.Encode(line{Shop: head}); err != nil {
		return err
	}
	for p := range s.Products.All() {
		saved := &savedProduct{Product: p, ShownTotal: p.oldTotal, TotalDue: p.totalDue}
		for _, v := range p.Variants {
			for _, l := range v.Item.Levels {
				saved.Levels = append(saved.Levels, savedLevel{l, v.Item.ID, l.Location.ID})
			}
		}
		if err := write.Encode(line{Product: saved}); err != nil {
			return err
		}
	}
	for c := range s.Collections.All() {
		if err := write.Encode(line{Collection: c}); err != nil {
			return err
		}
	}
	for d := range s.Discounts.All() {
		if err := write.Encode(line{Discount: d}); err != nil {
			return err
		}
	}
	for o := range s.Orders.All() {
		if err := write.Encode(line{Order: o}); err != nil {
			return err
		}
	}
	for h := range s.Events.All() {
		if err := write.Encode(line{Event: h}); err != nil {
			return err
		}
	}
	for _, i := range installations {
		if err := i.save(write); err != nil {
			return err
		}
	}
	return nil
}

func (i *Installation) save(write *lineWriter) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	saved := &savedInstallation{ID: i.ID, ClientID: i.App.ClientID, Scopes: i.scopes, InstalledAt: i.installedAt, Tokens: i.tokens,
		Refreshes: i.refreshes, Codes: i.codes, Migrations: i.migrations, Subscriptions: slices.Collect(i.subscriptions.All())}
	for _, b := range i.bulk {
		saved.Bulk = append(saved.Bulk, savedBulk{b, b.path, b.signature})
	}
	return write.Encode(line{Installation: saved})
}

// hold keeps parcels in the queue until release. None is being sent when it returns.
func (c *courier) hold() (release func()) {
	c.mu.Lock()
	c.held = true
	for c.busy > 0 {
		if c.finished == nil {
			c.finished = make(chan struct{})
		}
		finished := c.finished
		c.mu.Unlock()
		<-finished // A sender takes six seconds at most.
		c.mu.Lock()
	}
	c.mu.Unlock()
	return func() {
		c.mu.Lock()
		c.held = false
		c.mu.Unlock()
		c.look()
	}
}

// save writes the log and what is on its way. Deliveries are held, and the
// shops' read locks too.
func (c *courier) save(write *lineWriter) error {
	c.mu.Lock()
	log, queue := slices.Clone(c.log), slices.Clone(c.queue)
	c.mu.Unlock()
	queue = slices.DeleteFunc(queue, func(p *parcel) bool { return p.task != nil }) // Of an erasure, which its shop keeps.
	waiting := make(map[*Delivery]*parcel, len(queue))
	for _, p := range queue {
		waiting[p.log] = p
	}
	logged := make(map[*Delivery]bool, len(log))
	for _, d := range log {
		logged[d] = true
	}
	for _, p := range queue { // The log forgets what may still be sent.
		if !logged[p.log] {
			log = append(log, p.log)
		}
	}
	for _, d := range log {
		saved := &savedDelivery{Delivery: *d}
		if p := waiting[d]; p != nil {
			body, ok := p.body, true
			if body == nil {
				body, ok = c.compose(p)
			}
			if ok {
				saved.Parcel = &savedParcel{Due: p.due, Subscription: p.subscription, Name: p.name, Version: p.options.version, Body: body,
					OldSecret: p.oldSecret, Tries: p.tries, Copies: p.copies, Forge: p.forge, Skew: p.skew, Stale: p.stale, Lapse: p.lapse, Renew: p.renew,
					First: p.first, Awaited: p.awaited}
			} else {
				saved.Skipped, saved.Done = true, true
			}
		}
		if err := write.Encode(line{Delivery: saved}); err != nil {
			return err
		}
	}
	return nil
}

// Load makes the simulator what it was when it was saved. It has no shops yet
// and was not started; its apps are registered, those among them that were
// installed. Bulk operations that were running are canceled. An error names the
// line, and the simulator is of no more use then.
func (s *Simulator) Load(r io.Reader) error {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 1<<20), maxStateLine)
	load := loader{sim: s}
	for scan.Scan() {
		load.number++
		var next line
		err := json.Unmarshal(scan.Bytes(), &next)
		if err == nil {
			err = load.take(next)
		}
		if err != nil {
			return fmt.Errorf("load the simulator: line %d: %w", load.number, err)
		}
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("load the simulator: after line %d: %w", load.number, err)
	}
	if load.number == 0 {
		return errors.New("load the simulator: the file is empty")
	}
	if !load.ended {
		return fmt.Errorf("load the simulator: the file was cut after line %d", load.number)
	}
	load.settle()
	return nil
}

// loader reads a state line by line.
type loader struct {
	sim    *Simulator
	number int // Of the line.
	shop   *Shop
	ended  bool
}

func (l *loader) take(next line) error {
	if (l.number == 1) != (next.Simulator != nil) || l.ended {
		return errors.New("it is not the state of a simulator")
	}
	if next.End != nil {
		if l.ended = true; *next.End != l.number-1 {
			return fmt.Errorf("%d lines were written before it", *next.End)
		}
		return nil
	}
	if next.Simulator == nil && next.Shop == nil && next.Delivery == nil && next.Meta == nil && l.shop == nil {
		return errors.New("a record before its shop")
	}
	switch {
	case next.Simulator != nil:
		return l.simulator(next.Simulator)
	case next.Meta != nil:
		return l.sim.meta.Load(next.Meta)
	case next.Shop != nil:
		return l.open(next.Shop)
	case next.Product != nil:
		return l.product(next.Product)
	case next.Collection != nil:
		l.shop.Collections.load(next.Collection)
		l.metafields(next.Collection.Metafields)
	case next.Discount != nil:
		l.shop.Discounts.load(next.Discount)
		l.metafields(next.Discount.Metafields)
	case next.Order != nil:
		l.shop.Orders.load(next.Order)
	case next.Event != nil:
		l.shop.Events.load(next.Event)
	case next.Installation != nil:
		return l.installation(next.Installation)
	case next.Delivery != nil:
		return l.delivery(next.Delivery)
	default:
		return errors.New("it holds nothing that is known")
	}
	return nil
}

func (l *loader) simulator(saved *savedSimulator) error {
	if saved.Version != stateVersion {
		return fmt.Errorf("it was written in form %d, and this simulator reads form %d: start without it", saved.Version, stateVersion)
	}
	s := l.sim
	s.config.Seed, s.number, s.clock.ahead, s.faults = saved.Seed, saved.Number, saved.Ahead, saved.Faults
	s.traffic.made = saved.Changes
	s.chance = rand.New(s.chanceSource)
	if s.config.Entropy != nil {
		// After a crash the state may be older than what was given out since.
		return s.chanceSource.UnmarshalBinary(saved.Chance)
	}
	s.secret = rand.New(s.secretSource)
	err := errors.Join(s.chanceSource.UnmarshalBinary(saved.Chance), s.secretSource.UnmarshalBinary(saved.Secret))
	if len(saved.MetaSecret) > 0 { // States of before there was Meta's side have none.
		err = errors.Join(err, s.metaSource.UnmarshalBinary(saved.MetaSecret))
		s.metaSecret = rand.New(s.metaSource)
	}
	return err
}

func (l *loader) open(saved *savedShop) error {
	l.settle()
	if _, taken := l.sim.shops[saved.Domain]; taken {
		return fmt.Errorf("shop %s: %w", saved.Domain, errTaken)
	}
	shop := &Shop{sim: l.sim, Domain: saved.Domain, ID: saved.ID, Name: saved.Name, PrimaryDomain: saved.PrimaryDomain, Email: saved.Email,
		Currency: saved.Currency, Timezone: saved.Timezone, Country: saved.Country, CreatedAt: saved.CreatedAt, UpdatedAt: saved.UpdatedAt,
		Own: saved.Metafields, lastID: saved.LastID, nextOrder: saved.NextOrder, catalogue: saved.Catalogue, handles: saved.Handles, erasures: saved.Erasures,
		closed: saved.Closed, installations: make(map[string]*Installation)}
	for _, place := range saved.Locations {
		shop.Locations.load(place)
	}
	l.sim.shops[shop.Domain], l.shop = shop, shop
	l.metafields(saved.Metafields)
	return nil
}

func (l *loader) product(saved *savedProduct) error {
	p := saved.Product
	p.oldTotal, p.totalDue = saved.ShownTotal, saved.TotalDue
	items := make(map[int64]*InventoryItem, len(p.Variants))
	for _, v := range p.Variants {
		v.Product, v.Item.Variant = p, v
		items[v.Item.ID] = v.Item
		l.shop.Variants.load(v)
		l.shop.Items.load(v.Item)
		l.metafields(v.Metafields)
	}
	for _, level := range saved.Levels {
		item := items[level.Item]
		place, ok := l.shop.Locations.Get(level.Location)
		if item == nil || !ok {
			return fmt.Errorf("product %d: stock of item %d at location %d, of which one does not exist", p.ID, level.Item, level.Location)
		}
		level.Level.Item, level.Level.Location = item, place
		item.Levels = append(item.Levels, level.Level)
		place.Levels.load(level.Level)
	}
	l.shop.Products.load(p)
	l.metafields(p.Metafields)
	return nil
}

func (l *loader) metafields(list []*Metafield) {
	for _, m := range list {
		l.shop.Metafields.load(m)
	}
}

// settle ends a shop.
func (l *loader) settle() {
	s := l.shop
	if s == nil {
		return
	}
	for place := range s.Locations.All() {
		place.Levels.settle()
	}
	s.Locations.settle()
	s.Products.settle()
	s.Variants.settle()
	s.Items.settle()
	s.Collections.settle()
	s.Discounts.settle()
	s.Metafields.settle()
	s.Orders.settle()
	s.Events.settle()
	for _, customer := range slices.Sorted(maps.Keys(s.erasures)) {
		s.eraseAfter(s.erasures[customer].Due.Sub(s.sim.Now()), customer)
	}
	l.shop = nil
}

func (l *loader) installation(saved *savedInstallation) error {
	app := l.sim.apps[saved.ClientID]
	if app == nil {
		return fmt.Errorf("%s: an app of client id %q is installed and not registered now: register it (--client-id), or start without this file", l.shop.Domain, saved.ClientID)
	}
	capacity, rate := l.shop.budget()
	i := &Installation{ID: saved.ID, App: app, Shop: l.shop, scopes: saved.Scopes, installedAt: saved.InstalledAt, tokens: saved.Tokens,
		refreshes: saved.Refreshes, codes: saved.Codes, migrations: saved.Migrations,
		bucket: graph.NewBucket(capacity, rate, l.sim.Now)}
	for _, sub := range saved.Subscriptions {
		i.subscriptions.load(sub)
	}
	i.subscriptions.settle()
	for _, b := range saved.Bulk {
		b.path, b.signature = b.Path, b.Signature
		if !b.over() {
			b.Status, b.CompletedAt = "CANCELED", second(l.sim.Now())
		}
		i.bulk = append(i.bulk, b.BulkOperation)
	}
	l.shop.installations[app.ClientID] = i
	return nil
}

func (l *loader) delivery(saved *savedDelivery) error {
	c := l.sim.hooks
	d := &saved.Delivery
	c.log = append(c.log, d)
	from := saved.Parcel
	if from == nil {
		return nil
	}
	shop := l.sim.shops[d.Shop]
	if shop == nil || shop.installations[d.ClientID] == nil {
		return fmt.Errorf("webhook %s: %s has no installation of app %q", d.WebhookID, d.Shop, d.ClientID)
	}
	i := shop.installations[d.ClientID]
	p := &parcel{due: from.Due, log: d, installation: i, subscription: from.Subscription, name: from.Name, options: sendOptions{version: from.Version},
		body: from.Body, secret: i.App.signing(from.OldSecret), oldSecret: from.OldSecret, tries: from.Tries, copies: from.Copies,
		forge: from.Forge, skew: from.Skew, stale: from.Stale, lapse: from.Lapse, renew: from.Renew, kept: true, first: from.First, awaited: from.Awaited}
	c.order++
	p.order = c.order
	c.kept += int64(len(p.body))
	heap.Push(&c.queue, p)
	if p.awaited {
		c.awaited++
	}
	return nil
}

// SaveFile saves to a file that only its owner can read, in one step: a crash
// in the middle leaves what was there.
func (s *Simulator) SaveFile(path string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("save the simulator: %w", err)
	}
	err = s.Save(file)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// LoadFile loads what SaveFile saved. The error is an os.ErrNotExist where
// there is no such file.
func (s *Simulator) LoadFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("load the simulator: %w", err)
	}
	defer file.Close()
	if err := s.Load(file); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
