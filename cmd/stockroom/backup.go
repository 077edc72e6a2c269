package main

import "fmt"

type backupCommand struct {
	File string `arg:"" help:"The file to make. It must not be there yet."`
}

// Run copies the database beside a running service.
func (c *backupCommand) Run(e *env) error {
	_, db, err := e.reader()
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.Backup(e.ctx, c.File); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "%s is a copy of the database as it was now, without the shops' own keys. Keep the encryption key elsewhere.\n", c.File)
	return err
}
