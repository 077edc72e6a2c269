package graph

// documentation is where Shopify's refusals point to (recorded, as the texts
// of both, 2026-08-28).
const documentation = "https://shopify.dev/api/usage/rate-limits"

const tooDear = `Query cost is %d, which exceeds the single query max cost limit (%d).

See https://shopify.dev/docs/api/usage/rate-limits for more information on how the
cost of a query is calculated.

To query larger amounts of data with fewer limits, bulk operations should be used instead.
See https://shopify.dev/docs/api/usage/bulk-operations/queries for usage details.
`

// Admit prepares a request and pays for it from the bucket. Where ok is false
// the response is the refusal, and nothing must be executed.
func (s *Schema) Admit(request Request, bucket *Bucket) (op *Operation, refusal Response, ok bool) {
	op, problems := s.Prepare(request)
	if len(problems) > 0 {
		return nil, Response{Errors: problems}, false
	}
	if op.Cost > MaxCost {
		err := Errorf(CodeMaxCostExceeded, tooDear, op.Cost, MaxCost)
		err.Extensions["cost"], err.Extensions["maxCost"], err.Extensions["documentation"] = op.Cost, MaxCost, documentation
		return nil, Response{Errors: []*Error{err}}, false
	}
	status, paid := bucket.Take(op.Cost)
	if !paid {
		return nil, Throttled(op.Cost, status), false
	}
	return op, Response{}, true
}

// Throttled is the refusal of a request that the bucket cannot pay for.
func Throttled(cost int, status ThrottleStatus) Response {
	err := Errorf(CodeThrottled, "Throttled")
	err.Extensions["documentation"] = documentation
	return Response{Errors: []*Error{err}, Extensions: &Extensions{Cost: &Cost{Requested: cost, Throttle: status}}}
}

// Settle makes the answer of an executed operation and refunds what it cost
// less than was paid.
func (op *Operation) Settle(result Result, bucket *Bucket) Response {
	cost := &Cost{Requested: op.Cost, Actual: &result.Cost, Throttle: bucket.Refund(op.Cost - result.Cost)}
	if op.debug.Cost {
		cost.Fields = op.breakdown()
	}
	return Response{
		Data:       result.Data,
		Errors:     result.Errors,
		Extensions: &Extensions{Cost: cost, Search: result.Search},
		Deprecated: op.Deprecated,
	}
}
