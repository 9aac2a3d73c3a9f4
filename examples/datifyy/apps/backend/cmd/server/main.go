// Command server is the Datifyy backend: REST on PORT, gRPC on GRPC_PORT.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"example.com/datifyy/backend/internal/config"
	"example.com/datifyy/backend/internal/logs"
	"example.com/datifyy/backend/internal/server"
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
