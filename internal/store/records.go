package store

import (
	"cmp"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/mirror"
)

// Record is a row of the copy.
type Record struct {
	Key   mirror.Key
	State mirror.State

	// ExceptAt is the start of the last full read, complete or under way, that
	// did not find the record as it is stored; zero for none. Such reads that
	// began up to then prove nothing here.
	ExceptAt mirror.Instant
}

// LoadRecords reads the rows of the keys; what is not stored is missing from
// the map. A row that the last complete read found unchanged is as good as read
// at that read's start, and comes back so.
func (t *Tx) LoadRecords(shop int64, keys []mirror.Key) (map[mirror.Key]Record, error) {
	proven, err := t.completeReads(shop)
	if err != nil {
		return nil, err
	}
	byKind := map[mirror.Kind][]any{}
	for _, key := range keys {
		byKind[key.Kind] = append(byKind[key.Kind], string(key.ID))
	}
	found := make(map[mirror.Key]Record, len(keys))
	for kind, ids := range byKind {
		info := mirror.InfoOf(kind)
		err := chunks(ids, 1, func(ids []any) error {
			return t.each(`SELECT id, parent, link, content, digest, updated_at, as_of, dead, seen, heard, read_at, webhook_at, webhook_lo, webhook_hi, except_at,
					refuted_from, refuted_to FROM records WHERE shop_id = $1 AND kind = $2 AND id IN `+in(3, len(ids)), append([]any{shop, kind}, ids...),
				func(scan func(...any) error) error {
					record, err := scanRecord(kind, scan)
					if start := proven[kind]; start > record.ExceptAt {
						record.State = record.State.ProvenAt(info, start)
					}
					found[record.Key] = record
					return err
				})
		})
		if err != nil {
			return nil, fmt.Errorf("load %s records: %w", kind, err)
		}
	}
	return found, nil
}

func scanRecord(kind mirror.Kind, scan func(...any) error) (Record, error) {
	r := Record{Key: mirror.Key{Kind: kind}}
	var content sql.NullString
	var digest, lo, hi []byte
	err := scan(&r.Key.ID, &r.State.Parent, &r.State.Link, &content, &digest, &r.State.Updated, &r.State.AsOf, &r.State.Dead, &r.State.Seen,
		&r.State.Heard, &r.State.ReadAt, &r.State.WebhookAt, &lo, &hi, &r.ExceptAt,
		&r.State.RefutedFrom, &r.State.RefutedTo)
	if content.Valid {
		r.State.Content = []byte(content.String)
	}
	copy(r.State.Digest[:], digest)
	copy(r.State.WebhookLo[:], lo)
	copy(r.State.WebhookHi[:], hi)
	return r, err
}

// SaveRecords writes rows, each key at most once.
func (t *Tx) SaveRecords(shop int64, records []Record) error {
	const columns = 19
	return chunks(records, columns, func(part []Record) error {
		args := make([]any, 0, len(part)*columns)
		for _, r := range part {
			s := r.State
			content := sql.NullString{String: string(s.Content), Valid: s.Content != nil}
			args = append(args, shop, r.Key.Kind, r.Key.ID, s.Parent, s.Link, content, s.Digest[:], s.Updated, s.AsOf, s.Dead, s.Seen,
				s.Heard, s.ReadAt, s.WebhookAt, s.WebhookLo[:], s.WebhookHi[:], r.ExceptAt, s.RefutedFrom, s.RefutedTo)
		}
		_, err := t.exec(`INSERT INTO records (shop_id, kind, id, parent, link, content, digest, updated_at, as_of, dead, seen, heard,
				read_at, webhook_at, webhook_lo, webhook_hi, except_at, refuted_from, refuted_to) VALUES `+placeholders(1, len(part), columns)+`
			ON CONFLICT (shop_id, kind, id) DO UPDATE SET parent = excluded.parent, link = excluded.link, content = excluded.content, digest = excluded.digest,
				updated_at = excluded.updated_at, as_of = excluded.as_of, dead = excluded.dead, seen = excluded.seen, heard = excluded.heard,
				read_at = excluded.read_at, webhook_at = excluded.webhook_at, webhook_lo = excluded.webhook_lo,
				webhook_hi = excluded.webhook_hi, except_at = excluded.except_at,
				refuted_from = excluded.refuted_from, refuted_to = excluded.refuted_to`, args...)
		if err != nil {
			return fmt.Errorf("save %d records: %w", len(part), err)
		}
		return nil
	})
}

// completeReads is, by kind, the start of the shop's last complete ok read.
func (t *Tx) completeReads(shop int64) (map[mirror.Kind]mirror.Instant, error) {
	starts := map[mirror.Kind]mirror.Instant{}
	err := t.each(`SELECT kind, started_at FROM complete_reads WHERE shop_id = $1`, []any{shop}, func(scan func(...any) error) error {
		var kind mirror.Kind
		var start mirror.Instant
		err := scan(&kind, &start)
		starts[kind] = start
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load complete reads: %w", err)
	}
	return starts, nil
}

// LastReadStart is when the shop's last full read began, be it complete or
// under way; zero before the first. What is written from elsewhere after that
// was not found by it.
func (t *Tx) LastReadStart(shop int64) (mirror.Instant, error) {
	var start mirror.Instant
	err := t.one(`SELECT COALESCE(MAX(at), 0) FROM (SELECT MAX(started_at) AS at FROM complete_reads WHERE shop_id = $1
		UNION ALL SELECT MAX(started_at) FROM runs WHERE shop_id = $1 AND state = 'running') starts`, []any{shop}, &start)
	if err != nil {
		return 0, fmt.Errorf("find the last full read: %w", err)
	}
	return start, nil
}

// VerifiedAt is the start of the last complete ok read of all kinds of an
// export type; zero before the first.
func (t *Tx) VerifiedAt(shop int64, exportType string) (mirror.Instant, error) {
	starts, err := t.completeReads(shop)
	if err != nil {
		return 0, err
	}
	var least mirror.Instant
	for _, info := range mirror.Kinds() {
		if info.Type != exportType {
			continue
		}
		start, read := starts[info.Kind]
		if !read {
			return 0, nil
		}
		if least == 0 || start < least {
			least = start
		}
	}
	return least, nil
}

// SetComplete notes that a run begun at start read all records of these kinds.
func (t *Tx) SetComplete(shop, run int64, kinds []mirror.Kind, start mirror.Instant) error {
	for _, kind := range kinds {
		_, err := t.exec(`INSERT INTO complete_reads (shop_id, kind, started_at, run_id) VALUES ($1, $2, $3, $4)
			ON CONFLICT (shop_id, kind) DO UPDATE SET started_at = excluded.started_at, run_id = excluded.run_id
			WHERE excluded.started_at > complete_reads.started_at`, shop, kind, start, run)
		if err != nil {
			return fmt.Errorf("note complete read of %s: %w", kind, err)
		}
	}
	return nil
}

// shown is State.Shown in SQL. Parents and sets may hide a record still.
var shown = func() string {
	var returning []string
	for _, info := range mirror.Kinds() {
		if info.Returns {
			returning = append(returning, "'"+string(info.Kind)+"'")
		}
	}
	return "content IS NOT NULL AND (dead = 0 OR dead < seen OR dead < as_of AND kind IN (" + strings.Join(returning, ", ") + "))"
}()

// Row is a shown record, as readers need it.
type Row struct {
	ID      mirror.GID
	Parent  mirror.GID
	Link    mirror.GID
	Content []byte
}

func scanRow(scan func(...any) error) (Row, error) {
	var r Row
	err := scan(&r.ID, &r.Parent, &r.Link, &r.Content)
	return r, err
}

// ShownAfter lists up to limit shown records of a kind by id, beginning after an id.
func (t *Tx) ShownAfter(shop int64, kind mirror.Kind, after mirror.GID, limit int) ([]Row, error) {
	return list(t, `SELECT id, parent, link, content FROM records WHERE shop_id = $1 AND kind = $2 AND id > $3 AND `+shown+` ORDER BY id LIMIT $4`,
		[]any{shop, kind, after, limit}, scanRow)
}

// ShownByID finds shown records of a kind by their ids.
func (t *Tx) ShownByID(shop int64, kind mirror.Kind, ids []mirror.GID) (map[mirror.GID]Row, error) {
	found := make(map[mirror.GID]Row, len(ids))
	err := chunks(ids, 1, func(part []mirror.GID) error {
		return t.each(`SELECT id, parent, link, content FROM records WHERE shop_id = $1 AND kind = $2 AND `+shown+` AND id IN `+in(3, len(part)),
			append([]any{shop, kind}, anys(part)...), func(scan func(...any) error) error {
				row, err := scanRow(scan)
				found[row.ID] = row
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", kind, err)
	}
	return found, nil
}

// shownRefs finds shown records of a kind by their ids, without their contents:
// who only asks whether something is there must not load a shop's descriptions.
func (t *Tx) shownRefs(shop int64, kind mirror.Kind, ids []mirror.GID) (map[mirror.GID]Row, error) {
	found := make(map[mirror.GID]Row, len(ids))
	err := chunks(ids, 1, func(part []mirror.GID) error {
		return t.each(`SELECT id, parent, link FROM records WHERE shop_id = $1 AND kind = $2 AND `+shown+` AND id IN `+in(3, len(part)),
			append([]any{shop, kind}, anys(part)...), func(scan func(...any) error) error {
				var row Row
				err := scan(&row.ID, &row.Parent, &row.Link)
				found[row.ID] = row
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("find %s: %w", kind, err)
	}
	return found, nil
}

// ShownByParent finds the shown records of a kind that belong to the parents, by parent and then id.
func (t *Tx) ShownByParent(shop int64, kind mirror.Kind, parents []mirror.GID) (map[mirror.GID][]Row, error) {
	found := make(map[mirror.GID][]Row, len(parents))
	err := chunks(parents, 1, func(part []mirror.GID) error {
		return t.each(childrenQuery("parent", len(part)),
			append([]any{shop, kind}, anys(part)...), func(scan func(...any) error) error {
				row, err := scanRow(scan)
				found[row.Parent] = append(found[row.Parent], row)
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("find %s by parent: %w", kind, err)
	}
	return sortedByID(found), nil
}

// ShownByLink finds the shown records of a kind that name the linked ones, by link and then id.
func (t *Tx) ShownByLink(shop int64, kind mirror.Kind, links []mirror.GID) (map[mirror.GID][]Row, error) {
	found := make(map[mirror.GID][]Row, len(links))
	err := chunks(links, 1, func(part []mirror.GID) error {
		return t.each(childrenQuery("link", len(part)),
			append([]any{shop, kind}, anys(part)...), func(scan func(...any) error) error {
				row, err := scanRow(scan)
				found[row.Link] = append(found[row.Link], row)
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("find %s by link: %w", kind, err)
	}
	return sortedByID(found), nil
}

// LevelsAt lists the shown inventory levels at a location. It walks all levels of the shop.
func (t *Tx) LevelsAt(shop int64, location mirror.GID) ([]Row, error) {
	return list(t, `SELECT id, parent, link, content FROM records WHERE shop_id = $1 AND kind = $2 AND `+shown+` AND id LIKE $3`,
		[]any{shop, mirror.KindInventoryLevel, "%" + string(mirror.LevelID("", location))}, scanRow)
}

// childrenQuery finds shown records of a kind by the n values of a column.
func childrenQuery(column string, n int) string {
	return `SELECT id, parent, link, content FROM records WHERE shop_id = $1 AND kind = $2 AND ` + column + ` <> '' AND ` + shown + ` AND ` + column + ` IN ` + in(3, n)
}

// sortedByID orders rows here: asked for an order, SQLite walks the primary key
// through all of the kind's rows instead of looking up the few by their index.
func sortedByID(groups map[mirror.GID][]Row) map[mirror.GID][]Row {
	for _, rows := range groups {
		slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
	}
	return groups
}

// CountShown counts the shown records of a kind.
func (t *Tx) CountShown(shop int64, kind mirror.Kind) (int64, error) {
	var n int64
	err := t.one(`SELECT COUNT(*) FROM records WHERE shop_id = $1 AND kind = $2 AND `+shown, []any{shop, kind}, &n)
	return n, err
}

// Unread lists up to limit shown records of a kind, by id after an id, that the
// run did not read and whose last word is older than start: candidates for deletion.
func (t *Tx) Unread(shop, run int64, kind mirror.Kind, start mirror.Instant, after mirror.GID, limit int) ([]Row, error) {
	return list(t, `SELECT id, parent, link, content FROM records r WHERE shop_id = $1 AND kind = $2 AND id > $3 AND as_of < $4 AND `+shown+`
			AND NOT EXISTS (SELECT 1 FROM run_records u WHERE u.run_id = $5 AND u.kind = r.kind AND u.id = r.id)
		ORDER BY id LIMIT $6`, []any{shop, kind, after, start, run, limit}, scanRow)
}

// Change is an entry of the change feed.
type Change struct {
	Seq    int64
	Key    mirror.Key
	Action string // created, updated or deleted, as readers see it.
	Source mirror.Source
	AsOf   mirror.Instant
	At     mirror.Instant // When it was committed, by this machine's clock.
}

// AddChanges appends to the shop's change feed.
func (t *Tx) AddChanges(shop int64, changes []Change) error {
	const columns = 7
	return chunks(changes, columns, func(part []Change) error {
		args := make([]any, 0, len(part)*columns)
		for _, c := range part {
			args = append(args, shop, c.Key.Kind, c.Key.ID, c.Action, c.Source, c.AsOf, c.At)
		}
		_, err := t.exec(`INSERT INTO changes (shop_id, kind, id, action, source, as_of, at) VALUES `+placeholders(1, len(part), columns), args...)
		if err != nil {
			return fmt.Errorf("append %d changes: %w", len(part), err)
		}
		return nil
	})
}

// ChangesAfter reads the shop's change feed after a sequence number.
func (t *Tx) ChangesAfter(shop, seq int64, limit int) ([]Change, error) {
	return list(t, `SELECT seq, kind, id, action, source, as_of, at FROM changes WHERE shop_id = $1 AND seq > $2 ORDER BY seq LIMIT $3`,
		[]any{shop, seq, limit}, func(scan func(...any) error) (Change, error) {
			var c Change
			err := scan(&c.Seq, &c.Key.Kind, &c.Key.ID, &c.Action, &c.Source, &c.AsOf, &c.At)
			return c, err
		})
}

func anys[T any](all []T) []any {
	out := make([]any, len(all))
	for i, one := range all {
		out[i] = one
	}
	return out
}
