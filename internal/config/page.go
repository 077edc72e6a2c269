package config

import (
	"fmt"
	"strings"
)

// Page is docs/settings.md: how settings are given, and the table of them.
func Page() string {
	var b strings.Builder
	b.WriteString(`<!-- Made from the table in internal/config by go generate; edit it there. -->

# Settings

A setting is read from the first of these that has it:

1. a flag: the name in lower case with dashes, so that ` + "`DATABASE_URL`" + ` is ` + "`--database-url`" + `;
2. the environment;
3. a file ` + "`.env`" + ` in the working folder, with lines ` + "`NAME=value`" + `. A value that holds spaces, quotes, ` + "`#` or `$`" + ` belongs in
   single quotes.

A value set to nothing means the default.

Secrets have no flag, as other users of a machine can read command lines. Each may be given by ` + "`NAME_FILE`" + ` instead (or
` + "`--name-file`" + `): the path of a file that holds it, whose trailing newline does not count. So may ` + "`DATABASE_URL`" + `, which may hold
a password.

Every mistake is reported at once when a command starts, and a command looks only at the settings it needs: one that
only reads the copy needs ` + "`DATABASE_URL`" + `. Variables that look like a setting typed wrong are warned of.

| name | default | secret | meaning |
| --- | --- | --- | --- |
`)
	for _, s := range Settings {
		unset := s.Unset
		if unset == "" {
			unset = "`" + s.Default + "`"
		}
		mark := ""
		if s.Secret {
			mark = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, unset, mark, s.Meaning)
	}
	return b.String()
}
