// Package secret keeps tokens, passwords and keys out of sight.
//
// It promises that a Secret prints as "[redacted]" by every verb of fmt, by
// slog and by encoding/json, also as a field of another value; that what a
// Sealer sealed opens only under one of its keys and with the same associated
// data; and that a secret's file is never left half written nor read while
// others may read it too. See TestASecretNeverPrints, TestSealer... and
// TestKeyFile....
//
// Where a secret comes from is left to package config, where sealed bytes are
// kept to package store.
package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a text that does not print. The zero Secret is empty.
type Secret struct {
	// A pointer, because fmt reads unexported fields by reflection, past every
	// method below: it finds an address there and not the text.
	text *string
}

// New wraps text.
func New(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal gives the text back. Each call is a place to look at in a review.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// Empty tells whether there is no text.
func (s Secret) Empty() bool { return s.text == nil }

// Equal compares in a time that depends on neither text, nor on their lengths.
// Two empty secrets are equal: a caller that checks a password asks Empty first.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare(Hash(s.Reveal()), Hash(other.Reveal())) == 1
}

func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// RandomToken makes a token of this many random bytes, written in base64url
// without padding: 32 for a key, 16 for a nonce.
func RandomToken(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // Never fails: the program ends where there is no randomness.
	return base64.RawURLEncoding.EncodeToString(b)
}

// Hash is what is stored of a token that only has to be recognised. A plain
// SHA-256 does for a RandomToken, which nobody can guess; it does not for a
// password that a person chose.
func Hash(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}
