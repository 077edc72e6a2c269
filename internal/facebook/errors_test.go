package facebook_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"stockroom/internal/facebook"
)

// TestEveryErrorTellsTheOperatorWhatToDo: one row for each of Meta's numbers, by the
// kind of call that it is about. The words of Meta's are Chinese, and not looked at.
func TestEveryErrorTellsTheOperatorWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		call          string
		code, subcode int
		class         facebook.Class
		what, do      string // Parts of them.
	}{
		// Exchanging a login's code.
		{"exchange", 101, 0, facebook.ClassSecret, "FACEBOOK_APP_ID", "dashboard"},
		{"exchange", 1, 0, facebook.ClassSecret, "FACEBOOK_APP_SECRET", "secrets rotate"},
		{"exchange", 100, 0, facebook.ClassCode, "does not take the login's code", "again"},
		{"exchange", 100, 36007, facebook.ClassCode, "too old", "again"},
		{"exchange", 100, 36008, facebook.ClassCode, "another redirect address", "FACEBOOK_REDIRECT_URI"},
		{"exchange", 100, 36009, facebook.ClassCode, "used before", "again"},
		{"extend", 190, 463, facebook.ClassToken, "expired", "pages add"},
		// Tokens.
		{"pages", 190, 0, facebook.ClassToken, "revoked", "pages add"},
		{"pages", 190, 999, facebook.ClassToken, "revoked", "pages add"},
		{"pages", 102, 0, facebook.ClassToken, "session", "pages add"},
		{"pages", 190, 458, facebook.ClassToken, "removed the app", "pages add"},
		{"pages", 190, 459, facebook.ClassOwner, "until they pass a check", "log in at www.facebook.com"},
		{"pages", 190, 464, facebook.ClassOwner, "not confirmed", "confirm"},
		{"pages", 190, 460, facebook.ClassToken, "password", "pages add"},
		{"pages", 190, 463, facebook.ClassToken, "expired", "pages add"},
		{"pages", 190, 467, facebook.ClassToken, "not valid", "pages add"},
		{"pages", 190, 492, facebook.ClassToken, "no role", "another manager"},
		{"pages", 10, 0, facebook.ClassPermission, "permission", "pages list"},
		{"pages", 200, 0, facebook.ClassPermission, "permission", "pages list"},
		{"pages", 230, 0, facebook.ClassPermission, "permission", "pages list"},
		{"pages", 299, 0, facebook.ClassPermission, "permission", "pages list"},
		{"pages", 1, 0, facebook.ClassRetry, "unknown fault", "Nothing"},
		{"pages", 2, 0, facebook.ClassRetry, "out for a moment", "Nothing"},
		{"pages", 4, 0, facebook.ClassThrottled, "more calls", "wait"},
		{"pages", 17, 0, facebook.ClassThrottled, "this person", "wait"},
		{"pages", 32, 0, facebook.ClassThrottled, "this Page", "wait"},
		{"pages", 341, 0, facebook.ClassThrottled, "limit", "wait"},
		{"pages", 613, 0, facebook.ClassThrottled, "faster", "wait"},
		{"pages", 368, 0, facebook.ClassBlocked, "policies", "Support Inbox"},
		{"pages", 100, 0, facebook.ClassInvalid, "parameter", "Report"},
		{"fields", 803, 0, facebook.ClassMissing, "does not exist", "deleted"},
		{"fields", 100, 33, facebook.ClassMissing, "does not exist", "deleted"},
		{"pages", 2500, 0, facebook.ClassVersion, "address", "FACEBOOK_GRAPH_VERSION"},
		{"pages", 2635, 0, facebook.ClassVersion, "version", "FACEBOOK_GRAPH_VERSION"},
		{"inspect", 190, 0, facebook.ClassSecret, "FACEBOOK_APP_SECRET", "dashboard"},
		{"hooks", 101, 0, facebook.ClassSecret, "app's id", "dashboard"},
		// Sending.
		{"send", 10, 2018278, facebook.ClassWindow, "24 hours", "when they write"},
		{"send", 10, 2534022, facebook.ClassWindow, "Instagram", "when they write"},
		{"send", 10, 2018065, facebook.ClassWindow, "outside the time", "when they write"},
		{"send", 10, 2018108, facebook.ClassPerson, "cannot receive", "another way"},
		{"send", 10, 1893063, facebook.ClassBlocked, "barred", "Support Inbox"},
		{"send", 551, 1545041, facebook.ClassPerson, "blocked the Page", "Nothing"},
		{"send", 200, 1545041, facebook.ClassPerson, "blocked the Page", "Nothing"},
		{"send", 200, 2534041, facebook.ClassPermission, "Instagram", "Allow access to messages"},
		{"send", 200, 0, facebook.ClassPermission, "permission", "pages list"},
		{"send", 10, 0, facebook.ClassPermission, "permission", "pages list"},
		{"send", 100, 2018001, facebook.ClassPerson, "by that number", "Nothing"},
		{"send", 100, 2534014, facebook.ClassPerson, "Instagram", "Nothing"},
		{"send", 100, 2534015, facebook.ClassInvalid, "does not take this message", "plain text"},
		{"send", 100, 0, facebook.ClassInvalid, "tag is dead", "Report"},
		{"send", 100, 2018047, facebook.ClassInvalid, "attachment", "without the picture"},
		{"send", 1200, 0, facebook.ClassRetry, "for the moment", "Nothing"},
		{"send", 1, 0, facebook.ClassRetry, "unknown fault", "Nothing"},
		{"send", 2, 0, facebook.ClassRetry, "out for a moment", "Nothing"},
		{"send", 4, 0, facebook.ClassThrottled, "more calls", "wait"},
		{"send", 613, 2534040, facebook.ClassThrottled, "faster", "wait"},
		{"send", 80001, 0, facebook.ClassThrottled, "Page", "wait"},
		{"send", 80002, 0, facebook.ClassThrottled, "Instagram", "wait"},
		{"send", 80006, 0, facebook.ClassThrottled, "messages", "wait"},
		{"send", 190, 460, facebook.ClassToken, "password", "pages add"},
		{"send", 2, 2018344, facebook.ClassPermission, "terms", "accept them"},
		{"send", 9010, 0, facebook.ClassPerson, "reviewer", "Nothing"},
		// What no table has.
		{"pages", 4711, 0, facebook.ClassInvalid, "not known here", "Report"},
	} {
		m := newMeta(t, refuses(400, tt.code, tt.subcode))
		err := every[tt.call](t, m.client)
		what, do := facebook.Explain(err)
		if facebook.ClassOf(err) != tt.class || !strings.Contains(what, tt.what) || !strings.Contains(do, tt.do) {
			t.Errorf("%s %d/%d: class %q, want %q; %q, want %q; %q, want %q", tt.call, tt.code, tt.subcode, facebook.ClassOf(err), tt.class, what, tt.what, do, tt.do)
		}
		if !strings.Contains(err.Error(), "AbC") {
			t.Errorf("%v does not say what Meta's support asks for", err)
		}
	}
}

func TestAnswersWithoutANumberAreSortedByTheirStatus(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		class  facebook.Class
	}{
		{500, "<html>oops", facebook.ClassRetry}, {503, `{}`, facebook.ClassRetry}, {429, ``, facebook.ClassThrottled},
		{400, `{"error":{"message":"x","is_transient":true}}`, facebook.ClassRetry}, {404, `<html>`, facebook.ClassInvalid},
		{200, `{"data":[{"id":`, facebook.ClassRetry}, {200, `{"error":{"code":190}}`, facebook.ClassToken}, {200, `[]`, facebook.ClassRetry},
	} {
		m := newMeta(t, nil)
		m.answer = refusesWith(tt.status, tt.body)
		if _, err := m.client.Pages(t.Context(), userToken); facebook.ClassOf(err) != tt.class {
			t.Errorf("%d %s: %v, want class %s", tt.status, tt.body, err, tt.class)
		}
	}
}

func refusesWith(status int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}
