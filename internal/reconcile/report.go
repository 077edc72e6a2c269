package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// Report is what a run found, by resource.
type Report struct {
	Resources []ResourceReport `json:"resources"`
	// Gaps says what the run could not cover or confirm, each with what to do;
	// empty exactly when the run is ok.
	Gaps []string `json:"gaps"`
	// Notes says what is not copied, since the shop does not share it.
	Notes []string `json:"notes"`
	// Topics says, by topic, how many webhooks came since the full read before,
	// and of how many records the drift proves that theirs never did.
	Topics []TopicReport `json:"topics,omitempty"`
}

// TopicReport is what a poll proves of a topic's webhooks. It is a least number:
// where a later webhook, or a read by id, had mended a record, nothing shows
// that an earlier one was lost.
type TopicReport struct {
	Topic    string  `json:"topic"`
	Received int64   `json:"received"`
	Missed   int64   `json:"missed"`
	Share    float64 `json:"share"` // Of those that were due, at least so many never came.
}

// ResourceReport is what a run found of one export type. Drift is counted
// against what the copy said just before the run read the record.
type ResourceReport struct {
	Type      string `json:"type"`
	Checked   int64  `json:"checked"`
	Missing   int64  `json:"missing"`   // The shop had it, the copy did not show it.
	Stale     int64  `json:"stale"`     // The copy showed an older version.
	Wrong     int64  `json:"wrong"`     // Same updatedAt, or none, but other fields.
	Undeleted int64  `json:"undeleted"` // The copy showed it, the shop has deleted it.
	Complete  bool   `json:"complete"`  // All of it was read, and every absence confirmed.

	// Fields says in how many of the stale and wrong rows each field differed.
	Fields map[string]int64 `json:"fields"`

	// Causes says how many drifted records, counted by kind, had which cause.
	Causes map[mirror.Cause]int64 `json:"causes,omitempty"`
}

// Drifted counts the records that were not as the shop's.
func (r ResourceReport) Drifted() int64 { return r.Missing + r.Stale + r.Wrong + r.Undeleted }

// report counts what a run did, from what it stored.
func report(tx *store.Tx, run store.Run, complete map[mirror.Kind]bool, gaps, notes []string) (Report, error) {
	counts, err := tx.CountDrift(run.ID)
	if err != nil {
		return Report{}, err
	}
	fields := map[string]map[string]int64{}
	err = tx.EachDrift(run.ID, func(row store.DriftRow) error {
		if row.Class != ClassStale && row.Class != ClassWrong {
			return nil
		}
		var diffs []mirror.FieldDiff
		if err := json.Unmarshal(row.Fields, &diffs); err != nil {
			return fmt.Errorf("drift of %s %s: %w", row.Kind, row.ID, err)
		}
		if fields[row.Type] == nil {
			fields[row.Type] = map[string]int64{}
		}
		for _, diff := range diffs {
			if diff.Field == "updatedAt" && mirror.InfoOf(row.Kind).Of != "" {
				continue // The object's own kind counts it.
			}
			fields[row.Type][diff.Field]++
		}
		return nil
	})
	if err != nil {
		return Report{}, err
	}
	causes, err := tx.CountCauses(run.ID)
	if err != nil {
		return Report{}, err
	}
	topics, err := tx.TopicsOf(run.ID)
	if err != nil {
		return Report{}, err
	}
	r := Report{Gaps: slices.Compact(gaps), Notes: notes}
	for _, topic := range topics {
		r.Topics = append(r.Topics, TopicReport{Topic: topic.Topic, Received: topic.Received, Missed: topic.Missed, Share: topic.Share()})
	}
	for _, name := range mirror.Types {
		resource := ResourceReport{Type: name, Complete: true, Fields: fields[name],
			Missing: counts[[2]string{name, ClassMissing}], Stale: counts[[2]string{name, ClassStale}],
			Wrong: counts[[2]string{name, ClassWrong}], Undeleted: counts[[2]string{name, ClassUndeleted}],
		}
		for key, n := range causes {
			if key[0] == name {
				if resource.Causes == nil {
					resource.Causes = map[mirror.Cause]int64{}
				}
				resource.Causes[mirror.Cause(key[1])] += n
			}
		}
		for _, info := range mirror.Kinds() {
			if info.Type != name {
				continue
			}
			resource.Complete = resource.Complete && complete[info.Kind]
			if string(info.Kind) == name { // The object's own kind bears the type's name.
				if resource.Checked, err = tx.CountRead(run.ID, info.Kind); err != nil {
					return Report{}, err
				}
			}
		}
		r.Resources = append(r.Resources, resource)
	}
	return r, nil
}

// ReadReport reads a run's report; an unfinished run's is empty.
func ReadReport(run store.Run) (Report, error) {
	var r Report
	if err := json.Unmarshal(run.Report, &r); err != nil {
		return r, fmt.Errorf("report of run %d: %w", run.ID, err)
	}
	return r, nil
}

// Drifted counts the drifted records of all resources.
func (r Report) Drifted() int64 {
	var n int64
	for _, resource := range r.Resources {
		n += resource.Drifted()
	}
	return n
}

// Causes counts the drifted records of all resources by cause.
func (r Report) Causes() map[mirror.Cause]int64 {
	all := map[mirror.Cause]int64{}
	for _, resource := range r.Resources {
		for cause, n := range resource.Causes {
			all[cause] += n
		}
	}
	return all
}

// bug marks the one cause that is nobody's but ours.
func bug(cause mirror.Cause) string {
	if cause == mirror.CauseOurs {
		return ": A BUG IN STOCKROOM, please report it with `stockroom drift --json` and `stockroom why`"
	}
	return ""
}

// Text writes the report for people, one line a resource.
func (r Report) Text() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%-16s %9s %9s %9s %9s %9s\n", "RESOURCE", "CHECKED", "MISSING", "STALE", "WRONG", "UNDELETED")
	for _, resource := range r.Resources {
		note := ""
		if !resource.Complete {
			note = "  not complete"
		}
		fmt.Fprintf(&out, "%-16s %9d %9d %9d %9d %9d%s\n", resource.Type, resource.Checked, resource.Missing, resource.Stale,
			resource.Wrong, resource.Undeleted, note)
		for _, field := range slices.Sorted(maps.Keys(resource.Fields)) {
			fmt.Fprintf(&out, "    %s differed in %d\n", field, resource.Fields[field])
		}
	}
	if causes := r.Causes(); len(causes) > 0 {
		out.WriteString("causes, by record:\n")
		for _, cause := range mirror.Causes {
			if n := causes[cause]; n > 0 {
				fmt.Fprintf(&out, "    %6d  %s%s\n", n, cause, bug(cause))
			}
		}
	}
	for _, topic := range r.Topics {
		if topic.Missed > 0 {
			fmt.Fprintf(&out, "    %s: at least %d never came, %d did\n", topic.Topic, topic.Missed, topic.Received)
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&out, "- %s\n", note)
	}
	for _, gap := range r.Gaps {
		fmt.Fprintf(&out, "! %s\n", gap)
	}
	return out.String()
}
