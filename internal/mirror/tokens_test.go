package mirror_test

import (
	"reflect"
	"strings"
	"testing"

	"stockroom/internal/mirror"
)

func TestWords(t *testing.T) {
	for text, want := range map[string][][]string{
		"Crème Brûlée 30ml":   {{"creme"}, {"brulee"}, {"30ml"}},
		"T-Shirt (Größe: XL)": {{"t"}, {"shirt"}, {"grosse"}, {"x0xl"}}, // The o lost its dots, the ß stays, and xl is told from the x of others.
		"":                    nil,
		" -- ":                nil,
	} {
		if got := mirror.Words(text); !reflect.DeepEqual(got, want) {
			t.Errorf("Words(%q) = %v, want %v", text, got, want)
		}
	}
}

// TestWordsMeetHoweverTheyAreTyped: without the key for a letter, with or without an apostrophe.
func TestWordsMeetHoweverTheyAreTyped(t *testing.T) {
	for typed, written := range map[string]string{
		"smorrebrod": "Smørrebrød", "lodz": "Łódź", "strasse": "Straße", "oeuvre": "Œuvre", "da": "Đà", "kirmizi": "Kırmızı", "levis": "Levi’s", "LEVIS": "Levi's",
	} {
		if got, want := mirror.Tokens(typed), mirror.Tokens(written); got != want {
			t.Errorf("%q has the tokens %q, %q has %q", typed, got, written, want)
		}
	}
	for written, want := range map[string]string{"T-Shirt AB-12 plain": "tshirt ab12", "a/b": "ab", "X-Large": mirror.Tokens("xlarge"), "футболка-поло": mirror.Tokens("футболкаполо"), "AB‑12": "ab12", `"ab-12"`: "ab12",
		"紅-色": "", "no hyphen": "", "-": "", "-plain-": "", "a, b-c": "bc", "a,b-c": ""} {
		if got := mirror.Joined(written); got != want {
			t.Errorf("Joined(%q) = %q, want %q", written, got, want)
		}
	}
}

// TestWordsOfScriptsWithoutSpaces: any part of a run is found, as tokens in a row.
func TestWordsOfScriptsWithoutSpaces(t *testing.T) {
	title := mirror.Tokens("红色运动鞋 Größe 42")
	part := mirror.Words("运动")
	if len(part) != 1 || len(part[0]) != 2 || !strings.Contains(title, strings.Join(part[0], " ")) {
		t.Errorf("%v does not stand in %q", part, title)
	}
	if emoji := mirror.Words("🔥sale"); len(emoji) != 2 {
		t.Errorf("Words of an emoji and a word = %v, want two words", emoji)
	}
}

// FuzzTokens: whatever comes, no token can hold an operator of a search language.
func FuzzTokens(f *testing.F) {
	for _, seed := range []string{"a\"b*", "運動", "x:y AND z", "\xff\xfe", "ǅ İ ﬁ"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if rest := strings.Trim(mirror.Tokens(text), "abcdefghijklmnopqrstuvwxyz0123456789 "); rest != "" {
			t.Errorf("Tokens(%q) holds %q", text, rest)
		}
	})
}
