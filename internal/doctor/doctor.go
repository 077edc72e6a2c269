// Package doctor looks at an installation from the outside in: its settings, its
// database, its keys, its addresses, and how it stands with each shop.
//
// It promises that it changes nothing but what the service itself would at the
// same call (a token near its end is renewed), that every fault comes with what
// to do about it, and that what could not be looked at is said, never passed
// over. The tests named TestDoctor... make each fault and read its remedy.
//
// A check is a file: its name, what it looks at, and nothing of the others.
package doctor

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"stockroom/internal/config"
	"stockroom/internal/connect"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// Level says how bad a finding is.
type Level string

const (
	OK      Level = "ok"
	Unknown Level = "unknown" // It could not be looked at; Found says why.
	Warning Level = "warning"
	Fault   Level = "fault"
)

// Finding is what a check found.
type Finding struct {
	Check  string `json:"check"`
	Level  Level  `json:"level"`
	Shop   string `json:"shop,omitempty"` // Or the Page, or whatever it is about; empty for all.
	Found  string `json:"found"`
	Remedy string `json:"remedy,omitempty"` // What to do; empty where nothing is to be done.
}

// Check looks at one thing.
type Check struct {
	Name string
	Run  func(context.Context, *Patient) []Finding
}

// Checks are all checks, in the order in which they are made: each may rely on
// what those before it opened.
func Checks() []Check {
	return []Check{
		{"settings", settings},
		{"database", database},
		{"disk", disk},
		{"encryption key", encryptionKey},
		{"app secret", appSecret},
		{"addresses", addresses},
		{"tokens", tokens},
		{"clock", clock},
		{"scopes", scopes},
		{"subscriptions", subscriptions},
		{"facebook", facebookPages},
		{"service", service},
	}
}

// Patient is what is looked at. Checks fill it as they open it.
type Patient struct {
	Source config.Source
	HTTP   *http.Client // Follows no redirect: Shopify follows none either.
	Now    func() time.Time

	// TryWrite proves that files can be made in a folder. Default: makes one and removes it.
	TryWrite func(dir string) error
	// Free is how many bytes are free for files of a folder. Default: asks the system.
	Free func(dir string) (int64, error)

	Config config.Config
	Store  *store.Store   // Nil where the database cannot be opened.
	Sealer *secret.Sealer // Nil where there is no key, or not the right one.
	Shops  []store.Shop

	connector *connect.Connector
	answered  map[int64]bool // Shops that answered the check of tokens.
}

// reachWithin bounds every question to the network: Shopify itself gives a webhook
// five seconds ("Deliver webhooks through HTTPS", 2026-11-24).
const reachWithin = 10 * time.Second

// Examine makes the checks and closes what they opened.
func Examine(ctx context.Context, p *Patient, checks []Check) []Finding {
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.HTTP == nil {
		p.HTTP = &http.Client{Timeout: reachWithin}
	}
	asked := *p.HTTP
	asked.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	p.HTTP = &asked
	if p.TryWrite == nil {
		p.TryWrite = tryWrite
	}
	if p.Free == nil {
		p.Free = freeBytes
	}
	p.answered = map[int64]bool{}
	var all []Finding
	for _, check := range checks {
		found := check.Run(ctx, p)
		if len(found) == 0 {
			found = []Finding{{Level: OK, Found: "nothing is amiss"}}
		}
		for _, f := range found {
			f.Check = check.Name
			all = append(all, f)
		}
	}
	if p.Store != nil {
		if err := p.Store.Close(); err != nil {
			all = append(all, Finding{Check: "database", Level: Warning, Found: fmt.Sprintf("the database could not be closed: %v", err), Remedy: "Look at the disk."})
		}
	}
	return all
}

// Faulty reports whether any finding is a fault.
func Faulty(all []Finding) bool {
	for _, f := range all {
		if f.Level == Fault {
			return true
		}
	}
	return false
}

// unseen says that a check could not be made, and why.
func unseen(format string, args ...any) []Finding {
	return []Finding{{Level: Unknown, Found: fmt.Sprintf(format, args...)}}
}

// connection asks shops as the service does; nil where it cannot be built.
func (p *Patient) connection() *connect.Connector {
	if p.connector == nil && p.Store != nil && p.Sealer != nil {
		s := p.Config.Shopify
		p.connector = connect.New(connect.Config{
			Store: p.Store, Sealer: p.Sealer, APIKey: s.APIKey, Secrets: s.APISecrets, RedirectURI: s.RedirectURI, WebhookAddress: s.WebhookAddress,
			Scopes: s.Scopes, APIVersion: s.APIVersion, ShopURL: s.ShopURL, HTTP: p.HTTP, Now: p.Now, Log: slog.New(slog.DiscardHandler),
		})
	}
	return p.connector
}

// eachAnswering makes a check of every connected shop that answers. A shop that
// does not is told of by the check of tokens.
func (p *Patient) eachAnswering(ctx context.Context, what string, do func(context.Context, *connect.Connector, store.Shop) []Finding) []Finding {
	c := p.connection()
	if c == nil {
		return unseen("%s cannot be looked at before the database and its key can be opened", what)
	}
	var all []Finding
	n := 0
	for _, shop := range p.Shops {
		if !p.answered[shop.ID] {
			continue
		}
		n++
		asking, cancel := context.WithTimeout(ctx, reachWithin)
		for _, f := range do(asking, c, shop) {
			f.Shop = shop.Domain
			all = append(all, f)
		}
		cancel()
	}
	if n == 0 {
		return unseen("no connected shop answers, so %s cannot be looked at", what)
	}
	return all
}
