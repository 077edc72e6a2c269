package meta

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Kinds of callbacks.
const (
	Deauthorize = "deauthorize"
	Deletion    = "deletion"
)

// maxCallbacks are remembered.
const maxCallbacks = 1000

// Callback is what became of telling an app that a person left, or wants her
// data deleted. Source: "Data Deletion Request Callback"; that deauthorizing
// sends the same signed_request is unproven.
type Callback struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	App     string    `json:"app"`
	Person  string    `json:"person"`
	UserID  string    `json:"user_id"` // As the app knows her.
	URL     string    `json:"url"`
	At      time.Time `json:"at"`
	Tries   []Attempt `json:"attempts"`
	Lost    bool      `json:"lost,omitempty"`
	Done    bool      `json:"done"`
	Problem string    `json:"problem,omitempty"` // What is wrong with the answer to a request for deletion.
	// What the app answered to a request for deletion, and what is to be seen there.
	StatusURL  string `json:"status_url,omitempty"`
	Code       string `json:"confirmation_code,omitempty"`
	StatusPage string `json:"status_page,omitempty"`
}

// RemoveApp takes an app away from a person, as she does in the settings of
// Facebook: its tokens die with 190/458, and it is told.
func (m *Meta) RemoveApp(person, app string) error { return m.leave(person, app, Deauthorize) }

// RequestDeletion removes an app and asks it to delete what it has of the person.
func (m *Meta) RequestDeletion(person, app string) error { return m.leave(person, app, Deletion) }

func (m *Meta) leave(person, app, kind string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.person(person)
	if err != nil {
		return fmt.Errorf("remove app %s: %w", app, err)
	}
	known := m.apps[app]
	if known == nil || p.Grants[app] == nil && (kind == Deauthorize || p.Scoped[app] == "") {
		return fmt.Errorf("remove app %s: %s has it not", app, p.Name)
	}
	if p.Grants[app] != nil && kind == Deletion {
		m.callBack(Deauthorize, known, p)
	}
	delete(p.Grants, app)
	m.callBack(kind, known, p)
	return nil
}

// callBack tells an app; mu is held.
func (m *Meta) callBack(kind string, app *App, p *Person) {
	c := &Callback{ID: m.newID(1), Kind: kind, App: app.ID, Person: p.Name, UserID: m.scopedID(p, app.ID), URL: app.DeauthorizeURL, At: m.world.Now()}
	if kind == Deletion {
		c.URL = app.DeletionURL
	}
	faults := m.Faults()
	c.Lost = c.URL == "" || m.chance(faults.CallbackLost, "callback_lost", c.ID)
	c.Done = c.Lost
	if len(m.callbacks) >= maxCallbacks {
		m.callbacks = slices.Delete(m.callbacks, 0, maxCallbacks/2)
	}
	m.callbacks = append(m.callbacks, c)
	if !c.Lost {
		m.world.After(0, true, func(ctx context.Context) bool { return m.sendCallback(ctx, c, *app) })
	}
}

// signedRequest writes what callbacks send: the signature is over the payload as
// it is encoded, without padding.
func signedRequest(payload any, secret string, padded bool) string {
	encoded := base64.RawURLEncoding.EncodeToString(marshal(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(encoded))
	encoding := base64.RawURLEncoding
	if padded {
		encoding = base64.URLEncoding
	}
	return encoding.EncodeToString(mac.Sum(nil)) + "." + encoded
}

// sendCallback tells an app once; Meta is not known to try again. False means
// that it was stopped under way.
func (m *Meta) sendCallback(ctx context.Context, c *Callback, app App) (done bool) {
	faults := m.Faults()
	payload := map[string]any{"algorithm": "HMAC-SHA256", "issued_at": c.At.Unix(), "expires": 0, "user_id": c.UserID}
	try := func(odd, request string) (Attempt, []byte) {
		a, body := m.postForm(ctx, c.URL, request)
		a.Odd = odd
		m.mu.Lock()
		defer m.mu.Unlock()
		c.Tries = append(c.Tries, a)
		return a, body
	}
	if m.chance(faults.CallbackForge, "callback_forge", c.ID) {
		try("forged", signedRequest(payload, app.Secrets[0]+"?", false))
	}
	if m.chance(faults.CallbackAlgorithm, "callback_algorithm", c.ID) {
		other := map[string]any{"algorithm": "HMAC-MD5", "issued_at": c.At.Unix(), "user_id": c.UserID}
		try("algorithm", signedRequest(other, app.Secrets[0], false))
	}
	a, body := try("", signedRequest(payload, app.Secrets[0], m.chance(faults.CallbackPadding, "callback_padding", c.ID)))
	if ctx.Err() != nil && a.Status == 0 {
		return false
	}
	var answer struct {
		URL  string `json:"url"`
		Code string `json:"confirmation_code"`
	}
	problem, page := "", ""
	if c.Kind == Deletion {
		var at *url.URL
		err := json.Unmarshal(body, &answer)
		if err == nil {
			at, err = url.Parse(answer.URL)
		}
		switch {
		case a.Status != http.StatusOK:
			problem = fmt.Sprintf("it was answered %d", a.Status)
		case err != nil || answer.Code == "" || !safe(at):
			problem = "the answer is not JSON with url and confirmation_code"
		default:
			page, err = m.look(ctx, answer.URL)
			if err != nil {
				problem = "the status page: " + err.Error()
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c.Done, c.Problem, c.StatusURL, c.Code, c.StatusPage = true, problem, answer.URL, answer.Code, page
	return true
}

// postForm sends a signed_request.
func (m *Meta) postForm(ctx context.Context, to, request string) (Attempt, []byte) {
	a := Attempt{At: m.world.Now()}
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	form := url.Values{"signed_request": {request}}.Encode()
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form))
	if err != nil {
		a.Error = err.Error()
		return a, nil
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post.Header.Set("User-Agent", userAgent)
	response, err := m.client.Do(post)
	if err != nil {
		a.Error = err.Error()
		return a, nil
	}
	defer response.Body.Close()
	a.Status = response.StatusCode
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		a.Error = err.Error()
	}
	return a, body
}

// look reads a page as the person does who asked for her data to be deleted.
func (m *Meta) look(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deliverTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := m.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("it was answered %d", response.StatusCode)
	}
	return string(bytes.TrimSpace(body)), err
}

// Callbacks are copies of those that are remembered, the oldest first.
func (m *Meta) Callbacks() []Callback {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Callback, len(m.callbacks))
	for i, c := range m.callbacks {
		out[i] = *c
		out[i].Tries = slices.Clone(c.Tries)
	}
	return out
}
