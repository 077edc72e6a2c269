package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"stockroom/internal/mirror"
	"stockroom/internal/store"
)

const (
	requestQueue   = "requests"
	requestWorkers = 2
	// requestAttempts is how often a request is taken up that a process did not
	// bring to its end. One that fails is ended with its error at once.
	requestAttempts = 3
)

// Request stores what a command asks for and hands it in, in one transaction.
func (j *Jobs) Request(ctx context.Context, shop int64, kind string, arguments any) (store.Request, error) {
	encoded, err := json.Marshal(arguments)
	if err != nil {
		return store.Request{}, fmt.Errorf("request %s: %w", kind, err)
	}
	request := store.Request{ShopID: shop, Kind: kind, Arguments: encoded, MadeAt: mirror.At(j.Now())}
	err = j.Store.Update(ctx, func(tx *store.Tx) (err error) {
		if request, err = tx.AddRequest(request); err != nil {
			return err
		}
		_, err = j.client.InsertTx(ctx, tx.SQL(), requestArgs{request.ID}, nil)
		return err
	})
	if err != nil {
		return request, fmt.Errorf("request %s: %w", kind, err)
	}
	return request, nil
}

// CarryOut does what a request asks for and stores what became of it. The error
// says that it did not come to its end and may be tried again.
func (j *Jobs) CarryOut(ctx context.Context, id int64) (store.Request, error) {
	var request store.Request
	err := j.Store.View(ctx, func(tx *store.Tx) (err error) {
		request, err = tx.RequestByID(id)
		return err
	})
	if err != nil || request.EndedAt != 0 {
		return request, err
	}
	var result any
	do, known := j.Requests[request.Kind]
	if known {
		result, err = do(ctx, request)
	} else {
		err = fmt.Errorf("this program does not know the request %q", request.Kind)
	}
	if ctx.Err() != nil {
		return request, ctx.Err()
	}
	if err != nil {
		request.Error = err.Error()
	}
	if request.Result, err = json.Marshal(result); err != nil {
		return request, fmt.Errorf("result of request %d: %w", id, err)
	}
	request.EndedAt = mirror.At(j.Now())
	return request, j.Store.Update(ctx, func(tx *store.Tx) error { return tx.EndRequest(request) })
}

// requestArgs names a request to carry out.
type requestArgs struct {
	RequestID int64 `json:"request_id"`
}

func (requestArgs) Kind() string { return "request" }

// InsertOpts implements river.JobArgsWithInsertOpts.
func (requestArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: requestQueue, MaxAttempts: requestAttempts}
}

type requestWorker struct {
	river.WorkerDefaults[requestArgs]
	jobs *Jobs
}

// Timeout lets a request take as long as there is to do.
func (*requestWorker) Timeout(*river.Job[requestArgs]) time.Duration { return -1 }

func (w *requestWorker) Work(ctx context.Context, job *river.Job[requestArgs]) error {
	_, err := w.jobs.CarryOut(ctx, job.Args.RequestID)
	if errors.Is(err, store.ErrNotFound) {
		return river.JobCancel(err) // The shop was erased meanwhile.
	}
	return err
}
