#include "row.cu"

// The constrained sparsemax, doc/equations.md (3p): csparsemax.go. With t = x - p, p the k-th largest score, the sum
// of clip(t + d, 0, 1) is a broken line in d. Newton's step from piece to piece, between halvings of the bracket,
// finds the piece where it is k; 0 < d <= 1, and p is strictly above 0 there, so that no piece is flat.
struct csparsemax {
  static constexpr bool TAILS = false;
  static constexpr unsigned STEP_LIMIT = 160;  // halves 80 times: then the bracket is below the last bit of a weight

  static __device__ double phi(double z) { return z < 0 ? 0.0 : z < 1 ? z : 1.0; }
  static __device__ double slope(double z, double) { return z > 0 && z < 1 ? 1.0 : 0.0; }
  static __device__ double curve(double) { return 0; }

  template <class T, class Block, class Scores>
  static __device__ bool solve(Block& block, const Scores& a, unsigned k, unsigned, double& p_, double& delta) {
    const double p = p_;
    double low = 0, high = 1, d = 1, capped = 0;
    for (unsigned step = 0; step < STEP_LIMIT; step++) {
      // The piece that ends at d or after it: entries between 0 and the cap, their sum, entries at the cap, where the
      // next one rises above 0, where the next one reaches the cap, and where the piece begins.
      double s[6] = {0, 0, 0, 3, 3, 0};
      Sum<double> sum;
      sum.clear();
      a.each([&](unsigned, double v) {
        const double t = v - p, cap = 1 - t;
        if (!(-t < d)) {
          row_min(s[3], -t);
        } else if (cap < d) {
          s[2] += 1;
          row_max(s[5], cap);
        } else {
          s[0] += 1;
          sum.add(t);
          row_min(s[4], cap);
          row_max(s[5], -t);
        }
      });
      s[1] = sum.value();
      block.reduce(s, [](double* x, const double* y) {
        x[0] += y[0];
        x[1] += y[1];
        x[2] += y[2];
        row_min(x[3], y[3]);
        row_min(x[4], y[4]);
        row_max(x[5], y[5]);
      });
      capped = s[2];
      const double root = (k - s[2] - s[1]) / s[0], end = s[3] < s[4] ? s[3] : s[4];
      if (s[5] <= root && root <= end) break;
      if (root > end)
        row_max(low, end);
      else
        row_min(high, s[5]);
      if (!(low < high)) break;
      double next = step % 2 == 0 ? root : low + (high - low) / 2;
      if (!(low < next && next <= high)) next = low + (high - low) / 2;
      d = next > low ? next : high;
    }
    // Relative to the smallest score above 0 no weight comes from a cancellation.
    double least[1] = {p};
    a.each([&](unsigned, double v) {
      const double t = v - p;
      if (-t < d && !(1 - t < d)) row_min(least[0], v);
    });
    block.reduce(least, [](double* x, const double* y) { row_min(x[0], y[0]); });
    double n = 0;
    Sum<double> above;
    above.clear();
    a.each([&](unsigned, double v) {
      const double t = v - p;
      if (-t < d && !(1 - t < d)) {
        n += 1;
        above.add(v - least[0]);
      }
    });
    n = block.sum(n);
    delta = (k - capped - block.sum(above).value()) / n;
    p_ = least[0];
    return true;
  }
};
