package meta

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Tasks that people have on Pages. Measured on real Pages; the documentation
// says MESSAGE, which was never seen.
const (
	TaskManage        = "MANAGE"
	TaskCreateContent = "CREATE_CONTENT"
	TaskModerate      = "MODERATE"
	TaskMessaging     = "MESSAGING"
	TaskAdvertise     = "ADVERTISE"
	TaskAnalyze       = "ANALYZE"
)

// AllTasks are those of somebody with full control.
func AllTasks() []string {
	return []string{TaskAdvertise, TaskAnalyze, TaskCreateContent, TaskMessaging, TaskModerate, TaskManage, "MANAGE_LEADS", "VIEW_MONETIZATION_INSIGHTS"}
}

// Person is somebody with an account at Facebook who may log in to apps.
type Person struct {
	ID   string
	Name string

	// Sessions counts the passwords she had: tokens of an earlier one are dead.
	Sessions    int
	Checkpoint  bool // Facebook wants her to log in and confirm something.
	Unconfirmed bool // Her account is not confirmed.
	Scoped      map[string]string
	Grants      map[string]*grant // By app; none where she has not the app.
}

// grant is what a person lets an app do.
type grant struct {
	Scopes  map[string]bool     // False where she declined.
	Targets map[string][]string // The Pages a permission is for; one without an entry is for all.
	GrantedAt,
	UsedAt time.Time // By herself: data access ends some time after.
}

// may tells whether a permission was given, for a Page if one is named.
func (g *grant) may(scope, page string) bool {
	if g == nil || !g.Scopes[scope] {
		return false
	}
	targets, some := g.Targets[scope]
	return page == "" || !some || slices.Contains(targets, page)
}

func (g *grant) granted() []string {
	var out []string
	for scope, yes := range g.Scopes {
		if yes {
			out = append(out, scope)
		}
	}
	slices.Sort(out)
	return out
}

// Page is a Facebook Page.
type Page struct {
	ID        string
	Name      string
	Category  string
	Business  bool
	Instagram *Instagram
	Roles     map[string][]string // Tasks by person.
	// Fields are what it is subscribed to, by app: the Page's level of two.
	Fields map[string][]string
	// Barred keeps it from sending.
	Barred bool

	threads map[string]*Thread // By the shopper's id for this Page.
	profile map[string]any
	budget  budget
}

// Instagram is the professional account that is linked to a Page.
type Instagram struct {
	ID       string
	Username string
	// Closed is the switch "Allow access to messages" turned off.
	Closed bool
}

// Shopper is somebody who writes to Pages.
type Shopper struct {
	ID     string
	Name   string
	Scoped map[string]string // Her id by Page, and by Instagram account.
	Asked  bool              // She lets her name be read.
	Role   bool              // She has a role on every app, as testers have.
}

// AddPerson makes somebody with an account.
func (m *Meta) AddPerson(name string) (Person, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.addPerson(name)
	if err != nil {
		return Person{}, err
	}
	return *p, nil
}

func (m *Meta) addPerson(name string) (*Person, error) {
	if len(m.people) >= maxPeople {
		return nil, fmt.Errorf("add person %s: there are %d already", name, maxPeople)
	}
	p := &Person{ID: m.newID(personBase), Name: name, Scoped: make(map[string]string), Grants: make(map[string]*grant)}
	m.people[p.ID] = p
	return p, nil
}

// AddPage makes a Page.
func (m *Meta) AddPage(spec PageSpec) (Page, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.pages) >= maxPeople {
		return Page{}, fmt.Errorf("add Page %s: there are %d already", spec.Name, maxPeople)
	}
	for _, task := range spec.Tasks {
		if !slices.Contains(AllTasks(), task) {
			return Page{}, fmt.Errorf("add Page %s: no task %q; there are %s", spec.Name, task, strings.Join(AllTasks(), ", "))
		}
	}
	page := &Page{ID: m.newID(pageBase), Name: spec.Name, Category: "Shopping & retail", Business: spec.Business, Roles: make(map[string][]string),
		Fields: make(map[string][]string), threads: make(map[string]*Thread), profile: make(map[string]any)}
	if spec.Instagram != "" {
		page.Instagram = &Instagram{ID: m.newID(igBase), Username: spec.Instagram}
	}
	if spec.Owner != "" {
		owner := m.personNamed(spec.Owner)
		if owner == nil {
			var err error
			if owner, err = m.addPerson(spec.Owner); err != nil {
				return Page{}, err
			}
		}
		page.Roles[owner.ID] = slices.Clone(spec.Tasks)
		if spec.Tasks == nil {
			page.Roles[owner.ID] = AllTasks()
		}
	}
	m.pages[page.ID] = page
	return *page, nil
}

// personNamed finds a person by id or name; mu is held.
func (m *Meta) personNamed(name string) *Person {
	if p := m.people[name]; p != nil {
		return p
	}
	for _, p := range inOrder(m.people) {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// pageNamed finds a Page by id or name, or by its Instagram account's; mu is held.
func (m *Meta) pageNamed(name string) *Page {
	if p := m.pages[name]; p != nil {
		return p
	}
	for _, p := range inOrder(m.pages) {
		if p.Name == name || p.Instagram != nil && p.Instagram.ID == name {
			return p
		}
	}
	return nil
}

// inOrder are things in the order they were made.
func inOrder[T any](things map[string]T) []T {
	var out []T
	for _, id := range slices.SortedFunc(maps.Keys(things), compareIDs) {
		out = append(out, things[id])
	}
	return out
}

// compareIDs compares numbers without reading them.
func compareIDs(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// person is personNamed with an error where there is none.
func (m *Meta) person(name string) (*Person, error) {
	if p := m.personNamed(name); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no person %q", name)
}

func (m *Meta) page(name string) (*Page, error) {
	if p := m.pageNamed(name); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no Page %q", name)
}

// People are all people, in the order they were made.
func (m *Meta) People() []Person {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Person
	for _, p := range inOrder(m.people) {
		out = append(out, *p)
	}
	return out
}

// Pages are all Pages, in the order they were made.
func (m *Meta) Pages() []Page {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Page
	for _, p := range inOrder(m.pages) {
		shown := *p
		shown.Roles, shown.Fields = maps.Clone(p.Roles), maps.Clone(p.Fields)
		out = append(out, shown)
	}
	return out
}

// SetTasks changes what a person may do on a Page; none takes her role away.
func (m *Meta) SetTasks(person, page string, tasks ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.person(person)
	if err != nil {
		return fmt.Errorf("set tasks: %w", err)
	}
	where, err := m.page(page)
	if err != nil {
		return fmt.Errorf("set tasks: %w", err)
	}
	for _, task := range tasks {
		if !slices.Contains(AllTasks(), task) {
			return fmt.Errorf("set tasks: no task %q; there are %s", task, strings.Join(AllTasks(), ", "))
		}
	}
	if len(tasks) == 0 {
		delete(where.Roles, p.ID)
	} else {
		where.Roles[p.ID] = slices.Clone(tasks)
	}
	return nil
}

// ChangePassword ends all sessions of a person, and with them her tokens and
// those of her Pages: 190/460.
func (m *Meta) ChangePassword(person string) error {
	return m.change(person, "change the password", func(p *Person) { p.Sessions++ })
}

// SetCheckpoint makes Facebook want something of a person before her tokens work: 190/459.
func (m *Meta) SetCheckpoint(person string, on bool) error {
	return m.change(person, "set the checkpoint", func(p *Person) { p.Checkpoint = on })
}

// SetUnconfirmed makes a person's account unconfirmed: 190/464.
func (m *Meta) SetUnconfirmed(person string, on bool) error {
	return m.change(person, "set unconfirmed", func(p *Person) { p.Unconfirmed = on })
}

func (m *Meta) change(person, what string, do func(*Person)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.person(person)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	do(p)
	return nil
}

// Revoke takes permissions back that a person gave an app, as the settings of
// Facebook let her; the app's tokens live on.
func (m *Meta) Revoke(person, app string, scopes ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.person(person)
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	g := p.Grants[app]
	if g == nil {
		return fmt.Errorf("revoke: %s has not the app %s", p.Name, app)
	}
	for _, scope := range scopes {
		if _, asked := g.Scopes[scope]; asked {
			g.Scopes[scope] = false
		}
	}
	return nil
}

// SetTargets makes a permission be for the named Pages alone.
func (m *Meta) SetTargets(person, app, scope string, pages ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.person(person)
	if err != nil {
		return fmt.Errorf("set targets: %w", err)
	}
	if p.Grants[app] == nil {
		return fmt.Errorf("set targets: %s has not the app %s", p.Name, app)
	}
	ids := []string{}
	for _, name := range pages {
		page, err := m.page(name)
		if err != nil {
			return fmt.Errorf("set targets: %w", err)
		}
		ids = append(ids, page.ID)
	}
	p.Grants[app].Targets[scope] = ids
	return nil
}

// SetBarred keeps a Page from sending, as Meta does for a time: 10/1893063.
func (m *Meta) SetBarred(page string, on bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.page(page)
	if err != nil {
		return fmt.Errorf("bar: %w", err)
	}
	p.Barred = on
	return nil
}

// SetInstagramClosed is the switch "Allow access to messages" of a Page's
// Instagram account: while it is off nothing arrives and nothing can be sent.
func (m *Meta) SetInstagramClosed(page string, closed bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.page(page)
	if err != nil {
		return fmt.Errorf("close Instagram: %w", err)
	}
	if p.Instagram == nil {
		return fmt.Errorf("close Instagram: %s has no account there", p.Name)
	}
	p.Instagram.Closed = closed
	return nil
}

// scopedID is a person's id for an app; mu is held.
func (m *Meta) scopedID(p *Person, app string) string {
	if p.Scoped[app] == "" {
		p.Scoped[app] = m.newID(scopedBase)
	}
	return p.Scoped[app]
}

// ScopedID is the id by which an app knows a person.
func (m *Meta) ScopedID(person, app string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.person(person)
	if err != nil {
		return "", err
	}
	return m.scopedID(p, app), nil
}

// personOf finds a person by the id that an app has; mu is held.
func (m *Meta) personOf(app, scoped string) *Person {
	for _, p := range m.people {
		if scoped != "" && p.Scoped[app] == scoped {
			return p
		}
	}
	return nil
}
