package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// Task is work smaller than a full read, which a command or the clock hands to
// whichever process carries work out. It ends like a Run.
type Task struct {
	ID        int64
	ShopID    int64
	Kind      string // TaskSweep, TaskUndelete or TaskReplay.
	Reason    string // schedule, manual or silence.
	State     RunState
	Args      []byte // JSON of the kind's worker: what is to be done.
	Progress  []byte // Likewise: where it stands.
	Report    []byte // Likewise: what came of it.
	Error     string
	QueuedAt  mirror.Instant
	StartedAt mirror.Instant // On the shop's Shopify clock; a replay's on this machine's.
	EndedAt   mirror.Instant
}

// Kinds of tasks.
const (
	TaskSweep    = "sweep"
	TaskUndelete = "undelete"
	TaskReplay   = "replay"
)

const taskColumns = `id, shop_id, kind, reason, state, args, progress, report, error, queued_at, started_at, ended_at`

func scanTask(scan func(...any) error) (Task, error) {
	var k Task
	err := scan(&k.ID, &k.ShopID, &k.Kind, &k.Reason, &k.State, &k.Args, &k.Progress, &k.Report, &k.Error, &k.QueuedAt, &k.StartedAt, &k.EndedAt)
	return k, err
}

// QueueTask opens a task. Where one is open that is to do the same, it is returned.
func (t *Tx) QueueTask(k Task) (Task, error) {
	if len(k.Args) == 0 {
		k.Args = []byte("{}")
	}
	open, err := list(t, `SELECT `+taskColumns+` FROM tasks WHERE shop_id = $1 AND kind = $2 AND args = $3 AND state IN ('queued', 'running')`,
		[]any{k.ShopID, k.Kind, string(k.Args)}, scanTask)
	if err != nil {
		return Task{}, fmt.Errorf("queue %s: %w", k.Kind, err)
	}
	if len(open) > 0 {
		return open[0], nil
	}
	k.State, k.Progress, k.Report = RunQueued, []byte("{}"), []byte("{}")
	err = t.one(`INSERT INTO tasks (shop_id, kind, reason, state, args, progress, report, queued_at) VALUES `+placeholders(1, 1, 8)+` RETURNING id`,
		[]any{k.ShopID, k.Kind, k.Reason, k.State, string(k.Args), string(k.Progress), string(k.Report), k.QueuedAt}, &k.ID)
	if err != nil {
		return Task{}, fmt.Errorf("queue %s: %w", k.Kind, err)
	}
	return k, nil
}

// SaveTask writes an open task's state, times, progress, report and error.
// ErrNotFound says that it is over, or gone: its shop has left meanwhile.
func (t *Tx) SaveTask(k Task) error {
	n, err := t.exec(`UPDATE tasks SET state = $2, started_at = $3, ended_at = $4, progress = $5, report = $6, error = $7
		WHERE id = $1 AND state IN ('queued', 'running')`,
		k.ID, k.State, k.StartedAt, k.EndedAt, string(k.Progress), string(k.Report), k.Error)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("save task %d: %w", k.ID, err)
	}
	return nil
}

// TaskByID finds a task.
func (t *Tx) TaskByID(id int64) (Task, error) {
	return scanTask(func(into ...any) error {
		return t.one(`SELECT `+taskColumns+` FROM tasks WHERE id = $1`, []any{id}, into...)
	})
}

// OpenTasks lists all tasks that are queued or running.
func (t *Tx) OpenTasks() ([]Task, error) {
	return list(t, `SELECT `+taskColumns+` FROM tasks WHERE state IN ('queued', 'running') ORDER BY id`, nil, scanTask)
}

// Tasks lists a shop's newest tasks of a kind.
func (t *Tx) Tasks(shop int64, kind string, limit int) ([]Task, error) {
	return list(t, `SELECT `+taskColumns+` FROM tasks WHERE shop_id = $1 AND kind = $2 ORDER BY id DESC LIMIT $3`, []any{shop, kind, limit}, scanTask)
}

// SweepMark is where a sweep of a shop stands.
type SweepMark struct {
	At   mirror.Instant // From where the next pass starts; of a scan, the start of the last complete one.
	Took int64          // How long the last complete pass took, in milliseconds.
}

// SweepMarks are a shop's marks by sweep.
func (t *Tx) SweepMarks(shop int64) (map[string]SweepMark, error) {
	marks := map[string]SweepMark{}
	err := t.each(`SELECT sweep, at, took FROM sweep_marks WHERE shop_id = $1`, []any{shop}, func(scan func(...any) error) error {
		var name string
		var mark SweepMark
		err := scan(&name, &mark.At, &mark.Took)
		marks[name] = mark
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load sweep marks: %w", err)
	}
	return marks, nil
}

// SetSweepMark moves a mark on. It never moves back: of two passes that end out
// of order the later one tells more.
func (t *Tx) SetSweepMark(shop, task int64, sweep string, mark SweepMark) error {
	_, err := t.exec(`INSERT INTO sweep_marks (shop_id, sweep, at, took, task_id) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (shop_id, sweep) DO UPDATE SET at = excluded.at, took = excluded.took, task_id = excluded.task_id WHERE excluded.at > sweep_marks.at`,
		shop, sweep, mark.At, mark.Took, task)
	if err != nil {
		return fmt.Errorf("set the mark of sweep %s: %w", sweep, err)
	}
	return nil
}

// ReadStart is the start of the last complete ok read of a kind; zero before the first.
func (t *Tx) ReadStart(shop int64, kind mirror.Kind) (mirror.Instant, error) {
	starts, err := t.completeReads(shop)
	return starts[kind], err
}

// Version is what a look at ids and times of change needs to know of a record.
type Version struct {
	Updated mirror.Instant
	Parent  mirror.GID
	Shown   bool // By its own marks.
}

// Versions finds the versions of records of a kind; what is not stored is missing.
func (t *Tx) Versions(shop int64, kind mirror.Kind, ids []mirror.GID) (map[mirror.GID]Version, error) {
	found := make(map[mirror.GID]Version, len(ids))
	err := chunks(ids, 1, func(part []mirror.GID) error {
		return t.each(`SELECT id, updated_at, parent, CASE WHEN `+shown+` THEN 1 ELSE 0 END FROM records WHERE shop_id = $1 AND kind = $2 AND id IN `+in(3, len(part)),
			append([]any{shop, kind}, anys(part)...), func(scan func(...any) error) error {
				var id mirror.GID
				var v Version
				err := scan(&id, &v.Updated, &v.Parent, &v.Shown)
				found[id] = v
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("find versions of %s: %w", kind, err)
	}
	return found, nil
}

// ShownBefore lists up to limit ids of shown records of a kind, by id after an
// id, whose last word is older than a moment.
func (t *Tx) ShownBefore(shop int64, kind mirror.Kind, before mirror.Instant, after mirror.GID, limit int) ([]mirror.GID, error) {
	return list(t, `SELECT id FROM records WHERE shop_id = $1 AND kind = $2 AND id > $3 AND as_of < $4 AND `+shown+` ORDER BY id LIMIT $5`,
		[]any{shop, kind, after, before, limit}, scanID)
}

// SomeRead lists the last few records of a kind, by id, that a run has read.
func (t *Tx) SomeRead(run int64, kind mirror.Kind, limit int) ([]mirror.GID, error) {
	return list(t, `SELECT id FROM run_records WHERE run_id = $1 AND kind = $2 ORDER BY id DESC LIMIT $3`, []any{run, kind, limit}, scanID)
}

// NewestShown lists up to limit shown records of a kind, the greatest ids first.
func (t *Tx) NewestShown(shop int64, kind mirror.Kind, limit int) ([]mirror.GID, error) {
	return list(t, `SELECT id FROM records WHERE shop_id = $1 AND kind = $2 AND `+shown+` ORDER BY id DESC LIMIT $3`, []any{shop, kind, limit}, scanID)
}

func scanID(scan func(...any) error) (mirror.GID, error) {
	var id mirror.GID
	err := scan(&id)
	return id, err
}

// LastAsked tells when each of these ids was last asked for; those that nobody waits for are missing.
func (t *Tx) LastAsked(shop int64, ids []mirror.GID) (map[mirror.GID]mirror.Instant, error) {
	made := map[mirror.GID]mirror.Instant{}
	err := chunks(ids, 1, func(part []mirror.GID) error {
		return t.each(`SELECT id, MAX(asked_at) FROM demands WHERE shop_id = $1 AND id IN `+in(2, len(part))+` GROUP BY id`,
			append([]any{shop}, anys(part)...), func(scan func(...any) error) error {
				var id mirror.GID
				var at mirror.Instant
				err := scan(&id, &at)
				made[id] = at
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("find demands of %d records: %w", len(ids), err)
	}
	return made, nil
}

// Tombstone is why a record was taken for deleted.
type Tombstone struct {
	Key      mirror.Key
	Dead     mirror.Instant
	Evidence []byte // JSON of package reconcile.
}

// SaveTombstones keeps the evidence of deletions; a later one replaces an earlier one of the same record.
func (t *Tx) SaveTombstones(shop int64, all []Tombstone) error {
	const columns = 5
	return chunks(all, columns, func(part []Tombstone) error {
		args := make([]any, 0, len(part)*columns)
		for _, s := range part {
			args = append(args, shop, s.Key.Kind, s.Key.ID, s.Dead, string(s.Evidence))
		}
		_, err := t.exec(`INSERT INTO tombstones (shop_id, kind, id, dead, evidence) VALUES `+placeholders(1, len(part), columns)+`
			ON CONFLICT (shop_id, kind, id) DO UPDATE SET dead = excluded.dead, evidence = excluded.evidence WHERE excluded.dead >= tombstones.dead`, args...)
		if err != nil {
			return fmt.Errorf("store the evidence of %d deletions: %w", len(part), err)
		}
		return nil
	})
}

// TombstoneOf finds the evidence of a deletion; ErrNotFound where there is none.
func (t *Tx) TombstoneOf(shop int64, key mirror.Key) (Tombstone, error) {
	s := Tombstone{Key: key}
	err := t.one(`SELECT dead, evidence FROM tombstones WHERE shop_id = $1 AND kind = $2 AND id = $3`, []any{shop, key.Kind, key.ID}, &s.Dead, &s.Evidence)
	return s, err
}

// KnownChildren lists the records of a kind that belong to a parent, hidden ones too, with their contents.
func (t *Tx) KnownChildren(shop int64, kind mirror.Kind, parent mirror.GID) ([]Row, error) {
	return list(t, `SELECT id, parent, link, content FROM records WHERE shop_id = $1 AND kind = $2 AND parent = $3 AND content IS NOT NULL ORDER BY id`,
		[]any{shop, kind, parent}, scanRow)
}

// KnownLinks lists the records of a kind that name the linked one, hidden ones too.
func (t *Tx) KnownLinks(shop int64, kind mirror.Kind, link mirror.GID) ([]Row, error) {
	return list(t, `SELECT id, parent, link, content FROM records WHERE shop_id = $1 AND kind = $2 AND link = $3 AND link <> '' AND content IS NOT NULL ORDER BY id`,
		[]any{shop, kind, link}, scanRow)
}

// DropOldTasks deletes up to limit tasks that ended, evidence of deletions, and
// silences that ended, from before a moment for each, and says how many.
func (t *Tx) DropOldTasks(tasksBefore, historyBefore mirror.Instant, limit int) (int64, error) {
	var dropped int64
	for _, old := range []struct {
		query  string
		before mirror.Instant
	}{
		{`DELETE FROM tasks WHERE id IN (SELECT id FROM tasks WHERE ended_at > 0 AND ended_at < $1 ORDER BY id LIMIT $2)`, tasksBefore},
		{`DELETE FROM silences WHERE id IN (SELECT id FROM silences WHERE ended_at > 0 AND ended_at < $1 LIMIT $2)`, historyBefore},
		{`DELETE FROM tombstones WHERE (shop_id, kind, id) IN (SELECT shop_id, kind, id FROM tombstones WHERE dead < $1 LIMIT $2)`, historyBefore},
	} {
		n, err := t.exec(old.query, old.before, limit)
		if err != nil {
			return dropped, fmt.Errorf("drop old tasks and evidence: %w", err)
		}
		dropped += n
	}
	return dropped, nil
}
