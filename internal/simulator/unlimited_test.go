package simulator

import (
	"testing"

	"stockroom/internal/simulator/graph"
)

// Unlimited answers a request whatever it costs, for tests that ask for everything.
func (s *Shop) Unlimited(t *testing.T, access Access, request graph.Request) graph.Result {
	t.Helper()
	op, problems := schema().Prepare(request)
	if len(problems) > 0 {
		t.Fatalf("%s: %s", request.Query, problems[0].Message)
	}
	return s.execute(t.Context(), access, op)
}
