package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stockroom/internal/simulator/meta"
)

// Config is what a simulator is made from. The zero value works.
type Config struct {
	Apps    []App
	Seed    uint64           // Decides catalogues, tokens and faults.
	Now     func() time.Time // Shopify's clock. Default: time.Now.
	Ahead   time.Duration    // By how much Shopify's clock is ahead of that; below zero behind.
	Deliver *http.Client     // Sends the webhooks. Default: one with Shopify's limits of time.
	BaseURL string           // Where this simulator is reached, without a trailing slash; used in links.
	Log     *slog.Logger     // Default: nothing is logged.

	// AutoConsent lets every install request through without showing the
	// page on which a merchant would press a button.
	AutoConsent bool
	// Rate and Capacity are each app's GraphQL budget in every shop, in points
	// per second and points. Default: what the shop's plan gives.
	Rate, Capacity float64
	// DeliveryLog is how many deliveries are remembered. Default: 100,000.
	DeliveryLog int
	// Entropy is mixed into tokens, codes and ids of webhooks at the start, at each
	// reset and after Load, so that those of one run mean nothing in another, as
	// Shopify's do. Default: none, so that the seed decides them too.
	Entropy func() uint64
	// RetryBytes bounds the memory of bodies that wait for a retry; deliveries
	// beyond are lost, and logged as such. Default: 512 MiB.
	RetryBytes int64
	// SentBytes bounds the memory of what the log of deliveries shows of attempts,
	// their headers and bodies; the oldest are forgotten first. Default: 8 MiB.
	SentBytes int
	// BulkDir keeps the files of bulk operations. Default: a folder that is made
	// when there is one and removed by Stop.
	BulkDir string
	// Meta is the other platform, where people connect Pages.
	Meta meta.Config
}

const (
	defaultDeliveryLog = 100_000
	defaultRetryBytes  = 512 << 20
	defaultSentBytes   = 8 << 20
)

// Simulator is Shopify: shops, apps, and what goes between them.
type Simulator struct {
	config Config
	log    *slog.Logger
	hooks  *courier
	meta   *meta.Meta

	clock   clock
	handSet bool // The clock was given and may be set by hand: waits look at it now and then.
	traffic traffic
	bulk    bulkOffice
	// requests counts those to Shopify's addresses, for their ids.
	requests   atomic.Uint64
	requestLog requestLog

	life    sync.Mutex // Held while something is set going that Stop ends.
	stopped bool

	mu    sync.RWMutex
	shops map[string]*Shop // By domain.
	apps  map[string]*App  // By client id.
	// number counts what is unique in all of Shopify.
	number int64

	faultsMu sync.Mutex
	faults   Faults
	chance   *rand.Rand                   // Decides faults.
	told     map[[sha256.Size]byte]uint64 // See fate.
	// What chance draws from.
	chanceSource *rand.PCG

	secretMu sync.Mutex
	secret   *rand.Rand // Makes tokens, codes and ids of deliveries.
	// What secret draws from.
	secretSource *rand.PCG
	metaSecret   *rand.Rand // Makes what Meta gives out.
	metaSource   *rand.PCG  // What metaSecret draws from.
}

// New makes a simulator without shops.
func New(config Config) *Simulator {
	handSet := config.Now != nil
	if !handSet {
		config.Now = time.Now
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.DeliveryLog == 0 {
		config.DeliveryLog = defaultDeliveryLog
	}
	if config.RetryBytes == 0 {
		config.RetryBytes = defaultRetryBytes
	}
	if config.SentBytes == 0 {
		config.SentBytes = defaultSentBytes
	}
	if config.Deliver == nil {
		config.Deliver = deliveryClient()
	}
	s := &Simulator{
		config:  config,
		handSet: handSet,
		log:     config.Log.With("component", "simulator"),
		shops:   make(map[string]*Shop),
		apps:    make(map[string]*App),
	}
	s.clock.ahead = config.Ahead
	s.bulk.keep = config.BulkDir
	s.begin()
	for _, app := range config.Apps {
		s.apps[app.ClientID] = &app
	}
	s.hooks = newCourier(s)
	if config.Meta.Log == nil {
		config.Meta.Log = config.Log
	}
	s.meta = meta.New(config.Meta, metaWorld{s})
	return s
}

// Start begins to deliver webhooks. Deliveries made before wait for it.
func (s *Simulator) Start(ctx context.Context) error {
	s.life.Lock()
	defer s.life.Unlock()
	s.stopped = false
	s.bulk.open()
	return s.hooks.start(ctx)
}

// Stop ends traffic, bulk operations and all deliveries under way and returns
// when the last is over. The files of bulk operations are gone then, unless
// Config.BulkDir keeps them.
func (s *Simulator) Stop() {
	s.life.Lock()
	s.stopped = true
	s.life.Unlock()
	s.traffic.stop()
	s.bulk.close()
	if s.config.BulkDir == "" {
		if err := s.bulk.clear(); err != nil {
			s.log.Error("stop", "error", err)
		}
	}
	s.hooks.stop()
	s.meta.Close()
}

// unlessStopped sets something going that Stop will end.
func (s *Simulator) unlessStopped(begin func()) {
	s.life.Lock()
	defer s.life.Unlock()
	if !s.stopped {
		begin()
	}
}

func (s *Simulator) isStopped() bool {
	s.life.Lock()
	defer s.life.Unlock()
	return s.stopped
}

var errStopped = errors.New("the simulator has stopped")

// Shop returns the shop of a domain, or nil.
func (s *Simulator) Shop(domain string) *Shop {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.shops[strings.ToLower(domain)]
}

// Shops returns all shops, in no order.
func (s *Simulator) Shops() []*Shop {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]*Shop, 0, len(s.shops))
	for _, shop := range s.shops {
		out = append(out, shop)
	}
	return out
}

// app returns the app of a client id, or nil.
func (s *Simulator) app(clientID string) *App {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.apps[clientID]
}

// AddShop opens a shop and fills it. The same seed, domain and catalogue give
// the same shop, but for times, which are counted back from now.
func (s *Simulator) AddShop(domain string, catalogue Catalogue) (*Shop, error) {
	domain = strings.ToLower(domain)
	if !strings.HasSuffix(domain, ".myshopify.com") || strings.ContainsAny(domain, "/ :") {
		return nil, fmt.Errorf("add shop %q: the domain does not end in .myshopify.com", domain)
	}
	if catalogue.Plan != "" && !slices.Contains(Plans(), catalogue.Plan) {
		return nil, fmt.Errorf("add shop %s: plan %q is none of %s", domain, catalogue.Plan, strings.Join(Plans(), ", "))
	}
	if catalogue.Currency != "" && !KnownCurrency(catalogue.Currency) {
		return nil, fmt.Errorf("add shop %s: currency %q is none that Shopify has", domain, catalogue.Currency)
	}
	s.mu.Lock()
	if _, taken := s.shops[domain]; taken {
		s.mu.Unlock()
		return nil, fmt.Errorf("add shop %s: %w", domain, errTaken)
	}
	s.number += 7
	shop := &Shop{sim: s, Domain: domain, ID: 60_000_000_000 + s.number, installations: make(map[string]*Installation)}
	s.shops[domain] = shop // Taken already while it is filled.
	s.mu.Unlock()

	shop.mu.Lock()
	defer shop.mu.Unlock()
	hash := fnv.New64a()
	hash.Write([]byte(domain))
	shop.catalogue = catalogue
	catalogue.fill(shop, rand.New(rand.NewPCG(s.config.Seed, hash.Sum64())))
	return shop, nil
}

var errTaken = errors.New("the domain has already been taken")

// RLock keeps the shop as it is until RUnlock.
func (s *Shop) RLock() { s.mu.RLock() }

// RUnlock undoes RLock.
func (s *Shop) RUnlock() { s.mu.RUnlock() }

// now is Shopify's time in its own step.
func (s *Shop) now() time.Time { return second(s.sim.Now()) }

// newID numbers a new record. Shopify's numbers are long: the simulator's
// begin beyond 2^53, where a float can no longer tell neighbours apart.
func (s *Shop) newID(kind string) int64 {
	if s.lastID == nil {
		s.lastID = make(map[string]int64)
	}
	last, ok := s.lastID[kind]
	if !ok {
		// Each kind begins elsewhere: that numbers of a variant and of its
		// item are alike must not help anyone.
		hash := fnv.New32a()
		hash.Write([]byte(kind))
		last = 9_007_199_254_740_993 + int64(hash.Sum32()%9973)*1_000_003_007
	}
	last++
	s.lastID[kind] = last
	return last
}

// drawSecretsFrom begins the stream of tokens, codes and ids.
func (s *Simulator) drawSecretsFrom(source *rand.PCG) {
	s.secretMu.Lock()
	defer s.secretMu.Unlock()
	s.secretSource, s.secret = source, rand.New(source)
	s.metaSource = s.newSecrets()
	s.metaSecret = rand.New(s.metaSource)
}

// newSecrets is where that stream begins.
func (s *Simulator) newSecrets() *rand.PCG {
	if s.config.Entropy == nil {
		return rand.NewPCG(s.config.Seed, 2)
	}
	return rand.NewPCG(s.config.Entropy(), s.config.Entropy())
}

// text makes n letters and digits that nobody can guess who does not know the seed.
func (s *Simulator) text(n int) string {
	const letters = "0123456789abcdef"
	s.secretMu.Lock()
	defer s.secretMu.Unlock()
	out := make([]byte, n)
	for i := range out {
		out[i] = letters[s.secret.IntN(len(letters))]
	}
	return string(out)
}

// uuid makes an identifier in the form of headers like X-Shopify-Webhook-Id.
func (s *Simulator) uuid() string {
	t := s.text(32)
	return t[:8] + "-" + t[8:12] + "-4" + t[13:16] + "-a" + t[17:20] + "-" + t[20:]
}

// requestID is what X-Request-Id says of the next request, in Shopify's form: an
// identifier, then the time (recorded, 2026). It draws from no
// source of chance: how often somebody asks must not decide what tokens are.
func (s *Simulator) requestID() string {
	var seed [16]byte
	binary.BigEndian.PutUint64(seed[:8], s.config.Seed)
	binary.BigEndian.PutUint64(seed[8:], s.requests.Add(1))
	sum := sha256.Sum256(seed[:])
	t := hex.EncodeToString(sum[:16])
	return fmt.Sprintf("%s-%s-4%s-a%s-%s-%d", t[:8], t[8:12], t[13:16], t[17:20], t[20:], s.Now().Unix())
}

// next numbers what is unique in all of Shopify.
func (s *Simulator) next() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number++
	return 1_500_000_000_000 + s.number
}

// newRand makes a source of chance from a seed.
func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 3)) }
