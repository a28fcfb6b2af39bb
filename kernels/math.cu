#include "common.cu"

// Elementwise kinds of the representation, by their names, that are more than an operator. Functions are within 2
// units in the last place, where CUDA's own are not by computing in double.

#define GODCEM_BOTH(name, f32, f64)                          \
  __device__ inline float op_##name(float x) { return f32; } \
  __device__ inline double op_##name(double x) { return f64; }

GODCEM_BOTH(neg, -x, -x)
GODCEM_BOTH(abs, fabsf(x), fabs(x))
GODCEM_BOTH(sign, x > 0 ? 1.0f : x < 0 ? -1.0f : x, x > 0 ? 1.0 : x < 0 ? -1.0 : x)
GODCEM_BOTH(floor, floorf(x), floor(x))
GODCEM_BOTH(ceil, ceilf(x), ceil(x))
GODCEM_BOTH(square, x* x, x* x)
GODCEM_BOTH(cube, x* x* x, x* x* x)
GODCEM_BOTH(recip, 1.0f / x, 1.0 / x)
GODCEM_BOTH(sqrt, sqrtf(x), sqrt(x))
GODCEM_BOTH(invsqrt, 1.0f / sqrtf(x), 1.0 / sqrt(x))
GODCEM_BOTH(exp, expf(x), exp(x))
GODCEM_BOTH(expm1, expm1f(x), expm1(x))
GODCEM_BOTH(log, logf(x), log(x))
GODCEM_BOTH(log1p, log1pf(x), log1p(x))
GODCEM_BOTH(log2, log2f(x), log2(x))
GODCEM_BOTH(tanh, tanhf(x), tanh(x))
GODCEM_BOTH(not, x == 0 ? 1.0f : 0.0f, x == 0 ? 1.0 : 0.0)

#undef GODCEM_BOTH

// Sine and cosine of float32, within 1.6 units. Up to 2^13 three fused steps take off the nearest multiple n of pi/2;
// beyond, CUDA's own functions do, whose long way round would otherwise be repeated at every call: a rollout has
// dozens.
static __device__ __noinline__ float sin_large(float x) { return sinf(x); }
static __device__ __noinline__ float cos_large(float x) { return cosf(x); }
// sin_quadrant is sin(x), n being x / (pi/2) rounded and also the quadrant, or with one quadrant more cos(x).
__device__ inline float sin_quadrant(float x, float n, int quadrant) {
  float r = fmaf(n, -1.57079601f, x);
  r = fmaf(n, -3.13916473e-7f, r);
  r = fmaf(n, -5.39030253e-15f, r);
  float s = r * r;
  float a = fmaf(fmaf(-1.95152956e-4f, s, 8.33216087e-3f), s, -1.66666546e-1f);
  a = fmaf(a * s, r, r);
  float b = fmaf(fmaf(2.44331571e-5f, s, -1.38873163e-3f), s, 4.16666457e-2f);
  b = fmaf(b, s * s, fmaf(-0.5f, s, 1.0f));
  float y = quadrant & 1 ? b : a;
  return quadrant & 2 ? -y : y;
}
__device__ inline float op_sin(float x) {
  if (!(fabsf(x) <= 8192.0f)) return sin_large(x);
  float n = rintf(x * 0.636619772f);
  return x == 0 ? x : sin_quadrant(x, n, (int)n);
}
__device__ inline float op_cos(float x) {
  if (!(fabsf(x) <= 8192.0f)) return cos_large(x);
  float n = rintf(x * 0.636619772f);
  return sin_quadrant(x, n, (int)n + 1);
}
__device__ inline double op_sin(double x) { return sin(x); }
__device__ inline double op_cos(double x) { return cos(x); }

__device__ inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double fused(double a, double b, double c) { return fma(a, b, c); }

// exp_down is exp(x) of x <= 0, rounded almost rightly (0.51 units): what is computed of it has few left to lose.
__device__ inline float exp_down(float x) {
  float n = rintf(x * 1.44269502f);
  float t = fmaf(n, -0.693145752f, x), c = n * 1.42860677e-6f; // x - n ln 2 = t - c, t exact
  float r = t - c, rest = (t - r) - c;
  float p = 1.98756915e-4f;
  p = fmaf(p, r, 1.39819995e-3f);
  p = fmaf(p, r, 8.33345191e-3f);
  p = fmaf(p, r, 4.16657959e-2f);
  p = fmaf(p, r, 1.66666655e-1f);
  p = fmaf(p, r, 5.00000012e-1f);
  float u = 1.0f + r; // and what this lost
  p = u + (fmaf(p * r, r, rest) + ((1.0f - u) + r));
  if (!(x > -104.0f)) return x != x ? x : 0.0f; // also where n is not an integer
  int k = (int)n; // 0 to -150: by two factors, for subnormal results
  return p * __int_as_float((127 + k / 2) << 23) * __int_as_float((127 + k - k / 2) << 23);
}
__device__ inline double exp_down(double x) { return exp(x); }

// sigmoid_of is e^x / (1 + e^x) or 1 / (1 + e^-x), given the power e of at most 1. The quotient is corrected by what
// the sum and the division lost: else their errors and e's could add up to more than two units.
template <class T> __device__ inline T sigmoid_of(T x, T e) {
  T u = 1 + e, lost = (1 - u) + e, inverse = 1 / u;
  T a = x < 0 ? e : T(1), q = a * inverse;
  return fused(fused(-q, u, a) - q * lost, inverse, q);
}
__device__ inline float op_sigmoid(float x) { return sigmoid_of(x, exp_down(-fabsf(x))); }
__device__ inline double op_sigmoid(double x) { return sigmoid_of(x, exp_down(-fabs(x))); }
__device__ inline float op_softplus(float x) { return maximum(x, 0.0f) + log1pf(exp_down(-fabsf(x))); }
__device__ inline double op_softplus(double x) { return maximum(x, 0.0) + log1p(exp_down(-fabs(x))); }

__device__ inline float op_pow(float x, float y) { return (float)pow((double)x, (double)y); }
__device__ inline double op_pow(double x, double y) { return pow(x, y); }
__device__ inline float op_atan2(float y, float x) { return (float)atan2((double)y, (double)x); }
__device__ inline double op_atan2(double y, double x) { return atan2(y, x); }

// to_long takes x towards zero; what no long long is becomes the least one.
template <class T> __device__ inline long long to_long(T x) {
  return x >= (T)-9223372036854775808.0 && x < (T)9223372036854775808.0 ? (long long)x : LONG_LEAST;
}
