package meta

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// profileFields are the settings of a Page's conversations. Source: "Messenger
// Profile API".
var profileFields = []string{"get_started", "greeting", "ice_breakers", "persistent_menu", "whitelisted_domains", "commands", "account_linking_url"}

const (
	maxGreeting    = 160 // Unproven.
	maxIceBreakers = 4
	maxShown       = 20 // Messages of a conversation that can be read.
)

// messengerProfile reads, sets and removes settings of a Page's conversations.
func (c *call) messengerProfile() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	page, err := c.forPage("pages_messaging")
	if err != nil {
		return nil, err
	}
	b, now := &page.budget, m.world.Now()
	if now.Sub(b.Profile) >= profileWindow {
		b.Profile, b.ProfileCalls = now, 0
	}
	if b.ProfileCalls++; c.r.Method != http.MethodGet && b.ProfileCalls > profileCalls {
		err := fail("613")
		err.header = usage(page.ID, 100, 10)
		return nil, err
	}
	switch c.r.Method {
	case http.MethodGet:
		data := map[string]any{}
		for _, name := range names(c.param("fields")) {
			if !slices.Contains(profileFields, name) {
				return nil, fail("100", "(#100) Param fields must be one of {%s} - got %q.", strings.Join(profileFields, ", "), name)
			}
			if value, there := page.profile[name]; there {
				data[name] = value
			}
		}
		if len(data) == 0 {
			return map[string]any{"data": []any{}}, nil
		}
		return map[string]any{"data": []any{data}}, nil
	case http.MethodDelete:
		fields := names(c.param("fields"))
		if len(fields) == 0 {
			return nil, fail("100", "(#100) The parameter fields is required")
		}
		for _, name := range fields {
			delete(page.profile, name)
		}
		return map[string]string{"result": "success"}, nil
	}
	set := make(map[string]any)
	for _, name := range profileFields {
		text, given := c.params[name]
		if !given {
			continue
		}
		var value any
		if json.Unmarshal([]byte(text), &value) != nil {
			value = text
		}
		if problem := judgeProfile(name, value); problem != "" {
			return nil, fail("100", "(#100) %s", problem)
		}
		set[name] = value
	}
	if len(set) == 0 {
		return nil, fail("100", "(#100) At least one of {%s} is required", strings.Join(profileFields, ", "))
	}
	if _, menu := set["persistent_menu"]; menu && set["get_started"] == nil && page.profile["get_started"] == nil {
		return nil, fail("100", "(#100) You must set a Get Started button if you also wish to use persistent menu")
	}
	for name, value := range set {
		page.profile[name] = value
	}
	return map[string]string{"result": "success"}, nil
}

// judgeProfile says what is wrong with a setting.
func judgeProfile(name string, value any) string {
	list, isList := value.([]any)
	object, _ := value.(map[string]any)
	switch name {
	case "get_started":
		if text, _ := object["payload"].(string); text == "" || tooLong(text, maxPayload) {
			return "Param get_started has a payload"
		}
	case "greeting":
		for _, row := range list {
			row, _ := row.(map[string]any)
			if text, _ := row["text"].(string); text == "" || tooLong(text, maxGreeting) {
				return "A greeting's text has 1 to " + strconv.Itoa(maxGreeting) + " characters"
			}
		}
		if !isList {
			return "Param greeting is a list"
		}
	case "ice_breakers":
		if !isList {
			return "Param ice_breakers is a list"
		}
		count := 0
		for _, row := range list {
			row, _ := row.(map[string]any)
			if inner, ok := row["call_to_actions"].([]any); ok {
				if len(inner) > maxIceBreakers {
					return "There are at most 4 ice breakers"
				}
				continue
			}
			count++
		}
		if count > maxIceBreakers {
			return "There are at most 4 ice breakers"
		}
	case "persistent_menu", "whitelisted_domains", "commands":
		if !isList {
			return "Param " + name + " is a list"
		}
	}
	return ""
}

// Profile is what a Page's conversations are set to.
func (m *Meta) Profile(page string) (map[string]any, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.page(page)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(p.profile))
	for name, value := range p.profile {
		out[name] = value
	}
	return out, nil
}

// readProfile answers who a shopper is, where she agreed to that.
func (c *call) readProfile() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	page := m.pages[c.token.Page]
	if c.token.Kind == kindUser && c.path[0] == m.scopedID(c.person(), c.token.App) {
		p := c.person()
		return c.pick("User", map[string]any{"id": c.path[0], "name": p.Name, "email": nil, "first_name": firstName(p.Name)}, "id,name")
	}
	if page == nil || page.threads[c.path[0]] == nil {
		return nil, fail("100/33")
	}
	c.note.Page = page.ID
	t := page.threads[c.path[0]]
	s := m.shoppers[t.Shopper]
	if !s.Asked {
		return nil, fail("230")
	}
	first, last, _ := strings.Cut(s.Name, " ")
	return c.pick("User", map[string]any{"id": t.PSID, "name": s.Name, "first_name": first, "last_name": last, "username": strings.ToLower(first),
		"profile_pic": "https://platform-lookaside.fbsbx.com/platform/profilepic/?psid=" + t.PSID}, "first_name,last_name,profile_pic")
}

// threadOwner says which app has control of a thread.
func (c *call) threadOwner() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	page, err := c.forPage("pages_messaging")
	if err != nil {
		return nil, err
	}
	t, err := c.recipient(page, c.param("recipient"))
	if err != nil {
		return nil, err
	}
	now := m.world.Now()
	owner := t.owner(now)
	if owner == "" {
		return map[string]any{"data": []any{}}, nil
	}
	return map[string]any{"data": []any{map[string]any{"thread_owner": map[string]any{"app_id": owner, "expiration": t.Touched.Add(idleAfter).Unix()}}}}, nil
}

// threadControl passes control of a thread on. Source: "Conversation Routing".
func (c *call) threadControl() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	page, err := c.forPage("pages_messaging")
	if err != nil {
		return nil, err
	}
	var to struct {
		ID string `json:"id"`
	}
	if json.Unmarshal([]byte(c.param("recipient")), &to) != nil {
		return nil, fail("100", "(#100) The parameter recipient is required")
	}
	t, err := c.recipient(page, to.ID)
	if err != nil {
		return nil, err
	}
	now, before, metadata, me := m.world.Now(), t.owner(m.world.Now()), c.param("metadata"), c.token.App
	switch c.path[1] {
	case "pass_thread_control":
		target := c.param("target_app_id")
		if target != inboxApp && m.apps[target] == nil {
			return nil, fail("100", "(#100) Param target_app_id is not an app of this Page")
		}
		if before != "" && before != me {
			return nil, fail("10", "(#10) The app does not have control of the thread")
		}
		t.Owner, t.Touched = target, now
		m.handover(t, func(app *App) *control {
			if app.ID != target {
				return nil
			}
			return &control{PreviousOwner: json.Number(me), NewOwner: json.Number(target), Metadata: metadata}
		}, true)
	case "take_thread_control":
		t.Owner, t.Touched = me, now
		m.handover(t, func(app *App) *control {
			if app.ID != before || before == me {
				return nil
			}
			return &control{PreviousOwner: json.Number(before), NewOwner: json.Number(me), Metadata: metadata}
		}, false)
	case "release_thread_control":
		if before != me {
			return nil, fail("10", "(#10) The app does not have control of the thread")
		}
		t.Owner = ""
	case "extend_thread_control":
		if before != me {
			return nil, fail("10", "(#10) The app does not have control of the thread")
		}
		t.Touched = now
	case "request_thread_control":
		for _, id := range sortedKeys(m.apps) {
			if id == before && id != me {
				m.emitTo(id, t, "messaging_handovers", func(*App, bool) event {
					e := m.shopperEvent(t)
					e.Request = &control{Requested: json.Number(me), Metadata: metadata}
					return e
				})
			}
		}
	}
	return map[string]bool{"success": true}, nil
}

// conversations lists what was said, by which lost events are caught up with:
// of each conversation the newest twenty messages. Source: "Conversations API".
func (c *call) conversations() (any, *graphError) {
	m := c.m
	m.mu.Lock()
	defer m.mu.Unlock()
	page, err := c.forPage("pages_messaging")
	if err != nil {
		return nil, err
	}
	now := m.world.Now()
	page.budget.tick(now)
	if page.budget.Lists++; page.budget.Lists > listsASecond {
		err := fail("613")
		err.header = usage(page.ID, 100, 1)
		return nil, err
	}
	instagram := c.param("platform") == "instagram"
	var ids []string
	for _, psid := range sortedKeys(page.threads) {
		if t := page.threads[psid]; t.Instagram == instagram && (c.param("user_id") == "" || c.param("user_id") == psid) {
			ids = append(ids, psid)
		}
	}
	slices.SortStableFunc(ids, func(a, b string) int { return page.threads[b].Touched.Compare(page.threads[a].Touched) })
	return c.list(ids, func(psid string) (any, *graphError) {
		t := page.threads[psid]
		messages := []any{}
		for _, said := range slices.Backward(t.Messages) {
			if len(messages) == maxShown {
				break
			}
			from, to := psid, m.address(t)
			if said.From != "shopper" {
				from, to = to, from
			}
			messages = append(messages, map[string]any{"id": said.MID, "created_time": said.At.UTC().Format("2006-01-02T15:04:05-0700"), "message": said.Text,
				"from": party{from}, "to": map[string]any{"data": []party{{to}}}})
		}
		return c.pick("UnifiedThread", map[string]any{"id": "t_" + psid, "updated_time": t.Touched.UTC().Format("2006-01-02T15:04:05-0700"), "link": nil,
			"participants": map[string]any{"data": []party{{psid}, {m.address(t)}}}, "messages": map[string]any{"data": messages}}, "id,updated_time")
	})
}
