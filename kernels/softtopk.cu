#include "csoftmax.cu"
#include "csparsemax.cu"

// Soft top-k, doc/equations.md (3), (3s), (3p): softtopk.go, a row of N per block. LINK is lml, csoftmax or
// csparsemax. out may be an operand. Shared memory: ROW_BYTES, and for softtopk_solve select_bytes more.

// softtopk_solve writes a row's threshold, p and delta: NaN for a spoilt row.
template <class T, class LINK, unsigned N, unsigned THREADS>
__device__ void softtopk_solve(double* thresh, const T* x, void* shared, unsigned k, double scale) {
  row_block<THREADS> block(shared);
  auto a = row_keep<THREADS, N>([=](unsigned i) { return scale * (double)x[i]; });
  double count[2] = {0, 0};  // entries that spoil the row; entries above -Inf
  a.each([&](unsigned, double v) {
    if (!(v <= row_huge()))
      count[0] += 1;
    else if (v >= -row_huge())
      count[1] += 1;
  });
  block.sum(count);
  double p = 0, delta = Float<double>::inf();
  bool ok = count[0] == 0 && count[1] >= k;
  if (ok && count[1] > k) {
    typedef row_key<T> order;
    const auto flip = scale < 0 ? ~(typename order::Key)0 : (typename order::Key)0;
    const auto kth = select_kth<THREADS, N, typename order::Key>(
        block, [=](unsigned i) { return order::of(x[i]) ^ flip; }, k, (char*)shared + ROW_BYTES);
    p = scale * (double)order::value(kth ^ flip);
    ok = LINK::template solve<T>(block, a, k, (unsigned)count[1], p, delta);
  }
  if (threadIdx.x == 0) {
    thresh[0] = ok ? p : Float<double>::nan();
    thresh[1] = ok ? delta : Float<double>::nan();
  }
}

// softtopk_forward writes the weights y of the scores x.
template <class T, class LINK, unsigned N, unsigned THREADS>
__device__ void softtopk_forward(T* out, const T* x, const double* thresh, void* shared, unsigned k, double scale) {
  const double p = thresh[0], delta = thresh[1];
  if (!(delta < Float<double>::inf())) {  // a spoilt row, or all of k entries
    auto scores = row_keep<THREADS, N>([=](unsigned i) { return scale * (double)x[i]; });
    scores.each([&](unsigned i, double a) { out[i] = delta > 0 && a >= -row_huge() ? (T)1 : (T)0; });
    return;
  }
  auto weights = row_keep<THREADS, N>([=](unsigned i) { return LINK::phi((scale * (double)x[i] - p) + delta); });
  if (sizeof(T) == 4) {
    weights.each([&](unsigned i, double y) { out[i] = (T)y; });
    return;
  }
  // The last bit of delta and of z shows in the sum in float64; what is left is spread in proportion to y(1-y).
  row_block<THREADS> block(shared);
  Sum<double> sum;
  sum.clear();
  double spread = 0;
  weights.each([&](unsigned, double y) {
    sum.add(y);
    spread += y - y * y;
  });
  sum = block.sum(sum);
  spread = block.sum(spread);
  const double left = (sum.hi - k) + sum.lo;
  const T c = (T)(left / spread);
  const double bit = __longlong_as_double((1023ll - 52) << 52), most = __longlong_as_double((1023ll - 40) << 52);
  const bool mend = fabs(left) > bit * k && fabs((double)c) < most;
  weights.each([&](unsigned i, double y) {
    T v = (T)y;
    out[i] = mend ? v - c * (v - v * v) : v;
  });
}

// soft_mean returns sum h g / H for the gradients down*g, down being 1 or the power of two that keeps products of two
// of them finite. It is NaN exactly if a g that counts (h > 0) is not finite.
template <class T, class Block, class Slopes, class G>
__device__ inline double soft_mean(Block& block, const Slopes& h, double total, const G* g, double& down) {
  for (down = 1;; down = __longlong_as_double((1023ll - 600) << 52)) {
    double s[2] = {0, 0};
    h.each([&](unsigned i, double w) {
      if (!(w > 0)) return;
      double v = (double)g[i] * down;
      s[0] += w * v;
      row_max(s[1], fabs(v));
    });
    block.reduce(s, [](double* a, const double* b) {
      a[0] += b[0];
      row_max(a[1], b[1]);
    });
    if (total == 0) return 0;
    if (sizeof(T) == 8 && s[1] > __longlong_as_double((1023ll + 500) << 52) && down == 1) continue;
    if (!(fabs(s[0]) <= row_huge())) return Float<double>::nan();
    return s[0] / total;
  }
}

// soft_saturate converts v to T, values beyond T's range to its largest finite ones; NaN stays NaN.
template <class T> __device__ inline T soft_saturate(double v) {
  const double limit = sizeof(T) == 4 ? (double)__uint_as_float(0x7f7fffffu) : row_huge();
  if (v > limit) v = limit;
  if (v < -limit) v = -limit;
  return (T)v;
}

// soft_slope is phi'(z) e^shift, the h of (3'). shift is 0 unless all phi' of a row underflow.
template <class LINK> struct soft_slope {
  double shift;
  __device__ double operator()(double z) const { return LINK::slope(z, shift); }
};

// soft_total returns sum h of a row, where all phi' underflow with a shift in h.
template <class LINK, class Block, class Z, class H>
__device__ inline double soft_total(Block& block, const Z& z, H& h) {
  while (true) {
    double s[2] = {0, Float<double>::inf()};
    h.each([&](unsigned, double w) { s[0] += w; });
    if (LINK::TAILS) z.each([&](unsigned, double v) { row_min(s[1], fabs(v)); });
    block.reduce(s, [](double* a, const double* b) {
      a[0] += b[0];
      row_min(a[1], b[1]);
    });
    const double tiny = __longlong_as_double(0x16687e92154ef7acll);  // 1e-200
    if (h.f.g.shift > 0 || s[0] > tiny || !LINK::TAILS) return s[0];
    if (!(s[1] < row_huge())) return 0;
    if (s[1] == 0) return s[0];
    h.again(z, soft_slope<LINK>{s[1]});
  }
}

// softtopk_backward writes dx = scale h (g - sum h g / H), doc/equations.md (3').
template <class T, class LINK, unsigned N, unsigned THREADS>
__device__ void softtopk_backward(T* dx, const T* x, const double* thresh, const T* g, void* shared, unsigned,
                                  double scale) {
  const double p = thresh[0], delta = thresh[1];
  if (!(delta < Float<double>::inf())) {
    row_fill<THREADS, N>(dx, (T)0);
    return;
  }
  row_block<THREADS> block(shared);
  auto z = row_keep<THREADS, N>([=](unsigned i) { return (scale * (double)x[i] - p) + delta; });
  auto h = z.map(soft_slope<LINK>{0});
  const double total = soft_total<LINK>(block, z, h);
  double down, mean = soft_mean<T>(block, h, total, g, down);
  const double unshift = exp(-h.f.g.shift / 2);  // half: e^-shift itself may underflow where its product does not
  h.each([&](unsigned i, double w) {
    double u = 0;
    if (w > 0) u = w * ((double)g[i] * down - mean) * unshift * unshift * scale / down;
    dx[i] = soft_saturate<T>(u);
  });
}

// softtopk_backward2 writes the gradient with respect to x of <v, softtopk_backward(x, g)>, doc/equations.md (3'').
template <class T, class LINK, unsigned N, unsigned THREADS>
__device__ void softtopk_backward2(T* dx, const T* x, const double* thresh, const T* g, const T* v, void* shared,
                                   unsigned, double scale) {
  const double p = thresh[0], delta = thresh[1];
  if (!(delta < Float<double>::inf())) {
    row_fill<THREADS, N>(dx, (T)0);
    return;
  }
  row_block<THREADS> block(shared);
  auto z = row_keep<THREADS, N>([=](unsigned i) { return (scale * (double)x[i] - p) + delta; });
  auto h = z.map(soft_slope<LINK>{0});
  const double total = soft_total<LINK>(block, z, h);
  double down_g, down_v;
  const double cg = soft_mean<T>(block, h, total, g, down_g), cv = soft_mean<T>(block, h, total, v, down_v);
  auto u = [&](unsigned i, double w) {
    const double curve = LINK::curve((scale * (double)x[i] - p) + delta);
    return w * curve * ((double)g[i] * down_g - cg) * ((double)v[i] * down_v - cv);
  };
  double sum = 0;
  h.each([&](unsigned i, double w) {
    if (w > 0) sum += u(i, w);
  });
  sum = block.sum(sum);
  const double unshift = exp(-h.f.g.shift / 2);
  h.each([&](unsigned i, double w) {
    double d = 0;  // factor by factor: scale^2 may be infinite, and must not meet a 0
    if (w > 0) d = (u(i, w) - sum * (w / total)) * unshift * unshift * scale * scale / down_g / down_v;
    dx[i] = soft_saturate<T>(d);
  });
}
