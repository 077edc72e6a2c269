package mirror_test

import (
	"testing"
	"time"

	"stockroom/internal/mirror"
)

// TestJudge: a row of the table is what may be stored about a drifted record.
func TestJudge(t *testing.T) {
	changed := mirror.At(time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC))
	after := func(d time.Duration) mirror.Instant { return changed.Add(d) }
	found := after(time.Hour)
	stale := mirror.Evidence{Kind: mirror.KindProduct, Fields: []string{"title", "updatedAt"}, Changed: changed, Found: found}
	with := func(e mirror.Evidence, change func(*mirror.Evidence)) mirror.Evidence {
		change(&e)
		return e
	}
	told := func(trigger, heard, applied time.Duration, agrees bool) mirror.Told {
		return mirror.Told{Topic: "products/update", AsOf: after(trigger), Heard: after(heard), Applied: after(applied), Agrees: agrees}
	}
	tells := func(all ...mirror.Told) func(*mirror.Evidence) { return func(e *mirror.Evidence) { e.Told = all } }
	derived := mirror.Evidence{Kind: mirror.KindProductVariantDerived, Fields: []string{"availableForSale"}, Changed: changed, Found: found}
	metafield := mirror.Evidence{Kind: mirror.KindMetafield, Fields: []string{"value"}, Changed: changed, Found: found}
	for name, tt := range map[string]struct {
		evidence mirror.Evidence
		want     mirror.Cause
	}{
		"nothing came":                            {stale, mirror.CauseNever},
		"an earlier webhook came":                 {with(stale, tells(told(-time.Minute, -time.Minute, -time.Minute, false))), mirror.CauseNever},
		"one of the same second, with other news": {with(stale, tells(told(400*time.Millisecond, time.Second, time.Second, false))), mirror.CauseNever},
		"it came after the poll had looked":       {with(stale, tells(told(0, 2*time.Hour, 2*time.Hour, true))), mirror.CauseLate},
		"it came before and was taken up after":   {with(stale, tells(told(0, time.Minute, 2*time.Hour, true))), mirror.CauseNotApplied},
		"it waits":                                {with(stale, func(e *mirror.Evidence) { e.Waiting = "in quarantine" }), mirror.CauseNotApplied},
		"it was applied and told the same":        {with(stale, tells(told(0, time.Second, time.Second, true))), mirror.CauseOurs},
		"a later one told otherwise":              {with(stale, tells(told(time.Minute, time.Minute, time.Minute, false))), mirror.CauseDisagreed},
		"one asked for a read that was not made": {with(stale, func(e *mirror.Evidence) {
			e.Told, e.Read = []mirror.Told{{Topic: "products/update", AsOf: after(time.Minute), Heard: after(time.Minute), Applied: after(time.Minute), Asked: true}}, after(-time.Hour)
		}), mirror.CauseOurs},
		"a read since showed otherwise":            {with(stale, func(e *mirror.Evidence) { e.Read = after(time.Minute) }), mirror.CauseDisagreed},
		"a read within the clock's slack":          {with(stale, func(e *mirror.Evidence) { e.Read = after(2 * time.Second) }), mirror.CauseNever},
		"the copy was ahead":                       {with(stale, func(e *mirror.Evidence) { e.Ahead = true }), mirror.CauseDisagreed},
		"a signature was wrong":                    {with(stale, func(e *mirror.Evidence) { e.Rejected = true }), mirror.CauseRejected},
		"a signature was wrong, and it came":       {with(with(stale, func(e *mirror.Evidence) { e.Rejected = true }), tells(told(0, 2*time.Hour, 2*time.Hour, true))), mirror.CauseLate},
		"deleted, and nothing came":                {with(stale, func(e *mirror.Evidence) { e.Deleted, e.Changed = true, 0 }), mirror.CauseNever},
		"deleted, and told so too late":            {with(with(stale, func(e *mirror.Evidence) { e.Deleted, e.Changed = true, 0 }), tells(told(0, 2*time.Hour, 2*time.Hour, true))), mirror.CauseLate},
		"new, and told of before it was gone once": {with(with(stale, func(e *mirror.Evidence) { e.New, e.Read = true, after(time.Minute) }), tells(told(0, time.Second, time.Second, true))), mirror.CauseNever},
		"stock through its level":                  {with(derived, func(e *mirror.Evidence) { e.Through = []mirror.Cause{mirror.CauseNoWebhook, mirror.CauseNever} }), mirror.CauseNever},
		"stock, and nothing else moved":            {with(derived, func(e *mirror.Evidence) { e.Read = after(time.Minute) }), mirror.CauseOurs},
		"stock, and its levels were not read":      {with(derived, func(e *mirror.Evidence) { e.Read, e.Unread = after(time.Minute), true }), mirror.CauseNever},
		"stock, and its levels were not read but told of": {with(derived, func(e *mirror.Evidence) {
			e.Unread, e.Waiting = true, "in quarantine"
		}), mirror.CauseNotApplied},
		"hidden, and what hides it was not read": {with(stale, func(e *mirror.Evidence) { e.Hangs, e.Unread = true, true }), mirror.CauseNever},
		"stock, read within the second it moved": {with(derived, func(e *mirror.Evidence) { e.Read = after(0) }), mirror.CauseNever},
		"a variant's metafield":                  {with(metafield, func(e *mirror.Evidence) { e.Owner = mirror.KindProductVariant }), mirror.CauseNoWebhook},
		"a product's metafield":                  {with(metafield, func(e *mirror.Evidence) { e.Owner = mirror.KindProduct }), mirror.CauseNever},
		"a deleted product's metafield": {with(metafield, func(e *mirror.Evidence) {
			e.Owner, e.Hangs, e.Through = mirror.KindProductVariant, true, []mirror.Cause{mirror.CauseLate}
		}), mirror.CauseLate},
		"hidden, and nothing explains it":           {with(stale, func(e *mirror.Evidence) { e.Hangs = true }), mirror.CauseOurs},
		"a rule's members":                          {mirror.Evidence{Kind: mirror.KindCollectionMembers, Fields: []string{"productIds"}, Smart: true, Found: found}, mirror.CauseNoWebhook},
		"a hand's members":                          {mirror.Evidence{Kind: mirror.KindCollectionMembers, Fields: []string{"productIds"}, Found: found}, mirror.CauseNever},
		"a lagging total":                           {mirror.Evidence{Kind: mirror.KindProductDerived, Fields: []string{"totalInventory"}, Found: found}, mirror.CauseNoWebhook},
		"a total read soon after its stock moved":   {mirror.Evidence{Kind: mirror.KindProductDerived, Fields: []string{"totalInventory"}, Changed: changed, Read: after(14 * time.Minute), Found: found}, mirror.CauseNoWebhook},
		"a total read before its stock moved":       {mirror.Evidence{Kind: mirror.KindProductDerived, Fields: []string{"totalInventory"}, Changed: changed, Read: after(-48 * time.Hour), Found: found}, mirror.CauseNever},
		"a total read long after its stock moved":   {mirror.Evidence{Kind: mirror.KindProductDerived, Fields: []string{"totalInventory"}, Changed: changed, Read: after(16 * time.Minute), Found: found}, mirror.CauseOurs},
		"a total and an image":                      {mirror.Evidence{Kind: mirror.KindProductDerived, Fields: []string{"featuredImageUrl", "totalInventory"}, Found: found}, mirror.CauseNever},
		"a discount's target, and updatedAt moved":  {mirror.Evidence{Kind: mirror.KindDiscount, Fields: []string{"appliesTo", "updatedAt"}, Changed: changed, Found: found}, mirror.CauseNever},
		"a discount's target, and updatedAt stayed": {mirror.Evidence{Kind: mirror.KindDiscount, Fields: []string{"appliesTo"}, SameVersion: true, Changed: changed, Found: found}, mirror.CauseNoWebhook},
		"an order's line and its note":              {mirror.Evidence{Kind: mirror.KindOrder, Fields: []string{"lineItems", "note"}, SameVersion: true, Changed: changed, Found: found}, mirror.CauseNever},
	} {
		t.Run(name, func(t *testing.T) {
			if got, note := mirror.Judge(tt.evidence); got != tt.want {
				t.Errorf("judged %q (%s), want %q", got, note, tt.want)
			}
		})
	}
}
