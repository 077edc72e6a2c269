package meta

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// person is whose token a call has; mu is held.
func (c *call) person() *Person { return c.m.people[c.token.Person] }

// userOnly refuses a Page's token and an app's where a person's is needed.
func (c *call) userOnly() *graphError {
	if c.token.Kind == kindUser || c.token.Kind == kindSystem {
		return nil
	}
	return fail("2500")
}

// me answers who a token is of.
func (c *call) me() (any, *graphError) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	switch c.token.Kind {
	case kindPage:
		return c.pageObject(c.m.pages[c.token.Page])
	case kindApp:
		return nil, fail("2500")
	}
	p := c.person()
	return c.pick("User", map[string]any{"id": c.m.scopedID(p, c.token.App), "name": p.Name, "email": nil, "first_name": firstName(p.Name)}, "id,name")
}

func firstName(name string) string {
	first, _, _ := strings.Cut(name, " ")
	return first
}

// pageObject is a Page as its fields are asked for; mu is held.
func (c *call) pageObject(page *Page) (any, *graphError) {
	all := map[string]any{"id": page.ID, "name": page.Name, "category": page.Category, "tasks": nil, "access_token": nil, "instagram_business_account": nil,
		"messaging_feature_status": map[string]bool{"hop_v2": true, "msgr_multi_app": true, "ig_multi_app": true}}
	if page.Instagram != nil {
		all["instagram_business_account"] = map[string]string{"id": page.Instagram.ID}
	}
	if c.token.Kind != kindApp {
		all["tasks"] = page.Roles[c.token.Person]
		if c.mayList(page) {
			all["access_token"] = c.pageToken(page)
		}
	}
	return c.pick("Page", all, "name,id")
}

func (c *call) readPage() (any, *graphError) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	page := c.m.pages[c.path[0]]
	if c.token.Kind == kindPage && c.token.Page != page.ID || c.token.Kind != kindPage && (c.token.Kind == kindApp || !c.mayList(page)) {
		return nil, fail("100/33")
	}
	return c.pageObject(page)
}

func (c *call) readApp() (any, *graphError) {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	app := c.m.apps[c.path[0]]
	if c.token.App != app.ID {
		return nil, fail("100/33")
	}
	return c.pick("Application", map[string]any{"id": app.ID, "name": app.Name, "category": "Business", "link": "https://www.facebook.com/games/?app_id=" + app.ID}, "category,link,name,id")
}

// mayList tells whether a person's token may see a Page at all; mu is held.
func (c *call) mayList(page *Page) bool {
	if c.token.Kind == kindPage {
		return c.token.Page == page.ID
	}
	g := c.person().Grants[c.token.App]
	return len(page.Roles[c.token.Person]) > 0 && g.may("pages_show_list", page.ID) && (!page.Business || g.may("business_management", ""))
}

// pageToken is the token of a Page, the same each time it is read with the same
// token. Read with a long-lived one it never expires. mu is held.
func (c *call) pageToken(page *Page) string {
	if c.token.Kind == kindPage {
		return c.text
	}
	parent := c.m.tokens[c.text]
	if text := parent.Pages[page.ID]; text != "" && c.m.tokens[text] != nil {
		return text
	}
	t := &token{Kind: kindPage, App: parent.App, Person: parent.Person, Page: page.ID, Session: parent.Session, Grant: parent.Grant,
		Long: parent.Long, Expires: parent.Expires, System: parent.System}
	if parent.Long {
		t.Expires = time.Time{}
	}
	text := c.m.newToken(t)
	parent.Pages[page.ID] = text
	return text
}

// accounts lists the Pages of whoever logged in.
func (c *call) accounts() (any, *graphError) {
	if err := c.userOnly(); err != nil {
		return nil, err
	}
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.path[0] != "me" && c.path[0] != m.scopedID(c.person(), c.token.App) {
		return nil, fail("100/33")
	}
	var ids []string
	for _, page := range inOrder(m.pages) {
		if c.mayList(page) {
			ids = append(ids, page.ID)
		}
	}
	return c.list(ids, func(id string) (any, *graphError) {
		page := m.pages[id]
		all := map[string]any{"id": page.ID, "name": page.Name, "category": page.Category, "access_token": c.pageToken(page), "tasks": page.Roles[c.token.Person],
			"category_list": []map[string]string{{"id": "200600219953504", "name": page.Category}}, "instagram_business_account": nil}
		if page.Instagram != nil {
			all["instagram_business_account"] = map[string]string{"id": page.Instagram.ID}
		}
		return c.pick("Page", all, "access_token,category,category_list,name,id,tasks")
	})
}

// permissions lists what a person lets an app do, or takes it back: one
// permission, or with none named the whole app.
func (c *call) permissions() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	person := m.people[c.token.Person]
	if c.path[0] != "me" { // By id also with the app's own token.
		person = m.personOf(c.token.App, c.path[0])
	}
	if person == nil || c.token.Kind != kindApp && person.ID != c.token.Person || c.token.Kind == kindPage {
		m.mu.Unlock()
		return nil, fail("100/33")
	}
	g := person.Grants[c.token.App]
	if g == nil {
		m.mu.Unlock()
		return nil, fail("190/458")
	}
	if c.r.Method == http.MethodGet {
		defer m.mu.Unlock()
		data := []map[string]string{}
		for _, scope := range permissions {
			if yes, asked := g.Scopes[scope]; asked {
				data = append(data, map[string]string{"permission": scope, "status": map[bool]string{true: "granted", false: "declined"}[yes]})
			}
		}
		return map[string]any{"data": data}, nil
	}
	if len(c.path) > 2 || c.param("permission") != "" {
		defer m.mu.Unlock()
		scope := c.param("permission")
		if len(c.path) > 2 {
			scope = c.path[2]
		}
		if !g.Scopes[scope] {
			return nil, fail("100", "(#100) Permission %s has not been granted", scope)
		}
		g.Scopes[scope] = false
		return map[string]bool{"success": true}, nil
	}
	delete(person.Grants, c.token.App)
	m.mu.Unlock()
	return map[string]bool{"success": true}, nil // The app itself did it, and is told nothing. Unproven.
}

// debugToken tells an app about a token of its own.
func (c *call) debugToken() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	input := c.param("input_token")
	if input == "" {
		return nil, fail("100", "(#100) The parameter input_token is required")
	}
	t := m.find(input)
	if t == nil {
		return map[string]any{"data": map[string]any{"is_valid": false, "scopes": []string{},
			"error": map[string]any{"code": 190, "message": "Invalid OAuth access token - Cannot parse access token"}}}, nil
	}
	if t.App != c.token.App {
		return nil, fail("100", "(#100) The App_id in the input_token did not match the Viewing App")
	}
	data := map[string]any{"app_id": t.App, "type": t.Kind, "application": m.apps[t.App].Name, "is_valid": true}
	if t.Kind == kindApp {
		return map[string]any{"data": data}, nil
	}
	data["expires_at"], data["scopes"] = int64(0), []string{}
	if !t.Expires.IsZero() {
		data["expires_at"] = t.Expires.Unix()
	}
	if t.Long {
		data["issued_at"] = t.Made.Unix()
	}
	if p := m.people[t.Person]; p != nil {
		data["user_id"] = m.scopedID(p, t.App)
		if g := p.Grants[t.App]; g != nil {
			data["scopes"] = g.granted()
			granular := []map[string]any{}
			for _, scope := range g.granted() {
				if !forPages(scope) {
					continue
				}
				row := map[string]any{"scope": scope}
				if targets, some := g.Targets[scope]; some {
					row["target_ids"] = targets
				}
				granular = append(granular, row)
			}
			data["granular_scopes"] = granular
			if !t.System {
				data["data_access_expires_at"] = g.UsedAt.Add(dataAccessLife).Unix()
			}
		}
	}
	if t.Kind == kindPage {
		data["profile_id"] = t.Page
	}
	if err := m.judge(t); err != nil {
		data["is_valid"] = false
		problem := map[string]any{"code": err.Code, "message": err.Message}
		if err.Subcode != 0 {
			problem["subcode"] = err.Subcode
		}
		data["error"] = problem
	}
	return map[string]any{"data": data}, nil
}

// forPage checks that a call has the token of the Page in its path, with a
// permission for it; mu is held.
func (c *call) forPage(scope string) (*Page, *graphError) {
	m := c.m
	id := c.path[0]
	if id == "me" {
		id = c.token.Page
	}
	page := m.pages[id]
	if c.token.Kind != kindPage {
		return nil, fail("210")
	}
	if page == nil && len(m.pages) > 0 {
		for _, other := range m.pages { // By its Instagram account's id.
			if other.Instagram != nil && other.Instagram.ID == id {
				page = other
			}
		}
	}
	if page == nil || page.ID != c.token.Page {
		return nil, fail("100/33")
	}
	c.note.Page = page.ID
	if !c.person().Grants[c.token.App].may(scope, page.ID) {
		if scope == "pages_messaging" {
			return nil, fail("10", "(#10) This endpoint requires the '%s' permission or the 'Page Public Content Access' feature", scope)
		}
		return nil, fail("200", "(#200) Requires %s permission to manage the object", scope)
	}
	return page, nil
}

// subscribedApps is the Page's level of the two at which webhooks are wanted.
func (c *call) subscribedApps() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	page, err := c.forPage("pages_manage_metadata")
	if err != nil {
		return nil, err
	}
	switch c.r.Method {
	case http.MethodGet:
		data := []map[string]any{}
		for _, id := range sortedKeys(page.Fields) {
			if app := m.apps[id]; app != nil {
				data = append(data, map[string]any{"category": "Business", "link": "https://www.facebook.com/games/?app_id=" + id, "name": app.Name, "id": id, "subscribed_fields": page.Fields[id]})
			}
		}
		return map[string]any{"data": data}, nil
	case http.MethodDelete:
		delete(page.Fields, c.token.App)
		return map[string]bool{"success": true}, nil
	}
	if !page.hasTask(c.token.Person, TaskCreateContent, TaskManage, TaskModerate) {
		return nil, fail("200", "(#200) User does not have sufficient administrative permission for this action on this page")
	}
	fields := names(c.param("subscribed_fields"))
	if len(fields) == 0 {
		return nil, fail("100", "(#100) The parameter subscribed_fields is required")
	}
	for i, field := range fields {
		if !knownField(field) {
			return nil, fail("100", "(#100) Param subscribed_fields[%d] must be one of {%s} - got %q.", i, strings.Join(webhookFields, ", "), field)
		}
	}
	page.Fields[c.token.App] = fields
	return map[string]bool{"success": true}, nil
}

// names reads a list that is written with commas, or as JSON.
func names(text string) []string {
	var out []string
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		if json.Unmarshal([]byte(text), &out) != nil {
			return nil
		}
	} else {
		out = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func sortedKeys[V any](of map[string]V) []string {
	var out []string
	for key := range of {
		out = append(out, key)
	}
	slices.SortFunc(out, compareIDs)
	return out
}

// subscriptions is the app's level: where it hears of Pages, and of what.
func (c *call) subscriptions() (any, *graphError) {
	m := c.m
	id := c.path[0]
	m.mu.Lock()
	app := m.apps[id]
	sub := m.subs[id]
	m.mu.Unlock()
	if app == nil || c.token.App != id {
		return nil, fail("100/33")
	}
	if c.token.Kind != kindApp {
		return nil, fail("15")
	}
	if c.r.Method == http.MethodGet {
		data := []map[string]any{}
		if sub != nil {
			fields := []map[string]string{}
			for _, field := range sub.Fields {
				fields = append(fields, map[string]string{"name": field, "version": c.version})
			}
			data = append(data, map[string]any{"object": "page", "callback_url": sub.URL, "active": true, "fields": fields})
		}
		return map[string]any{"data": data}, nil
	}
	object := c.param("object")
	if object != "page" && (object != "" || c.r.Method == http.MethodPost) {
		return nil, fail("100", "(#100) Param object must be one of {page} - got %q.", object)
	}
	fields := names(c.param("fields"))
	if c.r.Method == http.MethodDelete {
		m.mu.Lock()
		defer m.mu.Unlock()
		if sub := m.subs[id]; sub != nil && len(fields) > 0 {
			kept := *sub
			kept.Fields = slices.DeleteFunc(slices.Clone(sub.Fields), func(f string) bool { return slices.Contains(fields, f) })
			m.subs[id] = &kept
		} else {
			delete(m.subs, id)
		}
		return map[string]bool{"success": true}, nil
	}
	wanted := &AppSubscription{URL: c.param("callback_url"), VerifyToken: c.param("verify_token"), Fields: fields}
	if wanted.URL == "" || wanted.VerifyToken == "" || len(fields) == 0 {
		return nil, fail("100", "(#100) The parameters callback_url, verify_token and fields are required")
	}
	for _, field := range fields {
		if !knownField(field) {
			return nil, fail("100", "(#100) Invalid parameter: no field %q of object page", field)
		}
	}
	if err := m.verify(c.r.Context(), wanted); err != nil {
		return nil, fail("2200", "(#2200) Callback verification failed with the following errors: %s", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs[id] = wanted
	return map[string]bool{"success": true}, nil
}

// verify asks a webhook's address whether it is the app's. Source: "Webhooks:
// Getting Started", verification requests.
func (m *Meta) verify(ctx context.Context, sub *AppSubscription) error {
	at, err := url.Parse(sub.URL)
	if err != nil || !safe(at) {
		return fmt.Errorf("the address is not one of https")
	}
	challenge := strconv.FormatInt(1_000_000_000+int64(crc32.ChecksumIEEE([]byte(m.trace())))%1_000_000_000, 10)
	query := at.Query()
	query.Set("hub.mode", "subscribe")
	query.Set("hub.challenge", challenge)
	query.Set("hub.verify_token", sub.VerifyToken)
	at.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return fmt.Errorf("the address cannot be asked")
	}
	request.Header.Set("User-Agent", userAgent)
	response, err := m.client.Do(request)
	if err != nil {
		return fmt.Errorf("the address does not answer")
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	switch {
	case err != nil:
		return fmt.Errorf("the answer cannot be read")
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("HTTP Status Code = %d; HTTP Message = %s", response.StatusCode, http.StatusText(response.StatusCode))
	case string(body) != challenge:
		return fmt.Errorf("the challenge did not come back")
	}
	return nil
}

// Subscribe sets the app's level as the App Dashboard does, with its verification.
func (m *Meta) Subscribe(ctx context.Context, app string, sub AppSubscription) error {
	m.mu.Lock()
	known := m.apps[app] != nil
	m.mu.Unlock()
	if !known {
		return fmt.Errorf("subscribe: no app %q", app)
	}
	for _, field := range sub.Fields {
		if !knownField(field) {
			return fmt.Errorf("subscribe app %s: no field %q of object page", app, field)
		}
	}
	if err := m.verify(ctx, &sub); err != nil {
		return fmt.Errorf("subscribe app %s: %w", app, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.subs[app] = &sub
	return nil
}

// safe tells whether Meta would send something to an address: by https, or, which
// it would not, on this machine and in private networks.
func safe(at *url.URL) bool {
	host := at.Hostname()
	return at.Host != "" && (at.Scheme == "https" || at.Scheme == "http" && (!strings.Contains(host, ".") || private(host)))
}
