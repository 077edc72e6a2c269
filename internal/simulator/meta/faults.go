package meta

import (
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/simulator/knob"
)

// Faults are what goes wrong on purpose at Meta. Shares are between 0 and 1 and
// are drawn from the simulator's seed. The zero value is a day without trouble.
type Faults struct {
	// Of calls to Graph.
	Errors      map[string]float64 `json:"errors,omitempty"`       // Share answered with a known error, by call and name: "messages:190/460"; "*:2" for every call.
	ServerError float64            `json:"server_error,omitempty"` // Share answered 502 with a page of HTML, without effect.
	Reset       float64            `json:"reset,omitempty"`        // Share whose connection is reset, without effect.
	AnswerLost  float64            `json:"answer_lost,omitempty"`  // Share that take effect and whose connection is reset.
	Cut         float64            `json:"cut,omitempty"`          // Share that take effect and whose answer ends early.
	Redirect    float64            `json:"redirect,omitempty"`     // Share answered by a redirect to another host, without effect.
	Slow        knob.Duration      `json:"slow,omitempty"`         // How long every answer takes.
	Chinese     bool               `json:"chinese,omitempty"`      // Messages of errors are in Chinese.

	// Of logging in.
	OmitExpiresIn bool          `json:"omit_expires_in,omitempty"` // Answers with tokens lack their lifetimes.
	TokenLife     knob.Duration `json:"token_life,omitempty"`      // How long tokens live, if that is less than they were given out for.
	PageSize      float64       `json:"small_pages,omitempty"`     // Share of lists that come two at a time, whatever limit says.

	// Of webhooks.
	Lose        map[string]float64 `json:"lose,omitempty"`         // Share never sent, by field; "*" for all others.
	Double      float64            `json:"double,omitempty"`       // Share sent twice, byte for byte.
	Fail        float64            `json:"fail,omitempty"`         // Share of attempts that do not arrive and are retried.
	Forge       float64            `json:"forge,omitempty"`        // Share sent once more before, altered and wrongly signed.
	Unsigned    float64            `json:"unsigned,omitempty"`     // Share sent once more before, without a signature.
	SHA1Only    float64            `json:"sha1_only,omitempty"`    // Share sent once more before, with the older signature alone.
	Reencode    float64            `json:"reencode,omitempty"`     // Share sent once more before, as a proxy would that writes JSON anew.
	OldSecret   float64            `json:"old_secret,omitempty"`   // Share signed with the app's older secret.
	Reorder     float64            `json:"reorder,omitempty"`      // Share that up to two seconds of others overtake.
	Delay       knob.Duration      `json:"delay,omitempty"`        // Longest delay of each.
	Late        float64            `json:"late,omitempty"`         // Share sent one to twelve hours late.
	Stale       float64            `json:"stale,omitempty"`        // Share whose acceptance is not heard: they come again.
	Batch       knob.Duration      `json:"batch,omitempty"`        // For how long updates are gathered into one delivery.
	Unknown     float64            `json:"unknown,omitempty"`      // Share that come with an event of an unknown kind, for an unknown Page.
	TextTimes   float64            `json:"text_times,omitempty"`   // Share whose timestamps are strings.
	OldEscapes  bool               `json:"old_escapes,omitempty"`  // "<", "%" and "@" are escaped too.
	Patience    knob.Duration      `json:"patience,omitempty"`     // How long an answer may take, where not 5 s.
	EmptyUpdate float64            `json:"empty_update,omitempty"` // Share that come with an entry without any event.

	// Of the callbacks for deauthorization and data deletion.
	CallbackForge     float64 `json:"callback_forge,omitempty"`     // Share sent once more before, wrongly signed.
	CallbackAlgorithm float64 `json:"callback_algorithm,omitempty"` // Share sent once more before, with another algorithm.
	CallbackPadding   float64 `json:"callback_padding,omitempty"`   // Share whose signature is padded.
	CallbackLost      float64 `json:"callback_lost,omitempty"`      // Share never sent.
}

// FaultSentences say what each fault does, by its name in JSON.
var FaultSentences = map[string]string{
	"errors":             "Share of calls answered with a known error and without effect, by call and error, one a line: “messages:190/460 1”. “*:2” is every call. GET /_sim/meta/errors has the errors; calls are " + strings.Join(callNames, ", ") + ".",
	"server_error":       "Share of calls answered 502 with a page of HTML, without effect.",
	"reset":              "Share of calls whose connection is reset, without effect.",
	"answer_lost":        "Share of calls that take effect and whose connection is reset.",
	"cut":                "Share of calls that take effect and whose answer ends early.",
	"redirect":           "Share of calls answered by a redirect to another host, without effect.",
	"slow":               "How long every answer takes.",
	"chinese":            "Messages of errors are in Chinese, as they are in the language of whoever uses an app.",
	"omit_expires_in":    "Answers with tokens lack their lifetimes.",
	"token_life":         "How long tokens live, if that is less than they were given out for.",
	"small_pages":        "Share of lists that come two at a time, whatever limit says.",
	"lose":               "Share of webhooks never sent, by field, one a line: “messages 0.5”. “*” stands for all other fields.",
	"double":             "Share of webhooks sent twice, byte for byte.",
	"fail":               "Share of attempts that do not arrive and are retried.",
	"forge":              "Share of webhooks sent once more before, altered and wrongly signed.",
	"unsigned":           "Share of webhooks sent once more before, without a signature.",
	"sha1_only":          "Share of webhooks sent once more before, with the older SHA-1 signature alone.",
	"reencode":           "Share of webhooks sent once more before as a proxy would that writes JSON anew: the signature no longer fits.",
	"old_secret":         "Share of webhooks signed with the app's older secret: its own followed by “-old”, where none is set.",
	"reorder":            "Share of webhooks that up to two seconds of others overtake.",
	"delay":              "Longest delay of each webhook.",
	"late":               "Share of webhooks sent hours late: between one and twelve.",
	"stale":              "Share of webhooks whose acceptance is not heard: they come again.",
	"batch":              "For how long updates are gathered into one delivery.",
	"unknown":            "Share of webhooks that come with an event of an unknown kind, for an unknown Page.",
	"text_times":         "Share of webhooks whose timestamps are strings.",
	"old_escapes":        "Webhooks have “<”, “%” and “@” escaped too, as older pages of Meta say.",
	"patience":           "How long an answer to a webhook may take, where it is not 5 s.",
	"empty_update":       "Share of webhooks that come with an entry without any event.",
	"callback_forge":     "Share of callbacks sent once more before, wrongly signed.",
	"callback_algorithm": "Share of callbacks sent once more before, with another algorithm.",
	"callback_padding":   "Share of callbacks whose signature is padded with “=”.",
	"callback_lost":      "Share of callbacks never sent.",
}

// Faults returns the faults in force.
func (m *Meta) Faults() Faults {
	m.faultsMu.Lock()
	defer m.faultsMu.Unlock()
	return m.faults
}

// SetFaults replaces them. Webhooks already on their way keep what was drawn for them.
func (m *Meta) SetFaults(faults Faults) {
	m.faultsMu.Lock()
	defer m.faultsMu.Unlock()
	m.faults = faults
}

// PatchFaults changes those that a JSON object names.
func (m *Meta) PatchFaults(body []byte) (Faults, error) {
	m.faultsMu.Lock()
	defer m.faultsMu.Unlock()
	changed, err := knob.Patch(m.faults, body)
	if err != nil {
		return Faults{}, fmt.Errorf("%w; GET /_sim/meta/faults/all names those there are", err)
	}
	if err := changed.check(); err != nil {
		return Faults{}, err
	}
	m.faults = changed
	return changed, nil
}

// FaultKnobs are all faults in the order of their declaration.
func (m *Meta) FaultKnobs() []knob.Knob { return knob.List(m.Faults(), FaultSentences) }

// FaultForm changes the faults to what a form says.
func (m *Meta) FaultForm(form map[string][]string) error {
	patch, err := knob.FormPatch(knob.List(Faults{}, nil), form)
	if err != nil {
		return err
	}
	_, err = m.PatchFaults(patch)
	return err
}

func (f Faults) check() error {
	if err := knob.Check(f); err != nil {
		return err
	}
	for key := range f.Errors {
		call, name, _ := strings.Cut(key, ":")
		if call != "*" && !slices.Contains(callNames, call) {
			return fmt.Errorf("faults: errors %q: no call %q; there are %s", key, call, strings.Join(callNames, ", "))
		}
		if !slices.ContainsFunc(knownErrors, func(e KnownError) bool { return e.Name == name }) {
			return fmt.Errorf("faults: errors %q: no error %q; GET /_sim/meta/errors has them", key, name)
		}
	}
	for field := range f.Lose {
		if field != "*" && !knownField(field) {
			return fmt.Errorf("faults: lose %q: no such field", field)
		}
	}
	return nil
}
