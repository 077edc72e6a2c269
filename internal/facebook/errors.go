package facebook

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Class says what a caller can do about an error of Meta's.
type Class string

const (
	// ClassToken: the token is dead. The Page has to be connected again.
	ClassToken Class = "token"
	// ClassOwner: the token waits until its person has logged in at Facebook.
	ClassOwner Class = "owner"
	// ClassPermission: a permission, a role or a feature is missing. The token is as good as before.
	ClassPermission Class = "permission"
	// ClassRetry: the same call may work later.
	ClassRetry Class = "retry"
	// ClassThrottled: too many calls; wait RetryAfter. Calling on lengthens the block.
	ClassThrottled Class = "throttled"
	// ClassBlocked: Meta has barred the app, the Page or the person for a while.
	ClassBlocked Class = "blocked"
	// ClassMissing: the object does not exist, or this token may not see it.
	ClassMissing Class = "missing"
	// ClassInvalid: the call is wrong. Repeating it cannot help.
	ClassInvalid Class = "invalid"
	// ClassSecret: Meta does not take the app's id or secret.
	ClassSecret Class = "secret"
	// ClassCode: a login's code is used, old or another's. The login has to be begun anew.
	ClassCode Class = "code"
	// ClassVersion: this version of the Graph API is not served any more.
	ClassVersion Class = "version"
	// ClassWindow: the time in which this person may be answered is over.
	ClassWindow Class = "window"
	// ClassPerson: this person cannot be written to.
	ClassPerson Class = "person"
)

// phase is the kind of call: the same number means other things in another.
type phase int

const (
	phaseGraph phase = iota
	phaseLogin       // A code or a token is exchanged.
	phaseApp         // The app asks by its own id and secret.
	phaseSend        // A message is sent.
)

// rule is a row of Meta's tables of errors.
type rule struct {
	code, upTo int // A range where upTo is set.
	subcode    int // Zero: whatever the subcode, where no other rule names it.
	class      Class
	what, do   string
}

const (
	connectAgain = "Connect the Page again: `stockroom pages add --shop SHOP` prints the link for somebody who manages it."
	waitAndSee   = "Nothing, unless it stays: the call is repeated by itself. Meta's status is at metastatus.com."
	slowDown     = "Nothing, unless it stays: calls wait as long as Meta says. If it stays, look at the app's dashboard, Rate limits."
	setRight     = "Copy FACEBOOK_APP_ID and FACEBOOK_APP_SECRET from the app's dashboard (App settings, Basic) and restart. After a change of the secret: `stockroom secrets rotate --facebook-secret-file FILE`."
	loginAgain   = "Start the login again."
	report       = "Report it with the text of the error: the call is wrong or Meta has changed it."
)

// Errors of any call (Meta's pages "Handle Errors" and "Access Token Debugging and Error Handling").
var graphRules = []rule{
	{code: 190, subcode: 458, class: ClassToken, what: "The person who connected the Page has removed the app at Facebook.", do: connectAgain},
	{code: 190, subcode: 459, class: ClassOwner, what: "Facebook holds the account of the person who connected the Page until they pass a check.",
		do: "That person has to log in at www.facebook.com and do what it asks. If it stays: " + connectAgain},
	{code: 190, subcode: 460, class: ClassToken, what: "The person who connected the Page has changed their password, or ended the session.", do: connectAgain},
	{code: 190, subcode: 463, class: ClassToken, what: "The token has expired.", do: connectAgain},
	{code: 190, subcode: 464, class: ClassOwner, what: "The account of the person who connected the Page is not confirmed.",
		do: "That person has to log in at www.facebook.com and confirm the account. If it stays: " + connectAgain},
	{code: 190, subcode: 467, class: ClassToken, what: "The token is not valid any more.", do: connectAgain},
	{code: 190, subcode: 492, class: ClassToken, what: "The person who connected the Page has no role there any more.",
		do: "Let another manager of the Page connect it: `stockroom pages add --shop SHOP` prints the link."},
	{code: 190, class: ClassToken, what: "The token was revoked, has expired, or is not valid.", do: connectAgain},
	{code: 102, class: ClassToken, what: "The session of the token has ended.", do: connectAgain},
	{code: 10, class: ClassPermission, what: "The app lacks a permission for this, or it was taken back.",
		do: "See which is missing with `stockroom pages list`, and in the app's dashboard (App Review, Permissions and Features). " + connectAgain},
	{code: 200, upTo: 299, class: ClassPermission, what: "A permission for this was not granted, or was taken back.",
		do: "See which is missing with `stockroom pages list`. " + connectAgain},
	{code: 1, class: ClassRetry, what: "Meta had an unknown fault.", do: waitAndSee},
	{code: 2, class: ClassRetry, what: "Meta's service is out for a moment.", do: waitAndSee},
	{code: 4, class: ClassThrottled, what: "The app makes more calls than Meta allows.", do: slowDown},
	{code: 17, class: ClassThrottled, what: "More calls are made for this person than Meta allows.", do: slowDown},
	{code: 32, class: ClassThrottled, what: "More calls are made for this Page than Meta allows.", do: slowDown},
	{code: 341, class: ClassThrottled, what: "The app has reached a limit of Meta's.", do: slowDown},
	{code: 613, class: ClassThrottled, what: "Calls of this kind come faster than Meta allows.", do: slowDown},
	{code: 80001, class: ClassThrottled, what: "More calls are made for this Page than Meta allows.", do: slowDown},
	{code: 80002, class: ClassThrottled, what: "More calls are made for this Instagram account than Meta allows.", do: slowDown},
	{code: 80006, class: ClassThrottled, what: "More messages are sent for this Page than Meta allows.", do: slowDown},
	{code: 368, class: ClassBlocked, what: "Meta has blocked this for a while, for a breach of its policies.",
		do: "Look at the Page's Support Inbox and at the app's alerts at Meta, and do what they ask. Until the block ends nothing helps."},
	{code: 100, subcode: 33, class: ClassMissing, what: "The Page does not exist, or the token may not see it.",
		do: "Was the Page deleted, or unpublished? If it is there: " + connectAgain},
	{code: 803, class: ClassMissing, what: "The object that was asked for does not exist, or the token may not see it.",
		do: "Was the Page deleted, or unpublished? If it is there: " + connectAgain},
	{code: 100, class: ClassInvalid, what: "Meta does not take a parameter of the call.", do: report},
	{code: 101, class: ClassSecret, what: "Meta does not know the app's id.", do: setRight},
	{code: 2500, class: ClassVersion, what: "Meta does not know the address that was asked, or saw no token in the call.",
		do: "Is FACEBOOK_GRAPH_VERSION a version that Meta serves (Meta's page \"Graph API Changelog\"), and does FACEBOOK_GRAPH_URL lead to Meta? If both are right, report it."},
	{code: 2635, class: ClassVersion, what: "This version of the Graph API is not served any more.",
		do: "Set FACEBOOK_GRAPH_VERSION to a version that is (Meta's page \"Graph API Changelog\"), or use a newer Stockroom."},
}

// Errors of exchanging a code or a token (Meta's page "Manually Build a Login Flow").
var loginRules = []rule{
	{code: 101, class: ClassSecret, what: "Meta does not know FACEBOOK_APP_ID.", do: setRight},
	{code: 1, class: ClassSecret, what: "Meta does not take FACEBOOK_APP_SECRET.", do: setRight},
	{code: 100, subcode: 36007, class: ClassCode, what: "The login's code is too old.", do: loginAgain},
	{code: 100, subcode: 36008, class: ClassCode, what: "The login's code was made for another redirect address than FACEBOOK_REDIRECT_URI.",
		do: "Set FACEBOOK_REDIRECT_URI letter by letter as it is listed in the app's dashboard under Valid OAuth Redirect URIs, and restart. Then start the login again."},
	{code: 100, subcode: 36009, class: ClassCode, what: "The login's code was used before.", do: loginAgain},
	{code: 100, class: ClassCode, what: "Meta does not take the login's code.", do: loginAgain},
}

// Errors of what the app asks by its own id and secret.
var appRules = []rule{
	{code: 1, class: ClassSecret, what: "Meta does not take FACEBOOK_APP_SECRET.", do: setRight},
	{code: 190, class: ClassSecret, what: "Meta does not take FACEBOOK_APP_ID with FACEBOOK_APP_SECRET.", do: setRight},
}

// Errors of sending (Meta's page "Messenger Platform Error Codes").
var sendRules = []rule{
	{code: 10, subcode: 2018278, class: ClassWindow, what: "The person wrote more than 24 hours ago, so they may not be answered any more.", do: "Nothing: it opens again when they write."},
	{code: 10, subcode: 2534022, class: ClassWindow, what: "The person wrote on Instagram more than 24 hours ago, so they may not be answered any more.", do: "Nothing: it opens again when they write."},
	{code: 10, subcode: 2018065, class: ClassWindow, what: "The message lies outside the time in which the person may be answered.", do: "Nothing: it opens again when they write."},
	{code: 10, subcode: 2018108, class: ClassPerson, what: "The person cannot receive this message.", do: "Nothing: this person has to be answered in another way."},
	{code: 10, subcode: 1893063, class: ClassBlocked, what: "Meta has barred the Page from sending for a while.",
		do: "Look at the Page's Support Inbox at Meta for the reason and the end of it. Nothing is sent meanwhile."},
	{code: 551, class: ClassPerson, what: "The person has blocked the Page, or is gone.", do: "Nothing."},
	{code: 200, subcode: 1545041, class: ClassPerson, what: "The person has blocked the Page, or is gone.", do: "Nothing."},
	{code: 200, subcode: 2534041, class: ClassPermission, what: "The Instagram account does not let apps read its messages.",
		do: "Its owner has to turn on Allow access to messages, in Instagram's settings under Messages."},
	{code: 100, subcode: 2018001, class: ClassPerson, what: "No person is known to this Page by that number.", do: "Nothing: numbers of people are good for one Page each."},
	{code: 100, subcode: 2534014, class: ClassPerson, what: "No such person is known on Instagram.", do: "Nothing."},
	{code: 100, subcode: 2534015, class: ClassInvalid, what: "Instagram does not take this message.", do: "It should be sent as plain text. If that is refused too, report it."},
	{code: 100, subcode: 2018047, class: ClassInvalid, what: "Meta could not take the attachment, or not as this kind.", do: "It should be sent without the picture. Can Meta reach its address?"},
	{code: 1200, class: ClassRetry, what: "Meta could not send it for the moment.", do: waitAndSee},
	{code: 2, subcode: 2018344, class: ClassPermission, what: "The Page has not accepted Meta's terms for labels.", do: "Nothing is lost but the label. Somebody who manages the Page can accept them at Meta."},
	{code: 9010, class: ClassPerson, what: "Meta does not know the account of a reviewer on Instagram.", do: "Nothing: it happens while Meta reviews the app."},
	{code: 100, class: ClassInvalid, what: "Meta does not take the message: a field of it is wrong, or its tag is dead.", do: report},
}

// ruleOf finds the rule of an error, the one that names its subcode first.
func ruleOf(p phase, code, subcode int) (rule, bool) {
	tables := map[phase][][]rule{
		phaseGraph: {graphRules}, phaseLogin: {loginRules, graphRules}, phaseApp: {appRules, graphRules}, phaseSend: {sendRules, graphRules},
	}[p]
	for _, exact := range []bool{true, false} {
		for _, table := range tables {
			for _, r := range table {
				in := r.code == code || r.upTo != 0 && r.code <= code && code <= r.upTo
				if in && (exact && r.subcode == subcode && subcode != 0 || !exact && r.subcode == 0) {
					return r, true
				}
			}
		}
	}
	return rule{}, false
}

// Error is an answer of Meta's that is no result. Its text holds no token.
type Error struct {
	Class      Class
	Call       string // What was attempted, such as "list the Pages".
	Status     int    // HTTP status; 0 where no answer came.
	Type       string // Such as OAuthException.
	Code       int
	Subcode    int
	Message    string        // Meta's words, cut. They are in any language: nothing is decided by them.
	Trace      string        // What Meta's support asks for.
	RetryAfter time.Duration // How long Meta asks to wait; 0 where it says nothing.
	Err        error         // The cause, such as a network error.

	what, do string
}

func (e *Error) Error() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s at Meta: %s", e.Call, e.Class)
	if e.Status != 0 {
		fmt.Fprintf(&out, ", status %d", e.Status)
	}
	if e.Code != 0 {
		fmt.Fprintf(&out, ", code %d", e.Code)
	}
	if e.Subcode != 0 {
		fmt.Fprintf(&out, "/%d", e.Subcode)
	}
	if e.Message != "" {
		out.WriteString(": " + e.Message)
	}
	if e.Trace != "" {
		out.WriteString(" (fbtrace_id " + e.Trace + ")")
	}
	if e.Err != nil {
		out.WriteString(": " + e.Err.Error())
	}
	return out.String()
}

func (e *Error) Unwrap() error { return e.Err }

// What says what happened, for whoever runs the service.
func (e *Error) What() string { return e.what }

// Do says what that person can do about it.
func (e *Error) Do() string { return e.do }

// ClassOf is the class of the error of Meta's that err holds; empty when it
// holds none, as with a cancelled context.
func ClassOf(err error) Class {
	if meta, ok := errors.AsType[*Error](err); ok {
		return meta.Class
	}
	return ""
}

// Explain says what happened and what to do. Of an error that is not Meta's it is
// the error's own words, and nothing to do.
func Explain(err error) (what, do string) {
	if meta, ok := errors.AsType[*Error](err); ok {
		return meta.what, meta.do
	}
	return err.Error(), ""
}

// classify gives an error its class and words.
func (e *Error) classify(p phase, transient bool) {
	if r, ok := ruleOf(p, e.Code, e.Subcode); ok && e.Code != 0 {
		e.Class, e.what, e.do = r.class, r.what, r.do
		// A parameter's name is not translated. Meta has no number of its own for this.
		if e.Code == 100 && strings.Contains(e.Message, "appsecret_proof") {
			e.Class, e.what, e.do = ClassSecret, "Meta does not take the proof that is made with FACEBOOK_APP_SECRET.", setRight
		}
		return
	}
	switch {
	case e.Status == 0:
		e.Class, e.what, e.do = ClassRetry, "Meta did not answer.", "Nothing, unless it stays: then look whether this machine reaches graph.facebook.com."
	case transient || e.Status >= 500 || e.Status == 408:
		e.Class, e.what, e.do = ClassRetry, "Meta had a fault of its own.", waitAndSee
	case e.Status == 429:
		e.Class, e.what, e.do = ClassThrottled, "Meta allows no more calls for the moment.", slowDown
	case e.Status < 300:
		e.Class, e.what, e.do = ClassRetry, "Meta's answer broke off, or is not what its pages show.", waitAndSee
	case e.Status < 400:
		e.Class, e.what, e.do = ClassInvalid, "Meta sends on to another address.", "Set FACEBOOK_GRAPH_URL to the address of Meta's Graph API: no redirect is followed, for the call holds a token."
	default:
		e.Class, e.what, e.do = ClassInvalid, "Meta refused the call for a reason that is not known here.", report
	}
}
