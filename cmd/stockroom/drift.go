package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
)

type driftCommand struct {
	Shop   string `help:"The shop's full myshopify domain. Default: all shops that were polled."`
	Number int64  `name:"run" help:"The run's number. Default: the newest poll that came to its end. Needs --shop."`
	JSON   bool   `help:"Print JSON: one object a shop."`
}

// driftOf is a shop's drift as JSON shows it.
type driftOf struct {
	query.DriftReport
	Rows []query.DriftRow `json:"rows"`
}

func (c *driftCommand) Run(e *env) error {
	if c.Number != 0 && c.Shop == "" {
		return usagef("--run needs --shop: it is a run of one shop")
	}
	reader, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	var domains []string
	if c.Shop != "" {
		domains = append(domains, c.Shop)
	} else {
		all, err := reader.Status(e.ctx, nil, false)
		if err != nil {
			return err
		}
		for _, shop := range all {
			domains = append(domains, shop.Shop)
		}
	}
	all := []driftOf{}
	for _, domain := range domains {
		shop, err := reader.Shop(e.ctx, domain)
		if err != nil {
			return err
		}
		report, err := reader.DriftReport(e.ctx, shop, c.Number)
		if err != nil {
			if c.Shop == "" && errors.As(err, new(*query.Error)) {
				continue // Not polled yet.
			}
			return err
		}
		drift := driftOf{report, []query.DriftRow{}}
		if !c.JSON {
			c.head(e, report)
		}
		err = reader.Drift(e.ctx, shop, report.Run.ID, func(row query.DriftRow) error {
			if c.JSON {
				drift.Rows = append(drift.Rows, row)
				return nil
			}
			return c.row(e, row)
		})
		if err != nil {
			return err
		}
		if !c.JSON {
			c.topics(e, report)
		}
		all = append(all, drift)
	}
	if c.JSON {
		return printJSON(e.stdout, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(e.stdout, "No poll has ended yet: `stockroom poll` runs one now.")
	}
	return nil
}

func (c *driftCommand) head(e *env, report query.DriftReport) {
	fmt.Fprintf(e.stdout, "%s: run %d, a %s that began %s and ended %s\n", report.Shop, report.Run.ID, report.Run.Kind, when(report.Run.StartedAt), report.Run.State)
	if len(report.Causes) == 0 {
		fmt.Fprintln(e.stdout, "  nothing had drifted")
	}
	for _, cause := range append(mirror.Causes, "") {
		if n := report.Causes[cause]; n > 0 {
			fmt.Fprintf(e.stdout, "  %6d  %s\n", n, causeText(cause))
		}
	}
}

func causeText(cause mirror.Cause) string {
	switch cause {
	case mirror.CauseOurs:
		return "ours: A BUG IN STOCKROOM, please report it"
	case "":
		return "not judged: the run was never brought to its end, or is from before causes were judged"
	default:
		return string(cause)
	}
}

// maxShownValue cuts a value that is shown on a line: a description may be long.
const maxShownValue = 60

func (c *driftCommand) row(e *env, row query.DriftRow) error {
	changed := "changed at a time that is not known"
	if !row.ChangedAt.IsZero() {
		changed = "changed " + when(row.ChangedAt)
	}
	fmt.Fprintf(e.stdout, "\n%s %s: %s, %s\n  %s", row.Record, row.ID, row.Class, changed, causeText(row.Cause))
	if row.Note != "" {
		fmt.Fprintf(e.stdout, " (%s)", row.Note)
	}
	fmt.Fprintln(e.stdout)
	for _, field := range row.Fields {
		if bytes.Equal(field.Old, field.New) {
			continue // Of a record that is missing or was deleted, all are listed.
		}
		if _, err := fmt.Fprintf(e.stdout, "    %s: %s -> %s\n", field.Field, shownValue(field.Old), shownValue(field.New)); err != nil {
			return err
		}
	}
	return nil
}

func shownValue(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "nothing"
	}
	if text := []rune(string(raw)); len(text) > maxShownValue {
		return string(text[:maxShownValue]) + "..."
	}
	return string(raw)
}

// topics shows, by topic, the least share that never came, run after run.
func (c *driftCommand) topics(e *env, report query.DriftReport) {
	shares := map[string][]string{}
	var order []string
	for _, t := range report.Topics {
		if t.Missed == 0 && shares[t.Topic] == nil {
			continue
		}
		if shares[t.Topic] == nil {
			order = append(order, t.Topic)
		}
		shares[t.Topic] = append(shares[t.Topic], fmt.Sprintf("run %d: %d of %d (%.0f %%)", t.Run, t.Missed, t.Missed+t.Received, t.Share*100))
	}
	if len(order) > 0 {
		fmt.Fprintln(e.stdout, "\nWebhooks that never came, at least (a later one may have mended what a lost one told of):")
	}
	for _, topic := range order {
		fmt.Fprintf(e.stdout, "  %s: %s\n", topic, strings.Join(shares[topic], ", "))
	}
}
