package simulator

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"stockroom/internal/simulator/graph"
)

// How operations run. Source: "Perform bulk operations with the GraphQL Admin
// API", 2026. How long they take is ours: as long as the reading does, and at
// least a moment, so that each state can be seen.
const (
	maxBulkRunning = 5
	bulkRetention  = 7 * 24 * time.Hour
	bulkLongest    = 10 * 24 * time.Hour
	bulkMoment     = 200 * time.Millisecond
	bulkGlance     = 20 * time.Millisecond // How often a wait looks at a clock that may have been set.

	bulkOpenRoots = 64     // Records whose lines are mixed with each other's.
	bulkWindow    = 10_000 // Lines among which a line may be misplaced.
	bulkCountStep = 500    // Lines between two counts that a poll sees.
)

// BulkOperation is a query that is answered in a file.
type BulkOperation struct {
	ID              int64
	Type            string // QUERY.
	Status          string // As in BulkOperationStatus.
	ErrorCode       string // Empty is null.
	Query           string
	CreatedAt       time.Time
	CompletedAt     time.Time // Zero is null.
	ObjectCount     int64
	RootObjectCount int64
	FileSize        int64  // Zero is null.
	URL             string // Empty is null.
	PartialDataURL  string // Empty is null.

	path      string // Of the file.
	signature string // Without it the file is not given out.
	cancel    context.CancelFunc
}

// GID is the operation's global id.
func (b *BulkOperation) GID() string { return gid(typeBulk, b.ID) }

// over tells whether nothing will change any more.
func (b *BulkOperation) over() bool {
	return !slices.Contains([]string{"CREATED", "RUNNING", "CANCELING"}, b.Status)
}

// kept tells whether its file can still be had.
func (b *BulkOperation) kept(now time.Time) bool {
	return now.Before(b.CompletedAt.Add(bulkRetention))
}

// shown is a copy as the API shows it at a time: the addresses of files end
// after seven days.
func (b *BulkOperation) shown(now time.Time) *BulkOperation {
	out := *b
	if b.over() && !b.kept(now) {
		if out.Status == "COMPLETED" && out.URL != "" {
			out.Status = "EXPIRED"
		}
		out.URL, out.PartialDataURL = "", ""
	}
	return &out
}

// bulkOffice is where operations of all shops run.
type bulkOffice struct {
	mu      sync.Mutex
	keep    string // Where files outlive the simulator; empty where they do not.
	dir     string // Of the files; empty while there is none.
	closed  bool
	cancels map[int64]context.CancelFunc
	running sync.WaitGroup
}

// begin lets work run until it ends or the office closes.
func (o *bulkOffice) begin(id int64, work func(ctx context.Context, dir string)) (context.CancelFunc, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, errStopped
	}
	if o.dir == "" {
		dir, err := o.folder()
		if err != nil {
			return nil, fmt.Errorf("make a folder for the files of bulk operations: %w", err)
		}
		o.dir, o.cancels = dir, make(map[int64]context.CancelFunc)
	}
	ctx, cancel := context.WithCancel(context.Background())
	o.cancels[id] = cancel
	dir := o.dir
	o.running.Go(func() {
		work(ctx, dir)
		cancel()
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.cancels, id)
	})
	return cancel, nil
}

func (o *bulkOffice) folder() (string, error) {
	if o.keep == "" {
		return os.MkdirTemp("", "stockroom-sim-bulk-")
	}
	return o.keep, os.MkdirAll(o.keep, 0o700)
}

func (o *bulkOffice) open() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = false
}

// close cancels what runs.
func (o *bulkOffice) close() {
	o.mu.Lock()
	o.closed = true
	for _, cancel := range o.cancels {
		cancel()
	}
	o.mu.Unlock()
	o.running.Wait()
}

// clear removes all files. Nothing runs.
func (o *bulkOffice) clear() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	dir := cmp.Or(o.dir, o.keep)
	o.dir = ""
	if dir == "" {
		return nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the files of bulk operations: %w", err)
	}
	return nil
}

// startBulk begins an operation, or says what is wrong with the query.
func (i *Installation) startBulk(access Access, query string, group bool) (*BulkOperation, []UserError) {
	sim := i.Shop.sim
	run := &bulkRun{schema: schemaOf(access.APIVersion), shop: i.Shop, access: access}
	if refusal := run.prepare(query); refusal != nil {
		return nil, each(refusal, func(message string) UserError {
			return UserError{Field: []string{"query"}, Message: message, Code: "INVALID"}
		})
	}
	b := &BulkOperation{ID: sim.next(), Type: "QUERY", Status: "CREATED", Query: query, CreatedAt: second(access.Now), signature: sim.text(32)}
	// Not by its number: shops that start operations in one instant race for it.
	fate, faults := sim.fate("bulk", i.Shop.Domain, query), sim.Faults()
	work := bulkWork{installation: i, operation: b, run: run, group: group, begun: time.Now(), clock: sim.Now(),
		rng: rand.New(rand.NewPCG(sim.config.Seed, fate.draw("rng"))), faults: faults,
		cut: fate.chancy("cut", faults.BulkCut), mixed: fate.chancy("mixed", faults.BulkReorder), stops: fate.chancy("stops", faults.BulkCancel),
		fails: fate.chancy("fails", faults.BulkFail), stuck: fate.chancy("stuck", faults.BulkStuck)}

	i.mu.Lock()
	defer i.mu.Unlock()
	var running []string
	for _, other := range i.bulk {
		switch {
		case !other.over():
			running = append(running, other.GID())
		case other.path != "" && !other.kept(access.Now):
			if err := os.Remove(other.path); err != nil && !errors.Is(err, os.ErrNotExist) {
				sim.log.Error("remove an expired bulk file", "operation", other.ID, "error", err)
			}
		}
	}
	if len(running) >= maxBulkRunning {
		return nil, []UserError{{Code: "OPERATION_IN_PROGRESS",
			Message: "A bulk query operation for this app and shop is already in progress: " + strings.Join(running, ", ") + "."}}
	}
	cancel, err := sim.bulk.begin(b.ID, work.do)
	if err != nil {
		return nil, []UserError{{Message: err.Error(), Code: "INVALID"}}
	}
	b.cancel = cancel
	i.bulk = append(i.bulk, b)
	return b.shown(access.Now), nil
}

// cancelBulk asks an operation to end. It is canceled a moment later.
func (i *Installation) cancelBulk(access Access, id int64) (*BulkOperation, []UserError) {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := slices.IndexFunc(i.bulk, func(b *BulkOperation) bool { return b.ID == id })
	if at < 0 {
		return nil, []UserError{{Field: []string{"id"}, Message: "Bulk operation does not exist"}}
	}
	b := i.bulk[at]
	if b.over() {
		shown := b.shown(access.Now)
		return shown, []UserError{{Message: "A bulk operation cannot be canceled when it is " + strings.ToLower(shown.Status)}}
	}
	b.Status = "CANCELING"
	b.cancel()
	return b.shown(access.Now), nil
}

// bulkOperation is a copy of the operation of a number, or nil.
func (i *Installation) bulkOperation(id int64) *BulkOperation {
	for _, b := range i.bulkOperations() {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// bulkOperations are copies of all, by number.
func (i *Installation) bulkOperations() []*BulkOperation {
	now := i.Shop.sim.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	return each(i.bulk, func(b *BulkOperation) *BulkOperation { return b.shown(now) })
}

// bulkWork is an operation while it runs, and what will go wrong with it.
type bulkWork struct {
	installation *Installation
	operation    *BulkOperation // Guarded by the installation's mu.
	run          *bulkRun
	group        bool
	begun, clock time.Time // When it was asked for, by the machine's clock and by the simulator's.
	rng          *rand.Rand
	faults       Faults

	cut, mixed, stops, fails, stuck bool
}

// do runs it from CREATED to its end.
func (k *bulkWork) do(ctx context.Context, dir string) {
	sim := k.installation.Shop.sim
	// Drawn here, where nobody else draws.
	share := 0.5 + k.rng.Float64()/2
	whole := time.Duration(share * float64(max(bulkMoment, time.Duration(k.faults.BulkTime))))
	part := 0.2 + 0.6*k.rng.Float64()

	until := func(d time.Duration) bool { return k.wait(ctx, d) }
	if !until(whole / 4) {
		k.end("CANCELED", "")
		return
	}
	k.set(func(b *BulkOperation) {
		if b.Status == "CREATED" {
			b.Status = "RUNNING"
		}
	})
	path := filepath.Join(dir, strconv.FormatInt(k.operation.ID, 10)+".jsonl")
	size, err := k.fill(ctx, path)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		code := graph.CodeInternal
		if refused, ok := errors.AsType[*graph.Error](err); ok && refused.Extensions["code"] == graph.CodeAccessDenied {
			code = graph.CodeAccessDenied
		} else {
			sim.log.Error("run bulk operation", "shop", k.installation.Shop.Domain, "operation", k.operation.ID, "error", err)
		}
		k.fail(code, path, 1)
		return
	case k.stuck:
		if until(bulkLongest) {
			k.fail("TIMEOUT", path, part)
			return
		}
	case k.stops:
		if until(time.Duration(part * float64(whole))) {
			k.set(func(b *BulkOperation) { b.Status = "CANCELING" })
		}
	case until(whole):
		if k.fails {
			k.fail(graph.CodeInternal, path, part)
			return
		}
		if k.cut && size > 0 {
			if err := os.Truncate(path, int64(part*float64(size))); err != nil {
				sim.log.Error("cut bulk file", "error", err)
			}
		}
		k.set(func(b *BulkOperation) {
			if b.FileSize = size; size > 0 {
				b.path, b.URL = path, k.address()
			}
		})
		k.end("COMPLETED", "")
		return
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		sim.log.Error("remove the file of a canceled bulk operation", "error", err)
	}
	k.end("CANCELED", "")
}

// wait returns when d has passed since the operation began, by the
// simulator's clock or by the machine's; false where it was canceled.
func (k *bulkWork) wait(ctx context.Context, d time.Duration) bool {
	sim := k.installation.Shop.sim
	glance := bulkGlance
	for ctx.Err() == nil {
		jump := sim.clock.jump() // Taken before the clock is read, so that none is missed.
		left := min(d-time.Since(k.begun), k.clock.Add(d).Sub(sim.Now()))
		if left <= 0 {
			return true
		}
		if sim.handSet {
			left, glance = min(left, glance), min(2*glance, time.Second)
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-jump:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return false
}

// cancelAll cancels what runs, as the app that asked for it is no longer
// there; mu is held.
func (i *Installation) cancelAll() {
	for _, b := range i.bulk {
		if !b.over() {
			b.Status = "CANCELING"
			b.cancel()
		}
	}
}

func (k *bulkWork) set(change func(*BulkOperation)) {
	k.installation.mu.Lock()
	defer k.installation.mu.Unlock()
	change(k.operation)
}

// address is where the file will be had.
func (k *bulkWork) address() string {
	sim := k.installation.Shop.sim
	return fmt.Sprintf("%s/_sim/bulk/%d.jsonl?Expires=%d&Signature=%s", sim.config.BaseURL, k.operation.ID,
		sim.Now().Add(bulkRetention).Unix(), k.operation.signature)
}

// fail ends it, with the given part of its lines where there are any.
func (k *bulkWork) fail(code, path string, part float64) {
	lines, roots, err := keepLines(path, part)
	if err != nil {
		k.installation.Shop.sim.log.Error("keep part of a bulk file", "error", err)
	}
	k.set(func(b *BulkOperation) {
		if b.ObjectCount, b.RootObjectCount = lines, roots; lines > 0 {
			b.path, b.PartialDataURL = path, k.address()
		}
	})
	k.end("FAILED", code)
}

// end sets the last state and tells of it.
func (k *bulkWork) end(status, code string) {
	i := k.installation
	now := i.Shop.sim.Now()
	var b BulkOperation
	installed := false
	k.set(func(operation *BulkOperation) {
		operation.Status, operation.ErrorCode, operation.CompletedAt = status, code, second(now)
		b, installed = *operation, !i.installedAt.IsZero()
	})
	if !installed {
		return
	}
	i.Shop.tell(i, "bulk_operations/finish", b.GID(), func(sendOptions) map[string]any {
		return map[string]any{
			"admin_graphql_api_id": b.GID(), "status": strings.ToLower(b.Status), "type": "query", "error_code": orNull(strings.ToLower(b.ErrorCode)),
			"created_at": b.CreatedAt.Format(time.RFC3339), "completed_at": b.CompletedAt.Format(time.RFC3339),
		}
	})
}

// fill writes the file, and counts.
func (k *bulkWork) fill(ctx context.Context, path string) (size int64, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, fmt.Errorf("make bulk file: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	out := bufio.NewWriterSize(file, 256<<10)
	put := func(line []byte) error {
		size += int64(len(line))
		_, err := out.Write(line)
		return err
	}
	var order lineOrder = inTurn(put)
	switch {
	case k.mixed:
		order = &anyOrder{put: put, rng: k.rng}
	case !k.group:
		order = &mixedRoots{put: put, rng: k.rng}
	}
	var lines, roots int64
	count := func() {
		k.set(func(b *BulkOperation) { b.ObjectCount, b.RootObjectCount = lines, roots })
	}
	k.run.write = func(root bool, line []byte) error {
		if lines++; root {
			roots++
		}
		if lines%bulkCountStep == 0 {
			count()
		}
		return order.add(root, line)
	}
	err = k.run.answer(ctx)
	// What was read is kept beside an error: it is the partial data.
	err = errors.Join(err, order.rest(), out.Flush())
	count()
	return size, err
}

// lineOrder decides in which order lines are written.
type lineOrder interface {
	add(root bool, line []byte) error
	rest() error // Writes what was held back.
}

// inTurn writes each line at once, children right after their parent.
type inTurn func([]byte) error

func (o inTurn) add(_ bool, line []byte) error { return o(line) }
func (o inTurn) rest() error                   { return nil }

// mixedRoots mixes the lines of several root records. A child comes after its
// parent still, with lines of others between: the guide says so much of it.
type mixedRoots struct {
	put  func([]byte) error
	rng  *rand.Rand
	open [][][]byte // The lines held back, by root; the last is being added to.
}

func (o *mixedRoots) add(root bool, line []byte) error {
	if root || len(o.open) == 0 {
		for len(o.open) >= bulkOpenRoots {
			if err := o.one(); err != nil {
				return err
			}
		}
		o.open = append(o.open, nil)
	}
	last := len(o.open) - 1
	o.open[last] = append(o.open[last], line)
	return nil
}

// one writes the next line of any root.
func (o *mixedRoots) one() error {
	at := o.rng.IntN(len(o.open))
	line := o.open[at][0]
	if o.open[at] = o.open[at][1:]; len(o.open[at]) == 0 {
		o.open = slices.Delete(o.open, at, at+1)
	}
	return o.put(line)
}

func (o *mixedRoots) rest() error {
	for len(o.open) > 0 {
		if err := o.one(); err != nil {
			return err
		}
	}
	return nil
}

// anyOrder misplaces lines at random: children may come before their parents.
type anyOrder struct {
	put  func([]byte) error
	rng  *rand.Rand
	held [][]byte
}

func (o *anyOrder) add(_ bool, line []byte) error {
	if len(o.held) < bulkWindow {
		o.held = append(o.held, line)
		return nil
	}
	at := o.rng.IntN(len(o.held))
	line, o.held[at] = o.held[at], line
	return o.put(line)
}

func (o *anyOrder) rest() error {
	o.rng.Shuffle(len(o.held), func(a, b int) { o.held[a], o.held[b] = o.held[b], o.held[a] })
	for _, line := range o.held {
		if err := o.put(line); err != nil {
			return err
		}
	}
	return nil
}

// keepLines cuts a file after about the given part of it, at the end of a
// line, and counts what is left.
func keepLines(path string, part float64) (lines, roots int64, err error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return 0, 0, err
	}
	limit, kept := int64(part*float64(info.Size())), int64(0)
	for reader := bufio.NewReader(file); ; {
		line, err := reader.ReadBytes('\n')
		if err != nil || kept+int64(len(line)) > limit {
			break
		}
		kept += int64(len(line))
		// Inside a string the quotes would be escaped.
		if lines++; !bytes.Contains(line, []byte(`"__parentId":`)) {
			roots++
		}
	}
	return lines, roots, file.Truncate(kept)
}

// serveBulk gives out the file of an operation, as the storage does that
// Shopify's addresses lead to: to whoever has the whole address, for seven days.
func (s *Simulator) serveBulk(w http.ResponseWriter, r *http.Request, name string) {
	b := s.bulkByName(name)
	query := r.URL.Query()
	switch {
	case b == nil || b.path == "":
		http.Error(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>", http.StatusNotFound)
		return
	case subtle.ConstantTimeCompare([]byte(query.Get("Signature")), []byte(b.signature)) != 1:
		http.Error(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>SignatureDoesNotMatch</Code><Message>Access denied.</Message></Error>", http.StatusForbidden)
		return
	case !b.kept(s.Now()):
		http.Error(w, "<?xml version='1.0' encoding='UTF-8'?><Error><Code>ExpiredToken</Code><Message>Invalid argument.</Message></Error>", http.StatusBadRequest)
		return
	}
	file, err := os.Open(b.path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	if _, err := io.Copy(w, file); err != nil {
		s.log.Info("send bulk file", "operation", b.ID, "error", err) // The caller may be gone.
	}
}

// bulkByName finds the operation of a file's name.
func (s *Simulator) bulkByName(name string) *BulkOperation {
	id, err := strconv.ParseInt(strings.TrimSuffix(name, ".jsonl"), 10, 64)
	if err != nil {
		return nil
	}
	for _, shop := range s.Shops() {
		shop.installMu.Lock()
		installations := make([]*Installation, 0, len(shop.installations))
		for _, i := range shop.installations {
			installations = append(installations, i)
		}
		shop.installMu.Unlock()
		for _, i := range installations {
			i.mu.Lock()
			at := slices.IndexFunc(i.bulk, func(b *BulkOperation) bool { return b.ID == id })
			if at >= 0 {
				found := *i.bulk[at]
				i.mu.Unlock()
				return &found
			}
			i.mu.Unlock()
		}
	}
	return nil
}
