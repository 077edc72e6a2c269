package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

const runBulk = `mutation($q: String!, $g: Boolean!) { bulkOperationRunQuery(query: $q, groupObjects: $g) { bulkOperation { id status objectCount url } userErrors { field message code } } }`

type bulkState struct{ ID, Type, Status, ErrorCode, ObjectCount, RootObjectCount, FileSize, URL, PartialDataURL, CompletedAt string }

// bulk runs a query and returns the operation once it is over, and its lines.
func (c client) bulk(query string, group bool) (bulkState, []map[string]any) {
	c.w.t.Helper()
	var started struct {
		BulkOperationRunQuery struct {
			BulkOperation bulkState
			UserErrors    []struct{ Message string }
		}
	}
	c.get(&started, runBulk, "q", query, "g", group)
	b := started.BulkOperationRunQuery.BulkOperation
	if b.Status != "CREATED" || b.ObjectCount != "0" || b.URL != "" {
		c.w.t.Fatalf("started %+v", started)
	}
	b = c.over(b.ID)
	if b.URL == "" {
		return b, nil
	}
	response, err := http.Get(c.w.url + b.URL)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || fmt.Sprint(len(text)) != b.FileSize {
		c.w.t.Fatalf("file of %d bytes, %s announced (%v)", len(text), b.FileSize, err)
	}
	if strings.Contains(string(text), "gid://") {
		c.w.t.Error("slashes are not escaped")
	}
	var lines []map[string]any
	for line := range strings.Lines(string(text)) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			c.w.t.Fatalf("line %s: %v", line, err)
		}
		lines = append(lines, object)
	}
	return b, lines
}

// over polls an operation, as apps do, until nothing will change any more.
func (c client) over(id string) bulkState {
	c.w.t.Helper()
	return c.until(id, "COMPLETED", "FAILED", "CANCELED", "EXPIRED")
}

func (c client) until(id string, states ...string) bulkState {
	c.w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for {
		if b := c.poll(id); slices.Contains(states, b.Status) {
			return b
		}
		select {
		case <-tick.C:
		case <-late:
			c.w.t.Fatalf("the operation does not become %v", states)
		}
	}
}

func (c client) poll(id string) bulkState {
	c.w.t.Helper()
	var polled struct{ BulkOperation bulkState }
	c.get(&polled, `query($id: ID!) { bulkOperation(id: $id) { id type status errorCode objectCount rootObjectCount fileSize url partialDataUrl completedAt } }`, "id", id)
	return polled.BulkOperation
}

// start begins an operation and returns its id, or the complaint.
func (c client) start(query string) (id string, problem error) {
	c.w.t.Helper()
	var started struct {
		BulkOperationRunQuery struct {
			BulkOperation *bulkState
			UserErrors    []struct {
				Field         []string
				Message, Code string
			}
		}
	}
	c.get(&started, runBulk, "q", query, "g", true)
	if errs := started.BulkOperationRunQuery.UserErrors; len(errs) > 0 {
		return "", fmt.Errorf("%v %s: %s", errs[0].Field, errs[0].Code, errs[0].Message)
	}
	return started.BulkOperationRunQuery.BulkOperation.ID, nil
}

const allVariants = `{ products { edges { node { id variants { edges { node { id } } } } } } }`

// listen lets the app hear of operations that are over.
func (c client) listen() {
	c.w.t.Helper()
	access := c.w.shop.AccessOf(c.token)
	access.APIVersion = "2026-10"
	if _, errs := access.Installation.Subscribe(access, simulator.Subscription{Topic: "BULK_OPERATIONS_FINISH", URI: c.w.inbox.URL}); errs != nil {
		c.w.t.Fatal(errs)
	}
}

func (c client) download(address string) (int, string) {
	c.w.t.Helper()
	response, err := http.Get(c.w.url + address)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestFiveBulkOperationsRunAtOnceAndCanBeCanceled(t *testing.T) {
	w, c := writer(t)
	c.listen()
	w.SetFaults(simulator.Faults{BulkStuck: 1})
	var ids []string
	for range 5 {
		id, err := c.start(allVariants)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	_, err := c.start(allVariants)
	if err == nil || !strings.HasPrefix(err.Error(), "[] OPERATION_IN_PROGRESS: ") {
		t.Fatalf("the sixth: %v", err)
	}
	for _, id := range ids {
		if !strings.Contains(err.Error(), id) {
			t.Errorf("%q does not name %s", err, id)
		}
	}
	if b := c.until(ids[0], "RUNNING"); b.URL != "" || b.CompletedAt != "" {
		t.Errorf("running: %+v", b)
	}
	c.expect(`{"bulkOperationCancel":{"bulkOperation":{"status":"CANCELING"},"userErrors":[]}}`,
		`mutation($id: ID!) { bulkOperationCancel(id: $id) { bulkOperation { status } userErrors { message } } }`, "id", ids[0])
	if b := c.over(ids[0]); b.Status != "CANCELED" || b.URL != "" || b.PartialDataURL != "" || b.CompletedAt == "" {
		t.Errorf("canceled: %+v", b)
	}
	if hooks := w.heard("bulk_operations/finish"); len(hooks) != 1 || hooks[0].body["status"] != "canceled" || hooks[0].body["admin_graphql_api_id"] != ids[0] {
		t.Errorf("told %v", hooks)
	}
	if _, err := c.start(allVariants); err != nil {
		t.Errorf("after one ended: %v", err)
	}
}

func TestBulkFaults(t *testing.T) {
	w, c := writer(t)
	c.listen()
	run := func(faults simulator.Faults) bulkState {
		t.Helper()
		w.SetFaults(faults)
		id, err := c.start(allVariants)
		if err != nil {
			t.Fatal(err)
		}
		b := c.over(id)
		hooks := w.heard("bulk_operations/finish")
		if len(hooks) != 1 || hooks[0].body["status"] != strings.ToLower(b.Status) {
			t.Errorf("%s, but told %v", b.Status, hooks)
		}
		return b
	}
	whole := run(simulator.Faults{})
	_, straight := c.download(whole.URL)

	cut := run(simulator.Faults{BulkCut: 1})
	_, text := c.download(cut.URL)
	if cut.Status != "COMPLETED" || cut.FileSize != whole.FileSize || cut.ObjectCount != whole.ObjectCount || len(text) >= len(straight) || !strings.HasPrefix(straight, text) {
		t.Errorf("cut: %+v with %d bytes of %d", cut, len(text), len(straight))
	}

	mixed := run(simulator.Faults{BulkReorder: 1})
	_, text = c.download(mixed.URL)
	sorted := func(text string) []string { return slices.Sorted(strings.Lines(text)) }
	if text == straight || !slices.Equal(sorted(text), sorted(straight)) {
		t.Error("reordered: not the same lines in another order")
	}

	canceled := run(simulator.Faults{BulkCancel: 1})
	if canceled.Status != "CANCELED" || canceled.URL != "" {
		t.Errorf("canceled by itself: %+v", canceled)
	}

	failed := run(simulator.Faults{BulkFail: 1})
	status, text := c.download(failed.PartialDataURL)
	if failed.Status != "FAILED" || failed.ErrorCode != "INTERNAL_SERVER_ERROR" || failed.URL != "" || failed.FileSize != "" ||
		status != http.StatusOK || text == "" || len(text) >= len(straight) || !strings.HasPrefix(straight, text) || !strings.HasSuffix(text, "\n") {
		t.Errorf("failed: %+v with %d bytes", failed, len(text))
	}
	if failed.ObjectCount != fmt.Sprint(strings.Count(text, "\n")) {
		t.Errorf("failed: %s objects counted, %d lines", failed.ObjectCount, strings.Count(text, "\n"))
	}
}

func TestBulkFilesAreSignedEndAfterSevenDaysAndGoWithTheSimulator(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	clock := newClock()
	w := newWorld(t, simulator.Catalogue{Products: 3}, func(c *simulator.Config) { c.Now = clock.Now })
	c := w.client(allScopes...)
	b, _ := c.bulk(allVariants, true)
	address, _, _ := strings.Cut(b.URL, "&Signature=")
	for _, step := range []struct {
		address string
		status  int
	}{{b.URL, 200}, {address, 403}, {address + "&Signature=other", 403}} {
		if status, _ := c.download(step.address); status != step.status {
			t.Errorf("%s: status %d", step.address, status)
		}
	}
	clock.pass(7 * 24 * time.Hour)
	if status, text := c.download(b.URL); status != http.StatusBadRequest || !strings.Contains(text, "ExpiredToken") {
		t.Errorf("after seven days: status %d, %s", status, text)
	}
	if late := w.client(allScopes...).poll(b.ID); late.Status != "EXPIRED" || late.URL != "" {
		t.Errorf("after seven days: %+v", late)
	}
	fresh, _ := w.client(allScopes...).bulk(allVariants, true)
	files := filepath.Join(os.Getenv("TMPDIR"), "stockroom-sim-bulk-*")
	if left, err := filepath.Glob(filepath.Join(files, "*.jsonl")); err != nil || len(left) != 1 {
		t.Errorf("files: %v (%v), want the fresh one alone", left, err)
	}
	w.Stop()
	if status, _ := c.download(fresh.URL); status != http.StatusNotFound {
		t.Errorf("after the stop: status %d", status)
	}
	if left, err := filepath.Glob(files); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestBulkQueriesWriteALineForEachNode(t *testing.T) {
	w, c := writer(t)
	// More variants than a page holds.
	var many []simulator.VariantSpec
	for i := range 300 {
		many = append(many, simulator.VariantSpec{Values: []string{fmt.Sprint("V", i)}})
	}
	big, err := w.shop.CreateProduct(simulator.ProductSpec{Title: "Beads", Options: []string{"Bead"}, Variants: many})
	if err != nil {
		t.Fatal(err)
	}
	query := `{ products { edges { node { ...p variants { edges { node { id sku inventoryItem { id inventoryLevels { edges { node { id } } } } } } } } } } } fragment p on Product { id title }`
	for _, group := range []bool{true, false} {
		b, lines := c.bulk(query, group)
		levels, variants := 0, 0
		for v := range w.shop.Variants.All() {
			variants++
			for _, l := range v.Item.Levels {
				if l.Active {
					levels++
				}
			}
		}
		products := w.shop.Products.Len()
		if b.Type != "QUERY" || b.Status != "COMPLETED" || b.RootObjectCount != fmt.Sprint(products) || b.ObjectCount != fmt.Sprint(products+variants+levels) || len(lines) != products+variants+levels {
			t.Fatalf("%+v with %d lines, want %d, %d, %d", b, len(lines), products, variants, levels)
		}
		seen, ofBig, parents := map[any]bool{}, 0, map[any]any{}
		for _, line := range lines {
			parent, nested := line["__parentId"]
			if nested && parent != line["id"] && strings.Contains(fmt.Sprint(line["id"]), "ProductVariant/") && !seen[parent] {
				t.Fatalf("%v comes before its parent %v", line["id"], parent)
			}
			seen[line["id"]] = true
			parents[line["id"]] = parent
			if parent == big.GID() {
				ofBig++
			}
		}
		if ofBig != 300 {
			t.Errorf("%d variants of the big product", ofBig)
		}
		follows := parents[lines[1]["id"]] == lines[0]["id"]
		if follows != group {
			t.Errorf("grouped is %v, but a child follows its parent: %v", group, follows)
		}
	}
	if hooks := w.heard("bulk_operations/finish"); len(hooks) != 0 {
		t.Errorf("told of %d without a subscription", len(hooks))
	}
}

// The discount within a DiscountNode has no id: its codes belong to the node,
// whichever type of the union it is, and beyond a page, too.
func TestBulkQueriesReadTheCodesOfDiscounts(t *testing.T) {
	w, c := writer(t)
	spec := simulator.DiscountSpec{Typename: "DiscountCodeBasic", Title: "Many codes", Value: simulator.DiscountValue{Percentage: "0.1"}, Gets: simulator.DiscountItems{All: true}}
	for i := range 600 {
		spec.Codes = append(spec.Codes, fmt.Sprint("MANY", i))
	}
	if _, err := w.shop.CreateDiscount(spec); err != nil {
		t.Fatal(err)
	}
	codes := `codes { edges { node { id code } } }`
	b, lines := c.bulk(`{ discountNodes { edges { node { id discount { __typename
		... on DiscountCodeBxgy { title `+codes+` } ... on DiscountCodeFreeShipping { title `+codes+` } ... on DiscountCodeBasic { title `+codes+` } ... on DiscountCodeApp { title `+codes+` } } } } } }`, true)
	got := map[string]int{}
	for _, line := range lines {
		if parent, ok := line["__parentId"].(string); ok {
			got[parent]++
		}
	}
	discounts := 0
	for d := range w.shop.Discounts.All() {
		if discounts++; got[d.GID()] != len(d.Codes) {
			t.Errorf("%s %s: %d codes, want %d", d.GID(), d.Typename, got[d.GID()], len(d.Codes))
		}
	}
	if b.Status != "COMPLETED" || b.RootObjectCount != fmt.Sprint(discounts) {
		t.Errorf("%+v of %d discounts", b, discounts)
	}
}

func TestBulkOperationsAreListedToldAndRefused(t *testing.T) {
	w, c := writer(t)
	access := w.shop.AccessOf(c.token)
	access.APIVersion = "2026-10"
	if _, errs := access.Installation.Subscribe(access, simulator.Subscription{Topic: "BULK_OPERATIONS_FINISH", URI: w.inbox.URL}); errs != nil {
		t.Fatal(errs)
	}
	empty, lines := c.bulk(`{ products(query: "title:nothing-is-called-so") { edges { node { id } } } }`, false)
	if empty.Status != "COMPLETED" || empty.URL != "" || empty.ObjectCount != "0" || lines != nil {
		t.Errorf("an empty answer: %+v", empty)
	}
	hooks := w.heard("bulk_operations/finish")
	if len(hooks) != 1 || hooks[0].body["status"] != "completed" || hooks[0].body["type"] != "query" || hooks[0].body["admin_graphql_api_id"] != empty.ID {
		t.Errorf("told %v", hooks)
	}
	c.bulk(`{ orders { edges { node { id lineItems { edges { node { id } } } } } } }`, false)
	c.expect(`{"bulkOperations":{"nodes":[{"status":"COMPLETED"},{"status":"COMPLETED"}]}}`, `{ bulkOperations(first: 5, query: "status:completed") { nodes { status } } }`)
	c.expect(`{"currentBulkOperation":{"status":"COMPLETED"}}`, `{ currentBulkOperation { status } }`)
	c.refusal(": A bulk operation cannot be canceled when it is completed", `mutation($id: ID!) { bulkOperationCancel(id: $id) { userErrors { field message } } }`, "id", empty.ID)
	const none = "Bulk queries must contain at least one connection."
	for _, tt := range []struct {
		query string
		want  []string // In the words of recorded answers, but for the last three.
	}{
		{`{ shop { name } }`, []string{none}},
		{`{ products { edges { node { id } }`, []string{"Invalid bulk query: syntax error, unexpected end of file"}},
		{`{ products { nodes { id } } }`, []string{"All connection fields in a bulk query must select their contents using 'edges' > 'node', e.g: 'products { edges { node {'. Selecting via 'nodes' is not supported. Invalid connection fields: 'products'."}},
		{`{ node(id: "gid://shopify/Product/0") { id } }`, []string{"Bulk queries cannot contain a top level `node` field.", none}},
		{`mutation { productCreate { userErrors { message } } }`, []string{"Invalid operation type. Only `query` operations are supported."}},
		{`{ products { edges { node { title variants { edges { node { id } } } } } } }`, []string{"The parent 'node' field for a nested connection must select the 'id' field without an alias and must be of 'ID' return type. Connection fields without 'id': products."}},
		{`{ products { edges { node { id collections { edges { node { id products { edges { node { id variants { edges { node { id } } } } } } } } } } } } }`, []string{"Bulk queries cannot contain connections with a nesting depth greater than 2."}},
		{`{ products { edges { node { id a: variants { edges { node { id } } } b: variants { edges { node { id } } } c: variants { edges { node { id } } } d: variants { edges { node { id } } } e: variants { edges { node { id } } } } } } }`, []string{"Bulk queries cannot contain more than 5 connections."}},
		{`{ nodes(ids: ["gid://shopify/Product/0"]) { id } }`, []string{"Bulk queries cannot contain a top level `nodes` field.", none}},
		{`{ a: products { edges { node { id } } } orders { edges { node { id } } } }`, []string{"Bulk queries must have a single top-level field."}},
		{`{ nope }`, []string{"Invalid bulk query: Field 'nope' doesn't exist on type 'QueryRoot'"}},
	} {
		var answer struct {
			BulkOperationRunQuery struct {
				BulkOperation *struct{ ID string }
				UserErrors    []simulator.UserError
			}
		}
		c.get(&answer, runBulk, "q", tt.query, "g", false)
		var want []simulator.UserError
		for _, message := range tt.want {
			want = append(want, simulator.UserError{Field: []string{"query"}, Message: message, Code: "INVALID"})
		}
		if got := answer.BulkOperationRunQuery; got.BulkOperation != nil || !reflect.DeepEqual(got.UserErrors, want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.query, got.UserErrors, want)
		}
	}
	answer := c.ask(`{ bulkOperations(first: 1, query: "created_at:not-a-date") { nodes { id } } }`)
	if answer.code() != "BAD_REQUEST" || answer.Errors[0].Message != "Invalid timestamp for query filter `created_at`." || string(answer.Data) != "null" {
		t.Errorf("a time that is none: %s %v", answer.Data, answer.Errors)
	}
	c.expect(`{"bulkOperations":{"nodes":[]}}`, `{ bulkOperations(first: 1, query: "created_at:<2000-01-01") { nodes { id } } }`)
	// What the token may not read fails.
	reader := w.client("read_products")
	denied, _ := reader.bulk(`{ orders { edges { node { id } } } }`, false)
	if denied.Status != "FAILED" || denied.ErrorCode != "ACCESS_DENIED" {
		t.Errorf("denied %+v", denied)
	}
	response, err := http.Get(w.url + "/_sim/bulk/none")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNotFound {
		t.Errorf("a file that is not there: status %d", response.StatusCode)
	}
}
