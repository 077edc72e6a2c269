package graph_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"stockroom/internal/simulator/graph"
)

type thing struct {
	id      int64
	title   string
	tags    []string
	status  string
	updated time.Time
}

var filters = map[string]graph.Filter[thing]{
	"id":         graph.ByID(func(v thing) []int64 { return []int64{v.id} }),
	"stock":      graph.ByNumber(func(v thing) int64 { return v.id * 10 }),
	"title":      graph.ByText(func(v thing) []string { return []string{v.title} }),
	"tag":        graph.ByText(func(v thing) []string { return v.tags }),
	"status":     graph.ByChoice(func(v thing) string { return v.status }, "active", "draft"),
	"updated_at": graph.ByTime(func(v thing) time.Time { return v.updated }),
}

// vocabulary is that of a shop in winter in Berlin.
var vocabulary = graph.Vocabulary[thing]{
	Fields:  filters,
	Words:   func(v thing) string { return v.title },
	Missing: []string{"channel"},
	Zone:    time.FixedZone("CET", 3600),
	Now:     time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC),
}

func search(query string) (func(thing) bool, *graph.SearchReport) {
	return graph.Search(query, vocabulary)
}

func TestSearchesFindWhatShopifysWould(t *testing.T) {
	at := func(text string) time.Time { out, _ := time.Parse(time.RFC3339, text); return out }
	things := []thing{
		{1, "Red shirt", []string{"summer", "sale"}, "ACTIVE", at("2026-03-01T10:00:00Z")},
		{2, "Blue shirt", nil, "DRAFT", at("2026-03-02T10:00:00Z")},
		{3, "Hammer", []string{"tool"}, "ACTIVE", at("2026-03-03T10:00:00Z")},
	}
	for _, tt := range []struct {
		query, want string
		warnings    int
	}{
		{``, "123", 0},
		{`id:2`, "2", 0},
		{`id:>1`, "23", 0},
		{`id:>=2 id:<3`, "2", 0},
		{`status:active`, "13", 0},
		{`status:ACTIVE,DRAFT`, "123", 0},
		{`updated_at:>='2026-03-02T10:00:00Z'`, "23", 0},
		{`updated_at:>'2026-03-02T10:00:00Z'`, "3", 0},
		{`updated_at:>2026-03-02T10:00:00Z`, "23", 1}, // Cut at the colon: after ten in Berlin, nine in UTC.
		{`updated_at:>'2026-03-02T10:00:00'`, "23", 0},
		{`updated_at:>='2026-03-02 11:00:00'`, "23", 0},
		{`updated_at:<now`, "12", 0},
		{`updated_at:<='2026'`, "123", 0},
		{`updated_at:<2026-03`, "", 0},
		{`updated_at:<='2025'`, "", 0},
		{`stock:>=20`, "23", 0},
		{`id:0`, "123", 1},
		{`tag:"sum*"`, "1", 0},
		{`channel:pos`, "123", 1},
		{`id:1:2`, "", 0}, // A word 2 follows.
		{`title:red\ shirt`, "1", 0},
		{`updated_at:<='2026-03-02T11:00:00+01:00'`, "12", 0},
		{`updated_at:2026-03-02`, "2", 0}, // A day in Berlin.
		{`updated_at:>'2026-03-02T23:30:00+00:00' OR updated_at:2026-03-01`, "13", 0},
		{`updated_at:>2026-03-01`, "23", 0},
		{`title:"red shirt"`, "1", 0},
		{`title:re*`, "1", 0},
		{`shirt`, "12", 0},
		{`shirt -title:red*`, "2", 0},
		{`NOT tag:sale`, "23", 0},
		{`tag:*`, "13", 0},
		{`tag:sale OR tag:tool`, "13", 0},
		{`tag:sale OR tag:tool status:active id:3`, "3", 0},
		{`(id:1 AND status:active) OR id:2`, "12", 0},
		{`id:1 OR id:2 AND id:3`, "", 0},
		{`colour:red`, "123", 1},
		{`colour:red id:1`, "1", 1},
		{`id:abc`, "123", 1},
		{`updated_at:>yesterday`, "123", 1},
		{`title:'unfinished`, "", 0},
		{`((id:1`, "1", 0},
	} {
		keep, report := search(tt.query)
		got := ""
		for _, v := range things {
			if keep == nil || keep(v) {
				got += fmt.Sprint(v.id)
			}
		}
		if got != tt.want || len(report.Warnings) != tt.warnings {
			t.Errorf("%s: found %q with %d warnings, want %q with %d", tt.query, got, len(report.Warnings), tt.want, tt.warnings)
		}
	}
}

// All but those named otherwise are recorded answers, 2024 to 2026.
func TestReportsShowHowASearchWasRead(t *testing.T) {
	at := time.FixedZone("", 8*3600)
	orders := graph.Vocabulary[thing]{Zone: at, Fields: map[string]graph.Filter[thing]{
		"created_at": filters["updated_at"], "updated_at": filters["updated_at"], "id": filters["id"], "name": filters["title"],
		"status": filters["title"], "financial_status": filters["title"], "sku": filters["title"], "tag": filters["tag"],
	}}
	for _, tt := range []struct{ query, parsed, warnings string }{
		{`status:Unfulfilled AND financial_status:PAID AND created_at:>=2024-07-07T00:00:00`,
			`{"and":[{"field":"created_at","range_gte":"2024-07-07T00:00:00+08:00"},{"field":"status","match_all":"Unfulfilled"},{"field":"financial_status","match_all":"PAID"},{"field":"00","match_all":"00"}]}`,
			`[{"field":"00","message":"Invalid search field for this query.","code":"invalid_field"}]`},
		{`(id:11 OR id:12) AND updated_at:>=2026-01-01T00:00:00Z`,
			`{"and":[{"field":"updated_at","range_gte":"2026-01-01T00:00:00+08:00"},{"or":[{"field":"id","match_all":"11"},{"field":"id","match_all":"12"}]},{"field":"00","match_all":"00Z"}]}`,
			`[{"field":"00","message":"Invalid search field for this query.","code":"invalid_field"}]`},
		{`updated_at:<2000-01-01T00:00:00Z sku:'A-1'`,
			`{"and":[{"field":"updated_at","range_lte":"2000-01-01T00:00:00+08:00"},{"field":"00","match_all":"00Z"},{"field":"sku","match_phrase":"A-1"}]}`,
			`[{"field":"00","message":"Invalid search field for this query.","code":"invalid_field"}]`},
		{`nonsense:ignored tag:red`,
			`{"and":[{"field":"nonsense","match_all":"ignored"},{"field":"tag","match_all":"red"}]}`,
			`[{"field":"nonsense","message":"Invalid search field for this query.","code":"invalid_field"}]`},
		{`published_at:>='2026-08-21T00:00:00Z'`, `{"field":"published_at","range_gte":"2026-08-21T00:00:00Z"}`,
			`[{"field":"published_at","message":"Invalid search field for this query.","code":"invalid_field"}]`},
		{`a@example.com`, `{"field":"default","match_all":"a@example.com"}`,
			`[{"field":"default","message":"Input must use named search fields in this query.","code":"missing_named_field"}]`},
		{`id:<0`, `{"field":"id","range_lt":0}`,
			`[{"field":"id","message":"Expected field to be a positive integer or UUID, received ` + "`0`" + `."}]`},
		{`updated_at:>soon`, `{"field":"updated_at","range_gt":"soon"}`, // Not recorded of times.
			`[{"field":"updated_at","message":"Input ` + "`soon`" + ` is not an accepted value.","code":"invalid_value"}]`},
		{`-tag:a* tag:*`, `{"and":[{"not":{"field":"tag","match_prefix":"a"}},{"field":"tag","exists":true}]}`, `[]`}, // Not recorded.
		{``, `null`, `[]`}, // Not recorded.
	} {
		_, report := graph.Search(tt.query, orders)
		parsed, _ := json.Marshal(report.Parsed)
		warnings, _ := json.Marshal(report.Warnings)
		if string(parsed) != tt.parsed || string(warnings) != tt.warnings {
			t.Errorf("%s\n got %s %s\nwant %s %s", tt.query, parsed, warnings, tt.parsed, tt.warnings)
		}
	}
}

func TestFieldsOfASearchAreListed(t *testing.T) {
	for _, tt := range []struct {
		query, want string
		balanced    bool
	}{
		{`status:active -(a.b:1 OR word)`, "status,a.b,", true},
		{`((((`, "", false},
		{`a:1) b:2`, "a", false},
		{`a:'x`, "a", false},
		{`a:"x y"`, "a", true},
	} {
		fields, balanced := graph.SearchFields(tt.query)
		if got := strings.Join(fields, ","); got != tt.want || balanced != tt.balanced {
			t.Errorf("%s: %q %v, want %q %v", tt.query, got, balanced, tt.want, tt.balanced)
		}
	}
}

func FuzzSearchNeverFails(f *testing.F) {
	for _, query := range []string{`id:>1 OR (title:'a\'b' AND -tag:x)`, `((((`, `:`, `NOT`, `-`, `updated_at:>=`, `OR AND NOT`, "a\x00:\xff", strings.Repeat("-(", 1000)} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		keep, report := search(query)
		if report.Query != query {
			t.Errorf("report names %q, not %q", report.Query, query)
		}
		if keep != nil {
			keep(thing{id: 1, title: "x"})
		}
	})
}
