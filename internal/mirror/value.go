package mirror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Time is a moment of Shopify's, in whole seconds. In JSON it is RFC 3339 in
// UTC without a fraction, or null for the zero time, whatever offset it came with.
type Time struct{ time.Time }

// TimeOf cuts t to whole seconds in UTC.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Second)}
}

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(t.UTC().Truncate(time.Second).Format(`"2006-01-02T15:04:05Z"`)), nil
}

// UnmarshalJSON implements json.Unmarshaler. It reads what GraphQL sends (UTC)
// and what webhooks send (the shop's offset).
func (t *Time) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*t = Time{}
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("time %s: %w", data, err)
	}
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return fmt.Errorf("time %q: %w", text, err)
	}
	*t = TimeOf(parsed)
	return nil
}

// Decimal is an exact decimal in its canonical spelling: no exponent, no
// trailing zeros, no plus sign, "0" rather than "-0". Money is never a float.
type Decimal string

// ParseDecimal reads Shopify's spellings ("19.90", "10.0", "1e-1", "0.1").
func ParseDecimal(text string) (Decimal, error) {
	mantissa, exponent := text, 0
	if at := strings.IndexAny(text, "eE"); at >= 0 {
		var err error
		if exponent, err = strconv.Atoi(text[at+1:]); err != nil || exponent < -40 || exponent > 40 {
			return "", fmt.Errorf("decimal %q: bad exponent", text)
		}
		mantissa = text[:at]
	}
	sign := ""
	switch {
	case strings.HasPrefix(mantissa, "-"):
		sign, mantissa = "-", mantissa[1:]
	case strings.HasPrefix(mantissa, "+"):
		mantissa = mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return "", fmt.Errorf("decimal %q: not a number", text)
	}
	point := len(whole) + exponent
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	whole = strings.TrimLeft(digits[:point], "0")
	fraction = strings.TrimRight(digits[point:], "0")
	if whole == "" {
		whole = "0"
	}
	if fraction != "" {
		return Decimal(sign + whole + "." + fraction), nil
	}
	if whole == "0" {
		return "0", nil
	}
	return Decimal(sign + whole), nil
}

// UnmarshalJSON implements json.Unmarshaler. It reads strings, as Shopify sends
// money, and numbers, as it sends percentages, by their digits and never through a float.
func (d *Decimal) UnmarshalJSON(data []byte) error {
	text := string(data)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(data, &text); err != nil {
			return fmt.Errorf("decimal %s: %w", data, err)
		}
	}
	parsed, err := ParseDecimal(text)
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// Money is an amount and its currency code.
type Money struct {
	Amount       Decimal `json:"amount"`
	CurrencyCode string  `json:"currencyCode"`
}

// Encode writes a value in the one spelling by which contents are compared:
// fields in the order of the type, no escaped HTML, no white space.
func Encode(value any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// sorted returns a sorted copy without repetitions, never nil, so that a set
// has one spelling.
func sorted[S ~[]E, E ~string](set S) S {
	out := append(make(S, 0, len(set)), set...)
	slices.Sort(out)
	return slices.Compact(out)
}

// SortedIDs is a set of ids in its one spelling.
func SortedIDs(ids []GID) []GID { return sorted(ids) }

// SortedStrings is a set of strings in its one spelling.
func SortedStrings(set []string) []string { return sorted(set) }
