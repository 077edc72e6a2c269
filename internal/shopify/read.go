package shopify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/shopify/admin"
)

// List is a list that a full read walks from its first page to its last.
type List struct {
	Name string

	// Kinds are the kinds of which a complete read shows every record.
	Kinds []mirror.Kind

	// MetafieldsOf is the object, such as Product, whose metafields a complete
	// read shows too; empty for none.
	MetafieldsOf string

	// Scopes are all needed; without one of them the list is denied.
	Scopes []string

	// Protected lists hold customer data: Shopify denies them, whatever the
	// scopes, to an app that it has not approved for that (Shopify's page 'Work
	// with protected customer data').
	Protected bool

	// Page reads the page after cursor; the empty cursor starts.
	Page func(ctx context.Context, c *Client, cursor string) (Page, error)

	// Bulk is the list's form as a bulk operation; nil where pages alone read it.
	Bulk *Bulk

	rank int // Lists are read by rank: parents before children.
}

// Range is a stretch of time by updated_at, both ends included; a zero Until is
// open.
type Range struct{ Since, Until mirror.Instant }

// Sweep is a list of what changed within a range, by updated_at. The index
// behind it lags, so that a range must overlap the last sweep's. Lists that
// have no such filter, and are short, show all there is.
type Sweep struct {
	Name string

	// Kinds are the objects whose changes it finds.
	Kinds []mirror.Kind

	Scopes    []string
	Protected bool // As in List.
	Page      func(ctx context.Context, c *Client, in Range, cursor string) (Page, error)

	rank int
}

// Scan is a list of the ids and times of change of everything of one kind. It
// costs a fraction of a full read, finds what the copy lacks or holds older, and
// what the shop has no more.
type Scan struct {
	Name      string
	Kind      mirror.Kind
	Scopes    []string
	Protected bool // As in List.
	Page      func(ctx context.Context, c *Client, cursor string) (ScanPage, error)

	rank int
}

// ScanPage is a part of a scan.
type ScanPage struct {
	Rows []ScanRow
	Next string         // The cursor of the next page; empty at the end.
	AsOf mirror.Instant // As in Page.
}

// ScanRow is one object that the shop has.
type ScanRow struct {
	ID      mirror.GID
	Updated mirror.Instant
}

// Page is a part of a list. All its nested lists are read to their ends.
type Page struct {
	Observations []mirror.Observation
	Next         string // The cursor of the next page; empty at the end.

	// AsOf is when the page was asked for, on Shopify's clock. Nested lists
	// that took further calls carry it too: what moved in between comes with a
	// later version of its own.
	AsOf mirror.Instant
}

var (
	lists  []List
	sweeps []Sweep
	scans  []Scan
	reads  = map[mirror.Read]reader{}
)

// registerList, registerSweep, registerScan and registerRead are called by the file of each
// resource for its own.
func registerList(list List) List {
	lists = append(lists, list)
	slices.SortStableFunc(lists, func(a, b List) int { return a.rank - b.rank })
	return list
}

func registerSweep(sweep Sweep) Sweep {
	sweeps = append(sweeps, sweep)
	slices.SortStableFunc(sweeps, func(a, b Sweep) int { return a.rank - b.rank })
	return sweep
}

func registerScan(scan Scan) Scan {
	scans = append(scans, scan)
	slices.SortStableFunc(scans, func(a, b Scan) int { return a.rank - b.rank })
	return scan
}

func registerRead(read mirror.Read, r reader) reader {
	if _, taken := reads[read]; taken {
		panic(fmt.Sprintf("shopify: read %s is registered twice", read))
	}
	reads[read] = r
	return r
}

// Lists are all lists of the full read, in the order to read them in.
func Lists() []List { return slices.Clone(lists) }

// Sweeps are all lists of changes. Collections' members, metafields and what
// else moves no updated_at are the full read's alone to find.
func Sweeps() []Sweep { return slices.Clone(sweeps) }

// Scans are all scans, in the order to read them in: parents before children.
func Scans() []Scan { return slices.Clone(scans) }

// search is the search term for what changed within the range. Shopify's page
// 'Search syntax' wants dates quoted.
func (r Range) search() *string {
	const quoted = "'2006-01-02T15:04:05Z'"
	term := "updated_at:>=" + r.Since.Time().Format(quoted)
	if r.Until != 0 {
		term += " updated_at:<=" + r.Until.Time().Format(quoted)
	}
	return &term
}

// scanPage makes a page of a scan, one row a node.
func scanPage[N any](q *query, nodes []N, end admin.PageEnd, row func(N) (mirror.GID, mirror.Time, error)) (ScanPage, error) {
	next, err := nextCursor(end)
	if err != nil {
		return ScanPage{}, err
	}
	result := ScanPage{Rows: make([]ScanRow, len(nodes)), Next: next, AsOf: q.AsOf()}
	for i, node := range nodes {
		id, updated, err := row(node)
		if err != nil {
			return ScanPage{}, err
		}
		result.Rows[i] = ScanRow{id, mirror.At(updated.Time)}
	}
	return result, nil
}

// stamped is a node with nothing but its id and its time of change.
type stamped interface {
	GetId() mirror.GID
	GetUpdatedAt() mirror.Time
}

func stampOf[N any, P interface {
	*N
	stamped
}](node N) (mirror.GID, mirror.Time, error) {
	return P(&node).GetId(), P(&node).GetUpdatedAt(), nil
}

func cursorOf(cursor string) *string {
	if cursor == "" {
		return nil
	}
	return &cursor
}

// reader reads records of one kind by id.
type reader struct {
	kind    mirror.Kind
	max     int      // Ids in one call.
	objects []string // The objects that ids may name. Others are answered with a refusal of the whole call.
	read    func(ctx context.Context, k *collector, ids []mirror.GID) error
}

// MaxIDs is how many ids one call of the read asks for at most, so that a
// caller can gather as many.
func MaxIDs(read mirror.Read) int { return reads[read].max }

// goneAttempts bounds how often a read starts again because its object was
// deleted while a nested list was being read.
const goneAttempts = 3

// ReadByID reads records directly rather than through a list or the search
// index: the only evidence that one exists again or does not exist. Every id is
// answered, by its content or by its absence, or there is an error and nothing.
func (c *Client) ReadByID(ctx context.Context, read mirror.Read, ids []mirror.GID) ([]mirror.Observation, error) {
	r, ok := reads[read]
	if !ok {
		return nil, fmt.Errorf("read by id: no read %q", read)
	}
	var all []mirror.Observation
	asked := slices.Clone(ids)
	slices.Sort(asked)
	for chunk := range slices.Chunk(slices.Compact(asked), r.max) {
		found, err := c.readChunk(ctx, r, chunk, "")
		if err != nil {
			return nil, fmt.Errorf("read %s by id: %w", read, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// ReadBeside is ReadByID with a witness: a record that is known to live, of the
// same kind, asked for in every one of the requests. What is null beside a
// witness that answers is gone; beside one that does not, nothing is proven:
// the null may be a permission that went away, or a part of Shopify that lags. It
// returns what is observed of the ids and the witness, and whether every
// request's witness answered. At most MaxIDs less one ids go into one request.
func (c *Client) ReadBeside(ctx context.Context, read mirror.Read, ids []mirror.GID, witness mirror.GID) (all []mirror.Observation, answered bool, err error) {
	r, ok := reads[read]
	if !ok || r.max < 2 {
		return nil, false, fmt.Errorf("read by id beside a witness: no read %q", read)
	}
	asked := slices.Clone(ids)
	slices.Sort(asked)
	asked = slices.DeleteFunc(slices.Compact(asked), func(id mirror.GID) bool { return id == witness })
	answered = true
	for chunk := range slices.Chunk(asked, r.max-1) {
		found, err := c.readChunk(ctx, r, chunk, witness)
		if err != nil {
			return nil, false, fmt.Errorf("read %s by id beside %s: %w", read, witness, err)
		}
		silent := func(o mirror.Observation) bool {
			return o.Key == mirror.Key{Kind: r.kind, ID: witness} && o.Content == nil
		}
		if slices.ContainsFunc(found, silent) {
			answered = false
			found = slices.DeleteFunc(found, silent) // Its own null has no witness.
		}
		all = append(all, found...)
	}
	return all, answered, nil
}

// readChunk answers for ids and, where there is one, the witness in one call.
func (c *Client) readChunk(ctx context.Context, r reader, ids []mirror.GID, witness mirror.GID) ([]mirror.Observation, error) {
	var err error
	all := ids
	if witness != "" {
		all = append(slices.Clone(ids), witness)
	}
	for range goneAttempts {
		k := &collector{q: c.query(), source: mirror.FromID, found: map[mirror.GID]bool{}, witness: witness}
		var valid []mirror.GID
		for _, id := range all {
			if slices.Contains(r.objects, id.Object()) {
				valid = append(valid, id)
			}
		}
		if len(valid) == 0 {
			k.q.asOf = time.Now()
		} else if err = r.read(ctx, k, valid); err != nil {
			if errors.Is(err, errGone) {
				continue
			}
			if ClassOf(err) == ClassTooCostly && len(ids) > 1 {
				return c.readHalves(ctx, r, ids, witness)
			}
			return nil, err
		}
		for _, id := range all {
			if !k.found[id] {
				k.absent(mirror.Key{Kind: r.kind, ID: id})
			}
		}
		return k.out, nil
	}
	return nil, err
}

// readHalves asks for less at a time: the formula by which costs are estimated
// is fitted, not documented.
func (c *Client) readHalves(ctx context.Context, r reader, ids []mirror.GID, witness mirror.GID) ([]mirror.Observation, error) {
	first, err := c.readChunk(ctx, r, ids[:len(ids)/2], witness)
	if err != nil {
		return nil, err
	}
	second, err := c.readChunk(ctx, r, ids[len(ids)/2:], witness)
	return append(first, second...), err
}

// errGone says that an object went away while its nested lists were read.
var errGone = errors.New("the object is gone")

// collector gathers what one series of operations observed.
type collector struct {
	q      *query // Nil for lines of a file: then at is their asOf.
	at     mirror.Instant
	source mirror.Source
	out    []mirror.Observation
	found  map[mirror.GID]bool // By read by id: what was answered.
	staged []Staged            // By lines of a file: what must wait until it is believed.

	// The id among those asked for that every request must hold; empty for none.
	witness mirror.GID
}

func (k *collector) asOf() mirror.Instant {
	if k.q == nil {
		return k.at
	}
	return k.q.AsOf()
}

func (k *collector) present(id mirror.GID, content mirror.Content) error {
	asOf := k.asOf()
	observation, err := mirror.Present(id, content, k.source, asOf, asOf)
	if err != nil {
		return err
	}
	k.out = append(k.out, observation)
	if k.found != nil {
		k.found[id] = true
	}
	return nil
}

func (k *collector) absent(key mirror.Key) {
	asOf := k.asOf()
	k.out = append(k.out, mirror.Absent(key, k.source, asOf, asOf))
	if k.found != nil {
		k.found[key.ID] = true
	}
}

// page makes a page of a list, one observer a node. A node that went away
// meanwhile is left out, as if the page had come a moment later.
func page[N any](k *collector, nodes []N, end admin.PageEnd, observe func(N) error) (Page, error) {
	for _, node := range nodes {
		mark := len(k.out)
		if err := observe(node); errors.Is(err, errGone) {
			k.out = k.out[:mark]
		} else if err != nil {
			return Page{}, err
		}
	}
	next, err := nextCursor(end)
	if err != nil {
		return Page{}, err
	}
	return Page{Observations: k.out, Next: next, AsOf: k.q.AsOf()}, nil
}

func (c *Client) pageCollector() *collector {
	return &collector{q: c.query(), source: mirror.FromPage}
}

func nextCursor(end admin.PageEnd) (string, error) {
	switch {
	case !end.HasNextPage:
		return "", nil
	case end.EndCursor == nil || *end.EndCursor == "":
		return "", errors.New("a page says that another follows but gives no cursor")
	default:
		return *end.EndCursor, nil
	}
}

// maxNestedPages bounds a nested list: 2,048 variants take 21 pages, the
// 25,000 members that Shopify pages through at most, 100. A list that goes on is
// an error, never cut short.
const maxNestedPages = 1000

// readOn reads a nested list from the end of its first page to its last. More
// takes the next page over and returns its end.
func readOn(end admin.PageEnd, more func(after string) (admin.PageEnd, error)) error {
	for range maxNestedPages {
		after, err := nextCursor(end)
		if err != nil || after == "" {
			return err
		}
		if end, err = more(after); err != nil {
			return err
		}
		if end.HasNextPage && end.EndCursor != nil && *end.EndCursor == after {
			return errors.New("a nested list does not move on")
		}
	}
	return fmt.Errorf("a nested list goes on after %d pages", maxNestedPages)
}

// readAll is readOn from a list's very start, asked for by the empty cursor.
func readAll(more func(after string) (admin.PageEnd, error)) error {
	end, err := more("")
	if err != nil {
		return err
	}
	return readOn(end, more)
}

func timeOf(t *mirror.Time) mirror.Time {
	if t == nil {
		return mirror.Time{}
	}
	return *t
}
