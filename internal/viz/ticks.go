package viz

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
)

// linearTicks puts about n labels at round numbers.
type linearTicks struct{ n int }

func (l linearTicks) Ticks(lo, hi float64) (ts []plot.Tick) {
	step := niceStep(hi-lo, l.n)
	for i := math.Ceil(lo/step - 1e-6); i*step <= hi+1e-6*step && len(ts) < 50; i++ {
		ts = append(ts, plot.Tick{Value: i * step, Label: number(i*step, step, math.Max(math.Abs(lo), math.Abs(hi)))})
	}
	return ts
}

// niceStep returns 1, 2 or 5 times a power of ten, such that about n steps make the span (1.5 n at most).
func niceStep(span float64, n int) float64 {
	raw := span / float64(n)
	p := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*p*1.5 {
			return m * p
		}
	}
	return 10 * p
}

// number writes v with the digits that neighbours step apart need; largest is the greatest magnitude on the axis.
func number(v, step, largest float64) string {
	if math.Abs(v) < step*1e-6 {
		return "0"
	}
	digits := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	if digits > 5 || largest >= 1e6 {
		d := max(0, int(math.Floor(math.Log10(math.Abs(v))+1e-9))-int(math.Floor(math.Log10(step)+1e-9)))
		mantissa, exp, _ := strings.Cut(strconv.FormatFloat(v, 'e', min(d, 15), 64), "e")
		e, _ := strconv.Atoi(exp)
		return minus(fmt.Sprintf("%se%d", mantissa, e))
	}
	return minus(strconv.FormatFloat(v, 'f', digits, 64))
}

func minus(s string) string { return strings.ReplaceAll(s, "-", "\u2212") }

// piTicks puts labels at multiples of pi/4, pi/2, pi, 2 pi ...
type piTicks struct{ n int }

func (p piTicks) Ticks(lo, hi float64) (ts []plot.Tick) {
	quarters := 1.0
	for (hi-lo)/(quarters*math.Pi/4) > float64(p.n) {
		quarters *= 2
	}
	step := quarters * math.Pi / 4
	if hi-lo < step || (hi-lo)/step > 1e6 {
		return linearTicks(p).Ticks(lo, hi)
	}
	for i := math.Ceil(lo/step - 1e-6); i*step <= hi+1e-6*step && len(ts) < 50; i++ {
		ts = append(ts, plot.Tick{Value: i * step, Label: piLabel(int(i * quarters))})
	}
	return ts
}

func piLabel(quarters int) string {
	num, den := quarters, 4
	for den > 1 && num%2 == 0 {
		num, den = num/2, den/2
	}
	var s string
	switch num {
	case 0:
		return "0"
	case 1:
		s = "π"
	case -1:
		s = "-π"
	default:
		s = strconv.Itoa(num) + "π"
	}
	if den > 1 {
		s += "/" + strconv.Itoa(den)
	}
	return minus(s)
}

// logTicks labels decades (or 1, 2, 5 within few of them) and marks the units between.
type logTicks struct{ n int }

func (l logTicks) Ticks(lo, hi float64) (ts []plot.Tick) {
	decades := math.Log10(hi) - math.Log10(lo) // hi/lo may overflow
	if !(decades >= 0.7) {
		return linearTicks(l).Ticks(lo, hi)
	}
	every := 1
	for decades/float64(every) > float64(l.n)+1 {
		every++
	}
	for k := int(math.Floor(math.Log10(lo))); k <= int(math.Ceil(math.Log10(hi))); k++ {
		for _, m := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9} {
			// Parsing is exact where Pow(10, k) may be one bit off.
			v, _ := strconv.ParseFloat(fmt.Sprintf("%de%d", m, k), 64)
			if v < lo*(1-1e-9) || v > hi*(1+1e-9) || every > 1 && m != 1 {
				continue
			}
			t := plot.Tick{Value: v}
			if m == 1 && k%every == 0 || decades < 2 && (m == 2 || m == 5) {
				t.Label = power(m, k)
			}
			ts = append(ts, t)
		}
	}
	return ts
}

// power writes m * 10^k.
func power(m, k int) string {
	if k >= -3 && k <= 4 {
		v, _ := strconv.ParseFloat(fmt.Sprintf("%de%d", m, k), 64)
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprintf("%de%s", m, minus(strconv.Itoa(k))) // as other axes write it: the font has no raised minus
}

// logScale is plot.LogScale without its panic: what a log axis cannot show is NaN, and skipped.
type logScale struct{}

func (logScale) Normalize(lo, hi, v float64) float64 {
	if !(v > 0) {
		return math.NaN()
	}
	return (math.Log(v) - math.Log(lo)) / (math.Log(hi) - math.Log(lo))
}

// extent is a growing interval.
type extent struct{ lo, hi float64 }

func nothing() extent { return extent{math.Inf(1), math.Inf(-1)} }

func (e *extent) add(v float64) {
	if finite(v) {
		e.lo, e.hi = math.Min(e.lo, v), math.Max(e.hi, v)
	}
}

// padded returns the interval widened by a share of its length, on a log axis by the same share of its decades; never
// empty.
func (e extent) padded(share float64, log bool) (lo, hi float64) {
	switch {
	case e.lo > e.hi && log:
		return 1, 10
	case e.lo > e.hi:
		return 0, 1
	case log && e.hi > e.lo*1.001:
		f := math.Pow(10, share*(math.Log10(e.hi)-math.Log10(e.lo)))
		return math.Max(e.lo/f, 1e-305), math.Min(e.hi*f, 1e305)
	case log:
		return e.lo / 2, e.hi * 2
	}
	// Narrower than this and neighbouring ticks would have the same digits.
	if least := 1e-9 * math.Max(math.Abs(e.lo), math.Abs(e.hi)); e.hi-e.lo <= least {
		d := math.Max(0.5*math.Abs(e.lo), 1e-300)
		if e.lo == 0 {
			d = 1
		}
		return e.lo - d, e.hi + d
	}
	d := share * (e.hi - e.lo)
	return e.lo - d, e.hi + d
}
