package store

import (
	"fmt"

	"stockroom/internal/mirror"
)

// Request is what a command asks a running service to do, and what became of it.
type Request struct {
	ID        int64
	ShopID    int64
	Kind      string
	Arguments []byte // JSON of whoever carries it out.
	MadeAt    mirror.Instant
	EndedAt   mirror.Instant // Zero while it waits or is carried out.
	Result    []byte         // JSON, once it has ended.
	Error     string         // Why it failed.
}

// AddRequest stores a request and returns it with its number.
func (t *Tx) AddRequest(r Request) (Request, error) {
	err := t.one(`INSERT INTO requests (shop_id, kind, arguments, made_at) VALUES ($1, $2, $3, $4) RETURNING id`,
		[]any{r.ShopID, r.Kind, string(r.Arguments), r.MadeAt}, &r.ID)
	if err != nil {
		return r, fmt.Errorf("store a request: %w", err)
	}
	return r, nil
}

// RequestByID finds a request; ErrNotFound when there is none.
func (t *Tx) RequestByID(id int64) (Request, error) {
	var r Request
	err := t.one(`SELECT id, shop_id, kind, arguments, made_at, ended_at, result, error FROM requests WHERE id = $1`, []any{id},
		&r.ID, &r.ShopID, &r.Kind, &r.Arguments, &r.MadeAt, &r.EndedAt, &r.Result, &r.Error)
	return r, err
}

// EndRequest stores what became of a request.
func (t *Tx) EndRequest(r Request) error {
	_, err := t.exec(`UPDATE requests SET ended_at = $2, result = $3, error = $4 WHERE id = $1`, r.ID, r.EndedAt, string(r.Result), r.Error)
	if err != nil {
		return fmt.Errorf("end request %d: %w", r.ID, err)
	}
	return nil
}

// DropRequests deletes requests that were made before a moment.
func (t *Tx) DropRequests(before mirror.Instant, limit int) (int64, error) {
	return t.exec(`DELETE FROM requests WHERE id IN (SELECT id FROM requests WHERE made_at < $1 LIMIT $2)`, before, limit)
}
