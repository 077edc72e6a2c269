package simulator

import (
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"stockroom/internal/simulator/graph"
)

// Unlimited answers a request whatever it costs, for tests that ask for everything.
func (s *Shop) Unlimited(t *testing.T, access Access, request graph.Request) graph.Result {
	t.Helper()
	op, problems := schemaOf(access.APIVersion).Prepare(request)
	if len(problems) > 0 {
		t.Fatalf("%s: %s", request.Query, problems[0].Message)
	}
	return s.execute(t.Context(), access, op)
}

// SchemaOf is the schema by which a version is answered.
func SchemaOf(version string) *ast.Schema { return schemaOf(version).AST() }

// StableVersions are the versions that are alive.
func StableVersions() []string { return stableVersions }
