package simulator_test

import (
	"strconv"
	"testing"

	"stockroom/internal/simulator"
)

// The operation is found whole by what Shopify's API says of it: counters and
// size are strings, every child names a parent that is there, and slashes are
// escaped, as recorded files have them.
func TestShopifysOwnClientRunsABulkOperation(t *testing.T) {
	p := run(t, "bulk.mjs")
	p.expect("listening", nil)
	w := newWorld(t, simulator.Catalogue{Products: 300}, nil)
	p.tell(map[string]any{"simulator": w.url, "shop": domain, "clientID": clientID, "secret": secret, "token": w.client(allScopes...).token})

	var refused struct {
		Started bool
		Code    string
		Field   []string
	}
	p.expect("refused", &refused)
	if refused.Started || refused.Code != "INVALID" || len(refused.Field) != 1 || refused.Field[0] != "query" {
		t.Errorf("a query by nodes: %+v", refused)
	}
	var started struct {
		Status, ObjectCount string
		URL                 *string
	}
	p.expect("started", &started)
	if started.Status != "CREATED" || started.ObjectCount != "0" || started.URL != nil {
		t.Errorf("the operation begins as %+v", started)
	}
	var done struct {
		Products, Variants, Orphans, Size      int
		Escaped                                bool
		ObjectCount, RootObjectCount, FileSize string
		Partial                                *string
	}
	p.expect("done", &done)
	size := w.shop.Size()
	if done.Products != size.Products || done.Variants != size.Variants || done.Orphans != 0 || !done.Escaped || done.Partial != nil {
		t.Errorf("the file holds %+v, the shop %d products and %d variants", done, size.Products, size.Variants)
	}
	if done.ObjectCount != strconv.Itoa(size.Products+size.Variants) || done.RootObjectCount != strconv.Itoa(size.Products) || done.FileSize != strconv.Itoa(done.Size) {
		t.Errorf("the operation counts %+v", done)
	}
	p.end()
}
