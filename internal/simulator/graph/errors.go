package graph

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// Runtime codes, in Shopify's upper case. The codes of requests that do not
// fit the schema are in camelCase, see ruleCodes.
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

// ruleCodes names Shopify's code for each rule of the validator.
var ruleCodes = map[string]string{
	"FieldsOnCorrectType":          "undefinedField",
	"FragmentsOnCompositeTypes":    "fragmentOnNonCompositeType",
	"KnownArgumentNames":           "argumentNotAccepted",
	"KnownDirectives":              "undefinedDirective",
	"KnownFragmentNames":           "undefinedFragment",
	"KnownRootType":                "missingOperation",
	"KnownTypeNames":               "undefinedType",
	"LoneAnonymousOperation":       "uniquelyNamedOperations",
	"NoFragmentCycles":             "infiniteLoop",
	"NoUndefinedVariables":         "variableNotDefined",
	"NoUnusedFragments":            "fragmentNotUsed",
	"NoUnusedVariables":            "variableNotUsed",
	"OverlappingFieldsCanBeMerged": "fieldConflict",
	"PossibleFragmentSpreads":      "cannotSpreadFragment",
	"ProvidedRequiredArguments":    "missingRequiredArguments",
	"ScalarLeafs":                  "selectionMismatch",
	"UniqueArgumentNames":          "argumentNotUnique",
	"UniqueDirectivesPerLocation":  "directiveNotUniqueForLocation",
	"UniqueFragmentNames":          "fragmentNotUnique",
	"UniqueInputFieldNames":        "inputFieldNotUnique",
	"UniqueOperationNames":         "uniquelyNamedOperations",
	"UniqueVariableNames":          "variableNotUnique",
	"ValuesOfCorrectType":          "argumentLiteralsIncompatible",
	"VariablesAreInputTypes":       "variableRequiresValidType",
	"VariablesInAllowedPosition":   "variableMismatch",
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

// validationErrors gives the validator's findings in Shopify's words.
func validationErrors(list gqlerror.List) []*Error {
	out := make([]*Error, 0, len(list))
	for _, found := range list {
		code := ruleCodes[found.Rule]
		if code == "" {
			code = "invalid" + found.Rule
		}
		err := Errorf(code, "%s", found.Message)
		for _, at := range found.Locations {
			err.Locations = append(err.Locations, Location{at.Line, at.Column})
		}
		var names []string
		for _, match := range quoted.FindAllStringSubmatch(found.Message, -1) {
			names = append(names, match[1])
		}
		switch {
		case code == "argumentLiteralsIncompatible" && len(names) >= 2 && strings.Contains(found.Message, "is not defined by type"):
			err.Message = fmt.Sprintf("InputObject '%s' doesn't accept argument '%s'", names[1], names[0])
			err.Extensions = map[string]any{"code": "argumentNotAccepted", "name": names[1], "typeName": "InputObject", "argumentName": names[0]}
		case code == "undefinedField" && len(names) >= 2:
			err.Message = fmt.Sprintf("Field '%s' doesn't exist on type '%s'", names[0], names[1])
			err.Extensions["fieldName"], err.Extensions["typeName"] = names[0], names[1]
		case code == "argumentNotAccepted" && len(names) >= 2:
			name := names[1][strings.LastIndexByte(names[1], '.')+1:]
			err.Message = fmt.Sprintf("Field '%s' doesn't accept argument '%s'", name, names[0])
			err.Extensions["name"], err.Extensions["argumentName"] = name, names[0]
		case code == "missingRequiredArguments" && len(names) >= 2:
			err.Message = fmt.Sprintf("Field '%s' is missing required arguments: %s", names[0], names[1])
			err.Extensions["name"], err.Extensions["arguments"] = names[0], names[1]
		}
		out = append(out, err)
	}
	return out
}
