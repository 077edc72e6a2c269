package facebook

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/secret"
)

// Page is one that a person shared.
type Page struct {
	ID    string
	Name  string
	Tasks []string // What the person may do there.
	Token secret.Secret
}

// CanMessage tells whether the person's role lets the app read and answer
// messages. Meta's pages name the task MESSAGE; what comes is MESSAGING.
func (p Page) CanMessage() bool { return p.may("MESSAGING", "MESSAGE", "MODERATE", "MANAGE") }

// CanSubscribe tells whether it lets the app have the Page's webhooks (Meta's page
// "Page Subscribed Apps").
func (p Page) CanSubscribe() bool { return p.may("CREATE_CONTENT", "MANAGE", "MODERATE") }

func (p Page) may(tasks ...string) bool {
	return slices.ContainsFunc(p.Tasks, func(task string) bool { return slices.Contains(tasks, strings.ToUpper(task)) })
}

const (
	// pagesAtOnce is the most that Meta lists at a time.
	pagesAtOnce = 100
	// maxLists bounds the parts of a list: ten thousand Pages of one person.
	maxLists = 100
)

// Pages lists the Pages that the person behind the token shared, to the end. An
// empty list is a normal answer: no Page was ticked.
func (c *Client) Pages(ctx context.Context, user secret.Secret) ([]Page, error) {
	const name = "list the Pages"
	var all []Page
	after := ""
	for range maxLists {
		query := url.Values{"fields": {"id,name,tasks,access_token"}, "limit": {strconv.Itoa(pagesAtOnce)}}
		if after != "" {
			query.Set("after", after)
		}
		var said struct {
			Data []struct {
				ID          text     `json:"id"`
				Name        string   `json:"name"`
				Tasks       []string `json:"tasks"`
				AccessToken string   `json:"access_token"`
			} `json:"data"`
			Paging struct {
				Next    string `json:"next"`
				Cursors struct {
					After string `json:"after"`
				} `json:"cursors"`
			} `json:"paging"`
		}
		if err := c.do(ctx, call{name: name, path: "/me/accounts", query: query, token: user}, &said); err != nil {
			return nil, err
		}
		for _, p := range said.Data {
			all = append(all, Page{string(p.ID), p.Name, p.Tasks, secret.New(p.AccessToken)})
		}
		// The cursor is taken and not the address, which leads wherever it says.
		if said.Paging.Next == "" {
			return all, nil
		}
		if said.Paging.Cursors.After == "" || said.Paging.Cursors.After == after {
			return nil, endless(name, "the list goes on, and does not say from where")
		}
		after = said.Paging.Cursors.After
	}
	return nil, endless(name, "the list has no end")
}

func endless(name, what string) error {
	return &Error{Call: name, Status: http.StatusOK, Class: ClassRetry, Err: errors.New(what), what: "Meta's list of Pages cannot be read to its end.", do: waitAndSee}
}

// Granular is a permission and what it was given for.
type Granular struct {
	Scope   string   `json:"scope"`
	Targets []string `json:"target_ids,omitempty"` // Numbers of Pages; nil for all.
}

// TokenInfo is what Meta says of a token (Meta's page "Debug Token").
type TokenInfo struct {
	AppID     string
	Kind      string // USER, PAGE or SYSTEM_USER.
	Valid     bool
	Scopes    []string
	Granular  []Granular
	UserID    string // The person, by the number that is good for this app; empty for a system user's.
	PageID    string // Of a Page's token, where Meta names it.
	IssuedAt  time.Time
	ExpiresAt time.Time // Zero: never.
	// DataExpiresAt is when the person's data may not be read any more, unless
	// they use the app; zero where Meta names no end.
	DataExpiresAt time.Time
	// Invalid says why the token is not valid; nil where it is.
	Invalid *Error
}

// Allows reports whether a permission was given, for this Page.
func (i TokenInfo) Allows(scope, page string) bool {
	if !slices.Contains(i.Scopes, scope) {
		return false
	}
	for _, g := range i.Granular {
		if g.Scope == scope {
			return g.Targets == nil || slices.Contains(g.Targets, page)
		}
	}
	return true // Not given for named Pages, so for all.
}

// Lacks lists the permissions that a connection of this Page needs and that were
// not given for it. Without a page, those not given at all.
func (i TokenInfo) Lacks(page string) []string {
	var lacking []string
	for _, scope := range RequiredScopes() {
		if !slices.Contains(i.Scopes, scope) || page != "" && scope != ScopeList && !i.Allows(scope, page) {
			lacking = append(lacking, scope)
		}
	}
	return lacking
}

// Inspect asks what a token is good for. A token that is dead is a result, with
// Valid false, and no error.
func (c *Client) Inspect(ctx context.Context, token secret.Secret) (TokenInfo, error) {
	const name = "inspect a token"
	var said struct {
		Data *struct {
			AppID         text     `json:"app_id"`
			Type          string   `json:"type"`
			IsValid       bool     `json:"is_valid"`
			Scopes        []string `json:"scopes"`
			UserID        text     `json:"user_id"`
			ProfileID     text     `json:"profile_id"`
			IssuedAt      int64    `json:"issued_at"`
			ExpiresAt     int64    `json:"expires_at"`
			DataExpiresAt int64    `json:"data_access_expires_at"`
			Granular      []struct {
				Scope   string `json:"scope"`
				Targets []text `json:"target_ids"`
			} `json:"granular_scopes"`
			Error *struct {
				Code    int    `json:"code"`
				Subcode int    `json:"subcode"`
				Message string `json:"message"`
			} `json:"error"`
		} `json:"data"`
	}
	err := c.do(ctx, call{name: name, path: "/debug_token", query: url.Values{"input_token": {token.Reveal()}}, app: true, phase: phaseApp}, &said)
	if err != nil {
		return TokenInfo{}, err
	}
	if said.Data == nil {
		e := &Error{Call: name, Status: http.StatusOK, Err: errors.New("the answer holds no data")}
		e.classify(phaseApp, false)
		return TokenInfo{}, e
	}
	d := said.Data
	info := TokenInfo{AppID: string(d.AppID), Kind: strings.ToUpper(d.Type), Valid: d.IsValid, Scopes: d.Scopes, UserID: string(d.UserID),
		PageID: string(d.ProfileID), IssuedAt: moment(d.IssuedAt), ExpiresAt: moment(d.ExpiresAt), DataExpiresAt: moment(d.DataExpiresAt)}
	for _, g := range d.Granular {
		one := Granular{Scope: g.Scope}
		for _, id := range g.Targets {
			one.Targets = append(one.Targets, string(id))
		}
		if g.Targets != nil && one.Targets == nil {
			one.Targets = []string{} // For none.
		}
		info.Granular = append(info.Granular, one)
	}
	if !d.IsValid {
		info.Invalid = &Error{Call: name, Status: http.StatusOK, Code: 190}
		if d.Error != nil {
			info.Invalid.Code, info.Invalid.Subcode, info.Invalid.Message = d.Error.Code, d.Error.Subcode, cut(d.Error.Message)
		}
		info.Invalid.classify(phaseGraph, false)
	}
	return info, nil
}

// moment reads Unix seconds; zero stays zero.
func moment(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// Revoke takes all permissions back that a person gave the app.
func (c *Client) Revoke(ctx context.Context, user string) error {
	return c.confirm(ctx, call{name: "take the permissions back", method: http.MethodDelete, path: escaped(user) + "/permissions", app: true, phase: phaseApp})
}

// CheckApp asks whether Meta knows the app by its id and secret, and for its name.
func (c *Client) CheckApp(ctx context.Context) (name string, err error) {
	var said struct {
		Name string `json:"name"`
	}
	err = c.do(ctx, call{name: "look the app up", path: escaped(c.AppID), query: url.Values{"fields": {"id,name"}}, app: true, phase: phaseApp}, &said)
	return said.Name, err
}
