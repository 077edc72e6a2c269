package store

import (
	"errors"
	"fmt"

	"stockroom/internal/mirror"
)

// Delivery is a webhook as it came.
type Delivery struct {
	Seq         int64
	ShopID      int64
	Topic       string
	WebhookID   string
	Bound       bool // Shop and topic are proved by the address; otherwise they are claims.
	EventID     string
	APIVersion  string
	TriggeredAt mirror.Instant // As the header says; zero when it says nothing readable.
	ReceivedAt  mirror.Instant // On the shop's Shopify clock.
	Body        []byte
	Sealed      bool   // The body is sealed by the shop's own key.
	State       string // new, done or quarantined.
	Reason      string
	AppliedAt   mirror.Instant
}

// States of a delivery.
const (
	DeliveryNew         = "new"
	DeliveryDone        = "done"
	DeliveryQuarantined = "quarantined"
)

// AddDeliveries stores deliveries; those whose shop, topic and webhook id are
// stored already are passed over.
func (t *Tx) AddDeliveries(all []Delivery) error {
	const columns = 12
	return chunks(all, columns, func(part []Delivery) error {
		args := make([]any, 0, len(part)*columns)
		for _, d := range part {
			args = append(args, d.ShopID, d.Topic, d.WebhookID, d.Bound, d.EventID, d.APIVersion, d.TriggeredAt, d.ReceivedAt, d.Body, d.Sealed, d.State, d.Reason)
		}
		_, err := t.exec(`INSERT INTO inbox (shop_id, topic, webhook_id, bound, event_id, api_version, triggered_at, received_at, body, sealed, state, reason)
			VALUES `+placeholders(1, len(part), columns)+` ON CONFLICT (shop_id, topic, webhook_id) DO NOTHING`, args...)
		if err != nil {
			return fmt.Errorf("store %d webhooks: %w", len(part), err)
		}
		return nil
	})
}

// NewDeliveries lists the oldest webhooks that are not applied yet: up to limit
// of them, and no more once their bodies together pass maxBytes. What a shop sent
// that is being erased is not applied any more.
func (t *Tx) NewDeliveries(limit, maxBytes int) ([]Delivery, error) {
	var all []Delivery
	err := t.each(`SELECT `+deliveryColumns+` FROM inbox WHERE state = 'new'
		AND shop_id NOT IN (SELECT id FROM shops WHERE state = 'erasing') ORDER BY seq LIMIT $1`, []any{limit}, upTo(maxBytes, &all))
	if errors.Is(err, errEnough) {
		err = nil
	}
	return all, err
}

const deliveryColumns = `seq, shop_id, topic, webhook_id, bound, event_id, api_version, triggered_at, received_at, body, sealed, state, reason, applied_at`

// upTo gathers deliveries until their bodies together pass maxBytes.
func upTo(maxBytes int, all *[]Delivery) func(scan func(...any) error) error {
	bytes := 0
	return func(scan func(...any) error) error {
		var d Delivery
		err := scan(&d.Seq, &d.ShopID, &d.Topic, &d.WebhookID, &d.Bound, &d.EventID, &d.APIVersion, &d.TriggeredAt, &d.ReceivedAt, &d.Body,
			&d.Sealed, &d.State, &d.Reason, &d.AppliedAt)
		*all = append(*all, d)
		if bytes += len(d.Body); err == nil && bytes > maxBytes {
			return errEnough
		}
		return err
	}
}

// DeliveryFilter selects stored webhooks of a shop.
type DeliveryFilter struct {
	Shop   int64
	States []string       // Any of these.
	Topic  string         // Empty for all.
	Since  mirror.Instant // Received then or later.
	After  int64          // Stored after this one.
	UpTo   int64          // And up to this one; zero for no end.
}

// Deliveries lists stored webhooks, oldest first: up to limit of them, and no
// more once their bodies together pass maxBytes.
func (t *Tx) Deliveries(f DeliveryFilter, limit, maxBytes int) ([]Delivery, error) {
	var all []Delivery
	args := append([]any{f.Shop, f.Topic, f.Since, f.After, f.UpTo, limit}, anys(f.States)...)
	err := t.each(`SELECT `+deliveryColumns+` FROM inbox WHERE shop_id = $1 AND ($2 = '' OR topic = $2) AND received_at >= $3 AND seq > $4
		AND ($5 = 0 OR seq <= $5) AND state IN `+in(7, len(f.States))+` ORDER BY seq LIMIT $6`, args, upTo(maxBytes, &all))
	if errors.Is(err, errEnough) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("list stored webhooks: %w", err)
	}
	return all, nil
}

// LastDelivery is the number of the webhook that was stored last; zero for none.
func (t *Tx) LastDelivery() (int64, error) {
	var seq int64
	err := t.one(`SELECT COALESCE(MAX(seq), 0) FROM inbox`, nil, &seq)
	return seq, err
}

// errEnough ends a scan early.
var errEnough = errors.New("enough")

// FinishDeliveries marks webhooks as applied.
func (t *Tx) FinishDeliveries(seqs []int64, now mirror.Instant) error {
	return chunks(seqs, 1, func(part []int64) error {
		_, err := t.exec(`UPDATE inbox SET state = 'done', applied_at = $1 WHERE seq IN `+in(2, len(part)), append([]any{now}, anys(part)...)...)
		return err
	})
}

// QuarantineDelivery sets a webhook aside with the reason why it cannot be applied.
func (t *Tx) QuarantineDelivery(seq int64, reason string, now mirror.Instant) error {
	_, err := t.exec(`UPDATE inbox SET state = 'quarantined', reason = $2, applied_at = $3 WHERE seq = $1`, seq, reason, now)
	return err
}

// OldestNew is the receipt of the shop's oldest webhook that is stored and not applied; zero when there is none.
func (t *Tx) OldestNew(shop int64) (mirror.Instant, error) {
	var at mirror.Instant
	err := t.one(`SELECT COALESCE(MIN(received_at), 0) FROM inbox WHERE shop_id = $1 AND state = 'new'`, []any{shop}, &at)
	return at, err
}

// LastHeard is the latest of what is known of the shop: the receipt of its newest
// webhook, or the start of its last complete read; zero for neither.
func (t *Tx) LastHeard(shop int64) (mirror.Instant, error) {
	var at mirror.Instant
	err := t.one(`SELECT COALESCE(MAX(at), 0) FROM (SELECT MAX(received_at) AS at FROM inbox WHERE shop_id = $1 AND `+notPages+`
		UNION ALL SELECT MAX(started_at) FROM complete_reads WHERE shop_id = $1) heard`, []any{shop}, &at)
	return at, err
}

// CountDeliveries counts a shop's webhooks by state.
func (t *Tx) CountDeliveries(shop int64) (map[string]int64, error) {
	counts := map[string]int64{}
	err := t.each(`SELECT state, COUNT(*) FROM inbox WHERE shop_id = $1 GROUP BY state`, []any{shop}, func(scan func(...any) error) error {
		var state string
		var n int64
		err := scan(&state, &n)
		counts[state] = n
		return err
	})
	return counts, err
}

// DropDeliveries deletes up to limit webhooks whose time is over, and says how many.
func (t *Tx) DropDeliveries(doneBefore, quarantinedBefore mirror.Instant, limit int) (int64, error) {
	return t.exec(`DELETE FROM inbox WHERE seq IN (SELECT seq FROM inbox WHERE state = 'done' AND received_at < $1
		UNION ALL SELECT seq FROM inbox WHERE state = 'quarantined' AND received_at < $2 LIMIT $3)`, doneBefore, quarantinedBefore, limit)
}

// Rejection is a delivery whose signature was wrong. All but the time and the digest are claims.
type Rejection struct {
	At        mirror.Instant
	Shop      string
	Topic     string
	WebhookID string
	Digest    []byte // SHA-256 of the body.
}

// MaxRejected is how many rejections are kept: older ones make room.
const MaxRejected = 10_000

// AddRejections notes deliveries whose signature was wrong.
func (t *Tx) AddRejections(all []Rejection) error {
	const columns = 5
	err := chunks(all, columns, func(part []Rejection) error {
		args := make([]any, 0, len(part)*columns)
		for _, r := range part {
			args = append(args, r.At, r.Shop, r.Topic, r.WebhookID, r.Digest)
		}
		_, err := t.exec(`INSERT INTO rejected (at, shop, topic, webhook_id, digest) VALUES `+placeholders(1, len(part), columns), args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("note %d rejections: %w", len(all), err)
	}
	_, err = t.exec(`DELETE FROM rejected WHERE seq <= (SELECT MAX(seq) FROM rejected) - $1`, MaxRejected)
	return err
}

// CountRejected counts the rejections kept.
func (t *Tx) CountRejected() (int64, error) {
	var n int64
	err := t.one(`SELECT COUNT(*) FROM rejected`, nil, &n)
	return n, err
}

// Receipt is an acknowledged message of which nothing else is kept.
type Receipt struct {
	At        mirror.Instant
	Shop      string
	Topic     string
	WebhookID string
	Note      string
}

// AddReceipt keeps a receipt.
func (t *Tx) AddReceipt(r Receipt) error {
	_, err := t.exec(`INSERT INTO receipts (at, shop, topic, webhook_id, note) VALUES ($1, $2, $3, $4, $5)`, r.At, r.Shop, r.Topic, r.WebhookID, r.Note)
	return err
}

// Receipts lists the newest receipts.
func (t *Tx) Receipts(limit int) ([]Receipt, error) {
	return list(t, `SELECT at, shop, topic, webhook_id, note FROM receipts ORDER BY seq DESC LIMIT $1`, []any{limit},
		func(scan func(...any) error) (Receipt, error) {
			var r Receipt
			err := scan(&r.At, &r.Shop, &r.Topic, &r.WebhookID, &r.Note)
			return r, err
		})
}
