package shopify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify/admin"
)

// Bulk is a list's form as a bulk operation: Shopify answers its query in a file
// of one object a line, and lines come in any order (Shopify's page 'Perform bulk
// operations with the GraphQL Admin API', 2026-11-24).
type Bulk struct {
	Query string
	Root  mirror.Kind // What the lines without a parent are.

	// Count counts the roots, for what the file is held against.
	Count func(ctx context.Context, c *Client) (Count, error)

	// PageCost is the requested cost of one page of the list, PageRows how many
	// roots it holds: what reading it by pages would take.
	PageCost, PageRows int64

	// line observes what a line carries itself, and stages what is whole only
	// together with other lines. gather observes an owner with all its children.
	line   func(k *collector, line BulkLine) error
	gather func(k *collector, g Gathered) error
}

// PagesCost estimates the points that reading n roots by pages takes.
func (b *Bulk) PagesCost(n int64) int64 {
	return (n + b.PageRows - 1) / b.PageRows * b.PageCost
}

// Count is how many objects there are.
type Count struct {
	N     int64
	Exact bool // Otherwise there are so many at least.
}

func countOf(c *admin.CountFields) Count {
	if c == nil {
		return Count{}
	}
	return Count{c.Count, c.Precision == "EXACT"}
}

// BulkLine is one line of a file.
type BulkLine struct {
	ID     mirror.GID
	Parent mirror.GID // Empty for a root.
	text   []byte
}

func (l BulkLine) decode(into any) error {
	if err := json.Unmarshal(l.text, into); err != nil {
		return fmt.Errorf("decode the line of %s: %w", l.ID, err)
	}
	return nil
}

func (l BulkLine) unexpected() error {
	return fmt.Errorf("a line holds %q, which was not asked for", l.ID)
}

// Staged is what a line contributes to a record that is whole only together
// with other lines.
type Staged struct {
	Owner mirror.GID // The root or parent that the record belongs to.
	Child mirror.GID // Empty for the owner itself.
	Data  []byte     // JSON; nil for nothing but the id.
}

func (s Staged) decode(into any) error {
	if err := json.Unmarshal(s.Data, into); err != nil {
		return fmt.Errorf("decode what was staged of %s %s: %w", s.Owner, s.Child, err)
	}
	return nil
}

// stage keeps a line for later, with what is needed of it.
func (k *collector) stage(line BulkLine, data any) {
	staged := Staged{Owner: line.ID}
	if line.Parent != "" {
		staged = Staged{Owner: line.Parent, Child: line.ID}
	}
	if data != nil {
		staged.Data, _ = json.Marshal(data) // Was JSON just now.
	}
	k.staged = append(k.staged, staged)
}

// Gathered is an owner with all of its children, by id.
type Gathered struct {
	Owner    mirror.GID
	Data     []byte
	Children []Staged
}

func (g Gathered) decode(into any) error { return Staged{Owner: g.Owner, Data: g.Data}.decode(into) }

// ids are the children that are of one type.
func (g Gathered) ids(object string) []mirror.GID {
	var ids []mirror.GID
	for _, child := range g.Children {
		if child.Child.Object() == object {
			ids = append(ids, child.Child)
		}
	}
	return ids
}

// Read takes lines in any order: what they observe by themselves, and what is to
// be staged until the whole file is believed.
func (b *Bulk) Read(asOf mirror.Instant, lines []BulkLine) ([]mirror.Observation, []Staged, error) {
	k := &collector{at: asOf, source: mirror.FromBulk}
	for _, line := range lines {
		if err := b.line(k, line); err != nil {
			return nil, nil, err
		}
	}
	return k.out, k.staged, nil
}

// Gather observes what owners and their children are together.
func (b *Bulk) Gather(asOf mirror.Instant, all []Gathered) ([]mirror.Observation, error) {
	k := &collector{at: asOf, source: mirror.FromBulk}
	for _, g := range all {
		if err := b.gather(k, g); err != nil {
			return nil, err
		}
	}
	return k.out, nil
}

// BulkOperation is where a bulk operation stands.
type BulkOperation struct {
	ID        mirror.GID
	Status    string // As BulkOperationStatus of API version 2026-10.
	ErrorCode string

	// AsOf is the earliest that what the file holds can have been read: the
	// operation's creation, which Shopify gives in whole seconds, or the
	// sending of what created it. Only from StartBulk.
	AsOf mirror.Instant

	Objects, Roots int64 // So far: lines, and lines without a parent.
	Size           int64 // Bytes of the file; zero until it is there.
	Partial        bool  // It failed, and a part of its data can be had.

	// address has its own signature: whoever knows it has the file.
	address secret.Secret
}

// Over reports whether nothing will change any more.
func (o BulkOperation) Over() bool {
	return o.Status != "CREATED" && o.Status != "RUNNING" && o.Status != "CANCELING"
}

// HasFile reports whether there is a file to read. An operation that found
// nothing has none, nor has one that ended more than seven days ago.
func (o BulkOperation) HasFile() bool { return !o.address.Empty() }

// ErrBulkBusy says that the app has as many bulk operations at the shop as may
// run at a time: five queries since API version 2026-01.
var ErrBulkBusy = errors.New("as many bulk operations as may run at a time are running already")

// StartBulk starts a bulk operation. When its answer is lost on the way another
// is started: the first runs to its end unseen.
func (c *Client) StartBulk(ctx context.Context, query string) (BulkOperation, error) {
	q := c.query()
	sent := c.cfg.Clock.Now()
	data, err := admin.StartBulk(ctx, q, query)
	if err != nil {
		return BulkOperation{}, err
	}
	if data.BulkOperationRunQuery == nil {
		return BulkOperation{}, &Error{Class: ClassInvalid, Shop: c.cfg.Shop, Operation: "StartBulk", Message: "the answer holds no result"}
	}
	result := data.BulkOperationRunQuery
	if len(result.UserErrors) > 0 {
		problem := result.UserErrors[0]
		failure := &Error{Class: ClassInvalid, Shop: c.cfg.Shop, Operation: "StartBulk", Message: cut(problem.Message)}
		if problem.Code != nil {
			failure.Code = *problem.Code
		}
		if problem.Field != nil {
			failure.Path = strings.Join(problem.Field, ".")
		}
		if failure.Code == "OPERATION_IN_PROGRESS" || failure.Code == "LIMIT_REACHED" {
			failure.Class, failure.Err = ClassRetry, ErrBulkBusy
		}
		return BulkOperation{}, failure
	}
	if result.BulkOperation == nil {
		return BulkOperation{}, &Error{Class: ClassInvalid, Shop: c.cfg.Shop, Operation: "StartBulk", Message: "neither an operation nor an error came back"}
	}
	operation, err := bulkOperation(*result.BulkOperation)
	operation.AsOf = max(mirror.At(result.BulkOperation.CreatedAt.Time), sent)
	return operation, err
}

// BulkOperation asks where an operation stands. It costs a point.
func (c *Client) BulkOperation(ctx context.Context, id mirror.GID) (BulkOperation, error) {
	data, err := admin.ReadBulk(ctx, c.query(), id)
	if err != nil {
		return BulkOperation{}, err
	}
	if data.BulkOperation == nil {
		return BulkOperation{}, &Error{Class: ClassInvalid, Shop: c.cfg.Shop, Operation: "ReadBulk", Message: fmt.Sprintf("there is no operation %s", id)}
	}
	return bulkOperation(*data.BulkOperation)
}

// CancelBulk asks Shopify to end an operation, which takes a moment. One that is
// over already is no error.
func (c *Client) CancelBulk(ctx context.Context, id mirror.GID) error {
	data, err := admin.CancelBulk(ctx, c.query(), id)
	if err != nil {
		return err
	}
	result := data.BulkOperationCancel
	if result == nil || len(result.UserErrors) == 0 {
		return nil
	}
	if result.BulkOperation != nil {
		if operation, err := bulkOperation(*result.BulkOperation); err == nil && operation.Over() {
			return nil
		}
	}
	return &Error{Class: ClassInvalid, Shop: c.cfg.Shop, Operation: "CancelBulk", Message: cut(result.UserErrors[0].Message)}
}

func bulkOperation(f admin.BulkFields) (BulkOperation, error) {
	o := BulkOperation{ID: f.Id, Status: f.Status, Partial: f.PartialDataUrl != nil}
	if f.ErrorCode != nil {
		o.ErrorCode = *f.ErrorCode
	}
	if f.Url != nil && *f.Url != "" {
		o.address = secret.New(*f.Url)
	}
	var err error
	number := func(name string, d mirror.Decimal) (n int64) {
		if n, err2 := strconv.ParseInt(string(d), 10, 64); err2 == nil {
			return n
		}
		err = fmt.Errorf("bulk operation %s: its %s %q is no whole number", f.Id, name, d)
		return n
	}
	o.Objects = number("objectCount", f.ObjectCount)
	o.Roots = number("rootObjectCount", f.RootObjectCount)
	if f.FileSize != nil {
		o.Size = number("fileSize", *f.FileSize)
	}
	return o, err
}

// Failure is why an operation that is over has no whole answer; nil for one that
// has. What a failed one read until then, its partial data, is not asked for: a
// list that may lack anything proves nothing, and pages read it again anyway.
func (o BulkOperation) Failure(shop string) error {
	failure := &Error{Class: ClassRetry, Shop: shop, Operation: "bulk operation " + o.ID.Number(), Code: o.ErrorCode}
	switch o.Status {
	case "COMPLETED":
		if o.HasFile() || o.Objects == 0 {
			return nil
		}
		failure.Message = fmt.Sprintf("it counts %d objects, and there is no file", o.Objects)
	case "CANCELED":
		failure.Message = "Shopify canceled it"
	case "EXPIRED":
		failure.Message = "its file is no longer kept"
	case "FAILED":
		if failure.Message = "it failed"; o.Partial {
			failure.Message = fmt.Sprintf("it failed after %d objects", o.Objects)
		}
		if o.ErrorCode == "ACCESS_DENIED" {
			failure.Class = ClassDenied
		}
	default:
		failure.Message = fmt.Sprintf("it ended with the unknown status %.40q", o.Status)
	}
	return failure
}
