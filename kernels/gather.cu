#include "common.cu"
// The candidates of least cost (gatherOp and scatterOp in dcem/controller_ops.go).

// costs_before says whether the cost a of number i comes before b of number j: finite ones first, then by value, then
// by number.
template <class T> __device__ inline bool costs_before(T a, unsigned i, T b, unsigned j) {
  bool x = a - a == 0, y = b - b == 0;
  if (x != y) return x;
  if (x && a != b) return a < b;
  return i < j;
}

// cost_rank is the place of cost i of the N costs f in that order.
template <class T, unsigned N> __device__ inline unsigned cost_rank(const T* f, unsigned i) {
  T v = f[i];
  unsigned rank = 0;
  for (unsigned j = 0; j < N; j++) rank += costs_before(f[j], j, v, i) ? 1 : 0;
  return rank;
}

// gather_row writes the M candidates of least cost, in order. out: (M, D); f: (N); x: (N, D). No barriers.
template <class T, unsigned N, unsigned M, unsigned D, unsigned THREADS>
__device__ inline void gather_row(T* out, const T* f, const T* x) {
  for (unsigned i = threadIdx.x; i < N; i += THREADS) {
    unsigned rank = cost_rank<T, N>(f, i);
    if (rank >= M) continue;
    for (unsigned j = 0; j < D; j++) out[rank * D + j] = x[i * D + j];
  }
}

// scatter_row is its gradient: out: (N, D), 0 but for the M candidates; f: (N); g: (M, D). No barriers.
template <class T, unsigned N, unsigned M, unsigned D, unsigned THREADS>
__device__ inline void scatter_row(T* out, const T* f, const T* g) {
  for (unsigned i = threadIdx.x; i < N; i += THREADS) {
    unsigned rank = cost_rank<T, N>(f, i);
    for (unsigned j = 0; j < D; j++) out[i * D + j] = rank < M ? g[rank * D + j] : T(0);
  }
}
