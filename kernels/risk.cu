#include "common.cu"
// Risks of P particles (dcem/risk.go): sums with weights by rank, the worst first. The first W ranks count: first for
// all of them but the last, whose weight is last. Where W is P and they are alike ranks do not matter.

// costs_worse says whether the cost a of number i comes before b of number j: NaN first, then by value, then by number.
template <class T> __device__ inline bool costs_worse(T a, unsigned i, T b, unsigned j) {
  bool x = a != a, y = b != b;
  if (x != y) return x;
  if (!x && a != b) return a > b;
  return i < j;
}

// risk_weight is the weight of particle i among the costs f.
template <class T, unsigned P, unsigned W, bool ALIKE>
__device__ inline double risk_weight(const T* f, unsigned i, double first, double last) {
  if (ALIKE) return first;
  T v = f[i];
  unsigned rank = 0;
  for (unsigned j = 0; j < P; j++) rank += costs_worse(f[j], j, v, i) ? 1 : 0;
  return rank + 1 < W ? first : rank + 1 == W ? last : 0;
}

// risk_rows writes the weighed sums of v, (N, P), by the ranks of f, (N, P): out (N). With CHECK, a cost of f that is
// not finite makes NaN of its row. A thread has a row. No barriers.
template <class T, unsigned N, unsigned P, unsigned W, bool ALIKE, bool CHECK, unsigned THREADS>
__device__ inline void risk_rows(T* out, const T* f, const T* v, double first, double last) {
  for (unsigned r = threadIdx.x; r < N; r += THREADS) {
    const T *row = f + r * P, *value = v + r * P;
    double sum = 0;
    bool ok = true;
    for (unsigned i = 0; i < P; i++) {
      double w = risk_weight<T, P, W, ALIKE>(row, i, first, last);
      if (w != 0) sum += w * (double)value[i];
      ok = ok && row[i] - row[i] == 0;
    }
    out[r] = CHECK && !ok ? Float<T>::nan() : (T)sum;
  }
}

// risk_gradient_rows is the gradient, the order held fixed. out, f: (N, P); g: (N). No barriers.
template <class T, unsigned N, unsigned P, unsigned W, bool ALIKE, unsigned THREADS>
__device__ inline void risk_gradient_rows(T* out, const T* f, const T* g, double first, double last) {
  for (unsigned i = threadIdx.x; i < N * P; i += THREADS) {
    unsigned r = i / P;
    double w = risk_weight<T, P, W, ALIKE>(f + r * P, i - r * P, first, last);
    out[i] = w != 0 ? (T)(w * (double)g[r]) : T(0);
  }
}
