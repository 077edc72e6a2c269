package shopify_test

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
)

// TestBulkQueriesKeepShopifysLimits, those of its page 'Perform bulk operations
// with the GraphQL Admin API' (2026-11-24): one field at the top, at most five
// connections, two levels below the first, edges alone, no deprecated nodes.
func TestBulkQueriesKeepShopifysLimits(t *testing.T) {
	seen := 0
	for _, list := range shopify.Lists() {
		if list.Bulk == nil {
			continue
		}
		seen++
		if len(list.Bulk.Query) > 65_535 {
			t.Errorf("%s: the query has %d bytes", list.Name, len(list.Bulk.Query))
		}
		document, err := parser.ParseQuery(&ast.Source{Input: list.Bulk.Query})
		if err != nil {
			t.Fatalf("%s: %v", list.Name, err)
		}
		if len(document.Operations) != 1 || len(document.Operations[0].SelectionSet) != 1 {
			t.Errorf("%s: more than one field at the top", list.Name)
		}
		connections, depth := 0, 0
		var walk func(set ast.SelectionSet, level int)
		walk = func(set ast.SelectionSet, level int) {
			for _, selected := range set {
				switch s := selected.(type) {
				case *ast.FragmentSpread:
					walk(document.Fragments.ForName(s.Name).SelectionSet, level)
				case *ast.InlineFragment:
					walk(s.SelectionSet, level)
				case *ast.Field:
					if s.Name == "nodes" || s.Name == "pageInfo" {
						t.Errorf("%s: selects %s", list.Name, s.Name)
					}
					below := level
					if len(s.SelectionSet) == 1 {
						if inner, ok := s.SelectionSet[0].(*ast.Field); ok && inner.Name == "edges" {
							connections++
							depth, below = max(depth, level), level+1
						}
					}
					walk(s.SelectionSet, below)
				}
			}
		}
		walk(document.Operations[0].SelectionSet, 0)
		if connections < 1 || connections > 5 || depth > 2 {
			t.Errorf("%s: %d connections, %d levels below the first", list.Name, connections, depth)
		}
	}
	if seen == 0 {
		t.Fatal("no list has a bulk form")
	}
}

// readInBulk runs a list's operation to its end and puts it together.
func (w *world) readInBulk(t *testing.T, list shopify.List) (contents, shopify.BulkOperation) {
	t.Helper()
	operation, err := w.client.StartBulk(t.Context(), list.Bulk.Query)
	if err != nil {
		t.Fatalf("start %s: %v", list.Name, err)
	}
	if operation.Status != "CREATED" || operation.Over() || operation.AsOf == 0 {
		t.Errorf("%s begins as %+v", list.Name, operation)
	}
	asOf := operation.AsOf
	ended := w.follow(t, operation.ID)
	if err := ended.Failure(simulatedShop); err != nil {
		t.Fatalf("%s: %v", list.Name, err)
	}
	all := contents{}
	staged := map[mirror.GID]*shopify.Gathered{}
	take := func(observations []mirror.Observation) {
		for _, o := range observations {
			if o.AsOf != asOf || o.Source != mirror.FromBulk {
				t.Errorf("%v is as of %v from %s; want %v from bulk", o.Key, o.AsOf, o.Source, asOf)
			}
			all[o.Key] = o
		}
	}
	file, err := w.client.ReadBulkFile(t.Context(), ended, func(lines []shopify.BulkLine) error {
		observations, rows, err := list.Bulk.Read(asOf, lines)
		take(observations)
		for _, row := range rows {
			g := staged[row.Owner]
			if g == nil {
				g = &shopify.Gathered{Owner: row.Owner}
				staged[row.Owner] = g
			}
			if row.Child == "" {
				g.Data = row.Data
			} else {
				g.Children = append(g.Children, row)
			}
		}
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", list.Name, err)
	}
	if err := file.Matches(ended); err != nil {
		t.Errorf("%s: %v", list.Name, err)
	}
	for _, g := range staged {
		slices.SortFunc(g.Children, func(a, b shopify.Staged) int { return cmp.Compare(a.Child, b.Child) })
		observations, err := list.Bulk.Gather(asOf, []shopify.Gathered{*g})
		if err != nil {
			t.Fatalf("%s: %v", list.Name, err)
		}
		take(observations)
	}
	return all, ended
}

func (w *world) follow(t *testing.T, id mirror.GID) shopify.BulkOperation {
	t.Helper()
	for {
		operation, err := w.client.BulkOperation(t.Context(), id) // The budget is ample, and an operation takes a moment.
		if err != nil {
			t.Fatal(err)
		}
		if operation.Over() {
			return operation
		}
	}
}

// TestBulkAndPagesObserveTheSame: every list, whatever order the lines come in.
func TestBulkAndPagesObserveTheSame(t *testing.T) {
	for name, reorder := range map[string]float64{"children after parents": 0, "in any order": 1} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Catalogue{Products: 40, BigVariants: 250, Orders: 30}, simulatedScopes...)
			w.SetFaults(simulator.Faults{BulkReorder: reorder})
			for _, list := range shopify.Lists() {
				if list.Bulk == nil {
					continue
				}
				pages := w.readList(t, list)
				bulk, _ := w.readInBulk(t, list)
				if len(bulk) != len(pages) || len(pages) == 0 {
					t.Errorf("%s: %d records in bulk, %d by pages", list.Name, len(bulk), len(pages))
				}
				for key, page := range pages {
					if got := bulk[key]; string(got.Content) != string(page.Content) || got.Parent != page.Parent || got.Link != page.Link {
						t.Errorf("%s: %v in bulk is\n%s\nand by pages\n%s", list.Name, key, got.Content, page.Content)
						break
					}
				}
				count, err := list.Bulk.Count(t.Context(), w.client)
				if roots := countKind(pages, list.Bulk.Root); err != nil || count.N != roots || !count.Exact {
					t.Errorf("%s: the shop counts %+v, %v; there are %d", list.Name, count, err, roots)
				}
			}
		})
	}
}

func countKind(all contents, kind mirror.Kind) (n int64) {
	for key := range all {
		if key.Kind == kind {
			n++
		}
	}
	return n
}

// TestPagesCostIsWhatPagesCost: the estimate behind the choice of a route.
func TestPagesCostIsWhatPagesCost(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, simulatedScopes...)
	for _, list := range shopify.Lists() {
		if list.Bulk == nil {
			continue
		}
		if _, err := list.Page(t.Context(), w.client, ""); err != nil {
			t.Fatal(err)
		}
		if got := w.costs.last; got != float64(list.Bulk.PagesCost(1)) || list.Bulk.PagesCost(list.Bulk.PageRows) != list.Bulk.PagesCost(1) ||
			list.Bulk.PagesCost(list.Bulk.PageRows+1) != 2*list.Bulk.PagesCost(1) {
			t.Errorf("%s: a page is requested at %v points, the list says %d", list.Name, got, list.Bulk.PagesCost(1))
		}
	}
}

// TestSixthBulkOperationHasToWait, and a canceled one gives its place up.
func TestSixthBulkOperationHasToWait(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, simulatedScopes...)
	w.SetFaults(simulator.Faults{BulkStuck: 1})
	query := shopify.Lists()[slices.IndexFunc(shopify.Lists(), func(l shopify.List) bool { return l.Bulk != nil })].Bulk.Query
	var first mirror.GID
	for n := range 5 {
		operation, err := w.client.StartBulk(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			first = operation.ID
		}
	}
	if _, err := w.client.StartBulk(t.Context(), query); !errors.Is(err, shopify.ErrBulkBusy) {
		t.Errorf("the sixth: %v", err)
	}
	if err := w.client.CancelBulk(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if ended := w.follow(t, first); ended.Status != "CANCELED" || ended.Failure(simulatedShop) == nil {
		t.Errorf("the canceled one ended as %+v", ended)
	}
	if err := w.client.CancelBulk(t.Context(), first); err != nil {
		t.Errorf("cancel what is over: %v", err)
	}
	if _, err := w.client.StartBulk(t.Context(), query); err != nil {
		t.Errorf("after one was canceled: %v", err)
	}
}

// TestBulkOperationExpires: seven days later its file is gone, and that is no empty answer.
func TestBulkOperationExpires(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, simulatedScopes...)
	list := shopify.Lists()[slices.IndexFunc(shopify.Lists(), func(l shopify.List) bool { return l.Bulk != nil })]
	_, ended := w.readInBulk(t, list)
	if err := w.Advance(t.Context(), 8*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	again, err := w.client.BulkOperation(t.Context(), ended.ID)
	if err != nil {
		t.Fatal(err)
	}
	if again.HasFile() || again.Failure(simulatedShop) == nil {
		t.Errorf("eight days later it is %+v", again)
	}
	if _, err := w.client.ReadBulkFile(t.Context(), ended, func([]shopify.BulkLine) error { return nil }); err == nil || strings.Contains(err.Error(), "Signature") {
		t.Errorf("its old address: %v", err)
	}
}
