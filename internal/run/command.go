package run

import (
	"os"
	"path/filepath"

	"github.com/spf13/pflag"
)

// Common holds the flags that every program has beside its configuration. They say where and how a run happens, not
// what it computes.
type Common struct {
	Out    string // --out: folder of the files
	Config string // --config: YAML or JSON file, "" for none
	Resume bool   // --resume
	Quiet  bool   // --quiet: no progress
}

// BindCommon registers --out (with the given default), --config, --resume and --quiet.
func BindCommon(fs *pflag.FlagSet, out string) *Common {
	c := &Common{}
	fs.StringVarP(&c.Out, "out", "o", out, "folder for all files of the run; a fresh start replaces an earlier run there")
	fs.StringVarP(&c.Config, "config", "c", "", "YAML or JSON `file` with the settings below; flags win over it")
	fs.BoolVar(&c.Resume, "resume", false, "continue the run in the out folder from its last checkpoint")
	fs.BoolVarP(&c.Quiet, "quiet", "q", false, "show no progress")
	return c
}

// Resolve gives cfg its final values after fs was parsed: by Resolve, or, where --resume finds a checkpoint of that
// kind, by ResolveResume. A run that was killed before its first checkpoint has left its configuration, which then
// stands in the defaults' place: resuming it needs no flags either.
func (c *Common) Resolve(fs *pflag.FlagSet, cfg any, kind string) error {
	if c.Resume {
		path := filepath.Join(c.Out, CheckpointFile)
		if _, err := os.Lstat(path); err == nil {
			from, err := Load(path, kind)
			if err != nil {
				return err
			}
			return ResolveResume(fs, cfg, c.Config, from)
		}
		path = filepath.Join(c.Out, ConfigFile)
		if _, err := os.Lstat(path); err == nil {
			if err := LoadConfig(path, cfg); err != nil {
				return err
			}
		}
	}
	return Resolve(fs, cfg, c.Config)
}

// Options returns Train's options for these flags; the program adds steps and intervals.
func (c *Common) Options(label string, cfg any) Options {
	return Options{Out: c.Out, Resume: c.Resume, Config: cfg, Progress: ProgressOptions{Silent: c.Quiet, Label: label}}
}
