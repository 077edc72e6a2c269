package main

import (
	"errors"
	"fmt"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/store"
)

type serveCommand struct{}

func (serveCommand) Run(e *env) error {
	cfg, err := e.load(config.NeedAll)
	if err != nil {
		return err
	}
	service, err := app.New(e.ctx, app.Options{Config: cfg, Log: e.logger(cfg)})
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%w: stop that one, or give this one another DATABASE_URL", err)
	}
	if err != nil {
		return err
	}
	if err := service.Start(e.ctx); err != nil {
		return errors.Join(err, service.Stop(e.ctx))
	}
	select {
	case <-e.ctx.Done():
		return service.Stop(e.ctx)
	case err := <-service.Failed():
		return errors.Join(err, service.Stop(e.ctx))
	}
}
