#include "harness/metrics.h"

#include <cmath>
#include <limits>
#include <vector>

#include "tests/catch.h"

using namespace attest;

TEST_CASE("a histogram gives quantiles at most 3.2 % too high") {
  Histogram histogram;
  for (int n = 1; n <= 1000; ++n) histogram.add(n * 1e-3);
  for (const double share : {0.01, 0.5, 0.99, 1.0}) {
    CAPTURE(share);
    CHECK(histogram.quantile(share) >= share);
    CHECK(histogram.quantile(share) <= share * 1.032);
  }
}

TEST_CASE("a histogram keeps zeros, tiny, huge and infinite values apart from the rest") {
  Histogram histogram;
  CHECK(histogram.quantile(0.5) == 0);
  histogram.add(0);
  histogram.add(1e-300);
  CHECK(histogram.quantile(1) == 0);
  histogram.add(std::numeric_limits<double>::infinity());
  CHECK(histogram.quantile(0.5) == 0);
  CHECK(histogram.quantile(1) >= std::ldexp(1.0, 32));
}

TEST_CASE("histograms add up") {
  Histogram low, high;
  low.add(1);
  high.add(100);
  high.add(100);
  low.add(high);
  CHECK(low.quantile(0.3) == Approx(1).epsilon(0.032));
  CHECK(low.quantile(0.5) == Approx(100).epsilon(0.032));
}

TEST_CASE("the bias counts standard errors of the mean over rows") {
  std::vector<RowBias> rows;
  for (int n = 0; n < 50; ++n) {
    rows.push_back({0.3 + 0.1, 0});
    rows.push_back({0.3 - 0.1, 0});
  }
  // mean 0.3, standard deviation 0.1 sqrt(100 / 99), standard error 0.1 / sqrt(99)
  CHECK(bias_z(rows) == Approx(0.3 / 0.1 * std::sqrt(99.0)));
}

TEST_CASE("bias that systematic errors explain does not count") {
  std::vector<RowBias> rows;
  for (int n = 0; n < 50; ++n) {
    rows.push_back({-0.3 + 0.1, 0.25});
    rows.push_back({-0.3 - 0.1, 0.25});
  }
  CHECK(bias_z(rows) == Approx(0.05 / 0.1 * std::sqrt(99.0)));
  for (RowBias& row : rows) row.explained = 0.4;
  CHECK(bias_z(rows) == 0);
}

TEST_CASE("the worst ratio of a case is that of o or of lse") {
  Metrics metrics;
  metrics.hard_ratio = 0.25;
  metrics.lse_ratio = 0.5;
  CHECK(metrics.worst_ratio() == 0.5);
}
