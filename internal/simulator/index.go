package simulator

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// record is what an Index holds: something with a number and a time of its
// last change. Number and time are read when the record is put in.
type record interface {
	key() int64
	changed() time.Time
}

// Index keeps records by number, in order of number, and in order of change,
// so that a keyset page over a million rows costs what the page shows.
//
// Reading in order of change relies on the shop's clock not running back: a
// change is appended to the end of the order, and its older place is skipped
// from then on and dropped when such places outnumber the records.
//
// There is no map beside the sorted numbers: of a million variants with their
// items and levels, maps took a third of the memory and half of the time to
// fill. Numbers are given out one after the other, so a number's place is
// guessed first and searched only where records were removed.
type Index[T record] struct {
	ids  []int64
	rows []T // At the place of its number.
	log  []stamp
}

// stamp is a place in the order of change.
type stamp struct {
	at int64 // Unix seconds.
	id int64
}

func (a stamp) compare(b stamp) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.id, b.id))
}

// Len is the number of records.
func (x *Index[T]) Len() int { return len(x.ids) }

// Get returns the record of a number.
func (x *Index[T]) Get(id int64) (T, bool) {
	at, ok := x.place(id)
	if !ok {
		var none T
		return none, false
	}
	return x.rows[at], true
}

// place finds where a number is, or where it would be put.
func (x *Index[T]) place(id int64) (int, bool) {
	n := len(x.ids)
	if n == 0 || id < x.ids[0] {
		return 0, false
	}
	// At most so many numbers lie before it.
	to := n
	if guess := id - x.ids[0]; guess < int64(n) {
		if x.ids[guess] == id {
			return int(guess), true
		}
		to = int(guess)
	}
	return slices.BinarySearch(x.ids[:to], id)
}

// IDs are all numbers in order. The slice must not be changed.
func (x *Index[T]) IDs() []int64 { return x.ids }

// All runs over the records in order of number.
func (x *Index[T]) All() iter.Seq[T] { return x.After(0) }

// After runs over the records whose number is greater than id.
func (x *Index[T]) After(id int64) iter.Seq[T] {
	return func(yield func(T) bool) {
		from, found := x.place(id)
		if found {
			from++
		}
		for _, r := range x.rows[from:] {
			if !yield(r) {
				return
			}
		}
	}
}

// Before runs backwards over the records whose number is less than id; zero
// means from the end.
func (x *Index[T]) Before(id int64) iter.Seq[T] {
	return func(yield func(T) bool) {
		to := len(x.ids)
		if id != 0 {
			to, _ = x.place(id)
		}
		for _, r := range slices.Backward(x.rows[:to]) {
			if !yield(r) {
				return
			}
		}
	}
}

// ChangedAfter runs over the records in order of (time of change, number),
// beginning after the given place. The zero time begins at the first.
func (x *Index[T]) ChangedAfter(at time.Time, id int64) iter.Seq[T] {
	return func(yield func(T) bool) {
		from := 0
		if !at.IsZero() {
			var found bool
			from, found = slices.BinarySearchFunc(x.log, stamp{at.Unix(), id}, stamp.compare)
			if found {
				from++
			}
		}
		for _, s := range x.log[from:] {
			if r, ok := x.Get(s.id); ok && r.changed().Unix() == s.at && !yield(r) {
				return
			}
		}
	}
}

// ChangedBefore runs backwards over the records in order of (time of change,
// number), beginning before the given place. The zero time begins at the last.
func (x *Index[T]) ChangedBefore(at time.Time, id int64) iter.Seq[T] {
	return func(yield func(T) bool) {
		to := len(x.log)
		if !at.IsZero() {
			to, _ = slices.BinarySearchFunc(x.log, stamp{at.Unix(), id}, stamp.compare)
		}
		for _, s := range slices.Backward(x.log[:to]) {
			if r, ok := x.Get(s.id); ok && r.changed().Unix() == s.at && !yield(r) {
				return
			}
		}
	}
}

// put adds a record, or notes that its time of change moved.
func (x *Index[T]) put(r T) {
	id := r.key()
	if at, known := x.place(id); known {
		x.rows[at] = r
	} else {
		x.ids = slices.Insert(x.ids, at, id)
		x.rows = slices.Insert(x.rows, at, r)
	}
	s := stamp{r.changed().Unix(), id}
	at, found := slices.BinarySearchFunc(x.log, s, stamp.compare)
	if !found {
		x.log = slices.Insert(x.log, at, s)
	}
	if len(x.log) > 2*len(x.ids)+1024 {
		x.log = slices.DeleteFunc(x.log, func(s stamp) bool {
			r, ok := x.Get(s.id)
			return !ok || r.changed().Unix() != s.at
		})
	}
}

// load adds a record and leaves order to settle. It is for filling a new shop.
// Until then only a record with a greater number than all before it is found.
func (x *Index[T]) load(r T) {
	x.ids = append(x.ids, r.key())
	x.rows = append(x.rows, r)
	x.log = append(x.log, stamp{r.changed().Unix(), r.key()})
}

// grow makes room for so many more records.
func (x *Index[T]) grow(n int) {
	x.ids = slices.Grow(x.ids, n)
	x.rows = slices.Grow(x.rows, n)
	x.log = slices.Grow(x.log, n)
}

// settle ends a series of loads.
func (x *Index[T]) settle() {
	if !slices.IsSorted(x.ids) {
		slices.SortFunc(x.rows, func(a, b T) int { return cmp.Compare(a.key(), b.key()) })
		slices.Sort(x.ids)
	}
	slices.SortFunc(x.log, stamp.compare)
}

func (x *Index[T]) remove(id int64) {
	at, ok := x.place(id)
	if !ok {
		return
	}
	x.ids = slices.Delete(x.ids, at, at+1)
	x.rows = slices.Delete(x.rows, at, at+1)
}

// insert puts id into a sorted slice, once.
func insert(ids []int64, id int64) []int64 {
	if n := len(ids); n == 0 || ids[n-1] < id {
		return append(ids, id)
	}
	at, found := slices.BinarySearch(ids, id)
	if found {
		return ids
	}
	return slices.Insert(ids, at, id)
}

// without takes id out of a sorted slice.
func without(ids []int64, id int64) []int64 {
	if at, found := slices.BinarySearch(ids, id); found {
		return slices.Delete(ids, at, at+1)
	}
	return ids
}

// holds tells whether a sorted slice has id.
func holds(ids []int64, id int64) bool {
	_, found := slices.BinarySearch(ids, id)
	return found
}
