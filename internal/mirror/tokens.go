package mirror

import (
	"encoding/hex"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Words cuts text into words and each word into tokens, in one way for every
// database engine: lower case, no accents, in ASCII letters and digits alone.
// "Crème 30ml" gives [[creme] [30ml]].
//
// A run of Chinese, Japanese or Korean characters has no spaces between its
// words, so each character is a token and the run is one word: tokens in a row
// find any part of it. What is outside ASCII after that, emoji too, is written
// as x and its UTF-8 bytes in hexadecimal, whose beginning still stands for the
// beginning of the token.
func Words(text string) [][]string {
	var words [][]string
	var word []string
	var token strings.Builder
	endToken := func() {
		if token.Len() > 0 {
			word = append(word, ascii(token.String()))
			token.Reset()
		}
	}
	endWord := func() {
		endToken()
		if len(word) > 0 {
			words = append(words, word)
			word = nil
		}
	}
	lone := false // The last rune was a token by itself.
	for _, r := range fold(text) {
		switch {
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || isApostrophe(r):
			// Accents, joiners and variation selectors do not tell words apart,
			// nor do apostrophes inside a word.
		case standsAlone(r):
			if !lone {
				endWord()
			}
			token.WriteRune(r)
			endToken()
			lone = true
		case unicode.IsLetter(r) || unicode.IsNumber(r):
			if lone {
				endWord()
			}
			lone = false
			token.WriteRune(unicode.ToLower(r))
		default:
			endWord()
			lone = false
		}
	}
	endWord()
	return words
}

// folds spells letters that have no decomposition as people type them without
// the key for it.
var folds = strings.NewReplacer("ß", "ss", "ẞ", "ss", "æ", "ae", "Æ", "ae", "œ", "oe", "Œ", "oe", "ø", "o", "Ø", "o", "ł", "l", "Ł", "l",
	"đ", "d", "Đ", "d", "ð", "d", "Ð", "d", "þ", "th", "Þ", "th", "ı", "i", "ħ", "h", "Ħ", "h")

// fold decomposes a text into letters and accents, and spells out what does not decompose.
func fold(text string) string { return folds.Replace(norm.NFKD.String(text)) }

func isApostrophe(r rune) bool { return r == '\'' || r == '’' || r == 'ʼ' }

// standsAlone reports scripts written without spaces, and symbols such as emoji.
func standsAlone(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai, unicode.So)
}

// ascii writes a token in ASCII. What begins with an x already gets a mark that
// no letter's or digit's byte begins with in hexadecimal, or typing an x would
// find every word of another script.
func ascii(token string) string {
	for i := range len(token) {
		if token[i] >= 0x80 {
			return "x" + hex.EncodeToString([]byte(token))
		}
	}
	if strings.HasPrefix(token, "x") {
		return "x0" + token
	}
	return token
}

// Tokens is Words flattened into one string of tokens, as it is stored.
func Tokens(text string) string {
	var all []string
	for _, word := range Words(text) {
		all = append(all, word...)
	}
	return strings.Join(all, " ")
}

// SortKey orders titles without regard to case and accents, the same on every engine.
func SortKey(title string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, fold(title)))
}

// Joined lists, beside a text's words, those that hyphens and the like divide as
// one word each, so that "t-shirt" and "tshirt", "AB-12" and "ab12" find each other.
func Joined(text string) string {
	var joined []string
	for field := range strings.FieldsSeq(text) {
		if len(Words(field)) < 2 {
			continue
		}
		// A field of several words even so is no word that something divides.
		if whole := Words(strings.Map(undivided, field)); len(whole) == 1 && len(whole[0]) == 1 {
			joined = append(joined, whole[0][0])
		}
	}
	return strings.Join(joined, " ")
}

// undivided leaves out what is written inside a word or a code to divide it.
func undivided(r rune) rune {
	if unicode.Is(unicode.Pd, r) || strings.ContainsRune("_./", r) {
		return -1
	}
	return r
}
