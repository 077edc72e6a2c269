package simulator_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"stockroom/internal/simulator"
)

const runBulk = `mutation($q: String!, $g: Boolean!) { bulkOperationRunQuery(query: $q, groupObjects: $g) { bulkOperation { id status objectCount url } userErrors { field message code } } }`

type bulkState struct{ ID, Type, Status, ErrorCode, ObjectCount, RootObjectCount, FileSize, URL, CompletedAt string }

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
	var polled struct{ BulkOperation bulkState }
	c.get(&polled, `query($id: ID!) { bulkOperation(id: $id) { id type status errorCode objectCount rootObjectCount fileSize url completedAt } }`, "id", b.ID)
	b = polled.BulkOperation
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
	for _, bad := range []string{
		`{ shop { name } }`, `{ products { nodes { id } } }`, `{ node(id: "x") { id } }`, `{ nope }`, `mutation { productCreate { userErrors { message } } }`,
		`{ a: products { edges { node { id } } } orders { edges { node { id } } } }`, `{ products { edges { node { title variants { edges { node { id } } } } } } }`,
		`{ products { edges { node { id collections { edges { node { id products { edges { node { id variants { edges { node { id } } } } } } } } } } } } }`,
	} {
		var answer struct {
			BulkOperationRunQuery struct{ UserErrors []struct{ Code string } }
		}
		c.get(&answer, runBulk, "q", bad, "g", false)
		if got := answer.BulkOperationRunQuery.UserErrors; len(got) != 1 || got[0].Code != "INVALID" {
			t.Errorf("%s: %v", bad, got)
		}
	}
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
