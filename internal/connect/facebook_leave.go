package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"stockroom/internal/facebook"
	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/store"
)

// clockSlack is how far this machine's clock and Facebook's may be apart.
const clockSlack = 5 * time.Minute

// leavePages takes Pages of one shop out of sight, and keeps what is to be erased
// of them as a receipt, in the same transaction.
func (c *Connector) leavePages(tx *store.Tx, shop store.Shop, ids []int64, topic, request string) error {
	if len(ids) == 0 {
		return nil
	}
	if err := tx.LeaveFacebookPages(ids); err != nil {
		return err
	}
	now := mirror.At(c.Now())
	r := store.ErasureReceipt{Shop: shop.Domain, Topic: topic, WebhookID: request, State: store.ErasureAsked, Erasing: shop.ID, TrueAt: now, AskedAt: now}
	r.Subjects.Pages = ids
	_, err := tx.AddErasure(r)
	return err
}

// erasePages takes out the next rows of Pages that have left, or finds that there
// are none.
func (e *Eraser) erasePages(ctx context.Context, r *store.ErasureReceipt) error {
	var now store.ErasureReceipt
	err := e.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if now, err = tx.ErasureByID(r.ID); err != nil || now.State == store.ErasureScrubbing || now.State == store.ErasureDone {
			return err
		}
		now.State = store.ErasureErasing
		erased, err := tx.EraseFacebookPages(now.Subjects.Pages, eraseBatch)
		if err != nil {
			return err
		}
		for table, n := range erased {
			now.Rows[table] += n
		}
		if len(erased) == 0 {
			now.State = store.ErasureScrubbing
		}
		return tx.SaveErasure(now)
	})
	if err == nil {
		*r = now
	}
	return err
}

// Disconnect ends a Page's connection by the operator's word: Facebook is told as far
// as it can be, and all that is held of the Page is left to an Eraser. Untold says
// what Facebook could not be told; the connection has ended all the same.
func (p *Pages) Disconnect(ctx context.Context, page store.FacebookPage) (untold, err error) {
	untold = p.tellOfEnd(ctx, page)
	err = p.c.Store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.FacebookPage(page.ID)
		if err != nil {
			return err
		}
		shop, err := tx.ShopByID(now.ShopID)
		if err != nil {
			return err
		}
		return p.c.leavePages(tx, shop, []int64{now.ID}, store.TopicPagesDisconnected, "")
	})
	if err != nil {
		return untold, fmt.Errorf("disconnect Page %s: %w", page.PageID, err)
	}
	p.left()
	p.c.Log.Info("Page disconnected: what is held of it is being erased", "page", page.PageID)
	return untold, nil
}

// tellOfEnd ends the subscription at the Page, and takes the permissions back where
// the person connected no other Page.
func (p *Pages) tellOfEnd(ctx context.Context, page store.FacebookPage) error {
	token, err := p.tokenOf(page)
	if err != nil {
		return err
	}
	if err := p.meta.UnsubscribePage(ctx, page.PageID, token); err != nil {
		return err
	}
	var others []store.FacebookPage
	err = p.c.Store.View(ctx, func(tx *store.Tx) (err error) {
		others, err = tx.FacebookPagesOf(page.UserID)
		return err
	})
	if err != nil || page.UserID == "" || len(others) > 1 {
		return err
	}
	return p.meta.Revoke(ctx, page.UserID)
}

// left tells the rest of the program that Pages have left.
func (p *Pages) left() {
	p.Changed()
	if p.c.Events.ErasureAsked != nil {
		p.c.Events.ErasureAsked()
	}
}

// maxSigned bounds a signed request: it holds a handful of fields.
const maxSigned = 64 << 10

// signedRequest reads what Facebook posts to a callback; when ok is false it has answered.
func (p *Pages) signedRequest(w http.ResponseWriter, r *http.Request) (raw string, request facebook.SignedRequest, ok bool) {
	w.Header().Set("Cache-Control", "no-store")
	if !p.Enabled() {
		http.NotFound(w, r)
		return "", request, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxSigned)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return "", request, false
	}
	raw = r.PostForm.Get("signed_request")
	request, err := facebook.ParseSignedRequest(raw, p.AppSecrets())
	if err != nil {
		p.c.Log.Warn("a signed request was refused", "path", r.URL.Path, "error", err)
		http.Error(w, "the signature is wrong", http.StatusForbidden)
		return "", request, false
	}
	return raw, request, true
}

// meant lists the Pages that a person's request is about: those that they connected
// before it. One that is sent once more, after they connected again, is about none.
func meant(tx *store.Tx, request facebook.SignedRequest) ([]store.FacebookPage, error) {
	pages, err := tx.FacebookPagesOf(request.UserID)
	if err != nil || request.IssuedAt.IsZero() {
		return pages, err
	}
	latest := mirror.At(request.IssuedAt.Add(clockSlack))
	var all []store.FacebookPage
	for _, page := range pages {
		if page.ConnectedAt <= latest {
			all = append(all, page)
		}
	}
	return all, nil
}

// deauthorize takes Facebook's word that a person removed the app: the tokens that
// they gave are dead. The Pages' messages are kept, and their shops stay.
func (p *Pages) deauthorize(w http.ResponseWriter, r *http.Request) {
	_, request, ok := p.signedRequest(w, r)
	if !ok {
		return
	}
	var ended []store.FacebookPage
	err := p.c.Store.Update(r.Context(), func(tx *store.Tx) error {
		ended = nil
		pages, err := meant(tx, request)
		if err != nil {
			return err
		}
		for _, page := range pages {
			page.State, page.Token = store.PageReconnect, nil
			page.Trouble = p.trouble(page.Trouble, "The person who connected the Page has removed the app at Facebook.",
				"Connect the Page again: `stockroom pages add --shop SHOP` prints the link for somebody who manages it.")
			if page, err = tx.SaveFacebookPage(page); err != nil {
				return err
			}
			ended = append(ended, page)
		}
		return nil
	})
	if err != nil {
		p.c.Log.Error("a removal of the app at Facebook was not written down", "error", err)
		http.Error(w, "not stored: send it again", http.StatusServiceUnavailable)
		return
	}
	for _, page := range ended {
		p.c.Log.Error("Page must be connected again", "page", page.PageID, "why", page.Trouble.What, "do", page.Trouble.Remedy)
	}
	w.WriteHeader(http.StatusOK)
}

const codeBytes = 10

// deletion takes a person's request to have their data deleted. What they gave is
// out of use when it is answered; the rest is left to the Eraser, and the address in
// the answer tells how far that is. The same request has the same code.
func (p *Pages) deletion(w http.ResponseWriter, r *http.Request) {
	raw, request, ok := p.signedRequest(w, r)
	if !ok {
		return
	}
	code := fmt.Sprintf("%x", secret.Hash(raw)[:codeBytes])
	var n int
	err := p.c.Store.Update(r.Context(), func(tx *store.Tx) (err error) {
		n, err = p.askForDeletion(tx, request, code)
		return err
	})
	if err != nil {
		p.c.Log.Error("a person's request for deletion was not written down", "error", err)
		http.Error(w, "not stored: send it again", http.StatusServiceUnavailable)
		return
	}
	if n > 0 {
		p.left()
	}
	p.c.Log.Warn("a person asked through Facebook for their data to be deleted", "code", code, "pages", n)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"url": p.public("/facebook/deletion/" + code), "confirmation_code": code}) // Facebook may be gone.
}

func (p *Pages) askForDeletion(tx *store.Tx, request facebook.SignedRequest, code string) (pages int, err error) {
	known, err := tx.ErasuresBy(store.TopicPagesDeletion, code)
	if err != nil || len(known) > 0 {
		return 0, err
	}
	all, err := meant(tx, request)
	if err != nil {
		return 0, err
	}
	byShop := map[int64][]int64{}
	for _, page := range all {
		byShop[page.ShopID] = append(byShop[page.ShopID], page.ID)
	}
	for id, ids := range byShop {
		shop, err := tx.ShopByID(id)
		if err != nil {
			return 0, err
		}
		if err := p.c.leavePages(tx, shop, ids, store.TopicPagesDeletion, code); err != nil {
			return 0, err
		}
	}
	if len(all) == 0 {
		now := mirror.At(p.c.Now())
		_, err = tx.AddErasure(store.ErasureReceipt{Topic: store.TopicPagesDeletion, WebhookID: code, State: store.ErasureDone, TrueAt: now, AskedAt: now, DoneAt: now,
			Note: "the person is not known here: nothing is held of them"})
	}
	return len(all), err
}

// deletionView is what the page of a request for deletion shows.
type deletionView struct {
	Code            string
	Done, Held      bool
	AskedAt, DoneAt string
}

// showDeletion tells the person how far their request is. Whoever has the code may ask.
func (p *Pages) showDeletion(w http.ResponseWriter, r *http.Request) *problem {
	var receipts []store.ErasureReceipt
	code := r.PathValue("code")
	err := p.c.Store.View(r.Context(), func(tx *store.Tx) (err error) {
		receipts, err = tx.ErasuresBy(store.TopicPagesDeletion, code)
		return err
	})
	if err != nil {
		return broken("look the request up", "", err)
	}
	if len(receipts) == 0 {
		return &problem{Status: http.StatusNotFound, Title: "No such request", Text: "No request for deletion has this code.",
			Fix: "Look once more at the address that Facebook shows."}
	}
	view := deletionView{Code: code, Done: true, AskedAt: receipts[0].AskedAt.String()}
	var last mirror.Instant
	for _, one := range receipts {
		view.Held = view.Held || len(one.Subjects.Pages) > 0
		view.Done = view.Done && one.State == store.ErasureDone
		last = max(last, one.DoneAt)
	}
	view.DoneAt = last.String()
	p.c.show(w, http.StatusOK, "deletion", view)
	return nil
}

// errLeftMeanwhile is a shop that left while its Page was being connected.
var errLeftMeanwhile = errors.New("the shop has left meanwhile")
