package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"stockroom/internal/app"
	"stockroom/internal/config"
)

type versionCommand struct{}

func (versionCommand) Run(e *env) error {
	_, err := fmt.Fprintln(e.stdout, "stockroom", app.Version())
	return err
}

type migrateCommand struct{}

func (migrateCommand) Run(e *env) error {
	cfg, err := e.load(config.NeedDatabase)
	if err != nil {
		return err
	}
	version, err := app.Migrate(e.ctx, cfg.Database.URL.Reveal())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s has schema %d.\n", cfg.Database, version)
	return err
}

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Run prints a script that completes commands, their subcommands and flags.
// Settings' flags are left out: there are many, and .env serves them better.
func (c completionCommand) Run(e *env, parser *kong.Kong) error {
	var words [][2]string // What was typed after "stockroom", and what may follow.
	collect(parser.Model.Node, "", &words)
	switch c.Shell {
	case "fish":
		return fishCompletion(e.stdout, words)
	case "zsh":
		fmt.Fprintln(e.stdout, "autoload -U +X bashcompinit && bashcompinit")
	}
	return bashCompletion(e.stdout, words)
}

func collect(node *kong.Node, path string, words *[][2]string) {
	var next []string
	for _, child := range node.Children {
		if child.Type == kong.CommandNode {
			next = append(next, child.Name)
			collect(child, strings.TrimSpace(path+" "+child.Name), words)
		}
	}
	for _, flag := range node.Flags {
		next = append(next, "--"+flag.Name)
	}
	*words = append(*words, [2]string{path, strings.Join(next, " ")})
}

func bashCompletion(w io.Writer, words [][2]string) error {
	var out strings.Builder
	out.WriteString("_stockroom() {\n    local typed=\"${COMP_WORDS[*]:1:COMP_CWORD-1}\" next\n    case \"$typed\" in\n")
	for _, word := range words { // Deepest first: the first pattern that fits wins.
		pattern := fmt.Sprintf("%q*", word[0])
		if word[0] == "" {
			pattern = `""`
		}
		fmt.Fprintf(&out, "    %s) next=%q ;;\n", pattern, word[1])
	}
	out.WriteString("    esac\n    COMPREPLY=($(compgen -W \"$next\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n}\ncomplete -o default -F _stockroom stockroom\n")
	_, err := io.WriteString(w, out.String())
	return err
}

func fishCompletion(w io.Writer, words [][2]string) error {
	var out strings.Builder
	for _, word := range words {
		condition := "__fish_use_subcommand"
		if word[0] != "" {
			condition = "__fish_seen_subcommand_from " + word[0]
		}
		for next := range strings.FieldsSeq(word[1]) {
			if long, ok := strings.CutPrefix(next, "--"); ok {
				fmt.Fprintf(&out, "complete -c stockroom -n '%s' -l %s\n", condition, long)
			} else {
				fmt.Fprintf(&out, "complete -c stockroom -f -n '%s' -a %s\n", condition, next)
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
