package graph

// documentation is where Shopify's refusals point to.
const documentation = "https://shopify.dev/api/usage/limits"

// Admit prepares a request and pays for it from the bucket. Where ok is false
// the response is the refusal, and nothing must be executed.
func (s *Schema) Admit(request Request, bucket *Bucket) (op *Operation, refusal Response, ok bool) {
	op, problems := s.Prepare(request)
	if len(problems) > 0 {
		return nil, Response{Errors: problems}, false
	}
	if op.Cost > MaxCost {
		err := Errorf(CodeMaxCostExceeded, "Query cost is %d, which exceeds the single query max cost limit (%d).", op.Cost, MaxCost)
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
	status := bucket.Refund(op.Cost - result.Cost)
	return Response{
		Data:   result.Data,
		Errors: result.Errors,
		Extensions: &Extensions{
			Cost:   &Cost{Requested: op.Cost, Actual: &result.Cost, Throttle: status},
			Search: result.Search,
		},
		Deprecated: op.Deprecated,
	}
}
