package main

import (
	"fmt"
	"time"

	"stockroom/internal/api"
	"stockroom/internal/app"
	"stockroom/internal/config"
	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

type keysCommand struct {
	Create keysCreate `cmd:"" help:"Make a key that opens one shop, and print it once."`
	List   keysList   `cmd:"" help:"List all keys."`
	Revoke keysRevoke `cmd:"" help:"End a key at once."`
}

// writer opens the database for a small change, beside a running service.
func (e *env) writer() (*store.Store, error) {
	cfg, err := e.load(config.NeedDatabase)
	if err != nil {
		return nil, err
	}
	return app.OpenBeside(e.ctx, cfg.Database.URL.Reveal())
}

type keysCreate struct {
	Shop string `required:"" help:"The shop's full myshopify domain."`
	Name string `default:"key" help:"What the key is for, to tell it from others."`
	JSON bool   `help:"Print JSON."`
}

func (c *keysCreate) Run(e *env) error {
	db, err := e.writer()
	if err != nil {
		return err
	}
	defer db.Close()
	key, made, err := api.CreateKey(e.ctx, db, c.Shop, c.Name, time.Now())
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, map[string]any{"id": made.ID, "shop": made.Domain, "name": made.Name, "key": key.Reveal()})
	}
	fmt.Fprintf(e.stderr, "Key %d for %s. It is shown this once: keep it where secrets are kept.\n", made.ID, made.Domain)
	_, err = fmt.Fprintln(e.stdout, key.Reveal())
	return err
}

type keysList struct {
	JSON bool `help:"Print JSON."`
}

func (c *keysList) Run(e *env) error {
	_, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	keys, err := api.ListKeys(e.ctx, db)
	if err != nil {
		return err
	}
	if c.JSON {
		type row struct {
			ID         int64       `json:"id"`
			Shop       string      `json:"shop"`
			Name       string      `json:"name"`
			CreatedAt  mirror.Time `json:"created_at"`
			LastUsedAt mirror.Time `json:"last_used_at"`
			RevokedAt  mirror.Time `json:"revoked_at"`
		}
		rows := []row{}
		for _, k := range keys {
			rows = append(rows, row{k.ID, k.Domain, k.Name, instant(k.CreatedAt), instant(k.LastUsedAt), instant(k.RevokedAt)})
		}
		return printJSON(e.stdout, rows)
	}
	return table(e.stdout, "ID\tSHOP\tNAME\tCREATED\tLAST USED\tREVOKED", func(add func(...any)) {
		for _, k := range keys {
			add(k.ID, k.Domain, k.Name, when(instant(k.CreatedAt)), when(instant(k.LastUsedAt)), when(instant(k.RevokedAt)))
		}
	})
}

func instant(i mirror.Instant) mirror.Time { return mirror.TimeOf(i.Time()) }

type keysRevoke struct {
	ID int64 `arg:"" help:"The key's number, as keys list shows it."`
}

func (c *keysRevoke) Run(e *env) error {
	db, err := e.writer()
	if err != nil {
		return err
	}
	defer db.Close()
	if err := api.RevokeKey(e.ctx, db, c.ID, time.Now()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "Key %d is revoked.\n", c.ID)
	return err
}
