package apply

import (
	"errors"
	"fmt"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// lateBy is from which delay on a webhook may correct a poll's report: nearly
// all come within seconds, and cost no look at it.
const lateBy = 30 * time.Second

// cameLate corrects the report of the shop's newest poll, where it said of a
// webhook that it never came and here it is: what it told of was true before the
// poll looked.
func cameLate(tx *store.Tx, batch Batch) error {
	from, asked := 0, 0
	for _, told := range batch.Told {
		late := lateWebhook{told, batch.Observations[from : from+told.Observations], batch.Demands[asked : asked+told.Demands]}
		from, asked = from+told.Observations, asked+told.Demands
		if told.Heard < told.AsOf.Add(lateBy) {
			continue
		}
		poll, err := tx.LastPoll(batch.Shop)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if told.AsOf > poll.StartedAt || told.Heard < poll.StartedAt {
			continue
		}
		if err := late.correct(tx, poll.ID); err != nil {
			return fmt.Errorf("correct the report of run %d: %w", poll.ID, err)
		}
	}
	return nil
}

// lateWebhook is a webhook that came after a poll, with all that it teaches.
type lateWebhook struct {
	told         Told
	observations []mirror.Observation
	demands      []mirror.Demand
}

// tells reports whether the webhook could have been the one that was missing
// for a row. A deletion is told of by word of it alone, anything else by a
// content of the record or by naming it to be read. It is the rule by which the
// poll itself looked through what had come.
func (l lateWebhook) tells(row store.DriftRow) bool {
	if l.told.AsOf < row.ChangedAt {
		return false
	}
	deleted := row.Class == store.DriftUndeleted
	for _, o := range l.observations {
		if o.Key == row.Key() && (o.Content == nil) == deleted {
			return true
		}
	}
	if deleted || row.Kind == mirror.KindInventoryLevel {
		return false // The read of its item does not bring a level.
	}
	for _, d := range l.demands {
		if d.ID == row.ID || d.ID == row.Subject() {
			return true
		}
	}
	return false
}

// correct puts rows of a run that were put down to a webhook that never came,
// and what was hidden or shown through them, down to this one.
func (l lateWebhook) correct(tx *store.Tx, run int64) error {
	ids := map[mirror.GID]bool{}
	for _, o := range l.observations {
		ids[o.Key.ID] = true
	}
	for _, d := range l.demands {
		ids[d.ID] = true
	}
	about, err := tx.DriftAbout(run, keysOf(ids))
	if err != nil {
		return err
	}
	var late []store.DriftRow
	themselves := map[mirror.GID]bool{}
	due := map[string]map[mirror.GID]bool{} // The records whose webhook was counted as missed, by its topic.
	for _, row := range about {
		if row.Via != "" || row.Cause != string(mirror.CauseNever) || !l.tells(row) {
			continue
		}
		late = append(late, row)
		themselves[row.ID] = true
		if topic := row.Topic(); topic != "" {
			if due[topic] == nil {
				due[topic] = map[mirror.GID]bool{}
			}
			due[topic][row.ID] = true
		}
	}
	if len(late) == 0 {
		return nil
	}
	through, err := tx.DriftThrough(run, keysOf(themselves))
	if err != nil {
		return err
	}
	for _, row := range through {
		if row.Cause == string(mirror.CauseNever) {
			late = append(late, row)
		}
	}
	for i := range late {
		late[i].Cause = string(mirror.CauseLate)
		late[i].Note = fmt.Sprintf("%s of %v came at %v, after the poll had ended", l.told.Topic, l.told.AsOf, l.told.Heard)
	}
	if err := tx.SetCauses(run, late); err != nil {
		return err
	}
	noMore := map[string]int{}
	for topic, records := range due {
		noMore[topic] = len(records)
	}
	return tx.TopicCameLate(run, l.told.Topic, noMore)
}

func keysOf(set map[mirror.GID]bool) []mirror.GID {
	ids := make([]mirror.GID, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	return ids
}
