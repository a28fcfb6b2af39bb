// Package live shows runs in the browser from the files that they write, while they write them: loss curves, figures,
// animations and numbers. It changes nothing and needs no part of the running program.
package live

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

//go:embed page
var page embed.FS

// A Server shows the runs in a folder and below it. Nothing outside of it can be asked for, by whatever path or link.
type Server struct {
	root *os.Root
	now  func() time.Time
}

// New serves a folder, which must exist. Close it when done.
func New(dir string) (*Server, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("live: %w", err)
	}
	return &Server{root, time.Now}, nil
}

// Close gives the folder back.
func (s *Server) Close() error { return s.root.Close() }

// Handler answers:
//
//	/               the page
//	/api/runs       the runs that there are
//	/api/run?path=  all that is shown of one
//	/files/PATH     figures, reports and tables
func (s *Server) Handler() http.Handler {
	static, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the folder is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(static))
	mux.HandleFunc("GET /api/runs", func(w http.ResponseWriter, _ *http.Request) {
		runs, err := s.runs()
		answer(w, runs, err)
	})
	mux.HandleFunc("GET /api/run", func(w http.ResponseWriter, r *http.Request) {
		run, err := s.run(r.URL.Query().Get("path"))
		answer(w, run, err)
	})
	mux.HandleFunc("GET /files/{path...}", s.file)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page of another origin must not read runs through a name that it has pointed here.
		if host := strings.ToLower(r.Host); !local(host) {
			http.Error(w, fmt.Sprintf("host %q is not served here; ask for localhost", host), http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		mux.ServeHTTP(w, r)
	})
}

// local reports whether a request's host is this machine's own name for itself, or an address.
func local(host string) bool {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	if host == "localhost" || strings.HasPrefix(host, "[") {
		return true
	}
	return host != "" && strings.Trim(host, "0123456789.") == ""
}

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoRun):
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // an error is the client's going away
}

// served are the kinds of files that are shown.
var served = []string{".png", ".svg", ".gif", ".html", ".csv", ".json", ".yaml"}

func (s *Server) file(w http.ResponseWriter, r *http.Request) {
	name := path.Clean(r.PathValue("path"))
	if !slices.Contains(served, strings.ToLower(path.Ext(name))) {
		http.Error(w, fmt.Sprintf("%s: want a file of %s", name, strings.Join(served, ", ")), http.StatusNotFound)
		return
	}
	f, err := s.root.Open(name)
	if err != nil {
		http.Error(w, name+": no such file", http.StatusNotFound)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		http.Error(w, name+": no such file", http.StatusNotFound)
		return
	}
	if strings.HasSuffix(name, ".html") { // reports hold their pictures and styles within
		w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src data:; style-src 'unsafe-inline'")
	}
	http.ServeContent(w, r, name, info.ModTime(), f)
}
