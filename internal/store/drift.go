package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// Classes of drift, as readers saw it.
const (
	DriftMissing   = "missing"
	DriftStale     = "stale"
	DriftWrong     = "wrong"
	DriftUndeleted = "undeleted"
)

// DriftRow is a record that a run found to differ from the shop.
type DriftRow struct {
	Type   string
	ID     mirror.GID
	Kind   mirror.Kind
	Class  string
	Fields []byte // JSON list of mirror.FieldDiff.

	// What its cause is judged by.
	Parent, Link mirror.GID
	Via          mirror.GID     // The record that wrongly hid or showed this one; empty where it differed itself.
	ChangedAt    mirror.Instant // When it changed in the shop, as far as known: to the second.
	FoundAt      mirror.Instant // When the run saw it.
	ReadAt       mirror.Instant // When what the copy said was last read from the shop; zero for never.

	Cause string // A mirror.Cause; empty where the run was not judged.
	Note  string // What there is to say to the cause.
}

// Key names the drifted record.
func (r DriftRow) Key() mirror.Key { return mirror.Key{Kind: r.Kind, ID: r.ID} }

// Subject is the record that the webhooks of the row's kind name.
func (r DriftRow) Subject() mirror.GID {
	switch r.Kind {
	case mirror.KindProductVariant, mirror.KindProductVariantDerived, mirror.KindMetafield:
		return r.Parent
	default:
		return r.ID
	}
}

// Topic is that of the webhook that was due for the row; empty where none is,
// or only together with another record.
func (r DriftRow) Topic() string {
	return mirror.Carrier(r.Kind, r.Class == DriftMissing, r.Class == DriftUndeleted)
}

const driftColumns = `type, id, kind, class, fields, parent, link, via, changed_at, found_at, read_at, cause, note`

func scanDrift(scan func(...any) error) (DriftRow, error) {
	var r DriftRow
	err := scan(&r.Type, &r.ID, &r.Kind, &r.Class, &r.Fields, &r.Parent, &r.Link, &r.Via, &r.ChangedAt, &r.FoundAt, &r.ReadAt, &r.Cause, &r.Note)
	return r, err
}

// AddDrift stores drifted rows of a run; a row that is stored already is kept as it was first seen.
func (t *Tx) AddDrift(run int64, rows []DriftRow) error {
	const columns = 14
	return chunks(rows, columns, func(part []DriftRow) error {
		args := make([]any, 0, len(part)*columns)
		for _, r := range part {
			args = append(args, run, r.Type, r.ID, r.Kind, r.Class, string(r.Fields), r.Parent, r.Link, r.Via, r.ChangedAt, r.FoundAt, r.ReadAt, r.Cause, r.Note)
		}
		_, err := t.exec(`INSERT INTO drift (run_id, `+driftColumns+`) VALUES `+placeholders(1, len(part), columns)+` ON CONFLICT DO NOTHING`, args...)
		if err != nil {
			return fmt.Errorf("store %d drifted rows: %w", len(part), err)
		}
		return nil
	})
}

// DropDrift deletes drifted rows of a run.
func (t *Tx) DropDrift(run int64, rows []DriftRow) error {
	const columns = 3
	return chunks(rows, columns, func(part []DriftRow) error {
		args := make([]any, 0, len(part)*columns+1)
		for _, r := range part {
			args = append(args, r.Type, r.ID, r.Kind)
		}
		_, err := t.exec(`DELETE FROM drift WHERE (type, id, kind) IN (VALUES `+placeholders(1, len(part), columns)+`) AND run_id = `+
			fmt.Sprintf("$%d", len(args)+1), append(args, run)...)
		if err != nil {
			return fmt.Errorf("drop %d drifted rows: %w", len(part), err)
		}
		return nil
	})
}

// Drift lists a run's drifted rows.
func (t *Tx) Drift(run int64, limit int) ([]DriftRow, error) {
	return list(t, `SELECT `+driftColumns+` FROM drift WHERE run_id = $1 ORDER BY type, id, kind LIMIT $2`, []any{run, limit}, scanDrift)
}

// DriftAfter lists up to limit drifted rows of a run, by type, id and kind, beginning after a row.
func (t *Tx) DriftAfter(run int64, after DriftRow, limit int) ([]DriftRow, error) {
	return list(t, `SELECT `+driftColumns+` FROM drift WHERE run_id = $1 AND (type, id, kind) > ($2, $3, $4) ORDER BY type, id, kind LIMIT $5`,
		[]any{run, after.Type, after.ID, after.Kind, limit}, scanDrift)
}

// DriftOf finds a run's drifted rows of these ids.
func (t *Tx) DriftOf(run int64, ids []mirror.GID) ([]DriftRow, error) {
	var all []DriftRow
	err := chunks(ids, 1, func(part []mirror.GID) error {
		rows, err := list(t, `SELECT `+driftColumns+` FROM drift WHERE run_id = $1 AND id IN `+in(2, len(part)), append([]any{run}, anys(part)...), scanDrift)
		all = append(all, rows...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find drift of %d records: %w", len(ids), err)
	}
	return all, nil
}

// SetCauses writes cause, note and the moment of the change of drifted rows.
func (t *Tx) SetCauses(run int64, rows []DriftRow) error {
	const columns = 6
	return chunks(rows, columns, func(part []DriftRow) error {
		args := make([]any, 0, len(part)*columns)
		for _, r := range part {
			args = append(args, r.Type, r.ID, r.Kind, r.Cause, r.Note, r.ChangedAt)
		}
		_, err := t.exec(`UPDATE drift SET cause = v.column4, note = v.column5, changed_at = v.column6 FROM (VALUES `+placeholders(1, len(part), columns)+`) v
			WHERE run_id = `+fmt.Sprintf("$%d", len(args)+1)+` AND type = v.column1 AND id = v.column2 AND kind = v.column3`, append(args, run)...)
		if err != nil {
			return fmt.Errorf("note the causes of %d drifted rows: %w", len(part), err)
		}
		return nil
	})
}

// EachDrift calls do for every drifted row of a run.
func (t *Tx) EachDrift(run int64, do func(DriftRow) error) error {
	return t.each(`SELECT `+driftColumns+` FROM drift WHERE run_id = $1 ORDER BY type, id, kind`, []any{run}, func(scan func(...any) error) error {
		r, err := scanDrift(scan)
		if err != nil {
			return err
		}
		return do(r)
	})
}

// CountDrift counts a run's drifted rows by type and class.
func (t *Tx) CountDrift(run int64) (map[[2]string]int64, error) {
	return t.countDrift(`SELECT type, class, COUNT(DISTINCT id) FROM drift WHERE run_id = $1 GROUP BY type, class`, run)
}

// CountCauses counts a run's drifted rows by type and cause.
func (t *Tx) CountCauses(run int64) (map[[2]string]int64, error) {
	return t.countDrift(`SELECT type, cause, COUNT(*) FROM drift WHERE run_id = $1 GROUP BY type, cause`, run)
}

func (t *Tx) countDrift(query string, run int64) (map[[2]string]int64, error) {
	counts := map[[2]string]int64{}
	err := t.each(query, []any{run}, func(scan func(...any) error) error {
		var key [2]string
		var n int64
		err := scan(&key[0], &key[1], &n)
		counts[key] = n
		return err
	})
	return counts, err
}

// DriftThrough finds a run's drifted rows that one of these ids hid or showed.
func (t *Tx) DriftThrough(run int64, ids []mirror.GID) ([]DriftRow, error) {
	var all []DriftRow
	err := chunks(ids, 1, func(part []mirror.GID) error {
		rows, err := list(t, `SELECT `+driftColumns+` FROM drift WHERE run_id = $1 AND via IN `+in(2, len(part)), append([]any{run}, anys(part)...), scanDrift)
		all = append(all, rows...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find drift through %d records: %w", len(ids), err)
	}
	return all, nil
}

// TopicCameLate corrects what a run proves of topics: one webhook of the topic
// came after all, and so many of each topic are missed no more.
func (t *Tx) TopicCameLate(run int64, topic string, noMore map[string]int) error {
	_, err := t.exec(`INSERT INTO run_topics (run_id, topic, received, missed) VALUES ($1, $2, 1, 0)
		ON CONFLICT (run_id, topic) DO UPDATE SET received = run_topics.received + 1`, run, topic)
	for due, n := range noMore {
		if err == nil {
			_, err = t.exec(`UPDATE run_topics SET missed = missed - $1 WHERE run_id = $2 AND topic = $3 AND missed >= $1`, n, run, due)
		}
	}
	if err != nil {
		return fmt.Errorf("note a late webhook in run %d: %w", run, err)
	}
	return nil
}

// RunTopic is what a full read proves of a topic's webhooks.
type RunTopic struct {
	RunID    int64
	Topic    string
	Received int64 // Since the full read before.
	Missed   int64 // At least so many never came.
}

// Share is how many of the webhooks that were due never came, at least.
func (t RunTopic) Share() float64 {
	due := t.Received + t.Missed
	if due == 0 {
		return 0
	}
	return float64(t.Missed) / float64(due)
}

// SetRunTopics stores what a run proves of each topic, in place of what it had stored.
func (t *Tx) SetRunTopics(run int64, topics []RunTopic) error {
	if _, err := t.exec(`DELETE FROM run_topics WHERE run_id = $1`, run); err != nil {
		return err
	}
	const columns = 4
	return chunks(topics, columns, func(part []RunTopic) error {
		args := make([]any, 0, len(part)*columns)
		for _, topic := range part {
			args = append(args, run, topic.Topic, topic.Received, topic.Missed)
		}
		_, err := t.exec(`INSERT INTO run_topics (run_id, topic, received, missed) VALUES `+placeholders(1, len(part), columns), args...)
		return err
	})
}

// RunTopics lists what a run of a shop and the polls before it proved of its
// topics, the newest run first.
func (t *Tx) RunTopics(shop, upTo int64, runs int) ([]RunTopic, error) {
	return list(t, `SELECT run_id, topic, received, missed FROM run_topics WHERE run_id IN
			(SELECT id FROM runs WHERE shop_id = $1 AND id <= $2 AND kind = 'poll' ORDER BY id DESC LIMIT $3) ORDER BY run_id DESC, topic`,
		[]any{shop, upTo, runs}, scanRunTopic)
}

// FirstDrift lists a run's first drifted rows, those of one cause before all others.
func (t *Tx) FirstDrift(run int64, cause string, limit int) ([]DriftRow, error) {
	return list(t, `SELECT `+driftColumns+` FROM drift WHERE run_id = $1 ORDER BY cause <> $2, type, id, kind LIMIT $3`, []any{run, cause, limit}, scanDrift)
}

// TopicsReceived counts a shop's webhooks by topic that were received in (from, to].
func (t *Tx) TopicsReceived(shop int64, from, to mirror.Instant) (map[string]int64, error) {
	counts := map[string]int64{}
	err := t.each(`SELECT topic, COUNT(*) FROM inbox WHERE shop_id = $1 AND received_at > $2 AND received_at <= $3 AND `+notPages+` GROUP BY topic`, []any{shop, from, to},
		func(scan func(...any) error) error {
			var topic string
			var n int64
			err := scan(&topic, &n)
			counts[topic] = n
			return err
		})
	return counts, err
}

// RejectedFor lists the kept rejections that claim to be of a shop, from a
// moment on, without those whose webhook was accepted under another signature.
func (t *Tx) RejectedFor(shop Shop, since mirror.Instant) ([]Rejection, error) {
	return list(t, `SELECT MIN(at), shop, topic, webhook_id, digest FROM rejected r WHERE at >= $1 AND shop = $2
			AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.shop_id = $3 AND i.topic = r.topic AND i.webhook_id = r.webhook_id)
		GROUP BY topic, webhook_id ORDER BY 1`, []any{since, shop.Domain, shop.ID}, func(scan func(...any) error) (Rejection, error) {
		var r Rejection
		err := scan(&r.At, &r.Shop, &r.Topic, &r.WebhookID, &r.Digest)
		return r, err
	})
}

// DriftAbout finds a run's drifted rows of these ids, and of what has one of them for its parent.
func (t *Tx) DriftAbout(run int64, ids []mirror.GID) ([]DriftRow, error) {
	rows, err := t.DriftOf(run, ids)
	if err != nil {
		return nil, err
	}
	known := map[mirror.Key]bool{}
	for _, row := range rows {
		known[row.Key()] = true
	}
	err = chunks(ids, 1, func(part []mirror.GID) error {
		return t.each(`SELECT `+driftColumns+` FROM drift WHERE run_id = $1 AND parent <> '' AND parent IN `+in(2, len(part)), append([]any{run}, anys(part)...),
			func(scan func(...any) error) error {
				r, err := scanDrift(scan)
				if !known[r.Key()] {
					rows = append(rows, r)
				}
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("find drift below %d records: %w", len(ids), err)
	}
	return rows, nil
}

// ReadBefore is the start of the shop's last full read before a run that came
// to its end; zero for none.
func (t *Tx) ReadBefore(shop, run int64) (mirror.Instant, error) {
	var at mirror.Instant
	err := t.one(`SELECT COALESCE(MAX(started_at), 0) FROM runs WHERE shop_id = $1 AND id < $2 AND state IN ('ok', 'partial')`, []any{shop, run}, &at)
	return at, err
}

// TopicsOf lists what a run proved of its shop's topics.
func (t *Tx) TopicsOf(run int64) ([]RunTopic, error) {
	return list(t, `SELECT run_id, topic, received, missed FROM run_topics WHERE run_id = $1 ORDER BY topic`, []any{run}, scanRunTopic)
}

func scanRunTopic(scan func(...any) error) (RunTopic, error) {
	var r RunTopic
	err := scan(&r.RunID, &r.Topic, &r.Received, &r.Missed)
	return r, err
}
