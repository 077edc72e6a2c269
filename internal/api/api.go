// Package api is the REST way out: /v1, its OpenAPI description and its page.
//
// It promises that a shop's data is reached by a key of that shop alone, while
// any other shop looks as if it were not there; that every error, also of a
// request that could not be read, has the one shape described in the OpenAPI
// document; and that no answer is kept by caches on its way. See
// TestAKeyOpensItsShopAlone and TestEveryErrorHasOneShape.
//
// It decides nothing about shops' data: package query answers.
package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"stockroom/internal/query"
	"stockroom/internal/store"
)

// Config is what the API is made from.
type Config struct {
	Store   *store.Store
	Reader  *query.Reader
	Now     func() time.Time // This machine's clock.
	Log     *slog.Logger
	Version string // Of the program, for the OpenAPI document.

	// CORSOrigins are the origins whose pages may call /v1, such as
	// https://shop.example, or "*" for any. Default: none.
	CORSOrigins []string
}

// server serves the API.
type server struct {
	Config
	used keysUsed
}

// New builds the handler of /v1/, /openapi.json and /docs.
func New(c Config) http.Handler {
	c.Log = c.Log.With("component", "api")
	s := &server{Config: c}
	mux := http.NewServeMux()

	config := huma.DefaultConfig("Stockroom", c.Version)
	config.Info.Description = "An exact copy of a Shopify shop. Lists are pages: pass `next` as `cursor` for the one after. " +
		"`as_of` says up to when everything that the shop told is in the answer, `verified_at` when the copy was last compared with the shop."
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil // The page is our own, and answers hold no links to schemas.
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "A key made by `stockroom keys create`. It opens one shop."},
	}
	config.Security = []map[string][]string{{"key": {}}}
	teachSchemas(config.Components.Schemas)

	api := humago.New(mux, config)
	api.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) { s.authenticate(api, ctx, next) })
	s.addRoutes(api)
	for _, item := range api.OpenAPI().Paths {
		delete(item.Get.Responses, "422") // The framework's word for what is a 400 here, see newError.
	}

	mux.HandleFunc("/v1/", notThere)
	mux.HandleFunc("GET /docs", docsPage(api.OpenAPI()))
	return s.withCORS(mux)
}

type contextKey struct{}

// get adds a route whose answer is about the shop of the caller's key.
func get[I, O any](s *server, api huma.API, id, path, summary string, answer func(context.Context, store.Shop, *I) (O, error)) {
	type output struct {
		Limit string `header:"Stockroom-Limit" doc:"On lists: how many items a page holds at most, so a limit that was cut."`
		Body  O
	}
	huma.Register(api, huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Summary: summary,
		Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound},
	}, func(ctx context.Context, in *I) (*output, error) {
		body, err := answer(ctx, ctx.Value(contextKey{}).(store.Shop), in)
		if err != nil {
			return nil, s.failure(ctx, err)
		}
		out := &output{Body: body}
		if page, ok := any(body).(interface{ PageLimit() int }); ok {
			out.Limit = strconv.Itoa(page.PageLimit())
		}
		return out, nil
	})
}

// statusOf is the one table from the meaning of an error to an HTTP status.
var statusOf = map[string]int{
	query.BadRequest: http.StatusBadRequest,
	query.NotFound:   http.StatusNotFound,
}

// failure turns an error into the answer: what the caller can mend is told,
// all else is logged and told to be our fault.
func (s *server) failure(ctx context.Context, err error) huma.StatusError {
	if asked, ok := errors.AsType[*query.Error](err); ok {
		return &Error{status: statusOf[asked.Code], Err: Problem{asked.Code, asked.Message, asked.Fix}}
	}
	if ctx.Err() == nil { // Otherwise the caller has gone.
		s.Log.ErrorContext(ctx, "request failed", "error", err)
	}
	return newError(http.StatusInternalServerError, "")
}

// withCORS lets pages of the configured origins call /v1 and keeps answers out of caches.
func (s *server) withCORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin != "" && (slices.Contains(s.CORSOrigins, origin) || slices.Contains(s.CORSOrigins, "*")) {
			header.Set("Access-Control-Allow-Origin", origin) // Keys come in a header, never in a cookie, so no credentials are allowed.
			if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
				header.Set("Access-Control-Allow-Methods", "GET")
				header.Set("Access-Control-Allow-Headers", "Authorization")
				header.Set("Access-Control-Max-Age", "600")
				w.WriteHeader(http.StatusNoContent)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// notThere answers what no route does.
func notThere(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		writeError(w, newError(http.StatusMethodNotAllowed, ""))
		return
	}
	writeError(w, newError(http.StatusNotFound, ""))
}
