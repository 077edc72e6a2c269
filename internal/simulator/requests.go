package simulator

import (
	"bufio"
	"net"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"stockroom/internal/simulator/graph"
	"stockroom/internal/simulator/meta"
)

const (
	maxRequests    = 1000 // Remembered.
	maxRequestText = 200  // Characters of a path or a name.
)

// Request is a request to one of Shopify's or Meta's addresses, as it was answered. It
// holds no header, no query of the address and no body: tokens and codes are there.
type Request struct {
	At        time.Time `json:"at"`
	ID        string    `json:"id"`             // As in X-Request-Id.
	Shop      string    `json:"shop,omitempty"` // Empty where there is none of that name.
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Operation string    `json:"operation,omitempty"` // Of GraphQL, where it has a name.
	// Cost is in points, of GraphQL requests that were admitted or throttled.
	// Actual is null where nothing was executed.
	Cost      *RequestCost `json:"cost,omitempty"`
	Status    int          `json:"status"` // Zero where the connection was reset, or the caller was gone.
	Throttled bool         `json:"throttled"`
	Errors    []string     `json:"errors,omitempty"` // Codes of the GraphQL errors in the answer; of Meta's code and subcode, like 190/460.

	// Of requests to Meta.
	Host       string   `json:"host,omitempty"` // Empty for Shopify's.
	Page       string   `json:"page,omitempty"`
	Parameters []string `json:"parameters,omitempty"` // Their names alone.
}

// RequestCost is what a request cost of the app's budget.
type RequestCost struct {
	Requested int  `json:"requested"`
	Actual    *int `json:"actual"`
}

// requestLog remembers the latest requests.
type requestLog struct {
	mu   sync.Mutex
	list []Request // The oldest first.
}

func (l *requestLog) add(r Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) >= 2*maxRequests { // Moved now and then, not each time.
		l.list = append(l.list[:0], l.list[maxRequests:]...)
	}
	l.list = append(l.list, r)
}

func (l *requestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// Requests are the latest requests to Shopify's addresses, so many at most and
// never more than a thousand, the oldest first.
func (s *Simulator) Requests(limit int) []Request {
	l := &s.requestLog
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list[max(0, len(l.list)-max(0, min(limit, maxRequests))):])
}

// observed notes an answer's status beside what the handlers note of a request.
// It is in the log before the caller has the answer, who may look there next.
type observed struct {
	http.ResponseWriter
	log     *requestLog
	request Request
	logged  bool
}

// answered logs the request, once.
func (o *observed) answered(status int) {
	if !o.logged {
		o.logged, o.request.Status = true, status
		o.log.add(o.request)
	}
}

// WriteHeader implements http.ResponseWriter.
func (o *observed) WriteHeader(status int) {
	o.answered(status)
	o.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (o *observed) Write(body []byte) (int, error) {
	o.answered(http.StatusOK)
	return o.ResponseWriter.Write(body)
}

// Hijack implements http.Hijacker. Connections are taken over to be reset.
func (o *observed) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	o.answered(0)
	return http.NewResponseController(o.ResponseWriter).Hijack()
}

// secretText is what tokens look like: somebody may put one where it does not belong.
var secretText = regexp.MustCompile(`(?i)shp[a-z]{2}_[0-9a-z]+|\bEAA[0-9A-Za-z]{20,}`)

// shorten makes a text of a caller's fit to be remembered.
func shorten(text string) string {
	if short := []rune(text); len(short) > maxRequestText {
		text = string(short[:maxRequestText]) + "…"
	}
	return secretText.ReplaceAllString(text, "(token)")
}

// NoteCall remembers of a call to Meta what may be known of it.
func (o *observed) NoteCall(note meta.Note) {
	o.request.ID, o.request.Operation, o.request.Page = note.Trace, note.Call, note.Page
	o.request.Host, o.request.Errors = meta.GraphHost, note.Errors
	for _, name := range note.Parameters {
		o.request.Parameters = append(o.request.Parameters, shorten(name))
	}
}

// operationName is the name that a query gives its operation, where it has one alone.
var operationName = regexp.MustCompile(`^(?:\s|#[^\n]*\n)*(?:query|mutation)\s+([_A-Za-z]\w*)`)

// noteAnswer remembers of a GraphQL request what its answer says.
func noteAnswer(w http.ResponseWriter, request graph.Request, response graph.Response) {
	o, ok := w.(*observed)
	if !ok {
		return
	}
	name := request.OperationName
	if found := operationName.FindStringSubmatch(request.Query); name == "" && found != nil {
		name = found[1]
	}
	o.request.Operation = shorten(name)
	if response.Extensions != nil && response.Extensions.Cost != nil {
		o.request.Cost = &RequestCost{response.Extensions.Cost.Requested, response.Extensions.Cost.Actual}
	}
	for _, problem := range response.Errors {
		code, _ := problem.Extensions["code"].(string)
		o.request.Errors = append(o.request.Errors, code)
		o.request.Throttled = o.request.Throttled || code == graph.CodeThrottled
	}
	o.request.Errors = sortedSet(o.request.Errors)
}
