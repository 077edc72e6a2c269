// Package config reads Stockroom's settings from flags, the environment and a
// .env file.
//
// It promises that every mistake is reported at once, each naming its setting
// and what to do (TestEveryMistakeIsReportedAtOnce); that a command is bothered
// only by the settings it needs (TestACommandIsBotheredOnlyByWhatItNeeds); and
// that no secret is in an error, a warning or the printed settings
// (TestSecretsAreNeverPrinted).
//
// Settings is the one table of all settings: Load works from it and
// docs/settings.md is made from it. Making a key or password where none is set
// is left to package app, opening the database to package store.
package config

//go:generate go test -run TestSettingsPageIsUpToDate . -update

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"stockroom/internal/secret"
)

// Need is a group of settings. A command names the groups it uses, so that one
// that only searches the copy is not stopped by a missing API secret.
type Need uint

const (
	NeedDatabase Need = 1 << iota // DATABASE_URL.
	NeedKeys                      // ENCRYPTION_KEY; with NeedDatabase, as the one's need depends on the other.
	NeedShopify                   // The app, its addresses, tokens of shops connected by hand.
	NeedSync                      // Polls, sweeps, and how long webhooks are kept.
	NeedFacebook                  // Meta's app; all of it is optional.
	NeedService                   // What only a running service has: address, roles, dashboard.

	NeedAll = NeedDatabase | NeedKeys | NeedShopify | NeedSync | NeedFacebook | NeedService
)

// Config holds the settings, parsed. A field outside the needs it was loaded
// for is zero.
type Config struct {
	Database       Database
	EncryptionKeys secret.Secret // For secret.OpenSealer. Empty: kept in Database.KeyFile.

	Shopify  Shopify
	Facebook Facebook
	Poll     Poll

	SweepInterval          time.Duration // Zero: no sweeps.
	WebhookRetention       time.Duration // How long the raw body of an applied webhook is kept.
	WebhookRetentionFailed time.Duration // The same for one that could not be applied.

	ListenAddr    string // host:port, ready for net.Listen.
	Roles         Roles
	AdminPassword secret.Secret // Empty: kept in AdminPasswordFile.
	CORSOrigins   []string      // Origins such as https://example.com, or "*"; none by default.

	LogLevel  slog.Level
	LogFormat string // LogText or LogJSON.

	// Warnings are worth a line in the log: likely typing errors, and what will
	// not work as things are set.
	Warnings []string

	shown []Shown
}

const (
	LogText = "text"
	LogJSON = "json"
)

// Shopify is how the app is known to Shopify.
type Shopify struct {
	APIKey         string
	APISecrets     []secret.Secret // Newest first: all verify, the first asks for tokens.
	RedirectURI    string          // Empty: no shop can log in.
	WebhookAddress string          // Empty: changes are found by polls alone.
	Scopes         []string        // Nil: what the mirrored resources need, which package shopify knows.
	APIVersion     string
	URLTemplate    string // Holds {shop}; see ShopURL. No slash at its end.
	Tokens         []ShopToken
}

// ShopURL is where the shop with this domain has its Admin API and OAuth pages.
func (s Shopify) ShopURL(domain string) string {
	return strings.ReplaceAll(s.URLTemplate, "{shop}", domain)
}

// ShopToken is the access token of a shop connected by hand.
type ShopToken struct {
	Setting string // The setting's name, for messages about it.
	Domain  string // Such as example.myshopify.com.
	Token   secret.Secret
}

// Facebook is how the app is known to Meta.
type Facebook struct {
	AppID         string
	AppSecrets    []secret.Secret // Newest first: all verify, the first asks.
	RedirectURI   string
	VerifyToken   secret.Secret
	LoginConfigID string // Empty: permissions are asked for by scope.
	GraphVersion  string
	GraphURL      string // No slash at its end.
	DialogURL     string // Likewise.
}

// Enabled tells whether Meta's part is set up at all.
func (f Facebook) Enabled() bool { return f.AppID != "" }

// Poll is when shops are read back, and what that may delete.
type Poll struct {
	Schedule  cron.Schedule  // Next(t) follows the clock of t's time zone.
	Zone      *time.Location // Nil: each shop's own.
	Spread    time.Duration  // The shops' polls begin within this time.
	MaxDelete MaxDelete
}

// MaxDelete is the fuse of a poll: one that would delete more than Percent of a
// resource's rows and more than Rows of them deletes none.
type MaxDelete struct {
	Percent float64 // 0 to 100.
	Rows    int
}

func (m MaxDelete) String() string { return fmt.Sprintf("%g%%,%d", m.Percent, m.Rows) }

// Roles says what this process does.
type Roles struct{ Web, Worker, Scheduler bool }

// AdminPasswordFile is where the dashboard's password is kept where none is
// set.
func (c Config) AdminPasswordFile() string {
	if c.Database.Engine == SQLite {
		return c.Database.Path + ".admin-password"
	}
	return "stockroom.admin-password"
}

// Shown is a setting as it may be shown to an operator.
type Shown struct {
	Name  string
	Value string // "[redacted]" for a secret.
	From  string // Such as "environment"; empty for a default.
}

// Show lists the settings that were read, in the order of Settings.
func (c Config) Show() []Shown { return slices.Clone(c.shown) }

// String prints the settings one a line, without secrets.
func (c Config) String() string {
	var b strings.Builder
	for _, s := range c.shown {
		fmt.Fprintf(&b, "%s=%s\n", s.Name, s.Value)
	}
	return b.String()
}

// LogValue gives the settings as attributes, without secrets.
func (c Config) LogValue() slog.Value {
	attrs := make([]slog.Attr, len(c.shown))
	for i, s := range c.shown {
		attrs[i] = slog.String(s.Name, s.Value)
	}
	return slog.GroupValue(attrs...)
}

// Mistake is one thing to mend in the settings.
type Mistake struct {
	Name    string // The setting.
	From    string // Where it was set; empty where it was not.
	Problem string // What is wrong and what to do.
}

func (m Mistake) String() string {
	if m.From == "" {
		return m.Name + ": " + m.Problem
	}
	return m.Name + " (" + m.From + "): " + m.Problem
}

// InvalidError holds every mistake found. Retrying cannot help.
type InvalidError struct{ Mistakes []Mistake }

func (e *InvalidError) Error() string {
	var b strings.Builder
	b.WriteString("the settings cannot be used:")
	for _, m := range e.Mistakes {
		b.WriteString("\n  " + m.String())
	}
	return b.String()
}
