package simulator_test

import (
	"testing"
	"time"

	"stockroom/internal/simulator"
)

// TestShopifysClockIsAheadFromTheStart, and is again after a reset.
func TestShopifysClockIsAheadFromTheStart(t *testing.T) {
	noon := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	sim := simulator.New(simulator.Config{Now: func() time.Time { return noon }, Ahead: -2 * time.Minute})
	want := noon.Add(-2 * time.Minute)
	if now := sim.Now(); !now.Equal(want) {
		t.Errorf("at the start Shopify's clock shows %v, want %v", now, want)
	}
	if err := sim.Reset(); err != nil {
		t.Fatal(err)
	}
	if now := sim.Now(); !now.Equal(want) {
		t.Errorf("after a reset Shopify's clock shows %v, want %v", now, want)
	}
}
