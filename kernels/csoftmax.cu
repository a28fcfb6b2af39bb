#include "lml.cu"
#include "select.cu"

// The constrained softmax, doc/equations.md (3s): csoftmax.go. With the largest scores above v capped, k - (their
// number) entries are free and e^nu is that over the sum of e^x over the others. The largest v at which v itself is
// free is found bit by bit: no sorting, and sums only ever grow.
struct csoftmax {
  static constexpr bool TAILS = false;

  static __device__ double phi(double z) { return soft_exp(z < 0 ? z : 0.0); }
  static __device__ double slope(double z, double) { return z < 0 ? soft_exp(z) : 0.0; }
  static __device__ double curve(double) { return 1; }

  // free_sum returns the sum of e^(a-p) over scores up to v; free is how many of the k are if those above are capped.
  template <class Block, class Scores>
  static __device__ double free_sum(Block& block, const Scores& a, unsigned k, double p, double v, double& free) {
    double s[2] = {0, 0};
    Sum<double> sum;
    sum.clear();
    a.each([&](unsigned, double x) {
      if (x > v)
        s[0] += 1;
      else
        sum.add(soft_exp(x - p));
    });
    s[1] = sum.value();
    block.sum(s);
    free = k - s[0];
    return s[1];
  }

  template <class T, class Block, class Scores>
  static __device__ bool solve(Block& block, const Scores& a, unsigned k, unsigned, double& p, double& delta) {
    double most[1] = {p};
    a.each([&](unsigned, double v) { row_max(most[0], v); });
    block.reduce(most, [](double* x, const double* y) { row_max(x[0], y[0]); });
    typedef row_key<double> order;
    unsigned long long low = order::of(p), high = order::of(most[0]) + 1;  // the answer is in [low, high)
    unsigned long long at = high - 1;
    double free = k, sum = 0;
    while (true) {
      const double v = order::value(at), e = soft_exp(v - p);
      sum = free_sum(block, a, k, p, v, free);
      if (at == low) break;  // the k-th largest is free
      if (e <= row_huge() && free * e <= sum) {
        low = at;
        if (high - low == 1) break;
      } else {
        high = at;
      }
      at = low + (high - low) / 2;
    }
    delta = log(free / sum);
    return true;
  }
};
