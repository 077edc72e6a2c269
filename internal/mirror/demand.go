package mirror

import "time"

// Demand asks for a read by id. It is durable, coalesced with others for the
// same record, and stays until a read reaches both Updated and AsOf or finds
// the record gone.
type Demand struct {
	Read Read
	ID   GID

	// Updated is the least updatedAt that satisfies it; zero for any.
	Updated Instant
	// AsOf is the least moment at which a satisfying read was sent, on Shopify's clock.
	AsOf Instant
	// Delay is how long to wait before reading: past a tie, or for totals that
	// lag in Shopify itself.
	Delay time.Duration
}

const (
	// TieDelay puts the deciding read of a conflict past the second it lies in.
	TieDelay = 2 * time.Second
	// LagDelay is when derived totals are read once more: Shopify's own lag
	// behind the change that moved them.
	LagDelay = 30 * time.Second
)

// ReadID is the id under which a record is read: its own, but for metafields
// their owner's.
func (k Key) ReadID(parent GID) GID {
	if k.Kind == KindMetafield {
		return parent
	}
	return k.ID
}
