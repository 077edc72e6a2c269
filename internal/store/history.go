package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// Entry is one line of a record's history: what an observation did to it.
type Entry struct {
	Seq      int64
	Key      mirror.Key
	Source   mirror.Source
	Topic    string // Of a webhook.
	Delivery int64  // A webhook's number in the inbox.
	Outcome  string // A mirror.Outcome, or Asked.
	Absent   bool   // It said that the record is gone.
	Updated  mirror.Instant
	AsOf     mirror.Instant
	Heard    mirror.Instant
	Digest   mirror.Digest
	Fields   string         // Which changed, separated by spaces; AllFields for a record that was not shown before.
	At       mirror.Instant // By this machine's clock.
}

// Asked is the outcome of a webhook that named a record without its content: it is read by id.
const Asked = "asked"

// AllFields stands in Entry.Fields for those of a record that was not shown before.
const AllFields = "*"

const entryColumns = `seq, kind, id, source, topic, delivery, outcome, absent, updated_at, as_of, heard, digest, fields, at`

func scanEntry(scan func(...any) error) (Entry, error) {
	var e Entry
	var digest []byte
	err := scan(&e.Seq, &e.Key.Kind, &e.Key.ID, &e.Source, &e.Topic, &e.Delivery, &e.Outcome, &e.Absent, &e.Updated, &e.AsOf, &e.Heard,
		&digest, &e.Fields, &e.At)
	copy(e.Digest[:], digest)
	return e, err
}

// AddHistory appends to records' histories.
func (t *Tx) AddHistory(shop int64, entries []Entry) error {
	const columns = 14
	return chunks(entries, columns, func(part []Entry) error {
		args := make([]any, 0, len(part)*columns)
		for _, e := range part {
			args = append(args, shop, e.Key.ID, e.Key.Kind, e.Source, e.Topic, e.Delivery, e.Outcome, e.Absent, e.Updated, e.AsOf, e.Heard,
				e.Digest[:], e.Fields, e.At)
		}
		_, err := t.exec(`INSERT INTO history (shop_id, id, kind, source, topic, delivery, outcome, absent, updated_at, as_of, heard, digest, fields, at)
			VALUES `+placeholders(1, len(part), columns), args...)
		if err != nil {
			return fmt.Errorf("append %d entries of history: %w", len(part), err)
		}
		return nil
	})
}

// HistoryOf lists the newest entries of the ids, the newest first.
func (t *Tx) HistoryOf(shop int64, ids []mirror.GID, limit int) ([]Entry, error) {
	var all []Entry
	err := chunks(ids, 1, func(part []mirror.GID) error {
		args := append(append([]any{shop}, anys(part)...), limit)
		entries, err := list(t, `SELECT `+entryColumns+` FROM history WHERE shop_id = $1 AND id IN `+in(2, len(part))+fmt.Sprintf(` ORDER BY seq DESC LIMIT $%d`, len(args)), args, scanEntry)
		all = append(all, entries...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("history of %d records: %w", len(ids), err)
	}
	return all, nil
}

// ToldSince calls do for the entries that webhooks left for the ids and that
// were true at since or later, by id and in their order.
func (t *Tx) ToldSince(shop int64, ids []mirror.GID, since mirror.Instant, do func(Entry) error) error {
	err := chunks(ids, 1, func(part []mirror.GID) error {
		args := append([]any{shop, mirror.FromWebhook, since}, anys(part)...)
		return t.each(`SELECT `+entryColumns+` FROM history WHERE shop_id = $1 AND source = $2 AND as_of >= $3 AND id IN `+in(4, len(part))+` ORDER BY id, seq`, args,
			func(scan func(...any) error) error {
				e, err := scanEntry(scan)
				if err != nil {
					return err
				}
				return do(e)
			})
	})
	if err != nil {
		return fmt.Errorf("what webhooks told of %d records: %w", len(ids), err)
	}
	return nil
}

// MaxHistory is how many entries of a record are kept.
const MaxHistory = 100

// OldHistory finds up to limit entries that are over: older than a moment, or
// beyond the newest MaxHistory of their record. It counts along an index, and
// looks at the entries of such records alone, but that is much on a large
// database, so it is for a read transaction; DropHistory then deletes them.
func (t *Tx) OldHistory(before mirror.Instant, limit int) ([]int64, error) {
	return list(t, `WITH long AS MATERIALIZED (
			SELECT shop_id, id, (SELECT seq FROM history newer WHERE newer.shop_id = h.shop_id AND newer.id = h.id ORDER BY seq DESC LIMIT 1 OFFSET $2) AS last
			FROM history h GROUP BY shop_id, id HAVING COUNT(*) > $2)
		SELECT seq FROM history WHERE at < $1
		UNION ALL SELECT history.seq FROM long JOIN history ON history.shop_id = long.shop_id AND history.id = long.id AND history.seq <= long.last LIMIT $3`,
		[]any{before, MaxHistory, limit}, func(scan func(...any) error) (int64, error) {
			var seq int64
			err := scan(&seq)
			return seq, err
		})
}

// DropHistory deletes entries by their numbers.
func (t *Tx) DropHistory(seqs []int64) error {
	return chunks(seqs, 1, func(part []int64) error {
		_, err := t.exec(`DELETE FROM history WHERE seq IN `+in(1, len(part)), anys(part)...)
		return err
	})
}
