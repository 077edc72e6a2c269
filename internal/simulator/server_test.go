package simulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

func decode(t *testing.T, r *http.Response, into any) {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("body %s: %v", raw, err)
	}
}

type answer struct {
	Data struct {
		Shop *struct {
			Name string
			ID   string
		}
	}
	Errors     any
	Extensions struct {
		Cost struct {
			ActualQueryCost *int
			ThrottleStatus  struct{ MaximumAvailable, CurrentlyAvailable, RestoreRate float64 }
		}
	}
}

const shopQuery = `{"query":"{ shop { id name } }"}`

func TestAPIAnswersTheTokensOfItsShopOnly(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	other, err := w.AddShop("other.myshopify.com", simulator.Catalogue{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := w.shop.IssueToken(clientID)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := other.IssueToken(clientID)
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range []string{"", "shpat_nonsense", foreign} {
		response := w.api(t, "2026-10", wrong, shopQuery)
		var body struct{ Errors string }
		decode(t, response, &body)
		if response.StatusCode != http.StatusUnauthorized || body.Errors != "[API] Invalid API key or access token (unrecognized login or wrong password)" {
			t.Errorf("token %q: status %d, %q", wrong, response.StatusCode, body.Errors)
		}
	}
	response := w.api(t, "2026-10", token, shopQuery)
	var got answer
	decode(t, response, &got)
	if got.Data.Shop == nil || got.Data.Shop.ID != w.shop.GID() || got.Data.Shop.Name != "Tea House" {
		t.Errorf("answer %+v", got)
	}
}

func TestShopIsFoundByHostToo(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	token, err := w.shop.IssueToken(clientID)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/admin/api/2026-10/graphql.json", strings.NewReader(shopQuery))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = domain
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Shopify-Access-Token", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("status %d", response.StatusCode)
	}
}

func TestDeadVersionsFallForward(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	token, err := w.shop.IssueToken(clientID)
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[string]string{"2026-10": "2026-10", "2023-04": "2026-01", "unstable": "2026-01", "2027-01": "2026-01", "2026-04": "2026-04"} {
		response := w.api(t, asked, token, shopQuery)
		if got := response.Header.Get("X-Shopify-API-Version"); got != want || response.StatusCode != http.StatusOK {
			t.Errorf("version %s: served %s with status %d", asked, got, response.StatusCode)
		}
	}
}

func TestAnswersCarryShopifysClock(t *testing.T) {
	clock := newClock()
	clock.pass(1000 * time.Hour)
	w := newWorld(t, simulator.Catalogue{}, func(c *simulator.Config) { c.Now = clock.Now })
	response := w.api(t, "2026-10", "", shopQuery)
	if got := response.Header.Get("Date"); got != clock.Now().UTC().Format(http.TimeFormat) {
		t.Errorf("date %s", got)
	}
}

func TestAPIFaults(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	token, err := w.shop.IssueToken(clientID)
	if err != nil {
		t.Fatal(err)
	}
	w.SetFaults(simulator.Faults{ServerError: 1})
	if got := w.apiStatus(t, token); got != http.StatusBadGateway {
		t.Errorf("server error: status %d", got)
	}
	w.SetFaults(simulator.Faults{Throttle: 1})
	response := w.api(t, "2026-10", token, shopQuery)
	var got answer
	decode(t, response, &got)
	text, err := json.Marshal(got.Errors)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || !strings.Contains(string(text), `"code":"THROTTLED"`) || got.Extensions.Cost.ActualQueryCost != nil {
		t.Errorf("throttle: status %d, errors %s", response.StatusCode, text)
	}
	if s := got.Extensions.Cost.ThrottleStatus; s.MaximumAvailable != 2000 || s.RestoreRate != 100 || s.CurrentlyAvailable > 1 {
		t.Errorf("throttle status %+v", s)
	}
	w.SetFaults(simulator.Faults{})
	for _, status := range []int{http.StatusPaymentRequired, http.StatusLocked, http.StatusNotFound} {
		w.shop.SetClosed(status)
		if got := w.apiStatus(t, token); got != status {
			t.Errorf("closed shop: status %d, want %d", got, status)
		}
	}
	w.shop.SetClosed(0)
	w.SetFaults(simulator.Faults{Slow: simulator.Duration(time.Hour)})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/"+domain+"/admin/api/2026-10/graphql.json", strings.NewReader(shopQuery))
	if err != nil {
		t.Fatal(err)
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		response.Body.Close()
		t.Error("a slow API answered at once")
	}
}

func TestBadRequestsAreRefused(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	token, err := w.shop.IssueToken(clientID)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.api(t, "2026-10", token, `{"query":`).StatusCode; got != http.StatusBadRequest {
		t.Errorf("torn JSON: status %d", got)
	}
	for path, want := range map[string]int{
		"/": http.StatusOK, "/nobody.myshopify.com/admin/api/2026-10/graphql.json": http.StatusNotFound,
		"/" + domain + "/admin/else":                      http.StatusNotFound,
		"/" + domain + "/admin/api/2026-10/graphql.json":  http.StatusMethodNotAllowed,
		"/" + domain + "/admin/oauth/access_token":        http.StatusMethodNotAllowed,
		"/" + domain + "/admin/api/2026-10/products.json": http.StatusNotFound,
		"/_sim/nothing": http.StatusNotFound,
		"/_sim/shops/nobody.myshopify.com/export": http.StatusNotFound,
	} {
		response, err := http.Get(w.url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("GET %s: status %d, want %d", path, response.StatusCode, want)
		}
	}
}

func TestControlOverHTTP(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE", "INVENTORY_LEVELS_UPDATE")
	post := func(path, kind, body string) (int, string) {
		t.Helper()
		response, err := http.Post(w.url+path, kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(text)
	}
	get := func(path string) string {
		t.Helper()
		response, err := http.Get(w.url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if status, body := post("/_sim/faults", "application/json", `{"lose":{"*":0.25},"slow":"1ms","double":0.5}`); status != http.StatusOK {
		t.Errorf("set faults: %d %s", status, body)
	}
	if status, body := post("/_sim/faults", "application/json", `{"double":0}`); status != http.StatusOK {
		t.Errorf("change faults: %d %s", status, body)
	}
	if f := w.Faults(); f.Lose["*"] != 0.25 || f.Slow != simulator.Duration(time.Millisecond) || f.Double != 0 {
		t.Errorf("faults %+v", f)
	}
	for _, bad := range []string{`{"double":2}`, `{"slow":"soon"}`, `[`} {
		if status, _ := post("/_sim/faults", "application/json", bad); status != http.StatusBadRequest {
			t.Errorf("faults %s: status %d", bad, status)
		}
	}
	if status, _ := post("/_sim/faults", "text/plain", `{}`); status != http.StatusUnsupportedMediaType {
		t.Errorf("a form post of a page was taken: status %d", status)
	}
	if got := get("/_sim/shops/" + domain + "/export"); got != export(t, w.shop) {
		t.Error("the export over HTTP is another")
	}
	before := export(t, w.shop)
	status, body := post("/_sim/shops/"+domain+"/edit", "application/json", ``)
	var edit simulator.Edit
	if err := json.Unmarshal([]byte(body), &edit); err != nil || status != http.StatusOK || edit.Kind == "" {
		t.Errorf("edit: %d %s", status, body)
	}
	if before == export(t, w.shop) {
		t.Errorf("edit %+v changed nothing", edit)
	}
	if err := w.shop.UpdateProduct(w.firstProduct().ID, func(p *simulator.Product) { p.Title = "told" }); err != nil {
		t.Fatal(err)
	}
	w.heard()
	if got := get("/_sim/deliveries"); !strings.Contains(got, w.firstProduct().GID()) || !strings.Contains(got, `"products/update"`) {
		t.Errorf("deliveries %s", got)
	}
	if got := get("/_sim/shops"); !strings.Contains(got, `"products":3`) && !strings.Contains(got, `"shop":"`+domain+`"`) {
		t.Errorf("shops %s", got)
	}
	if status, _ := post("/_sim/shops/"+domain+"/uninstall", "application/json", `{"client_id":"`+clientID+`"}`); status != http.StatusOK {
		t.Errorf("uninstall: status %d", status)
	}
}

func TestShopDomainsAreUniqueAndProper(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	for _, bad := range []string{domain, strings.ToUpper(domain), "example.com", "a/b.myshopify.com", ""} {
		if _, err := w.AddShop(bad, simulator.Catalogue{}); err == nil {
			t.Errorf("shop %q was added", bad)
		}
	}
}

func TestTotalsLagBehindStock(t *testing.T) {
	clock := newClock()
	w := newWorld(t, simulator.Catalogue{Products: 3}, func(c *simulator.Config) { c.Now = clock.Now })
	w.SetFaults(simulator.Faults{TotalsLag: simulator.Duration(20 * time.Second)})
	v := trackedVariant(t, w.shop)
	was := v.Product.TotalInventory()
	for range 2 {
		if err := w.shop.AdjustStock(v.Item.ID, v.Item.Levels[0].Location.ID, 10); err != nil {
			t.Fatal(err)
		}
	}
	if got := v.Product.ShownTotalInventory(clock.Now()); got != was {
		t.Errorf("at once: shows %d, want %d as before", got, was)
	}
	clock.pass(21 * time.Second)
	if got := v.Product.ShownTotalInventory(clock.Now()); got != was+20 || got != v.Product.TotalInventory() {
		t.Errorf("later: shows %d, want %d", got, was+20)
	}
}

// post sends JSON to the control API and returns the status and what came back.
func (w *world) post(path, body string) (int, string) {
	w.t.Helper()
	response, err := http.Post(w.url+"/_sim/"+path, "application/json", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

func TestAShopsStateIsSetOverHTTP(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	access := w.subscribe(nil, "APP_SCOPES_UPDATE")
	token, err := w.shop.IssueToken(clientID, allScopes...)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range []int{402, 404, 423, 430, 540} {
		if got, body := w.post("shops/"+domain+"/closed", fmt.Sprintf(`{"status":%d}`, status)); got != http.StatusOK {
			t.Errorf("closed %d: status %d, %s", status, got, body)
		}
		if got := w.apiStatus(t, token); got != status {
			t.Errorf("the API answers %d, want %d", got, status)
		}
	}
	if got, body := w.post("shops/"+domain+"/closed", `{"status":200}`); got != http.StatusBadRequest {
		t.Errorf("closed 200: status %d, %s", got, body)
	}
	w.post("shops/"+domain+"/closed", `{"status":0}`)
	if got := w.apiStatus(t, token); got != http.StatusOK {
		t.Errorf("opened again the API answers %d", got)
	}

	if got, body := w.post("shops/"+domain+"/scopes", `{"client_id":"app-1","scopes":["read_orders"]}`); got != http.StatusOK || body != `{"scopes":["read_orders"]}` {
		t.Errorf("scopes: status %d, %s", got, body)
	}
	if got := access.Installation.Scopes(); !slices.Equal(got, []string{"read_orders"}) {
		t.Errorf("granted %v", got)
	}
	if hooks := w.heard("app/scopes_update"); len(hooks) != 1 {
		t.Errorf("heard %d", len(hooks))
	}
	if got, _ := w.post("shops/"+domain+"/scopes", `{"client_id":"nobody","scopes":[]}`); got != http.StatusBadRequest {
		t.Errorf("scopes of nobody: status %d", got)
	}

	response, err := http.Get(w.url + "/_sim/shops/" + domain + "/launch?client_id=" + clientID)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var launch struct{ Query string }
	decode(t, response, &launch)
	query, err := url.ParseQuery(launch.Query)
	if err != nil || query.Get("shop") != domain || query.Get("hmac") != queryHMAC(query, secret) {
		t.Errorf("launch %q: %v", launch.Query, err)
	}
}

func TestAMisspeltFaultIsRefused(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, nil)
	for _, body := range []string{`{"dubble":1}`, `{"lose":{"orders/creat":1}}`, `{"double":0.5} {}`, `{"double":"1"}`, `[]`} {
		if got, answer := w.post("faults", body); got != http.StatusBadRequest || !strings.Contains(answer, "error") {
			t.Errorf("%s: status %d, %s", body, got, answer)
		}
	}
	if got := w.Faults(); got.Double != 0 || got.Lose != nil {
		t.Errorf("in force: %+v", got)
	}
	if got, answer := w.post("faults", `{"lose":{"orders/create":1,"shop/redact":1,"*":0}}`); got != http.StatusOK {
		t.Errorf("status %d, %s", got, answer)
	}
}

// TestTheTokenEndpointHasTheFaultsOfTheAPI: connections break there, too.
func TestTheTokenEndpointHasTheFaultsOfTheAPI(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{}, autoConsent)
	for name, faults := range map[string]simulator.Faults{"server_error": {ServerError: 1}, "reset": {Reset: 1}} {
		code := w.code(t)
		w.SetFaults(faults)
		if status := w.tokenStatus(code); status == http.StatusOK {
			t.Errorf("%s: a token was given", name)
		}
		w.SetFaults(simulator.Faults{})
		if status := w.tokenStatus(code); status != http.StatusOK {
			t.Errorf("%s had an effect: the code is answered %d", name, status)
		}
	}
	code := w.code(t)
	w.SetFaults(simulator.Faults{AnswerLost: 1})
	if status := w.tokenStatus(code); status == http.StatusOK {
		t.Error("answer_lost: a token was given")
	}
	w.SetFaults(simulator.Faults{})
	if status := w.tokenStatus(code); status != http.StatusBadRequest {
		t.Errorf("after a lost answer the code is answered %d, want it to be used up", status)
	}
}

// tokenStatus exchanges a code; zero stands for a broken connection.
func (w *world) tokenStatus(code string) int {
	response, err := http.PostForm(w.url+"/"+domain+"/admin/oauth/access_token", url.Values{"client_id": {clientID}, "client_secret": {secret}, "code": {code}})
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}
