// Package gemini asks a model through Google's generateContent, or anything that speaks it.
package gemini

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/datifyy/backend/internal/config"
)

// ErrNoKey is the answer while no key is set.
var ErrNoKey = errors.New("GEMINI_API_KEY is not set")

const largestAnswer = 1 << 20

// Client asks one model. The key travels in a header, never in a URL, and to no other host: redirects are not followed.
type Client struct {
	base, model string
	key         config.Secret
	http        *http.Client
}

// New makes no connection.
func New(base, model string, key config.Secret, timeout time.Duration) *Client {
	return &Client{base, model, key, &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type content struct {
	Parts []part `json:"parts"`
}

type part struct {
	Text string `json:"text"`
}

type question struct {
	Contents []content `json:"contents"`
}

type answer struct {
	Candidates []struct {
		Content content `json:"content"`
	} `json:"candidates"`
}

// Ask is the model's text. Its errors hold neither the key nor what the upstream said, which may repeat it.
func (c *Client) Ask(ctx context.Context, prompt string) (string, error) {
	if c.key == "" {
		return "", ErrNoKey
	}
	body, err := json.Marshal(question{[]content{{[]part{{prompt}}}}})
	if err != nil {
		return "", err
	}
	address := c.base + "/v1beta/models/" + url.PathEscape(c.model) + ":generateContent"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Goog-Api-Key", c.key.Reveal())
	response, err := c.http.Do(request)
	if err != nil {
		return "", fmt.Errorf("asking the model: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, largestAnswer+1))
	switch {
	case err != nil:
		return "", fmt.Errorf("reading the model's answer: %w", err)
	case response.StatusCode != http.StatusOK:
		return "", fmt.Errorf("the model's server answered %d", response.StatusCode)
	case len(text) > largestAnswer:
		return "", errors.New("the model's answer is too long")
	}
	var got answer
	if err := json.Unmarshal(text, &got); err != nil {
		return "", errors.New("the model's answer is not JSON")
	}
	var said strings.Builder
	if len(got.Candidates) > 0 {
		for _, part := range got.Candidates[0].Content.Parts {
			said.WriteString(part.Text)
		}
	}
	if strings.TrimSpace(said.String()) == "" {
		return "", errors.New("the model said nothing")
	}
	return strings.TrimSpace(said.String()), nil
}
