package shopify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"
	"testing"
	"time"

	"stockroom/internal/secret"
)

func sign(message, key string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(message))
	return mac.Sum(nil)
}

func TestVerifyWebhook(t *testing.T) {
	body := `{"id":1,"title":"a \u0026 b"}`
	good := base64.StdEncoding.EncodeToString(sign(body, "old"))
	both := []secret.Secret{secret.New("new"), secret.New("old")}
	for _, tt := range []struct {
		name    string
		body    string
		header  string
		secrets []secret.Secret
		want    bool
	}{
		{"signed with the older of two secrets", body, good, both, true},
		{"another body", body + " ", good, both, false},
		{"another secret", body, good, both[:1], false},
		{"no secrets", body, good, nil, false},
		{"an empty secret is nobody's", body, base64.StdEncoding.EncodeToString(sign(body, "")), []secret.Secret{{}}, false},
		{"hexadecimal", body, hex.EncodeToString(sign(body, "old")), both, false},
		{"no header", body, "", both, false},
		{"cut signature", body, good[:20], both, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := VerifyWebhook([]byte(tt.body), tt.header, tt.secrets); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestVerifyQuery(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	secrets := []secret.Secret{secret.New("hush"), secret.New("older")}
	// The message is spelt out rather than built, to prove the building.
	stamp := strconv.FormatInt(now.Unix(), 10)
	message := "code=0907a61c&host=YWRtaW4&shop=a.myshopify.com&state=a%20b%2Fc&timestamp=" + stamp
	query := func(key string) url.Values {
		return url.Values{
			"code": {"0907a61c"}, "host": {"YWRtaW4"}, "shop": {"a.myshopify.com"}, "state": {"a b/c"},
			"timestamp": {stamp}, "hmac": {hex.EncodeToString(sign(message, key))},
		}
	}
	if err := VerifyQuery(query("hush"), secrets, now); err != nil {
		t.Errorf("a signed query was refused: %v", err)
	}
	if err := VerifyQuery(query("older"), secrets, now.Add(89*time.Second)); err != nil {
		t.Errorf("a query signed with an older secret was refused: %v", err)
	}
	for _, tt := range []struct {
		name   string
		change func(url.Values)
		now    time.Time
	}{
		{"another shop", func(v url.Values) { v.Set("shop", "b.myshopify.com") }, now},
		{"a parameter added", func(v url.Values) { v.Set("prefetch", "1") }, now},
		{"a parameter repeated", func(v url.Values) { v.Add("shop", "b.myshopify.com") }, now},
		{"no hmac", func(v url.Values) { v.Del("hmac") }, now},
		{"two hmacs", func(v url.Values) { v.Add("hmac", v.Get("hmac")) }, now},
		{"no timestamp", func(v url.Values) { v.Del("timestamp") }, now},
		{"wrong hmac", func(v url.Values) { v.Set("hmac", hex.EncodeToString(sign(message, "other"))) }, now},
		{"too old", func(url.Values) {}, now.Add(91 * time.Second)},
		{"from the future", func(url.Values) {}, now.Add(-91 * time.Second)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			values := query("hush")
			tt.change(values)
			if err := VerifyQuery(values, secrets, tt.now); !errors.Is(err, ErrBadQuery) {
				t.Errorf("got %v, want ErrBadQuery", err)
			}
		})
	}
	if err := VerifyQuery(query(""), []secret.Secret{{}}, now); err == nil {
		t.Error("a query signed with an empty secret was accepted")
	}
}

func TestShopDomain(t *testing.T) {
	for text, want := range map[string]string{
		"example.myshopify.com":                "example.myshopify.com",
		"Example-2.MyShopify.com":              "example-2.myshopify.com",
		"-example.myshopify.com":               "",
		"example.myshopify.com.evil.example":   "",
		"evil.example/example.myshopify.com":   "",
		"example.myshopify.com/":               "",
		"example.myshopify.com\n":              "",
		"a.b.myshopify.com":                    "",
		"myshopify.com":                        "",
		".myshopify.com":                       "",
		"exämple.myshopify.com":                "",
		"https://example.myshopify.com":        "",
		"user@example.myshopify.com":           "",
		"example.myshopify.com?x=":             "",
		"\u212Aelvin.myshopify.com":            "", // The Kelvin sign, whose lower case is an ASCII k.
		"example.myshopify.com example":        "",
		"example.MYSHOPIFY.COM%2F.evil.exampl": "",
	} {
		got, err := ShopDomain(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ShopDomain(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestBaseURL(t *testing.T) {
	for template, want := range map[string]string{
		"https://{shop}":               "https://a.myshopify.com",
		"http://127.0.0.1:4010/{shop}": "http://127.0.0.1:4010/a.myshopify.com",
		"https://{shop}/":              "https://a.myshopify.com",
		"ftp://{shop}":                 "",
		"{shop}":                       "",
		"https://user:pass@{shop}":     "",
		"https://{shop}?x=1":           "",
	} {
		got, err := BaseURL(template, "a.myshopify.com")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("BaseURL(%q) = %q, %v; want %q", template, got, err, want)
		}
	}
}
