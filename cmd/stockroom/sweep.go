package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/reconcile"
	"stockroom/internal/store"
)

type sweepCommand struct {
	Shop string `help:"The shop's full myshopify domain. Default: all connected shops."`
	Scan bool   `help:"Look over the ids and times of change of everything too, for deletions and for what the search index lost."`
	JSON bool   `help:"Print JSON."`
}

// swept is how one shop's sweep ended.
type swept struct {
	Shop   string                `json:"shop"`
	Sweep  int64                 `json:"sweep"`
	State  store.RunState        `json:"state"`
	Error  string                `json:"error,omitempty"`
	Report reconcile.SweepReport `json:"report"`
}

func (c *sweepCommand) Run(e *env) error {
	beside, err := e.beside()
	if err != nil {
		return err
	}
	defer beside.Close()
	shops, err := chosenShops(e, beside, c.Shop)
	if err != nil {
		return err
	}
	args, err := json.Marshal(reconcile.SweepArgs{Scan: c.Scan})
	if err != nil {
		return err
	}
	all := []swept{}
	ok := true
	for _, shop := range shops {
		task, err := followTask(e, beside, store.Task{ShopID: shop.ID, Kind: store.TaskSweep, Reason: "manual", Args: args})
		if err != nil {
			return fmt.Errorf("sweep %s: %w", shop.Domain, err)
		}
		report, err := reconcile.ReadSweepReport(task)
		if err != nil {
			return err
		}
		ok = ok && task.State == store.RunOK
		all = append(all, swept{shop.Domain, task.ID, task.State, task.Error, report})
		if !c.JSON {
			fmt.Fprintf(e.stdout, "%s: the sweep ended %s.\n%s", shop.Domain, task.State, report.Text())
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

// beside opens the database for a command that asks shops, beside a service or in its place.
func (e *env) beside() (*app.App, error) {
	cfg, err := e.load(config.NeedDatabase | config.NeedKeys | config.NeedShopify | config.NeedSync)
	if err != nil {
		return nil, err
	}
	return app.Beside(e.ctx, app.Options{Config: cfg, Log: e.logger(cfg)})
}

// followTask hands a task in and waits for its end. A running service carries
// it out; where none runs, this process does.
func followTask(e *env, beside *app.App, task store.Task) (store.Task, error) {
	task, err := beside.Jobs.QueueTask(e.ctx, task)
	if err != nil {
		return task, err
	}
	ctx, done := context.WithCancelCause(e.ctx)
	defer done(nil)
	if beside.Alone() {
		var working sync.WaitGroup
		working.Go(func() {
			if _, err := beside.Jobs.RunTask(ctx, task.ID); err != nil {
				done(err)
			}
		})
		defer func() {
			done(nil)
			working.Wait()
		}()
	}
	ticker := time.NewTicker(progressStep)
	defer ticker.Stop()
	for {
		err := beside.Store.View(e.ctx, func(tx *store.Tx) (err error) {
			task, err = tx.TaskByID(task.ID)
			return err
		})
		if err != nil || task.State.Over() {
			return task, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
				return task, cause
			}
			return task, fmt.Errorf("interrupted: %s %d is kept, and goes on with the service", task.Kind, task.ID)
		}
	}
}
