package simulator

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"stockroom/internal/simulator/wire"
)

const (
	// MaxTraffic is how many changes a second can be asked for.
	MaxTraffic = 1000
	// trafficGlance is how often traffic looks at a clock that may have been set.
	trafficGlance = 250 * time.Millisecond
	// maxCatchUp is how many changes are made when the clock jumped; what else
	// would have happened meanwhile did not.
	maxCatchUp = 500
	// recentChanges is how many changes are remembered.
	recentChanges = 50
	// flashSale is how long a flash sale lasts.
	flashSale = 10 * time.Minute
)

// Change is something that traffic did.
type Change struct {
	At   time.Time `json:"at"`
	Shop string    `json:"shop"`
	Edit
}

// Traffic says how lively the shops are.
type Traffic struct {
	Rate   float64  `json:"rate"`   // Changes a second, of all shops together; zero while it is off.
	Made   int64    `json:"made"`   // Changes since the simulator began.
	Recent []Change `json:"recent"` // The newest first.
}

// traffic makes the shops live: customers buy, shelves are filled, prices move.
type traffic struct {
	turn   sync.Mutex // Held while it is turned on or off; taken before mu.
	cancel context.CancelFunc
	over   chan struct{}

	// Used by the one goroutine that makes changes, or while there is none.
	rng   *rand.Rand
	sales map[*Shop]*sale

	mu     sync.Mutex
	rate   float64
	made   int64
	recent []Change // The oldest first.
}

// sale is a flash sale under way.
type sale struct {
	ends time.Time
	was  []priced
}

type priced struct {
	variant          int64
	price, compareAt Money // Before the sale,
	during           Money // and in it.
}

// SetTraffic lets so many changes a second happen from now on, by the
// simulator's clock and at times drawn from its seed, until it is set to zero
// or the simulator stops. A flash sale under way ends then.
func (s *Simulator) SetTraffic(rate float64) error {
	if math.IsNaN(rate) || rate < 0 || rate > MaxTraffic {
		return fmt.Errorf("traffic of %v changes a second: it is between 0 and %d", rate, MaxTraffic)
	}
	t := &s.traffic
	t.turn.Lock()
	defer t.turn.Unlock()
	t.halt(rate)
	s.run(rate)
	return nil
}

// run lets changes happen, unless the simulator has stopped; turn is held and
// none happen yet.
func (s *Simulator) run(rate float64) {
	t := &s.traffic
	if rate == 0 {
		return
	}
	if t.rng == nil {
		// What was made before a restart is not drawn again.
		t.rng = rand.New(rand.NewPCG(s.config.Seed, 4+uint64(t.made)<<3))
		t.sales = make(map[*Shop]*sale)
	}
	s.unlessStopped(func() {
		ctx, cancel := context.WithCancel(context.Background())
		t.cancel, t.over = cancel, make(chan struct{})
		go s.live(ctx, t.over, rate)
	})
}

// suspendTraffic keeps the goroutine from making changes until resume, so that
// the caller makes them.
func (s *Simulator) suspendTraffic() (rate float64, resume func()) {
	t := &s.traffic
	t.turn.Lock()
	rate = s.Traffic().Rate
	t.halt(rate)
	return rate, func() {
		s.run(rate)
		t.turn.Unlock()
	}
}

// gaps draws how long it is from one change to the next. Customers do not wait
// for each other: the time between two is exponentially spread.
func (s *Simulator) gaps(rate float64) func() time.Duration {
	return func() time.Duration {
		if rate == 0 {
			return 2 * maxForward
		}
		return time.Duration(s.traffic.rng.ExpFloat64() / rate * float64(time.Second))
	}
}

// Traffic tells how lively the shops are.
func (s *Simulator) Traffic() Traffic {
	t := &s.traffic
	t.mu.Lock()
	defer t.mu.Unlock()
	recent := slices.Clone(t.recent)
	slices.Reverse(recent)
	return Traffic{Rate: t.rate, Made: t.made, Recent: recent}
}

func (t *traffic) stop() {
	t.turn.Lock()
	defer t.turn.Unlock()
	t.halt(0)
}

// halt returns when the goroutine is gone and notes the rate that follows;
// turn is held. Flash sales end where none follows.
func (t *traffic) halt(rate float64) {
	if t.cancel != nil {
		t.cancel()
		<-t.over
		t.cancel = nil
	}
	t.mu.Lock()
	t.rate = rate
	t.mu.Unlock()
	if rate == 0 {
		for shop, sale := range t.sales {
			sale.end(shop)
		}
		clear(t.sales)
	}
}

// live makes changes when they are due.
func (s *Simulator) live(ctx context.Context, over chan<- struct{}, rate float64) {
	defer close(over)
	gap := s.gaps(rate)
	next := s.Now().Add(gap())
	for {
		now := s.Now()
		for n := 0; !next.After(now) && ctx.Err() == nil; n++ {
			if n == maxCatchUp {
				next = now
				break
			}
			s.change()
			next = next.Add(gap())
		}
		wait := max(time.Millisecond, next.Sub(now))
		if s.handSet {
			wait = min(trafficGlance, wait)
		}
		if !wire.Pause(ctx, wait) {
			return
		}
	}
}

// change makes one change in one of the shops. It is called by one goroutine at a time.
func (s *Simulator) change() {
	t := &s.traffic
	shops := slices.SortedFunc(slices.Values(s.Shops()), func(a, b *Shop) int { return cmp.Compare(a.Domain, b.Domain) })
	if len(shops) == 0 {
		return
	}
	shop := shops[t.rng.IntN(len(shops))]
	edit, ok := t.happen(shop)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.made++
	t.recent = append(t.recent, Change{s.Now(), shop.Domain, edit})
	if n := len(t.recent); n > recentChanges {
		t.recent = slices.Delete(t.recent, 0, n-recentChanges)
	}
}

// turns are what happens in a shop's day, with how often.
var turns = []struct {
	kind   string
	weight int
	do     func(*traffic, *Shop) (Edit, error)
}{
	{"sale", 55, (*traffic).sell},
	{"restock", 16, (*traffic).restock},
	{"fulfil", 10, (*traffic).fulfil},
	{"price", 9, (*traffic).price},
	{"text", 4, (*traffic).text},
	{"cancel", 2, (*traffic).cancelOrder},
	{"launch", 2, (*traffic).launch},
	{"retire", 1, (*traffic).retire},
	{"flash_sale", 1, (*traffic).flash},
}

// happen draws what happens in a shop, again where it cannot happen there.
func (t *traffic) happen(shop *Shop) (Edit, bool) {
	running := t.sales[shop]
	if running != nil && !shop.sim.Now().Before(running.ends) {
		running.end(shop)
		delete(t.sales, shop)
		return Edit{Kind: "flash_sale_over", IDs: []string{}, What: fmt.Sprintf("flash sale over: %d prices are back", len(running.was))}, true
	}
	total := 0
	for _, h := range turns {
		total += h.weight
	}
	for range maxDraws {
		roll := t.rng.IntN(total)
		for _, h := range turns {
			if roll -= h.weight; roll < 0 {
				edit, err := h.do(t, shop)
				if err == nil {
					edit.Kind = h.kind
					return edit, true
				}
				break
			}
		}
	}
	return Edit{}, false
}

// liked draws a record; those that came early are drawn more often, as a shop
// has its best sellers.
func liked[T record](t *traffic, s *Shop, index *Index[T]) (T, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var none T
	ids := index.IDs()
	if len(ids) == 0 {
		return none, false
	}
	at := t.rng.Float64()
	return index.Get(ids[int(at*at*float64(len(ids)))])
}

// sell lets a customer buy what can be bought.
func (t *traffic) sell(s *Shop) (Edit, error) {
	var spec OrderSpec
	what := ""
	for range 1 + t.rng.IntN(3) {
		v, ok := liked(t, s, &s.Variants)
		if !ok {
			return Edit{}, ErrNotFound
		}
		most := look(s, func() int64 {
			l := s.shelf(v.ID)
			switch {
			case v.Product.Status != "ACTIVE" && v.Product.Status != "UNLISTED" || v.Product.PublishedAt.IsZero():
				return 0
			case l == nil || v.Policy == "CONTINUE":
				return 9
			}
			return l.Available
		})
		if most < 1 || slices.ContainsFunc(spec.Lines, func(l OrderLine) bool { return l.Variant == v.ID }) {
			continue
		}
		units := min(most, int64(1+t.rng.IntN(2)*t.rng.IntN(3)))
		spec.Lines = append(spec.Lines, OrderLine{v.ID, units})
		if what != "" {
			what += ", "
		}
		what += fmt.Sprintf("%d × %s", units, look(s, v.label))
	}
	if len(spec.Lines) == 0 {
		return Edit{}, ErrNotFound
	}
	o, err := s.CreateOrder(spec)
	if err != nil {
		return Edit{}, err
	}
	return did(fmt.Sprintf("%s: %s", o.Name, what), o.GID()), nil
}

// restock fills the emptiest of a few shelves.
func (t *traffic) restock(s *Shop) (Edit, error) {
	var low *Level
	var units int64
	for range 8 {
		i, ok := draw(s, t.rng, &s.Items)
		if !ok {
			return Edit{}, ErrNotFound
		}
		l := look(s, func() *Level { return s.shelf(i.Variant.ID) })
		if l == nil {
			continue
		}
		if has := look(s, func() int64 { return l.Available }); low == nil || has < units {
			low, units = l, has
		}
	}
	if low == nil {
		return Edit{}, ErrNotFound
	}
	more := int64(12 * (1 + t.rng.IntN(8)))
	err := s.AdjustStock(low.Item.ID, low.Location.ID, more)
	return did(fmt.Sprintf("%d × %s delivered", more, look(s, low.Item.Variant.label)), low.GID()), err
}

// fulfil sends one of the latest orders that were not sent.
func (t *traffic) fulfil(s *Shop) (Edit, error) {
	o, ok := latestOrder(s, func(o *Order) bool { return o.CancelledAt.IsZero() && o.FulfillmentStatus == "UNFULFILLED" })
	if !ok {
		return Edit{}, ErrNotFound
	}
	return did("order "+o.Name+" fulfilled", o.GID()), s.UpdateOrder(o.ID, func(o *Order) { o.FulfillmentStatus = "FULFILLED" })
}

func (t *traffic) cancelOrder(s *Shop) (Edit, error) {
	o, ok := latestOrder(s, func(o *Order) bool { return o.CancelledAt.IsZero() && o.FulfillmentStatus == "UNFULFILLED" })
	if !ok {
		return Edit{}, ErrNotFound
	}
	return did("order "+o.Name+" cancelled, stock put back", o.GID()), s.CancelOrder(o.ID)
}

// latestOrder looks through the last few orders.
func latestOrder(s *Shop, fits func(*Order) bool) (*Order, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	n := 0
	for o := range s.Orders.Before(0) {
		if fits(o) {
			return o, true
		}
		if n++; n == 200 {
			break
		}
	}
	return nil, false
}

// price moves a price by up to a fifth, to one that looks like a price.
func (t *traffic) price(s *Shop) (Edit, error) {
	v, ok := draw(s, t.rng, &s.Variants)
	if !ok {
		return Edit{}, ErrNotFound
	}
	old := look(s, func() Money { return v.Price })
	price := s.shopPrice(Money(float64(old) * (0.8 + 0.4*t.rng.Float64())))
	if price == old {
		return Edit{}, ErrInvalid
	}
	return did(fmt.Sprintf("%s: %s, was %s", look(s, v.label), price, old), v.GID()), s.SetPrice(v.ID, price, 0)
}

// shopPrice rounds to a price as shops write them: x.90, or tens of a currency
// without a smaller unit.
func (s *Shop) shopPrice(price Money) Money {
	if s.money(1) != 1 {
		return max(10_00, price/10_00*10_00)
	}
	return max(90, price/100*100+90)
}

// text changes what a product says.
func (t *traffic) text(s *Shop) (Edit, error) {
	p, ok := draw(s, t.rng, &s.Products)
	if !ok {
		return Edit{}, ErrNotFound
	}
	n := t.rng.IntN(1000)
	title := look(s, func() string { return p.Title })
	if t.rng.IntN(2) == 0 {
		return did(title+": new description", p.GID()), s.UpdateProduct(p.ID, func(p *Product) {
			p.DescriptionHTML = fmt.Sprintf("<p>%s, checked by hand. Batch %d &amp; counting.</p>", p.Title, n)
		})
	}
	return did(title+": tag sale turned over", p.GID()), s.UpdateProduct(p.ID, func(p *Product) {
		if slices.Contains(p.Tags, "sale") {
			p.Tags = slices.DeleteFunc(slices.Clone(p.Tags), func(tag string) bool { return tag == "sale" })
		} else {
			p.Tags = append(slices.Clone(p.Tags), "sale")
		}
	})
}

// launch brings a new product, with stock at the first place.
func (t *traffic) launch(s *Shop) (Edit, error) {
	kind := trades[t.rng.IntN(len(trades))]
	location := look(s, func() *Location {
		for l := range s.Locations.All() {
			if l.Active {
				return l
			}
		}
		return nil
	})
	if location == nil {
		return Edit{}, ErrNotFound
	}
	what, title := kind.title(t.rng)
	spec := ProductSpec{
		Title: title, ProductType: what.kind, Vendor: kind.vendors[t.rng.IntN(len(kind.vendors))], Tags: []string{"new"},
		DescriptionHTML: "<p>" + title + ": just in.</p>", Options: kind.options[:1],
	}
	price := s.shopPrice(s.money(Money(100 * (kind.low + t.rng.IntN(kind.high-kind.low)))))
	for i, value := range kind.values[0] {
		spec.Variants = append(spec.Variants, VariantSpec{
			Values: []string{value}, Price: price, Cost: price / 200 * 100, SKU: fmt.Sprintf("%s-N%04d-%02d", kind.prefix, t.rng.IntN(10_000), i+1),
			Stock: map[int64]int64{location.ID: int64(10 + t.rng.IntN(60))},
		})
	}
	p, err := s.CreateProduct(spec)
	if err != nil {
		return Edit{}, err
	}
	return did(fmt.Sprintf("%s launched in %d variants", title, len(spec.Variants)), p.GID()), nil
}

// retire archives a product.
func (t *traffic) retire(s *Shop) (Edit, error) {
	p, ok := draw(s, t.rng, &s.Products)
	if !ok || look(s, func() bool { return p.Status != "ACTIVE" || s.Products.Len() < 10 }) {
		return Edit{}, ErrNotFound
	}
	return did(look(s, func() string { return p.Title })+" archived", p.GID()), s.UpdateProduct(p.ID, func(p *Product) { p.Status = "ARCHIVED" })
}

// flash cuts the prices of some products for a while.
func (t *traffic) flash(s *Shop) (Edit, error) {
	if t.sales[s] != nil {
		return Edit{}, ErrInvalid
	}
	off := 20 + 10*t.rng.IntN(4)
	now := &sale{ends: s.sim.Now().Add(flashSale)}
	ids := make(map[int64]bool)
	for range 2 + t.rng.IntN(6) {
		p, ok := liked(t, s, &s.Products)
		if !ok {
			return Edit{}, ErrNotFound
		}
		if ids[p.ID] {
			continue
		}
		ids[p.ID] = true
		for _, was := range look(s, func() []priced {
			return each(p.Variants[:min(len(p.Variants), 20)], func(v *Variant) priced {
				return priced{v.ID, v.Price, v.CompareAtPrice, s.shopPrice(v.Price * Money(100-off) / 100)}
			})
		}) {
			if was.during < was.price && s.SetPrice(was.variant, was.during, was.price) == nil {
				now.was = append(now.was, was)
			}
		}
	}
	if len(now.was) == 0 {
		return Edit{}, ErrInvalid
	}
	t.sales[s] = now
	var about []string
	for id := range ids {
		about = append(about, gid(typeProduct, id))
	}
	slices.Sort(about)
	return did(fmt.Sprintf("flash sale: %d %% off %d variants for %s", off, len(now.was), flashSale), about...), nil
}

// end brings the prices back that nobody else changed.
func (f *sale) end(s *Shop) {
	for _, was := range f.was {
		price, ok := s.priceOf(was.variant)
		if ok && price == was.during {
			// A variant that was removed meanwhile needs no price.
			_ = s.SetPrice(was.variant, was.price, was.compareAt)
		}
	}
}

// priceOf reads a variant's price.
func (s *Shop) priceOf(variant int64) (Money, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.Variants.Get(variant)
	if !ok {
		return 0, false
	}
	return v.Price, true
}
