package doctor

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"stockroom/internal/secret"
)

// addresses knocks at the public addresses as Shopify and browsers do. Somebody
// outside may be answered otherwise; that is said.
func addresses(ctx context.Context, p *Patient) (found []Finding) {
	s := p.Config.Shopify
	if s.WebhookAddress == "" && s.RedirectURI == "" {
		return unseen("neither SHOPIFY_WEBHOOK_ADDRESS nor SHOPIFY_REDIRECT_URI is set")
	}
	if s.WebhookAddress != "" {
		found = append(found, webhookAddress(ctx, p, s.WebhookAddress))
	}
	if s.RedirectURI != "" {
		found = append(found, redirectAddress(ctx, p, s.RedirectURI))
	}
	return found
}

// webhookAddress sends a webhook of nobody's shop, signed as Shopify signs. The
// service says that it knows no such shop, which it says to genuine senders alone.
func webhookAddress(ctx context.Context, p *Patient, address string) Finding {
	if len(p.Config.Shopify.APISecrets) == 0 {
		return Finding{Level: Unknown, Found: "SHOPIFY_API_SECRET is not set, so no webhook can be signed"}
	}
	body := []byte(`{"asked_by":"stockroom doctor","nonce":"` + secret.RandomToken(16) + `","text":"å <>&"}`)
	mac := hmac.New(sha256.New, []byte(p.Config.Shopify.APISecrets[0].Reveal()))
	mac.Write(body)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(string(body)))
	if err != nil {
		return Finding{Level: Fault, Found: fmt.Sprintf("SHOPIFY_WEBHOOK_ADDRESS cannot be asked: %v", err), Remedy: "Correct the address."}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Shopify-Topic", "products/update")
	request.Header.Set("X-Shopify-Shop-Domain", "nobody-the-doctor-asks.myshopify.com")
	request.Header.Set("X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	status, text, fault := p.knock(request, "SHOPIFY_WEBHOOK_ADDRESS")
	if fault != nil {
		return *fault
	}
	const mistaken = "Does the whole site reach the service, without a path in front, and is SHOPIFY_WEBHOOK_ADDRESS the address of its /shopify/webhook?"
	switch {
	case status == http.StatusNotFound && strings.Contains(text, "no such shop"):
		return Finding{Level: OK, Found: "the service answers at the webhook address, and bodies pass unchanged; whether Shopify reaches it from outside, only Shopify can tell"}
	case status == http.StatusUnauthorized && strings.Contains(text, "the signature is wrong"):
		return Finding{Level: Fault, Found: "the service at the webhook address does not take this secret's signature",
			Remedy: "Either it runs with another SHOPIFY_API_SECRET than this command was given, so give both the same and restart; or a proxy changes bodies: they must pass byte by byte."}
	case status >= 500:
		return Finding{Level: Fault, Found: fmt.Sprintf("the webhook address answers %d", status), Remedy: "Is the service running behind the proxy? `systemctl status`, and the proxy's own log, tell. Shopify repeats what fails for four hours, and deletes subscriptions after eight failures."}
	}
	return Finding{Level: Fault, Found: fmt.Sprintf("something else than this service answers at the webhook address (%d)", status), Remedy: mistaken}
}

// redirectAddress asks for the page that a login comes back to, without what a
// login brings: the service says that no shop is named.
func redirectAddress(ctx context.Context, p *Patient, address string) Finding {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return Finding{Level: Fault, Found: fmt.Sprintf("SHOPIFY_REDIRECT_URI cannot be asked: %v", err), Remedy: "Correct the address."}
	}
	status, text, fault := p.knock(request, "SHOPIFY_REDIRECT_URI")
	switch {
	case fault != nil:
		return *fault
	case status == http.StatusBadRequest && strings.Contains(text, "Which shop?"):
		return Finding{Level: OK, Found: "the service answers at the redirect address"}
	case status >= 500:
		return Finding{Level: Fault, Found: fmt.Sprintf("the redirect address answers %d", status), Remedy: "Is the service running behind the proxy? `systemctl status`, and the proxy's own log, tell."}
	}
	return Finding{Level: Fault, Found: fmt.Sprintf("something else than this service answers at the redirect address (%d)", status),
		Remedy: "Does the whole site reach the service, without a path in front, and is SHOPIFY_REDIRECT_URI the address of its /shopify/callback?"}
}

// maxAnswer bounds what is read of a page.
const maxAnswer = 64 << 10

// knock asks once, and turns what keeps an answer from coming into a fault.
func (p *Patient) knock(request *http.Request, setting string) (status int, text string, fault *Finding) {
	is := func(what, remedy string) *Finding {
		return &Finding{Level: Fault, Found: setting + ": " + what, Remedy: remedy}
	}
	reply, err := p.HTTP.Do(request)
	host := request.URL.Hostname()
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // Without the address, which is known.
		}
		var dns *net.DNSError
		var certificate *tls.CertificateVerificationError
		switch {
		case errors.As(err, &dns):
			return 0, "", is(fmt.Sprintf("nobody knows the name %s: %v", host, err), "Is it spelt right, and does its DNS record exist?")
		case errors.As(err, &certificate):
			return 0, "", is(fmt.Sprintf("its certificate is not good: %v", err), "Shopify checks certificates: renew it, or send the whole chain.")
		case errors.Is(err, context.DeadlineExceeded):
			return 0, "", is("it did not answer in time", "Shopify gives it one second to connect and five in all. Does a firewall swallow the requests? This machine may not be able to reach its own public address: then ask from another.")
		}
		return 0, "", is(fmt.Sprintf("it cannot be reached: %v", err), "Is the service running, is the proxy, and does the firewall let them be reached? This machine may not be able to reach its own public address: then ask from another.")
	}
	defer reply.Body.Close()
	page, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	if err != nil {
		return 0, "", is(fmt.Sprintf("its answer broke off: %v", err), "Look at the proxy's log.")
	}
	if reply.StatusCode >= 300 && reply.StatusCode < 400 {
		return 0, "", is(fmt.Sprintf("it sends on to another address (%d)", reply.StatusCode), "Shopify follows no redirect, and counts it as a failure: set the address that it leads to, with https:// and the right host.")
	}
	return reply.StatusCode, string(page), nil
}
