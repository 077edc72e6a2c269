package reconcile

import (
	"math"
	"time"
)

// A topic is improbably quiet by one rule.
//
// Time is cut into slots of ten minutes. A slot is busy when the topic was heard
// in it at least once, so that a thousand edits at once count as one. For
// each hour of the week the habit keeps which share of its slots were busy,
// the older ones counting less.
//
// The length of a silence is measured not in minutes but in the busy slots that
// the habit expected meanwhile: a night adds next to nothing. A silence of one
// expected busy slot or more is notable. What lies above that one is its excess.
// Were busy slots independent of each other, excesses would be exponential
// with a mean of one. People work in bouts, so the mean is learned from the
// topic's own notable silences; a memory of ten silences with a mean of one is
// what it begins with. With k silences of a total excess s remembered, the odds
// that a notable silence goes on beyond an excess of x are
//
//	(1 + x/s) ^ -k
//
// which allows for the mean being an estimate (the predictive distribution of an
// exponential with a gamma prior). Times the number of notable silences in a year
// that is how often a year brings a silence as long as this one. The alarm is
// raised when it is less than falseAlarms: a hundredth. So where excesses are
// exponential, a topic gives one false alarm in a hundred years, and the thirty
// topics of a shop one in about three years; see TestFalseAlarmsAreAsRareAsTheRuleSays
// for what comes of other habits.
//
// Slots in which nobody was listening count for nothing, and neither does the
// first fortnight.
const (
	habitSlot  = 10 * time.Minute
	hoursAWeek = 7 * 24
	// slotsAYear is of a mean year.
	slotsAYear = 365.25 * 24 * 6

	// falseAlarms is how many a topic may give in a year.
	falseAlarms = 0.01

	// habitHalfLife is after how long what was learned counts half.
	habitHalfLife = 8 * 7 * 24 * time.Hour
	// minWatched is for how long a topic is watched before any alarm.
	minWatched = 14 * 24 * time.Hour

	// priorSilences is how many notable silences, of a mean excess of one, are
	// remembered before any.
	priorSilences = 10
)

var (
	// cellDecay is by how much an hour of the week forgets with each of its six
	// slots a week, slotDecay what all of the habit forgets with each slot.
	cellDecay = math.Pow(0.5, 1/(habitHalfLife.Hours()/hoursAWeek*6))
	slotDecay = math.Pow(0.5, float64(habitSlot)/float64(habitHalfLife))
)

// habit is what is known of how often a topic is heard. Its size does not grow.
type habit struct {
	Hours    [hoursAWeek]busyShare `json:"hours"`
	Slots    int                   `json:"slots"`    // Slots listened to, in all.
	Weight   float64               `json:"weight"`   // Slots listened to, the older ones counting less.
	Silences float64               `json:"silences"` // Notable silences, likewise.
	Excess   float64               `json:"excess"`   // The sum of their excesses, likewise.

	Quiet   float64 `json:"quiet"`   // Busy slots expected since it was last heard.
	HeardAt int64   `json:"heard"`   // When that was, as a mirror.Instant on the shop's Shopify clock.
	Alarm   int     `json:"alarm"`   // For how many slots the alarm has been on; zero for off.
	Started bool    `json:"started"` // It was heard once.
}

// busyShare counts the slots of an hour of the week.
type busyShare struct {
	Busy float64 `json:"b"`
	All  float64 `json:"a"`
}

func (s busyShare) rate() float64 {
	if s.All == 0 {
		return 0
	}
	return s.Busy / s.All
}

// hourOf is the hour of the week of a slot, in UTC.
func hourOf(slot int64) int {
	hours := slot / int64(time.Hour/habitSlot)
	return int(hours % hoursAWeek)
}

// maxAlarm is for how long a topic stays an alarm that is never heard again:
// then that is its habit, and it is forgotten.
const maxAlarm = 28 * 24 * time.Hour

// listened takes one more slot in which somebody was listening into account.
func (h *habit) listened(slot int64, busy bool) {
	if busy {
		h.heard()
		h.Started = true
	}
	if !h.Started {
		return
	}
	if h.Alarm > 0 { // What is broken is no habit.
		if h.Alarm++; time.Duration(h.Alarm)*habitSlot > maxAlarm {
			*h = habit{}
		}
		return
	}
	cell := &h.Hours[hourOf(slot)]
	if !busy {
		h.Quiet += cell.rate()
	}
	cell.All = cell.All*cellDecay + 1
	cell.Busy *= cellDecay
	if busy {
		cell.Busy++
	}
	h.Slots++
	h.Weight, h.Silences, h.Excess = h.Weight*slotDecay+1, h.Silences*slotDecay, h.Excess*slotDecay
}

// heard ends a silence. One that raised the alarm is not learned from: it was
// no habit.
func (h *habit) heard() {
	if h.Quiet >= 1 && h.Alarm == 0 {
		h.Silences++
		h.Excess += h.Quiet - 1
	}
	h.Quiet, h.Alarm = 0, 0
}

// aYear is how many silences as long as the present one a year brings.
func (h *habit) aYear() float64 {
	if h.Quiet < 1 || time.Duration(h.Slots)*habitSlot < minWatched {
		return math.Inf(1)
	}
	// One more silence is counted than was seen: the present one, for it is notable.
	notable := (h.Silences + 1) / h.Weight * slotsAYear
	k, s := h.Silences+priorSilences, h.Excess+priorSilences
	return notable * math.Pow(1+(h.Quiet-1)/s, -k)
}

// improbable reports whether the topic is improbably quiet.
func (h *habit) improbable() bool { return h.aYear() < falseAlarms }
