package main

import (
	"strings"
	"testing"
	"time"
)

// A small round measures everything: no figure is zero, none is judged.
func TestARoundMeasuresEverything(t *testing.T) {
	s := settings{variants: 1500, rounds: 1, pages: 4, hooks: 5}
	measured, err := measure(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if measured.Variants != s.variants || measured.Start <= 0 || measured.Heap == 0 || measured.Hooks <= 0 || len(measured.Pages) != 3 {
		t.Errorf("measured %+v", measured)
	}
	for _, sort := range measured.Pages {
		if sort.Count != s.pages || sort.Median <= 0 || sort.P99 < sort.Median {
			t.Errorf("pages %+v", sort)
		}
	}
}

func TestMediansAreOfRounds(t *testing.T) {
	var rounds []round
	for _, seconds := range []time.Duration{9, 1, 4} {
		rounds = append(rounds, round{Variants: 10, Start: seconds * time.Second, Hooks: float64(seconds), Peak: int64(seconds) << 20})
	}
	text := string(markdown(settings{}, table(settings{}, rounds), "0.1", "0.2"))
	for _, want := range []string{
		"| start of a shop of 10 variants, until the first answer | 4.0 s | 1.0 to 9.0 s |",
		"| webhooks delivered | 4 a second | 1 to 9 a second |",
		"| resident memory at most | 4 MiB | 1 to 9 MiB |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the file lacks %q:\n%s", want, text)
		}
	}
}
