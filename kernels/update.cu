#include "common.cu"
// A step of an optimiser, kernels.OptimizerStep: the norm of all gradients together, of which one thread makes the
// step's coefficients, and then the update, elementwise in T, every operation rounded.

constexpr double LARGEST = 1.7976931348623157e308;

// Norm is unit*sqrt(sum): a power of 2 keeps squares of double in range.
struct Norm {
  double sum, unit;
};

// Coefficients are those of one step.
struct Coefficients {
  double factor;     // of clipping
  double rate;       // Adam: with the correction of the mean
  double correction; // Adam: sqrt(1 - beta2^t)
  double skip;       // not 0: nothing changes
};

// some takes V elements from the at-th on of n; beyond them are zeros.
template <class T, unsigned V> __device__ inline Pack<T, V> some(const T* p, size_t at, size_t n) {
  if (at + V <= n) return *(const Pack<T, V>*)(p + at);
  Pack<T, V> x;
#pragma unroll
  for (unsigned v = 0; v < V; v++) x.v[v] = at + v < n ? p[at + v] : (T)0;
  return x;
}
template <class T, unsigned V> __device__ inline void give(T* p, size_t at, size_t n, const Pack<T, V>& x) {
  if (at + V <= n) {
    *(Pack<T, V>*)(p + at) = x;
    return;
  }
#pragma unroll
  for (unsigned v = 0; v < V; v++) {
    if (at + v < n) p[at + v] = x.v[v];
  }
}

// unit_of is a power of 2 near x > 0; 1 for what is not finite.
__device__ inline double unit_of(double x) {
  if (!(x > 0 && x <= LARGEST)) return 1;
  int e;
  frexp(x, &e);
  return ldexp(1.0, min(max(e, -1000), 1000));
}

// norm_of is the norm of elements of g, the block's ones: packs of V, ROUNDS of them per thread, from the at-th
// element on. Squares of float fit double as they are.
template <class T, unsigned THREADS, unsigned V, unsigned ROUNDS>
__device__ inline Norm norm_of(const T* g, size_t at, size_t n, void* shared) {
  Pack<T, V> x[ROUNDS];
#pragma unroll
  for (unsigned r = 0; r < ROUNDS; r++) x[r] = some<T, V>(g, at + ((size_t)r * THREADS + threadIdx.x) * V, n);
  double unit = 1, scale = 1;
  if (sizeof(T) == 8) {
    double largest = 0;
#pragma unroll
    for (unsigned r = 0; r < ROUNDS; r++) {
#pragma unroll
      for (unsigned v = 0; v < V; v++) largest = maximum(largest, fabs((double)x[r].v[v]));
    }
    unit = unit_of(block_max<THREADS>(largest, shared));
    scale = 1 / unit;
  }
  double sum[V];
#pragma unroll
  for (unsigned v = 0; v < V; v++) sum[v] = 0;
#pragma unroll
  for (unsigned r = 0; r < ROUNDS; r++) {
#pragma unroll
    for (unsigned v = 0; v < V; v++) {
      double y = (double)x[r].v[v] * scale;
      sum[v] += y * y;
    }
  }
#pragma unroll
  for (unsigned v = 1; v < V; v++) sum[0] += sum[v];
  return Norm{block_sum<THREADS>(sum[0], shared), unit};
}

// norm_all is the norm of count norms, the same for all threads of a block.
template <unsigned THREADS> __device__ inline Norm norm_all(const Norm* parts, unsigned count, void* shared) {
  double unit = ldexp(1.0, -1000), sum = 0;
  for (unsigned i = threadIdx.x; i < count; i += THREADS) {
    if (parts[i].sum != 0) unit = max(unit, parts[i].unit);
  }
  unit = block_max<THREADS>(unit, shared);
  for (unsigned i = threadIdx.x; i < count; i += THREADS) {
    double by = parts[i].unit / unit;
    sum += parts[i].sum == 0 ? 0 : parts[i].sum * by * by;
  }
  return Norm{block_sum<THREADS>(sum, shared), unit};
}

// begin_step decides a step and reports it. rate 0 is the optimiser's own; clip 0: none.
__device__ inline void begin_step(Norm all, double loss, double rate, double own, double clip, bool adam,
                                  double beta1, double beta2, long long* steps, double* info, Coefficients* to) {
  double norm = sqrt(all.sum) * all.unit;
  bool skip = !(norm <= LARGEST) || loss - loss != 0;
  Coefficients c = {1, rate != 0 ? rate : own, 1, skip ? 1.0 : 0.0};
  if (!skip) {
    if (clip != 0) c.factor = min(1.0, clip / (norm + 1e-6));
    double t = (double)++*steps;
    if (adam) {
      c.rate = c.rate / (1 - pow(beta1, t));
      c.correction = sqrt(1 - pow(beta2, t));
    }
  }
  info[0] = norm, info[1] = c.factor < 1, info[2] = skip, info[3] = loss;
  *to = c;
}

__device__ inline float root(float x) { return __fsqrt_rn(x); }
__device__ inline double root(double x) { return __dsqrt_rn(x); }

// Rule holds what does not change from step to step, in T.
template <class T> struct Rule {
  T decay;     // of the weights
  T weight;    // Adam: 1 - beta1
  T keep, add; // of the squares: beta2 or alpha, and 1 minus that
  T epsilon, speed;
};

// what the rules do with one element; state holds its moments
struct AdamRule {
  template <class T> static __device__ inline T move(T p, T g, T& m, T& v, const Rule<T>& r, T rate, T correction) {
    T d = g - m; // torch.lerp: from the nearer end
    if (r.weight < (T)0.5)
      m = m + r.weight * d;
    else
      m = g - d * (1 - r.weight);
    v = v * r.keep + r.add * g * g;
    return p - rate * m / (root(v) / correction + r.epsilon);
  }
};
struct RMSPropRule {
  template <class T> static __device__ inline T move(T p, T g, T& m, T& v, const Rule<T>& r, T rate, T) {
    v = v * r.keep + r.add * g * g;
    if (r.speed == 0) return p - rate * g / (root(v) + r.epsilon);
    m = m * r.speed + g / (root(v) + r.epsilon);
    return p - rate * m;
  }
};
struct MomentumRule {
  template <class T> static __device__ inline T move(T p, T g, T& m, T&, const Rule<T>& r, T rate, T) {
    if (r.speed != 0) g = m = m * r.speed + g; // the velocity is 0 before the first step
    return p - rate * g;
  }
};

// update moves the block's elements of p, as in norm_of. m and v are null where the rule has none.
template <class R, class T, unsigned THREADS, unsigned V, unsigned ROUNDS>
__device__ inline void update(T* p, const T* g, T* m, T* v, size_t at, size_t n, const Rule<T>& rule,
                              const Coefficients* with) {
  Coefficients c = *with;
  if (c.skip != 0) return;
  T factor = (T)c.factor, rate = (T)c.rate, correction = (T)c.correction;
#pragma unroll
  for (unsigned r = 0; r < ROUNDS; r++) {
    size_t e = at + ((size_t)r * THREADS + threadIdx.x) * V;
    if (e >= n) continue;
    Pack<T, V> x = some<T, V>(p, e, n), y = some<T, V>(g, e, n), mean, square;
#pragma unroll
    for (unsigned i = 0; i < V; i++) mean.v[i] = square.v[i] = 0;
    if (m) mean = some<T, V>(m, e, n);
    if (v) square = some<T, V>(v, e, n);
#pragma unroll
    for (unsigned i = 0; i < V; i++) {
      T d = y.v[i] * factor;
      if (rule.decay != 0) d = d + rule.decay * x.v[i];
      x.v[i] = R::move(x.v[i], d, mean.v[i], square.v[i], rule, rate, correction);
    }
    give<T, V>(p, e, n, x);
    if (m) give<T, V>(m, e, n, mean);
    if (v) give<T, V>(v, e, n, square);
  }
}
