// Package facebook is Meta's side of the wire: Facebook Login, tokens, Pages,
// webhook subscriptions, signatures, signed requests, webhook bodies and the Send
// API. It knows nothing of how any of it is kept.
//
// It promises:
//   - Every call with a user's or a Page's token carries its appsecret_proof; see
//     TestEveryCallWithATokenCarriesItsProof.
//   - No token and no secret is in an error, although Meta takes them in
//     addresses; see TestNoSecretIsInAnError.
//   - Each error that Meta's pages list has a class for programs and words for
//     the operator, found by its numbers and never by its text, which is
//     translated; see TestEveryErrorTellsTheOperatorWhatToDo.
//   - A list is read to its end or its read fails; see TestPagesAreReadToTheEnd.
//   - One event that nobody here knows does not hide the others of its body; see
//     TestOneStrangeEventHidesNoOther.
//
// Pages of Meta's are cited by their titles, as they read on 2026-11-24. Keeping
// tokens and messages is left to package connect.
package facebook

import (
	"encoding/json"
	"strings"
)

// Version is the Graph API version that this package was written for.
const Version = "v26.0"

// Permissions of a Page's connection (Meta's page "Permissions Reference").
const (
	ScopeList     = "pages_show_list"       // Pages are listed by it.
	ScopeMetadata = "pages_manage_metadata" // A Page's webhooks are subscribed to by it.
	ScopeMessages = "pages_messaging"       // Messages are received and sent by it.
	scopeEngage   = "pages_read_engagement" // The last one asks for it.
	scopeBusiness = "business_management"   // Pages that a business portfolio owns are not listed without it.
)

// Scopes are what a login asks for.
func Scopes() []string {
	return []string{ScopeList, ScopeMetadata, ScopeMessages, scopeEngage, scopeBusiness}
}

// RequiredScopes are those without which a Page cannot be connected.
func RequiredScopes() []string { return []string{ScopeList, ScopeMetadata, ScopeMessages} }

// Fields are the webhook fields of a Page that are wanted. Meta's pages spell
// some in two ways, so that one may be refused.
func Fields() []string {
	return []string{"messages", "messaging_postbacks", "message_echoes", "message_deliveries", "message_reads",
		"messaging_referrals", "messaging_handovers", "standby", "messaging_policy_enforcement"}
}

// ObjectPage is what webhooks of a Page are about.
const ObjectPage = "page"

// text is a value that Meta writes as a string on one page and as a number on another.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*t = text(n)
	return nil
}

// MarshalJSON writes it as a string, whichever way it came.
func (t text) MarshalJSON() ([]byte, error) { return json.Marshal(string(t)) }

const maxMessage = 300

// cut shortens what Meta says, which may be a page of HTML.
func cut(text string) string {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) > maxMessage {
		return strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return text
}
