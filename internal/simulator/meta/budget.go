package meta

import (
	"fmt"
	"time"
)

// Rates. Source: "Messenger Platform: Rate Limits"; for Instagram pages differ,
// and this is the lower of their two numbers. The floor of the 24 hours' budget
// and that each call while blocked makes it a minute longer are unproven.
const (
	sendsASecond      = 300
	heavyASecond      = 10 // With audio or video.
	igSendsASecond    = 100
	listsASecond      = 2 // Of conversations.
	sendsAnEngaged    = 200
	profileCalls      = 10
	profileWindow     = 10 * time.Minute
	maxBlocked        = 24 * time.Hour
	blockedByTooMany  = 5 * time.Minute
	blockedAgainstTry = time.Minute
)

// budget is what a Page has used of its limits.
type budget struct {
	Second                  time.Time // The second that is counted.
	Sends, Heavy, IG, Lists int
	Day                     time.Time // When the 24 hours began that are counted.
	DaySends                int
	Profile                 time.Time
	ProfileCalls            int
	Blocked                 time.Time // Until when calls are refused.
}

func (b *budget) tick(now time.Time) {
	if second := now.Truncate(time.Second); !second.Equal(b.Second) {
		b.Second, b.Sends, b.Heavy, b.IG, b.Lists = second, 0, 0, 0, 0
	}
}

// spend counts a message, or refuses it; the Meta's mu is held.
func (p *Page) spend(instagram, heavy bool, now time.Time) *graphError {
	b := &p.budget
	b.tick(now)
	if now.Sub(b.Day) >= 24*time.Hour {
		b.Day, b.DaySends = now, 0
	}
	engaged := 1
	for _, t := range p.threads {
		if now.Sub(t.Opened) < 24*time.Hour {
			engaged++
		}
	}
	limited := func(name string, wait time.Duration) *graphError {
		err := fail(name)
		err.header = usage(p.ID, 100, max(1, int(wait/time.Minute)))
		return err
	}
	switch {
	case b.DaySends >= sendsAnEngaged*engaged:
		return limited("80006", b.Day.Add(24*time.Hour).Sub(now))
	case heavy && b.Heavy >= heavyASecond, !instagram && b.Sends >= sendsASecond:
		b.Blocked = now.Add(blockedByTooMany)
		return limited("613", blockedByTooMany)
	case instagram && b.IG >= igSendsASecond:
		b.Blocked = now.Add(blockedByTooMany)
		return limited("613/2534040", blockedByTooMany)
	}
	b.DaySends++
	if heavy {
		b.Heavy++
	}
	if instagram {
		b.IG++
	} else {
		b.Sends++
	}
	return nil
}

// Throttle makes a Page's calls fail for a time: 80001, and 80006 for messages.
func (m *Meta) Throttle(page string, wait time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.page(page)
	if err != nil {
		return fmt.Errorf("throttle: %w", err)
	}
	p.budget.Blocked = m.world.Now().Add(min(wait, maxBlocked))
	return nil
}

// throttled refuses calls of a Page that has to wait. Each makes the wait
// longer.
func (c *call) throttled() *graphError {
	c.m.mu.Lock()
	defer c.m.mu.Unlock()
	page := c.m.pages[c.token.Page]
	now := c.m.world.Now()
	if page == nil || !now.Before(page.budget.Blocked) {
		for name, value := range usage(c.token.Page, 3, 0) {
			c.w.Header()[name] = value
		}
		return nil
	}
	if until := page.budget.Blocked.Add(blockedAgainstTry); until.Sub(now) <= maxBlocked {
		page.budget.Blocked = until
	}
	err := fail("80001")
	if c.note.Call == "messages" {
		err = fail("80006")
	}
	err.header = usage(page.ID, 100, int(page.budget.Blocked.Sub(now)/time.Minute)+1)
	return err
}
