package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockroom/internal/shopify"
	"stockroom/internal/simulator"
)

const (
	testShop    = "corner-shop.myshopify.com"
	testScopes  = "read_discounts,read_inventory,read_locations,read_orders,read_products"
	testAddress = "https://stockroom.example/shopify/webhook"
)

// counter is the commands over a simulated Shopify and a folder of their own.
type counter struct {
	*testing.T
	sim     *simulator.Simulator
	shop    *simulator.Shop
	dir     string
	environ []string
}

func newCounter(t *testing.T, standing simulator.App) *counter {
	t.Helper()
	c := &counter{T: t, dir: t.TempDir()}
	standing.ClientID, standing.Secrets = "the-app", []string{"new-secret", "old-secret"}
	standing.RedirectURIs = []string{"https://stockroom.example/shopify/callback"}
	c.sim = simulator.New(simulator.Config{Seed: 3, Apps: []simulator.App{standing}})
	var err error
	if c.shop, err = c.sim.AddShop(testShop, simulator.Catalogue{Products: 2}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(c.sim.Handler())
	t.Cleanup(server.Close)
	c.environ = []string{"DATABASE_URL=sqlite://" + filepath.Join(c.dir, "stockroom.db"), "SHOPIFY_API_KEY=the-app", "SHOPIFY_API_SECRET=new-secret,old-secret",
		"SHOPIFY_REDIRECT_URI=https://stockroom.example/shopify/callback", "SHOPIFY_WEBHOOK_ADDRESS=" + testAddress, "SHOPIFY_URL_TEMPLATE=" + server.URL + "/{shop}"}
	return c
}

// run gives what a command printed and its exit code.
func (c *counter) run(args ...string) (out, errs string, code int) {
	c.Helper()
	var stdout, stderr bytes.Buffer
	code = run(c.Context(), args, c.environ, &stdout, &stderr)
	return stdout.String(), stderr.String(), code
}

func (c *counter) must(args ...string) string {
	c.Helper()
	out, errs, code := c.run(args...)
	if code != exitOK {
		c.Fatalf("%v: exit code %d: %s%s", args, code, out, errs)
	}
	return out
}

func (c *counter) write(name, text string) string {
	c.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		c.Fatal(err)
	}
	return path
}

func TestWebhooksAreListedAndRepaired(t *testing.T) {
	c := newCounter(t, simulator.App{})
	if _, errs, code := c.run("shops", "add", "--shop", testShop, "--client-credentials"); code != exitFault || !strings.Contains(errs, "must be installed") {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if err := c.shop.SetScopes("the-app", strings.Split(testScopes, ",")...); err != nil {
		t.Fatal(err)
	}
	c.must("shops", "add", "--shop", testShop, "--client-credentials")

	states := func() map[string]int {
		t.Helper()
		var listed []listedWebhooks
		if err := json.Unmarshal([]byte(c.must("webhooks", "list", "--json")), &listed); err != nil || len(listed) != 1 || listed[0].Shop != testShop {
			t.Fatalf("%v, %v", listed, err)
		}
		n := map[string]int{}
		for _, f := range listed[0].Subscriptions {
			n[string(f.Standing)]++
			if strings.HasPrefix(f.Address, testAddress+"/") && !strings.HasPrefix(f.Address, testAddress+"/[redacted]/") {
				t.Errorf("the shop's key is shown: %s", f.Address)
			}
		}
		return n
	}
	all := states()["missing"]
	if all < 20 {
		t.Fatalf("%v at first, want all missing", states())
	}
	if _, errs, _ := c.run("webhooks", "list"); !strings.Contains(errs, "stockroom webhooks repair") {
		t.Errorf("the list does not say what to do: %s", errs)
	}
	// The app has no approval for protected customer data: all else works.
	out := c.must("webhooks", "repair", "--shop", testShop)
	if !strings.Contains(out, "orders/create is not subscribed: Shopify has not approved the app for protected customer data") {
		t.Errorf("printed %s", out)
	}
	now := states()
	if now["refused"] == 0 || now["active"]+now["refused"] != all || now["missing"] != 0 {
		t.Errorf("after the repair %v, want active or refused", now)
	}
	standing := c.shop.Installation("the-app")
	for _, s := range standing.Subscriptions() {
		if s.Topic == "PRODUCTS_UPDATE" {
			standing.Unsubscribe(s.ID)
		}
	}
	var repaired []repairedWebhooks
	if err := json.Unmarshal([]byte(c.must("webhooks", "repair", "--json")), &repaired); err != nil || len(repaired) != 1 ||
		!slices.Equal(repaired[0].Created, []string{"products/update"}) || !slices.Equal(repaired[0].Swept, []string{"products/update"}) {
		t.Errorf("repaired %+v, %v", repaired, err)
	}
	if _, errs, code := c.run("webhooks", "list", "--shop", "other.myshopify.com"); code != exitFault || !strings.Contains(errs, "no shop") {
		t.Errorf("an unknown shop: %d, %s", code, errs)
	}
}

func TestWebhooksTOMLIsTakenByShopifysForm(t *testing.T) {
	c := newCounter(t, simulator.App{})
	out := c.must("webhooks", "toml")
	app, warnings, err := simulator.ReadAppTOML(strings.NewReader("client_id = \"the-app\"\n"+out), "https://stockroom.example")
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%v, %v:\n%s", err, warnings, out)
	}
	named := map[string]int{}
	for _, w := range app.Webhooks {
		named[w.Topic]++
	}
	for _, topic := range shopify.Topics() {
		n := named[topic.Name]
		if n != 1 {
			t.Errorf("%s is named %d times", topic.Name, n)
		}
	}
	c.environ = append(c.environ, "SHOPIFY_SCOPES=read_products")
	if out := c.must("webhooks", "toml"); strings.Contains(out, "orders/") || !strings.Contains(out, "shop/redact") || !strings.Contains(out, "products/update") {
		t.Errorf("with fewer scopes:\n%s", out)
	}
}

func TestATokenIsMadeToExpireOnDemand(t *testing.T) {
	c := newCounter(t, simulator.App{})
	token, err := c.shop.IssueToken("the-app", strings.Split(testScopes, ",")...)
	if err != nil {
		t.Fatal(err)
	}
	c.must("shops", "add", "--shop", testShop, "--token-file", c.write("token", token+"\n"))
	if out := c.must("shops", "add", "--shop", testShop, "--expiring", "--yes"); !strings.Contains(out, "expires, and is renewed by itself") {
		t.Errorf("printed %q", out)
	}
	if c.shop.AccessOf(token).Installation != nil {
		t.Error("the old token still works")
	}
	c.must("webhooks", "list")
	if out := c.must("shops", "add", "--shop", testShop, "--expiring", "--yes"); !strings.Contains(out, "expires already") {
		t.Errorf("printed %q", out)
	}
	if _, errs, code := c.run("shops", "add", "--shop", testShop, "--expiring", "--client-credentials"); code != exitUsage {
		t.Errorf("two ways at once: %d, %s", code, errs)
	}
}

func TestStatusTellsWhatIsMissingAndHowToGetIt(t *testing.T) {
	c := newCounter(t, simulator.App{})
	if err := c.shop.SetScopes("the-app", "read_products", "read_orders"); err != nil {
		t.Fatal(err)
	}
	c.must("shops", "add", "--shop", testShop, "--client-credentials")
	c.must("webhooks", "repair")
	out := c.must("status")
	for _, part := range []string{
		"not mirrored   InventoryLevel: the shop did not grant read_inventory, read_locations: its owner can at https://stockroom.example/shopify/login?shop=" + testShop,
		"not mirrored   Discount: the shop did not grant read_discounts",
		"not mirrored   Order: Shopify has not approved the app for protected customer data: ask for it in the app's settings at Shopify",
		"not granted    read_discounts, read_inventory, read_locations: its owner can grant them at https://stockroom.example/shopify/login?shop=" + testShop,
		"token          by client credentials, renewed",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("status lacks %q:\n%s", part, out)
		}
	}
	if strings.Contains(out, "Product:") {
		t.Errorf("what is granted is called missing:\n%s", out)
	}
	if err := c.shop.Uninstall("the-app"); err != nil {
		t.Fatal(err)
	}
	if _, _, code := c.run("webhooks", "list"); code != exitFault {
		t.Errorf("exit code %d for a shop that refuses its token", code)
	}
	out = c.must("status")
	for _, part := range []string{testShop + ": reconnect", "gives no token by client credentials", "https://stockroom.example/shopify/login?shop=" + testShop} {
		if !strings.Contains(out, part) {
			t.Errorf("status lacks %q:\n%s", part, out)
		}
	}
}

func TestSecretsAreRotated(t *testing.T) {
	c := newCounter(t, simulator.App{})
	if err := c.shop.SetScopes("the-app", strings.Split(testScopes, ",")...); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := c.run("secrets", "rotate"); code != exitFault || !strings.Contains(errs, "stockroom serve") {
		t.Errorf("without a database: %d, %s", code, errs)
	}
	c.must("shops", "add", "--shop", testShop, "--client-credentials")
	key := filepath.Join(c.dir, "stockroom.db.key")
	before, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if out := c.must("secrets", "rotate"); !strings.Contains(out, key) {
		t.Errorf("printed %q", out)
	}
	after, err := os.ReadFile(key)
	if err != nil || bytes.Equal(before, after) {
		t.Errorf("the key is the old one, %v", err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file has mode %v, %v", info.Mode(), err)
	}
	c.must("webhooks", "list")

	// Shopify does not know this one: nothing is lost, and the operator is told.
	file := c.write("secret", "made-up-secret\n")
	if _, errs, code := c.run("secrets", "rotate", "--api-secret-file", file); code != exitFault || !strings.Contains(errs, "Do not revoke the old secret") || strings.Contains(errs, "made-up") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	c.must("webhooks", "list")
}

func TestTheAppsSecretIsRotated(t *testing.T) {
	c := newCounter(t, simulator.App{})
	if err := c.shop.SetScopes("the-app", strings.Split(testScopes, ",")...); err != nil {
		t.Fatal(err)
	}
	for i, setting := range c.environ {
		if strings.HasPrefix(setting, "SHOPIFY_API_SECRET=") {
			c.environ[i] = "SHOPIFY_API_SECRET=old-secret"
		}
	}
	c.must("shops", "add", "--shop", testShop, "--client-credentials")
	out := c.must("secrets", "rotate", "--api-secret-file", c.write("secret", "new-secret\n"))
	if !strings.Contains(out, "those of all shops were got by it") || strings.Contains(out, "new-secret") {
		t.Errorf("printed %q", out)
	}
	c.must("webhooks", "list")
	c.environ = append(c.environ, "ENCRYPTION_KEY=MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if _, errs, code := c.run("secrets", "rotate"); code != exitFault || !strings.Contains(errs, "another encryption key") {
		t.Errorf("with a key that does not fit: %d, %s", code, errs)
	}
}
