package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"stockroom/internal/secret"
)

const hidden = "shpat_hunter2"

func TestASecretNeverPrints(t *testing.T) {
	s := secret.New(hidden)
	holder := struct {
		Public  secret.Secret
		private secret.Secret // fmt reads it by reflection and calls no method.
		Pointer *secret.Secret
		List    []secret.Secret
		Keyed   map[string]secret.Secret
	}{s, s, &s, []secret.Secret{s}, map[string]secret.Secret{"a": s}}

	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t"} {
		for _, value := range []any{s, &s, holder, &holder} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	text := slog.New(slog.NewTextHandler(&out, nil))
	text.Info("m", "secret", s, "holder", holder, "group", slog.GroupValue(slog.Any("in", s)))
	object := slog.New(slog.NewJSONHandler(&out, nil))
	object.Info("m", "secret", s, "holder", holder)
	if err := json.NewEncoder(&out).Encode(holder); err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(&out).Encode(map[secret.Secret]int{s: 1}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&out, fmt.Errorf("ask the shop: %v", s), s.String(), s.GoString())

	for _, form := range []string{hidden, fmt.Sprintf("%x", hidden), fmt.Sprintf("%X", hidden), fmt.Sprintf("%d", []byte(hidden))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret was printed as %q in:\n%s", form, out.String())
		}
	}
	if !strings.Contains(out.String(), `"secret":"[redacted]"`) {
		t.Errorf("want the secret's place marked in:\n%s", out.String())
	}
	_ = holder.private
}

func TestASecretIsRevealedAndComparedByItsText(t *testing.T) {
	s := secret.New(hidden)
	if s.Reveal() != hidden || s.Empty() {
		t.Errorf("Reveal = %q, Empty = %v; want the text", s.Reveal(), s.Empty())
	}
	var zero secret.Secret
	if !zero.Empty() || !secret.New("").Empty() || zero.Reveal() != "" {
		t.Error("a secret without text should be empty")
	}
	for other, want := range map[string]bool{hidden: true, hidden + "x": false, hidden[1:]: false, "": false} {
		if got := s.Equal(secret.New(other)); got != want {
			t.Errorf("Equal to %q = %v, want %v", other, got, want)
		}
	}
}

func TestRandomTokensDifferAndCarryTheirBytes(t *testing.T) {
	a, b := secret.RandomToken(32), secret.RandomToken(32)
	if a == b || len(a) != 43 || strings.ContainsAny(a+b, "+/=") {
		t.Errorf("RandomToken(32) = %q, %q; want two texts of 43 base64url letters", a, b)
	}
	if bytes.Equal(secret.Hash(a), secret.Hash(b)) || len(secret.Hash(a)) != 32 {
		t.Error("Hash should be 32 bytes that differ between tokens")
	}
}
