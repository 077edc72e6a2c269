package config

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// FlagName is a setting's name as a flag without its dashes: DATABASE_URL is
// database-url.
func FlagName(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) }

// TakeFlags takes the settings out of a command's arguments, wherever they
// stand before "--", and leaves the rest as they are: --database-url X or
// --database-url=X. The error, for a flag without its value or a secret on the
// command line, is an *InvalidError with every mistake.
func TakeFlags(args []string) (flags map[string]string, rest []string, err error) {
	known := map[string]string{} // From flag to variable.
	for _, s := range Settings {
		known["--"+FlagName(s.Name)] = s.Name
		if s.HasFile() {
			known["--"+FlagName(s.Name)+"-file"] = s.Name + "_FILE"
		}
	}
	var mistakes []Mistake
	flags = map[string]string{}
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			rest = append(rest, args[i:]...)
			break
		}
		flag, value, hasValue := strings.Cut(args[i], "=")
		name, ok := known[flag]
		if !ok && strings.HasPrefix(flag, "--"+FlagName(tokenPrefix)) {
			name, ok = strings.ToUpper(strings.ReplaceAll(strings.TrimPrefix(flag, "--"), "-", "_")), true
		}
		if !ok {
			rest = append(rest, args[i])
			continue
		}
		if !hasValue {
			if i++; i == len(args) {
				mistakes = append(mistakes, Mistake{name, "flag", flag + " needs a value"})
				break
			}
			value = args[i]
		}
		if isSecret(name) {
			mistakes = append(mistakes, Mistake{name, "flag", fmt.Sprintf("a secret must not be on the command line, where others can see it: set it in the environment, or name its file by %s-file", flag)})
			continue
		}
		flags[name] = value
	}
	if len(mistakes) > 0 {
		return nil, nil, &InvalidError{mistakes}
	}
	return flags, rest, nil
}

func isSecret(name string) bool {
	if strings.HasPrefix(name, tokenPrefix) {
		return !strings.HasSuffix(name, "_FILE")
	}
	for _, s := range Settings {
		if s.Name == name {
			return s.Secret
		}
	}
	return false
}

// WriteFlags prints the flags with their defaults, for a command's help.
func WriteFlags(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, s := range Settings {
		flag := "--" + FlagName(s.Name)
		if s.Secret {
			flag += "-file"
		}
		unset := s.Unset
		if unset == "" {
			unset = s.Default
		}
		if _, err := fmt.Fprintf(tw, "  %s\t%s\n", flag, unset); err != nil {
			return fmt.Errorf("print the flags: %w", err)
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("print the flags: %w", err)
	}
	return nil
}
