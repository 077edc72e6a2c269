// Command mutants plants mistakes into a copy of the tree, one at a time, and
// shows which test and which checker of the simulation catches each: `make
// mutants`. A mistake that nothing catches, whose place in the code is no longer
// found, or which its seeds no longer show, fails.
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
	"strconv"
	"strings"
	"time"
)

// mutation is one mistake that somebody could make.
type mutation struct {
	name     string
	file     string
	old, new string   // What stands there, exactly once, and what stands there instead.
	packages []string // Whose tests are to catch it, below internal.
	seeds    []uint64 // Of which the simulation catches it by one, the likeliest first; none where only tests do.
}

// limit bounds one run of tests: a mistake may make them wait for ever.
const limit = 10 * time.Minute

func main() {
	only := flag.String("only", "", "plant only the mutations whose name holds this")
	search := flag.String("search", "", "look among these seeds, as in 7,9,12, for one that catches a mutation, instead of running its own")
	tests := flag.Bool("tests", true, "run the tests of the packages that are to catch it, too")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	seeds, err := parse(*search)
	if err == nil {
		err = run(ctx, *only, seeds, *tests)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func parse(list string) (seeds []uint64, err error) {
	for text := range strings.SplitSeq(list, ",") {
		if text == "" {
			continue
		}
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("seed %q: %w", text, err)
		}
		seeds = append(seeds, seed)
	}
	return seeds, nil
}

func run(ctx context.Context, only string, search []uint64, tests bool) error {
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
	fmt.Println("| mistake | caught by the test | by the simulation's checker |\n| --- | --- | --- |")
	for _, m := range mutations {
		if !strings.Contains(m.name, only) {
			continue
		}
		planted++
		caught, err := try(ctx, dir, m, search, tests)
		if err != nil {
			return fmt.Errorf("mutation %q: %w", m.name, err)
		}
		switch {
		case len(caught.tests) == 0 && caught.checker == "":
			missed = append(missed, m.name+": by nothing")
		case caught.checker == "" && len(m.seeds) > 0 && search == nil:
			missed = append(missed, m.name+": no longer by its seeds")
		}
		fmt.Printf("| %s | %s | %s |\n", m.name, strings.Join(caught.tests, ", "), caught.checker)
	}
	if len(missed) > 0 {
		return fmt.Errorf("%d of %d mutations were not caught: %s", len(missed), planted, strings.Join(missed, "; "))
	}
	fmt.Printf("all %d mutations were caught\n", planted)
	return nil
}

// caught is what found a mutation.
type caught struct {
	tests   []string
	checker string // Of the simulation, and the seed; empty for none.
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
func try(ctx context.Context, dir string, m mutation, search []uint64, tests bool) (by caught, err error) {
	path := filepath.Join(dir, m.file)
	original, err := os.ReadFile(path)
	if err != nil {
		return by, err
	}
	if n := bytes.Count(original, []byte(m.old)); n != 1 {
		return by, fmt.Errorf("%s holds what is to be changed %d times, want once: the code has moved on, move the mutation with it:\n%s", m.file, n, m.old)
	}
	if err := os.WriteFile(path, bytes.Replace(original, []byte(m.old), []byte(m.new), 1), 0o600); err != nil {
		return by, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, original, 0o600)) }()
	if out, err := command(ctx, dir, "go", "build", "./..."); err != nil {
		return by, fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	if tests {
		for _, name := range m.packages {
			out, err := command(ctx, dir, "go", "test", "./internal/"+name)
			if err != nil {
				by.tests = append(by.tests, failures(out)...)
			}
		}
		if n := len(by.tests); n > maxShown {
			by.tests = append(by.tests[:maxShown:maxShown], fmt.Sprintf("%d more", n-maxShown))
		}
	}
	seeds := m.seeds
	if search != nil {
		seeds = search
	}
	if len(seeds) > 0 {
		by.checker, err = simulate(ctx, dir, seeds)
	}
	return by, err
}

const maxShown = 4

// simulate lives through seeds until a checker complains.
func simulate(ctx context.Context, dir string, seeds []uint64) (string, error) {
	program := filepath.Join(dir, "simtest.test")
	if out, err := command(ctx, dir, "go", "test", "-c", "-o", program, "./internal/simtest"); err != nil {
		return "", fmt.Errorf("build the simulation: %w\n%s", err, out)
	}
	for _, seed := range seeds {
		out, err := command(ctx, dir, program, "-test.run", "^TestSeeds$", "-seed", fmt.Sprint(seed), "-test.timeout", limit.String())
		if err != nil {
			return fmt.Sprintf("%s (seed %d)", strings.Join(checkers(out), " and "), seed), nil
		}
	}
	return "", nil
}

func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	if filepath.Dir(name) == dir { // A seed is lived through as simrun does.
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1", "GOGC=400")
	}
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
