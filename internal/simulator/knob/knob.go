// Package knob lets a struct of faults be read and changed by name, over JSON
// and by the form of a page.
//
// It promises that what it does not know is refused, and that a change leaves
// alone what it does not name. Which faults there are, and what they do, is the
// business of the packages that have them.
package knob

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration that JSON spells like "1.5s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("duration %q: %w", text, err)
	}
	*d = Duration(parsed)
	return nil
}

// Knob is a fault as a form shows it.
type Knob struct {
	Name     string `json:"name"` // In JSON.
	Label    string `json:"-"`
	Sentence string `json:"sentence"`
	Input    string `json:"kind"` // share, duration, check, names or shares.
	Value    string `json:"value"`
	On       bool   `json:"on"`
}

var (
	durationType = reflect.TypeFor[Duration]()
	namesType    = reflect.TypeFor[[]string]()
	sharesType   = reflect.TypeFor[map[string]float64]()
)

// List is every fault of a struct in the order of its fields; sentences say by
// name what each does.
func List(faults any, sentences map[string]string) []Knob {
	var out []Knob
	values := reflect.ValueOf(faults)
	for i := range values.NumField() {
		name, _, _ := strings.Cut(values.Type().Field(i).Tag.Get("json"), ",")
		if name == "-" || name == "" {
			continue
		}
		label := strings.ReplaceAll(name, "_", " ")
		knob := Knob{Name: name, Label: strings.ToUpper(label[:1]) + label[1:], Sentence: sentences[name], On: !values.Field(i).IsZero()}
		switch value := values.Field(i); {
		case value.Type() == durationType:
			knob.Input, knob.Value = "duration", time.Duration(value.Int()).String()
		case value.Kind() == reflect.Bool:
			knob.Input = "check"
		case value.Kind() == reflect.Float64:
			knob.Input, knob.Value = "share", strconv.FormatFloat(value.Float(), 'f', -1, 64)
		case value.Type() == namesType:
			knob.Input, knob.Value = "names", strings.Join(value.Interface().([]string), "\n")
		case value.Type() == sharesType:
			knob.Input = "shares"
			var lines []string
			for _, key := range value.MapKeys() {
				lines = append(lines, fmt.Sprintf("%s %v", key, value.MapIndex(key)))
			}
			slices.Sort(lines)
			knob.Value = strings.Join(lines, "\n")
		default:
			panic("knob: a fault of type " + value.Type().String() + " has no place in a form")
		}
		knob.On = knob.On && (knob.Value != "" || knob.Input == "check") // An empty list is none.
		out = append(out, knob)
	}
	return out
}

// Patch is what is in force with those faults changed that a JSON object names.
// Lists and maps are replaced as a whole.
func Patch[F any](inForce F, body []byte) (F, error) {
	changed := inForce
	before, after := reflect.ValueOf(inForce), reflect.ValueOf(&changed).Elem()
	whole := func(i int) bool {
		kind := after.Field(i).Kind()
		return kind == reflect.Map || kind == reflect.Slice
	}
	for i := range after.NumField() {
		if whole(i) { // Decoding would write into what is in force.
			after.Field(i).SetZero()
		}
	}
	if err := DecodeStrictly(body, &changed); err != nil {
		return inForce, fmt.Errorf("faults: %w", err)
	}
	for i := range after.NumField() {
		if whole(i) && after.Field(i).IsNil() {
			after.Field(i).Set(before.Field(i))
		}
	}
	return changed, nil
}

// Check refuses shares that are none, and times below zero but for the named fields.
func Check(faults any, signed ...string) error {
	values := reflect.ValueOf(faults)
	for i := range values.NumField() {
		switch value := values.Field(i).Interface().(type) {
		case float64:
			if !(value >= 0 && value <= 1) {
				return fmt.Errorf("faults: share %v is not between 0 and 1", value)
			}
		case Duration:
			if value < 0 && !slices.Contains(signed, values.Type().Field(i).Name) {
				return fmt.Errorf("faults: %s is below zero", time.Duration(value))
			}
		case map[string]float64:
			for name, share := range value {
				if !(share >= 0 && share <= 1) {
					return fmt.Errorf("faults: share %v of %s is not between 0 and 1", share, name)
				}
			}
		}
	}
	return nil
}

// FormPatch is what a form says of the knobs, for Patch. A button "off" of the
// form turns all of them off.
func FormPatch(knobs []Knob, form url.Values) ([]byte, error) {
	patch := make(map[string]any)
	for _, knob := range knobs {
		text := strings.TrimSpace(form.Get(knob.Name))
		if form.Has("off") {
			text = ""
		} else if _, there := form[knob.Name]; !there && knob.Input != "check" {
			continue
		}
		switch knob.Input {
		case "duration":
			if text == "" {
				text = "0s"
			}
			patch[knob.Name] = text
		case "check":
			patch[knob.Name] = text != ""
		case "names":
			patch[knob.Name] = strings.Fields(text)
		case "shares":
			shares := make(map[string]float64)
			for line := range strings.Lines(text) {
				words := strings.Fields(line)
				if len(words) == 0 {
					continue
				}
				share, err := strconv.ParseFloat(words[len(words)-1], 64)
				if err != nil || len(words) != 2 || !(share >= 0 && share <= 1) {
					return nil, fmt.Errorf("%s: %q is not a name and a share between 0 and 1", knob.Label, strings.TrimSpace(line))
				}
				shares[words[0]] = share
			}
			patch[knob.Name] = shares
		default:
			if text == "" {
				text = "0"
			}
			if _, err := strconv.ParseFloat(text, 64); err != nil {
				return nil, fmt.Errorf("%s: %q is not a number", knob.Label, text)
			}
			patch[knob.Name] = json.Number(text)
		}
	}
	body, err := json.Marshal(patch)
	if err != nil {
		return nil, fmt.Errorf("faults: %w", err)
	}
	return body, nil
}

// DecodeStrictly reads one JSON object that names nothing unknown.
func DecodeStrictly(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}
