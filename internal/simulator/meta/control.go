package meta

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"stockroom/internal/simulator/knob"
)

// whom names what a control is about; each uses what it needs of it.
type whom struct {
	Person    string   `json:"person"`
	Page      string   `json:"page"`
	Shopper   string   `json:"shopper"`
	App       string   `json:"app"`
	Name      string   `json:"name"`
	Instagram bool     `json:"instagram"`
	On        *bool    `json:"on"` // Default: true.
	Tasks     []string `json:"tasks"`
	Scopes    []string `json:"scopes"`
	Scope     string   `json:"scope"`
	Pages     []string `json:"pages"`
	MID       string   `json:"mid"`
	Text      string   `json:"text"`
	Emoji     string   `json:"emoji"`
	Title     string   `json:"title"`
	Payload   string   `json:"payload"`
	Action    string   `json:"action"`
	Reason    string   `json:"reason"`
	Field     string   `json:"field"`
	Value     any      `json:"value"`
	ID        string   `json:"id"`
	Body      any      `json:"body"`

	Referral *Referral     `json:"referral"`
	Wait     knob.Duration `json:"for"`
}

func (in whom) on() bool { return in.On == nil || *in.On }

// ControlNames are what can be done over HTTP.
func ControlNames() []string { return slices.Sorted(maps.Keys(controls)) }

// done says that it was done.
var done = map[string]string{"status": "done"}

// simple makes a control of what answers nothing but whether it was done.
func simple(do func(*Meta, whom) error) controller {
	return func(m *Meta, body []byte) (any, error) {
		return take(body, func(in whom) (any, error) { return done, do(m, in) })
	}
}

// controller does one thing that a JSON object describes, and answers.
type controller func(*Meta, []byte) (any, error)

// controls are what can be done by POST with a JSON object, by name.
var controls = map[string]controller{
	"faults": func(m *Meta, body []byte) (any, error) { return m.PatchFaults(body) },
	"outcome": func(m *Meta, body []byte) (any, error) {
		return take(body, func(o Outcome) (any, error) { return o, m.NextOutcome(o) })
	},
	"people": func(m *Meta, body []byte) (any, error) {
		return take(body, func(in whom) (any, error) {
			p, err := m.AddPerson(in.Name)
			return map[string]string{"id": p.ID, "name": p.Name}, err
		})
	},
	"pages": func(m *Meta, body []byte) (any, error) {
		return take(body, func(spec PageSpec) (any, error) {
			p, err := m.AddPage(spec)
			return map[string]string{"id": p.ID, "name": p.Name}, err
		})
	},
	"write": func(m *Meta, body []byte) (any, error) {
		return take(body, func(say Message) (any, error) {
			mid, err := m.Write(say)
			return map[string]string{"mid": mid}, err
		})
	},
	"answer": func(m *Meta, body []byte) (any, error) {
		return take(body, func(in whom) (any, error) {
			mid, err := m.Answer(in.Page, in.Shopper, in.Instagram, in.Text)
			return map[string]string{"mid": mid}, err
		})
	},
	"deliver": func(m *Meta, body []byte) (any, error) {
		return take(body, func(in whom) (any, error) {
			id, err := m.Deliver(in.App, in.Body)
			return map[string]string{"id": id}, err
		})
	},

	"tasks":       simple(func(m *Meta, in whom) error { return m.SetTasks(in.Person, in.Page, in.Tasks...) }),
	"password":    simple(func(m *Meta, in whom) error { return m.ChangePassword(in.Person) }),
	"logout":      simple(func(m *Meta, in whom) error { return m.Logout(in.Person) }),
	"checkpoint":  simple(func(m *Meta, in whom) error { return m.SetCheckpoint(in.Person, in.on()) }),
	"unconfirmed": simple(func(m *Meta, in whom) error { return m.SetUnconfirmed(in.Person, in.on()) }),
	"revoke":      simple(func(m *Meta, in whom) error { return m.Revoke(in.Person, in.App, in.Scopes...) }),
	"targets":     simple(func(m *Meta, in whom) error { return m.SetTargets(in.Person, in.App, in.Scope, in.Pages...) }),
	"remove":      simple(func(m *Meta, in whom) error { return m.RemoveApp(in.Person, in.App) }),
	"deletion":    simple(func(m *Meta, in whom) error { return m.RequestDeletion(in.Person, in.App) }),
	"unsubscribe": simple(func(m *Meta, in whom) error { return m.Unsubscribe(in.Page, in.App) }),
	"bar":         simple(func(m *Meta, in whom) error { return m.SetBarred(in.Page, in.on()) }),
	"throttle":    simple(func(m *Meta, in whom) error { return m.Throttle(in.Page, time.Duration(in.Wait)) }),
	"closed":      simple(func(m *Meta, in whom) error { return m.SetInstagramClosed(in.Page, in.on()) }),
	"enforce":     simple(func(m *Meta, in whom) error { return m.Enforce(in.Page, in.Action, in.Reason) }),
	"change":      simple(func(m *Meta, in whom) error { return m.Change(in.Page, in.Field, in.Value) }),
	"tap": simple(func(m *Meta, in whom) error {
		return m.Tap(in.Page, in.Shopper, in.Instagram, in.Title, in.Payload, in.Referral)
	}),
	"read":   simple(func(m *Meta, in whom) error { return m.Read(in.Page, in.Shopper, in.Instagram) }),
	"react":  simple(func(m *Meta, in whom) error { return m.React(in.Page, in.Shopper, in.Instagram, in.MID, in.Emoji) }),
	"edit":   simple(func(m *Meta, in whom) error { return m.Edit(in.Page, in.Shopper, in.Instagram, in.MID, in.Text) }),
	"unsend": simple(func(m *Meta, in whom) error { return m.Unsend(in.Page, in.Shopper, in.MID) }),
	"follow": simple(func(m *Meta, in whom) error {
		if in.Referral == nil {
			return fmt.Errorf("follow: send a referral with source ADS or SHORTLINK")
		}
		return m.Follow(in.Page, in.Shopper, *in.Referral)
	}),
	"block":     simple(func(m *Meta, in whom) error { return m.Block(in.Page, in.Shopper, in.Instagram, in.on()) }),
	"deafen":    simple(func(m *Meta, in whom) error { return m.Deafen(in.Page, in.Shopper, in.Instagram, in.on()) }),
	"agree":     simple(func(m *Meta, in whom) error { return m.Agree(in.Shopper, in.on()) }),
	"role":      simple(func(m *Meta, in whom) error { return m.SetRole(in.Shopper, in.on()) }),
	"give_back": simple(func(m *Meta, in whom) error { return m.GiveBack(in.Page, in.Shopper, in.Instagram, in.App) }),
	"again":     simple(func(m *Meta, in whom) error { return m.Again(in.ID) }),
}

// views are what can be looked at by GET, by name.
var views = map[string]func(*Meta, *http.Request) (any, error){
	"faults":     func(m *Meta, _ *http.Request) (any, error) { return m.Faults(), nil },
	"faults/all": func(m *Meta, _ *http.Request) (any, error) { return m.FaultKnobs(), nil },
	"errors":     func(*Meta, *http.Request) (any, error) { return Errors(), nil },
	"deliveries": func(m *Meta, _ *http.Request) (any, error) { return m.Deliveries(), nil },
	"alerts":     func(m *Meta, _ *http.Request) (any, error) { return slices.Concat([]Alert{}, m.Alerts()), nil },
	"callbacks":  func(m *Meta, _ *http.Request) (any, error) { return m.Callbacks(), nil },
	"threads":    func(m *Meta, r *http.Request) (any, error) { return m.Threads(r.URL.Query().Get("page")) },
	"profile":    func(m *Meta, r *http.Request) (any, error) { return m.Profile(r.URL.Query().Get("page")) },
	"":           func(m *Meta, _ *http.Request) (any, error) { return m.Standing(), nil },
}

// Standing is who is there, and how apps stand with them.
type Standing struct {
	Apps   []AppStanding  `json:"apps"`
	People []PersonHas    `json:"people"`
	Pages  []PageStanding `json:"pages"`
}

// AppStanding is an app, without its secret.
type AppStanding struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Development bool     `json:"development"`
	Webhook     string   `json:"webhook,omitempty"`
	Fields      []string `json:"fields"` // At the app's level.
}

// PersonHas is a person, and what she lets apps do.
type PersonHas struct {
	ID          string              `json:"id"`
	Name        string              `json:"name"`
	Checkpoint  bool                `json:"checkpoint,omitempty"`
	Unconfirmed bool                `json:"unconfirmed,omitempty"`
	Apps        map[string][]string `json:"apps"`
}

// PageStanding is a Page, and what it is subscribed to.
type PageStanding struct {
	ID        string              `json:"id"`
	Name      string              `json:"name"`
	Instagram string              `json:"instagram,omitempty"`
	Barred    bool                `json:"barred,omitempty"`
	Tasks     map[string][]string `json:"tasks"`  // By the person's name.
	Fields    map[string][]string `json:"fields"` // At the Page's level, by app.
	Threads   int                 `json:"threads"`
}

// Standing tells who is there.
func (m *Meta) Standing() Standing {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := Standing{Apps: []AppStanding{}, People: []PersonHas{}, Pages: []PageStanding{}}
	for _, id := range sortedKeys(m.apps) {
		app := AppStanding{ID: id, Name: m.apps[id].Name, Development: m.apps[id].Development, Fields: []string{}}
		if sub := m.subs[id]; sub != nil {
			app.Webhook, app.Fields = sub.URL, slices.Clone(sub.Fields)
		}
		out.Apps = append(out.Apps, app)
	}
	for _, p := range inOrder(m.people) {
		has := PersonHas{ID: p.ID, Name: p.Name, Checkpoint: p.Checkpoint, Unconfirmed: p.Unconfirmed, Apps: make(map[string][]string)}
		for id, g := range p.Grants {
			has.Apps[id] = g.granted()
		}
		out.People = append(out.People, has)
	}
	for _, p := range inOrder(m.pages) {
		page := PageStanding{ID: p.ID, Name: p.Name, Barred: p.Barred, Tasks: make(map[string][]string), Fields: make(map[string][]string), Threads: len(p.threads)}
		if p.Instagram != nil {
			page.Instagram = p.Instagram.Username
		}
		for id, tasks := range p.Roles {
			page.Tasks[m.people[id].Name] = slices.Clone(tasks)
		}
		for id, fields := range p.Fields {
			page.Fields[id] = slices.Clone(fields)
		}
		out.Pages = append(out.Pages, page)
	}
	return out
}

// take reads what a control needs.
func take[In any](body []byte, do func(In) (any, error)) (any, error) {
	var in In
	if err := knob.DecodeStrictly(body, &in); err != nil {
		return nil, fmt.Errorf("the body: %w", err)
	}
	return do(in)
}

// Control answers what is the simulator's own: GET shows one of views, POST
// does one of controls, DELETE ends all faults.
func (m *Meta) Control(w http.ResponseWriter, r *http.Request, path string) {
	var answer any
	var err error
	do, view := controls[path], views[path]
	switch {
	case r.Method == http.MethodGet && view != nil:
		answer, err = view(m, r)
	case r.Method == http.MethodDelete && path == "faults":
		m.SetFaults(Faults{})
		answer = m.Faults()
	case r.Method == http.MethodPost && do != nil:
		var body []byte
		if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err == nil {
			answer, err = do(m, body)
		}
	default:
		reply(w, http.StatusNotFound, map[string]string{"error": "no such thing"})
		return
	}
	if err != nil {
		reply(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	reply(w, http.StatusOK, answer)
}

func reply(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // The caller may be gone; that is its own affair.
}
