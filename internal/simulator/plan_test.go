package simulator_test

import (
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

func TestThePlanDecidesTheBudget(t *testing.T) {
	for plan, want := range map[string]struct{ rate, capacity float64 }{
		"": {100, 2000}, "standard": {100, 2000}, "advanced": {200, 4000}, "plus": {1000, 20_000}, "enterprise": {2000, 40_000},
	} {
		w := newWorld(t, simulator.Catalogue{Plan: plan}, nil)
		got := w.client(allScopes...).ask(`{ shop { plan { publicDisplayName shopifyPlus partnerDevelopment } } }`)
		if s := got.Extensions.Cost.Throttle; s.RestoreRate != want.rate || s.MaximumAvailable != want.capacity {
			t.Errorf("plan %q: %+v, want %+v", plan, s, want)
		}
		if plus := strings.Contains(string(got.Data), `"shopifyPlus":true`); plus != (want.rate >= 1000) {
			t.Errorf("plan %q: %s", plan, got.Data)
		}
	}
	if _, err := simulator.New(simulator.Config{}).AddShop(domain, simulator.Catalogue{Plan: "free"}); err == nil {
		t.Error("a plan that does not exist was taken")
	}
}

func TestACurrencyThatDoesNotExistIsRefused(t *testing.T) {
	for _, code := range []string{"XYZ", "XXX", "yen", "EURO"} {
		_, err := simulator.New(simulator.Config{}).AddShop(domain, simulator.Catalogue{Currency: code})
		if err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// Money and clock of a shop go together, unless they are told apart.
func TestAShopIsWhereItsCurrencyIsUsed(t *testing.T) {
	for _, c := range []struct{ currency, country, timezone, wantCountry, wantTimezone string }{
		{"", "", "", "US", "America/New_York"},
		{"JPY", "", "", "JP", "Asia/Tokyo"},
		{"EUR", "FR", "", "FR", "Europe/Paris"},
		{"USD", "JP", "America/Chicago", "JP", "America/Chicago"},
		{"XCD", "", "", "US", "America/New_York"},
	} {
		shop, err := simulator.New(simulator.Config{}).AddShop(domain, simulator.Catalogue{Currency: c.currency, Country: c.country, Timezone: c.timezone})
		if err != nil {
			t.Fatal(err)
		}
		if shop.Country != c.wantCountry || shop.Timezone != c.wantTimezone {
			t.Errorf("%+v: got %s, %s", c, shop.Country, shop.Timezone)
		}
		for l := range shop.Locations.All() {
			if l.Country != c.wantCountry {
				t.Errorf("%+v: location in %s", c, l.Country)
			}
		}
	}
}
