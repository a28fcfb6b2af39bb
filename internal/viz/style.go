package viz

import (
	"image/color"
	"math"
	"sync"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// palette holds the colours of Okabe and Ito (2008), told apart with any kind of colour vision; the order keeps
// neighbours far apart.
var palette = []color.NRGBA{
	{0x00, 0x72, 0xb2, 0xff}, // blue
	{0xd5, 0x5e, 0x00, 0xff}, // vermilion
	{0x00, 0x9e, 0x73, 0xff}, // green
	{0xcc, 0x79, 0xa7, 0xff}, // purple
	{0xe6, 0x9f, 0x00, 0xff}, // orange
	{0x56, 0xb4, 0xe9, 0xff}, // sky
}

// dashes go with the colours, so that a figure survives a grey printer.
var dashes = [][]vg.Length{nil, {9, 4}, {2.5, 3}, {9, 3, 2.5, 3}}

var (
	ink       = color.NRGBA{0x22, 0x26, 0x2b, 0xff}
	faded     = color.NRGBA{0x6a, 0x71, 0x79, 0xff}
	gridInk   = color.NRGBA{0xe4, 0xe7, 0xea, 0xff}
	white     = color.NRGBA{0xff, 0xff, 0xff, 0xff}
	vermilion = palette[1]
	noValue   = color.NRGBA{0xc9, 0xc4, 0xc9, 0xff} // cells of a field that hold no finite value
)

func withAlpha(c color.NRGBA, a float64) color.NRGBA {
	c.A = uint8(math.Round(255 * a))
	return c
}

// shade is the grey of iteration t of n: light at first, black at last.
func shade(t, n int) color.NRGBA {
	f := 1.0
	if n > 1 {
		f = float64(t) / float64(n-1)
	}
	g := uint8(math.Round(235 * (1 - f)))
	return color.NRGBA{g, g, g, 0xff}
}

// style returns a text style of the given size in points.
func style(size float64, bold bool, c color.Color) text.Style {
	f := font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, vg.Length(size))
	if bold {
		f.Weight = 3 // golang.org/x/image/font.WeightBold
	}
	return text.Style{Color: c, Font: f, Handler: plot.DefaultTextHandler, YAlign: draw.YTop}
}

// textSize is the base size of the words in a panel that is w points wide.
func textSize(w vg.Length) float64 {
	switch {
	case w >= 700:
		return 13.5
	case w >= 520:
		return 12.5
	}
	return 11.5
}

// ramp is the colour map of surfaces: pale where t = 0, dark blue where t = 1. Its lightness in OKLab falls linearly
// with t, so that equal steps look equal, in grey too.
func ramp(t float64) color.NRGBA {
	if math.IsNaN(t) {
		return noValue
	}
	return rampTable()[int(math.Round(math.Min(math.Max(t, 0), 1)*255))]
}

var rampTable = sync.OnceValue(func() *[256]color.NRGBA {
	var lut [256]color.NRGBA
	// The hues that the map passes, light to dark; their own spacing does not matter.
	stops := [][3]float64{
		toLab(0xfd, 0xfb, 0xea), toLab(0xe3, 0xf0, 0xc4), toLab(0xa3, 0xd9, 0xbb), toLab(0x56, 0xb7, 0xbd),
		toLab(0x31, 0x8c, 0xb5), toLab(0x2c, 0x5f, 0x9f), toLab(0x2a, 0x37, 0x78), toLab(0x17, 0x1a, 0x45),
	}
	first, last := stops[0][0], stops[len(stops)-1][0]
	s := 0
	for i := range lut {
		l := first + (last-first)*float64(i)/255
		for s < len(stops)-2 && stops[s+1][0] > l {
			s++
		}
		p, q := stops[s], stops[s+1]
		f := (l - p[0]) / (q[0] - p[0])
		lut[i] = fromLab(l, p[1]+f*(q[1]-p[1]), p[2]+f*(q[2]-p[2]))
	}
	return &lut
})

// toLab and fromLab convert between sRGB and OKLab (Ottosson 2020).
func toLab(r8, g8, b8 uint8) [3]float64 {
	lin := func(v uint8) float64 {
		x := float64(v) / 255
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	r, g, b := lin(r8), lin(g8), lin(b8)
	l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
	m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
	s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
	return [3]float64{
		0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
		1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
		0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
	}
}

func fromLab(l, a, b float64) color.NRGBA {
	cube := func(x float64) float64 { return x * x * x }
	x := cube(l + 0.3963377774*a + 0.2158037573*b)
	y := cube(l - 0.1055613458*a - 0.0638541728*b)
	z := cube(l - 0.0894841775*a - 1.2914855480*b)
	enc := func(v float64) uint8 {
		if v <= 0.0031308 {
			v *= 12.92
		} else {
			v = 1.055*math.Pow(v, 1/2.4) - 0.055
		}
		return uint8(math.Round(255 * math.Min(math.Max(v, 0), 1)))
	}
	return color.NRGBA{
		enc(4.0767416621*x - 3.3077115913*y + 0.2309699292*z),
		enc(-1.2684380046*x + 2.6097574011*y - 0.3413193965*z),
		enc(-0.0041960863*x - 0.7034186147*y + 1.7076147010*z),
		0xff,
	}
}
