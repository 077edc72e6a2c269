package store

import (
	linked "container/list"
	"context"
	"database/sql/driver"
	"fmt"
)

// Parsing and planning a statement costs SQLite as much as running most of ours,
// and database/sql prepares one anew each time, unless its caller keeps an
// sql.Stmt, which a transaction cannot make on its own connection and leave for
// the next. So each connection keeps those it last ran.

// keptText bounds the texts of the statements that a connection keeps, in bytes.
// What SQLite makes of one is some ten times as large.
const keptText = 128 << 10

// keeping opens connections that keep their statements.
type keeping struct{ driver.Connector }

// Connect implements driver.Connector.
func (k keeping) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := k.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := conn.(sqliteConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("the SQLite driver's connections are %T, and lack what this program needs of them", conn)
	}
	return &keeper{sqliteConn: inner, kept: map[string]*linked.Element{}, latest: linked.New()}, nil
}

// sqliteConn is what the driver's connections can, and database/sql asks for.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// sqliteStmt is what the driver's statements can.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// keeper is a connection and the idle statements that it keeps, one of each text.
// Like every driver.Conn it is used by one goroutine at a time.
type keeper struct {
	sqliteConn
	kept   map[string]*linked.Element
	latest *linked.List // Of statement, the one that was used last in front.
	size   int          // Of the texts kept.
}

type statement struct {
	text string
	stmt sqliteStmt
}

// Unwrap is how the driver finds its own connection.
func (k *keeper) Unwrap() driver.Conn { return k.sqliteConn }

// take lends a statement: until it is given back nobody else runs it.
func (k *keeper) take(ctx context.Context, text string) (statement, error) {
	if at, ok := k.kept[text]; ok {
		k.forget(at)
		return at.Value.(statement), nil
	}
	stmt, err := k.PrepareContext(ctx, text)
	if err != nil {
		return statement{}, err
	}
	return statement{text, stmt.(sqliteStmt)}, nil
}

// give takes a statement back, and closes those for which there is no room.
func (k *keeper) give(s statement) error {
	if at, ok := k.kept[s.text]; ok { // Two ran at once.
		k.latest.MoveToFront(at)
		return s.stmt.Close()
	}
	k.kept[s.text] = k.latest.PushFront(s)
	k.size += len(s.text)
	for k.size > keptText {
		oldest := k.latest.Back()
		k.forget(oldest)
		if err := oldest.Value.(statement).stmt.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) forget(at *linked.Element) {
	text := at.Value.(statement).text
	delete(k.kept, text)
	k.latest.Remove(at)
	k.size -= len(text)
}

// ExecContext implements driver.ExecerContext.
func (k *keeper) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := k.take(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := s.stmt.ExecContext(ctx, args)
	if err != nil {
		s.stmt.Close()
		return nil, err
	}
	return result, k.give(s)
}

// QueryContext implements driver.QueryerContext.
func (k *keeper) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := k.take(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := s.stmt.QueryContext(ctx, args)
	if err != nil {
		s.stmt.Close()
		return nil, err
	}
	return &lentRows{rows, k, s}, nil
}

// lentRows give their statement back when they are closed.
type lentRows struct {
	driver.Rows
	keeper *keeper
	lent   statement
}

// Close implements driver.Rows.
func (r *lentRows) Close() error {
	if err := r.Rows.Close(); err != nil {
		r.lent.stmt.Close()
		return err
	}
	return r.keeper.give(r.lent)
}

// Close implements driver.Conn.
func (k *keeper) Close() error {
	for at := k.latest.Front(); at != nil; at = at.Next() {
		at.Value.(statement).stmt.Close()
	}
	return k.sqliteConn.Close()
}
