package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/joho/godotenv"

	"stockroom/internal/secret"
)

// Source is where settings come from. Flags win over the environment, which
// wins over the .env file. An empty value means the default.
type Source struct {
	Flags   map[string]string // By the setting's name, as TakeFlags gives them.
	Environ []string          // As os.Environ gives it.
	DotEnv  string            // The path of a .env file, which need not exist; empty: none.
}

// Load reads the settings that these needs call for. The error, where there is
// one, is an *InvalidError that holds every mistake; the Config beside it holds
// the rest and is good for logging by. Warnings come with or without an error.
func Load(from Source, needs ...Need) (Config, error) {
	var l loader
	for _, need := range needs {
		l.need |= need
	}
	if l.need&NeedKeys != 0 {
		l.need |= NeedDatabase
	}
	l.layers = []layer{{"flag", from.Flags}, {"environment", environ(from.Environ)}, {".env", l.dotEnv(from.DotEnv)}}

	for _, s := range Settings {
		if s.Need != 0 && l.need&s.Need == 0 {
			continue
		}
		if s.parse == nil {
			l.loadTokens()
			continue
		}
		l.load(s)
	}
	l.checkTogether()
	l.warnOfTypos()
	if len(l.mistakes) > 0 {
		return l.config, &InvalidError{l.mistakes}
	}
	return l.config, nil
}

type layer struct {
	name   string
	values map[string]string
}

type loader struct {
	need     Need
	layers   []layer // The strongest first.
	config   Config
	mistakes []Mistake
}

func (l *loader) mistake(name, from, problem string, args ...any) {
	l.mistakes = append(l.mistakes, Mistake{name, from, fmt.Sprintf(problem, args...)})
}

func (c *Config) warn(warning string, args ...any) {
	c.Warnings = append(c.Warnings, fmt.Sprintf(warning, args...))
}

// load finds, parses and keeps one setting.
func (l *loader) load(s Setting) {
	value, from, ok := l.find(s.Name, s.HasFile())
	if !ok {
		return
	}
	shown := Shown{Name: s.Name, Value: value, From: from}
	if value == "" {
		value, shown.Value, shown.From = s.Default, s.Default, ""
	} else if s.Secret {
		shown.Value = secret.New(value).String()
	}
	if value != "" {
		if err := s.parse(&l.config, value); err != nil {
			l.mistake(s.Name, from, "%v", err)
			return
		}
	}
	if s.Name == "DATABASE_URL" {
		shown.Value = l.config.Database.String()
		if from == "flag" && l.config.Database.hasPassword {
			l.config.warn("DATABASE_URL was given as a flag, so that others on this machine can see its password: set it in the environment, or DATABASE_URL_FILE")
		}
	}
	l.config.shown = append(l.config.shown, shown)
}

// find gives the value of a setting from the strongest layer that has it, or
// from the file that NAME_FILE names there. It is false after a mistake.
func (l *loader) find(name string, hasFile bool) (value, from string, ok bool) {
	for _, layer := range l.layers {
		value, set := layer.values[name]
		file, fileSet := "", false
		if hasFile {
			file, fileSet = layer.values[name+"_FILE"]
		}
		switch {
		case value != "" && file != "":
			l.mistake(name, layer.name, "is set beside %s_FILE: unset one of them", name)
			return "", "", false
		case file != "":
			b, err := os.ReadFile(file)
			if err != nil {
				l.mistake(name+"_FILE", layer.name, "%v", err)
				return "", "", false
			}
			value = strings.TrimSpace(strings.TrimRight(string(b), "\r\n"))
			if value == "" {
				l.mistake(name+"_FILE", layer.name, "the file %s is empty", file)
				return "", "", false
			}
			return value, "file " + file, true
		case set || fileSet:
			return strings.TrimSpace(value), layer.name, true
		}
	}
	return "", "", true
}

// names lists the variables of all layers.
func (l *loader) names() []string {
	var names []string
	for _, layer := range l.layers {
		names = slices.AppendSeq(names, maps.Keys(layer.values))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// domainPattern is the form of a shop's domain that Shopify documents for the
// "shop" parameter ("About the authorization code grant", seen October 2026),
// in lower case.
var domainPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*\.myshopify\.com$`)

// loadTokens reads the tokens of shops connected by hand. A name stands for one
// domain and is never searched for: a token sent to the wrong shop is leaked.
func (l *loader) loadTokens() {
	var names []string
	for _, name := range l.names() {
		if suffix, ok := strings.CutPrefix(name, tokenPrefix); ok && suffix != "" {
			names = append(names, strings.TrimSuffix(name, "_FILE"))
		}
	}
	slices.Sort(names)
	owner := map[string]string{}
	for _, name := range slices.Compact(names) {
		value, from, ok := l.find(name, true)
		if !ok || value == "" {
			continue
		}
		domain, token, given := strings.Cut(value, "=")
		if !given {
			domain, token = domainOf(strings.TrimPrefix(name, tokenPrefix)), value
		}
		domain, token = strings.ToLower(strings.TrimSpace(domain)), strings.TrimSpace(token)
		switch {
		case given && !domainPattern.MatchString(domain):
			l.mistake(name, from, "must be domain=token with a domain such as example.myshopify.com, or the token alone")
		case !domainPattern.MatchString(domain):
			l.mistake(name, from, "its name stands for no shop's domain: write domain=token with a domain such as example.myshopify.com")
		case token == "" || strings.ContainsAny(token, " \t\r\n"):
			l.mistake(name, from, "must hold one token, without white space")
		case owner[domain] != "":
			l.mistake(name, from, "is for %s, as %s is: unset one of them", domain, owner[domain])
		default:
			owner[domain] = name
			l.config.Shopify.Tokens = append(l.config.Shopify.Tokens, ShopToken{name, domain, secret.New(token)})
			l.config.shown = append(l.config.shown, Shown{name, domain + "=" + secret.New(token).String(), from})
		}
	}
}

// domainOf reads the rest of a variable's name as a shop's domain.
func domainOf(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), "_myshopify_com")
	return strings.ReplaceAll(name, "_", "-") + ".myshopify.com"
}

// checkTogether finds what is right by itself and wrong beside the rest.
func (l *loader) checkTogether() {
	c := &l.config
	if l.need&NeedKeys != 0 && c.Database.Engine == Postgres {
		l.require("ENCRYPTION_KEY", "is required with postgres://: make one with openssl rand -base64 32, and give it to every process")
	}
	if l.need&NeedShopify != 0 {
		l.require("SHOPIFY_API_KEY", "is not set: copy the client id from the app's settings at Shopify")
		l.require("SHOPIFY_API_SECRET", "is not set: copy the client secret from the app's settings at Shopify")
	}
	if l.need&NeedShopify != 0 && l.need&NeedService != 0 {
		if l.isMissing("SHOPIFY_REDIRECT_URI") {
			c.warn("SHOPIFY_REDIRECT_URI is not set: no shop can log in; set it to the public address of /shopify/callback")
		}
		if l.isMissing("SHOPIFY_WEBHOOK_ADDRESS") {
			c.warn("SHOPIFY_WEBHOOK_ADDRESS is not set: no webhooks will come, and changes are found by polls alone; set it to the public address of /shopify/webhook")
		}
	}
	if l.need&NeedFacebook != 0 {
		required := []string{"FACEBOOK_APP_ID", "FACEBOOK_APP_SECRET", "FACEBOOK_REDIRECT_URI", "FACEBOOK_VERIFY_TOKEN"}
		if !slices.ContainsFunc(required, func(name string) bool { return !l.isMissing(name) }) {
			return
		}
		for _, name := range required {
			l.require(name, "is not set, though other settings of Meta's are: set it, or unset them all")
		}
	}
}

func (l *loader) require(name, problem string) {
	if l.isMissing(name) {
		l.mistake(name, "", "%s", problem)
	}
}

// isMissing tells whether a setting was neither set nor mistaken.
func (l *loader) isMissing(name string) bool {
	for _, m := range l.mistakes {
		if strings.TrimSuffix(m.Name, "_FILE") == name {
			return false
		}
	}
	return !slices.ContainsFunc(l.config.shown, func(s Shown) bool { return s.Name == name && s.Value != "" })
}

// warnOfTypos names variables that are no setting but nearly are: one typed
// wrong would otherwise leave its setting at the default without a word.
func (l *loader) warnOfTypos() {
	known := map[string]bool{}
	for _, s := range Settings {
		known[s.Name] = true
		if s.HasFile() {
			known[s.Name+"_FILE"] = true
		}
	}
	sorted := slices.Sorted(maps.Keys(known))
	for _, name := range l.names() {
		switch {
		case known[name] || strings.HasPrefix(name, tokenPrefix) && name != tokenPrefix:
		case name == strings.TrimSuffix(tokenPrefix, "_") || name == tokenPrefix:
			l.config.warn("%s is not a setting: its name must say which shop's token it is, as %sMY_SHOP does", name, tokenPrefix)
		default:
			for _, right := range sorted {
				// A letter in five may be wrong, so that short names are not
				// taken for each other.
				if levenshtein.ComputeDistance(name, right) <= min(2, len(right)/5) {
					l.config.warn("%s is not a setting: did you mean %s?", name, right)
					break
				}
			}
		}
	}
}

// dotEnv reads a .env file. The parser's error repeats what follows the place it
// stumbled at, secrets included, so only the line's number is told.
func (l *loader) dotEnv(path string) map[string]string {
	if path == "" {
		return nil
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.mistake(".env", "", "%v", err)
		return nil
	}
	values, err := godotenv.UnmarshalBytes(b)
	if err == nil {
		return values
	}
	// The mistake is on the line after the longest good beginning.
	lines := strings.SplitAfter(string(b), "\n")
	good := len(lines) - 1
	for ; good > 0; good-- {
		if _, err := godotenv.Unmarshal(strings.Join(lines[:good], "")); err == nil {
			break
		}
	}
	l.mistake(".env", "", "%s, line %d: must be NAME=value; a value with spaces, quotes or # belongs in single quotes", path, good+1)
	return nil
}

func environ(pairs []string) map[string]string {
	values := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		if name, value, ok := strings.Cut(pair, "="); ok {
			values[name] = value
		}
	}
	return values
}
