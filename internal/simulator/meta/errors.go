package meta

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// KnownError is an error of the Graph API, as "Handle Errors" and "Messenger
// Platform: error codes" list them. HTTP statuses are unproven, but for 400.
type KnownError struct {
	Name      string `json:"name"` // Code, and subcode where there is one: 190/460.
	Code      int    `json:"code"`
	Subcode   int    `json:"error_subcode,omitempty"`
	Type      string `json:"type"`
	Status    int    `json:"status"`
	Transient bool   `json:"is_transient,omitempty"`
	Message   string `json:"message"`
	What      string `json:"what"` // What it means, in our words.
}

func known(name, kind string, status int, message, what string) KnownError {
	code, sub, _ := strings.Cut(name, "/")
	e := KnownError{Name: name, Type: kind, Status: status, Message: message, What: what}
	e.Code, _ = strconv.Atoi(code)
	e.Subcode, _ = strconv.Atoi(sub)
	e.Transient = slices.Contains([]int{1, 2, 4, 17, 32, 341, 613, 1200, 80001, 80002, 80006}, e.Code) && name != "2/2018344"
	return e
}

const (
	oauthException = "OAuthException"
	graphMethod    = "GraphMethodException"
)

// knownErrors are those that can be had, by their own causes or by the fault
// named errors. Where the texts are Meta's they come from its pages; no program
// should read them.
var knownErrors = []KnownError{
	known("1", oauthException, 500, "An unknown error occurred", "something went wrong at Meta; or, at the token endpoint, a wrong app secret"),
	known("2", oauthException, 500, "Service temporarily unavailable", "something is wrong at Meta for a time"),
	known("2/2018344", oauthException, 400, "The Page has not accepted the terms that are needed", "the Page's owner has not accepted Messenger's terms"),
	known("3", oauthException, 400, "Application does not have the capability to make this API call", "the app may not do this"),
	known("4", oauthException, 403, "Application request limit reached", "the app has called too often"),
	known("10", oauthException, 403, "(#10) Application does not have permission for this action", "a permission is missing or was taken back"),
	known("10/1893063", oauthException, 403, "(#10) This Page is temporarily restricted from sending messages", "the Page is barred from sending for a time"),
	known("10/2018065", oauthException, 403, "(#10) This message is sent outside of allowed window", "outside the window, by its older number"),
	known("10/2018108", oauthException, 403, "(#10) This Person Cannot Receive Messages: This person isn't receiving messages from you right now", "the person does not take messages of the Page"),
	known("10/2018278", oauthException, 403, "(#10) This message is sent outside of allowed window", "24 hours have passed since the person last wrote, on Messenger"),
	known("10/2534022", oauthException, 403, "(#10) This message is sent outside of allowed window", "24 hours have passed since the person last wrote, on Instagram"),
	known("15", oauthException, 400, "(#15) This method must be called with an app access_token.", "it takes the app's own token"),
	known("17", oauthException, 403, "(#17) User request limit reached", "the person's calls are too many"),
	known("32", oauthException, 403, "(#32) Page request limit reached", "the Page's calls are too many"),
	known("100", oauthException, 400, "(#100) Invalid parameter", "a parameter is wrong or missing"),
	known("100/33", graphMethod, 400, "Unsupported request. Object does not exist, cannot be loaded due to missing permissions, or does not support this operation", "the object is missing or not visible"),
	known("100/36007", oauthException, 400, "This authorization code has expired.", "the login's code is too old"),
	known("100/36008", oauthException, 400, "Error validating verification code. Please make sure your redirect_uri is identical to the one you used in the OAuth dialog request", "redirect_uri differs from the dialog's"),
	known("100/36009", oauthException, 400, "This authorization code has been used.", "the login's code was used before"),
	known("100/2018001", oauthException, 400, "(#100) No matching user found", "the Page knows nobody of that id"),
	known("100/2018047", oauthException, 400, "(#100) Upload attachment failure", "an attachment could not be fetched, or is of another type"),
	known("100/2534014", oauthException, 400, "(#100) The requested user cannot be found.", "nobody of that id, on Instagram"),
	known("100/2534015", oauthException, 400, "(#100) Invalid message data", "the message is not one for Instagram"),
	known("101", oauthException, 400, "Error validating application. Cannot get application info due to a system error.", "no app has that id"),
	known("102", oauthException, 401, "Session key invalid or no longer valid", "the session is over"),
	known("190", oauthException, 401, "Invalid OAuth access token.", "the token is none, or was revoked"),
	known("190/458", oauthException, 401, "Error validating access token: The user has not authorized application.", "the person has removed the app"),
	known("190/459", oauthException, 401, "Error validating access token: You cannot access the app till you log in to www.facebook.com and follow the instructions given.", "Facebook wants something of the person first"),
	known("190/460", oauthException, 401, "Error validating access token: The session has been invalidated because the user changed their password or Facebook has changed the session for security reasons.", "the password was changed"),
	known("190/463", oauthException, 401, "Error validating access token: Session has expired.", "the token's life is over"),
	known("190/464", oauthException, 401, "Error validating access token: Sessions for the user are not allowed because the user is not a confirmed user.", "the person's account is not confirmed"),
	known("190/467", oauthException, 401, "Error validating access token: The session is invalid because the user logged out.", "the token was made invalid, as by logging out"),
	known("190/492", oauthException, 401, "Error validating access token: The user must be an administrator, editor, or moderator of the page in order to impersonate it.", "the person has lost her role on the Page"),
	known("200", oauthException, 403, "(#200) Permissions error", "a permission is missing"),
	known("200/1545041", oauthException, 403, "(#200) Message not sent: this person isn't available right now", "the person has blocked the Page, by another number"),
	known("200/2534041", oauthException, 403, "(#200) The account owner has disabled access to instagram direct messages", "the owner has not allowed access to messages on Instagram"),
	known("210", oauthException, 403, "(#210) A page access token is required to request this resource.", "it takes a Page's token"),
	known("230", oauthException, 403, "(#230) User consent is required to access user profile", "the person has not agreed to her name being read"),
	known("341", oauthException, 403, "(#341) Feed action request limit reached", "a limit of the application"),
	known("368", oauthException, 403, "(#368) The action attempted has been deemed abusive or is otherwise disallowed", "Meta blocks it for breaking a policy"),
	known("551/1545041", oauthException, 400, "(#551) This person isn't available right now.", "the person has blocked the Page"),
	known("613", oauthException, 403, "(#613) Calls to this api have exceeded the rate limit.", "too many a second"),
	known("613/2534040", oauthException, 403, "(#613) Calls to this api have exceeded the rate limit.", "too many a second, on Instagram"),
	known("803", oauthException, 400, "(#803) Cannot query users by their username", "the object is missing or not visible, by another number"),
	known("1200", oauthException, 500, "(#1200) Temporary send message failure. Please try again later.", "sending does not work for a time"),
	known("2200", oauthException, 400, "(#2200) Callback verification failed", "the webhook's address did not answer its verification"),
	known("2500", oauthException, 400, "An active access token must be used to query information about the current user.", "there is no token, or no such path"),
	known("2635", oauthException, 400, "(#2635) You are calling a deprecated version of the API", "the version is too old"),
	known("9010", oauthException, 400, "(#9010) The account is not known", "the account is one of Instagram's reviewers, unknown to the API"),
	known("80001", oauthException, 400, "There have been too many calls to this Page account. Wait a bit and try again.", "the Page's calls are too many"),
	known("80002", oauthException, 400, "There have been too many calls to this Instagram account. Wait a bit and try again.", "the Instagram account's calls are too many"),
	known("80006", oauthException, 400, "There have been too many messages sent from this Page. Wait a bit and try again.", "the Page's messages are too many"),
}

// Errors are all errors that can be asked for, by the fault named errors.
func Errors() []KnownError { return slices.Clone(knownErrors) }

// graphError is an error on its way to a caller.
type graphError struct {
	KnownError
	UserTitle, UserText string
	header              http.Header
}

// fail is a known error, with a message of its own where one is given.
func fail(name string, message ...any) *graphError {
	at := slices.IndexFunc(knownErrors, func(e KnownError) bool { return e.Name == name })
	if at < 0 {
		panic("meta: no error " + name)
	}
	e := &graphError{KnownError: knownErrors[at]}
	if len(message) > 0 {
		e.Message = fmt.Sprintf(message[0].(string), message[1:]...)
	}
	return e
}

// foreign says a text in another language, as Meta does for people who use it
// in that language.
const foreign = "发生错误，请稍后再试。"

// body is the error as Meta writes it.
func (e *graphError) body(trace string, inChinese bool) map[string]any {
	inner := map[string]any{"message": e.Message, "type": e.Type, "code": e.Code, "fbtrace_id": trace}
	if inChinese {
		inner["message"] = foreign
		if e.Code != 190 && e.Code != 2500 && e.Code > 2 {
			inner["message"] = fmt.Sprintf("(#%d) %s", e.Code, foreign)
		}
	}
	if e.Subcode != 0 {
		inner["error_subcode"] = e.Subcode
	}
	if e.UserText != "" {
		inner["error_user_title"], inner["error_user_msg"] = e.UserTitle, e.UserText
	}
	if e.Transient {
		inner["is_transient"] = true
	}
	return map[string]any{"error": inner}
}
