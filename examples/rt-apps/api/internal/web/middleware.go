package web

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"example.com/rt-apps/api/internal/logs"
)

// logged gives every request an id, writes one line about it, and answers 500 where a handler panics.
func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		ctx, id := logs.WithRequestID(r.Context(), r.Header.Get("X-Request-Id"))
		w.Header().Set("X-Request-Id", id)
		seen := &recorder{ResponseWriter: w}
		defer func() {
			if fault := recover(); fault != nil {
				if fault == http.ErrAbortHandler {
					panic(fault)
				}
				slog.ErrorContext(ctx, "panic", "error", fmt.Sprint(fault), "stack", string(debug.Stack()))
				if seen.status == 0 {
					_ = write(seen, http.StatusInternalServerError, map[string]string{"error": "something went wrong here"})
				}
			}
			level := slog.LevelInfo
			if (r.URL.Path == "/health" || r.URL.Path == "/readiness") && seen.status == http.StatusOK {
				level = slog.LevelDebug // asked every few seconds
			}
			slog.Log(ctx, level, "request", "method", r.Method, "path", r.URL.Path, "status", seen.status,
				"ms", time.Since(start).Milliseconds(), "bytes", seen.bytes)
		}()
		next.ServeHTTP(seen, r.WithContext(ctx))
	})
}

type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(text []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(text)
	r.bytes += n
	return n, err
}

// cors answers a listed origin with that one origin, and says that the answer depends on it.
func cors(origins []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		allowed := origin != "" && slices.Contains(origins, strings.ToLower(origin))
		if allowed {
			header.Set("Access-Control-Allow-Origin", origin)
			header.Set("Access-Control-Allow-Credentials", "true")
			header.Set("Access-Control-Expose-Headers", "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy")
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		header.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if allowed {
			header.Set("Access-Control-Allow-Methods", "GET, POST, PATCH")
			header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
			header.Set("Access-Control-Max-Age", "600")
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, largestBody)
		next.ServeHTTP(w, r)
	})
}
