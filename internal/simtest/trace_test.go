package simtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
	"time"
)

// trace digests what happened: every request and answer, every delivery of a
// webhook, every edit and crash, each with its virtual time. What happens in the
// same instant is sorted first, for its order is the Go scheduler's and no
// part of the seed.
type trace struct {
	mu      sync.Mutex
	at      time.Time
	instant []string
	sum     hash.Hash
	lines   int
	to      io.Writer // Where every line is written as well; nil for nowhere.
}

func newTrace(to io.Writer) *trace { return &trace{sum: sha256.New(), to: to} }

func (t *trace) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); !now.Equal(t.at) {
		t.flush()
		t.at = now
	}
	t.instant = append(t.instant, fmt.Sprintf(format, args...))
}

func (t *trace) flush() {
	slices.Sort(t.instant)
	for _, line := range t.instant {
		line = t.at.UTC().Format("01-02 15:04:05.000000000 ") + line + "\n"
		io.WriteString(t.sum, line)
		if t.to != nil {
			io.WriteString(t.to, line)
		}
		t.lines++
	}
	t.instant = t.instant[:0]
}

// digest is of all that was noted.
func (t *trace) digest() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.flush()
	return hex.EncodeToString(t.sum.Sum(nil)[:8])
}
