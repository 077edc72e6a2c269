package simulator

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// note is a record with nothing but what an index looks at.
type note struct {
	id int64
	at time.Time
}

func (n *note) key() int64         { return n.id }
func (n *note) changed() time.Time { return n.at }

// An index finds its records however numbers came and went: held against a map
// and its sorted keys.
func TestIndexFindsWhatAMapWould(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var index Index[*note]
		want := make(map[int64]*note)
		clock := time.Unix(1_700_000_000, 0)
		next := int64(1000)
		index.grow(rng.IntN(100))
		for range rng.IntN(200) { // A shop as it opened.
			next += 1 + int64(rng.IntN(2)*rng.IntN(5))
			n := &note{next, clock.Add(-time.Duration(rng.IntN(1000)) * time.Second)}
			index.load(n)
			want[n.id] = n
		}
		index.settle()
		for range 2000 {
			clock = clock.Add(time.Duration(rng.IntN(2)) * time.Second)
			switch id := 995 + rng.Int64N(next-980); rng.IntN(4) {
			case 0:
				next++
				n := &note{next, clock}
				index.put(n)
				want[next] = n
			case 1:
				index.remove(id)
				delete(want, id)
			case 2:
				if n := want[id]; n != nil {
					n.at = clock
					index.put(n)
				} else if id > 0 { // One that comes in between, as a level does.
					n := &note{id, clock}
					index.put(n)
					want[id] = n
				}
			}
			id := 995 + rng.Int64N(next-980)
			if got, ok := index.Get(id); ok != (want[id] != nil) || got != want[id] {
				t.Fatalf("seed %d: Get(%d) gave %v, want %v", seed, id, got, want[id])
			}
		}
		ids := slices.Sorted(maps.Keys(want))
		number := func(n *note) int64 { return n.id }
		if got := each(slices.Collect(index.All()), number); !slices.Equal(got, ids) || !slices.Equal(index.IDs(), ids) || index.Len() != len(ids) {
			t.Fatalf("seed %d: numbers are not in order", seed)
		}
		from := ids[len(ids)/3] + 1
		after := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return id <= from })
		if got := each(slices.Collect(index.After(from)), number); !slices.Equal(got, after) {
			t.Fatalf("seed %d: After(%d) gave %v, want %v", seed, from, got, after)
		}
		before := slices.DeleteFunc(slices.Clone(ids), func(id int64) bool { return id >= from })
		slices.Reverse(before)
		if got := each(slices.Collect(index.Before(from)), number); !slices.Equal(got, before) {
			t.Fatalf("seed %d: Before(%d) gave %v, want %v", seed, from, got, before)
		}
		byChange := slices.SortedFunc(maps.Values(want), func(a, b *note) int {
			return stamp{a.at.Unix(), a.id}.compare(stamp{b.at.Unix(), b.id})
		})
		if got := slices.Collect(index.ChangedAfter(time.Time{}, 0)); !slices.Equal(got, byChange) {
			t.Fatalf("seed %d: records are not in order of change", seed)
		}
	}
}
