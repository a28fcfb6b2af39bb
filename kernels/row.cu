#include "common.cu"

// What kernels on rows share: a block of THREADS threads (a multiple of 32, at most 1024) works on one row of N
// entries, thread t on entries t, t + THREADS, and so on. Sums are taken in an order that follows from N and THREADS.

constexpr unsigned ROW_WORDS = 8;     // that a reduction takes at most
constexpr unsigned ROW_BYTES = 4096;  // of shared memory, for row_block

// the largest finite number
__device__ inline double row_huge() { return __longlong_as_double(0x7fefffffffffffffll); }

// neither NaN nor infinite
template <class T> __device__ inline bool row_finite(T v) { return v - v == 0; }

// For row_block::reduce. NaN never comes out on top.
__device__ inline void row_max(double& a, double b) {
  if (b > a) a = b;
}
__device__ inline void row_min(double& a, double b) {
  if (b < a) a = b;
}

// A row_block is the block at work on a row. In its reductions all threads take part; the result has the same bits in
// all of them, so that they branch alike. Two buffers in turn save the barrier that would keep a fast thread from
// overwriting what a slow one has still to read.
template <unsigned THREADS> struct row_block {
  static constexpr unsigned WARPS = THREADS / 32;
  double* buffer;
  unsigned turn;

  __device__ explicit row_block(void* shared) : buffer((double*)shared), turn(0) {}

  __device__ void sync() const {
    if (THREADS > 32)
      __syncthreads();
    else
      __syncwarp(FULL);
  }

  // reduce combines the v of all threads: op(a, b) sets a[i] = a[i] o b[i], which must commute to the bit.
  template <unsigned K, class Op> __device__ void reduce(double (&v)[K], Op op) {
    static_assert(K <= ROW_WORDS, "more words than the buffers hold");
#pragma unroll
    for (int at = 16; at > 0; at >>= 1) {
      double other[K];
#pragma unroll
      for (unsigned i = 0; i < K; i++) other[i] = __shfl_xor_sync(FULL, v[i], at);
      op(v, other);
    }
    if (THREADS == 32) return;
    double* b = buffer + turn * (ROW_BYTES / 16);
    turn ^= 1;
    if (threadIdx.x % 32 == 0)
#pragma unroll
      for (unsigned i = 0; i < K; i++) b[threadIdx.x / 32 * K + i] = v[i];
    __syncthreads();
#pragma unroll
    for (unsigned i = 0; i < K; i++) v[i] = b[i];
    for (unsigned w = 1; w < WARPS; w++) {
      double other[K];
#pragma unroll
      for (unsigned i = 0; i < K; i++) other[i] = b[w * K + i];
      op(v, other);
    }
  }

  template <unsigned K> __device__ void sum(double (&v)[K]) {
    reduce(v, [](double* a, const double* b) {
#pragma unroll
      for (unsigned i = 0; i < K; i++) a[i] += b[i];
    });
  }

  __device__ double sum(double v) {
    double k[1] = {v};
    sum(k);
    return k[0];
  }

  __device__ Sum<double> sum(Sum<double> v) {
    double k[2] = {v.hi, v.lo};
    reduce(k, [](double* a, const double* b) {
      Sum<double> s{a[0], a[1]};
      s.merge(Sum<double>{b[0], b[1]});
      a[0] = s.hi, a[1] = s.lo;
    });
    return Sum<double>{k[0], k[1]};
  }
};

template <class F, class G> struct row_mapped {
  F f;
  G g;
  __device__ auto operator()(unsigned i) const { return g(f(i)); }
};

// row_values holds f(i) of a row's entries in registers where a thread has at most 8 of them; else it computes them
// again each time. each calls visit(i, f(i)) for the thread's entries.
template <unsigned THREADS, unsigned N, class F> struct row_values {
  static constexpr unsigned ITEMS = (N + THREADS - 1) / THREADS;
  static constexpr bool KEPT = ITEMS <= 8;
  typedef decltype(((F*)nullptr)->operator()(0u)) Value;
  F f;
  Value kept[KEPT ? ITEMS : 1];

  __device__ explicit row_values(F f_) : f(f_) {
    if (KEPT)
#pragma unroll
      for (unsigned j = 0; j < (KEPT ? ITEMS : 1); j++) {
        unsigned i = threadIdx.x + j * THREADS;
        kept[j] = i < N ? f(i) : Value();
      }
  }

  // map is the row of g of these
  template <class G> __device__ row_values<THREADS, N, row_mapped<F, G>> map(G g) const {
    return row_values<THREADS, N, row_mapped<F, G>>(row_mapped<F, G>{f, g}, kept);
  }
  template <class From> __device__ row_values(F f_, const From& from) : f(f_) {
    if (KEPT)
#pragma unroll
      for (unsigned j = 0; j < (KEPT ? ITEMS : 1); j++) kept[j] = f.g(from[j]);
  }

  // again makes this, which is from.map of another g, from.map(g)
  template <class From, class G> __device__ void again(const From& from, G g) {
    f.g = g;
    if (KEPT)
#pragma unroll
      for (unsigned j = 0; j < (KEPT ? ITEMS : 1); j++) kept[j] = g(from.kept[j]);
  }

  template <class Visit> __device__ void each(Visit visit) const {
    if (KEPT) {
#pragma unroll
      for (unsigned j = 0; j < (KEPT ? ITEMS : 1); j++) {
        unsigned i = threadIdx.x + j * THREADS;
        if (i < N) visit(i, kept[j]);
      }
    } else {
      for (unsigned i = threadIdx.x; i < N; i += THREADS) visit(i, f(i));
    }
  }
};

template <unsigned THREADS, unsigned N, class F> __device__ inline row_values<THREADS, N, F> row_keep(F f) {
  return row_values<THREADS, N, F>(f);
}

// row_fill writes v to the row.
template <unsigned THREADS, unsigned N, class T> __device__ inline void row_fill(T* row, T v) {
  for (unsigned i = threadIdx.x; i < N; i += THREADS) row[i] = v;
}
