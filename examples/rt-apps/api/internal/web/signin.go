package web

import (
	"net/http"
	"slices"
	"strings"

	"example.com/rt-apps/api/internal/accounts"
	"example.com/rt-apps/api/internal/sessions"
)

// The refresh token lives in a cookie that no script can read and no other site can send; only what needs it gets it.
const (
	cookie     = "rt_refresh"
	cookiePath = "/api/v1/"
)

type session struct {
	User        *accounts.User `json:"user,omitempty"`
	AccessToken string         `json:"access_token"`
	TokenType   string         `json:"token_type"`
	ExpiresIn   int            `json:"expires_in"`
}

func (a *API) register(w http.ResponseWriter, r *http.Request) error {
	var asked accounts.Registration
	if err := read(r, &asked); err != nil {
		return err
	}
	asked, err := asked.Clean()
	if err != nil {
		return err
	}
	hash, err := accounts.Hash(r.Context(), asked.Password)
	if err != nil {
		return err
	}
	user, err := a.Store.Create(r.Context(), asked, hash)
	if err != nil {
		return err
	}
	return a.begin(w, r, http.StatusCreated, user)
}

// login answers a wrong password and no account alike, after the same time.
func (a *API) login(w http.ResponseWriter, r *http.Request) error {
	var asked struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	if err := read(r, &asked); err != nil {
		return err
	}
	id, hash, err := a.Store.Credentials(r.Context(), strings.TrimSpace(asked.Email))
	if err != nil {
		return err
	}
	if err := accounts.Check(r.Context(), hash, asked.Password); err != nil {
		return err
	}
	user, err := a.Store.LoggedIn(r.Context(), id)
	if err != nil {
		return err
	}
	return a.begin(w, r, http.StatusOK, user)
}

func (a *API) begin(w http.ResponseWriter, r *http.Request, status int, user accounts.User) error {
	tokens, err := a.Sessions.Begin(r.Context(), user.ID)
	if err != nil {
		return err
	}
	return a.give(w, status, tokens, &user)
}

func (a *API) refresh(w http.ResponseWriter, r *http.Request) error {
	if err := a.sameSite(r); err != nil {
		return err
	}
	sent, err := r.Cookie(cookie)
	if err != nil {
		return accounts.ErrDenied
	}
	tokens, err := a.Sessions.Refresh(r.Context(), sent.Value)
	if err != nil {
		return err
	}
	return a.give(w, http.StatusOK, tokens, nil)
}

func (a *API) logout(w http.ResponseWriter, r *http.Request) error {
	if err := a.sameSite(r); err != nil {
		return err
	}
	if sent, err := r.Cookie(cookie); err == nil {
		if err := a.Sessions.End(r.Context(), sent.Value); err != nil {
			return err
		}
	}
	http.SetCookie(w, a.cookie("", -1))
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// sameSite refuses what a browser sends for a page of another origin that is not listed. Programs send neither header.
func (a *API) sameSite(r *http.Request) error {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	if site == "same-origin" || site == "" && origin == "" || slices.Contains(a.Origins, strings.ToLower(origin)) {
		return nil
	}
	if _, host, found := strings.Cut(origin, "://"); found && site == "" && host == r.Host {
		return nil
	}
	return refusal{http.StatusForbidden, "not for pages of other sites"}
}

func (a *API) give(w http.ResponseWriter, status int, tokens sessions.Tokens, user *accounts.User) error {
	http.SetCookie(w, a.cookie(tokens.Refresh, int(a.Sessions.RefreshLife.Seconds())))
	return write(w, status, session{user, tokens.Access, "Bearer", int(a.Sessions.AccessLife.Seconds())})
}

func (a *API) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: cookie, Value: value, Path: cookiePath, MaxAge: age,
		HttpOnly: true, Secure: !a.Plain, SameSite: http.SameSiteStrictMode,
	}
}
