package graph

import (
	"fmt"
	"regexp"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Runtime codes, in Shopify's upper case. The codes of requests that do not
// fit the schema are in camelCase, see findings and ruleCodes.
const (
	CodeAccessDenied     = "ACCESS_DENIED"
	CodeBadRequest       = "BAD_REQUEST"
	CodeInternal         = "INTERNAL_SERVER_ERROR"
	CodeInvalidVariable  = "INVALID_VARIABLE"
	CodeMaxCostExceeded  = "MAX_COST_EXCEEDED"
	CodeMaxInputSize     = "MAX_INPUT_SIZE_EXCEEDED"
	CodeParseError       = "PARSE_ERROR"
	CodeResourceNotFound = "RESOURCE_NOT_FOUND"
	CodeThrottled        = "THROTTLED"
)

// Location is a place in the text of the request, counted from 1.
type Location struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Error is one entry of an answer's errors. A resolver that returns it (or
// wraps it) chooses message and extensions; path and location are filled in.
type Error struct {
	Message    string         `json:"message"`
	Locations  []Location     `json:"locations,omitempty"`
	Path       []any          `json:"path,omitempty"`
	Extensions map[string]any `json:"extensions,omitempty"`

	// Contained keeps the field null even where its type forbids null, so that
	// the rest of the data stands. Shopify answers denied fields so.
	Contained bool `json:"-"`
}

func (e *Error) Error() string { return e.Message }

// Errorf is an error with one of the codes above.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Message: fmt.Sprintf(format, args...), Extensions: map[string]any{"code": code}}
}

// ruleCodes names Shopify's code for each rule of the validator that findings
// does not know. Those that were not recorded are graphql-ruby's, which Shopify uses.
var ruleCodes = map[string]string{
	"FragmentsOnCompositeTypes":    "fragmentOnNonCompositeType",
	"KnownFragmentNames":           "useAndDefineFragment",
	"KnownRootType":                "missingOperation",
	"LoneAnonymousOperation":       "uniquelyNamedOperations",
	"NoFragmentCycles":             "infiniteLoop",
	"NoUnusedFragments":            "useAndDefineFragment",
	"OverlappingFieldsCanBeMerged": "fieldConflict",
	"PossibleFragmentSpreads":      "cannotSpreadFragment",
	"UniqueArgumentNames":          "argumentNotUnique",
	"UniqueDirectivesPerLocation":  "directiveNotUniqueForLocation",
	"UniqueFragmentNames":          "fragmentNotUnique",
	"UniqueInputFieldNames":        "inputFieldNotUnique",
	"UniqueOperationNames":         "uniquelyNamedOperations",
	"UniqueVariableNames":          "variableNotUnique",
	"VariablesAreInputTypes":       "variableRequiresValidType",
}

// foundRules are those that findings states itself, and its code for each where
// it should have missed what the validator found.
var foundRules = map[string]string{
	"FieldsOnCorrectType":        "undefinedField",
	"KnownArgumentNames":         "argumentNotAccepted",
	"KnownDirectives":            "undefinedDirective",
	"KnownTypeNames":             "undefinedType",
	"NoUndefinedVariables":       "variableNotDefined",
	"NoUnusedVariables":          "variableNotUsed",
	"ProvidedRequiredArguments":  "missingRequiredArguments",
	"ScalarLeafs":                "selectionMismatch",
	"ValuesOfCorrectType":        "argumentLiteralsIncompatible",
	"VariablesInAllowedPosition": "variableMismatch",
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

// validationErrors puts together what is wrong with a document: our own findings,
// and the validator's where we have none.
func validationErrors(ours []*Error, list gqlerror.List) []*Error {
	out := ours
	for _, found := range list {
		code := ruleCodes[found.Rule]
		if known, isOurs := foundRules[found.Rule]; isOurs {
			if len(ours) > 0 {
				continue
			}
			code = known
		}
		if code == "" {
			code = "invalid" + found.Rule
		}
		err := Errorf(code, "%s", found.Message)
		for _, at := range found.Locations {
			err.Locations = append(err.Locations, Location{at.Line, at.Column})
		}
		if name := quoted.FindStringSubmatch(found.Message); code == "useAndDefineFragment" && name != nil {
			err.Extensions["fragmentName"] = name[1]
			if err.Message = "Fragment " + name[1] + " was used, but not defined"; found.Rule == "NoUnusedFragments" {
				err.Message = "Fragment " + name[1] + " was defined, but not used"
			}
		}
		out = append(out, err)
	}
	return out
}
