package main

// mutations are mistakes that the promises are to be safe from. Each is a
// change that compiles, reads well, and would pass a careless review.
var mutations = []mutation{
	{
		name: "of two contents of one second the last to arrive wins", file: "internal/mirror/merge.go",
		old:      `	} else if o.AsOf > s.AsOf || o.AsOf == s.AsOf && digest.compare(s.Digest) > 0 {`,
		new:      `	} else {`,
		packages: []string{"mirror"},
	},
	{
		name: "two contents of one second are not told apart by a read", file: "internal/mirror/merge.go",
		old:      `	if info.Governed && s.WebhookAt != 0 && (`,
		new:      `	if false && info.Governed && s.WebhookAt != 0 && (`,
		packages: []string{"mirror"},
	},
	{
		name: "a page lifts a tombstone", file: "internal/mirror/merge.go",
		old:      `		if o.Source == FromID {`,
		new:      `		if o.Source != FromWebhook {`,
		packages: []string{"mirror", "reconcile"},
	},
	{
		name: "a webhook lifts a tombstone", file: "internal/mirror/merge.go",
		old:      `		if o.Source == FromID {`,
		new:      `		if o.Source == FromID || o.Source == FromWebhook {`,
		packages: []string{"mirror"},
	},
	{
		name: "a deletion of what was never seen is forgotten", file: "internal/mirror/merge.go",
		old:      `		next.Dead = max(s.Dead, o.AsOf)`,
		new:      `		if s.Content != nil {` + "\n\t\t\tnext.Dead = max(s.Dead, o.AsOf)\n\t\t}",
		packages: []string{"mirror"},
	},
	{
		name: "an updatedAt from the future is applied", file: "internal/mirror/merge.go",
		old:      `	return o.Source == FromWebhook && o.Updated > o.Heard.Add(FutureLimit)`,
		new:      `	return false`,
		packages: []string{"mirror", "apply"},
	},
	{
		name: "a record is set back without two reads that lie apart", file: "internal/mirror/merge.go",
		old:      `	case second.AsOf < first.AsOf.Add(CorrectGap) || first.AsOf < s.AsOf.Add(CorrectAge):`,
		new:      `	case false:`,
		packages: []string{"mirror", "reconcile"},
	},
	{
		name: "absence is trusted without a read by id", file: "internal/reconcile/absence.go",
		old: `		observations, witness, err := j.ask(ctx, v, part)`,
		new: `		var observations []mirror.Observation
		for _, id := range part {
			observations = append(observations, mirror.Absent(mirror.Key{Kind: v.info.Kind, ID: id}, mirror.FromID, j.client.Clock().Now(), j.client.Clock().Now()))
		}
		var witness mirror.GID
		err := error(nil)`,
		packages: []string{"reconcile"},
	},
	{
		name: "the fuse never blows", file: "internal/reconcile/reconcile.go",
		old:      `	return n > f.Rows && float64(n)*100 > f.Percent*float64(total)`,
		new:      `	return false`,
		packages: []string{"reconcile"},
	},
	{
		name: "a list that could not be read to its end counts as read", file: "internal/reconcile/poll.go",
		old: `			r.gap("%s could not be read to their end: %v", list.Name, err)
			return nil`,
		new:      `			break`,
		packages: []string{"reconcile"},
	},
	{
		name: "a poll does not settle what is owed", file: "internal/reconcile/poll.go",
		old:      `	began := r.Now()` + "\n" + `	err = r.Store.Update(ctx, func(tx *store.Tx) error { return tx.HastenDemands`,
		new:      `	return 0, nil` + "\n" + `	began := r.Now()` + "\n" + `	err = r.Store.Update(ctx, func(tx *store.Tx) error { return tx.HastenDemands`,
		packages: []string{"reconcile"},
	},
	{
		name: "demands are forgotten", file: "internal/store/demands.go",
		old:      `	for _, d := range joined {`,
		new:      `	for _, d := range map[key]Demand{} {`,
		packages: []string{"store", "apply"},
	},
	{
		name: "any read satisfies a demand", file: "internal/store/demands.go",
		old:      `AND later = $4 AND updated_at <= $5 AND as_of <= $6`,
		new:      `AND later = $4 AND $5 >= 0 AND $6 >= 0`,
		packages: []string{"store", "reconcile"},
	},
	{
		name: "a repeated webhook is taken up again as it comes", file: "internal/store/inbox.go",
		old:      `ON CONFLICT (shop_id, topic, webhook_id) DO NOTHING`,
		new:      `ON CONFLICT (shop_id, topic, webhook_id) DO UPDATE SET body = excluded.body, triggered_at = excluded.received_at, state = 'new'`,
		packages: []string{"store", "inbox"},
	},
	{
		name: "a webhook is answered before it is on disk", file: "internal/inbox/handler.go",
		old:      "	select {\n	case err := <-i.done:",
		new:      "	i.done <- nil\n	select {\n	case err := <-i.done:",
		packages: []string{"inbox"},
	},
	{
		name: "a signature that is wrong is let through", file: "internal/inbox/handler.go",
		old:      `return shopify.VerifyWebhook(body, r.Header.Get(headerSignature), in.Secrets())`,
		new:      `return r.Header.Get(headerSignature) != ""`,
		packages: []string{"inbox"}, seeds: []uint64{7},
	},
	{
		name: "webhooks are marked as applied before they are", file: "internal/apply/inbox.go",
		old: "	err := b.Store.Update(ctx, func(tx *store.Tx) error {\n		if len(batch.Observations)",
		new: `	if err := b.Store.Update(ctx, func(tx *store.Tx) error { return tx.FinishDeliveries(finished, now) }); err != nil {
		return err
	}
	err := b.Store.Update(ctx, func(tx *store.Tx) error {
		if len(batch.Observations)`,
		packages: []string{"apply"},
	},
	{
		name: "a search warning is ignored", file: "internal/shopify/client.go",
		old:      `		if len(search.Warnings) > 0 {`,
		new:      `		if false {`,
		packages: []string{"shopify"},
	},
	{
		name: "what a read found counts as of its answer", file: "internal/shopify/client.go",
		old:      `		q.asOf = sent`,
		new:      `		_, q.asOf = sent, time.Now()`,
		packages: []string{"shopify"},
	},
	{
		name: "the budget is not waited for", file: "internal/shopify/throttle.go",
		old:      `	if t.available >= need {`,
		new:      `	if true {`,
		packages: []string{"shopify"}, seeds: []uint64{20},
	},
	{
		name: "a bulk file is believed without its counters", file: "internal/reconcile/bulk.go",
		old:      `		doubt = file.Matches(operation)`,
		new:      `		_ = file`,
		packages: []string{"reconcile"},
	},
	{
		name: "a bulk operation that failed in part is read as whole", file: "internal/reconcile/bulk.go",
		old:      `if doubt := operation.Failure(r.shop.Domain); doubt != nil {`,
		new:      `if doubt := operation.Failure(r.shop.Domain); false {`,
		packages: []string{"reconcile"},
	},
	{
		name: "what is staged is merged though its file is not believed", file: "internal/reconcile/bulk.go",
		old: `	if doubt != nil {
		return fmt.Errorf("bulk operation %s: %w", operation.ID.Number(), doubt), nil
	}`,
		new: `	if doubt != nil {
		if _, err := r.gather(ctx, list, at); err != nil {
			return nil, err
		}
		return fmt.Errorf("bulk operation %s: %w", operation.ID.Number(), doubt), nil
	}`,
		packages: []string{"reconcile"}, seeds: []uint64{17},
	},
	{
		name: "a bulk file's roots are not held against the shop's counts", file: "internal/reconcile/bulk.go",
		old:      `	if roots < min(before.N, after.N)-went || before.Exact && after.Exact && roots > max(before.N, after.N)+came {`,
		new:      `	if _ = fmt.Sprint(came, went, after); false {`,
		packages: []string{"reconcile"},
	},
	{
		name: "a null is believed though no witness answers", file: "internal/reconcile/absence.go",
		old:      `		if err != nil || answered {`,
		new:      `		if answered = true; err != nil || answered {`,
		packages: []string{"reconcile"},
	},
	{
		name: "the next sweep starts at the greatest time seen", file: "internal/reconcile/sweep.go",
		old: `				mark := store.SweepMark{At: p.task.StartedAt.Add(-sweepOverlap), Took:`,
		new: `				greatest := p.task.StartedAt.Add(-sweepOverlap)
				for _, o := range page.Observations {
					greatest = max(greatest, o.Updated)
				}
				mark := store.SweepMark{At: greatest, Took:`,
		packages: []string{"reconcile"},
	},
	{
		name: "the next sweep has no overlap with this one", file: "internal/reconcile/sweep.go",
		old:      `				mark := store.SweepMark{At: p.task.StartedAt.Add(-sweepOverlap), Took:`,
		new:      `				mark := store.SweepMark{At: p.task.StartedAt, Took:`,
		packages: []string{"reconcile"},
	},
	{
		name: "a sweep that Shopify did not understand goes on", file: "internal/reconcile/sweep.go",
		old:      `	if shopify.IsSearchWarning(err) {`,
		new:      `	if false {`,
		packages: []string{"reconcile"},
	},
	{
		name: "a location that closes in mid-walk takes the next one along", file: "internal/shopify/inventory.go",
		old:      `		if following = second; first != current { // Closed meanwhile.`,
		new:      `		if following = second; first == "" {`,
		packages: []string{"shopify"},
	},
	{
		name: "the last answer of a witness speaks for all", file: "internal/shopify/discount.go",
		old:      `		witness, silent = data.Witness, silent || data.Witness == nil`,
		new:      `		witness, silent = data.Witness, data.Witness == nil`,
		packages: []string{"shopify"},
	},
	{
		name: "a scan that broke off is judged", file: "internal/reconcile/scan.go",
		old:      "		if result.Done {\n			slices.Sort(of.hashes)",
		new:      "		if len(of.hashes) > 0 {\n			slices.Sort(of.hashes)",
		packages: []string{"reconcile"},
	},
	{
		name: "a lease of tokens that another process has is passed over", file: "internal/connect/lease.go",
		old:      `	if err == nil && found.Until > now && found.Holder != dead {`,
		new:      `	if false {`,
		packages: []string{"connect"},
	},
	{
		name: "the refresh token before the present one is not tried", file: "internal/connect/tokens.go",
		old:      `	if !shopify.IsFinal(err) || shop.LastRefreshToken == nil {`,
		new:      `	if true {`,
		packages: []string{"connect"},
	},
	{
		name: "tokens that were stored meanwhile are written over", file: "internal/connect/tokens.go",
		old:      `			return errChanged`,
		new:      `			_ = errChanged`,
		packages: []string{"connect"},
	},
	{
		name: "who seals does not look which key is in use", file: "internal/connect/secrets.go",
		old:      `			} else if inUse != c.Sealer.KeyID() {`,
		new:      `			} else if false {`,
		packages: []string{"connect"},
	},
	{
		name: "a lost subscription's gap is handed in after it was forgotten", file: "internal/connect/subscriptions.go",
		old:      `		if a.tell != nil {`,
		new:      `		if a.tell != nil && a.c.Store.Update(ctx, func(tx *store.Tx) error { return tx.SetSubscriptions(a.shop.ID, a.result) }) == nil {`,
		packages: []string{"connect"},
	},
	{
		name: "what a shop does not share any more is shown on", file: "internal/store/visible.go",
		old:      `	if mirror.Withheld(kind, granted) {`,
		new:      `	if false {`,
		packages: []string{"reconcile"},
	},
}
