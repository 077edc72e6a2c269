// Package store is the database: schema, migrations and every query.
//
// It promises that no connection is handed out before the schema is current,
// that a write transaction that returned nil is on disk (a killed process or a
// power cut loses nothing, where the disk honours fsync), and that a read
// transaction sees one state of the database. It decides nothing about what is
// stored: that is left to package mirror and package apply.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
)

//go:embed migrations
var migrations embed.FS

// ErrNotFound says that no such row exists.
var ErrNotFound = errors.New("not found")

// Store is one database. Its methods may be called from any goroutine.
type Store struct {
	// write has a single connection: SQLite has one writer at a time, and
	// waiting for a connection is fairer than waiting for the file's lock.
	// Never ask for it while holding a transaction of it.
	write *sql.DB
	read  *sql.DB
	path  string

	interfere func(Moment) error // See Interfere.
}

// Moment is one within a write at which a process can die, or a disk be full.
type Moment int

const (
	BeforeCommit Moment = iota
	AfterCommit
)

// Interfere is for tests of what happens at the worst moment: do is called at
// each moment of every write transaction. What it returns before the commit
// rolls back, as a full disk does; what it returns after the commit is told to the
// caller although all is on disk. Call it before the store is used.
func (s *Store) Interfere(do func(Moment) error) { s.interfere = do }

// readers bounds the open read transactions; further ones wait.
const readers = 8

// Mode says what a program needs of the database.
type Mode int

const (
	// ReadWrite creates the file and brings its schema up to date.
	ReadWrite Mode = iota
	// Beside writes to an existing file whose schema must be current, beside a
	// running service: it neither makes nor migrates a database.
	Beside
	// ReadOnly opens an existing file whose schema must be current, beside a running service.
	ReadOnly
)

// Open opens the database at a URL such as sqlite://stockroom.db.
//
// A ReadOnly open of a missing file, or of one whose schema is older or newer
// than this program's, is an error that says what to do.
func Open(ctx context.Context, databaseURL string, mode Mode) (*Store, error) {
	path, err := pathOf(databaseURL)
	if err != nil {
		return nil, err
	}
	s := &Store{path: path}
	if err := ensureFile(path, mode); err != nil {
		return nil, err
	}
	switch mode {
	case ReadWrite:
		if s.write, err = openPool(path, 1, "mode=rwc&_txlock=immediate"); err != nil {
			return nil, err
		}
		if err := s.migrate(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	case Beside:
		if s.write, err = openPool(path, 1, "mode=rw&_txlock=immediate"); err != nil {
			return nil, err
		}
	}
	if s.read, err = openPool(path, readers, "mode=ro"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.checkSchema(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func pathOf(databaseURL string) (string, error) {
	path, ok := strings.CutPrefix(databaseURL, "sqlite://")
	if !ok || path == "" {
		return "", errors.New("open database: this version keeps its data in SQLite, DATABASE_URL must look like sqlite://stockroom.db")
	}
	return path, nil
}

// ensureFile makes the database's file where it may be made, for its owner's
// eyes alone: it holds the shops' data. SQLite gives the files beside it the same mode.
func ensureFile(path string, mode Mode) error {
	if mode != ReadWrite {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("there is no database at %s: `stockroom serve` makes one; DATABASE_URL says where it is", path)
		}
		return nil
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	return file.Close()
}

func openPool(path string, size int, extra string) (*sql.DB, error) {
	// FULL costs next to nothing under group commit, and NORMAL may lose the
	// last commits in a power cut. secure_delete overwrites what is deleted: what
	// was not overwritten at its time is found by no later erasure.
	dsn := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + extra +
		"&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=temp_store(MEMORY)&_pragma=secure_delete(1)"
	if strings.Contains(extra, "mode=ro") {
		dsn = strings.Replace(dsn, "&_pragma=journal_mode(WAL)", "", 1)
	}
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	db := sql.OpenDB(keeping{connector})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return db, nil
}

// Close gives the connections back. Transactions still open keep theirs until they end.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Path is the database's file; empty where it is a server.
func (s *Store) Path() string { return s.path }

// Writer is the pool of the one writing connection, for the job engine, whose
// tables lie beside ours.
func (s *Store) Writer() *sql.DB { return s.write }

func (s *Store) provider() (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectSQLite3, s.write, files, goose.WithSlog(slog.New(slog.DiscardHandler)))
}

func (s *Store) migrate(ctx context.Context) error {
	provider, err := s.provider()
	if err != nil {
		return fmt.Errorf("migrate %s: %w", s.path, err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate %s: %w", s.path, err)
	}
	return nil
}

// SchemaVersion is the number of the newest migration that the database has had.
func (s *Store) SchemaVersion(ctx context.Context) (int64, error) {
	var version int64
	err := s.read.QueryRowContext(ctx, `SELECT COALESCE(MAX(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("read schema version of %s: %w", s.path, err)
	}
	return version, nil
}

// newest is the number of the newest migration that this program brings.
func newest() (int64, error) {
	names, err := fs.Glob(migrations, "migrations/sqlite/*.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("embedded migrations: %d found, %w", len(names), err)
	}
	var version int64
	for _, name := range names {
		number, err := goose.NumericComponent(filepath.Base(name))
		if err != nil {
			return 0, err
		}
		version = max(version, number)
	}
	return version, nil
}

func (s *Store) checkSchema(ctx context.Context) error {
	want, err := newest()
	if err != nil {
		return err
	}
	have, err := s.SchemaVersion(ctx)
	if err != nil {
		return fmt.Errorf("%w: is this a Stockroom database?", err)
	}
	switch {
	case have < want:
		return fmt.Errorf("database %s has schema %d, this program needs %d: run `stockroom migrate`", s.path, have, want)
	case have > want:
		return fmt.Errorf("database %s has schema %d, newer than this program's %d: use a newer stockroom", s.path, have, want)
	}
	return nil
}

// Tx is a transaction. It must not be used after the function it was given to returns.
type Tx struct {
	ctx    context.Context
	tx     *sql.Tx
	scopes map[int64][]string // Of shops, where they were asked for.
}

// SQL is the transaction underneath, for inserting jobs with the data they belong to.
func (t *Tx) SQL() *sql.Tx { return t.tx }

// Update runs do in a write transaction, committed and synced to disk when do
// returns nil, rolled back otherwise. Writers run one after another.
func (s *Store) Update(ctx context.Context, do func(*Tx) error) error {
	if s.write == nil {
		return errors.New("write: the database was opened read-only")
	}
	if s.interfere == nil {
		return transact(ctx, s.write, do)
	}
	err := transact(ctx, s.write, func(tx *Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return s.interfere(BeforeCommit)
	})
	if err != nil {
		return err
	}
	return s.interfere(AfterCommit)
}

// View runs do in a read transaction: all it reads is of one moment.
func (s *Store) View(ctx context.Context, do func(*Tx) error) error {
	return transact(ctx, s.read, do)
}

func transact(ctx context.Context, db *sql.DB, do func(*Tx) error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // After a commit it does nothing.
	if err := do(&Tx{ctx: ctx, tx: tx}); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (t *Tx) exec(query string, args ...any) (int64, error) {
	result, err := t.tx.ExecContext(t.ctx, unnumbered(query), args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// one scans the single row of a query; ErrNotFound when there is none.
func (t *Tx) one(query string, args []any, into ...any) error {
	err := t.tx.QueryRowContext(t.ctx, unnumbered(query), args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// each calls do for every row of a query; do scans it.
func (t *Tx) each(query string, args []any, do func(scan func(...any) error) error) error {
	rows, err := t.tx.QueryContext(t.ctx, unnumbered(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// list gathers the rows of a query, which must be bounded.
func list[T any](t *Tx, query string, args []any, scan func(func(...any) error) (T, error)) ([]T, error) {
	var all []T
	err := t.each(query, args, func(scanRow func(...any) error) error {
		one, err := scan(scanRow)
		all = append(all, one)
		return err
	})
	return all, err
}

// unnumbered writes a query's parameters $1, $2, ... as plain question marks
// where each stands once and in order, as in all statements of many rows.
// SQLite takes $1 for a name and looks it up among all others, so that a
// statement's cost would grow with the square of its parameters.
func unnumbered(query string) string {
	var out strings.Builder
	rest, next := query, 1
	for {
		before, after, found := strings.Cut(rest, "$")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		digits := len(after) - len(strings.TrimLeft(after, "0123456789"))
		if number, err := strconv.Atoi(after[:digits]); err != nil || number != next {
			return query
		}
		out.WriteByte('?')
		rest, next = after[digits:], next+1
	}
}

// maxArgs bounds the parameters of one statement, below every engine's limit.
const maxArgs = 8000

// placeholders writes n groups of size numbered parameters: ($1,$2),($3,$4).
func placeholders(from, n, size int) string {
	var out strings.Builder
	for i := range n {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('(')
		for j := range size {
			if j > 0 {
				out.WriteByte(',')
			}
			fmt.Fprintf(&out, "$%d", from+i*size+j)
		}
		out.WriteByte(')')
	}
	return out.String()
}

// in writes a list of n numbered parameters: ($3,$4,$5).
func in(from, n int) string { return placeholders(from, 1, n) }

// chunks cuts a slice so that each part needs at most maxArgs parameters of size each.
func chunks[T any](all []T, size int, do func([]T) error) error {
	step := max(1, maxArgs/size)
	for len(all) > 0 {
		part := all[:min(step, len(all))]
		all = all[len(part):]
		if err := do(part); err != nil {
			return err
		}
	}
	return nil
}

// QuickCheck reads every page of the database and says what is wrong with it.
func (s *Store) QuickCheck(ctx context.Context) error {
	var said string
	if err := s.read.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&said); err != nil {
		return fmt.Errorf("check %s: %w", s.path, err)
	}
	if said != "ok" {
		return fmt.Errorf("check %s: %s", s.path, said)
	}
	return nil
}
