package demo

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Verdict holds the drift report against what was expected of it.
type Verdict struct {
	Expected int            `json:"expected"` // Fields and whole records that a lost webhook had left wrong.
	Other    int            `json:"other"`    // Those that differed for which no webhook exists.
	Causes   map[string]int `json:"causes"`   // Rows of the report, by cause.

	Unnamed []string `json:"unnamed"` // Expected, and not in the report as never delivered.
	Blamed  []string `json:"blamed"`  // Rows of the report with that cause, and no lost webhook.
	Missed  []string `json:"missed"`  // What else differed and is not in the report.
	Bugs    []string `json:"bugs"`    // Rows that the report itself calls a bug.
}

// OK reports whether the report is right in all.
func (v Verdict) OK() bool { return len(v.Unnamed)+len(v.Blamed)+len(v.Missed)+len(v.Bugs) == 0 }

// judge holds the rows of a drift report against what was expected.
func (l *ledger) judge(expected []Expected, rows []store.DriftRow) (Verdict, error) {
	v := Verdict{Causes: map[string]int{}, Unnamed: []string{}, Blamed: []string{}, Missed: []string{}, Bugs: []string{}}
	byRecord := map[record][]Expected{}
	for _, e := range expected {
		key := record{e.Type, e.ID}
		byRecord[key] = append(byRecord[key], e)
	}
	named := map[record]map[string][]string{} // Causes by field.
	for _, row := range rows {
		v.Causes[row.Cause]++
		key, fields, err := l.namedBy(row)
		if err != nil {
			return v, err
		}
		if named[key] == nil {
			named[key] = map[string][]string{}
		}
		due := false
		for _, field := range fields {
			named[key][field] = append(named[key][field], row.Cause)
			due = due || slices.ContainsFunc(byRecord[key], func(e Expected) bool { return (e.Lost || e.Perhaps) && (e.Field == field || e.Field == "") })
		}
		if row.Kind == mirror.KindProductVariantSet { // Whose members are records by themselves.
			due = due || slices.ContainsFunc(expected, func(e Expected) bool {
				return e.Lost && e.Type == "ProductVariant" && l.rel.product[e.ID] == string(row.ID)
			})
		}
		said := fmt.Sprintf("%s %s %s (%s): %s", row.Kind, row.ID, row.Class, strings.Join(fields, ", "), row.Note)
		switch mirror.Cause(row.Cause) {
		case mirror.CauseNever:
			if !due {
				v.Blamed = append(v.Blamed, said)
			}
		case mirror.CauseOurs, "":
			v.Bugs = append(v.Bugs, said)
		}
	}
	for _, e := range expected {
		key := record{e.Type, e.ID}
		causes := named[key][e.Field]
		said := fmt.Sprintf("%s %s %s (%s)", e.Type, e.ID, e.Field, e.Topic)
		switch {
		case e.Lost && !slices.Contains(causes, string(mirror.CauseNever)):
			v.Unnamed = append(v.Unnamed, fmt.Sprintf("%s: named as %q", said, causes))
		case !e.Lost && len(causes) == 0:
			v.Missed = append(v.Missed, said)
		}
		if e.Lost {
			v.Expected++
		} else {
			v.Other++
		}
	}
	return v, nil
}

// namedBy is the export's record that a row is about, and the export's fields.
func (l *ledger) namedBy(row store.DriftRow) (record, []string, error) {
	key := record{row.Type, string(row.ID)}
	if item, location, ok := mirror.SplitLevelID(row.ID); ok && row.Kind == mirror.KindInventoryLevel {
		key.ID = l.rel.level[[2]string{string(item), string(location)}]
	}
	var diffs []struct {
		Field    string
		Old, New json.RawMessage
	}
	if err := json.Unmarshal(row.Fields, &diffs); err != nil {
		return key, nil, err
	}
	var fields []string
	if string(row.Kind) == row.Type && (row.Class == "missing" || row.Class == "undeleted") {
		fields = append(fields, "")
	}
	for _, diff := range diffs {
		switch {
		case row.Kind == mirror.KindMetafield && diff.Field == "type":
			fields = append(fields, "metafieldType")
		case row.Kind == mirror.KindCollectionMembers && diff.Field == "productIds":
			var before, after []string
			if err := json.Unmarshal(orNull(diff.Old), &before); err != nil {
				return key, nil, err
			}
			if err := json.Unmarshal(orNull(diff.New), &after); err != nil {
				return key, nil, err
			}
			for _, id := range append(slices.Clone(before), after...) {
				if slices.Contains(before, id) != slices.Contains(after, id) {
					fields = append(fields, memberField+id)
				}
			}
		default:
			fields = append(fields, diff.Field)
		}
	}
	return key, fields, nil
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}
