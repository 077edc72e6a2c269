// Package archtest holds the whole tree to the rules that a compiler does not
// know: which package may import which, that each says what it is, and that no
// file holds leftovers or names of one developer's machine.
//
// It promises that an import against the direction of data, or a package that
// is in no row of the table, fails the tests with a text that says what to do.
// It holds no code of the service. Formatting and the usual mistakes are left to
// make lint.
package archtest
