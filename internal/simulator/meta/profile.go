package meta

// readProfile answers who a shopper is, where she agreed to that.
func (c *call) readProfile() (any, *graphError) { return nil, fail("100/33") }
