package run

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Sides are the methods of a program that can train through several, one after the other, each in the folder of its
// name below the out folder.
type Sides struct {
	Kind    string   // the program's, in its checkpoints
	Methods []string // in their order
	All     string   // the method that stands for all of them
	AtOnce  bool     // they train at the same time, so that the longest one says how long all took
}

// CheckResume returns an error if dir holds a run that method does not continue, before anything there is touched. was
// reads the method of a configuration file; side is the configuration of one of the methods, and updates how many it
// shall have. That of a single method's checkpoint is left to Train.
func (s Sides) CheckResume(dir, method string, was func(path string) (string, error), side func(method string) any, updates int) error {
	path := filepath.Join(dir, ConfigFile)
	if _, err := os.Lstat(path); err == nil {
		before, err := was(path)
		if err != nil {
			return err
		}
		if before != method {
			return fmt.Errorf("%s: method is %q, was %q, and cannot change in a run that is resumed", path, method, before)
		}
	}
	if method != s.All {
		return nil
	}
	for _, m := range s.Methods {
		folder := filepath.Join(dir, m)
		if err := CheckResume(folder, s.Kind, updates); err != nil {
			return err
		}
		path := filepath.Join(folder, CheckpointFile)
		if _, err := os.Lstat(path); os.IsNotExist(err) {
			continue
		}
		from, err := Load(path, s.Kind)
		if err != nil {
			return err
		}
		if err := SameConfig(from, side(m)); err != nil {
			return err
		}
	}
	return nil
}

// Forget removes, before a fresh start, all that an earlier run may have left in dir, of one method or of all: its
// checkpoints first, since a start that is killed or fails here must not be resumed from another run's. files are those
// of the program's own beside Train's.
func (s Sides) Forget(dir, method string, files ...string) error {
	var names []string
	for _, name := range slices.Concat([]string{CheckpointFile, ConfigFile, BestFile, MetricsFile, ResultFile}, files) {
		names = append(names, name)
		for _, m := range s.Methods {
			names = append(names, filepath.Join(m, name))
		}
	}
	if err := Forget(dir, names...); err != nil {
		return err
	}
	if method != s.All {
		for _, m := range s.Methods {
			os.Remove(filepath.Join(dir, m)) // stays if something else is in it
		}
	}
	return nil
}

// Each calls f for each method, with the options of its own folder. An error names the method, unless it says that the
// run was interrupted. A result of all is that of the part before, and goes first.
func (s Sides) Each(o Options, f func(method string, o Options) error) error {
	if err := Forget(o.Out, ResultFile); err != nil {
		return err
	}
	for _, m := range s.Methods {
		so := o
		so.Out, so.Progress.Label = filepath.Join(o.Out, m), s.Kind+" "+m
		if err := f(m, so); err != nil {
			if errors.Is(err, ErrInterrupted) {
				return err
			}
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	return nil
}

// Result is r, the result of all, with the metrics of each method's, its name before theirs, and their seconds.
func (s Sides) Result(dir string, r Result) (Result, error) {
	r.Metrics, r.Seconds = map[string]float64{}, 0
	for _, m := range s.Methods {
		side, err := ReadResult(filepath.Join(dir, m))
		if err != nil {
			return r, err
		}
		if s.AtOnce {
			r.Seconds = max(r.Seconds, side.Seconds)
		} else {
			r.Seconds += side.Seconds
		}
		for name, v := range side.Metrics {
			r.Metrics[m+"_"+name] = v
		}
	}
	return r, nil
}
