package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"stockroom/internal/mirror"
)

// Error is the body of every answer that is not the one asked for.
type Error struct {
	Err    Problem `json:"error"`
	status int
}

// Problem says what is wrong and what to do.
type Problem struct {
	Code    string `json:"code" doc:"For programs: bad_request, unauthorized, not_found, method_not_allowed or internal."`
	Message string `json:"message"`
	Fix     string `json:"fix" doc:"What to do instead."`
}

// Error implements error.
func (e *Error) Error() string { return e.Err.Message }

// GetStatus implements huma.StatusError.
func (e *Error) GetStatus() int { return e.status }

// problems holds what is said of each status where there is nothing more exact to say.
var problems = map[int]Problem{
	http.StatusBadRequest:       {"bad_request", "the request cannot be read", "see /docs for the parameters of this address"},
	http.StatusUnauthorized:     {"unauthorized", "the key is missing, unknown or revoked", "send a key made by `stockroom keys create` as `Authorization: Bearer sr_…`"},
	http.StatusNotFound:         {"not_found", "there is nothing at this address, or not for this key", "check the address and that the key is one of this shop; see /docs"},
	http.StatusMethodNotAllowed: {"method_not_allowed", "the copy can only be read", "use GET"},
}

func newError(status int, message string, causes ...error) *Error {
	problem, ok := problems[status]
	switch {
	case status == http.StatusUnprocessableEntity: // How the framework calls parameters out of bounds.
		status, problem, ok = http.StatusBadRequest, problems[http.StatusBadRequest], true
	case status >= 400 && status < 500 && !ok:
		problem = problems[http.StatusBadRequest]
		problem.Message = message
	case !ok:
		problem = Problem{"internal", "the answer could not be made", "try again; the service's log says what happened"}
	}
	var details []string
	for _, cause := range causes {
		if detailer, ok := cause.(huma.ErrorDetailer); ok && status < 500 { // Others may tell of our inside.
			detail := detailer.ErrorDetail()
			details = append(details, strings.TrimPrefix(detail.Location, "query.")+": "+detail.Message)
		}
	}
	if len(details) > 0 {
		problem.Message = strings.Join(details, "; ")
	}
	return &Error{problem, status}
}

// The framework makes all its errors through these two variables.
func init() {
	huma.NewError = func(status int, message string, causes ...error) huma.StatusError {
		return newError(status, message, causes...)
	}
	huma.NewErrorWithContext = func(_ huma.Context, status int, message string, causes ...error) huma.StatusError {
		return newError(status, message, causes...)
	}
}

func writeError(w http.ResponseWriter, e *Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(e) // The caller may have gone; there is nobody else to tell.
}

// timeSchema and decimalSchema describe types whose JSON is not their fields'.
type (
	timeSchema    struct{}
	decimalSchema struct{}
)

func (timeSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Format: "date-time", Nullable: true}
}

func (decimalSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: "string", Description: "An exact decimal without exponent or trailing zeros.", Examples: []any{"19.9"}}
}

func teachSchemas(registry huma.Registry) {
	registry.RegisterTypeAlias(reflect.TypeFor[mirror.Time](), reflect.TypeFor[timeSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[mirror.Decimal](), reflect.TypeFor[decimalSchema]())
}
