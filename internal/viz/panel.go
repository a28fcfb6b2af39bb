package viz

import (
	"image"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// panel is one pair of axes with its words: title and legend above, colour bar at the right, notes below.
type panel struct {
	axes   Axes
	logY   bool
	x, y   extent // limits of the data, final
	boxed  bool   // a frame all round and no grid: for heat maps
	layers []plot.Plotter
	legend []entry
	bar    *bar
	notes  []string
	xTicks plot.ConstantTicks // in the place of numbers
}

// entry is one line of a legend; sample draws what stands for it into the given box.
type entry struct {
	name   string
	sample func(c *draw.Canvas)
}

// bar explains the colours of a heat map.
type bar struct {
	label string
	at    func(t float64) color.NRGBA // colour at height t in [0, 1]
	ticks []plot.Tick                 // Value: height in [0, 1]
}

const (
	pad        = 12 // around everything, in points
	barWidth   = 13
	sampleSize = 30 // width of a legend's sample
)

// plotOf sets up gonum's axes in the common style for a panel w points wide and h high.
func (p *panel) plotOf(w, h vg.Length) *plot.Plot {
	size := textSize(w)
	g := plot.New()
	g.BackgroundColor = nil
	g.X.Min, g.X.Max, g.Y.Min, g.Y.Max = p.x.lo, p.x.hi, p.y.lo, p.y.hi
	g.X.Label.Text, g.Y.Label.Text = p.axes.X, p.axes.Y
	nx, ny := max(3, int(w/110)), max(3, int(h/65))
	g.X.Tick.Marker, g.Y.Tick.Marker = linearTicks{nx}, linearTicks{ny}
	if p.xTicks != nil {
		g.X.Tick.Marker = p.xTicks
	}
	if p.axes.PiX {
		g.X.Tick.Marker = piTicks{max(4, nx)}
	}
	if p.logY {
		g.Y.Tick.Marker, g.Y.Scale = logTicks{ny}, logScale{}
	}
	for _, a := range []*plot.Axis{&g.X, &g.Y} {
		label, tick := style(size+0.5, false, ink), style(size-0.5, false, ink)
		label.XAlign, label.YAlign = draw.XCenter, draw.YBottom
		tick.XAlign, tick.YAlign = a.Tick.Label.XAlign, a.Tick.Label.YAlign
		a.Label.TextStyle, a.Tick.Label = label, tick
		a.Label.Padding = 5
		a.Padding = 0
		a.Width, a.Color = 1, faded
		a.Tick.Width, a.Tick.Color, a.Tick.Length = 1, faded, 5
	}
	if !p.boxed {
		line := draw.LineStyle{Color: gridInk, Width: 1}
		g.Add(gridLines{line})
	}
	g.Add(p.layers...)
	return g
}

// drawPanels tiles the panels over the canvas in rows of cols.
func drawPanels(dc draw.Canvas, title string, cols int, ps []*panel) {
	dc.SetColor(white)
	dc.Fill(dc.Rectangle.Path())
	if title != "" {
		sty := style(textSize(dc.Size().X)+4, true, ink)
		lines := wrap(sty, title, dc.Size().X-2*pad)
		dc.FillText(sty, vg.Point{X: dc.Min.X + pad, Y: dc.Max.Y - pad}, strings.Join(lines, "\n"))
		dc.Max.Y -= pad + textHeight(sty, len(lines))
	}
	tiles := draw.Tiles{Cols: cols, Rows: (len(ps) + cols - 1) / cols}
	for row := 0; row < tiles.Rows; row++ {
		in := ps[row*cols : min(len(ps), (row+1)*cols)]
		// The tallest header and footer of a row hold for all its panels, so that their axes line up.
		var head, foot vg.Length
		for i, p := range in {
			h, f := p.margins(tiles.At(dc, i, row))
			head, foot = max(head, h), max(foot, f)
		}
		for i, p := range in {
			p.draw(tiles.At(dc, i, row), head, foot)
		}
	}
}

// wrap breaks s at spaces into lines at most w wide, where words allow.
func wrap(sty text.Style, s string, w vg.Length) (lines []string) {
	for _, word := range strings.Fields(s) {
		if n := len(lines); n > 0 && sty.Width(lines[n-1]+" "+word) <= w {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

func textHeight(sty text.Style, lines int) vg.Length {
	return sty.Font.Size * (1.15*vg.Length(lines) + 0.1)
}

// layout is where the parts of a panel's header fall, relative to the left edge of its data.
type layout struct {
	title      text.Style
	titleLines []string
	words      text.Style
	rows       [][]entry
	x          [][]vg.Length // of each entry
}

func (p *panel) layout(dc draw.Canvas, data vg.Rectangle) (l layout) {
	size := textSize(dc.Size().X)
	width := dc.Max.X - pad - data.Min.X
	l.title, l.words = style(size+2, true, ink), style(size, false, ink)
	l.titleLines = wrap(l.title, p.axes.Title, width)
	x := vg.Length(0)
	for i, e := range p.legend {
		w := sampleSize + 6 + l.words.Width(e.name)
		if i == 0 || x+w > width {
			l.rows, l.x, x = append(l.rows, nil), append(l.x, nil), 0
		}
		r := len(l.rows) - 1
		l.rows[r], l.x[r] = append(l.rows[r], e), append(l.x[r], x)
		x += w + 18
	}
	return l
}

func (l layout) rowHeight() vg.Length { return l.words.Font.Size * 1.5 }

// body is the part of dc for the axes, given the heights of header and footer; data is where the values go within it.
func (p *panel) body(dc draw.Canvas, g *plot.Plot, head, foot vg.Length) (body draw.Canvas, data vg.Rectangle) {
	right := vg.Length(pad + 4)
	if p.bar != nil {
		right = pad + p.bar.width(textSize(dc.Size().X))
	}
	body = draw.Crop(dc, pad, -right, foot, -head)
	data = g.DataCanvas(body).Rectangle
	// Lines one pixel wide are sharp where they run through the middle of pixels.
	body.Min = body.Min.Add(middle(data.Min).Sub(data.Min))
	body.Max = body.Max.Add(middle(data.Max).Sub(data.Max))
	return body, g.DataCanvas(body).Rectangle
}

func middle(p vg.Point) vg.Point {
	return vg.Point{X: snap(p.X-0.5) + 0.5, Y: snap(p.Y-0.5) + 0.5}
}

// margins returns the heights that the panel needs above and below its axes.
func (p *panel) margins(dc draw.Canvas) (head, foot vg.Length) {
	_, data := p.body(dc, p.plotOf(dc.Size().X, dc.Size().Y), 0, 0)
	l := p.layout(dc, data)
	head = pad + 4
	if n := len(l.titleLines); n > 0 {
		head += textHeight(l.title, n) + 4
	}
	if n := len(l.rows); n > 0 {
		head += l.rowHeight()*vg.Length(n) + 4
	}
	foot = pad
	if len(p.notes) > 0 {
		foot += noteStyle(dc).Font.Size * 1.4
	}
	return head, foot
}

func noteStyle(dc draw.Canvas) text.Style {
	sty := style(textSize(dc.Size().X)-1.5, false, faded)
	sty.XAlign, sty.YAlign = draw.XRight, draw.YBottom
	return sty
}

func (p *panel) draw(dc draw.Canvas, head, foot vg.Length) {
	g := p.plotOf(dc.Size().X, dc.Size().Y)
	body, data := p.body(dc, g, head, foot)
	if data.Size().X < 20 || data.Size().Y < 20 {
		return // no room for anything
	}
	g.Draw(body)
	if p.boxed {
		strokeBox(dc, draw.LineStyle{Color: faded, Width: 1}, data)
	}
	l := p.layout(dc, data)
	y := dc.Max.Y - pad
	if n := len(l.titleLines); n > 0 {
		dc.FillText(l.title, vg.Point{X: data.Min.X, Y: y}, strings.Join(l.titleLines, "\n"))
		y -= textHeight(l.title, n) + 4
	}
	for r, row := range l.rows {
		for i, e := range row {
			x := data.Min.X + l.x[r][i]
			box := draw.Canvas{Canvas: dc.Canvas, Rectangle: vg.Rectangle{
				Min: vg.Point{X: x, Y: y - l.rowHeight()}, Max: vg.Point{X: x + sampleSize, Y: y},
			}}
			e.sample(&box)
			sty := l.words
			sty.YAlign = draw.YCenter
			dc.FillText(sty, vg.Point{X: x + sampleSize + 6, Y: y - l.rowHeight()/2 + sty.Font.Size*0.12}, e.name)
		}
		y -= l.rowHeight()
	}
	if p.bar != nil {
		p.bar.draw(dc, data)
	}
	if len(p.notes) > 0 {
		dc.FillText(noteStyle(dc), vg.Point{X: dc.Max.X - pad, Y: dc.Min.Y + 6}, strings.Join(p.notes, "; "))
	}
}

// width is what the bar takes at the right of the data.
func (b *bar) width(size float64) vg.Length {
	sty := style(size-0.5, false, ink)
	widest := vg.Length(0)
	for _, t := range b.ticks {
		widest = max(widest, sty.Width(t.Label))
	}
	w := 12 + barWidth + 8 + widest
	if b.label != "" {
		w += 6 + vg.Length(size+0.5)*1.2
	}
	return w
}

func (b *bar) draw(dc draw.Canvas, data vg.Rectangle) {
	size := textSize(dc.Size().X)
	r := vg.Rectangle{
		Min: vg.Point{X: snap(data.Max.X) + 12, Y: snap(data.Min.Y)},
		Max: vg.Point{X: snap(data.Max.X) + 12 + barWidth, Y: snap(data.Max.Y)},
	}
	// Of the very size, for SVG viewers keep an image's proportions.
	h := max(2, int(r.Size().Y))
	img := image.NewNRGBA(image.Rect(0, 0, barWidth, h))
	for y := range h {
		c := b.at(1 - float64(y)/float64(h-1))
		for x := range barWidth {
			img.SetNRGBA(x, y, c)
		}
	}
	dc.DrawImage(r, img)
	edge := draw.LineStyle{Color: faded, Width: 1}
	strokeBox(dc, edge, vg.Rectangle{Min: middle(r.Min), Max: middle(r.Max)})
	sty := style(size-0.5, false, ink)
	sty.YAlign = draw.YCenter
	for _, t := range b.ticks {
		y := r.Min.Y + vg.Length(t.Value)*(r.Max.Y-r.Min.Y)
		dc.StrokeLine2(edge, r.Max.X, y, r.Max.X+4, y)
		dc.FillText(sty, vg.Point{X: r.Max.X + 8, Y: y + sty.Font.Size*0.12}, t.Label)
	}
	if b.label != "" {
		sty := style(size+0.5, false, ink)
		sty.XAlign, sty.YAlign, sty.Rotation = draw.XCenter, draw.YBottom, math.Pi/2
		dc.FillText(sty, vg.Point{X: data.Max.X + b.width(size), Y: (r.Min.Y + r.Max.Y) / 2}, b.label)
	}
}

func strokeBox(dc draw.Canvas, line draw.LineStyle, r vg.Rectangle) {
	dc.StrokeLines(line, []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}, r.Min, {X: r.Max.X, Y: r.Min.Y}})
}

func snap(v vg.Length) vg.Length { return vg.Length(math.Round(float64(v))) }

// gridLines draws the light grid at the labelled ticks.
type gridLines struct{ draw.LineStyle }

func (g gridLines) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
		if at := snap(x(t.Value)-0.5) + 0.5; !t.IsMinor() && c.ContainsX(at) {
			c.StrokeLine2(g.LineStyle, at, c.Min.Y, at, c.Max.Y)
		}
	}
	for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
		if at := snap(y(t.Value)-0.5) + 0.5; !t.IsMinor() && c.ContainsY(at) {
			c.StrokeLine2(g.LineStyle, c.Min.X, at, c.Max.X, at)
		}
	}
}
