package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// DriftRow is a record that a run found to differ from the shop.
type DriftRow struct {
	Type      string             `json:"type"` // Of the export.
	ID        mirror.GID         `json:"id"`
	Record    mirror.Kind        `json:"record"`     // Which part of the object: see docs/records.md.
	Class     string             `json:"class"`      // missing, stale, wrong or undeleted.
	Cause     mirror.Cause       `json:"cause"`      // Empty where the run was not judged.
	Bug       bool               `json:"bug"`        // The cause is Stockroom's own fault.
	Note      string             `json:"note"`       // What there is to say to the cause.
	ChangedAt mirror.Time        `json:"changed_at"` // In the shop, as far as known; null where it is not.
	FoundAt   mirror.Time        `json:"found_at"`   // When the run saw it; null where another row shows it.
	Through   mirror.GID         `json:"through,omitempty"`
	Fields    []mirror.FieldDiff `json:"fields"` // What the copy said, and what the shop says.
}

// TopicShare is what a run proves of a topic's webhooks.
type TopicShare struct {
	Run      int64   `json:"run"`
	Topic    string  `json:"topic"`
	Received int64   `json:"received"` // Since the full read before.
	Missed   int64   `json:"missed"`   // At least so many never came.
	Share    float64 `json:"share"`    // Of those that were due. A later webhook may have mended a record, so it is the least.
}

// DriftReport is what a run found, whole but for its rows.
type DriftReport struct {
	Shop   string                 `json:"shop"`
	Run    RunStatus              `json:"run"`
	Causes map[mirror.Cause]int64 `json:"causes"` // Rows by cause.
	Topics []TopicShare           `json:"topics"` // Of this run and of the shop's polls before it, the newest first.
}

// topicRuns is how many polls' shares a report shows.
const topicRuns = 30

// DriftReport tells what a run of the shop found; run zero is the newest poll
// that came to an end. An *Error says that there is none.
func (r *Reader) DriftReport(ctx context.Context, shop store.Shop, run int64) (DriftReport, error) {
	report := DriftReport{Shop: shop.Domain, Causes: map[mirror.Cause]int64{}, Topics: []TopicShare{}}
	err := r.view(ctx, shop, "drift", func(tx *store.Tx) error {
		found, err := driftRun(tx, shop, run)
		if err != nil {
			return err
		}
		if report.Run, err = runStatus(tx, found); err != nil {
			return err
		}
		counts, err := tx.CountCauses(found.ID)
		if err != nil {
			return err
		}
		for key, n := range counts {
			report.Causes[mirror.Cause(key[1])] += n
		}
		topics, err := tx.RunTopics(shop.ID, found.ID, topicRuns)
		for _, t := range topics {
			report.Topics = append(report.Topics, TopicShare{Run: t.RunID, Topic: t.Topic, Received: t.Received, Missed: t.Missed, Share: t.Share()})
		}
		return err
	})
	return report, err
}

func driftRun(tx *store.Tx, shop store.Shop, id int64) (store.Run, error) {
	if id != 0 {
		run, err := tx.RunByID(id)
		if errors.Is(err, store.ErrNotFound) || err == nil && run.ShopID != shop.ID {
			return run, &Error{NotFound, fmt.Sprintf("%s has no run %d", shop.Domain, id), "leave --run out for the newest poll; the shop's page of the dashboard lists them"}
		}
		return run, err
	}
	run, err := tx.LastPoll(shop.ID)
	if errors.Is(err, store.ErrNotFound) {
		return run, &Error{NotFound, fmt.Sprintf("no poll of %s has ended yet", shop.Domain), "`stockroom poll --shop " + shop.Domain + "` runs one now"}
	}
	return run, err
}

// driftPage bounds the rows of a report in memory.
const driftPage = 500

// Drift calls do for every drifted row of a run that DriftReport told of.
func (r *Reader) Drift(ctx context.Context, shop store.Shop, run int64, do func(DriftRow) error) error {
	var after store.DriftRow
	for {
		rows, err := r.driftRows(ctx, shop, run, after, driftPage)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1]
		for _, row := range rows {
			shown, err := driftRowOf(row)
			if err != nil {
				return err
			}
			if err := do(shown); err != nil {
				return err
			}
		}
	}
}

// FirstDrift lists the first drifted rows of a run, those whose cause is a bug of ours before all others.
func (r *Reader) FirstDrift(ctx context.Context, shop store.Shop, run int64, limit int) ([]DriftRow, error) {
	var all []DriftRow
	err := r.view(ctx, shop, "drift", func(tx *store.Tx) error {
		if _, err := driftRun(tx, shop, run); err != nil {
			return err
		}
		rows, err := tx.FirstDrift(run, string(mirror.CauseOurs), limit)
		if err != nil {
			return err
		}
		for _, row := range rows {
			shown, err := driftRowOf(row)
			if err != nil {
				return err
			}
			all = append(all, shown)
		}
		return nil
	})
	return all, err
}

func (r *Reader) driftRows(ctx context.Context, shop store.Shop, run int64, after store.DriftRow, limit int) (rows []store.DriftRow, err error) {
	err = r.view(ctx, shop, "drift", func(tx *store.Tx) error {
		if _, err := driftRun(tx, shop, run); err != nil {
			return err
		}
		rows, err = tx.DriftAfter(run, after, limit)
		return err
	})
	return rows, err
}

func driftRowOf(row store.DriftRow) (DriftRow, error) {
	shown := DriftRow{Type: row.Type, ID: row.ID, Record: row.Kind, Class: row.Class, Cause: mirror.Cause(row.Cause), Bug: row.Cause == string(mirror.CauseOurs),
		Note: row.Note, ChangedAt: mirror.TimeOf(row.ChangedAt.Time()), FoundAt: mirror.TimeOf(row.FoundAt.Time()), Through: row.Via}
	if err := json.Unmarshal(row.Fields, &shown.Fields); err != nil {
		return shown, fmt.Errorf("drifted fields of %s: %w", row.ID, err)
	}
	return shown, nil
}
