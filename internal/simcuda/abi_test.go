package simcuda

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// headers finds the folder of cuda.h: a toolkit's, or that of the wheels.
func headers(t *testing.T) string {
	t.Helper()
	places := []string{os.Getenv("CUDA_HOME") + "/include", os.Getenv("CUDA_PATH") + "/include",
		"/usr/local/cuda/include", "../../.cuda/nvidia/cuda_runtime/include"}
	for _, p := range places {
		if _, err := os.Stat(filepath.Join(p, "cuda.h")); err == nil {
			return p
		}
	}
	t.Skip("no cuda.h: set CUDA_HOME to a toolkit, or run cuda/fetch.sh")
	return ""
}

// TestDriverABI compares layouts and numbers with cuda.h.
func TestDriverABI(t *testing.T) {
	needCompiler(t)
	include := headers(t)
	c, err := compiler()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(c.path, "-std=c++17", "-fsyntax-only", "-I"+include, "testdata/abi/abi.cc")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

var (
	comments   = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	prototypes = regexp.MustCompile(`(?s)\bCUresult\s+CUDAAPI\s+(\w+)\s*\(([^;]*)\)\s*;`)
	exports    = regexp.MustCompile(`(?s)SIM_EXPORT\s+CUresult\s+(\w+)\(([^{]*)\)\s*\{`)
	renames    = regexp.MustCompile(`(?m)^#define\s+(cu\w+)\s+(?:__CUDA_API_PT\w+\()?(cu\w+)`)
	pointers   = regexp.MustCompile(`\*|\bCU(context|module|function|stream|event|graph|graphNode|graphExec|array)\b|` +
		`\bCU(hostFn|streamCallback|occupancyB2DSize)\b`)
	longs = regexp.MustCompile(`\b(CUdeviceptr|size_t|long|uint64_t|cuuint64_t)\b`)
)

// classes says how a function takes its parameters: P for an address, L for 64 bits, I for what is passed as an int.
func classes(params string) string {
	var s strings.Builder
	for p := range strings.SplitSeq(params, ",") {
		switch p = strings.TrimSpace(p); {
		case p == "" || p == "void":
		case pointers.MatchString(p):
			s.WriteByte('P')
		case longs.MatchString(p):
			s.WriteByte('L')
		default:
			s.WriteByte('I')
		}
	}
	return s.String()
}

// TestDriverPrototypes compares the parameters of what the driver exports with cuda.h.
func TestDriverPrototypes(t *testing.T) {
	header, err := os.ReadFile(filepath.Join(headers(t), "cuda.h"))
	if err != nil {
		t.Fatal(err)
	}
	text := comments.ReplaceAllString(string(header), "")
	base := map[string]string{} // cuMemAlloc_v2 -> cuMemAlloc
	for _, m := range renames.FindAllStringSubmatch(text, -1) {
		perThread := strings.HasSuffix(m[2], "_ptsz") || strings.HasSuffix(m[2], "_ptds")
		if _, known := base[m[2]]; !known && !perThread && m[1] != m[2] {
			base[m[2]] = m[1]
		}
	}
	want := map[string]string{}
	for _, m := range prototypes.FindAllStringSubmatch(text, -1) {
		if _, known := want[m[1]]; !known {
			want[m[1]] = classes(m[2])
		}
	}
	compared := 0
	for _, name := range files("cuda*.cc") {
		source, err := sources.ReadFile("src/" + name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range exports.FindAllStringSubmatch(comments.ReplaceAllString(string(source), ""), -1) {
			if m[1] == "cuGraphInstantiate" || m[1] == "cuGraphInstantiate_v2" {
				continue // of CUDA 11; cuda.h 12 gives the name to another
			}
			known, ok := want[m[1]]
			if b, renamed := base[m[1]]; renamed {
				known, ok = want[b]
			}
			if !ok {
				t.Logf("%s: not in this cuda.h", m[1])
				continue
			}
			compared++
			if got := classes(m[2]); got != known {
				t.Errorf("%s: %s takes %s, want %s", name, m[1], got, known)
			}
		}
	}
	if compared < 150 {
		t.Errorf("only %d functions compared", compared)
	}
}

// TestDriverSymbols checks that all is there that gorgonia.org/cu links against, and nothing else but the driver's.
func TestDriverSymbols(t *testing.T) {
	needCompiler(t)
	dir, err := build([]library{driverLibrary()}, false)
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(filepath.Join(dir, "libcuda.so.1"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if names, err := f.DynString(elf.DT_SONAME); err != nil || len(names) != 1 || names[0] != "libcuda.so.1" {
		t.Errorf("soname %v, %v", names, err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			have[s.Name] = true
			ours := strings.HasPrefix(s.Name, "cu") || strings.HasPrefix(s.Name, "sim")
			if !ours && elf.ST_BIND(s.Info) == elf.STB_GLOBAL {
				t.Errorf("%s is exported", s.Name)
			}
		}
	}
	need, err := os.ReadFile("testdata/abi/cu-0.9.6.txt")
	if err != nil {
		t.Fatal(err)
	}
	for name := range strings.FieldsSeq(string(need)) {
		if !have[name] {
			t.Errorf("%s is missing", name)
		}
	}
}
