package simulator

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"stockroom/internal/simulator/knob"
)

// Faults are what goes wrong on purpose. Shares are between 0 and 1 and are
// drawn from the simulator's seed. The zero value is a day without trouble.
type Faults struct {
	// Of webhooks.
	Lose    map[string]float64  `json:"lose,omitempty"`    // Share never sent, by topic; "*" is for all others.
	LoseIf  func(Delivery) bool `json:"-"`                 // Says which are never sent.
	Double  float64             `json:"double,omitempty"`  // Share sent twice under one webhook id.
	Fail    float64             `json:"fail,omitempty"`    // Share of attempts that do not reach the address and are retried.
	Forge   float64             `json:"forge,omitempty"`   // Share sent once more before, with a wrong signature and a body that was tampered with.
	Reorder float64             `json:"reorder,omitempty"` // Share that up to two seconds of others overtake.
	Delay   Duration            `json:"delay,omitempty"`   // Longest delay of each; evenly spread.

	Late         float64  `json:"late,omitempty"`          // Share sent hours after what they tell of: between one and twelve.
	OldSecret    float64  `json:"old_secret,omitempty"`    // Share signed with App.OldSecret.
	Stale        float64  `json:"stale,omitempty"`         // Share whose first acceptance is not heard: they come again a minute later with the body of then.
	NewID        float64  `json:"new_id,omitempty"`        // Share whose retries come under new webhook ids.
	Newer        float64  `json:"newer,omitempty"`         // Share that wait 10 to 30 seconds and tell what is true by then, under their old time of trigger.
	WebhookFirst float64  `json:"webhook_first,omitempty"` // Share of requests answered only when the webhooks that they caused were tried.
	Unsubscribe  float64  `json:"unsubscribe,omitempty"`   // Share of webhooks with which a subscription made through the API is deleted.
	Skew         Duration `json:"skew,omitempty"`          // By how much Date headers and times of trigger are ahead; below zero behind.

	// Of the API; ServerError, Reset, Timeout, AnswerLost and Slow also of tokens.
	Throttle    float64  `json:"throttle,omitempty"`          // Share of requests that find the budget spent.
	ServerError float64  `json:"server_error,omitempty"`      // Share answered 502, without effect.
	Internal    float64  `json:"internal_error,omitempty"`    // Share of the API alone answered 200 with INTERNAL_SERVER_ERROR, without data or effect.
	TooMany     float64  `json:"too_many_requests,omitempty"` // Share of the API alone answered 429 with Retry-After, without effect.
	Reset       float64  `json:"reset,omitempty"`             // Share whose connection is reset, without effect.
	Timeout     float64  `json:"timeout,omitempty"`           // Share not answered for ten seconds, then 504, without effect.
	AnswerLost  float64  `json:"answer_lost,omitempty"`       // Share that take effect and are answered 502 or by a reset.
	Deny        []string `json:"deny,omitempty"`              // Fields answered with ACCESS_DENIED, like Product.variants.
	Null        []string `json:"null,omitempty"`              // Types whose objects are null to who asks by id, without an error, like Product.
	Unfiltered  []string `json:"unfiltered,omitempty"`        // Fields that searches know no more: they warn and find everything.
	Slow        Duration `json:"slow,omitempty"`              // How long every answer takes.
	SlowPages   Duration `json:"slow_pages,omitempty"`        // How long answers with a page of a list take besides.
	TotalsLag   Duration `json:"totals_lag,omitempty"`        // How long totalInventory shows what it was.
	IndexLag    Duration `json:"index_lag,omitempty"`         // How long a change is missing from searches.

	// Of OAuth.
	TokenLost     float64 `json:"token_lost,omitempty"`      // Share of tokens made, whose reply is lost (520).
	OmitExpiresIn bool    `json:"omit_expires_in,omitempty"` // Replies lack their lifetimes.

	// TokenLife is how long access tokens that expire work, if that is less than
	// they were given out for. Zero is no limit.
	TokenLife Duration `json:"token_life,omitempty"`

	// Of bulk operations, drawn when one is started.
	BulkCut     float64  `json:"bulk_cut,omitempty"`     // Share whose file ends early, shorter than fileSize says.
	BulkReorder float64  `json:"bulk_reorder,omitempty"` // Share whose lines are in any order, children before parents too.
	BulkCancel  float64  `json:"bulk_cancel,omitempty"`  // Share that Shopify cancels by itself.
	BulkFail    float64  `json:"bulk_fail,omitempty"`    // Share that fails, with part of the data.
	BulkStuck   float64  `json:"bulk_stuck,omitempty"`   // Share that runs until it is canceled, or fails after ten days.
	BulkTime    Duration `json:"bulk_time,omitempty"`    // How long each takes; half of it at least, more where reading does.
}

// Duration is a time.Duration that JSON spells like "1.5s".
type Duration = knob.Duration

// Faults returns the faults in force.
func (s *Simulator) Faults() Faults {
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	return s.faults
}

// SetFaults replaces them. Webhooks already on their way keep what was drawn for them.
func (s *Simulator) SetFaults(faults Faults) {
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	s.faults = faults
}

// patchFaults changes those that a JSON object names.
func (s *Simulator) patchFaults(body []byte) (Faults, error) {
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	changed, err := knob.Patch(s.faults, body)
	if err != nil {
		return Faults{}, fmt.Errorf("%w; GET /_sim/faults/all names those there are", err)
	}
	if err := changed.check(); err != nil {
		return Faults{}, err
	}
	s.faults = changed
	return changed, nil
}

// check judges what a caller may have got wrong.
func (f Faults) check() error {
	if err := knob.Check(f, "Skew"); err != nil {
		return err
	}
	for topic := range f.Lose {
		if _, known := topics[topicEnum(topic)]; !known && topic != "*" && !slices.Contains(complianceTopics, topic) {
			return fmt.Errorf("faults: lose %q: no such topic; write it like products/update", topic)
		}
	}
	for _, name := range f.Deny {
		typename, field, _ := strings.Cut(name, ".")
		if objectTypes[typename][field] == nil {
			return fmt.Errorf("faults: deny %q: no such field; write it like Product.variants", name)
		}
	}
	for _, name := range f.Null {
		if objectTypes[name] == nil {
			return fmt.Errorf("faults: null %q: no such type; write it like Product", name)
		}
	}
	return nil
}

// chancy draws: true with the given probability.
func (s *Simulator) chancy(share float64) bool {
	if share <= 0 {
		return false
	}
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	return s.chance.Float64() < share
}

// maxTold is how many calls are remembered, so that each is drawn for anew.
const maxTold = 100_000

// fate draws for one thing that is named: the same seed and name draw the same,
// in whatever order the things of one instant come. What has had its name before
// is drawn for anew.
type fate struct {
	sim  *Simulator
	name string
}

func (s *Simulator) fate(kind string, name ...string) fate {
	full := kind + "\x00" + strings.Join(name, "\x00")
	sum := sha256.Sum256([]byte(full))
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	if s.told == nil || len(s.told) >= maxTold {
		s.told = make(map[[sha256.Size]byte]uint64)
	}
	s.told[sum]++
	return fate{s, fmt.Sprintf("%x %d %d", sum, s.told[sum], s.config.Seed)}
}

// chancy draws for one fault.
func (f fate) chancy(fault string, share float64) bool {
	if share <= 0 {
		return false
	}
	return float64(f.draw(fault)>>11)/(1<<53) < share
}

// draw is a number for one purpose.
func (f fate) draw(purpose string) uint64 {
	sum := sha256.Sum256([]byte(purpose + " " + f.name))
	return binary.BigEndian.Uint64(sum[:])
}

// upTo draws a duration below the given one.
func (s *Simulator) upTo(longest time.Duration) time.Duration {
	if longest <= 0 {
		return 0
	}
	s.faultsMu.Lock()
	defer s.faultsMu.Unlock()
	return time.Duration(s.chance.Int64N(int64(longest)))
}

// loses draws whether a delivery is lost.
func (f Faults) loses(s *Simulator, d Delivery) bool {
	if f.LoseIf != nil && f.LoseIf(d) {
		return true
	}
	share, named := f.Lose[d.Topic]
	if !named {
		share = f.Lose["*"]
	}
	return s.chancy(share)
}
