#include "common.cu"
// Matrix products. A block of threads computes a tile of BM x BN elements of the product
//
//	C[m][n] = sum over k of A[m][k] B[k][n]
//
// in steps of BK terms: the next step's operands are fetched into registers while the threads multiply what lies in
// shared memory, where both operands lie k-major. SK groups of threads share a step's terms; a thread of a group owns
// TM x TN elements. Sums are taken in an order that only the template's and the split's numbers decide: chains of at
// most CHAIN fused multiply-adds, whose results are added.

constexpr unsigned CHAIN = 256;

__device__ inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double multiply_add(double a, double b, double c) { return fma(a, b, c); }

constexpr unsigned least(unsigned a, unsigned b) { return a < b ? a : b; }
constexpr unsigned most(unsigned a, unsigned b) { return a < b ? b : a; }

// wide is how many elements of a type 16 bytes hold, or n if that is less
template <class T> constexpr unsigned wide(unsigned n) { return least(n, 16 / sizeof(T)); }

// Operand moves tiles of X rows of A, or X columns of B, by BK terms to shared memory: element (k, x) to k*LD + x.
// In device memory neighbours along x lie side by side if ALONG, else neighbours along k, and the others PITCH
// elements apart. V elements are moved at once: it divides BK and the matrix's extent side by side, and addresses
// are multiples of it. What is outside of the matrix is 0.
template <class T, unsigned THREADS, unsigned X, unsigned BK, bool ALONG, size_t PITCH, unsigned V> struct Operand {
  static constexpr unsigned COUNT = X * BK / V, EACH = (COUNT + THREADS - 1) / THREADS;
  static constexpr unsigned ALIGNED = wide<T>(X);
  static constexpr unsigned LD = ALONG || X == 1 ? X : X + ALIGNED;
  static constexpr unsigned SIZE = LD * BK;
  Pack<T, V> held[EACH];

  // The place in the tile of the e-th V elements: neighbouring threads read side by side. If that is along k they
  // go on with the next row after 32 bytes, what memory gives at least, since so they write to different banks.
  static constexpr unsigned SECTOR = least(BK / V, most(1, 32 / (V * sizeof(T))));
  static __device__ inline unsigned x_of(unsigned e) { return ALONG ? e % (X / V) * V : e / SECTOR % X; }
  static __device__ inline unsigned k_of(unsigned e) {
    return ALONG ? e / (X / V) : (e / (SECTOR * X) * SECTOR + e % SECTOR) * V;
  }

  // fetch takes the tile at (x, k) of a matrix of xs by ks into registers.
  __device__ inline void fetch(const T* p, unsigned x, unsigned xs, unsigned k, unsigned ks) {
#pragma unroll
    for (unsigned i = 0; i < EACH; i++) {
      unsigned e = threadIdx.x + i * THREADS;
      unsigned ex = x + x_of(e), ek = k + k_of(e);
      if ((COUNT % THREADS == 0 || e < COUNT) && ex < xs && ek < ks) {
        held[i] = *(const Pack<T, V>*)(p + (ALONG ? ek * PITCH + ex : ex * PITCH + ek));
      } else {
#pragma unroll
        for (unsigned v = 0; v < V; v++) held[i].v[v] = 0;
      }
    }
  }

  // put writes what was fetched to a tile in shared memory.
  __device__ inline void put(T* tile) const {
#pragma unroll
    for (unsigned i = 0; i < EACH; i++) {
      unsigned e = threadIdx.x + i * THREADS;
      if (COUNT % THREADS != 0 && e >= COUNT) continue;
      if (ALONG) {
        *(Pack<T, V>*)(tile + k_of(e) * LD + x_of(e)) = held[i];
      } else {
#pragma unroll
        for (unsigned v = 0; v < V; v++) tile[(k_of(e) + v) * LD + x_of(e)] = held[i].v[v];
      }
    }
  }
};

// Gemm is one way to compute tiles. AX: A's neighbours along m lie side by side (it is stored transposed), else those
// along k; BX: B's along n do, else those along k. APITCH and BPITCH are the distances of stored rows, AV and BV how
// many elements are moved at once. DOUBLE: two steps' operands fit in shared memory, else there is one step only.
// LONG: chains are cut.
template <class T, unsigned THREADS, unsigned BM, unsigned BN, unsigned BK, unsigned TM, unsigned TN, unsigned SK,
          bool AX, size_t APITCH, unsigned AV, bool BX, size_t BPITCH, unsigned BV, bool DOUBLE, bool LONG>
struct Gemm {
  static constexpr unsigned GROUP = THREADS / SK, ACROSS = BN / TN;
  static constexpr unsigned VM = wide<T>(TM), VN = wide<T>(TN);
  static constexpr unsigned STRIPE = THREADS / BN; // rows between a thread's elements, if SK > 1
  // A thread holds ROWS x COLS elements of the tile when the product is done.
  static constexpr unsigned ROWS = SK == 1 ? TM : most(1, BM * BN / THREADS), COLS = SK == 1 ? TN : 1;
  static constexpr unsigned PACK = SK == 1 ? VN : 1; // of neighbouring columns, that lie side by side
  // The threads that hold elements of one column, and of one row.
  static constexpr unsigned PILE = SK == 1 ? BM / TM : least(BM, STRIPE), LINE = SK == 1 ? ACROSS : BN;
  static_assert(GROUP * TM * TN == BM * BN, "threads do not fit the tile");
  static_assert(SK == 1 || THREADS % BN == 0, "columns do not fit the threads");
  static_assert(BM <= THREADS && BN <= THREADS && BK % SK == 0, "a tile too large");
  typedef Operand<T, THREADS, BM, BK, AX, APITCH, AV> A;
  typedef Operand<T, THREADS, BN, BK, BX, BPITCH, BV> B;

  // row and col are where in the tile a thread's element (r, c) lies; holds: that there is one.
  static __device__ inline unsigned row(unsigned r) {
    return SK == 1 ? r / VM * (BM / TM * VM) + threadIdx.x / ACROSS * VM + r % VM : threadIdx.x / BN + r * STRIPE;
  }
  static __device__ inline unsigned col(unsigned c) {
    return SK == 1 ? c / VN * (ACROSS * VN) + threadIdx.x % ACROSS * VN + c % VN : threadIdx.x % BN;
  }
  static __device__ inline bool holds() { return BM * BN >= THREADS || threadIdx.x < BM * BN; }

  // multiply computes the tile at (m, n) of the terms from k on, up to ks.
  static __device__ inline void multiply(T (&c)[ROWS][COLS], const T* a, const T* b, unsigned m, unsigned ms,
                                         unsigned n, unsigned ns, unsigned k, unsigned ks, void* shared) {
    T* tile = (T*)shared;
    T own[TM][TN], sum[LONG ? TM : 1][LONG ? TN : 1];
    zero(own);
    if (LONG) zero(sum);
    A at;
    B bt;
    at.fetch(a, m, ms, k, ks);
    bt.fetch(b, n, ns, k, ks);
    at.put(tile);
    bt.put(tile + A::SIZE);
    __syncthreads();
    unsigned links = 0;
    for (unsigned buffer = 0;;) {
      k += BK;
      bool more = DOUBLE && k < ks;
      if (more) {
        at.fetch(a, m, ms, k, ks);
        bt.fetch(b, n, ns, k, ks);
      }
      step(own, tile + buffer * (A::SIZE + B::SIZE));
      if (LONG && (links += BK / SK) >= CHAIN) {
        links = 0;
        drain(sum, own);
      }
      if (!more) break;
      buffer ^= 1;
      at.put(tile + buffer * (A::SIZE + B::SIZE));
      bt.put(tile + buffer * (A::SIZE + B::SIZE) + A::SIZE);
      __syncthreads();
    }
    if (LONG) {
      drain(sum, own);
      copy(own, sum);
    }
    finish(c, own, tile);
  }

  // gather adds up the slices of a tile's terms, each computed by a block of its own. It returns true in one of
  // them, the last, which has the sums then. Eight slices are added at a time, and then those sums. room: for
  // (slices + (slices+7)/8) times ROWS*COLS*THREADS elements; tickets: (slices+7)/8 + 1 of them.
  static __device__ inline bool gather(T (&c)[ROWS][COLS], T* room, unsigned* tickets, unsigned slice,
                                       unsigned slices, void* shared) {
    constexpr unsigned EIGHT = 8;
    unsigned sums = (slices + EIGHT - 1) / EIGHT, mine = slice / EIGHT;
    unsigned first = mine * EIGHT, end = least(first + EIGHT, slices);
    keep(c, room, slice);
    if (!last_block(tickets + 1 + mine, end - first, shared)) return false;
    collect(c, room, first, end);
    if (sums == 1) return true;
    keep(c, room, slices + mine);
    if (!last_block(tickets, sums, shared)) return false;
    collect(c, room, slices, slices + sums);
    return true;
  }

  // The accumulators of a thread's columns, rows or all elements, combined over the block: that of column x, row x or
  // the tile lies at x of shared then, until the next barrier.
  template <class S> static __device__ inline void columns(S (&s)[COLS], void* shared) {
    S* all = (S*)shared;
    unsigned pile = SK == 1 ? threadIdx.x / ACROSS : threadIdx.x / BN;
    __syncthreads();
#pragma unroll
    for (unsigned c = 0; c < COLS; c++) {
      if (pile < PILE) all[pile * BN + col(c)] = s[c];
    }
    heap<S, BN, PILE>(all);
  }
  template <class S> static __device__ inline void rows(S (&s)[ROWS], void* shared) {
    S* all = (S*)shared;
    unsigned line = SK == 1 ? threadIdx.x % ACROSS : threadIdx.x % BN;
    __syncthreads();
#pragma unroll
    for (unsigned r = 0; r < ROWS; r++) {
      if (holds()) all[line * BM + row(r)] = s[r];
    }
    heap<S, BM, LINE>(all);
  }
  template <class S> static __device__ inline void whole(S s, void* shared) {
    __syncthreads();
    s = block_merge<THREADS>(s, shared);
    if (threadIdx.x == 0) *(S*)shared = s;
    __syncthreads();
  }

  // join combines the accumulators that count blocks have in shared, width of them each, as columns, rows and whole
  // left them there. It returns true in one of the blocks, the last, which has the results in shared then. So many
  // as group are combined at a time, and then those results. room: for (count + groups) * pitch accumulators, a
  // block's from first on; tickets: groups + 1 of them. W: a power of 2, width or more.
  template <unsigned W, class S>
  static __device__ inline bool join(S* room, unsigned* tickets, unsigned mine, unsigned count, unsigned group,
                                     size_t pitch, unsigned first, unsigned width, void* shared) {
    unsigned groups = (count + group - 1) / group, own = mine / group;
    unsigned from = own * group, to = least(from + group, count);
    room += first;
    if (threadIdx.x < width) room[mine * pitch + threadIdx.x] = ((S*)shared)[threadIdx.x];
    if (!last_block(tickets + 1 + own, to - from, shared)) return false;
    merge<W>(room + from * pitch, to - from, pitch, width, shared);
    if (groups == 1) return true;
    if (threadIdx.x < width) room[(count + own) * pitch + threadIdx.x] = ((S*)shared)[threadIdx.x];
    if (!last_block(tickets, groups, shared)) return false;
    merge<W>(room + count * pitch, groups, pitch, width, shared);
    return true;
  }

 private:
  template <unsigned W, class S>
  static __device__ inline void merge(const S* from, unsigned count, size_t pitch, unsigned width, void* shared) {
    constexpr unsigned SHARES = THREADS / W;
    S* all = (S*)shared;
    unsigned x = threadIdx.x % W, share = threadIdx.x / W;
    S s;
    s.clear();
    if (x < width) {
#pragma unroll 8
      for (unsigned i = share; i < count; i += SHARES) s.merge(from[i * pitch + x]);
    }
    __syncthreads();
    all[share * W + x] = s;
    heap<S, W, SHARES>(all);
  }

  template <class X, unsigned R, unsigned C> static __device__ inline void zero(X (&c)[R][C]) {
#pragma unroll
    for (unsigned r = 0; r < R; r++) {
#pragma unroll
      for (unsigned i = 0; i < C; i++) c[r][i] = 0;
    }
  }

  // drain adds own to sum and empties it.
  template <unsigned R, unsigned C> static __device__ inline void drain(T (&sum)[R][C], T (&own)[TM][TN]) {
#pragma unroll
    for (unsigned r = 0; r < R; r++) {
#pragma unroll
      for (unsigned i = 0; i < C; i++) sum[r][i] += own[r][i], own[r][i] = 0;
    }
  }

  template <unsigned R, unsigned C> static __device__ inline void copy(T (&to)[TM][TN], const T (&from)[R][C]) {
#pragma unroll
    for (unsigned r = 0; r < R; r++) {
#pragma unroll
      for (unsigned i = 0; i < C; i++) to[r][i] = from[r][i];
    }
  }

  // step multiplies the group's terms of the tiles in shared memory.
  static __device__ inline void step(T (&c)[TM][TN], const T* tile) {
    unsigned group = threadIdx.x / GROUP, tr = threadIdx.x % GROUP / ACROSS, tc = threadIdx.x % ACROSS;
    const T* a = tile + group * A::LD + tr * VM;
    const T* b = tile + A::SIZE + group * B::LD + tc * VN;
    constexpr unsigned FLAT = most(1, least(BK / SK, 512 / (TM * TN))); // more would leave the instruction cache
#pragma unroll FLAT
    for (unsigned k = 0; k < BK; k += SK) {
      Pack<T, VM> x[TM / VM];
      Pack<T, VN> y[TN / VN];
#pragma unroll
      for (unsigned i = 0; i < TM / VM; i++) x[i] = *(const Pack<T, VM>*)(a + k * A::LD + i * (BM / TM * VM));
#pragma unroll
      for (unsigned i = 0; i < TN / VN; i++) y[i] = *(const Pack<T, VN>*)(b + k * B::LD + i * (ACROSS * VN));
#pragma unroll
      for (unsigned r = 0; r < TM; r++) {
#pragma unroll
        for (unsigned i = 0; i < TN; i++) c[r][i] = multiply_add(x[r / VM].v[r % VM], y[i / VN].v[i % VN], c[r][i]);
      }
    }
  }

  // finish gives each thread its elements: of several groups, their sums.
  static __device__ inline void finish(T (&c)[ROWS][COLS], const T (&own)[TM][TN], T* tile) {
    if (SK == 1) {
#pragma unroll
      for (unsigned r = 0; r < ROWS; r++) {
#pragma unroll
        for (unsigned i = 0; i < COLS; i++) c[r][i] = own[r % TM][i % TN];
      }
      return;
    }
    unsigned group = threadIdx.x / GROUP, tr = threadIdx.x % GROUP / ACROSS, tc = threadIdx.x % ACROSS;
    __syncthreads();
#pragma unroll
    for (unsigned r = 0; r < TM; r++) {
#pragma unroll
      for (unsigned i = 0; i < TN; i++) {
        unsigned y = r / VM * (BM / TM * VM) + tr * VM + r % VM, x = i / VN * (ACROSS * VN) + tc * VN + i % VN;
        tile[(group * BM + y) * BN + x] = own[r][i];
      }
    }
    __syncthreads();
    for (unsigned n = SK / 2; n > 0; n /= 2) {
      for (unsigned x = threadIdx.x; x < n * BM * BN; x += THREADS) tile[x] += tile[n * BM * BN + x];
      __syncthreads();
    }
#pragma unroll
    for (unsigned r = 0; r < ROWS; r++) c[r][0] = holds() ? tile[row(r) * BN + col(0)] : 0;
    __syncthreads();
  }

  static __device__ inline void keep(const T (&c)[ROWS][COLS], T* room, unsigned at) {
    T* p = room + (size_t)at * (ROWS * COLS * THREADS) + threadIdx.x;
#pragma unroll
    for (unsigned r = 0; r < ROWS; r++) {
#pragma unroll
      for (unsigned i = 0; i < COLS; i++) p[(r * COLS + i) * THREADS] = c[r][i];
    }
  }

  static __device__ inline void collect(T (&c)[ROWS][COLS], const T* room, unsigned from, unsigned to) {
    zero(c);
    for (; from < to; from++) {
      const T* p = room + (size_t)from * (ROWS * COLS * THREADS) + threadIdx.x;
#pragma unroll
      for (unsigned r = 0; r < ROWS; r++) {
#pragma unroll
        for (unsigned i = 0; i < COLS; i++) c[r][i] += p[(r * COLS + i) * THREADS];
      }
    }
  }

  // heap combines N accumulators each of W, accumulator x of the i-th at i*W + x, into the first W. N: a power of 2.
  template <class S, unsigned W, unsigned N> static __device__ inline void heap(S* all) {
    __syncthreads();
    for (unsigned n = N / 2; n > 0; n /= 2) {
      for (unsigned x = threadIdx.x; x < n * W; x += THREADS) {
        S s = all[x];
        s.merge(all[n * W + x]);
        all[x] = s;
      }
      __syncthreads();
    }
  }
};
