package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"stockroom/cmd/stockroom/demo"
)

type demoCommand struct {
	Headless bool   `help:"Run a fixed story once, print what it found, and exit 0 only if the copy ended exact."`
	JSON     bool   `help:"With --headless: print the result as JSON."`
	Seed     uint64 `default:"1" help:"Decides the catalogue and all that happens."`
}

func (c *demoCommand) Run(e *env) (err error) {
	if c.JSON && !c.Headless {
		return usageError{errors.New("--json goes with --headless")}
	}
	if c.Headless {
		return c.headless(e)
	}
	if !term.IsTerminal(int(os.Stdout.Fd())) {
		return usageError{errors.New("the demo draws on a terminal: run it in one, or use `stockroom demo --headless`")}
	}
	fmt.Fprintln(e.stderr, "Starting a simulated Shopify and the service, and connecting a shop...")
	w, err := demo.Open(e.ctx, demo.Options{Seed: c.Seed, Products: demo.LiveProducts, Log: slog.New(slog.DiscardHandler)})
	defer func() { err = errors.Join(err, w.Close()) }()
	if err != nil {
		return err
	}
	if err := w.Connect(e.ctx); err != nil {
		return err
	}
	if err := w.WaitIdle(e.ctx); err != nil {
		return err
	}
	live := demo.NewLive(w, c.Seed)
	if err := demo.Show(e.ctx, live); err != nil {
		return err
	}
	fmt.Fprintln(e.stdout, live.State().Summary())
	return nil
}

func (c *demoCommand) headless(e *env) error {
	say := io.Writer(e.stdout)
	if c.JSON {
		say = e.stderr
	}
	// Warnings show what a fault looks like to the service; here they are on purpose.
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to run the service: %w", err)
	}
	result, err := demo.Headless(e.ctx, demo.HeadlessOptions{Seed: c.Seed, Serve: []string{self, "serve"}, Log: slog.New(slog.DiscardHandler), Say: say})
	if err != nil {
		return err
	}
	if c.JSON {
		if err := printJSON(e.stdout, result); err != nil {
			return err
		}
	}
	if !result.OK() {
		return errSilent
	}
	return nil
}
