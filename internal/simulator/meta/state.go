package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// state is all that Meta's side is, but for the secrets of its apps and for
// what attempts brought.
type state struct {
	Number, Calls int64
	Faults        Faults
	Subs          map[string]*AppSubscription
	People        []*Person
	Pages         []savedPage
	Shoppers      []*Shopper
	Tokens        map[string]*token
	Codes         map[string]*loginCode
	Outcomes      []Outcome
	Deliveries    []savedDelivery
	Failing       []savedFailure
	Alerts        []Alert
	Callbacks     []*Callback
	Waiting       map[string][]update
}

type savedPage struct {
	*Page
	Threads map[string]*Thread
	Profile map[string]any
	Budget  budget
}

type savedDelivery struct {
	*Delivery
	Body      []byte    `json:",omitempty"`
	Due       time.Time `json:",omitzero"`
	Tries     int       `json:",omitempty"`
	Copies    int       `json:",omitempty"`
	Before    []string  `json:",omitempty"`
	OldSecret bool      `json:",omitempty"`
	Stale     bool      `json:",omitempty"`
}

type savedFailure struct {
	failKey
	Since time.Time
}

// Save is all that Meta's side is, as JSON. Nothing is being delivered.
func (m *Meta) Save() (json.RawMessage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := state{Number: m.number, Calls: m.calls, Faults: m.Faults(), Subs: m.subs, People: inOrder(m.people), Tokens: m.tokens, Codes: m.codes,
		Outcomes: m.outcomes, Alerts: m.alerts, Callbacks: m.callbacks, Waiting: m.waiting}
	for _, p := range inOrder(m.pages) {
		out.Pages = append(out.Pages, savedPage{p, p.threads, p.profile, p.budget})
	}
	for _, name := range slices.Sorted(maps.Keys(m.shoppers)) {
		out.Shoppers = append(out.Shoppers, m.shoppers[name])
	}
	for _, d := range m.deliveries {
		shown := *d
		shown.Attempts = slices.Clone(d.Attempts)
		for i := range shown.Attempts {
			shown.Attempts[i].Sent = nil
		}
		out.Deliveries = append(out.Deliveries, savedDelivery{&shown, d.Body, d.Due, d.Tries, d.Copies, d.Before, d.OldSecret, d.Stale})
	}
	for key, f := range m.failing {
		out.Failing = append(out.Failing, savedFailure{key, f.Since})
	}
	raw, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("save Meta's side: %w", err)
	}
	return raw, nil
}

// Load makes Meta's side what it was when it was saved. Its apps are registered,
// those that a saved subscription or token is of. What was on its way goes on.
func (m *Meta) Load(raw json.RawMessage) error {
	var in state
	if err := json.Unmarshal(raw, &in); err != nil {
		return fmt.Errorf("load Meta's side: %w", err)
	}
	m.SetFaults(in.Faults)
	m.mu.Lock()
	defer m.mu.Unlock()
	known := func(id string) error {
		if m.apps[id] == nil {
			return fmt.Errorf("load Meta's side: app %s is not registered now: register it (--meta-app-id), or start without this file", id)
		}
		return nil
	}
	for id := range in.Subs {
		if err := known(id); err != nil {
			return err
		}
	}
	for _, t := range in.Tokens {
		if err := known(t.App); err != nil {
			return err
		}
	}
	m.number, m.calls, m.subs, m.tokens, m.codes = in.Number, in.Calls, orNew(in.Subs), orNew(in.Tokens), orNew(in.Codes)
	m.outcomes, m.alerts, m.callbacks, m.deliveries, m.sentBytes = in.Outcomes, in.Alerts, in.Callbacks, nil, 0
	m.people, m.pages, m.shoppers = make(map[string]*Person), make(map[string]*Page), make(map[string]*Shopper)
	for _, p := range in.People {
		m.people[p.ID] = p
	}
	for _, s := range in.Shoppers {
		m.shoppers[s.ID] = s
	}
	for _, saved := range in.Pages {
		page := saved.Page
		page.threads, page.profile, page.budget = orNew(saved.Threads), orNew(saved.Profile), saved.Budget
		m.pages[page.ID] = page
	}
	m.failing, m.waiting = make(map[failKey]*failure), make(map[string][]update)
	for _, saved := range in.Failing {
		f := &failure{Since: saved.Since}
		m.failing[saved.failKey] = f
		m.watch(saved.failKey, f)
	}
	now := m.world.Now()
	for _, saved := range in.Deliveries {
		d := saved.Delivery
		d.Body, d.Due, d.Tries, d.Copies, d.Before, d.OldSecret, d.Stale = saved.Body, saved.Due, saved.Tries, saved.Copies, saved.Before, saved.OldSecret, saved.Stale
		m.deliveries = append(m.deliveries, d)
		if !d.Done {
			m.schedule(d, max(0, d.Due.Sub(now)))
		}
	}
	for _, c := range m.callbacks {
		if app := m.apps[c.App]; !c.Done && app != nil {
			m.world.After(0, true, func(ctx context.Context) bool { return m.sendCallback(ctx, c, *app) })
		}
	}
	for _, id := range sortedKeys(in.Waiting) {
		m.waiting[id] = in.Waiting[id]
		m.flush(id)
	}
	return nil
}

func orNew[V any](m map[string]V) map[string]V {
	if m == nil {
		return make(map[string]V)
	}
	return m
}
