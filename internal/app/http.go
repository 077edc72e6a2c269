package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"stockroom/internal/api"
	"stockroom/internal/dashboard"
	"stockroom/internal/inbox"
	"stockroom/internal/store"
)

// handler joins the ways in and out into one tree of routes.
func (a *App) handler() (http.Handler, error) {
	mux := http.NewServeMux()
	hooks, pages := a.inbox.Handler(), a.Connect.Handler()
	mux.Handle("/shopify/webhook", hooks)
	mux.Handle("/shopify/webhook/", hooks)
	mux.Handle("/shopify/", pages)
	mux.Handle("/connected", pages)
	if a.Pages.Enabled() { // Elsewhere nothing is known of Facebook but why.
		mux.Handle("/facebook/webhook", hooks)
	}
	mux.Handle("/facebook/", a.Pages.Handler())
	rest := api.New(api.Config{Store: a.Store, Reader: a.Query, Now: a.Now, Log: a.Log, Version: Version(), CORSOrigins: a.Config.CORSOrigins})
	for _, path := range []string{"/v1/", "/openapi.json", "/openapi.yaml", "/docs"} {
		mux.Handle(path, rest)
	}
	board, err := a.dashboard()
	if err != nil {
		return nil, err
	}
	a.board = board
	mux.Handle("/admin/", board)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /{$}", a.root)
	return a.logged(mux), nil
}

// dashboard builds the admin's pages, with the given password or the one in
// the file beside the database, which is made at the first start.
func (a *App) dashboard() (*dashboard.Dashboard, error) {
	file := a.Config.AdminPasswordFile()
	password, made, err := dashboard.Password(a.Config.AdminPassword, file)
	if err != nil {
		return nil, err
	}
	if made {
		a.Log.Info("a password for /admin/ was made", "file", file)
	}
	return dashboard.New(dashboard.Config{
		Store: a.Store, Reader: a.Query, Now: a.Now, Log: a.Log, Password: password, Scopes: a.Connect.Scopes, Facebook: a.Pages.Enabled(),
		Poll: func(ctx context.Context, shop store.Shop) error { return a.queue(ctx, shop, "poll", "manual") },
	})
}

// root is where Shopify sends a merchant who opens the app, where a person
// looks first, and what a load balancer asks.
func (a *App) root(w http.ResponseWriter, r *http.Request) {
	if a.Connect.Launch(w, r) {
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/admin/", http.StatusSeeOther)
		return
	}
	answer(w, http.StatusOK, "ok")
}

// ready tells whether webhooks would be stored: the database answers.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	err := a.Store.View(r.Context(), func(tx *store.Tx) error {
		_, err := tx.NewDeliveries(1, 0)
		return err
	})
	if err != nil {
		a.Log.Error("not ready: the database does not answer", "error", err)
		answer(w, http.StatusServiceUnavailable, "the database does not answer")
		return
	}
	answer(w, http.StatusOK, "ok")
}

func answer(w http.ResponseWriter, code int, status string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(map[string]string{"status": status}) // The client may be gone: nobody to tell.
}

// logged notes each request at debug level, with secrets cut out of its path,
// and turns a panic into a 500 that says so in the log.
func (a *App) logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		recorder := &statusRecorder{ResponseWriter: w}
		path := inbox.RedactPath(r.URL.Path)
		defer func() {
			if value := recover(); value != nil && value != http.ErrAbortHandler {
				a.Log.Error("a request's handler panicked", "path", path, "error", fmt.Sprint(value), "stack", string(debug.Stack()))
				if recorder.status == 0 {
					http.Error(w, "internal error", http.StatusInternalServerError)
				}
			}
			a.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("method", r.Method), slog.String("path", path),
				slog.Int("status", recorder.status), slog.Duration("took", time.Since(began)))
		}()
		next.ServeHTTP(recorder, r)
	})
}

// statusRecorder remembers the status that a handler answered.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *statusRecorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the writer beneath.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
