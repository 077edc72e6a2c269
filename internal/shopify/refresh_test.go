package shopify

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"stockroom/internal/secret"
)

// TestARefreshThatBringsNoRefreshTokenKeepsTheLast: stored blank, it would be
// the end of the shop's connection an hour later.
func TestARefreshThatBringsNoRefreshTokenKeepsTheLast(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		life   time.Duration
	}{
		"blank":                 {`{"access_token":"shpat_b","expires_in":3600,"refresh_token":""}`, time.Hour},
		"missing":               {`{"access_token":"shpat_b","expires_in":3600}`, time.Hour},
		"missing with its life": {`{"access_token":"shpat_b"}`, unknownLife},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, tt.answer) }))
			defer server.Close()
			token, err := Refresh(t.Context(), server.Client(), server.URL, testApp, secret.New("shprt_last"))
			if err != nil {
				t.Fatal(err)
			}
			if token.Access.Reveal() != "shpat_b" || token.Refresh.Reveal() != "shprt_last" {
				t.Errorf("the access token is new: %v, the refresh token the last: %v; want both", token.Access.Reveal() == "shpat_b", token.Refresh.Reveal() == "shprt_last")
			}
			if token.Life != tt.life {
				t.Errorf("it lives for %v; want %v", token.Life, tt.life)
			}
		})
	}
}
