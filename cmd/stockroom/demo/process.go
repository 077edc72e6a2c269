package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"

	"stockroom/internal/app"
)

// process is the service as a process of its own.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

// startTime bounds how long the service may take until it answers.
const startTime = 30 * time.Second

// startProcess starts the service and returns when it answers. World.App is
// then an app beside it, as commands use one: it sees the database and hands in
// runs, and all work is the process's.
func (w *World) startProcess(ctx context.Context) error {
	cmd := exec.Command(w.options.Serve[0], w.options.Serve[1:]...)
	cmd.Dir = w.dir // There is no .env in it.
	cmd.Env = append(append([]string{"HOME=" + w.dir, "PATH=" + os.Getenv("PATH"), "LOG_LEVEL=error"}, w.options.Environ...), w.environ...)
	cmd.Stdout, cmd.Stderr = io.Discard, io.Discard
	if w.options.Log.Enabled(ctx, 0) {
		cmd.Stderr = os.Stderr
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the service: %w", err)
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	w.process = p
	go func() {
		cmd.Wait() // How it ended is no news: it is killed.
		close(p.ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	err := wait(ctx, "wait for the service to answer", func() (bool, error) {
		select {
		case <-p.ended:
			return false, errors.New("the service ended at its start")
		default:
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.AppURL+"/readyz", nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil // It does not listen yet.
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
	if err != nil || w.App != nil {
		return err
	}
	w.App, err = app.Beside(ctx, app.Options{Config: w.config, Log: w.options.Log})
	return err
}

// kill ends the process as kill -9 does, and returns when it is gone.
func (p *process) kill() {
	p.cmd.Process.Kill() // It may have ended by itself.
	<-p.ended
}

// KillService kills the service in the middle of whatever it does: what it held
// in memory is lost.
func (w *World) KillService() { w.process.kill() }

// RestartService starts it again on the same database and address.
func (w *World) RestartService(ctx context.Context) error { return w.startProcess(ctx) }
