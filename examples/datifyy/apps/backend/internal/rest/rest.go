// Package rest is Datifyy over HTTP and JSON.
package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"example.com/datifyy/backend/internal/auth"
	"example.com/datifyy/backend/internal/dating"
	"example.com/datifyy/backend/internal/service"
)

const pingTimeout = 2 * time.Second

// API answers the requests.
type API struct {
	Service *service.Service
	Version string
}

// Handler is the whole API behind its middleware. Origins are those whose pages may call it.
func (a *API) Handler(origins []string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", a.health)
	mux.HandleFunc("GET /health/db", a.healthOf(a.Service.Store.Ping))
	mux.HandleFunc("GET /health/redis", a.healthOf(a.Service.Cache.Ping))
	mux.Handle("GET /api/v1/interests", handle(a.interests))
	mux.Handle("POST /api/v1/users", handle(a.signUp))
	mux.Handle("POST /api/v1/sessions", handle(a.signIn))
	mux.Handle("GET /api/v1/profile", a.signedIn(a.profile))
	mux.Handle("PUT /api/v1/profile", a.signedIn(a.saveProfile))
	mux.Handle("GET /api/v1/suggestions", a.signedIn(a.suggestions))
	mux.Handle("PUT /api/v1/likes/{user}", a.signedIn(a.like))
	mux.Handle("GET /api/v1/matches", a.signedIn(a.matches))
	mux.Handle("POST /api/v1/matches/{match}/icebreaker", a.signedIn(a.icebreaker))
	return logged(cors(origins, limited(mux)))
}

// health is 503 when the database is away, and says so when Redis is: without it everything works, only slower.
func (a *API) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	db := make(chan error, 1)
	go func() { db <- a.Service.Store.Ping(ctx) }()
	redis := a.Service.Cache.Ping(ctx)
	answer := map[string]string{"status": "ok", "db": "ok", "redis": "ok", "version": a.Version}
	status := http.StatusOK
	if redis != nil {
		answer["status"], answer["redis"] = "degraded", "unavailable"
		slog.WarnContext(ctx, "redis_unavailable", "error", redis.Error())
	}
	if err := <-db; err != nil {
		answer["status"], answer["db"], status = "error", "unavailable", http.StatusServiceUnavailable
		slog.WarnContext(ctx, "database_unavailable", "error", err.Error())
	}
	write(w, status, answer)
}

// healthOf does not tell the caller why: errors of drivers name hosts and users. The log has it.
func (a *API) healthOf(ping func(context.Context) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
		defer cancel()
		if err := ping(ctx); err != nil {
			slog.WarnContext(ctx, "unavailable", "path", r.URL.Path, "error", err.Error())
			write(w, http.StatusServiceUnavailable, map[string]string{"status": "error"})
			return
		}
		write(w, http.StatusOK, map[string]string{"status": "ok"})
	}
}

func (a *API) interests(w http.ResponseWriter, r *http.Request) error {
	found, err := a.Service.Store.Interests(r.Context())
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	return write(w, http.StatusOK, map[string]any{"interests": found})
}

func (a *API) signUp(w http.ResponseWriter, r *http.Request) error {
	var asked struct{ Email, Password, Name string }
	if err := read(r, &asked); err != nil {
		return err
	}
	session, err := a.Service.SignUp(r.Context(), asked.Email, asked.Password, asked.Name)
	if err != nil {
		return err
	}
	return write(w, http.StatusCreated, session)
}

func (a *API) signIn(w http.ResponseWriter, r *http.Request) error {
	var asked struct{ Email, Password string }
	if err := read(r, &asked); err != nil {
		return err
	}
	session, err := a.Service.SignIn(r.Context(), asked.Email, asked.Password)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, session)
}

func (a *API) profile(w http.ResponseWriter, r *http.Request) error {
	profile, err := a.Service.Profile(r.Context(), auth.FromContext(r.Context()))
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, profile)
}

func (a *API) saveProfile(w http.ResponseWriter, r *http.Request) error {
	profile := dating.Profile{Preferences: dating.Preferences{MinAge: 18, MaxAge: 120}}
	if err := read(r, &profile); err != nil {
		return err
	}
	saved, err := a.Service.SaveProfile(r.Context(), auth.FromContext(r.Context()), profile)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, saved)
}

func (a *API) suggestions(w http.ResponseWriter, r *http.Request) error {
	limit, err := limit(r)
	if err != nil {
		return err
	}
	found, err := a.Service.Suggestions(r.Context(), auth.FromContext(r.Context()), limit)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, map[string]any{"suggestions": found})
}

func (a *API) like(w http.ResponseWriter, r *http.Request) error {
	match, err := a.Service.Like(r.Context(), auth.FromContext(r.Context()), r.PathValue("user"))
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, map[string]any{"match": match})
}

func (a *API) matches(w http.ResponseWriter, r *http.Request) error {
	limit, err := limit(r)
	if err != nil {
		return err
	}
	found, err := a.Service.Store.Matches(r.Context(), auth.FromContext(r.Context()), limit)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, map[string]any{"matches": found})
}

func (a *API) icebreaker(w http.ResponseWriter, r *http.Request) error {
	text, source, err := a.Service.Icebreaker(r.Context(), auth.FromContext(r.Context()), r.PathValue("match"))
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, map[string]string{"text": text, "source": source})
}

// limit is ?limit=, 1 to 100, 20 when left out.
func limit(r *http.Request) (int, error) {
	text := r.URL.Query().Get("limit")
	if text == "" {
		return 20, nil
	}
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 || value > 100 {
		return 0, dating.Invalid{"limit": "must be a number from 1 to 100"}
	}
	return value, nil
}

func (a *API) signedIn(next func(http.ResponseWriter, *http.Request) error) http.Handler {
	return handle(func(w http.ResponseWriter, r *http.Request) error {
		user, err := a.Service.Tokens.User(r.Header.Get("Authorization"))
		if err != nil {
			return err
		}
		return next(w, r.WithContext(auth.WithUser(r.Context(), user)))
	})
}

// handle turns what went wrong into an answer. What is not the caller's fault is logged and not told.
func handle(do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := do(w, r)
		if err == nil || errors.Is(r.Context().Err(), context.Canceled) {
			return
		}
		var invalid dating.Invalid
		var refused refusal
		switch {
		case errors.As(err, &invalid):
			write(w, http.StatusUnprocessableEntity, map[string]any{"error": "not valid", "fields": invalid})
		case errors.As(err, &refused):
			write(w, refused.status, map[string]string{"error": refused.why})
		case errors.Is(err, dating.ErrNotFound):
			write(w, http.StatusNotFound, map[string]string{"error": err.Error()})
		case errors.Is(err, dating.ErrTaken):
			write(w, http.StatusConflict, map[string]string{"error": err.Error()})
		case errors.Is(err, auth.ErrDenied):
			w.Header().Set("WWW-Authenticate", `Bearer realm="datifyy"`)
			write(w, http.StatusUnauthorized, map[string]string{"error": err.Error()})
		default:
			slog.ErrorContext(r.Context(), "request_failed", "error", err.Error())
			write(w, http.StatusInternalServerError, map[string]string{"error": "something went wrong here"})
		}
	})
}
