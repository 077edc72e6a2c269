package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/connect"
	"stockroom/internal/jobs"
	"stockroom/internal/query"
	"stockroom/internal/store"
)

type pagesCommand struct {
	List       pagesList       `cmd:"" help:"List the Facebook Pages that are connected, what is amiss with them, and how many messages wait."`
	Add        pagesAdd        `cmd:"" help:"Print a link by which somebody who manages a Page connects it to a shop, once, within a day."`
	Repair     pagesRepair     `cmd:"" help:"Ask Facebook now how Pages stand, and subscribe to what is written to them."`
	Disconnect pagesDisconnect `cmd:"" help:"End a Page's connection, and erase what is held of it."`
}

// besideFacebook is beside, for a command that asks Facebook.
func (e *env) besideFacebook() (*app.App, error) {
	cfg, err := e.load(config.NeedDatabase | config.NeedKeys | config.NeedShopify | config.NeedSync | config.NeedFacebook)
	if err != nil {
		return nil, err
	}
	if !cfg.Facebook.Enabled() {
		return nil, errors.New("FACEBOOK_APP_ID is not set: docs/operating.md tells how an app is made at Meta, and what to set")
	}
	return app.Beside(e.ctx, app.Options{Config: cfg, Log: e.logger(cfg)})
}

type pagesList struct {
	JSON bool `help:"Print JSON."`
}

// listedPage is a Page and its shop.
type listedPage struct {
	Shop string `json:"shop"`
	query.PageStatus
}

func (c *pagesList) Run(e *env) error {
	reader, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	shops, err := reader.Status(e.ctx, e.wantedScopes(), false)
	if err != nil {
		return err
	}
	all := []listedPage{}
	for _, shop := range shops {
		for _, page := range shop.Pages {
			all = append(all, listedPage{shop.Shop, page})
		}
	}
	if c.JSON {
		return printJSON(e.stdout, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(e.stdout, "No Page is connected yet: `stockroom pages add --shop example.myshopify.com` prints the link to do it.")
		return nil
	}
	err = table(e.stdout, "PAGE\tNAME\tSHOP\tSTATE\tWAITING", func(add func(...any)) {
		for _, page := range all {
			add(page.Page, page.Name, page.Shop, page.State, page.Waiting)
		}
	})
	for _, page := range all {
		for _, t := range page.Troubles {
			fmt.Fprintf(e.stdout, "\n%s: %s\n  %s\n", page.Name, t.What, t.Remedy)
		}
	}
	return err
}

type pagesAdd struct {
	Shop string `required:"" help:"The shop's full myshopify domain."`
}

func (c *pagesAdd) Run(e *env) error {
	beside, err := e.besideFacebook()
	if err != nil {
		return err
	}
	defer beside.Close()
	link, err := beside.Pages.Link(e.ctx, c.Shop)
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no shop %s is known: `stockroom shops list` shows those that are", c.Shop)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(e.stderr, "Open this as somebody who manages the Page, while the service runs. It connects one Page, once, within a day:")
	_, err = fmt.Fprintln(e.stdout, link)
	return err
}

// chosenPages are the Pages that a command is about: one by its number, or all.
func chosenPages(e *env, beside *app.App, named string) ([]store.FacebookPage, error) {
	all, err := beside.Pages.List(e.ctx)
	if err != nil {
		return nil, err
	}
	if named == "" && len(all) > 0 {
		return all, nil
	}
	for _, page := range all {
		if page.PageID == named {
			return []store.FacebookPage{page}, nil
		}
	}
	if named == "" {
		return nil, errors.New("no Page is connected: `stockroom pages add --shop example.myshopify.com` prints the link to connect one")
	}
	return nil, fmt.Errorf("no Page %s is connected: `stockroom pages list` shows those that are, by their numbers", named)
}

type pagesRepair struct {
	Page string `help:"The Page's number at Facebook. Default: all."`
}

func (c *pagesRepair) Run(e *env) error {
	beside, err := e.besideFacebook()
	if err != nil {
		return err
	}
	defer beside.Close()
	chosen, err := chosenPages(e, beside, c.Page)
	if err != nil {
		return err
	}
	whole := true
	for _, page := range chosen {
		page, err := beside.Pages.Repair(e.ctx, page)
		if err != nil {
			return err
		}
		var app store.FacebookApp
		err = beside.Store.View(e.ctx, func(tx *store.Tx) (err error) {
			app, err = tx.FacebookApp()
			return err
		})
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%s: %s; subscribed to %s.\n", page.Name, page.State, strings.Join(page.Fields, ", "))
		for _, t := range []store.Trouble{page.Trouble, page.Hook, app.Trouble} {
			if t.What != "" {
				whole = false
				fmt.Fprintf(e.stdout, "  %s\n  %s\n", t.What, t.Remedy)
			}
		}
	}
	if !whole {
		return errSilent // It has been said.
	}
	return nil
}

type pagesDisconnect struct {
	Page string `required:"" help:"The Page's number at Facebook, as pages list shows it."`
	Yes  bool   `help:"Do not ask."`
}

func (c *pagesDisconnect) Run(e *env) error {
	beside, err := e.besideFacebook()
	if err != nil {
		return err
	}
	defer beside.Close()
	chosen, err := chosenPages(e, beside, c.Page)
	if err != nil {
		return err
	}
	page := chosen[0]
	if !c.Yes {
		fmt.Fprintf(e.stderr, "This ends the connection of %s and erases its messages, those too that wait for an answer.\nType the Page's number to go on: ", page.Name)
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != c.Page {
			fmt.Fprintln(e.stderr)
			return errors.New("nothing was changed")
		}
	}
	untold, err := beside.Pages.Disconnect(e.ctx, page)
	if err != nil {
		return err
	}
	if untold != nil {
		fmt.Fprintf(e.stderr, "Facebook could not be told (%v): take the app off in the Page's settings there, or it goes on sending what is written, which is not kept.\n", untold)
	}
	if _, err := beside.Connect.Eraser(connect.EraserConfig{DropJobs: jobs.DropJobs}).RunOnce(e.ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s is disconnected. `stockroom shops receipts` tells what was erased.\n", page.Name)
	return err
}
