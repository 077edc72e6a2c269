// Package shopify is Shopify's side of the wire: OAuth, signatures, the Admin
// API with its throttle and errors, lists and reads by id, webhook topics and
// bodies, and subscriptions. It turns what Shopify sends into observations of
// package mirror and knows nothing of how they are kept.
//
// It promises:
//   - An answer with errors in it is an error for the caller, so that a denied
//     field never looks like an empty list; see TestErrorsBesideDataAreErrors.
//   - A nested list is read to its end or its read fails; see
//     TestNestedListsAreReadToTheirEnd.
//   - The cost budget is not exceeded by what this process sends, and a part of
//     it is kept for interactive calls; see TestThrottle....
//   - Every observation's asOf is on Shopify's clock and never later than the
//     moment the answer was true; see TestClock....
//   - Tokens and secrets are in no error, log line or address.
//
// What to read, when, and what to do with the answers is left to package
// reconcile; keeping tokens to package connect.
package shopify

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// Keys of log attributes.
const (
	logShop      = "shop"
	logOperation = "operation"
	logError     = "error"
)

// A shop's domain as Shopify's page 'Authorization code grant' gives it,
// anchored: an unanchored pattern would send the secret to
// x.myshopify.com.evil.example.
var shopDomain = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9-]*\.[mM][yY][sS][hH][oO][pP][iI][fF][yY]\.[cC][oO][mM]$`)

const maxShopDomain = 255

// ShopDomain checks and lower-cases a shop's full myshopify domain.
func ShopDomain(text string) (string, error) {
	// Matched before lowering, which turns some foreign letters into ASCII.
	if len(text) > maxShopDomain || !shopDomain.MatchString(text) {
		return "", fmt.Errorf("%.80q is not a shop's domain: it must read like example.myshopify.com", text)
	}
	return strings.ToLower(text), nil
}

// BaseURL fills a shop's domain into a template such as https://{shop}, and
// checks that the result is an address.
func BaseURL(template, shop string) (string, error) {
	base := strings.TrimRight(strings.ReplaceAll(template, "{shop}", shop), "/")
	parsed, err := url.Parse(base)
	if err != nil || parsed.Host == "" || parsed.Scheme != "https" && parsed.Scheme != "http" ||
		parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		return "", fmt.Errorf("address %q of shop %s is not of the form https://host/path", template, shop)
	}
	return base, nil
}
