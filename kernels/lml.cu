#include "row.cu"

// The LML relaxation, doc/equations.md (3): lml.go, which has the reasons for every constant here.

// soft_exp is e^x: 0 below -708 and +Inf above 708.
__device__ inline double soft_exp(double x) {
  if (fabs(x) <= 708) return exp(x);
  return x < 0 ? 0.0 : x > 0 ? Float<double>::inf() : x;
}

struct lml {
  static constexpr bool TAILS = true;  // slopes may underflow in a whole row
  static constexpr unsigned STEP_LIMIT = 16;

  static __device__ double phi(double z) { return 1 / (1 + soft_exp(-z)); }

  // slope is phi'(z) e^shift
  static __device__ double slope(double z, double shift) {
    double e = soft_exp(shift - fabs(z));
    return shift > 0 ? e : e / ((1 + e) * (1 + e));
  }

  // curve is the second over the first derivative of phi
  static __device__ double curve(double z) { return -tanh(z / 2); }

  // start is the root for k equal scores above m equal ones, at the distance that gives the mean G of either side.
  static __device__ double start(double half, double narrow, double top, double rest, double k, double m) {
    double c = (m - k) / (2 * sqrt(m * k)) * sqrt(top * rest) * narrow;
    c = c > 0 ? 1 / (sqrt(c * c + 1) + c) : sqrt(c * c + 1) - c;
    return half + log(c * sqrt(k * top / (m * rest)));
  }

  // solve finds delta for the scores a, m of which are above -Inf, 1 <= k < m, and the k-th largest p; false at the
  // step limit. Of the scores equal to p, on are among the upper k and off are not.
  template <class T, class Block, class Scores>
  static __device__ bool solve(Block& block, const Scores& a, unsigned k_, unsigned m, double& p, double& delta) {
    const double k = k_, others = m - k_;
    double w[3] = {0, 0, -Float<double>::inf()};  // how many are above p and equal to it; the largest below it
    a.each([&](unsigned, double v) {
      if (v > p) w[0] += 1;
      if (v == p) w[1] += 1;
      if (v < p) row_max(w[2], v);
    });
    block.reduce(w, [](double* x, const double* y) {
      x[0] += y[0];
      x[1] += y[1];
      row_max(x[2], y[2]);
    });
    const double on = k - w[0], off = w[1] - on, q = off > 0 ? p : w[2];

    // G = e^(p-x) of the upper k and, negative to tell them, -e^(x-q) of the others; 0 for those equal to p.
    const double p_ = p;
    auto g = a.map([=](double v) { return v > p_ ? soft_exp(p_ - v) : v < p_ ? -soft_exp(v - q) : 0.0; });
    double s[2] = {0, 0};
    g.each([&](unsigned, double v) {
      if (v > 0) s[0] += v;
      if (v < 0) s[1] -= v;
    });
    block.sum(s);

    const double half = p / 2 - q / 2;  // p - q may overflow where its half does not
    const double narrow = exp(-half);
    double d = start(half, narrow, (s[0] + on) / k, (s[1] + off) / others, k, others);
    delta = d;
    const double back = 2 * half - d;
    if ((d < back ? d : back) > 40) return true;  // a gap so wide that 1 + Gu is 1
    for (unsigned step = 0; step < STEP_LIMIT; step++) {
      const double u = exp(-d), ur = narrow * narrow / u;
      Sum<double> sa, sb;
      sa.clear();
      sb.clear();
      double t[4] = {0, 0, 0, 0};
      g.each([&](unsigned, double v) {
        const bool top = v > 0;
        double e = top ? v * u : -v * ur, x = e / (1 + e), h = x - x * x, c = h * x;
        if (v == 0) return;
        if (top)
          sb.add(x), t[2] += h, t[3] += c;
        else
          sa.add(x), t[0] += h, t[1] += c;
      });
      double r[6] = {sa.value(), t[0], t[1], sb.value(), t[2], t[3]};
      block.sum(r);
      {  // those equal to p
        double x = ur / (1 + ur), h = x - x * x;
        if (off > 0) r[0] += off * x, r[1] += off * h, r[2] += off * (h * x);
        x = u / (1 + u), h = x - x * x;
        r[3] += on * x, r[4] += on * h, r[5] += on * (h * x);
      }
      const double f = log1p((r[0] - r[3]) / r[3]);
      const double da = r[1] / r[0], db = r[4] / r[3], f1 = da + db;
      const double f2 = (r[1] - 2 * r[2]) / r[0] - da * da - ((r[4] - 2 * r[5]) / r[3] - db * db);
      const double size = fabs(f);
      const double by = size < 1 ? f / (f1 - f * f2 / (2 * f1)) : size < 3 ? f / f1 : 0.75 * f;
      d -= by;
      delta = d;
      if (fabs(by) < (sizeof(T) == 4 ? 2e-3 : 4e-6)) return true;
    }
    return false;
  }
};
