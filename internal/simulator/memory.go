package simulator

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Listener takes connections from within the process, without a network. All
// its waits are known to testing/synctest, so that a simulator, an app and
// their webhooks can live through weeks in a moment of real time:
//
//	listener := simulator.NewListener()
//	go http.Serve(listener, sim.Handler())
//	client := listener.Client() // Reaches sim as https://demo-shop.myshopify.com.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewListener makes one that is open.
func NewListener() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections that were accepted stay.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return memory{} }

type memory struct{}

func (memory) Network() string { return "memory" }
func (memory) String() string  { return "memory" }

// DialContext connects, whatever address is asked for. It fits into
// http.Transport.
func (l *Listener) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	var err error
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		err = net.ErrClosed
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, &net.OpError{Op: "dial", Net: "memory", Addr: memory{}, Err: err}
}

// Client reaches the listener under every host, as http:// and as https://;
// nothing is encrypted. It follows redirects, and belongs to the caller, who
// closes its idle connections at the end.
func (l *Listener) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: l.DialContext, DialTLSContext: l.DialContext}}
}
