package shopify

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

const noMetafields = `"metafields":{"nodes":[],"pageInfo":{"hasNextPage":false}}`

func collectionText(id int, end string) string {
	return fmt.Sprintf(`{"__typename":"Collection","id":"gid://shopify/Collection/%d","title":"C","handle":"c","descriptionHtml":"","sortOrder":"MANUAL",`+
		`"updatedAt":"2026-11-24T12:00:00Z","sources":[],"products":{"nodes":[{"id":"gid://shopify/Product/1"}],"pageInfo":%s},%s}`, id, end, noMetafields)
}

const (
	more = `{"hasNextPage":true,"endCursor":"next"}`
	last = `{"hasNextPage":false,"endCursor":null}`
)

// shown lists the records that were observed and not found absent.
func shown(observations []mirror.Observation) string {
	var keys []string
	for _, o := range observations {
		text := o.Key.String()
		if o.Content == nil {
			text += " absent"
		}
		keys = append(keys, text)
	}
	return strings.Join(keys, ", ")
}

func TestPageThatCannotGoOnIsAnError(t *testing.T) {
	for name, end := range map[string]string{
		"no cursor":        `{"hasNextPage":true,"endCursor":null}`,
		"the same forever": more,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
					if name, _ := operation(r); name == "ListCollections" {
						io.WriteString(w, `{"data":{"collections":{"nodes":[`+collectionText(1, end)+`],"pageInfo":`+last+`}}}`)
						return
					}
					io.WriteString(w, `{"data":{"collection":{"products":{"nodes":[],"pageInfo":`+more+`}}}}`)
				})
				page, err := listNamed(t, "collections").Page(t.Context(), client, "")
				if err == nil {
					t.Errorf("the list was cut short: %s", shown(page.Observations))
				}
			})
		})
	}
}

func TestWhatGoesAwayWhileItIsListedIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			if name, _ := operation(r); name == "ListCollections" {
				io.WriteString(w, `{"data":{"collections":{"nodes":[`+collectionText(1, last)+`,`+collectionText(2, more)+`,`+collectionText(3, last)+`],"pageInfo":`+last+`}}}`)
				return
			}
			io.WriteString(w, `{"data":{"collection":null}}`)
		})
		page, err := listNamed(t, "collections").Page(t.Context(), client, "")
		if got := shown(page.Observations); err != nil || strings.Contains(got, "Collection/2") || !strings.Contains(got, "Collection/3") {
			t.Errorf("got %s, %v", got, err)
		}
	})
}

func TestWhatGoesAwayWhileItIsReadByIDIsAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reads := 0
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			if name, _ := operation(r); name != "ReadCollections" {
				io.WriteString(w, `{"data":{"collection":null}}`)
				return
			}
			if reads++; reads == 1 {
				io.WriteString(w, `{"data":{"nodes":[`+collectionText(1, more)+`]}}`)
				return
			}
			io.WriteString(w, `{"data":{"nodes":[null]}}`)
		})
		observations, err := client.ReadByID(t.Context(), mirror.ReadCollection, []mirror.GID{"gid://shopify/Collection/1"})
		if got := shown(observations); err != nil || got != "Collection gid://shopify/Collection/1 absent" {
			t.Errorf("got %s, %v", got, err)
		}
	})
}

func TestReadThatIsTooDearIsHalved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			calls++
			_, body := operation(r)
			var nodes []string
			for id := 1; id <= 8; id++ {
				if strings.Contains(body, fmt.Sprintf(`"gid://shopify/Collection/%d"`, id)) {
					nodes = append(nodes, collectionText(id, last))
				}
			}
			if len(nodes) > 2 {
				io.WriteString(w, `{"errors":[{"message":"too much","extensions":{"code":"MAX_COST_EXCEEDED"}}]}`)
				return
			}
			io.WriteString(w, `{"data":{"nodes":[`+strings.Join(nodes, ",")+`]}}`)
		})
		var ids []mirror.GID
		for id := 1; id <= 8; id++ {
			ids = append(ids, mirror.NewGID("Collection", int64(id)))
		}
		observations, err := client.ReadByID(t.Context(), mirror.ReadCollection, ids)
		if err != nil || calls != 7 {
			t.Errorf("%d calls, %v", calls, err)
		}
		for _, id := range ids {
			if !slices.ContainsFunc(observations, func(o mirror.Observation) bool { return o.Key.ID == id && o.Content != nil }) {
				t.Errorf("%s was not read", id)
			}
		}
	})
}

func TestReadByIDGivesEverythingOrAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			_, body := operation(r)
			if strings.Contains(body, "Collection/25") {
				io.WriteString(w, `{"errors":[{"message":"no","extensions":{"code":"ACCESS_DENIED"}}]}`)
				return
			}
			io.WriteString(w, `{"data":{"nodes":[]}}`)
		})
		var ids []mirror.GID
		for id := 1; id <= 25; id++ {
			ids = append(ids, mirror.NewGID("Collection", int64(id)))
		}
		observations, err := client.ReadByID(t.Context(), mirror.ReadCollection, ids)
		if ClassOf(err) != ClassDenied || observations != nil {
			t.Errorf("got %s, %v", shown(observations), err)
		}
	})
}

func TestSmart(t *testing.T) {
	conditions := func(n int) admin.CollectionContentSourcesCollectionSource {
		source := new(admin.CollectionContentSourcesCollectionConditionsSource)
		for range n {
			source.Inclusion.Conditions = append(source.Inclusion.Conditions, []byte(`{}`))
		}
		return source
	}
	sub := new(admin.CollectionContentSourcesCollectionSubCollectionsSource)
	type sources = []admin.CollectionContentSourcesCollectionSource
	for _, tt := range []struct {
		name    string
		sources sources
		want    bool
	}{
		{"no source", nil, false},
		{"products picked by hand", sources{conditions(0)}, false},
		{"a rule", sources{conditions(1)}, true},
		{"by hand and a rule", sources{conditions(0), conditions(2)}, true},
		{"other collections", sources{sub}, true},
	} {
		if got := smart(tt.sources); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}

func TestEveryReadOfMirrorIsThere(t *testing.T) {
	for _, info := range mirror.Kinds() {
		if MaxIDs(info.Read) < 1 {
			t.Errorf("nothing reads %s for %s", info.Read, info.Kind)
		}
	}
}

func TestVariantsOfOneItemAreReadToTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		variants := func(from, to int, end string) string {
			var nodes []string
			for id := from; id <= to; id++ {
				nodes = append(nodes, fmt.Sprintf(`{"id":"gid://shopify/ProductVariant/%d","position":1,"inventoryQuantity":null,"availableForSale":true,`+
					`"product":{"id":"gid://shopify/Product/%d","totalInventory":3,"onlineStoreUrl":null,"featuredMedia":null}}`, id, id%2+1))
			}
			return `"variants":{"nodes":[` + strings.Join(nodes, ",") + `],"pageInfo":` + end + `}`
		}
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			if name, _ := operation(r); name == "ReadItems" {
				io.WriteString(w, `{"data":{"nodes":[{"__typename":"InventoryItem","id":"gid://shopify/InventoryItem/1","sku":null,"tracked":true,`+
					`"requiresShipping":true,"unitCost":null,"updatedAt":"2026-11-24T12:00:00Z",`+variants(1, 5, more)+`}]}}`)
				return
			}
			io.WriteString(w, `{"data":{"inventoryItem":{`+variants(6, 7, last)+`}}}`)
		})
		observations, err := client.ReadByID(t.Context(), mirror.ReadItem, []mirror.GID{"gid://shopify/InventoryItem/1"})
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[mirror.Kind]int{}
		for _, o := range observations {
			kinds[o.Key.Kind]++
		}
		if kinds[mirror.KindProductVariantDerived] != 7 || kinds[mirror.KindProductDerived] != 2 || kinds[mirror.KindInventoryItem] != 1 {
			t.Errorf("read %v", kinds)
		}
	})
}

func TestWhatTookSeveralCallsIsAsOfTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, calls := time.Now(), 0
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil // Both clocks are one here.
			if name, _ := operation(r); name == "ListCollections" {
				io.WriteString(w, `{"data":{"collections":{"nodes":[`+collectionText(1, more)+`],"pageInfo":`+last+`}}}`)
				return
			}
			if calls++; calls < 3 { // Makes time pass.
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			io.WriteString(w, `{"data":{"collection":{"products":{"nodes":[],"pageInfo":`+last+`}}}}`)
		})
		page, err := listNamed(t, "collections").Page(t.Context(), client, "")
		if err != nil || page.AsOf != mirror.At(start) || time.Since(start) < time.Second {
			t.Errorf("asOf %s, began %s, %v", page.AsOf, start, err)
		}
		for _, o := range page.Observations {
			if o.AsOf != page.AsOf || o.Heard != page.AsOf {
				t.Errorf("%s is as of %s, heard %s", o.Key, o.AsOf, o.Heard)
			}
		}
	})
}
