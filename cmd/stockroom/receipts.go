package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// shopsReceipts lists what was asked to be erased, or told of.
type shopsReceipts struct {
	Limit int  `default:"50" help:"How many to show, the newest first."`
	JSON  bool `help:"Print JSON."`
}

// shownReceipt is an erasure's receipt for programs.
type shownReceipt struct {
	ID        int64            `json:"id"`
	Shop      string           `json:"shop"`
	Topic     string           `json:"topic"`
	WebhookID string           `json:"webhook_id,omitempty"`
	State     string           `json:"state"`
	AskedAt   mirror.Time      `json:"asked_at"`
	DoneAt    mirror.Time      `json:"done_at"`
	Subjects  store.Subjects   `json:"subjects"`
	Rows      map[string]int64 `json:"rows"`
	Remaining int64            `json:"remaining"` // What the second look found.
	Note      string           `json:"note"`
}

func (c *shopsReceipts) Run(e *env) error {
	_, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	var receipts []store.ErasureReceipt
	err = db.View(e.ctx, func(tx *store.Tx) (err error) {
		receipts, err = tx.Erasures(c.Limit)
		return err
	})
	if err != nil {
		return err
	}
	all := make([]shownReceipt, 0, len(receipts))
	for _, r := range receipts {
		all = append(all, shownReceipt{r.ID, r.Shop, r.Topic, r.WebhookID, r.State, instant(r.AskedAt), instant(r.DoneAt), r.Subjects, r.Rows, r.Remaining, r.Note})
	}
	if c.JSON {
		return printJSON(e.stdout, all)
	}
	for _, r := range all {
		fmt.Fprintf(e.stdout, "%d  %s  %s: %s, asked for %s, done %s\n", r.ID, r.Shop, r.Topic, r.State, when(r.AskedAt), when(r.DoneAt))
		if r.Note != "" {
			fmt.Fprintln(e.stdout, "   ", r.Note)
		}
		if r.Subjects.Customer != "" {
			fmt.Fprintf(e.stdout, "    request %s of %s\n", r.Subjects.Request, r.Subjects.Customer)
		}
		if len(r.Subjects.Orders) > 0 {
			ids := make([]string, len(r.Subjects.Orders))
			for i, id := range r.Subjects.Orders {
				ids[i] = id.Number()
			}
			fmt.Fprintln(e.stdout, "    orders", strings.Join(ids, ", "))
		}
		var rows []string
		for _, table := range slices.Sorted(maps.Keys(r.Rows)) {
			rows = append(rows, fmt.Sprintf("%d %s", r.Rows[table], table))
		}
		if len(rows) > 0 {
			fmt.Fprintln(e.stdout, "    rows:", strings.Join(rows, ", "))
		}
	}
	return nil
}
