#include "row.cu"

// Refitted moments, doc/equations.md (4), and their derivatives: refit.go, a problem of N samples of D dimensions per
// block. x: (N,D); w: (N); mu, sigma, g: (D).

constexpr unsigned REFIT_CHUNK = 2048;  // dimensions that a gradient takes at a time

// refit_lanes is the number of threads, a power of 2 up to most, for D dimensions.
template <unsigned D, unsigned most> __device__ constexpr unsigned refit_lanes() {
  unsigned n = 1;
  while (n < D && n < most) n *= 2;
  return n;
}

// A refit_sum is a sum over the samples, and whether any had a weight.
struct refit_sum {
  Sum<double> sum;
  unsigned any;
  __device__ void merge(const refit_sum& o) {
    sum.merge(o.sum);
    any |= o.any;
  }
  __device__ refit_sum shuffled(unsigned mask) const {
    return refit_sum{sum.shuffled(mask), __shfl_xor_sync(FULL, any, mask)};
  }
};

// Shared memory: REFIT_BYTES for refit_dims, and 8 bytes for each of up to REFIT_CHUNK dimensions for gradients.
constexpr unsigned REFIT_THREADS = 256;  // that refit_dims makes use of
constexpr unsigned REFIT_BYTES = REFIT_THREADS * sizeof(refit_sum);

// refit_dims computes for the dimensions d from lo to hi the sum over the samples of weight w != 0 of term(w, x, d),
// and calls done(d, sum, any) in one thread. Neighbouring threads have neighbouring dimensions; samples are shared
// among the threads of a dimension.
template <class T, unsigned N, unsigned D, unsigned THREADS, class Term, class Done>
__device__ inline void refit_dims(const T* x, const T* w, unsigned lo, unsigned hi, void* shared, Term term,
                                  Done done) {
  constexpr unsigned USED = THREADS < REFIT_THREADS ? THREADS : REFIT_THREADS;
  constexpr unsigned ACROSS = refit_lanes<D, USED>(), DOWN = USED / ACROSS;
  constexpr unsigned GROUPS = ACROSS < 32 ? USED / 32 : DOWN;  // that are left when warps have added up
  refit_sum* parts = (refit_sum*)shared;
  const unsigned lane = threadIdx.x % ACROSS, down = threadIdx.x / ACROSS;
  const bool used = threadIdx.x < USED;
  for (unsigned from = lo; from < hi; from += ACROSS) {
    const unsigned d = from + lane;
    refit_sum s;
    s.sum.clear();
    s.any = 0;
    if (d < hi && used)
      for (unsigned i = down; i < N; i += DOWN) {
        const double wi = (double)w[i];
        if (wi == 0) continue;
        s.any = 1;
        s.sum.add(term(wi, (double)x[i * D + d], d));
      }
    for (unsigned mask = ACROSS; mask < 32; mask *= 2) s.merge(s.shuffled(mask));
    if (GROUPS > 1) {
      const unsigned group = ACROSS < 32 ? threadIdx.x / 32 : down;
      if (used && (ACROSS >= 32 || threadIdx.x % 32 < ACROSS)) parts[group * ACROSS + lane] = s;
      __syncthreads();
      if (down == 0)
        for (unsigned i = 1; i < GROUPS; i++) s.merge(parts[i * ACROSS + lane]);
    }
    if (down == 0 && d < hi) done(d, s.sum.value(), s.any != 0);
    __syncthreads();
  }
}

// refit_mu writes mu = sum w x / k; a problem whose weights are all 0 keeps prev, if there is one.
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ void refit_mu(T* mu, const T* x, const T* w, const T* prev, void* shared, double k) {
  refit_dims<T, N, D, THREADS>(
      x, w, 0, D, shared, [](double wi, double v, unsigned) { return wi * v; },
      [=](unsigned d, double sum, bool any) { mu[d] = any || !prev ? (T)(sum / k) : prev[d]; });
}

// refit_sigma writes sigma = max(sqrt(sum w (x-mu)^2 / k), least).
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ void refit_sigma(T* sigma, const T* x, const T* w, const T* mu, const T* prev, void* shared,
                            double k, double least) {
  refit_dims<T, N, D, THREADS>(
      x, w, 0, D, shared,
      [=](double wi, double v, unsigned d) {
        const double t = v - (double)mu[d];
        return wi * (t * t);
      },
      [=](unsigned d, double sum, bool any) {
        double s = sqrt(sum / k);
        if (s < least) s = least;  // false for NaN, which stays
        sigma[d] = any || !prev ? (T)s : prev[d];
      });
}

// refit_samples calls term(i, d, weight, x) for all dimensions of every sample, a sample's by neighbouring threads,
// and done(i, sum of term) in one of them.
template <class T, unsigned N, unsigned D, unsigned THREADS, class Term, class Done>
__device__ inline void refit_samples(const T* x, const T* w, unsigned lo, unsigned hi, Term term, Done done) {
  constexpr unsigned ACROSS = refit_lanes<D, 32>(), DOWN = THREADS / ACROSS;
  const unsigned lane = threadIdx.x % ACROSS;
  for (unsigned from = 0; from < N; from += DOWN) {
    const unsigned i = from + threadIdx.x / ACROSS;
    double sum = 0;
    if (i < N) {
      const double wi = (double)w[i];
      for (unsigned d = lo + lane; d < hi; d += ACROSS) sum += term(d, wi, x[i * D + d]);
    }
    for (unsigned mask = 1; mask < ACROSS; mask *= 2) sum += __shfl_xor_sync(FULL, sum, mask);
    if (i < N && lane == 0) done(i, sum);
  }
}

// refit_any reports, to all threads, whether any weight is not 0.
template <class T, unsigned N, unsigned THREADS> __device__ inline bool refit_any(const T* w, void* shared) {
  double any = 0;
  for (unsigned i = threadIdx.x; i < N; i += THREADS)
    if (w[i] != 0) any = 1;
  return block_sum<THREADS>(any, shared) != 0;
}

// refit_mu_by_x writes dx = g w/k, exactly 0 where w is.
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ void refit_mu_by_x(T* dx, const T*, const T* w, const T* g, void*, double k) {
  for (unsigned i = threadIdx.x; i < N * D; i += THREADS) {
    const T wi = w[i / D];
    dx[i] = wi == 0 ? (T)0 : (T)((double)wi * ((double)g[i % D] / k));
  }
}

// refit_mu_by_w writes dw = <g, x>/k, 0 if all weights are; entries of x that are not finite count nothing where w
// is 0.
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ void refit_mu_by_w(T* dw, const T* x, const T* w, const T* g, void* shared, double k) {
  const bool any = refit_any<T, N, THREADS>(w, shared);
  double* c = (double*)((char*)shared + REFIT_BYTES);
  for (unsigned lo = 0; lo < D; lo += REFIT_CHUNK) {
    const unsigned hi = lo + REFIT_CHUNK < D ? lo + REFIT_CHUNK : D;
    for (unsigned d = lo + threadIdx.x; d < hi; d += THREADS) c[d - lo] = (double)g[d] / k;
    __syncthreads();
    refit_samples<T, N, D, THREADS>(
        x, w, lo, hi,
        [=](unsigned d, double wi, T v) { return wi != 0 || row_finite(v) ? c[d - lo] * (double)v : 0.0; },
        [=](unsigned i, double sum) { dw[i] = !any ? (T)0 : lo == 0 ? (T)sum : (T)((double)dw[i] + sum); });
    __syncthreads();
  }
}

// refit_slopes sets c[d-lo] = g/(k sigma) for the dimensions d from lo to hi, 0 where the variance is 0 or sigma at
// its floor.
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ inline void refit_slopes(double* c, const T* x, const T* w, const T* mu, const T* g, double k,
                                    double least, unsigned lo, unsigned hi, void* shared) {
  refit_dims<T, N, D, THREADS>(
      x, w, lo, hi, shared,
      [=](double wi, double v, unsigned d) {
        const double t = v - (double)mu[d];
        return wi * (t * t);
      },
      [=](unsigned d, double sum, bool) {
        const double sigma = sqrt(sum / k);
        // least >= 0: variance 0 is at the floor too; NaN is not
        c[d - lo] = sigma <= least ? 0.0 : (double)g[d] / (k * sigma);
      });
}

// refit_sigma_by_x writes dx = c w (x-mu), exactly 0 where w is.
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ void refit_sigma_by_x(T* dx, const T* x, const T* w, const T* mu, const T* g, void* shared,
                                 double k, double least) {
  double* c = (double*)((char*)shared + REFIT_BYTES);
  for (unsigned lo = 0; lo < D; lo += REFIT_CHUNK) {
    const unsigned hi = lo + REFIT_CHUNK < D ? lo + REFIT_CHUNK : D;
    refit_slopes<T, N, D, THREADS>(c, x, w, mu, g, k, least, lo, hi, shared);
    const unsigned width = hi - lo;
    for (unsigned j = threadIdx.x; j < N * width; j += THREADS) {
      const unsigned i = j / width, d = lo + j % width;
      const double wi = (double)w[i], ct = c[d - lo] * ((double)x[i * D + d] - (double)mu[d]);
      dx[i * D + d] = wi == 0 ? (T)0 : (T)(wi * ct);
    }
    __syncthreads();
  }
}

// refit_sigma_by_w writes dw = sum_d c (x-mu)^2 / 2, 0 if all weights are; entries of x that are not finite count
// nothing where w is 0.
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ void refit_sigma_by_w(T* dw, const T* x, const T* w, const T* mu, const T* g, void* shared,
                                 double k, double least) {
  const bool any = refit_any<T, N, THREADS>(w, shared);
  double* c = (double*)((char*)shared + REFIT_BYTES);
  for (unsigned lo = 0; lo < D; lo += REFIT_CHUNK) {
    const unsigned hi = lo + REFIT_CHUNK < D ? lo + REFIT_CHUNK : D;
    refit_slopes<T, N, D, THREADS>(c, x, w, mu, g, k, least, lo, hi, shared);
    refit_samples<T, N, D, THREADS>(
        x, w, lo, hi,
        [=](unsigned d, double wi, T v) {
          const double t = (double)v - (double)mu[d];
          return wi != 0 || row_finite(v) ? c[d - lo] * t * t : 0.0;
        },
        [=](unsigned i, double sum) {
          dw[i] = !any ? (T)0 : lo == 0 ? (T)(0.5 * sum) : (T)((double)dw[i] + 0.5 * sum);
        });
    __syncthreads();
  }
}

// refit_sigma_by_mu writes dmu = -sum c w (x-mu).
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ void refit_sigma_by_mu(T* dmu, const T* x, const T* w, const T* mu, const T* g, void* shared,
                                  double k, double least) {
  double* c = (double*)((char*)shared + REFIT_BYTES);
  for (unsigned lo = 0; lo < D; lo += REFIT_CHUNK) {
    const unsigned hi = lo + REFIT_CHUNK < D ? lo + REFIT_CHUNK : D;
    refit_slopes<T, N, D, THREADS>(c, x, w, mu, g, k, least, lo, hi, shared);
    refit_dims<T, N, D, THREADS>(
        x, w, lo, hi, shared,
        [=](double wi, double v, unsigned d) { return wi * (c[d - lo] * (v - (double)mu[d])); },
        [=](unsigned d, double sum, bool) { dmu[d] = (T)(0 - sum); });
  }
}
