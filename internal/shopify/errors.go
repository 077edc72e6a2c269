package shopify

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what a caller can do about an error of Shopify's.
type Class string

const (
	// ClassRetry: network, 5xx, INTERNAL_SERVER_ERROR. The same call may work later.
	ClassRetry Class = "retry"
	// ClassThrottled: refused for cost or rate; wait RetryAfter and call again.
	ClassThrottled Class = "throttled"
	// ClassToken: the access token is not accepted, not even after Token gave a
	// second one. The merchant has to connect again.
	ClassToken Class = "token"
	// ClassClosed: the shop is frozen, locked or gone (402, 423, 404).
	ClassClosed Class = "closed"
	// ClassDenied: a scope or an approval is missing; Path names the field.
	ClassDenied Class = "denied"
	// ClassTooCostly: the operation is dearer than Shopify allows one to be.
	// Asking for less in one call helps.
	ClassTooCostly Class = "too_costly"
	// ClassInvalid: our request is wrong, or the answer is not what was asked
	// for. Repeating it cannot help.
	ClassInvalid Class = "invalid"
)

// Error is an answer of Shopify's that is no result. Its text holds no token.
type Error struct {
	Class      Class
	Shop       string
	Operation  string
	Status     int           // HTTP status; 0 where no answer came.
	Code       string        // The first error's extensions.code, such as ACCESS_DENIED.
	Path       string        // The field that the first error is about; empty for the whole.
	Message    string        // Shopify's words, cut.
	RetryAfter time.Duration // How long Shopify asks to wait; 0 where it says nothing.
	Err        error         // The cause, such as a network error.
}

func (e *Error) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s of shop %s: %s", e.Operation, e.Shop, e.Class)
	if e.Status != 0 {
		fmt.Fprintf(&text, ", status %d", e.Status)
	}
	if e.Code != "" {
		text.WriteString(", " + e.Code)
	}
	if e.Path != "" {
		text.WriteString(" at " + e.Path)
	}
	if e.Message != "" {
		text.WriteString(": " + e.Message)
	}
	if e.Err != nil {
		text.WriteString(": " + e.Err.Error())
	}
	return text.String()
}

func (e *Error) Unwrap() error { return e.Err }

// ErrNoToken says that there is no token to ask the shop with. What Config.Token
// returns wraps it where only a new login can help.
var ErrNoToken = errors.New("no token that Shopify accepts")

// ClassOf is the class of the error of Shopify's that err holds; empty when it
// holds none, as with a cancelled context.
func ClassOf(err error) Class {
	if errors.Is(err, ErrNoToken) {
		return ClassToken
	}
	if shopify, ok := errors.AsType[*Error](err); ok {
		return shopify.Class
	}
	return ""
}

// codeSearchWarning marks an answer whose search Shopify did not understand.
const codeSearchWarning = "SEARCH_WARNING"

// IsSearchWarning reports an answer that Shopify gave to another question than
// the one asked: it drops a filter that it does not know, and answers with all.
func IsSearchWarning(err error) bool {
	shopify, ok := errors.AsType[*Error](err)
	return ok && shopify.Code == codeSearchWarning
}

// classOfStatus sorts HTTP statuses, by Shopify's page 'API response status and
// error codes' (2026-11-24). 403 is what a non-expiring token of a public app gets.
func classOfStatus(status int) Class {
	switch {
	case status == 401:
		return ClassToken
	case status == 402 || status == 404 || status == 423:
		return ClassClosed
	case status == 403:
		return ClassDenied
	case status == 429 || status == 430:
		return ClassThrottled
	case status == 408 || status >= 500:
		return ClassRetry
	default:
		return ClassInvalid
	}
}

// Codes of extensions.code. Shopify writes validation's in camelCase, so that
// all that is not listed is our fault.
var classOfCode = map[string]Class{
	"THROTTLED":             ClassThrottled,
	"INTERNAL_SERVER_ERROR": ClassRetry,
	"TIMEOUT":               ClassRetry,
	"ACCESS_DENIED":         ClassDenied,
	"SHOP_INACTIVE":         ClassClosed,
	"MAX_COST_EXCEEDED":     ClassTooCostly,
}

// severity orders the classes of the errors in one answer: the one that decides
// is the one that waiting cannot mend.
var severity = map[Class]int{
	ClassRetry: 1, ClassThrottled: 2, ClassTooCostly: 3, ClassInvalid: 4, ClassDenied: 5, ClassClosed: 6,
}

const maxMessage = 300

// cut shortens what Shopify says, which may be a page of HTML.
func cut(text string) string {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "?")
	if len(text) > maxMessage {
		return strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return text
}
