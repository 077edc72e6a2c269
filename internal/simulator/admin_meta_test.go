package simulator_test

import (
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"stockroom/internal/simulator/meta"
)

// TestPersonWritesToAPageByForm: what a person does who tries the service out.
func TestPersonWritesToAPageByForm(t *testing.T) {
	f := newFacebook(t, nil)
	page, token := f.connect()
	read := func(response *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d: %v\n%s", response.Request.URL, response.StatusCode, err, body)
		}
		return string(body)
	}
	want := func(body string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(body, text) {
				t.Errorf("%q is not on the page:\n%s", text, body)
			}
		}
	}
	want(read(http.Get(f.url+"/_sim/ui/meta")), "Tea House", "Mia Merchant", "Sales bot", "None yet.")
	form := url.Values{"page": {page}, "shopper": {"Zoë"}, "text": {"Is there <tea>?"}}
	want(read(http.PostForm(f.url+"/_sim/ui/meta/write", form)), "It is written.", "Is there &lt;tea&gt;?", "The Page may answer until")
	psid, err := f.m.PSID("Tea House", "Zoë", false)
	if err != nil {
		t.Fatal(err)
	}
	body := text(psid, "Which?")
	body["message"] = map[string]any{"text": "Which?", "quick_replies": []any{map[string]string{"content_type": "text", "title": "Green", "payload": "green"}}}
	if status, answer, _ := f.sendJSON(page+"/messages", token, body); status != 200 {
		t.Fatalf("send: %v", answer)
	}
	form = url.Values{"page": {page}, "shopper": {"Zoë"}, "text": {"Green"}, "payload": {"green"}}
	want(read(http.PostForm(f.url+"/_sim/ui/meta/write", form)), "Which?", "Green")
	want(read(http.PostForm(f.url+"/_sim/ui/meta/answer", url.Values{"page": {page}, "shopper": {"Zoë"}, "text": {"I am a person"}})), "I am a person", "has control of the thread")
	f.quiet()
	want(read(http.Get(f.url+"/_sim/ui/meta")), "Zoë and Tea House", "messages", "accepted", `/_sim/ui/meta/talk?page=`+page+`&amp;shopper=Zo%C3%AB"`)
	for _, p := range f.taken() {
		if strings.Contains(string(p.raw), `"quick_reply":{"payload":"green"}`) {
			form = url.Values{"errors": {"messages:190/460 1"}, "forge": {"0.5"}, "delay": {"1s"}}
			want(read(http.PostForm(f.url+"/_sim/ui/meta/faults", form)), "Saved.", "messages:190/460 1")
			if got := f.m.Faults(); got.Forge != 0.5 || got.Errors["messages:190/460"] != 1 {
				t.Errorf("faults %+v", got)
			}
			if response, err := http.Get(f.url + "/_sim/ui/meta/talk?page=" + page + "&shopper=Nobody"); err != nil || response.StatusCode != http.StatusNotFound {
				t.Errorf("a conversation that is none: %v, %v", response.StatusCode, err)
			} else {
				response.Body.Close()
			}
			return
		}
	}
	t.Error("the quick reply did not arrive")
}

// TestEveryFaultAtFacebookHasASentence: a page of fields without a word on what
// they do is of no use.
func TestEveryFaultAtFacebookHasASentence(t *testing.T) {
	for _, knob := range newFacebook(t, nil).m.FaultKnobs() {
		if knob.Sentence == "" {
			t.Errorf("%s has none", knob.Name)
		}
	}
	if len(meta.FaultSentences) < 30 {
		t.Errorf("%d sentences", len(meta.FaultSentences))
	}
}

// TestFacebookIsDocumented: each fault and each thing that can be driven is on
// the simulator's page.
func TestFacebookIsDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(raw), "### Drive Facebook")
	text, _, _ = strings.Cut(text, "\n## ")
	names := meta.ControlNames()
	for _, knob := range newFacebook(t, nil).m.FaultKnobs() {
		names = append(names, knob.Name)
	}
	for _, name := range names {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s is not on the page", name)
		}
	}
}
