package vec

import "unsafe"

// The micro-kernels in plain Go, on 4 x 4 blocks of C. A block at the edge of C is computed whole, from repeated rows
// of A (never packed, so that mr and ps do not matter) and the zeros behind B's, so that an element's bits do not depend on where the blocks lie. The two element
// types have their own copies for the conversions: float32(x*y) + z is never fused, T(x*y) + z might be.

// from makes a slice of n elements of what p points to.
func from[T Float](p *T, n int) []T { return unsafe.Slice(p, n) }

func packGo[T Float](k, m, mr int, src *T, ld int, dst *T, ps int) {
	const cols = 4
	s, d := from(src, (k-1)*ld+m), from(dst, (m-1)/mr*ps+cols*k)
	for i := 0; i < m; i += mr {
		n := min(mr, m-i)
		for l := range k {
			row := d[i/mr*ps+cols*l:][:cols]
			clear(row[copy(row, s[l*ld+i:][:n]):])
		}
	}
}

func sumGo[T Float](n, count int, src *T, stride int, dst *T) {
	s, d := from(src, (count-1)*stride+n), from(dst, n)
	copy(d, s)
	for c := 1; c < count; c++ {
		for i, v := range s[c*stride:][:n] {
			d[i] += v
		}
	}
}

func stripGo32(m, _, k int, a *float32, rs, ks, _ int, _ *float32, _ int, b *float32, bs int, c *float32, ldc, n int, alpha, beta float32) {
	last := m - 1
	aa, bb := from(a, last*rs+(k-1)*ks+1), from(b, (k-1)*bs+4)
	for i := 0; i < m; i += 4 {
		a0, a1, a2, a3 := aa[i*rs:], aa[min(i+1, last)*rs:], aa[min(i+2, last)*rs:], aa[min(i+3, last)*rs:]
		var s [16]float32
		for j := 0; j < 4; j += 2 {
			var s00, s01, s10, s11, s20, s21, s30, s31 float32
			at, bt := 0, j
			for range k {
				b0, b1 := bb[bt], bb[bt+1]
				x := a0[at]
				s00 += float32(x * b0)
				s01 += float32(x * b1)
				x = a1[at]
				s10 += float32(x * b0)
				s11 += float32(x * b1)
				x = a2[at]
				s20 += float32(x * b0)
				s21 += float32(x * b1)
				x = a3[at]
				s30 += float32(x * b0)
				s31 += float32(x * b1)
				at += ks
				bt += bs
			}
			s[j], s[j+1], s[4+j], s[5+j] = s00, s01, s10, s11
			s[8+j], s[9+j], s[12+j], s[13+j] = s20, s21, s30, s31
		}
		for r := range min(4, m-i) {
			row := from((*float32)(unsafe.Add(unsafe.Pointer(c), uintptr(4*(i+r)*ldc))), n)
			for j := range row {
				v := float32(alpha * s[4*r+j])
				if beta != 0 {
					v += float32(beta * row[j])
				}
				row[j] = v
			}
		}
	}
}

func dotGo32(m, k int, a *float32, lda int, _ int, b *float32, _ int, dst *float32, _ int) {
	aa, x, out := from(a, (m-1)*lda+k), from(b, k), from(dst, m)
	for i := range out {
		row := aa[i*lda : i*lda+k]
		var s0, s1, s2, s3 float32
		l := 0
		for ; l+4 <= k; l += 4 {
			u, v := row[l:l+4:l+4], x[l:l+4:l+4]
			s0 += float32(u[0] * v[0])
			s1 += float32(u[1] * v[1])
			s2 += float32(u[2] * v[2])
			s3 += float32(u[3] * v[3])
		}
		for ; l < k; l++ {
			s0 += float32(row[l] * x[l])
		}
		out[i] = (s0 + s1) + (s2 + s3)
	}
}

func stripGo64(m, _, k int, a *float64, rs, ks, _ int, _ *float64, _ int, b *float64, bs int, c *float64, ldc, n int, alpha, beta float64) {
	last := m - 1
	aa, bb := from(a, last*rs+(k-1)*ks+1), from(b, (k-1)*bs+4)
	for i := 0; i < m; i += 4 {
		a0, a1, a2, a3 := aa[i*rs:], aa[min(i+1, last)*rs:], aa[min(i+2, last)*rs:], aa[min(i+3, last)*rs:]
		var s [16]float64
		for j := 0; j < 4; j += 2 {
			var s00, s01, s10, s11, s20, s21, s30, s31 float64
			at, bt := 0, j
			for range k {
				b0, b1 := bb[bt], bb[bt+1]
				x := a0[at]
				s00 += float64(x * b0)
				s01 += float64(x * b1)
				x = a1[at]
				s10 += float64(x * b0)
				s11 += float64(x * b1)
				x = a2[at]
				s20 += float64(x * b0)
				s21 += float64(x * b1)
				x = a3[at]
				s30 += float64(x * b0)
				s31 += float64(x * b1)
				at += ks
				bt += bs
			}
			s[j], s[j+1], s[4+j], s[5+j] = s00, s01, s10, s11
			s[8+j], s[9+j], s[12+j], s[13+j] = s20, s21, s30, s31
		}
		for r := range min(4, m-i) {
			row := from((*float64)(unsafe.Add(unsafe.Pointer(c), uintptr(8*(i+r)*ldc))), n)
			for j := range row {
				v := float64(alpha * s[4*r+j])
				if beta != 0 {
					v += float64(beta * row[j])
				}
				row[j] = v
			}
		}
	}
}

func dotGo64(m, k int, a *float64, lda int, _ int, b *float64, _ int, dst *float64, _ int) {
	aa, x, out := from(a, (m-1)*lda+k), from(b, k), from(dst, m)
	for i := range out {
		row := aa[i*lda : i*lda+k]
		var s0, s1, s2, s3 float64
		l := 0
		for ; l+4 <= k; l += 4 {
			u, v := row[l:l+4:l+4], x[l:l+4:l+4]
			s0 += float64(u[0] * v[0])
			s1 += float64(u[1] * v[1])
			s2 += float64(u[2] * v[2])
			s3 += float64(u[3] * v[3])
		}
		for ; l < k; l++ {
			s0 += float64(row[l] * x[l])
		}
		out[i] = (s0 + s1) + (s2 + s3)
	}
}
