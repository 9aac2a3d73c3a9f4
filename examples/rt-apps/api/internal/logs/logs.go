// Package logs writes one JSON object a line, each with the id of the request it belongs to.
package logs

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
)

type contextKey struct{}

// New is a logger that adds `request_id` to every line written with a request's context.
func New(out io.Writer, level slog.Level) *slog.Logger {
	return slog.New(handler{slog.NewJSONHandler(out, &slog.HandlerOptions{Level: level})})
}

// WithRequestID carries id in the context. An id that is not a short plain word is replaced by a new one, so that
// nobody writes what they like into the logs.
func WithRequestID(ctx context.Context, id string) (context.Context, string) {
	if !plain(id) {
		id = rand.Text()
	}
	return context.WithValue(ctx, contextKey{}, id), id
}

func plain(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, record slog.Record) error {
	if id, ok := ctx.Value(contextKey{}).(string); ok {
		record.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}
func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }
