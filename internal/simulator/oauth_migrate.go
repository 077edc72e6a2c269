package simulator

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The names of a token exchange. Source: RFC 8693; "Migrate to expiring
// offline access tokens" (2026-10).
const (
	exchangeGrant   = "urn:ietf:params:oauth:grant-type:token-exchange"
	offlineToken    = "urn:shopify:params:oauth:token-type:offline-access-token"
	idToken         = "urn:ietf:params:oauth:token-type:id_token"
	migrationRepeat = 7 * 24 * time.Hour
)

// migration is what a token that did not expire was exchanged for, kept so
// that a lost reply can be asked for again.
type migration struct {
	At              time.Time
	Access, Refresh string
}

// exchange turns a token that does not expire into a pair that does, for good.
// Asked again with the old token it gives the same pair, for seven days and
// only until the pair was refreshed or replaced; an access token that has run
// out meanwhile lives on, the refresh token gets no longer life. Source:
// changelog "More resilient token exchanges when migrating tokens without a
// user session", 2026-09-29.
//
// Embedded apps exchange the ID tokens of a user's session by the same grant:
// see SessionToken.
func (i *Installation) exchange(form map[string]string, expiring bool, now time.Time) (*tokenReply, error) {
	unknown := &oauthError{http.StatusBadRequest, "invalid_subject_token", "Token exchange cannot be performed due to an invalid subject token."}
	if form["subject_token_type"] == idToken {
		switch {
		case !i.isSession(form["subject_token"], now) || i.installedAt.IsZero():
			return nil, unknown
		case form["requested_token_type"] != offlineToken:
			return nil, &oauthError{http.StatusBadRequest, "invalid_request", "The simulator gives out offline tokens alone"}
		case expiring:
			return i.acquire(now), nil
		default:
			return i.lastingToken(), nil
		}
	}
	if form["subject_token_type"] != offlineToken || form["requested_token_type"] != offlineToken || !expiring {
		return nil, &oauthError{http.StatusBadRequest, "invalid_request", "An offline access token can only be exchanged for an expiring offline access token"}
	}
	old := form["subject_token"]
	if t := i.tokens[old]; t != nil && t.Expires.IsZero() {
		delete(i.tokens, old)
		reply := i.acquire(now)
		i.migrations[old] = &migration{At: now, Access: reply.AccessToken, Refresh: reply.RefreshToken}
		return reply, nil
	}
	m := i.migrations[old]
	if m == nil || now.After(m.At.Add(migrationRepeat)) {
		return nil, unknown
	}
	refresh := i.refreshes[m.Refresh]
	if refresh == nil || !refresh.FirstUsed.IsZero() {
		return nil, unknown
	}
	access := i.tokens[m.Access]
	if access == nil || !now.Before(access.Expires) { // Those that ran out may have been cleared away.
		access = &token{Made: now, Expires: now.Add(accessLife)}
		i.tokens[m.Access] = access
	}
	return i.pair(m.Access, m.Refresh, now), nil
}

// acquire makes a new pair and retires all that came before it, also access
// tokens that are still running: an app has one expiring offline token in a
// shop. Source: "About offline access tokens" (2026-10).
func (i *Installation) acquire(now time.Time) *tokenReply {
	for text, t := range i.tokens {
		if !t.Expires.IsZero() && !t.Credentials {
			delete(i.tokens, text)
		}
	}
	clear(i.refreshes)
	return i.newTokens(now)
}

// pair is the reply that gives an access and a refresh token in force.
func (i *Installation) pair(access, refresh string, now time.Time) *tokenReply {
	accessFor := int64(i.tokens[access].Expires.Sub(now) / time.Second)
	refreshFor := int64(i.refreshes[refresh].Expires.Sub(now) / time.Second)
	return &tokenReply{AccessToken: access, Scope: scopeText(i.scopes), ExpiresIn: &accessFor, RefreshToken: refresh, RefreshExpires: &refreshFor}
}

// sessionLife is how long a session token lives. Source: "Session tokens" (2026-10).
const sessionLife = time.Minute

// sessionClaims are those of a session token. Source: the same.
type sessionClaims struct {
	Issuer      string `json:"iss"`
	Destination string `json:"dest"`
	Audience    string `json:"aud"`
	Subject     string `json:"sub"`
	Expires     int64  `json:"exp"`
	NotBefore   int64  `json:"nbf"`
	IssuedAt    int64  `json:"iat"`
	ID          string `json:"jti"`
	Session     string `json:"sid"`
}

// SessionToken is what App Bridge gives to the page of an embedded app: a JWT
// that says in which shop's admin it is shown. The simulator has no admin to
// embed an app in; a test brings the token to the app itself.
func (s *Shop) SessionToken(clientID string) (string, error) {
	app := s.sim.app(clientID)
	if app == nil {
		return "", fmt.Errorf("session in shop %s: no app %q", s.Domain, clientID)
	}
	now := s.sim.Now().Unix()
	claims, err := json.Marshal(sessionClaims{
		Issuer: "https://" + s.Domain + "/admin", Destination: "https://" + s.Domain, Audience: clientID, Subject: "1",
		Expires: now + int64(sessionLife/time.Second), NotBefore: now, IssuedAt: now, ID: s.sim.text(16), Session: s.sim.text(16),
	})
	if err != nil {
		return "", fmt.Errorf("session in shop %s: %w", s.Domain, err)
	}
	message := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	return message + "." + signSession(message, app.Secrets[0]), nil
}

func signSession(message, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(message))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// isSession judges a session token that an app exchanges.
func (i *Installation) isSession(text string, now time.Time) bool {
	cut := strings.LastIndex(text, ".")
	if cut < 0 || !slices.ContainsFunc(i.App.Secrets, func(secret string) bool { return signSession(text[:cut], secret) == text[cut+1:] }) {
		return false
	}
	_, encoded, _ := strings.Cut(text[:cut], ".")
	var claims sessionClaims
	decoded, err := base64.RawURLEncoding.DecodeString(encoded)
	return err == nil && json.Unmarshal(decoded, &claims) == nil && claims.Audience == i.App.ClientID &&
		claims.Destination == "https://"+i.Shop.Domain && now.Unix() < claims.Expires
}
