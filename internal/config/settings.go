package config

import (
	"time"

	"stockroom/internal/secret"
)

// Setting is one row of the table of settings.
type Setting struct {
	Name    string
	Default string // What Load parses where nothing is set; empty: the field stays zero.
	Unset   string // What is so where nothing is set, in words, when Default does not say it.
	Meaning string
	Secret  bool // Never shown, no flag; NAME_FILE may name a file that holds it.
	File    bool // NAME_FILE works though it has a flag too.
	Need    Need // Zero: every command needs it.

	parse func(c *Config, value string) error
}

// HasFile tells whether NAME_FILE may name a file that holds the value.
func (s Setting) HasFile() bool { return s.Secret || s.File }

// tokenPrefix begins the names of the settings that hold shops' tokens. They
// are as many as there are shops, so loadTokens reads them.
const tokenPrefix = "SHOPIFY_ACCESS_TOKEN_"

// Settings lists every setting.
var Settings = []Setting{
	{
		Name: "LISTEN_ADDR", Default: "127.0.0.1:5000", Need: NeedService, parse: parseListen,
		Meaning: "Where to serve: host:port. A proxy that speaks TLS belongs in front of it.",
	},
	{
		Name: "DATABASE_URL", Default: "sqlite://stockroom.db", Need: NeedDatabase, File: true, parse: parseDatabase,
		Meaning: "`sqlite://PATH` (`sqlite://stockroom.db` is relative, `sqlite:///var/lib/stockroom.db` absolute) or `postgres://USER:PASSWORD@HOST/NAME`.",
	},
	{
		Name: "SHOPIFY_API_KEY", Unset: "required", Need: NeedShopify, parse: word(func(c *Config) *string { return &c.Shopify.APIKey }),
		Meaning: "The app's client id.",
	},
	{
		Name: "SHOPIFY_API_SECRET", Unset: "required", Need: NeedShopify, Secret: true, parse: secrets(func(c *Config) *[]secret.Secret { return &c.Shopify.APISecrets }),
		Meaning: "The app's client secret. Several, separated by commas, newest first, while it is being changed: all verify webhooks, the first asks for tokens.",
	},
	{
		Name: "SHOPIFY_REDIRECT_URI", Unset: "no shop can log in", Need: NeedShopify, parse: address(func(c *Config) *string { return &c.Shopify.RedirectURI }),
		Meaning: "The public address of `/shopify/callback`, exactly as it is registered with the app. https, unless on this machine.",
	},
	{
		Name: "SHOPIFY_WEBHOOK_ADDRESS", Unset: "changes are found by polls alone", Need: NeedShopify, parse: base(func(c *Config) *string { return &c.Shopify.WebhookAddress }),
		Meaning: "The public address of `/shopify/webhook`, to which Shopify sends. https, unless on this machine.",
	},
	{
		Name: "SHOPIFY_SCOPES", Unset: "what the mirrored resources need", Need: NeedShopify, parse: parseScopes,
		Meaning: "Access scopes to ask shops for, separated by commas. A resource whose scope is left out is not mirrored.",
	},
	{
		Name: "SHOPIFY_API_VERSION", Default: "2026-10", Need: NeedShopify, parse: parseAPIVersion,
		Meaning: "The version of Shopify's Admin API.",
	},
	{
		Name: "SHOPIFY_URL_TEMPLATE", Default: "https://{shop}", Need: NeedShopify, parse: parseURLTemplate,
		Meaning: "Where a shop's Admin API and OAuth pages are; `{shop}` stands for its domain. A simulator is named like `http://127.0.0.1:4010/{shop}`.",
	},
	{
		Name: tokenPrefix + "<name>", Unset: "none", Need: NeedShopify, Secret: true,
		Meaning: "The access token of a shop connected by hand, imported at start: `domain=token`, or the bare token where the shop's domain is the name in lower case, a trailing `_myshopify_com` dropped, each `_` read as `-` (`SHOPIFY_ACCESS_TOKEN_MY_SHOP` is for my-shop.myshopify.com). As a name that ends in `_FILE` names a file, a shop whose own name does so needs the first form.",
	},
	{
		Name: "FACEBOOK_APP_ID", Unset: "no Page can be connected", Need: NeedFacebook, parse: word(func(c *Config) *string { return &c.Facebook.AppID }),
		Meaning: "The id of the app at Meta. Where it is set, the next three are required.",
	},
	{
		Name: "FACEBOOK_APP_SECRET", Unset: "none", Need: NeedFacebook, Secret: true, parse: secrets(func(c *Config) *[]secret.Secret { return &c.Facebook.AppSecrets }),
		Meaning: "The app's secret at Meta. Several, separated by commas, newest first, while it is being changed: all verify webhooks, the first asks.",
	},
	{
		Name: "FACEBOOK_REDIRECT_URI", Unset: "none", Need: NeedFacebook, parse: parseFacebookRedirect,
		Meaning: "The public address of `/facebook/callback`, exactly as it is registered with the app. https, unless on this machine. Facebook's webhooks are asked for at `/facebook/webhook` beside it.",
	},
	{
		Name: "FACEBOOK_VERIFY_TOKEN", Unset: "none", Need: NeedFacebook, Secret: true, parse: hidden(func(c *Config) *secret.Secret { return &c.Facebook.VerifyToken }),
		Meaning: "A text of your choice, entered with the webhook's address at Meta too, by which Meta's first request is recognised.",
	},
	{
		Name: "FACEBOOK_LOGIN_CONFIG_ID", Unset: "permissions are asked for by scope", Need: NeedFacebook, parse: word(func(c *Config) *string { return &c.Facebook.LoginConfigID }),
		Meaning: "The configuration of Facebook Login for Business that pages are connected by.",
	},
	{
		Name: "FACEBOOK_GRAPH_VERSION", Default: "v26.0", Need: NeedFacebook, parse: parseGraphVersion,
		Meaning: "The version of Meta's Graph API.",
	},
	{
		Name: "FACEBOOK_GRAPH_URL", Default: "https://graph.facebook.com", Need: NeedFacebook, parse: base(func(c *Config) *string { return &c.Facebook.GraphURL }),
		Meaning: "Where Meta's Graph API is. https, unless on this machine.",
	},
	{
		Name: "FACEBOOK_DIALOG_URL", Default: "https://www.facebook.com", Need: NeedFacebook, parse: base(func(c *Config) *string { return &c.Facebook.DialogURL }),
		Meaning: "Where Meta's login dialog is. https, unless on this machine.",
	},
	{
		Name: "POLL_SCHEDULE", Default: "0 0 * * *", Need: NeedSync, parse: parseSchedule,
		Meaning: "When every shop is read back and compared, as a cron line: minute, hour, day of month, month, day of week. The default is daily at midnight.",
	},
	{
		Name: "POLL_TIMEZONE", Unset: "each shop's own", Need: NeedSync, parse: parseZone,
		Meaning: "The time zone of `POLL_SCHEDULE`, such as `Europe/Berlin`.",
	},
	{
		Name: "POLL_SPREAD", Default: "1h", Need: NeedSync, parse: duration(func(c *Config) *time.Duration { return &c.Poll.Spread }, 0, maxSpread),
		Meaning: "The polls of the shops begin within this time of the schedule, spread evenly. With one shop there is nothing to spread.",
	},
	{
		Name: "POLL_MAX_DELETE", Default: "20%,50", Need: NeedSync, parse: parseMaxDelete,
		Meaning: "A poll that would delete more than this part of a resource's rows and more than this many of them deletes none, and prints the command that lets it go on.",
	},
	{
		Name: "SWEEP_INTERVAL", Default: "10m", Need: NeedSync, parse: durationOrOff(func(c *Config) *time.Duration { return &c.SweepInterval }, minSweep),
		Meaning: "How often each shop is asked for what changed lately, which finds what webhooks missed for a small part of a poll's cost; `0`: never, and only polls find it.",
	},
	{
		Name: "WEBHOOK_RETENTION", Default: "168h", Need: NeedSync, parse: duration(func(c *Config) *time.Duration { return &c.WebhookRetention }, minRetention, 0),
		Meaning: "How long the raw body of a webhook is kept after it was applied.",
	},
	{
		Name: "WEBHOOK_RETENTION_FAILED", Default: "720h", Need: NeedSync, parse: duration(func(c *Config) *time.Duration { return &c.WebhookRetentionFailed }, minRetention, 0),
		Meaning: "How long the raw body of a webhook is kept that could not be applied.",
	},
	{
		Name: "ROLES", Default: "web,worker,scheduler", Need: NeedService, parse: parseRoles,
		Meaning: "What this process does: `web` answers requests, `worker` applies and reads, `scheduler` says when. On PostgreSQL they may be spread over processes.",
	},
	{
		Name: "ENCRYPTION_KEY", Unset: "SQLite: made at the first start in a file of mode 0600 beside the database; PostgreSQL: required", Need: NeedKeys, Secret: true, parse: parseKeys,
		Meaning: "Encrypts tokens and webhook keys at rest: 32 random bytes, as `openssl rand -base64 32` makes them. Several, separated by commas, newest first, while it is being changed: all decrypt, the first encrypts. Keep a copy apart from the database's backups: without it they are of no use.",
	},
	{
		Name: "ADMIN_PASSWORD", Unset: "made at the first start in a file of mode 0600, whose path is printed", Need: NeedService, Secret: true, parse: parsePassword,
		Meaning: "The dashboard's password.",
	},
	{
		Name: "CORS_ALLOWED_ORIGINS", Unset: "none", Need: NeedService, parse: parseOrigins,
		Meaning: "Origins whose pages may call `/v1` from a browser, separated by commas, such as `https://shop.example`; `*` for any.",
	},
	{
		Name: "LOG_LEVEL", Default: "info", parse: parseLogLevel,
		Meaning: "The least level that is logged: `debug`, `info`, `warn` or `error`.",
	},
	{
		Name: "LOG_FORMAT", Default: "text", parse: oneOf(func(c *Config) *string { return &c.LogFormat }, LogText, LogJSON),
		Meaning: "How log lines are written: `text` or `json`.",
	},
}
