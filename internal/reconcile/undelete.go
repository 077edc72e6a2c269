package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"stockroom/internal/apply"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// Undeleter takes back deletions that were wrong, where the shop shows the
// record after all. It deletes nothing.
type Undeleter struct{ Config }

// UndeleteArgs name what is to be shown again, by the ids of the export.
type UndeleteArgs struct {
	IDs []mirror.GID `json:"ids"`
}

// UndeleteReport tells what came of each.
type UndeleteReport struct {
	Records []Undeleted `json:"records"`
}

// Undeleted is what came of one record.
type Undeleted struct {
	ID       mirror.GID    `json:"id"`
	Result   UndeleteState `json:"result"`
	Detail   string        `json:"detail,omitempty"`
	Evidence *Evidence     `json:"evidence,omitempty"` // Why it had been taken for deleted; nil where no read decided that.
}

// UndeleteState is how a record came out.
type UndeleteState string

const (
	UndeleteRevived UndeleteState = "revived" // The shop shows it, and so does the copy now.
	UndeleteShown   UndeleteState = "shown"   // The copy showed it already.
	UndeleteGone    UndeleteState = "gone"    // The shop does not show it.
	UndeleteHidden  UndeleteState = "hidden"  // The shop shows it, but not what it belongs to.
	UndeleteFailed  UndeleteState = "failed"  // It could not be asked for.
)

// ReadUndeleteReport reads a task's report; an unfinished one's is empty.
func ReadUndeleteReport(task store.Task) (UndeleteReport, error) {
	var r UndeleteReport
	if err := json.Unmarshal(task.Report, &r); err != nil {
		return r, fmt.Errorf("report of task %d: %w", task.ID, err)
	}
	return r, nil
}

// Text writes the report for people.
func (r UndeleteReport) Text() string {
	says := map[UndeleteState]string{
		UndeleteRevived: "is shown again", UndeleteShown: "was shown already", UndeleteGone: "stays deleted: the shop does not show it",
		UndeleteHidden: "stays hidden", UndeleteFailed: "could not be asked for",
	}
	var out strings.Builder
	for _, u := range r.Records {
		fmt.Fprintf(&out, "%s %s", u.ID, says[u.Result])
		if u.Detail != "" {
			fmt.Fprintf(&out, ": %s", u.Detail)
		}
		out.WriteByte('\n')
		if u.Evidence != nil {
			out.WriteString(u.Evidence.Text())
		}
	}
	return out.String()
}

func stamp(t interface{ Format(string) string }) string {
	return t.Format("2006-01-02 15:04:05.000 UTC")
}

// Run carries a queued task out and returns it as it ended. An error means that
// it did not end, and can be carried on by calling Run again.
func (u *Undeleter) Run(ctx context.Context, taskID int64) (store.Task, error) {
	var task store.Task
	var shop store.Shop
	err := u.Store.View(ctx, func(tx *store.Tx) (err error) {
		if task, err = tx.TaskByID(taskID); err != nil {
			return err
		}
		shop, err = tx.ShopByID(task.ShopID)
		return err
	})
	if err != nil || task.State.Over() {
		return task, err
	}
	var args UndeleteArgs
	if err := json.Unmarshal(task.Args, &args); err != nil {
		return task, fmt.Errorf("task %d: %w", taskID, err)
	}
	task.State = store.RunOK
	report := UndeleteReport{Records: []Undeleted{}}
	client, err := u.Client(ctx, shop)
	switch {
	case err != nil && ctx.Err() != nil:
		return task, ctx.Err()
	case err != nil:
		task.State, task.Error = store.RunFailed, err.Error()
	default:
		task.StartedAt = client.Clock().Now()
		for _, id := range args.IDs {
			result, err := u.undelete(ctx, client, shop, id)
			if err != nil {
				if ctx.Err() != nil {
					return task, ctx.Err()
				}
				result.Result, result.Detail = UndeleteFailed, err.Error()
			}
			if result.Result != UndeleteRevived && result.Result != UndeleteShown {
				task.State = store.RunPartial
			}
			report.Records = append(report.Records, result)
		}
	}
	if task.Report, err = json.Marshal(report); err != nil {
		return task, err
	}
	task.EndedAt = mirror.At(u.Now())
	err = u.Store.Update(ctx, func(tx *store.Tx) error { return tx.SaveTask(task) })
	return task, err
}

// maxClimb bounds how far up the search for what hides a record goes: a level's
// item, that one's variant, that one's product.
const maxClimb = 3

// undelete reads a record by id, and what it is shown through where that hides it.
func (u *Undeleter) undelete(ctx context.Context, client *shopify.Client, shop store.Shop, id mirror.GID) (Undeleted, error) {
	result := Undeleted{ID: id}
	var key mirror.Key
	visible := func(tx *store.Tx) (bool, error) {
		ids, err := tx.VisibleIDs(shop.ID, key.Kind, []mirror.GID{key.ID})
		return len(ids) > 0, err
	}
	shown := false
	err := u.Store.View(ctx, func(tx *store.Tx) (err error) {
		if key, err = keyOf(tx, shop.ID, id); err != nil {
			return err
		}
		if shown, err = visible(tx); err != nil {
			return err
		}
		tombstone, err := tx.TombstoneOf(shop.ID, key)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil || shown {
			return err
		}
		result.Evidence = new(Evidence)
		return json.Unmarshal(tombstone.Evidence, result.Evidence)
	})
	if err != nil {
		return result, err
	}
	was, next := shown, []mirror.Key{key}
	for climbed := 0; climbed <= maxClimb && len(next) > 0; climbed++ {
		for _, k := range next {
			found, err := u.read(ctx, client, shop, k)
			if err != nil {
				return result, err
			}
			if !found && k == key {
				result.Result = UndeleteGone
				if was {
					result.Detail = "the copy shows it still, and the next poll will see to that"
				}
				return result, nil
			}
			if !found {
				result.Detail = fmt.Sprintf("the shop does not show its %s %s", k.Kind, k.ID)
			}
		}
		err := u.Store.View(ctx, func(tx *store.Tx) (err error) {
			if shown, err = visible(tx); err != nil || shown {
				return err
			}
			next, err = above(tx, shop.ID, next)
			return err
		})
		if err != nil {
			return result, err
		}
		if shown {
			result.Result, result.Detail = UndeleteRevived, ""
			if was {
				result.Result = UndeleteShown
			}
			return result, nil
		}
	}
	result.Result = UndeleteHidden
	return result, nil
}

// read asks for one record and writes what the shop shows. A null is not
// written: it has no witness, and this command deletes nothing.
func (u *Undeleter) read(ctx context.Context, client *shopify.Client, shop store.Shop, key mirror.Key) (found bool, err error) {
	info := mirror.InfoOf(key.Kind)
	readID := key.ID
	if key.Kind == mirror.KindMetafield {
		err := u.Store.View(ctx, func(tx *store.Tx) error {
			records, err := tx.LoadRecords(shop.ID, []mirror.Key{key})
			readID = key.ReadID(records[key].State.Parent)
			return err
		})
		if err != nil {
			return false, err
		}
	}
	observations, err := client.ReadByID(ctx, info.Read, []mirror.GID{readID})
	if err != nil {
		return false, err
	}
	var present []mirror.Observation
	for _, o := range observations {
		if o.Content != nil {
			present = append(present, o)
			found = found || o.Key == key
		}
	}
	return found, u.Store.Update(ctx, func(tx *store.Tx) error {
		_, err := apply.Apply(tx, apply.Batch{Shop: shop.ID, Observations: present}, mirror.At(u.Now()))
		return err
	})
}

// KnownGID reports whether an id names something that is copied.
func KnownGID(id mirror.GID) bool { return mirror.KindOfGID(id) != "" && id.Number() != "" }

// keyOf finds the record of an id as the export gives it. A level's gid is not
// its record's key: that lies in its content.
func keyOf(tx *store.Tx, shop int64, id mirror.GID) (mirror.Key, error) {
	key := mirror.Key{Kind: mirror.KindOfGID(id), ID: id}
	switch key.Kind {
	case "":
		return key, fmt.Errorf("%s names nothing that is copied", id)
	case mirror.KindMetafield:
		records, err := tx.LoadRecords(shop, []mirror.Key{key})
		if err == nil && records[key].State.Parent == "" {
			err = fmt.Errorf("metafield %s was never seen: name what it belongs to instead", id)
		}
		return key, err
	case mirror.KindInventoryLevel:
		item, ok := mirror.ItemOfLevel(id)
		if !ok {
			return key, fmt.Errorf("%s lacks ?inventory_item_id=, which is part of a stock level's id", id)
		}
		levels, err := tx.KnownChildren(shop, key.Kind, item)
		if err != nil {
			return key, err
		}
		for _, level := range levels {
			content, err := mirror.Decode(key.Kind, level.Content)
			if err != nil {
				return key, err
			}
			if content.(*mirror.InventoryLevel).LevelGID == id {
				key.ID = level.ID
				return key, nil
			}
		}
		return key, fmt.Errorf("stock level %s was never seen: name its item instead", id)
	}
	return key, nil
}

// above lists the records through which others are shown.
func above(tx *store.Tx, shop int64, keys []mirror.Key) ([]mirror.Key, error) {
	records, err := tx.LoadRecords(shop, keys)
	if err != nil {
		return nil, err
	}
	var up []mirror.Key
	for _, key := range keys {
		parent := records[key].State.Parent
		switch key.Kind {
		case mirror.KindInventoryLevel:
			_, location, _ := mirror.SplitLevelID(key.ID)
			up = append(up, mirror.Key{Kind: mirror.KindLocation, ID: location}, mirror.Key{Kind: mirror.KindInventoryItem, ID: parent})
		case mirror.KindInventoryItem:
			variants, err := tx.KnownLinks(shop, mirror.KindProductVariant, key.ID)
			if err != nil {
				return nil, err
			}
			for _, variant := range variants {
				up = append(up, mirror.Key{Kind: mirror.KindProductVariant, ID: variant.ID})
			}
		default:
			if kind := mirror.KindOfGID(parent); kind != "" {
				up = append(up, mirror.Key{Kind: kind, ID: parent})
			}
		}
	}
	return up, nil
}
