package meta

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// World is the simulated world that Meta is part of.
type World interface {
	// Now is the time by the simulated clock.
	Now() time.Time
	// After has a task done when some time has passed, by the simulated clock
	// and in its turn. A task that says it was not done is done again after a
	// restart. Where awaited, nobody calls the world quiet before it was done.
	After(wait time.Duration, awaited bool, task func(context.Context) (done bool))
	// Text makes n letters and digits that nobody can guess who does not know the seed.
	Text(n int) string
	// Chance draws for one thing that is named: the same seed and name draw the
	// same, whatever else happens. It is true with the given probability.
	Chance(share float64, fault string, name ...string) bool
	// UpTo draws a duration below the given one.
	UpTo(longest time.Duration) time.Duration
}

// Config is what Meta's side is made from. The zero value has no app.
type Config struct {
	Apps  []App
	Pages []PageSpec // Those there are after the start and after each reset.

	// Consent shows the dialog's page, on which a person decides. Otherwise the
	// dialog is over at once, with what Meta.NextOutcome was told.
	Consent bool
	// Deliver sends webhooks and callbacks. Default: one that follows no redirect.
	Deliver *http.Client
	Log     *slog.Logger // Default: nothing is logged.
	// DeliveryLog is how many deliveries are remembered. Default: 10,000.
	DeliveryLog int
}

// App is an app as it is set up in Meta's App Dashboard.
type App struct {
	ID   string
	Name string
	// Secrets are its secrets, the newest first: that one signs and proves.
	// Webhooks are signed with the second while the fault old_secret says so.
	Secrets      []string
	RedirectURIs []string // Valid OAuth Redirect URIs, compared exactly.

	DeauthorizeURL string // Told when a person removes the app. May be empty.
	DeletionURL    string // Told when a person asks for her data to be deleted. May be empty.

	// RequireProof is the switch "Require App Secret": calls without appsecret_proof fail.
	RequireProof bool
	// Development is an app that is not published: only people with a role on it
	// can log in, and only what they write is delivered.
	Development bool
	Roles       []string // Ids of people with a role on the app.
	// Permissions are what the app may ask of anybody. Empty is every permission there is.
	Permissions []string
	// LoginConfigID and LoginPermissions are its configuration of Facebook Login
	// for Business, SystemUser whether that gives out a system user's token.
	LoginConfigID    string
	LoginPermissions []string
	SystemUser       bool
	// HumanAgent is the feature of that name, for the tag HUMAN_AGENT.
	HumanAgent bool
	// Webhook is what was entered in the dashboard for the object page. It is
	// not verified; nil leaves it to POST /{app}/subscriptions.
	Webhook *AppSubscription
}

// AppSubscription is where an app hears of Pages, and of what.
type AppSubscription struct {
	URL         string
	VerifyToken string
	Fields      []string
}

// PageSpec says how a Page is made.
type PageSpec struct {
	Name string `json:"name"`
	// Owner is the name of a person who has Tasks on it; she is made where there is none of that name.
	Owner string   `json:"owner"`
	Tasks []string `json:"tasks"` // Default: all there are.
	// Business is a Page of a business portfolio: without business_management
	// it is not listed.
	Business bool `json:"business"`
	// Instagram is the name of the professional account that is linked to it. Empty is none.
	Instagram string `json:"instagram"`
}

const (
	defaultDeliveryLog = 10_000
	// maxPeople bounds people, Pages and shoppers, each.
	maxPeople = 10_000
)

// Meta is people, Pages and apps, and what goes between them.
type Meta struct {
	config Config
	world  World
	log    *slog.Logger
	client *http.Client

	faultsMu sync.Mutex
	faults   Faults

	mu       sync.Mutex
	number   int64 // Counts what has an id.
	apps     map[string]*App
	subs     map[string]*AppSubscription // Of the object page, by app.
	people   map[string]*Person
	pages    map[string]*Page
	shoppers map[string]*Shopper
	tokens   map[string]*token
	codes    map[string]*loginCode
	outcomes []Outcome // What the next dialogs come to.
	dialogs  int       // How many there were.
	calls    int64     // To Graph, for their ids.

	deliveries []*Delivery // The oldest first.
	sentBytes  int         // Of bodies that are remembered.
	failing    map[failKey]*failure
	alerts     []Alert
	callbacks  []*Callback
	waiting    map[string][]update // Updates that wait to be sent together, by app.
}

// New makes Meta's side of a world.
func New(config Config, world World) *Meta {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	config.DeliveryLog = cmp.Or(config.DeliveryLog, defaultDeliveryLog)
	if config.Deliver == nil {
		config.Deliver = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true}}
	}
	client := *config.Deliver
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	m := &Meta{config: config, world: world, log: config.Log.With("component", "simulated meta"), client: &client}
	m.Reset()
	return m
}

// Reset makes all anew: no person has the app, no token lives, no fault is in
// force, no delivery is on its way.
func (m *Meta) Reset() {
	m.SetFaults(Faults{})
	m.mu.Lock()
	m.number, m.calls, m.dialogs, m.sentBytes = 0, 0, 0, 0
	m.apps, m.subs = make(map[string]*App), make(map[string]*AppSubscription)
	m.people, m.pages, m.shoppers = make(map[string]*Person), make(map[string]*Page), make(map[string]*Shopper)
	m.tokens, m.codes = make(map[string]*token), make(map[string]*loginCode)
	m.failing, m.waiting = make(map[failKey]*failure), make(map[string][]update)
	m.outcomes, m.deliveries, m.alerts, m.callbacks = nil, nil, nil, nil
	for _, app := range m.config.Apps {
		m.apps[app.ID] = &app
		if app.Webhook != nil {
			sub := *app.Webhook
			sub.Fields = slices.Clone(sub.Fields)
			m.subs[app.ID] = &sub
		}
	}
	m.mu.Unlock()
	for _, spec := range m.config.Pages {
		if _, err := m.AddPage(spec); err != nil {
			m.log.Error("make a Page anew", "error", err)
		}
	}
}

// Close ends connections that are kept. Nothing is being delivered.
func (m *Meta) Close() { m.client.CloseIdleConnections() }

// newID numbers something; base tells its kind apart, as Meta's long ids differ
// in length. mu is held.
func (m *Meta) newID(base int64) string {
	m.number++
	return strconv.FormatInt(base+m.number*10_007, 10)
}

const (
	personBase  = 10_158_000_000_000_000
	scopedBase  = 122_090_000_000_000_000
	pageBase    = 104_000_000_000_000
	shopperBase = 7_300_000_000_000_000
	igBase      = 17_841_400_000_000_000
	igUserBase  = 1_370_000_000_000_000
)

// now is Meta's time in whole seconds, as tokens have it.
func (m *Meta) now() time.Time { return m.world.Now().Truncate(time.Second) }
