package jobs

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

func TestLatestSlot(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, spec string
		zone       *time.Location
		now, want  string
	}{
		{"the midnight that just passed", "0 0 * * *", time.UTC, "2026-11-24T00:00:30Z", "2026-11-24T00:00:00Z"},
		{"at the very moment", "0 0 * * *", time.UTC, "2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z"},
		{"a process that was down at midnight makes up for it", "0 0 * * *", time.UTC, "2026-11-24T09:15:00Z", "2026-11-24T00:00:00Z"},
		{"before today's slot, yesterday's", "0 22 * * *", time.UTC, "2026-11-24T09:15:00Z", "2026-11-23T22:00:00Z"},
		{"midnight is the zone's", "0 0 * * *", berlin, "2026-11-23T23:30:00Z", "2026-11-23T23:00:00Z"},
		{"after the clocks went back", "0 0 * * *", berlin, "2026-10-26T12:00:00Z", "2026-10-25T23:00:00Z"},
		{"a weekly schedule looks back a week", "0 3 * * 1", time.UTC, "2026-11-22T12:00:00Z", "2026-11-16T03:00:00Z"},
		{"several a day", "0 */6 * * *", time.UTC, "2026-11-24T13:00:00Z", "2026-11-24T12:00:00Z"},
		{"a slot beyond the look back is none", "0 0 1 1 *", time.UTC, "2026-11-24T13:00:00Z", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			schedule, err := cron.ParseStandard(tt.spec)
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.Parse(time.RFC3339, tt.now)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if slot := latestSlot(schedule, tt.zone, now); !slot.IsZero() {
				got = slot.UTC().Format(time.RFC3339)
			}
			if got != tt.want {
				t.Errorf("latestSlot(%q, %s, %s) = %q, want %q", tt.spec, tt.zone, tt.now, got, tt.want)
			}
		})
	}
}

func TestSpreadOfIsSteadyAndWithinBounds(t *testing.T) {
	distinct := map[time.Duration]bool{}
	for _, domain := range []string{"a.myshopify.com", "b.myshopify.com", "c.myshopify.com", "d.myshopify.com"} {
		first, second := spreadOf(domain, time.Hour), spreadOf(domain, time.Hour)
		if first != second || first < 0 || first >= time.Hour {
			t.Errorf("spreadOf(%s) = %v, then %v; want one delay below an hour", domain, first, second)
		}
		distinct[first] = true
	}
	if len(distinct) < 2 {
		t.Errorf("all shops were given the same delay")
	}
	if got := spreadOf("a.myshopify.com", 0); got != 0 {
		t.Errorf("spreadOf without a spread = %v, want 0", got)
	}
}
