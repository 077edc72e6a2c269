package main

import (
	"fmt"
	"time"

	"stockroom/internal/config"
	"stockroom/internal/store"
)

type restoreCommand struct {
	File    string `arg:"" help:"The backup. It stays as it is."`
	Replace bool   `help:"Put a database that is there aside, under a name that says when."`
}

// Run puts a backup in the place of the database. The service must be stopped.
func (c *restoreCommand) Run(e *env) error {
	cfg, err := e.load(config.NeedDatabase)
	if err != nil {
		return err
	}
	done, err := store.Restore(e.ctx, c.File, cfg.Database.URL.Reveal(), c.Replace, time.Now())
	if done.Aside != "" {
		fmt.Fprintf(e.stdout, "The database that was there is %s now. It holds tokens and customers' data: delete it when you are sure.\n", done.Aside)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(e.stdout, "%s is restored. When the service starts it reads %d connected shops whole, for what happened since the backup.\n", c.File, done.Polls)
	if done.Erasures > 0 {
		fmt.Fprintf(e.stdout, "It then erases again what was erased since: %d requests, see `stockroom shops receipts`.\n", done.Erasures)
	}
	if done.Unread != nil {
		fmt.Fprintf(e.stdout, "What was erased since the backup is not known (%v): if shops or customers were, erase them again with `stockroom shops remove --shop X`.\n", done.Unread)
	}
	return nil
}
