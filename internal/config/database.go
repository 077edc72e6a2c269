package config

import (
	"errors"
	"net/url"
	"strings"

	"stockroom/internal/secret"
)

// Engine is a kind of database.
type Engine string

const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Database is where the copy is kept.
type Database struct {
	Engine Engine
	Path   string        // SQLite's file, as it was given; empty for PostgreSQL.
	URL    secret.Secret // The whole address, for the store to open; PostgreSQL's may hold a password.

	shown       string
	hasPassword bool
}

// KeyFile is where the encryption keys are kept where none are set; empty for
// PostgreSQL, whose processes may be on several machines.
func (d Database) KeyFile() string {
	if d.Engine != SQLite {
		return ""
	}
	return d.Path + ".key"
}

// String is the address without password and options.
func (d Database) String() string { return d.shown }

func parseDatabase(c *Config, value string) error {
	scheme, rest, found := strings.Cut(value, ":")
	switch {
	case found && scheme == string(SQLite):
		path, slashes := strings.CutPrefix(rest, "//")
		switch {
		case strings.Contains(rest, ":memory:") || strings.Contains(rest, "mode=memory"):
			return errors.New("must be a file: a database in memory would be lost with the process, and what it answered for with it")
		case !slashes || path == "" || strings.HasSuffix(path, "/"):
			return errors.New("must be sqlite://PATH, such as sqlite://stockroom.db or sqlite:///var/lib/stockroom.db")
		case strings.Contains(path, "?"):
			return errors.New("must not hold options after the path: Stockroom sets them itself")
		}
		c.Database = Database{Engine: SQLite, Path: path, URL: secret.New(value), shown: "sqlite://" + path}
		return nil
	case found && (scheme == "postgres" || scheme == "postgresql"):
		// The parser's error would repeat the address, and with it the password.
		u, err := url.Parse(value)
		if err != nil || u.Host == "" && u.Query().Get("host") == "" {
			return errors.New("must be postgres://USER:PASSWORD@HOST/NAME, where special letters of the password are written like %40")
		}
		shown := url.URL{Scheme: "postgres", Host: u.Host, Path: u.Path}
		if name := u.User.Username(); name != "" {
			shown.User = url.User(name)
		}
		_, hasPassword := u.User.Password()
		c.Database = Database{
			Engine: Postgres, URL: secret.New(value), shown: shown.String(),
			hasPassword: hasPassword || u.Query().Has("password"),
		}
		return nil
	}
	return errors.New("must begin with sqlite:// or postgres://, such as sqlite://stockroom.db")
}
