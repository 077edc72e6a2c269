package shopify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"stockroom/internal/secret"
)

func sessionToken(t *testing.T, signer, algorithm string, claims map[string]any) secret.Secret {
	t.Helper()
	segment := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	message := segment(map[string]string{"alg": algorithm, "typ": "JWT"}) + "." + segment(claims)
	mac := hmac.New(sha256.New, []byte(signer))
	mac.Write([]byte(message))
	return secret.New(message + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
}

func TestASessionTokenIsBelievedOnlyIfAllOfItHolds(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	good := map[string]any{"iss": "https://a.myshopify.com/admin", "dest": "https://a.myshopify.com", "aud": "client", "sub": "7",
		"nbf": now.Unix(), "exp": now.Unix() + 60}
	secrets := []secret.Secret{secret.New("new"), secret.New("old")}
	for _, tt := range []struct {
		name              string
		signer, algorithm string
		change            map[string]any
		at                time.Duration
		want              bool
	}{
		{"as Shopify makes it", "new", "HS256", nil, 0, true},
		{"signed by the older secret", "old", "HS256", nil, 0, true},
		{"signed by nobody known", "other", "HS256", nil, 0, false},
		{"another algorithm", "new", "none", nil, 0, false},
		{"another app's", "new", "HS256", map[string]any{"aud": "other"}, 0, false},
		{"over", "new", "HS256", nil, 80 * time.Second, false},
		{"not yet", "new", "HS256", nil, -20 * time.Second, false},
		{"clocks a little apart", "new", "HS256", nil, -5 * time.Second, true},
		{"issued for another shop", "new", "HS256", map[string]any{"iss": "https://b.myshopify.com/admin"}, 0, false},
		{"no shop of Shopify's", "new", "HS256", map[string]any{"dest": "https://a.example", "iss": "https://a.example/admin"}, 0, false},
		{"no shop", "new", "HS256", map[string]any{"dest": ""}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := maps.Clone(good)
			maps.Copy(claims, tt.change)
			domain, err := VerifySession(sessionToken(t, tt.signer, tt.algorithm, claims), "client", secrets, now.Add(tt.at))
			if tt.want && (err != nil || domain != "a.myshopify.com") || !tt.want && !errors.Is(err, ErrBadSession) {
				t.Errorf("VerifySession = %q, %v; want it believed: %v", domain, err, tt.want)
			}
		})
	}
	whole := sessionToken(t, "new", "HS256", good).Reveal()
	for _, cut := range []string{"", ".", "..", whole[:len(whole)-1], whole[1:], strings.Replace(whole, ".", "", 1)} {
		if _, err := VerifySession(secret.New(cut), "client", secrets, now); !errors.Is(err, ErrBadSession) {
			t.Errorf("%d letters of a token: %v", len(cut), err)
		}
	}
}
