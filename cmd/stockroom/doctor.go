package main

import (
	"fmt"

	"stockroom/internal/doctor"
)

type doctorCommand struct {
	JSON bool `help:"Print JSON."`
}

// Run prints what is amiss and what to do. It exits 0 where no fault was found,
// warnings or not, and 1 where one was.
func (c *doctorCommand) Run(e *env) error {
	found := doctor.Examine(e.ctx, &doctor.Patient{Source: e.source}, doctor.Checks())
	if c.JSON {
		if err := printJSON(e.stdout, found); err != nil {
			return err
		}
	} else {
		printFindings(e, found)
	}
	if doctor.Faulty(found) {
		return errSilent // It has been said.
	}
	return nil
}

func printFindings(e *env, found []doctor.Finding) {
	marks := map[doctor.Level]string{doctor.OK: "ok", doctor.Unknown: "?", doctor.Warning: "!", doctor.Fault: "FAULT"}
	counts := map[doctor.Level]int{}
	for _, f := range found {
		counts[f.Level]++
		shop := ""
		if f.Shop != "" {
			shop = f.Shop + ": "
		}
		fmt.Fprintf(e.stdout, "%-5s  %-14s  %s%s\n", marks[f.Level], f.Check, shop, f.Found)
		if f.Remedy != "" {
			fmt.Fprintf(e.stdout, "%-5s  %-14s  %s\n", "", "", f.Remedy)
		}
	}
	fmt.Fprintf(e.stdout, "\n%d faults, %d warnings; %d could not be looked at.\n", counts[doctor.Fault], counts[doctor.Warning], counts[doctor.Unknown])
}
