// What every kernel uses. Results never depend on the order in which blocks or warps run: no atomics on floats, and
// sums are taken in an order that follows from the shapes.
//
// Where it says block, all threads of the block must call, together; where it says warp, all 32 threads of the warp.

constexpr unsigned FULL = 0xffffffffu; // all threads of a warp
constexpr long long LONG_LEAST = -9223372036854775807ll - 1;

// constants of a type
template <class T> struct Float;
template <> struct Float<float> {
  static __device__ float inf() { return __uint_as_float(0x7f800000u); }
  static __device__ float nan() { return __uint_as_float(0x7fc00000u); }
  static __device__ float epsilon() { return __uint_as_float(0x34000000u); } // 2^-23
};
template <> struct Float<double> {
  static __device__ double inf() { return __longlong_as_double(0x7ff0000000000000ll); }
  static __device__ double nan() { return __longlong_as_double(0x7ff8000000000000ll); }
  static __device__ double epsilon() { return __longlong_as_double(0x3cb0000000000000ll); } // 2^-52
};

// maximum and minimum: NaN if either is, and +0 is above -0
template <class T> __device__ inline T maximum(T a, T b) {
  if (a > b) return a;
  if (b > a) return b;
  return a == b && a != 0 ? a : a + b; // zeros: -0 only if both are
}
template <class T> __device__ inline T minimum(T a, T b) {
  if (a < b) return a;
  if (b < a) return b;
  return a == b && a != 0 ? a : -(-a + -b);
}

// V elements at once, aligned to their size
template <class T, int V> struct __align__(V * sizeof(T)) Pack {
  T v[V];
};

// Accumulators. Each begins as what nothing combines to; add takes an element in and merge another accumulator; merge
// is commutative to the bit.

// Sum carries the rounding errors of its additions along (Knuth's two-sum): as good as twice the precision.
template <class T> struct Sum {
  T hi, lo;
  __device__ void clear() { hi = 0, lo = 0; }
  __device__ void add(T x) {
    T s = hi + x, b = s - hi;
    lo += (hi - (s - b)) + (x - b);
    hi = s;
  }
  __device__ void merge(Sum o) {
    T s = hi + o.hi, b = s - hi;
    T e = (hi - (s - b)) + (o.hi - b);
    hi = s, lo = (lo + o.lo) + e;
  }
  // of an infinite sum the errors are NaN and are left out
  __device__ T value() const {
    T v = hi + lo;
    return v == v ? v : hi;
  }
  __device__ Sum shuffled(unsigned mask) const {
    return Sum{__shfl_xor_sync(FULL, hi, mask), __shfl_xor_sync(FULL, lo, mask)};
  }
};

template <class T> struct MaxOf {
  T x;
  __device__ void clear() { x = -Float<T>::inf(); }
  __device__ void add(T y) { x = maximum(x, y); }
  __device__ void merge(MaxOf o) { add(o.x); }
  __device__ T value() const { return x; }
  __device__ MaxOf shuffled(unsigned mask) const { return MaxOf{__shfl_xor_sync(FULL, x, mask)}; }
};

template <class T> struct MinOf {
  T x;
  __device__ void clear() { x = Float<T>::inf(); }
  __device__ void add(T y) { x = minimum(x, y); }
  __device__ void merge(MinOf o) { add(o.x); }
  __device__ T value() const { return x; }
  __device__ MinOf shuffled(unsigned mask) const { return MinOf{__shfl_xor_sync(FULL, x, mask)}; }
};

template <class T> struct ProdOf {
  double x;
  __device__ void clear() { x = 1; }
  __device__ void add(T y) { x *= (double)y; }
  __device__ void merge(ProdOf o) { x *= o.x; }
  __device__ T value() const { return (T)x; }
  __device__ ProdOf shuffled(unsigned mask) const { return ProdOf{__shfl_xor_sync(FULL, x, mask)}; }
};

// warp_merge combines the accumulators of groups of N neighbouring threads of a warp, N a power of 2 up to 32; each
// thread gets its group's.
template <unsigned N = 32, class A> __device__ inline A warp_merge(A a) {
  for (unsigned mask = 1; mask < N; mask *= 2) a.merge(a.shuffled(mask));
  return a;
}

// block_merge combines the accumulators of a block's threads; every thread gets the whole. shared: THREADS / 32
// accumulators, free before and after.
template <unsigned THREADS, class A> __device__ inline A block_merge(A a, void* shared) {
  a = warp_merge(a);
  if (THREADS == 32) return a;
  A* parts = (A*)shared;
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = a;
  __syncthreads();
  a = parts[0];
  for (unsigned i = 1; i < THREADS / 32; i++) a.merge(parts[i]);
  __syncthreads();
  return a;
}

// column_merge combines the accumulators of the threads of a block that have equal places in their warps; those of
// the first warp get the whole. shared: THREADS accumulators, free before and after.
template <unsigned THREADS, class A> __device__ inline A column_merge(A a, void* shared) {
  if (THREADS == 32) return a;
  A* parts = (A*)shared;
  parts[threadIdx.x] = a;
  __syncthreads();
  if (threadIdx.x < 32)
    for (unsigned i = 1; i < THREADS / 32; i++) a.merge(parts[threadIdx.x + 32 * i]);
  __syncthreads();
  return a;
}

// Plain values over a warp or a block; every thread gets the result. shared: THREADS / 32 elements.
template <class T> struct PlainSum {
  T x;
  __device__ void merge(PlainSum o) { x += o.x; }
  __device__ PlainSum shuffled(unsigned mask) const { return PlainSum{__shfl_xor_sync(FULL, x, mask)}; }
};
template <class T> __device__ inline T warp_sum(T x) { return warp_merge(PlainSum<T>{x}).x; }
template <class T> __device__ inline T warp_max(T x) { return warp_merge(MaxOf<T>{x}).x; }
template <class T> __device__ inline T warp_min(T x) { return warp_merge(MinOf<T>{x}).x; }
template <unsigned THREADS, class T> __device__ inline T block_sum(T x, void* shared) {
  return block_merge<THREADS>(PlainSum<T>{x}, shared).x;
}
template <unsigned THREADS, class T> __device__ inline T block_max(T x, void* shared) {
  return block_merge<THREADS>(MaxOf<T>{x}, shared).x;
}
template <unsigned THREADS, class T> __device__ inline T block_min(T x, void* shared) {
  return block_merge<THREADS>(MinOf<T>{x}, shared).x;
}

// last_block reports, to all threads of a block, whether it is the last of a number of blocks to get here; then all
// that these have written before is visible to it. The ticket is 0 at first, and again when the last has got here.
// shared: 4 bytes, free before and after.
__device__ inline bool last_block(unsigned* ticket, unsigned blocks, void* shared) {
  unsigned* flag = (unsigned*)shared;
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence(); // behind the barrier: for what all threads of the block have written
    *flag = atomicInc(ticket, blocks - 1) == blocks - 1;
    __threadfence();
  }
  __syncthreads();
  bool last = *flag != 0;
  __syncthreads();
  return last;
}
