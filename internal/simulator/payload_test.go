package simulator_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"stockroom/internal/devtools/shopifyschema"
	"stockroom/internal/simulator"
)

// The npm package that holds an example and a JSON Schema for every topic. The
// newest version it knows serves 2026-10 too: no topic changed in between.
const (
	webhookSchemas        = "shopify-webhook-schemas@0.3.8"
	webhookSchemasVersion = "2026-07"
	npmTimeout            = 5 * time.Minute
)

// publishedSchemas reads the JSON Schemas by topic. The first call on a machine
// needs npm and the network.
var publishedSchemas = sync.OnceValues(func() (map[string]string, error) {
	dir, err := shopifyschema.CacheDir()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, strings.ReplaceAll(webhookSchemas, "@", "-")+".tgz")
	archive, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		archive, err = packSchemas(dir, path)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", webhookSchemas, err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", webhookSchemas, err)
	}
	out := make(map[string]string)
	prefix := "package/schemas/" + webhookSchemasVersion + "/"
	for entries := tar.NewReader(unzipped); ; {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", webhookSchemas, err)
		}
		name, ok := strings.CutPrefix(entry.Name, prefix)
		if !ok || entry.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(entries)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", entry.Name, err)
		}
		out[strings.TrimSuffix(name, ".json")] = string(text)
	}
})

func packSchemas(dir, path string) ([]byte, error) {
	work, err := os.MkdirTemp(dir, "npm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	ctx, cancel := context.WithTimeout(context.Background(), npmTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, "npm", "pack", "--silent", webhookSchemas)
	command.Dir = work
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack: %w: %.500s", err, out)
	}
	packed, err := filepath.Glob(filepath.Join(work, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return nil, fmt.Errorf("npm pack left %d archives, want 1", len(packed))
	}
	archive, err := os.ReadFile(packed[0])
	if err != nil {
		return nil, err
	}
	return archive, shopifyschema.WriteAtomic(path, archive)
}

// perTopic is how many bodies of each topic are validated.
const perTopic = 40

// unsampledNulls are fields that the schemas, which were inferred from samples,
// take for never null, though the package's own examples of updates have them so.
var unsampledNulls = []string{"image", "cost"}

// sent is a body that some topic sent.
type sent struct {
	topic string
	raw   []byte
}

// publishedSchema is the schema of a topic's bodies.
func publishedSchema(t *testing.T, topic string) *jsonschema.Schema {
	t.Helper()
	published, err := publishedSchemas()
	if err != nil {
		t.Fatal(err)
	}
	text, ok := published[topic]
	if !ok {
		t.Fatalf("no schema is published for %s", topic)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	properties := document.(map[string]any)["properties"].(map[string]any)
	for _, field := range unsampledNulls {
		if strict, ok := properties[field]; ok {
			properties[field] = map[string]any{"anyOf": []any{map[string]any{"type": "null"}, strict}}
		}
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource(topic, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(topic)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestBodiesFollowThePublishedSchemas(t *testing.T) {
	var names []string
	for enum := range simulator.Topics() {
		names = append(names, enum)
	}
	slices.Sort(names)
	w := newWorld(t, simulator.Catalogue{Products: 30, BigVariants: 12}, func(c *simulator.Config) {
		c.Apps[0].Webhooks = []simulator.AppWebhook{{Topic: "shop/redact", URI: "http://127.0.0.1:9/"}}
	})
	w.subscribe(nil, names...)
	rng := rand.New(rand.NewPCG(9, 9))
	for range 700 {
		w.shop.RandomEdit(rng)
	}
	everyOtherTopic(t, w)
	var bodies []sent
	for _, h := range w.heard() {
		bodies = append(bodies, sent{h.topic(), h.raw})
	}
	checked := make(map[string]int)
	compiled := make(map[string]*jsonschema.Schema)
	for _, body := range bodies {
		schema := compiled[body.topic]
		if schema == nil {
			schema = publishedSchema(t, body.topic)
			compiled[body.topic] = schema
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body.raw))
		if err != nil {
			t.Fatal(err)
		}
		if checked[body.topic]++; checked[body.topic] > perTopic {
			continue
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v\n%.300s", body.topic, err, body.raw)
		}
	}
	want := slices.DeleteFunc(slices.Sorted(maps.Values(simulator.Topics())), func(name string) bool {
		// Sent by other means than edits: bulk operations have tests of their own.
		return name == "bulk_operations/finish"
	})
	for _, name := range want {
		if checked[name] == 0 {
			t.Errorf("nothing was sent for %s", name)
		}
	}
}

// everyOtherTopic does what random edits leave out.
func everyOtherTopic(t *testing.T, w *world) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	l, err := w.shop.CreateLocation("Pop-up")
	check(err)
	_, err = w.shop.CreateLocation("Stays open") // Of one that is gone when it is told of, nothing is told.
	check(err)
	check(w.shop.DeactivateLocation(l.ID))
	check(w.shop.DeleteLocation(l.ID))
	v := trackedVariant(t, w.shop)
	o, err := w.shop.CreateOrder(simulator.OrderSpec{Lines: []simulator.OrderLine{{Variant: v.ID, Quantity: 1}}, Pending: true, Note: "Ring twice"})
	check(err)
	check(w.shop.UpdateOrder(o.ID, func(o *simulator.Order) { o.FinancialStatus, o.FulfillmentStatus = "PAID", "PARTIALLY_FULFILLED" }))
	check(w.shop.EditOrder(o.ID, o.LineItems[0].ID, 3))
	for p := range w.shop.Orders.All() {
		check(w.shop.DeleteOrder(p.ID))
		break
	}
	for place := range w.shop.Locations.All() { // Once for certain: among random edits it is rare.
		if !place.Active {
			continue
		}
		if l := v.Item.Level(place.ID); l == nil || !l.Active {
			check(w.shop.ConnectLevel(v.Item.ID, place.ID, 1))
		}
		check(w.shop.DisconnectLevel(v.Item.ID, place.ID))
		break
	}
	check(w.shop.SetScopes(clientID, append(slices.Clone(allScopes), "read_customers")...))
	check(w.shop.Uninstall(clientID))
}
