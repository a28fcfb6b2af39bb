# godcem: two commands do everything on a machine with Go and make: `make run` and `make test`.
GO ?= go
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GO_FILES = $(shell git ls-files -co --exclude-standard '*.go')

.PHONY: help run test check cross race fuzz soak accept-first-light bench clean

help:            ## this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:.*##' Makefile | sed 's/:.*##/\t/' | expand -t 22

run: bin/godcem  ## train the regression with DCEM and with gradient descent; pictures and report under out/
	./bin/godcem regression --method both --out out/regression

bin/godcem: $(GO_FILES) go.mod
	$(GO) build -o $@ ./cmd/godcem

test:            ## every test that a machine with Go alone can run
	$(GO) test ./...

check:           ## formatting, vet, staticcheck
	@out=$$(gofmt -l $(GO_FILES)); [ -z "$$out" ] || { echo "gofmt would change:"; echo "$$out"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

cross:           ## builds for the other platforms that import godcem
	for p in linux/arm64 darwin/arm64 windows/amd64; do \
	  echo "build $$p"; CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build ./... || exit 1; done

race:            ## the library under the race detector (needs cgo)
	$(GO) test -race ./kernels/... ./internal/... ./dcem/... ./autodiff/...

clean:
	rm -rf bin out
