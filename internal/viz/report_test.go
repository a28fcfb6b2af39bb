package viz

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestReportHoldsEverythingAndEscapesIt(t *testing.T) {
	dir := t.TempDir()
	png, gif, svg := filepath.Join(dir, "a.png"), filepath.Join(dir, "b.gif"), filepath.Join(dir, "c.svg")
	for _, path := range []string{png, svg} {
		if err := Save(path, plots()["lines"]); err != nil {
			t.Fatal(err)
		}
	}
	if err := SaveGIF(gif, animation(2)); err != nil {
		t.Fatal(err)
	}
	evil := `<script>alert("x")</script>`
	path := filepath.Join(dir, "report.html")
	err := WriteReport(path, Report{Title: "T " + evil, Intro: "First.\n\nSecond " + evil, Sections: []Section{
		{Heading: "H " + evil, Text: "x " + evil, Figures: []Figure{
			{png, `caption " onload="alert(1) ` + evil}, {gif, ""}, {svg, "vector"},
		}},
		{Table: &Table{
			Caption: "c " + evil, Header: []string{"name " + evil, "value"}, Rows: [][]string{{evil, "1.5 ± 0.1"}, {"b", "−2"}},
		}},
		{Heading: "Command", Code: "godcem regression --out 'a b' > " + evil},
	}})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	if strings.Contains(page, "<script") || strings.Contains(page, `" onload=`) {
		t.Error("text was taken for HTML")
	}
	if n := strings.Count(page, "&lt;script&gt;"); n < 10 {
		t.Errorf("the escaped text appears %d times, want in all 10 places", n)
	}
	for file, mime := range map[string]string{png: "image/png", gif: "image/gif", svg: "image/svg+xml"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// In an attribute "+" may be written as an entity; the browser reads it as the same.
		src := `src="data:` + mime + `;base64,` + base64.StdEncoding.EncodeToString(raw) + `"`
		if !strings.Contains(strings.ReplaceAll(page, "&#43;", "+"), src) {
			t.Errorf("%s is not in the report", file)
		}
	}
	// Nothing is fetched from elsewhere.
	noData := regexp.MustCompile(`data:[^"]*`).ReplaceAllString(page, "")
	if at := regexp.MustCompile(`https?:|url\(|@import|<link|src="[^"]+"`).FindString(noData); at != "" {
		t.Errorf("the page refers to %q", at)
	}
	for _, want := range []string{
		`<html lang="en">`, `charset="utf-8"`, "viewport", "<p>First.</p>", `width="320" height="240"`, `style="width: 320px"`,
		`<td class="n">1.5 ± 0.1</td>`, `<td class="n">−2</td>`, `<th scope="col" class="n">value</th>`, "<td>b</td>",
		`href="#s2"`, `id="s2"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in the page", want)
		}
	}
}

func TestReportErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report.html")
	with := func(figure string) Report {
		return Report{Title: "T", Sections: []Section{{Figures: []Figure{{Path: figure}}}}}
	}
	missing, text, fake := filepath.Join(dir, "none.png"), filepath.Join(dir, "a.txt"), filepath.Join(dir, "fake.png")
	fakeSVG := filepath.Join(dir, "fake.svg")
	for _, f := range []string{text, fake, fakeSVG} {
		if err := os.WriteFile(f, []byte("hello"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	contains(t, WriteReport(path, with(missing)), path, missing, "no such file")
	contains(t, WriteReport(path, with(text)), path, text, ".txt")
	contains(t, WriteReport(path, with(fake)), path, fake, "unknown format")
	contains(t, WriteReport(path, with(fakeSVG)), path, fakeSVG, "<svg>")
	contains(t, WriteReport(path, Report{}), path, "no title")
	ragged := &Table{Header: []string{"a", "b"}, Rows: [][]string{{"1", "2"}, {"1"}}}
	contains(t, WriteReport(path, Report{Title: "T", Sections: []Section{{Heading: "Metrics", Table: ragged}}}),
		path, "Metrics", "row 1 has 1 cells, want 2")
	if _, err := os.Stat(path); err == nil {
		t.Error("a failed report was written")
	}
	nowhere := filepath.Join(dir, "nowhere", "report.html")
	contains(t, WriteReport(nowhere, Report{Title: "T"}), nowhere, "no such file")
	if err := WriteReport(path, Report{Title: "Only a title", Sections: []Section{{}, {Table: &Table{}}}}); err != nil {
		t.Errorf("a report of little: %v", err)
	}
}
