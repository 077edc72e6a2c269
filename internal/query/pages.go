package query

import (
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// PageStatus is how a Facebook Page of a shop stands.
type PageStatus struct {
	Page        string          `json:"page"` // Its number at Facebook.
	Name        string          `json:"name"`
	State       store.PageState `json:"state"`
	Troubles    []Trouble       `json:"troubles"`  // What is amiss, and what to do.
	Waiting     int64           `json:"waiting"`   // Messages that nobody has answered.
	OldestAt    mirror.Time     `json:"oldest_at"` // When the oldest of them was written; null when none waits.
	LastAt      mirror.Time     `json:"last_at"`   // When something was last heard of it.
	Fields      []string        `json:"fields"`    // Subscribed at the Page.
	ConnectedAt mirror.Time     `json:"connected_at"`
	VerifiedAt  mirror.Time     `json:"verified_at"` // When Facebook last said that the token is good.
	ExpiresAt   mirror.Time     `json:"expires_at"`  // Null for a token without an end.
	AuditedAt   mirror.Time     `json:"audited_at"`  // When the subscription was last looked at.
}

// Trouble is what is amiss, in words for the operator.
type Trouble struct {
	What   string      `json:"what"`
	Remedy string      `json:"remedy"`
	Since  mirror.Time `json:"since"`
}

// pages tells how the Pages of a shop stand, by name.
func pages(tx *store.Tx, shop store.Shop) ([]PageStatus, error) {
	all := []PageStatus{}
	found, err := tx.FacebookPages(shop.ID)
	if err != nil || len(found) == 0 {
		return all, err
	}
	app, err := tx.FacebookApp()
	if err != nil {
		return all, err
	}
	for _, p := range found { // A handful.
		status := PageStatus{Page: p.PageID, Name: p.Name, State: p.State, Troubles: []Trouble{}, Fields: orEmpty(p.Fields), ConnectedAt: at(p.ConnectedAt),
			VerifiedAt: at(p.VerifiedAt), ExpiresAt: at(p.ExpiresAt), AuditedAt: at(p.AuditedAt)}
		for _, t := range []store.Trouble{p.Trouble, p.Hook, app.Trouble} {
			if t.What != "" {
				status.Troubles = append(status.Troubles, Trouble{t.What, strings.ReplaceAll(t.Remedy, "--shop SHOP", "--shop "+shop.Domain), at(t.Since)})
			}
		}
		if p.Policy != "" {
			status.Troubles = append(status.Troubles, Trouble{"Facebook warns the Page, or bars it (" + p.Policy + ").",
				"Look at the Page's Support Inbox at Facebook and do what it asks.", at(p.PolicyAt)})
		}
		var oldest mirror.Instant
		if status.Waiting, _, oldest, err = tx.CountFacebookMessages(p.ID); err != nil {
			return all, err
		}
		last, err := tx.LastFacebookMessage(p.ID)
		if err != nil {
			return all, err
		}
		status.OldestAt, status.LastAt = at(oldest), at(last)
		all = append(all, status)
	}
	return all, nil
}

func at(i mirror.Instant) mirror.Time { return mirror.TimeOf(i.Time()) }
