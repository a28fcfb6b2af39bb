// CUDA C for g++: what NVRTC knows without any header, as far as kernels of this project use it. The source of a
// kernel is compiled after it; nvrtc.cc rewrites the declarations of shared memory and appends the table of kernels.
#include "image.h"

extern "C" __attribute__((visibility("hidden"))) sim_state __sim;

typedef unsigned long size_t;
typedef unsigned char uchar;

#define __global__ __attribute__((noinline))
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __CUDA_ARCH__ SIM_ARCH
#define __CUDACC__ 1
#define __CUDACC_RTC__ 1
#define __restrict__ __restrict

#define threadIdx (__sim.thread)
#define blockIdx (__sim.block)
#define blockDim (__sim.block_dim)
#define gridDim (__sim.grid_dim)
#define warpSize 32

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

#define SIM_VECTOR(T, name, align2, align4)                                         \
  struct __attribute__((aligned(align2))) name##2 { T x, y; };                      \
  struct name##3 { T x, y, z; };                                                    \
  struct __attribute__((aligned(align4))) name##4 { T x, y, z, w; };                \
  static inline name##2 make_##name##2(T x, T y) { return name##2 {x, y}; }         \
  static inline name##3 make_##name##3(T x, T y, T z) { return name##3 {x, y, z}; } \
  static inline name##4 make_##name##4(T x, T y, T z, T w) { return name##4 {x, y, z, w}; }
SIM_VECTOR(float, float, 8, 16)
SIM_VECTOR(double, double, 16, 16)
SIM_VECTOR(int, int, 8, 16)
SIM_VECTOR(long long, longlong, 16, 16)
SIM_VECTOR(unsigned long long, ulonglong, 16, 16)
SIM_VECTOR(unsigned char, uchar, 2, 4)
#define uint3 sim_uint3_
SIM_VECTOR(unsigned, uint, 8, 16)
#undef uint3
#undef SIM_VECTOR

// Barriers and collectives, with the place where they stand, by which a thread that waits elsewhere is told.
#define SIM_TEXT_(x) #x
#define SIM_TEXT(x) SIM_TEXT_(x)
#define SIM_HERE __FILE__ ":" SIM_TEXT(__LINE__)
#define __syncthreads() ((void)__sim.barrier(SIM_HERE, 0))
#define __syncthreads_count(p) (__sim.barrier(SIM_HERE, (p) != 0))
#define __syncthreads_or(p) (__sim.barrier(SIM_HERE, (p) != 0) != 0)
#define __syncthreads_and(p) (__sim.barrier(SIM_HERE, (p) == 0) == 0)
#define __syncwarp (sim_syncwarp{SIM_HERE})
#define __shfl_sync(...) (sim_shuffle(SIM_HERE, __VA_ARGS__))
#define __shfl_up_sync(...) (sim_shuffle_up(SIM_HERE, __VA_ARGS__))
#define __shfl_down_sync(...) (sim_shuffle_down(SIM_HERE, __VA_ARGS__))
#define __shfl_xor_sync(...) (sim_shuffle_xor(SIM_HERE, __VA_ARGS__))
#define __ballot_sync(mask, p) (sim_ballot(SIM_HERE, mask, (p) != 0))
#define __any_sync(mask, p) (sim_ballot(SIM_HERE, mask, (p) != 0) != 0)
#define __all_sync(mask, p) (sim_ballot(SIM_HERE, mask, (p) == 0) == 0)
#define __trap() (__sim.trap(SIM_HERE))
#define __threadfence() (__sim.fence())
#define __threadfence_block() ((void)0)

static inline unsigned sim_lane() {
  return (__sim.thread.x + __sim.block_dim.x * (__sim.thread.y + __sim.block_dim.y * __sim.thread.z)) & 31;
}
struct sim_syncwarp {
  const char* at;
  void operator()(unsigned mask = 0xffffffffu) const { __sim.warp(SIM_WARP_SYNC, mask, 0, 0, at); }
};
static inline unsigned sim_ballot(const char* at, unsigned mask, int p) {
  return (unsigned)__sim.warp(SIM_WARP_BALLOT, mask, p, 0, at);
}
template <typename T>
static inline T sim_exchange(const char* at, unsigned mask, T v, int source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles are of 4 or 8 bytes");
  unsigned long long bits = 0;
  __builtin_memcpy(&bits, &v, sizeof v);
  bits = __sim.warp(SIM_WARP_SHUFFLE, mask, bits, source, at);
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}
template <typename T>
static inline T sim_shuffle(const char* at, unsigned mask, T v, int source, int width = 32) {
  int lane = sim_lane();
  return sim_exchange(at, mask, v, (lane & -width) | (source & (width - 1)));
}
template <typename T>
static inline T sim_shuffle_up(const char* at, unsigned mask, T v, unsigned by, int width = 32) {
  int lane = sim_lane(), in = lane & (width - 1);
  return sim_exchange(at, mask, v, in < (int)by ? lane : lane - (int)by);
}
template <typename T>
static inline T sim_shuffle_down(const char* at, unsigned mask, T v, unsigned by, int width = 32) {
  int lane = sim_lane(), in = lane & (width - 1);
  return sim_exchange(at, mask, v, in + (int)by >= width ? lane : lane + (int)by);
}
template <typename T>
static inline T sim_shuffle_xor(const char* at, unsigned mask, T v, int with, int width = 32) {
  int lane = sim_lane(), from = lane ^ with;
  return sim_exchange(at, mask, v, from >= (lane & -width) + width ? lane : from);
}

// Atomic operations on whole numbers: launches run on one thread of the system.
#ifdef SIM_CHECK
#define SIM_TOUCH(p) (__sim.access((const void*)(p), sizeof *(p), SIM_ATOMIC, __builtin_return_address(0)))
#define SIM_ATOMIC_FUNCTION static __attribute__((noinline, no_sanitize("thread")))
#else
#define SIM_TOUCH(p) ((void)0)
#define SIM_ATOMIC_FUNCTION static inline
#endif
#define SIM_RMW(name, T, expression)      \
  SIM_ATOMIC_FUNCTION T name(T* p, T v) { \
    SIM_TOUCH(p);                         \
    T old = *(volatile T*)p;              \
    *(volatile T*)p = (T)(expression);    \
    return old;                           \
  }
#define SIM_RMW_ALL(T)                                 \
  SIM_RMW(atomicAdd, T, old + v)                       \
  SIM_RMW(atomicMax, T, old > v ? old : v)             \
  SIM_RMW(atomicMin, T, old < v ? old : v)             \
  SIM_RMW(atomicAnd, T, old & v)                        \
  SIM_RMW(atomicOr, T, old | v)                        \
  SIM_RMW(atomicXor, T, old ^ v)                       \
  SIM_RMW(atomicExch, T, v)                            \
  SIM_ATOMIC_FUNCTION T atomicCAS(T* p, T want, T v) { \
    SIM_TOUCH(p);                                      \
    T old = *(volatile T*)p;                           \
    if (old == want) *(volatile T*)p = v;              \
    return old;                                        \
  }
SIM_RMW_ALL(int)
SIM_RMW_ALL(unsigned)
SIM_RMW_ALL(unsigned long long)
SIM_RMW(atomicSub, int, old - v)
SIM_RMW(atomicSub, unsigned, old - v)
SIM_RMW(atomicInc, unsigned, old >= v ? 0 : old + 1)
SIM_RMW(atomicDec, unsigned, old == 0 || old > v ? v : old - 1)

// Bits.
template <typename To, typename From>
static inline To sim_bits(From v) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To r;
  __builtin_memcpy(&r, &v, sizeof r);
  return r;
}
static inline unsigned __float_as_uint(float v) { return sim_bits<unsigned>(v); }
static inline int __float_as_int(float v) { return sim_bits<int>(v); }
static inline float __uint_as_float(unsigned v) { return sim_bits<float>(v); }
static inline float __int_as_float(int v) { return sim_bits<float>(v); }
static inline long long __double_as_longlong(double v) { return sim_bits<long long>(v); }
static inline double __longlong_as_double(long long v) { return sim_bits<double>(v); }
static inline int __double2hiint(double v) { return (int)(sim_bits<unsigned long long>(v) >> 32); }
static inline int __double2loint(double v) { return (int)sim_bits<unsigned long long>(v); }
static inline double __hiloint2double(int hi, int lo) {
  return sim_bits<double>((unsigned long long)(unsigned)hi << 32 | (unsigned)lo);
}
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((unsigned long long)a * b >> 32); }
static inline int __mulhi(int a, int b) { return (int)((long long)a * b >> 32); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)((unsigned __int128)a * b >> 64);
}
static inline long long __mul64hi(long long a, long long b) { return (long long)((__int128)a * b >> 64); }
static inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz((unsigned)v); }
static inline int __clzll(long long v) { return v == 0 ? 64 : __builtin_clzll((unsigned long long)v); }
static inline int __popc(unsigned v) { return __builtin_popcount(v); }
static inline int __popcll(unsigned long long v) { return __builtin_popcountll(v); }
static inline int __ffs(int v) { return __builtin_ffs(v); }
static inline int __ffsll(long long v) { return __builtin_ffsll(v); }
static inline unsigned __brev(unsigned v) {
  unsigned r = 0;
  for (int i = 0; i < 32; i++) r |= (v >> i & 1u) << (31 - i);
  return r;
}
static inline unsigned __funnelshift_l(unsigned lo, unsigned hi, unsigned by) {
  return (unsigned)(((unsigned long long)hi << 32 | lo) << (by & 31) >> 32);
}
static inline unsigned __funnelshift_r(unsigned lo, unsigned hi, unsigned by) {
  return (unsigned)(((unsigned long long)hi << 32 | lo) >> (by & 31));
}
template <typename T>
static inline T __ldg(const T* p) {
  return *p;
}

// Arithmetic that is rounded once. Kernels are compiled without contraction.
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }
static inline float __frcp_rn(float a) { return 1.0f / a; }
static inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline double __dadd_rn(double a, double b) { return a + b; }
static inline double __dsub_rn(double a, double b) { return a - b; }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __ddiv_rn(double a, double b) { return a / b; }
static inline double __dsqrt_rn(double a) { return __builtin_sqrt(a); }
static inline double __drcp_rn(double a) { return 1.0 / a; }
static inline double __fma_rn(double a, double b, double c) { return __builtin_fma(a, b, c); }

// Conversions. Those from floating point saturate, and NaN gives 0, as on the device.
static inline float __uint2float_rn(unsigned v) { return (float)v; }
static inline float __int2float_rn(int v) { return (float)v; }
static inline float __ull2float_rn(unsigned long long v) { return (float)v; }
static inline float __ll2float_rn(long long v) { return (float)v; }
static inline double __uint2double_rn(unsigned v) { return (double)v; }
static inline double __int2double_rn(int v) { return (double)v; }
static inline double __ull2double_rn(unsigned long long v) { return (double)v; }
static inline double __ll2double_rn(long long v) { return (double)v; }
static inline float __double2float_rn(double v) { return (float)v; }
template <typename I>
static inline I sim_saturate(double v, double lo, double hi, I min, I max) {
  return v != v ? 0 : v <= lo ? min : v >= hi ? max : (I)v;
}
static inline int __float2int_rz(float v) {
  return sim_saturate<int>(v, -0x1p31, 0x1p31, -0x7fffffff - 1, 0x7fffffff);
}
static inline int __double2int_rz(double v) {
  return sim_saturate<int>(v, -0x1p31, 0x1p31 - 1, -0x7fffffff - 1, 0x7fffffff);
}
static inline int __float2int_rn(float v) { return __double2int_rz(__builtin_rint(v)); }
static inline int __double2int_rn(double v) { return __double2int_rz(__builtin_rint(v)); }
static inline int __float2int_rd(float v) { return __double2int_rz(__builtin_floor(v)); }
static inline unsigned __double2uint_rz(double v) { return sim_saturate<unsigned>(v, 0, 0x1p32 - 1, 0, 0xffffffffu); }
static inline unsigned __float2uint_rz(float v) { return __double2uint_rz(v); }
static inline unsigned __float2uint_rn(float v) { return __double2uint_rz(__builtin_rint(v)); }
static inline long long __double2ll_rz(double v) {
  return v != v ? (long long)(1ull << 63)
                : sim_saturate<long long>(v, -0x1p63, 0x1p63, -0x7fffffffffffffffll - 1, 0x7fffffffffffffffll);
}
static inline long long __float2ll_rz(float v) { return __double2ll_rz(v); }
static inline long long __double2ll_rn(double v) { return __double2ll_rz(__builtin_rint(v)); }
static inline long long __float2ll_rn(float v) { return __double2ll_rz(__builtin_rint(v)); }

// Mathematics: the C library's, under the names of both types.
#define SIM_MATH1(name)                     \
  extern "C" double name(double) noexcept;  \
  extern "C" float name##f(float) noexcept; \
  static inline float name(float v) { return __builtin_##name##f(v); }
#define SIM_MATH2(name)                            \
  extern "C" double name(double, double) noexcept; \
  extern "C" float name##f(float, float) noexcept; \
  static inline float name(float a, float b) { return __builtin_##name##f(a, b); }
SIM_MATH1(exp)
SIM_MATH1(exp2) SIM_MATH1(exp10) SIM_MATH1(expm1) SIM_MATH1(log) SIM_MATH1(log2) SIM_MATH1(log10) SIM_MATH1(log1p)
    SIM_MATH1(sin) SIM_MATH1(cos) SIM_MATH1(tan) SIM_MATH1(asin) SIM_MATH1(acos) SIM_MATH1(atan) SIM_MATH1(sinh)
        SIM_MATH1(cosh) SIM_MATH1(tanh) SIM_MATH1(asinh) SIM_MATH1(acosh) SIM_MATH1(atanh) SIM_MATH1(sqrt)
            SIM_MATH1(cbrt) SIM_MATH1(erf) SIM_MATH1(erfc) SIM_MATH1(lgamma) SIM_MATH1(tgamma) SIM_MATH1(fabs)
                SIM_MATH1(floor) SIM_MATH1(ceil) SIM_MATH1(trunc) SIM_MATH1(round) SIM_MATH1(rint)
                    SIM_MATH1(nearbyint) SIM_MATH1(logb) SIM_MATH2(pow) SIM_MATH2(atan2) SIM_MATH2(fmod)
                        SIM_MATH2(hypot) SIM_MATH2(fmin) SIM_MATH2(fmax) SIM_MATH2(fdim) SIM_MATH2(copysign)
                            SIM_MATH2(nextafter) SIM_MATH2(remainder)
#undef SIM_MATH1
#undef SIM_MATH2
                                extern "C" double fma(double, double, double) noexcept;
extern "C" float fmaf(float, float, float) noexcept;
static inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
extern "C" double ldexp(double, int) noexcept;
extern "C" float ldexpf(float, int) noexcept;
static inline float ldexp(float v, int e) { return __builtin_ldexpf(v, e); }
extern "C" double scalbn(double, int) noexcept;
extern "C" float scalbnf(float, int) noexcept;
extern "C" double frexp(double, int*) noexcept;
extern "C" float frexpf(float, int*) noexcept;
extern "C" int ilogb(double) noexcept;
extern "C" int ilogbf(float) noexcept;
extern "C" void sincos(double, double*, double*) noexcept;
extern "C" void sincosf(float, float*, float*) noexcept;
static inline float rsqrtf(float v) { return (float)(1.0 / __builtin_sqrt((double)v)); }
static inline double rsqrt(double v) { return 1.0 / __builtin_sqrt(v); }
static inline float rsqrt(float v) { return rsqrtf(v); }
static inline bool isnan(float v) { return v != v; }
static inline bool isnan(double v) { return v != v; }
static inline bool isinf(float v) { return __builtin_isinf(v) != 0; }
static inline bool isinf(double v) { return __builtin_isinf(v) != 0; }
static inline bool isfinite(float v) { return __builtin_isfinite(v) != 0; }
static inline bool isfinite(double v) { return __builtin_isfinite(v) != 0; }
static inline bool signbit(float v) { return __builtin_signbit(v) != 0; }
static inline bool signbit(double v) { return __builtin_signbit(v) != 0; }
static inline int abs(int v) { return v < 0 ? -v : v; }
static inline long long llabs(long long v) { return v < 0 ? -v : v; }
static inline long long abs(long long v) { return llabs(v); }
static inline float abs(float v) { return __builtin_fabsf(v); }
static inline double abs(double v) { return __builtin_fabs(v); }
#define SIM_MINMAX(T)                                     \
  static inline T min(T a, T b) { return b < a ? b : a; } \
  static inline T max(T a, T b) { return a < b ? b : a; }
SIM_MINMAX(int)
SIM_MINMAX(unsigned)
SIM_MINMAX(long)
SIM_MINMAX(unsigned long)
SIM_MINMAX(long long)
SIM_MINMAX(unsigned long long)
#undef SIM_MINMAX
static inline unsigned min(int a, unsigned b) { return min((unsigned)a, b); }
static inline unsigned min(unsigned a, int b) { return min(a, (unsigned)b); }
static inline unsigned max(int a, unsigned b) { return max((unsigned)a, b); }
static inline unsigned max(unsigned a, int b) { return max(a, (unsigned)b); }
static inline float min(float a, float b) { return __builtin_fminf(a, b); }
static inline float max(float a, float b) { return __builtin_fmaxf(a, b); }
static inline double min(double a, double b) { return __builtin_fmin(a, b); }
static inline double max(double a, double b) { return __builtin_fmax(a, b); }
static inline double min(float a, double b) { return __builtin_fmin(a, b); }
static inline double min(double a, float b) { return __builtin_fmin(a, b); }
static inline double max(float a, double b) { return __builtin_fmax(a, b); }
static inline double max(double a, float b) { return __builtin_fmax(a, b); }

// Functions that are not instrumented.
#ifdef SIM_CHECK
#define SIM_QUIET __attribute__((no_sanitize("thread")))
#else
#define SIM_QUIET
#endif

// The table of kernels: a launcher takes its arguments where the parameters of the launch point.
template <int... I>
struct sim_indices {};
template <int N, int... I>
struct sim_count : sim_count<N - 1, N - 1, I...> {};
template <int... I>
struct sim_count<0, I...> {
  typedef sim_indices<I...> type;
};
template <typename T>
struct sim_plain {
  typedef T type;
};
template <typename T>
struct sim_plain<const T> {
  typedef T type;
};
template <typename F, F* f>
struct sim_launcher;
template <typename... A, void (*f)(A...)>
struct sim_launcher<void(A...), f> {
  static constexpr int params = sizeof...(A);
  static constexpr unsigned sizes[sizeof...(A) + 1] = {sizeof(A)..., 0};
  template <int... I>
  SIM_QUIET static void call(void* const* p, sim_indices<I...>) {
    f(*(typename sim_plain<A>::type*)p[I]...);
  }
  SIM_QUIET static void run(void* const* p) { call(p, typename sim_count<sizeof...(A)>::type()); }
};
template <typename... A, void (*f)(A...)>
constexpr unsigned sim_launcher<void(A...), f>::sizes[sizeof...(A) + 1];
#define SIM_KERNEL(f, shared, threads)   \
  {#f,                                   \
   sim_launcher<decltype(f), f>::run,    \
   sim_launcher<decltype(f), f>::params, \
   sim_launcher<decltype(f), f>::sizes,  \
   shared,                               \
   threads}

// What the compiler's checks call.
struct sim_location {
  const char* file;
  unsigned line, column;
};
struct sim_mismatch {
  sim_location at;
  const void* type;
  unsigned char log_align, kind;
};
#define SIM_HOOK extern "C" __attribute__((visibility("hidden"), used))
SIM_HOOK SIM_QUIET void __ubsan_handle_type_mismatch_v1_abort(sim_mismatch* m, const void* p) {
  __sim.misaligned(p, 1u << m->log_align, m->at.file, m->at.line);
}
#ifdef SIM_CHECK
#define SIM_TSAN(n)                                                                                                \
  SIM_HOOK SIM_QUIET void __tsan_read##n(void* p) { __sim.access(p, n, SIM_READ, __builtin_return_address(0)); }   \
  SIM_HOOK SIM_QUIET void __tsan_write##n(void* p) { __sim.access(p, n, SIM_WRITE, __builtin_return_address(0)); } \
  SIM_HOOK SIM_QUIET void __tsan_unaligned_read##n(void* p) { __tsan_read##n(p); }                                 \
  SIM_HOOK SIM_QUIET void __tsan_unaligned_write##n(void* p) { __tsan_write##n(p); }                               \
  SIM_HOOK SIM_QUIET void __tsan_volatile_read##n(void* p) { __tsan_read##n(p); }                                  \
  SIM_HOOK SIM_QUIET void __tsan_volatile_write##n(void* p) { __tsan_write##n(p); }
SIM_TSAN(1)
SIM_TSAN(2) SIM_TSAN(4) SIM_TSAN(8) SIM_TSAN(16) SIM_HOOK SIM_QUIET void __tsan_read_range(void* p, unsigned long n) {
  __sim.access(p, n, SIM_READ, __builtin_return_address(0));
}
SIM_HOOK SIM_QUIET void __tsan_write_range(void* p, unsigned long n) {
  __sim.access(p, n, SIM_WRITE, __builtin_return_address(0));
}
SIM_HOOK SIM_QUIET void __tsan_init() {}
SIM_HOOK SIM_QUIET void __tsan_func_entry(void*) {}
SIM_HOOK SIM_QUIET void __tsan_func_exit() {}
SIM_HOOK SIM_QUIET void __tsan_vptr_update(void**, void*) {}
SIM_HOOK SIM_QUIET void __tsan_vptr_read(void**) {}
#undef SIM_TSAN
#endif
