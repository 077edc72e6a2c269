package mirror

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Decode reads a content back into its type. An error means that the bytes were
// not written by Encode of that kind.
func Decode(kind Kind, content []byte) (Content, error) {
	value := InfoOf(kind).Blank()
	if err := json.Unmarshal(content, value); err != nil {
		return nil, fmt.Errorf("decode %s: %w", kind, err)
	}
	return value, nil
}

// FieldDiff is one field in which two contents differ. A side that lacks the
// field is nil.
type FieldDiff struct {
	Field string          `json:"field"`
	Old   json.RawMessage `json:"old"`
	New   json.RawMessage `json:"new"`
}

// Compare lists the fields in which two contents of one kind differ, by name.
// Either may be nil, for a record that is absent.
func Compare(before, after []byte) ([]FieldDiff, error) {
	if bytes.Equal(before, after) {
		return nil, nil
	}
	olds, err := fieldsOf(before)
	if err != nil {
		return nil, fmt.Errorf("compare: old content: %w", err)
	}
	news, err := fieldsOf(after)
	if err != nil {
		return nil, fmt.Errorf("compare: new content: %w", err)
	}
	names := make([]string, 0, len(olds)+len(news))
	for name := range olds {
		names = append(names, name)
	}
	for name := range news {
		names = append(names, name)
	}
	slices.Sort(names)
	var diffs []FieldDiff
	for _, name := range slices.Compact(names) {
		if !bytes.Equal(olds[name], news[name]) {
			diffs = append(diffs, FieldDiff{name, olds[name], news[name]})
		}
	}
	return diffs, nil
}

func fieldsOf(content []byte) (map[string]json.RawMessage, error) {
	if content == nil {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(content, &fields); err != nil {
		return nil, err
	}
	return fields, nil
}
