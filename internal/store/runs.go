package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// Run is a full read of a shop: an import or a poll.
type Run struct {
	ID              int64
	ShopID          int64
	Kind            string // import or poll.
	Reason          string // connect, scopes, schedule, manual or by pages.
	State           RunState
	AcceptDeletions bool // The operator let deletions beyond the fuse through.
	QueuedAt        mirror.Instant
	StartedAt       mirror.Instant // On the shop's Shopify clock.
	EndedAt         mirror.Instant
	Progress        []byte // JSON of package reconcile.
	Report          []byte // JSON of package reconcile.
	Error           string
}

// RunState is how a run stands or ended.
type RunState string

const (
	RunQueued  RunState = "queued"
	RunRunning RunState = "running"
	RunOK      RunState = "ok"
	RunPartial RunState = "partial"
	RunFailed  RunState = "failed"
)

// Over reports whether the run has ended.
func (s RunState) Over() bool { return s == RunOK || s == RunPartial || s == RunFailed }

const runColumns = `id, shop_id, kind, reason, state, accept_deletions, queued_at, started_at, ended_at, progress, report, error`

func scanRun(scan func(...any) error) (Run, error) {
	var r Run
	err := scan(&r.ID, &r.ShopID, &r.Kind, &r.Reason, &r.State, &r.AcceptDeletions, &r.QueuedAt, &r.StartedAt, &r.EndedAt, &r.Progress, &r.Report, &r.Error)
	return r, err
}

// QueueRun opens a run. A shop has one open run at a time: where there is one
// already, it is returned as it is, and fresh is false.
func (t *Tx) QueueRun(r Run) (run Run, fresh bool, err error) {
	open, err := t.OpenRun(r.ShopID)
	if err == nil {
		if r.AcceptDeletions {
			open.AcceptDeletions = true
			_, err = t.exec(`UPDATE runs SET accept_deletions = 1 WHERE id = $1`, open.ID)
		}
		return open, false, err
	}
	if err != ErrNotFound {
		return Run{}, false, err
	}
	r.State, r.Progress, r.Report = RunQueued, []byte("{}"), []byte("{}")
	err = t.one(`INSERT INTO runs (shop_id, kind, reason, state, accept_deletions, queued_at, progress, report) VALUES `+placeholders(1, 1, 8)+` RETURNING id`,
		[]any{r.ShopID, r.Kind, r.Reason, r.State, r.AcceptDeletions, r.QueuedAt, string(r.Progress), string(r.Report)}, &r.ID)
	if err != nil {
		return Run{}, false, fmt.Errorf("queue %s: %w", r.Kind, err)
	}
	return r, true, nil
}

// SaveRun writes an open run's state, times, progress, report and error. Whether
// deletions are accepted is the operator's word, given at any time: see QueueRun.
// ErrNotFound says that the run is over, or gone: its shop has left meanwhile.
func (t *Tx) SaveRun(r Run) error {
	n, err := t.exec(`UPDATE runs SET state = $2, started_at = $3, ended_at = $4, progress = $5, report = $6, error = $7
		WHERE id = $1 AND state IN ('queued', 'running')`,
		r.ID, r.State, r.StartedAt, r.EndedAt, string(r.Progress), string(r.Report), r.Error)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("save run %d: %w", r.ID, err)
	}
	return nil
}

// OpenRun is the shop's run that is queued or running; ErrNotFound when there is none.
func (t *Tx) OpenRun(shop int64) (Run, error) {
	return t.run(`shop_id = $1 AND state IN ('queued', 'running')`, shop)
}

// RunByID finds a run.
func (t *Tx) RunByID(id int64) (Run, error) { return t.run(`id = $1`, id) }

func (t *Tx) run(where string, arg any) (Run, error) {
	return scanRun(func(into ...any) error {
		return t.one(`SELECT `+runColumns+` FROM runs WHERE `+where, []any{arg}, into...)
	})
}

// OpenRuns lists all runs that are queued or running: what a process that comes back goes on with.
func (t *Tx) OpenRuns() ([]Run, error) {
	return list(t, `SELECT `+runColumns+` FROM runs WHERE state IN ('queued', 'running') ORDER BY id`, nil, scanRun)
}

// Runs lists a shop's newest runs.
func (t *Tx) Runs(shop int64, limit int) ([]Run, error) {
	return list(t, `SELECT `+runColumns+` FROM runs WHERE shop_id = $1 ORDER BY id DESC LIMIT $2`, []any{shop, limit}, scanRun)
}

// LastPoll is the shop's newest poll that came to an end; ErrNotFound when there is none.
func (t *Tx) LastPoll(shop int64) (Run, error) {
	return t.run(`shop_id = $1 AND kind = 'poll' AND state IN ('ok', 'partial', 'failed') ORDER BY id DESC LIMIT 1`, shop)
}

// MarkRead notes that a run has read these records.
func (t *Tx) MarkRead(run int64, keys []mirror.Key) error {
	const columns = 3
	return chunks(keys, columns, func(part []mirror.Key) error {
		args := make([]any, 0, len(part)*columns)
		for _, key := range part {
			args = append(args, run, key.Kind, key.ID)
		}
		_, err := t.exec(`INSERT INTO run_records (run_id, kind, id) VALUES `+placeholders(1, len(part), columns)+` ON CONFLICT DO NOTHING`, args...)
		if err != nil {
			return fmt.Errorf("note what run %d read: %w", run, err)
		}
		return nil
	})
}

// CountRead counts the records of a kind that a run has read.
func (t *Tx) CountRead(run int64, kind mirror.Kind) (int64, error) {
	var n int64
	err := t.one(`SELECT COUNT(*) FROM run_records WHERE run_id = $1 AND kind = $2`, []any{run, kind}, &n)
	return n, err
}

// ForgetRead drops up to limit of what MarkRead noted, and as much of what Stage
// kept, for runs that are over, and says how many.
func (t *Tx) ForgetRead(limit int) (int64, error) {
	marks, err := t.exec(`DELETE FROM run_records WHERE (run_id, kind, id) IN (SELECT u.run_id, u.kind, u.id FROM run_records u
		JOIN runs r ON r.id = u.run_id WHERE r.state IN ('ok', 'partial', 'failed') LIMIT $1)`, limit)
	if err != nil {
		return 0, err
	}
	staged, err := t.exec(`DELETE FROM staged WHERE (run_id, list, owner, child) IN (SELECT s.run_id, s.list, s.owner, s.child FROM staged s
		JOIN runs r ON r.id = s.run_id WHERE r.state IN ('ok', 'partial', 'failed') LIMIT $1)`, limit)
	return marks + staged, err
}

// DropOld deletes up to limit entries of the change feed, and of the drift of
// runs, from before a moment, and says how many.
func (t *Tx) DropOld(before mirror.Instant, limit int) (int64, error) {
	changes, err := t.exec(`DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE at < $1 ORDER BY seq LIMIT $2)`, before, limit)
	if err != nil {
		return 0, fmt.Errorf("drop old changes: %w", err)
	}
	drift, err := t.exec(`DELETE FROM drift WHERE (run_id, type, id, kind) IN (SELECT d.run_id, d.type, d.id, d.kind FROM drift d
		JOIN runs r ON r.id = d.run_id WHERE r.ended_at > 0 AND r.ended_at < $1 LIMIT $2)`, before, limit)
	if err != nil {
		return 0, fmt.Errorf("drop old drift: %w", err)
	}
	return changes + drift, nil
}

// ClaimDay gives a shop's local day its one run. It reports false when the day has one already.
func (t *Tx) ClaimDay(shop int64, day string, run int64) (bool, error) {
	n, err := t.exec(`INSERT INTO daily_runs (shop_id, day, run_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, shop, day, run)
	return n > 0, err
}

// DayClaimed reports whether a shop's local day has had its run.
func (t *Tx) DayClaimed(shop int64, day string) (bool, error) {
	var n int
	err := t.one(`SELECT COUNT(*) FROM daily_runs WHERE shop_id = $1 AND day = $2`, []any{shop, day}, &n)
	return n > 0, err
}
