package main

import (
	"encoding/json"
	"fmt"
	"time"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

type replayCommand struct {
	Shop        string `help:"The shop's full myshopify domain. May be left out where there is one shop."`
	Since       string `help:"Only webhooks received since: a time (2026-11-24T10:00:00Z) or an age (36h). Default: all that are stored."`
	Topic       string `help:"Only this topic, such as products/update."`
	Quarantined bool   `help:"Those in quarantine too."`
	JSON        bool   `help:"Print JSON."`
}

func (c *replayCommand) Run(e *env) error {
	args := apply.ReplayArgs{Topic: c.Topic, Quarantined: c.Quarantined}
	if _, known := shopify.TopicNamed(c.Topic); c.Topic != "" && !known {
		return usagef("--topic: no topic %q is known", c.Topic)
	}
	var err error
	if args.Since, err = since(c.Since, time.Now()); err != nil {
		return usagef("--since: %w", err)
	}
	encoded, err := json.Marshal(args)
	if err != nil {
		return err
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
	task, err := followTask(e, beside, store.Task{ShopID: shop.ID, Kind: store.TaskReplay, Reason: "manual", Args: encoded})
	if err != nil {
		return fmt.Errorf("replay webhooks of %s: %w", shop.Domain, err)
	}
	if task.State == store.RunFailed {
		return fmt.Errorf("replay webhooks of %s: %s", shop.Domain, task.Error)
	}
	done, err := apply.ReadReplayReport(task)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(e.stdout, done)
	}
	say := func(format string, args ...any) { fmt.Fprintf(e.stdout, format+"\n", args...) }
	say("%d webhooks went through again; %d records changed.", done.Fed, done.Changed)
	for _, change := range done.Changes {
		say("  %s %s: %s", change.Kind, change.ID, change.Action)
	}
	if n := done.Changed - len(done.Changes); n > 0 {
		say("  and %d more", n)
	}
	if done.Freed > 0 {
		say("%d of them had been in quarantine.", done.Freed)
	}
	if done.Unreadable > 0 {
		say("%d cannot be read.", done.Unreadable)
	}
	if done.Erased > 0 {
		say("%d were passed over: a customer had what they tell of erased.", done.Erased)
	}
	if done.Passed > 0 {
		say("%d are about the app's standing or people's data, and are never repeated.", done.Passed)
	}
	if done.Reads > 0 {
		text := "%d records are read by id in the background: what that changes is not counted here."
		if beside.Alone() {
			text = "%d records are to be read by id when a service runs: what that changes is not counted here."
		}
		say(text, done.Reads)
	}
	return nil
}

// since reads a moment, or an age before now; empty is the beginning.
func since(text string, now time.Time) (mirror.Instant, error) {
	if text == "" {
		return 0, nil
	}
	if age, err := time.ParseDuration(text); err == nil {
		if age < 0 {
			return 0, fmt.Errorf("%q lies ahead", text)
		}
		return mirror.At(now.Add(-age)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("%q is neither a time like 2026-11-24T10:00:00Z nor an age like 36h", text)
	}
	return mirror.At(at), nil
}
