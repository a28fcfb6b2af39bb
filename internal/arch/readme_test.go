package arch

import (
	"os"
	"strings"
	"testing"
)

// The README's example must be the one that compiles and runs, dcem's Example.
func TestReadmeShowsTheTestedExample(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../dcem/example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	block, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the README has no Go block")
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	code, _, _ := strings.Cut(block, " // [0.5 0.5]")
	if len(code) < 500 || !strings.Contains(squeeze(string(example)), squeeze(code)) {
		t.Error("the README's Go block is not in dcem/example_test.go")
	}
}

// Files that the README points to exist.
func TestReadmeLinks(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, part := range strings.Split(string(readme), "](")[1:] {
		path, _, _ := strings.Cut(part, ")")
		if strings.Contains(path, "://") {
			continue
		}
		found++
		if _, err := os.Stat("../../" + path); err != nil {
			t.Errorf("the README points to %s: %v", path, err)
		}
	}
	if found == 0 {
		t.Error("no links found: nothing was checked")
	}
}
