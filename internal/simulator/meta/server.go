package meta

import (
	"cmp"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/simulator/wire"
)

// Where Meta answers. Each is also served below a path of its name.
const (
	GraphHost  = "graph.facebook.com"
	DialogHost = "www.facebook.com"
)

// maxBody bounds a request's body.
const maxBody = 1 << 20

// version is a version of the Graph API. Source: "Graph API Changelog".
type version struct {
	name string
	born time.Time
	dies time.Time // Zero where that is not set.
}

func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// versions, the oldest first.
var versions = []version{
	{"v19.0", day(2024, 1, 23), day(2026, 5, 21)},
	{"v20.0", day(2024, 5, 21), day(2026, 9, 24)},
	{"v21.0", day(2024, 10, 2), day(2027, 1, 21)},
	{"v22.0", day(2025, 1, 21), day(2027, 5, 20)},
	{"v23.0", day(2025, 5, 29), day(2027, 10, 8)},
	{"v24.0", day(2025, 10, 8), day(2028, 2, 18)},
	{"v25.0", day(2026, 2, 18), day(2028, 7, 29)},
	{"v26.0", day(2026, 7, 29), time.Time{}},
}

// served is the version that answers for the one asked for: the oldest living
// one for none and for a dead one, which is unproven. False is a version that
// never was, or is not yet. After all but the last of the table have died, the last one lives.
func served(asked string, now time.Time) (string, bool) {
	oldest := versions[len(versions)-1].name
	for _, v := range slices.Backward(versions) {
		if v.dies.IsZero() || now.Before(v.dies) {
			oldest = v.name
		}
	}
	if asked == "" {
		return oldest, true
	}
	at := slices.IndexFunc(versions, func(v version) bool { return v.name == asked })
	if at < 0 {
		var major, minor int
		_, err := fmt.Sscanf(asked, "v%d.%d", &major, &minor)
		return oldest, err == nil && (major < 19 || asked == "v2.12") && major > 0 // Those of before the table.
	}
	if v := versions[at]; !v.dies.IsZero() && !now.Before(v.dies) {
		return oldest, true
	}
	return asked, true
}

// Note is what a log of requests may keep of a call: no value of a parameter is in it.
type Note struct {
	Trace      string // As in x-fb-trace-id.
	Call       string // One of those that faults name.
	Page       string
	Parameters []string
	Errors     []string // Names of known errors.
}

// noter is a writer of answers that keeps notes of calls.
type noter interface{ NoteCall(Note) }

// call is a request to Graph.
type call struct {
	m       *Meta
	w       http.ResponseWriter
	r       *http.Request
	version string
	path    []string // Without the version.
	params  map[string]string
	query   url.Values
	token   *token
	text    string // The token's.
	note    Note
}

// callNames are what faults and the log of requests call the calls.
var callNames = []string{
	"exchange", "extend", "debug_token", "me", "accounts", "permissions", "subscriptions", "subscribed_apps",
	"messages", "messenger_profile", "thread", "conversations", "profile", "page",
}

// Graph answers at Graph's addresses.
func (m *Meta) Graph(w http.ResponseWriter, r *http.Request, path string) {
	c := &call{m: m, path: strings.Split(strings.Trim(path, "/"), "/"), w: w, r: r, params: make(map[string]string), query: r.URL.Query(), note: Note{Trace: m.trace()}}
	header := w.Header()
	header.Set("X-Fb-Trace-Id", c.note.Trace)
	header.Set("X-Fb-Rev", "1030000000")
	header.Set("Cache-Control", "private, no-cache, no-store, must-revalidate")
	header.Set("Vary", "Origin")
	faults := m.Faults()
	answer, err := c.answer(faults)
	if n, ok := w.(noter); ok {
		c.note.Parameters = slices.Sorted(maps.Keys(c.params))
		if err != nil {
			c.note.Errors = []string{err.Name}
		}
		n.NoteCall(c.note)
	}
	if err == errOver {
		return
	}
	status, value := http.StatusOK, answer
	if err != nil {
		status, value = err.Status, err.body(c.note.Trace, faults.Chinese)
		for name := range err.header {
			header.Set(name, err.header.Get(name))
		}
		// Source: notes of those who saw the header beside errors of tokens.
		switch {
		case err.Code == 190 || err.Code == 102 || err.Code == 2500:
			header.Set("WWW-Authenticate", `OAuth "Facebook Platform" "invalid_token" `+strconv.Quote(err.Message))
		case c.note.Call == "exchange" && err.Code == 100:
			header.Set("WWW-Authenticate", `OAuth "Facebook Platform" "invalid_code" `+strconv.Quote(err.Message))
		}
	}
	m.write(w, c, status, value, faults)
}

// errOver is an answer that was given, or that nobody waits for.
var errOver = &graphError{}

// write sends an answer, or not all of it.
func (m *Meta) write(w http.ResponseWriter, c *call, status int, value any, faults Faults) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	body = escape(body, false)
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if status == http.StatusOK {
		if m.chance(faults.AnswerLost, "answer_lost", c.note.Trace) {
			wire.Reset(w)
		}
		if m.chance(faults.Cut, "cut", c.note.Trace) {
			w.WriteHeader(status)
			_, _ = w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // The caller may be gone; that is its own affair.
}

func (m *Meta) chance(share float64, fault string, name ...string) bool {
	return share > 0 && m.world.Chance(share, "meta "+fault, name...)
}

// trace names a call. It draws from no source of chance: how often somebody
// calls must not decide what tokens are.
func (m *Meta) trace() string {
	m.mu.Lock()
	m.calls++
	number := m.calls
	m.mu.Unlock()
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], uint64(number))
	sum := proof(string(seed[:]), "trace")
	return "A" + base64.RawURLEncoding.EncodeToString([]byte(sum[:15]))
}

// answer is what becomes of a call.
func (c *call) answer(faults Faults) (any, *graphError) {
	parts, asked := c.path, ""
	if len(parts) > 0 && len(parts[0]) > 2 && parts[0][0] == 'v' && parts[0][1] >= '0' && parts[0][1] <= '9' {
		asked, parts = parts[0], parts[1:]
	}
	name, ok := served(asked, c.m.world.Now())
	if !ok {
		return nil, fail("2500", "Unknown path components: /%s", strings.Join(parts, "/"))
	}
	c.version, c.path = name, parts
	c.w.Header().Set("Facebook-Api-Version", name)
	if err := c.readParams(); err != nil {
		return nil, err
	}
	do, needsToken := c.route()
	if c.over(faults) {
		return nil, errOver
	}
	if err := c.faulty(faults); err != nil {
		return nil, err
	}
	if do == nil {
		if c.param("access_token") == "" && !strings.HasPrefix(c.r.Header.Get("Authorization"), "Bearer ") {
			return nil, fail("2500")
		}
		return nil, fail("2500", "Unknown path components: /%s", strings.Join(parts, "/"))
	}
	if needsToken {
		if err := c.authenticate(); err != nil {
			return nil, err
		}
		if err := c.throttled(); err != nil {
			return nil, err
		}
	}
	return do()
}

// over ends a call that faults keep from having an effect.
func (c *call) over(faults Faults) bool {
	if !wire.Pause(c.r.Context(), time.Duration(faults.Slow)) {
		return true
	}
	trace := c.note.Trace
	switch {
	case c.m.chance(faults.ServerError, "server_error", trace):
		c.w.Header().Set("Content-Type", "text/html; charset=utf-8")
		c.w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(c.w, "<!DOCTYPE html>\n<html><head><title>Facebook | Error</title></head><body><h1>Sorry, something went wrong.</h1></body></html>\n")
	case c.m.chance(faults.Redirect, "redirect", trace):
		c.w.Header().Set("Location", "https://elsewhere.invalid/")
		c.w.WriteHeader(http.StatusFound)
	case c.m.chance(faults.Reset, "reset", trace):
		wire.Reset(c.w)
	default:
		return false
	}
	return true
}

// faulty draws the known error that a call meets on purpose.
func (c *call) faulty(faults Faults) *graphError {
	for _, key := range slices.Sorted(maps.Keys(faults.Errors)) {
		at, name, _ := strings.Cut(key, ":")
		if (at == "*" || at == c.note.Call) && c.m.chance(faults.Errors[key], "errors "+key, c.note.Trace) {
			err := fail(name)
			if err.Transient && err.Code > 2 {
				err.header = usage(c.note.Page, 100, 1)
			}
			return err
		}
	}
	return nil
}

// readParams reads the query, and a body that is a form or JSON. What is not a
// text in JSON stays JSON.
func (c *call) readParams() *graphError {
	for name, values := range c.query {
		c.params[name] = values[0]
	}
	if c.r.Method != http.MethodPost && c.r.Method != http.MethodDelete || c.r.Body == nil {
		return nil
	}
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxBody)
	kind, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if kind != "application/json" {
		var err error
		if kind == "multipart/form-data" {
			err = c.r.ParseMultipartForm(maxBody)
		} else {
			err = c.r.ParseForm()
		}
		if err != nil {
			return fail("100", "(#100) The body cannot be read")
		}
		for name, values := range c.r.PostForm {
			c.params[name] = values[0]
		}
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.NewDecoder(c.r.Body).Decode(&members); err != nil && err != io.EOF {
		return fail("100", "(#100) Invalid JSON for postcard")
	}
	for name, raw := range members {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		c.params[name] = text
	}
	return nil
}

func (c *call) param(name string) string { return c.params[name] }

// authenticate finds the token of a call, and checks its proof.
func (c *call) authenticate() *graphError {
	c.text = c.param("access_token")
	if scheme, bearer, ok := strings.Cut(c.r.Header.Get("Authorization"), " "); ok && c.text == "" && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "OAuth")) {
		c.text = bearer
	}
	if c.text == "" {
		return fail("2500")
	}
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.find(c.text)
	if t == nil {
		return fail("190", "Invalid OAuth access token - Cannot parse access token")
	}
	app := m.apps[t.App]
	// In a form's body it is not seen. Source: a report against a client that put it there.
	given := c.query.Get("appsecret_proof")
	if given == "" && app.RequireProof && t.Kind != kindApp {
		return &graphError{KnownError: KnownError{Name: "100", Code: 100, Type: graphMethod, Status: 400, Message: "API calls from the server require an appsecret_proof argument"}}
	}
	if given != "" {
		message := c.text
		if at := c.query.Get("appsecret_time"); at != "" {
			message += "|" + at
		}
		if !slices.ContainsFunc(app.Secrets, func(secret string) bool { return hmac.Equal([]byte(given), []byte(proof(message, secret))) }) {
			return &graphError{KnownError: KnownError{Name: "100", Code: 100, Type: graphMethod, Status: 400, Message: "Invalid appsecret_proof provided in the API argument"}}
		}
	}
	if err := m.judge(t); err != nil {
		return err
	}
	copied := *t
	c.token = &copied
	return nil
}

// usage are the headers that tell how much of the limits is used up.
func usage(page string, percent, minutes int) http.Header {
	use := fmt.Sprintf(`{"call_count":%d,"total_cputime":%d,"total_time":%d}`, percent, percent/2, percent/2)
	h := make(http.Header)
	h.Set("X-App-Usage", use)
	if page != "" {
		h.Set("X-Business-Use-Case-Usage", fmt.Sprintf(`{"%s":[{"type":"messenger","call_count":%d,"total_cputime":%d,"total_time":%d,"estimated_time_to_regain_access":%d}]}`, page, percent, percent/2, percent/2, minutes))
	}
	return h
}

// route finds what a path means, names it, and tells whether it takes a token.
func (c *call) route() (do func() (any, *graphError), token bool) {
	method, path := c.r.Method, c.path
	if len(path) == 0 || path[0] == "" {
		return nil, false
	}
	is := func(call string, do func() (any, *graphError), methods ...string) (func() (any, *graphError), bool) {
		c.note.Call = call
		if len(methods) > 0 && !slices.Contains(methods, method) {
			return func() (any, *graphError) {
				return nil, fail("100", "Unsupported %s request. Please read the Graph API documentation", strings.ToLower(method))
			}, true
		}
		return do, true
	}
	switch strings.Join(path, "/") {
	case "oauth/access_token":
		c.note.Call = "exchange"
		if c.param("grant_type") == "fb_exchange_token" {
			c.note.Call = "extend"
		}
		return c.accessToken, false
	case "debug_token":
		return is("debug_token", c.debugToken, "GET")
	}
	object := path[0]
	c.m.mu.Lock()
	_, isApp := c.m.apps[object]
	page := c.m.pages[object]
	c.m.mu.Unlock()
	if page != nil {
		c.note.Page = page.ID
	}
	if len(path) == 1 {
		switch {
		case object == "me":
			return is("me", c.me, "GET")
		case page != nil:
			return is("page", c.readPage, "GET")
		case isApp:
			return is("page", c.readApp, "GET")
		}
		return is("profile", c.readProfile, "GET")
	}
	switch edge := path[1]; edge {
	case "accounts":
		return is("accounts", c.accounts, "GET")
	case "permissions":
		return is("permissions", c.permissions, "GET", "DELETE")
	case "subscriptions":
		return is("subscriptions", c.subscriptions, "GET", "POST", "DELETE")
	case "subscribed_apps":
		return is("subscribed_apps", c.subscribedApps, "GET", "POST", "DELETE")
	case "messages":
		return is("messages", c.send, "POST")
	case "messenger_profile":
		return is("messenger_profile", c.messengerProfile, "GET", "POST", "DELETE")
	case "conversations":
		return is("conversations", c.conversations, "GET")
	case "thread_owner":
		return is("thread", c.threadOwner, "GET")
	case "pass_thread_control", "take_thread_control", "request_thread_control", "release_thread_control", "extend_thread_control":
		return is("thread", c.threadControl, "POST")
	}
	return nil, false
}

// fields are those that a call asks for, with what stands in braces cut off.
func (c *call) fields(byDefault string) []string {
	text, out, depth, begin := cmp.Or(c.param("fields"), byDefault), []string(nil), 0, 0
	add := func(name string) {
		name, _, _ = strings.Cut(name, "{")
		name, _, _ = strings.Cut(name, ".")
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	for i, r := range text {
		switch r {
		case '{', '(':
			depth++
		case '}', ')':
			depth--
		case ',':
			if depth == 0 {
				add(text[begin:i])
				begin = i + 1
			}
		}
	}
	add(text[begin:])
	return out
}

// pick keeps the asked fields of an object; id always comes. A field that it
// has not, and that all does not name, is an error.
func (c *call) pick(kind string, all map[string]any, byDefault string) (map[string]any, *graphError) {
	out := map[string]any{"id": all["id"]}
	for _, name := range c.fields(byDefault) {
		value, ok := all[name]
		if !ok {
			return nil, fail("100", "(#100) Tried accessing nonexisting field (%s) on node type (%s)", name, kind)
		}
		if value != nil { // Facebook leaves out what is empty.
			out[name] = value
		}
	}
	return out, nil
}

// list is a page of a list, by cursors. Default 25, at most 100, unproven.
func (c *call) list(ids []string, each func(id string) (any, *graphError)) (any, *graphError) {
	limit := 25
	if text := c.param("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return nil, fail("100", "(#100) Param limit must be a positive integer")
		}
		limit = min(n, 100)
	}
	if c.m.chance(c.m.Faults().PageSize, "small_pages", c.note.Trace) {
		limit = min(limit, 2)
	}
	begin := 0
	if after := c.param("after"); after != "" {
		id, err := base64.RawURLEncoding.DecodeString(after)
		at := slices.Index(ids, string(id))
		if err != nil || at < 0 {
			return nil, fail("100", "(#100) Invalid cursors values for field 'after'")
		}
		begin = at + 1
	}
	end := min(begin+limit, len(ids))
	data := []any{}
	for _, id := range ids[begin:end] {
		row, err := each(id)
		if err != nil {
			return nil, err
		}
		data = append(data, row)
	}
	out := map[string]any{"data": data}
	if len(data) > 0 {
		cursor := func(id string) string { return base64.RawURLEncoding.EncodeToString([]byte(id)) }
		paging := map[string]any{"cursors": map[string]string{"before": cursor(ids[begin]), "after": cursor(ids[end-1])}}
		if end < len(ids) {
			next := *c.r.URL
			next.Scheme, next.Host = "http", c.r.Host
			if c.r.TLS != nil {
				next.Scheme = "https"
			}
			query := c.r.URL.Query()
			query.Set("after", cursor(ids[end-1]))
			query.Set("limit", strconv.Itoa(limit))
			query.Set("access_token", c.text) // As Meta does; a reader should go by the cursor.
			query.Del("appsecret_proof")
			next.RawQuery = query.Encode()
			paging["next"] = next.String()
		}
		out["paging"] = paging
	}
	return out, nil
}
