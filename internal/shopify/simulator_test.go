package shopify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
)

const (
	simulatedShop = "tea-house.myshopify.com"
	simulatedApp  = "app-1"
)

var simulatedScopes = []string{"read_products", "read_inventory", "read_locations", "read_discounts", "read_orders"}

// world is a simulated shop and a client of it over loopback.
type world struct {
	*simulator.Simulator
	shop   *simulator.Shop
	client *shopify.Client
	costs  *costs
}

// costs remembers what requests were estimated at.
type costs struct {
	http.RoundTripper
	mu   sync.Mutex
	last float64
}

func (c *costs) RoundTrip(r *http.Request) (*http.Response, error) {
	reply, err := c.RoundTripper.RoundTrip(r)
	if err != nil || r.Method != http.MethodPost {
		return reply, err
	}
	body, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, err
	}
	reply.Body.Close()
	reply.Body = io.NopCloser(bytes.NewReader(body))
	var answer struct {
		Extensions struct {
			Cost struct {
				Requested float64 `json:"requestedQueryCost"`
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = answer.Extensions.Cost.Requested
	return reply, nil
}

func newWorld(t *testing.T, catalogue simulator.Catalogue, scopes ...string) *world {
	t.Helper()
	app := simulator.App{Name: "Stock app", ClientID: simulatedApp, Secrets: []string{"hush"}, ProtectedData: true}
	return newWorldWith(t, app, catalogue, scopes...)
}

func newWorldWith(t *testing.T, app simulator.App, catalogue simulator.Catalogue, scopes ...string) *world {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	w := &world{Simulator: simulator.New(simulator.Config{
		Apps: []simulator.App{app}, BaseURL: "http://" + server.Listener.Addr().String(),
		Seed: 7, Rate: 1e6, Capacity: 2e7, // The budget has tests of its own.
	})}
	server.Config.Handler = w.Handler()
	server.Start()
	var err error
	if w.shop, err = w.AddShop(simulatedShop, catalogue); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Stop)
	token, err := w.shop.IssueToken(simulatedApp, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	base, err := shopify.BaseURL(server.URL+"/{shop}", simulatedShop)
	if err != nil {
		t.Fatal(err)
	}
	client := *server.Client()
	w.costs = &costs{RoundTripper: client.Transport}
	client.Transport = w.costs
	w.client, err = shopify.NewClient(shopify.Config{
		Shop: simulatedShop, BaseURL: base, HTTP: &client,
		Token: func(context.Context, secret.Secret) (secret.Secret, error) { return secret.New(token), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// contents is what was observed, by record.
type contents map[mirror.Key]mirror.Observation

// readAll walks every list from start to end.
func (w *world) readAll(t *testing.T) contents {
	t.Helper()
	all := contents{}
	for _, list := range shopify.Lists() {
		maps.Copy(all, w.readList(t, list))
	}
	return all
}

// readList walks one list from start to end.
func (w *world) readList(t *testing.T, list shopify.List) contents {
	t.Helper()
	all := contents{}
	for cursor := ""; ; {
		page, err := list.Page(t.Context(), w.client, cursor)
		if err != nil {
			t.Fatalf("list %s: %v", list.Name, err)
		}
		for _, o := range page.Observations {
			if !slices.Contains(list.Kinds, o.Key.Kind) && (list.MetafieldsOf == "" ||
				o.Key.Kind != mirror.KindMetafield && o.Key.Kind != mirror.KindMetafieldSet) {
				t.Errorf("list %s shows a %s that it does not declare", list.Name, o.Key.Kind)
			}
			all[o.Key] = o
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	return all
}

// export writes the contents as the export contract spells them.
func (c contents) export(t *testing.T) []byte {
	t.Helper()
	lines := map[[2]string]map[string]json.RawMessage{}
	for key, o := range c {
		if o.Content == nil || key.Kind == mirror.KindProductVariantSet || key.Kind == mirror.KindMetafieldSet {
			continue
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(o.Content, &fields); err != nil {
			t.Fatal(err)
		}
		kind, id := mirror.InfoOf(key.Kind).Type, string(key.ID)
		switch content, _ := mirror.Decode(key.Kind, o.Content); v := content.(type) {
		case *mirror.Shop, *mirror.Location:
			delete(fields, "updatedAt")
		case *mirror.Metafield: // Type is the line's.
			fields["metafieldType"] = fields["type"]
			delete(fields, "type")
		case *mirror.InventoryLevel:
			id = string(v.LevelGID)
			delete(fields, "levelGid")
		case *mirror.Discount:
			fields["status"], _ = json.Marshal(v.StatusAt(mirror.At(time.Now())))
		}
		line := lines[[2]string{kind, id}]
		if line == nil {
			line = map[string]json.RawMessage{}
			lines[[2]string{kind, id}] = line
		}
		for name, value := range fields {
			line[name] = value
		}
	}
	var out bytes.Buffer
	for key, fields := range lines {
		fields["type"], _ = json.Marshal(key[0])
		fields["id"], _ = json.Marshal(key[1])
		body, err := mirror.Encode(fields)
		if err != nil {
			t.Fatal(err)
		}
		// The type and the id stand first.
		rest := map[string]json.RawMessage{}
		if err := json.Unmarshal(body, &rest); err != nil {
			t.Fatal(err)
		}
		delete(rest, "type")
		delete(rest, "id")
		tail, err := mirror.Encode(rest)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "{\"type\":%s,\"id\":%s,%s\n", fields["type"], fields["id"], tail[1:])
	}
	return out.Bytes()
}

func TestFullReadEqualsTheShop(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 130, BigVariants: 420, Locations: 4, Orders: 60}, simulatedScopes...)
	got := w.readAll(t)
	var want bytes.Buffer
	if err := w.shop.Export(&want); err != nil {
		t.Fatal(err)
	}
	report, err := simulator.Compare(&want, bytes.NewReader(got.export(t)))
	if err != nil {
		t.Fatal(err)
	}
	if !report.Exact() {
		t.Errorf("the full read differs from the shop:\n%s", report)
	}
	for _, kind := range mirror.Types {
		if report.Types[kind].Want == 0 {
			t.Errorf("the shop has no %s: nothing is proved of it", kind)
		}
	}

	// The variant sets hold every variant, the metafield sets every metafield.
	members := map[mirror.Kind]int{}
	for key, o := range got {
		switch content, _ := mirror.Decode(key.Kind, o.Content); v := content.(type) {
		case *mirror.ProductVariantSet:
			members[mirror.KindProductVariant] += len(v.VariantIDs)
		case *mirror.MetafieldSet:
			members[mirror.KindMetafield] += len(v.MetafieldIDs)
		}
	}
	for kind, n := range members {
		if want := report.Types[mirror.InfoOf(kind).Type].Want; n != want {
			t.Errorf("the sets of %s hold %d, the shop %d", kind, n, want)
		}
	}
}

// TestNestedListsAreReadToTheirEnd makes every nested list longer than what its
// first page holds.
func TestNestedListsAreReadToTheirEnd(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 260, BigVariants: 300, Orders: -1}, simulatedScopes...)
	var products, variants, collections []int64
	var codes []string
	var lines []simulator.OrderLine
	for p := range w.shop.Products.All() {
		products = append(products, p.ID)
	}
	for v := range w.shop.Variants.All() {
		variants = append(variants, v.ID)
	}
	for n := range 260 {
		codes = append(codes, fmt.Sprintf("CODE-%03d", n))
		lines = append(lines, simulator.OrderLine{Variant: variants[n], Quantity: 1})
		c, err := w.shop.CreateCollection(simulator.CollectionSpec{Title: fmt.Sprintf("Shelf %d", n)})
		if err != nil {
			t.Fatal(err)
		}
		collections = append(collections, c.ID)
	}
	big, err := w.shop.CreateCollection(simulator.CollectionSpec{Title: "All", Products: products})
	if err != nil {
		t.Fatal(err)
	}
	item := func(s *simulator.Shop) *simulator.Variant {
		for v := range s.Variants.All() {
			if v.Item.Tracked {
				return v
			}
		}
		return nil
	}(w.shop)
	for n := range 60 {
		if _, err := w.shop.CreateLocation(fmt.Sprintf("Kiosk %d", n)); err != nil {
			t.Fatal(err)
		}
	}
	connected := 0
	for l := range w.shop.Locations.All() {
		if w.shop.ConnectLevel(item.Item.ID, l.ID, 1) == nil {
			connected++
		}
	}
	if connected < 50 {
		t.Fatalf("%d levels of one item only", connected)
	}
	for _, owner := range []string{w.shop.GID(), big.GID(), item.GID(), item.Product.GID()} {
		for n := range 120 {
			if _, err := w.shop.SetMetafield(owner, "custom", fmt.Sprintf("key_%03d", n), "single_line_text_field", "x"); err != nil {
				t.Fatal(err)
			}
		}
	}
	half := simulator.DiscountValue{Percentage: "0.5"}
	for _, spec := range []simulator.DiscountSpec{
		{Typename: "DiscountCodeBasic", Title: "products", Value: half, Gets: simulator.DiscountItems{Products: products}, Codes: codes},
		{Typename: "DiscountAutomaticBasic", Title: "variants", Value: half, Gets: simulator.DiscountItems{Variants: variants[:260]}},
		{Typename: "DiscountAutomaticBasic", Title: "collections", Value: half, Gets: simulator.DiscountItems{Collections: collections}},
	} {
		if _, err := w.shop.CreateDiscount(spec); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.shop.CreateOrder(simulator.OrderSpec{Lines: lines}); err != nil {
		t.Fatal(err)
	}

	listed := w.readAll(t)
	var want bytes.Buffer
	if err := w.shop.Export(&want); err != nil {
		t.Fatal(err)
	}
	report, err := simulator.Compare(&want, bytes.NewReader(listed.export(t)))
	if err != nil {
		t.Fatal(err)
	}
	if !report.Exact() {
		t.Errorf("the full read differs from the shop:\n%s", report)
	}
	w.readByIDAgrees(t, listed)
}

// TestReadByIDAgreesWithTheLists reads everything that the lists showed by id
// and demands the same content.
func TestReadByIDAgreesWithTheLists(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 60, BigVariants: 130, Orders: 30}, simulatedScopes...)
	w.readByIDAgrees(t, w.readAll(t))
}

func (w *world) readByIDAgrees(t *testing.T, listed contents) {
	t.Helper()
	ids := map[mirror.Read][]mirror.GID{}
	for key := range listed {
		read := mirror.InfoOf(key.Kind).Read
		if key.Kind != mirror.KindMetafield { // Its read goes by the owner's id.
			ids[read] = append(ids[read], key.ID)
		}
	}
	seen := map[mirror.Key]bool{}
	for read, list := range ids {
		observations, err := w.client.ReadByID(t.Context(), read, list)
		if err != nil {
			t.Fatalf("read %s: %v", read, err)
		}
		for _, o := range observations {
			seen[o.Key] = true
			want, ok := listed[o.Key]
			if !ok && o.Content == nil {
				continue // A level that the read of its location found inactive.
			}
			if !ok || !bytes.Equal(o.Content, want.Content) || o.Source != mirror.FromID || o.Parent != want.Parent || o.Updated != want.Updated {
				t.Errorf("read %s of %s: got %s, listed %s", read, o.Key, o.Content, want.Content)
			}
		}
	}
	for key := range listed {
		if !seen[key] {
			t.Errorf("%s is listed and no read by id brought it", key)
		}
	}
}

func TestReadByIDFindsWhatIsNotThere(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, simulatedScopes...)
	for read, id := range map[mirror.Read]mirror.GID{
		mirror.ReadShop:       "gid://shopify/Shop/1",
		mirror.ReadLocation:   "gid://shopify/Location/1",
		mirror.ReadProduct:    "gid://shopify/Product/1",
		mirror.ReadVariant:    "gid://shopify/ProductVariant/1",
		mirror.ReadItem:       "gid://shopify/InventoryItem/1",
		mirror.ReadLevel:      "gid://shopify/InventoryItem/1@1",
		mirror.ReadCollection: "gid://shopify/Collection/1",
		mirror.ReadDiscount:   "gid://shopify/DiscountCodeNode/1",
		mirror.ReadMetafields: "gid://shopify/Product/1",
		mirror.ReadOrder:      "gid://shopify/Order/1",
	} {
		observations, err := w.client.ReadByID(t.Context(), read, []mirror.GID{id, id, "gid://shopify/Cart/5"})
		if err != nil {
			t.Errorf("read %s: %v", read, err)
			continue
		}
		absent := 0
		for _, o := range observations {
			if o.Key.ID == id && o.Content == nil && mirror.InfoOf(o.Key.Kind).Read == read {
				absent++
			}
		}
		if absent != 1 {
			t.Errorf("read %s of %s said absent %d times: %v", read, id, absent, observations)
		}
	}
}

func TestLevelsOfAnInactiveLocationAreAbsent(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5, Locations: 2}, simulatedScopes...)
	before := w.readAll(t)
	var location mirror.GID
	for key := range before {
		if key.Kind == mirror.KindInventoryLevel {
			_, location, _ = mirror.SplitLevelID(key.ID)
			break
		}
	}
	var number int64
	fmt.Sscan(location.Number(), &number)
	if err := w.shop.DeactivateLocation(number); err != nil {
		t.Fatal(err)
	}
	after := w.readAll(t)
	var gone []mirror.GID
	for key := range before {
		_, at, ok := mirror.SplitLevelID(key.ID)
		if !ok || at != location {
			continue
		}
		if _, still := after[key]; still {
			t.Errorf("%s is listed though its location is inactive", key)
		}
		gone = append(gone, key.ID)
	}
	for read, ids := range map[mirror.Read][]mirror.GID{mirror.ReadLevel: gone, mirror.ReadLocation: {location}} {
		observations, err := w.client.ReadByID(t.Context(), read, ids)
		if err != nil {
			t.Fatal(err)
		}
		absent := map[mirror.GID]bool{}
		for _, o := range observations {
			if o.Key.Kind == mirror.KindInventoryLevel && o.Content == nil {
				absent[o.Key.ID] = true
			}
		}
		for _, id := range gone {
			if !absent[id] {
				t.Errorf("read %s does not say that %s is absent", read, id)
			}
		}
	}
}

func TestSweepsFindWhatChanged(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 20, Orders: 10}, simulatedScopes...)
	before := w.readAll(t)
	since := mirror.At(time.Now().Add(-time.Second))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		w.shop.RandomEdit(rng)
	}
	after := w.readAll(t)
	found := contents{}
	for _, sweep := range shopify.Sweeps() {
		pages := 0
		for cursor := ""; ; pages++ {
			page, err := sweep.Page(t.Context(), w.client, shopify.Range{Since: since}, cursor)
			if err != nil {
				t.Fatalf("sweep %s: %v", sweep.Name, err)
			}
			for _, o := range page.Observations {
				found[o.Key] = o
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			if pages > 100 {
				t.Fatalf("sweep %s does not end", sweep.Name)
			}
		}
	}
	changed := 0
	for key, o := range after {
		if !mirror.InfoOf(key.Kind).Governed || key.Kind == mirror.KindMetafield {
			continue // No updated_at to sweep by.
		}
		if before[key].Updated == o.Updated {
			// Unchanged, or changed without a timestamp: an order's line loses
			// its variant when that is deleted. The full read finds it.
			continue
		}
		changed++
		if !bytes.Equal(found[key].Content, o.Content) {
			t.Errorf("no sweep found %s: is %s, was %s", key, o.Content, before[key].Content)
		}
	}
	if changed < 30 {
		t.Errorf("the edits changed %d records only", changed)
	}
}

// TestSweepsKeepToTheirRange: what changed before and after is left out.
func TestSweepsKeepToTheirRange(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, simulatedScopes...)
	ids := w.shop.Products.IDs()
	for _, id := range ids {
		if err := w.shop.UpdateProduct(id, func(p *simulator.Product) { p.Title += "!" }); err != nil {
			t.Fatal(err)
		}
		if err := w.Advance(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	second, _ := w.shop.Products.Get(ids[1])
	in := shopify.Range{Since: mirror.At(second.UpdatedAt.Add(-time.Minute)), Until: mirror.At(second.UpdatedAt.Add(time.Minute))}
	for _, sweep := range shopify.Sweeps() {
		if sweep.Name != "products" {
			continue
		}
		page, err := sweep.Page(t.Context(), w.client, in, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Observations {
			if o.Key.Kind == mirror.KindProduct && o.Key.ID != mirror.GID(second.GID()) {
				t.Errorf("%s changed at %v, outside of %v to %v", o.Key, o.Updated, in.Since, in.Until)
			}
		}
		if len(page.Observations) == 0 {
			t.Error("nothing was found")
		}
	}
}

// TestScansListEverythingWithItsVersion: a scan must show exactly what a full
// read shows of its kind, or it would take living records for deleted ones.
func TestScansListEverythingWithItsVersion(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 300, Locations: 3, Orders: 20}, simulatedScopes...)
	item, _ := w.shop.Items.Get(w.shop.Items.IDs()[0])
	if err := w.shop.DisconnectLevel(item.ID, item.Levels[0].Location.ID); err != nil {
		t.Fatal(err)
	}
	if err := w.shop.DeactivateLocation(w.shop.Locations.IDs()[2]); err != nil {
		t.Fatal(err)
	}
	all := w.readAll(t)
	scanned := map[mirror.Key]mirror.Instant{}
	kinds := map[mirror.Kind]bool{}
	for _, scan := range shopify.Scans() {
		kinds[scan.Kind] = true
		pages := 0
		for cursor := ""; ; pages++ {
			page, err := scan.Page(t.Context(), w.client, cursor)
			if err != nil {
				t.Fatalf("scan %s: %v", scan.Name, err)
			}
			for _, row := range page.Rows {
				scanned[mirror.Key{Kind: scan.Kind, ID: row.ID}] = row.Updated
			}
			if cursor = page.Next; cursor == "" {
				break
			}
			if pages > 100 {
				t.Fatalf("scan %s does not end", scan.Name)
			}
		}
	}
	for key, o := range all {
		if !kinds[key.Kind] {
			continue
		}
		if updated, ok := scanned[key]; !ok || updated != o.Updated {
			t.Errorf("the scan says %v of %s, the full read %v", updated, key, o.Updated)
		}
		delete(scanned, key)
	}
	for key := range scanned {
		t.Errorf("the scan shows %s, the full read does not", key)
	}
	if len(kinds) != 8 {
		t.Errorf("%d kinds are scanned", len(kinds))
	}
}

// TestANullCountsOnlyBesideAWitness: each request of a read holds it, and its
// own null is no observation.
func TestANullCountsOnlyBesideAWitness(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 10, Orders: 5}, simulatedScopes...)
	all := w.readAll(t)
	byKind := map[mirror.Kind][]mirror.GID{}
	for key := range all {
		byKind[key.Kind] = append(byKind[key.Kind], key.ID)
	}
	strange := map[mirror.Kind]mirror.GID{
		mirror.KindProduct: "gid://shopify/Product/99", mirror.KindProductVariant: "gid://shopify/ProductVariant/99", mirror.KindInventoryItem: "gid://shopify/InventoryItem/99",
		mirror.KindInventoryLevel: "gid://shopify/InventoryItem/99@1", mirror.KindCollection: "gid://shopify/Collection/99",
		mirror.KindDiscount: "gid://shopify/DiscountCodeNode/99", mirror.KindOrder: "gid://shopify/Order/99", mirror.KindLocation: "gid://shopify/Location/99",
	}
	for _, scan := range shopify.Scans() {
		read, ids := mirror.InfoOf(scan.Kind).Read, byKind[scan.Kind]
		slices.Sort(ids)
		witness, asked := ids[0], []mirror.GID{ids[1], strange[scan.Kind]}
		for _, living := range []bool{true, false} {
			if !living {
				witness = strange[scan.Kind] + "1"
			}
			observations, answered, err := w.client.ReadBeside(t.Context(), read, asked, witness)
			if err != nil {
				t.Fatal(err)
			}
			if answered != living {
				t.Errorf("%s: the witness %s answered: %v", read, witness, answered)
			}
			said := map[mirror.GID]bool{}
			for _, o := range observations {
				if o.Key.Kind == scan.Kind {
					said[o.Key.ID] = o.Content != nil
				}
			}
			if !said[asked[0]] || said[asked[1]] {
				t.Errorf("%s: %s and %s are %v", read, asked[0], asked[1], said)
			}
			if shown, ok := said[witness]; ok != living || shown != living {
				t.Errorf("%s: of the witness %s is said %v", read, witness, said)
			}
		}
	}
}

// TestWebhooksSayWhatReadsSay compares every content that a webhook brings with
// the read by id at the same updatedAt.
func TestWebhooksSayWhatReadsSay(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 25, BigVariants: 120, Orders: 10}, simulatedScopes...)
	var mu sync.Mutex
	var deliveries []shopify.Delivery
	inbox := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if !shopify.VerifyWebhook(body, r.Header.Get("X-Shopify-Hmac-Sha256"), []secret.Secret{secret.New("new"), secret.New("hush")}) {
			t.Errorf("%s is not signed", r.Header.Get("X-Shopify-Topic"))
		}
		at, err := time.Parse(time.RFC3339Nano, r.Header.Get("X-Shopify-Triggered-At"))
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		deliveries = append(deliveries, shopify.Delivery{
			Topic: r.Header.Get("X-Shopify-Topic"), Body: body, TriggeredAt: mirror.At(at), ReceivedAt: mirror.At(time.Now()),
		})
	}))
	defer inbox.Close()
	for _, topic := range shopify.Topics() {
		if topic.Class == shopify.ClassCompliance {
			continue
		}
		if _, err := w.client.Subscribe(t.Context(), topic, inbox.URL); err != nil {
			t.Fatalf("subscribe: %v", err)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		w.shop.RandomEdit(rng)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.Quiet(ctx); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	compared := map[mirror.Kind]int{}
	topics := map[string]int{}
	latest := contents{}
	tied := map[mirror.Key]bool{}
	for _, d := range deliveries {
		topics[d.Topic]++
		heard, err := shopify.Decode(d)
		if errors.Is(err, shopify.ErrUnknownTopic) {
			continue
		}
		if err != nil {
			t.Errorf("%v in %s", err, d.Body)
		}
		for _, o := range heard.Observations {
			known := latest[o.Key]
			later := o.Updated > known.Updated || o.Updated == known.Updated && o.AsOf > known.AsOf
			switch {
			case o.Content == nil:
			case later:
				latest[o.Key] = o
				delete(tied, o.Key)
			case o.Updated == known.Updated && o.AsOf == known.AsOf && !bytes.Equal(o.Content, known.Content):
				tied[o.Key] = true // Two of one millisecond: they came in any order.
			}
		}
	}
	for key, o := range latest {
		observations, err := w.client.ReadByID(t.Context(), mirror.InfoOf(key.Kind).Read, []mirror.GID{key.ID})
		if err != nil {
			t.Fatal(err)
		}
		for _, read := range observations {
			if read.Key != key || read.Content == nil || read.Updated != o.Updated || tied[key] {
				continue
			}
			compared[key.Kind]++
			said := withoutDeletedVariants(t, o.Content, read)
			if !bytes.Equal(read.Content, said) {
				diffs, _ := mirror.Compare(said, read.Content)
				for _, diff := range diffs {
					t.Errorf("%s.%s: the webhook says %s, the read %s", key, diff.Field, diff.Old, diff.New)
				}
			}
		}
	}
	for _, kind := range []mirror.Kind{
		mirror.KindProduct, mirror.KindProductVariantSet, mirror.KindProductVariant, mirror.KindInventoryLevel,
		mirror.KindInventoryItem, mirror.KindCollection, mirror.KindOrder, mirror.KindLocation,
	} {
		if compared[kind] == 0 {
			t.Errorf("no %s was compared; topics heard: %v", kind, topics)
		}
	}
}

// withoutDeletedVariants takes what a webhook said to the time of the read: an
// order's lines lose variants that are deleted, without a new updatedAt.
func withoutDeletedVariants(t *testing.T, said []byte, read mirror.Observation) []byte {
	t.Helper()
	if read.Key.Kind != mirror.KindOrder {
		return said
	}
	var then, now mirror.Order
	if err := errors.Join(json.Unmarshal(said, &then), json.Unmarshal(read.Content, &now)); err != nil {
		t.Fatal(err)
	}
	for i := range then.LineItems {
		if i < len(now.LineItems) && now.LineItems[i].VariantID == nil {
			then.LineItems[i].VariantID = nil
		}
	}
	out, err := mirror.Encode(then)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSubscriptions(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, simulatedScopes...)
	orders, _ := shopify.TopicNamed("orders/updated")
	products, _ := shopify.TopicNamed("products/update")
	made, err := w.client.Subscribe(t.Context(), orders, "http://127.0.0.1:9/a")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Sorted(slices.Values(orders.IncludeFields))
	if made.Topic != "ORDERS_UPDATED" || made.URI != "http://127.0.0.1:9/a" || made.Format != "JSON" || !slices.Equal(made.IncludeFields, want) || made.APIVersion != shopify.Version {
		t.Errorf("made %+v", made)
	}
	_, err = w.client.Subscribe(t.Context(), orders, "http://127.0.0.1:9/a")
	if refusal, ok := errors.AsType[*shopify.UserError](err); !ok || !refusal.Taken || refusal.Protected {
		t.Errorf("a second one like it gave %v", err)
	}
	if _, err := w.client.Subscribe(t.Context(), products, "http://127.0.0.1:9/a"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.UpdateSubscription(t.Context(), made.ID, orders, "http://127.0.0.1:9/b"); err != nil {
		t.Fatal(err)
	}
	list, err := w.client.Subscriptions(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("listed %+v, %v", list, err)
	}
	for _, subscription := range list {
		if subscription.ID == made.ID && subscription.URI != "http://127.0.0.1:9/b" {
			t.Errorf("after the update: %+v", subscription)
		}
		if err := w.client.Unsubscribe(t.Context(), subscription.ID); err != nil {
			t.Error(err)
		}
		if err := w.client.Unsubscribe(t.Context(), subscription.ID); err != nil {
			t.Errorf("the end of one that is gone gave %v", err)
		}
	}
	if list, err := w.client.Subscriptions(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("left over: %+v, %v", list, err)
	}
	_, err = w.client.UpdateSubscription(t.Context(), made.ID, orders, "http://127.0.0.1:9/b")
	if refusal, ok := errors.AsType[*shopify.UserError](err); !ok || !refusal.NotFound {
		t.Errorf("the update of one that is gone gave %v", err)
	}
}

func TestProtectedTopicIsRefusedWithoutApproval(t *testing.T) {
	w := newWorldWith(t, simulator.App{Name: "Stock app", ClientID: simulatedApp, Secrets: []string{"hush"}}, simulator.Catalogue{}, simulatedScopes...)
	for _, topic := range shopify.Topics() {
		if topic.Class != shopify.ClassData {
			continue
		}
		_, err := w.client.Subscribe(t.Context(), topic, "http://127.0.0.1:9/a")
		refusal, refused := errors.AsType[*shopify.UserError](err)
		if refused != topic.Protected || refused && !refusal.Protected || !refused && err != nil {
			t.Errorf("%s, protected %v: %v", topic.Name, topic.Protected, err)
		}
	}
}

func TestMissingScopeIsDeniedAndNeverEmpty(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3, Orders: 3}, "read_products")
	for _, list := range shopify.Lists() {
		missing := shopify.MissingScopes([]string{"read_products"}, list.Scopes)
		page, err := list.Page(t.Context(), w.client, "")
		if got := shopify.ClassOf(err); (got == shopify.ClassDenied) != (len(missing) > 0) {
			t.Errorf("list %s lacks %v and gave %d observations, %v", list.Name, missing, len(page.Observations), err)
		}
	}
}

func TestIdentityAndScopes(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Name: "Tea house"}, simulatedScopes...)
	identity, err := w.client.Identity(t.Context())
	if err != nil || identity.MyshopifyDomain != simulatedShop || identity.Name != "Tea house" || identity.ID.Object() != "Shop" {
		t.Errorf("identity %+v, %v", identity, err)
	}
	scopes, err := w.client.GrantedScopes(t.Context())
	if err != nil || len(shopify.MissingScopes(scopes, simulatedScopes)) > 0 {
		t.Errorf("scopes %v, %v", scopes, err)
	}
}
