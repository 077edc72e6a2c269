package shopify

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
)

// TestALargeBulkFileTakesLittleMemory: it is read as it comes, whatever its size.
func TestALargeBulkFileTakesLittleMemory(t *testing.T) {
	const (
		lines = 40_000
		bound = 24 << 20
	)
	text := strings.Repeat("a long description, ", 100)
	c := testClient(t, func(w http.ResponseWriter, r *http.Request) {
		for n := range lines {
			fmt.Fprintf(w, `{"id":"gid://shopify/Product/%d","descriptionHtml":"%s"}`+"\n", n+1, text)
		}
	})
	heap := func() uint64 {
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		return memory.HeapAlloc
	}
	before, most, batches := heap(), uint64(0), 0
	operation := BulkOperation{ID: "gid://shopify/BulkOperation/1", Status: "COMPLETED", address: secret.New(signedAddress)}
	file, err := c.ReadBulkFile(t.Context(), operation, func(batch []BulkLine) error {
		if batches++; batches%10 == 1 {
			most = max(most, heap())
			runtime.KeepAlive(batch)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if file.Lines != lines || file.Size < 3*bound {
		t.Fatalf("the file of %d lines and %d bytes is too small to prove anything", file.Lines, file.Size)
	}
	if most > before+bound {
		t.Errorf("reading %d MB took %d MB of memory; want at most %d", file.Size>>20, (most-before)>>20, bound>>20)
	}
}

// TestCountsAreAskedForWithoutALimit: Shopify counts no further than 10,000
// unless it is told to, and a file held against such a count would seem too long.
func TestCountsAreAskedForWithoutALimit(t *testing.T) {
	count := regexp.MustCompile(`\b[a-z]\w*Count\b(\([^)]*\))?\s*\{`)
	paths, err := filepath.Glob("admin/operations/*.graphql")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, asked := range count.FindAllStringSubmatch(string(text), -1) {
			found++
			if !strings.Contains(asked[1], "limit: null") {
				t.Errorf("%s asks for %q, which ends at 10,000", path, asked[0])
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d counts were found", found)
	}
}

// TestACountThatIsCutIsNotExact, should Shopify cut one all the same.
func TestACountThatIsCutIsNotExact(t *testing.T) {
	for precision, exact := range map[string]bool{"EXACT": true, "AT_LEAST": false} {
		c := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"data":{"productsCount":{"count":10000,"precision":"`+precision+`"}}}`)
		})
		for _, list := range Lists() {
			if list.Name != "products" {
				continue
			}
			if got, err := list.Bulk.Count(t.Context(), c); err != nil || got != (Count{10000, exact}) {
				t.Errorf("a count of precision %s is %+v, %v", precision, got, err)
			}
		}
	}
}

// TestAKindNeedsNoScopeThatItsListsDoNot: by the one readers are shown it, by the
// other it is read.
func TestAKindNeedsNoScopeThatItsListsDoNot(t *testing.T) {
	for _, list := range Lists() {
		for _, kind := range list.Kinds {
			if extra := MissingScopes(list.Scopes, mirror.InfoOf(kind).Scopes); len(extra) > 0 {
				t.Errorf("%s needs %v, and the list %s does not", kind, extra, list.Name)
			}
			if len(list.Scopes) > 0 && len(mirror.InfoOf(kind).Scopes) == 0 && mirror.InfoOf(kind).Of == "" {
				t.Errorf("%s needs no scope, and the list %s does", kind, list.Name)
			}
		}
	}
}
