package shopify

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"stockroom/internal/secret"
)

// shopServer is a Shopify that speaks real HTTP over pipes in memory, so that
// waits take no time inside a testing/synctest bubble.
type shopServer struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (s *shopServer) Accept() (net.Conn, error) {
	select {
	case conn := <-s.conns:
		return conn, nil
	case <-s.closed:
		return nil, errors.New("closed")
	}
}

func (s *shopServer) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *shopServer) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dial gives the client's side of a new connection.
func (s *shopServer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case s.conns <- far:
		return near, nil
	case <-s.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve runs the handler until the test ends and gives a client for it.
func serve(t *testing.T, handler http.HandlerFunc) *http.Client {
	t.Helper()
	listener := &shopServer{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: handler}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	transport := &http.Transport{DialContext: listener.dial}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
	return &http.Client{Transport: transport}
}

// testClient is a client of the handler with a token that never changes.
func testClient(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	return testClientWith(t, handler, func(context.Context, secret.Secret) (secret.Secret, error) {
		return secret.New("shpat_first"), nil
	})
}

func testClientWith(t *testing.T, handler http.HandlerFunc, token func(context.Context, secret.Secret) (secret.Secret, error)) *Client {
	t.Helper()
	client, err := NewClient(Config{
		Shop: "a.myshopify.com", BaseURL: "http://a.myshopify.com", HTTP: serve(t, handler), Token: token,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// operation is the name of the operation that a request asks for.
func operation(r *http.Request) (name, body string) {
	text, _ := io.ReadAll(r.Body)
	_, rest, _ := strings.Cut(string(text), `"operationName":"`)
	name, _, _ = strings.Cut(rest, `"`)
	return name, string(text)
}
