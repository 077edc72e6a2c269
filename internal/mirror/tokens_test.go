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
		"T-Shirt (Größe: XL)": {{"t"}, {"shirt"}, {"x67726fc39f65"}, {"x0xl"}}, // The o lost its dots, the ß stays, and xl is told from the x of others.
		"":                    nil,
		" -- ":                nil,
	} {
		if got := mirror.Words(text); !reflect.DeepEqual(got, want) {
			t.Errorf("Words(%q) = %v, want %v", text, got, want)
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
