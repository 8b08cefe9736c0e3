#include "reference/norm.h"

#include <cmath>

namespace attest::reference {
namespace {

double mean(const double* x, Index width) {
  double sum = 0;
  for (Index d = 0; d < width; ++d) sum += x[d];
  return sum / static_cast<double>(width);
}

double mean_abs(const double* x, Index width) {
  double sum = 0;
  for (Index d = 0; d < width; ++d) sum += std::abs(x[d]);
  return sum / static_cast<double>(width);
}

// mean (x - centre)^2
double mean_square(const double* x, Index width, double centre) {
  double sum = 0;
  for (Index d = 0; d < width; ++d) sum += (x[d] - centre) * (x[d] - centre);
  return sum / static_cast<double>(width);
}

struct Terms {
  double y, magnitude;
};

Terms rms(double x, double r, double w) { return {x * r * w, std::abs(x * r * w)}; }

Terms rms_zero_centered(double x, double r, double w) {
  return {x * r * (1 + w), std::abs(x * r) * (1 + std::abs(w))};
}

Terms l2(double x, double r) { return {x * r, std::abs(x * r)}; }

Terms layer(double x, double mu, double mean_abs_x, double r, double w, double b) {
  return {(x - mu) * r * w + b, r * std::abs(w) * (std::abs(x) + mean_abs_x) + std::abs(b)};
}

}  // namespace

void normalize(const NormTask& t, double* x, double* magnitude) {
#pragma omp parallel for schedule(static)
  for (Index n = 0; n < t.rows; ++n) {
    double* row = x + n * t.width;  // [width]
    const double mu = t.kind == Norm::layer ? mean(row, t.width) : 0;
    const double mean_abs_x = t.kind == Norm::layer ? mean_abs(row, t.width) : 0;
    const double r = 1 / std::sqrt(mean_square(row, t.width, mu) + t.eps);
    for (Index d = 0; d < t.width; ++d) {
      Terms terms{row[d], 0};
      if (t.kind == Norm::rms) terms = rms(row[d], r, t.w[d]);
      if (t.kind == Norm::rms_zero_centered) terms = rms_zero_centered(row[d], r, t.w[d]);
      if (t.kind == Norm::l2) terms = l2(row[d], r);
      if (t.kind == Norm::layer) terms = layer(row[d], mu, mean_abs_x, r, t.w[d], t.b[d]);
      row[d] = terms.y;
      if (magnitude) magnitude[n * t.width + d] = terms.magnitude;
    }
  }
}

}  // namespace attest::reference
