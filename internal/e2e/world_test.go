package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stockroom/internal/simulator"
	"stockroom/internal/store"
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "stockroom-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "stockroom")
	build := exec.Command("go", "build", "-o", binary, "stockroom/cmd/stockroom")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

const (
	domain    = "two-words.myshopify.com"
	clientID  = "key-of-the-app"
	appSecret = "secret-of-the-app"
)

// world is a simulated Shopify in this process, and a folder in which the
// binary works.
type world struct {
	t       *testing.T
	sim     *simulator.Simulator
	shop    *simulator.Shop
	simURL  string
	dir     string
	address string // Where the service listens, the same after each start.
	// settings are the binary's beside those of every world.
	settings []string
}

// newWorld makes one with a shop; change may alter what the simulator is made
// from, by the address at which the service will be.
func newWorld(t *testing.T, catalogue simulator.Catalogue, change ...func(address string, config *simulator.Config)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.address = listener.Addr().String()
	listener.Close() // The service takes the address over.
	server := httptest.NewUnstartedServer(nil)
	w.simURL = "http://" + server.Listener.Addr().String() // Before it is made, for it names files of bulk operations by it.
	config := simulator.Config{Seed: 1, AutoConsent: true, BaseURL: w.simURL, Apps: []simulator.App{{
		ClientID: clientID, Secrets: []string{appSecret}, RedirectURIs: []string{w.url("/shopify/callback")}, ProtectedData: true}}}
	for _, c := range change {
		c("http://"+w.address, &config)
	}
	w.sim = simulator.New(config)
	server.Config.Handler = w.sim.Handler()
	server.Start()
	t.Cleanup(server.Close)
	if w.shop, err = w.sim.AddShop(domain, catalogue); err != nil {
		t.Fatal(err)
	}
	if err := w.sim.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.sim.Stop)
	return w
}

func (w *world) url(path string) string { return "http://" + w.address + path }

// command prepares the binary with the settings that reach the simulator.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.t.Context(), binary, args...)
	cmd.Dir = w.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "LISTEN_ADDR=" + w.address, "SHOPIFY_API_KEY=" + clientID, "SHOPIFY_API_SECRET=" + appSecret,
		"SHOPIFY_REDIRECT_URI=" + w.url("/shopify/callback"), "SHOPIFY_WEBHOOK_ADDRESS=" + w.url("/shopify/webhook"),
		"SHOPIFY_URL_TEMPLATE=" + w.simURL + "/{shop}", "ADMIN_PASSWORD=let-me-in-please", "LOG_LEVEL=debug",
	}
	cmd.Env = append(cmd.Env, w.settings...)
	return cmd
}

// run runs a command to its end and returns what it printed and its exit code.
func (w *world) run(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	var out, errs bytes.Buffer
	cmd := w.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("stockroom %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// service is a running `stockroom serve`.
type service struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	log   *logBuffer
}

// serve starts the service and waits until it answers.
func (w *world) serve(settings ...string) *service {
	w.t.Helper()
	s := &service{t: w.t, cmd: w.command("serve"), ended: make(chan struct{}), log: &logBuffer{}}
	s.cmd.Env = append(s.cmd.Env, settings...)
	s.cmd.Stderr = s.log
	if err := s.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	w.t.Cleanup(func() {
		s.kill()
		if w.t.Failed() {
			w.t.Logf("the service's log:\n%s", s.log.tail())
		}
	})
	w.until("the service answers", func() bool {
		select {
		case <-s.ended:
			w.t.Fatalf("the service ended at its start:\n%s", s.log.tail())
		default:
		}
		response, err := http.Get(w.url("/readyz"))
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return s
}

// kill is kill -9.
func (s *service) kill() {
	s.cmd.Process.Kill()
	<-s.ended
}

// stop asks for a graceful end, and tells the exit code.
func (s *service) stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	<-s.ended
	return s.cmd.ProcessState.ExitCode()
}

// logBuffer keeps what a service logged.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) tail() string {
	text := l.String()
	return text[max(0, len(text)-8000):]
}

// patience bounds every wait; a wait ends as soon as what it waits for is there.
const patience = 60 * time.Second

// until waits for something that another process does.
func (w *world) until(what string, done func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			w.t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// connect logs the shop in as a merchant's browser does.
func (w *world) connect() {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	response, err := (&http.Client{Jar: jar}).Get(w.url("/shopify/login?shop=" + url.QueryEscape(domain)))
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Request.URL.Path != "/connected" {
		w.t.Fatalf("the login ended at %s: %d, %v\n%s", response.Request.URL.Path, response.StatusCode, err, body)
	}
	w.waitRuns(1)
}

// view reads the service's database from outside.
func (w *world) view(do func(*store.Tx, store.Shop) error) {
	w.t.Helper()
	db, err := store.Open(w.t.Context(), "sqlite://"+filepath.Join(w.dir, "stockroom.db"), store.ReadOnly)
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	err = db.View(w.t.Context(), func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		return do(tx, shop)
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// runs lists the shop's runs, the newest first.
func (w *world) runs() []store.Run {
	w.t.Helper()
	var runs []store.Run
	w.view(func(tx *store.Tx, shop store.Shop) (err error) {
		runs, err = tx.Runs(shop.ID, 100)
		return err
	})
	return runs
}

// waitRuns waits until so many runs have ended, and wants the newest to be ok.
func (w *world) waitRuns(n int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%d full reads end", n), func() bool {
		runs := w.runs()
		return len(runs) >= n && runs[0].State.Over()
	})
	if run := w.runs()[0]; run.State != store.RunOK {
		w.t.Fatalf("the %s ended %s: %s %s", run.Kind, run.State, run.Error, run.Report)
	}
}

// waitSettled waits until all that was received is applied and read back.
func (w *world) waitSettled() {
	w.t.Helper()
	w.until("the inbox is applied", func() bool {
		settled := false
		w.view(func(tx *store.Tx, shop store.Shop) error {
			oldest, err := tx.OldestNew(shop.ID)
			settled = oldest == 0
			return err
		})
		return settled
	})
}

// mustBeExact compares the export command's output with the shop's own data.
func (w *world) mustBeExact() {
	w.t.Helper()
	copied, stderr, code := w.run("export", "--shop", domain)
	if code != 0 {
		w.t.Fatalf("export exited %d: %s", code, stderr)
	}
	var truth bytes.Buffer
	if err := w.shop.Export(&truth); err != nil {
		w.t.Fatal(err)
	}
	report, err := simulator.Compare(&truth, strings.NewReader(copied))
	if err != nil {
		w.t.Fatal(err)
	}
	if !report.Exact() {
		w.t.Errorf("the copy is not exact:\n%s", report)
	}
}
