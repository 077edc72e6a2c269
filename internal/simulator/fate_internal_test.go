package simulator

import "testing"

// What one instant holds comes in the order of the machine's scheduling. Faults
// must not depend on it, or a seed would not draw the same run again.
func TestFatesDependOnNamesAndNotOnOrder(t *testing.T) {
	calls := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	draw := func(seed uint64, step int) map[string]string {
		s := New(Config{Seed: seed})
		drawn := map[string]string{}
		for n := range len(calls) {
			call := calls[(n*step)%len(calls)]
			for range 64 { // The same call again is drawn for anew.
				if s.fate("call", call).chancy("reset", 0.5) {
					drawn[call] += "x"
				} else {
					drawn[call] += "-"
				}
			}
		}
		return drawn
	}
	one, other, third := draw(1, 1), draw(1, 5), draw(2, 1)
	for _, call := range calls {
		if one[call] != other[call] {
			t.Errorf("call %s drew %s, in another order %s", call, one[call], other[call])
		}
		if one[call] == third[call] {
			t.Errorf("call %s drew %s under another seed, too", call, one[call])
		}
	}
	if one["a"] == one["b"] {
		t.Errorf("two calls drew the same 64 times: %s", one["a"])
	}
}
