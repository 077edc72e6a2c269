//go:build !linux

package e2e

// fillDisk is possible on Linux alone.
func (w *world) fillDisk(*service) bool { return false }

func (w *world) freeDisk(*service) {}
