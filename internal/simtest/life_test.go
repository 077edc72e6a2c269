package simtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/jobs"
	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// life is the service from one start to its end, by a kill or a stop.
//
// A kill is what kill -9 leaves behind: the files as they are at that instant,
// and the ends of all connections. It is made within a commit, by the store's
// hook, where no other write can be under way; or while everything waits for
// the network or the clock. The files are copied to where the next life opens
// them. What the dead one still does, until its goroutines have noticed, it does
// to files that nobody reads again and on connections that are closed.
type life struct {
	world  *world
	number int
	dir    string
	app    *app.App

	journal  *journal
	listener *simulator.Listener
	http     *http.Client

	ctx    context.Context
	cancel context.CancelFunc
	jobs   sync.WaitGroup

	mu       sync.Mutex
	dead     bool
	conns    map[net.Conn]bool
	died     chan struct{}
	killIn   int          // Moments of commits until it dies; zero for never.
	killAt   store.Moment // At such a moment.
	failing  error        // What commits fail with; nil for nothing.
	failures int
}

var errDead = errors.New("the process was killed")

// errDiskFull is what SQLite says, in its words.
var errDiskFull = errors.New("database or disk is full (13)")

const (
	serviceHost = "app.example"
	clientID    = "key-of-the-app"
	newSecret   = "secret-of-the-app"
	oldSecret   = "older-secret-of-the-app"
)

// start brings the service up on the files that the last life left.
func (w *world) start(dir string) (*life, error) {
	w.lives++
	l := &life{world: w, number: w.lives, dir: dir, listener: simulator.NewListener(), conns: map[net.Conn]bool{}, died: make(chan struct{})}
	l.journal = journalOf(dir)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	transport := &http.Transport{DialContext: l.dial(w.shopify), DialTLSContext: l.dial(w.shopify)}
	l.http = &http.Client{Transport: &wire{next: transport, world: w, life: l}, Timeout: 30 * time.Second}
	secrets := newSecret
	if w.plan.bothKeys {
		secrets += "," + oldSecret
	}
	cfg, err := config.Load(config.Source{Flags: map[string]string{
		"DATABASE_URL": "sqlite://" + filepath.Join(dir, "stockroom.db"), "SHOPIFY_API_KEY": clientID,
		"SHOPIFY_REDIRECT_URI": "https://" + serviceHost + "/shopify/callback", "SHOPIFY_WEBHOOK_ADDRESS": "https://" + serviceHost + "/shopify/webhook",
		"POLL_SCHEDULE": w.plan.schedule, "SWEEP_INTERVAL": w.plan.sweepEvery,
	}, Environ: []string{"SHOPIFY_API_SECRET=" + secrets, "ADMIN_PASSWORD=let-me-in-please"}}, config.NeedAll)
	if err != nil {
		return nil, err
	}
	l.app, err = app.New(l.ctx, app.Options{Config: cfg, Log: slog.New(w.log), HTTP: l.http, Listener: l.listener,
		ByHand: true, Idle: 5 * time.Minute, BulkFrom: w.plan.bulkFrom, Interfere: l.interfere})
	if err != nil {
		return nil, fmt.Errorf("build the service: %w", err)
	}
	if err := l.app.Start(l.ctx); err != nil {
		return nil, fmt.Errorf("start the service: %w", err)
	}
	l.jobs.Go(func() { l.work(l.ctx) })
	w.trace.note("start %d", l.number)
	return l, nil
}

// dial connects to somebody, until the life is over.
func (l *life) dial(to *simulator.Listener) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if l.isDead() {
			return nil, errDead
		}
		inner, err := to.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		conn := &tracked{Conn: inner, life: l}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.dead {
			inner.Close()
			return nil, errDead
		}
		l.conns[conn] = true
		return conn, nil
	}
}

// tracked is a connection that ends with a life.
type tracked struct {
	net.Conn
	life *life
}

func (c *tracked) Close() error {
	c.life.mu.Lock()
	delete(c.life.conns, c)
	c.life.mu.Unlock()
	return c.Conn.Close()
}

func (l *life) isDead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dead
}

// interfere is the store's hook: it kills at the drawn commit, and lets commits fail.
func (l *life) interfere(moment store.Moment) error {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return errDead
	}
	if moment == store.AfterCommit {
		l.mu.Unlock()
		l.world.committed(l)
		l.mu.Lock()
	}
	kill := false
	if l.killIn > 0 && moment == l.killAt {
		l.killIn--
		kill = l.killIn == 0
	}
	failing := l.failing
	if failing != nil && moment == store.BeforeCommit && !kill {
		l.failures++
		l.mu.Unlock()
		return failing
	}
	l.mu.Unlock()
	if kill {
		l.kill(fmt.Sprintf("at a commit (%d)", moment))
		return errDead
	}
	return nil
}

// kill ends the life at this instant.
func (l *life) kill(how string) {
	l.mu.Lock()
	if l.dead {
		l.mu.Unlock()
		return
	}
	l.dead = true
	conns := l.conns
	l.conns = map[net.Conn]bool{}
	l.mu.Unlock()
	next := l.world.newDir()
	if err := copyFiles(l.dir, next); err != nil {
		panic(err)
	}
	for conn := range conns {
		conn.(*tracked).Conn.Close()
	}
	l.world.trace.note("killed %d %s", l.number, how)
	l.world.mu.Lock()
	l.world.left = next
	l.world.mu.Unlock()
	close(l.died)
}

// copyFiles copies a database as it lies there. The lock and the shared memory
// die with a process.
func copyFiles(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".lock") || strings.HasSuffix(entry.Name(), "-shm") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(from, entry.Name()))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, entry.Name()), content, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bury lets a dead life's goroutines end. It returns when they have.
func (l *life) bury() error {
	l.cancel()
	l.jobs.Wait()
	err := l.app.Stop(context.Background())
	journals.CompareAndDelete(filepath.Join(l.dir, "stockroom.db"), l.journal)
	l.http.CloseIdleConnections()
	return err
}

// stop ends the life as an operator does.
func (l *life) stop() error {
	err := l.bury()
	l.mu.Lock()
	l.dead = true
	l.mu.Unlock()
	l.world.trace.note("stopped %d", l.number)
	if err != nil {
		return fmt.Errorf("stop the service: %w", err)
	}
	return nil
}

const (
	// tick is how often the work that River does is looked for.
	tick = time.Minute
	// So many of them lie between two looks at the schedules, two watches for
	// silence, and two clearings.
	scheduleTicks = 5
	watchTicks    = 30
	clearTicks    = 60
	// crewSize is how many runs, and how many sweeps, go on at a time.
	crewSize = 4
)

// work does what the job engine does in the real service: it calls what the
// engine's workers call, at the engine's intervals, and tries again as it does.
func (l *life) work(ctx context.Context) {
	runs, tasks := newCrew(), newCrew()
	defer runs.wait.Wait()
	defer tasks.wait.Wait()
	var upkeep sync.WaitGroup
	defer upkeep.Wait()
	upkeep.Go(func() { l.keepUp(ctx) })
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for n := 0; ; n++ {
		if n%scheduleTicks == 0 {
			l.judgeWork(ctx, "schedule", func() error { _, err := l.app.Jobs.ScheduleOnce(ctx); return err })
			l.judgeWork(ctx, "schedule sweeps", func() error { _, err := l.app.Jobs.ScheduleSweeps(ctx); return err })
		}
		if n%watchTicks == 0 {
			l.judgeWork(ctx, "watch", func() error { _, err := l.app.Jobs.Watcher.RunOnce(ctx); return err })
		}
		if n%clearTicks == 0 {
			l.judgeWork(ctx, "clear", func() error { return l.app.Jobs.ClearOnce(ctx) })
		}
		var openRuns []store.Run
		var openTasks []store.Task
		l.judgeWork(ctx, "open work", func() error {
			return l.app.Store.View(ctx, func(tx *store.Tx) (err error) {
				if openRuns, err = tx.OpenRuns(); err != nil {
					return err
				}
				openTasks, err = tx.OpenTasks()
				return err
			})
		})
		for _, run := range openRuns {
			runs.take(run.ID, func(attempt int) error {
				l.world.runBegins(run)
				err := l.app.Jobs.RunOnce(context.WithValue(ctx, calledByRun{}, true), run.ID, attempt >= jobs.RunAttempts)
				l.world.runEnded(l, run, err)
				return err
			})
		}
		for _, task := range openTasks {
			tasks.take(task.ID, func(attempt int) error {
				err := l.app.Jobs.TaskOnce(ctx, task.ID, attempt >= jobs.TaskAttempts)
				if err == nil && !l.isDead() {
					l.world.count("sweeps", 1)
				}
				return err
			})
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// keepUp looks after tokens and subscriptions, hourly and at the start. It may
// take minutes, where Shopify does not answer, and holds up nothing else.
func (l *life) keepUp(ctx context.Context) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		l.judgeWork(ctx, "upkeep", func() error { return l.app.Connect.Upkeep(ctx) })
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// calledByRun marks the calls of a run, to be told from those of sweeps beside it.
type calledByRun struct{}

// crew carries out jobs of one kind, a few at a time, each by one worker.
type crew struct {
	wait     sync.WaitGroup
	mu       sync.Mutex
	busy     map[int64]bool
	attempts map[int64]int
	after    map[int64]time.Time
}

func newCrew() *crew {
	return &crew{busy: map[int64]bool{}, attempts: map[int64]int{}, after: map[int64]time.Time{}}
}

// take does a job, unless it is being done, there is no hand free, or it waits
// for another try: as River waits, the fourth power of the attempt in seconds.
func (c *crew) take(id int64, do func(attempt int) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.busy[id] || len(c.busy) >= crewSize || time.Now().Before(c.after[id]) {
		return
	}
	c.busy[id] = true
	c.attempts[id]++
	attempt := c.attempts[id]
	c.wait.Go(func() {
		err := do(attempt)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.busy, id)
		if err != nil {
			c.after[id] = time.Now().Add(time.Duration(attempt*attempt*attempt*attempt) * time.Second)
		}
	})
}

// judgeWork runs a worker, which may fail while commits do, or when it dies.
func (l *life) judgeWork(ctx context.Context, name string, do func() error) {
	err := do()
	if err == nil || ctx.Err() != nil {
		return
	}
	l.mu.Lock()
	excused := l.dead || l.failures > 0
	l.mu.Unlock()
	if !excused {
		l.world.violate("workers", "%s failed without a reason: %v", name, err)
	}
}

// wire watches what the service and Shopify say to each other.
type wire struct {
	next  http.RoundTripper
	world *world
	life  *life
}

func (t *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	var sent []byte
	if request.Body != nil {
		var err error
		if sent, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(sent))
	}
	reply, err := t.next.RoundTrip(request)
	if err != nil {
		t.world.heard(t.life, request, sent, 0, nil)
		return nil, err
	}
	if strings.Contains(request.URL.Path, "/bulk/") {
		t.world.heard(t.life, request, sent, reply.StatusCode, nil) // Streamed.
		if reply.StatusCode == http.StatusOK {
			reply.Body = t.world.fileComes(t.life, request.URL.Path, reply.Body)
		}
		return reply, nil
	}
	body, readErr := io.ReadAll(reply.Body)
	reply.Body.Close()
	reply.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), &failingReader{readErr}))
	if readErr != nil {
		t.world.heard(t.life, request, sent, 0, nil)
	} else {
		t.world.heard(t.life, request, sent, reply.StatusCode, body)
	}
	return reply, nil
}

// failingReader ends a body as it ended on the wire.
type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return 0, io.EOF
}

// CloseIdleConnections is what http.Client asks of a transport.
func (t *wire) CloseIdleConnections() { t.next.(*http.Transport).CloseIdleConnections() }
