// Command simrun lives through a range of the simulation's seeds, a process for
// each and as many at a time as there are processors: `make sim SEEDS=1-200`.
// It records what came of each in .sim/, by commit, and passes over what went
// well there before, so that a long range can be run in pieces.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const folder = ".sim"

// result is what a seed's process writes: see stats in internal/simtest.
type result struct {
	Seed       uint64         `json:"seed"`
	Days       int            `json:"days"`
	Trace      string         `json:"trace"`
	Violations []string       `json:"violations,omitempty"`
	Counts     map[string]int `json:"counts"`
	Seconds    float64        `json:"seconds"`
}

func main() {
	jobs := flag.Int("jobs", runtime.NumCPU(), "processes at a time")
	twice := flag.Bool("twice", false, "live through each seed twice, and tell where the traces differ")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, flag.Arg(0), *jobs, *twice); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, seeds string, jobs int, twice bool) error {
	first, last, err := parse(seeds)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	commit, err := version(ctx)
	if err != nil {
		return fmt.Errorf("name the version: %w", err)
	}
	program := filepath.Join(folder, "simtest-"+commit+".test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "./internal/simtest")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the simulation: %w", err)
	}
	defer os.Remove(program)

	record := filepath.Join(folder, commit+".jsonl")
	before, err := load(record)
	if err != nil {
		return err
	}
	var due []uint64
	for seed := first; seed <= last; seed++ {
		// A single seed is a replay, and runs whatever came of it before.
		if was, done := before[seed]; !done || len(was.Violations) > 0 || first == last || twice {
			due = append(due, seed)
		}
	}
	todo := make(chan uint64)
	results := make(chan result)
	var workers sync.WaitGroup
	for range jobs {
		workers.Go(func() {
			for seed := range todo {
				r := live(ctx, program, record, seed, twice)
				if ctx.Err() != nil {
					return // It did not live to its end, which says nothing of it.
				}
				results <- r
			}
		})
	}
	go func() {
		defer close(todo)
		for _, seed := range due {
			select {
			case todo <- seed:
			case <-ctx.Done():
				return
			}
		}
	}()
	go func() {
		workers.Wait()
		close(results)
	}()
	for r := range results {
		before[r.Seed] = r
		if len(r.Violations) > 0 {
			fmt.Printf("seed %d FAILED, see %s; replay with: make sim SEEDS=%d-%d\n", r.Seed, logOf(r.Seed), r.Seed, r.Seed)
			for _, v := range r.Violations {
				fmt.Printf("    %.600s\n", v)
			}
		}
	}
	if ctx.Err() != nil {
		fmt.Println("interrupted: the same command goes on where this one ended")
	}
	return report(commit, before, first, last)
}

// parse reads a range like 1-200, or one seed.
func parse(text string) (first, last uint64, err error) {
	from, to, both := strings.Cut(text, "-")
	if !both {
		to = from
	}
	first, err = strconv.ParseUint(from, 10, 64)
	if err == nil {
		last, err = strconv.ParseUint(to, 10, 64)
	}
	if err != nil || first == 0 || last < first {
		return 0, 0, fmt.Errorf("seeds %q: name a range like 1-200", text)
	}
	return first, last, nil
}

// sources are the files that decide what a seed does.
var sources = []string{"*.go", "*.sql", "*.graphql", "go.mod", "go.sum"}

// version names the code that runs: the commit, and a digest of what was
// changed or added since.
func version(ctx context.Context) (string, error) {
	git := func(args ...string) ([]byte, error) {
		out, err := exec.CommandContext(ctx, "git", args...).Output()
		if err != nil {
			return nil, fmt.Errorf("git %s: %w", args[0], err)
		}
		return out, nil
	}
	head, err := git("rev-parse", "--short", "HEAD")
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	changed, err := git(append([]string{"diff", "HEAD", "--"}, sources...)...)
	if err != nil {
		return "", err
	}
	digest.Write(changed)
	// What git does not know yet is built all the same.
	added, err := git(append([]string{"ls-files", "-z", "--full-name", "--others", "--exclude-standard", "--"}, sources...)...)
	if err != nil {
		return "", err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(added), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(digest, "%s %d\n%s", name, len(content), content)
	}
	name := strings.TrimSpace(string(head))
	if len(changed)+len(added) > 0 {
		name += fmt.Sprintf("-changed-%x", digest.Sum(nil))[:17]
	}
	return name, nil
}

// load reads what came of seeds before; the last line of a seed counts.
func load(record string) (map[uint64]result, error) {
	all := map[uint64]result{}
	file, err := os.Open(record)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", record, err)
		}
		all[r.Seed] = r
	}
	return all, lines.Err()
}

func logOf(seed uint64) string { return filepath.Join(folder, fmt.Sprintf("seed-%d.log", seed)) }

// patience bounds a seed's real time: thirty days on a busy machine take minutes.
const patience = time.Hour

// live runs a seed's process. One that ends without a result has failed, too.
func live(ctx context.Context, program, record string, seed uint64, twice bool) result {
	one := func(trace string) result {
		out, err := os.CreateTemp(folder, "result-")
		if err != nil {
			return result{Seed: seed, Violations: []string{err.Error()}}
		}
		out.Close()
		defer os.Remove(out.Name())
		args := []string{"-test.run", "^TestSeeds$", "-test.v", "-test.timeout", patience.String(), "-seed", fmt.Sprint(seed), "-result", out.Name()}
		if trace != "" {
			args = append(args, "-trace", trace)
		}
		cmd := exec.CommandContext(ctx, program, args...)
		// One processor and no preemption: the less the machine's own scheduling
		// decides, the more a seed does.
		cmd.Env = append(os.Environ(), "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOGC=400")
		log, _ := cmd.CombinedOutput()
		r := result{Seed: seed}
		written, err := os.ReadFile(out.Name())
		if err == nil {
			err = json.Unmarshal(written, &r)
		}
		if err != nil {
			r.Violations = append(r.Violations, "the process ended without a result")
		}
		if len(r.Violations) > 0 {
			_ = os.WriteFile(logOf(seed), log, 0o644)
		} else {
			_ = os.Remove(logOf(seed))
		}
		return r
	}
	if twice {
		traces := [2]string{filepath.Join(folder, fmt.Sprintf("seed-%d-a.trace", seed)), filepath.Join(folder, fmt.Sprintf("seed-%d-b.trace", seed))}
		a, b := one(traces[0]), one(traces[1])
		if a.Trace == b.Trace {
			_, _ = os.Remove(traces[0]), os.Remove(traces[1])
			fmt.Printf("seed %d: the same trace twice, %s\n", seed, a.Trace)
		} else {
			fmt.Printf("seed %d: two traces, compare %s and %s\n", seed, traces[0], traces[1])
		}
		return a
	}
	r := one("")
	if ctx.Err() == nil {
		line, err := json.Marshal(r)
		if err == nil {
			err = appendLine(record, line)
		}
		if err != nil {
			r.Violations = append(r.Violations, fmt.Sprintf("the result was not recorded: %v", err))
		}
	}
	return r
}

var recording sync.Mutex

func appendLine(path string, line []byte) error {
	recording.Lock()
	defer recording.Unlock()
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// report sums up what is known of a range.
func report(commit string, all map[uint64]result, first, last uint64) error {
	var done, days, failed int
	var seconds float64
	counts := map[string]int{}
	for seed := first; seed <= last; seed++ {
		r, known := all[seed]
		if !known {
			continue
		}
		done++
		days += r.Days
		seconds += r.Seconds
		if len(r.Violations) > 0 {
			failed++
		}
		for name, n := range r.Counts {
			counts[name] += n
		}
	}
	fmt.Printf("commit %s: %d of %d seeds, %d virtual days, %.0f s of one processor\n", commit, done, last-first+1, days, seconds)
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Printf("    %-24s %d\n", name, counts[name])
	}
	if failed > 0 {
		return fmt.Errorf("%d seeds failed", failed)
	}
	if done < int(last-first+1) {
		return errors.New("the range is not complete")
	}
	fmt.Println("no promise was broken")
	return nil
}
