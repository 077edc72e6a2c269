package meta

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// Lives of tokens. Source: "Long-Lived Access Tokens": a sample's 5183944
// seconds and "expiring in hours"; "Graph API Changelog" v3.0 for data access.
// That a code lives ten minutes is unproven.
const (
	codeLife       = 10 * time.Minute
	shortLife      = 5_400 * time.Second
	longLife       = 5_183_944 * time.Second
	dataAccessLife = 90 * 24 * time.Hour
	maxTokens      = 100_000 // Known at a time; the oldest are forgotten, as if they had been revoked.
)

// Kinds of tokens, by the names that debug_token has for them.
const (
	kindUser   = "USER"
	kindPage   = "PAGE"
	kindSystem = "SYSTEM_USER"
	kindApp    = "APP"
)

// token is an access token.
type token struct {
	Kind    string
	App     string
	Person  string // Who logged in.
	Page    string // Of a Page's token.
	Session int    // Which of the person's passwords it began under.
	Made    time.Time
	Expires time.Time // Zero is never.
	Long    bool
	Ended   bool              // By logging out.
	Grant   int64             // When the person's grant began: one that was removed and given again is another.
	System  bool              // It is a business's, or was read with such a one.
	Pages   map[string]string // Tokens of Pages read with this one, by Page.
	Number  int64
}

type loginCode struct {
	App, Person, Redirect string
	Made                  time.Time
	Used                  bool
	System                bool
}

// newToken gives out a token; mu is held.
func (m *Meta) newToken(t *token) string {
	for len(m.tokens) >= maxTokens {
		var oldest string
		for text, other := range m.tokens {
			if oldest == "" || other.Number < m.tokens[oldest].Number {
				oldest = text
			}
		}
		delete(m.tokens, oldest)
	}
	m.number++
	t.Made, t.Number, t.Pages = m.now(), m.number, make(map[string]string)
	text := "EAA" + m.world.Text(48)
	m.tokens[text] = t
	return text
}

// judge says why a token does not work, nil where it does. mu is held.
//
// The order in which several reasons would be told is unproven.
func (m *Meta) judge(t *token) *graphError {
	if t.Kind == kindApp {
		return nil
	}
	p := m.people[t.Person]
	if p == nil {
		return fail("190")
	}
	g := p.Grants[t.App]
	switch now := m.now(); {
	case g == nil || g.GrantedAt.UnixNano() != t.Grant:
		return fail("190/458")
	case t.System:
		// It belongs to the business, whatever becomes of the person's session.
	case p.Checkpoint:
		return fail("190/459")
	case p.Unconfirmed:
		return fail("190/464")
	case p.Sessions != t.Session:
		return fail("190/460")
	case t.Ended:
		return fail("190/467")
	case !now.Before(g.UsedAt.Add(dataAccessLife)):
		return fail("190", "Error validating access token: The user must log in again to extend the app's access to data.")
	}
	if !t.Expires.IsZero() && !m.now().Before(t.Expires) {
		return fail("190/463", "Error validating access token: Session has expired on %s. The current time is %s.",
			t.Expires.UTC().Format("Monday, 02-Jan-06 15:04:05 MST"), m.now().UTC().Format("Monday, 02-Jan-06 15:04:05 MST"))
	}
	if t.Kind == kindPage {
		page := m.pages[t.Page]
		if page == nil || len(page.Roles[t.Person]) == 0 {
			return fail("190/492")
		}
	}
	return nil
}

// find is the token that a text is; an app's own is its id and secret. mu is held.
func (m *Meta) find(text string) *token {
	if id, secret, ok := strings.Cut(text, "|"); ok {
		app := m.apps[id]
		if app != nil && (hmac.Equal([]byte(secret), []byte(app.Secrets[0])) || secret == m.appToken(app)) {
			return &token{Kind: kindApp, App: id}
		}
		return nil
	}
	return m.tokens[text]
}

// appToken is what stands after the bar in the token that client_credentials give.
func (m *Meta) appToken(app *App) string { return proof("app token of "+app.ID, app.Secrets[0])[:27] }

// proof is the appsecret_proof of a message: a token, or a token and a time.
func proof(message, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(message))
	return hex.EncodeToString(mac.Sum(nil))
}

// hasTask tells whether a person has one of the tasks on a Page.
func (p *Page) hasTask(person string, tasks ...string) bool {
	return slices.ContainsFunc(p.Roles[person], func(task string) bool { return slices.Contains(tasks, task) })
}

// Logout ends the tokens that a person's apps have now, as logging out of the
// session does: 190/467.
func (m *Meta) Logout(person string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.person(person)
	if err != nil {
		return err
	}
	for _, t := range m.tokens {
		if t.Person == p.ID {
			t.Ended = true
		}
	}
	return nil
}
