package simulator_test

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator"
)

// look gets a page as a browser without a script does.
func (w *world) look(path string, want int) string {
	w.t.Helper()
	response, err := http.Get(w.url + path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if response.StatusCode != want {
		w.t.Errorf("GET %s: status %d, want %d", path, response.StatusCode, want)
	}
	if want == http.StatusOK && strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") && !strings.HasSuffix(string(body), "</html>\n") {
		w.t.Errorf("GET %s: the page is cut off:\n%s", path, body)
	}
	return string(body)
}

// send posts a form and returns the page that follows it.
func (w *world) send(path string, form url.Values) string {
	w.t.Helper()
	response, err := http.PostForm(w.url+path, form)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		w.t.Errorf("POST %s: status %d: %v", path, response.StatusCode, err)
	}
	return string(body)
}

func TestPageFindsEveryProductOnce(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 70}, nil)
	seen := make(map[string]int)
	next := "/_sim/ui/shops/" + domain
	pages := 0
	for next != "" && pages < 10 {
		pages++
		body := w.look(next, http.StatusOK)
		for p := range w.shop.Products.All() {
			if strings.Contains(body, `/products/`+strconv.FormatInt(p.ID, 10)+`"`) {
				seen[p.GID()]++
			}
		}
		next = ""
		if _, rest, ok := strings.Cut(body, `rel="next" href="`); ok {
			query, _, _ := strings.Cut(rest, `"`)
			next = "/_sim/ui/shops/" + domain + strings.ReplaceAll(query, "&amp;", "&")
		}
	}
	if pages != 3 || len(seen) != 70 {
		t.Errorf("%d products on %d pages, want 70 on 3", len(seen), pages)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is on %d pages", id, n)
		}
	}
	w.look("/_sim/ui/shops/"+domain+"?q=no-such-thing", http.StatusOK)
	w.look("/_sim/ui/shops/nobody.myshopify.com", http.StatusNotFound)
	w.look("/_sim/ui/shops/"+domain+"/products/1", http.StatusNotFound)
	w.look("/_sim/ui/else", http.StatusNotFound)
}

func TestPageChangesOnlyWhatItsFormChanged(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 5}, nil)
	w.subscribe(nil, "PRODUCTS_UPDATE", "INVENTORY_LEVELS_UPDATE", "PRODUCTS_DELETE", "ORDERS_CREATE")
	p := w.firstProduct()
	v := p.Variants[0]
	level := v.Item.Levels[0]
	variant := "/_sim/ui/shops/" + domain + "/variants/" + strconv.FormatInt(v.ID, 10)
	stock := "stock-" + strconv.FormatInt(level.Location.ID, 10)
	compared := ""
	if v.CompareAtPrice != 0 {
		compared = v.CompareAtPrice.String()
	}
	same := func() url.Values {
		return url.Values{"price": {v.Price.String()}, "compared": {compared}, stock: {strconv.FormatInt(level.Available, 10)}}
	}
	if page := w.send(variant+"/save", same()); !strings.Contains(page, "Nothing was changed.") {
		t.Error("a form without changes changed something")
	}
	if got := w.heard(); len(got) != 0 {
		t.Errorf("a form without changes fired %v", topicsOf(got))
	}
	form := same()
	form.Set(stock, "4321")
	w.send(variant+"/save", form)
	if level.Available != 4321 {
		t.Errorf("stock is %d, want 4321", level.Available)
	}
	if got := strings.Join(topicsOf(w.heard()), " "); got != "inventory_levels/update products/update" {
		t.Errorf("a change of stock fired %s", got)
	}
	for name, bad := range map[string]url.Values{
		"price": {"price": {"cheap"}}, "decimals": {"price": {"1.234"}}, "negative": {"price": {"-1"}}, "stock": {"price": {"1"}, stock: {"1.5"}},
	} {
		if page := w.send(variant+"/save", bad); !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s: the page says nothing of what is wrong", name)
		}
	}
	if got := w.heard(); len(got) != 0 {
		t.Errorf("wrong forms fired %v", topicsOf(got))
	}
	w.send(variant+"/sell", nil)
	if level.Available != 4320 {
		t.Errorf("stock is %d after a sale of one, want 4320", level.Available)
	}
	w.send("/_sim/ui/shops/"+domain+"/products/"+strings.TrimPrefix(p.GID(), "gid://shopify/Product/")+"/delete", nil)
	if got := topicsOf(w.heard("products/delete")); len(got) != 1 {
		t.Errorf("deleting a product fired %v", got)
	}
}

func TestPageTurnsEveryFaultOnAndOff(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	page := w.look("/_sim/ui/faults", http.StatusOK)
	for _, part := range strings.Split(page, `<p id="about-`)[1:] {
		if name, rest, _ := strings.Cut(part, `">`); strings.HasPrefix(rest, "</p>") {
			t.Errorf("fault %s has no sentence", name)
		}
	}
	w.send("/_sim/ui/faults", url.Values{"lose": {"orders/create 1\n * 0.25 \n"}, "fail": {"0.5"}, "delay": {"1.5s"}, "omit_expires_in": {"true"}, "deny": {"Product.variants\nQueryRoot.orders\n"}})
	got := w.Faults()
	if got.Lose["orders/create"] != 1 || got.Lose["*"] != 0.25 || got.Fail != 0.5 || time.Duration(got.Delay) != 1500*time.Millisecond || !got.OmitExpiresIn ||
		!slices.Equal(got.Deny, []string{"Product.variants", "QueryRoot.orders"}) {
		t.Errorf("the faults are %+v", got)
	}
	for name, bad := range map[string]url.Values{
		"share": {"fail": {"2"}}, "text": {"fail": {"often"}}, "not a number": {"fail": {"NaN"}}, "duration": {"delay": {"soon"}},
		"line": {"lose": {"orders/create"}}, "topic's share": {"lose": {"orders/create 7"}},
	} {
		if page := w.send("/_sim/ui/faults", bad); !strings.Contains(page, `role="alert"`) {
			t.Errorf("%s: the page says nothing of what is wrong", name)
		}
	}
	if got := w.Faults(); got.Fail != 0.5 || got.Lose["*"] != 0.25 {
		t.Errorf("wrong forms changed the faults: %+v", got)
	}
	w.send("/_sim/ui/faults", url.Values{"off": {"1"}})
	if got := w.Faults(); len(got.Lose) != 0 || got.Fail != 0 || got.Delay != 0 || got.OmitExpiresIn || len(got.Deny) != 0 {
		t.Errorf("still on: %+v", got)
	}
}

func TestPageLetsTimePassAndBeginsAnew(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 3}, nil)
	before := w.Now()
	w.send("/_sim/ui/clock", url.Values{"forward": {"48h"}})
	if got := w.Now().Sub(before); got < 48*time.Hour || got > 49*time.Hour {
		t.Errorf("the clock went %v", got)
	}
	if page := w.look("/_sim/", http.StatusOK); !strings.Contains(page, "48h0m0s ahead") {
		t.Error("the page does not say that the clock is ahead")
	}
	for _, bad := range []string{"", "soon", "-1h"} {
		if page := w.send("/_sim/ui/clock", url.Values{"forward": {bad}}); !strings.Contains(page, `role="alert"`) {
			t.Errorf("forward %q: the page says nothing of what is wrong", bad)
		}
	}
	if err := w.shop.DeleteProduct(w.firstProduct().ID); err != nil {
		t.Fatal(err)
	}
	w.send("/_sim/ui/reset", nil)
	if w.Shop(domain).Products.Len() != 3 || w.Now().Sub(before) > time.Hour {
		t.Error("not begun anew")
	}
}

func TestPageRefusesFormsOfOtherSites(t *testing.T) {
	w := newWorld(t, simulator.Catalogue{Products: 1}, nil)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/_sim/ui/traffic", strings.NewReader("rate=5"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden || w.Traffic().Rate != 0 {
		t.Errorf("status %d, traffic %v", response.StatusCode, w.Traffic().Rate)
	}
}
