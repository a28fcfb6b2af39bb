package record

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Results are of the same sources as long as nothing has changed that programs are made of: records, documents and
// tests may have, which measuring and writing about it do.
func TestSameSources(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git to ask: ", err)
	}
	t.Setenv("GODCEM_COMMIT", "")
	t.Chdir(t.TempDir())
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"},
			args...)
		if out, err := exec.Command("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := []string{"go.mod", "a.go", "in/b.go", "in/b_test.go", "in/c.s", "bench/peers/p.py",
		"bench/results/r.json", "doc/d.md"}
	git("init", "-q")
	for _, f := range files {
		write(f, "1")
	}
	git("add", ".")
	git("commit", "-q", "-m", "first")
	first := Commit()
	if !SameSources(first) {
		t.Fatalf("nothing has changed since %s", first)
	}
	for _, c := range []struct {
		file        string
		same, clean bool
	}{
		{"bench/results/r.json", true, true}, {"doc/d.md", true, true}, {"in/b_test.go", true, false},
		{"a.go", false, false}, {"in/b.go", false, false}, {"in/c.s", false, false}, {"bench/peers/p.py", false, false},
		{"go.mod", false, false},
	} {
		write(c.file, "2")
		if got := SameSources(first); got != c.same {
			t.Errorf("%s has changed: the same sources is %v", c.file, got)
		}
		if got := Commit() == first; got != c.clean {
			t.Errorf("%s has changed: the commit is %s", c.file, Commit())
		}
		write(c.file, "1")
	}
	write("a.go", "2")
	if SameSources(Commit()) {
		t.Errorf("results of %s are of nobody knows what", Commit())
	}
	git("commit", "-q", "-a", "-m", "second")
	if SameSources(first) || !SameSources(Commit()) || SameSources("0123456789ab") {
		t.Errorf("the first commit's: %v, the second's: %v, an unknown one's: %v", SameSources(first),
			SameSources(Commit()),
			SameSources("0123456789ab"))
	}
	t.Setenv("GODCEM_COMMIT", "kit")
	if !SameSources("kit") || SameSources(first) {
		t.Error("without a working tree the environment says which commit it is")
	}
}
