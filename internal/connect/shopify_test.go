package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"stockroom/internal/connect"
	"stockroom/internal/secret"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// town is a simulated Shopify and a database, both on one clock that the test
// sets, and connectors that come and go.
type town struct {
	*testing.T
	sim    *simulator.Simulator
	shop   *simulator.Shop
	path   string
	config connect.Config
	logs   *safeBuffer
	skip   atomic.Int64

	mu      sync.Mutex
	flights int // Requests for tokens under way.
	most    int // Most of them at a time.
	asked   int // Requests for tokens in all.

	during func() // Called once, while a request for tokens is under way.
}

const townScopes = "read_discounts,read_inventory,read_locations,read_orders,read_products"

func newTown(t *testing.T, change ...func(*simulator.App)) *town {
	t.Helper()
	w := &town{T: t, path: filepath.Join(t.TempDir(), "stockroom.db"), logs: new(safeBuffer)}
	app := simulator.App{Name: "Stockroom", ClientID: apiKey, Secrets: []string{newSecret, oldSecret},
		RedirectURIs: []string{"https://stockroom.example/shopify/callback"}, ProtectedData: true}
	for _, c := range change {
		c(&app)
	}
	server := httptest.NewUnstartedServer(nil)
	w.sim = simulator.New(simulator.Config{Apps: []simulator.App{app}, Seed: 5, Now: w.now, AutoConsent: true,
		BaseURL: "http://" + server.Listener.Addr().String(), Rate: 1e6, Capacity: 2e7})
	server.Config.Handler = w.watch(w.sim.Handler())
	server.Start()
	t.Cleanup(server.Close)
	var err error
	if w.shop, err = w.sim.AddShop(domain, simulator.Catalogue{Products: 1}); err != nil {
		t.Fatal(err)
	}
	sealer, err := secret.OpenSealer(secret.NewKeyset())
	if err != nil {
		t.Fatal(err)
	}
	w.config = connect.Config{
		Sealer: sealer, APIKey: apiKey, Secrets: []secret.Secret{secret.New(newSecret), secret.New(oldSecret)},
		RedirectURI: "https://stockroom.example/shopify/callback", WebhookAddress: "https://stockroom.example/shopify/webhook",
		ShopURL: func(domain string) string { return server.URL + "/" + domain }, Now: w.now,
		Log: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	return w
}

func (w *town) now() time.Time { return time.Now().Add(time.Duration(w.skip.Load())) }

func (w *town) later(d time.Duration) { w.skip.Add(int64(d)) }

// watch counts who asks for tokens at once.
func (w *town) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/access_token") {
			next.ServeHTTP(rw, r)
			return
		}
		w.mu.Lock()
		w.asked++
		w.flights++
		w.most = max(w.most, w.flights)
		during := w.during
		w.during = nil
		w.mu.Unlock()
		if during != nil {
			during()
		}
		next.ServeHTTP(rw, r)
		w.mu.Lock()
		w.flights--
		w.mu.Unlock()
	})
}

func (w *town) counted() (asked, most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked, w.most
}

// open is what another process on the same database has.
func (w *town) open() *store.Store {
	w.Helper()
	db, err := store.Open(context.Background(), "sqlite://"+w.path, store.ReadWrite)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = db.Close() })
	return db
}

func (w *town) connector(db *store.Store) *connect.Connector {
	config := w.config
	config.Store = db
	return connect.New(config)
}

// login connects the shop as its merchant does.
func (w *town) login(c *connect.Connector, db *store.Store) store.Shop {
	w.Helper()
	server := httptest.NewTLSServer(c.Handler())
	w.Cleanup(server.Close)
	browser := *server.Client()
	browser.Jar, _ = cookiejar.New(nil)
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	where := func(address string) *url.URL {
		w.Helper()
		reply, err := browser.Get(address)
		if err != nil {
			w.Fatal(err)
		}
		defer reply.Body.Close()
		to, err := reply.Location()
		if err != nil {
			text, _ := io.ReadAll(reply.Body)
			w.Fatalf("%s: status %d\n%s", address, reply.StatusCode, text)
		}
		return to
	}
	back := where(where(server.URL + "/shopify/login?shop=" + domain).String())
	where(server.URL + back.Path + "?" + back.RawQuery)
	return w.row(db)
}

func (w *town) row(db *store.Store) (shop store.Shop) {
	w.Helper()
	err := db.View(w.Context(), func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByDomain(domain)
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return shop
}

// works asks the shop something with the token that the connector gives.
func (w *town) works(c *connect.Connector, shop store.Shop) {
	w.Helper()
	client, err := c.Client(w.Context(), shop)
	if err != nil {
		w.Fatal(err)
	}
	if _, err := client.GrantedScopes(w.Context()); err != nil {
		w.Errorf("the shop cannot be asked: %v", err)
	}
}

func TestTwoProcessesNeverRefreshAShopAtOnce(t *testing.T) {
	rounds := 1000
	if testing.Short() {
		rounds = 50
	}
	w := newTown(t)
	one, two := w.open(), w.open()
	a, b := w.connector(one), w.connector(two)
	shop := w.login(a, one)
	before, _ := w.counted()
	for round := range rounds {
		// Alive still, or dead: who comes second goes on with the old one, or waits.
		life := 55 * time.Minute
		if round%2 == 1 {
			life = 2 * time.Hour
		}
		w.later(life)
		start := make(chan struct{})
		var wg sync.WaitGroup
		var given [2]string
		for i, c := range []*connect.Connector{a, b} {
			wg.Go(func() {
				<-start
				token, err := c.AccessToken(t.Context(), shop.ID, secret.Secret{})
				if err != nil {
					t.Errorf("round %d, process %d: %v", round, i, err)
				}
				given[i] = token.Reveal()
			})
		}
		close(start)
		wg.Wait()
		for i, token := range given {
			if w.shop.AccessOf(token).Installation == nil {
				t.Fatalf("round %d: process %d was given a token that does not work", round, i)
			}
		}
		if life > time.Hour && given[0] != given[1] {
			t.Fatalf("round %d: two tokens are in use", round)
		}
		if t.Failed() {
			return
		}
	}
	asked, most := w.counted()
	if asked-before != rounds || most != 1 {
		t.Errorf("%d refreshes in %d rounds, up to %d at once; want one each", asked-before, rounds, most)
	}
	if row := w.row(one); row.State != store.ShopConnected {
		t.Errorf("the shop is %s", row.State)
	}
	w.works(w.connector(two), shop)
}

var errDied = errors.New("the process died")

// TestADeathAtAnyMomentOfARefreshLosesNoTokens kills the process before and
// after each commit that a refresh makes, and once while Shopify answers.
func TestADeathAtAnyMomentOfARefreshLosesNoTokens(t *testing.T) {
	type death struct {
		commit int
		at     store.Moment
	}
	var deaths []death
	for commit := 1; commit <= 3; commit++ {
		deaths = append(deaths, death{commit, store.BeforeCommit}, death{commit, store.AfterCommit})
	}
	for _, d := range deaths {
		for _, overdue := range []time.Duration{55 * time.Minute, 2 * time.Hour} {
			w := newTown(t)
			db := w.open()
			shop := w.login(w.connector(db), db)
			w.later(overdue)

			dying := w.open()
			var mu sync.Mutex
			commits, dead := 0, false
			dying.Interfere(func(at store.Moment) error {
				mu.Lock()
				defer mu.Unlock()
				if dead && at == store.BeforeCommit {
					return errDied // It writes no more.
				}
				if at == store.BeforeCommit {
					commits++
				}
				if dead = dead || commits == d.commit && at == d.at; dead {
					return errDied
				}
				return nil
			})
			_, _ = w.connector(dying).AccessToken(t.Context(), shop.ID, secret.Secret{}) // What a dead process is told does not matter.

			// Others wait for the lease that it left, but not for ever.
			w.later(time.Hour)
			next := w.connector(db)
			w.works(next, shop)
			w.later(2 * time.Hour)
			w.works(next, shop)
			if row := w.row(db); row.State != store.ShopConnected {
				t.Errorf("death at commit %d, moment %d: the shop is %s: %s", d.commit, d.at, row.State, row.Trouble)
			}
		}
	}
}

func TestALostAnswerIsAskedForAgain(t *testing.T) {
	w := newTown(t)
	db := w.open()
	c := w.connector(db)
	shop := w.login(c, db)
	for name, faults := range map[string]simulator.Faults{
		"lost with a 520":          {TokenLost: 1},
		"lost with the connection": {AnswerLost: 1},
		"refused for a while":      {ServerError: 1},
		"reset":                    {Reset: 1},
	} {
		for range 20 { // As often as it takes.
			w.later(65 * time.Minute)
			w.sim.SetFaults(faults)
			if token, err := c.AccessToken(t.Context(), shop.ID, secret.Secret{}); err == nil {
				t.Fatalf("%s: a token was given: %v", name, token)
			}
			w.sim.SetFaults(simulator.Faults{})
			w.later(time.Minute)
			w.works(c, shop)
		}
	}
	if row := w.row(db); row.State != store.ShopConnected {
		t.Errorf("the shop is %s: %s", row.State, row.Trouble)
	}
}

// TestTheRefreshTokenBeforeIsTriedBeforeAShopIsGivenUp: two answers to one
// refresh token came, and the one that Shopify had retired was kept.
func TestTheRefreshTokenBeforeIsTriedBeforeAShopIsGivenUp(t *testing.T) {
	w := newTown(t)
	db := w.open()
	c := w.connector(db)
	shop := w.login(c, db)
	old := shop.RefreshToken
	w.later(65 * time.Minute)
	if _, err := c.AccessToken(t.Context(), shop.ID, secret.Secret{}); err != nil {
		t.Fatal(err)
	}
	if row := w.row(db); string(row.LastRefreshToken) != string(old) || row.LastAccessToken == nil {
		t.Fatal("the pair before was not kept")
	}
	w.refreshElsewhere(old)
	w.later(65 * time.Minute)
	w.works(c, shop)
	if !strings.Contains(w.logs.String(), "the one before it is tried") {
		t.Error("the log does not tell of it")
	}
	for range 3 {
		w.later(65 * time.Minute)
		w.works(c, shop)
	}
	if row := w.row(db); row.State != store.ShopConnected {
		t.Errorf("the shop is %s: %s", row.State, row.Trouble)
	}
}

// TestAProcessThatWasStoppedInMidRefreshSpoilsNothing: its lease was taken for
// a dead one's, and its own answer comes later than the other's.
func TestAProcessThatWasStoppedInMidRefreshSpoilsNothing(t *testing.T) {
	w := newTown(t)
	one, two := w.open(), w.open()
	a, b := w.connector(one), w.connector(two)
	shop := w.login(a, one)
	w.later(65 * time.Minute)
	w.during = func() {
		w.later(2 * time.Minute)
		w.works(b, shop)
	}
	w.works(a, shop)
	if _, most := w.counted(); most != 2 {
		t.Fatalf("%d refreshes at once; the test wants two", most)
	}
	for range 3 {
		w.works(a, shop)
		w.works(b, shop)
		w.later(65 * time.Minute)
	}
	if row := w.row(one); row.State != store.ShopConnected {
		t.Errorf("the shop is %s: %s", row.State, row.Trouble)
	}
}

// refreshElsewhere uses a sealed refresh token past all that the service knows.
func (w *town) refreshElsewhere(sealed []byte) {
	w.Helper()
	text, err := w.config.Sealer.Open(sealed, []byte("shops/"+domain+"/refresh_token"))
	if err != nil {
		w.Fatal(err)
	}
	reply, err := http.PostForm(w.config.ShopURL(domain)+"/admin/oauth/access_token", url.Values{
		"client_id": {apiKey}, "client_secret": {newSecret}, "grant_type": {"refresh_token"}, "refresh_token": {string(text)}})
	if err != nil {
		w.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		w.Fatalf("refresh elsewhere: status %d", reply.StatusCode)
	}
}

func TestAFinalRefusalTellsTheOperatorAndKeepsTheData(t *testing.T) {
	w := newTown(t)
	db := w.open()
	c := w.connector(db)
	shop := w.login(c, db)
	w.later(91 * 24 * time.Hour) // Both refresh tokens are over.
	if _, err := c.AccessToken(t.Context(), shop.ID, secret.Secret{}); !errors.Is(err, connect.ErrReconnect) {
		t.Fatalf("error %v, want ErrReconnect", err)
	}
	row := w.row(db)
	if row.State != store.ShopReconnect || !strings.Contains(row.Trouble, "refuses its refresh token") || row.TroubleAt == 0 || strings.Contains(row.Trouble, "shprt") {
		t.Errorf("state %s, trouble %q at %v", row.State, row.Trouble, row.TroubleAt)
	}
	if log := w.logs.String(); !strings.Contains(log, "shop must be connected again") || strings.Contains(log, "shprt_") {
		t.Error("the log says too little, or too much")
	}
	if row.ID != shop.ID || string(row.WebhookKeyHash) != string(shop.WebhookKeyHash) {
		t.Error("more than the state was changed")
	}
	// A new login mends it.
	again := w.login(c, db)
	if again.State != store.ShopConnected || again.Trouble != "" || again.ID != shop.ID {
		t.Errorf("after a login: %s, %q", again.State, again.Trouble)
	}
	w.works(c, again)
}

func TestIdleShopsAreRenewedWeekly(t *testing.T) {
	w := newTown(t)
	db := w.open()
	c := w.connector(db)
	shop := w.login(c, db)
	start, _ := w.counted()
	for hour := 0; hour < 200*24; hour += 6 { // Nobody else asks for the shop's token.
		w.later(6 * time.Hour)
		if err := c.KeepTokens(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	asked, _ := w.counted()
	if n := asked - start; n < 200/7 || n > 200/6+1 {
		t.Errorf("%d refreshes in 200 idle days, want one a week", n)
	}
	w.works(c, shop)
	if row := w.row(db); row.State != store.ShopConnected {
		t.Errorf("the shop is %s: %s", row.State, row.Trouble)
	}
}

func TestATokenThatDoesNotExpireIsMigratedOnDemand(t *testing.T) {
	w := newTown(t)
	db := w.open()
	c := w.connector(db)
	text, err := w.shop.IssueToken(apiKey, strings.Split(townScopes, ",")...)
	if err != nil {
		t.Fatal(err)
	}
	shop, err := c.ImportToken(t.Context(), domain, secret.New(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.KeepTokens(t.Context()); err != nil || string(w.row(db).AccessToken) != string(shop.AccessToken) {
		t.Fatalf("a token that does not expire was replaced without being asked for (%v)", err)
	}
	// The answer is lost: the old token is dead, and stored.
	w.sim.SetFaults(simulator.Faults{TokenLost: 1})
	if _, err := c.MigrateToken(t.Context(), domain); err == nil {
		t.Fatal("no error though the answer was lost")
	}
	w.sim.SetFaults(simulator.Faults{})
	w.later(time.Minute)
	w.works(c, shop) // A 401 asks for the exchange again.
	row := w.row(db)
	if row.Grant != store.GrantLogin || row.RefreshToken == nil || row.AccessExpiresAt == 0 {
		t.Errorf("stored %s, refresh token %d bytes, expires %v", row.Grant, len(row.RefreshToken), row.AccessExpiresAt)
	}
	w.later(65 * time.Minute)
	w.works(c, shop)
	if _, err := c.MigrateToken(t.Context(), domain); !errors.Is(err, connect.ErrExpires) {
		t.Errorf("migrating again: %v", err)
	}
}

func TestAPublicAppsOldTokenIsMigratedWhenShopifyEndsItsKind(t *testing.T) {
	w := newTown(t, func(app *simulator.App) { app.Public = true })
	db := w.open()
	c := w.connector(db)
	text, err := w.shop.IssueToken(apiKey, strings.Split(townScopes, ",")...)
	if err != nil {
		t.Fatal(err)
	}
	// As it was stored while Shopify still took it.
	sealed, err := w.config.Sealer.Seal([]byte(text), []byte("shops/"+domain+"/access_token"))
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx *store.Tx) error {
		_, err := tx.SaveShop(store.Shop{Domain: domain, State: store.ShopConnected, Scopes: townScopes, WebhookKeyHash: []byte("h"),
			WebhookKey: []byte("k"), AccessToken: sealed, Grant: store.GrantHand})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	shop := w.row(db)
	w.works(c, shop)
	if row := w.row(db); row.RefreshToken == nil || row.State != store.ShopConnected {
		t.Errorf("the shop is %s: %s", row.State, row.Trouble)
	}
}

func TestClientCredentialsAreAskedForAgain(t *testing.T) {
	w := newTown(t)
	db := w.open()
	c := w.connector(db)
	if _, err := c.ConnectByCredentials(t.Context(), domain); err == nil || !strings.Contains(err.Error(), "must be installed") {
		t.Fatalf("not installed: %v", err)
	}
	if err := w.shop.SetScopes(apiKey, strings.Split(townScopes, ",")...); err != nil {
		t.Fatal(err)
	}
	shop, err := c.ConnectByCredentials(t.Context(), domain)
	if err != nil {
		t.Fatal(err)
	}
	if shop.Grant != store.GrantCredentials || shop.RefreshToken != nil || shop.State != store.ShopConnected || shop.Scopes != townScopes {
		t.Errorf("stored %+v", shop)
	}
	before, _ := w.counted()
	for range 10 {
		w.later(23*time.Hour + 55*time.Minute)
		w.works(c, shop)
	}
	if asked, _ := w.counted(); asked-before != 10 {
		t.Errorf("asked %d times in ten days", asked-before)
	}
	if err := w.shop.Uninstall(apiKey); err != nil {
		t.Fatal(err)
	}
	w.later(25 * time.Hour)
	if _, err := c.AccessToken(t.Context(), shop.ID, secret.Secret{}); !errors.Is(err, connect.ErrReconnect) || !strings.Contains(w.row(db).Trouble, "client credentials") {
		t.Errorf("after the app was removed: %v, %q", err, w.row(db).Trouble)
	}
}

func TestAnEmbeddedAppsPageConnectsItsShop(t *testing.T) {
	w := newTown(t)
	db := w.open()
	c := w.connector(db)
	server := httptest.NewServer(c.Handler())
	defer server.Close()
	post := func(token string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/shopify/session", nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		reply, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer reply.Body.Close()
		var said struct {
			Shop, State string
			Error       struct{ Code, Message, Fix string }
		}
		if err := json.NewDecoder(reply.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		if said.Shop != "" {
			return reply.StatusCode, said.Shop + " " + said.State
		}
		if said.Error.Message == "" || said.Error.Fix == "" {
			t.Errorf("%s says nothing", said.Error.Code)
		}
		return reply.StatusCode, said.Error.Code
	}
	session := func() string {
		t.Helper()
		token, err := w.shop.SessionToken(apiKey)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, tt := range map[string]struct {
		token, want string
		status      int
	}{
		"none":          {"", "no_session_token", 401},
		"forged":        {session() + "x", "bad_session_token", 401},
		"not installed": {session(), "not_connected", 400},
	} {
		if status, got := post(tt.token); status != tt.status || got != tt.want {
			t.Errorf("%s: %d %s, want %d %s", name, status, got, tt.status, tt.want)
		}
	}
	if err := w.shop.SetScopes(apiKey, strings.Split(townScopes, ",")...); err != nil {
		t.Fatal(err)
	}
	if status, got := post(session()); status != 200 || got != domain+" connected" {
		t.Fatalf("%d %s", status, got)
	}
	shop := w.row(db)
	if shop.Grant != store.GrantSession || shop.RefreshToken == nil {
		t.Errorf("stored %s", shop.Grant)
	}
	before, _ := w.counted()
	if status, got := post(session()); status != 200 || got != domain+" connected" {
		t.Errorf("again: %d %s", status, got)
	}
	if asked, _ := w.counted(); asked != before {
		t.Error("a working connection was replaced")
	}
	w.later(65 * time.Minute)
	w.works(c, shop)
	// Removed and installed again: the page mends it.
	if err := w.shop.Uninstall(apiKey); err != nil {
		t.Fatal(err)
	}
	if err := w.shop.SetScopes(apiKey, strings.Split(townScopes, ",")...); err != nil {
		t.Fatal(err)
	}
	if status, got := post(session()); status != 200 || got != domain+" connected" {
		t.Errorf("after another installation: %d %s", status, got)
	}
	w.works(c, w.row(db))
	if strings.Contains(w.logs.String(), "eyJ") {
		t.Error("the log holds a session token")
	}
}

func TestAnAppsSecretIsReplacedWithoutAGap(t *testing.T) {
	// Shopify knows both: all tokens move to the newest by themselves.
	w := newTown(t)
	db := w.open()
	with := func(secrets ...string) *connect.Connector {
		config := w.config
		config.Store, config.Secrets = db, nil
		for _, s := range secrets {
			config.Secrets = append(config.Secrets, secret.New(s))
		}
		return connect.New(config)
	}
	c := with(oldSecret, newSecret)
	shop := w.login(c, db)
	by := shop.TokenSecret
	c = w.connector(db)
	if err := c.KeepTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	if row := w.row(db); row.TokenSecret == by || row.TokenSecret == "" {
		t.Error("the token is still the older secret's, and dies with it")
	}
	before, _ := w.counted()
	if err := c.KeepTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked, _ := w.counted(); asked != before {
		t.Error("it was renewed once more")
	}
	w.works(with(newSecret), shop)

	// Shopify does not know the newest yet: the older one goes on asking.
	w.later(65 * time.Minute)
	w.works(with("not-yet-known", newSecret), shop)
}
