// Package internal holds the recipe of the generated code, `go generate ./internal`. It needs protoc (Debian's
// protobuf-compiler and libprotobuf-dev), protoc-gen-go and protoc-gen-go-grpc on the PATH. What they make is checked
// in, so that a build needs none of them.
package internal

//go:generate protoc -I ../proto --go_out=.. --go_opt=module=example.com/datifyy/backend --go-grpc_out=.. --go-grpc_opt=module=example.com/datifyy/backend ../proto/datifyy/v1/match.proto
