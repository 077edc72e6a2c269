// Command mutants plants mistakes into a copy of the tree, one at a time, and
// shows which test or which checker of the simulation catches each: `make
// mutants`. A mistake that nothing catches, or whose place in the code is no
// longer found, fails.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// mutation is one mistake that somebody could make.
type mutation struct {
	name     string
	file     string
	old, new string   // What stands there, exactly once, and what stands there instead.
	packages []string // Whose tests are to catch it, below internal.
	seed     uint64   // That the simulation catches it by; zero where only tests do.
}

// limit bounds one run of tests: a mistake may make them wait for ever.
const limit = 10 * time.Minute

func main() {
	only := flag.String("only", "", "plant only the mutations whose name holds this")
	search := flag.Uint64("search", 0, "look among the first so many seeds for one that catches a mutation, instead of running its own")
	tests := flag.Bool("tests", true, "run the tests of the packages that are to catch it, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *only, *search, *tests); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, search uint64, tests bool) error {
	dir, err := os.MkdirTemp("", "stockroom-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := copyTree(ctx, dir); err != nil {
		return fmt.Errorf("copy the tree: %w", err)
	}
	var missed []string
	planted := 0
	for _, m := range mutations {
		if !strings.Contains(m.name, only) {
			continue
		}
		planted++
		caught, err := try(ctx, dir, m, search, tests)
		if err != nil {
			return fmt.Errorf("mutation %q: %w", m.name, err)
		}
		if len(caught) == 0 {
			missed = append(missed, m.name)
			caught = []string{"NOTHING"}
		}
		fmt.Printf("%-58s caught by %s\n", m.name, strings.Join(caught, ", "))
	}
	if len(missed) > 0 {
		return fmt.Errorf("%d of %d mutations were caught by nothing: %s", len(missed), planted, strings.Join(missed, "; "))
	}
	fmt.Printf("all %d mutations were caught\n", planted)
	return nil
}

// copyTree copies what git knows of, as it lies in the working tree.
func copyTree(ctx context.Context, to string) error {
	out, err := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		content, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // Deleted, and not committed yet.
		}
		path := filepath.Join(to, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o700)
		}
		if err == nil {
			err = os.WriteFile(path, content, 0o700)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// try plants a mutation, tells what caught it, and takes it out again.
func try(ctx context.Context, dir string, m mutation, search uint64, tests bool) (caught []string, err error) {
	path := filepath.Join(dir, m.file)
	original, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if n := bytes.Count(original, []byte(m.old)); n != 1 {
		return nil, fmt.Errorf("%s holds what is to be changed %d times, want once: the code has moved on, move the mutation with it:\n%s", m.file, n, m.old)
	}
	if err := os.WriteFile(path, bytes.Replace(original, []byte(m.old), []byte(m.new), 1), 0o600); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, original, 0o600)) }()
	if out, err := command(ctx, dir, "go", "build", "./..."); err != nil {
		return nil, fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	if tests {
		for _, name := range m.packages {
			out, err := command(ctx, dir, "go", "test", "./internal/"+name)
			if err != nil {
				caught = append(caught, failures(out)...)
			}
		}
	}
	seeds := []uint64{m.seed}
	if search > 0 {
		seeds = nil
		for seed := uint64(1); seed <= search; seed++ {
			seeds = append(seeds, seed)
		}
	}
	if len(seeds) > 1 || seeds[0] > 0 {
		by, err := simulate(ctx, dir, seeds)
		if err != nil {
			return nil, err
		}
		caught = append(caught, by...)
	}
	if len(caught) > maxShown {
		caught = append(caught[:maxShown:maxShown], fmt.Sprintf("and %d more", len(caught)-maxShown))
	}
	return caught, nil
}

const maxShown = 6

// simulate lives through seeds until a checker complains.
func simulate(ctx context.Context, dir string, seeds []uint64) ([]string, error) {
	program := filepath.Join(dir, "simtest.test")
	if out, err := command(ctx, dir, "go", "test", "-c", "-o", program, "./internal/simtest"); err != nil {
		return nil, fmt.Errorf("build the simulation: %w\n%s", err, out)
	}
	for _, seed := range seeds {
		out, err := command(ctx, dir, program, "-test.run", "^TestSeeds$", "-seed", fmt.Sprint(seed), "-test.timeout", limit.String())
		if err != nil {
			return []string{fmt.Sprintf("the simulation's %s (seed %d)", strings.Join(checkers(out), " and "), seed)}, nil
		}
	}
	return nil, nil
}

func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return "", err
	}
	return string(out), err
}

var (
	failed  = regexp.MustCompile(`(?m)^--- FAIL: (\w+)`)
	checker = regexp.MustCompile(`(?m)^\s+sim_test\.go:\d+: (\w+): `)
)

// failures are the names of the tests that failed.
func failures(out string) []string {
	var names []string
	for _, match := range failed.FindAllStringSubmatch(out, -1) {
		names = append(names, match[1])
	}
	if len(names) == 0 {
		names = []string{"a package that ended early"}
	}
	return names
}

// checkers are those that complained.
func checkers(out string) []string {
	var names []string
	for _, match := range checker.FindAllStringSubmatch(out, -1) {
		if !slices.Contains(names, match[1]) {
			names = append(names, match[1])
		}
	}
	if len(names) == 0 {
		return []string{"panic or deadlock"}
	}
	return names
}
