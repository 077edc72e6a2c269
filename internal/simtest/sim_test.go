package simtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"
)

var (
	seedFlag   = flag.Uint64("seed", 0, "live through this seed instead of the fixed ones")
	resultFlag = flag.String("result", "", "append what came of -seed to this file, as a line of JSON")
	traceFlag  = flag.String("trace", "", "write the trace of -seed to this file")
)

// fixed are the seeds that every test run lives through.
var fixed = []uint64{1, 4, 15}

// TestSeeds lives through the fixed seeds, or the one that -seed names.
func TestSeeds(t *testing.T) {
	if *seedFlag == 0 {
		for _, seed := range fixed {
			t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { judge(t, run(t, seed, nil)) })
		}
		return
	}
	var to io.Writer
	if *traceFlag != "" {
		file, err := os.Create(*traceFlag)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		to = file
	}
	s := run(t, *seedFlag, to)
	judge(t, s)
	if *resultFlag == "" {
		return
	}
	line, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(*resultFlag, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
}

// run lives through a seed in a bubble of its own.
func run(t *testing.T, seed uint64, to io.Writer) stats {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	p := drawPlan(seed)
	t.Log(p)
	began := time.Now()
	dir := workDir(t)
	var w *world
	synctest.Test(t, func(*testing.T) {
		w = newWorld(p, dir, to) // Within, as are all channels that time has to wait for.
		w.live()
	})
	s := stats{Seed: seed, Days: p.days, Trace: w.trace.digest(), Violations: w.violations, Counts: w.counts, Seconds: time.Since(began).Seconds()}
	t.Logf("%.1f s, trace %s, %d lines; %v", s.Seconds, s.Trace, w.trace.lines, s.Counts)
	if len(w.violations) > 0 {
		t.Logf("the service's log ended so:\n%s", w.log)
	}
	return s
}

// workDir is where the databases lie: in memory where there is such a place,
// since nothing here tests the disk's own promises.
func workDir(t *testing.T) string {
	if dir, err := os.MkdirTemp("/dev/shm", "simtest-"); err == nil {
		t.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return t.TempDir()
}

func judge(t *testing.T, s stats) {
	t.Helper()
	if len(s.Violations) == 0 {
		return
	}
	for _, v := range s.Violations {
		t.Error(v)
	}
	t.Errorf("replay with: make sim SEEDS=%d-%d", s.Seed, s.Seed)
}
