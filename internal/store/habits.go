package store

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"stockroom/internal/mirror"
)

// HeardSlot says that a topic was heard within a slot of time.
type HeardSlot struct {
	ShopID int64
	Topic  string
	Slot   int64          // Moments of this machine's clock, in slots since 1970.
	At     mirror.Instant // The last receipt within it, on the shop's Shopify clock.
	First  int64          // The least and the greatest seq within it.
	Last   int64
}

// HeardAfter lists by slot which topics were heard in webhooks stored after seq.
func (t *Tx) HeardAfter(seq int64, slot time.Duration) ([]HeardSlot, error) {
	heard, err := list(t, `SELECT i.shop_id, i.topic, (i.received_at - s.clock_offset_ms) / $2, MAX(i.received_at), MIN(i.seq), MAX(i.seq)
		FROM inbox i JOIN shops s ON s.id = i.shop_id WHERE i.seq > $1 AND i.`+notPages+` GROUP BY 1, 2, 3`, []any{seq, slot.Milliseconds()},
		func(scan func(...any) error) (HeardSlot, error) {
			var h HeardSlot
			err := scan(&h.ShopID, &h.Topic, &h.Slot, &h.At, &h.First, &h.Last)
			return h, err
		})
	if err != nil {
		return nil, fmt.Errorf("count what was heard: %w", err)
	}
	return heard, nil
}

// HabitMark is up to which webhook, and to which moment of this machine's
// clock, the inbox was counted for a shop.
type HabitMark struct {
	Seq int64
	At  mirror.Instant
}

// HabitsCounted is by shop up to where the inbox was counted; a shop of which
// nothing was is missing.
func (t *Tx) HabitsCounted() (map[int64]HabitMark, error) {
	marks := map[int64]HabitMark{}
	err := t.each(`SELECT shop_id, seq, at FROM habits_counted`, nil, func(scan func(...any) error) error {
		var shop int64
		var mark HabitMark
		err := scan(&shop, &mark.Seq, &mark.At)
		marks[shop] = mark
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load up to where habits were counted: %w", err)
	}
	return marks, nil
}

// SetHabitsCounted moves a shop's mark on.
func (t *Tx) SetHabitsCounted(shop int64, mark HabitMark) error {
	_, err := t.exec(`INSERT INTO habits_counted (shop_id, seq, at) VALUES ($1, $2, $3)
		ON CONFLICT (shop_id) DO UPDATE SET seq = excluded.seq, at = excluded.at`, shop, mark.Seq, mark.At)
	return err
}

// Habits are what is known of how often a shop's topics are heard, by topic.
func (t *Tx) Habits(shop int64) (map[string][]byte, error) {
	habits := map[string][]byte{}
	err := t.each(`SELECT topic, habit FROM habits WHERE shop_id = $1`, []any{shop}, func(scan func(...any) error) error {
		var topic string
		var habit []byte
		err := scan(&topic, &habit)
		habits[topic] = habit
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load habits: %w", err)
	}
	return habits, nil
}

// SaveHabits keeps what is known of a shop's topics.
func (t *Tx) SaveHabits(shop int64, habits map[string][]byte) error {
	topics := slices.Sorted(maps.Keys(habits))
	const columns = 3
	err := chunks(topics, columns, func(part []string) error {
		args := make([]any, 0, len(part)*columns)
		for _, topic := range part {
			args = append(args, shop, topic, string(habits[topic]))
		}
		_, err := t.exec(`INSERT INTO habits (shop_id, topic, habit) VALUES `+placeholders(1, len(part), columns)+`
			ON CONFLICT (shop_id, topic) DO UPDATE SET habit = excluded.habit`, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("save the habits of %d topics: %w", len(habits), err)
	}
	return nil
}

// Silence is a topic that was improbably quiet.
type Silence struct {
	ID        int64
	ShopID    int64
	Topic     string
	Since     mirror.Instant // When it was last heard, on the shop's Shopify clock.
	NoticedAt mirror.Instant // By this machine's clock, as is EndedAt.
	Expected  float64        // How many busy slots there should have been by then.
	Found     string         // What the audit of the subscriptions found.
	TaskID    int64          // The sweep of the gap; zero for none.
	EndedAt   mirror.Instant // Zero while it lasts.
}

// AddSilence notes a silence, unless one of the topic is open.
func (t *Tx) AddSilence(s Silence) error {
	_, err := t.exec(`INSERT INTO silences (shop_id, topic, since, noticed_at, expected, found, task_id) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`,
		s.ShopID, s.Topic, s.Since, s.NoticedAt, s.Expected, s.Found, s.TaskID)
	if err != nil {
		return fmt.Errorf("note the silence of %s: %w", s.Topic, err)
	}
	return nil
}

// EndSilence closes the open silence of a topic, if there is one.
func (t *Tx) EndSilence(shop int64, topic string, at mirror.Instant) error {
	_, err := t.exec(`UPDATE silences SET ended_at = $3 WHERE shop_id = $1 AND topic = $2 AND ended_at = 0`, shop, topic, at)
	return err
}

// OpenSilences lists the topics of a shop that are improbably quiet, by name.
func (t *Tx) OpenSilences(shop int64) ([]Silence, error) {
	return t.silences(`shop_id = $1 AND ended_at = 0 ORDER BY topic`, shop)
}

// Silences lists a shop's newest silences.
func (t *Tx) Silences(shop int64, limit int) ([]Silence, error) {
	return t.silences(`shop_id = $1 ORDER BY id DESC LIMIT $2`, shop, limit)
}

// UnsweptSilences lists the silences noted since a moment whose gap was not
// swept: no sweep was handed in, or the one that was failed. A complete ok full
// read begun later has seen to the gap as well.
func (t *Tx) UnsweptSilences(since mirror.Instant) ([]Silence, error) {
	return t.silences(`noticed_at >= $1 AND (task_id = 0 OR EXISTS (SELECT 1 FROM tasks WHERE tasks.id = silences.task_id AND tasks.state = 'failed'))
		AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.shop_id = silences.shop_id AND runs.state = 'ok' AND runs.started_at > silences.noticed_at) ORDER BY id`, since)
}

// SetSilenceSweep notes which sweep sees to the gap of a silence.
func (t *Tx) SetSilenceSweep(id, task int64) error {
	_, err := t.exec(`UPDATE silences SET task_id = $2 WHERE id = $1`, id, task)
	return err
}

func (t *Tx) silences(where string, args ...any) ([]Silence, error) {
	return list(t, `SELECT id, shop_id, topic, since, noticed_at, expected, found, task_id, ended_at FROM silences WHERE `+where, args,
		func(scan func(...any) error) (Silence, error) {
			var s Silence
			err := scan(&s.ID, &s.ShopID, &s.Topic, &s.Since, &s.NoticedAt, &s.Expected, &s.Found, &s.TaskID, &s.EndedAt)
			return s, err
		})
}
