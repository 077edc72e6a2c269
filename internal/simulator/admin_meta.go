package simulator

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"stockroom/internal/simulator/knob"
	"stockroom/internal/simulator/meta"
)

// adminMeta serves the part of the page that is about Facebook: who is there,
// what is written, and forms to write as a shopper.
func (s *Simulator) adminMeta(w http.ResponseWriter, r *http.Request, parts []string) {
	m, form, post := s.meta, r.PostForm, r.Method == http.MethodPost
	switch {
	case len(parts) == 0 && !post:
		s.show(w, "meta", s.metaOverview(r.URL.Query()))
	case len(parts) == 1 && parts[0] == "faults" && !post:
		s.show(w, "metafaults", struct {
			said
			Knobs []knob.Knob
		}{saidIn(r.URL.Query()), m.FaultKnobs()})
	case len(parts) == 1 && parts[0] == "faults" && post:
		s.back(w, r, "meta/faults", m.FaultForm(form))
	case len(parts) == 1 && parts[0] == "talk" && !post:
		talk, err := s.metaTalk(r.URL.Query())
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			s.show(w, "gone", "meta")
			return
		}
		s.show(w, "talk", talk)
	case len(parts) == 1 && post:
		what, err := metaForm(m, parts[0], form)
		to := "meta"
		if talk := (url.Values{"page": {form.Get("page")}, "shopper": {form.Get("shopper")}, "instagram": {form.Get("instagram")}}); form.Get("shopper") != "" && err == nil {
			to = "meta/talk?" + talk.Encode()
		}
		s.done(w, r, to, what, err)
	default:
		http.NotFound(w, r)
	}
}

// metaForm does what a form of the page asks for, and says what that was.
func metaForm(m *meta.Meta, what string, form url.Values) (string, error) {
	page, shopper, person, app, text := form.Get("page"), strings.TrimSpace(form.Get("shopper")), form.Get("person"), form.Get("app"), form.Get("text")
	instagram := form.Get("instagram") != ""
	switch what {
	case "write":
		if strings.TrimSpace(text) == "" {
			return "", errors.New("write something")
		}
		_, err := m.Write(meta.Message{Page: page, Shopper: shopper, Instagram: instagram, Text: text, Payload: form.Get("payload")})
		return "It is written.", err
	case "tap":
		return "It is tapped.", m.Tap(page, shopper, instagram, form.Get("title"), form.Get("payload"), nil)
	case "read":
		return "It is read.", m.Read(page, shopper, instagram)
	case "answer":
		_, err := m.Answer(page, shopper, instagram, text)
		return "The inbox has answered; apps are on standby now.", err
	case "give_back":
		return "The thread is everybody's again.", m.GiveBack(page, shopper, instagram, "")
	case "password":
		return "The password is another: tokens of before are dead.", m.ChangePassword(person)
	case "remove":
		return "The app is removed, and told so.", m.RemoveApp(person, app)
	case "deletion":
		return "The app is asked to delete what it has.", m.RequestDeletion(person, app)
	case "unsubscribe":
		return "The Page's subscription is gone.", m.Unsubscribe(page, app)
	}
	return "", fmt.Errorf("there is no form %q", what)
}

// metaOverview is the first page about Facebook.
type metaOverview struct {
	said
	meta.Standing
	Threads    []threadRow
	Deliveries []metaDelivery
	Alerts     []meta.Alert
	Callbacks  []meta.Callback
	Faults     []knob.Knob
}

type threadRow struct {
	Page, Shopper, Last string
	At                  time.Time
	Query               template.URL
	Instagram           bool
}

type metaDelivery struct {
	meta.Delivery
	State, Class string
}

func (s *Simulator) metaOverview(form url.Values) metaOverview {
	m := s.meta
	out := metaOverview{said: saidIn(form), Standing: m.Standing(), Alerts: m.Alerts(), Callbacks: m.Callbacks()}
	for _, page := range out.Pages {
		threads, err := m.Threads(page.ID)
		if err != nil {
			continue // It was reset meanwhile.
		}
		for _, t := range threads {
			row := threadRow{Page: page.Name, Shopper: t.Shopper, At: t.Touched, Instagram: t.Instagram, Query: template.URL(talkQuery(page.ID, t).Encode())}
			if n := len(t.Messages); n > 0 {
				row.Last = t.Messages[n-1].Text
			}
			out.Threads = append(out.Threads, row)
		}
	}
	slices.SortStableFunc(out.Threads, func(a, b threadRow) int { return b.At.Compare(a.At) })
	if len(out.Threads) > adminDeliveries {
		out.Threads = out.Threads[:adminDeliveries]
	}
	for _, d := range slices.Backward(m.Deliveries()) {
		if len(out.Deliveries) == adminDeliveries {
			break
		}
		row := metaDelivery{Delivery: d}
		slices.Reverse(row.Attempts)
		switch {
		case d.Lost:
			row.State, row.Class = "lost", "bad"
		case d.Dropped != "":
			row.State, row.Class = "given up: "+d.Dropped, "bad"
		case d.Done:
			row.State, row.Class = "accepted", "good"
		case len(d.Attempts) > 0:
			row.State, row.Class = "waits for a retry", "warn"
		default:
			row.State, row.Class = "on its way", "dim"
		}
		out.Deliveries = append(out.Deliveries, row)
	}
	slices.Reverse(out.Alerts)
	slices.Reverse(out.Callbacks)
	for _, fault := range m.FaultKnobs() {
		if fault.On {
			out.Faults = append(out.Faults, fault)
		}
	}
	return out
}

func talkQuery(page string, t meta.Thread) url.Values {
	query := url.Values{"page": {page}, "shopper": {t.Shopper}}
	if t.Instagram {
		query.Set("instagram", "1")
	}
	return query
}

// metaTalk is a page with what a shopper and a Page say to each other.
type metaTalk struct {
	said
	meta.Thread
	PageName string
	Buttons  []meta.Button // That can be tapped now.
	Open     bool          // Whether the Page may answer.
}

// errNoTalk is a conversation that there is not.
var errNoTalk = errors.New("nobody of that name has written to that Page")

func (s *Simulator) metaTalk(query url.Values) (metaTalk, error) {
	out := metaTalk{said: saidIn(query)}
	threads, err := s.meta.Threads(query.Get("page"))
	if err != nil {
		return out, err
	}
	instagram := query.Get("instagram") != ""
	at := slices.IndexFunc(threads, func(t meta.Thread) bool { return t.Shopper == query.Get("shopper") && t.Instagram == instagram })
	if at < 0 {
		return out, errNoTalk
	}
	out.Thread, out.Open = threads[at], s.Now().Before(threads[at].Window)
	for _, page := range s.meta.Pages() {
		if page.ID == out.Page {
			out.PageName = page.Name
		}
	}
	// Quick replies are gone once something was said behind them.
	for i, said := range out.Messages {
		for _, b := range said.Buttons {
			if b.URL == "" && (!b.Quick || i == len(out.Messages)-1) {
				out.Buttons = append(out.Buttons, b)
			}
		}
	}
	return out, nil
}
