package main

import (
	"fmt"
	"strings"
	"time"

	"stockroom/internal/config"
	"stockroom/internal/mirror"
	"stockroom/internal/query"
	"stockroom/internal/store"
)

type statusCommand struct {
	JSON bool `help:"Print JSON."`
}

func (c *statusCommand) Run(e *env) error {
	reader, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	all, err := reader.Status(e.ctx, e.wantedScopes(), true)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, all)
	}
	if len(all) == 0 {
		fmt.Fprintln(e.stdout, "No shop is connected yet: `stockroom shops add --shop example.myshopify.com` prints the link to do it.")
	}
	for i, shop := range all {
		if i > 0 {
			fmt.Fprintln(e.stdout)
		}
		printStatus(e, shop)
	}
	return nil
}

func printStatus(e *env, s query.ShopStatus) {
	line := func(label, format string, args ...any) {
		fmt.Fprintf(e.stdout, "  %-14s %s\n", label, fmt.Sprintf(format, args...))
	}
	fmt.Fprintf(e.stdout, "%s: %s\n", s.Shop, s.State)
	login := e.loginLink(s.Shop)
	if s.State == store.ShopReconnect {
		line("trouble", "since %s: %s", when(s.TroubleSince), s.Trouble)
		line("", "its owner has to open the app, or %s. The copy is kept.", login)
	}
	for _, r := range s.Resources {
		if !r.Mirrored && s.State == store.ShopConnected {
			line("not mirrored", "%s: %s", r.Type, strings.Replace(r.Why, "/shopify/login?shop="+s.Shop, login, 1))
		}
	}
	if len(s.ScopesMissing) > 0 {
		line("not granted", "%s: its owner can grant them at %s", strings.Join(s.ScopesMissing, ", "), login)
	}
	line("token", "%s", tokenText(s.Token))
	line("webhooks", "%d subscriptions active, %d received and not applied, %d in quarantine", s.Subscriptions.Active, s.Inbox.New, s.Inbox.Quarantined)
	for topic, reason := range s.Subscriptions.Missing {
		line("", "%s is not subscribed: %s", topic, reason)
	}
	for _, page := range s.Pages {
		line("Page", "%s (%s): %s, %s", page.Name, page.Page, page.State, waitingText(page))
		for _, t := range page.Troubles {
			line("", "since %s: %s %s", when(t.Since), t.What, t.Remedy)
		}
	}
	line("reads owed", "%d", s.Demands)
	if run := s.LastRun; run != nil {
		line("last run", "%s %s, queued %s, ended %s%s", run.Kind, run.State, when(run.QueuedAt), when(run.EndedAt), driftText(run.Drift))
		for _, gap := range run.Gaps {
			line("", "%s", gap)
		}
	}
	if sweep := s.LastSweep; sweep != nil {
		line("last sweep", "%s, queued %s, ended %s; drifted: %d", sweep.State, when(sweep.QueuedAt), when(sweep.EndedAt), sweep.Drifted)
		for _, gap := range sweep.Gaps {
			line("", "%s", gap)
		}
	}
	for _, silence := range s.Silences {
		line("silent", "%s, last heard %s, noticed %s: %s", silence.Topic, when(silence.Since), when(silence.NoticedAt), silence.Found)
	}
	for _, name := range mirror.Types {
		if rows := s.Rows[name]; rows > 0 || !s.VerifiedAt[name].IsZero() {
			line(name, "%d, verified %s", rows, when(s.VerifiedAt[name]))
		}
	}
}

// waitingText tells of a Page's messages. Until there is a responder, all wait.
func waitingText(p query.PageStatus) string {
	if p.Waiting == 0 {
		return "no message waits"
	}
	return fmt.Sprintf("%d messages wait for an answer, the oldest since %s", p.Waiting, when(p.OldestAt))
}

func tokenText(t query.TokenStatus) string {
	how := map[store.TokenGrant]string{store.GrantLogin: "by login", store.GrantHand: "given by hand", store.GrantSession: "by an embedded page",
		store.GrantCredentials: "by client credentials"}[t.Grant]
	if t.ExpiresAt.IsZero() {
		return how + ", does not expire"
	}
	return fmt.Sprintf("%s, renewed %s, lives until %s", how, when(t.RenewedAt), when(t.ExpiresAt))
}

// loginLink is where a shop's owner connects it, or grants more: the whole
// address where it is known.
func (e *env) loginLink(shop string) string {
	path := "/shopify/login?shop=" + shop
	cfg, _ := config.Load(e.source, config.NeedShopify) // A mistake in it is another command's to tell.
	if base, ok := strings.CutSuffix(cfg.Shopify.RedirectURI, "/shopify/callback"); ok && base != "" {
		return base + path
	}
	return path
}

func driftText(drift []query.DriftCount) string {
	if len(drift) == 0 {
		return ""
	}
	parts := make([]string, len(drift))
	for i, d := range drift {
		parts[i] = fmt.Sprintf("%d %s %s", d.Rows, d.Type, d.Class)
	}
	return "; drifted: " + strings.Join(parts, ", ")
}

func when(t mirror.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Time.Local().Format(time.DateTime)
}
