package reconcile

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
)

// traffic says with which probability a slot is busy.
type traffic func(rng *rand.Rand, slot int64) float64

const slotsADay = 24 * 6

// shopHours are Monday to Saturday, nine to six. (1970 began on a Thursday.)
func shopHours(slot int64) bool {
	day, hour := (slot/slotsADay+3)%7, slot%slotsADay/6
	return day < 6 && hour >= 9 && hour < 18
}

// habits are what shops are like, from those the rule is made for to those it is not.
var habits = map[string]traffic{
	"always busy":  func(*rand.Rand, int64) float64 { return 0.97 },
	"steady":       func(*rand.Rand, int64) float64 { return 0.2 },
	"once a day":   func(*rand.Rand, int64) float64 { return 1.0 / slotsADay },
	"twice a week": func(*rand.Rand, int64) float64 { return 2.0 / 7 / slotsADay },
	"shop hours": func(_ *rand.Rand, slot int64) float64 {
		if shopHours(slot) {
			return 0.5
		}
		return 0
	},
	// On three days of ten, and then for two hours.
	"bouts": func(rng *rand.Rand, slot int64) float64 {
		day := rand.New(rand.NewPCG(uint64(slot/slotsADay), 17))
		if from := day.Int64N(20 * 6); day.Float64() < 0.3 && slot%slotsADay >= from && slot%slotsADay < from+12 {
			return 0.8
		}
		return 0
	},
	// Shop hours with a fortnight's holiday every August or so.
	"holidays": func(_ *rand.Rand, slot int64) float64 {
		if shopHours(slot) && slot/slotsADay%365 >= 14 {
			return 0.5
		}
		return 0
	},
}

// TestFalseAlarmsAreAsRareAsTheRuleSays: a hundred years of each habit. Where
// busy slots are independent, one false alarm is expected in a hundred years of a topic;
// five are allowed for chance. People's bouts are within the same bound. A
// holiday is silence indeed, and no rule can tell.
func TestFalseAlarmsAreAsRareAsTheRuleSays(t *testing.T) {
	const years = 100
	for name, busy := range habits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 2))
			var h habit
			alarms := 0
			for slot := int64(0); slot < years*slotsAYear; slot++ {
				h.listened(slot, rng.Float64() < busy(rng, slot))
				if h.Alarm == 0 && h.improbable() {
					alarms++
					h.Alarm = 1
				}
			}
			t.Logf("%d false alarms in %d years", alarms, years)
			limit := 5
			if name == "holidays" {
				limit = 2 * years
			}
			if alarms > limit {
				t.Errorf("%d false alarms in %d years", alarms, years)
			}
		})
	}
}

// TestSilenceIsNoticed within a time that fits the habit.
func TestSilenceIsNoticed(t *testing.T) {
	for name, within := range map[string]time.Duration{
		"always busy": 3 * time.Hour, "steady": 20 * time.Hour, "once a day": 20 * 24 * time.Hour, "shop hours": 3 * 24 * time.Hour, "bouts": 40 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(3, 4))
			var h habit
			slot := int64(0)
			for ; slot < 12*7*slotsADay; slot++ {
				h.listened(slot, rng.Float64() < habits[name](rng, slot))
			}
			began := slot
			for ; !h.improbable(); slot++ {
				if time.Duration(slot-began)*habitSlot > within {
					t.Fatalf("not noticed within %v: %.1f busy slots were expected, a year brings %.3g such", within, h.Quiet, h.aYear())
				}
				h.listened(slot, false)
			}
			t.Logf("noticed after %v, when %.1f busy slots were expected", time.Duration(slot-began)*habitSlot, h.Quiet)
		})
	}
}

// TestNightsAndNewTopicsAreNoSilence: what is never heard by habit adds nothing,
// and nothing is said in the first fortnight.
func TestNightsAndNewTopicsAreNoSilence(t *testing.T) {
	var h habit
	slot := int64(0)
	for ; slot < 13*slotsADay; slot++ {
		h.listened(slot, shopHours(slot))
	}
	for ; slot < 14*slotsADay-1; slot++ {
		if h.listened(slot, false); h.improbable() {
			t.Fatal("an alarm in the first fortnight")
		}
	}
	for ; slot < 40*slotsADay; slot++ {
		h.listened(slot, shopHours(slot))
		if slot > 16*slotsADay && !shopHours(slot) && h.Quiet > 0.01 {
			t.Fatalf("a closed shop was expected to be busy %v times", h.Quiet)
		}
	}
}

// TestHabitDoesNotGrow, whatever comes.
func TestHabitDoesNotGrow(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var h habit
	sizes := []int{}
	for slot := range int64(2 * slotsAYear) {
		h.listened(slot, rng.Float64() < 0.3)
		if slot%(26*7*slotsADay) == 25*7*slotsADay {
			encoded, err := json.Marshal(h)
			if err != nil {
				t.Fatal(err)
			}
			sizes = append(sizes, len(encoded))
		}
	}
	for _, size := range sizes {
		if size > 10_000 {
			t.Errorf("habits take %v bytes", sizes)
		}
	}
}

// TestTopicThatIsNeverHeardAgainIsForgotten: then its silence is its habit.
func TestTopicThatIsNeverHeardAgainIsForgotten(t *testing.T) {
	h := habit{Started: true, Alarm: 1, Quiet: 50}
	for slot := range int64(29 * slotsADay) {
		h.listened(slot, false)
	}
	if h.Started || h.Alarm != 0 || h.improbable() {
		t.Errorf("after four weeks of alarm: started %v, alarm %d", h.Started, h.Alarm)
	}
}

// TestEveryTopicOfRecordsNamesItsKinds, each with a sweep, and a deletion with a scan.
func TestEveryTopicOfRecordsNamesItsKinds(t *testing.T) {
	swept, scanned := map[mirror.Kind]bool{}, map[mirror.Kind]bool{}
	for _, sweep := range shopify.Sweeps() {
		for _, kind := range sweep.Kinds {
			swept[kind] = true
		}
	}
	for _, scan := range shopify.Scans() {
		scanned[scan.Kind] = true
	}
	for _, topic := range shopify.Topics() {
		kinds := toldBy(topic.Name)
		if topic.Class == shopify.ClassData && len(kinds) == 0 {
			t.Errorf("a silence of %s would have nothing swept", topic.Name)
		}
		for _, kind := range kinds {
			if !swept[kind] || kind != mirror.KindShop && !scanned[kind] {
				t.Errorf("%s tells of %s, which no sweep or no scan finds", topic.Name, kind)
			}
		}
	}
}
