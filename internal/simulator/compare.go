package simulator

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// maxDifferences is how many differences a Report shows one by one. All are counted.
const maxDifferences = 200

// maxExportLine bounds a line of an export: a collection of a large shop is long.
const maxExportLine = 256 << 20

// Report says in what two exports differ.
type Report struct {
	Types       map[string]TypeReport `json:"types"`
	Differences []Difference          `json:"differences"` // The first few.
	IDs         map[string]bool       `json:"-"`           // Of every record that differs.
}

// TypeReport counts the records of one type.
type TypeReport struct {
	Want    int            `json:"want"`
	Got     int            `json:"got"`
	Missing int            `json:"missing"` // Wanted and not there.
	Extra   int            `json:"extra"`   // There and not wanted.
	Wrong   int            `json:"wrong"`   // There in both, with other fields.
	Fields  map[string]int `json:"fields"`  // How often a field differs.
}

// Difference is one record or one field that differs; nil stands for what is not there.
type Difference struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	Field string          `json:"field,omitempty"` // Empty where the whole record is missing or too much.
	Want  json.RawMessage `json:"want"`
	Got   json.RawMessage `json:"got"`
}

// Exact tells whether nothing differs.
func (r Report) Exact() bool {
	for _, t := range r.Types {
		if t.Missing+t.Extra+t.Wrong > 0 {
			return false
		}
	}
	return true
}

// String lists what differs, or says that nothing does.
func (r Report) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Types)) {
		t := r.Types[name]
		fmt.Fprintf(&b, "%-15s want %d, got %d: %d missing, %d extra, %d wrong", name, t.Want, t.Got, t.Missing, t.Extra, t.Wrong)
		for _, field := range slices.Sorted(maps.Keys(t.Fields)) {
			fmt.Fprintf(&b, " %s:%d", field, t.Fields[field])
		}
		b.WriteByte('\n')
	}
	for _, d := range r.Differences {
		want, got := "nothing", "nothing"
		if d.Want != nil {
			want = string(d.Want)
		}
		if d.Got != nil {
			got = string(d.Got)
		}
		fmt.Fprintf(&b, "%s %s: want %s, got %s\n", d.ID, d.Field, want, got)
	}
	if r.Exact() {
		b.WriteString("exact\n")
	}
	return b.String()
}

// exported is one line of an export.
type exported struct {
	kind, id string
	fields   map[string]json.RawMessage
}

// Compare holds two exports against each other, record by record and field by
// field, in both directions. Lines may come in any order; in memory are those
// whose counterpart did not come yet, which are few where the orders are alike.
// A line that cannot be read, or an id that comes twice, is an error.
func Compare(want, got io.Reader) (Report, error) {
	c := comparison{report: Report{Types: make(map[string]TypeReport), IDs: make(map[string]bool)}, seen: make(map[string]side)}
	sides := []*lines{newLines("want", want), newLines("got", got)}
	waiting := []map[string]exported{make(map[string]exported), make(map[string]exported)}
	for open := 2; open > 0; {
		for i, side := range sides {
			if side == nil {
				continue
			}
			record, err := side.next()
			if errors.Is(err, io.EOF) {
				sides[i] = nil
				open--
				continue
			}
			if err != nil {
				return Report{}, err
			}
			key := record.kind + " " + record.id
			if err := c.count(i, key, record.kind); err != nil {
				return Report{}, err
			}
			other, there := waiting[1-i][key]
			if !there {
				waiting[i][key] = record
				continue
			}
			delete(waiting[1-i], key)
			if i == 0 {
				c.fields(record, other)
			} else {
				c.fields(other, record)
			}
		}
	}
	for i, left := range waiting {
		for _, key := range slices.Sorted(maps.Keys(left)) {
			c.alone(i, left[key])
		}
	}
	return c.report, nil
}

// side is a set of the two sides.
type side uint8

type comparison struct {
	report Report
	seen   map[string]side
}

func (c *comparison) count(i int, key, kind string) error {
	if c.seen[key]&(1<<i) != 0 {
		return fmt.Errorf("compare exports: %s comes twice", key)
	}
	c.seen[key] |= 1 << i
	c.change(kind, func(t *TypeReport) {
		if i == 0 {
			t.Want++
		} else {
			t.Got++
		}
	})
	return nil
}

func (c *comparison) change(kind string, change func(*TypeReport)) {
	t := c.report.Types[kind]
	if t.Fields == nil {
		t.Fields = make(map[string]int)
	}
	change(&t)
	c.report.Types[kind] = t
}

func (c *comparison) note(d Difference) {
	if len(c.report.Differences) < maxDifferences {
		c.report.Differences = append(c.report.Differences, d)
	}
}

// alone notes a record that one side lacks.
func (c *comparison) alone(i int, record exported) {
	whole := json.RawMessage(`"a record"`)
	c.report.IDs[record.id] = true
	if i == 0 {
		c.change(record.kind, func(t *TypeReport) { t.Missing++ })
		c.note(Difference{Type: record.kind, ID: record.id, Want: whole})
		return
	}
	c.change(record.kind, func(t *TypeReport) { t.Extra++ })
	c.note(Difference{Type: record.kind, ID: record.id, Got: whole})
}

// fields compares two lines of one record.
func (c *comparison) fields(want, got exported) {
	wrong := false
	differ := func(name string, a, b json.RawMessage) {
		wrong = true
		c.change(want.kind, func(t *TypeReport) { t.Fields[name]++ })
		c.note(Difference{want.kind, want.id, name, a, b})
	}
	for _, name := range slices.Sorted(maps.Keys(want.fields)) {
		if b, there := got.fields[name]; !there || !sameJSON(want.fields[name], b) {
			differ(name, want.fields[name], b)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got.fields)) {
		if _, there := want.fields[name]; !there {
			differ(name, nil, got.fields[name])
		}
	}
	if wrong {
		c.report.IDs[want.id] = true
		c.change(want.kind, func(t *TypeReport) { t.Wrong++ })
	}
}

// sameJSON compares values, not spellings; numbers by their digits.
func sameJSON(a, b json.RawMessage) bool {
	if bytes.Equal(a, b) {
		return true
	}
	var x, y any
	return decodeExact(a, &x) == nil && decodeExact(b, &y) == nil && reflect.DeepEqual(x, y)
}

func decodeExact(text []byte, into *any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode(into)
}

// lines reads an export.
type lines struct {
	name    string
	scanner *bufio.Scanner
	number  int
}

func newLines(name string, r io.Reader) *lines {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, 1<<16), maxExportLine)
	return &lines{name: name, scanner: scanner}
}

func (l *lines) next() (exported, error) {
	for l.scanner.Scan() {
		l.number++
		if len(bytes.TrimSpace(l.scanner.Bytes())) == 0 {
			continue
		}
		record, err := parseLine(l.scanner.Bytes())
		if err != nil {
			return exported{}, fmt.Errorf("compare exports: %s, line %d: %w", l.name, l.number, err)
		}
		return record, nil
	}
	if err := l.scanner.Err(); err != nil {
		return exported{}, fmt.Errorf("compare exports: %s, after line %d: %w", l.name, l.number, err)
	}
	return exported{}, io.EOF
}

func parseLine(text []byte) (exported, error) {
	var record exported
	if err := json.Unmarshal(text, &record.fields); err != nil {
		return exported{}, err
	}
	for name, into := range map[string]*string{"type": &record.kind, "id": &record.id} {
		if err := json.Unmarshal(record.fields[name], into); err != nil || *into == "" {
			return exported{}, fmt.Errorf("no %s", name)
		}
		delete(record.fields, name)
	}
	return record, nil
}
