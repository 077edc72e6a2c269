package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
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

	// browserCookie names a browser that has signed in before. It opens nothing,
	// but its tries are its own: nobody else's use them up.
	browserCookie = "stockroom_browser"
	scopeBrowser  = "admin-browser"
	browserLife   = 90 * 24 * time.Hour
)

// SignedIn reports whether the request holds the admin's session.
func (d *Dashboard) SignedIn(r *http.Request) (bool, error) {
	return d.holds(r, cookieName, scopeAdmin)
}

// holds reports whether the request's cookie opens the scope.
func (d *Dashboard) holds(r *http.Request, name, kind string) (bool, error) {
	cookie, err := r.Cookie(name)
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
	return scope == d.scope(kind), nil
}

// scope is what a session opens. It names the password by its hash, so that a
// changed password ends the sessions that the old one began.
func (d *Dashboard) scope(kind string) string {
	return fmt.Sprintf("%s:%x", kind, secret.Hash(d.Password.Reveal())[:8])
}

// party is whose tries these are: the browser's own, if it has signed in before
// and so is known, or its network's.
func (d *Dashboard) party(r *http.Request) (party string, known bool, err error) {
	if known, err = d.holds(r, browserCookie, scopeBrowser); err != nil || !known {
		return network(r.RemoteAddr).String(), false, err
	}
	cookie, err := r.Cookie(browserCookie)
	return fmt.Sprintf("browser %x", secret.Hash(cookie.Value)), true, err
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
	party, known, err := d.party(r)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	if !d.signIns.admit(r.Context(), party, known, d.Now()) {
		d.Log.WarnContext(r.Context(), "sign-ins limited", "remote", r.RemoteAddr)
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
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
	token, browser, now := secret.RandomToken(32), secret.RandomToken(32), mirror.At(d.Now())
	err = d.Store.Update(r.Context(), func(tx *store.Tx) error {
		if err := tx.DropExpired(now); err != nil {
			return err
		}
		if err := tx.SaveSession(secret.Hash(browser), d.scope(scopeBrowser), now.Add(browserLife)); err != nil {
			return err
		}
		return tx.SaveSession(secret.Hash(token), d.scope(scopeAdmin), now.Add(sessionLife))
	})
	if err != nil {
		d.fail(w, r, fmt.Errorf("keep the session: %w", err))
		return
	}
	http.SetCookie(w, cookie(r, cookieName, token, sessionLife))
	http.SetCookie(w, cookie(r, browserCookie, browser, browserLife))
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
	http.SetCookie(w, cookie(r, cookieName, "", -time.Second))
	http.Redirect(w, r, "/admin/login", http.StatusSeeOther)
}

func cookie(r *http.Request, name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, SameSite: http.SameSiteLaxMode,
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
	// triesPerParty, then one more each retryAfter.
	triesPerParty = 5
	retryAfter    = 12 * time.Second

	// triesOverall, then one a second: many networks together are one attacker.
	triesOverall = 30

	// lanePace is how far apart tries above a limit are looked at, one by one, and
	// laneWait how long one waits for its turn at most. The right password gets
	// in even while others try, and all of them together try slowly.
	lanePace = time.Second / 2
	laneWait = 10 * time.Second

	// maxParties bounds the memory of parties. When it is full all are
	// forgotten: the overall limit holds still.
	maxParties = 10_000
)

// signIns limits how fast passwords can be tried.
//
// A limit by network alone would keep the operator out behind a proxy, where
// everybody has the proxy's address: whoever tries passwords there uses up the
// tries of all. So a try above a limit is not refused but waits in a lane, and a
// browser that has signed in before has tries of its own.
type signIns struct {
	overall *rate.Limiter

	mu      sync.Mutex
	parties map[string]*rate.Limiter
	turn    time.Time // The next free one in the lane.
}

func newSignIns() *signIns {
	return &signIns{overall: rate.NewLimiter(rate.Every(time.Second), triesOverall), parties: map[string]*rate.Limiter{}}
}

// admit returns true when a try may be looked at, perhaps after a wait, and
// false when too many wait already or the one who tries has gone.
func (s *signIns) admit(ctx context.Context, party string, known bool, now time.Time) bool {
	if s.of(party).AllowN(now, 1) && (known || s.overall.AllowN(now, 1)) {
		return true
	}
	wait, ok := s.takeTurn(now)
	if !ok {
		return false
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false // Its turn is not given to another: leaving early must not make room for more.
	}
}

// takeTurn takes the next turn in the lane, unless it is too far off.
func (s *signIns) takeTurn(now time.Time) (wait time.Duration, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn.Before(now) {
		s.turn = now
	}
	if wait = s.turn.Sub(now); wait > laneWait {
		return 0, false
	}
	s.turn = s.turn.Add(lanePace)
	return wait, true
}

func (s *signIns) of(party string) *rate.Limiter {
	s.mu.Lock()
	defer s.mu.Unlock()
	limiter, ok := s.parties[party]
	if !ok {
		if len(s.parties) >= maxParties {
			clear(s.parties)
		}
		limiter = rate.NewLimiter(rate.Every(retryAfter), triesPerParty)
		s.parties[party] = limiter
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
