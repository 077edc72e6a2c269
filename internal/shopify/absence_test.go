package shopify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
)

// TestALocationThatClosesInMidWalkHidesNoOther: levels are asked for location by
// location, and the one being walked closes between two of its pages. Those of
// the others are listed all the same: passed over, a scan would take them for
// absent, and a sweep would move its mark over what changed there.
func TestALocationThatClosesInMidWalkHidesNoOther(t *testing.T) {
	for _, name := range []string{"scan", "sweep"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, simulator.Catalogue{Products: 20, BigVariants: 400, Locations: 4}, simulatedScopes...)
			// page lists the ids of levels on one page.
			page := func(cursor string) (ids []mirror.GID, next string) {
				if name == "scan" {
					for _, scan := range shopify.Scans() {
						if scan.Name != "levels" {
							continue
						}
						page, err := scan.Page(t.Context(), w.client, cursor)
						if err != nil {
							t.Fatal(err)
						}
						for _, row := range page.Rows {
							ids = append(ids, row.ID)
						}
						next = page.Next
					}
					return ids, next
				}
				for _, sweep := range shopify.Sweeps() {
					if sweep.Name != "levels" {
						continue
					}
					page, err := sweep.Page(t.Context(), w.client, shopify.Range{Since: mirror.At(time.Now().Add(-24 * 365 * 10 * time.Hour))}, cursor)
					if err != nil {
						t.Fatal(err)
					}
					for _, o := range page.Observations {
						if o.Key.Kind == mirror.KindInventoryLevel {
							ids = append(ids, o.Key.ID)
						}
					}
					next = page.Next
				}
				return ids, next
			}
			closed := mirror.GID("")
			seen := map[mirror.GID]bool{}
			for cursor := ""; ; {
				ids, next := page(cursor)
				for _, id := range ids {
					seen[id] = true
				}
				if cursor = next; cursor == "" {
					break
				}
				if location, within, _ := strings.Cut(cursor, " "); closed == "" && within != "" {
					closed = mirror.GID(location)
					var number int64
					if _, err := fmt.Sscan(closed.Number(), &number); err != nil {
						t.Fatal(err)
					}
					if err := w.shop.DeactivateLocation(number); err != nil {
						t.Fatal(err)
					}
				}
			}
			if closed == "" {
				t.Fatal("no location has more than a page of levels: the test proves nothing")
			}
			for _, id := range w.shop.Items.IDs() {
				item, _ := w.shop.Items.Get(id)
				for _, level := range item.Levels {
					key := mirror.LevelID(mirror.GID(item.GID()), mirror.NewGID("Location", level.Location.ID))
					if level.Shown() && !seen[key] {
						t.Errorf("the %s does not list %s, at a location that was open all the time", name, key)
					}
				}
			}
		})
	}
}

// TestAWitnessThatFailsOnceProvesNothing: discounts are asked for one by one,
// the witness with each. One answer of the witness does not speak for the
// requests in which it was silent, whichever of them came last.
func TestAWitnessThatFailsOnceProvesNothing(t *testing.T) {
	for silent := range 3 {
		t.Run(fmt.Sprintf("silent in request %d", silent), func(t *testing.T) {
			w := newWorld(t, simulator.Catalogue{Products: 5}, simulatedScopes...)
			var witness mirror.GID
			for key := range w.readAll(t) {
				if key.Kind == mirror.KindDiscount {
					witness = key.ID
				}
			}
			transport := &silentWitness{next: w.costs.RoundTripper, in: silent}
			w.costs.RoundTripper = transport
			asked := []mirror.GID{"gid://shopify/DiscountCodeNode/97", "gid://shopify/DiscountCodeNode/98", "gid://shopify/DiscountCodeNode/99"}
			_, answered, err := w.client.ReadBeside(t.Context(), mirror.ReadDiscount, asked, witness)
			if err != nil {
				t.Fatal(err)
			}
			if transport.requests != len(asked) {
				t.Fatalf("%d requests were made; want one a discount", transport.requests)
			}
			if answered {
				t.Error("the witness counts as one that answered every request")
			}
		})
	}
}

// silentWitness takes the witness out of one answer, as a part of Shopify does that lags.
type silentWitness struct {
	next         http.RoundTripper
	in, requests int
}

func (s *silentWitness) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := s.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	var body map[string]any
	if err := json.NewDecoder(reply.Body).Decode(&body); err != nil {
		return nil, err
	}
	if data, ok := body["data"].(map[string]any); ok && data["witness"] != nil {
		if s.requests == s.in {
			data["witness"] = nil
		}
		s.requests++
	}
	changed, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	reply.Body, reply.ContentLength = io.NopCloser(bytes.NewReader(changed)), int64(len(changed))
	reply.Header.Del("Content-Length")
	return reply, nil
}
