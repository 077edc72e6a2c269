package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Sweeper asks shops for what changed lately, between the full reads. It catches
// what webhooks lost for a small part of a full read's cost.
//
// Each sweep of a shop has a mark from which its next pass starts: the start of
// its last complete pass less sweepOverlap. Never the greatest time seen, for
// Shopify's index lags, and what it lacks now it shows later under an earlier
// time; and never after a pass that was not complete. Of the overlap's rows most
// are known, and are not written again.
//
// A pass may scan besides: see scan.
type Sweeper struct {
	Config
	Hydrator *Hydrator
}

const (
	// sweepOverlap is how far Shopify's search index may lag and still lose nothing.
	sweepOverlap = 5 * time.Minute

	// webhookGrace is how old a difference must be to count as missed: a younger
	// one's webhook may be under way. Most come within seconds.
	webhookGrace = time.Minute
)

// NewSweeper makes a Sweeper whose demands the hydrator reads.
func NewSweeper(config Config, hydrator *Hydrator) *Sweeper {
	return &Sweeper{Config: config, Hydrator: hydrator}
}

// SweepArgs are what a pass is to do.
type SweepArgs struct {
	// Sweeps and Scans restrict the pass to those named, and Since and Until to a
	// stretch of time, both on Shopify's clock. Such a pass moves no mark.
	// Nil Sweeps are all of them, from where each one's mark is.
	Sweeps []string       `json:"sweeps,omitempty"`
	Scans  []string       `json:"scans,omitempty"`
	Since  mirror.Instant `json:"since,omitempty"`
	Until  mirror.Instant `json:"until,omitempty"`

	// Scan asks for a scan of everything, due or not.
	Scan bool `json:"scan,omitempty"`
}

// restricted reports a pass over a part.
func (a SweepArgs) restricted() bool { return a.Since != 0 || a.Sweeps != nil || a.Scans != nil }

// SweepReport is what a pass did.
type SweepReport struct {
	Sweeps []SweepResult `json:"sweeps"`
	Scans  []SweepResult `json:"scans"`
	// Drift counts what webhooks had not told by then, by export type.
	Drift []SweepDrift `json:"drift"`
	// Gaps says what could not be covered; empty exactly when the pass is ok.
	Gaps  []string `json:"gaps"`
	Notes []string `json:"notes"` // What the shop does not share.
}

// SweepResult is one sweep or scan of a pass.
type SweepResult struct {
	Name  string       `json:"name"`
	Since *mirror.Time `json:"since,omitempty"` // From when a sweep asked.
	Rows  int64        `json:"rows"`
	Done  bool         `json:"done"` // Read to its end, and its mark moved.
}

// SweepDrift counts drifted objects of a type.
type SweepDrift struct {
	Type      string `json:"type"`
	Missing   int64  `json:"missing"`
	Stale     int64  `json:"stale"`
	Wrong     int64  `json:"wrong"`
	Undeleted int64  `json:"undeleted"`
}

// Drifted counts what had drifted.
func (r SweepReport) Drifted() (n int64) {
	for _, d := range r.Drift {
		n += d.Missing + d.Stale + d.Wrong + d.Undeleted
	}
	return n
}

// ReadSweepReport reads a pass's report; an unfinished one's is empty. One that
// was given up covered nothing, and has the reason for its gap.
func ReadSweepReport(task store.Task) (SweepReport, error) {
	var r SweepReport
	if err := json.Unmarshal(task.Report, &r); err != nil {
		return r, fmt.Errorf("report of task %d: %w", task.ID, err)
	}
	if task.State == store.RunFailed && len(r.Gaps) == 0 {
		r.Gaps = []string{task.Error}
	}
	return r, nil
}

// Text writes the report for people.
func (r SweepReport) Text() string {
	var out strings.Builder
	line := func(what string, all []SweepResult) {
		for _, s := range all {
			since, state := "", ""
			if s.Since != nil {
				since = " changed since " + s.Since.Time.Format(time.DateTime) + " UTC"
			}
			if !s.Done {
				state = "  not complete"
			}
			fmt.Fprintf(&out, "%s %-12s %9d rows%s%s\n", what, s.Name, s.Rows, since, state)
		}
	}
	line("sweep", r.Sweeps)
	line("scan ", r.Scans)
	for _, d := range r.Drift {
		fmt.Fprintf(&out, "drifted: %s, %d missing, %d stale, %d wrong, %d undeleted\n", d.Type, d.Missing, d.Stale, d.Wrong, d.Undeleted)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&out, "- %s\n", note)
	}
	for _, gap := range r.Gaps {
		fmt.Fprintf(&out, "! %s\n", gap)
	}
	return out.String()
}

// sweepProgress is where a pass stands. It is stored with every page.
type sweepProgress struct {
	Lists map[string]*sweepList `json:"lists"`
	Drift map[string]SweepDrift `json:"drift"` // By type.
	Seen  map[string]bool       `json:"seen"`  // Objects counted already, by type and id: a scan and a sweep may both find one.
	Began time.Time             `json:"began"` // By this machine's clock.
}

type sweepList struct {
	Since  mirror.Instant `json:"since"`
	Cursor string         `json:"cursor"`
	Rows   int64          `json:"rows"`
	Done   bool           `json:"done"`
}

// maxCounted bounds the objects remembered as drifted; beyond it one may be counted twice.
const maxCounted = 10_000

// Run carries a queued or interrupted pass to its end and returns it as it
// ended. As with Poller.Run, an error means that it did not end and can be
// carried on by calling Run again. The caller sees to it that a shop has one
// pass at a time.
func (s *Sweeper) Run(ctx context.Context, taskID int64) (store.Task, error) {
	p := &pass{Sweeper: s, progress: sweepProgress{Lists: map[string]*sweepList{}, Drift: map[string]SweepDrift{}, Seen: map[string]bool{}}}
	err := s.Store.View(ctx, func(tx *store.Tx) (err error) {
		if p.task, err = tx.TaskByID(taskID); err != nil {
			return err
		}
		p.shop, err = tx.ShopByID(p.task.ShopID)
		return err
	})
	if err != nil {
		return store.Task{}, fmt.Errorf("open sweep %d: %w", taskID, err)
	}
	if p.task.State.Over() {
		return p.task, nil
	}
	if err := errors.Join(json.Unmarshal(p.task.Args, &p.args), json.Unmarshal(p.task.Progress, &p.progress)); err != nil {
		return p.task, fmt.Errorf("sweep %d: %w", taskID, err)
	}
	if err := p.do(ctx); err != nil {
		return p.task, fmt.Errorf("sweep of %s: %w", p.shop.Domain, err)
	}
	level := slog.LevelDebug
	if p.task.State != store.RunOK {
		level = slog.LevelWarn
	}
	s.Log.Log(ctx, level, "sweep ended", "shop", p.shop.Domain, "sweep", p.task.ID, "reason", p.task.Reason, "state", p.task.State,
		"drifted", p.report.Drifted(), "gaps", p.report.Gaps)
	return p.task, nil
}

// pass is one pass under way.
type pass struct {
	*Sweeper
	shop     store.Shop
	task     store.Task
	args     SweepArgs
	client   *shopify.Client
	progress sweepProgress
	report   SweepReport
	marks    map[string]store.SweepMark
}

// do goes through the pass's steps. Each is safe to repeat.
func (p *pass) do(ctx context.Context) error {
	if p.shop.State != store.ShopConnected {
		return p.end(ctx, store.RunFailed, "the shop is not connected: "+string(p.shop.State))
	}
	var err error
	if p.client, err = p.Client(ctx, p.shop); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return p.end(ctx, store.RunFailed, err.Error())
	}
	if err := p.begin(ctx); err != nil {
		return err
	}
	for _, sweep := range shopify.Sweeps() {
		if p.args.Sweeps != nil && !slices.Contains(p.args.Sweeps, sweep.Name) {
			continue
		}
		if err := p.sweep(ctx, sweep); err != nil || p.task.State.Over() {
			return err
		}
	}
	due, err := p.scanDue(ctx)
	if err != nil {
		return err
	}
	if due {
		if err := p.scan(ctx); err != nil || p.task.State.Over() {
			return err
		}
	}
	state := store.RunOK
	if len(p.report.Gaps) > 0 {
		state = store.RunPartial
	}
	return p.end(ctx, state, "")
}

// begin applies what was heard, since that is no drift, and fixes the pass's start.
func (p *pass) begin(ctx context.Context) error {
	if err := p.Drain(ctx, p.shop.ID); err != nil {
		return fmt.Errorf("apply what was heard: %w", err)
	}
	return p.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if p.marks, err = tx.SweepMarks(p.shop.ID); err != nil || p.task.State != store.RunQueued {
			return err
		}
		p.task.State, p.task.StartedAt, p.progress.Began = store.RunRunning, p.client.Clock().Now(), p.Now()
		return p.save(tx)
	})
}

// since is from when a sweep has to ask: its mark, or what a complete full read
// has proven since, if that is later. Neither: the shop was never read.
func (p *pass) since(ctx context.Context, sweep shopify.Sweep) (since mirror.Instant, err error) {
	if p.args.Since != 0 {
		return p.args.Since, nil
	}
	err = p.Store.View(ctx, func(tx *store.Tx) error {
		for i, kind := range sweep.Kinds {
			start, err := tx.ReadStart(p.shop.ID, kind)
			if err != nil {
				return err
			}
			if start != 0 {
				start = start.Add(-sweepOverlap)
			}
			if i == 0 || start < since {
				since = start
			}
		}
		return nil
	})
	return max(since, p.marks[sweep.Name].At), err
}

// sweep reads what changed to the end of its list, a page and its progress in
// one transaction. The last page moves the mark, in the same transaction.
func (p *pass) sweep(ctx context.Context, sweep shopify.Sweep) error {
	if shared := p.shares("changed "+sweep.Name, sweep.Scopes); !shared {
		return nil
	}
	at := p.progress.Lists[sweep.Name]
	if at == nil {
		since, err := p.since(ctx, sweep)
		if err != nil {
			return err
		}
		switch {
		case since != 0:
		case sweep.Protected: // Perhaps denied to the app, which asking tells.
			since = p.task.StartedAt.Add(-sweepOverlap)
		default:
			p.gap("%s were never read whole: that comes first", sweep.Name)
			return nil
		}
		at = &sweepList{Since: since}
		p.progress.Lists[sweep.Name] = at
	}
	in := shopify.Range{Since: at.Since, Until: p.args.Until}
	for !at.Done {
		page, err := sweep.Page(ctx, p.client, in, at.Cursor)
		if err != nil {
			return p.failed(ctx, "changed "+sweep.Name, sweep.Protected, err)
		}
		err = p.Store.Update(ctx, func(tx *store.Tx) error {
			steps, err := apply.Apply(tx, apply.Batch{Shop: p.shop.ID, Observations: page.Observations}, mirror.At(p.Now()))
			if err != nil {
				return err
			}
			if err := p.noteDrift(tx, steps); err != nil {
				return err
			}
			at.Cursor, at.Done = page.Next, page.Next == ""
			for _, o := range page.Observations {
				if slices.Contains(sweep.Kinds, o.Key.Kind) {
					at.Rows++
				}
			}
			if at.Done && !p.args.restricted() {
				mark := store.SweepMark{At: p.task.StartedAt.Add(-sweepOverlap), Took: p.Now().Sub(p.progress.Began).Milliseconds()}
				if err := tx.SetSweepMark(p.shop.ID, p.task.ID, sweep.Name, mark); err != nil {
					return err
				}
			}
			return p.save(tx)
		})
		if err != nil {
			return fmt.Errorf("apply a page of %s: %w", sweep.Name, err)
		}
	}
	return nil
}

// shares reports whether the shop shares what these scopes open, and notes it if not.
func (p *pass) shares(what string, scopes []string) bool {
	missing := shopify.MissingScopes(shopify.ParseScopes(p.shop.Scopes), scopes)
	if len(missing) > 0 {
		p.report.Notes = append(p.report.Notes, fmt.Sprintf("%s are not asked for: the shop did not grant %s", what, strings.Join(missing, ", ")))
	}
	return len(missing) == 0
}

func (p *pass) gap(format string, args ...any) {
	p.report.Gaps = append(p.report.Gaps, fmt.Sprintf(format, args...))
}

// failed says what an error of Shopify's means for the pass: that it is over,
// that this list stays uncovered, or that the shop does not share it.
func (p *pass) failed(ctx context.Context, what string, protected bool, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if shopify.IsSearchWarning(err) {
		// Shopify did not understand what was asked for and answered something
		// else. Whatever a pass believed of that would be wrong in silence.
		p.Log.Error("Shopify does not understand a search of ours: the sweep is given up, only polls are left",
			"shop", p.shop.Domain, "sweep", p.task.ID, "of", what, "error", err)
		return p.end(ctx, store.RunFailed, fmt.Sprintf("Shopify does not understand the search for %s: %v", what, err))
	}
	switch class := shopify.ClassOf(err); {
	case class == shopify.ClassClosed || class == shopify.ClassToken:
		return p.end(ctx, store.RunFailed, err.Error())
	case class == shopify.ClassDenied && protected:
		p.report.Notes = append(p.report.Notes, fmt.Sprintf("%s are not asked for: Shopify has not approved the app for protected customer data", what))
		return nil
	}
	p.gap("%s could not be read to their end: %v", what, err)
	return nil
}

// noteDrift counts how the copy differed from what was found, each object once.
// What changed just now is under way by webhook.
func (p *pass) noteDrift(tx *store.Tx, steps []apply.Step) error {
	before := p.task.StartedAt.Add(-webhookGrace)
	for _, step := range steps {
		if !mirror.InfoOf(step.Key.Kind).Governed {
			continue // Read again at every touch; only a full read can tell its drift.
		}
		row, drifted, err := driftOf(step, before)
		if err != nil {
			return err
		}
		if drifted {
			p.count(row.Type, row.ID, row.Class)
		}
	}
	return nil
}

func (p *pass) count(exportType string, id mirror.GID, class string) {
	key := exportType + " " + string(id)
	if p.progress.Seen[key] {
		return
	}
	if len(p.progress.Seen) < maxCounted {
		p.progress.Seen[key] = true
	}
	d := p.progress.Drift[exportType]
	switch class {
	case ClassMissing:
		d.Missing++
	case ClassStale:
		d.Stale++
	case ClassWrong:
		d.Wrong++
	case ClassUndeleted:
		d.Undeleted++
	}
	p.progress.Drift[exportType] = d
}

// save writes where the pass stands.
func (p *pass) save(tx *store.Tx) error {
	encoded, err := json.Marshal(p.progress)
	if err != nil {
		return err
	}
	p.task.Progress = encoded
	return tx.SaveTask(p.task)
}

// end closes the pass, with its report.
func (p *pass) end(ctx context.Context, state store.RunState, reason string) error {
	if reason != "" {
		p.gap("%s", reason)
	}
	p.report.Sweeps, p.report.Drift = []SweepResult{}, []SweepDrift{}
	if p.report.Scans == nil {
		p.report.Scans = []SweepResult{}
	}
	for _, sweep := range shopify.Sweeps() {
		if at := p.progress.Lists[sweep.Name]; at != nil {
			since := mirror.TimeOf(at.Since.Time())
			p.report.Sweeps = append(p.report.Sweeps, SweepResult{Name: sweep.Name, Since: &since, Rows: at.Rows, Done: at.Done})
		}
	}
	for _, name := range mirror.Types {
		if d, drifted := p.progress.Drift[name]; drifted {
			d.Type = name
			p.report.Drift = append(p.report.Drift, d)
		}
	}
	p.report.Gaps, p.report.Notes = append([]string{}, p.report.Gaps...), append([]string{}, p.report.Notes...)
	var err error
	if p.task.Report, err = json.Marshal(p.report); err != nil {
		return err
	}
	p.task.State, p.task.Error, p.task.EndedAt = state, reason, mirror.At(p.Now())
	p.progress = sweepProgress{}
	if err := p.Store.Update(ctx, p.save); err != nil {
		return fmt.Errorf("end the sweep: %w", err)
	}
	p.Hydrator.Wake()
	return nil
}
