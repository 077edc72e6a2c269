package demo

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"testing"

	"stockroom/internal/app"
	"stockroom/internal/config"
)

// serveMark makes this test's binary the service, so that there is one to kill.
const serveMark = "STOCKROOM_DEMO_TEST_SERVES"

func TestMain(m *testing.M) {
	if os.Getenv(serveMark) == "" {
		os.Exit(m.Run())
	}
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve is the service until it is killed.
func serve() error {
	cfg, err := config.Load(config.Source{Environ: os.Environ()}, config.NeedAll)
	if err != nil {
		return err
	}
	service, err := app.New(context.Background(), app.Options{Config: cfg, Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		return err
	}
	if err := service.Start(context.Background()); err != nil {
		return err
	}
	return <-service.Failed()
}

func headless(t *testing.T, seed uint64) Result {
	t.Helper()
	log, say := slog.New(slog.DiscardHandler), io.Discard
	if testing.Verbose() {
		say = os.Stderr
	}
	result, err := Headless(t.Context(), HeadlessOptions{Seed: seed, Serve: []string{os.Args[0]}, Environ: []string{serveMark + "=1"}, Log: log, Say: say})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

var seeds = flag.Uint64("seeds", 2, "tell the stories of so many seeds, each of which takes a minute")

// TestHeadlessDemoIsExact is the whole product in one story, for many seeds.
func TestHeadlessDemoIsExact(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprintf("seed %d", seed+1), func(t *testing.T) {
			t.Parallel() // Much of it is waiting for the shop's budget.
			result := headless(t, seed+1)
			if !result.OK() {
				t.Errorf("the demo did not show what it is there to show: exact %v, after live %v, poll %s, lost and wrong %d, types %v\nverdict %+v\ndiffers %s",
					result.Exact, result.ExactAfterLive, result.Poll, result.LostAndWrong, result.TypesWrong, result.Verdict, result.Differences)
			}
			if result.Doubled == 0 || result.Again == 0 || result.Verdict.Other == 0 {
				t.Errorf("%d webhooks came twice, %d at a later try, %d fields changed in silence: the run proves little", result.Doubled, result.Again, result.Verdict.Other)
			}
		})
	}
}
