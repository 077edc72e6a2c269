package simulator

import "slices"

// plan is what a shop pays Shopify for, as far as it is seen from outside.
type plan struct {
	name  string
	rate  float64 // Points of GraphQL budget a second for each app. Source: "API limits" (2026-10).
	title string  // ShopPlan.publicDisplayName.
	rest  string  // The shop resource's plan_name.
	plus  bool
}

// plans are the steps of the rate limit. Their titles are those of a plan of
// each step; which exactly the API spells how is not published.
var plans = []plan{
	{"standard", 100, "Basic", "basic", false},
	{"advanced", 200, "Advanced", "unlimited", false},
	{"plus", 1000, "Shopify Plus", "shopify_plus", true},
	{"enterprise", 2000, "Enterprise", "enterprise", true},
}

// bucketSeconds is how many seconds of its rate a bucket holds: recorded at a
// shop of 100 points a second and at one of 1,000.
const bucketSeconds = 20

// Plans are the names that Catalogue.Plan takes, the smallest budget first.
func Plans() []string { return each(plans, func(p plan) string { return p.name }) }

// plan is the shop's; the first where none was named.
func (s *Shop) plan() plan {
	at := slices.IndexFunc(plans, func(p plan) bool { return p.name == s.catalogue.Plan })
	return plans[max(0, at)]
}

// budget is each app's GraphQL budget in the shop: the plan's, or what the
// simulator was told for all shops.
func (s *Shop) budget() (capacity, rate float64) {
	rate = s.plan().rate
	if s.sim.config.Rate != 0 {
		rate = s.sim.config.Rate
	}
	capacity = bucketSeconds * rate
	if s.sim.config.Capacity != 0 {
		capacity = s.sim.config.Capacity
	}
	return capacity, rate
}

var _ = define(fields{
	"displayName":        of(func(p plan) any { return p.title }),
	"publicDisplayName":  of(func(p plan) any { return p.title }),
	"shopifyPlus":        of(func(p plan) any { return p.plus }),
	"partnerDevelopment": always(false),
}, "ShopPlan")
