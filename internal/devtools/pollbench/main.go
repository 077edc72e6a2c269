// Command pollbench measures full reads of shops: how long an import and a poll
// take, how many points they spend, and how much memory. Simulator and reader are
// processes of their own, so that each one's memory is its own.
//
// It measures and judges nothing: figures depend on the machine and on what else
// runs there.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	_ "modernc.org/sqlite"
)

const (
	shop   = "bench.myshopify.com"
	scopes = "read_products,read_inventory,read_locations,read_discounts,read_orders"
	// longest bounds one shop's measurements.
	longest = 2 * time.Hour
)

// measured is one full read.
type measured struct {
	What     string
	Took     time.Duration
	CPU      time.Duration // Of the reader alone.
	Peak     int64         // Bytes resident at most.
	Points   float64       // Spent of the shop's budget.
	Requests int
	Written  bool // It changed mirror rows.
	State    string
}

func main() {
	binary := flag.String("binary", "./stockroom", "the built command")
	variants := flag.String("variants", "30000,300000", "variants of each shop; there are a third as many products")
	products := flag.String("products", "", "products of each shop, instead of variants")
	bulkTime := flag.String("bulk-time", "", "how long Shopify takes for a bulk operation at least, like 10s")
	polls := flag.Int("polls", 3, "polls after the import; the first writes what the import left to be proved")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	path, err := filepath.Abs(*binary)
	if err != nil {
		fail(err)
	}
	kind, sizes := "--variants", *variants
	if *products != "" {
		kind, sizes = "--products", *products
	}
	fmt.Printf("%d processors, %s, %s/%s, %s\n\n", runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Now().Format("2006-01-02"))
	fmt.Println("| shop | what | took | processor time | peak RSS | points | requests | mirror rows | ended |")
	fmt.Println("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for size := range strings.SplitSeq(sizes, ",") {
		if err := measure(ctx, path, kind+"="+size, *bulkTime, *polls); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "pollbench:", err)
	os.Exit(1)
}

// measure makes a shop, imports it and polls it.
func measure(ctx context.Context, binary, size, bulkTime string, polls int) (err error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	dir, err := os.MkdirTemp("", "stockroom-pollbench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	address, err := freeAddress()
	if err != nil {
		return err
	}
	sim := exec.CommandContext(ctx, binary, "sim", "--listen", address, "--shop", shop, size)
	sim.Dir, sim.Stderr = dir, os.Stderr
	sim.Cancel = func() error { return sim.Process.Signal(os.Interrupt) }
	if err := sim.Start(); err != nil {
		return err
	}
	defer func() {
		_ = sim.Process.Signal(os.Interrupt)
		_ = sim.Wait()
	}()
	base := "http://" + address
	name, err := awaitShop(ctx, base)
	if err != nil {
		return err
	}
	if bulkTime != "" {
		name += ", operations of " + bulkTime
		if _, err := post(ctx, base+"/_sim/faults", "application/json", `{"bulk_time":"`+bulkTime+`"}`); err != nil {
			return err
		}
	}
	token, err := login(ctx, base)
	if err != nil {
		return err
	}
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return err
	}
	meter, err := newMeter(base)
	if err != nil {
		return err
	}
	defer meter.Close()
	database := filepath.Join(dir, "stockroom.db")
	run := func(args ...string) (*exec.Cmd, []byte, error) {
		cmd := exec.CommandContext(ctx, binary, args...)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		cmd.Env = append(os.Environ(), "DATABASE_URL=sqlite://"+database, "SHOPIFY_API_KEY=sim-key", "SHOPIFY_API_SECRET=sim-secret",
			"SHOPIFY_URL_TEMPLATE="+meter.URL+"/{shop}", "LOG_LEVEL=warn")
		out, err := cmd.Output()
		return cmd, out, err
	}
	if _, _, err := run("migrate"); err != nil {
		return fmt.Errorf("make the database: %w", err)
	}
	if _, _, err := run("shops", "add", "--shop", shop, "--token-file", file); err != nil {
		return fmt.Errorf("connect the shop: %w", err)
	}
	before := ""
	for n := range polls + 1 {
		m := measured{What: "import"}
		if n > 0 {
			m.What = fmt.Sprintf("poll %d", n)
		}
		meter.reset()
		began := time.Now()
		cmd, out, err := run("poll", "--shop", shop, "--json")
		var answer []struct{ State string }
		if json.Unmarshal(out, &answer) != nil || len(answer) != 1 {
			return fmt.Errorf("%s: %w: %s", m.What, err, out)
		}
		m.Took, m.State = time.Since(began), answer[0].State
		m.CPU = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			m.Peak = usage.Maxrss << 10
		}
		m.Points, m.Requests = meter.read()
		after, err := fingerprint(ctx, database)
		if err != nil {
			return err
		}
		m.Written, before = after != before, after
		written := "unchanged"
		if m.Written {
			written = "written"
		}
		fmt.Printf("| %s | %s | %s | %s | %d MiB | %.0f | %d | %s | %s |\n", name, m.What, m.Took.Round(100*time.Millisecond), m.CPU.Round(100*time.Millisecond), m.Peak>>20, m.Points, m.Requests, written, m.State)
	}
	return nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// awaitShop waits until the simulator serves, and says how large the shop is.
func awaitShop(ctx context.Context, base string) (string, error) {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/_sim/shops", nil)
		if err != nil {
			return "", err
		}
		if reply, err := http.DefaultClient.Do(request); err == nil {
			var shops []struct {
				Products, Variants int
			}
			err := json.NewDecoder(reply.Body).Decode(&shops)
			reply.Body.Close()
			if err == nil && len(shops) == 1 {
				return fmt.Sprintf("%d products, %d variants", shops[0].Products, shops[0].Variants), nil
			} else if err != nil {
				return "", fmt.Errorf("read the simulator's shops: %w", err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
}

func post(ctx context.Context, address, kind, body string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", kind)
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode >= 300 {
		err = fmt.Errorf("%s: status %d: %s", address, reply.StatusCode, text)
	}
	return text, err
}

// login gets a token as an app does whose merchant agrees.
func login(ctx context.Context, base string) (string, error) {
	query := url.Values{"client_id": {"sim-key"}, "scope": {scopes}, "redirect_uri": {"http://127.0.0.1:5000/shopify/callback"}, "state": {"bench"}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/"+shop+"/admin/oauth/authorize?"+query.Encode(), nil)
	if err != nil {
		return "", err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	reply, err := client.Do(request)
	if err != nil {
		return "", err
	}
	reply.Body.Close()
	location, err := reply.Location()
	if err != nil {
		return "", fmt.Errorf("log in: status %d: %w", reply.StatusCode, err)
	}
	form := url.Values{"client_id": {"sim-key"}, "client_secret": {"sim-secret"}, "code": {location.Query().Get("code")}}
	text, err := post(ctx, base+"/"+shop+"/admin/oauth/access_token", "application/x-www-form-urlencoded", form.Encode())
	if err != nil {
		return "", err
	}
	var answer struct {
		Token string `json:"access_token"`
	}
	return answer.Token, errors.Join(json.Unmarshal(text, &answer), notEmpty(&answer.Token))
}

func notEmpty(token *string) error {
	if *token == "" {
		return errors.New("log in: no token came")
	}
	return nil
}

// meter passes requests on and adds up what they cost. Files of bulk operations
// have an address of their own and do not pass it.
type meter struct {
	*httptest.Server
	mu       sync.Mutex
	points   float64
	requests int
}

func newMeter(base string) (*meter, error) {
	target, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	m := &meter{}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("Accept-Encoding", "identity")
	}}
	proxy.ModifyResponse = func(reply *http.Response) error {
		body, err := io.ReadAll(reply.Body)
		if err != nil {
			return err
		}
		reply.Body.Close()
		reply.Body = io.NopCloser(bytes.NewReader(body))
		reply.ContentLength = int64(len(body))
		reply.Header.Set("Content-Length", strconv.Itoa(len(body)))
		var answer struct {
			Extensions struct {
				Cost struct {
					Actual float64 `json:"actualQueryCost"`
				}
			}
		}
		_ = json.Unmarshal(body, &answer) // What is no such answer costs nothing.
		m.mu.Lock()
		defer m.mu.Unlock()
		m.requests++
		m.points += answer.Extensions.Cost.Actual
		return nil
	}
	m.Server = httptest.NewServer(proxy)
	return m, nil
}

func (m *meter) reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.points, m.requests = 0, 0
}

func (m *meter) read() (float64, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.points, m.requests
}

// fingerprint is of everything that is stored of the shop's records.
func fingerprint(ctx context.Context, path string) (text string, err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.QueryRowContext(ctx, `SELECT COUNT(*) || ' ' || SUM(as_of) || ' ' || SUM(seen) || ' ' || SUM(read_at) || ' ' || SUM(heard) || ' ' ||
		SUM(except_at) || ' ' || (SELECT COUNT(*) FROM changes) FROM records`).Scan(&text)
	return text, err
}
