package jobs

import (
	"hash/fnv"
	"time"

	"github.com/robfig/cron/v3"
)

// lookBack is how far back a missed slot is looked for: past the longest pause
// between two slots that a five-field cron expression is commonly used for.
const lookBack = 32 * 24 * time.Hour

// latestSlot is the newest moment at or before now at which the schedule asked
// for a run, in the schedule's time zone; zero where none lies within lookBack.
//
// Whoever gives each slot one run thereby makes up for a slot that passed while
// nobody was up, and only for the newest: reading a shop back twice proves no more than once.
func latestSlot(schedule cron.Schedule, zone *time.Location, now time.Time) time.Time {
	var latest time.Time
	for slot := schedule.Next(now.In(zone).Add(-lookBack)); !slot.IsZero() && !slot.After(now); slot = schedule.Next(slot) {
		latest = slot
	}
	return latest
}

// spreadOf delays a shop's runs by its own share of the spread, the same every
// day, so that thousands of shops do not read at the stroke of midnight.
func spreadOf(domain string, spread time.Duration) time.Duration {
	if spread <= 0 {
		return 0
	}
	hash := fnv.New64a()
	hash.Write([]byte(domain)) // It never fails.
	return time.Duration(hash.Sum64() % uint64(spread))
}
