package meta

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// FuzzEscape: Meta's bytes are ASCII, and say the same as those they were made of.
func FuzzEscape(f *testing.F) {
	for _, text := range []string{"", "plain", "H\u00e4tten Sie \U0001F375? a/b <c> 50% a@b & \"q\" \\ \u2028", "\x7f\x00\n", "\u0645\u0631\u062d\u0628\u0627", "\ufffd"} {
		f.Add(text, true)
		f.Add(text, false)
	}
	f.Fuzz(func(t *testing.T, text string, old bool) {
		plain := marshal(map[string]any{"text": text, "list": []string{text}})
		escaped := escape(plain, old)
		var want, got any
		if err := json.Unmarshal(plain, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(escaped, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s became %s: %v", plain, escaped, err)
		}
		for i, b := range escaped {
			if b >= 0x7f || b < 0x20 {
				t.Errorf("byte %d of %s is %#x", i, escaped, b)
			}
		}
		if s := string(escaped); strings.Contains(strings.ReplaceAll(s, `\/`, ""), "/") {
			t.Errorf("a slash stands alone in %s", s)
		}
	})
}
