package meta

import "time"

// budget is what a Page has used of its limits.
type budget struct {
	Second  time.Time // The second that is counted.
	Sends   int
	Blocked time.Time // Until when calls are refused.
}

// throttled refuses calls of a Page that has to wait. Each call makes the wait
// longer. Source: "Rate Limits", Business Use Case.
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
	page.budget.Blocked = page.budget.Blocked.Add(time.Minute)
	err := fail("80001")
	err.header = usage(page.ID, 100, int(page.budget.Blocked.Sub(now)/time.Minute)+1)
	return err
}
