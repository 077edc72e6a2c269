package meta

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	"stockroom/internal/simulator/knob"
)

// controls are what can be done by POST with a JSON object, by name. What they
// return is the answer.
var controls = map[string]func(*Meta, *http.Request, []byte) (any, error){
	"outcome": func(m *Meta, _ *http.Request, body []byte) (any, error) {
		return take(body, func(o Outcome) (any, error) { return o, m.NextOutcome(o) })
	},
	"people": func(m *Meta, _ *http.Request, body []byte) (any, error) {
		return take(body, func(in struct {
			Name string `json:"name"`
		}) (any, error) {
			p, err := m.AddPerson(in.Name)
			return map[string]string{"id": p.ID, "name": p.Name}, err
		})
	},
	"write": func(m *Meta, _ *http.Request, body []byte) (any, error) {
		return take(body, func(say Message) (any, error) {
			mid, err := m.Write(say)
			return map[string]string{"mid": mid}, err
		})
	},
	"password": func(m *Meta, _ *http.Request, body []byte) (any, error) {
		return take(body, func(in struct {
			Person string `json:"person"`
		}) (any, error) {
			return done, m.ChangePassword(in.Person)
		})
	},
	"unsubscribe": func(m *Meta, _ *http.Request, body []byte) (any, error) {
		return take(body, func(in struct {
			Page string `json:"page"`
			App  string `json:"app"`
		}) (any, error) {
			return done, m.Unsubscribe(in.Page, in.App)
		})
	},
	"faults": func(m *Meta, _ *http.Request, body []byte) (any, error) { return m.PatchFaults(body) },
}

// done says that it was done.
var done = map[string]string{"status": "done"}

// take reads what a control needs.
func take[In any](body []byte, do func(In) (any, error)) (any, error) {
	var in In
	if err := knob.DecodeStrictly(body, &in); err != nil {
		return nil, fmt.Errorf("the body: %w", err)
	}
	return do(in)
}

// Control answers what is the simulator's own: GET shows, POST changes.
func (m *Meta) Control(w http.ResponseWriter, r *http.Request, path string) {
	var answer any
	switch {
	case r.Method == http.MethodGet && path == "faults":
		answer = m.Faults()
	case r.Method == http.MethodGet && path == "faults/all":
		answer = m.FaultKnobs()
	case r.Method == http.MethodDelete && path == "faults":
		m.SetFaults(Faults{})
		answer = m.Faults()
	case r.Method == http.MethodGet && path == "errors":
		answer = Errors()
	case r.Method == http.MethodGet && path == "deliveries":
		answer = m.Deliveries()
	case r.Method == http.MethodGet && path == "alerts":
		answer = slices.Concat([]Alert{}, m.Alerts())
	case r.Method == http.MethodPost && controls[path] != nil:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err == nil {
			answer, err = controls[path](m, r, body)
		}
		if err != nil {
			reply(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
	default:
		reply(w, http.StatusNotFound, map[string]string{"error": "no such thing"})
		return
	}
	reply(w, http.StatusOK, answer)
}

func reply(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // The caller may be gone; that is its own affair.
}
