package graph_test

import (
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
	"id":         graph.ByNumber(func(v thing) int64 { return v.id }),
	"title":      graph.ByText(func(v thing) []string { return []string{v.title} }),
	"tag":        graph.ByText(func(v thing) []string { return v.tags }),
	"status":     graph.ByChoice(func(v thing) string { return v.status }, "active", "draft"),
	"updated_at": graph.ByTime(func(v thing) time.Time { return v.updated }),
}

func search(query string) (func(thing) bool, *graph.SearchReport) {
	return graph.Search(query, filters, func(v thing) string { return v.title })
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
		{`updated_at:>2026-03-02T10:00:00Z`, "3", 0},
		{`updated_at:<='2026-03-02T11:00:00+01:00'`, "12", 0},
		{`updated_at:2026-03-02`, "2", 0},
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
