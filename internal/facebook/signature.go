package facebook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"time"

	"stockroom/internal/secret"
)

// SignatureHeader holds a webhook's signature. The older X-Hub-Signature, by
// SHA-1, is not looked at.
const SignatureHeader = "X-Hub-Signature-256"

// VerifyWebhook checks the signature over the body as it was received (Meta's
// page "Webhooks: Getting Started"). Meta writes everything outside ASCII as \uXXXX
// and signs that: a body that was decoded and written again does not match any more.
// Any of the secrets may have signed.
func VerifyWebhook(body []byte, header string, secrets []secret.Secret) bool {
	digits, ok := strings.CutPrefix(header, "sha256=")
	if !ok || digits != strings.ToLower(digits) {
		return false
	}
	given, err := hex.DecodeString(digits)
	return err == nil && signedByAny(body, given, secrets)
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

// Challenge answers the question by which Meta makes sure of a webhook's address.
// It reports false where the verify token is not ours, or there is none.
func Challenge(query url.Values, verify secret.Secret) (answer string, ok bool) {
	given := secret.New(query.Get("hub.verify_token"))
	if verify.Empty() || given.Empty() || !given.Equal(verify) || query.Get("hub.mode") != "subscribe" {
		return "", false
	}
	return query.Get("hub.challenge"), true
}

// SignedRequest is what Meta says when a person removes the app, or asks for
// their data to be deleted (Meta's page "Data Deletion Request Callback").
type SignedRequest struct {
	UserID   string    // The person, by the number that is good for this app.
	IssuedAt time.Time // Zero where it does not say.
}

// ErrBadRequest says that a signed request is not Meta's, or not for this app.
var ErrBadRequest = errors.New("the request is not signed by Meta for this app")

// ParseSignedRequest checks a signed request and reads it. The signature is over
// the second part as it was received, still encoded.
func ParseSignedRequest(raw string, secrets []secret.Secret) (SignedRequest, error) {
	encodedSignature, payload, ok := strings.Cut(raw, ".")
	if !ok {
		return SignedRequest{}, ErrBadRequest
	}
	signature, err := decodeURL(encodedSignature)
	if err != nil || !signedByAny([]byte(payload), signature, secrets) {
		return SignedRequest{}, ErrBadRequest
	}
	decoded, err := decodeURL(payload)
	if err != nil {
		return SignedRequest{}, ErrBadRequest
	}
	var said struct {
		Algorithm string `json:"algorithm"`
		UserID    text   `json:"user_id"`
		IssuedAt  int64  `json:"issued_at"`
	}
	if err := json.Unmarshal(decoded, &said); err != nil || !strings.EqualFold(said.Algorithm, "HMAC-SHA256") || said.UserID == "" {
		return SignedRequest{}, ErrBadRequest
	}
	return SignedRequest{UserID: string(said.UserID), IssuedAt: moment(said.IssuedAt)}, nil
}

// decodeURL decodes base64url; padding, which has been seen, is let pass.
func decodeURL(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}
