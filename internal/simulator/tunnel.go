package simulator

import (
	"io"
	"net"
	"net/http"
	"sync"

	"stockroom/internal/simulator/meta"
)

// tunnel answers CONNECT: a client that takes a proxy from its environment
// reaches https://{shop} through the simulator without a line changed. The
// tunnel leads back to where it began, and for what is simulated only: the
// simulator is not a way to elsewhere.
func (s *Simulator) tunnel(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	switch {
	case err != nil || port != "443" || s.Shop(host) == nil && host != meta.GraphHost && host != meta.DialogHost:
		http.Error(w, "The simulator leads to its shops and to Meta, at port 443, and nowhere else.", http.StatusForbidden)
		return
	case r.TLS == nil:
		http.Error(w, "The simulator speaks no TLS here: start it with --tls.", http.StatusNotImplemented)
		return
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		http.Error(w, "The simulator does not know its own address.", http.StatusBadGateway)
		return
	}
	var dialer net.Dialer
	inner, err := dialer.DialContext(r.Context(), local.Network(), local.String())
	if err != nil {
		http.Error(w, "The simulator does not reach itself.", http.StatusBadGateway)
		return
	}
	defer inner.Close()
	outer, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil { // HTTP/2, which clients do not speak to a proxy.
		http.Error(w, "Ask for a tunnel by HTTP/1.1.", http.StatusHTTPVersionNotSupported)
		return
	}
	defer outer.Close()
	if _, err := io.WriteString(outer, "HTTP/1.1 200 Connection Established\r\n\r\n"); err != nil {
		return
	}
	// Each way ends when either side does; why it ended is theirs to know.
	var there sync.WaitGroup
	there.Go(func() {
		_, _ = io.Copy(inner, buffered)
		_ = inner.Close()
	})
	_, _ = io.Copy(outer, inner)
	_ = outer.Close()
	there.Wait()
}
