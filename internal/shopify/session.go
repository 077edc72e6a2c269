package shopify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"stockroom/internal/secret"
)

// ErrBadSession says that a session token was not made by Shopify for this app
// and for now.
var ErrBadSession = errors.New("session token is not Shopify's for this app and now")

// sessionLeeway is how far Shopify's clock and this machine's may differ; the
// tokens themselves live for a minute.
const sessionLeeway = 10 * time.Second

// VerifySession checks the session token that Shopify's App Bridge gives to the
// page of an embedded app, and says whose shop it is. Now is on Shopify's clock.
// Its claims are those of Shopify's page "Session tokens" (2026-11-24): it is
// signed by HS256 with the app's secret, of which any may have signed.
func VerifySession(token secret.Secret, clientID string, secrets []secret.Secret, now time.Time) (domain string, err error) {
	message, signature, found := cutLast(token.Reveal(), ".")
	head, claims, whole := strings.Cut(message, ".")
	if !found || !whole {
		return "", fmt.Errorf("%w: it is no JWT", ErrBadSession)
	}
	var header struct {
		Algorithm string `json:"alg"`
	}
	// The algorithm is not the token's to choose.
	if err := decodeSegment(head, &header); err != nil || header.Algorithm != "HS256" {
		return "", fmt.Errorf("%w: it is not signed by HS256", ErrBadSession)
	}
	given, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || len(given) != sha256.Size || !signedByAny([]byte(message), given, secrets) {
		return "", fmt.Errorf("%w: its signature does not match", ErrBadSession)
	}
	var said struct {
		Issuer      string `json:"iss"`
		Destination string `json:"dest"`
		Audience    string `json:"aud"`
		NotBefore   int64  `json:"nbf"`
		Expires     int64  `json:"exp"`
	}
	if err := decodeSegment(claims, &said); err != nil {
		return "", fmt.Errorf("%w: its claims cannot be read", ErrBadSession)
	}
	if said.Audience != clientID {
		return "", fmt.Errorf("%w: it is another app's", ErrBadSession)
	}
	if now.Add(sessionLeeway).Before(time.Unix(said.NotBefore, 0)) || !now.Add(-sessionLeeway).Before(time.Unix(said.Expires, 0)) {
		return "", fmt.Errorf("%w: its time is over, or has not come", ErrBadSession)
	}
	destination, err := url.Parse(said.Destination)
	if err != nil || destination.Scheme != "https" {
		return "", fmt.Errorf("%w: it names no shop", ErrBadSession)
	}
	if domain, err = ShopDomain(destination.Host); err != nil {
		return "", fmt.Errorf("%w: it names no shop", ErrBadSession)
	}
	if issuer, err := url.Parse(said.Issuer); err != nil || !strings.EqualFold(issuer.Host, domain) {
		return "", fmt.Errorf("%w: it was issued for another shop than it names", ErrBadSession)
	}
	return domain, nil
}

func cutLast(text, at string) (before, after string, found bool) {
	i := strings.LastIndex(text, at)
	if i < 0 {
		return "", "", false
	}
	return text[:i], text[i+len(at):], true
}

// decodeSegment's errors are not shown: they may quote the token.
func decodeSegment(segment string, into any) error {
	text, err := base64.RawURLEncoding.DecodeString(segment)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
