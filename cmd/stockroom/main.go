// Stockroom keeps an exact, queryable copy of every Shopify shop that connects
// to it.
//
// This file turns arguments into a command and its error into words and an exit
// code; each command has a small file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"stockroom/internal/config"
	"stockroom/internal/connect"
)

// Exit codes.
const (
	exitOK    = 0
	exitFault = 1 // What was asked for could not be done, or not in full.
	exitUsage = 2 // The command, a flag or a setting is wrong.
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// cli is the commands as users type them.
type cli struct {
	Serve    serveCommand    `cmd:"" help:"Run the service: receive webhooks, poll every day, answer."`
	Demo     demoCommand     `cmd:"" help:"See it work: a simulated shop, connected, changing, drifting, repaired. Needs no account and no network."`
	Sim      simCommand      `cmd:"" help:"Run a simulated Shopify for your own app."`
	Shops    shopsCommand    `cmd:"" help:"List, add or remove shops."`
	Pages    pagesCommand    `cmd:"" help:"List, connect, repair or disconnect Facebook Pages."`
	Webhooks webhooksCommand `cmd:"" help:"List or repair webhook subscriptions, or print them for shopify.app.toml."`
	Keys     keysCommand     `cmd:"" help:"Create, list or revoke keys of the REST API."`
	Secrets  secretsCommand  `cmd:"" help:"Replace the encryption key or the app's secret."`
	Poll     pollCommand     `cmd:"" help:"Read shops back now, repair the copy, and print what had drifted."`
	Sweep    sweepCommand    `cmd:"" help:"Ask shops now for what changed lately."`
	Undelete undeleteCommand `cmd:"" help:"Show records again that were wrongly taken for deleted, if the shop shows them."`
	Drift    driftCommand    `cmd:"" help:"Show what a poll found drifted, field by field, and why."`
	Why      whyCommand      `cmd:"" help:"Tell why the copy says what it says of an object, and what Shopify says now."`
	Replay   replayCommand   `cmd:"" help:"Feed stored webhooks through again. It changes nothing that is right."`
	Status   statusCommand   `cmd:"" help:"Show how every shop stands."`
	Search   searchCommand   `cmd:"" help:"Search a shop's products."`
	Export   exportCommand   `cmd:"" help:"Print a shop's copy, one JSON object a line."`
	Doctor   doctorCommand   `cmd:"" help:"Look for what is wrong with this installation, and say what to do about it."`

	Backup     backupCommand     `cmd:"" help:"Copy the database into a file, beside a running service."`
	Restore    restoreCommand    `cmd:"" help:"Put a backup in the place of the database. Stop the service first."`
	Migrate    migrateCommand    `cmd:"" help:"Bring the database's schema up to date."`
	Version    versionCommand    `cmd:"" help:"Print the version."`
	Completion completionCommand `cmd:"" help:"Print a completion script for a shell."`
}

// env is what a command may use of the world.
type env struct {
	ctx            context.Context
	source         config.Source
	stdout, stderr io.Writer
}

// usageError is a mistake in how the program was called.
type usageError struct{ error }

// silentError carries only an exit code: what there was to say has been printed.
var errSilent = errors.New("")

// exited unwinds the parser when it would have ended the process, as for --help.
type exited int

func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (code int) {
	defer func() {
		if value := recover(); value != nil {
			exit, ok := value.(exited)
			if !ok {
				panic(value)
			}
			code = int(exit)
		}
	}()
	flags, rest, err := config.TakeFlags(args)
	if err != nil {
		return complain(stderr, err)
	}
	var commands cli
	parser, err := kong.New(&commands, kong.Name("stockroom"), kong.Writers(stdout, stderr),
		kong.Description("An exact, queryable copy of Shopify shops. Settings come from the environment, a .env file, or a flag of the same name: see docs/settings.md."),
		kong.UsageOnError(), kong.Exit(func(code int) { panic(exited(code)) }), kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // The struct above is wrong.
	}
	if len(rest) == 0 {
		rest = []string{"--help"}
	}
	parsed, err := parser.Parse(rest)
	if err != nil {
		return complain(stderr, usageError{fmt.Errorf("%w (see stockroom --help)", err)})
	}
	e := &env{ctx: ctx, stdout: stdout, stderr: stderr, source: config.Source{Flags: flags, Environ: environ, DotEnv: ".env"}}
	if err := parsed.Run(e, parser); err != nil {
		return complain(stderr, err)
	}
	return exitOK
}

// complain prints an error for people and says with what to exit.
func complain(stderr io.Writer, err error) int {
	if text := strings.TrimSpace(err.Error()); text != "" {
		fmt.Fprintln(stderr, "stockroom:", text)
	}
	var usage usageError
	var invalid *config.InvalidError
	if errors.As(err, &usage) || errors.As(err, &invalid) {
		return exitUsage
	}
	return exitFault
}

// load reads the settings that a command needs, and prints their warnings.
func (e *env) load(needs ...config.Need) (config.Config, error) {
	cfg, err := config.Load(e.source, needs...)
	for _, warning := range cfg.Warnings {
		fmt.Fprintln(e.stderr, "stockroom: warning:", warning)
	}
	return cfg, err
}

// wantedScopes are the access scopes that the app asks shops for. A reading
// command must not fail for lack of the settings beside it.
func (e *env) wantedScopes() []string {
	if cfg, _ := config.Load(e.source, config.NeedShopify); cfg.Shopify.Scopes != nil {
		return cfg.Shopify.Scopes
	}
	return connect.DefaultScopes()
}

// logger writes to stderr, so that a command's output stays clean.
func (e *env) logger(cfg config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.LogLevel}
	if cfg.LogFormat == config.LogJSON {
		return slog.New(slog.NewJSONHandler(e.stderr, options))
	}
	return slog.New(slog.NewTextHandler(e.stderr, options))
}
