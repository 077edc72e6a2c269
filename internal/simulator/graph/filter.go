package graph

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// accepts tells whether a comparison's outcome (negative, zero, positive) satisfies the operator.
func accepts(operator string, order int) bool {
	switch operator {
	case ">":
		return order > 0
	case ">=":
		return order >= 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	}
	return order == 0
}

// shownTime is a time as a report shows it, with the offset that it was read with.
type shownTime string

// span is what a value means as a time: an instant, where both are the same, or
// a day, month or year from its first second to the one after its last.
type span struct{ from, to time.Time }

// readTime reads a value as a time. One without an offset is in the shop's zone
// ("Filter by the date and time, in the shop's timezone", QueryRoot.discountNodes;
// recorded for the others).
func readTime(c Comparison) (span, bool) {
	if c.Value == "now" {
		return span{c.Now, c.Now}, true
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02T15"} {
		if at, err := time.ParseInLocation(layout, c.Value, c.Zone); err == nil {
			at = at.Truncate(time.Second)
			return span{at, at}, true
		}
	}
	for i, layout := range []string{"2006", "2006-01", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, c.Value, c.Zone); err == nil {
			length := [3]int{}
			length[i] = 1
			return span{at, at.AddDate(length[0], length[1], length[2])}, true
		}
	}
	return span{}, false
}

// ByTime filters by a time, in whole seconds: see readTime.
func ByTime[T any](of func(T) time.Time) Filter[T] {
	return func(c Comparison) Condition[T] {
		if c.Value == "*" {
			return Condition[T]{Test: func(v T) bool { return !of(v).IsZero() }}
		}
		limit, ok := readTime(c)
		if !ok {
			return Condition[T]{}
		}
		return Condition[T]{Shown: shownTime(limit.from.Format(time.RFC3339)), Test: func(v T) bool {
			at := of(v)
			if at.IsZero() {
				return false
			}
			at = at.Truncate(time.Second)
			if limit.from.Equal(limit.to) {
				return accepts(c.Operator, at.Compare(limit.from))
			}
			switch c.Operator {
			case "":
				return !at.Before(limit.from) && at.Before(limit.to)
			case ">":
				return !at.Before(limit.to)
			case "<=":
				return at.Before(limit.to)
			}
			return accepts(c.Operator, at.Compare(limit.from))
		}}
	}
}

// ByNumber filters by a whole number.
func ByNumber[T any](of func(T) int64) Filter[T] {
	return func(c Comparison) Condition[T] {
		limit, err := strconv.ParseInt(c.Value, 10, 64)
		if err != nil {
			return Condition[T]{}
		}
		out := Condition[T]{Test: func(v T) bool { return accepts(c.Operator, compareNumbers(of(v), limit)) }}
		if c.Operator != "" {
			out.Shown = limit // Recorded: a number in ranges, a text elsewhere.
		}
		return out
	}
}

func compareNumbers(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// ByID filters by the number of an object, or of any of several.
func ByID[T any](of func(T) []int64) Filter[T] {
	return func(c Comparison) Condition[T] {
		limit, err := strconv.ParseInt(c.Value, 10, 64)
		if err != nil || limit <= 0 {
			return Condition[T]{Shown: shownID(c), Why: &SearchWarning{ // Recorded.
				Message: "Expected field to be a positive integer or UUID, received `" + c.Value + "`."}}
		}
		return Condition[T]{Shown: shownID(c), Test: func(v T) bool {
			return slices.ContainsFunc(of(v), func(id int64) bool { return accepts(c.Operator, compareNumbers(id, limit)) })
		}}
	}
}

func shownID(c Comparison) any {
	if n, err := strconv.ParseInt(c.Value, 10, 64); err == nil && c.Operator != "" {
		return n
	}
	return nil
}

// ByText filters by a text, or any of several, regardless of case.
func ByText[T any](of func(T) []string) Filter[T] {
	return byText(of, func(text string) string { return strings.ToLower(text) }, false)
}

// ByTexts is ByText for fields whose value is a comma-separated list of texts,
// any of which will do.
func ByTexts[T any](of func(T) []string) Filter[T] {
	return byText(of, func(text string) string { return strings.ToLower(text) }, true)
}

// ByExactText is ByText where upper and lower case differ.
func ByExactText[T any](of func(T) []string) Filter[T] {
	return byText(of, func(text string) string { return text }, false)
}

func byText[T any](of func(T) []string, fold func(string) string, list bool) Filter[T] {
	return func(c Comparison) Condition[T] {
		if c.Operator != "" {
			return Condition[T]{}
		}
		wanted := []string{fold(c.Value)}
		if list && !c.Quoted {
			wanted = strings.Split(wanted[0], ",")
		}
		return Condition[T]{Test: func(v T) bool {
			return slices.ContainsFunc(of(v), func(text string) bool {
				text = fold(text)
				return slices.ContainsFunc(wanted, func(one string) bool {
					if prefix, isPrefix := strings.CutSuffix(one, "*"); isPrefix {
						return text != "" && strings.HasPrefix(text, prefix)
					}
					return text == one
				})
			})
		}}
	}
}

// ByChoice filters by one of a few words; a comma-separated list is any of them.
func ByChoice[T any](of func(T) string, choices ...string) Filter[T] {
	return ByChoices(func(v T) []string { return []string{of(v)} }, choices...)
}

// ByChoices is ByChoice for values of which several hold at once.
func ByChoices[T any](of func(T) []string, choices ...string) Filter[T] {
	return func(c Comparison) Condition[T] {
		wanted := strings.Split(strings.ToLower(c.Value), ",")
		for _, one := range wanted {
			if c.Operator != "" || !slices.Contains(choices, one) {
				return Condition[T]{}
			}
		}
		return Condition[T]{Test: func(v T) bool {
			return slices.ContainsFunc(of(v), func(text string) bool { return slices.Contains(wanted, strings.ToLower(text)) })
		}}
	}
}

// ByFlag filters by true or false.
func ByFlag[T any](of func(T) bool) Filter[T] {
	return ByChoice(func(v T) string { return strconv.FormatBool(of(v)) }, "true", "false")
}

// Not turns a filter round.
func Not[T any](filter Filter[T]) Filter[T] {
	return func(c Comparison) Condition[T] {
		condition := filter(c)
		if test := condition.Test; test != nil {
			condition.Test = func(v T) bool { return !test(v) }
		}
		return condition
	}
}
