package mirror_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stockroom/internal/mirror"
)

// at is a moment n seconds into the tests' day.
func at(seconds float64) mirror.Instant {
	return mirror.At(time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)).Add(time.Duration(seconds * float64(time.Second)))
}

var product = mirror.Key{Kind: mirror.KindProduct, ID: "gid://shopify/Product/1"}

// seen builds an observation of the product with this title and updatedAt.
func seen(source mirror.Source, title string, updated, asOf float64) mirror.Observation {
	o, err := mirror.Present(product.ID, mirror.Product{Title: title, UpdatedAt: mirror.TimeOf(at(updated).Time())}, source, at(asOf), at(asOf))
	if err != nil {
		panic(err)
	}
	return o
}

// heardLate is the observation delivered again at this moment.
func heardLate(o mirror.Observation, heard float64) mirror.Observation {
	o.Heard = at(heard)
	return o
}

func gone(source mirror.Source, asOf float64) mirror.Observation {
	return mirror.Absent(product, source, at(asOf), at(asOf))
}

func fold(s mirror.State, all ...mirror.Observation) (mirror.State, mirror.Outcome) {
	var outcome mirror.Outcome
	for _, o := range all {
		s, outcome = mirror.Merge(s, o)
	}
	return s, outcome
}

// anyObservation draws from a world so small that ties, repetitions and
// deletions meet all the time.
func anyObservation(kind mirror.Kind) *rapid.Generator[mirror.Observation] {
	return rapid.Custom(func(t *rapid.T) mirror.Observation {
		source := rapid.SampledFrom([]mirror.Source{mirror.FromWebhook, mirror.FromPage, mirror.FromBulk, mirror.FromID}).Draw(t, "source")
		asOf := at(float64(rapid.IntRange(0, 5).Draw(t, "asOf")) / 2)
		heard := asOf
		if source == mirror.FromWebhook {
			heard = heard.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "delay")) * time.Second)
		}
		key := mirror.Key{Kind: kind, ID: product.ID}
		if rapid.IntRange(0, 4).Draw(t, "absent") == 0 {
			return mirror.Absent(key, source, asOf, heard)
		}
		o := mirror.Observation{Key: key, Source: source, AsOf: asOf, Heard: heard,
			Content: []byte(rapid.SampledFrom([]string{`{"a":1}`, `{"a":2}`, `{"a":3}`}).Draw(t, "content"))}
		if mirror.InfoOf(kind).Governed {
			o.Updated = at(float64(rapid.IntRange(0, 2).Draw(t, "updated")))
		}
		return o
	})
}

// TestMergeLaws proves that the state after any history is the state after any
// reordering of it with any repetitions, which is what makes duplicates,
// reordering and concurrent workers harmless.
func TestMergeLaws(t *testing.T) {
	for _, kind := range []mirror.Kind{mirror.KindProduct, mirror.KindProductDerived, mirror.KindInventoryLevel} {
		t.Run(string(kind), rapid.MakeCheck(func(t *rapid.T) {
			history := rapid.SliceOfN(anyObservation(kind), 1, 8).Draw(t, "history")
			want, _ := fold(mirror.State{}, history...)

			shuffled := rapid.Permutation(history).Draw(t, "shuffled")
			repeated := rapid.SliceOfN(rapid.SampledFrom(history), 0, 4).Draw(t, "repeated")
			if got, _ := fold(mirror.State{}, append(shuffled, repeated...)...); !reflect.DeepEqual(got, want) {
				t.Fatalf("the order or a repetition changed the state:\n got %+v\nwant %+v", got, want)
			}
			// A repetition at any place, not only at the end, changes nothing.
			half := len(shuffled) / 2
			interleaved := append(append(append([]mirror.Observation{}, shuffled[:half]...), repeated...), shuffled[half:]...)
			if got, _ := fold(mirror.State{}, interleaved...); !reflect.DeepEqual(got, want) {
				t.Fatalf("a repetition in between changed the state:\n got %+v\nwant %+v", got, want)
			}
		}))
	}
}

// TestMarksOnlyGrow: P3 rests on it.
func TestMarksOnlyGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s mirror.State
		for _, o := range rapid.SliceOfN(anyObservation(mirror.KindProduct), 1, 12).Draw(t, "history") {
			next, _ := mirror.Merge(s, o)
			if next.Updated < s.Updated || next.Dead < s.Dead || next.Seen < s.Seen || next.Heard < s.Heard ||
				next.Updated == s.Updated && next.AsOf < s.AsOf {
				t.Fatalf("a mark went back:\n from %+v\n to   %+v\n by   %+v", s, next, o)
			}
			s = next
		}
	})
}

// TestMergeLeavesItsArgumentsAlone: a state is a value that others may hold.
func TestMergeLeavesItsArgumentsAlone(t *testing.T) {
	before, _ := fold(mirror.State{}, seen(mirror.FromPage, "a", 1, 1))
	kept := fmt.Sprintf("%+v", before)
	fold(before, seen(mirror.FromWebhook, "b", 2, 2), gone(mirror.FromID, 3))
	if now := fmt.Sprintf("%+v", before); now != kept {
		t.Errorf("merging changed the state it was given:\n got %s\nwant %s", now, kept)
	}
}

func TestMerge(t *testing.T) {
	const webhook, page, byID = mirror.FromWebhook, mirror.FromPage, mirror.FromID
	type list []mirror.Observation
	for _, tt := range []struct {
		name    string
		known   list
		comes   mirror.Observation
		outcome mirror.Outcome
		title   string // What readers see after; empty for nothing.
	}{
		{"a first content is shown", nil, seen(webhook, "a", 1, 1), mirror.Applied, "a"},
		{"a later updatedAt wins", list{seen(webhook, "a", 1, 1)}, seen(webhook, "b", 2, 2), mirror.Applied, "b"},
		{"an earlier updatedAt loses, however late it comes", list{seen(webhook, "b", 2, 2)}, seen(webhook, "a", 1, 9), mirror.Stale, "b"},
		{"a redelivery is the same", list{seen(webhook, "a", 1, 1)}, seen(webhook, "a", 1, 1), mirror.Same, "a"},
		{"a read finds the same", list{seen(webhook, "a", 1, 1)}, seen(page, "a", 1, 5), mirror.Same, "a"},
		{"two webhooks within one second conflict", list{seen(webhook, "a", 1, 1.1)}, seen(webhook, "b", 1, 1.2), mirror.Conflict, "b"},
		{"another content under a read's updatedAt is stale, if the read came after it was heard", list{seen(page, "a", 1, 5)},
			seen(webhook, "b", 1, 1), mirror.Stale, "a"},
		{"but conflicts if it was heard after the read, though it says it is older", list{seen(page, "a", 1, 5)},
			heardLate(seen(webhook, "b", 1, 1), 9), mirror.Conflict, "a"},
		{"a later read under the same updatedAt is a change without a timestamp", list{seen(page, "a", 1, 5)},
			seen(page, "b", 1, 6), mirror.Applied, "b"},
		{"a page overtaken by a webhook does not undo it", list{seen(webhook, "b", 4, 4)}, seen(page, "a", 1, 3), mirror.Stale, "b"},
		{"a deletion hides", list{seen(webhook, "a", 1, 1)}, gone(webhook, 2), mirror.Applied, ""},
		{"a deletion of what was never seen is kept", list{gone(webhook, 2)}, seen(page, "a", 1, 1), mirror.Stale, ""},
		{"an update after the deletion does not revive", list{seen(webhook, "a", 1, 1), gone(webhook, 2)},
			seen(webhook, "b", 3, 3), mirror.Conflict, ""},
		{"a page does not revive", list{gone(webhook, 2)}, seen(page, "b", 3, 3), mirror.Conflict, ""},
		{"a read by id revives", list{gone(webhook, 2)}, seen(byID, "b", 3, 3), mirror.Applied, "b"},
		{"a read by id from before the deletion does not", list{gone(webhook, 2)}, seen(byID, "a", 1, 1), mirror.Stale, ""},
		{"a read by id that finds nothing hides", list{seen(byID, "a", 1, 1)}, gone(byID, 2), mirror.Applied, ""},
		{"a read by id and a deletion of one moment: the deletion stands", list{gone(webhook, 2)}, seen(byID, "a", 1, 2), mirror.Stale, ""},
		{"a late deletion does not hide what was read since", list{seen(byID, "a", 1, 5)}, gone(webhook, 2), mirror.Stale, "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, _ := fold(mirror.State{}, tt.known...)
			after, outcome := mirror.Merge(before, tt.comes)
			title := ""
			if after.Shown(mirror.InfoOf(mirror.KindProduct)) {
				content, err := mirror.Decode(mirror.KindProduct, after.Content)
				if err != nil {
					t.Fatal(err)
				}
				title = content.(*mirror.Product).Title
			}
			if outcome != tt.outcome || title != tt.title {
				t.Errorf("got %s and title %q, want %s and %q", outcome, title, tt.outcome, tt.title)
			}
		})
	}
}

// TestConflictIsSettledByALaterRead: the mark survives any batching, and only a
// read past the tie clears it.
func TestConflictIsSettledByALaterRead(t *testing.T) {
	info := mirror.InfoOf(mirror.KindProduct)
	tied, _ := fold(mirror.State{}, seen(mirror.FromWebhook, "a", 1, 1.1), seen(mirror.FromWebhook, "b", 1, 1.2))
	past, unsettled := tied.Unsettled(info)
	if !unsettled || past != at(2) {
		t.Fatalf("two webhooks in one second: unsettled %v past %v, want past %v", unsettled, past, at(2))
	}
	within, _ := fold(tied, seen(mirror.FromID, "b", 1, 1.9))
	if _, unsettled := within.Unsettled(info); !unsettled {
		t.Error("a read within the second settled the tie")
	}
	atTheEnd, _ := fold(tied, seen(mirror.FromID, "b", 1, 2))
	if _, unsettled := atTheEnd.Unsettled(info); !unsettled {
		t.Error("a read sent as the second ended, not past it, settled the tie")
	}
	after, _ := fold(tied, seen(mirror.FromID, "a", 1, 3.2))
	if _, unsettled := after.Unsettled(info); unsettled {
		t.Error("a read after the second did not settle the tie")
	}
	redelivered, _ := fold(after, seen(mirror.FromWebhook, "b", 1, 1.2))
	if _, unsettled := redelivered.Unsettled(info); unsettled {
		t.Error("a redelivery that was decided before opened the tie again")
	}
}

// TestLevelReturns: a level that was disconnected and connected again keeps its id.
func TestLevelReturns(t *testing.T) {
	info := mirror.InfoOf(mirror.KindInventoryLevel)
	level := mirror.InventoryLevel{InventoryItemID: "gid://shopify/InventoryItem/1", LocationID: "gid://shopify/Location/2", UpdatedAt: mirror.TimeOf(at(1).Time())}
	key := mirror.Key{Kind: mirror.KindInventoryLevel, ID: level.ID()}
	first, err := mirror.Present(level.ID(), level, mirror.FromWebhook, at(1), at(1))
	if err != nil {
		t.Fatal(err)
	}
	level.UpdatedAt = mirror.TimeOf(at(5).Time())
	again, err := mirror.Present(level.ID(), level, mirror.FromWebhook, at(5), at(5))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := fold(mirror.State{}, first, mirror.Absent(key, mirror.FromWebhook, at(3), at(3)))
	if s.Shown(info) {
		t.Error("shown after it was disconnected")
	}
	s, _ = fold(s, again)
	if !s.Shown(info) {
		t.Error("hidden after it was connected again")
	}
	if past, unsettled := s.Unsettled(info); !unsettled || past != at(5) {
		t.Errorf("returned: unsettled %v past %v, want a read past %v to confirm it", unsettled, past, at(5))
	}
}

func TestFromFuture(t *testing.T) {
	if o := seen(mirror.FromWebhook, "a", 10, 4); !o.FromFuture() {
		t.Error("an updatedAt six seconds after the receipt was believed")
	}
	if o := seen(mirror.FromWebhook, "a", 9, 4); o.FromFuture() {
		t.Error("an updatedAt five seconds after the receipt was not believed")
	}
}

func TestCorrect(t *testing.T) {
	ahead, _ := fold(mirror.State{}, seen(mirror.FromWebhook, "b", 100, 100))
	first, second := seen(mirror.FromID, "a", 1, 2000), seen(mirror.FromID, "a", 1, 2006)
	got, err := mirror.Correct(ahead, first, second)
	if err != nil || got.Updated != at(1) {
		t.Errorf("corrected to updatedAt %v, %v; want %v", got.Updated, err, at(1))
	}
	for name, pair := range map[string][2]mirror.Observation{
		"too soon after the content": {seen(mirror.FromID, "a", 1, 200), seen(mirror.FromID, "a", 1, 2000)},
		"too close together":         {first, seen(mirror.FromID, "a", 1, 2001)},
		"not a read by id":           {first, seen(mirror.FromPage, "a", 1, 2006)},
		"not ahead":                  {first, seen(mirror.FromID, "b", 100, 2006)},
	} {
		if _, err := mirror.Correct(ahead, pair[0], pair[1]); err == nil {
			t.Errorf("%s: corrected", name)
		}
	}
}

// TestWhatWasSetBackIsRefuted: by a webhook alone, whose body claims a version
// that the shop did not have, and for as long as the record is kept.
func TestWhatWasSetBackIsRefuted(t *testing.T) {
	ahead, _ := fold(mirror.State{}, seen(mirror.FromWebhook, "b", 100, 100))
	s, err := mirror.Correct(ahead, seen(mirror.FromID, "a", 50, 2000), seen(mirror.FromID, "a", 50, 2006))
	if err != nil {
		t.Fatal(err)
	}
	again, _ := fold(s, seen(mirror.FromWebhook, "z", 200, 3000))
	if again, err = mirror.Correct(again, seen(mirror.FromID, "y", 150, 5000), seen(mirror.FromID, "y", 150, 5006)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		state mirror.State
		o     mirror.Observation
		want  bool
	}{
		{"the webhook itself", s, seen(mirror.FromWebhook, "b", 100, 100), true},
		{"one like it", s, seen(mirror.FromWebhook, "c", 51, 3000), true},
		{"what the reads showed", s, seen(mirror.FromWebhook, "a", 50, 50), false},
		{"what is later than it", s, seen(mirror.FromWebhook, "d", 101, 3000), false},
		{"a read", s, seen(mirror.FromID, "b", 100, 3000), false},
		{"a page", s, seen(mirror.FromPage, "b", 100, 3000), false},
		{"before anything was set back", ahead, seen(mirror.FromWebhook, "b", 100, 100), false},
		{"the first, after a second was set back", again, seen(mirror.FromWebhook, "b", 100, 100), true},
		{"the second", again, seen(mirror.FromWebhook, "z", 200, 3000), true},
	} {
		if got := tt.state.Refutes(tt.o); got != tt.want {
			t.Errorf("%s: refuted %v, want %v", tt.name, got, tt.want)
		}
	}
}
