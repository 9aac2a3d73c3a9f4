// A program for an image FROM scratch: what it is, as whom and with what it runs.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

var version = "1"

func main() {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if len(os.Args) > 1 { // HEALTHCHECK
		answer, err := http.Get("http://127.0.0.1:" + os.Getenv("PORT") + "/")
		if err != nil || answer.StatusCode != 200 {
			os.Exit(1)
		}
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]any{
			"version": version, "uid": os.Getuid(), "token": len(os.Getenv("TOKEN")), "flavour": os.Getenv("FLAVOUR"),
			"root": os.WriteFile("/x", nil, 0o600) == nil, "tmp": os.WriteFile("/tmp/x", nil, 0o600) == nil,
		})
	})
	server := &http.Server{Addr: "127.0.0.1:" + os.Getenv("PORT")}
	go server.ListenAndServe()
	fmt.Println("listens", version)
	<-stop.Done()
	server.Shutdown(context.Background())
	fmt.Println("leaves in peace")
}
