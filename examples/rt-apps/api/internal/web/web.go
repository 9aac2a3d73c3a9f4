// Package web is the API over HTTP and JSON.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"time"

	"example.com/rt-apps/api/internal/accounts"
	"example.com/rt-apps/api/internal/cache"
	"example.com/rt-apps/api/internal/limit"
	"example.com/rt-apps/api/internal/sessions"
	"example.com/rt-apps/api/internal/store"
)

const pingTimeout = 2 * time.Second

// API answers the requests. It keeps nothing between them: any instance can answer any.
type API struct {
	Store    *store.Store
	Cache    *cache.Cache
	Sessions *sessions.Sessions
	Limiter  *limit.Limiter
	Trusted  []netip.Prefix
	Origins  []string
	Version  string
	// Plain is for a machine without TLS: the cookie is sent over http, too.
	Plain bool
}

// Handler is the whole API behind its middleware.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.health)
	mux.HandleFunc("GET /readiness", a.readiness)
	mux.HandleFunc("GET /api/v1/status", a.status)
	mux.Handle("POST /api/v1/register", a.handle(a.register))
	mux.Handle("POST /api/v1/login", a.handle(a.login))
	mux.Handle("POST /api/v1/refresh", a.handle(a.refresh))
	mux.Handle("POST /api/v1/logout", a.handle(a.logout))
	mux.Handle("GET /api/v1/profile", a.handle(a.signedIn(a.profile)))
	mux.Handle("PATCH /api/v1/profile", a.handle(a.signedIn(a.changeProfile)))
	return logged(cors(a.Origins, limited(mux)))
}

func (a *API) status(w http.ResponseWriter, _ *http.Request) {
	_ = write(w, http.StatusOK, map[string]string{"status": "ok", "version": a.Version})
}

// health asks the database.
func (a *API) health(w http.ResponseWriter, r *http.Request) {
	a.tell(w, r, map[string]func(context.Context) error{"database": a.Store.Ping})
}

// readiness asks everything that signing in needs.
func (a *API) readiness(w http.ResponseWriter, r *http.Request) {
	a.tell(w, r, map[string]func(context.Context) error{"database": a.Store.Ping, "redis": a.Cache.Ping})
}

// tell does not say why something is away: errors of drivers name hosts and users. The log has it.
func (a *API) tell(w http.ResponseWriter, r *http.Request, pings map[string]func(context.Context) error) {
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(pings))
	for name, ping := range pings {
		go func() { results <- result{name, ping(ctx)} }()
	}
	answer, status := map[string]string{"status": "healthy", "version": a.Version}, http.StatusOK
	for range pings {
		got := <-results
		answer[got.name] = "ok"
		if got.err != nil {
			answer["status"], answer[got.name], status = "unhealthy", "unavailable", http.StatusServiceUnavailable
			slog.WarnContext(ctx, "unavailable", "what", got.name, "error", got.err.Error())
		}
	}
	_ = write(w, status, answer)
}

// handle limits the caller and turns what went wrong into an answer. What is not the caller's fault is logged and not told.
func (a *API) handle(do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := a.limit(w, r)
		if err == nil {
			err = do(w, r)
		}
		if err == nil || errors.Is(r.Context().Err(), context.Canceled) {
			return
		}
		var invalid accounts.Invalid
		var refused refusal
		switch {
		case errors.As(err, &invalid):
			err = write(w, http.StatusUnprocessableEntity, map[string]any{"error": "not valid", "fields": invalid})
		case errors.As(err, &refused):
			err = write(w, refused.status, map[string]string{"error": refused.why})
		case errors.Is(err, accounts.ErrTaken):
			err = write(w, http.StatusConflict, map[string]string{"error": err.Error()})
		case errors.Is(err, accounts.ErrDenied), errors.Is(err, accounts.ErrNotFound):
			w.Header().Set("WWW-Authenticate", `Bearer realm="rt-apps"`)
			err = write(w, http.StatusUnauthorized, map[string]string{"error": accounts.ErrDenied.Error()})
		default:
			slog.ErrorContext(r.Context(), "request_failed", "error", err.Error())
			err = write(w, http.StatusServiceUnavailable, map[string]string{"error": "something is not available here, try again soon"})
		}
		if err != nil {
			slog.ErrorContext(r.Context(), "answer_failed", "error", err.Error())
		}
	})
}

// limit counts by user where a valid token names one, else by address. Without Redis nothing is counted, and nobody can
// sign in either; the edge has a limit of its own.
func (a *API) limit(w http.ResponseWriter, r *http.Request) error {
	caller := "address:" + limit.Address(r, a.Trusted)
	if who, err := a.Sessions.Named(r.Header.Get("Authorization")); err == nil {
		caller = "user:" + who.User
	}
	verdict, err := a.Limiter.Take(r.Context(), caller)
	if err != nil {
		slog.WarnContext(r.Context(), "not_counted", "error", err.Error())
		return nil
	}
	window := int(a.Limiter.Window.Seconds())
	w.Header().Set("RateLimit-Policy", fmt.Sprintf(`"default";q=%d;w=%d`, a.Limiter.Requests, window))
	w.Header().Set("RateLimit", fmt.Sprintf(`"default";r=%d`, verdict.Remaining))
	if verdict.Allowed {
		return nil
	}
	w.Header().Set("Retry-After", fmt.Sprint(math.Ceil(verdict.RetryAfter.Seconds())))
	return refusal{http.StatusTooManyRequests, "too many requests, try again later"}
}

func (a *API) signedIn(next func(http.ResponseWriter, *http.Request, string) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		who, err := a.Sessions.Named(r.Header.Get("Authorization"))
		if err != nil {
			return err
		}
		if err := a.Sessions.Open(r.Context(), who); err != nil {
			return err
		}
		return next(w, r, who.User)
	}
}

func (a *API) profile(w http.ResponseWriter, r *http.Request, id string) error {
	user, found := a.Cache.User(r.Context(), id)
	if !found {
		var err error
		if user, err = a.Store.User(r.Context(), id); err != nil {
			return err
		}
		a.Cache.Remember(r.Context(), user)
	}
	return write(w, http.StatusOK, user)
}

func (a *API) changeProfile(w http.ResponseWriter, r *http.Request, id string) error {
	var change accounts.Change
	if err := read(r, &change); err != nil {
		return err
	}
	change, err := change.Clean()
	if err != nil {
		return err
	}
	user, err := a.Store.Change(r.Context(), id, change)
	if err != nil {
		return err
	}
	a.Cache.Changed(r.Context(), user)
	return write(w, http.StatusOK, user)
}
