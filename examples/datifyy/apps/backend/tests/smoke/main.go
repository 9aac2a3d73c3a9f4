// Command smoke checks a deployed Datifyy from outside: REST, gRPC and a stream, as two people would use them.
//
//	DATIFYY_URL=https://datifyy.localhost:8443 DATIFYY_CA=ca.pem go run ./tests/smoke
//
// DATIFYY_GRPC is host:port of the gRPC side when it is not that of DATIFYY_URL; with http:// it is called without TLS.
// DATIFYY_CA is a file of certificates to trust besides the system's. It makes two accounts at each run.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	datifyyv1 "example.com/datifyy/backend/internal/gen/datifyy/v1"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
	fmt.Println("all is well")
}

func run(ctx context.Context) error {
	base, err := url.Parse(strings.TrimRight(os.Getenv("DATIFYY_URL"), "/"))
	if err != nil || base.Host == "" {
		return errors.New("set DATIFYY_URL to where Datifyy answers, e.g. https://datifyy.localhost:8443")
	}
	trust, err := roots(os.Getenv("DATIFYY_CA"))
	if err != nil {
		return err
	}
	site := &site{base.String(), &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trust}, ForceAttemptHTTP2: true, DialContext: dial,
	}}}
	for _, path := range []string{"/health", "/health/db", "/health/redis"} {
		if err := site.ask(ctx, "GET", path, "", nil, nil); err != nil {
			return err
		}
	}
	fmt.Println("ok  health, database, Redis")
	ana, err := site.person(ctx, "Ana")
	if err != nil {
		return err
	}
	bo, err := site.person(ctx, "Bo")
	if err != nil {
		return err
	}
	fmt.Println("ok  register, login, profile")

	calls, err := connect(base, trust)
	if err != nil {
		return err
	}
	defer calls.Close()
	matches := datifyyv1.NewMatchServiceClient(calls)
	if _, err := matches.ListMatches(ctx, &datifyyv1.ListMatchesRequest{}); status.Code(err) != codes.Unauthenticated {
		return fmt.Errorf("a call without a token: %w", err)
	}
	stream, err := matches.WatchMatches(ana.context(ctx), &datifyyv1.WatchMatchesRequest{Follow: true})
	if err != nil {
		return err
	}
	if event, err := stream.Recv(); err != nil || event.GetCaughtUp() == nil {
		return fmt.Errorf("the stream began with %v: %w", event, err)
	}
	if err := site.ask(ctx, "PUT", "/api/v1/likes/"+bo.User, ana.Token, nil, nil); err != nil {
		return err
	}
	var made struct{ Match *struct{ ID string } }
	if err := site.ask(ctx, "PUT", "/api/v1/likes/"+ana.User, bo.Token, nil, &made); err != nil {
		return err
	}
	if made.Match == nil {
		return errors.New("two likes did not make a match")
	}
	for {
		event, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("the stream: %w", err)
		}
		if event.GetMatch().GetId() == made.Match.ID {
			break
		}
	}
	fmt.Println("ok  the stream told the match")
	listed, err := matches.ListMatches(bo.context(ctx), &datifyyv1.ListMatchesRequest{})
	if err != nil || len(listed.Matches) != 1 || listed.Matches[0].With.Id != ana.User {
		return fmt.Errorf("the unary call gave %v: %w", listed, err)
	}
	fmt.Println("ok  the unary call listed it")
	var line struct{ Text, Source string }
	if err := site.ask(ctx, "POST", "/api/v1/matches/"+made.Match.ID+"/icebreaker", ana.Token, nil, &line); err != nil {
		return err
	}
	fmt.Printf("ok  icebreaker by %s: %s\n", line.Source, line.Text)
	return nil
}

type site struct {
	base   string
	client *http.Client
}

type session struct{ User, Token string }

func (s session) context(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+s.Token)
}

// person registers, signs in and writes a profile.
func (s *site) person(ctx context.Context, name string) (session, error) {
	var who session
	account := map[string]string{"email": "smoke-" + strings.ToLower(rand.Text()) + "@example.com", "password": rand.Text(), "name": name}
	if err := s.ask(ctx, "POST", "/api/v1/users", "", account, nil); err != nil {
		return who, err
	}
	delete(account, "name")
	if err := s.ask(ctx, "POST", "/api/v1/sessions", "", account, &who); err != nil {
		return who, err
	}
	profile := map[string]any{"name": name, "city": "Porto", "birth_year": 1995, "interests": []string{"books", "films"}}
	if err := s.ask(ctx, "PUT", "/api/v1/profile", who.Token, profile, nil); err != nil {
		return who, err
	}
	var read struct{ ID, City string }
	if err := s.ask(ctx, "GET", "/api/v1/profile", who.Token, nil, &read); err != nil {
		return who, err
	}
	if read.ID != who.User || read.City != "Porto" {
		return who, fmt.Errorf("the profile came back as %+v", read)
	}
	return who, nil
}

func (s *site) ask(ctx context.Context, method, path, token string, body, into any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(content))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %d: %s", method, path, response.StatusCode, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func connect(base *url.URL, trust *x509.CertPool) (*grpc.ClientConn, error) {
	address := os.Getenv("DATIFYY_GRPC")
	if address == "" {
		port := base.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[base.Scheme]
		}
		address = net.JoinHostPort(base.Hostname(), port)
	}
	secure := credentials.NewTLS(&tls.Config{RootCAs: trust})
	if base.Scheme == "http" {
		secure = insecure.NewCredentials()
	}
	dialer := func(ctx context.Context, address string) (net.Conn, error) { return dial(ctx, "tcp", address) }
	return grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(secure), grpc.WithContextDialer(dialer))
}

// dial reaches *.localhost on this machine, as browsers do (RFC 6761), whatever the resolver says.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
		address = net.JoinHostPort("127.0.0.1", port)
	}
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
}

func roots(file string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil || file == "" {
		return pool, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}
