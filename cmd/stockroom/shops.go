package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"time"

	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/connect"
	"stockroom/internal/jobs"
	"stockroom/internal/secret"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

type shopsCommand struct {
	List   shopsList   `cmd:"" help:"List the shops."`
	Add    shopsAdd    `cmd:"" help:"Print the link by which a shop connects, or connect one by a token."`
	Remove shopsRemove `cmd:"" help:"Forget a shop: its secrets, its copy, its webhooks, its keys."`

	Receipts shopsReceipts `cmd:"" help:"List what was erased, by whose word, and what customers ask for."`
}

type shopsList struct {
	JSON bool `help:"Print JSON."`
}

func (c *shopsList) Run(e *env) error {
	reader, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := reader.Status(e.ctx, e.wantedScopes(), false)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, all)
	}
	return table(e.stdout, "SHOP\tSTATE\tLAST RUN\tWEBHOOKS WAITING", func(add func(...any)) {
		for _, shop := range all {
			last := "none"
			if shop.LastRun != nil {
				last = fmt.Sprintf("%s %s", shop.LastRun.Kind, shop.LastRun.State)
			}
			add(shop.Shop, shop.State, last, shop.Inbox.New)
		}
	})
}

type shopsAdd struct {
	Shop      string `required:"" help:"The shop's full myshopify domain."`
	TokenFile string `type:"existingfile" xor:"how" help:"A file that holds an Admin API access token of the shop. Without it the login link is printed."`

	ClientCredentials bool `xor:"how" help:"Connect a shop of the app's own organisation, in which the app is installed, by the app's credentials: nobody logs in."`
	Expiring          bool `xor:"how" help:"Exchange a connected shop's token that does not expire for one that does. The old token is dead then, for every program that has it."`
	Yes               bool `help:"Do not ask before --expiring."`
}

func (c *shopsAdd) Run(e *env) error {
	domain, err := shopify.ShopDomain(c.Shop)
	if err != nil {
		return usageError{err}
	}
	if c.TokenFile == "" && !c.ClientCredentials && !c.Expiring {
		return c.printLink(e, domain)
	}
	var token secret.Secret
	if c.TokenFile != "" {
		if token, err = readToken(c.TokenFile); err != nil {
			return err
		}
	}
	cfg, err := e.load(config.NeedDatabase | config.NeedKeys | config.NeedShopify | config.NeedSync)
	if err != nil {
		return err
	}
	if err := e.ensureDatabase(cfg); err != nil {
		return err
	}
	beside, err := app.Beside(e.ctx, app.Options{Config: cfg, Log: e.logger(cfg)})
	if err != nil {
		return err
	}
	defer beside.Close()
	switch {
	case c.Expiring:
		return c.migrate(e, beside, domain)
	case c.ClientCredentials:
		_, err = beside.Connect.ConnectByCredentials(e.ctx, domain)
	default:
		_, err = beside.Connect.ImportToken(e.ctx, domain, token)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s is connected. The service imports it when it runs; `stockroom poll --shop %s` does it now.\n", domain, domain)
	return err
}

// migrate exchanges the shop's token, which cannot be taken back.
func (c *shopsAdd) migrate(e *env, beside *app.App, domain string) error {
	if !c.Yes {
		fmt.Fprintf(e.stderr, "This ends the token that %s is connected by, for every other program that uses it too, and cannot be taken back.\nType the shop's domain to go on: ", domain)
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != domain {
			fmt.Fprintln(e.stderr)
			return errors.New("nothing was changed")
		}
	}
	_, err := beside.Connect.MigrateToken(e.ctx, domain)
	if errors.Is(err, connect.ErrExpires) {
		_, err = fmt.Fprintf(e.stdout, "The token of %s expires already, and is renewed by itself.\n", domain)
		return err
	}
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no shop %s is known: `stockroom shops list` shows those that are", domain)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s has a token that expires, and is renewed by itself.\n", domain)
	return err
}

// ensureDatabase makes the database where none is yet: connecting a shop by its
// token may be the first thing that is done.
func (e *env) ensureDatabase(cfg config.Config) error {
	if _, err := os.Stat(cfg.Database.Path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err := app.Migrate(e.ctx, cfg.Database.URL.Reveal())
	return err
}

func (c *shopsAdd) printLink(e *env, domain string) error {
	cfg, err := e.load(config.NeedShopify)
	if err != nil {
		return err
	}
	link, err := url.Parse(cfg.Shopify.RedirectURI)
	if err != nil || cfg.Shopify.RedirectURI == "" {
		return errors.New("SHOPIFY_REDIRECT_URI is not set: it tells where this service can be reached, which the link needs")
	}
	link.Path, link.RawQuery = "/shopify/login", url.Values{"shop": {domain}}.Encode()
	fmt.Fprintln(e.stderr, "Open this as the shop's owner, while the service runs:")
	_, err = fmt.Fprintln(e.stdout, link)
	return err
}

func readToken(path string) (secret.Secret, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return secret.Secret{}, err
	}
	token := secret.New(strings.TrimSpace(string(content)))
	if token.Empty() {
		return token, fmt.Errorf("%s is empty: it should hold the access token", path)
	}
	return token, nil
}

type shopsRemove struct {
	Shop string `required:"" help:"The shop's full myshopify domain."`
	Yes  bool   `help:"Do not ask."`
}

func (c *shopsRemove) Run(e *env) error {
	db, err := e.writer()
	if err != nil {
		return err
	}
	defer db.Close()
	err = db.View(e.ctx, func(tx *store.Tx) error {
		_, err := tx.ShopByDomain(c.Shop)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("no shop %s is known: `stockroom shops list` shows those that are", c.Shop)
	}
	if err != nil {
		return err
	}
	if !c.Yes {
		fmt.Fprintf(e.stderr, "This erases all that is known of %s, its API keys too. Uninstall the app in the shop's admin as well, or it goes on sending webhooks.\nType the shop's domain to go on: ", c.Shop)
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		if err != nil || strings.TrimSpace(line) != c.Shop {
			fmt.Fprintln(e.stderr)
			return errors.New("nothing was removed")
		}
	}
	eraser := connect.NewEraser(connect.EraserConfig{Store: db, DropJobs: jobs.DropJobs, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	receipt, over, err := eraser.Remove(e.ctx, c.Shop)
	if err != nil {
		return err
	}
	if !over {
		fmt.Fprintln(e.stderr, "All rows are gone. Something reads an old state of the database, so that older copies lie in its log yet: the service, or this command again, removes them then.")
	}
	_, err = fmt.Fprintf(e.stdout, "%s is removed: receipt %d.\n", c.Shop, receipt.ID)
	return err
}
