package store

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"stockroom/internal/mirror"
)

// An erasure takes a shop's rows out in parts, so that no other shop's webhooks
// wait for a large one, and scrubs then: with secure_delete what is deleted is
// overwritten, but the search index and the write-ahead log hold older copies.

// Receipt states.
const (
	ErasureAsked     = "asked"
	ErasureErasing   = "erasing"
	ErasureScrubbing = "scrubbing" // All rows are out; older copies of them may lie in the files.
	ErasureDone      = "done"
)

// What the erasure of Facebook Pages was asked for by. Their receipts name the
// Pages in their subjects.
const (
	TopicPagesDeletion     = "facebook/deletion"   // The person who connected them asks, through Facebook.
	TopicPagesDisconnected = "facebook/disconnect" // The operator.
	TopicPagesUninstalled  = "facebook/uninstall"  // Their shop has removed the app.
)

// TopicRemoved stands for a topic where the operator, and no webhook, had a shop erased.
const TopicRemoved = "removed"

// ErasureReceipt is what was asked to be erased, or to be told of, and what came
// of it. It names the shop, objects by their ids, and nobody.
type ErasureReceipt struct {
	ID        int64
	Shop      string
	Topic     string // shop/redact, customers/redact, customers/data_request, TopicRemoved, or one of the TopicPages.
	WebhookID string
	State     string
	Erasing   int64    // The shop's row; zero where none is known.
	Subjects  Subjects // Of a customer's request.
	TrueAt    mirror.Instant
	AskedAt   mirror.Instant
	DoneAt    mirror.Instant
	Rows      map[string]int64 // Erased, or found, by table.
	Remaining int64            // What the second look found.
	Note      string
}

// Subjects are the ids that a request names. Of a customer who is to be erased
// their own id is not kept, nor of a person at Facebook.
type Subjects struct {
	Customer mirror.GID   `json:"customer,omitempty"`
	Request  string       `json:"request,omitempty"` // The number of a data request.
	Orders   []mirror.GID `json:"orders,omitempty"`
	Pages    []int64      `json:"pages,omitempty"` // Rows of Facebook Pages.
}

const erasureColumns = `id, shop, topic, webhook_id, state, erasing, subjects, true_at, asked_at, done_at, rows, remaining, note`

func scanErasure(scan func(...any) error) (ErasureReceipt, error) {
	var r ErasureReceipt
	var subjects, rows []byte
	err := scan(&r.ID, &r.Shop, &r.Topic, &r.WebhookID, &r.State, &r.Erasing, &subjects, &r.TrueAt, &r.AskedAt, &r.DoneAt, &rows, &r.Remaining, &r.Note)
	if err != nil {
		return r, err
	}
	return r, errors.Join(json.Unmarshal(subjects, &r.Subjects), json.Unmarshal(rows, &r.Rows))
}

// AddErasure keeps a request. Asked again by the same webhook it is the same
// request, and is returned as it stands.
func (t *Tx) AddErasure(r ErasureReceipt) (ErasureReceipt, error) {
	if r.WebhookID != "" {
		known, err := list(t, `SELECT `+erasureColumns+` FROM erasure_receipts WHERE shop = $1 AND topic = $2 AND webhook_id = $3`,
			[]any{r.Shop, r.Topic, r.WebhookID}, scanErasure)
		if err != nil || len(known) > 0 {
			return append(known, ErasureReceipt{})[0], err
		}
	}
	subjects, err := json.Marshal(r.Subjects)
	if err != nil {
		return r, err
	}
	err = t.one(`INSERT INTO erasure_receipts (shop, topic, webhook_id, state, erasing, subjects, true_at, asked_at, done_at, rows, note)
		VALUES `+placeholders(1, 1, 11)+` RETURNING id`,
		[]any{r.Shop, r.Topic, r.WebhookID, r.State, r.Erasing, string(subjects), r.TrueAt, r.AskedAt, r.DoneAt, "{}", r.Note}, &r.ID)
	if err != nil {
		return r, fmt.Errorf("keep the request to erase of shop %s: %w", r.Shop, err)
	}
	return r, nil
}

// SaveErasure writes how far a request is.
func (t *Tx) SaveErasure(r ErasureReceipt) error {
	if r.Rows == nil {
		r.Rows = map[string]int64{}
	}
	rows, err := json.Marshal(r.Rows)
	if err == nil {
		_, err = t.exec(`UPDATE erasure_receipts SET state = $2, done_at = $3, rows = $4, remaining = $5, note = $6 WHERE id = $1`,
			r.ID, r.State, r.DoneAt, string(rows), r.Remaining, r.Note)
	}
	if err != nil {
		return fmt.Errorf("save receipt %d: %w", r.ID, err)
	}
	return nil
}

// ErasureByID finds a receipt.
func (t *Tx) ErasureByID(id int64) (ErasureReceipt, error) {
	return scanErasure(func(into ...any) error {
		return t.one(`SELECT `+erasureColumns+` FROM erasure_receipts WHERE id = $1`, []any{id}, into...)
	})
}

// OpenErasures lists the requests that are not carried out yet, oldest first.
func (t *Tx) OpenErasures() ([]ErasureReceipt, error) {
	return list(t, `SELECT `+erasureColumns+` FROM erasure_receipts WHERE state <> 'done' ORDER BY id`, nil, scanErasure)
}

// ErasuresBy lists the receipts of one request, which may concern several shops.
func (t *Tx) ErasuresBy(topic, webhookID string) ([]ErasureReceipt, error) {
	return list(t, `SELECT `+erasureColumns+` FROM erasure_receipts WHERE topic = $1 AND webhook_id = $2 ORDER BY id`, []any{topic, webhookID}, scanErasure)
}

// Erasures lists the newest receipts.
func (t *Tx) Erasures(limit int) ([]ErasureReceipt, error) {
	return list(t, `SELECT `+erasureColumns+` FROM erasure_receipts ORDER BY id DESC LIMIT $1`, []any{limit}, scanErasure)
}

// RedactedOrders tells until when what was heard of orders is not to be fed
// through again, by order: a customer had it erased then.
func (t *Tx) RedactedOrders(domain string) (map[mirror.GID]mirror.Instant, error) {
	receipts, err := list(t, `SELECT `+erasureColumns+` FROM erasure_receipts WHERE shop = $1 AND topic = 'customers/redact'`, []any{domain}, scanErasure)
	if err != nil {
		return nil, fmt.Errorf("list erased orders of shop %s: %w", domain, err)
	}
	redacted := map[mirror.GID]mirror.Instant{}
	for _, r := range receipts {
		for _, order := range r.Subjects.Orders {
			redacted[order] = max(redacted[order], r.TrueAt)
		}
	}
	return redacted, nil
}

// ErasedBody stands where a stored webhook's body was.
const ErasedBody = "{}"

// EraseBody empties a stored webhook's body, once it has been acted on and must not be kept.
func (t *Tx) EraseBody(seq int64) error {
	if _, err := t.exec(`UPDATE inbox SET body = $2, sealed = 0 WHERE seq = $1`, seq, []byte(ErasedBody)); err != nil {
		return fmt.Errorf("erase the body of webhook %d: %w", seq, err)
	}
	return nil
}

// eraseStep is one table's part of an erasure: its rows of a shop, by a key.
type eraseStep struct {
	table string
	key   string // Columns that name a row.
	where string // $1 is the shop.
}

// ofRuns selects what hangs on a shop's runs.
const ofRuns = `run_id IN (SELECT id FROM runs WHERE shop_id = $1)`

// eraseSteps take out everything of a shop, those that others refer to last.
var eraseSteps = func() []eraseStep {
	steps := []eraseStep{
		// The key comes first: from then on no stored body of a customer can be read.
		{"shop_keys", "shop_id", "shop_id = $1"},
		{"product_tokens", "rowid", "rowid IN (SELECT rowid FROM product_search WHERE shop_id = $1)"},
		{"product_offers", "rowid", "product IN (SELECT rowid FROM product_search WHERE shop_id = $1)"},
		{"run_records", "run_id, kind, id", ofRuns},
		{"staged", "run_id, list, owner, child", ofRuns},
		{"drift", "run_id, type, id, kind", ofRuns},
		{"run_topics", "run_id, topic", ofRuns},
	}
	for _, table := range shopTables {
		steps = append(steps, eraseStep{table, "rowid", "shop_id = $1"})
	}
	return steps
}()

// shopTables are the other tables with a column shop_id, those that others refer to
// last. One WITHOUT ROWID needs a step of its own, which names its key.
var shopTables = []string{
	"facebook_messages", "facebook_logins", "facebook_pages", "product_search", "api_keys", "subscriptions", "daily_runs", "complete_reads", "tasks", "sweep_marks", "tombstones", "habits", "habits_counted", "silences", "inbox", "demands", "changes", "history", "records", "runs",
}

// BeginErasure takes a shop out of sight: no reader finds it, no call is made for
// it, none of its secrets is left, and its domain is free to connect anew. Its
// rows are left to EraseSome.
func (t *Tx) BeginErasure(shop Shop) error {
	noKey := make([]byte, 32) // A hash that no webhook's key has.
	_, _ = rand.Read(noKey)   // Never fails.
	statements := []struct {
		text string
		args []any
	}{
		{`DELETE FROM shop_keys WHERE shop_id = $1`, []any{shop.ID}},
		{`DELETE FROM api_keys WHERE shop_id = $1`, []any{shop.ID}},
		{`DELETE FROM sessions WHERE scope = 'connected:' || $1 OR scope = 'facebook:' || $1`, []any{shop.Domain}},
		{`DELETE FROM facebook_logins WHERE shop_id = $1`, []any{shop.ID}},
		{`DELETE FROM token_leases WHERE domain = $1`, []any{shop.Domain}},
		// What was signed wrongly only claimed to be the shop's, and names it all the same.
		{`DELETE FROM rejected WHERE shop = $1`, []any{shop.Domain}},
		{`UPDATE shops SET domain = 'erasing-' || id, state = 'erasing', scopes = '', webhook_key = $2, webhook_key_hash = $3,
			access_token = NULL, refresh_token = NULL, last_access_token = NULL, last_refresh_token = NULL, trouble = '' WHERE id = $1`, []any{shop.ID, []byte{}, noKey}},
	}
	for _, s := range statements {
		if _, err := t.exec(s.text, s.args...); err != nil {
			return fmt.Errorf("begin to erase shop %s: %w", shop.Domain, err)
		}
	}
	_, err := t.LeaveFacebookPagesOf(shop.ID)
	return err
}

// EraseSome deletes up to limit rows of a shop and says of which tables. With
// nothing left to delete, the map is empty.
func (t *Tx) EraseSome(shop int64, limit int) (map[string]int64, error) {
	erased := map[string]int64{}
	for _, step := range eraseSteps {
		n, err := t.exec(`DELETE FROM `+step.table+` WHERE (`+step.key+`) IN (SELECT `+step.key+` FROM `+step.table+` WHERE `+step.where+` LIMIT $2)`, shop, limit)
		if err != nil {
			return erased, fmt.Errorf("erase %s of shop %d: %w", step.table, shop, err)
		}
		if n > 0 {
			erased[step.table] = n
		}
		if limit -= int(n); limit <= 0 {
			break // Tables further on may be referred to by what is left of this one.
		}
	}
	return erased, nil
}

// RowsOf counts all rows of a shop, by table; its own row is not among them.
func (t *Tx) RowsOf(shop int64) (map[string]int64, error) {
	rows := map[string]int64{}
	for _, step := range eraseSteps {
		var n int64
		if err := t.one(`SELECT COUNT(*) FROM `+step.table+` WHERE `+step.where, []any{shop}, &n); err != nil {
			return nil, fmt.Errorf("count %s of shop %d: %w", step.table, shop, err)
		}
		if n > 0 {
			rows[step.table] = n
		}
	}
	return rows, nil
}

// EndErasure looks once more for rows of a shop. Where there is none, the shop's
// own row goes, and nothing can be written of it from then on; else it says how many.
func (t *Tx) EndErasure(shop int64) (remaining int64, err error) {
	rows, err := t.RowsOf(shop)
	if err != nil {
		return 0, err
	}
	for n := range maps.Values(rows) {
		remaining += n
	}
	if remaining > 0 {
		return remaining, nil
	}
	if _, err := t.exec(`DELETE FROM shops WHERE id = $1`, shop); err != nil {
		return 0, fmt.Errorf("erase shop %d: %w", shop, err)
	}
	return 0, nil
}

// ShopKey is a shop's own key, sealed; ErrNotFound where it has none yet, or none any more.
func (t *Tx) ShopKey(shop int64) ([]byte, error) {
	var sealed []byte
	err := t.one(`SELECT sealed FROM shop_keys WHERE shop_id = $1`, []any{shop}, &sealed)
	return sealed, err
}

// AddShopKey keeps a key for a shop that has none; where it has one, or is being
// erased, nothing happens.
func (t *Tx) AddShopKey(shop int64, sealed []byte) error {
	_, err := t.exec(`INSERT INTO shop_keys (shop_id, sealed) SELECT id, $2 FROM shops WHERE id = $1 AND state <> 'erasing' ON CONFLICT DO NOTHING`, shop, sealed)
	return err
}

// KnownShops tells which of these shops have a row.
func (t *Tx) KnownShops(ids []int64) (map[int64]bool, error) {
	known := map[int64]bool{}
	err := chunks(ids, 1, func(part []int64) error {
		return t.each(`SELECT id FROM shops WHERE id IN `+in(1, len(part)), anys(part), func(scan func(...any) error) error {
			var id int64
			err := scan(&id)
			known[id] = true
			return err
		})
	})
	return known, err
}

const (
	// searchPages bounds the pages of the search index that one step of a scrub
	// writes, and searchSteps the steps: ten gigabytes together. What is not merged
	// then is left to the next scrub.
	searchPages = 256
	searchSteps = 10_000
)

// Scrub removes the older copies of deleted rows: from the search index, which
// marks deleted entries and drops them only as it is merged, and from the
// write-ahead log. It works in steps, so that writers come in between. It reports
// false where a reader holds an old state of the database: then what that reader
// sees is still in the log, and Scrub is to be called again.
//
// FTS5's own secure-delete does nothing for a contentless index, which does not
// know what words a deleted entry had. A VACUUM would do all of it, and lock
// every shop out for as long as the whole database takes to be written.
func (s *Store) Scrub(ctx context.Context) (clean bool, err error) {
	// Negative: all segments are to become one, also where a merge would not be due.
	merged := false
	for steps, pages := 0, -searchPages; !merged && steps < searchSteps; steps, pages = steps+1, searchPages {
		var before, after int64
		err := s.Update(ctx, func(tx *Tx) error {
			// The way to see that a merge had nothing to do is that it changed
			// fewer than two rows (SQLite's page "FTS5 Extension", "The merge Command").
			if err := tx.one(`SELECT total_changes()`, nil, &before); err != nil {
				return err
			}
			if _, err := tx.exec(`INSERT INTO product_tokens (product_tokens, rank) VALUES ('merge', $1)`, pages); err != nil {
				return err
			}
			return tx.one(`SELECT total_changes()`, nil, &after)
		})
		if err != nil {
			return false, fmt.Errorf("merge the search index: %w", err)
		}
		merged = after-before < 2
	}
	var busy, logged, moved int64
	if err := s.write.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &logged, &moved); err != nil {
		return false, fmt.Errorf("truncate the log of %s: %w", s.path, err)
	}
	return merged && busy == 0, nil
}

// RedactOrders takes what may tell of a customer out of these orders of a shop:
// out of the copy, out of what polls noted as drifted, and out of what a bulk
// operation's file says and is not believed yet. It says how many rows it changed, by table.
func (t *Tx) RedactOrders(shop int64, orders []mirror.GID) (map[string]int64, error) {
	rows := map[string]int64{}
	keys := make([]mirror.Key, len(orders))
	for i, id := range orders {
		keys[i] = mirror.Key{Kind: mirror.KindOrder, ID: id}
	}
	found, err := t.LoadRecords(shop, keys)
	if err != nil {
		return rows, err
	}
	var redacted []Record
	for _, record := range found {
		if record.State.Content == nil {
			continue
		}
		if record.State, err = mirror.Redact(record.State); err != nil {
			return rows, err
		}
		redacted = append(redacted, record)
	}
	if err := t.SaveRecords(shop, redacted); err != nil {
		return rows, err
	}
	count := func(table string, n int64) {
		if n > 0 {
			rows[table] += n
		}
	}
	count("records", int64(len(redacted)))
	err = chunks(orders, 1, func(part []mirror.GID) error {
		args := append([]any{shop}, anys(part)...)
		drift, err := t.exec(`DELETE FROM drift WHERE `+ofRuns+` AND id IN `+in(2, len(part)), args...)
		if err != nil {
			return err
		}
		staged, err := t.exec(`DELETE FROM staged WHERE `+ofRuns+` AND owner IN `+in(2, len(part)), args...)
		count("drift", drift)
		count("staged", staged)
		return err
	})
	if err != nil {
		return rows, fmt.Errorf("redact %d orders: %w", len(orders), err)
	}
	return rows, nil
}

// HeldOfOrders counts what is held of these orders, by table.
func (t *Tx) HeldOfOrders(shop int64, orders []mirror.GID) (map[string]int64, error) {
	rows := map[string]int64{}
	err := chunks(orders, 1, func(part []mirror.GID) error {
		args := append([]any{shop}, anys(part)...)
		for table, query := range map[string]string{
			"records": `SELECT COUNT(*) FROM records WHERE shop_id = $1 AND kind = 'Order' AND content IS NOT NULL AND id IN `,
			"history": `SELECT COUNT(*) FROM history WHERE shop_id = $1 AND id IN `,
			"drift":   `SELECT COUNT(*) FROM drift WHERE ` + ofRuns + ` AND id IN `,
		} {
			var n int64
			if err := t.one(query+in(2, len(part)), args, &n); err != nil {
				return fmt.Errorf("count %s of %d orders: %w", table, len(part), err)
			}
			if n > 0 {
				rows[table] += n
			}
		}
		return nil
	})
	return rows, err
}

// EraseBodies empties the bodies of stored webhooks, and takes those that wait as done.
func (t *Tx) EraseBodies(seqs []int64, now mirror.Instant) (int64, error) {
	var erased int64
	err := chunks(seqs, 1, func(part []int64) error {
		n, err := t.exec(`UPDATE inbox SET body = $1, sealed = 0, state = 'done', applied_at = $2 WHERE seq IN `+in(3, len(part)),
			append([]any{[]byte(ErasedBody), now}, anys(part)...)...)
		erased += n
		return err
	})
	if err != nil {
		return erased, fmt.Errorf("erase the bodies of %d webhooks: %w", len(seqs), err)
	}
	return erased, nil
}

// EndWork ends what is open for a shop: its full reads, its tasks, and the reads
// that it is owed.
func (t *Tx) EndWork(shop int64, reason string, now mirror.Instant) error {
	for _, statement := range []string{
		`UPDATE runs SET state = 'failed', error = $2, ended_at = $3 WHERE shop_id = $1 AND state IN ('queued', 'running')`,
		`UPDATE tasks SET state = 'failed', error = $2, ended_at = $3 WHERE shop_id = $1 AND state IN ('queued', 'running')`,
	} {
		if _, err := t.exec(statement, shop, reason, now); err != nil {
			return fmt.Errorf("end the work for shop %d: %w", shop, err)
		}
	}
	if _, err := t.exec(`DELETE FROM demands WHERE shop_id = $1`, shop); err != nil {
		return fmt.Errorf("end the work for shop %d: %w", shop, err)
	}
	return nil
}
