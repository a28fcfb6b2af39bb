package emit

import (
	"fmt"
	"strings"

	"github.com/godcem/godcem/kernels"
)

// Text is one compilable text of kernels: the files of kernels.CUDA that they need, each once and after those that it
// includes itself, then the kernels in the given order.
func Text(ks []Kernel) (string, error) {
	var out strings.Builder
	done := map[string]bool{}
	for i := range ks {
		for _, f := range ks[i].Files {
			if err := include(&out, f, done); err != nil {
				return "", fmt.Errorf("emit: kernel %s: %w", ks[i].Name, err)
			}
		}
	}
	for i := range ks {
		out.WriteString("\n" + ks[i].Source)
	}
	return out.String(), nil
}

// include writes a file of kernels.CUDA behind those that it includes, unless it is there already.
func include(out *strings.Builder, file string, done map[string]bool) error {
	if done[file] {
		return nil
	}
	done[file] = true // at once: a circle ends here
	text, err := kernels.CUDA.ReadFile(file)
	if err != nil {
		return fmt.Errorf("the file %q of package kernels: %w", file, err)
	}
	var rest strings.Builder
	for line := range strings.Lines(string(text)) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "#include \"")
		if !ok {
			rest.WriteString(line)
			continue
		}
		if err := include(out, strings.TrimSuffix(name, "\""), done); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	fmt.Fprintf(out, "// %s\n%s", file, rest.String())
	return nil
}
