package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// Password is the admin's password: the one that is set, or the one kept in the
// file, which is made where it is not there yet; made tells so.
func Password(set secret.Secret, file string) (password secret.Secret, made bool, err error) {
	if !set.Empty() {
		return set, false, nil
	}
	password, made, err = secret.File(file, func() secret.Secret { return secret.New(secret.RandomToken(18)) })
	if err != nil {
		return secret.Secret{}, false, fmt.Errorf("admin's password: %w", err)
	}
	return password, made, nil
}

const (
	cookieName = "stockroom_admin"
	scopeAdmin = "admin"

	// sessionLife is how long a browser stays signed in.
	sessionLife = 12 * time.Hour
)

// SignedIn reports whether the request holds the admin's session.
func (d *Dashboard) SignedIn(r *http.Request) (bool, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return false, nil
	}
	var scope string
	err = d.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		scope, err = tx.SessionScope(secret.Hash(cookie.Value), mirror.At(d.Now()))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up the session: %w", err)
	}
	return scope == d.scope(), nil
}

// scope is what a session opens. It names the password by its hash, so that a
// changed password ends the sessions that the old one began.
func (d *Dashboard) scope() string {
	return fmt.Sprintf("%s:%x", scopeAdmin, secret.Hash(d.Password.Reveal())[:8])
}

// RequireSession lets requests of the signed-in admin through; others are led to
// the sign-in page and from there back.
func (d *Dashboard) RequireSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, err := d.SignedIn(r)
		switch {
		case err != nil:
			d.fail(w, r, err)
		case in:
			next.ServeHTTP(w, r)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			http.Redirect(w, r, "/admin/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
		default:
			http.Error(w, "Sign in first: /admin/login", http.StatusUnauthorized)
		}
	})
}

type signInData struct {
	SignedIn bool
	Next     string
	Problem  string
}

func (d *Dashboard) signInPage(w http.ResponseWriter, r *http.Request) {
	d.render(w, r, http.StatusOK, "login", signInData{Next: ownPath(r.URL.Query().Get("next"))})
}

// maxForm bounds the body of a sign-in.
const maxForm = 16 << 10

func (d *Dashboard) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		d.render(w, r, http.StatusBadRequest, "login", signInData{Problem: "The form could not be read."})
		return
	}
	data := signInData{Next: ownPath(r.PostForm.Get("next"))}
	if !d.signIns.allow(r.RemoteAddr, d.Now()) {
		d.Log.WarnContext(r.Context(), "sign-ins limited", "remote", r.RemoteAddr)
		w.Header().Set("Retry-After", "12")
		data.Problem = "Too many tries. Wait a little."
		d.render(w, r, http.StatusTooManyRequests, "login", data)
		return
	}
	if !d.Password.Equal(secret.New(r.PostForm.Get("password"))) {
		d.Log.WarnContext(r.Context(), "sign-in with a wrong password", "remote", r.RemoteAddr)
		data.Problem = "That is not the password."
		d.render(w, r, http.StatusForbidden, "login", data)
		return
	}
	token, now := secret.RandomToken(32), mirror.At(d.Now())
	err := d.Store.Update(r.Context(), func(tx *store.Tx) error {
		if err := tx.DropExpired(now); err != nil {
			return err
		}
		return tx.SaveSession(secret.Hash(token), d.scope(), now.Add(sessionLife))
	})
	if err != nil {
		d.fail(w, r, fmt.Errorf("keep the session: %w", err))
		return
	}
	http.SetCookie(w, cookie(r, token, int(sessionLife.Seconds())))
	http.Redirect(w, r, data.Next, http.StatusSeeOther)
}

func (d *Dashboard) signOut(w http.ResponseWriter, r *http.Request) {
	if held, err := r.Cookie(cookieName); err == nil {
		// A sign-out holds even where the browser goes away before the answer.
		err := d.Store.Update(context.WithoutCancel(r.Context()), func(tx *store.Tx) error { return tx.DeleteSession(secret.Hash(held.Value)) })
		if err != nil {
			d.fail(w, r, fmt.Errorf("end the session: %w", err))
			return
		}
	}
	http.SetCookie(w, cookie(r, "", -1))
	http.Redirect(w, r, "/admin/login", http.StatusSeeOther)
}

func cookie(r *http.Request, value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: cookieName, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		// Whoever forges the proxy's header only makes their own cookie stricter.
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
}

// ownPath is where to go after signing in: a path of this service, and nowhere else.
func ownPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsAny(next, "\\\r\n\t") {
		return "/admin/"
	}
	return next
}

const (
	// triesPerAddress, then one more each retryAfter.
	triesPerAddress = 5
	retryAfter      = 12 * time.Second

	// triesOverall, then one a second: many addresses together are one attacker.
	triesOverall = 30

	// maxAddresses bounds the memory of addresses. When it is full all are
	// forgotten: the overall limit holds still.
	maxAddresses = 10_000
)

// signIns limits how fast passwords can be tried.
type signIns struct {
	overall *rate.Limiter

	mu        sync.Mutex
	addresses map[netip.Prefix]*rate.Limiter
}

func newSignIns() *signIns {
	return &signIns{overall: rate.NewLimiter(rate.Every(time.Second), triesOverall), addresses: map[netip.Prefix]*rate.Limiter{}}
}

func (s *signIns) allow(remote string, now time.Time) bool {
	return s.of(remote).AllowN(now, 1) && s.overall.AllowN(now, 1)
}

func (s *signIns) of(remote string) *rate.Limiter {
	key := network(remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter, ok := s.addresses[key]
	if !ok {
		if len(s.addresses) >= maxAddresses {
			clear(s.addresses)
		}
		limiter = rate.NewLimiter(rate.Every(retryAfter), triesPerAddress)
		s.addresses[key] = limiter
	}
	return limiter
}

// network is what one party has for itself: an IPv4 address, or an IPv6 network of 64 bits.
func network(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{} // All that have no address share one limit.
	}
	address = address.Unmap().WithZone("")
	bits := 64
	if address.Is4() {
		bits = 32
	}
	prefix, _ := address.Prefix(bits) // 32 and 64 are bits of these addresses.
	return prefix
}
