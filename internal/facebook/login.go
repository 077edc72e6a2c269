package facebook

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"stockroom/internal/secret"
)

// Dialog is a login to be begun.
type Dialog struct {
	RedirectURI string
	State       string
	// ConfigID names a configuration of Facebook Login for Business, which holds
	// the permissions. Empty: they are asked for by scope.
	ConfigID string
	// Again asks once more for what was declined. Without it the dialog does not
	// show that again.
	Again bool
}

// DialogAddress is where the browser is sent (Meta's pages "Manually Build a
// Login Flow" and "Facebook Login for Business").
func (c *Client) DialogAddress(d Dialog) string {
	query := url.Values{"client_id": {c.AppID}, "redirect_uri": {d.RedirectURI}, "state": {d.State}, "response_type": {"code"}}
	if d.ConfigID != "" {
		query.Set("config_id", d.ConfigID)
	} else {
		query.Set("scope", list(Scopes()))
	}
	if d.Again {
		query.Set("auth_type", "rerequest")
	}
	return c.DialogURL + "/" + c.Version + "/dialog/oauth?" + query.Encode()
}

// Outcome is how a dialog ended.
type Outcome string

const (
	OutcomeCode      Outcome = "code"      // There is a code to exchange.
	OutcomeCancelled Outcome = "cancelled" // The person said no.
	// OutcomeSetup: the app is not set up for this login, although Meta says that
	// the person refused: it is in development, or asks for what it may not.
	OutcomeSetup   Outcome = "setup"
	OutcomeRetry   Outcome = "retry"   // Meta had a fault.
	OutcomeRefused Outcome = "refused" // Another error.
	OutcomeEmpty   Outcome = "empty"   // Neither a code nor an error.
)

// Callback is what a dialog came back with.
type Callback struct {
	Outcome Outcome
	Code    secret.Secret
	// Of an error, as it came, cut: not to be shown as if it were ours.
	Error, Reason, Description string
	ErrorCode                  int
}

// ReadCallback reads the query that the browser brought back. Its state is the
// caller's to check, before anything else.
//
// A code comes alone. An error_code of 200 is a fault of the app's set-up also
// where it calls itself the person's refusal; other forms name an error_code and an
// error_message and no error.
func ReadCallback(query url.Values) Callback {
	cb := Callback{
		Code: secret.New(query.Get("code")), Error: cut(query.Get("error")), Reason: cut(query.Get("error_reason")),
		Description: cut(query.Get("error_description")),
	}
	if cb.Description == "" {
		cb.Description = cut(query.Get("error_message"))
	}
	cb.ErrorCode, _ = strconv.Atoi(query.Get("error_code"))
	const permissionsError = 200
	switch {
	case cb.Error == "" && !query.Has("error_code") && !query.Has("error_message"):
		cb.Outcome = OutcomeCode
		if cb.Code.Empty() {
			cb.Outcome = OutcomeEmpty
		}
		return cb
	case cb.ErrorCode == permissionsError:
		cb.Outcome = OutcomeSetup
	case cb.Error == "access_denied":
		cb.Outcome = OutcomeCancelled
	case cb.Error == "server_error", cb.Error == "temporarily_unavailable", cb.ErrorCode == 1, cb.ErrorCode == 2:
		cb.Outcome = OutcomeRetry
	case cb.Error == "":
		cb.Outcome = OutcomeSetup
	default:
		cb.Outcome = OutcomeRefused
	}
	cb.Code = secret.Secret{}
	return cb
}

// Token is a user's, or a system user's.
type Token struct {
	Access secret.Secret
	Life   time.Duration // Counted from before it was asked for; zero where Meta names no end.
}

// Exchange turns a login's code into a token that lives for an hour or two. A code
// works once: after a lost answer the login has to be begun anew.
func (c *Client) Exchange(ctx context.Context, redirectURI string, code secret.Secret) (Token, error) {
	return c.token(ctx, "exchange the login's code", url.Values{"redirect_uri": {redirectURI}, "code": {code.Reveal()}})
}

// Extend turns a user's token into one of some 60 days, from which Page tokens
// without an end are derived (Meta's page "Long-Lived Access Tokens").
func (c *Client) Extend(ctx context.Context, short secret.Secret) (Token, error) {
	return c.token(ctx, "extend the user's token", url.Values{"grant_type": {"fb_exchange_token"}, "fb_exchange_token": {short.Reveal()}})
}

func (c *Client) token(ctx context.Context, name string, query url.Values) (Token, error) {
	query.Set("client_id", c.AppID)
	var said struct {
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	err := c.do(ctx, call{name: name, path: "/oauth/access_token", query: query, secretAs: "client_secret", phase: phaseLogin}, &said)
	if err != nil {
		return Token{}, err
	}
	if said.AccessToken == "" {
		e := &Error{Call: name, Status: http.StatusOK, Err: errors.New("the answer holds no access_token")}
		e.classify(phaseLogin, false)
		return Token{}, e
	}
	return Token{Access: secret.New(said.AccessToken), Life: time.Duration(max(said.ExpiresIn, 0)) * time.Second}, nil
}
