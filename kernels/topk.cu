#include "select.cu"

// topk_mask marks the k smallest finite values of a row with 1, the rest with 0, doc/equations.md (3h): topk.go. Of
// equal values the lowest indices win. A row with fewer than k finite values gets 0. Shared memory: ROW_BYTES and
// select_bytes.
template <class T, unsigned N, unsigned THREADS>
__device__ void topk_mask(T* mask, const T* f, void* shared, unsigned k) {
  typedef row_key<T> order;
  typedef typename order::Key Key;
  row_block<THREADS> block(shared);
  // Turned around, so that the smallest value has the largest key; what is not finite gets the smallest of all, which
  // no finite value has.
  auto key = [=](unsigned i) { return row_finite(f[i]) ? ~order::of(f[i]) : (Key)0; };
  auto keys = row_keep<THREADS, N>(key);
  double s[3] = {0, 0, 0};  // finite values; those before the k-th; those equal to it
  keys.each([&](unsigned, Key v) { s[0] += v != 0; });
  const double finite = block.sum(s[0]);
  if (finite < k) {
    row_fill<THREADS, N>(mask, (T)0);
    return;
  }
  void* room = (char*)shared + ROW_BYTES;
  const Key last = select_kth<THREADS, N, Key>(block, key, k, room);
  s[0] = 0;
  keys.each([&](unsigned, Key v) {
    s[1] += v > last;
    s[2] += v == last;
  });
  block.sum(s);
  const unsigned ties = k - (unsigned)s[1];
  if (s[2] == ties) {
    keys.each([&](unsigned i, Key v) { mask[i] = v >= last ? (T)1 : (T)0; });
    return;
  }
  // Ties in the order of their places: THREADS entries at a time.
  constexpr unsigned WARPS = THREADS / 32;
  unsigned* of_warp = (unsigned*)room;
  unsigned before = 0;
  for (unsigned from = 0; from < N; from += THREADS) {
    const unsigned i = from + threadIdx.x;
    const Key v = i < N ? key(i) : (Key)0;
    const unsigned tied = __ballot_sync(FULL, v == last);
    block.sync();  // all have read of_warp, and room
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = __popc(tied);
    block.sync();
    unsigned place = before + __popc(tied & ((1u << threadIdx.x % 32) - 1));
    for (unsigned w = 0; w < WARPS; w++) {
      if (w < threadIdx.x / 32) place += of_warp[w];
      before += of_warp[w];
    }
    if (i < N) mask[i] = v > last || (v == last && place < ties) ? (T)1 : (T)0;
  }
}
