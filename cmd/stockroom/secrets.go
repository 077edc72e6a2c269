package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"stockroom/internal/app"
	"stockroom/internal/config"
)

type secretsCommand struct {
	Rotate secretsRotate `cmd:"" help:"Replace the encryption key, or the app's secret, while the service runs."`
}

type secretsRotate struct {
	APISecretFile string `name:"api-secret-file" type:"existingfile" help:"A file that holds the app's new secret, which Shopify has made: it asks from now on, and the older ones verify on. Without it the encryption key is replaced."`

	FacebookSecretFile string `name:"facebook-secret-file" type:"existingfile" help:"The same of the app's secret at Meta."`
}

func (c *secretsRotate) Run(e *env) error {
	if c.FacebookSecretFile != "" {
		if c.APISecretFile != "" {
			return usageError{errors.New("one secret at a time: give --api-secret-file or --facebook-secret-file")}
		}
		return c.facebookSecret(e)
	}
	cfg, err := e.load(config.NeedDatabase | config.NeedKeys | config.NeedShopify | config.NeedSync)
	if err != nil {
		return err
	}
	beside, err := app.Beside(e.ctx, app.Options{Config: cfg, Log: e.logger(cfg)})
	if err != nil {
		return err
	}
	defer beside.Close()
	if c.APISecretFile != "" {
		return c.appSecret(e, beside)
	}
	return c.encryptionKey(e, beside)
}

func (c *secretsRotate) encryptionKey(e *env, beside *app.App) error {
	if !beside.Config.EncryptionKeys.Empty() {
		return errors.New("ENCRYPTION_KEY is a setting, which only you can change. Put a new key in front of it, separated by a comma " +
			"(openssl rand -base64 32 makes one), and restart: the service seals everything by the first key and says in its log when the others may go. " +
			"With several processes put the new key last first, restart each, and then move it to the front")
	}
	path := beside.Config.Database.KeyFile()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no encryption key at %s: `stockroom serve` makes one", path)
	}
	n, err := beside.Connect.RotateKeyFile(e.ctx, path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%d secrets are sealed by a new key, which is in %s. Make a copy of that file now: the tokens are lost without it.\n"+
		"A backup of the database from before needs the old key for its tokens.\n", n, path)
	return err
}

func (c *secretsRotate) appSecret(e *env, beside *app.App) error {
	fresh, err := readToken(c.APISecretFile)
	if err != nil {
		return err
	}
	if err := beside.Connect.AddAppSecret(e.ctx, fresh); err != nil {
		return err
	}
	if err := beside.Connect.KeepTokens(e.ctx); err != nil {
		return err
	}
	older, err := beside.Connect.ByOlderSecret(e.ctx)
	if err != nil {
		return err
	}
	if len(older) > 0 {
		return fmt.Errorf("the new secret is kept and verifies, but the tokens of %s could not be got by it yet: is it the app's, and does Shopify know it? "+
			"The service tries again every hour. Do not revoke the old secret before this command ends well", strings.Join(older, ", "))
	}
	_, err = fmt.Fprintln(e.stdout, "The new secret asks for tokens from now on, and those of all shops were got by it.\n"+
		"Revoke the old one at Shopify. Then put the new one in front in SHOPIFY_API_SECRET, and take the old one out after four hours: until then webhooks come that it signed.")
	return err
}

func (c *secretsRotate) facebookSecret(e *env) error {
	fresh, err := readToken(c.FacebookSecretFile)
	if err != nil {
		return err
	}
	beside, err := e.besideFacebook()
	if err != nil {
		return err
	}
	defer beside.Close()
	if err := beside.Pages.AddAppSecret(e.ctx, fresh); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, "The new secret asks Meta from now on, and webhooks that either signed are taken.\n"+
		"Put it in front in FACEBOOK_APP_SECRET. The old one may go after 36 hours: until then webhooks may come that it signed.")
	return err
}
