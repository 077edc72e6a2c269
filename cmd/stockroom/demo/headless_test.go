package demo

import (
	"io"
	"log/slog"
	"os"
	"testing"
)

// TestHeadlessDemoIsExact is the whole product in one story.
func TestHeadlessDemoIsExact(t *testing.T) {
	log, say := slog.New(slog.DiscardHandler), io.Discard
	if testing.Verbose() {
		log, say = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo})), os.Stderr
	}
	result, err := Headless(t.Context(), 1, log, say)
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK() {
		t.Errorf("the demo did not show what it is there to show: %+v", result)
	}
	t.Logf("%+v", result)
}
