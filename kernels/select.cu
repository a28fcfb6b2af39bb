#include "row.cu"

// The k-th of a row by size. Values are compared as keys: unsigned integers in the same order, -0 as +0.

// row_key<T>::of(v) is the key of v, not NaN, and value(key) its value.
template <class T> struct row_key;
template <> struct row_key<float> {
  typedef unsigned Key;
  static __device__ Key of(float v) {
    unsigned u = __float_as_uint(v + 0.0f);
    return u >> 31 ? ~u : u | 0x80000000u;
  }
  static __device__ float value(Key k) { return __uint_as_float(k >> 31 ? k & 0x7fffffffu : ~k); }
};
template <> struct row_key<double> {
  typedef unsigned long long Key;
  static __device__ Key of(double v) {
    Key u = (Key)__double_as_longlong(v + 0.0);
    return u >> 63 ? ~u : u | 0x8000000000000000ull;
  }
  static __device__ double value(Key k) {
    return __longlong_as_double((long long)(k >> 63 ? k & 0x7fffffffffffffffull : ~k));
  }
};

constexpr unsigned SELECT_RANKED = 256;  // up to this many entries are compared each with each

// select_bytes is the shared memory for a selection out of N.
template <class Key, unsigned N> __device__ constexpr unsigned select_bytes() {
  return N <= SELECT_RANKED ? N * sizeof(Key) + sizeof(Key) : 256 * sizeof(unsigned) + sizeof(Key);
}

// select_kth returns the k-th largest of the keys key(i), 1 <= k <= N. Short rows count, for every entry, the larger
// ones; long ones count digits, the highest first (radix selection). room: select_bytes, free before.
template <unsigned THREADS, unsigned N, class Key, class F>
__device__ inline Key select_kth(row_block<THREADS>& block, F key, unsigned k, void* room) {
  auto keys = row_keep<THREADS, N>(key);
  if (N <= SELECT_RANKED) {
    Key* all = (Key*)room;
    keys.each([&](unsigned i, Key v) { all[i] = v; });
    block.sync();
    keys.each([&](unsigned i, Key v) {
      unsigned before = 0;
#pragma unroll 4
      for (unsigned j = 0; j < N; j++) before += all[j] > v || (all[j] == v && j < i);
      if (before == k - 1) all[N] = v;
    });
    block.sync();
    return all[N];
  }
  unsigned* bins = (unsigned*)((Key*)room + 1);
  const unsigned lane = threadIdx.x % 32;
  Key found = 0, known = 0;  // the digits found so far, and the mask of where they are
  for (int shift = 8 * sizeof(Key) - 8; shift >= 0; shift -= 8) {
    for (unsigned i = threadIdx.x; i < 256; i += THREADS) bins[i] = 0;
    block.sync();
    keys.each([&](unsigned, Key v) {
      if ((v & known) == found) atomicAdd(&bins[(v >> shift) & 255], 1u);
    });
    block.sync();
    // Every warp finds the digit by itself: lane l looks at the 8 digits from 255 - 8 l downwards.
    unsigned mine = 0;
    for (unsigned i = 0; i < 8; i++) mine += bins[255 - 8 * lane - i];
    unsigned upto = mine;
    for (unsigned at = 1; at < 32; at *= 2) {
      unsigned other = __shfl_up_sync(FULL, upto, at);
      if (lane >= at) upto += other;
    }
    unsigned above = upto - mine, digit = 255 - 8 * lane;
    const bool here = above < k && k <= upto;
    if (here)
      while (above + bins[digit] < k) above += bins[digit--];
    const unsigned from = __ffs(__ballot_sync(FULL, here)) - 1;
    digit = __shfl_sync(FULL, digit, from);
    k -= __shfl_sync(FULL, above, from);
    found |= (Key)digit << shift;
    known |= (Key)255 << shift;
    const bool alone = bins[digit] == 1;
    block.sync();  // all have read bins
    if (alone) {   // one entry has these digits
      Key* room_for_key = (Key*)room;
      keys.each([&](unsigned, Key v) {
        if ((v & known) == found) *room_for_key = v;
      });
      block.sync();
      return *room_for_key;
    }
  }
  return found;
}
