package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"stockroom/internal/app"
	"stockroom/internal/reconcile"
	"stockroom/internal/store"
)

type pollCommand struct {
	Shop            string `help:"The shop's full myshopify domain. Default: all connected shops."`
	AcceptDeletions bool   `help:"Let deletions through that POLL_MAX_DELETE holds back. Needs --shop."`
	JSON            bool   `help:"Print JSON."`
}

// polled is how one shop's run ended.
type polled struct {
	Shop   string           `json:"shop"`
	Run    int64            `json:"run"`
	State  store.RunState   `json:"state"`
	Error  string           `json:"error,omitempty"`
	Report reconcile.Report `json:"report"`
}

// progressStep is how often a run under way is looked at.
const progressStep = 250 * time.Millisecond

func (c *pollCommand) Run(e *env) error {
	if c.AcceptDeletions && c.Shop == "" {
		return usageError{errors.New("--accept-deletions needs --shop: it is meant for one shop whose deletions were looked at")}
	}
	beside, err := e.beside()
	if err != nil {
		return err
	}
	defer beside.Close()
	shops, err := chosenShops(e, beside, c.Shop)
	if err != nil {
		return err
	}
	all := []polled{}
	ok := true
	for _, shop := range shops {
		run, err := c.poll(e, beside, shop)
		if err != nil {
			return fmt.Errorf("poll %s: %w", shop.Domain, err)
		}
		report, err := reconcile.ReadReport(run)
		if err != nil {
			return err
		}
		ok = ok && run.State == store.RunOK
		all = append(all, polled{shop.Domain, run.ID, run.State, run.Error, report})
		if !c.JSON {
			fmt.Fprintf(e.stdout, "%s: the poll ended %s.\n%s", shop.Domain, run.State, report.Text())
		}
	}
	if c.JSON {
		if err := printJSON(e.stdout, all); err != nil {
			return err
		}
	}
	if !ok {
		return errSilent // Each report says why.
	}
	return nil
}

// chosenShops finds the shop that was named, or all that are connected.
func chosenShops(e *env, beside *app.App, named string) ([]store.Shop, error) {
	var shops []store.Shop
	err := beside.Store.View(e.ctx, func(tx *store.Tx) error {
		all, err := tx.Shops()
		for _, shop := range all {
			if shop.Domain == named || named == "" && shop.State == store.ShopConnected {
				shops = append(shops, shop)
			}
		}
		return err
	})
	if err == nil && len(shops) == 0 {
		if named != "" {
			return nil, fmt.Errorf("no shop %s is known: `stockroom shops list` shows those that are", named)
		}
		return nil, errors.New("no shop is connected: `stockroom shops list` shows those that are known, `stockroom shops add --shop example.myshopify.com` prints the link to connect one")
	}
	return shops, err
}

// poll hands a run in and follows it. A running service carries it out; where
// none runs, this process does, and the run by pages too that follows where a
// list could not be read in bulk.
func (c *pollCommand) poll(e *env, beside *app.App, shop store.Shop) (store.Run, error) {
	run, err := beside.Jobs.QueueRun(e.ctx, store.Run{ShopID: shop.ID, Kind: "poll", Reason: "manual", AcceptDeletions: c.AcceptDeletions})
	if err == nil {
		run, err = c.follow(e, beside, shop, run)
	}
	if err != nil || !beside.Alone() {
		return run, err
	}
	var next store.Run
	err = beside.Store.View(e.ctx, func(tx *store.Tx) (err error) {
		next, err = tx.OpenRun(shop.ID)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return run, nil
	}
	if err != nil {
		return run, err
	}
	if !c.JSON {
		fmt.Fprintf(e.stderr, "%s: run %d could not read all in bulk, run %d reads it by pages.\n", shop.Domain, run.ID, next.ID)
	}
	return c.follow(e, beside, shop, next)
}

// follow shows how a run comes along until it is over, and carries it out where
// no service does.
func (c *pollCommand) follow(e *env, beside *app.App, shop store.Shop, run store.Run) (store.Run, error) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	var done chan error // Nil where a service carries the run out.
	if beside.Alone() {
		done = make(chan error, 1)
		var polling sync.WaitGroup
		polling.Go(func() { done <- beside.Jobs.RunOnce(ctx, run.ID, false) })
		defer func() {
			cancel()
			polling.Wait()
		}()
	}
	bar := progressBar{out: e.stderr, shown: !c.JSON && term.IsTerminal(int(os.Stderr.Fd()))}
	defer bar.clear()
	ticker := time.NewTicker(progressStep)
	defer ticker.Stop()
	for ended := false; ; {
		err := beside.Store.View(e.ctx, func(tx *store.Tx) (err error) {
			run, err = tx.RunByID(run.ID)
			return err
		})
		if err != nil || run.State.Over() && (done == nil || ended) {
			return run, err
		}
		bar.show(shop.Domain, run)
		select {
		case <-ticker.C:
		case err := <-done:
			if err != nil && e.ctx.Err() == nil {
				return run, err
			}
			ended = true
		case <-e.ctx.Done():
			if !beside.Alone() {
				return run, errors.New("interrupted: the service goes on with the run, see `stockroom status`")
			}
			return run, errors.New("interrupted: the run is kept, and goes on where it was when it is polled again")
		}
	}
}

// progressBar is one line that is written over itself.
type progressBar struct {
	out   io.Writer
	shown bool
	width int
}

func (b *progressBar) show(domain string, run store.Run) {
	if !b.shown {
		return
	}
	var progress reconcile.Progress
	if json.Unmarshal(run.Progress, &progress) != nil {
		return // It is only a line to look at.
	}
	var rows int64
	done := 0
	for _, list := range progress.Lists {
		rows += list.Rows
		if list.Done {
			done++
		}
	}
	line := fmt.Sprintf("%s: %s, %d rows, %d lists done", domain, nonEmpty(progress.Now, string(run.State)), rows, done)
	b.clear()
	fmt.Fprint(b.out, line)
	b.width = len(line)
}

func (b *progressBar) clear() {
	if b.width > 0 {
		fmt.Fprintf(b.out, "\r%*s\r", b.width, "")
		b.width = 0
	}
}

func nonEmpty(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
