#include "common.cu"
// A small dense system per row: dcem.Implicit's (dcem/implicit_solve.go).

// dense_transposed writes q so that x[perm[i]] = q[i] solves A'x = r, where the rows perm of A are LU, lu: (D, D).
template <unsigned D, class R> __device__ inline void dense_transposed(double* q, const double* lu, R r) {
  for (unsigned i = 0; i < D; i++) {
    double sum = r(i);
    for (unsigned j = 0; j < i; j++) sum -= lu[j * D + i] * q[j];
    q[i] = sum / lu[i * D + i];
  }
  for (unsigned i = D; i-- > 0;) {
    double sum = q[i];
    for (unsigned j = i + 1; j < D; j++) sum -= lu[j * D + i] * q[j];
    q[i] = sum;
  }
}

// dense_row solves J'w = v and J s = g over the coordinates that are free, in double, by LU with partial pivoting.
// out: (D + 3): w, the reciprocal of J's condition in the maximum norm, the largest |s| relative to max(1, |y|), the
// largest |J'w - v| relative to |v|. v, g, y, free: (D); rows: J's, whole arrays, of which row counts. Where J is
// singular w is 0; what is not finite makes NaN of the three. shared: 8 (D*D + 3*D + 1 + THREADS/32) + 4 D bytes. All
// threads of the block.
template <class T, unsigned D, unsigned THREADS>
__device__ void dense_row(T* out, const T* v, const T* g, const T* y, const T* free, const T* const (&rows)[D],
                          size_t row, void* shared) {
  double *lu = (double*)shared, *w = lu + D * D, *s = w + D, *sums = s + D, *norm = sums + D, *room = norm + 1;
  unsigned* perm = (unsigned*)(room + THREADS / 32);
  const auto entry = [&](unsigned i, unsigned c) -> double {
    if (i == c && free[i] == 0) return 1;
    return (double)rows[i][row * D + c] * (double)free[i] * (double)free[c];
  };
  const auto masked = [&](const T* x, unsigned i) -> double { return (double)free[i] * (double)x[i]; };
  double odd = 0;
  for (unsigned i = threadIdx.x; i < D; i += THREADS) {
    double sum = 0, rest = masked(v, i) - masked(v, i) + (masked(g, i) - masked(g, i));
    for (unsigned c = 0; c < D; c++) {
      // A row that is held is that of the identity; what it multiplies must be finite all the same.
      double x = entry(i, c);
      lu[i * D + c] = x;
      sum += fabs(x);
      rest += x - x;
    }
    sums[i] = sum;
    perm[i] = i;
    odd += rest;
  }
  bool finite = block_sum<THREADS>(odd == 0 ? 0.0 : 1.0, room) == 0;
  __syncthreads();
  if (!finite) {
    for (unsigned i = threadIdx.x; i < D + 3; i += THREADS) out[i] = i < D ? T(0) : Float<T>::nan();
    return;
  }
  if (threadIdx.x == 0) {
    *norm = 0;
    for (unsigned i = 0; i < D; i++) *norm = maximum(*norm, sums[i]);
  }
  for (unsigned k = 0; k < D; k++) {
    __syncthreads();
    unsigned at = k; // every thread finds the same
    for (unsigned i = k + 1; i < D; i++) {
      if (fabs(lu[i * D + k]) > fabs(lu[at * D + k])) at = i;
    }
    __syncthreads();
    if (at != k) {
      for (unsigned c = threadIdx.x; c < D; c += THREADS) {
        double x = lu[k * D + c];
        lu[k * D + c] = lu[at * D + c];
        lu[at * D + c] = x;
      }
      if (threadIdx.x == 0) {
        unsigned x = perm[k];
        perm[k] = perm[at];
        perm[at] = x;
      }
    }
    __syncthreads();
    double pivot = lu[k * D + k];
    for (unsigned i = k + 1 + threadIdx.x; i < D; i += THREADS) {
      double x = pivot != 0 ? lu[i * D + k] / pivot : 0;
      lu[i * D + k] = x;
      for (unsigned c = k + 1; c < D; c++) lu[i * D + c] -= x * lu[k * D + c];
    }
  }
  __syncthreads();
  bool regular = true;
  for (unsigned k = 0; k < D; k++) regular = regular && lu[k * D + k] != 0;
  // The inverse's rows are solutions of transposed systems.
  if (regular) {
    double q[D];
    for (unsigned i = threadIdx.x; i < D; i += THREADS) {
      dense_transposed<D>(q, lu, [&](unsigned j) -> double { return i == j ? 1 : 0; });
      double sum = 0;
      for (unsigned j = 0; j < D; j++) sum += fabs(q[j]);
      sums[i] = sum;
    }
    if (threadIdx.x == 0) {
      dense_transposed<D>(q, lu, [&](unsigned j) -> double { return masked(v, j); });
      for (unsigned j = 0; j < D; j++) w[perm[j]] = q[j];
      for (unsigned i = 0; i < D; i++) { // L, then U
        double sum = masked(g, perm[i]);
        for (unsigned j = 0; j < i; j++) sum -= lu[i * D + j] * q[j];
        q[i] = sum;
      }
      for (unsigned i = D; i-- > 0;) {
        double sum = q[i];
        for (unsigned j = i + 1; j < D; j++) sum -= lu[i * D + j] * q[j];
        q[i] = sum / lu[i * D + i];
      }
      for (unsigned j = 0; j < D; j++) s[j] = q[j];
    }
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    double most = 0, step = 0, size = 0, off = 0;
    for (unsigned i = 0; regular && i < D; i++) most = maximum(most, sums[i]);
    double reciprocal = regular ? 1 / (*norm * most) : 0;
    if (!(reciprocal > 1e-16)) {
      for (unsigned i = 0; i < D + 3; i++) out[i] = i == D + 1 ? Float<T>::inf() : T(i == D + 2);
    } else {
      for (unsigned i = 0; i < D; i++) {
        out[i] = (T)w[i];
        double sum = -masked(v, i);
        for (unsigned c = 0; c < D; c++) sum += entry(c, i) * w[c];
        step = maximum(step, fabs(s[i]) / maximum(1.0, fabs((double)y[i])));
        size = maximum(size, fabs(masked(v, i)));
        off = maximum(off, fabs(sum));
      }
      out[D] = (T)reciprocal;
      out[D + 1] = (T)step;
      out[D + 2] = size > 0 ? (T)(off / size) : T(0);
    }
  }
}
