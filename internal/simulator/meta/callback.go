package meta

// Callback is what became of telling an app that a person left.
type Callback struct{}
