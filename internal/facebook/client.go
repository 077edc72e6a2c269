package facebook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"stockroom/internal/secret"
)

// Config is what a Client works with.
type Config struct {
	AppID string
	// Secrets are the app's, newest first: the first asks, and the others where
	// Meta does not know it yet.
	Secrets   func() []secret.Secret
	GraphURL  string       // Such as https://graph.facebook.com, without a slash at its end.
	DialogURL string       // Such as https://www.facebook.com.
	Version   string       // Default: Version.
	HTTP      *http.Client // Default: one that waits for 30 seconds.
}

// Client asks Meta. Its methods may be called from any goroutine.
type Client struct{ Config }

const (
	// callTimeout bounds a call whose context has no earlier end.
	callTimeout = 30 * time.Second
	// maxAnswer bounds an answer: a list of a hundred Pages has some 100 kB.
	maxAnswer = 4 << 20
)

// New makes a client. It asks nothing.
func New(config Config) *Client {
	if config.Version == "" {
		config.Version = Version
	}
	if config.HTTP == nil {
		config.HTTP = &http.Client{Timeout: callTimeout}
	}
	// A redirect would take the token in the address elsewhere.
	plain := *config.HTTP
	plain.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	config.HTTP = &plain
	return &Client{config}
}

// call is one to be made. Meta's pages show tokens as parameters of the address,
// for every kind of call, so that is how they are sent; addresses are in no error.
type call struct {
	name   string // What is attempted, for errors.
	method string // Default: GET.
	path   string // Without version, such as /me/accounts.
	query  url.Values
	body   any           // Sent as JSON.
	token  secret.Secret // A user's or a Page's. Empty: see app.
	app    bool          // By the app's own token.
	phase  phase
	// secretAs is the parameter that the app's secret goes in as, for exchanges.
	secretAs string
}

// Proof is the appsecret_proof of a token (Meta's page "Secure Graph API Calls").
func Proof(token, appSecret secret.Secret) string {
	mac := hmac.New(sha256.New, []byte(appSecret.Reveal()))
	mac.Write([]byte(token.Reveal()))
	return hex.EncodeToString(mac.Sum(nil))
}

// errNoSecret is a client without a secret.
var errNoSecret = errors.New("FACEBOOK_APP_SECRET is not set")

// do makes a call, with the app's newest secret and then with the older ones as
// long as Meta does not take that, and decodes the answer.
func (c *Client) do(ctx context.Context, k call, into any) error {
	secrets := c.Secrets()
	if len(secrets) == 0 {
		return &Error{Call: k.name, Class: ClassSecret, Err: errNoSecret, what: "FACEBOOK_APP_SECRET is not set.", do: setRight}
	}
	var first error
	for _, s := range secrets { // A few.
		err := c.try(ctx, k, s, into)
		if err == nil || ClassOf(err) != ClassSecret {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}

func (c *Client) try(ctx context.Context, k call, appSecret secret.Secret, into any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	query := url.Values{}
	for name, values := range k.query {
		query[name] = values
	}
	switch {
	case k.secretAs != "":
		query.Set(k.secretAs, appSecret.Reveal())
	case k.app:
		query.Set("access_token", c.AppID+"|"+appSecret.Reveal())
	default:
		query.Set("access_token", k.token.Reveal())
		query.Set("appsecret_proof", Proof(k.token, appSecret))
	}
	fail := &Error{Call: k.name}
	broken := func(err error) error {
		// Its text would repeat the address.
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err
		}
		fail.Err = err
		fail.classify(k.phase, false)
		return fail
	}
	method := k.method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if k.body != nil {
		encoded, err := json.Marshal(k.body)
		if err != nil {
			return broken(err)
		}
		body = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.GraphURL+"/"+c.Version+k.path+"?"+query.Encode(), body)
	if err != nil {
		return broken(errors.New("the address cannot be used"))
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	reply, err := c.HTTP.Do(request)
	if err != nil {
		return broken(err)
	}
	defer reply.Body.Close()
	fail.Status = reply.StatusCode
	answer, err := io.ReadAll(io.LimitReader(reply.Body, maxAnswer))
	if err != nil {
		return broken(err)
	}
	return fail.read(reply, answer, k.phase, into)
}

// read decodes an answer, or turns it into the error.
func (e *Error) read(reply *http.Response, answer []byte, p phase, into any) error {
	var said struct {
		Error *struct {
			Message   string `json:"message"`
			Type      string `json:"type"`
			Code      int    `json:"code"`
			Subcode   int    `json:"error_subcode"`
			Transient bool   `json:"is_transient"`
			Trace     string `json:"fbtrace_id"`
		} `json:"error"`
	}
	// A list or a bare value cannot be read so, and holds no error.
	unreadable := json.Unmarshal(answer, &said) != nil && !json.Valid(answer)
	switch {
	case said.Error != nil:
		e.Type, e.Code, e.Subcode = cut(said.Error.Type), said.Error.Code, said.Error.Subcode
		e.Message, e.Trace = cut(said.Error.Message), cut(said.Error.Trace)
		e.classify(p, said.Error.Transient)
		e.RetryAfter = regainAfter(reply.Header)
		return e
	case reply.StatusCode != http.StatusOK:
		e.classify(p, false)
		e.RetryAfter = regainAfter(reply.Header)
		return e
	case unreadable:
		e.Err = errors.New("the answer is not JSON")
		e.classify(p, false)
		return e
	}
	if into == nil {
		return nil
	}
	if json.Unmarshal(answer, into) != nil {
		// The decoder's own error may quote the answer, which may hold tokens.
		e.Err = errors.New("the answer is not of the form that Meta documents")
		e.classify(p, false)
		return e
	}
	return nil
}

// regainAfter is the longest wait that Meta's usage headers ask for (Meta's page
// "Rate Limits"); they are in minutes.
func regainAfter(header http.Header) time.Duration {
	var use map[string][]struct {
		Minutes float64 `json:"estimated_time_to_regain_access"`
	}
	if json.Unmarshal([]byte(header.Get("X-Business-Use-Case-Usage")), &use) != nil {
		return 0
	}
	const longest = 24 * time.Hour // What says more is not believed.
	var wait time.Duration
	for _, all := range use {
		for _, one := range all {
			if one.Minutes > 0 {
				wait = max(wait, time.Duration(min(one.Minutes, longest.Minutes())*float64(time.Minute)))
			}
		}
	}
	return wait
}

// escaped is a number from outside as a part of a path.
func escaped(id string) string { return "/" + url.PathEscape(id) }

// done is the answer of calls that only do something.
type done struct {
	Success bool `json:"success"`
}

// confirm makes a call that answers {"success": true}, and is an error otherwise.
func (c *Client) confirm(ctx context.Context, k call) error {
	var said done
	if err := c.do(ctx, k, &said); err != nil {
		return err
	}
	if !said.Success {
		return &Error{Call: k.name, Status: http.StatusOK, Class: ClassRetry, Err: errors.New("it was answered, and not done"),
			what: "Meta answered, and did not do it.", do: waitAndSee}
	}
	return nil
}

func list(fields []string) string { return strings.Join(fields, ",") }
