// Package dashboard is the operator's plain page: how the shops stand, what the
// polls found, and a button that polls now.
//
// It promises that everything under /admin/ but the sign-in page needs the
// admin's session, that a request made by another site's page changes nothing,
// that passwords can be tried slowly alone while the right one still gets in,
// and that the pages work without a script and load nothing from elsewhere. See
// TestEverythingNeedsTheSession, TestPasswordsAreTriedSlowly and
// TestTheRightPasswordGetsInAboveTheLimit.
//
// What it shows comes from package query; polling is left to the function that
// it is given.
package dashboard

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// Config is what the dashboard is made from.
type Config struct {
	Store    *store.Store
	Reader   *query.Reader
	Now      func() time.Time // This machine's clock.
	Log      *slog.Logger
	Password secret.Secret // See Password. Must not be empty.
	Scopes   []string      // Those that the app asks for.
	Facebook bool          // Pages can be connected, at /facebook/login.

	// Poll asks for a poll of the shop, and returns before it is done.
	Poll func(ctx context.Context, shop store.Shop) error
}

// Dashboard serves the pages and knows who is signed in.
type Dashboard struct {
	Config
	signIns *signIns
	handler http.Handler
}

// New builds the dashboard. It refuses an empty password, which would let anybody in.
func New(c Config) (*Dashboard, error) {
	if c.Password.Empty() {
		return nil, errors.New("dashboard: the admin's password is empty: set ADMIN_PASSWORD")
	}
	c.Log = c.Log.With("component", "dashboard")
	d := &Dashboard{Config: c, signIns: newSignIns()}

	inside := http.NewServeMux()
	inside.HandleFunc("GET /admin/{$}", d.shopsPage)
	inside.HandleFunc("GET /admin/shops/{shop}", d.shopPage)
	inside.HandleFunc("POST /admin/shops/{shop}/poll", d.poll)
	inside.HandleFunc("POST /admin/logout", d.signOut)

	mux := http.NewServeMux()
	mux.Handle("/admin/", d.RequireSession(inside))
	mux.HandleFunc("GET /admin/login", d.signInPage)
	mux.HandleFunc("POST /admin/login", d.signIn)
	d.handler = headers(http.NewCrossOriginProtection().Handler(mux))
	return d, nil
}

// ServeHTTP answers what is under /admin/.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.handler.ServeHTTP(w, r) }

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

//go:embed templates
var templates embed.FS

var pages = func() map[string]*template.Template {
	functions := template.FuncMap{
		"time": func(t mirror.Time) string {
			if t.IsZero() {
				return "never"
			}
			return t.UTC().Format("2006-01-02 15:04:05")
		},
		"shopPath": func(domain string) string { return "/admin/shops/" + url.PathEscape(domain) },
		"percent":  func(share float64) string { return fmt.Sprintf("%.0f %%", share*100) },
		"types":    func() []string { return mirror.Types },
		"text":     func(raw json.RawMessage) string { return cut(string(raw), maxValue) },
	}
	all := map[string]*template.Template{}
	for _, name := range []string{"login", "shops", "shop", "problem"} {
		all[name] = template.Must(template.New("layout.html").Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/"+name+".html"))
	}
	return all
}()

// maxValue bounds the characters shown of a drifted value: a description may be long.
const maxValue = 200

func cut(text string, size int) string {
	runes := []rune(text)
	if len(runes) <= size {
		return text
	}
	return string(runes[:size]) + "…"
}

// render writes a page whole or not at all.
func (d *Dashboard) render(w http.ResponseWriter, r *http.Request, status int, page string, data any) {
	var out bytes.Buffer
	if err := pages[page].Execute(&out, data); err != nil {
		d.Log.ErrorContext(r.Context(), "page not made", "page", page, "error", err)
		http.Error(w, "The page could not be made. The log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // The reader may have gone.
}

type problemData struct {
	SignedIn bool
	Title    string
	Text     string
}

// fail shows what went wrong, as far as the operator can mend it here; the rest is in the log.
func (d *Dashboard) fail(w http.ResponseWriter, r *http.Request, err error) {
	if asked, ok := errors.AsType[*query.Error](err); ok {
		d.render(w, r, http.StatusNotFound, "problem", problemData{true, "Not found", asked.Error()})
		return
	}
	if r.Context().Err() == nil { // Otherwise the reader has gone.
		d.Log.ErrorContext(r.Context(), "request failed", "error", err)
	}
	d.render(w, r, http.StatusInternalServerError, "problem", problemData{true, "That did not work", "The log says what happened."})
}

func (d *Dashboard) shopsPage(w http.ResponseWriter, r *http.Request) {
	shops, err := d.Reader.Status(r.Context(), d.Scopes, false)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	rejected, err := d.Reader.Rejected(r.Context())
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.render(w, r, http.StatusOK, "shops", struct {
		SignedIn bool
		Shops    []query.ShopStatus
		Rejected int64
	}{true, shops, rejected})
}

const (
	runsShown  = 20
	driftShown = 100
)

func (d *Dashboard) shopPage(w http.ResponseWriter, r *http.Request) {
	shop, err := d.Reader.Shop(r.Context(), r.PathValue("shop"))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	status, runs, err := d.Reader.ShopStatus(r.Context(), shop, d.Scopes, runsShown)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	run, err := chooseRun(r.URL.Query().Get("run"), runs)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	var drift []query.DriftRow
	var report query.DriftReport
	if run != 0 {
		if report, err = d.Reader.DriftReport(r.Context(), shop, run); err == nil {
			drift, err = d.Reader.FirstDrift(r.Context(), shop, run, driftShown)
		}
		if err != nil {
			d.fail(w, r, err)
			return
		}
	}
	d.render(w, r, http.StatusOK, "shop", struct {
		SignedIn bool
		Status   query.ShopStatus
		Runs     []query.RunStatus
		DriftRun int64
		Report   query.DriftReport
		Drift    []query.DriftRow
		Cut      bool
		Facebook bool
	}{true, status, runs, run, report, drift, len(drift) == driftShown, d.Facebook})
}

// chooseRun is the run whose drift is shown: the one asked for, else the newest that found any; zero for none.
func chooseRun(asked string, runs []query.RunStatus) (int64, error) {
	if asked != "" {
		id, err := strconv.ParseInt(asked, 10, 64)
		for _, run := range runs {
			if err == nil && run.ID == id {
				return id, nil
			}
		}
		return 0, &query.Error{Code: query.NotFound, Message: fmt.Sprintf("there is no run %q among the newest", asked), Fix: "choose one from the shop's page"}
	}
	for _, run := range runs {
		if len(run.Drift) > 0 {
			return run.ID, nil
		}
	}
	return 0, nil
}

func (d *Dashboard) poll(w http.ResponseWriter, r *http.Request) {
	shop, err := d.Reader.Shop(r.Context(), r.PathValue("shop"))
	if err == nil {
		err = d.Poll(r.Context(), shop)
	}
	if err != nil {
		d.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/admin/shops/"+url.PathEscape(shop.Domain), http.StatusSeeOther)
}
