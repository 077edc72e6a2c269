package shopify

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"stockroom/internal/secret"
)

func TestEveryGrantSendsItsFieldsAlone(t *testing.T) {
	const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	const offline = "urn:shopify:params:oauth:token-type:offline-access-token"
	for name, tt := range map[string]struct {
		ask  func(base string) (Token, error)
		want url.Values
	}{
		"migration": {func(base string) (Token, error) {
			return Migrate(t.Context(), nil, base, testApp, secret.New("shpat_old"))
		}, url.Values{"grant_type": {exchange}, "subject_token": {"shpat_old"}, "subject_token_type": {offline}, "requested_token_type": {offline}, "expiring": {"1"}}},
		"session": {func(base string) (Token, error) {
			return ExchangeSession(t.Context(), nil, base, testApp, secret.New("a.b.c"))
		}, url.Values{"grant_type": {exchange}, "subject_token": {"a.b.c"}, "subject_token_type": {"urn:ietf:params:oauth:token-type:id_token"}, "requested_token_type": {offline}, "expiring": {"1"}}},
		"credentials": {func(base string) (Token, error) {
			return ClientCredentials(t.Context(), nil, base, testApp)
		}, url.Values{"grant_type": {"client_credentials"}}},
	} {
		t.Run(name, func(t *testing.T) {
			answer := `{"access_token":"shpat_x","scope":"read_products","expires_in":3600}`
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				tt.want.Set("client_id", "client")
				tt.want.Set("client_secret", "shpss_secret")
				if r.PostForm.Encode() != tt.want.Encode() {
					t.Errorf("sent %v, want %v", r.PostForm, tt.want)
				}
				if answer == "" {
					w.WriteHeader(http.StatusBadRequest)
					io.WriteString(w, `{"error":"invalid_client"}`)
					return
				}
				io.WriteString(w, answer)
			}))
			defer server.Close()
			if token, err := tt.ask(server.URL); err != nil || token.Access.Reveal() != "shpat_x" || token.Life != time.Hour {
				t.Errorf("token for %v, %v", token.Life, err)
			}
			answer = `{"access_token":"shpat_x"}`
			if token, err := tt.ask(server.URL); err != nil || token.Life != unknownLife {
				t.Errorf("an answer without expires_in lives for %v, %v; want %v", token.Life, err, unknownLife)
			}
			answer = ""
			if _, err := tt.ask(server.URL); err == nil || IsFinal(err) || !IsWrongSecret(err) {
				t.Errorf("a wrong secret gave %v: it is the operator's to mend", err)
			}
		})
	}
}
