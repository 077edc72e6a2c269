package reconcile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// blind is how a blind spot comes about in a shop whose webhooks all arrive.
type blind struct {
	prepare func(*bench) // Before the import.
	change  func(*bench)
	later   time.Duration // How much later one looks.
}

func (b *bench) firstProduct() *simulator.Product {
	p, _ := b.shop.Products.Get(b.shop.Products.IDs()[0])
	return p
}

var blinds = map[string]blind{
	"smart membership": {
		prepare: func(b *bench) {
			_, err := b.shop.CreateCollection(simulator.CollectionSpec{Title: "Gifts", Rules: []simulator.Rule{{Column: "TAG", Relation: "EQUALS", Condition: "rare gift"}}})
			b.edit(err)
		},
		change: func(b *bench) {
			b.edit(b.shop.UpdateProduct(b.firstProduct().ID, func(p *simulator.Product) { p.Tags = append(p.Tags, "rare gift") }))
		},
	},
	"metafield of a variant or the shop": {change: func(b *bench) {
		_, err := b.shop.SetMetafield(b.firstProduct().Variants[0].GID(), "custom", "care", "single_line_text_field", "wash cold")
		b.edit(err)
	}},
	"publication":        {change: unpublish},
	"publication's date": {change: unpublish},
	"lagging total": {
		change: func(b *bench) {
			b.sim.SetFaults(simulator.Faults{TotalsLag: simulator.Duration(time.Minute)})
			item := b.firstProduct().Variants[0].Item
			b.edit(b.shop.SetStock(item.ID, item.Levels[0].Location.ID, 4711))
		},
		later: 2 * time.Minute,
	},
	"discount's targets": {
		prepare: func(b *bench) {
			_, err := b.shop.CreateDiscount(simulator.DiscountSpec{Typename: "DiscountCodeBasic", Title: "Two of them", Codes: []string{"TWO"},
				Value: simulator.DiscountValue{Percentage: "0.1"}, Gets: simulator.DiscountItems{Products: slices.Clone(b.shop.Products.IDs()[:2])}})
			b.edit(err)
		},
		change: func(b *bench) { b.edit(b.shop.DeleteProduct(b.firstProduct().ID)) },
	},
	"order line's variant": {
		prepare: func(b *bench) {
			_, err := b.shop.CreateOrder(simulator.OrderSpec{Lines: []simulator.OrderLine{{Variant: b.firstProduct().Variants[0].ID, Quantity: 1}}})
			b.edit(err)
		},
		change: func(b *bench) { b.edit(b.shop.DeleteProduct(b.firstProduct().ID)) },
	},
	"shop setting": {change: func(b *bench) { b.shop.Timezone = "Asia/Tokyo" }},
	"discount's status": {
		prepare: func(b *bench) {
			_, err := b.shop.CreateDiscount(simulator.DiscountSpec{Typename: "DiscountCodeBasic", Title: "An hour", Codes: []string{"HOUR"}, EndsAt: time.Now().Add(time.Hour),
				Value: simulator.DiscountValue{Percentage: "0.1"}, Gets: simulator.DiscountItems{All: true}})
			b.edit(err)
		},
		change: func(*bench) {},
		later:  2 * time.Hour,
	},
	"order's age": {
		prepare: func(b *bench) {
			_, err := b.shop.CreateOrder(simulator.OrderSpec{Lines: []simulator.OrderLine{{Variant: b.firstProduct().Variants[0].ID, Quantity: 1}}})
			b.edit(err)
		},
		change: func(*bench) {},
		later:  mirror.OrderWindow + time.Hour,
	},
	"stock of a location that opens or closes":   {change: closeLocation},
	"what a location's opening puts up for sale": {prepare: closeLocation, change: openLocations},
	"variant's position":                         {prepare: twoVariants, change: func(b *bench) { b.edit(b.shop.RemoveVariant(b.shop.Variants.IDs()[b.shop.Variants.Len()-3])) }},
	"children of what was deleted":               {change: func(b *bench) { b.edit(b.shop.DeleteProduct(b.firstProduct().ID)) }},
}

// unpublish takes a product off the store. Nothing proves that it moves updatedAt, so here it does not.
func unpublish(b *bench) { b.firstProduct().PublishedAt = time.Time{} }

// closeLocation closes one that has stock.
func closeLocation(b *bench) {
	b.edit(b.shop.DeactivateLocation(b.firstProduct().Variants[0].Item.Levels[0].Location.ID))
}

func openLocations(b *bench) {
	for _, id := range b.shop.Locations.IDs() {
		if l, _ := b.shop.Locations.Get(id); !l.Active {
			b.edit(b.shop.ActivateLocation(id))
		}
	}
}

// twoVariants makes a product of three, whose first is removed later.
func twoVariants(b *bench) {
	_, err := b.shop.CreateProduct(simulator.ProductSpec{Title: "Rack", Options: []string{"Size"}, Variants: []simulator.VariantSpec{
		{Values: []string{"S"}, Price: 500}, {Values: []string{"M"}, Price: 500}, {Values: []string{"L"}, Price: 500}}})
	b.edit(err)
}

// TestBlindSpots provokes each in a shop whose webhooks all arrive. Either the
// copy is right all the same, through what the table names; or it is wrong until
// the poll, which puts it down to the blind spot and to no lost webhook.
func TestBlindSpots(t *testing.T) {
	for _, spot := range mirror.BlindSpots {
		t.Run(spot.Name, func(t *testing.T) {
			how, known := blinds[spot.Name]
			if !known {
				t.Fatal("no test provokes it")
			}
			b := newBench(t, simulator.Catalogue{Products: 6, Locations: 3})
			if how.prepare != nil {
				how.prepare(b)
			}
			b.mustRun("import")
			b.settle()
			b.mustRun("poll") // After which nothing is owed.
			how.change(b)
			b.settleAll()
			if spot.Net == mirror.NetSecond {
				b.mustRun("poll") // It sees what lags, too.
			}
			if how.later > 0 && spot.Net == mirror.NetClock {
				if err := b.sim.Advance(t.Context(), how.later); err != nil {
					t.Fatal(err)
				}
			}
			later := time.Duration(0)
			if spot.Net == mirror.NetClock {
				later = how.later
			}
			report := b.compareAt(later)
			of := report.Types[mirror.InfoOf(spot.Kind).Type]
			exact := of.Missing+of.Extra+of.Wrong == 0
			if fromPoll := spot.Net == mirror.NetPoll || spot.Net == mirror.NetSecond; exact == fromPoll {
				t.Fatalf("caught by %s, and the copy is exact: %v\n%s", spot.Net, exact, report)
			}
			if exact {
				return
			}
			b.sim.SetFaults(simulator.Faults{})
			// What changed in the second in which a poll begins is not judged.
			if err := b.sim.Advance(t.Context(), max(how.later, 3*time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := b.client.ReadByID(t.Context(), mirror.ReadShop, []mirror.GID{mirror.GID(b.shop.GID())}); err != nil {
				t.Fatal(err) // Whose reply tells the time.
			}
			run, found := b.run("poll", false)
			if run.State != store.RunOK {
				t.Fatalf("the poll ended %s:\n%s", run.State, found.Text())
			}
			b.mustBeExact("after the poll")
			for _, row := range b.drift(run.ID) {
				if row.Kind == spot.Kind && row.Cause != string(mirror.CauseNoWebhook) || row.Cause == string(mirror.CauseNever) || row.Cause == string(mirror.CauseOurs) {
					t.Errorf("%s %s %s: %s (%s) %s", row.Kind, row.ID, row.Class, row.Cause, row.Note, row.Fields)
				}
			}
			if !strings.Contains(found.Text(), string(mirror.CauseNoWebhook)) {
				t.Errorf("the report does not name the cause:\n%s", found.Text())
			}
		})
	}
}

// settleAll settles until no read is owed any more but second looks: a read may
// come too soon to satisfy a demand, which then waits a moment.
func (b *bench) settleAll() {
	b.t.Helper()
	for {
		b.settle()
		var left int64
		var due mirror.Instant
		b.view(func(tx *store.Tx) (err error) {
			left, due, err = tx.CountDemands(b.row.ID, mirror.At(time.Now()))
			return err
		})
		if left == 0 {
			return
		}
		select {
		case <-time.After(time.Until(due.Time())):
		case <-b.t.Context().Done():
			b.t.Fatal("reads are owed still")
		}
	}
}

// drift lists a run's drifted rows.
func (b *bench) drift(run int64) (rows []store.DriftRow) {
	b.t.Helper()
	b.view(func(tx *store.Tx) (err error) {
		rows, err = tx.Drift(run, 10_000)
		return err
	})
	return rows
}

// compareAt holds the copy against the shop, asked so much later.
func (b *bench) compareAt(later time.Duration) simulator.Report {
	b.t.Helper()
	var truth, copied strings.Builder
	if err := b.shop.Export(&truth); err != nil {
		b.t.Fatal(err)
	}
	now := func() time.Time { return time.Now().Add(later) }
	if err := query.New(b.Store, now).Export(b.t.Context(), &copied, domain); err != nil {
		b.t.Fatal(err)
	}
	report, err := simulator.Compare(strings.NewReader(truth.String()), strings.NewReader(copied.String()))
	if err != nil {
		b.t.Fatal(err)
	}
	return report
}
