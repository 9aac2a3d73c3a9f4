// Package testkit starts a PostgreSQL and a Redis of the tests' own, from the programs on the machine.
package testkit

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const patience = 20 * time.Second

// Process is a server that can be stopped and started again in its place.
type Process struct {
	t       testing.TB
	argv    []string
	account *syscall.Credential
	address string
	command *exec.Cmd
}

// Start returns once the port answers.
func (p *Process) Start() {
	p.t.Helper()
	p.command = exec.Command(p.argv[0], p.argv[1:]...)
	p.command.Dir = "/"
	p.command.SysProcAttr = &syscall.SysProcAttr{Credential: p.account, Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		p.t.Fatal(err)
	}
	Eventually(p.t, p.argv[0]+" listens", func() bool {
		connection, err := net.DialTimeout("tcp", p.address, time.Second)
		if err == nil {
			connection.Close()
		}
		return err == nil
	})
}

// Stop ends it at once.
func (p *Process) Stop() {
	if p.command != nil {
		_ = p.command.Process.Signal(syscall.SIGINT)
		_ = p.command.Wait()
		p.command = nil
	}
}

// Eventually waits for a condition.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// Port is free at the moment.
func Port(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// Postgres is a cluster and its URL. PostgreSQL refuses root, so there it runs as the user postgres.
func Postgres(t testing.TB) (*Process, string) {
	t.Helper()
	home, err := os.MkdirTemp("", "rtapps-pg-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	var account *syscall.Credential
	if os.Geteuid() == 0 {
		account = credential(t, "postgres", home)
	}
	initdb := exec.Command(program(t, "initdb"), "-D", home, "-U", "rtapps", "-A", "trust", "-E", "UTF8", "--no-sync")
	initdb.Dir = "/"
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: account}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := Port(t)
	server := &Process{t: t, account: account, address: address(port), argv: []string{
		program(t, "postgres"), "-D", home, "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1",
		"-c", fmt.Sprintf("port=%d", port), "-c", "unix_socket_directories=",
	}}
	server.Start()
	t.Cleanup(server.Stop)
	url := fmt.Sprintf("postgresql://rtapps@%s/postgres?sslmode=disable", server.address)
	Eventually(t, "PostgreSQL accepts connections", func() bool {
		connection, err := pgx.Connect(t.Context(), url)
		if err == nil {
			connection.Close(t.Context())
		}
		return err == nil
	})
	return server, url
}

// Redis keeps nothing on disk.
func Redis(t testing.TB) (*Process, string) {
	t.Helper()
	port := Port(t)
	server := &Process{t: t, address: address(port), argv: []string{
		program(t, "redis-server"), "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(),
	}}
	server.Start()
	t.Cleanup(server.Stop)
	return server, "redis://" + server.address
}

// Migrate runs the files of a folder that end so, in order, or backwards.
func Migrate(t testing.TB, url, folder, ending string, backwards bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*"+ending))
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations in %s: %v", folder, err)
	}
	slices.Sort(files)
	if backwards {
		slices.Reverse(files)
	}
	connection, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(context.Background())
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := connection.Exec(t.Context(), string(text)); err != nil {
			t.Fatalf("%s: %v", filepath.Base(file), err)
		}
	}
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// program is the newest of Debian's PostgreSQL directories, else that on the path.
func program(t testing.TB, name string) string {
	t.Helper()
	if found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); len(found) > 0 {
		return slices.Max(found)
	}
	found, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("the tests need %s (apt-get install postgresql redis-server)", name)
	}
	return found
}

func credential(t testing.TB, name, home string) *syscall.Credential {
	t.Helper()
	account, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	if err := os.Chown(home, uid, gid); err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}
