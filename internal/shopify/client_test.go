package shopify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stockroom/internal/mirror"
	"stockroom/internal/secret"
)

const scopesAnswer = `"data":{"currentAppInstallation":{"accessScopes":[{"handle":"write_products"},{"handle":"read_inventory"}]}}`

func costAnswer(requested, maximum, available, restore float64) string {
	return fmt.Sprintf(`"extensions":{"cost":{"requestedQueryCost":%v,"actualQueryCost":1,"throttleStatus":`+
		`{"maximumAvailable":%v,"currentlyAvailable":%v,"restoreRate":%v}}}`, requested, maximum, available, restore)
}

func TestAnswerIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/admin/api/2026-10/graphql.json" || r.Method != http.MethodPost {
				t.Errorf("asked %s %s", r.Method, r.URL.Path)
			}
			if got := r.Header.Get("X-Shopify-Access-Token"); got != "shpat_first" {
				t.Errorf("token %q", got)
			}
			w.Header().Set("X-Shopify-API-Version", "2026-10")
			io.WriteString(w, "{"+scopesAnswer+","+costAnswer(3, 2000, 1999, 100)+"}")
		})
		scopes, err := client.GrantedScopes(t.Context())
		if err != nil || strings.Join(scopes, ",") != "read_inventory,write_products" {
			t.Errorf("scopes %v, %v", scopes, err)
		}
		if version, asked := client.ServedVersion(); version != "2026-10" || !asked {
			t.Errorf("served %q, asked %v", version, asked)
		}
	})
}

// TestErrorsAreSorted gives each refusal once and then a good answer: only those
// that pass by themselves may reach it.
func TestErrorsAreSorted(t *testing.T) {
	graphql := func(code string) string {
		return `{"errors":[{"message":"no","path":["shop","metafields"],"extensions":{"code":"` + code + `"}}]}`
	}
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   Class // Empty: the call is repeated, with another token where that is to blame, and works.
	}{
		{"throttled inside HTTP 200", 200, graphql("THROTTLED"), ""},
		{"internal error inside HTTP 200", 200, graphql("INTERNAL_SERVER_ERROR"), ""},
		{"throttled by status", 429, "", ""},
		{"bad gateway", 502, "<html>", ""},
		{"gateway timeout", 504, "", ""},
		{"a page that is not JSON", 200, "<html>", ""},
		{"an answer that was cut", 200, `{"data":{"currentApp`, ""},
		{"neither data nor errors", 200, `{}`, ""},
		{"frozen shop", 402, "", ClassClosed},
		{"locked shop", 423, "", ClassClosed},
		{"unknown shop", 404, "", ClassClosed},
		{"forbidden", 403, `{"errors":"no"}`, ClassDenied},
		{"a kind of token that is not taken any more", 403, `{"errors":"Non-expiring access tokens are no longer accepted"}`, ""},
		{"denied field", 200, graphql("ACCESS_DENIED"), ClassDenied},
		{"inactive shop", 200, graphql("SHOP_INACTIVE"), ClassClosed},
		{"too dear", 200, graphql("MAX_COST_EXCEEDED"), ClassTooCostly},
		{"unknown field", 200, graphql("undefinedField"), ClassInvalid},
		{"no code", 200, `{"errors":[{"message":"no"}]}`, ClassInvalid},
		{"redirect", 302, "", ClassInvalid},
		{"denied beside throttled", 200, `{"errors":[{"extensions":{"code":"THROTTLED"}},{"extensions":{"code":"ACCESS_DENIED"}}]}`, ClassDenied},
		{"wrong type of data", 200, `{"data":{"currentAppInstallation":7}}`, ClassInvalid},
		{"search warning", 200, `{` + scopesAnswer + `,"extensions":{"search":[{"query":"x:1","warnings":[{"field":"x","message":"Invalid search field for this query."}]}]}}`, ClassInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
					if calls++; calls == 1 {
						w.Header().Set("Location", "http://elsewhere.example/")
						w.WriteHeader(tt.status)
						io.WriteString(w, tt.body)
						return
					}
					io.WriteString(w, "{"+scopesAnswer+"}")
				})
				_, err := client.GrantedScopes(t.Context())
				if got := ClassOf(err); got != tt.want || (err != nil) != (tt.want != "") {
					t.Errorf("class %q (%v), want %q", got, err, tt.want)
				}
				if want := map[bool]int{true: 2, false: 1}[tt.want == ""]; calls != want {
					t.Errorf("%d calls, want %d", calls, want)
				}
			})
		})
	}
}

func TestErrorsBesideDataAreErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"data":{"locations":{"nodes":[],"pageInfo":{"hasNextPage":false}}},`+
				`"errors":[{"message":"Access denied for isActive field.","path":["locations","nodes",0,"isActive"],"extensions":{"code":"ACCESS_DENIED"}}]}`)
		})
		for _, list := range Lists() {
			if list.Name != "locations" {
				continue
			}
			_, err := list.Page(t.Context(), client, "")
			shopify, ok := errors.AsType[*Error](err)
			if !ok || shopify.Class != ClassDenied || shopify.Path != "locations.nodes.0.isActive" {
				t.Errorf("a denied field gave %v", err)
			}
		}
	})
}

func TestAttemptsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			calls++
			w.WriteHeader(http.StatusBadGateway)
		})
		start := time.Now()
		_, err := client.GrantedScopes(t.Context())
		if ClassOf(err) != ClassRetry || calls != maxAttempts {
			t.Errorf("%d calls, %v; want %d", calls, err, maxAttempts)
		}
		if took := time.Since(start); took < 30*time.Second || took > 3*time.Minute {
			t.Errorf("attempts spanned %s", took)
		}
	})
}

func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				w.Header().Set("Retry-After", "20.0")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			io.WriteString(w, "{"+scopesAnswer+"}")
		})
		start := time.Now()
		if _, err := client.GrantedScopes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 20*time.Second || took > 25*time.Second {
			t.Errorf("came back after %s, want 20 s", took)
		}
	})
}

func TestRetryAfterHoldsTheShopsOtherCallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var second time.Duration
		calls := 0
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				w.Header().Set("Retry-After", "20")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			second = max(second, time.Since(start))
			if second < 20*time.Second {
				t.Errorf("called again after %s", second)
			}
			io.WriteString(w, "{"+scopesAnswer+"}")
		})
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := client.GrantedScopes(t.Context()); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait() // The first call was refused and waits.
		if _, err := client.GrantedScopes(t.Context()); err != nil {
			t.Error(err)
		}
		group.Wait()
	})
}

func TestRejectedTokenIsRefreshedOnce(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fresh string
		want  Class
	}{
		{"the fresh one works", "shpat_second", ""},
		{"the fresh one is rejected too", "shpat_third", ClassToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				client := testClientWith(t, func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("X-Shopify-Access-Token") != "shpat_second" {
						w.WriteHeader(http.StatusUnauthorized)
						io.WriteString(w, `{"errors":"[API] Invalid API key or access token"}`)
						return
					}
					io.WriteString(w, "{"+scopesAnswer+"}")
				}, func(_ context.Context, rejected secret.Secret) (secret.Secret, error) {
					asked = append(asked, rejected.Reveal())
					if rejected.Empty() {
						return secret.New("shpat_first"), nil
					}
					return secret.New(tt.fresh), nil
				})
				_, err := client.GrantedScopes(t.Context())
				if ClassOf(err) != tt.want {
					t.Errorf("got %v, want class %q", err, tt.want)
				}
				if strings.Join(asked, ",") != ",shpat_first" {
					t.Errorf("Token was asked with %q", asked)
				}
			})
		})
	}
}

func TestTokenIsInNoErrorAndNoLogLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Shopify-API-Version", "2026-01")
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		client.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		_, err := client.GrantedScopes(t.Context())
		if err == nil || strings.Contains(err.Error()+log.String(), "shpat_") {
			t.Errorf("error %v, log %s", err, log.String())
		}
		if log.Len() == 0 {
			t.Error("repeated calls left no trace in the log")
		}
	})
}

func TestOtherServedVersionIsToldOnceAndReadingGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Shopify-API-Version", "2027-01")
			io.WriteString(w, "{"+scopesAnswer+"}")
		})
		client.log = slog.New(slog.NewTextHandler(&log, nil))
		for range 3 {
			if _, err := client.GrantedScopes(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if version, asked := client.ServedVersion(); version != "2027-01" || asked {
			t.Errorf("served %q, asked %v", version, asked)
		}
		if got := strings.Count(log.String(), "2027-01"); got != 1 {
			t.Errorf("%d warnings, want 1: %s", got, log.String())
		}
	})
}

func TestSilentShopIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			if calls++; calls == 1 {
				operation(r) // Until the body is read the server does not see the caller leave.
				<-r.Context().Done()
				return
			}
			io.WriteString(w, "{"+scopesAnswer+"}")
		})
		start := time.Now()
		if _, err := client.GrantedScopes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < requestTimeout || took > requestTimeout+2*time.Second {
			t.Errorf("came back after %s, want %s and the back-off", took, requestTimeout)
		}
	})
}

func TestCancelledCallEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := client.GrantedScopes(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || ClassOf(err) != "" {
			t.Errorf("got %v, want the context's error", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("ended after %s", took)
		}
	})
}

// bucket is Shopify's side of the budget: it refuses what does not fit.
type bucket struct {
	mu                       sync.Mutex
	available, maximum, rate float64
	at                       time.Time
	refused                  int
	served                   int
}

func (b *bucket) handle(cost float64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		now := time.Now()
		b.available = min(b.maximum, b.available+now.Sub(b.at).Seconds()*b.rate)
		b.at = now
		if b.available < cost {
			b.refused++
			io.WriteString(w, `{"errors":[{"message":"Throttled","extensions":{"code":"THROTTLED"}}],`+costAnswer(cost, b.maximum, b.available, b.rate)+`}`)
			return
		}
		b.served++
		b.available -= cost
		io.WriteString(w, "{"+scopesAnswer+","+costAnswer(cost, b.maximum, b.available, b.rate)+"}")
	}
}

func TestThrottleUsesTheBudgetAndIsNotRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bucket{available: 1000, maximum: 1000, rate: 50, at: time.Now()}
		client := testClient(t, b.handle(250))
		start := time.Now()
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for range 10 {
					if _, err := client.GrantedScopes(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		// 40 calls cost 10,000; the bucket holds 1,000, of which a tenth is
		// kept, and 50 a second come in: 182 s at best.
		took := time.Since(start)
		if b.refused > 0 || b.served != 40 || took < 180*time.Second || took > 200*time.Second {
			t.Errorf("served %d in %s, refused %d; want 40 in about 182 s and none refused", b.served, took, b.refused)
		}
	})
}

// TestThrottleMistrustsAReportOfAnEarlierMoment: the second of two calls is
// served first and answered last, so that its report is older than what the
// first one's answer told.
func TestThrottleMistrustsAReportOfAnEarlierMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bucket{available: 1000, maximum: 1000, rate: 50, at: time.Now()}
		serve, arrived, calls := b.handle(400), make(chan bool), 0
		secondServed, firstAnswered := make(chan bool), make(chan bool)
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			b.mu.Lock()
			calls++
			call := calls
			b.mu.Unlock()
			switch call {
			case 1:
				close(arrived)
				<-secondServed
				serve(w, r)
			case 2:
				answer := httptest.NewRecorder()
				serve(answer, r)
				close(secondServed)
				<-firstAnswered
				answer.Body.WriteTo(w)
			default:
				serve(w, r)
			}
		})
		call := func() {
			if _, err := client.GrantedScopes(t.Context()); err != nil {
				t.Error(err)
			}
		}
		var group sync.WaitGroup
		group.Go(func() { call(); close(firstAnswered) })
		<-arrived
		group.Go(call)
		group.Wait()
		call()
		if b.refused > 0 || b.served != 3 {
			t.Errorf("served %d, refused %d; want 3 and none", b.served, b.refused)
		}
	})
}

func TestThrottleFollowsASmallBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bucket{available: 40, maximum: 40, rate: 2, at: time.Now()}
		client := testClient(t, b.handle(39)) // More than the bucket holds beside the reserve.
		for range 5 {
			if _, err := client.GrantedScopes(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if b.refused > 1 { // The first calls do not know the bucket yet.
			t.Errorf("refused %d times, want once at most", b.refused)
		}
	})
}

func TestThrottleKeepsAReserveForPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := NewThrottle()
		throttle.learned["op"] = 100
		throttle.available = 250 // The reserve of 200 and half a call.
		ordinary := make(chan time.Duration, 1)
		start := time.Now()
		go func() {
			release, err := throttle.acquire(t.Context(), "op")
			if err == nil {
				release(nil)
			}
			ordinary <- time.Since(start)
		}()
		synctest.Wait()
		release, err := throttle.acquire(WithPriority(t.Context()), "op")
		if err != nil || time.Since(start) != 0 {
			t.Fatalf("priority waited %s, %v", time.Since(start), err)
		}
		release(nil)
		if waited := <-ordinary; waited < time.Second {
			t.Errorf("an ordinary call took the reserve after %s", waited)
		}
	})
}

func TestThrottleIgnoresReportsOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := NewThrottle()
		throttle.learned["op"] = 100
		first, _ := throttle.acquire(t.Context(), "op")
		second, _ := throttle.acquire(t.Context(), "op")
		report := func(available float64) *costReport {
			r := &costReport{RequestedQueryCost: 100}
			r.ThrottleStatus.MaximumAvailable, r.ThrottleStatus.CurrentlyAvailable, r.ThrottleStatus.RestoreRate = 2000, available, 100
			return r
		}
		second(report(300))
		first(report(1500))
		if available, _ := throttle.Budget(); available > 300 {
			t.Errorf("an older report raised the budget to %v", available)
		}
	})
}

func TestThrottleWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		throttle := NewThrottle()
		throttle.available = 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := throttle.acquire(ctx, "op"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		// And it leaves its place to the next.
		release, err := throttle.acquire(t.Context(), "op")
		if err != nil {
			t.Fatal(err)
		}
		release(nil)
	})
}

func TestClockNarrowsWithEveryReply(t *testing.T) {
	const offset = 3*time.Second + 300*time.Millisecond
	var clock Clock
	local := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	reply := func(sent time.Time) {
		// Written 40 ms after sending, received 60 ms after that.
		server := sent.Add(40 * time.Millisecond).Add(offset)
		clock.observe(server.Truncate(time.Second), sent, sent.Add(100*time.Millisecond))
	}
	reply(local)
	if error := (clock.Offset() - offset).Abs(); error > 600*time.Millisecond {
		t.Errorf("after one reply the offset is %s off", error)
	}
	for i := range 50 {
		reply(local.Add(time.Duration(i) * 1370 * time.Millisecond))
	}
	if error := (clock.Offset() - offset).Abs(); error > 80*time.Millisecond {
		t.Errorf("after 50 replies the offset is %s off", error)
	}
	if early := mirror.At(local.Add(offset)) - clock.At(local); early < 0 || early > 80 {
		t.Errorf("At is %d ms early, want none late", early)
	}
	// The local clock is set forward by an hour: what was known is void.
	reply = func(sent time.Time) {
		server := sent.Add(offset - time.Hour)
		clock.observe(server.Truncate(time.Second), sent, sent.Add(100*time.Millisecond))
	}
	reply(local.Add(2 * time.Hour))
	if error := (clock.Offset() - (offset - time.Hour)).Abs(); error > time.Second {
		t.Errorf("after the clock was set the offset is %s off", error)
	}
}

func TestClockBeginsWithTheOffsetFoundBefore(t *testing.T) {
	clock := NewClock(-time.Hour)
	local := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	if got, want := clock.At(local), mirror.At(local.Add(-time.Hour)); got != want || clock.Offset() != -time.Hour {
		t.Errorf("At = %s, want %s", got, want)
	}
	clock.observe(local.Add(time.Minute), local, local.Add(time.Second))
	if off := (clock.Offset() - time.Minute).Abs(); off > time.Second {
		t.Errorf("after a reply the offset is %s", clock.Offset())
	}
}

func TestClockMovesAsOfToShopifys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			io.WriteString(w, `{"data":{"locations":{"nodes":[],"pageInfo":{"hasNextPage":false}}}}`)
		})
		page, err := listNamed(t, "locations").Page(t.Context(), client, "")
		if err != nil {
			t.Fatal(err)
		}
		if behind := time.Since(page.AsOf.Time()); behind < 59*time.Minute || behind > 61*time.Minute {
			t.Errorf("asOf is %s behind the local clock, want an hour", behind)
		}
	})
}

func TestAsOfIsTheSendingOfTheLastAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		var answered time.Time
		client := testClient(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Date"] = nil // Both clocks are one here.
			if calls++; calls < 3 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			answered = time.Now()
			io.WriteString(w, `{"data":{"locations":{"nodes":[],"pageInfo":{"hasNextPage":false}}}}`)
		})
		page, err := listNamed(t, "locations").Page(t.Context(), client, "")
		if err != nil || !page.AsOf.Time().Equal(answered.UTC().Truncate(time.Millisecond)) {
			t.Errorf("asOf %s, answered %s, %v", page.AsOf, answered, err)
		}
	})
}

func listNamed(t *testing.T, name string) List {
	t.Helper()
	for _, list := range Lists() {
		if list.Name == name {
			return list
		}
	}
	t.Fatalf("no list %s", name)
	return List{}
}
