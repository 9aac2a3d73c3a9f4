package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"example.com/datifyy/backend/internal/config"
	datifyyv1 "example.com/datifyy/backend/internal/gen/datifyy/v1"
	"example.com/datifyy/backend/internal/logs"
	"example.com/datifyy/backend/internal/testkit"
)

const (
	migrations = "../../migrations"
	geminiKey  = "AIza-planted-key"
	page       = "https://datifyy.example"
)

// app is the whole server, as golive starts it, with stores and a model of its own.
type app struct {
	t        *testing.T
	url      string
	calls    *grpc.ClientConn
	matches  datifyyv1.MatchServiceClient
	postgres *testkit.Process
	redis    *testkit.Process
	model    *model
	logs     *lines
	boot     time.Duration
	stop     func() error
}

// model is a Gemini-compatible upstream: what it answers next, and what it was asked.
type model struct {
	*httptest.Server
	status int
	body   string
	mu     sync.Mutex
	asked  []*http.Request
	bodies []string
}

func newModel(t *testing.T) *model {
	m := &model{status: 200, body: `{"candidates":[{"content":{"parts":[{"text":" Hello "},{"text":"there! "}]}}]}`}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		m.mu.Lock()
		m.asked, m.bodies = append(m.asked, r), append(m.bodies, string(text))
		m.mu.Unlock()
		w.Header().Set("Location", "https://elsewhere.example")
		w.WriteHeader(m.status)
		fmt.Fprint(w, m.body)
	}))
	t.Cleanup(m.Close)
	return m
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

func start(t *testing.T) *app {
	t.Helper()
	a := &app{t: t, model: newModel(t), logs: &lines{}}
	var database, cache string
	a.postgres, database = testkit.Postgres(t)
	a.redis, cache = testkit.Redis(t)
	testkit.Migrate(t, database, migrations, ".up.sql", false)
	values := map[string]string{
		"HOST": "127.0.0.1", "PORT": fmt.Sprint(testkit.Port(t)), "GRPC_PORT": fmt.Sprint(testkit.Port(t)),
		"DATABASE_URL": database, "REDIS_URL": cache, "JWT_SECRET": strings.Repeat("k", 32),
		"CORS_ALLOWED_ORIGINS": page + ",https://other.example",
		"GEMINI_BASE_URL":      a.model.URL, "GEMINI_API_KEY": geminiKey, "GEMINI_TIMEOUT": "1s",
	}
	settings, err := config.Load(func(name string) (string, bool) { value, ok := values[name]; return value, ok })
	if err != nil {
		t.Fatal(err)
	}
	slog.SetDefault(logs.New(a.logs, slog.LevelDebug))
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
	a.url = "http://" + settings.HTTPAddress()
	testkit.Eventually(t, "the server is healthy", func() bool {
		response, err := http.Get(a.url + "/health")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	a.boot = time.Since(begun)
	a.calls, err = grpc.NewClient(settings.GRPCAddress(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.calls.Close() })
	a.matches = datifyyv1.NewMatchServiceClient(a.calls)
	return a
}

// ask sends a request and reads the JSON of its answer.
func (a *app) ask(method, path, token string, body any) (*http.Response, map[string]any) {
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
	if content != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	answer := map[string]any{}
	text, _ := io.ReadAll(response.Body)
	_ = json.Unmarshal(text, &answer)
	return response, answer
}

func (a *app) want(status int, method, path, token string, body any) map[string]any {
	a.t.Helper()
	response, answer := a.ask(method, path, token, body)
	if response.StatusCode != status {
		a.t.Fatalf("%s %s answered %d, not %d: %v", method, path, response.StatusCode, status, answer)
	}
	return answer
}

type object = map[string]any

// person signs up; email is name@example.com.
func (a *app) person(name string, interests ...string) (id, token string) {
	a.t.Helper()
	session := a.want(201, "POST", "/api/v1/users", "", object{"email": name + "@example.com", "password": "long enough", "name": name})
	id, token = session["user"].(string), session["token"].(string)
	a.want(200, "PUT", "/api/v1/profile", token, object{"name": name, "city": "Porto", "birth_year": 1995, "interests": interests})
	return id, token
}

func as(token string) context.Context {
	return metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+token)
}

func TestApp(t *testing.T) {
	a := start(t)
	if a.boot > 200*time.Millisecond {
		t.Errorf("boot took %s", a.boot)
	}
	t.Run("accounts", func(t *testing.T) { a.accounts(t) })
	t.Run("profile", func(t *testing.T) { a.profile(t) })
	t.Run("matching", func(t *testing.T) { a.matching(t) })
	t.Run("simultaneous likes", func(t *testing.T) { a.simultaneousLikes(t) })
	t.Run("model", func(t *testing.T) { a.icebreaking(t) })
	t.Run("requests that are refused", func(t *testing.T) { a.refusals(t) })
	t.Run("cors", func(t *testing.T) { a.origins(t) })
	t.Run("calls that are refused", func(t *testing.T) { a.refusedCalls(t) })
	t.Run("logs", func(t *testing.T) { a.logLines(t) })
	t.Run("redis away", func(t *testing.T) { a.withoutRedis(t) })
	t.Run("database away", func(t *testing.T) { a.withoutDatabase(t) })
	t.Run("drain", func(t *testing.T) { a.drains(t) })
}

func (a *app) accounts(t *testing.T) {
	ana := object{"email": "Ana@example.com", "password": "correct horse", "name": "Ana"}
	a.want(201, "POST", "/api/v1/users", "", ana)
	ana["email"] = "ana@EXAMPLE.com"
	a.want(409, "POST", "/api/v1/users", "", ana)
	session := a.want(200, "POST", "/api/v1/sessions", "", object{"email": "ANA@example.com", "password": "correct horse"})
	a.want(200, "GET", "/api/v1/profile", session["token"].(string), nil)
	wrong := a.want(401, "POST", "/api/v1/sessions", "", object{"email": "ana@example.com", "password": "wrong"})
	nobody := a.want(401, "POST", "/api/v1/sessions", "", object{"email": "nobody@example.com", "password": "wrong"})
	if wrong["error"] != nobody["error"] {
		t.Error("the answer tells which accounts there are")
	}
	faults := a.want(422, "POST", "/api/v1/users", "", object{"email": "Ana <a@b>", "password": "short", "name": ""})
	if fields := faults["fields"].(object); len(fields) != 3 {
		t.Error(fields)
	}
	a.want(401, "GET", "/api/v1/profile", "", nil)
	a.want(401, "GET", "/api/v1/profile", "not.a.token", nil)
}

func (a *app) profile(t *testing.T) {
	_, token := a.person("Pia", "music", "art", "art")
	got := a.want(200, "GET", "/api/v1/profile", token, nil)
	if fmt.Sprint(got["interests"]) != "[art music]" || got["city"] != "Porto" {
		t.Error(got)
	}
	a.want(200, "PUT", "/api/v1/profile", token, object{"name": "Pia B.", "city": "Graz"})
	if got := a.want(200, "GET", "/api/v1/profile", token, nil); got["city"] != "Graz" || got["name"] != "Pia B." {
		t.Error("the cache is stale", got)
	}
	faults := a.want(422, "PUT", "/api/v1/profile", token, object{"name": "Pia", "interests": []string{"sleeping"}})
	if fields := faults["fields"].(object); fields["interests"] == nil {
		t.Error(faults)
	}
	if all := a.want(200, "GET", "/api/v1/interests", "", nil)["interests"].([]any); len(all) != 14 {
		t.Error(all)
	}
}

func (a *app) matching(t *testing.T) {
	cleo, cleoToken := a.person("Cleo", "climbing", "dancing")
	dan, danToken := a.person("Dan", "climbing", "dancing")
	best := a.want(200, "GET", "/api/v1/suggestions?limit=1", cleoToken, nil)["suggestions"].([]any)[0].(object)
	if best["person"].(object)["id"] != dan || best["score"] != 100.0 {
		t.Error(best)
	}
	follow, err := a.matches.WatchMatches(as(danToken), &datifyyv1.WatchMatchesRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if event, err := follow.Recv(); err != nil || event.GetCaughtUp() == nil {
		t.Fatal(event, err)
	}
	if got := a.want(200, "PUT", "/api/v1/likes/"+dan, cleoToken, nil); got["match"] != nil {
		t.Error(got)
	}
	match := a.want(200, "PUT", "/api/v1/likes/"+cleo, danToken, nil)["match"].(object)
	if again := a.want(200, "PUT", "/api/v1/likes/"+dan, cleoToken, nil)["match"].(object); again["id"] != match["id"] {
		t.Error("liked twice, matched twice")
	}
	event, err := follow.Recv()
	if err != nil || event.GetMatch().GetId() != match["id"] || event.GetMatch().GetWith().GetName() != "Cleo" {
		t.Error(event, err)
	}
	listed, err := a.matches.ListMatches(as(cleoToken), &datifyyv1.ListMatchesRequest{})
	if err != nil || len(listed.Matches) != 1 || listed.Matches[0].With.Id != dan || listed.Matches[0].With.City != "Porto" {
		t.Error(listed, err)
	}
	if found := a.want(200, "GET", "/api/v1/matches", cleoToken, nil)["matches"].([]any); len(found) != 1 {
		t.Error(found)
	}
	once, err := a.matches.WatchMatches(as(cleoToken), &datifyyv1.WatchMatchesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"match", "caught_up", "EOF"} {
		event, err := once.Recv()
		got := map[bool]string{true: "match"}[event.GetMatch() != nil] + map[bool]string{true: "caught_up"}[event.GetCaughtUp() != nil] +
			map[bool]string{true: "EOF"}[errors.Is(err, io.EOF)]
		if got != want {
			t.Errorf("event %d: %q, not %q: %v", i, got, want, err)
		}
	}
	a.want(404, "PUT", "/api/v1/likes/00000000-0000-4000-8000-000000000000", cleoToken, nil)
	a.want(404, "PUT", "/api/v1/likes/dan", cleoToken, nil)
	a.want(422, "PUT", "/api/v1/likes/"+cleo, cleoToken, nil)
}

// Two likes at the same moment are one match, every time.
func (a *app) simultaneousLikes(t *testing.T) {
	for i := range 5 {
		e, eToken := a.person(fmt.Sprint("Eve", i))
		f, fToken := a.person(fmt.Sprint("Fay", i))
		var made atomic.Int32
		var both sync.WaitGroup
		for _, like := range [][2]string{{f, eToken}, {e, fToken}} {
			both.Go(func() {
				if _, answer := a.ask("PUT", "/api/v1/likes/"+like[0], like[1], nil); answer["match"] != nil {
					made.Add(1)
				}
			})
		}
		both.Wait()
		if made.Load() != 1 {
			t.Fatalf("%d of two likes made the match", made.Load())
		}
	}
}

func (a *app) icebreaking(t *testing.T) {
	gus, gusToken := a.person("Gus", "books")
	hal, halToken := a.person("Hal", "books")
	a.want(200, "PUT", "/api/v1/likes/"+hal, gusToken, nil)
	match := a.want(200, "PUT", "/api/v1/likes/"+gus, halToken, nil)["match"].(object)["id"].(string)
	path := "/api/v1/matches/" + match + "/icebreaker"
	if got := a.want(200, "POST", path, gusToken, nil); got["source"] != "gemini" || got["text"] != "Hello there!" {
		t.Error(got)
	}
	asked := a.model.asked[0]
	if asked.URL.Path != "/v1beta/models/gemini-2.5-flash:generateContent" || asked.URL.RawQuery != "" {
		t.Error("asked", asked.URL)
	}
	if asked.Header.Get("X-Goog-Api-Key") != geminiKey || !strings.Contains(a.model.bodies[0], "books") {
		t.Error(a.model.bodies[0])
	}
	for _, bad := range []struct {
		status int
		body   string
	}{{500, geminiKey}, {302, ""}, {200, "<html>"}, {200, `{"candidates":[]}`}, {200, strings.Repeat(" ", 2<<20)}} {
		a.model.status, a.model.body = bad.status, bad.body
		if got := a.want(200, "POST", path, gusToken, nil); got["source"] != "template" || !strings.Contains(got["text"].(string), "books") {
			t.Error(got)
		}
	}
	_, stranger := a.person("Ivy")
	a.want(404, "POST", path, stranger, nil)
}

func (a *app) refusals(t *testing.T) {
	valid := `{"email":"x@example.com","password":"long enough"}`
	for body, status := range map[string]int{
		`{"email":`:                            400,
		``:                                     400,
		`{"email":1}`:                          400,
		`{"admin":true}`:                       400,
		valid + valid:                          400,
		`"` + strings.Repeat("x", 1<<15) + `"`: 413,
	} {
		if response, answer := a.ask("POST", "/api/v1/sessions", "", body); response.StatusCode != status || answer["error"] == nil {
			t.Errorf("%.30s: %d %v", body, response.StatusCode, answer)
		}
	}
	response, err := http.Post(a.url+"/api/v1/sessions", "text/plain", strings.NewReader(valid))
	if err != nil || response.StatusCode != 415 {
		t.Error(response, err)
	}
	_, token := a.person("Jo")
	for _, limit := range []string{"0", "101", "ten"} {
		a.want(422, "GET", "/api/v1/matches?limit="+limit, token, nil)
	}
}

func (a *app) origins(t *testing.T) {
	for origin, want := range map[string]string{page: page, "https://other.example": "https://other.example", "https://evil.example": "", "null": "", "": ""} {
		for _, method := range []string{"GET", "OPTIONS"} {
			request, _ := http.NewRequest(method, a.url+"/api/v1/interests", nil)
			request.Header.Set("Origin", origin)
			if method == "OPTIONS" {
				request.Header.Set("Access-Control-Request-Method", "GET")
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if got := response.Header.Get("Access-Control-Allow-Origin"); got != want || !strings.Contains(strings.Join(response.Header.Values("Vary"), ","), "Origin") {
				t.Errorf("%s from %q: %q, Vary %q", method, origin, got, response.Header.Values("Vary"))
			}
		}
	}
}

func (a *app) refusedCalls(t *testing.T) {
	for _, ctx := range []context.Context{context.Background(), as("not.a.token")} {
		if _, err := a.matches.ListMatches(ctx, &datifyyv1.ListMatchesRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Error(err)
		}
		stream, err := a.matches.WatchMatches(ctx, &datifyyv1.WatchMatchesRequest{})
		if err == nil {
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Unauthenticated {
			t.Error(err)
		}
	}
	_, token := a.person("Kim")
	if _, err := a.matches.ListMatches(as(token), &datifyyv1.ListMatchesRequest{Limit: 101}); status.Code(err) != codes.InvalidArgument {
		t.Error(err)
	}
}

func (a *app) health(service string) grpc_health_v1.HealthCheckResponse_ServingStatus {
	answer, err := grpc_health_v1.NewHealthClient(a.calls).Check(context.Background(), &grpc_health_v1.HealthCheckRequest{Service: service})
	if err != nil {
		return grpc_health_v1.HealthCheckResponse_UNKNOWN
	}
	return answer.Status
}

func (a *app) logLines(t *testing.T) {
	request, _ := http.NewRequest("GET", a.url+"/api/v1/interests", nil)
	request.Header.Set("X-Request-Id", "from-the-edge-1")
	if response, err := http.DefaultClient.Do(request); err != nil || response.Header.Get("X-Request-Id") != "from-the-edge-1" {
		t.Error(response, err)
	}
	request.Header.Set("X-Request-Id", `"},{"forged":"`)
	if response, err := http.DefaultClient.Do(request); err != nil || len(response.Header.Get("X-Request-Id")) < 20 {
		t.Error(response, err)
	}
	var seen bool
	for line := range strings.Lines(a.logs.String()) {
		var entry object
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("not JSON: %s", line)
		}
		seen = seen || entry["msg"] == "request" && entry["request_id"] == "from-the-edge-1" && entry["status"] == 200.0
		if (entry["msg"] == "request" || entry["msg"] == "call" || entry["msg"] == "model_failed") && entry["request_id"] == nil {
			t.Errorf("no request id: %s", line)
		}
	}
	if !seen {
		t.Error("the request has no line")
	}
	for _, secret := range []string{geminiKey, "long enough", "correct horse", strings.Repeat("k", 32)} {
		if strings.Contains(a.logs.String(), secret) {
			t.Errorf("the logs show %q", secret)
		}
	}
}

func (a *app) withoutRedis(t *testing.T) {
	_, token := a.person("Lea")
	a.want(200, "GET", "/health/redis", "", nil)
	a.redis.Stop()
	a.want(503, "GET", "/health/redis", "", nil)
	if got := a.want(200, "GET", "/health", "", nil); got["status"] != "degraded" {
		t.Error(got)
	}
	a.want(200, "GET", "/api/v1/profile", token, nil)
	a.redis.Start()
	testkit.Eventually(t, "Redis is back", func() bool { r, _ := a.ask("GET", "/health/redis", "", nil); return r.StatusCode == 200 })
}

func (a *app) withoutDatabase(t *testing.T) {
	testkit.Eventually(t, "gRPC is healthy", func() bool { return a.health("datifyy.v1.MatchService") == grpc_health_v1.HealthCheckResponse_SERVING })
	a.want(200, "GET", "/health/db", "", nil)
	a.postgres.Stop()
	a.want(503, "GET", "/health/db", "", nil)
	if got := a.want(503, "GET", "/health", "", nil); got["db"] != "unavailable" || got["redis"] != "ok" {
		t.Error(got)
	}
	if got := a.want(500, "GET", "/api/v1/interests", "", nil); strings.Contains(fmt.Sprint(got), "127.0.0.1") {
		t.Error("the answer tells where the database is", got)
	}
	testkit.Eventually(t, "gRPC is not healthy", func() bool { return a.health("") == grpc_health_v1.HealthCheckResponse_NOT_SERVING })
	a.postgres.Start()
	testkit.Eventually(t, "the database is back", func() bool { r, _ := a.ask("GET", "/health/db", "", nil); return r.StatusCode == 200 })
}

// A request under way is answered, a stream is told to come back, and the server ends in peace.
func (a *app) drains(t *testing.T) {
	mia, miaToken := a.person("Mia")
	ned, nedToken := a.person("Ned")
	a.want(200, "PUT", "/api/v1/likes/"+ned, miaToken, nil)
	match := a.want(200, "PUT", "/api/v1/likes/"+mia, nedToken, nil)["match"].(object)["id"].(string)
	follow, err := a.matches.WatchMatches(as(miaToken), &datifyyv1.WatchMatchesRequest{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := follow.Recv(); err != nil {
			t.Fatal(err)
		}
	}
	a.model.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		go a.stop()
		time.Sleep(300 * time.Millisecond)
		fmt.Fprint(w, `{"candidates":[{"content":{"parts":[{"text":"late"}]}}]}`)
	})
	if got := a.want(200, "POST", "/api/v1/matches/"+match+"/icebreaker", miaToken, nil); got["text"] != "late" {
		t.Error(got)
	}
	if event, err := follow.Recv(); err != nil || event.GetRestarting() == nil {
		t.Error(event, err)
	}
	if _, err := follow.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if err := a.stop(); err != nil {
		t.Error(err)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	_, url := testkit.Postgres(t)
	testkit.Migrate(t, url, migrations, ".up.sql", false)
	testkit.Migrate(t, url, migrations, ".down.sql", true)
	testkit.Migrate(t, url, migrations, ".up.sql", false)
}
