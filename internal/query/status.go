package query

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

// ShopStatus is how a shop's copy stands. Moments are on the shop's Shopify clock.
type ShopStatus struct {
	Shop          string                 `json:"shop"`
	State         store.ShopState        `json:"state"`
	Trouble       string                 `json:"trouble,omitempty"` // Why it must be connected again.
	TroubleSince  mirror.Time            `json:"trouble_since"`     // Null without trouble.
	Token         TokenStatus            `json:"token"`
	Resources     []ResourceStatus       `json:"resources"` // What is mirrored, by export type.
	Scopes        []string               `json:"scopes"`
	ScopesMissing []string               `json:"scopes_missing"`
	Subscriptions Subscriptions          `json:"subscriptions"`
	Inbox         Inbox                  `json:"inbox"`
	Pages         []PageStatus           `json:"pages"`   // Facebook Pages that are tied to it.
	Demands       int64                  `json:"demands"` // Reads by id that are owed.
	LastRun       *RunStatus             `json:"last_run"`
	LastSweep     *SweepStatus           `json:"last_sweep"`
	Silences      []SilenceStatus        `json:"silences"`    // Topics that are improbably quiet now.
	VerifiedAt    map[string]mirror.Time `json:"verified_at"` // By export type.
	Rows          map[string]int64       `json:"rows"`        // By export type, as readers see them; nil unless asked for.
}

// TokenStatus is how the shop is asked. The token itself is nowhere shown.
type TokenStatus struct {
	Grant            store.TokenGrant `json:"grant"`
	RenewedAt        mirror.Time      `json:"renewed_at"`
	ExpiresAt        mirror.Time      `json:"expires_at"`         // Null for one that does not expire.
	RefreshExpiresAt mirror.Time      `json:"refresh_expires_at"` // Null where there is no refresh token, or Shopify did not say.
}

// ResourceStatus tells whether a type is mirrored.
type ResourceStatus struct {
	Type     string   `json:"type"`
	Mirrored bool     `json:"mirrored"`
	Missing  []string `json:"missing"`       // Scopes that the shop did not grant.
	Why      string   `json:"why,omitempty"` // Why it is not, and what to do.
}

// Subscriptions is what the last audit of the webhook subscriptions found.
type Subscriptions struct {
	Active  int               `json:"active"`
	Missing map[string]string `json:"missing"` // Topics that were refused or failed, with the reason.
}

// Inbox is what lies in the inbox for a shop.
type Inbox struct {
	New         int64       `json:"new"`
	Quarantined int64       `json:"quarantined"`
	OldestNew   mirror.Time `json:"oldest_new"` // Its receipt; null when none waits.
}

// RunStatus is a run and what it found.
type RunStatus struct {
	ID        int64          `json:"id"`
	Kind      string         `json:"kind"`
	Reason    string         `json:"reason"`
	State     store.RunState `json:"state"`
	QueuedAt  mirror.Time    `json:"queued_at"`
	StartedAt mirror.Time    `json:"started_at"`
	EndedAt   mirror.Time    `json:"ended_at"`
	Error     string         `json:"error,omitempty"`
	Gaps      []string       `json:"gaps"` // What it could not cover or confirm, and what to do.
	Drift     []DriftCount   `json:"drift"`
}

// SweepStatus is a sweep and what it found.
type SweepStatus struct {
	ID       int64          `json:"id"`
	Reason   string         `json:"reason"`
	State    store.RunState `json:"state"`
	QueuedAt mirror.Time    `json:"queued_at"`
	EndedAt  mirror.Time    `json:"ended_at"`
	Drifted  int64          `json:"drifted"` // Objects that webhooks had not told of by then.
	Gaps     []string       `json:"gaps"`    // What it could not cover.
}

// SilenceStatus is a topic that is improbably quiet.
type SilenceStatus struct {
	Topic     string      `json:"topic"`
	Since     mirror.Time `json:"since"` // When it was last heard.
	NoticedAt mirror.Time `json:"noticed_at"`
	Found     string      `json:"found"` // What the audit of the subscriptions found.
	Sweep     int64       `json:"sweep"` // The sweep of the gap; zero for none.
}

// DriftCount is how many objects of a type drifted in one way.
type DriftCount struct {
	Type  string `json:"type"`
	Class string `json:"class"` // missing, stale, wrong or undeleted.
	Rows  int64  `json:"rows"`
}

// Status tells how all shops stand, by domain. Wanted are the scopes that the
// app asks for. Counting rows reads all of the copy, so it is done on demand.
func (r *Reader) Status(ctx context.Context, wanted []string, rows bool) ([]ShopStatus, error) {
	all := []ShopStatus{}
	err := r.store.View(ctx, func(tx *store.Tx) error {
		shops, err := tx.Shops()
		if err != nil {
			return err
		}
		for _, shop := range shops {
			status, err := r.shopStatus(tx, shop, wanted, rows)
			if err != nil {
				return fmt.Errorf("read status of %s: %w", shop.Domain, err)
			}
			all = append(all, status)
		}
		return nil
	})
	return all, err
}

// Rejected counts the deliveries kept whose signature was wrong: up to
// store.MaxRejected, of whichever shop they claimed to be.
func (r *Reader) Rejected(ctx context.Context) (n int64, err error) {
	err = r.store.View(ctx, func(tx *store.Tx) (err error) {
		n, err = tx.CountRejected()
		return err
	})
	return n, err
}

// ShopStatus tells how one shop stands, its rows counted, with its newest runs.
func (r *Reader) ShopStatus(ctx context.Context, shop store.Shop, wanted []string, runs int) (ShopStatus, []RunStatus, error) {
	var status ShopStatus
	var newest []RunStatus
	err := r.view(ctx, shop, "status", func(tx *store.Tx) (err error) {
		if status, err = r.shopStatus(tx, shop, wanted, true); err != nil {
			return err
		}
		newest, err = runStatuses(tx, shop, runs)
		return err
	})
	return status, newest, err
}

func (r *Reader) shopStatus(tx *store.Tx, shop store.Shop, wanted []string, rows bool) (ShopStatus, error) {
	granted := splitScopes(shop.Scopes)
	status := ShopStatus{
		Shop: shop.Domain, State: shop.State, Scopes: orEmpty(granted), ScopesMissing: orEmpty(mirror.MissingScopes(granted, wanted)),
		Trouble: shop.Trouble, TroubleSince: mirror.TimeOf(shop.TroubleAt.Time()), Token: tokenStatus(shop),
		Subscriptions: Subscriptions{Missing: map[string]string{}}, Silences: []SilenceStatus{}, VerifiedAt: map[string]mirror.Time{},
	}
	subscriptions, err := tx.Subscriptions(shop.ID)
	if err != nil {
		return status, err
	}
	for _, s := range subscriptions {
		if s.State == store.SubscriptionActive {
			status.Subscriptions.Active++
		} else {
			status.Subscriptions.Missing[s.Topic] = s.Reason
		}
	}
	status.Resources = resources(shop, granted, status.Subscriptions.Missing)
	deliveries, err := tx.CountDeliveries(shop.ID)
	if err != nil {
		return status, err
	}
	oldest, err := tx.OldestNew(shop.ID)
	if err != nil {
		return status, err
	}
	status.Inbox = Inbox{deliveries[store.DeliveryNew], deliveries[store.DeliveryQuarantined], mirror.TimeOf(oldest.Time())}
	if status.Pages, err = pages(tx, shop); err != nil {
		return status, err
	}
	if status.Demands, _, err = tx.CountDemands(shop.ID, math.MaxInt64); err != nil {
		return status, err
	}
	last, err := runStatuses(tx, shop, 1)
	if err != nil {
		return status, err
	}
	if len(last) > 0 {
		status.LastRun = &last[0]
	}
	if status.LastSweep, err = lastSweep(tx, shop); err != nil {
		return status, err
	}
	silences, err := tx.OpenSilences(shop.ID)
	if err != nil {
		return status, err
	}
	for _, s := range silences {
		status.Silences = append(status.Silences, SilenceStatus{s.Topic, mirror.TimeOf(s.Since.Time()), mirror.TimeOf(s.NoticedAt.Time()), s.Found, s.TaskID})
	}
	for _, name := range mirror.Types {
		if status.VerifiedAt[name], err = verifiedAt(tx, shop, name); err != nil {
			return status, err
		}
	}
	if rows {
		status.Rows, err = reader{tx, shop, r.shopNow(shop)}.counts()
	}
	return status, err
}

func tokenStatus(shop store.Shop) TokenStatus {
	return TokenStatus{Grant: shop.Grant, RenewedAt: mirror.TimeOf(shop.TokenAt.Time()), ExpiresAt: mirror.TimeOf(shop.AccessExpiresAt.Time()),
		RefreshExpiresAt: mirror.TimeOf(shop.RefreshExpiresAt.Time())}
}

// resources tells what is mirrored: what the scopes allow, and for orders what
// Shopify has approved, as its refusal of their subscriptions shows.
func resources(shop store.Shop, granted []string, unsubscribed map[string]string) []ResourceStatus {
	var all []ResourceStatus
	for _, name := range mirror.Types {
		info := mirror.InfoOf(mirror.Kind(name))
		r := ResourceStatus{Type: name, Mirrored: true, Missing: orEmpty(mirror.MissingScopes(granted, info.Scopes))}
		if reason := unsubscribed["orders/create"]; info.Kind == mirror.KindOrder && reason != "" {
			r.Mirrored, r.Why = false, reason+": ask for it in the app's settings at Shopify"
		}
		if len(r.Missing) > 0 {
			r.Mirrored = false
			r.Why = fmt.Sprintf("the shop did not grant %s: its owner can at /shopify/login?shop=%s", strings.Join(r.Missing, ", "), shop.Domain)
		}
		all = append(all, r)
	}
	return all
}

// lastSweep is the newest sweep; nil before the first.
func lastSweep(tx *store.Tx, shop store.Shop) (*SweepStatus, error) {
	tasks, err := tx.Tasks(shop.ID, store.TaskSweep, 1)
	if err != nil || len(tasks) == 0 {
		return nil, err
	}
	task := tasks[0]
	var report struct {
		Drift []struct {
			Missing, Stale, Wrong, Undeleted int64
		} `json:"drift"`
		Gaps []string `json:"gaps"`
	}
	if err := json.Unmarshal(task.Report, &report); err != nil {
		return nil, fmt.Errorf("report of sweep %d: %w", task.ID, err)
	}
	status := &SweepStatus{ID: task.ID, Reason: task.Reason, State: task.State, Gaps: orEmpty(report.Gaps),
		QueuedAt: mirror.TimeOf(task.QueuedAt.Time()), EndedAt: mirror.TimeOf(task.EndedAt.Time())}
	for _, d := range report.Drift {
		status.Drifted += d.Missing + d.Stale + d.Wrong + d.Undeleted
	}
	return status, nil
}

func runStatuses(tx *store.Tx, shop store.Shop, limit int) ([]RunStatus, error) {
	runs, err := tx.Runs(shop.ID, limit)
	if err != nil {
		return nil, err
	}
	all := make([]RunStatus, len(runs))
	for i, run := range runs { // As many as a page shows.
		if all[i], err = runStatus(tx, run); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func runStatus(tx *store.Tx, run store.Run) (RunStatus, error) {
	status := RunStatus{
		ID: run.ID, Kind: run.Kind, Reason: run.Reason, State: run.State, QueuedAt: mirror.TimeOf(run.QueuedAt.Time()),
		StartedAt: mirror.TimeOf(run.StartedAt.Time()), EndedAt: mirror.TimeOf(run.EndedAt.Time()), Error: run.Error, Drift: []DriftCount{},
	}
	var report struct {
		Gaps []string `json:"gaps"`
	}
	if err := json.Unmarshal(run.Report, &report); err != nil {
		return status, fmt.Errorf("report of run %d: %w", run.ID, err)
	}
	status.Gaps = orEmpty(report.Gaps)
	counts, err := tx.CountDrift(run.ID)
	if err != nil {
		return status, err
	}
	for key, n := range counts {
		status.Drift = append(status.Drift, DriftCount{key[0], key[1], n})
	}
	slices.SortFunc(status.Drift, func(a, b DriftCount) int {
		return strings.Compare(a.Type+"\x00"+a.Class, b.Type+"\x00"+b.Class)
	})
	return status, nil
}

// counts counts what readers see of each type: as many as the export has lines.
func (r reader) counts() (map[string]int64, error) {
	counts := map[string]int64{}
	for _, info := range mirror.Kinds() {
		if string(info.Kind) != info.Type { // Derived values and sets are no objects of their own.
			continue
		}
		counts[info.Type] = 0
		err := r.pages(info.Kind, "", func(rows []store.Row) (bool, error) {
			if info.Kind == mirror.KindOrder {
				orders, err := r.orders(rows)
				counts[info.Type] += int64(len(orders))
				return true, err
			}
			rows, err := r.tx.Visible(r.shop.ID, info.Kind, rows)
			counts[info.Type] += int64(len(rows))
			return true, err
		})
		if err != nil {
			return nil, fmt.Errorf("count %s: %w", info.Kind, err)
		}
	}
	return counts, nil
}
