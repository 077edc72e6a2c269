package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"stockroom/internal/mirror"
	"stockroom/internal/reconcile"
	"stockroom/internal/store"
)

type undeleteCommand struct {
	Shop string   `help:"The shop's full myshopify domain. May be left out where there is one shop."`
	IDs  []string `arg:"" name:"gid" help:"Global ids, as the export gives them."`
	JSON bool     `help:"Print JSON."`
}

func (c *undeleteCommand) Run(e *env) error {
	args := reconcile.UndeleteArgs{}
	for _, id := range c.IDs {
		if !reconcile.KnownGID(mirror.GID(id)) {
			return usageError{fmt.Errorf("%q is no global id of anything that is copied: write it like gid://shopify/Product/123", id)}
		}
		args.IDs = append(args.IDs, mirror.GID(id))
	}
	beside, err := e.beside()
	if err != nil {
		return err
	}
	defer beside.Close()
	shop, err := beside.Query.ShopOrOnly(e.ctx, c.Shop)
	if err != nil {
		return err
	}
	encoded, err := json.Marshal(args)
	if err != nil {
		return err
	}
	task, err := followTask(e, beside, store.Task{ShopID: shop.ID, Kind: store.TaskUndelete, Reason: "manual", Args: encoded})
	if err != nil {
		return fmt.Errorf("undelete in %s: %w", shop.Domain, err)
	}
	if task.State == store.RunFailed {
		return errors.New(task.Error)
	}
	report, err := reconcile.ReadUndeleteReport(task)
	if err != nil {
		return err
	}
	if c.JSON {
		err = printJSON(e.stdout, report)
	} else {
		_, err = fmt.Fprint(e.stdout, report.Text())
	}
	if err == nil && task.State != store.RunOK {
		return errSilent // The report says why.
	}
	return err
}
