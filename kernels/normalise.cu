#include "row.cu"

// Normalised costs, doc/equations.md (2), and their derivatives: normalise.go, a row of N per block. out may be an
// operand. Shared memory: ROW_BYTES.

constexpr double NORMALISE_EPS = 1e-6;

// An entry of M arrays, the costs first. Those whose cost is not finite are left out of everything.
template <unsigned M> struct normalise_entry {
  double x[M];
  __device__ bool finite() const { return row_finite(x[0]); }
};

// A centred says how to subtract from an entry of an array the mean over the row's finite costs without losing digits
// or overflowing.
struct centred {
  double count;       // finite costs
  double scale;       // a power of two: 1, or what brings the largest entry to 2^300, where squares are safe
  double mean, rest;  // of the scaled entries: a rounded mean, and the mean of what is left after subtracting it
  double squares;     // sum of squares of the scaled, centred entries

  __device__ double of(double x) const { return x * scale - mean - rest; }

  // spread sets s to the standard deviation of the scaled entries and returns its inverse, 0 for 0
  __device__ double spread(double& s) const {
    s = 0;
    if (count < 2 || squares == 0) return 0;
    s = sqrt(squares / (count - 1));
    return 1 / s;
  }
};

// normalise_centre centres M arrays of type T: it subtracts one entry before it takes the mean, and corrects the mean
// and the sum of squares for the mean's own rounding, as normalise.go.
template <class T, unsigned M, class Block, class Entries>
__device__ inline void normalise_centre(centred (&c)[M], Block& block, const Entries& entries) {
  double v[2 + 2 * M];  // count; place of the first; its entries; the largest
  v[0] = 0, v[1] = 5e9;
  for (unsigned m = 0; m < M; m++) v[2 + m] = v[2 + M + m] = 0;
  entries.each([&](unsigned i, const normalise_entry<M>& e) {
    if (!e.finite()) return;
    for (unsigned m = 0; m < M; m++) {
      if (v[0] == 0) v[2 + m] = e.x[m];
      row_max(v[2 + M + m], fabs(e.x[m]));
    }
    if (v[0] == 0) v[1] = i;
    v[0] += 1;
  });
  block.reduce(v, [](double* a, const double* b) {
    a[0] += b[0];
    bool first = b[1] < a[1];
    if (first) a[1] = b[1];
    for (unsigned m = 0; m < M; m++) {
      if (first) a[2 + m] = b[2 + m];
      row_max(a[2 + M + m], b[2 + M + m]);
    }
  });
  double sum[M];
  for (unsigned m = 0; m < M; m++) {
    c[m].count = v[0];
    c[m].scale = 1;
    c[m].mean = c[m].rest = c[m].squares = 0;
    double largest = v[2 + M + m];
    if (sizeof(T) == 8 && largest > __longlong_as_double((1023ll + 300) << 52) && largest <= row_huge()) {
      int e = (int)(__double_as_longlong(largest) >> 52) - 1022;  // largest = f 2^e with f in [1/2, 1)
      c[m].scale = __longlong_as_double((long long)(1023 + 300 - e) << 52);
    }
    v[2 + m] *= c[m].scale;
    sum[m] = 0;
  }
  if (v[0] == 0) return;
  entries.each([&](unsigned, const normalise_entry<M>& e) {
    if (e.finite())
      for (unsigned m = 0; m < M; m++) sum[m] += e.x[m] * c[m].scale - v[2 + m];
  });
  block.sum(sum);
  double s[2 * M];
  for (unsigned m = 0; m < M; m++) {
    c[m].mean = v[2 + m] + sum[m] / v[0];
    s[m] = s[M + m] = 0;
  }
  entries.each([&](unsigned, const normalise_entry<M>& e) {
    if (!e.finite()) return;
    for (unsigned m = 0; m < M; m++) {
      double d = e.x[m] * c[m].scale - c[m].mean;
      s[m] += d;
      s[M + m] += d * d;
    }
  });
  block.sum(s);
  for (unsigned m = 0; m < M; m++) {
    c[m].rest = s[m] / v[0];
    double squares = s[M + m] - s[m] * c[m].rest;
    c[m].squares = squares < 0 ? 0 : squares;
  }
}

// normalise_forward writes (f - mean)/(std + 1e-6) over the finite costs of a row; the others come out as +Inf.
template <class T, unsigned N, bool PASS, unsigned THREADS>
__device__ void normalise_forward(T* out, const T* f, void* shared) {
  auto entries = row_keep<THREADS, N>([=](unsigned i) { return normalise_entry<1>{{(double)f[i]}}; });
  centred c[1];
  double s, q = 1;
  if (!PASS) {
    row_block<THREADS> block(shared);
    normalise_centre<T>(c, block, entries);
    c[0].spread(s);
    q = s + NORMALISE_EPS * c[0].scale;
  }
  entries.each([&](unsigned i, const normalise_entry<1>& e) {
    out[i] = !e.finite() ? Float<T>::inf() : PASS ? (T)e.x[0] : (T)(c[0].of(e.x[0]) / q);
  });
}

// normalise_backward writes the gradient df for the gradient g: 0 at a cost that is not finite.
template <class T, unsigned N, bool PASS, unsigned THREADS>
__device__ void normalise_backward(T* df, const T* f, const T* g, void* shared) {
  auto entries = row_keep<THREADS, N>([=](unsigned i) { return normalise_entry<2>{{(double)f[i], (double)g[i]}}; });
  if (PASS) {
    entries.each([&](unsigned i, const normalise_entry<2>& e) { df[i] = e.finite() ? (T)e.x[1] : (T)0; });
    return;
  }
  row_block<THREADS> block(shared);
  centred c[2];
  normalise_centre<T>(c, block, entries);
  double s, inverse = c[0].spread(s), q = s + NORMALISE_EPS * c[0].scale;
  double along = 0;
  entries.each([&](unsigned, const normalise_entry<2>& e) {
    if (e.finite()) along += c[0].of(e.x[0]) * inverse * c[1].of(e.x[1]);
  });
  along = block.sum(along) * (s / q / (c[0].count - 1));
  double factor = c[0].scale / q / c[1].scale;
  entries.each([&](unsigned i, const normalise_entry<2>& e) {
    bool counts = e.finite() && c[0].count >= 2;
    df[i] = counts ? (T)((c[1].of(e.x[1]) - c[0].of(e.x[0]) * inverse * along) * factor) : (T)0;
  });
}

// normalise_backward2 writes the gradient with respect to f of <v, normalise_backward(f, g)>.
template <class T, unsigned N, bool PASS, unsigned THREADS>
__device__ void normalise_backward2(T* df, const T* f, const T* g, const T* v, void* shared) {
  if (PASS) {
    row_fill<THREADS, N>(df, (T)0);
    return;
  }
  auto entries = row_keep<THREADS, N>([=](unsigned i) {
    return normalise_entry<3>{{(double)f[i], (double)g[i], (double)v[i]}};
  });
  row_block<THREADS> block(shared);
  centred c[3];
  normalise_centre<T>(c, block, entries);
  double s, inverse = c[0].spread(s), q = s + NORMALISE_EPS * c[0].scale;
  double k[3] = {0, 0, 0};  // <a, c>, <e, a>, <e, c>
  entries.each([&](unsigned, const normalise_entry<3>& x) {
    if (!x.finite()) return;
    double e = c[0].of(x.x[0]) * inverse, a = c[1].of(x.x[1]), b = c[2].of(x.x[2]);
    k[0] += a * b;
    k[1] += e * a;
    k[2] += e * b;
  });
  block.sum(k);
  double m1 = c[0].count - 1, along = k[1] * k[2] * (1 + 2 * (s / q)) / m1 - k[0];
  double by_g = c[0].scale / q / c[1].scale, by_v = c[0].scale / q / c[2].scale / m1;
  entries.each([&](unsigned i, const normalise_entry<3>& x) {
    double e = c[0].of(x.x[0]) * inverse;
    double u = e * along - k[2] * c[1].of(x.x[1]) - k[1] * c[2].of(x.x[2]);
    df[i] = x.finite() && s != 0 ? (T)(u * by_g * by_v) : (T)0;
  });
}
