#include "common.cu"

// Philox4x32-10 and what is drawn with it, to the bit as philox.go and normal.go of this folder have it: there are
// the definitions. A key is kernels.Key(seed, draw) as one number, low word first. An element's number counts in the
// draw. Products and sums are not contracted: kernels are compiled without.

struct Words {
  unsigned w[4];
};

__device__ inline Words philox(unsigned long long run, unsigned long long block, unsigned long long key) {
  unsigned a = (unsigned)run, b = (unsigned)(run >> 32), c = (unsigned)block, d = (unsigned)(block >> 32);
  unsigned k0 = (unsigned)key, k1 = (unsigned)(key >> 32);
#pragma unroll
  for (int i = 0; i < 10; i++) {
    unsigned ph = __umulhi(a, 0xd2511f53u), pl = a * 0xd2511f53u;
    unsigned qh = __umulhi(c, 0xcd9e8d57u), ql = c * 0xcd9e8d57u;
    a = qh ^ b ^ k0, b = ql, c = ph ^ d ^ k1, d = pl;
    k0 += 0x9e3779b9u, k1 += 0xbb67ae85u;
  }
  return Words{{a, b, c, d}};
}

// Elements of a draw per block of it.
template <class T> struct Draw {
  static constexpr int LANES = 16 / sizeof(T);
};

__device__ inline void uniform_of(Words w, Pack<float, 4>& z) {
  for (int i = 0; i < 4; i++) z.v[i] = (float)(int)(w.w[i] >> 8) * 5.9604644775390625e-8f; // 2^-24
}

__device__ inline unsigned long long word64(unsigned low, unsigned high) {
  return (unsigned long long)high << 32 | low;
}

__device__ inline void uniform_of(Words w, Pack<double, 2>& z) {
  for (int i = 0; i < 2; i++)
    z.v[i] = (double)(long long)(word64(w.w[2 * i], w.w[2 * i + 1]) >> 11) * 1.1102230246251565404e-16; // 2^-53
}

// normal_pair is normals32 of a pair of words.
__device__ inline void normal_pair(unsigned w0, unsigned w1, float& z0, float& z1) {
  float u = (float)w0 * 2.3283064365386962891e-10f + 1.1641532182693481445e-10f; // 2^-32, 2^-33
  unsigned b = __float_as_uint(u);
  int e = (int)(b - 0x3f2aaaabu) >> 23;
  float f = __uint_as_float(b - ((unsigned)e << 23)) - 1.0f;
  float n = (float)-e;
  float y = f * f;
  float p = 0.28651312f * y + 0.23704514f;
  float q = -0.27952182f * y + -0.28027728f;
  p = p * y + 0.33409727f;
  q = q * y + -0.40018627f;
  p = p * y + 0.49998477f;
  q = q * y + -0.6666651f;
  p = p * y + q * f;
  float l = p * y + y;
  l = n * 2.8572135e-06f + l;
  l = l - 2.0f * f;
  l = n * 1.3862915f + l;
  float r = sqrtf(l);

  unsigned h = w1 + (1u << 29);
  float t = (float)(int)(w1 - (h & 3u << 30)) * 1.4629181e-09f;
  float x = t * t;
  float s = -0.00019518292f * x + 0.008332189f;
  float c = 2.4432327e-05f * x + -0.001388731f;
  s = s * x + -0.16666655f;
  c = c * x + 0.041666646f;
  c = c * x - 0.5f;
  s = (s * x) * t + t;
  c = c * x + 1.0f;
  bool swap = (h & 1u << 30) != 0;
  unsigned sb = __float_as_uint(swap ? c : s), cb = __float_as_uint(swap ? s : c);
  cb ^= (h + (1u << 30)) & 1u << 31;
  sb ^= h & 1u << 31;
  z0 = r * __uint_as_float(cb);
  z1 = r * __uint_as_float(sb);
}

// normal_pair is normals64 of two pairs of words.
__device__ inline void normal_pair(unsigned long long w0, unsigned long long w1, double& z0, double& z1) {
  double u = (double)(long long)(w0 >> 12 << 1 | 1) * 1.1102230246251565404e-16; // 2^-53
  unsigned long long b = (unsigned long long)__double_as_longlong(u);
  long long e = (long long)(b - 0x3fe6a09e667f3bcdull) >> 52;
  double f = __longlong_as_double((long long)(b - ((unsigned long long)e << 52))) - 1.0;
  double n = (double)-e;
  double s = f / (2.0 + f);
  double z = s * s;
  double w = z * z;
  double y = f * f;
  double p = 0.3062822178502585 * w + 0.4444439724382092;
  double q = 0.295907270854556 * w + 0.3636712377670718;
  p = p * w + 0.799999999988341;
  q = q * w + 0.5714285748378098;
  q = q * w + 1.3333333333333468;
  double l = p * w + q * z;
  l = y - s * (y + l);
  l = n * -3.728377347448607e-15 + l;
  l = l - 2.0 * f;
  l = n * 1.3862943611198943 + l;
  double r = sqrt(l);

  unsigned long long a = w1 >> 12;
  unsigned long long h = a + (1ull << 49);
  double t = (double)(long long)(a - (h & ~((1ull << 50) - 1))) * 1.3951473992034527e-15;
  double x = t * t;
  s = 1.5895433296840123e-10 * x + -2.5050734389344506e-08;
  double c = -1.135874927176719e-11 * x + 2.087570539648927e-09;
  s = s * x + 2.7557313538514475e-06;
  c = c * x + -2.755731421704104e-07;
  s = s * x + -0.00019841269829358528;
  c = c * x + 2.4801587289002083e-05;
  s = s * x + 0.00833333333332184;
  c = c * x + -0.0013888888888873342;
  s = s * x + -0.1666666666666663;
  c = c * x + 0.041666666666666595;
  c = c * x - 0.5;
  s = (s * x) * t + t;
  c = c * x + 1.0;
  bool swap = (h & 1ull << 50) != 0;
  unsigned long long sb = (unsigned long long)__double_as_longlong(swap ? c : s);
  unsigned long long cb = (unsigned long long)__double_as_longlong(swap ? s : c);
  cb ^= (h + (1ull << 50)) << 12 & 1ull << 63;
  sb ^= h << 12 & 1ull << 63;
  z0 = r * __longlong_as_double((long long)cb);
  z1 = r * __longlong_as_double((long long)sb);
}

__device__ inline void normal_of(Words w, Pack<float, 4>& z) {
  normal_pair(w.w[0], w.w[1], z.v[0], z.v[1]);
  normal_pair(w.w[2], w.w[3], z.v[2], z.v[3]);
}
__device__ inline void normal_of(Words w, Pack<double, 2>& z) {
  normal_pair(word64(w.w[0], w.w[1]), word64(w.w[2], w.w[3]), z.v[0], z.v[1]);
}

// Block number block of a draw: Draw<T>::LANES elements.
template <class T>
__device__ inline Pack<T, 16 / sizeof(T)> uniforms(unsigned long long run, unsigned long long block,
                                                   unsigned long long key) {
  Pack<T, 16 / sizeof(T)> z;
  uniform_of(philox(run, block, key), z);
  return z;
}
template <class T>
__device__ inline Pack<T, 16 / sizeof(T)> normals(unsigned long long run, unsigned long long block,
                                                  unsigned long long key) {
  Pack<T, 16 / sizeof(T)> z;
  normal_of(philox(run, block, key), z);
  return z;
}

// One element of a draw.
template <class T>
__device__ inline T uniform(unsigned long long run, unsigned long long element, unsigned long long key) {
  constexpr unsigned L = Draw<T>::LANES;
  Pack<T, L> z = uniforms<T>(run, element / L, key);
  unsigned i = (unsigned)element % L;
  T x = z.v[0];
  for (unsigned k = 1; k < L; k++) x = i == k ? z.v[k] : x; // an index that is not constant would need memory
  return x;
}
__device__ inline float normal_at(unsigned long long run, unsigned long long element, unsigned long long key, float) {
  Words w = philox(run, element / 4, key);
  float z0, z1;
  bool second = (element & 2) != 0;
  normal_pair(second ? w.w[2] : w.w[0], second ? w.w[3] : w.w[1], z0, z1);
  return element & 1 ? z1 : z0;
}
__device__ inline double normal_at(unsigned long long run, unsigned long long element, unsigned long long key,
                                   double) {
  Pack<double, 2> z = normals<double>(run, element / 2, key);
  return element & 1 ? z.v[1] : z.v[0];
}
template <class T>
__device__ inline T normal(unsigned long long run, unsigned long long element, unsigned long long key) {
  return normal_at(run, element, key, T(0));
}
