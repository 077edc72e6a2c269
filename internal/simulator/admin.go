package simulator

import (
	"container/heap"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
	"stockroom/internal/simulator/knob"
)

// The page on which a person looks into the simulator and changes what is in
// it. It is plain HTML: without a script it works as well, it only does not
// renew itself.

//go:embed page/admin.html page/admin.css page/admin.js
var adminFiles embed.FS

var adminPages = template.Must(template.New("admin").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("15:04:05") },
	"full":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
}).ParseFS(adminFiles, "page/admin.html"))

const (
	adminProducts   = 25
	adminVariants   = 100
	adminDeliveries = 100
	// maxSearched is how many products a search looks at for one page.
	maxSearched = 500_000
)

// sameOrigin refuses forms that other sites post.
var sameOrigin = http.NewCrossOriginProtection()

// admin serves the page and its forms, all that is under /_sim/ui/.
func (s *Simulator) admin(w http.ResponseWriter, r *http.Request, path string) {
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if file, ok := strings.CutPrefix(path, "ui/"); ok && (file == "admin.css" || file == "admin.js") && allow(w, r, http.MethodGet) {
		http.ServeFileFS(w, r, adminFiles, "page/"+file)
		return
	}
	if r.Method == http.MethodPost {
		if err := sameOrigin.Check(r); err != nil {
			http.Error(w, "This form was sent from another site.", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "The form cannot be read.", http.StatusBadRequest)
			return
		}
	} else if !allow(w, r, http.MethodGet, http.MethodHead, http.MethodPost) {
		return
	}
	parts := strings.Split(strings.Trim(strings.TrimPrefix(path, "ui"), "/"), "/")
	post := r.Method == http.MethodPost
	switch {
	case parts[0] == "" && !post:
		s.show(w, "overview", s.overview(r.URL.Query()))
	case parts[0] == "webhooks" && len(parts) == 1 && !post:
		s.show(w, "webhooks", s.webhookLog(r.URL.Query()))
	case parts[0] == "webhooks" && len(parts) == 2 && !post:
		d, ok := s.hooks.delivery(parts[1])
		if !ok {
			http.NotFound(w, r)
			return
		}
		s.show(w, "webhook", d)
	case parts[0] == "webhooks" && len(parts) == 2 && post:
		s.hooks.hurry(parts[1])
		s.back(w, r, "webhooks", nil)
	case parts[0] == "faults" && len(parts) == 1 && !post:
		s.show(w, "faults", struct {
			said
			Knobs []knob.Knob
		}{saidIn(r.URL.Query()), faultKnobs(s.Faults())})
	case parts[0] == "faults" && len(parts) == 1 && post:
		s.back(w, r, "faults", s.faultForm(r.PostForm))
	case parts[0] == "traffic" && len(parts) == 1 && post:
		rate, err := strconv.ParseFloat(r.PostForm.Get("rate"), 64)
		if err == nil {
			err = s.SetTraffic(rate)
		}
		s.back(w, r, "", err)
	case parts[0] == "clock" && len(parts) == 1 && post:
		forward, err := time.ParseDuration(r.PostForm.Get("forward"))
		if err == nil {
			err = s.Advance(r.Context(), forward)
		}
		s.done(w, r, "", "It is "+s.Now().UTC().Format(time.RFC3339)+" now.", err)
	case parts[0] == "reset" && len(parts) == 1 && post:
		s.done(w, r, "", "Every shop is as it was made.", s.Reset())
	case parts[0] == "meta":
		s.adminMeta(w, r, parts[1:])
	case parts[0] == "shops" && len(parts) >= 2 && s.Shop(parts[1]) != nil:
		s.adminShop(w, r, s.Shop(parts[1]), parts[2:])
	default:
		http.NotFound(w, r)
	}
}

func (s *Simulator) adminShop(w http.ResponseWriter, r *http.Request, shop *Shop, parts []string) {
	here, post := "shops/"+shop.Domain, r.Method == http.MethodPost
	if len(parts) == 0 && !post {
		s.show(w, "shop", shop.productList(r.URL.Query()))
		return
	}
	if post && len(parts) == 1 {
		switch parts[0] {
		case "edit":
			s.secretMu.Lock()
			rng := newRand(s.secret.Uint64())
			s.secretMu.Unlock()
			s.done(w, r, "", shop.RandomEdit(rng).What, nil)
		case "uninstall":
			s.back(w, r, "", shop.Uninstall(r.PostForm.Get("client_id")))
		default:
			http.NotFound(w, r)
		}
		return
	}
	var id int64
	if len(parts) >= 2 {
		var err error
		if id, err = strconv.ParseInt(parts[1], 10, 64); err != nil {
			http.NotFound(w, r)
			return
		}
	}
	switch {
	case len(parts) == 2 && parts[0] == "products" && !post:
		page := shop.productPage(id, r.URL.Query())
		if page == nil {
			w.WriteHeader(http.StatusNotFound)
			s.show(w, "gone", here)
			return
		}
		s.show(w, "product", page)
	case len(parts) == 3 && parts[0] == "products" && parts[2] == "delete" && post:
		s.done(w, r, here, "The product was deleted.", shop.DeleteProduct(id))
	case len(parts) == 3 && parts[0] == "variants" && post:
		v := look(shop, func() *Variant { v, _ := shop.Variants.Get(id); return v })
		if v == nil {
			w.WriteHeader(http.StatusNotFound)
			s.show(w, "gone", here)
			return
		}
		there := here + "/products/" + number(v.Product.ID)
		switch parts[2] {
		case "save":
			what, err := shop.saveVariant(v, r.PostForm)
			s.done(w, r, there, what, err)
		case "sell":
			o, err := shop.CreateOrder(OrderSpec{Lines: []OrderLine{{id, 1}}})
			what := ""
			if err == nil {
				what = "Sold one: order " + o.Name + "."
			}
			s.done(w, r, there, what, err)
		case "delete":
			s.done(w, r, there, "The variant was deleted.", shop.RemoveVariant(id))
		default:
			http.NotFound(w, r)
		}
	default:
		http.NotFound(w, r)
	}
}

// show writes a page.
func (s *Simulator) show(w http.ResponseWriter, name string, data any) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := adminPages.ExecuteTemplate(w, name, data); err != nil {
		s.log.Error("write page", "page", name, "error", err)
	}
}

// back returns a browser from a form.
func (s *Simulator) back(w http.ResponseWriter, r *http.Request, path string, err error) {
	s.done(w, r, path, "Saved.", err)
}

// done returns a browser from a form, saying what was done or why it was not.
func (s *Simulator) done(w http.ResponseWriter, r *http.Request, path, what string, err error) {
	said := url.Values{"done": {what}}
	if err != nil {
		said = url.Values{"error": {err.Error()}}
	}
	if path != "" {
		path = "ui/" + path
	}
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	http.Redirect(w, r, "/_sim/"+path+join+said.Encode(), http.StatusSeeOther)
}

// said is what the form before led to.
type said struct{ Done, Error string }

func saidIn(form url.Values) said { return said{form.Get("done"), form.Get("error")} }

// overview is the first page's data.
type overview struct {
	said
	Shops   []Size
	Apps    []appRow
	Traffic Traffic
	Now     time.Time
	Ahead   time.Duration // Of the clock it was given.
	Faults  []knob.Knob   // Those that are on.
}

type appRow struct {
	Shop, Name, ClientID string
	Subscriptions        int
	Bucket               graph.ThrottleStatus
}

func (s *Simulator) overview(form url.Values) overview {
	out := overview{said: saidIn(form), Shops: s.sizes(), Traffic: s.Traffic(), Now: s.Now(), Ahead: s.clock.offset()}
	for _, size := range out.Shops {
		for _, i := range s.Shop(size.Shop).installed() {
			i.mu.Lock()
			row := appRow{size.Shop, i.App.Name, i.App.ClientID, i.subscriptions.Len(), graph.ThrottleStatus{}}
			bucket := i.bucket
			i.mu.Unlock()
			row.Bucket = bucket.Status()
			out.Apps = append(out.Apps, row)
		}
	}
	for _, fault := range faultKnobs(s.Faults()) {
		if fault.On {
			out.Faults = append(out.Faults, fault)
		}
	}
	return out
}

// productList is a page of a shop's products.
type productList struct {
	said
	Size       Size
	Query      string
	Rows       []productRow
	Prev, Next template.URL // Queries of the pages around; empty where there is none.
}

type productRow struct {
	ID                    int64
	Title, Status, Vendor string
	Variants              int
	Stock                 int64
	Price                 string
}

func (s *Shop) productList(form url.Values) productList {
	out := productList{said: saidIn(form), Size: s.Size(), Query: strings.TrimSpace(form.Get("q"))}
	after, _ := strconv.ParseInt(form.Get("after"), 10, 64)
	before, _ := strconv.ParseInt(form.Get("before"), 10, 64)
	s.mu.RLock()
	defer s.mu.RUnlock()
	source := s.Products.After(after)
	if before > 0 {
		source = s.Products.Before(before)
	}
	words := strings.Fields(strings.ToLower(out.Query))
	more, seen := false, 0
	for p := range source {
		if seen++; seen > maxSearched {
			break
		}
		if !p.says(words) {
			continue
		}
		if len(out.Rows) == adminProducts {
			more = true
			break
		}
		row := productRow{ID: p.ID, Title: p.Title, Status: p.Status, Vendor: p.Vendor, Variants: len(p.Variants), Stock: p.TotalInventory()}
		low, high := p.Variants[0].Price, p.Variants[0].Price
		for _, v := range p.Variants {
			low, high = min(low, v.Price), max(high, v.Price)
		}
		if row.Price = low.String(); high > low {
			row.Price += " – " + high.String()
		}
		out.Rows = append(out.Rows, row)
	}
	if before > 0 {
		slices.Reverse(out.Rows)
	}
	if len(out.Rows) == 0 {
		return out
	}
	link := func(name string, id int64) template.URL {
		query := url.Values{name: {number(id)}}
		if out.Query != "" {
			query.Set("q", out.Query)
		}
		return template.URL("?" + query.Encode())
	}
	if after > 0 || before > 0 && more {
		out.Prev = link("before", out.Rows[0].ID)
	}
	if before > 0 || more {
		out.Next = link("after", out.Rows[len(out.Rows)-1].ID)
	}
	return out
}

// says tells whether each word is somewhere in what a product is called.
func (p *Product) says(words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := strings.ToLower(p.Title + " " + p.Handle + " " + p.Vendor + " " + p.ProductType + " " + p.Status + " " + strings.Join(p.Tags, " "))
	return !slices.ContainsFunc(words, func(word string) bool {
		return !strings.Contains(text, word) &&
			!slices.ContainsFunc(p.Variants, func(v *Variant) bool { return strings.Contains(strings.ToLower(v.SKU), word) })
	})
}

// productPage is a product with some of its variants.
type productPage struct {
	said
	Shop, Currency, GID, Handle string
	ID                          int64
	Title, Status, Vendor       string
	UpdatedAt                   time.Time
	Rows                        []variantRow
	From, To, Of                int
	Prev, Next                  int // Places where the pages around begin; -1 where there is none.
}

type variantRow struct {
	ID              int64
	Title, SKU      string
	Price, Compared string
	Tracked         bool
	Levels          []levelRow
}

type levelRow struct {
	Location  int64
	Name      string
	Available int64
}

func (s *Shop) productPage(id int64, form url.Values) *productPage {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, ok := s.Products.Get(id)
	if !ok {
		return nil
	}
	out := &productPage{said: saidIn(form), Shop: s.Domain, Currency: s.Currency, GID: p.GID(), Handle: p.Handle, ID: id, Title: p.Title, Status: p.Status, Vendor: p.Vendor,
		UpdatedAt: p.UpdatedAt, Of: len(p.Variants), Prev: -1, Next: -1}
	from, _ := strconv.Atoi(form.Get("from"))
	from = max(0, min(from, len(p.Variants)-1))
	to := min(len(p.Variants), from+adminVariants)
	out.From, out.To = from+1, to
	if from > 0 {
		out.Prev = max(0, from-adminVariants)
	}
	if to < len(p.Variants) {
		out.Next = to
	}
	for _, v := range p.Variants[from:to] {
		row := variantRow{ID: v.ID, Title: v.Title, SKU: v.SKU, Price: v.Price.String(), Tracked: v.Item.Tracked}
		if v.CompareAtPrice != 0 {
			row.Compared = v.CompareAtPrice.String()
		}
		for _, l := range v.Item.Levels {
			if l.Shown() {
				row.Levels = append(row.Levels, levelRow{l.Location.ID, l.Location.Name, l.Available})
			}
		}
		out.Rows = append(out.Rows, row)
	}
	return out
}

// saveVariant changes what a form changed of a variant, and nothing else: a
// price that stays fires no webhook.
func (s *Shop) saveVariant(v *Variant, form url.Values) (string, error) {
	price, err := parseMoney(strings.TrimSpace(form.Get("price")))
	if err != nil {
		return "", fmt.Errorf("price: %w", err)
	}
	var compared Money
	if text := strings.TrimSpace(form.Get("compared")); text != "" {
		if compared, err = parseMoney(text); err != nil {
			return "", fmt.Errorf("compare-at price: %w", err)
		}
	}
	if price < 0 || compared < 0 {
		return "", errors.New("a price is not below zero")
	}
	stock := make(map[int64]int64)
	for name := range form {
		if text, ok := strings.CutPrefix(name, "stock-"); ok {
			location, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return "", fmt.Errorf("stock: no location %q", text)
			}
			if stock[location], err = strconv.ParseInt(strings.TrimSpace(form.Get(name)), 10, 64); err != nil {
				return "", fmt.Errorf("stock: %q is not a whole number", form.Get(name))
			}
		}
	}
	label, changed := "", []string(nil)
	moves := make(map[int64]int64)
	s.mu.RLock()
	label = v.label()
	if v.Price != price || v.CompareAtPrice != compared {
		changed = append(changed, "price "+price.String())
	}
	for _, l := range v.Item.Levels {
		if units, given := stock[l.Location.ID]; given && units != l.Available {
			moves[l.Location.ID] = units
			changed = append(changed, fmt.Sprintf("%d at %s", units, l.Location.Name))
		}
	}
	newPrice := v.Price != price || v.CompareAtPrice != compared
	s.mu.RUnlock()
	if newPrice {
		if err := s.SetPrice(v.ID, price, compared); err != nil {
			return "", err
		}
	}
	for location, units := range moves {
		if err := s.SetStock(v.Item.ID, location, units); err != nil {
			return "", err
		}
	}
	if len(changed) == 0 {
		return "Nothing was changed.", nil
	}
	return label + ": " + strings.Join(changed, ", ") + ".", nil
}

// webhookLog is a page of the log of webhooks.
type webhookLog struct {
	said
	Topic  string
	Topics []string
	Rows   []deliveryRow
	Of     int
}

type deliveryRow struct {
	Delivery
	State string // What became of it, in a word or two.
	Class string
	Waits bool
}

func (s *Simulator) webhookLog(form url.Values) webhookLog {
	c := s.hooks
	out := webhookLog{said: saidIn(form), Topic: form.Get("topic")}
	c.mu.Lock()
	defer c.mu.Unlock()
	topics := make(map[string]bool)
	for _, d := range slices.Backward(c.log) {
		topics[d.Topic] = true
		if out.Topic != "" && d.Topic != out.Topic {
			continue
		}
		out.Of++
		if len(out.Rows) == adminDeliveries {
			continue
		}
		row := deliveryRow{Delivery: *d}
		row.Attempts = slices.Clone(d.Attempts)
		slices.Reverse(row.Attempts)
		switch {
		case d.Lost:
			row.State, row.Class = "lost", "bad"
		case d.Skipped:
			row.State, row.Class = "nothing to say", "dim"
		case d.Accepted():
			row.State, row.Class = "accepted", "good"
		case d.Done:
			row.State, row.Class = "given up", "bad"
		case len(d.Attempts) > 0:
			row.State, row.Class, row.Waits = "waits for a retry", "warn", true
		default:
			row.State, row.Class = "on its way", "dim"
		}
		out.Rows = append(out.Rows, row)
	}
	for topic := range topics {
		out.Topics = append(out.Topics, topic)
	}
	slices.Sort(out.Topics)
	return out
}

// delivery is a copy of one that is remembered.
func (c *courier) delivery(webhookID string) (Delivery, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.log, func(d *Delivery) bool { return d.WebhookID == webhookID })
	if at < 0 {
		return Delivery{}, false
	}
	return c.log[at].shown(), true
}

// hurry makes a delivery that waits for its retry due now.
func (c *courier) hurry(webhookID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.queue {
		if p.log.WebhookID == webhookID {
			heap.Remove(&c.queue, i)
			p.due = c.sim.machine()
			c.push(p)
			return
		}
	}
}

// faultSentences say what each fault does. A fault without one shows its name.
var faultSentences = map[string]string{
	"lose":              "Share of webhooks never sent, by topic, one a line: “orders/create 1”. “*” stands for all other topics.",
	"double":            "Share of webhooks sent twice under one webhook id.",
	"new_id":            "Share whose retries come under new webhook ids, which some report and Shopify's pages deny.",
	"fail":              "Share of attempts that do not arrive and are retried.",
	"forge":             "Share of webhooks also sent tampered with and wrongly signed, before the true one.",
	"reorder":           "Share of webhooks that up to two seconds of others overtake.",
	"delay":             "Longest delay of each webhook.",
	"late":              "Share of webhooks sent hours after what they tell of: between one and twelve.",
	"old_secret":        "Share of webhooks signed with the app's older secret: its own followed by “-old”, where none is set.",
	"stale":             "Share of webhooks whose first acceptance is not heard: they come again a minute later with the body of then, whatever has changed.",
	"newer":             "Share of webhooks that wait 10 to 30 seconds and tell what is true by then, under their old time of trigger.",
	"webhook_first":     "Share of requests answered only when the webhooks that they caused were tried, for at most six seconds.",
	"unsubscribe":       "Share of webhooks with which their subscription is deleted, if it was made through the API.",
	"skew":              "By how much Date headers and times of trigger are ahead of the clock; with a minus, behind.",
	"throttle":          "Share of requests that find the budget spent.",
	"server_error":      "Share of requests answered 502, without effect.",
	"internal_error":    "Share of requests answered 200 with INTERNAL_SERVER_ERROR and a requestId, without data or effect.",
	"too_many_requests": "Share of requests answered 429 with Retry-After, without effect.",
	"reset":             "Share of requests whose connection is reset, without effect.",
	"timeout":           "Share of requests not answered for ten seconds, then 504, without effect.",
	"answer_lost":       "Share of requests that take effect and are answered 502 or by a reset connection.",
	"deny":              "Fields answered with ACCESS_DENIED, as if a scope were missing, one a line: Product.variants, QueryRoot.orders.",
	"null":              "Types whose objects are null to who asks by id, without an error, one a line: Product, DiscountNode.",
	"unfiltered":        "Fields that searches know no more, one a line: they warn and find everything.",
	"slow":              "How long every answer takes; from ten seconds on it is 504, without effect.",
	"slow_pages":        "How long answers with a page of a list take besides.",
	"totals_lag":        "How long totalInventory shows what it was.",
	"index_lag":         "How long a change is missing from searches.",
	"token_lost":        "Share of tokens that are made and whose reply is lost.",
	"omit_expires_in":   "Replies with tokens lack their lifetimes.",
	"token_life":        "How long access tokens that expire work, if that is less than they were given out for.",

	"bulk_cut":     "Share of bulk operations whose file ends early, shorter than fileSize says.",
	"bulk_reorder": "Share of bulk operations whose lines are in any order, children before parents too.",
	"bulk_cancel":  "Share of bulk operations that Shopify cancels by itself.",
	"bulk_fail":    "Share of bulk operations that fail, with part of the data.",
	"bulk_stuck":   "Share of bulk operations that run until they are canceled, or fail after ten days.",
	"bulk_time":    "How long each bulk operation takes at most, and at least half of it, unless reading takes longer.",
}

// faultKnobs are all faults in the order of their declaration.
func faultKnobs(faults Faults) []knob.Knob { return knob.List(faults, faultSentences) }

// faultForm changes the faults to what a form says. A button of the form may
// turn all of them off.
func (s *Simulator) faultForm(form url.Values) error {
	patch, err := knob.FormPatch(faultKnobs(Faults{}), form)
	if err != nil {
		return err
	}
	_, err = s.patchFaults(patch)
	return err
}
