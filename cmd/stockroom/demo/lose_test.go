package demo

import (
	"math/rand/v2"
	"testing"

	"stockroom/internal/simulator"
)

// TestLoseEditsComesToAnEndForAnySeed: whatever the live edits before it left of the shop.
func TestLoseEditsComesToAnEndForAnySeed(t *testing.T) {
	for seed := range uint64(40) {
		sim := simulator.New(simulator.Config{Seed: seed})
		shop, err := sim.AddShop(Domain, simulator.Catalogue{Products: HeadlessProducts, BigVariants: 250})
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(seed, 1))
		for range liveEdits {
			shop.RandomEdit(rng)
		}
		if _, err := LoseEdits(shop, rng, func(do func() error) error { return do() }); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}
