package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"stockroom/internal/secret"
)

func open(t *testing.T, keys ...string) *secret.Sealer {
	t.Helper()
	s, err := secret.OpenSealer(secret.New(strings.Join(keys, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seal(t *testing.T, s *secret.Sealer, text, associated string) []byte {
	t.Helper()
	sealed, err := s.Seal([]byte(text), []byte(associated))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestSealerOpensWhatItSealed(t *testing.T) {
	s := open(t, secret.NewKeyset().Reveal())
	for _, text := range []string{"", "a", strings.Repeat("long", 10000)} {
		sealed := seal(t, s, text, "shop 1 token")
		if bytes.Contains(sealed, []byte("longlong")) {
			t.Error("sealed bytes hold the text")
		}
		got, err := s.Open(sealed, []byte("shop 1 token"))
		if err != nil || string(got) != text {
			t.Errorf("Open = %d bytes, %v; want the %d sealed", len(got), err, len(text))
		}
	}
	if bytes.Equal(seal(t, s, "a", ""), seal(t, s, "a", "")) {
		t.Error("sealing twice should give different bytes")
	}
}

func TestSealerRefusesWhatIsNotItsOwn(t *testing.T) {
	s := open(t, secret.NewKeyset().Reveal())
	sealed := seal(t, s, hidden, "shop 1")
	damaged := bytes.Clone(sealed)
	damaged[len(damaged)-1] ^= 1
	for name, try := range map[string]struct {
		by         *secret.Sealer
		sealed     []byte
		associated string
	}{
		"another shop's row": {s, sealed, "shop 2"},
		"another key":        {open(t, secret.NewKeyset().Reveal()), sealed, "shop 1"},
		"a flipped bit":      {s, damaged, "shop 1"},
		"a cut text":         {s, sealed[:10], "shop 1"},
		"nothing":            {s, nil, "shop 1"},
	} {
		got, err := try.by.Open(try.sealed, []byte(try.associated))
		if !errors.Is(err, secret.ErrCannotOpen) || got != nil {
			t.Errorf("%s: Open = %q, %v; want nothing and ErrCannotOpen", name, got, err)
		}
	}
}

func TestSealerSealsByTheFirstKeyAndOpensByAll(t *testing.T) {
	older, newer := secret.NewKeyset().Reveal(), secret.NewKeyset().Reveal()
	before, during, after := open(t, older), open(t, newer+" , "+older, newer), open(t, newer)

	old := seal(t, before, hidden, "")
	if got, err := during.Open(old, nil); err != nil || string(got) != hidden {
		t.Errorf("while both keys are there, Open of the old = %q, %v", got, err)
	}
	if during.Current(old) || !before.Current(old) {
		t.Error("bytes of the old key should be current before the new one came, and not after")
	}
	fresh := seal(t, during, hidden, "")
	if !during.Current(fresh) {
		t.Error("bytes just sealed should be current")
	}
	if got, err := after.Open(fresh, nil); err != nil || string(got) != hidden {
		t.Errorf("without the old key, Open of the new = %q, %v", got, err)
	}
	if _, err := after.Open(old, nil); !errors.Is(err, secret.ErrCannotOpen) {
		t.Errorf("without the old key, Open of the old: %v; want ErrCannotOpen", err)
	}
}

func TestSealerReadsOneKeyInEveryForm(t *testing.T) {
	raw := bytes.Repeat([]byte{0xfb, 0xef, 0x01, 0xff}, 8) // Holds what the two alphabets write differently.
	sealed := seal(t, open(t, hex.EncodeToString(raw)), hidden, "")
	for name, text := range map[string]string{
		"base64":           base64.StdEncoding.EncodeToString(raw),
		"base64, bare":     base64.RawStdEncoding.EncodeToString(raw),
		"base64url":        base64.URLEncoding.EncodeToString(raw),
		"base64url, bare":  base64.RawURLEncoding.EncodeToString(raw),
		"hex, in capitals": strings.ToUpper(hex.EncodeToString(raw)),
		"with white space": "  " + hex.EncodeToString(raw) + "\n",
	} {
		if got, err := open(t, text).Open(sealed, nil); err != nil || string(got) != hidden {
			t.Errorf("%s: Open = %q, %v", name, got, err)
		}
	}
}

func TestSealerRefusesAKeyThatIsNoneWithoutPrintingIt(t *testing.T) {
	good := secret.NewKeyset().Reveal()
	for name, text := range map[string]string{
		"empty":          "",
		"a password":     "correct horse battery staple",
		"16 bytes":       "00112233445566778899aabbccddeeff",
		"33 bytes":       base64.StdEncoding.EncodeToString(make([]byte, 33)),
		"trailing comma": good + ",",
		"second is bad":  good + "," + good[:40],
	} {
		_, err := secret.OpenSealer(secret.New(text))
		if err == nil {
			t.Errorf("%s: was accepted", name)
			continue
		}
		if !strings.Contains(err.Error(), "openssl rand -base64 32") {
			t.Errorf("%s: the error does not say how to make a key: %v", name, err)
		}
		if text != "" && strings.Contains(err.Error(), text) || strings.Contains(err.Error(), good[:40]) {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
}

func FuzzOpenNeverPanics(f *testing.F) {
	s, err := secret.OpenSealer(secret.NewKeyset())
	if err != nil {
		f.Fatal(err)
	}
	sealed, err := s.Seal([]byte(hidden), nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := s.Open(b, nil)
		if err == nil && !bytes.Equal(b, sealed) {
			t.Errorf("opened %x, which was never sealed, as %q", b, got)
		}
	})
}
