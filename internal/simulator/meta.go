package simulator

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"stockroom/internal/simulator/meta"
)

// Meta is the other platform, on the same clock.
func (s *Simulator) Meta() *meta.Meta { return s.meta }

// metaSide finds which of Meta's sides a request is for, by its host or by the
// host's name at the beginning of its path; nil for none.
func metaSide(r *http.Request) func(*meta.Meta, http.ResponseWriter, *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	path := r.URL.Path
	for _, name := range []string{meta.GraphHost, meta.DialogHost} {
		if rest, ok := strings.CutPrefix(path, "/"+name); ok && (rest == "" || rest[0] == '/') {
			host, path = name, rest
		}
	}
	switch host {
	case meta.GraphHost:
		return func(m *meta.Meta, w http.ResponseWriter, r *http.Request) { m.Graph(w, r, path) }
	case meta.DialogHost:
		return func(m *meta.Meta, w http.ResponseWriter, r *http.Request) { m.Dialog(w, r, path) }
	}
	return nil
}

// metaWorld is what Meta has of the simulator.
type metaWorld struct{ *Simulator }

// After implements meta.World.
func (w metaWorld) After(wait time.Duration, awaited bool, task func(context.Context) bool) {
	w.hooks.errand(wait, awaited, task)
}

// Text implements meta.World. It draws from a source of its own: what somebody
// does at Meta does not decide what tokens shops give out.
func (w metaWorld) Text(n int) string {
	w.secretMu.Lock()
	defer w.secretMu.Unlock()
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	out := make([]byte, n)
	for i := range out {
		out[i] = letters[w.metaSecret.IntN(len(letters))]
	}
	return string(out)
}

// Chance implements meta.World.
func (w metaWorld) Chance(share float64, fault string, name ...string) bool {
	return w.fate(fault, name...).chancy(fault, share)
}

// UpTo implements meta.World.
func (w metaWorld) UpTo(longest time.Duration) time.Duration { return w.upTo(longest) }
