package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"example.com/rt-apps/api/internal/config"
	"example.com/rt-apps/api/internal/logs"
	"example.com/rt-apps/api/internal/testkit"
)

const (
	migrations = "../../migrations"
	page       = "https://rt-apps.example"
)

// app is the whole server, as golive starts it, with stores of its own.
type app struct {
	t        *testing.T
	url      string
	postgres *testkit.Process
	redis    *testkit.Process
	client   *redis.Client
	logs     *lines
	boot     time.Duration
	stop     func() error
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T, more map[string]string) *app {
	t.Helper()
	a := &app{t: t, logs: &lines{}}
	var database, cache string
	a.postgres, database = testkit.Postgres(t)
	a.redis, cache = testkit.Redis(t)
	testkit.Migrate(t, database, migrations, ".up.sql", false)
	values := map[string]string{
		"HOST": "127.0.0.1", "PORT": fmt.Sprint(testkit.Port(t)), "DATABASE_URL": database, "REDIS_URL": cache,
		"JWT_SECRET": strings.Repeat("k", 32), "CORS_ORIGINS": page + ",https://other.example", "LOG_LEVEL": "debug",
	}
	for name, value := range more {
		values[name] = value
	}
	settings, err := config.Load(func(name string) (string, bool) { value, ok := values[name]; return value, ok })
	if err != nil {
		t.Fatal(err)
	}
	options, err := redis.ParseURL(cache)
	if err != nil {
		t.Fatal(err)
	}
	a.client = redis.NewClient(options)
	t.Cleanup(func() { a.client.Close() })
	slog.SetDefault(logs.New(a.logs, settings.LogLevel))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	begun := time.Now()
	go func() { ended <- Run(ctx, settings) }()
	a.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := a.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(a.logs.String())
		}
	})
	a.url = "http://" + settings.Address()
	testkit.Eventually(t, "the server is ready", func() bool {
		response, err := http.Get(a.url + "/readiness")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	a.boot = time.Since(begun)
	return a
}

type object = map[string]any

// ask sends a request, with headers in pairs, and reads the JSON of its answer.
func (a *app) ask(method, path string, body any, headers ...string) (*http.Response, object) {
	a.t.Helper()
	var content io.Reader
	switch body := body.(type) {
	case nil:
	case string:
		content = strings.NewReader(body)
	default:
		text, _ := json.Marshal(body)
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, a.url+path, content)
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	answer := object{}
	text, _ := io.ReadAll(response.Body)
	_ = json.Unmarshal(text, &answer)
	return response, answer
}

func (a *app) want(status int, method, path string, body any, headers ...string) object {
	a.t.Helper()
	response, answer := a.ask(method, path, body, headers...)
	if response.StatusCode != status {
		a.t.Fatalf("%s %s answered %d, not %d: %v", method, path, response.StatusCode, status, answer)
	}
	return answer
}

func refreshCookie(t *testing.T, response *http.Response) *http.Cookie {
	t.Helper()
	for _, cookie := range response.Cookies() {
		if cookie.Name == "rt_refresh" {
			return cookie
		}
	}
	t.Fatalf("no refresh cookie: %d %v", response.StatusCode, response.Header)
	return nil
}

// person registers from an address of their own; `access` is the header's value, `cookie` too.
func (a *app) person(name, address string) (access, cookie string) {
	a.t.Helper()
	response, answer := a.ask("POST", "/api/v1/register", object{"email": name + "@example.com", "password": "correct horse", "name": name},
		"X-Forwarded-For", address)
	if response.StatusCode != 201 {
		a.t.Fatal(response.StatusCode, answer)
	}
	return "Bearer " + answer["access_token"].(string), "rt_refresh=" + refreshCookie(a.t, response).Value
}

func TestApp(t *testing.T) {
	a := start(t, nil)
	if a.boot > 200*time.Millisecond {
		t.Errorf("boot took %s", a.boot)
	}
	t.Run("accounts", func(t *testing.T) { a.accounts(t) })
	t.Run("profile", func(t *testing.T) { a.profile(t) })
	t.Run("refresh", func(t *testing.T) { a.refreshing(t) })
	t.Run("logout", func(t *testing.T) { a.logout(t) })
	t.Run("requests that are refused", func(t *testing.T) { a.refusals(t) })
	t.Run("rate limit", func(t *testing.T) { a.rates(t) })
	t.Run("cors", func(t *testing.T) { a.origins(t) })
	t.Run("logs", func(t *testing.T) { a.logLines(t) })
	t.Run("redis away", func(t *testing.T) { a.withoutRedis(t) })
	t.Run("database away", func(t *testing.T) { a.withoutDatabase(t) })
}

func (a *app) accounts(t *testing.T) {
	ana := object{"email": "Ana@example.com", "password": "correct horse", "name": "Ana"}
	response, answer := a.ask("POST", "/api/v1/register", ana)
	cookie := refreshCookie(t, response)
	if response.StatusCode != 201 || answer["user"].(object)["name"] != "Ana" || answer["refresh_token"] != nil {
		t.Error(response.StatusCode, answer)
	}
	if !cookie.HttpOnly || !cookie.Secure || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/api/v1/" {
		t.Error(cookie)
	}
	ana["email"] = "ana@EXAMPLE.com"
	a.want(409, "POST", "/api/v1/register", ana)
	session := a.want(200, "POST", "/api/v1/login", object{"email": "ANA@example.com", "password": "correct horse"})
	a.want(200, "GET", "/api/v1/profile", nil, "Authorization", "Bearer "+session["access_token"].(string))
	wrong := a.want(401, "POST", "/api/v1/login", object{"email": "ana@example.com", "password": "wrong"})
	nobody := a.want(401, "POST", "/api/v1/login", object{"email": "nobody@example.com", "password": "wrong"})
	if wrong["error"] != nobody["error"] {
		t.Error("the answer tells which accounts there are")
	}
	faults := a.want(422, "POST", "/api/v1/register", object{"email": "x", "password": "short", "name": ""})
	if len(faults["fields"].(object)) != 3 {
		t.Error(faults)
	}
	for _, header := range []string{"", "Bearer x", "Basic YTpi", "Bearer " + cookie.Value} { // a refresh token is not an access token
		a.want(401, "GET", "/api/v1/profile", nil, "Authorization", header)
	}
}

func (a *app) profile(t *testing.T) {
	access, _ := a.person("pia", "198.51.100.1")
	a.want(200, "GET", "/api/v1/profile", nil, "Authorization", access)
	if got := a.want(200, "PATCH", "/api/v1/profile", object{"bio": " Builds boats. "}, "Authorization", access); got["bio"] != "Builds boats." || got["name"] != "pia" {
		t.Error(got)
	}
	if got := a.want(200, "GET", "/api/v1/profile", nil, "Authorization", access); got["bio"] != "Builds boats." {
		t.Error("the cache is stale", got)
	}
	a.want(422, "PATCH", "/api/v1/profile", object{"name": ""}, "Authorization", access)
	a.want(400, "PATCH", "/api/v1/profile", object{"email": "other@example.com"}, "Authorization", access)
}

func (a *app) refreshing(t *testing.T) {
	_, first := a.person("rob", "198.51.100.2")
	response, answer := a.ask("POST", "/api/v1/refresh", nil, "Cookie", first)
	if response.StatusCode != 200 {
		t.Fatal(response.StatusCode, answer)
	}
	second := "rt_refresh=" + refreshCookie(t, response).Value
	if second == first {
		t.Error("the refresh token was not replaced")
	}
	access := "Bearer " + answer["access_token"].(string)
	a.want(200, "GET", "/api/v1/profile", nil, "Authorization", access)
	a.want(200, "POST", "/api/v1/refresh", nil, "Cookie", first) // at once: the answer may have been lost
	response, _ = a.ask("POST", "/api/v1/refresh", nil, "Cookie", second)
	third := "rt_refresh=" + refreshCookie(t, response).Value
	a.want(401, "POST", "/api/v1/refresh", nil, "Cookie", first) // older than the one before the last: a copy
	a.want(401, "POST", "/api/v1/refresh", nil, "Cookie", third)
	a.want(401, "GET", "/api/v1/profile", nil, "Authorization", access)
	a.want(401, "POST", "/api/v1/refresh", nil)

	_, shared := a.person("sam", "198.51.100.3")
	var tabs sync.WaitGroup
	for range 5 {
		tabs.Go(func() {
			if response, answer := a.ask("POST", "/api/v1/refresh", nil, "Cookie", shared); response.StatusCode != 200 {
				t.Error("one of five tabs was signed out:", answer)
			}
		})
	}
	tabs.Wait()
}

func (a *app) logout(t *testing.T) {
	access, cookie := a.person("lou", "198.51.100.4")
	a.want(403, "POST", "/api/v1/logout", nil, "Cookie", cookie, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site")
	a.want(403, "POST", "/api/v1/refresh", nil, "Cookie", cookie, "Origin", "https://evil.example")
	a.want(200, "GET", "/api/v1/profile", nil, "Authorization", access)
	response, _ := a.ask("POST", "/api/v1/logout", nil, "Cookie", cookie, "Origin", page)
	if response.StatusCode != 204 || refreshCookie(t, response).MaxAge >= 0 {
		t.Error(response.StatusCode, response.Cookies())
	}
	a.want(401, "GET", "/api/v1/profile", nil, "Authorization", access)
	a.want(401, "POST", "/api/v1/refresh", nil, "Cookie", cookie)
	a.want(204, "POST", "/api/v1/logout", nil)
}

func (a *app) refusals(t *testing.T) {
	valid := `{"email":"x@example.com","password":"long enough"}`
	for body, status := range map[string]int{
		`{"email":`:                            400,
		``:                                     400,
		`{"email":1}`:                          400,
		`{"is_admin":true}`:                    400,
		valid + valid:                          400,
		`"` + strings.Repeat("x", 1<<15) + `"`: 413,
	} {
		if response, answer := a.ask("POST", "/api/v1/login", body); response.StatusCode != status || answer["error"] == nil {
			t.Errorf("%.30s: %d %v", body, response.StatusCode, answer)
		}
	}
	a.want(415, "POST", "/api/v1/login", valid, "Content-Type", "text/plain")
	a.want(405, "GET", "/api/v1/login", nil)
	a.want(404, "GET", "/api/v1/nothing", nil)
}

func (a *app) rates(t *testing.T) {
	const here = "203.0.113.5"
	for i := range 100 {
		if response, _ := a.ask("POST", "/api/v1/refresh", nil, "X-Forwarded-For", here); response.StatusCode != 401 {
			t.Fatalf("request %d: %d", i, response.StatusCode)
		}
	}
	response, answer := a.ask("POST", "/api/v1/refresh", nil, "X-Forwarded-For", "9.9.9.9, "+here)
	var seconds int
	if _, err := fmt.Sscan(response.Header.Get("Retry-After"), &seconds); err != nil || response.StatusCode != 429 || seconds < 1 || seconds > 36 {
		t.Error(response.StatusCode, response.Header, answer)
	}
	if got := response.Header.Get("RateLimit-Policy"); got != `"default";q=100;w=3600` {
		t.Error(got)
	}
	a.want(401, "POST", "/api/v1/refresh", nil, "X-Forwarded-For", "203.0.113.6")
	a.want(200, "GET", "/api/v1/status", nil, "X-Forwarded-For", here)
	access, _ := a.person("uma", "203.0.113.7")
	a.want(200, "GET", "/api/v1/profile", nil, "Authorization", access, "X-Forwarded-For", here) // a user's share is their own
}

func (a *app) origins(t *testing.T) {
	for origin, want := range map[string]string{page: page, "https://other.example": "https://other.example", "https://evil.example": "", "null": "", "": ""} {
		for _, method := range []string{"GET", "OPTIONS"} {
			response, _ := a.ask(method, "/api/v1/status", nil, "Origin", origin,
				map[string]string{"OPTIONS": "Access-Control-Request-Method", "GET": "X-None"}[method], "PATCH")
			got, credentials := response.Header.Get("Access-Control-Allow-Origin"), response.Header.Get("Access-Control-Allow-Credentials")
			if got != want || (credentials == "true") != (want != "") || !strings.Contains(strings.Join(response.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s from %q: %q %q, Vary %q", method, origin, got, credentials, response.Header.Values("Vary"))
			}
			if methods := response.Header.Get("Access-Control-Allow-Methods"); (methods != "") != (method == "OPTIONS" && want != "") {
				t.Errorf("%s from %q: %q", method, origin, methods)
			}
		}
	}
}

func (a *app) logLines(t *testing.T) {
	if response, _ := a.ask("GET", "/api/v1/status", nil, "X-Request-Id", "from-the-edge-1"); response.Header.Get("X-Request-Id") != "from-the-edge-1" {
		t.Error(response.Header)
	}
	if response, _ := a.ask("GET", "/api/v1/status", nil, "X-Request-Id", `"},{"forged":"`); len(response.Header.Get("X-Request-Id")) < 20 {
		t.Error(response.Header)
	}
	var seen bool
	for line := range strings.Lines(a.logs.String()) {
		var entry object
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		seen = seen || entry["msg"] == "request" && entry["request_id"] == "from-the-edge-1" && entry["status"] == 200.0
	}
	if !seen {
		t.Error("the request has no line")
	}
	for _, secret := range []string{"correct horse", "eyJ", strings.Repeat("k", 32)} {
		if strings.Contains(a.logs.String(), secret) {
			t.Errorf("the logs show %q", secret)
		}
	}
}

func (a *app) withoutRedis(t *testing.T) {
	access, _ := a.person("wim", "198.51.100.5")
	a.redis.Stop()
	a.want(200, "GET", "/health", nil)
	if got := a.want(503, "GET", "/readiness", nil); got["redis"] != "unavailable" || got["database"] != "ok" {
		t.Error(got)
	}
	a.want(503, "GET", "/api/v1/profile", nil, "Authorization", access) // who was signed out cannot be told: nobody gets in
	a.redis.Start()
	testkit.Eventually(t, "Redis is back", func() bool { r, _ := a.ask("GET", "/readiness", nil); return r.StatusCode == 200 })
}

func (a *app) withoutDatabase(t *testing.T) {
	a.postgres.Stop()
	if got := a.want(503, "GET", "/health", nil); got["status"] != "unhealthy" || strings.Contains(fmt.Sprint(got), "127.0.0.1") {
		t.Error(got)
	}
	a.want(503, "POST", "/api/v1/login", object{"email": "ana@example.com", "password": "correct horse"}, "X-Forwarded-For", "198.51.100.6")
	a.postgres.Start()
	testkit.Eventually(t, "the database is back", func() bool { r, _ := a.ask("GET", "/health", nil); return r.StatusCode == 200 })
}

// A request under way is answered, and the server ends in peace.
func TestDrain(t *testing.T) {
	a := start(t, map[string]string{"ENV": "development"})
	reader, writer := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		response, err := http.Post(a.url+"/api/v1/register", "application/json", reader)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		response.Body.Close()
		answered <- response.StatusCode
	}()
	fmt.Fprint(writer, `{"email":"drain@example.com",`)
	testkit.Eventually(t, "the request is counted", func() bool { return a.client.Exists(t.Context(), "rtapps:rate:address:127.0.0.1").Val() == 1 })
	stopped := make(chan error, 1)
	go func() { stopped <- a.stop() }()
	testkit.Eventually(t, "no more is taken", func() bool { _, err := http.Get(a.url + "/health"); return err != nil })
	fmt.Fprint(writer, `"password":"correct horse","name":"D"}`)
	writer.Close()
	if status := <-answered; status != 201 {
		t.Error(status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	_, url := testkit.Postgres(t)
	testkit.Migrate(t, url, migrations, ".up.sql", false)
	testkit.Migrate(t, url, migrations, ".down.sql", true)
	testkit.Migrate(t, url, migrations, ".up.sql", false)
}
