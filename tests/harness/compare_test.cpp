#include "harness/compare.h"

#include <omp.h>

#include <cmath>
#include <limits>

#include "harness/inputs.h"
#include "tests/catch.h"
#include "tests/harness/simulated_kernel.h"
#include "tests/harness/truth_by_hand.h"

using namespace attest;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

const Problem kOne = parse_problem("mha B=1 Sq=1 Sk=4 H=1 D=1 dtype=bf16");

/// Compares one stored o (and lse) with one true value.
Metrics compare_one(double got, double want, double got_lse = 1) {
  Truth truth = by_hand::truth(kOne, {});
  truth.outputs.at("o").as<double>()[0] = want;
  TensorSet outputs = by_hand::perfect(truth, Dtype::bf16);
  by_hand::poke(outputs.at("o"), 0, got);
  by_hand::poke(outputs.at("lse"), 0, got_lse);
  return compare(kOne, truth, by_hand::silent(), outputs, false).metrics;
}

}  // namespace

TEST_CASE("NaN never passes, and an infinity passes only as itself") {
  struct Line {
    double got, want;
    Index failing;
  };
  const Line table[] = {{1, 1, 0},
                        {kNan, 1, 1},
                        {kNan, kNan, 1},
                        {1, kNan, 1},
                        {kNan, kInfinity, 1},
                        {kInfinity, 1, 1},
                        {-kInfinity, 1, 1},
                        {1, kInfinity, 1},
                        {kInfinity, kInfinity, 0},
                        {-kInfinity, -kInfinity, 0},
                        {-kInfinity, kInfinity, 1}};
  for (const auto& [got, want, failing] : table) {
    CAPTURE(got, want);
    const Metrics metrics = compare_one(got, want);
    CHECK(metrics.nonfinite_failing == failing);
    CHECK(metrics.hard_failing == 0);
    CHECK(std::isfinite(metrics.nmse_a));
  }
}

TEST_CASE("lse has classes too") {
  CHECK(compare_one(1, 1, kNan).nonfinite_failing == 1);
  CHECK(compare_one(1, 1, -kInfinity).nonfinite_failing == 1);
  CHECK(compare_one(1, 1, 1).nonfinite_failing == 0);
}

TEST_CASE("an element passes at its bound and fails beyond it") {
  // silent() with o = 0.5: the bound is half an ulp at 0.5, taken above, 2^-9
  CHECK(compare_one(0.5, 0.5 + 0x1p-9).hard_failing == 0);
  CHECK(compare_one(0.5 + 0x1p-8, 0.5 + 0x1p-10).hard_failing == 1);
}

TEST_CASE("rows that see no key must hold zeros of either sign and lse = -inf") {
  const Problem p = parse_problem("mha B=1 Sq=2 Sk=1 H=1 D=2 dtype=bf16 mask=causal");
  const Truth truth = by_hand::truth(p, {});
  const auto with = [&](double o, double lse) {
    TensorSet outputs = by_hand::perfect(truth, Dtype::bf16);
    by_hand::poke(outputs.at("o"), 0, o);
    by_hand::poke(outputs.at("o"), 1, -0.0);
    by_hand::poke(outputs.at("lse"), 0, lse);
    return compare(p, truth, by_hand::silent(), outputs, false).metrics;
  };
  CHECK(with(0, -kInfinity).exact_failing == 0);
  CHECK(with(0, -kInfinity).nonfinite_failing == 0);
  CHECK(with(-0.0, -kInfinity).exact_failing == 0);
  CHECK(with(1e-30, -kInfinity).exact_failing == 1);
  CHECK(with(0, -30000).exact_failing == 1);
  CHECK(with(kNan, -kInfinity).nonfinite_failing == 1);
  CHECK(with(0, kNan).nonfinite_failing == 1);
  CHECK(with(0, kInfinity).nonfinite_failing == 1);
}

TEST_CASE("statistics of one known error come out as defined") {
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=4 H=1 D=4 dtype=fp32");
  Descriptor d = by_hand::silent();
  d.o_type = Dtype::fp32;
  const Truth truth = by_hand::truth(p, {});
  TensorSet outputs = by_hand::perfect(truth, Dtype::fp32);
  const double ulp = 0x1p-24;  // of 0.5 in fp32
  by_hand::poke(outputs.at("o"), 2, 0.5 + ulp);
  const Comparison c = compare(p, truth, d, outputs, false);
  CHECK(c.metrics.rho == Approx(std::sqrt(12.0 / 4)));  // sigma = ulp / sqrt(12), one of 4
  CHECK(c.metrics.rho_row == c.metrics.rho);
  CHECK(c.metrics.hard_ratio == Approx(ulp / (0x1p-24 * 0.5)));
  CHECK(c.metrics.hard_failing == 1);
  CHECK(c.metrics.nmse == Approx(ulp * ulp / (4 * 0.25)));
  CHECK(c.metrics.nmse_a == Approx(ulp * ulp / 4));
  CHECK(c.metrics.ulp_max == Approx(0.5));  // sum P |v| = 1 has ulp 2^-23
  CHECK(c.metrics.rms == Approx(0.5));
  REQUIRE(!c.worst.list().empty());
  CHECK(c.worst.list().front().d == 2);
}

TEST_CASE("the comparison has the same bits for any number of threads") {
  const Problem p = parse_problem("gqa B=2 Sq=70 Sk=33 H=4 G=2 D=40 dtype=bf16 mask=causal");
  const TensorSet inputs = make_inputs(p);
  const Truth truth = simulated::truth_of(p, inputs);
  const simulated::Options options = simulated::options_for(p);
  const TensorSet outputs = simulated::run(p, inputs, options);
  const int threads = omp_get_max_threads();
  std::vector<Metrics> seen;
  for (const int count : {1, 2, 3, 7}) {
    omp_set_num_threads(count);
    seen.push_back(compare(p, truth, simulated::descriptor_of(p, options), outputs, false).metrics);
  }
  omp_set_num_threads(threads);
  for (const Metrics& m : seen) {
    CHECK(m.rho == seen[0].rho);
    CHECK(m.bias_z == seen[0].bias_z);
    CHECK(m.nmse_a == seen[0].nmse_a);
    CHECK(m.hard_ratio == seen[0].hard_ratio);
    CHECK(m.hard_median == seen[0].hard_median);
    CHECK(m.rms == seen[0].rms);
  }
}

TEST_CASE("the list of worst elements keeps the eight largest, largest first") {
  WorstList worst;
  for (Index n = 0; n < 100; ++n) worst.add({static_cast<double>(n * 37 % 100), n, 0});
  REQUIRE(worst.list().size() == 8);
  for (std::size_t n = 0; n < 8; ++n) CHECK(worst.list()[n].ratio == 99 - static_cast<double>(n));
  worst.add({0, 0, 0});
  CHECK(worst.list().back().ratio == 92);
}
