// Command simbench measures the simulator: how soon a large shop is there, how
// fast its pages come, how many webhooks leave in a second, and what memory that
// takes.
//
// It measures and judges nothing: figures depend on the machine and on what else
// runs there. Every round is a process of its own, so that none profits from
// another; what is printed are the medians of the rounds.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"stockroom/internal/simulator"
)

const (
	domain   = "bench.myshopify.com"
	clientID = "bench"
	version  = "2026-10"
	// unlimited is a budget that no round spends: what is measured is the
	// simulator, not the wait that it imposes.
	unlimited = 1e12
	// longest bounds one round.
	longest = 5 * time.Minute
)

// round is what one process measures.
type round struct {
	Variants int           `json:"variants"`
	Start    time.Duration `json:"start"`
	Heap     uint64        `json:"heap"` // Bytes alive after the start.
	Peak     int64         `json:"peak"` // Bytes resident at most; told by the parent.
	Pages    []pages       `json:"pages"`
	Hooks    float64       `json:"hooks"` // A second.
}

// pages are the times of one sort of page, one after another.
type pages struct {
	Name   string        `json:"name"`
	Count  int           `json:"count"`
	Median time.Duration `json:"median"`
	P99    time.Duration `json:"p99"`
}

type settings struct {
	variants, rounds, pages, hooks int
}

func main() {
	var s settings
	flag.IntVar(&s.variants, "variants", 1_000_000, "variants of the shop")
	flag.IntVar(&s.rounds, "rounds", 7, "rounds, of which the medians are told")
	flag.IntVar(&s.pages, "pages", 100, "pages of each sort in a round")
	flag.IntVar(&s.hooks, "webhooks", 3000, "webhooks in a round")
	output := flag.String("output", "", "file to write the figures to, as Markdown")
	once := flag.Bool("round", false, "run one round and print it as JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, *once, *output); err != nil {
		fmt.Fprintln(os.Stderr, "simbench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, once bool, output string) error {
	if s.variants < 1 || s.rounds < 1 || s.pages < 1 || s.hooks < 1 {
		return errors.New("all numbers must be at least 1")
	}
	if once {
		measured, err := measure(ctx, s)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(measured)
	}
	before := load()
	var rounds []round
	for n := range s.rounds {
		measured, err := child(ctx, s)
		if err != nil {
			return fmt.Errorf("round %d: %w", n+1, err)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d: started in %.1f s\n", n+1, s.rounds, measured.Start.Seconds())
		rounds = append(rounds, measured)
	}
	rows := table(s, rounds)
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if output == "" {
		return nil
	}
	others, err := otherFigures(output)
	if err != nil {
		return fmt.Errorf("keep the other figures: %w", err)
	}
	if err := os.WriteFile(output, append(markdown(s, rows, before, load()), others...), 0o644); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}

// othersBegin is the heading of what others measured and wrote below our figures.
const othersBegin = "\n# Full reads\n"

func otherFigures(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if at := bytes.Index(text, []byte(othersBegin)); at >= 0 {
		return text[at:], nil
	}
	return nil, nil
}

// child runs a round in a process of its own.
func child(ctx context.Context, s settings) (round, error) {
	self, err := os.Executable()
	if err != nil {
		return round{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	command := exec.CommandContext(ctx, self, "-round", fmt.Sprint("-variants=", s.variants), fmt.Sprint("-pages=", s.pages), fmt.Sprint("-webhooks=", s.hooks))
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return round{}, err
	}
	var measured round
	if err := json.Unmarshal(out, &measured); err != nil {
		return round{}, fmt.Errorf("read what the round says: %w", err)
	}
	if usage, ok := command.ProcessState.SysUsage().(*syscall.Rusage); ok {
		measured.Peak = int64(usage.Maxrss)
		if runtime.GOOS != "darwin" {
			measured.Peak *= 1024 // Everybody else counts in KiB.
		}
	}
	return measured, nil
}

// measure starts the shop, reads it over HTTP, and changes it.
func measure(ctx context.Context, s settings) (round, error) {
	begun := time.Now()
	sim := simulator.New(simulator.Config{
		Apps: []simulator.App{{ClientID: clientID, Secrets: []string{"worth nothing"}, ProtectedData: true}},
		Seed: 1, Rate: unlimited, Capacity: unlimited,
	})
	shop, err := sim.AddShop(domain, simulator.Catalogue{Variants: s.variants})
	if err != nil {
		return round{}, err
	}
	if err := sim.Start(ctx); err != nil {
		return round{}, err
	}
	defer sim.Stop()
	server := httptest.NewServer(sim.Handler())
	defer server.Close()
	token, err := shop.IssueToken(clientID, "read_products", "read_inventory", "read_locations")
	if err != nil {
		return round{}, err
	}
	a := api{url: server.URL + "/" + domain + "/admin/api/" + version + "/graphql.json", token: token}
	var first struct {
		Locations struct {
			Nodes []struct{ ID string }
		}
	}
	if err := a.ask(ctx, `{ locations(first: 1) { nodes { id } } }`, nil, &first); err != nil {
		return round{}, err
	}
	measured := round{Start: time.Since(begun), Variants: shop.Variants.Len()} // Until the first answer.
	if len(first.Locations.Nodes) == 0 {
		return round{}, errors.New("the shop has no location")
	}

	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	measured.Heap = memory.HeapAlloc

	for _, sort := range []struct{ name, query string }{
		{"products, each with 10 variants", `query($after: String) { page: products(first: 250, after: $after) {
			nodes { id title handle status updatedAt variants(first: 10) { nodes { id sku price updatedAt } } } pageInfo { hasNextPage endCursor } } }`},
		{"productVariants", `query($after: String) { page: productVariants(first: 250, after: $after) {
			nodes { id title sku barcode price compareAtPrice updatedAt inventoryItem { id } product { id } } pageInfo { hasNextPage endCursor } } }`},
		{"inventory levels of a location", `query($after: String, $location: ID!) { location(id: $location) { page: inventoryLevels(first: 250, after: $after) {
			nodes { id updatedAt item { id } quantities(names: ["available", "on_hand"]) { name quantity } } pageInfo { hasNextPage endCursor } } } }`},
	} {
		timed, err := a.walk(ctx, sort.name, sort.query, first.Locations.Nodes[0].ID, s.pages)
		if err != nil {
			return round{}, fmt.Errorf("read %s: %w", sort.name, err)
		}
		measured.Pages = append(measured.Pages, timed)
	}
	if measured.Hooks, err = deliver(ctx, sim, shop, token, s.hooks); err != nil {
		return round{}, fmt.Errorf("deliver webhooks: %w", err)
	}
	return measured, nil
}

// api asks one shop.
type api struct{ url, token string }

func (a api) ask(ctx context.Context, query string, variables map[string]any, data any) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	answer, err := a.post(ctx, body)
	if err != nil {
		return err
	}
	var reply struct {
		Data   json.RawMessage
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(answer, &reply); err != nil {
		return err
	}
	if len(reply.Errors) > 0 {
		return errors.New(reply.Errors[0].Message)
	}
	return json.Unmarshal(reply.Data, data)
}

func (a api) post(ctx context.Context, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Shopify-Access-Token", a.token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s", response.Status)
	}
	return answer, err
}

// walk reads pages one after the other, and begins anew where they end. A page's
// time is from the request to the last byte; taking the JSON apart is not in it.
func (a api) walk(ctx context.Context, name, query, location string, count int) (pages, error) {
	variables := map[string]any{"after": nil}
	if strings.Contains(query, "$location") {
		variables["location"] = location
	}
	var times []time.Duration
	for range count {
		body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
		if err != nil {
			return pages{}, err
		}
		begun := time.Now()
		answer, err := a.post(ctx, body)
		if err != nil {
			return pages{}, err
		}
		times = append(times, time.Since(begun))
		type page struct {
			Nodes    []struct{ ID string }
			PageInfo struct {
				HasNextPage bool
				EndCursor   string
			}
		}
		var reply struct {
			Data struct {
				Page     *page
				Location struct{ Page *page }
			}
			Errors []struct{ Message string }
		}
		if err := json.Unmarshal(answer, &reply); err != nil {
			return pages{}, err
		}
		if len(reply.Errors) > 0 {
			return pages{}, errors.New(reply.Errors[0].Message)
		}
		got := reply.Data.Page
		if got == nil {
			got = reply.Data.Location.Page
		}
		if got == nil || len(got.Nodes) == 0 {
			return pages{}, errors.New("an empty page")
		}
		variables["after"] = nil
		if got.PageInfo.HasNextPage {
			if len(got.Nodes) != 250 {
				return pages{}, fmt.Errorf("a page of %d", len(got.Nodes))
			}
			variables["after"] = got.PageInfo.EndCursor
		}
	}
	slices.Sort(times)
	return pages{Name: name, Count: count, Median: times[len(times)/2], P99: times[(len(times)*99-1)/100]}, nil
}

// deliver changes as many variants as webhooks are wanted and waits until the
// last products/update was taken.
func deliver(ctx context.Context, sim *simulator.Simulator, shop *simulator.Shop, token string, count int) (float64, error) {
	var came atomic.Int64
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			came.Add(1)
		}
	}))
	defer receiver.Close()
	access := shop.AccessOf(token)
	access.APIVersion = version
	if _, refused := access.Installation.Subscribe(access, simulator.Subscription{Topic: "PRODUCTS_UPDATE", URI: receiver.URL}); refused != nil {
		return 0, fmt.Errorf("subscribe: %v", refused)
	}
	ids := shop.Products.IDs()
	begun := time.Now()
	for n := range count {
		// Every product in turn, but not the one of thousands of variants.
		id := ids[1+n%(len(ids)-1)]
		if err := shop.UpdateProduct(id, func(p *simulator.Product) { p.Title = fmt.Sprint("Title ", n) }); err != nil {
			return 0, err
		}
	}
	if err := sim.Quiet(ctx); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	if came.Load() != int64(count) {
		return 0, fmt.Errorf("%d of %d came", came.Load(), count)
	}
	return float64(count) / took.Seconds(), nil
}

// median is the middle of the rounds.
func median[T int64 | uint64 | float64 | time.Duration](rounds []round, of func(round) T) T {
	var all []T
	for _, r := range rounds {
		all = append(all, of(r))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// spread is the least and the most of the rounds.
func spread(rounds []round, of func(round) float64, format string) string {
	var all []float64
	for _, r := range rounds {
		all = append(all, of(r))
	}
	return fmt.Sprintf(format+" to "+format, slices.Min(all), slices.Max(all))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

const mebibyte = 1 << 20

// table is what is told: a heading and a row a figure.
func table(s settings, rounds []round) [][]string {
	rows := [][]string{{"what", "median", "rounds between"}}
	add := func(what, unit, format string, of func(round) float64) {
		rows = append(rows, []string{what, fmt.Sprintf(format, median(rounds, of)) + " " + unit, spread(rounds, of, format) + " " + unit})
	}
	add(fmt.Sprintf("start of a shop of %d variants, until the first answer", rounds[0].Variants), "s", "%.1f", func(r round) float64 { return r.Start.Seconds() })
	for n, sort := range rounds[0].Pages {
		add("250 "+sort.Name+", median", "ms", "%.1f", func(r round) float64 { return milliseconds(r.Pages[n].Median) })
		add("250 "+sort.Name+", p99", "ms", "%.1f", func(r round) float64 { return milliseconds(r.Pages[n].P99) })
	}
	add("webhooks delivered", "a second", "%.0f", func(r round) float64 { return r.Hooks })
	add("heap alive after the start", "MiB", "%.0f", func(r round) float64 { return float64(r.Heap) / mebibyte })
	add("resident memory at most", "MiB", "%.0f", func(r round) float64 { return float64(r.Peak) / mebibyte })
	return rows
}

// markdown is the file with the figures.
func markdown(s settings, rows [][]string, before, after string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Benchmarks of the simulator

Written by `+"`make bench`"+`, which measures and asserts nothing. Each of %d rounds is a fresh process that fills a shop of
%d variants, reads %d pages of 250 rows of each sort one after another over HTTP on this machine, and delivers %d webhooks
to a receiver that only reads them. A page's time is from the request to the last byte. Client, receiver and simulator
share the machine.

| | |
| --- | --- |
| command | `+"`go run ./internal/simulator/simbench -variants=%d -rounds=%d -pages=%d -webhooks=%d`"+` |
| processors | %d, %s |
| Go | %s, %s/%s |
| date | %s |
| load, before and after | %s; %s |

`, s.rounds, s.variants, s.pages, s.hooks, s.variants, s.rounds, s.pages, s.hooks,
		runtime.NumCPU(), model(), runtime.Version(), runtime.GOOS, runtime.GOARCH, time.Now().UTC().Format(time.DateOnly), before, after)
	for n, row := range rows {
		fmt.Fprintln(&b, "| "+strings.Join(row, " | ")+" |")
		if n == 0 {
			fmt.Fprintln(&b, "| --- | --- | --- |")
		}
	}
	fmt.Fprint(&b, "\nThe middle column is the median over the rounds of each round's own median, 99th percentile or figure.\nA load above the number of processors means that others worked at the same time, and that an idle machine is faster.\n")
	return b.Bytes()
}

// load is what else the machine does, where it says so.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	if fields := strings.Fields(string(text)); len(fields) > 0 {
		return fields[0]
	}
	return "unknown"
}

// model is the processor's name, where the machine says so.
func model() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown model"
	}
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.Trim(name, " \t:\n")
		}
	}
	return "unknown model"
}
