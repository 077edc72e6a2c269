package demo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
)

// viewStep is how often the view is drawn again.
const viewStep = 250 * time.Millisecond

var (
	styleTitle = lipgloss.NewStyle().Bold(true)
	styleGood  = lipgloss.NewStyle().Foreground(lipgloss.Color("2")).Bold(true)
	styleBad   = lipgloss.NewStyle().Foreground(lipgloss.Color("1")).Bold(true)
	styleDim   = lipgloss.NewStyle().Faint(true)
	styleBox   = lipgloss.NewStyle().Border(lipgloss.RoundedBorder()).BorderForeground(lipgloss.Color("8")).Padding(0, 1)
)

// Show runs the live demo in the terminal until a person leaves it.
func Show(ctx context.Context, live *Live) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	program := tea.NewProgram(view{live: live, width: 100, height: 30}, tea.WithContext(ctx), tea.WithAltScreen())
	ended := make(chan error, 1)
	go func() {
		err := live.Run(ctx)
		program.Quit()
		ended <- err
	}()
	_, err := program.Run()
	stop()
	if runErr := <-ended; runErr != nil {
		return runErr
	}
	if err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// view is what a person sees: three stories side by side, and one verdict.
type view struct {
	live          *Live
	width, height int
}

type tick time.Time

func next() tea.Cmd { return tea.Tick(viewStep, func(t time.Time) tea.Msg { return tick(t) }) }

func (v view) Init() tea.Cmd { return next() }

func (v view) Update(message tea.Msg) (tea.Model, tea.Cmd) {
	switch m := message.(type) {
	case tick:
		return v, next()
	case tea.WindowSizeMsg:
		v.width, v.height = m.Width, m.Height
	case tea.KeyMsg:
		switch m.String() {
		case "q", "esc", "ctrl+c":
			return v, tea.Quit
		case "p", " ", "enter":
			v.live.PollNow()
		}
	}
	return v, nil
}

func (v view) View() string {
	s := v.live.State()
	const headLines, frame = 8, 4
	half := max(v.width/2-frame, 30)
	lines := max((v.height-headLines-2*frame)/2, 3)

	verdict := styleGood.Render("The copy is exact: every field of every record equals the shop's.")
	if !s.Exact {
		verdict = styleBad.Render("The copy differs: ") + wrongText(s.Wrong)
	}
	polling := fmt.Sprintf("next poll in %ds, or press p", max(0, int(time.Until(s.NextPoll).Seconds())))
	if s.Polling {
		polling = "a poll is reading the shop back..."
	}
	head := []string{
		styleTitle.Render("Stockroom demo") + styleDim.Render(cut(fmt.Sprintf("  %s, simulated; a change a second, %.0f %% of webhooks lost on purpose", Domain, loseShare*100), v.width-15)),
		fmt.Sprintf("%d changes in the shop · %d webhooks came, %d applied · %s", s.Edits, s.Sent, s.Applied, styleBad.Render(fmt.Sprintf("%d lost", s.Lost))),
		verdict,
		polling + styleDim.Render(" · q ends it"),
		styleDim.Render(cut("dashboard "+v.live.AppURL+"/admin/  password "+v.live.AdminPassword.Reveal(), v.width)),
		styleDim.Render(cut("the simulated Shopify "+v.live.SimURL, v.width)),
	}

	var changes, polls []string
	for _, c := range s.Changes {
		mark := "  "
		if c.Lost {
			mark = styleBad.Render("✗ ")
		}
		changes = append(changes, mark+cut(c.At.Format(time.TimeOnly)+"  "+c.What, half-2))
	}
	for _, p := range s.Polls {
		text := "nothing had drifted"
		if len(p.Repaired) > 0 {
			text = "repaired " + repairedText(p.Repaired)
		}
		polls = append(polls, cut(fmt.Sprintf("%s  %s in %.1f s: %s", p.At.Format(time.TimeOnly), p.State, p.Seconds, text), 2*half+frame))
	}
	var copied []string
	for _, line := range s.CopyLines {
		copied = append(copied, cut(line, half))
	}
	top := lipgloss.JoinHorizontal(lipgloss.Top,
		box("In the shop ("+styleBad.Render("✗")+" webhook lost)", changes, half, lines),
		box("In the copy", copied, half, lines))
	return strings.Join(head, "\n") + "\n" + top + "\n" + box("What the polls repaired", polls, 2*half+frame, lines)
}

func box(title string, lines []string, width, height int) string {
	if len(lines) > height {
		lines = lines[len(lines)-height:]
	}
	body := append([]string{styleTitle.Render(title)}, lines...)
	for len(body) < height+1 {
		body = append(body, "")
	}
	return styleBox.Width(width + 2).Render(strings.Join(body, "\n"))
}

// cut shortens a text to the cells that it may fill: a Chinese character fills two.
func cut(text string, width int) string { return ansi.Truncate(text, max(width, 1), "…") }

func wrongText(wrong map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(wrong)) {
		parts = append(parts, fmt.Sprintf("%d %s", wrong[name], name))
	}
	return strings.Join(parts, ", ")
}

func repairedText(repaired map[string]int64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(repaired)) {
		parts = append(parts, fmt.Sprintf("%d %s", repaired[name], name))
	}
	return strings.Join(parts, ", ")
}
