package connect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"stockroom/internal/facebook"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// Upkeep looks after all Pages: the app's subscription, each Page's, and, once a
// day, each token. It is called every 15 minutes, for Facebook ends a Page's
// subscription after an hour of failures and tells nobody. What it cannot do is
// logged, written beside the Page, and tried again by the next call.
func (p *Pages) Upkeep(ctx context.Context) error {
	err := p.c.Store.Update(ctx, func(tx *store.Tx) error { return tx.DropFacebookLogins(mirror.At(p.c.Now())) })
	if err != nil {
		return err
	}
	pages, err := p.List(ctx)
	if err != nil || !p.Enabled() || len(pages) == 0 {
		return err
	}
	if err := p.auditApp(ctx, false); err != nil && ctx.Err() == nil {
		p.c.Log.Warn("the app's webhooks at Facebook could not be looked at, trying again in 15 minutes", "error", err)
	}
	next := make(chan store.FacebookPage)
	var working sync.WaitGroup
	for range pageWorkers {
		working.Go(func() {
			for page := range next {
				p.lookAfter(ctx, page)
			}
		})
	}
	for _, page := range pages {
		if ctx.Err() == nil {
			next <- page
		}
	}
	close(next)
	working.Wait()
	return ctx.Err()
}

func (p *Pages) lookAfter(ctx context.Context, page store.FacebookPage) {
	one, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	var err error
	if p.due(page) {
		page, err = p.Check(one, page)
	}
	if err == nil {
		_, err = p.Audit(one, page)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, store.ErrNotFound) {
		p.c.Log.Warn("a Page could not be looked after, trying again in 15 minutes", "page", page.PageID, "error", err)
	}
}

// Repair looks after the app's subscription and one Page at once, and asks for the
// Page's health. Unlike the audits it takes the app's webhooks over from another address.
func (p *Pages) Repair(ctx context.Context, page store.FacebookPage) (store.FacebookPage, error) {
	if err := p.auditApp(ctx, true); err != nil {
		return page, err
	}
	page, err := p.Check(ctx, page)
	if err != nil {
		return page, err
	}
	return p.Audit(ctx, page)
}

// Audit compares the app's subscription at a Page with what is wanted, mends it, and
// writes down how it stands. What Facebook refuses for good is beside the Page,
// and no error.
func (p *Pages) Audit(ctx context.Context, page store.FacebookPage) (store.FacebookPage, error) {
	if page.State != store.PageConnected {
		return page, nil
	}
	turn, err := p.audits.Take(ctx, page.ID)
	if err != nil {
		return page, err
	}
	defer turn()
	token, err := p.tokenOf(page)
	if err != nil {
		return page, err
	}
	stood, err := p.mendPage(ctx, page, token)
	if err != nil {
		return p.auditFailed(ctx, page, err)
	}
	now := mirror.At(p.c.Now())
	lost := page.AuditedAt != 0 && stood.lost
	page, err = p.change(ctx, page.ID, func(row *store.FacebookPage) {
		row.Fields, row.Refused, row.AuditedAt = stood.fields, stood.refused, now
		if lost {
			row.MendedAt = now
		}
		what, remedy := "", ""
		if missing := facebook.Missing(essential(), stood.fields); len(missing) > 0 {
			what = "Facebook does not send what is written to it: " + strings.Join(missing, ", ") + " cannot be subscribed to."
			remedy = "Connect the Page again with all permissions: `stockroom pages add --shop SHOP` prints the link."
		}
		row.Hook = p.trouble(row.Hook, what, remedy)
	})
	if err == nil && lost {
		p.c.Log.Warn("a Page's webhooks had gone and are subscribed to again: what was written meanwhile was not told", "page", page.PageID)
	}
	return page, err
}

// essential are the fields without which a Page cannot be answered.
func essential() []string { return []string{"messages"} }

// standing is how a subscription stands after it was mended.
type standing struct {
	fields  []string // Found by reading back.
	refused []string // Wanted, and not taken by Meta.
	lost    bool     // Something of it was gone.
}

func (p *Pages) mendPage(ctx context.Context, page store.FacebookPage, token secret.Secret) (standing, error) {
	found, subscribed, err := p.meta.PageFields(ctx, page.PageID, token)
	if err != nil {
		return standing{}, err
	}
	s := standing{fields: found, refused: page.Refused}
	wanted := slices.DeleteFunc(facebook.Fields(), func(f string) bool { return slices.Contains(page.Refused, f) })
	missing := facebook.Missing(wanted, found)
	if subscribed && len(missing) == 0 {
		return s, nil
	}
	// Also what was subscribed to by somebody else with this app stays.
	s.lost = !subscribed || slices.ContainsFunc(missing, func(f string) bool { return slices.Contains(page.Fields, f) })
	s.refused, err = subscribing(union(found, facebook.Fields()), func(fields []string) error {
		return p.meta.SubscribePage(ctx, page.PageID, token, fields)
	})
	if err != nil {
		return s, err
	}
	s.fields, _, err = p.meta.PageFields(ctx, page.PageID, token)
	return s, err
}

// subscribing subscribes to fields, and says which Meta does not take. A field that
// it does not know fails the call as a whole: then they are tried one by one.
func subscribing(fields []string, subscribe func([]string) error) (refused []string, err error) {
	err = subscribe(fields)
	if facebook.ClassOf(err) != facebook.ClassInvalid {
		return nil, err
	}
	first := err
	var taken []string
	for _, field := range fields { // A dozen.
		switch err := subscribe(append(slices.Clone(taken), field)); {
		case err == nil:
			taken = append(taken, field)
		case facebook.ClassOf(err) == facebook.ClassInvalid:
			refused = append(refused, field)
		default:
			return nil, err
		}
	}
	if len(taken) == 0 {
		return nil, first // It is not about any one of them.
	}
	return refused, nil
}

// auditFailed writes down why a Page's subscription could not be seen or mended.
func (p *Pages) auditFailed(ctx context.Context, page store.FacebookPage, cause error) (store.FacebookPage, error) {
	cause = fmt.Errorf("look at the webhooks of Page %s: %w", page.PageID, cause)
	switch facebook.ClassOf(cause) {
	case facebook.ClassToken, facebook.ClassOwner:
		// Whether a token is dead is not decided by one call: Facebook is asked.
		checked, err := p.Check(ctx, page)
		if err != nil {
			return page, errors.Join(cause, err)
		}
		if checked.State != store.PageConnected || checked.Trouble.What != "" {
			return checked, nil
		}
		page = checked
	case facebook.ClassPermission, facebook.ClassMissing, facebook.ClassInvalid, facebook.ClassBlocked:
	default:
		return page, cause // Of no meaning for the Page.
	}
	what, do := facebook.Explain(cause)
	changed, err := p.change(ctx, page.ID, func(row *store.FacebookPage) {
		row.AuditedAt = mirror.At(p.c.Now())
		row.Hook = p.trouble(row.Hook, "Its webhooks could not be subscribed to. "+what, do)
	})
	if err != nil {
		return page, errors.Join(cause, err)
	}
	if changed.Hook.Since == changed.AuditedAt {
		p.c.Log.Error("webhooks of a Page could not be subscribed to", "page", page.PageID, "why", what, "do", do, "error", cause)
	}
	return changed, nil
}

// auditApp compares the app's own subscription with what is wanted and mends it.
// One that leads to another address is left alone, unless takeOver says
// otherwise: another installation of the app may live there.
func (p *Pages) auditApp(ctx context.Context, takeOver bool) error {
	turn, err := p.audits.Take(ctx, 0)
	if err != nil {
		return err
	}
	defer turn()
	stood, err := p.mendApp(ctx, takeOver)
	if err != nil && facebook.ClassOf(err) == "" {
		return err
	}
	if class := facebook.ClassOf(err); class == facebook.ClassRetry || class == facebook.ClassThrottled {
		return fmt.Errorf("look at the app's webhooks at Facebook: %w", err)
	}
	var before store.FacebookApp
	now := mirror.At(p.c.Now())
	writing := p.c.Store.Update(ctx, func(tx *store.Tx) (writing error) {
		if before, writing = tx.FacebookApp(); writing != nil {
			return writing
		}
		stood.AuditedAt = now
		stood.Trouble = p.trouble(before.Trouble, stood.Trouble.What, stood.Trouble.Remedy)
		return tx.SetFacebookApp(stood)
	})
	if writing != nil {
		return writing
	}
	if stood.Trouble.What != "" && before.Trouble.What != stood.Trouble.What {
		p.c.Log.Error("Facebook does not send webhooks here", "why", stood.Trouble.What, "do", stood.Trouble.Remedy, "error", err)
	}
	return nil
}

func (p *Pages) mendApp(ctx context.Context, takeOver bool) (stood store.FacebookApp, err error) {
	refused := func(err error) (store.FacebookApp, error) {
		stood.Trouble.What, stood.Trouble.Remedy = facebook.Explain(err)
		return stood, err
	}
	all, err := p.meta.AppSubscriptions(ctx)
	if err != nil {
		return refused(err)
	}
	ours := p.WebhookAddress()
	found, is := ofPages(all)
	stood.Callback, stood.Fields = found.Callback, found.Fields
	if is && found.Callback != ours && !takeOver {
		stood.Trouble.What = fmt.Sprintf("Facebook sends the app's webhooks to %s and not to %s.", found.Callback, ours)
		stood.Trouble.Remedy = "If no other installation uses this app, `stockroom pages repair` has them sent here. If one does, make an app of its own for each."
		return stood, nil
	}
	if is && found.Callback == ours && found.Active && len(facebook.Missing(essential(), found.Fields)) == 0 && p.knownMissing(ctx, found.Fields) {
		return stood, nil
	}
	_, err = subscribing(union(found.Fields, facebook.Fields()), func(fields []string) error {
		return p.meta.SubscribeApp(ctx, facebook.AppSubscription{Object: facebook.ObjectPage, Callback: ours, Fields: fields}, p.VerifyToken)
	})
	if err != nil {
		stood.Trouble.What, stood.Trouble.Remedy = facebook.Explain(err)
		if class := facebook.ClassOf(err); class == facebook.ClassInvalid {
			stood.Trouble.What = "Facebook does not take " + ours + " as the app's webhook address."
			stood.Trouble.Remedy = "Facebook has to reach it from outside over https, with a certificate that it trusts, and to be answered with FACEBOOK_VERIFY_TOKEN: `stockroom doctor` tries that. Then `stockroom pages repair`."
		}
		return stood, err
	}
	if all, err = p.meta.AppSubscriptions(ctx); err != nil {
		return refused(err)
	}
	found, _ = ofPages(all)
	stood.Callback, stood.Fields = found.Callback, found.Fields
	if missing := facebook.Missing(essential(), found.Fields); len(missing) > 0 || !found.Active {
		stood.Trouble.What = "The app's subscription to Pages does not become active at Facebook."
		stood.Trouble.Remedy = "Look at the app's dashboard, Webhooks, Page: subscribe to messages there."
	} else {
		p.c.Log.Info("the app's webhooks are subscribed to at Facebook", "address", ours, "fields", strings.Join(found.Fields, ","))
	}
	return stood, nil
}

// Probe asks Facebook how a Page stands and writes nothing: the row as a check would
// leave it, and the fields that the app is subscribed to there.
func (p *Pages) Probe(ctx context.Context, page store.FacebookPage) (judged store.FacebookPage, fields []string, subscribed bool, err error) {
	token, err := p.tokenOf(page)
	if errors.Is(err, errNoPageToken) {
		return page, nil, false, nil
	}
	if err != nil {
		return page, nil, false, err
	}
	info, err := p.meta.Inspect(ctx, token)
	if err != nil {
		return page, nil, false, err
	}
	page.CheckedAt = mirror.At(p.c.Now())
	if p.judge(&page, info); page.State != store.PageConnected {
		return page, nil, false, nil
	}
	fields, subscribed, err = p.meta.PageFields(ctx, page.PageID, token)
	return page, fields, subscribed, err
}

// ProbeApp asks whether Facebook knows the app by its secret, and for its
// subscription to Pages; found is false where there is none. Nothing is written.
func (p *Pages) ProbeApp(ctx context.Context) (s facebook.AppSubscription, found bool, err error) {
	if _, err := p.meta.CheckApp(ctx); err != nil {
		return s, false, err
	}
	all, err := p.meta.AppSubscriptions(ctx)
	if err != nil {
		return s, false, err
	}
	s, found = ofPages(all)
	return s, found, nil
}

// knownMissing reports that what lacks of the wanted fields lacked when all were
// asked for: Meta does not take them.
func (p *Pages) knownMissing(ctx context.Context, fields []string) bool {
	missing := facebook.Missing(facebook.Fields(), fields)
	if len(missing) == 0 {
		return true
	}
	var before store.FacebookApp
	err := p.c.Store.View(ctx, func(tx *store.Tx) (err error) {
		before, err = tx.FacebookApp()
		return err
	})
	return err == nil && before.AuditedAt != 0 && slices.Equal(missing, facebook.Missing(facebook.Fields(), before.Fields))
}

func ofPages(all []facebook.AppSubscription) (facebook.AppSubscription, bool) {
	for _, s := range all {
		if s.Object == facebook.ObjectPage {
			return s, true
		}
	}
	return facebook.AppSubscription{}, false
}
