package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"stockroom/internal/loop"
	"stockroom/internal/mirror"
	"stockroom/internal/shopify"
	"stockroom/internal/store"
)

// EraserConfig is what an Eraser works with.
type EraserConfig struct {
	Store *store.Store

	// Installed asks a shop whether the app is still installed there. An error
	// says that nobody can tell now. Default: no shop is.
	Installed func(context.Context, store.Shop) (bool, error)
	// Open gives a stored delivery in the clear. Default: none can be opened.
	Open func(context.Context, store.Delivery) (store.Delivery, error)
	// DropJobs takes the jobs of a shop's runs and tasks from the job engine, and
	// says how many. Default: there is no engine.
	DropJobs func(ctx context.Context, tx *store.Tx, shop int64) (int64, error)
	// Begun is told that a shop is out of sight, and Owed that reads were asked for.
	Begun func(shop int64)
	Owed  func()

	// Idle is how long the loop sleeps when nobody wakes it. Default: a second.
	Idle time.Duration
	Now  func() time.Time
	Log  *slog.Logger
}

// Eraser carries out what erasure receipts ask for. It can be killed at any
// moment and goes on where it was: each part is a transaction that notes itself
// in the receipt.
type Eraser struct {
	EraserConfig
	loop *loop.Loop
	turn loop.Turns[string] // One at a time, in all of this process.
}

const (
	// eraseBatch bounds the rows that go in one transaction, so that no other
	// shop's webhooks wait for a large shop's end.
	eraseBatch = 2000

	eraseIdle = time.Second
	// eraseRetry is the pause while a request has to wait: for a reader of an old
	// state of the database, or for a shop that does not answer.
	eraseRetry = 10 * time.Second

	// openBodies bounds the stored webhooks that are opened at a time.
	openBodies      = 500
	openBodiesBytes = 8 << 20
)

// NewEraser makes an Eraser; Start sets it going.
func NewEraser(config EraserConfig) *Eraser {
	if config.Idle == 0 {
		config.Idle = eraseIdle
	}
	if config.Installed == nil {
		config.Installed = func(context.Context, store.Shop) (bool, error) { return false, nil }
	}
	if config.Open == nil {
		config.Open = func(_ context.Context, d store.Delivery) (store.Delivery, error) { return d, ErrSealed }
	}
	if config.DropJobs == nil {
		config.DropJobs = func(context.Context, *store.Tx, int64) (int64, error) { return 0, nil }
	}
	if config.Begun == nil {
		config.Begun = func(int64) {}
	}
	if config.Owed == nil {
		config.Owed = func() {}
	}
	e := &Eraser{EraserConfig: config}
	e.loop = loop.New(func(ctx context.Context) time.Duration {
		waiting, err := e.RunOnce(ctx)
		if err != nil && ctx.Err() == nil {
			e.Log.Error("an erasure could not be carried on, trying again", "error", err)
		}
		if waiting > 0 || err != nil {
			return min(eraseRetry, max(e.Idle, eraseIdle))
		}
		return e.Idle
	})
	return e
}

// Eraser makes the Eraser that goes with this connector: it asks shops, opens
// bodies and forgets keys by it.
func (c *Connector) Eraser(config EraserConfig) *Eraser {
	config.Store, config.Installed, config.Open, config.Now, config.Log = c.Store, c.Installed, c.OpenBody, c.Now, c.Log
	config.Begun = func(shop int64) {
		c.forgetSealer(shop)
		c.keysChanged()
	}
	return NewEraser(config)
}

// Wake tells that something is asked for. It never blocks.
func (e *Eraser) Wake() { e.loop.Wake() }

// Start carries requests out in the background until Stop.
func (e *Eraser) Start(ctx context.Context) { e.loop.Start(ctx) }

// Stop ends the loop after the part it is at.
func (e *Eraser) Stop() { e.loop.Stop() }

// RunOnce carries out all that is asked for, oldest first, and says how many
// requests have to wait. One that fails holds up no other.
func (e *Eraser) RunOnce(ctx context.Context) (waiting int, err error) {
	done, err := e.turn.Take(ctx, "")
	if err != nil {
		return 0, err
	}
	defer done()
	var open []store.ErasureReceipt
	err = e.Store.View(ctx, func(tx *store.Tx) (err error) {
		open, err = tx.OpenErasures()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("list erasures: %w", err)
	}
	var errs []error
	for _, receipt := range open {
		over, err := e.carryOut(ctx, receipt)
		if err != nil {
			errs = append(errs, fmt.Errorf("carry out %s of shop %s: %w", receipt.Topic, receipt.Shop, err))
		}
		if !over {
			waiting++
		}
	}
	return waiting, errors.Join(errs...)
}

// Remove erases a shop by the operator's word, to the end. Where a reader of an
// old state is in the way, the last part is left to whoever runs next, and over is false.
func (e *Eraser) Remove(ctx context.Context, domain string) (receipt store.ErasureReceipt, over bool, err error) {
	err = e.Store.Update(ctx, func(tx *store.Tx) error {
		shop, err := tx.ShopByDomain(domain)
		if err != nil {
			return err
		}
		now := mirror.At(e.Now())
		receipt, err = tx.AddErasure(store.ErasureReceipt{Shop: domain, Topic: store.TopicRemoved, State: store.ErasureAsked, Erasing: shop.ID, TrueAt: now, AskedAt: now})
		return err
	})
	if err != nil {
		return receipt, false, fmt.Errorf("remove shop %s: %w", domain, err)
	}
	if _, err := e.RunOnce(ctx); err != nil {
		return receipt, false, err
	}
	err = e.Store.View(ctx, func(tx *store.Tx) error {
		all, err := tx.OpenErasures()
		over = !slices.ContainsFunc(all, func(r store.ErasureReceipt) bool { return r.ID == receipt.ID })
		return err
	})
	return receipt, over, err
}

// carryOut goes as far as it can, and reports whether the request is over.
func (e *Eraser) carryOut(ctx context.Context, r store.ErasureReceipt) (over bool, err error) {
	for r.State != store.ErasureDone {
		before := r
		switch {
		case r.State == store.ErasureScrubbing:
			err = e.scrub(ctx, &r)
		case len(r.Subjects.Pages) > 0:
			err = e.erasePages(ctx, &r)
		case r.State == store.ErasureErasing:
			err = e.eraseShop(ctx, &r)
		case r.Topic == "customers/redact":
			err = e.redactCustomer(ctx, &r)
		case r.Topic == "customers/data_request":
			err = e.tellOfCustomer(ctx, &r)
		default:
			err = e.begin(ctx, &r)
		}
		if err != nil {
			return false, err
		}
		if r.State == before.State && r.State != store.ErasureErasing {
			return false, nil // It has to wait.
		}
	}
	e.Log.Warn("privacy request was carried out: see its receipt", "shop", r.Shop, "topic", r.Topic, "webhook_id", r.WebhookID, "receipt", r.ID)
	return true, nil
}

// shopOf finds the shop of a request; found is false where it has gone already.
func (e *Eraser) shopOf(ctx context.Context, r store.ErasureReceipt) (shop store.Shop, found bool, err error) {
	err = e.Store.View(ctx, func(tx *store.Tx) (err error) {
		shop, err = tx.ShopByID(r.Erasing)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return shop, false, nil
	}
	return shop, err == nil, err
}

// end writes that a request is over, in the transaction that ended it.
func (e *Eraser) end(tx *store.Tx, r *store.ErasureReceipt, note string) error {
	r.State, r.DoneAt, r.Note = store.ErasureDone, mirror.At(e.Now()), note
	return tx.SaveErasure(*r)
}

func (e *Eraser) endNow(ctx context.Context, r *store.ErasureReceipt, note string) error {
	return e.Store.Update(ctx, func(tx *store.Tx) error { return e.end(tx, r, note) })
}

// begin takes a shop out of sight, unless it has connected again.
//
// Shopify sends no shop/redact to an app that was installed again. One that was
// triggered before the present installation is late. One that comes later and
// finds the shop connected says that its uninstallation was never heard, or was
// sent on by somebody who kept an older one: the body is signed, the time is
// not. So the shop is asked, and only where its tokens are dead is it believed.
func (e *Eraser) begin(ctx context.Context, r *store.ErasureReceipt) error {
	shop, found, err := e.shopOf(ctx, *r)
	if err != nil {
		return err
	}
	if !found {
		return e.endNow(ctx, r, "nothing is held of the shop any more")
	}
	if r.Topic != store.TopicRemoved && shop.State != store.ShopErasing {
		again := shop.State != store.ShopUninstalled && r.TrueAt < shop.InstalledAt
		if !again && shop.State == store.ShopConnected {
			if again, err = e.Installed(ctx, shop); err != nil {
				return fmt.Errorf("it cannot be told whether the app is installed: %w", err)
			}
		}
		if again {
			return e.endNow(ctx, r, "the shop has connected again since: nothing was erased")
		}
	}
	gone := false
	err = e.Store.Update(ctx, func(tx *store.Tx) error {
		now, err := tx.ShopByID(shop.ID)
		if gone = errors.Is(err, store.ErrNotFound); gone {
			return nil
		}
		if err != nil {
			return err
		}
		if now.InstalledAt != shop.InstalledAt {
			return errors.New("the shop connected meanwhile")
		}
		if now.State != store.ShopErasing { // By another request.
			if err := tx.EndWork(now.ID, "the shop's data is being erased", mirror.At(e.Now())); err != nil {
				return err
			}
			if err := tx.BeginErasure(now); err != nil {
				return err
			}
		}
		r.State = store.ErasureErasing
		return tx.SaveErasure(*r)
	})
	if err != nil || gone {
		return err
	}
	e.Begun(shop.ID)
	return nil
}

// eraseShop takes out the next rows, or finds that there are none. The receipt is
// read anew each time: a command may be at the same beside the service.
func (e *Eraser) eraseShop(ctx context.Context, r *store.ErasureReceipt) error {
	var now store.ErasureReceipt
	err := e.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if now, err = tx.ErasureByID(r.ID); err != nil || now.State != store.ErasureErasing {
			return err
		}
		jobs, err := e.DropJobs(ctx, tx, now.Erasing) // Found by the runs and tasks, so before them.
		if err != nil {
			return err
		}
		erased, err := tx.EraseSome(now.Erasing, eraseBatch)
		if err != nil {
			return err
		}
		if jobs > 0 {
			erased["river_job"] = jobs
		}
		for table, n := range erased {
			now.Rows[table] += n
		}
		if len(erased) == 0 {
			if now.Remaining, err = tx.EndErasure(now.Erasing); err != nil {
				return err
			}
			if now.Remaining == 0 {
				now.State = store.ErasureScrubbing
			}
		}
		return tx.SaveErasure(now)
	})
	if err == nil {
		*r = now
	}
	return err
}

// scrub removes older copies of what was erased from the files.
func (e *Eraser) scrub(ctx context.Context, r *store.ErasureReceipt) error {
	clean, err := e.Store.Scrub(ctx)
	if err != nil || !clean {
		return err
	}
	note := "all that was held of the shop is erased; a second look found none of it"
	if r.Topic == "customers/redact" {
		note = fmt.Sprintf("what %d orders may say of the customer is erased; a second look found none of it", len(r.Subjects.Orders))
	}
	if len(r.Subjects.Pages) > 0 {
		note = fmt.Sprintf("all that was held of %d Facebook Pages is erased; a second look found none of it", len(r.Subjects.Pages))
	}
	return e.endNow(ctx, r, note)
}

// naming finds the stored webhooks of customers' topics that name one of these
// orders, and those that cannot be opened to see.
func (e *Eraser) naming(ctx context.Context, shop int64, orders []mirror.GID, upTo int64) (named []int64, err error) {
	filter := store.DeliveryFilter{Shop: shop, States: []string{store.DeliveryNew, store.DeliveryDone, store.DeliveryQuarantined}, UpTo: upTo}
	for {
		var all []store.Delivery
		err := e.Store.View(ctx, func(tx *store.Tx) (err error) {
			all, err = tx.Deliveries(filter, openBodies, openBodiesBytes)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, d := range all {
			filter.After = d.Seq
			topic, known := shopify.TopicNamed(d.Topic)
			if !known || topic.Class != shopify.ClassData || !topic.Protected || string(d.Body) == store.ErasedBody {
				continue
			}
			opened, err := e.Open(ctx, d)
			if errors.Is(err, ErrSealed) {
				named = append(named, d.Seq) // Nobody will ever read it.
				continue
			}
			if err != nil {
				return nil, err
			}
			said := shopify.Delivery{Topic: d.Topic, Body: opened.Body, TriggeredAt: d.TriggeredAt, ReceivedAt: d.ReceivedAt}
			if slices.ContainsFunc(shopify.Named(said), func(id mirror.GID) bool { return slices.Contains(orders, id) }) {
				named = append(named, d.Seq)
			}
		}
		if len(all) == 0 {
			return named, nil
		}
	}
}

// redactCustomer erases what is held of a customer's orders beyond their goods.
// A shop that is connected is asked for them once more: what they still say was
// redacted at Shopify.
func (e *Eraser) redactCustomer(ctx context.Context, r *store.ErasureReceipt) error {
	shop, found, err := e.shopOf(ctx, *r)
	if err != nil {
		return err
	}
	if !found || shop.State == store.ShopErasing {
		return e.endNow(ctx, r, "nothing is held of the shop any more")
	}
	var last int64
	err = e.Store.View(ctx, func(tx *store.Tx) (err error) {
		last, err = tx.LastDelivery()
		return err
	})
	if err != nil {
		return err
	}
	named, err := e.naming(ctx, shop.ID, r.Subjects.Orders, last)
	if err != nil {
		return err
	}
	now := mirror.At(e.Now())
	next := *r
	err = e.Store.Update(ctx, func(tx *store.Tx) error {
		next = *r
		rows, err := tx.RedactOrders(shop.ID, r.Subjects.Orders)
		if err != nil {
			return err
		}
		bodies, err := tx.EraseBodies(named, now)
		if err != nil {
			return err
		}
		if bodies > 0 {
			rows["inbox"] = bodies
		}
		if shop.State == store.ShopConnected {
			demands := make([]mirror.Demand, 0, len(r.Subjects.Orders))
			for _, id := range r.Subjects.Orders {
				demands = append(demands, mirror.Demand{Read: mirror.ReadOrder, ID: id, AsOf: r.TrueAt})
			}
			if err := tx.AddDemands(shop.ID, demands, now); err != nil {
				return err
			}
		}
		next.Rows = rows
		return tx.SaveErasure(next)
	})
	if err != nil {
		return err
	}
	// The second look: what it finds came in between, and is taken out in turn.
	left, err := e.naming(ctx, shop.ID, r.Subjects.Orders, last)
	if err != nil {
		return err
	}
	if next.Remaining = int64(len(left)); next.Remaining == 0 {
		next.State = store.ErasureScrubbing
	}
	if err := e.Store.Update(ctx, func(tx *store.Tx) error { return tx.SaveErasure(next) }); err != nil {
		return err
	}
	*r = next
	e.Owed()
	return nil
}

// tellOfCustomer counts what is held of a customer's orders, for whoever answers the shop's owner.
func (e *Eraser) tellOfCustomer(ctx context.Context, r *store.ErasureReceipt) error {
	shop, found, err := e.shopOf(ctx, *r)
	if err != nil {
		return err
	}
	if !found || shop.State == store.ShopErasing {
		return e.endNow(ctx, r, "nothing is held of the shop any more")
	}
	named, err := e.naming(ctx, shop.ID, r.Subjects.Orders, 0)
	if err != nil {
		return err
	}
	return e.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if r.Rows, err = tx.HeldOfOrders(shop.ID, r.Subjects.Orders); err != nil {
			return err
		}
		if len(named) > 0 {
			r.Rows["inbox"] = int64(len(named))
		}
		return e.end(tx, r, fmt.Sprintf("the customer asks for their data: what is held is that of %d orders; the shop's owner is to be answered within 30 days", len(r.Subjects.Orders)))
	})
}
