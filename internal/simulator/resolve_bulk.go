package simulator

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"stockroom/internal/simulator/graph"
)

const typeBulk = "BulkOperation"

// bulkFilters are what bulkOperations can be searched by.
var bulkFilters = map[string]graph.Filter[*BulkOperation]{
	"id": graph.ByID(func(b *BulkOperation) []int64 { return []int64{b.ID} }),
	// Recorded: expired is not accepted.
	"status":         graph.ByChoice(func(b *BulkOperation) string { return b.Status }, "canceled", "canceling", "completed", "created", "failed", "running"),
	"operation_type": graph.ByChoice(func(b *BulkOperation) string { return b.Type }, "query", "mutation"),
	"created_at":     graph.ByTime(func(b *BulkOperation) time.Time { return b.CreatedAt }),
}

func init() {
	size := func(get func(*BulkOperation) int64) resolver {
		return of(func(b *BulkOperation) any { return number(get(b)) })
	}
	define(fields{
		"id":              of(func(b *BulkOperation) any { return b.GID() }),
		"type":            of(func(b *BulkOperation) any { return cmp.Or(b.Type, "QUERY") }),
		"status":          of(func(b *BulkOperation) any { return b.Status }),
		"errorCode":       of(func(b *BulkOperation) any { return nullable(b.ErrorCode) }),
		"query":           of(func(b *BulkOperation) any { return b.Query }),
		"createdAt":       of(func(b *BulkOperation) any { return b.CreatedAt }),
		"completedAt":     of(func(b *BulkOperation) any { return moment(b.CompletedAt) }),
		"objectCount":     size(func(b *BulkOperation) int64 { return b.ObjectCount }),
		"rootObjectCount": size(func(b *BulkOperation) int64 { return b.RootObjectCount }),
		"url":             of(func(b *BulkOperation) any { return nullable(b.URL) }),
		"partialDataUrl":  of(func(b *BulkOperation) any { return nullable(b.PartialDataURL) }),
		"fileSize": of(func(b *BulkOperation) any {
			if b.FileSize == 0 {
				return nil
			}
			return number(b.FileSize)
		}),
	}, typeBulk)
	extend(fields{
		"bulkOperation": func(q *query, _ any, args map[string]any) (any, error) {
			id, err := numberOf(args["id"], typeBulk)
			if err != nil {
				return nil, err
			}
			return q.bulk(q.access.Installation.bulkOperation(id)), nil
		},
		"bulkOperations": func(q *query, _ any, args map[string]any) (any, error) { return q.pageBulk(args) },
		"currentBulkOperation": func(q *query, _ any, args map[string]any) (any, error) {
			kind, _ := args["type"].(string)
			var latest *BulkOperation
			for _, b := range q.access.Installation.bulkOperations() {
				if cmp.Or(b.Type, "QUERY") == kind {
					latest = b
				}
			}
			return q.bulk(latest), nil
		},
	}, "QueryRoot")
	// Starting and cancelling need no scope of their own: what the query reads does.
	mutationWith("bulkOperationRunQuery", "", "userErrors", "BulkOperationUserError", func(q *query, in input) (payload, error) {
		started, problems := q.access.Installation.startBulk(q.access, in.text("query"), in.flag("groupObjects"))
		return payload{map[string]any{"bulkOperation": q.bulk(started)}, problems}, nil
	}, "bulkOperation")
	mutation("bulkOperationCancel", "", func(q *query, in input) (payload, error) {
		id, err := in.id("id", typeBulk)
		if err != nil {
			return payload{}, err
		}
		cancelled, problems := q.access.Installation.cancelBulk(q.access, id)
		return payload{map[string]any{"bulkOperation": q.bulk(cancelled)}, problems}, nil
	}, "bulkOperation")
}

// bulk is an operation as an object, or nil.
func (q *query) bulk(b *BulkOperation) any {
	if b == nil {
		return nil
	}
	return q.object(typeBulk, b)
}

func (q *query) pageBulk(args map[string]any) (any, error) {
	rows := q.access.Installation.bulkOperations()
	match, report := search(q, args, graph.Vocabulary[*BulkOperation]{Fields: bulkFilters})
	// Recorded of this list alone; others warn and find what they would without.
	if report != nil && slices.ContainsFunc(report.Warnings, func(w graph.SearchWarning) bool { return w.Field == "created_at" }) {
		return nil, graph.Errorf(graph.CodeBadRequest, "Invalid timestamp for query filter `created_at`.")
	}
	if match != nil {
		rows = slices.DeleteFunc(rows, func(b *BulkOperation) bool { return !match(b) })
	}
	key := func(b *BulkOperation) graph.Key {
		at := b.CreatedAt
		if strings.HasPrefix(args["sortKey"].(string), "COMPLETED") {
			at = b.CompletedAt
		}
		return graph.Key{Value: sortable(at), ID: b.ID}
	}
	connection, err := graph.Connect(args, graph.SortTime, graph.Sorted(rows, key, func(b *BulkOperation) graph.Object { return q.object(typeBulk, b) }))
	if err != nil {
		return nil, err
	}
	connection.Search = report
	return connection, nil
}
