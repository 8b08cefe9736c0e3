// Every fill does what harness/fills.cpp says of it. Scores are computed here, in double.
#include "harness/fills.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/rounding.h"
#include "tests/catch.h"
#include "tests/harness/naive.h"

using namespace attest;
using namespace attest::naive;

namespace {

Problem wide(Fill fill) {
  const Index D = GENERATE(64, 128, 192);
  return problem_of(concat("gqa B=1 Sq=16 Sk=100 H=4 G=2 D=", D, " dtype=bf16 seed=11"), fill);
}

Spread score_spread(const Inputs& in) {
  std::vector<double> all;
  for (const ScoreRow& row : score_rows(in)) all.insert(all.end(), row.s.begin(), row.s.end());
  return spread(all);
}

bool all_finite(const Values& values) {
  return std::ranges::all_of(values.all, [](double value) { return std::isfinite(value); });
}

}  // namespace

TEST_CASE("no fill holds an infinity or a NaN, in any type") {
  const FillInfo& fill = GENERATE(from_range(fills().begin(), fills().end()));
  const Dtype dtype = GENERATE(Dtype::fp16, Dtype::bf16, Dtype::fp32);
  Problem p = problem_of("mha B=1 Sq=20 Sk=300 H=2 D=64 dtype=bf16 mask=causal", fill.fill);
  p.dtype = dtype;
  CAPTURE(print(p));
  const Inputs in(p);
  CHECK(all_finite(in.q));
  CHECK(all_finite(in.k));
  CHECK(all_finite(in.v));
}

TEST_CASE("V has mean zero where the fill table says so") {
  const FillInfo& fill = GENERATE(from_range(fills().begin(), fills().end()));
  const Problem p = problem_of("mha B=1 Sq=1 Sk=600 H=4 D=64 dtype=bf16", fill.fill);
  const Spread v = spread(Inputs(p).v.all);
  CAPTURE(fill.name);
  const double error = v.deviation / std::sqrt(600. * 4 * 64);
  if (fill.zero_mean_v) CHECK(std::fabs(v.mean) < 5 * error);
  if (fill.tag == FillTag::iid && !fill.zero_mean_v) CHECK(std::fabs(v.mean) > 5 * error);
}

TEST_CASE("scores spread as their fill says, at every D") {
  const auto [fill, deviation] = GENERATE(table<Fill, double>({{Fill::normal, 1},
                                                               {Fill::um11, 1. / 3},
                                                               {Fill::peaked, 8},
                                                               {Fill::flat, 0.01},
                                                               {Fill::cancel, 1. / 16},
                                                               {Fill::outlier, 3.67},
                                                               {Fill::denormal, 8}}));
  const Problem p = wide(fill);
  CAPTURE(print(p));
  const Spread s = score_spread(Inputs(p));
  CHECK(s.deviation == Approx(deviation).epsilon(0.15));
  CHECK(std::fabs(s.mean) < deviation / 4);
}

TEST_CASE("u01 has scores near sqrt(D) / 4 and V from 0 to 1") {
  const Problem p = wide(Fill::u01);
  const Inputs in(p);
  CHECK(score_spread(in).mean == Approx(std::sqrt(static_cast<double>(p.D)) / 4).epsilon(0.05));
  const Spread v = spread(in.v.all);
  CHECK(v.low >= 0);
  CHECK(v.high <= 1);
  CHECK(v.mean == Approx(0.5).margin(0.02));
}

TEST_CASE("equal has scores 0 and V whose sums are exact in fp32 and never miss a key") {
  const Inputs in(wide(Fill::equal));
  CHECK(score_spread(in).low == 0);
  CHECK(score_spread(in).high == 0);
  std::set<double> eighths, odd;
  for (const double value : in.v.all) eighths.insert(value * 8);
  for (int n = -15; n <= 15; n += 2) odd.insert(n);
  CHECK(eighths == odd);
}

TEST_CASE("bigpos and bigneg have scores near +-150 at every D") {
  const Index D = GENERATE(8, 64, 192);
  const auto [fill, centre] = GENERATE(table<Fill, double>({{Fill::bigpos, 150},  //
                                                            {Fill::bigneg, -150}}));
  const Problem p =
      problem_of(concat("mha B=1 Sq=16 Sk=100 H=4 D=", D, " dtype=fp16 seed=1"), fill);
  CAPTURE(print(p));
  const Spread s = score_spread(Inputs(p));
  CHECK(s.mean == Approx(centre).margin(3));
  CHECK(s.low > centre - 30);
  CHECK(s.high < centre + 30);
}

TEST_CASE("a running maximum started at 0 leaves no weight in any row of bigneg") {
  float heaviest = 0;
  for (const ScoreRow& row : score_rows(Inputs(wide(Fill::bigneg))))
    heaviest = std::max(heaviest, std::exp(static_cast<float>(row.max())));
  CHECK(heaviest == 0);
}

TEST_CASE("without subtraction of the maximum every score of bigpos overflows in fp32") {
  const Inputs in(wide(Fill::bigpos));
  CHECK(std::isinf(std::exp(static_cast<float>(score_spread(in).low))));
}

TEST_CASE("offset shifts all scores of a row by the same large number") {
  Problem p = problem_of("mha B=1 Sq=16 Sk=8 H=2 D=64 dtype=fp64", Fill::offset);
  const auto shifted = score_rows(Inputs(p));
  p.fill = Fill::normal;
  const auto plain = score_rows(Inputs(p));
  std::vector<double> shifts;
  for (std::size_t n = 0; n < plain.size(); ++n) {
    const double shift = shifted[n].s[0] - plain[n].s[0];
    shifts.push_back(shift);
    for (std::size_t j = 0; j < plain[n].s.size(); ++j)
      CHECK(shifted[n].s[j] - plain[n].s[j] == Approx(shift).margin(1e-10));
  }
  CHECK(spread(shifts).deviation == Approx(16).epsilon(0.3));
}

TEST_CASE("ascending, every 64 keys raise the running maximum; descending, only the first do") {
  const Fill fill = GENERATE(Fill::ascend, Fill::descend);
  const Dtype dtype = GENERATE(Dtype::fp16, Dtype::bf16);
  // Past 2^16 keys: all three digits of a key's number take part.
  Problem p = problem_of("mha B=1 Sq=1 Sk=66560 H=2 D=16 dtype=bf16", fill);
  p.dtype = dtype;
  CAPTURE(print(p));
  for (const ScoreRow& row : score_rows(Inputs(p))) {
    std::size_t raises = 0;
    double running = -HUGE_VAL;
    for (std::size_t j = 0; j < row.s.size(); j += 64) {
      const double block = *std::max_element(row.s.begin() + static_cast<Index>(j),
                                             row.s.begin() + static_cast<Index>(j) + 64);
      raises += block > running;
      running = std::max(running, block);
    }
    CHECK(raises == (fill == Fill::ascend ? 66560u / 64 : 1u));
    CHECK(std::fabs(row.s.back()) == Approx(66560. / 16).epsilon(0.01));
  }
}

TEST_CASE("the ramp of the last key that can exist is finite in fp16") {
  const Problem p = problem_of("mha B=1 Sq=1 Sk=16777216 H=1 D=64 dtype=fp16", Fill::ascend);
  const Streams streams(0);
  std::vector<double> k(64);
  recipe(Fill::ascend).k({p, streams, streams.k, 0, p.Sk - 1, 0}, k);
  for (std::size_t d = 0; d < 3; ++d) CHECK(round_to(Dtype::fp16, k[d]) == k[d]);
}

TEST_CASE("outlier has hot channels in K and V") {
  const Inputs in(wide(Fill::outlier));
  const auto deviation = [](const Values& values, Index d) {
    std::vector<double> channel;
    for (Index s = 0; s < values.shape[1]; ++s) channel.push_back(values.at(0, s, 0, d));
    return spread(channel).deviation;
  };
  CHECK(deviation(in.k, 0) == Approx(20).epsilon(0.3));
  CHECK(deviation(in.k, 1) == Approx(1).epsilon(0.3));
  CHECK(deviation(in.k, 32) == Approx(20).epsilon(0.3));
  CHECK(deviation(in.v, 0) == Approx(50).epsilon(0.3));
  CHECK(deviation(in.v, 32) == Approx(1).epsilon(0.3));
}

TEST_CASE("heavy has V of mixed magnitudes and rows from flat to peaked") {
  const Inputs in(wide(Fill::heavy));
  std::vector<double> v = in.v.all;
  for (double& value : v) value = std::fabs(value);
  std::ranges::sort(v);
  CHECK(v[v.size() / 2] < 2);
  CHECK(v[v.size() - v.size() / 500] > 50);
  CHECK(v.back() <= 6 * 256);

  std::vector<double> deviations;
  for (const ScoreRow& row : score_rows(in)) deviations.push_back(spread(row.s).deviation);
  CHECK(spread(deviations).low < 1.5);
  CHECK(spread(deviations).high > 4);
}

TEST_CASE("cancel has opposite V in neighbouring keys and o far below sum P |v|") {
  const Inputs in(wide(Fill::cancel));
  Index wrong = 0;
  for (Index s = 0; s < in.problem.Sk; s += 2)
    for (Index d = 0; d < in.problem.Dv; ++d)
      wrong += in.v.at(0, s, 1, d) != -in.v.at(0, s + 1, 1, d);
  CHECK(wrong == 0);
  double o = 0, abs_mag = 0;
  for (const ScoreRow& row : score_rows(in)) {
    o += std::fabs(attend(row, in.v, 5).o);
    abs_mag += attend(row, in.v, 5).abs_mag;
  }
  CHECK(o < abs_mag / 50);
}

TEST_CASE("twolevel has one leading key, all others bitwise equal, and V with a mean") {
  const Inputs in(wide(Fill::twolevel));
  for (const ScoreRow& row : score_rows(in)) {
    for (std::size_t j = 2; j < row.s.size(); ++j) CHECK(row.s[j] == row.s[1]);
    CHECK(row.s[0] - row.s[1] > 0.99);
    CHECK(row.s[0] - row.s[1] < 3.02);
  }
  CHECK(spread(in.v.all).mean == Approx(1).epsilon(0.05));
}

TEST_CASE("onehot has one 1 a key, at (7 j + 13 h) mod Dv") {
  const Inputs in(wide(Fill::onehot));
  const Index Dv = in.problem.Dv;
  Index wrong = 0;
  for (Index s = 0; s < in.problem.Sk; ++s)
    for (Index d = 0; d < Dv; ++d) wrong += in.v.at(0, s, 1, d) != ((7 * s + 13) % Dv == d ? 1 : 0);
  CHECK(wrong == 0);
}

TEST_CASE("tailhot marks the last keys that queries see, all behind them, and powers of two") {
  const auto [text, hot] = GENERATE(table<std::string, std::set<Index>>(
      {{"mha B=1 Sq=4 Sk=200 H=1 D=8 dtype=bf16", {63, 127, 198, 199}},
       {"mha B=1 Sq=4 Sk=200 H=1 D=8 dtype=bf16 mask=causal", {63, 127, 198, 199}},
       {"mha B=1 Sq=4 Sk=6 H=1 D=8 dtype=bf16 mask=causal_top_left", {2, 3, 4, 5}},
       {"mha B=1 Sq=9 Sk=3 H=1 D=8 dtype=bf16 mask=causal_top_left", {1, 2}},
       {"mha B=1 Sq=9 Sk=1 H=1 D=8 dtype=bf16 mask=causal", {0}}}));
  const Problem p = problem_of(text, Fill::tailhot);
  const Inputs in(p);
  CAPTURE(text);
  for (Index s = 0; s < p.Sk; ++s) CHECK(in.v.at(0, s, 0, 3) == (hot.contains(s) ? 64 : 0));
}

TEST_CASE("a causal mask off by one key changes a row of tailhot from 0 or to another sum") {
  const Problem p = problem_of("mha B=1 Sq=100 Sk=100 H=1 D=8 dtype=bf16 mask=causal",  //
                               Fill::tailhot);
  const Inputs in(p);
  const auto rows = score_rows(in);
  CHECK(attend(rows[62], in.v, 0).o == 0);
  CHECK(attend(rows[63], in.v, 0).o > 0);
}

TEST_CASE("denormal has subnormal V and most p below 2^-24") {
  Problem p = wide(Fill::denormal);
  p.dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const Inputs in(p);
  const Spread v = spread(in.v.all);
  const double smallest_normal = std::ldexp(1, format_of(p.dtype).min_exponent);
  CHECK(std::max(-v.low, v.high) <= smallest_normal);
  CHECK(v.deviation > 0.5 * smallest_normal);
  std::size_t small = 0, all = 0;
  for (const ScoreRow& row : score_rows(in)) {
    for (const double s : row.s) small += std::exp(s - row.max()) < 0x1p-24;
    all += row.s.size();
  }
  CHECK(small > all / 2);
  CHECK(small < all);
}
