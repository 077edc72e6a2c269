package shopify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
)

// App is what Shopify knows the app by.
type App struct {
	ClientID string
	Secret   secret.Secret // The one that asks; it may be newer than the ones that webhooks are signed with.
}

// Token is an offline access token.
type Token struct {
	Access secret.Secret
	Scopes []string // As granted, sorted. write_x stands for read_x too: see MissingScopes.

	// Life is how long it works, counted from before it was asked for, to be
	// early rather than late. Zero for a token that does not expire.
	Life time.Duration

	// Refresh is empty where the token does not expire, or is asked for anew.
	Refresh     secret.Secret
	RefreshLife time.Duration // Zero where the answer does not say.
}

// unknownLife is how long a token is trusted whose answer brought a refresh
// token but forgot when the access token expires. Such answers have been seen;
// taking them for "never" locks a shop out.
const unknownLife = 5 * time.Minute

// OAuthError is a refusal or a fault of the token endpoint. It holds no secret.
type OAuthError struct {
	// Final says that asking again cannot help: the merchant must connect again.
	Final       bool
	Status      int    // 0 where no answer came.
	Code        string // Such as invalid_request.
	Description string
	Err         error
}

func (e *OAuthError) Error() string {
	var text strings.Builder
	text.WriteString("ask Shopify for a token")
	if e.Status != 0 {
		fmt.Fprintf(&text, ": status %d", e.Status)
	}
	if e.Code != "" {
		text.WriteString(": " + e.Code)
	}
	if e.Description != "" {
		text.WriteString(": " + e.Description)
	}
	if e.Err != nil {
		text.WriteString(": " + e.Err.Error())
	}
	return text.String()
}

func (e *OAuthError) Unwrap() error { return e.Err }

// IsFinal reports whether err says that only the merchant can help.
func IsFinal(err error) bool {
	refusal, ok := errors.AsType[*OAuthError](err)
	return ok && refusal.Final
}

// AuthorizeURL is where the merchant's browser is sent to grant the scopes. An
// offline token is asked for, by leaving grant_options out.
func AuthorizeURL(base, clientID string, scopes []string, redirectURI, state string) string {
	query := url.Values{
		"client_id":    {clientID},
		"redirect_uri": {redirectURI},
		"state":        {state},
	}
	if len(scopes) > 0 { // Scopes of a managed installation are Shopify's to know.
		query.Set("scope", strings.Join(scopes, ","))
	}
	return base + "/admin/oauth/authorize?" + query.Encode()
}

// Exchange turns the callback's code into an expiring token. A code works once:
// after a lost answer the merchant must start again.
func Exchange(ctx context.Context, client *http.Client, base string, app App, code string) (Token, error) {
	return askToken(ctx, client, base, url.Values{
		"client_id":     {app.ClientID},
		"client_secret": {app.Secret.Reveal()},
		"code":          {code},
		"expiring":      {"1"},
	}, refusedForGood) // A code is good once.
}

// Refresh gets a new pair of tokens. Only one call a shop may be under way: each
// retires what the others got. After a lost answer the same refresh token works
// again.
func Refresh(ctx context.Context, client *http.Client, base string, app App, refresh secret.Secret) (Token, error) {
	token, err := askToken(ctx, client, base, url.Values{
		"client_id":     {app.ClientID},
		"client_secret": {app.Secret.Reveal()},
		"grant_type":    {"refresh_token"},
		"refresh_token": {refresh.Reveal()},
	}, func(refusal *OAuthError) bool {
		// Anything else, such as invalid_client for a wrong secret, is ours to
		// mend, and the merchant's token is as good as before.
		return refusal.Status == 401 && refusal.Code == "invalid_request"
	})
	if err != nil || !token.Refresh.Empty() {
		return token, err
	}
	// The answer lacks the next refresh token. The last one is good until a next
	// one is used (RFC 6749, section 6), and without any the shop would be lost.
	token.Refresh = refresh
	if token.Life == 0 {
		token.Life = unknownLife
	}
	return token, nil
}

// Names of a token exchange: RFC 8693; Shopify's pages "About offline access
// tokens" and "Exchange a session token for an access token" (2026-11-24).
const (
	grantExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
	tokenTypeOffline  = "urn:shopify:params:oauth:token-type:offline-access-token"
	tokenTypeSession  = "urn:ietf:params:oauth:token-type:id_token"
	grantCredentials  = "client_credentials"
	codeInvalidClient = "invalid_client"
)

// Migrate turns a token that does not expire into a pair that does. The old one
// is dead afterwards, for good. After a lost answer it can be asked again with
// the old token, for seven days.
func Migrate(ctx context.Context, client *http.Client, base string, app App, old secret.Secret) (Token, error) {
	return expiring(askToken(ctx, client, base, url.Values{
		"client_id":            {app.ClientID},
		"client_secret":        {app.Secret.Reveal()},
		"grant_type":           {grantExchange},
		"subject_token":        {old.Reveal()},
		"subject_token_type":   {tokenTypeOffline},
		"requested_token_type": {tokenTypeOffline},
		"expiring":             {"1"},
	}, refusedForGood))
}

// ExchangeSession turns the session token of an embedded app's page into an
// offline token of the shop. A session token lives for a minute: where no answer
// comes, the page is asked for another.
func ExchangeSession(ctx context.Context, client *http.Client, base string, app App, session secret.Secret) (Token, error) {
	return expiring(askToken(ctx, client, base, url.Values{
		"client_id":            {app.ClientID},
		"client_secret":        {app.Secret.Reveal()},
		"grant_type":           {grantExchange},
		"subject_token":        {session.Reveal()},
		"subject_token_type":   {tokenTypeSession},
		"requested_token_type": {tokenTypeOffline},
		"expiring":             {"1"},
	}, refusedForGood))
}

// ClientCredentials asks for a token of a shop that belongs to the app's own
// organisation and has the app installed. There is no refresh token: it is just
// asked again.
func ClientCredentials(ctx context.Context, client *http.Client, base string, app App) (Token, error) {
	return expiring(askToken(ctx, client, base, url.Values{
		"client_id":     {app.ClientID},
		"client_secret": {app.Secret.Reveal()},
		"grant_type":    {grantCredentials},
	}, refusedForGood))
}

// refusedForGood is a refusal of what was asked for, and not of who asks: a
// wrong secret is the operator's to mend.
func refusedForGood(refusal *OAuthError) bool {
	return (refusal.Status == 400 || refusal.Status == 401) && refusal.Code != codeInvalidClient
}

// expiring is for what was asked for as a token that expires: an answer that
// does not say when is not believed to mean never.
func expiring(token Token, err error) (Token, error) {
	if err == nil && token.Life == 0 {
		token.Life = unknownLife
	}
	return token, err
}

// IsWrongSecret reports that Shopify did not accept the app's own credentials.
func IsWrongSecret(err error) bool {
	refusal, ok := errors.AsType[*OAuthError](err)
	return ok && refusal.Code == codeInvalidClient
}

// askToken asks the token endpoint; final says which refusals no other try can change.
func askToken(ctx context.Context, client *http.Client, base string, form url.Values, final func(*OAuthError) bool) (Token, error) {
	address := strings.TrimRight(base, "/") + "/admin/oauth/access_token"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return Token{}, fmt.Errorf("ask Shopify for a token: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	reply, err := withoutRedirects(client).Do(request)
	if err != nil {
		return Token{}, &OAuthError{Err: err}
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, 1<<20))
	if err != nil {
		return Token{}, &OAuthError{Status: reply.StatusCode, Err: err}
	}
	if reply.StatusCode != http.StatusOK {
		refusal := &OAuthError{Status: reply.StatusCode}
		var said struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		// Only the fields that Shopify names are shown: a page may repeat the request.
		if json.Unmarshal(text, &said) == nil {
			refusal.Code, refusal.Description = cut(said.Error), cut(said.Description)
		}
		refusal.Final = final(refusal)
		return Token{}, refusal
	}
	token, err := parseToken(text)
	if err != nil {
		return Token{}, &OAuthError{Status: reply.StatusCode, Err: err}
	}
	return token, nil
}

func parseToken(text []byte) (Token, error) {
	var said struct {
		AccessToken           string `json:"access_token"`
		Scope                 string `json:"scope"`
		ExpiresIn             int64  `json:"expires_in"`
		RefreshToken          string `json:"refresh_token"`
		RefreshTokenExpiresIn int64  `json:"refresh_token_expires_in"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		// The decoder's error may quote the answer, which holds tokens.
		return Token{}, errors.New("the answer is not the JSON that Shopify documents")
	}
	if said.AccessToken == "" {
		return Token{}, errors.New("the answer holds no access_token")
	}
	token := Token{
		Access:  secret.New(said.AccessToken),
		Refresh: secret.New(said.RefreshToken),
		Scopes:  ParseScopes(said.Scope),
	}
	switch {
	case said.ExpiresIn > 0:
		token.Life = time.Duration(said.ExpiresIn) * time.Second
	case said.RefreshToken != "":
		token.Life = unknownLife
	}
	if said.RefreshTokenExpiresIn > 0 {
		token.RefreshLife = time.Duration(said.RefreshTokenExpiresIn) * time.Second
	}
	return token, nil
}

// ParseScopes reads a comma separated list of scopes, as mirror.ParseScopes does.
func ParseScopes(text string) []string { return mirror.ParseScopes(text) }

// MissingScopes lists what of wanted is not granted, as mirror.MissingScopes does.
func MissingScopes(granted, wanted []string) []string { return mirror.MissingScopes(granted, wanted) }
