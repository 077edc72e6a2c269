package shopify

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/Khan/genqlient/graphql"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
	"stockroom/internal/shopify/admin"
)

// Version is the Admin API version that everything here is written for.
const Version = admin.Version

const (
	// maxAttempts bounds the sendings of one call; with the waits below they
	// span about a minute, longer than Shopify's passing troubles.
	maxAttempts  = 8
	firstBackoff = time.Second
	maxBackoff   = 30 * time.Second

	// maxRetryAfter is the longest wait that is done inside a call. What asks
	// for more is the caller's to plan.
	maxRetryAfter = time.Minute

	// requestTimeout is longer than the 10 s after which Shopify gives up.
	requestTimeout = 30 * time.Second

	// maxAnswer bounds what is read of an answer: the largest page of ours is a
	// few megabytes.
	maxAnswer = 64 << 20
)

// Config says how to reach one shop.
type Config struct {
	Shop    string // The full myshopify domain.
	BaseURL string // Where the shop's pages are, without a slash at the end; see the function BaseURL.
	Version string // Default: Version.

	// HTTP does the calls; redirects are never followed. Default: a client of
	// its own.
	HTTP *http.Client

	// Token gives the access token. Rejected is empty, or the token that
	// Shopify just answered 401 for; then a fresh one is wanted, and an error
	// ends the call.
	Token func(ctx context.Context, rejected secret.Secret) (secret.Secret, error)

	Throttle *Throttle // Shared by all clients of the shop. Default: one of its own.
	Clock    *Clock    // Likewise.
	Log      *slog.Logger
}

// Client calls one shop's Admin API. It is safe for concurrent use.
type Client struct {
	cfg      Config
	endpoint string
	http     *http.Client
	log      *slog.Logger

	mu     sync.Mutex
	served string // The version that the last reply was served by.
}

// NewClient checks the settings and calls nothing.
func NewClient(cfg Config) (*Client, error) {
	if cfg.Shop == "" || cfg.BaseURL == "" || cfg.Token == nil {
		return nil, errors.New("shopify client: Shop, BaseURL and Token are needed")
	}
	if cfg.Version == "" {
		cfg.Version = Version
	}
	if cfg.Throttle == nil {
		cfg.Throttle = NewThrottle()
	}
	if cfg.Clock == nil {
		cfg.Clock = new(Clock)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Client{
		cfg:      cfg,
		endpoint: strings.TrimRight(cfg.BaseURL, "/") + "/admin/api/" + cfg.Version + "/graphql.json",
		http:     withoutRedirects(cfg.HTTP),
		log:      cfg.Log.With("component", "shopify", logShop, cfg.Shop),
	}, nil
}

// withoutRedirects copies a client so that it hands redirects back: following
// one would take the token or secret along to wherever it points. A client that
// would wait for ever gets a limit.
func withoutRedirects(client *http.Client) *http.Client {
	var own http.Client
	if client != nil {
		own = *client
	}
	if own.Timeout == 0 {
		own.Timeout = requestTimeout
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// Shop is the shop's domain.
func (c *Client) Shop() string { return c.cfg.Shop }

// Clock is the shop's clock.
func (c *Client) Clock() *Clock { return c.cfg.Clock }

// Throttle is the shop's cost budget.
func (c *Client) Throttle() *Throttle { return c.cfg.Throttle }

// ServedVersion is the API version that answered last, and whether it is the
// one asked for. A version that has died is served by the oldest living one
// without an error (Shopify's page 'API versioning'). Reading goes on, since the
// fields read are the same until they are removed, and that is an error; but
// somebody must be told. It is empty before the first answer.
func (c *Client) ServedVersion() (version string, asked bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served, c.served == "" || c.served == c.cfg.Version
}

func (c *Client) noteVersion(served string) {
	if served == "" {
		return
	}
	c.mu.Lock()
	changed := c.served != served
	c.served = served
	c.mu.Unlock()
	if changed && served != c.cfg.Version {
		c.log.Warn("Shopify serves another API version than the one asked for",
			"asked", c.cfg.Version, "served", served)
	}
}

// query is one series of operations that belong together. It remembers when the
// first operation's last attempt was sent: what the whole series found was true
// then or later.
type query struct {
	client *Client
	asOf   time.Time
}

func (c *Client) query() *query { return &query{client: c} }

// AsOf is the asOf of everything that the series found. Only after an answer.
func (q *query) AsOf() mirror.Instant { return q.client.cfg.Clock.At(q.asOf) }

// MakeRequest implements genqlient's graphql.Client.
func (q *query) MakeRequest(ctx context.Context, request *graphql.Request, response *graphql.Response) error {
	sent, err := q.client.do(ctx, request, response.Data)
	if err != nil {
		return err
	}
	if q.asOf.IsZero() {
		q.asOf = sent
	}
	return nil
}

// warnAttempt is the failed attempt at which an operator is told.
const warnAttempt = 3

// do runs one operation to its answer. It is the one place that tries again.
func (c *Client) do(ctx context.Context, request *graphql.Request, into any) (sent time.Time, err error) {
	body, err := json.Marshal(request)
	if err != nil {
		return time.Time{}, fmt.Errorf("encode %s: %w", request.OpName, err)
	}
	token, err := c.cfg.Token(ctx, secret.Secret{})
	if err != nil {
		return time.Time{}, fmt.Errorf("token of shop %s: %w", c.cfg.Shop, err)
	}
	refreshed := false
	for attempt := 1; ; attempt++ {
		sent, failure, err := c.attempt(ctx, request.OpName, body, token, into)
		if err != nil || failure == nil {
			return sent, err
		}
		switch failure.Class {
		case ClassToken:
			if refreshed {
				return time.Time{}, failure
			}
			refreshed = true
			if token, err = c.cfg.Token(ctx, token); err != nil {
				return time.Time{}, fmt.Errorf("fresh token of shop %s: %w", c.cfg.Shop, err)
			}
			continue
		case ClassRetry, ClassThrottled:
		default:
			return time.Time{}, failure
		}
		if attempt == maxAttempts || failure.RetryAfter > maxRetryAfter {
			return time.Time{}, failure
		}
		wait := backoff(attempt)
		if failure.RetryAfter > 0 {
			wait = failure.RetryAfter
			c.cfg.Throttle.pause(wait)
		}
		level := slog.LevelDebug
		if attempt == warnAttempt {
			level = slog.LevelWarn // Once for each call, when it is more than a hiccup.
		}
		c.log.Log(ctx, level, "Shopify does not answer as it should, trying again", logOperation, request.OpName, "attempt", attempt, "wait", wait, logError, failure)
		if err := sleep(ctx, wait); err != nil {
			return time.Time{}, err
		}
	}
}

// backoff doubles from a second on, the wait that Shopify's page 'API limits'
// suggests, and is spread so that callers do not return together.
func backoff(attempt int) time.Duration {
	wait := min(firstBackoff<<(attempt-1), maxBackoff)
	var random [8]byte
	_, _ = rand.Read(random[:]) // Never fails. A test can give this source a seed, and the other none.
	return wait/2 + time.Duration(binary.BigEndian.Uint64(random[:])%uint64(wait/2+1))
}

// attempt sends once. It returns an *Error for what Shopify said, and an error
// only where the caller is to stop: its context is over or it cannot be right.
func (c *Client) attempt(ctx context.Context, operation string, body []byte, token secret.Secret, into any) (time.Time, *Error, error) {
	release, err := c.cfg.Throttle.acquire(ctx, operation)
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("wait for the budget of shop %s: %w", c.cfg.Shop, err)
	}
	var cost *costReport
	defer func() { release(cost) }()

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("%s of shop %s: %w", operation, c.cfg.Shop, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("X-Shopify-Access-Token", token.Reveal())

	fail := func(class Class, err error) *Error {
		return &Error{Class: class, Shop: c.cfg.Shop, Operation: operation, Err: err}
	}
	sent := time.Now()
	reply, err := c.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return time.Time{}, nil, ctx.Err()
		}
		return time.Time{}, fail(ClassRetry, err), nil
	}
	defer reply.Body.Close()
	if date, err := http.ParseTime(reply.Header.Get("Date")); err == nil {
		c.cfg.Clock.observe(date, sent, time.Now())
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer+1))
	if err != nil {
		if ctx.Err() != nil {
			return time.Time{}, nil, ctx.Err()
		}
		return time.Time{}, fail(ClassRetry, fmt.Errorf("read answer: %w", err)), nil
	}
	if len(text) > maxAnswer {
		return time.Time{}, fail(ClassTooCostly, fmt.Errorf("answer is larger than %d bytes", maxAnswer)), nil
	}
	if reply.StatusCode != http.StatusOK {
		failure := fail(classOfStatus(reply.StatusCode), nil)
		failure.Status, failure.Message = reply.StatusCode, cut(string(text))
		if reply.StatusCode == http.StatusForbidden && strings.Contains(strings.ToLower(failure.Message), "non-expiring") {
			failure.Class = ClassToken // A public app's old token: another kind is to be got.
		}
		failure.RetryAfter = retryAfter(reply.Header)
		return time.Time{}, failure, nil
	}
	c.noteVersion(reply.Header.Get("X-Shopify-Api-Version"))

	var answer answer
	if err := json.Unmarshal(text, &answer); err != nil {
		// A proxy's page, or an answer that was cut off.
		return time.Time{}, fail(ClassRetry, fmt.Errorf("decode answer: %w", err)), nil
	}
	cost = answer.Extensions.Cost
	if failure := answer.failure(); failure != nil {
		failure.Shop, failure.Operation, failure.Status = c.cfg.Shop, operation, reply.StatusCode
		return time.Time{}, failure, nil
	}
	if len(answer.Data) == 0 || string(answer.Data) == "null" {
		return time.Time{}, fail(ClassRetry, errors.New("answer has neither data nor errors")), nil
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		return time.Time{}, fail(ClassInvalid, fmt.Errorf("decode data: %w", err)), nil
	}
	return sent, nil, nil
}

// retryAfter reads the header's seconds, which Shopify may give a fraction.
func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.ParseFloat(header.Get("Retry-After"), 64)
	if err != nil || seconds <= 0 || seconds > 24*60*60 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

// answer is the body of a GraphQL reply.
type answer struct {
	Data       json.RawMessage `json:"data"`
	Errors     []answerError   `json:"errors"`
	Extensions struct {
		Cost   *costReport `json:"cost"`
		Search []struct {
			Query    string `json:"query"`
			Warnings []struct {
				Field   string `json:"field"`
				Message string `json:"message"`
			} `json:"warnings"`
		} `json:"search"`
	} `json:"extensions"`
}

type answerError struct {
	Message    string `json:"message"`
	Path       []any  `json:"path"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

// failure tells what is wrong with the answer; nil for nothing. Errors beside
// data are errors: the data lacks what they are about.
func (a answer) failure() *Error {
	var worst *Error
	for _, e := range a.Errors {
		class, known := classOfCode[e.Extensions.Code]
		if !known {
			class = ClassInvalid
		}
		if worst != nil && severity[class] <= severity[worst.Class] {
			continue
		}
		worst = &Error{Class: class, Code: e.Extensions.Code, Path: pathOf(e.Path), Message: cut(e.Message)}
	}
	if worst != nil {
		return worst
	}
	for _, search := range a.Extensions.Search {
		if len(search.Warnings) > 0 {
			// Shopify drops a filter that it does not know and answers with
			// all rows, or ones that were not asked for.
			return &Error{Class: ClassInvalid, Code: codeSearchWarning, Path: search.Warnings[0].Field,
				Message: cut(search.Warnings[0].Message)}
		}
	}
	return nil
}

func pathOf(path []any) string {
	parts := make([]string, len(path))
	for i, part := range path {
		parts[i] = fmt.Sprint(part)
	}
	return strings.Join(parts, ".")
}

// GrantedScopes lists what the token was granted, sorted. What was asked for
// and what was granted drift apart, so this alone is the truth.
func (c *Client) GrantedScopes(ctx context.Context) ([]string, error) {
	data, err := admin.GrantedScopes(ctx, c.query())
	if err != nil {
		return nil, fmt.Errorf("read granted scopes: %w", err)
	}
	var scopes []string
	for _, scope := range data.CurrentAppInstallation.AccessScopes {
		scopes = append(scopes, scope.Handle)
	}
	slices.Sort(scopes)
	return scopes, nil
}
