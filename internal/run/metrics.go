package run

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/godcem/godcem/internal/atomicfile"
)

// Metrics writes metrics.csv: a header "step,<columns>", then one row per logged step in rising order. Numbers have all
// their digits, a cell without a value is empty.
type Metrics struct {
	path    string
	columns []string
	file    *os.File
	w       *bufio.Writer
	line    []byte
	passed  time.Time // when the rows so far were last given to the file
}

// CreateMetrics starts a new file at path with the given columns (without "step").
func CreateMetrics(path string, columns []string) (*Metrics, error) {
	checkColumns(columns)
	head := metricsHeader(columns) + "\n"
	if err := atomicfile.WriteBytes(path, []byte(head)); err != nil {
		return nil, err
	}
	return appendMetrics(path, columns)
}

// ResumeMetrics continues the file at path after step: later rows, and a last line that was cut short, are dropped
// (atomically). A file that is missing starts anew, one with other columns is an error. last is the last row that was
// kept, nil if there is none.
func ResumeMetrics(path string, columns []string, step int) (m *Metrics, last []float64, err error) {
	checkColumns(columns)
	raw, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		m, err = CreateMetrics(path, columns)
		return m, nil, err
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: cannot read: %w", path, atomicfile.Bare(err))
	}
	raw = raw[:bytes.LastIndexByte(raw, '\n')+1]
	head, _, _ := strings.Cut(string(raw), "\n")
	if want := metricsHeader(columns); head != want {
		return nil, nil, fmt.Errorf("%s: header is %s, want %s", path, shorten(strconv.Quote(head)), want)
	}
	// Rows rise, so what is kept is a prefix; only it has to be sound.
	keep, previous := len(head)+1, math.Inf(-1)
	for number := 2; keep < len(raw); number++ {
		end := keep + bytes.IndexByte(raw[keep:], '\n')
		row, err := parseRow(string(raw[keep:end]), len(columns)+1)
		if err == nil && row[0] > float64(step) {
			break
		}
		if err == nil && !(row[0] > previous) {
			err = fmt.Errorf("step %v after step %v", row[0], previous)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: line %d: %w", path, number, err)
		}
		previous, last, keep = row[0], row, end+1
	}
	if err := atomicfile.WriteBytes(path, raw[:keep]); err != nil {
		return nil, nil, err
	}
	m, err = appendMetrics(path, columns)
	return m, last, err
}

func appendMetrics(path string, columns []string) (*Metrics, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot write: %w", path, atomicfile.Bare(err))
	}
	return &Metrics{path: path, columns: slices.Clone(columns), file: f, w: bufio.NewWriter(f)}, nil
}

func checkColumns(columns []string) {
	for i, c := range columns {
		if c == "" || c == "step" || strings.ContainsAny(c, ",\"\r\n ") || slices.Contains(columns[:i], c) {
			panic(fmt.Sprintf("run: metrics columns = %q: column %d, want distinct names, without spaces, commas and quotes, "+
				"other than \"step\"", columns, i))
		}
	}
}

func metricsHeader(columns []string) string {
	return strings.Join(append([]string{"step"}, columns...), ",")
}

// Row appends the row of a step. A name that is no column is an error; a column that values lack stays empty.
func (m *Metrics) Row(step int, values map[string]float64) error {
	m.line = strconv.AppendInt(m.line[:0], int64(step), 10)
	used := 0
	for _, c := range m.columns {
		m.line = append(m.line, ',')
		if v, ok := values[c]; ok {
			m.line = strconv.AppendFloat(m.line, v, 'g', -1, 64)
			used++
		}
	}
	if used < len(values) {
		for name := range values {
			if !slices.Contains(m.columns, name) {
				return fmt.Errorf("%s: no column %q, want one of %s", m.path, name, strings.Join(m.columns, ", "))
			}
		}
	}
	if _, err := m.w.Write(append(m.line, '\n')); err != nil {
		return fmt.Errorf("%s: cannot write: %w", m.path, atomicfile.Bare(err))
	}
	return nil
}

// Flush puts all rows on the disk.
func (m *Metrics) Flush() error {
	err := m.w.Flush()
	if err == nil {
		err = m.file.Sync()
	}
	if err != nil {
		return fmt.Errorf("%s: cannot write: %w", m.path, atomicfile.Bare(err))
	}
	return nil
}

// Close flushes and closes the file.
func (m *Metrics) Close() error {
	err := m.Flush()
	if e := m.file.Close(); err == nil && e != nil {
		err = fmt.Errorf("%s: cannot write: %w", m.path, atomicfile.Bare(e))
	}
	return err
}

// Table is what a metrics file holds. An empty cell reads as NaN.
type Table struct {
	Columns []string // "step" first
	Rows    [][]float64
}

// ReadMetrics reads a metrics file. A last line that was cut short, as a run leaves it that is being written or was
// killed, is left out.
func ReadMetrics(path string) (*Table, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: cannot read: %w", path, atomicfile.Bare(err))
	}
	return ParseMetrics(path, raw)
}

// ParseMetrics is ReadMetrics of a file's content; errors name the path.
func ParseMetrics(path string, raw []byte) (*Table, error) {
	text := string(raw[:bytes.LastIndexByte(raw, '\n')+1])
	if !strings.HasPrefix(text, "step,") && !strings.HasPrefix(text, "step\n") {
		head, _, _ := strings.Cut(text, "\n")
		return nil, fmt.Errorf("%s: starts with %s, want a header \"step,...\"", path, shorten(strconv.Quote(head)))
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	t := &Table{Columns: strings.Split(lines[0], ",")}
	for i, line := range lines[1:] {
		row, err := parseRow(line, len(t.Columns))
		if err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, i+2, err)
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

func parseRow(line string, n int) ([]float64, error) {
	cells := strings.Split(line, ",")
	if len(cells) != n {
		return nil, fmt.Errorf("%d cells, want %d", len(cells), n)
	}
	row := make([]float64, n)
	for i, c := range cells {
		var err error
		switch {
		case i == 0:
			var step int64
			if step, err = strconv.ParseInt(c, 10, 53); err != nil {
				return nil, fmt.Errorf("step is %s, want an integer", shorten(strconv.Quote(c)))
			}
			row[i] = float64(step)
		case c == "":
			row[i] = math.NaN()
		default:
			if row[i], err = strconv.ParseFloat(c, 64); err != nil {
				return nil, fmt.Errorf("cell %d is %s, want a number", i+1, shorten(strconv.Quote(c)))
			}
		}
	}
	return row, nil
}

// Column returns the values of a column, or nil if there is none of that name.
func (t *Table) Column(name string) []float64 {
	at := slices.Index(t.Columns, name)
	if at < 0 {
		return nil
	}
	values := make([]float64, len(t.Rows))
	for i, r := range t.Rows {
		values[i] = r[at]
	}
	return values
}

// Series returns the steps and values of a column where it has a value: for curves of columns that are only filled now
// and then.
func (t *Table) Series(name string) (steps, values []float64) {
	for i, v := range t.Column(name) {
		if !math.IsNaN(v) {
			steps, values = append(steps, t.Rows[i][0]), append(values, v)
		}
	}
	return steps, values
}
