package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stockroom/internal/mirror"
)

// TopicPage is the topic of what Facebook tells of a Page. In the inbox its
// EventID is the number of the Page's row; Shopify's topics have no such name.
const TopicPage = "facebook/page"

// notPages leaves Facebook's webhooks out where a shop's own are meant.
const notPages = `topic <> '` + TopicPage + `'`

// PageState is where a Page's connection stands.
type PageState string

const (
	PageConnected PageState = "connected"
	PageReconnect PageState = "reconnect" // Its token is dead: somebody who manages it must log in again.
	PageErasing   PageState = "erasing"   // It has neither token nor number any more; its rows are on their way out.
)

// FacebookPage is a Page that is tied to a shop.
type FacebookPage struct {
	ID        int64
	ShopID    int64
	PageID    string // At Facebook.
	Name      string
	State     PageState
	UserID    string // Of who connected it; empty for a system user.
	Token     []byte // Sealed; nil once it is dead.
	TokenKind string // Of the login that it was got by: USER or SYSTEM_USER.

	Scopes   []string
	Granular json.RawMessage // As package facebook writes it; nil for none.
	Tasks    []string

	GraphVersion  string
	ConnectedAt   mirror.Instant
	IssuedAt      mirror.Instant
	ExpiresAt     mirror.Instant // Zero: never.
	DataExpiresAt mirror.Instant // Zero: Meta names no end.
	VerifiedAt    mirror.Instant
	CheckedAt     mirror.Instant

	Fields    []string // Subscribed at the Page.
	Refused   []string // Those that Meta does not take.
	AuditedAt mirror.Instant
	MendedAt  mirror.Instant

	Trouble Trouble // With the token.
	Hook    Trouble // With the subscription.

	Policy   string // What Meta last warned the Page of; empty once it took it back.
	PolicyAt mirror.Instant
}

// Trouble is what is amiss, in words for the operator. The zero Trouble is none.
type Trouble struct {
	What   string
	Remedy string
	Since  mirror.Instant
}

const pageColumns = `id, shop_id, page_id, name, state, user_id, token, token_kind, scopes, granular, tasks, graph_version, connected_at, issued_at, expires_at,
	data_expires_at, verified_at, checked_at, fields, refused, audited_at, mended_at, trouble, remedy, trouble_at,
	hook_trouble, hook_remedy, hook_trouble_at, policy, policy_at`

func scanPage(scan func(...any) error) (FacebookPage, error) {
	var p FacebookPage
	var scopes, granular, tasks []byte
	var fields, refused string
	err := scan(&p.ID, &p.ShopID, &p.PageID, &p.Name, &p.State, &p.UserID, &p.Token, &p.TokenKind, &scopes, &granular, &tasks, &p.GraphVersion,
		&p.ConnectedAt, &p.IssuedAt, &p.ExpiresAt, &p.DataExpiresAt, &p.VerifiedAt, &p.CheckedAt, &fields, &refused, &p.AuditedAt, &p.MendedAt,
		&p.Trouble.What, &p.Trouble.Remedy, &p.Trouble.Since, &p.Hook.What, &p.Hook.Remedy, &p.Hook.Since, &p.Policy, &p.PolicyAt)
	if err != nil {
		return p, err
	}
	p.Granular, p.Fields, p.Refused = granular, strings.Fields(fields), strings.Fields(refused)
	return p, errors.Join(json.Unmarshal(scopes, &p.Scopes), json.Unmarshal(tasks, &p.Tasks))
}

// SaveFacebookPage inserts a Page, or replaces the row of its number at Facebook,
// and returns it with its own.
func (t *Tx) SaveFacebookPage(p FacebookPage) (FacebookPage, error) {
	scopes, err := json.Marshal(append([]string{}, p.Scopes...))
	if err != nil {
		return p, err
	}
	tasks, err := json.Marshal(append([]string{}, p.Tasks...))
	if err != nil {
		return p, err
	}
	if p.Granular == nil {
		p.Granular = json.RawMessage("null")
	}
	names := strings.Split(strings.Join(strings.Fields(pageColumns), " "), ", ")[1:]
	updates := make([]string, 0, len(names))
	for _, name := range names {
		if name != "page_id" {
			updates = append(updates, name+" = excluded."+name)
		}
	}
	err = t.one(`INSERT INTO facebook_pages (`+strings.Join(names, ", ")+`) VALUES `+placeholders(1, 1, len(names))+`
		ON CONFLICT (page_id) DO UPDATE SET `+strings.Join(updates, ", ")+` RETURNING id`,
		[]any{p.ShopID, p.PageID, p.Name, p.State, p.UserID, p.Token, p.TokenKind, string(scopes), string(p.Granular), string(tasks), p.GraphVersion,
			p.ConnectedAt, p.IssuedAt, p.ExpiresAt, p.DataExpiresAt, p.VerifiedAt, p.CheckedAt, strings.Join(p.Fields, " "), strings.Join(p.Refused, " "),
			p.AuditedAt, p.MendedAt, p.Trouble.What, p.Trouble.Remedy, p.Trouble.Since, p.Hook.What, p.Hook.Remedy, p.Hook.Since, p.Policy, p.PolicyAt}, &p.ID)
	if err != nil {
		return p, fmt.Errorf("save Page %s: %w", p.PageID, err)
	}
	return p, nil
}

func (t *Tx) page(where string, arg any) (FacebookPage, error) {
	p, err := scanPage(func(into ...any) error {
		return t.one(`SELECT `+pageColumns+` FROM facebook_pages WHERE `+where, []any{arg}, into...)
	})
	if err != nil {
		return FacebookPage{}, fmt.Errorf("find Page: %w", err)
	}
	return p, nil
}

// FacebookPage finds a Page by its row's number, also one that is being erased.
func (t *Tx) FacebookPage(id int64) (FacebookPage, error) { return t.page(`id = $1`, id) }

// FacebookPageNumbered finds a Page by its number at Facebook; ErrNotFound when it
// is not connected.
func (t *Tx) FacebookPageNumbered(pageID string) (FacebookPage, error) {
	return t.page(`state <> 'erasing' AND page_id = $1`, pageID)
}

// FacebookPages lists the Pages of a shop, or of all shops for zero, by name. Those
// that are being erased are left out.
func (t *Tx) FacebookPages(shop int64) ([]FacebookPage, error) {
	return list(t, `SELECT `+pageColumns+` FROM facebook_pages WHERE state <> 'erasing' AND ($1 = 0 OR shop_id = $1) ORDER BY name, id`, []any{shop}, scanPage)
}

// FacebookPagesOf lists the Pages that a person connected.
func (t *Tx) FacebookPagesOf(user string) ([]FacebookPage, error) {
	if user == "" {
		return nil, nil
	}
	return list(t, `SELECT `+pageColumns+` FROM facebook_pages WHERE state <> 'erasing' AND user_id = $1 ORDER BY id`, []any{user}, scanPage)
}

// LeaveFacebookPages takes Pages out of sight: nothing is received for them and none
// of their secrets is left. Their rows are left to EraseFacebookPages.
func (t *Tx) LeaveFacebookPages(ids []int64) error {
	for _, id := range ids { // Those of one shop or person.
		_, err := t.exec(`UPDATE facebook_pages SET page_id = 'erasing-' || id, state = 'erasing', name = '', user_id = '', token = NULL,
			scopes = '[]', granular = 'null', tasks = '[]', trouble = '', remedy = '', hook_trouble = '', hook_remedy = '', policy = '' WHERE id = $1`, id)
		if err != nil {
			return fmt.Errorf("end the connection of Page %d: %w", id, err)
		}
	}
	return nil
}

// LeaveFacebookPagesOf does so with all Pages of a shop, and says which those were.
func (t *Tx) LeaveFacebookPagesOf(shop int64) ([]int64, error) {
	pages, err := t.FacebookPages(shop)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(pages))
	for i, p := range pages {
		ids[i] = p.ID
	}
	return ids, t.LeaveFacebookPages(ids)
}

// EraseFacebookPages deletes up to limit rows of Pages that have left and says of
// which tables. With nothing left to delete, the map is empty.
func (t *Tx) EraseFacebookPages(ids []int64, limit int) (map[string]int64, error) {
	erased := map[string]int64{}
	for _, id := range ids {
		for _, step := range []struct {
			table, where string
			args         []any
		}{
			{"facebook_messages", `page = $1`, []any{id}},
			{"inbox", `shop_id = (SELECT shop_id FROM facebook_pages WHERE id = $1) AND topic = $2 AND event_id = $3`, []any{id, TopicPage, strconv.FormatInt(id, 10)}},
			{"facebook_pages", `id = $1 AND state = 'erasing'`, []any{id}},
		} {
			key := len(step.args) + 1
			n, err := t.exec(`DELETE FROM `+step.table+` WHERE rowid IN (SELECT rowid FROM `+step.table+` WHERE `+step.where+fmt.Sprintf(` LIMIT $%d)`, key),
				append(slices.Clone(step.args), limit)...)
			if err != nil {
				return erased, fmt.Errorf("erase %s of Page %d: %w", step.table, id, err)
			}
			if n > 0 {
				erased[step.table] += n
			}
			if limit -= int(n); limit <= 0 {
				return erased, nil // The Page's own row goes when nothing refers to it any more.
			}
		}
	}
	return erased, nil
}

// FacebookMessage is one event of a Page that is kept.
type FacebookMessage struct {
	ID         int64
	ShopID     int64
	Page       int64 // The Page's row.
	Key        string
	Kind       string
	MID        string
	Person     string
	Standby    bool
	State      string // One of those below.
	At         mirror.Instant
	ReceivedAt mirror.Instant
	Body       []byte // Sealed by the shop's key.
}

// States of a message.
const (
	MessageWaiting = "waiting" // Somebody should answer it.
	MessageKept    = "kept"
)

const messageColumns = `id, shop_id, page, key, kind, mid, person, standby, state, at, received_at, body`

func scanMessage(scan func(...any) error) (FacebookMessage, error) {
	var m FacebookMessage
	err := scan(&m.ID, &m.ShopID, &m.Page, &m.Key, &m.Kind, &m.MID, &m.Person, &m.Standby, &m.State, &m.At, &m.ReceivedAt, &m.Body)
	return m, err
}

// AddFacebookMessages keeps messages; those that are kept already are passed over.
// It says how many were new.
func (t *Tx) AddFacebookMessages(all []FacebookMessage) (int64, error) {
	const columns = 11
	var added int64
	err := chunks(all, columns, func(part []FacebookMessage) error {
		args := make([]any, 0, len(part)*columns)
		for _, m := range part {
			args = append(args, m.ShopID, m.Page, m.Key, m.Kind, m.MID, m.Person, m.Standby, m.State, m.At, m.ReceivedAt, m.Body)
		}
		n, err := t.exec(`INSERT INTO facebook_messages (shop_id, page, key, kind, mid, person, standby, state, at, received_at, body) VALUES `+
			placeholders(1, len(part), columns)+` ON CONFLICT (page, key) DO NOTHING`, args...)
		added += n
		return err
	})
	if err != nil {
		return added, fmt.Errorf("keep %d messages: %w", len(all), err)
	}
	return added, nil
}

// EmptyFacebookMessage takes out what a message says that its writer deleted: it
// waits for no answer then.
func (t *Tx) EmptyFacebookMessage(page int64, mid string) error {
	_, err := t.exec(`UPDATE facebook_messages SET body = $3, state = 'kept' WHERE page = $1 AND mid = $2 AND kind <> 'deleted'`, page, mid, []byte{})
	if err != nil {
		return fmt.Errorf("empty a deleted message: %w", err)
	}
	return nil
}

// FacebookMessageWasDeleted tells whether its writer deleted a message, also where
// that was heard before the message itself.
func (t *Tx) FacebookMessageWasDeleted(page int64, mid string) (bool, error) {
	var n int64
	err := t.one(`SELECT COUNT(*) FROM facebook_messages WHERE page = $1 AND mid = $2 AND kind = 'deleted'`, []any{page, mid}, &n)
	return n > 0, err
}

// FacebookMessages lists messages of a Page in one state, in the order in which
// they were written.
func (t *Tx) FacebookMessages(page int64, state string, limit int) ([]FacebookMessage, error) {
	return list(t, `SELECT `+messageColumns+` FROM facebook_messages WHERE page = $1 AND state = $2 ORDER BY at, id LIMIT $3`, []any{page, state, limit}, scanMessage)
}

// CountFacebookMessages counts a Page's messages by state, and says when the
// oldest was written that waits; zero when none does.
func (t *Tx) CountFacebookMessages(page int64) (waiting, kept int64, oldest mirror.Instant, err error) {
	err = t.one(`SELECT COUNT(*) FILTER (WHERE state = 'waiting'), COUNT(*) FILTER (WHERE state = 'kept'),
		COALESCE(MIN(at) FILTER (WHERE state = 'waiting'), 0) FROM facebook_messages WHERE page = $1`, []any{page}, &waiting, &kept, &oldest)
	return waiting, kept, oldest, err
}

// LastFacebookMessage is when something was last received of a Page; zero for never.
func (t *Tx) LastFacebookMessage(page int64) (mirror.Instant, error) {
	var at mirror.Instant
	err := t.one(`SELECT COALESCE(MAX(received_at), 0) FROM facebook_messages WHERE page = $1`, []any{page}, &at)
	return at, err
}

// DropFacebook deletes up to limit messages received before a moment, and the
// logins that are over; it says how many.
func (t *Tx) DropFacebook(before, now mirror.Instant, limit int) (int64, error) {
	messages, err := t.exec(`DELETE FROM facebook_messages WHERE id IN (SELECT id FROM facebook_messages WHERE received_at < $1 LIMIT $2)`, before, limit)
	if err != nil {
		return messages, fmt.Errorf("drop old messages: %w", err)
	}
	return messages, t.DropFacebookLogins(now)
}

// DropFacebookLogins deletes the logins that are over.
func (t *Tx) DropFacebookLogins(now mirror.Instant) error {
	if _, err := t.exec(`DELETE FROM facebook_logins WHERE expires_at <= $1`, now); err != nil {
		return fmt.Errorf("drop logins that are over: %w", err)
	}
	return nil
}

// FacebookLogin is a login between Facebook's answer and the choice of a Page.
type FacebookLogin struct {
	ID        int64
	ShopID    int64
	Hash      []byte
	Sealed    []byte // Empty once a Page was chosen.
	Page      int64  // The row of the one that was chosen; zero before.
	ExpiresAt mirror.Instant
}

// AddFacebookLogin keeps a login.
func (t *Tx) AddFacebookLogin(l FacebookLogin) error {
	_, err := t.exec(`INSERT INTO facebook_logins (shop_id, hash, sealed, expires_at) VALUES ($1, $2, $3, $4)`, l.ShopID, l.Hash, l.Sealed, l.ExpiresAt)
	if err != nil {
		return fmt.Errorf("keep a login: %w", err)
	}
	return nil
}

// FacebookLoginBy finds a login by its hash; ErrNotFound when there is none or its
// time is over.
func (t *Tx) FacebookLoginBy(hash []byte, now mirror.Instant) (FacebookLogin, error) {
	var l FacebookLogin
	err := t.one(`SELECT id, shop_id, hash, sealed, page, expires_at FROM facebook_logins WHERE hash = $1 AND expires_at > $2`, []any{hash, now},
		&l.ID, &l.ShopID, &l.Hash, &l.Sealed, &l.Page, &l.ExpiresAt)
	return l, err
}

// ChooseFacebookPage ends a login with the Page that was chosen, and erases the
// tokens that it held. It reports false when one was chosen before.
func (t *Tx) ChooseFacebookPage(login, page int64) (bool, error) {
	n, err := t.exec(`UPDATE facebook_logins SET page = $2, sealed = $3 WHERE id = $1 AND page = 0`, login, page, []byte{})
	return n > 0, err
}

// UseSession ends a session that works once, and reports false when there is none
// with this scope, or its time is over.
func (t *Tx) UseSession(hash []byte, scope string, now mirror.Instant) (bool, error) {
	n, err := t.exec(`DELETE FROM sessions WHERE hash = $1 AND scope = $2 AND expires_at > $3`, hash, scope, now)
	return n > 0, err
}

// FacebookApp is the app's own subscription, as the last audit left it.
type FacebookApp struct {
	Callback  string
	Fields    []string
	AuditedAt mirror.Instant
	Trouble   Trouble
}

// SetFacebookApp replaces it.
func (t *Tx) SetFacebookApp(a FacebookApp) error {
	_, err := t.exec(`INSERT INTO facebook_app (only_row, callback, fields, audited_at, trouble, remedy, trouble_at) VALUES (1, $1, $2, $3, $4, $5, $6)
		ON CONFLICT (only_row) DO UPDATE SET callback = excluded.callback, fields = excluded.fields, audited_at = excluded.audited_at,
			trouble = excluded.trouble, remedy = excluded.remedy, trouble_at = excluded.trouble_at`,
		a.Callback, strings.Join(a.Fields, " "), a.AuditedAt, a.Trouble.What, a.Trouble.Remedy, a.Trouble.Since)
	if err != nil {
		return fmt.Errorf("keep the app's subscription: %w", err)
	}
	return nil
}

// FacebookApp reads it; all of it is empty before the first audit.
func (t *Tx) FacebookApp() (FacebookApp, error) {
	var a FacebookApp
	var fields string
	err := t.one(`SELECT callback, fields, audited_at, trouble, remedy, trouble_at FROM facebook_app`, nil,
		&a.Callback, &fields, &a.AuditedAt, &a.Trouble.What, &a.Trouble.Remedy, &a.Trouble.Since)
	if errors.Is(err, ErrNotFound) {
		return FacebookApp{}, nil
	}
	a.Fields = strings.Fields(fields)
	return a, err
}
