package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"stockroom/internal/config"
	"stockroom/internal/secret"
)

// enough is the environment of the smallest service.
var enough = map[string]string{
	"SHOPIFY_API_KEY":         "client-id",
	"SHOPIFY_API_SECRET":      "hush",
	"SHOPIFY_REDIRECT_URI":    "https://stockroom.example/shopify/callback",
	"SHOPIFY_WEBHOOK_ADDRESS": "https://stockroom.example/shopify/webhook",
}

// with is enough changed by name, value pairs.
func with(changes ...string) []string {
	vars := maps.Clone(enough)
	for i := 0; i < len(changes); i += 2 {
		vars[changes[i]] = changes[i+1]
	}
	var environ []string
	for name, value := range vars {
		environ = append(environ, name+"="+value)
	}
	slices.Sort(environ)
	return environ
}

func load(t *testing.T, changes ...string) config.Config {
	t.Helper()
	c, err := config.Load(config.Source{Environ: with(changes...)}, config.NeedAll)
	if err != nil {
		t.Fatalf("with %q: %v", changes, err)
	}
	return c
}

// mistakes gives the names that Load reports as mistaken.
func mistakes(t *testing.T, from config.Source, needs ...config.Need) []string {
	t.Helper()
	_, err := config.Load(from, needs...)
	if err == nil {
		return nil
	}
	invalid, ok := errors.AsType[*config.InvalidError](err)
	if !ok {
		t.Fatalf("Load: %v; want an *InvalidError", err)
	}
	var names []string
	for _, m := range invalid.Mistakes {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c := load(t)
	if c.ListenAddr != "127.0.0.1:5000" || c.Database.Engine != config.SQLite || c.Database.Path != "stockroom.db" {
		t.Errorf("listens on %q, database %+v", c.ListenAddr, c.Database)
	}
	if got := c.Database.URL.Reveal(); got != "sqlite://stockroom.db" {
		t.Errorf("the database's address is %q", got)
	}
	if c.Database.KeyFile() != "stockroom.db.key" || !c.EncryptionKeys.Empty() {
		t.Errorf("keys %v in %q; want none, and the file beside the database", c.EncryptionKeys, c.Database.KeyFile())
	}
	if !c.AdminPassword.Empty() || c.AdminPasswordFile() != "stockroom.db.admin-password" {
		t.Errorf("password %v in %q", c.AdminPassword, c.AdminPasswordFile())
	}
	s := c.Shopify
	if s.APIVersion != "2026-10" || s.Scopes != nil || s.Tokens != nil || s.ShopURL("a.myshopify.com") != "https://a.myshopify.com" {
		t.Errorf("Shopify %+v", s)
	}
	if f := c.Facebook; f.Enabled() || f.GraphVersion != "v26.0" || f.GraphURL != "https://graph.facebook.com" || f.DialogURL != "https://www.facebook.com" {
		t.Errorf("Facebook %+v", f)
	}
	if c.Poll.Zone != nil || c.Poll.Spread != time.Hour || c.Poll.MaxDelete != (config.MaxDelete{Percent: 20, Rows: 50}) {
		t.Errorf("Poll %+v", c.Poll)
	}
	if c.SweepInterval != 10*time.Minute || c.WebhookRetention != 7*24*time.Hour || c.WebhookRetentionFailed != 30*24*time.Hour {
		t.Errorf("sweep every %v, bodies kept %v and %v", c.SweepInterval, c.WebhookRetention, c.WebhookRetentionFailed)
	}
	if c.Roles != (config.Roles{Web: true, Worker: true, Scheduler: true}) || c.CORSOrigins != nil {
		t.Errorf("roles %+v, origins %v", c.Roles, c.CORSOrigins)
	}
	if c.LogLevel != slog.LevelInfo || c.LogFormat != config.LogText || len(c.Warnings) != 0 {
		t.Errorf("log %v %q, warnings %q", c.LogLevel, c.LogFormat, c.Warnings)
	}
}

func TestTheDefaultPollIsAtMidnightOfTheGivenZone(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, zone)
	next := load(t).Poll.Schedule.Next(now)
	if want := time.Date(2026, 11, 25, 0, 0, 0, 0, zone); !next.Equal(want) {
		t.Errorf("the poll after %v is at %v, want %v", now, next, want)
	}
}

func TestEverySettingIsParsed(t *testing.T) {
	keys := secret.NewKeyset().Reveal()
	c := load(t,
		"LISTEN_ADDR", ":0",
		"DATABASE_URL", "postgres://me:pw@db.example:5433/stock?sslmode=require",
		"SHOPIFY_API_SECRET", "newer, older",
		"SHOPIFY_SCOPES", "read_products, read_inventory,,read_products",
		"SHOPIFY_API_VERSION", "2026-07",
		"SHOPIFY_URL_TEMPLATE", "http://127.0.0.1:4010/{shop}/",
		"FACEBOOK_APP_ID", "123", "FACEBOOK_APP_SECRET", "fbs2, fbs", "FACEBOOK_VERIFY_TOKEN", "fbv",
		"FACEBOOK_REDIRECT_URI", "https://stockroom.example/facebook/callback/",
		"FACEBOOK_LOGIN_CONFIG_ID", "9", "FACEBOOK_GRAPH_VERSION", "v25.0",
		"FACEBOOK_GRAPH_URL", "http://localhost:4011/", "FACEBOOK_DIALOG_URL", "http://[::1]:4011",
		"POLL_SCHEDULE", "30 2 * * 1-5", "POLL_TIMEZONE", "Europe/Berlin", "POLL_SPREAD", "0s", "POLL_MAX_DELETE", " 12.5% , 7",
		"SWEEP_INTERVAL", "0", "WEBHOOK_RETENTION", "24h", "WEBHOOK_RETENTION_FAILED", "48h",
		"ROLES", "worker, scheduler", "ENCRYPTION_KEY", keys, "ADMIN_PASSWORD", "a long enough one",
		"CORS_ALLOWED_ORIGINS", "https://a.example,http://localhost:3000", "LOG_LEVEL", "DEBUG", "LOG_FORMAT", "json",
	)
	if c.Database.Engine != config.Postgres || c.Database.URL.Reveal() != "postgres://me:pw@db.example:5433/stock?sslmode=require" {
		t.Errorf("Database %+v", c.Database)
	}
	if got, want := c.Database.String(), "postgres://me@db.example:5433/stock"; got != want || c.Database.KeyFile() != "" {
		t.Errorf("the database is shown as %q, want %q; its key file is %q", got, want, c.Database.KeyFile())
	}
	s := c.Shopify
	if len(s.APISecrets) != 2 || s.APISecrets[0].Reveal() != "newer" || s.APISecrets[1].Reveal() != "older" {
		t.Errorf("%d API secrets", len(s.APISecrets))
	}
	if !slices.Equal(s.Scopes, []string{"read_products", "read_inventory"}) || s.APIVersion != "2026-07" {
		t.Errorf("scopes %q, version %q", s.Scopes, s.APIVersion)
	}
	if got := s.ShopURL("a.myshopify.com"); got != "http://127.0.0.1:4010/a.myshopify.com" {
		t.Errorf("ShopURL = %q", got)
	}
	if got, want := c.Facebook, (config.Facebook{
		AppID: "123", AppSecrets: []secret.Secret{secret.New("fbs2"), secret.New("fbs")}, VerifyToken: secret.New("fbv"), LoginConfigID: "9", GraphVersion: "v25.0",
		RedirectURI: "https://stockroom.example/facebook/callback/", GraphURL: "http://localhost:4011", DialogURL: "http://[::1]:4011",
	}); !reflect.DeepEqual(got, want) {
		t.Errorf("Facebook %+v, want %+v", got, want)
	}
	if c.Poll.Zone.String() != "Europe/Berlin" || c.Poll.Spread != 0 || c.Poll.MaxDelete.String() != "12.5%,7" || c.SweepInterval != 0 {
		t.Errorf("Poll %+v, sweep every %v", c.Poll, c.SweepInterval)
	}
	if c.WebhookRetention != 24*time.Hour || c.WebhookRetentionFailed != 48*time.Hour || c.ListenAddr != ":0" {
		t.Errorf("bodies kept %v and %v, listens on %q", c.WebhookRetention, c.WebhookRetentionFailed, c.ListenAddr)
	}
	if c.Roles != (config.Roles{Worker: true, Scheduler: true}) || c.EncryptionKeys.Reveal() != keys || c.AdminPassword.Reveal() != "a long enough one" {
		t.Errorf("roles %+v", c.Roles)
	}
	if !slices.Equal(c.CORSOrigins, []string{"https://a.example", "http://localhost:3000"}) || c.LogLevel != slog.LevelDebug || c.LogFormat != config.LogJSON {
		t.Errorf("origins %q, log %v %q", c.CORSOrigins, c.LogLevel, c.LogFormat)
	}
	if len(c.Warnings) != 0 {
		t.Errorf("warnings %q", c.Warnings)
	}
}

func TestFlagsWinOverEnvironmentOverDotEnv(t *testing.T) {
	dotEnv := write(t, ".env", "LISTEN_ADDR=:1\nLOG_LEVEL=debug\nSHOPIFY_API_VERSION='2026-07' # pinned\nSWEEP_INTERVAL=5m\n")
	c, err := config.Load(config.Source{
		Flags:   map[string]string{"LISTEN_ADDR": ":3"},
		Environ: with("LISTEN_ADDR", ":2", "LOG_LEVEL", "warn", "SWEEP_INTERVAL", ""),
		DotEnv:  dotEnv,
	}, config.NeedAll)
	if err != nil {
		t.Fatal(err)
	}
	if c.ListenAddr != ":3" || c.LogLevel != slog.LevelWarn || c.Shopify.APIVersion != "2026-07" {
		t.Errorf("listens on %q, log %v, version %q; want the flag's, the environment's, the file's", c.ListenAddr, c.LogLevel, c.Shopify.APIVersion)
	}
	if c.SweepInterval != 10*time.Minute {
		t.Errorf("SweepInterval = %v; want the default, as the environment's empty value says", c.SweepInterval)
	}
	for _, s := range c.Show() {
		want, asked := map[string]string{"LISTEN_ADDR": "flag", "LOG_LEVEL": "environment", "SHOPIFY_API_VERSION": ".env", "SWEEP_INTERVAL": ""}[s.Name]
		if asked && s.From != want {
			t.Errorf("%s is said to come from %q, want %q", s.Name, s.From, want)
		}
	}
}

func TestADotEnvFileNeedNotExist(t *testing.T) {
	if got := mistakes(t, config.Source{Environ: with(), DotEnv: filepath.Join(t.TempDir(), ".env")}, config.NeedAll); got != nil {
		t.Errorf("mistakes in %q", got)
	}
}

func TestABadDotEnvFileIsNamedByLineAndNotRepeated(t *testing.T) {
	path := write(t, ".env", "# ours\nLOG_LEVEL=info\nSHOPIFY_API_SECRET hunter2\nLOG_FORMAT=text\n")
	_, err := config.Load(config.Source{DotEnv: path})
	if err == nil || !strings.Contains(err.Error(), "line 3") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Load: %v; want line 3 named and the secret left out", err)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	path := write(t, "api-secret", "hush-from-file\r\n")
	environ := slices.DeleteFunc(with("SHOPIFY_API_SECRET_FILE", path), func(v string) bool { return strings.HasPrefix(v, "SHOPIFY_API_SECRET=") })
	c, err := config.Load(config.Source{Environ: environ}, config.NeedShopify)
	if err != nil || len(c.Shopify.APISecrets) != 1 || c.Shopify.APISecrets[0].Reveal() != "hush-from-file" {
		t.Fatalf("Load: %v, %d secrets; want the file's, without its newline", err, len(c.Shopify.APISecrets))
	}

	if got := mistakes(t, config.Source{Environ: with("SHOPIFY_API_SECRET_FILE", path)}, config.NeedShopify); !slices.Equal(got, []string{"SHOPIFY_API_SECRET"}) {
		t.Errorf("with both set: mistakes in %q", got)
	}
	// The stronger layer's file wins over the weaker one's value.
	c, err = config.Load(config.Source{Flags: map[string]string{"SHOPIFY_API_SECRET_FILE": path}, Environ: with()}, config.NeedShopify)
	if err != nil || c.Shopify.APISecrets[0].Reveal() != "hush-from-file" {
		t.Errorf("the flag's file: %v", err)
	}
	for name, file := range map[string]string{"a missing file": path + "x", "an empty file": write(t, "empty", "\n")} {
		got := mistakes(t, config.Source{Environ: append(environ, "SHOPIFY_API_SECRET_FILE="+file)}, config.NeedShopify)
		if !slices.Equal(got, []string{"SHOPIFY_API_SECRET_FILE"}) {
			t.Errorf("%s: mistakes in %q", name, got)
		}
	}
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	from := config.Source{Environ: []string{
		"LISTEN_ADDR=5000", "DATABASE_URL=stockroom.db", "SHOPIFY_API_SECRET=a,,b", "SHOPIFY_WEBHOOK_ADDRESS=http://stockroom.example/",
		"SHOPIFY_REDIRECT_URI=/shopify/callback", "SHOPIFY_SCOPES=read products", "SHOPIFY_API_VERSION=latest", "SHOPIFY_URL_TEMPLATE=https://shop",
		"FACEBOOK_APP_ID=1", "FACEBOOK_GRAPH_VERSION=26", "FACEBOOK_GRAPH_URL=ftp://x", "FACEBOOK_DIALOG_URL=https://u:p@x",
		"POLL_SCHEDULE=daily", "POLL_TIMEZONE=Berlin", "POLL_SPREAD=48h", "POLL_MAX_DELETE=20,50", "SWEEP_INTERVAL=10", "WEBHOOK_RETENTION=7d",
		"WEBHOOK_RETENTION_FAILED=-1h", "ROLES=web,cook", "ENCRYPTION_KEY=short", "CORS_ALLOWED_ORIGINS=https://a.example/path", "LOG_LEVEL=loud", "LOG_FORMAT=xml",
		"SHOPIFY_ACCESS_TOKEN_A=other.example=tok", "SHOPIFY_ACCESS_TOKEN_B=b.myshopify.com=",
	}}
	want := []string{
		"CORS_ALLOWED_ORIGINS", "DATABASE_URL", "ENCRYPTION_KEY", "FACEBOOK_APP_SECRET", "FACEBOOK_DIALOG_URL", "FACEBOOK_GRAPH_URL", "FACEBOOK_GRAPH_VERSION",
		"FACEBOOK_REDIRECT_URI", "FACEBOOK_VERIFY_TOKEN", "LISTEN_ADDR", "LOG_FORMAT", "LOG_LEVEL", "POLL_MAX_DELETE", "POLL_SCHEDULE", "POLL_SPREAD", "POLL_TIMEZONE", "ROLES",
		"SHOPIFY_ACCESS_TOKEN_A", "SHOPIFY_ACCESS_TOKEN_B", "SHOPIFY_API_KEY", "SHOPIFY_API_SECRET", "SHOPIFY_API_VERSION", "SHOPIFY_REDIRECT_URI", "SHOPIFY_SCOPES",
		"SHOPIFY_URL_TEMPLATE", "SHOPIFY_WEBHOOK_ADDRESS", "SWEEP_INTERVAL", "WEBHOOK_RETENTION", "WEBHOOK_RETENTION_FAILED",
	}
	if got := mistakes(t, from, config.NeedAll); !slices.Equal(got, want) {
		t.Errorf("mistakes in\n%q, want\n%q", got, want)
	}
	_, err := config.Load(from, config.NeedAll)
	for _, name := range want {
		if !strings.Contains(err.Error(), "\n  "+name) {
			t.Errorf("the error has no line for %s:\n%v", name, err)
		}
	}
}

func TestWhatEachSettingRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []string
	}{
		{"LISTEN_ADDR", []string{"5000", "localhost", "localhost:http", ":70000", "::1:80"}},
		{"DATABASE_URL", []string{
			"sqlite::memory:", "sqlite://:memory:", "sqlite://file::memory:?cache=shared", "sqlite://", "sqlite:stockroom.db", "sqlite:///var/",
			"sqlite://a.db?_pragma=x", "mysql://x", "postgres://", "postgres:///db", "postgres://me:p%zz@h/db", "a.db",
		}},
		{"SHOPIFY_API_SECRET", []string{",", "a,", ",a", "a, ,b"}},
		{"SHOPIFY_API_KEY", []string{"two words"}},
		{"SHOPIFY_URL_TEMPLATE", []string{"https://shop", "http://{shop}", "http://10.0.0.1/{shop}", "{shop}", "https://u:p@{shop}"}},
		{"SHOPIFY_WEBHOOK_ADDRESS", []string{"http://shop.example/w", "stockroom.example", "https:///w", "https://:80", "https://a/#x", "http://localhost.evil.example/"}},
		{"SHOPIFY_API_VERSION", []string{"2026-08", "unstable", "2026-10-01"}},
		{"POLL_SCHEDULE", []string{"0 0 * *", "0 0 0 * * *", "61 0 * * *", "@every 24h", "CRON_TZ=UTC 0 0 * * *", "0 0 31 2 *"}},
		{"POLL_MAX_DELETE", []string{"20%", "50", "50,20%", "NaN%,50", "-1%,50", "101%,50", "20%,-1", "20%,1.5", "20%,50,60"}},
		{"SWEEP_INTERVAL", []string{"10", "1ms", "-10m", "off"}},
		{"ROLES", []string{",", "cook", "WEB"}},
		{"ENCRYPTION_KEY", []string{"password", "00", secret.NewKeyset().Reveal() + ",x"}},
		{"CORS_ALLOWED_ORIGINS", []string{"null", "a.example", "https://a.example/", "https://a.example/x", "ftp://a.example", "https://*,x"}},
		{"LOG_FORMAT", []string{"texts"}},
	} {
		for _, value := range tt.values {
			if got := mistakes(t, config.Source{Environ: with(tt.name, value)}, config.NeedAll); !slices.Equal(got, []string{tt.name}) {
				t.Errorf("%s=%s: mistakes in %q, want it refused", tt.name, value, got)
			}
		}
	}
}

func TestWhatEachSettingTakes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []string
	}{
		{"LISTEN_ADDR", []string{"0.0.0.0:80", "[::1]:0", "localhost:5000"}},
		{"DATABASE_URL", []string{"sqlite://./data/a b.db", "sqlite:///var/lib/stockroom.db"}},
		{"SHOPIFY_URL_TEMPLATE", []string{"https://{shop}/", "http://{shop}.localhost:4010", "http://[::1]:1/{shop}", "https://sim.example/{shop}"}},
		{"SHOPIFY_WEBHOOK_ADDRESS", []string{"http://127.8.0.1:5000/shopify/webhook"}},
		{"POLL_SCHEDULE", []string{"@daily", "*/5 * * * *", "0 3 * * MON"}},
		{"POLL_MAX_DELETE", []string{"0%,0", "100%,1000000"}},
		{"POLL_TIMEZONE", []string{"UTC", "America/New_York", ""}},
		{"SWEEP_INTERVAL", []string{"0s", "1s"}},
		{"CORS_ALLOWED_ORIGINS", []string{"*"}},
		{"LOG_LEVEL", []string{"ERROR", "warn"}},
	} {
		for _, value := range tt.values {
			if got := mistakes(t, config.Source{Environ: with(tt.name, value)}, config.NeedAll); got != nil {
				t.Errorf("%s=%s: mistakes in %q, want it taken", tt.name, value, got)
			}
		}
	}
	if got := load(t, "DATABASE_URL", "sqlite:///var/lib/stockroom.db").Database.Path; got != "/var/lib/stockroom.db" {
		t.Errorf("the absolute path is %q", got)
	}
}

func TestACommandIsBotheredOnlyByWhatItNeeds(t *testing.T) {
	broken := []string{"SHOPIFY_URL_TEMPLATE=x", "POLL_SCHEDULE=x", "ENCRYPTION_KEY=x", "ROLES=x"}
	if got := mistakes(t, config.Source{Environ: broken}, config.NeedDatabase); got != nil {
		t.Errorf("a reading command: mistakes in %q", got)
	}
	for _, tt := range []struct {
		environ []string
		need    config.Need
		want    []string
	}{
		{nil, config.NeedShopify, []string{"SHOPIFY_API_KEY", "SHOPIFY_API_SECRET"}},
		{[]string{"SHOPIFY_API_SECRET="}, config.NeedAll, []string{"SHOPIFY_API_KEY", "SHOPIFY_API_SECRET"}},
		{[]string{"SHOPIFY_API_SECRET=  "}, config.NeedShopify, []string{"SHOPIFY_API_KEY", "SHOPIFY_API_SECRET"}},
		{nil, config.NeedKeys, nil},
		{[]string{"DATABASE_URL=postgres://h/db"}, config.NeedDatabase, nil},
		{[]string{"DATABASE_URL=postgres://h/db"}, config.NeedKeys, []string{"ENCRYPTION_KEY"}},
		{nil, config.NeedFacebook, nil},
		{[]string{"FACEBOOK_VERIFY_TOKEN=x"}, config.NeedFacebook, []string{"FACEBOOK_APP_ID", "FACEBOOK_APP_SECRET", "FACEBOOK_REDIRECT_URI"}},
		{[]string{"LOG_LEVEL=x"}, 0, []string{"LOG_LEVEL"}},
	} {
		if got := mistakes(t, config.Source{Environ: tt.environ}, tt.need); !slices.Equal(got, tt.want) {
			t.Errorf("needs %b with %q: mistakes in %q, want %q", tt.need, tt.environ, got, tt.want)
		}
	}
}

func TestTokensOfShopsConnectedByHand(t *testing.T) {
	file := write(t, "token", "from-file.myshopify.com=shpat_file\n")
	c := load(t,
		"SHOPIFY_ACCESS_TOKEN_MY_SHOP", "shpat_1",
		"SHOPIFY_ACCESS_TOKEN_My_Other_MYSHOPIFY_COM", "shpat_2",
		"SHOPIFY_ACCESS_TOKEN_third", "Named.MyShopify.com=shpat_3",
		"SHOPIFY_ACCESS_TOKEN_X_FILE", file,
		"SHOPIFY_ACCESS_TOKEN_EMPTY", "",
	)
	got := map[string]string{}
	for _, token := range c.Shopify.Tokens {
		got[token.Domain] = token.Setting + " " + token.Token.Reveal()
	}
	want := map[string]string{
		"my-shop.myshopify.com":   "SHOPIFY_ACCESS_TOKEN_MY_SHOP shpat_1",
		"my-other.myshopify.com":  "SHOPIFY_ACCESS_TOKEN_My_Other_MYSHOPIFY_COM shpat_2",
		"named.myshopify.com":     "SHOPIFY_ACCESS_TOKEN_third shpat_3",
		"from-file.myshopify.com": "SHOPIFY_ACCESS_TOKEN_X shpat_file",
	}
	if !maps.Equal(got, want) {
		t.Errorf("tokens %q, want %q", got, want)
	}
	for name, value := range map[string]string{
		"SHOPIFY_ACCESS_TOKEN_A":    "shop.example=t",
		"SHOPIFY_ACCESS_TOKEN_B":    "b.myshopify.com.evil.example=t",
		"SHOPIFY_ACCESS_TOKEN_C":    "two tokens",
		"SHOPIFY_ACCESS_TOKEN__D":   "t", // Its name would mean -d.myshopify.com.
		"SHOPIFY_ACCESS_TOKEN_é":    "t",
		"SHOPIFY_ACCESS_TOKEN_E":    "e.myshopify.com=",
		"SHOPIFY_ACCESS_TOKEN_F":    "=t",
		"SHOPIFY_ACCESS_TOKEN_A.b":  "t",
		"SHOPIFY_ACCESS_TOKEN_BOTH": "other.myshopify.com",
	} {
		got := mistakes(t, config.Source{Environ: with(name, value)}, config.NeedAll)
		if name == "SHOPIFY_ACCESS_TOKEN_BOTH" {
			// A bare domain cannot be told from a token: the shop's own answer will.
			if got != nil {
				t.Errorf("%s: mistakes in %q", name, got)
			}
		} else if !slices.Equal(got, []string{name}) {
			t.Errorf("%s=%s: mistakes in %q, want it refused", name, value, got)
		}
	}
	twice := with("SHOPIFY_ACCESS_TOKEN_MY_SHOP", "t", "SHOPIFY_ACCESS_TOKEN_MINE", "my-shop.myshopify.com=t")
	if got := mistakes(t, config.Source{Environ: twice}, config.NeedAll); !slices.Equal(got, []string{"SHOPIFY_ACCESS_TOKEN_MY_SHOP"}) {
		t.Errorf("one shop twice: mistakes in %q", got)
	}
}

func TestLikelyTypingErrorsAreWarnedOf(t *testing.T) {
	c, err := config.Load(config.Source{
		Environ: with("SHOPIFY_API_SECERT", "x", "SHOPFIY_API_KEY", "x", "POLL_SCHEDUL", "x", "ENCRYPTION_KEYFILE", "x", "SHOPIFY_ACCESS_TOKEN", "x",
			"PATH", "/bin", "HOME", "/", "SHOPIFY_FLAG_VERBOSE", "1", "TZ", "UTC", "HOSTNAME", "x"),
		DotEnv: write(t, ".env", "LISTEN_ADRR=x\n"),
	}, config.NeedAll)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SHOPIFY_API_SECERT is not a setting: did you mean SHOPIFY_API_SECRET?", "SHOPFIY_API_KEY", "POLL_SCHEDUL ", "ENCRYPTION_KEYFILE", "SHOPIFY_ACCESS_TOKEN is not", "LISTEN_ADRR"} {
		if !strings.Contains(strings.Join(c.Warnings, "\n"), want) {
			t.Errorf("no warning of %q in %q", want, c.Warnings)
		}
	}
	if len(c.Warnings) != 6 {
		t.Errorf("%d warnings, want 6: %q", len(c.Warnings), c.Warnings)
	}
}

func TestWhatWillNotWorkIsWarnedOf(t *testing.T) {
	for want, changes := range map[string][]string{
		"no shop can log in":       {"SHOPIFY_REDIRECT_URI", ""},
		"no webhooks will come":    {"SHOPIFY_WEBHOOK_ADDRESS", ""},
		"may be guessed":           {"ADMIN_PASSWORD", "admin"},
		"read_products is enough":  {"SHOPIFY_SCOPES", "write_products"},
		"see its password: set it": nil,
	} {
		from := config.Source{Environ: with(append(changes, "ENCRYPTION_KEY", secret.NewKeyset().Reveal())...)}
		if changes == nil {
			from.Flags = map[string]string{"DATABASE_URL": "postgres://me:pw@h/db"}
		}
		c, err := config.Load(from, config.NeedAll)
		if err != nil || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], want) {
			t.Errorf("with %q: warnings %q, %v; want %q", changes, c.Warnings, err, want)
		}
	}
}

func TestSecretsAreNeverPrinted(t *testing.T) {
	key := secret.NewKeyset().Reveal()
	secrets := []string{"hunter2", key}
	good := with("DATABASE_URL", "postgres://me:hunter2@h/db?password=hunter2", "SHOPIFY_API_SECRET", "hunter2,hunter2old", "ENCRYPTION_KEY", key,
		"ADMIN_PASSWORD", "hunter2", "FACEBOOK_APP_ID", "1", "FACEBOOK_APP_SECRET", "hunter2", "FACEBOOK_VERIFY_TOKEN", "hunter2",
		"FACEBOOK_REDIRECT_URI", "https://a.example/facebook/callback", "SHOPIFY_ACCESS_TOKEN_A", "hunter2", "SHOPIFY_ACCESS_TOKEN_B", "b-shop.myshopify.com=hunter2")
	c, err := config.Load(config.Source{Environ: good}, config.NeedAll)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "%v %+v %#v %s %q %v %+v %#v", c, c, c, c, &c, c.Show(), c.Shopify, c.Facebook)
	fmt.Fprintf(&out, "%+v %#v %v", c.Database, c.Database, c.Warnings)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "config", c, "database", c.Database)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "config", c, "shopify", c.Shopify)
	if err := json.NewEncoder(&out).Encode(c); err != nil {
		t.Fatal(err)
	}

	// A secret that is mistyped, or set under another name, is in no error.
	bad := []string{"SHOPIFY_ACCESS_TOKEN_A=x=hunter2", "SHOPIFY_ACCESS_TOKEN_A.B=hunter2", "SHOPIFY_API_SECRET=hunter2,", "ENCRYPTION_KEY=hunter2"}
	for _, s := range config.Settings {
		if !s.Secret {
			bad = append(bad, s.Name+"=postgres//me:hunter2@h\x7f hunter2")
		}
	}
	_, err = config.Load(config.Source{Environ: bad}, config.NeedAll)
	fmt.Fprintln(&out, err)
	_, _, err = config.TakeFlags([]string{"--shopify-api-secret", "hunter2", "--admin-password=hunter2", "--shopify-access-token-a", "hunter2"})
	fmt.Fprintln(&out, err)
	for _, s := range secrets {
		if i := strings.Index(out.String(), s); i >= 0 {
			t.Errorf("a secret was printed: …%s…", out.String()[max(0, i-120):min(out.Len(), i+40)])
		}
	}
	for _, want := range []string{"SHOPIFY_API_SECRET=[redacted]", "DATABASE_URL=postgres://me@h/db", "SHOPIFY_ACCESS_TOKEN_B=b-shop.myshopify.com=[redacted]", "POLL_SPREAD=1h"} {
		if !strings.Contains(c.String(), want+"\n") {
			t.Errorf("no line %q in:\n%v", want, c)
		}
	}
}

func TestFlagsAreTakenFromAnywhereAndTheRestIsLeft(t *testing.T) {
	flags, rest, err := config.TakeFlags([]string{
		"--log-level", "debug", "poll", "--shop", "a", "--database-url=sqlite://a=b.db", "--json", "--shopify-api-secret-file", "/run/s",
		"--shopify-access-token-my-shop-file=/run/t", "--", "--log-format", "json",
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]string{"LOG_LEVEL": "debug", "DATABASE_URL": "sqlite://a=b.db", "SHOPIFY_API_SECRET_FILE": "/run/s", "SHOPIFY_ACCESS_TOKEN_MY_SHOP_FILE": "/run/t"}; !maps.Equal(flags, want) {
		t.Errorf("flags %q, want %q", flags, want)
	}
	if want := []string{"poll", "--shop", "a", "--json", "--", "--log-format", "json"}; !slices.Equal(rest, want) {
		t.Errorf("the rest is %q, want %q", rest, want)
	}
	for _, args := range [][]string{{"serve", "--log-level"}, {"--encryption-key", "x"}, {"--shopify-access-token-a=x"}} {
		_, _, err := config.TakeFlags(args)
		if _, ok := errors.AsType[*config.InvalidError](err); !ok {
			t.Errorf("TakeFlags(%q): %v; want an *InvalidError", args, err)
		}
	}
}

func TestEveryFlagIsListed(t *testing.T) {
	var out bytes.Buffer
	if err := config.WriteFlags(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  --database-url ", "  --encryption-key-file ", "  --poll-schedule ", "0 0 * * *"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
}

var update = flag.Bool("update", false, "write docs/settings.md anew")

func TestSettingsPageIsUpToDate(t *testing.T) {
	const path = "../../docs/settings.md"
	if *update {
		if err := os.WriteFile(path, []byte(config.Page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != config.Page() {
		t.Errorf("docs/settings.md (%v) is not what the table of settings says: run go generate ./internal/config", err)
	}
	for _, s := range config.Settings {
		if !strings.Contains(string(got), "| `"+s.Name+"` |") {
			t.Errorf("docs/settings.md does not list %s", s.Name)
		}
	}
}
