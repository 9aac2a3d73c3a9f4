package web

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
)

const largestBody = 16 << 10

// refusal is an answer to a request that cannot be read.
type refusal struct {
	status int
	why    string
}

func (r refusal) Error() string { return r.why }

// read takes one JSON object of known fields and nothing after it.
func read(r *http.Request, into any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refusal{http.StatusUnsupportedMediaType, "the body must be application/json"}
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = errors.New("there is something after the JSON object")
		}
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return refusal{http.StatusRequestEntityTooLarge, "the body must be at most 16 KiB"}
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return refusal{http.StatusBadRequest, "the field " + wrong.Field + " must not be a " + wrong.Value}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return refusal{http.StatusBadRequest, "the JSON ends too early"}
	}
	return refusal{http.StatusBadRequest, err.Error()}
}

func write(w http.ResponseWriter, status int, answer any) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n')) // who went away cannot be told
	return nil
}
