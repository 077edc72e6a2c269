package shopify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"stockroom/internal/secret"
)

// VerifyWebhook checks X-Shopify-Hmac-Sha256 over the body as it was received.
// Any of the secrets may have signed: while a secret is being rotated, Shopify
// signs with the oldest that is not revoked (Shopify's page 'Deliver webhooks
// through HTTPS'). The headers are not signed.
func VerifyWebhook(body []byte, header string, secrets []secret.Secret) bool {
	given, err := base64.StdEncoding.DecodeString(header)
	if err != nil || len(given) != sha256.Size {
		return false
	}
	return signedByAny(body, given, secrets)
}

// signedByAny tries every secret, found or not, so that the time taken tells
// nothing. An empty secret, which anybody could sign with, never matches.
func signedByAny(message, given []byte, secrets []secret.Secret) bool {
	matched := false
	for _, s := range secrets {
		if s.Empty() {
			continue
		}
		mac := hmac.New(sha256.New, []byte(s.Reveal()))
		mac.Write(message)
		if hmac.Equal(mac.Sum(nil), given) {
			matched = true
		}
	}
	return matched
}

// queryFreshness is how old a signed query may be; Shopify's own libraries use
// the same.
const queryFreshness = 90 * time.Second

// ErrBadQuery says that a query was not signed by Shopify, or too long ago.
var ErrBadQuery = errors.New("query is not signed by Shopify for now")

// VerifyQuery checks the hmac of a launch's or OAuth callback's query, and that
// its timestamp is at most 90 s away from now, on Shopify's clock. All
// parameters that came are signed, also ones not known yet (Shopify's page
// 'Authorization code grant').
func VerifyQuery(values url.Values, secrets []secret.Secret, now time.Time) error {
	if len(values["hmac"]) != 1 || len(values["timestamp"]) != 1 {
		return fmt.Errorf("%w: it needs one hmac and one timestamp", ErrBadQuery)
	}
	text := values.Get("hmac")
	given, err := hex.DecodeString(text)
	if err != nil || len(given) != sha256.Size || text != strings.ToLower(text) {
		return fmt.Errorf("%w: hmac is not 64 lower-case hexadecimal digits", ErrBadQuery)
	}
	if !signedByAny([]byte(queryMessage(values)), given, secrets) {
		return fmt.Errorf("%w: hmac does not match", ErrBadQuery)
	}
	seconds, err := strconv.ParseInt(values.Get("timestamp"), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: timestamp is not a number", ErrBadQuery)
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > queryFreshness || age < -queryFreshness {
		return fmt.Errorf("%w: its timestamp is %s away", ErrBadQuery, age.Round(time.Second))
	}
	return nil
}

// queryMessage is what Shopify signs: the parameters without hmac and signature,
// sorted by key and form-encoded, a space as %20. Of a repeated key the values
// are joined by commas, as Shopify's library does for raw queries; the OAuth
// callback has none.
func queryMessage(values url.Values) string {
	keys := make([]string, 0, len(values))
	for key := range values {
		if key != "hmac" && key != "signature" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	parts := make([]string, len(keys))
	for i, key := range keys {
		parts[i] = encodeForm(key) + "=" + encodeForm(strings.Join(values[key], ","))
	}
	return strings.Join(parts, "&")
}

func encodeForm(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
