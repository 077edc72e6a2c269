package api_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stockroom/internal/api"
	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/store"
	"stockroom/internal/store/storetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

const domain = "sample.myshopify.com"

// service is an API over the sample shop, at a minute past its reading.
type service struct {
	*httptest.Server
	store *store.Store
	shop  store.Shop
	key   string
	now   time.Time
	log   bytes.Buffer
}

func serve(t *testing.T, origins ...string) *service {
	t.Helper()
	s := &service{store: storetest.Open(t), now: storetest.Noon.Add(time.Minute).Time()}
	s.shop = storetest.Sample(t, s.store, domain)
	s.key = createKey(t, s.store, domain)
	clock := func() time.Time { return s.now }
	s.Server = httptest.NewServer(api.New(api.Config{
		Store: s.store, Reader: query.New(s.store, clock), Now: clock, Version: "test", CORSOrigins: origins, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}))
	t.Cleanup(s.Close)
	return s
}

func createKey(t *testing.T, s *store.Store, domain string) string {
	t.Helper()
	key, _, err := api.CreateKey(t.Context(), s, domain, "test", storetest.Noon.Time())
	if err != nil {
		t.Fatal(err)
	}
	return key.Reveal()
}

// ask sends a request; a header is given as "Name: value".
func (s *service) ask(t *testing.T, method, path string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		request.Header.Set(name, value)
	}
	response, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

func (s *service) get(t *testing.T, path string) (*http.Response, []byte) {
	t.Helper()
	return s.ask(t, http.MethodGet, path, "Authorization: Bearer "+s.key)
}

// golden compares an answer with the file that was reviewed; -update writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, got, "", "  "); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	file := filepath.Join("testdata", name+".json")
	if *update {
		if err := os.WriteFile(file, pretty.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.TrimSpace(want), bytes.TrimSpace(pretty.Bytes())) {
		t.Errorf("%s differs; review with -update and git diff. Got:\n%s", file, pretty.Bytes())
	}
}

func TestAnswersLookAsReviewed(t *testing.T) {
	s := serve(t)
	for name, path := range map[string]string{
		"products":            "/products?q=creme&available=true&min_price=10&max_price=29.00&limit=5",
		"products_page":       "/products?all=true&limit=1",
		"product":             "/products/creme-serum",
		"product_unread":      "/products/gid:%2F%2Fshopify%2FProduct%2F2",
		"inventory":           "/inventory?product=1&location=2",
		"discounts":           "/discounts",
		"discounts_all":       "/discounts?status=all",
		"collections":         "/collections",
		"collection_products": "/collections/featured/products?all=true&limit=1",
	} {
		t.Run(name, func(t *testing.T) {
			response, body := s.get(t, "/v1/shops/"+domain+path)
			if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "application/json" || response.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("status %d, headers %v", response.StatusCode, response.Header)
			}
			golden(t, name, body)
		})
	}
}

func TestALimitThatWasCutIsSaid(t *testing.T) {
	s := serve(t)
	for path, want := range map[string]string{"/products": "20", "/products?limit=7": "7", "/inventory?limit=5000": "100", "/products/1": ""} {
		response, _ := s.get(t, "/v1/shops/"+domain+path)
		if got := response.Header.Get("Stockroom-Limit"); got != want || response.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d, limit %q, want %q", path, response.StatusCode, got, want)
		}
	}
}

func TestACursorGoesOnWhereThePageEnded(t *testing.T) {
	s := serve(t)
	var titles []string
	for cursor := ""; ; {
		_, body := s.get(t, "/v1/shops/"+domain+"/products?all=true&limit=1&cursor="+cursor)
		var page query.List[query.ProductSummary]
		if err := json.Unmarshal(body, &page); err != nil {
			t.Fatal(err)
		}
		titles = append(titles, page.Items[0].Title)
		if page.Next == nil {
			break
		}
		cursor = *page.Next
	}
	if strings.Join(titles, ", ") != "Crème Sérum, Mug, 紅色襯衫 Shirt" {
		t.Errorf("got %v", titles)
	}
}

func TestAKeyOpensItsShopAlone(t *testing.T) {
	s := serve(t)
	storetest.Sample(t, s.store, "another.myshopify.com")
	_, unknown := s.get(t, "/v1/shops/unknown.myshopify.com/products")
	for _, path := range []string{"/products", "/products/1", "/inventory", "/discounts", "/collections", "/collections/1/products"} {
		response, body := s.get(t, "/v1/shops/another.myshopify.com"+path)
		if response.StatusCode != http.StatusNotFound || !bytes.Equal(body, unknown) {
			t.Errorf("%s of another shop: %d, %s", path, response.StatusCode, body)
		}
	}
}

func TestNobodyWithoutAKeyIsLetIn(t *testing.T) {
	s := serve(t)
	revoked := createKey(t, s.store, domain)
	keys, err := api.ListKeys(t.Context(), s.store)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%+v, %v", keys, err)
	}
	if err := api.RevokeKey(t.Context(), s.store, keys[1].ID, s.now); err != nil {
		t.Fatal(err)
	}
	for _, header := range []string{"X-None: 1", "Authorization: ", "Authorization: Bearer", "Authorization: Bearer sr_unknown", "Authorization: Basic " + s.key,
		"Authorization: " + s.key, "Authorization: Bearer " + revoked} {
		for _, shop := range []string{domain, "unknown.myshopify.com"} { // Who has no key learns of no shop.
			response, body := s.ask(t, http.MethodGet, "/v1/shops/"+shop+"/products", header)
			if response.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(response.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s: %d, %v", header, response.StatusCode, response.Header)
			}
			problem(t, body, "unauthorized")
		}
	}
	if strings.Contains(s.log.String(), "sr_") {
		t.Error("a key is in the log")
	}
}

func problem(t *testing.T, body []byte, code string) {
	t.Helper()
	var fields map[string]map[string]string
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Errorf("not an error: %s", body)
		return
	}
	e := fields["error"]
	if len(fields) != 1 || len(e) != 3 || e["code"] != code || e["message"] == "" || e["fix"] == "" {
		t.Errorf("got %s, want code %s, a message and a fix", body, code)
	}
}

func TestEveryErrorHasOneShape(t *testing.T) {
	s := serve(t)
	base := "/v1/shops/" + domain
	for _, tt := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", base + "/products?limit=many", 400, "bad_request"},
		{"GET", base + "/products?limit=0", 400, "bad_request"},
		{"GET", base + "/products?available=perhaps", 400, "bad_request"},
		{"GET", base + "/products?min_price=cheap", 400, "bad_request"},
		{"GET", base + "/products?cursor=x", 400, "bad_request"},
		{"GET", base + "/products?colour=red", 400, "bad_request"}, // Else a misspelt filter finds everything.
		{"GET", base + "/inventory?location=Berlin", 400, "bad_request"},
		{"GET", base + "/discounts?status=soon", 400, "bad_request"},
		{"GET", base + "/products/none", 404, "not_found"},
		{"GET", base + "/collections/none/products", 404, "not_found"},
		{"GET", base + "/orders", 404, "not_found"},
		{"GET", "/v1/", 404, "not_found"},
		{"POST", base + "/products", 405, "method_not_allowed"},
	} {
		response, body := s.ask(t, tt.method, tt.path, "Authorization: Bearer "+s.key)
		if response.StatusCode != tt.status {
			t.Errorf("%s %s: status %d, want %d", tt.method, tt.path, response.StatusCode, tt.status)
		}
		problem(t, body, tt.code)
	}
	if err := s.store.Close(); err != nil {
		t.Fatal(err)
	}
	response, body := s.get(t, base+"/products")
	if response.StatusCode != http.StatusInternalServerError || bytes.Contains(body, []byte("sql")) {
		t.Errorf("without a database: %d, %s", response.StatusCode, body)
	}
	problem(t, body, "internal")
	if !strings.Contains(s.log.String(), "database is closed") {
		t.Errorf("the log does not say what happened: %s", &s.log)
	}
}

func TestOnlyConfiguredOriginsMayCall(t *testing.T) {
	s := serve(t, "https://shop.example")
	path := "/v1/shops/" + domain + "/products"
	for origin, want := range map[string]string{"https://shop.example": "https://shop.example", "https://evil.example": "", "https://shop.example.evil.example": ""} {
		response, _ := s.ask(t, http.MethodGet, path, "Origin: "+origin, "Authorization: Bearer "+s.key)
		if got := response.Header.Get("Access-Control-Allow-Origin"); got != want {
			t.Errorf("from %s: allowed %q", origin, got)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "https://shop.example")
	request.Header.Set("Access-Control-Request-Method", "GET")
	response, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusNoContent || response.Header.Get("Access-Control-Allow-Headers") != "Authorization" {
		t.Errorf("preflight: %d, %v", response.StatusCode, response.Header)
	}
}

func TestTheLastUseOfAKeyIsKnownToTheMinute(t *testing.T) {
	s := serve(t)
	lastUse := func() mirror.Instant {
		keys, err := api.ListKeys(t.Context(), s.store)
		if err != nil {
			t.Fatal(err)
		}
		return keys[0].LastUsedAt
	}
	start := s.now
	for _, tt := range []struct{ used, want time.Duration }{{0, 0}, {30 * time.Second, 0}, {59 * time.Second, 0}, {60 * time.Second, 60 * time.Second}} {
		s.now = start.Add(tt.used)
		s.get(t, "/v1/shops/"+domain+"/collections")
		if got := lastUse(); got != mirror.At(start.Add(tt.want)) {
			t.Errorf("used after %v: noted %v, want %v later than the start", tt.used, got, tt.want)
		}
	}
}

func TestKeysAreMadeForKnownShopsAndEndOnce(t *testing.T) {
	s := storetest.Open(t)
	if _, _, err := api.CreateKey(t.Context(), s, "unknown.myshopify.com", "x", storetest.Noon.Time()); !isNotFound(err) {
		t.Errorf("a key for an unknown shop: %v", err)
	}
	storetest.AddShop(t, s, domain)
	key, made, err := api.CreateKey(t.Context(), s, domain, "bot", storetest.Noon.Time())
	if err != nil || !strings.HasPrefix(key.Reveal(), "sr_") || len(key.Reveal()) < 40 || made.ID == 0 {
		t.Fatalf("key %v %+v, %v", len(key.Reveal()), made, err)
	}
	if err := api.RevokeKey(t.Context(), s, made.ID, storetest.Noon.Time()); err != nil {
		t.Error(err)
	}
	if err := api.RevokeKey(t.Context(), s, made.ID, storetest.Noon.Time()); !isNotFound(err) {
		t.Errorf("revoked twice: %v", err)
	}
}

func isNotFound(err error) bool {
	asked, ok := errors.AsType[*query.Error](err)
	return ok && asked.Code == query.NotFound
}

// What a client is generated from must describe both shapes that it will meet.
func TestTheOpenAPIDocumentDescribesAnswersAndErrors(t *testing.T) {
	s := serve(t)
	response, body := s.ask(t, http.MethodGet, "/openapi.json")
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					}
				}
			}
		}
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(body, &document); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v", response.StatusCode, err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1") || len(document.Paths) != 6 {
		t.Errorf("version %s, %d paths", document.OpenAPI, len(document.Paths))
	}
	for path, item := range document.Paths {
		for status, names := range map[string][]string{"200": {"as_of", "verified_at"}, "400": {"error"}, "401": {"error"}, "404": {"error"}, "500": {"error"}} {
			ref := item["get"].Responses[status].Content["application/json"].Schema.Ref
			schema := document.Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")]
			for _, name := range names {
				if schema.Properties[name] == nil {
					t.Errorf("%s, %s: no %s in %s", path, status, name, ref)
				}
			}
		}
		if _, told := item["get"].Responses["422"]; told {
			t.Errorf("%s tells of a status that no answer has", path)
		}
	}
	if !bytes.Contains(body, []byte(`"bearer"`)) {
		t.Error("the document does not say how to authenticate")
	}
}

func TestTheDocsPageNeedsNothingFromElsewhere(t *testing.T) {
	s := serve(t)
	response, body := s.ask(t, http.MethodGet, "/docs")
	if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%d, %v", response.StatusCode, response.Header)
	}
	for _, want := range []string{"/v1/shops/{shop}/products", "min_price", `href="/openapi.json"`} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("the page lacks %s", want)
		}
	}
	for _, bad := range []string{"http://", "https://", "<script", "src="} {
		if bytes.Contains(body, []byte(bad)) {
			t.Errorf("the page holds %s", bad)
		}
	}
}
