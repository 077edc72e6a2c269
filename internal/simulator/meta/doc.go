// Package meta is Meta on this machine: Facebook Login, the Graph API with its
// tokens and Pages, webhooks of Messenger and Instagram, and the Send API, over
// real HTTP.
//
// It promises what Meta does as far as that is known, and where it is not, what
// would do the most harm to an app that expects better: docs/simulator.md says
// of each which it is. Nothing of it is shared with the programs it is there to
// test.
//
// It leaves the clock, chance and the order in which things fall due to the
// simulator that it is part of, so that one clock moves shops and Pages alike.
package meta
