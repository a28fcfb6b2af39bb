package viz

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	_ "image/jpeg" // with PNG and GIF, which the figures themselves use, what DecodeConfig knows
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Report is one page with everything in it: no other file, font or script is needed to read it. All texts are plain; a
// blank line starts a new paragraph.
type Report struct {
	Title    string
	Intro    string
	Sections []Section
}

// Section is a part of a report; its pieces appear in this order, empty ones not at all.
type Section struct {
	Heading string
	Text    string
	Figures []Figure
	Table   *Table
	Code    string // shown as it is: a command, a configuration file
}

// Figure is a .png, .gif, .jpg or .svg file that the report takes in. It is shown in its own size, so that narrow ones
// stand side by side.
type Figure struct {
	Path    string
	Caption string
}

// Table is a table of texts; columns that hold numbers are aligned as such. Each row has as many cells as Header,
// where there is one.
type Table struct {
	Caption string
	Header  []string
	Rows    [][]string
}

//go:embed report.html
var reportPage string

var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"paragraphs": paragraphs,
	"numeric":    numeric,
}).Parse(reportPage))

// WriteReport writes the report to path as one HTML file.
func WriteReport(path string, r Report) error {
	if r.Title == "" {
		return fmt.Errorf("viz: report %s: no title", path)
	}
	for _, s := range r.Sections {
		if s.Table == nil {
			continue
		}
		for i, row := range s.Table.Rows {
			if want := s.Table.columns(); len(row) != want {
				return fmt.Errorf("viz: report %s: table of %q: row %d has %d cells, want %d", path, s.Heading, i, len(row), want)
			}
		}
	}
	page := struct {
		Report
		Images map[string]embedded
	}{r, map[string]embedded{}}
	for _, s := range r.Sections {
		for _, f := range s.Figures {
			img, err := embed(f.Path)
			if err != nil {
				return fmt.Errorf("viz: report %s: %w", path, err)
			}
			page.Images[f.Path] = img
		}
	}
	var out bytes.Buffer
	if err := reportTemplate.Execute(&out, page); err != nil {
		return fmt.Errorf("viz: report %s: %w", path, err)
	}
	return write(path, out.Bytes())
}

func (t *Table) columns() int {
	if len(t.Header) > 0 || len(t.Rows) == 0 {
		return len(t.Header)
	}
	return len(t.Rows[0])
}

func paragraphs(s string) (ps []string) {
	for p := range strings.SplitSeq(strings.ReplaceAll(s, "\r\n", "\n"), "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			ps = append(ps, p)
		}
	}
	return ps
}

// numeric reports whether all cells of a column read as numbers, perhaps with a unit or an error after them.
func numeric(t *Table, col int) bool {
	for _, row := range t.Rows {
		first, _, _ := strings.Cut(strings.TrimSpace(row[col]), " ")
		if _, err := strconv.ParseFloat(strings.NewReplacer("−", "-", ",", "", "%", "").Replace(first), 64); err != nil {
			return false
		}
	}
	return len(t.Rows) > 0
}

// mimes are the kinds of images by extension.
var mimes = map[string]string{
	".png": "image/png", ".gif": "image/gif", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".svg": "image/svg+xml",
}

// embedded is an image file as a data URL, with its size in pixels (0 of an SVG, which fits itself in).
type embedded struct {
	URL           template.URL
	Width, Height int
}

// embed reads an image file. An image, even an SVG, runs no script when it stands in <img>.
func embed(path string) (e embedded, err error) {
	ext := strings.ToLower(filepath.Ext(path))
	mime, ok := mimes[ext]
	if !ok {
		return e, fmt.Errorf("figure %s: unknown format %q, want .png, .gif, .jpg or .svg", path, ext)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return e, fmt.Errorf("figure %s: %w", path, err)
	}
	if ext == ".svg" {
		if !bytes.Contains(data, []byte("<svg")) {
			return e, fmt.Errorf("figure %s: no <svg> in it", path)
		}
	} else {
		c, _, err := image.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return e, fmt.Errorf("figure %s: %w", path, err)
		}
		e.Width, e.Height = c.Width, c.Height
	}
	e.URL = template.URL("data:" + mime + ";base64," + base64.StdEncoding.EncodeToString(data))
	return e, nil
}
