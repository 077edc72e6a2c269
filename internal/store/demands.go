package store

import (
	"fmt"
	"time"

	"stockroom/internal/mirror"
)

// Demand is a read by id that is owed to a shop.
type Demand struct {
	mirror.Demand
	Later    bool // A second look at lagging totals, kept apart from the read wanted now.
	DueAt    mirror.Instant
	Attempts int
}

// AddDemands stores demands; one for the same record joins it: the later marks,
// and the sooner time. A demand must not wait behind the back-off of another,
// and a read that comes too soon for one of them leaves it to be read again.
func (t *Tx) AddDemands(shop int64, all []mirror.Demand, now mirror.Instant) error {
	type key struct {
		read  mirror.Read
		id    mirror.GID
		later bool
	}
	joined := map[key]Demand{} // One statement may not touch a row twice.
	for _, d := range all {
		k := key{d.Read, d.ID, d.Delay >= mirror.LagDelay}
		due := now.Add(d.Delay)
		if known, ok := joined[k]; ok {
			d.Updated, d.AsOf, due = max(d.Updated, known.Updated), max(d.AsOf, known.AsOf), min(due, known.DueAt)
		}
		joined[k] = Demand{Demand: d, Later: k.later, DueAt: due}
	}
	rows := make([]Demand, 0, len(joined))
	for _, d := range joined {
		rows = append(rows, d)
	}
	const columns = 9
	return chunks(rows, columns, func(part []Demand) error {
		args := make([]any, 0, len(part)*columns)
		for _, d := range part {
			args = append(args, shop, d.Read, d.ID, d.Later, d.Updated, d.AsOf, d.DueAt, now, now)
		}
		_, err := t.exec(`INSERT INTO demands (shop_id, read, id, later, updated_at, as_of, due_at, made_at, asked_at) VALUES `+placeholders(1, len(part), columns)+`
			ON CONFLICT (shop_id, read, id, later) DO UPDATE SET updated_at = MAX(demands.updated_at, excluded.updated_at),
				as_of = MAX(demands.as_of, excluded.as_of), due_at = MIN(demands.due_at, excluded.due_at),
				asked_at = excluded.asked_at, attempts = 0`, args...)
		if err != nil {
			return fmt.Errorf("store %d demands: %w", len(part), err)
		}
		return nil
	})
}

// DemandItemsAt asks for a read of every inventory item that has a level at a location.
func (t *Tx) DemandItemsAt(shop int64, location mirror.GID, asOf, now mirror.Instant) error {
	_, err := t.exec(`INSERT INTO demands (shop_id, read, id, later, updated_at, as_of, due_at, made_at, asked_at)
		SELECT shop_id, $3, parent, 0, 0, $4, $5, $5, $5 FROM records WHERE shop_id = $1 AND kind = $6 AND id LIKE $2
		ON CONFLICT (shop_id, read, id, later) DO UPDATE SET as_of = MAX(demands.as_of, excluded.as_of), due_at = MIN(demands.due_at, excluded.due_at),
			asked_at = excluded.asked_at, attempts = 0`,
		shop, "%"+string(mirror.LevelID("", location)), mirror.ReadItem, asOf, now, mirror.KindInventoryLevel)
	if err != nil {
		return fmt.Errorf("demand the items at %s: %w", location, err)
	}
	return nil
}

const demandColumns = `read, id, later, updated_at, as_of, due_at, attempts`

func scanDemand(scan func(...any) error) (Demand, error) {
	var d Demand
	err := scan(&d.Read, &d.ID, &d.Later, &d.Updated, &d.AsOf, &d.DueAt, &d.Attempts)
	return d, err
}

// DueDemands lists a shop's demands that are due, oldest first.
func (t *Tx) DueDemands(shop int64, now mirror.Instant, limit int) ([]Demand, error) {
	return list(t, `SELECT `+demandColumns+` FROM demands WHERE shop_id = $1 AND due_at <= $2 ORDER BY due_at, read, id LIMIT $3`,
		[]any{shop, now, limit}, scanDemand)
}

// ShopsOwed lists the connected shops that have a demand due.
func (t *Tx) ShopsOwed(now mirror.Instant) ([]Shop, error) {
	return list(t, `SELECT `+shopColumns+` FROM shops WHERE state = 'connected'
		AND EXISTS (SELECT 1 FROM demands WHERE shop_id = shops.id AND due_at <= $1) ORDER BY domain`, []any{now}, scanShop)
}

// NextDemand says when the next demand of a connected shop comes due after now; zero where none does.
func (t *Tx) NextDemand(now mirror.Instant) (due mirror.Instant, err error) {
	err = t.one(`SELECT COALESCE(MIN((SELECT MIN(due_at) FROM demands WHERE shop_id = shops.id AND due_at > $1)), 0)
		FROM shops WHERE state = 'connected'`, []any{now}, &due)
	return due, err
}

// Demanded tells of which of these ids a read is owed, second looks aside.
func (t *Tx) Demanded(shop int64, ids []mirror.GID) (map[mirror.GID]bool, error) {
	owed := map[mirror.GID]bool{}
	err := chunks(ids, 1, func(part []mirror.GID) error {
		return t.each(`SELECT id FROM demands WHERE shop_id = $1 AND later = 0 AND id IN `+in(2, len(part)), append([]any{shop}, anys(part)...),
			func(scan func(...any) error) error {
				var id mirror.GID
				err := scan(&id)
				owed[id] = true
				return err
			})
	})
	if err != nil {
		return nil, fmt.Errorf("find demands of %d records: %w", len(ids), err)
	}
	return owed, nil
}

// HastenDemands makes demands due that wait out a back-off.
func (t *Tx) HastenDemands(shop int64, now mirror.Instant) error {
	_, err := t.exec(`UPDATE demands SET due_at = $2 WHERE shop_id = $1 AND due_at > $2 AND attempts > 0 AND later = 0`, shop, now)
	return err
}

// CountDemands counts a shop's demands of which some part was made up to a moment
// and no read has reached it, without second looks, and says when the first of
// them is due.
func (t *Tx) CountDemands(shop int64, madeBy mirror.Instant) (n int64, due mirror.Instant, err error) {
	err = t.one(`SELECT COUNT(*), COALESCE(MIN(due_at), 0) FROM demands WHERE shop_id = $1 AND later = 0 AND made_at <= $2`,
		[]any{shop, madeBy}, &n, &due)
	return n, due, err
}

// AllDemands counts a shop's demands, second looks among them.
func (t *Tx) AllDemands(shop int64) (int64, error) {
	var n int64
	err := t.one(`SELECT COUNT(*) FROM demands WHERE shop_id = $1`, []any{shop}, &n)
	return n, err
}

// SatisfyDemand removes a demand, unless it was joined by a stricter one since
// the read that is held against it: the read was sent at asOf and found updated.
// A record that is gone satisfies any updatedAt. It reports whether the demand is
// gone. Where only what joined it is left, that counts as made when it was asked for.
func (t *Tx) SatisfyDemand(shop int64, d Demand, updated, asOf mirror.Instant) (bool, error) {
	n, err := t.exec(`DELETE FROM demands WHERE shop_id = $1 AND read = $2 AND id = $3 AND later = $4 AND updated_at <= $5 AND as_of <= $6`,
		shop, d.Read, d.ID, d.Later, updated, asOf)
	if err != nil || n > 0 || d.Updated > updated || d.AsOf > asOf {
		return n > 0, err
	}
	_, err = t.exec(`UPDATE demands SET made_at = asked_at WHERE shop_id = $1 AND read = $2 AND id = $3 AND later = $4`, shop, d.Read, d.ID, d.Later)
	return false, err
}

// ForgiveDemands lowers what the demands for a record ask for to an updatedAt
// that the shop really has: what they asked for never was.
func (t *Tx) ForgiveDemands(shop int64, read mirror.Read, id mirror.GID, updated mirror.Instant) error {
	_, err := t.exec(`UPDATE demands SET updated_at = $4, attempts = 0 WHERE shop_id = $1 AND read = $2 AND id = $3 AND updated_at > $4`,
		shop, read, id, updated)
	return err
}

// PostponeDemand keeps a demand that a read did not satisfy for another try,
// later each time, and not before a read can reach its asOf; skew is this
// machine's clock less Shopify's. One that was joined meanwhile begins anew.
func (t *Tx) PostponeDemand(shop int64, d Demand, now, skew mirror.Instant, reason string) error {
	_, err := t.exec(`UPDATE demands SET attempts = attempts + 1, last_error = $8,
			due_at = MAX($5 + MIN($6 * (1 << MIN(attempts, 20)), $7), CASE WHEN as_of = 0 THEN 0 ELSE as_of + $9 END)
		WHERE shop_id = $1 AND read = $2 AND id = $3 AND later = $4`,
		shop, d.Read, d.ID, d.Later, now, demandBackoff.Milliseconds(), maxDemandBackoff.Milliseconds(), reason, skew)
	return err
}

// DropDemand gives a demand up: nobody may read what it asks for.
func (t *Tx) DropDemand(shop int64, d Demand) error {
	_, err := t.exec(`DELETE FROM demands WHERE shop_id = $1 AND read = $2 AND id = $3 AND later = $4`, shop, d.Read, d.ID, d.Later)
	return err
}

// A demand that a read did not satisfy waits longer each time.
const (
	demandBackoff    = 2 * time.Second
	maxDemandBackoff = 10 * time.Minute
)
