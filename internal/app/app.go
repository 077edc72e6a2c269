// Package app builds every part from the settings, starts them in order of
// their dependence, and stops them in reverse. Commands and end-to-end tests
// run the whole service through it, in their own process.
//
// It promises that a started App is ready to receive, and that a stopped one
// has stored what it answered 200 and left no goroutine behind. What the parts
// do is theirs.
package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/config"
	"stockroom/internal/connect"
	"stockroom/internal/dashboard"
	"stockroom/internal/facebook"
	"stockroom/internal/inbox"
	"stockroom/internal/jobs"
	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/reconcile"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Options are what an App is built from.
type Options struct {
	Config config.Config
	Log    *slog.Logger

	// HTTP sends requests to Shopify. Default: a client with this package's limits of time.
	HTTP *http.Client
	// Listener serves instead of one on Config.ListenAddr.
	Listener net.Listener
	// Now is this machine's clock. Default: time.Now.
	Now func() time.Time

	// ByHand leaves the job engine still: the caller does what it would do, by
	// the methods of Jobs that its workers call. A simulation of weeks has no
	// time for an engine that looks every second.
	ByHand bool
	// Idle is how long background work sleeps when nobody wakes it. Default: a second.
	Idle time.Duration
	// BulkFrom is from how many points on a full read is made by bulk operations;
	// see reconcile.Config.
	BulkFrom int64
	// Interfere, where set, is given to the store; see store.Store.Interfere.
	Interfere func(store.Moment) error
}

// App is the service. Package cmd and tests call Start once and Stop once.
type App struct {
	Options
	Store   *store.Store
	Query   *query.Reader
	Connect *connect.Connector
	Pages   *connect.Pages
	Jobs    *jobs.Jobs
	Poller  *reconcile.Poller

	unlock   func()
	inbox    *inbox.Inbox
	applier  *apply.Inbox
	hydrator *reconcile.Hydrator
	eraser   *connect.Eraser
	board    *dashboard.Dashboard // Nil before the listener is there.
	server   *http.Server
	served   chan struct{} // Closed when the listener has ended.
	failed   chan error
}

const (
	// shopifyTimeout bounds one request to Shopify, which itself gives up after ten seconds.
	shopifyTimeout = 30 * time.Second

	// Shopify gives a webhook five seconds in all; people's browsers get more.
	readTimeout  = 15 * time.Second
	writeTimeout = 60 * time.Second
	idleTimeout  = 2 * time.Minute

	// stopTimeout bounds how long requests and jobs under way may hold up the end.
	stopTimeout = 20 * time.Second
)

// Migrate brings the schema of the database at this URL up to date, the job
// engine's tables too, and says which it is then.
// store.ErrLocked says that a service runs on it, and must be stopped first.
func Migrate(ctx context.Context, databaseURL string) (version int64, err error) {
	unlock, err := store.Lock(databaseURL)
	if err != nil {
		return 0, err
	}
	defer unlock()
	db, err := store.Open(ctx, databaseURL, store.ReadWrite)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if err := jobs.Migrate(ctx, db); err != nil {
		return 0, err
	}
	return db.SchemaVersion(ctx)
}

// New opens the database and builds the parts. store.ErrLocked says that a
// service lives on the database already.
func New(ctx context.Context, options Options) (app *App, err error) {
	a := newApp(options)
	// The lock comes first: opening migrates the schema, which must not happen
	// under a service that runs.
	if a.unlock, err = store.Lock(a.Config.Database.URL.Reveal()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.Store, err = store.Open(ctx, a.Config.Database.URL.Reveal(), store.ReadWrite); err != nil {
		return nil, err
	}
	if err := jobs.Migrate(ctx, a.Store); err != nil {
		return nil, err
	}
	if a.Interfere != nil {
		a.Store.Interfere(a.Interfere)
	}
	if err := a.build(ctx); err != nil {
		return nil, err
	}
	if err := a.Connect.ResealAtStart(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Beside builds an App for a command that acts beside a service, or in its
// place: it is never started, hands its jobs in, and neither makes nor migrates
// a database. Close ends it.
func Beside(ctx context.Context, options Options) (app *App, err error) {
	a := newApp(options)
	a.Config.Roles = config.Roles{}
	if a.unlock, err = store.Lock(a.Config.Database.URL.Reveal()); err != nil && !errors.Is(err, store.ErrLocked) {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.Store, err = OpenBeside(ctx, a.Config.Database.URL.Reveal()); err != nil {
		return nil, err
	}
	if err := a.build(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// OpenBeside opens the database for a small change, beside a running service.
func OpenBeside(ctx context.Context, databaseURL string) (*store.Store, error) {
	return store.Open(ctx, databaseURL, store.Beside)
}

// Alone reports whether no service lives on the database: then nobody else
// carries out what is handed in.
func (a *App) Alone() bool { return a.unlock != nil }

func newApp(options Options) *App {
	a := &App{Options: options, failed: make(chan error, 1)}
	if a.Now == nil {
		a.Now = time.Now
	}
	if a.HTTP == nil {
		a.HTTP = &http.Client{Timeout: shopifyTimeout}
	}
	return a
}

// Close gives the database back. It is for an App that was not started; Stop calls it itself.
func (a *App) Close() error {
	var err error
	if a.Store != nil {
		err = a.Store.Close()
	}
	if a.unlock != nil {
		a.unlock()
		a.unlock = nil
	}
	return err
}

// sealer opens the encryption key: the given one, else the one in the file
// beside the database, which is made at the first start.
func (a *App) sealer(ctx context.Context) (*secret.Sealer, error) {
	keys := a.Config.EncryptionKeys
	load := func() (secret.Secret, error) { return keys, nil } // Settings do not change.
	if keys.Empty() {
		path := a.Config.Database.KeyFile()
		load = func() (secret.Secret, error) { return secret.ReadFile(path) }
		if err := a.mayMakeKey(ctx, path); err != nil {
			return nil, err
		}
		made := false
		var err error
		if _, made, err = secret.File(path, secret.NewKeyset); err != nil {
			return nil, fmt.Errorf("encryption key: %w", err)
		}
		if made {
			a.Log.Info("an encryption key was made: keep a copy of the file, the tokens are lost without it", "file", path)
		}
	}
	sealer, err := secret.OpenReloading(load)
	if err != nil {
		return nil, fmt.Errorf("encryption key: %w", err)
	}
	return sealer, nil
}

// mayMakeKey refuses to make a key beside tokens that it could not open.
func (a *App) mayMakeKey(ctx context.Context, path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return a.Store.View(ctx, func(tx *store.Tx) error {
		shops, err := tx.Shops()
		if err == nil && len(shops) > 0 {
			err = fmt.Errorf("the encryption key is gone: %s is not there, and the tokens in the database are sealed with it: put it back", path)
		}
		return err
	})
}

func (a *App) build(ctx context.Context) error {
	cfg, log := a.Config, a.Log
	sealer, err := a.sealer(ctx)
	if err != nil {
		return err
	}
	a.Query = query.New(a.Store, a.Now)
	a.Connect = connect.New(connect.Config{
		Store: a.Store, Sealer: sealer, APIKey: cfg.Shopify.APIKey, Secrets: cfg.Shopify.APISecrets, RedirectURI: cfg.Shopify.RedirectURI,
		WebhookAddress: cfg.Shopify.WebhookAddress, Scopes: cfg.Shopify.Scopes, APIVersion: cfg.Shopify.APIVersion,
		ShopURL: cfg.Shopify.ShopURL, HTTP: a.HTTP, Progress: a.progress, Now: a.Now, Log: log,
		Events: connect.Events{
			Connected:         func(ctx context.Context, shop store.Shop) error { return a.queue(ctx, shop, "import", "connect") },
			ScopesChanged:     func(ctx context.Context, shop store.Shop) error { return a.queue(ctx, shop, "poll", "scopes") },
			KeysChanged:       func() { a.inbox.Invalidate() },
			SubscriptionsLost: a.sweepLost,
			ErasureAsked:      func() { a.eraser.Wake() },
		},
	})
	fb := cfg.Facebook
	a.Pages = a.Connect.Pages(connect.FacebookConfig{
		AppID: fb.AppID, Secrets: fb.AppSecrets, RedirectURI: fb.RedirectURI, VerifyToken: fb.VerifyToken, ConfigID: fb.LoginConfigID,
		GraphVersion: fb.GraphVersion, GraphURL: fb.GraphURL, DialogURL: fb.DialogURL, HTTP: a.HTTP,
		SignedIn: func(r *http.Request) (bool, error) { return a.board.SignedIn(r) }, Changed: func() { a.inbox.Invalidate() },
	})
	a.eraser = a.Connect.Eraser(connect.EraserConfig{DropJobs: jobs.DropJobs, Owed: func() { a.hydrator.Wake() }, Idle: a.Idle})

	if err := a.Connect.CheckKeys(ctx); err != nil {
		return err
	}

	reading := reconcile.Config{
		Store: a.Store, Client: a.Connect.Client, Audit: a.audit, Open: a.open, Now: a.Now, Log: log.With("component", "reconcile"), Idle: a.Idle, BulkFrom: a.BulkFrom,
		Drain:     func(ctx context.Context, shop int64) error { return a.applier.Drain(ctx, shop) },
		MaxDelete: reconcile.Fuse{Percent: cfg.Poll.MaxDelete.Percent, Rows: int64(cfg.Poll.MaxDelete.Rows)},
	}
	a.hydrator = reconcile.NewHydrator(reading)
	a.Poller = reconcile.NewPoller(reading, a.hydrator)
	a.applier = apply.NewInbox(apply.InboxConfig{
		Store: a.Store, Open: a.open, Decode: decode, Control: a.control, Private: private, Wrote: a.hydrator.Wake, Idle: a.Idle,
		Now: a.Now, Log: log.With("component", "apply"),
	})
	a.inbox = inbox.New(inbox.Config{
		Store: a.Store, Secrets: a.Connect.AppSecrets, Seal: a.Connect.SealBody, Now: a.Now, Wake: a.applier.Wake, Log: log,
		Known: func(topic string) bool { _, known := shopify.TopicNamed(topic); return known },
		Pages: a.pagesInbox(),
	})
	a.Jobs, err = jobs.New(jobs.Config{
		Store: a.Store, Poller: a.Poller, Tasks: map[string]func(context.Context, int64) (store.Task, error){
			store.TaskSweep:    reconcile.NewSweeper(reading, a.hydrator).Run,
			store.TaskUndelete: (&reconcile.Undeleter{Config: reading}).Run,
			store.TaskReplay:   a.applier.Replay,
		},
		Watcher: &reconcile.Watcher{Config: reading, Queue: func(ctx context.Context, task store.Task) (store.Task, error) { return a.Jobs.QueueTask(ctx, task) }},
		Upkeep:  a.Connect.Upkeep, Pages: a.Pages.Upkeep,
		SweepInterval: cfg.SweepInterval, Work: cfg.Roles.Worker, Schedule: cfg.Roles.Scheduler,
		PollSchedule: cfg.Poll.Schedule, PollZone: cfg.Poll.Zone, PollSpread: cfg.Poll.Spread,
		RetentionDone: cfg.WebhookRetention, RetentionQuarantined: cfg.WebhookRetentionFailed, Now: a.Now, Log: riverLog(log),
	})
	return err
}

// riverLog lets the job engine's warnings through: what it says of its own
// inner life helps nobody who runs this service.
func riverLog(log *slog.Logger) *slog.Logger {
	return slog.New(atLeast{log.With("component", "jobs").Handler(), slog.LevelWarn})
}

// atLeast is a handler that drops records below a level.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

// open gives a stored webhook in the clear; false for one whose shop's key was destroyed.
func (a *App) open(ctx context.Context, d store.Delivery) (store.Delivery, bool, error) {
	opened, err := a.Connect.OpenBody(ctx, d)
	if errors.Is(err, connect.ErrSealed) {
		return d, false, nil
	}
	return opened, err == nil, err
}

// control acts on webhooks that are no observations of a shop's goods.
func (a *App) control(ctx context.Context, d store.Delivery) (bool, error) {
	if d.Topic == store.TopicPage {
		return a.Pages.Control(ctx, d)
	}
	return a.Connect.Control(ctx, d)
}

// pagesInbox is what Facebook's webhooks are recognised by; without an app there none is taken.
func (a *App) pagesInbox() inbox.PagesConfig {
	if !a.Pages.Enabled() {
		return inbox.PagesConfig{}
	}
	return inbox.PagesConfig{Secrets: a.Pages.AppSecrets, Verify: a.Config.Facebook.VerifyToken}
}

// decode reads a webhook. Where the address did not prove whose it is, what it
// names is read back rather than believed.
func decode(d store.Delivery) (apply.Learned, error) {
	if d.Topic == store.TopicPage {
		_, err := facebook.Events(d.Body)
		return apply.Learned{}, errors.Join(errors.New("it tells of a Page and cannot be acted on"), err)
	}
	delivery := shopify.Delivery{Topic: d.Topic, Body: d.Body, TriggeredAt: d.TriggeredAt, ReceivedAt: d.ReceivedAt}
	if !d.Bound {
		demands, err := shopify.DecodeClaim(delivery)
		return apply.Learned{Demands: demands}, err
	}
	heard, err := shopify.Decode(delivery)
	return apply.Learned{Observations: heard.Observations, Demands: heard.Demands}, err
}

// private tells topics that are about the app's standing at a shop, or people's
// data, and not about its goods.
func private(name string) bool {
	if name == store.TopicPage {
		return true
	}
	topic, known := shopify.TopicNamed(name)
	return known && topic.Class != shopify.ClassData
}

// queue opens a full read of a shop.
func (a *App) queue(ctx context.Context, shop store.Shop, kind, reason string) error {
	_, err := a.Jobs.QueueRun(ctx, store.Run{ShopID: shop.ID, Kind: kind, Reason: reason})
	return err
}

// audit mends a shop's webhook subscriptions before a full read, where there is
// an address to subscribe.
func (a *App) audit(ctx context.Context, shop store.Shop) error {
	_, err := a.Connect.AuditSubscriptions(ctx, shop)
	return err
}

// sweepLost has all swept that webhooks would have told of whose subscriptions
// had gone.
func (a *App) sweepLost(ctx context.Context, shop store.Shop, lost []connect.Lost) error {
	since := map[string]mirror.Instant{}
	for _, l := range lost {
		since[l.Topic] = l.Since
	}
	args, any := reconcile.GapSweep(since, a.Connect.ShopNow(shop))
	if !any {
		return nil
	}
	encoded, err := json.Marshal(args)
	if err != nil {
		return err
	}
	_, err = a.Jobs.QueueTask(ctx, store.Task{ShopID: shop.ID, Kind: store.TaskSweep, Reason: "subscription", Args: encoded})
	return err
}

// progress tells how far a shop's newest run is, for the page that its merchant sees.
func (a *App) progress(ctx context.Context, shop int64) (connect.Progress, error) {
	var runs []store.Run
	err := a.Store.View(ctx, func(tx *store.Tx) (err error) {
		runs, err = tx.Runs(shop, 1)
		return err
	})
	if err != nil || len(runs) == 0 {
		return connect.Progress{}, err
	}
	run := runs[0]
	at, err := reconcile.ReadProgress(run)
	shown := connect.Progress{State: string(run.State), Over: run.State.Over(), Error: run.Error}
	for _, list := range shopify.Lists() {
		if progress := at.Lists[list.Name]; progress != nil {
			shown.Counts = append(shown.Counts, connect.Count{Name: list.Name, N: progress.Rows, Done: progress.Done})
		}
	}
	return shown, err
}

// Start sets the parts going, the listener last. ctx carries values only; Stop ends the App.
func (a *App) Start(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	if a.Config.Roles.Worker {
		a.hydrator.Start(ctx)
		a.applier.Start(ctx)
		a.eraser.Start(ctx)
	}
	if !a.ByHand {
		if err := a.Jobs.Start(ctx); err != nil {
			return err
		}
	}
	if err := a.importTokens(ctx); err != nil {
		return err
	}
	if !a.Config.Roles.Web {
		return nil
	}
	a.inbox.Start()
	handler, err := a.handler()
	if err != nil {
		return err
	}
	if a.Listener == nil {
		if a.Listener, err = net.Listen("tcp", a.Config.ListenAddr); err != nil {
			return fmt.Errorf("LISTEN_ADDR: %w", err)
		}
	}
	a.server = &http.Server{
		Handler: handler, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(a.Log.Handler(), slog.LevelWarn),
	}
	a.served = make(chan struct{})
	go func() {
		defer close(a.served)
		if err := a.server.Serve(a.Listener); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("serve: %w", err)
		}
	}()
	a.Log.Info("listening", "address", a.Listener.Addr().String())
	return nil
}

// importTokens connects the shops whose tokens are settings. A token that names
// another shop than its setting is a mistake that only a person can mend, and
// ends the start; one that Shopify does not accept now keeps no other shop waiting.
func (a *App) importTokens(ctx context.Context) error {
	for _, token := range a.Config.Shopify.Tokens {
		var known store.Shop
		err := a.Store.View(ctx, func(tx *store.Tx) (err error) {
			known, err = tx.ShopByDomain(token.Domain)
			return err
		})
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if known.State == store.ShopConnected && known.RefreshToken != nil {
			continue // By a login since, which has the last word.
		}
		_, err = a.Connect.ImportToken(ctx, token.Domain, token.Token)
		var other *connect.DomainError
		if errors.As(err, &other) {
			return fmt.Errorf("%s: %w", token.Setting, err)
		}
		if err != nil {
			a.Log.Error("a shop's token could not be used, the shop is not connected", "setting", token.Setting, "shop", token.Domain, "error", err)
		}
	}
	return nil
}

// Failed tells when the App cannot serve any more. It must be stopped then.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends the App: no new requests, what was received is stored, jobs are
// interrupted, the database is closed last.
func (a *App) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	var errs []error
	if a.server != nil {
		if err := a.server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop serving: %w", err))
		}
		<-a.served
	}
	a.inbox.Stop()
	if !a.ByHand {
		errs = append(errs, a.Jobs.Stop(ctx))
	}
	a.eraser.Stop()
	a.applier.Stop()
	a.hydrator.Stop()
	return errors.Join(append(errs, a.Close())...)
}

// Settled reports whether nothing that a shop told is still to be applied or
// read back; second looks at lagging totals do not count.
func (a *App) Settled(ctx context.Context, shop int64) (settled bool, err error) {
	err = a.Store.View(ctx, func(tx *store.Tx) error {
		oldest, err := tx.OldestNew(shop)
		if err != nil {
			return err
		}
		owed, _, err := tx.CountDemands(shop, mirror.At(a.Now()))
		settled = oldest == 0 && owed == 0
		return err
	})
	return settled, err
}
