package simulator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
	"stockroom/internal/simulator/wire"
)

// maxQueryBytes bounds a request's body.
const maxQueryBytes = 4 << 20

const (
	gatewayTimeout   = 10 * time.Second             // After which a request that nobody answers is. Source: "Status and error codes".
	webhookFirstWait = deliverTimeout + time.Second // An answer is not withheld for longer.
)

// Handler serves all shops: each under /{domain}/ and for its own Host. What
// is the simulator's own, and not Shopify's, is under /_sim/.
func (s *Simulator) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Simulator) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", s.Now().Add(time.Duration(s.Faults().Skew)).UTC().Format(http.TimeFormat))
	if r.Method == http.MethodConnect {
		s.tunnel(w, r)
		return
	}
	path := r.URL.Path
	if rest, ok := strings.CutPrefix(path, "/_sim/"); ok {
		if rest == "" || strings.HasPrefix(rest, "ui/") {
			s.admin(w, r, rest)
			return
		}
		s.control(w, r, rest)
		return
	}
	if side := metaSide(r); side != nil {
		seen := &observed{ResponseWriter: w, log: &s.requestLog, request: Request{At: s.Now().UTC(), Method: shorten(r.Method), Path: shorten(path)}}
		defer seen.answered(0)
		side(s.meta, seen, r)
		return
	}
	id := s.requestID()
	w.Header().Set("X-Request-Id", id)
	seen := &observed{ResponseWriter: w, log: &s.requestLog, request: Request{At: s.Now().UTC(), ID: id, Method: shorten(r.Method), Path: shorten(path)}}
	defer seen.answered(0) // Where nobody answered: the caller is gone, or the stream was reset by a panic.
	s.shopify(seen, r, path)
}

// shopify answers at Shopify's addresses.
func (s *Simulator) shopify(w *observed, r *http.Request, path string) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	shop := s.Shop(host)
	if rest, ok := strings.CutPrefix(path, "/admin.shopify.com/"); ok && shop == nil {
		host, path = adminHost, "/"+rest
	}
	if host == adminHost {
		s.storeAdmin(w, r, path)
		return
	}
	if shop == nil {
		if path == "/" || path == "/_sim" {
			http.Redirect(w, r, "/_sim/", http.StatusSeeOther)
			return
		}
		domain, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
		shop, path = s.Shop(domain), "/"+rest
	}
	if shop == nil {
		writeJSON(w, http.StatusNotFound, map[string]string{"errors": "Not Found"})
		return
	}
	w.request.Shop, w.request.Path = shop.Domain, shorten(path)
	if version, ok := strings.CutPrefix(path, "/admin/api/"); ok {
		if version, ok = strings.CutSuffix(version, "/graphql.json"); ok {
			s.graphql(w, r, shop, version)
			return
		}
	}
	switch path {
	case "/admin/oauth/authorize":
		if allow(w, r, http.MethodGet, http.MethodPost) {
			s.authorize(w, r, shop)
		}
	case "/admin/oauth/access_token", "/admin/oauth/access_token.json":
		if allow(w, r, http.MethodPost) {
			s.accessToken(w, r, shop)
		}
	case "/admin/oauth/access_scopes.json":
		if allow(w, r, http.MethodGet) {
			s.accessScopes(w, r, shop)
		}
	default:
		writeJSON(w, http.StatusNotFound, map[string]string{"errors": "Not Found"})
	}
}

// adminHost is where merchants find their shop's admin, by its name.
const adminHost = "admin.shopify.com"

// storeAdmin answers the one page of Shopify's admin to which apps send merchants.
func (s *Simulator) storeAdmin(w http.ResponseWriter, r *http.Request, path string) {
	name, page, _ := strings.Cut(strings.TrimPrefix(path, "/store/"), "/")
	shop := s.Shop(name + ".myshopify.com")
	if shop == nil || page != "oauth/install" {
		writeJSON(w, http.StatusNotFound, map[string]string{"errors": "Not Found"})
		return
	}
	if allow(w, r, http.MethodGet, http.MethodPost) {
		s.installOptional(w, r, shop)
	}
}

// allow refuses other methods.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeJSON(w, http.StatusMethodNotAllowed, map[string]string{"errors": "Method Not Allowed"})
	return false
}

// closedStatuses are what a shop's API can be made to answer with: 402 for a
// shop that has not paid, 404 for one that is gone, 423 for a locked one, 430
// for a security rejection, 540 for one that is disabled for a time; zero opens
// it. Source: "Status and error codes" (2026-10).
var closedStatuses = []int{0, http.StatusPaymentRequired, http.StatusNotFound, http.StatusLocked, 430, 540}

// SetClosed makes the API answer with a status of closedStatuses until it is
// set to zero.
func (s *Shop) SetClosed(status int) {
	s.installMu.Lock()
	defer s.installMu.Unlock()
	s.closed = status
}

func (s *Shop) isClosed() int {
	s.installMu.Lock()
	defer s.installMu.Unlock()
	return s.closed
}

// graphql answers the Admin API.
func (s *Simulator) graphql(w http.ResponseWriter, r *http.Request, shop *Shop, version string) {
	version = served(version)
	w.Header().Set("X-Shopify-API-Version", version)
	if !allow(w, r, http.MethodPost) {
		return
	}
	// Read first: a server sees that its caller is gone only when nothing is left to read.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQueryBytes))
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"errors": "Bad Request"})
		return
	}
	fate := s.fate("call", shop.Domain, string(body))
	if s.refusedByFault(w, r, fate) {
		return
	}
	faults := s.Faults()
	if fate.chancy("TooMany", faults.TooMany) {
		// Recorded of the REST API, where it is common: the number has a fraction.
		w.Header().Set("Retry-After", "4.0")
		writeJSON(w, http.StatusTooManyRequests, map[string]string{
			"errors": "Exceeded 4 calls per second for api client. Reduce request rates to resume uninterrupted service.",
		})
		return
	}
	access, ok := authenticate(w, r, shop)
	if !ok {
		return
	}
	access.APIVersion = version
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && kind != "application/graphql" {
		writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"errors": "Unsupported Media Type"})
		return
	}
	request := graph.Request{Query: string(body)}
	if kind == "application/json" {
		request = graph.Request{}
		if err := json.Unmarshal(body, &request); err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"errors": "Bad Request"})
			return
		}
	}
	// The pages and the guides differ in the first name.
	request.Debug.Search = asked(r, "Shopify-Search-Query-Debug") || asked(r, "X-Shopify-Search-Query-Debug")
	request.Debug.Cost = asked(r, "Shopify-GraphQL-Cost-Debug")
	if fate.chancy("Throttle", faults.Throttle) {
		access.Bucket.Drain()
	}
	if fate.chancy("Internal", faults.Internal) {
		response := internalError(w.Header().Get("X-Request-Id"))
		noteAnswer(w, request, response)
		writeJSON(w, http.StatusOK, response)
		return
	}
	posted := s.hooks.posted()
	response := shop.Query(r.Context(), access, request)
	noteAnswer(w, request, response)
	if fate.chancy("WebhookFirst", faults.WebhookFirst) && s.hooks.posted() != posted {
		ctx, cancel := context.WithTimeout(r.Context(), webhookFirstWait)
		_ = s.Quiet(ctx) // An app that takes no webhooks meanwhile gets its answer first after all.
		cancel()
	}
	if s.lostByFault(w, fate) {
		return
	}
	if len(response.Deprecated) > 0 {
		w.Header().Set("X-Shopify-API-Deprecated-Reason", strings.Join(response.Deprecated, ", "))
	}
	writeJSON(w, http.StatusOK, response)
}

// authenticate finds what a request's token allows. False means that it was
// refused: the shop is closed, the token is not in force, or it is one of those
// that do not expire.
func authenticate(w http.ResponseWriter, r *http.Request, shop *Shop) (Access, bool) {
	if status := shop.isClosed(); status != 0 {
		writeJSON(w, status, map[string]string{"errors": cmp.Or(http.StatusText(status), map[int]string{430: "Shopify Security Rejection", 540: "Temporarily Disabled"}[status])})
		return Access{}, false
	}
	access, ok := shop.access(r.Header.Get("X-Shopify-Access-Token"))
	if !ok {
		writeJSON(w, http.StatusUnauthorized, map[string]string{
			"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)",
		})
		return Access{}, false
	}
	if access.forever && access.Installation.App.Public {
		writeJSON(w, http.StatusForbidden, map[string]string{
			"errors": "[API] Non-expiring access tokens are no longer accepted for the Admin API",
		})
		return Access{}, false
	}
	return access, true
}

// accessScopes answers what a token was granted. It is the one path of the REST
// API here: apps ask it after an install.
func (s *Simulator) accessScopes(w http.ResponseWriter, r *http.Request, shop *Shop) {
	if s.refusedByFault(w, r, s.fate("scopes", shop.Domain)) {
		return
	}
	access, ok := authenticate(w, r, shop)
	if !ok {
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"access_scopes": each(withReads(access.Scopes), func(scope string) map[string]string {
		return map[string]string{"handle": scope}
	})})
}

// refusedByFault draws what keeps a request from having an effect. It waits as
// long as slow says, and tells whether the request is over.
func (s *Simulator) refusedByFault(w http.ResponseWriter, r *http.Request, fate fate) bool {
	faults := s.Faults()
	slow := time.Duration(faults.Slow)
	if fate.chancy("Timeout", faults.Timeout) {
		slow = gatewayTimeout
	}
	if !wire.Pause(r.Context(), min(slow, gatewayTimeout)) {
		return true // The caller is gone.
	}
	switch {
	case slow >= gatewayTimeout:
		http.Error(w, "Gateway Timeout", http.StatusGatewayTimeout)
	case fate.chancy("ServerError", faults.ServerError):
		http.Error(w, "Bad Gateway", http.StatusBadGateway)
	case fate.chancy("Reset", faults.Reset):
		wire.Reset(w)
	default:
		return false
	}
	return true
}

// lostByFault draws what keeps an answer from coming back.
func (s *Simulator) lostByFault(w http.ResponseWriter, fate fate) bool {
	if !fate.chancy("AnswerLost", s.Faults().AnswerLost) {
		return false
	}
	if fate.chancy("by a reset", 0.5) {
		wire.Reset(w)
	}
	http.Error(w, "Bad Gateway", http.StatusBadGateway)
	return true
}

// internalError is how Shopify says that something of its own went wrong
// (recorded, 2026): without path and place.
func internalError(request string) graph.Response {
	err := graph.Errorf(graph.CodeInternal, "Internal error. Looks like something went wrong on our end.\nRequest ID: %s (include this in support requests).", request)
	err.Extensions["requestId"] = request
	return graph.Response{Errors: []*graph.Error{err}}
}

// asked tells whether a header that is a switch is on.
func asked(r *http.Request, header string) bool { return r.Header.Get(header) == "1" }

// control answers what is the simulator's own, beside the page:
//
//	GET  /_sim/faults                  the faults in force
//	GET  /_sim/faults/all              every fault there is, with what it does
//	POST /_sim/faults                  change those that the JSON object names
//	DELETE /_sim/faults                end them all
//	GET  /_sim/clock                   Shopify's time
//	POST /_sim/clock                   let time pass at once: forward, like "5h"
//	POST /_sim/reset                   make every shop anew
//	POST /_sim/shops/{shop}/scopes     change what an app was granted: client_id, scopes
//	POST /_sim/shops/{shop}/closed     let the API answer with a status: 402, 404, 423, 430, 540; 0 opens it
//	GET  /_sim/shops/{shop}/launch     the signed query with which the app is opened: ?client_id=
//	GET  /_sim/traffic                 how lively the shops are, what happened lately
//	POST /_sim/traffic                 so many changes a second: rate
//	GET  /_sim/bulk/{name}             the file of a bulk operation
//	GET  /_sim/deliveries              what became of the latest webhooks, of so many: ?limit=
//	GET  /_sim/requests                the latest requests to Shopify's addresses, so many: ?limit=
//	GET  /_sim/shops                   the shops and their sizes
//	GET  /_sim/shops/{shop}/export     the shop as it truly is, JSON Lines
//	POST /_sim/shops/{shop}/edit       make a random edit, say which
//	POST /_sim/shops/{shop}/uninstall  remove the app that client_id names
//	POST /_sim/shops/{shop}/data_request  ask for what is held of a customer: customer or order
//	POST /_sim/shops/{shop}/redact        have a customer erased: customer or order
func (s *Simulator) control(w http.ResponseWriter, r *http.Request, path string) {
	// A page in a browser on this machine can post here only what needs no
	// permission beforehand; JSON does.
	if r.Method == http.MethodPost {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			writeJSON(w, http.StatusUnsupportedMediaType, map[string]string{"error": "send application/json"})
			return
		}
	}
	if rest, ok := strings.CutPrefix(path+"/", "meta/"); ok {
		s.meta.Control(w, r, strings.TrimSuffix(rest, "/"))
		return
	}
	parts := strings.Split(path, "/")
	var shop *Shop
	if parts[0] == "shops" && len(parts) == 3 {
		if shop = s.Shop(parts[1]); shop == nil {
			writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such shop"})
			return
		}
		parts = []string{"shop", parts[2]}
	}
	switch r.Method + " " + strings.Join(parts, "/") {
	case "GET faults":
		writeJSON(w, http.StatusOK, s.Faults())
	case "GET faults/all":
		writeJSON(w, http.StatusOK, faultKnobs(s.Faults()))
	case "POST faults":
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxFormBytes))
		if err == nil {
			var faults Faults
			if faults, err = s.patchFaults(body); err == nil {
				writeJSON(w, http.StatusOK, faults)
				return
			}
		}
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
	case "DELETE faults":
		s.SetFaults(Faults{})
		writeJSON(w, http.StatusOK, s.Faults())
	case "GET clock":
		writeJSON(w, http.StatusOK, s.clockState())
	case "POST clock":
		var body struct {
			Forward Duration `json:"forward"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFormBytes)).Decode(&body)
		if err == nil {
			err = s.Advance(r.Context(), time.Duration(body.Forward))
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, s.clockState())
	case "POST reset":
		if err := s.Reset(); err != nil {
			writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, s.sizes())
	case "GET traffic":
		writeJSON(w, http.StatusOK, s.Traffic())
	case "POST traffic":
		var body struct {
			Rate *float64 `json:"rate"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFormBytes)).Decode(&body)
		if err == nil && body.Rate == nil {
			err = errors.New("traffic: send a rate")
		}
		if err == nil {
			err = s.SetTraffic(*body.Rate)
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, s.Traffic())
	case "GET bulk/" + parts[len(parts)-1]:
		s.serveBulk(w, r, parts[len(parts)-1])
	case "GET deliveries":
		limit := math.MaxInt
		if text := r.FormValue("limit"); text != "" {
			var err error
			if limit, err = strconv.Atoi(text); err != nil || limit <= 0 {
				writeJSON(w, http.StatusBadRequest, map[string]string{"error": "limit: it is a number of deliveries, from 1"})
				return
			}
		}
		writeJSON(w, http.StatusOK, s.LatestDeliveries(limit))
	case "GET requests":
		limit := maxRequests
		if text := r.FormValue("limit"); text != "" {
			var err error
			if limit, err = strconv.Atoi(text); err != nil || limit <= 0 {
				writeJSON(w, http.StatusBadRequest, map[string]string{"error": "limit: it is a number of requests, from 1"})
				return
			}
		}
		writeJSON(w, http.StatusOK, s.Requests(limit))
	case "GET shops":
		writeJSON(w, http.StatusOK, s.sizes())
	case "GET shop/export":
		w.Header().Set("Content-Type", "application/x-ndjson")
		if err := shop.Export(w); err != nil {
			s.log.Error("write export", "shop", shop.Domain, "error", err)
		}
	case "POST shop/edit":
		s.secretMu.Lock()
		rng := newRand(s.secret.Uint64())
		s.secretMu.Unlock()
		writeJSON(w, http.StatusOK, shop.RandomEdit(rng))
	case "POST shop/uninstall":
		var body struct {
			ClientID string `json:"client_id"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFormBytes)).Decode(&body)
		if err == nil {
			err = shop.Uninstall(body.ClientID)
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"status": "uninstalled"})
	case "POST shop/scopes":
		var body struct {
			ClientID string   `json:"client_id"`
			Scopes   []string `json:"scopes"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFormBytes)).Decode(&body)
		if err == nil {
			err = shop.SetScopes(body.ClientID, body.Scopes...)
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"scopes": shop.Installation(body.ClientID).Scopes()})
	case "POST shop/closed":
		var body struct {
			Status int `json:"status"`
		}
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxFormBytes)).Decode(&body)
		if err == nil && !slices.Contains(closedStatuses, body.Status) {
			err = fmt.Errorf("status %d: it is one of %v", body.Status, closedStatuses)
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		shop.SetClosed(body.Status)
		writeJSON(w, http.StatusOK, body)
	case "GET shop/launch":
		query, err := shop.LaunchQuery(r.URL.Query().Get("client_id"))
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"query": query.Encode()})
	case "POST shop/data_request", "POST shop/redact":
		answer, err := shop.askAboutCustomer(parts[1], http.MaxBytesReader(w, r.Body, maxFormBytes))
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, answer)
	default:
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "no such thing"})
	}
}

// Size is how much a shop holds.
type Size struct {
	Shop        string `json:"shop"`
	Name        string `json:"name"`
	Products    int    `json:"products"`
	Variants    int    `json:"variants"`
	Locations   int    `json:"locations"`
	Collections int    `json:"collections"`
	Discounts   int    `json:"discounts"`
	Metafields  int    `json:"metafields"`
	Orders      int    `json:"orders"`
}

// Size counts.
func (s *Shop) Size() Size {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Size{s.Domain, s.Name, s.Products.Len(), s.Variants.Len(), s.Locations.Len(), s.Collections.Len(),
		s.Discounts.Len(), s.Metafields.Len(), s.Orders.Len()}
}

func (s *Simulator) sizes() []Size {
	out := []Size{}
	for _, shop := range s.Shops() {
		out = append(out, shop.Size())
	}
	slices.SortFunc(out, func(a, b Size) int { return strings.Compare(a.Shop, b.Shop) })
	return out
}
