// Command server is the API of RT Apps, on PORT.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"example.com/rt-apps/api/internal/config"
	"example.com/rt-apps/api/internal/logs"
	"example.com/rt-apps/api/internal/server"
)

func main() {
	settings, err := config.Load(os.LookupEnv)
	slog.SetDefault(logs.New(os.Stdout, settings.LogLevel))
	if err != nil {
		fmt.Fprintf(os.Stderr, "the environment is not complete:\n%s\n", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := server.Run(ctx, settings); err != nil {
		slog.Error("failed", "error", err.Error())
		os.Exit(1)
	}
}
