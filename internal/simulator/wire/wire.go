// Package wire ends and delays answers as a network does.
//
// It promises that what it breaks is broken for good: after Reset the caller
// has no answer.
package wire

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Reset ends a request as a broken network does, and does not return.
func Reset(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		inner := conn
		if secure, ok := conn.(*tls.Conn); ok {
			inner = secure.NetConn()
		}
		if tcp, ok := inner.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // So that closing resets; elsewhere the connection just ends.
		}
		_ = inner.Close()
	}
	panic(http.ErrAbortHandler) // Resets the stream where HTTP/2 lets nobody hijack.
}

// Pause waits, or tells that the caller is gone.
func Pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
