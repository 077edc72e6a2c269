package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // A container made of the one binary has no time zones of its own.

	"github.com/robfig/cron/v3"

	"stockroom/internal/secret"
)

const (
	maxSpread    = 23 * time.Hour // A daily poll has begun everywhere before the next one.
	minSweep     = time.Second
	minRetention = time.Minute

	// shortPassword is the length under which a password can be found by trying.
	shortPassword = 12
)

// The parsers below get the text as it was set, never empty, without white
// space around it. Their errors say what is expected and do not repeat the
// text: it may be a secret put under the wrong name.

func word(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		if strings.ContainsAny(value, " \t\r\n") {
			return errors.New("must be one word")
		}
		*field(c) = value
		return nil
	}
}

func hidden(field func(*Config) *secret.Secret) func(*Config, string) error {
	return func(c *Config, value string) error {
		*field(c) = secret.New(value)
		return nil
	}
}

func oneOf(field func(*Config) *string, values ...string) func(*Config, string) error {
	return func(c *Config, value string) error {
		value = strings.ToLower(value)
		if !slices.Contains(values, value) {
			return fmt.Errorf("must be one of: %s", strings.Join(values, ", "))
		}
		*field(c) = value
		return nil
	}
}

// duration reads a duration of at least least, and at most most unless that is
// zero.
func duration(field func(*Config) *time.Duration, least, most time.Duration) func(*Config, string) error {
	return func(c *Config, value string) error {
		d, err := time.ParseDuration(value)
		switch {
		case err != nil:
			return errors.New("must be a duration such as 90s, 10m or 168h (hours are the largest unit)")
		case d < least:
			return fmt.Errorf("must be %v or more", least)
		case most > 0 && d > most:
			return fmt.Errorf("must be %v or less", most)
		}
		*field(c) = d
		return nil
	}
}

func durationOrOff(field func(*Config) *time.Duration, least time.Duration) func(*Config, string) error {
	parse := duration(field, least, 0)
	return func(c *Config, value string) error {
		if d, err := time.ParseDuration(value); err == nil && d == 0 {
			*field(c) = 0
			return nil
		}
		if err := parse(c, value); err != nil {
			return fmt.Errorf("%w, or 0 to turn it off", err)
		}
		return nil
	}
}

// address reads the absolute address of a page and keeps it letter by letter:
// Shopify and Meta compare redirect addresses so.
func address(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		if err := checkAddress(value); err != nil {
			return err
		}
		*field(c) = value
		return nil
	}
}

// base reads the address that an API's paths are put after.
func base(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, value string) error {
		if err := checkAddress(value); err != nil {
			return err
		}
		if strings.Contains(value, "?") {
			return errors.New("must not hold a ? part: paths are put after it")
		}
		*field(c) = strings.TrimRight(value, "/")
		return nil
	}
}

func checkAddress(value string) error {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("must be a whole address such as https://stockroom.example/path")
	case u.User != nil || u.Fragment != "":
		return errors.New("must not hold a user, a password or a # part")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return errors.New("must begin with https:// (http:// is for addresses on this machine)")
	}
	return nil
}

func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func parseListen(c *Config, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("must be host:port such as 127.0.0.1:5000, or :5000 for every address of this machine")
	}
	c.ListenAddr = value
	return nil
}

// secrets reads an app's secrets, newest first.
func secrets(field func(*Config) *[]secret.Secret) func(*Config, string) error {
	return func(c *Config, value string) error {
		var all []secret.Secret
		for part := range strings.SplitSeq(value, ",") {
			s := secret.New(strings.TrimSpace(part))
			if s.Empty() {
				// Whoever knows that a secret is empty can sign with it.
				return errors.New("holds an empty secret: remove the comma too many")
			}
			all = append(all, s)
		}
		*field(c) = all
		return nil
	}
}

// parseFacebookRedirect keeps the address letter by letter. Its end is known, so that
// the addresses beside it are.
func parseFacebookRedirect(c *Config, value string) error {
	if err := checkAddress(value); err != nil {
		return err
	}
	if strings.Contains(value, "?") || !strings.HasSuffix(strings.TrimSuffix(value, "/"), "/facebook/callback") {
		return errors.New("must end in /facebook/callback, such as https://stockroom.example/facebook/callback")
	}
	c.Facebook.RedirectURI = value
	return nil
}

var scopePattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func parseScopes(c *Config, value string) error {
	for _, scope := range list(value) {
		if !scopePattern.MatchString(scope) {
			return errors.New("must be scopes separated by commas, such as read_products,read_inventory")
		}
		if strings.HasPrefix(scope, "write_") {
			c.warn("SHOPIFY_SCOPES asks for %s, but Stockroom only reads: read_%s is enough", scope, strings.TrimPrefix(scope, "write_"))
		}
		c.Shopify.Scopes = append(c.Shopify.Scopes, scope)
	}
	return nil
}

var apiVersionPattern = regexp.MustCompile(`^20[0-9]{2}-(01|04|07|10)$`)

func parseAPIVersion(c *Config, value string) error {
	if !apiVersionPattern.MatchString(value) {
		return errors.New("must be a stable version of the Admin API, such as 2026-10")
	}
	c.Shopify.APIVersion = value
	return nil
}

func parseURLTemplate(c *Config, value string) error {
	if !strings.Contains(value, "{shop}") {
		return errors.New("must hold {shop}, for which the shop's domain is put, such as https://{shop}")
	}
	if err := checkAddress(strings.ReplaceAll(value, "{shop}", "example.myshopify.com")); err != nil {
		return err
	}
	c.Shopify.URLTemplate = strings.TrimSuffix(value, "/")
	return nil
}

var graphVersionPattern = regexp.MustCompile(`^v[0-9]+\.[0-9]+$`)

func parseGraphVersion(c *Config, value string) error {
	if !graphVersionPattern.MatchString(value) {
		return errors.New("must be a version of the Graph API, such as v26.0")
	}
	c.Facebook.GraphVersion = value
	return nil
}

func parseSchedule(c *Config, value string) error {
	switch {
	case strings.Contains(value, "TZ="):
		return errors.New("must not name a time zone: set POLL_TIMEZONE")
	case strings.HasPrefix(value, "@every"):
		// It counts from the start of the process, so that no run can be missed
		// and none made up for.
		return errors.New("must be tied to the clock, such as 0 */6 * * * for every six hours")
	}
	schedule, err := cron.ParseStandard(value)
	if err != nil {
		return errors.New("must be a cron line of five fields (minute, hour, day of month, month, day of week), such as 0 0 * * *")
	}
	if schedule.Next(time.Now()).IsZero() {
		return errors.New("must be a time that comes: this date is in no year")
	}
	c.Poll.Schedule = schedule
	return nil
}

func parseZone(c *Config, value string) error {
	zone, err := time.LoadLocation(value)
	if err != nil {
		return errors.New("must be a time zone such as Europe/Berlin or UTC, or empty for each shop's own")
	}
	c.Poll.Zone = zone
	return nil
}

func parseMaxDelete(c *Config, value string) error {
	part, rows, found := strings.Cut(value, ",")
	number, isPercent := strings.CutSuffix(strings.TrimSpace(part), "%")
	percent, err := strconv.ParseFloat(number, 64)
	count, countErr := strconv.Atoi(strings.TrimSpace(rows))
	// The comparison is written so that NaN fails it.
	if !found || !isPercent || err != nil || countErr != nil || !(percent >= 0 && percent <= 100) || count < 0 {
		return errors.New("must be a part and a number of rows, such as 20%,50")
	}
	c.Poll.MaxDelete = MaxDelete{Percent: percent, Rows: count}
	return nil
}

func parseRoles(c *Config, value string) error {
	for _, role := range list(value) {
		switch role {
		case "web":
			c.Roles.Web = true
		case "worker":
			c.Roles.Worker = true
		case "scheduler":
			c.Roles.Scheduler = true
		default:
			return errors.New("must be one or more of: web, worker, scheduler")
		}
	}
	if c.Roles == (Roles{}) {
		return errors.New("must be one or more of: web, worker, scheduler")
	}
	return nil
}

func parseKeys(c *Config, value string) error {
	keys := secret.New(value)
	if _, err := secret.OpenSealer(keys); err != nil {
		return err
	}
	c.EncryptionKeys = keys
	return nil
}

func parsePassword(c *Config, value string) error {
	if len(value) < shortPassword {
		c.warn("ADMIN_PASSWORD has fewer than %d letters and may be guessed: choose a longer one, or unset it to have one made", shortPassword)
	}
	c.AdminPassword = secret.New(value)
	return nil
}

func parseOrigins(c *Config, value string) error {
	for _, origin := range list(value) {
		u, err := url.Parse(origin)
		if origin != "*" && (err != nil || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host || u.Scheme != "http" && u.Scheme != "https") {
			return errors.New("must be origins separated by commas, each a scheme and a host without a path, such as https://shop.example, or *")
		}
		c.CORSOrigins = append(c.CORSOrigins, origin)
	}
	return nil
}

func parseLogLevel(c *Config, value string) error {
	if err := c.LogLevel.UnmarshalText([]byte(value)); err != nil {
		return errors.New("must be one of: debug, info, warn, error")
	}
	return nil
}

// list splits at commas and drops white space, empty parts and repetitions.
func list(value string) []string {
	var parts []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return parts
}
