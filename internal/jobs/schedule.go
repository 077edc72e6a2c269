package jobs

import (
	"hash/fnv"
	"time"

	"github.com/robfig/cron/v3"
)

// lookBacks are how far back a slot is looked for, the nearest first: past the
// longest pause between two slots that a five-field cron expression is commonly
// used for, without walking a month of minutes for one that is due every minute.
var lookBacks = []time.Duration{2 * time.Hour, 26 * time.Hour, 8 * 24 * time.Hour, 32 * 24 * time.Hour}

// latestSlot is the newest moment at or before now at which the schedule asked
// for a run, in the schedule's time zone; zero where none lies within the last of lookBacks.
//
// Whoever gives each slot one run thereby makes up for a slot that passed while
// nobody was up, and only for the newest: reading a shop back twice proves no more than once.
func latestSlot(schedule cron.Schedule, zone *time.Location, now time.Time) time.Time {
	for _, back := range lookBacks {
		var latest time.Time
		for slot := schedule.Next(now.In(zone).Add(-back)); !slot.IsZero() && !slot.After(now); slot = schedule.Next(slot) {
			latest = slot
		}
		if !latest.IsZero() {
			return latest
		}
	}
	return time.Time{}
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
