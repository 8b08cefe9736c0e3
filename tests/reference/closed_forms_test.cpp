#include <cmath>
#include <limits>

#include "cases/error.h"
#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/naive.h"

using namespace attest;
using reference::Emit;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

const auto zero = [](Index, Index, Index, Index) { return 0.0; };
const auto one = [](Index, Index, Index, Index) { return 1.0; };

Truth attend(const Problem& problem, const TensorSet& inputs) {
  return reference::attend(problem, inputs, Emit::outputs_and_conditioning);
}

/// One query, D = 1 and q = 1: the scores are the keys. Dv = 1.
struct OneRow {
  std::vector<double> s, v;

  Problem problem() const {
    Problem n = parse_problem("mha B=1 Sq=1 Sk=1 H=1 D=1 dtype=fp64");
    n.Sk = std::ssize(s);
    return n;
  }
  Truth truth() const {
    return attend(
        problem(),
        naive::inputs(
            problem(), one, [&](Index, Index j, Index, Index) { return s.at(std::size_t(j)); },
            [&](Index, Index j, Index, Index) { return v.at(std::size_t(j)); }));
  }
  double o() const { return truth().outputs.at("o").value(0); }
  double lse() const { return truth().outputs.at("lse").value(0); }
};

void check_all(const Tensor& tensor, double value) {
  CAPTURE(tensor.name());
  for (Index n = 0; n < tensor.size(); ++n) CHECK(tensor.value(n) == value);
}

}  // namespace

TEST_CASE("with one key the output is its value and lse its score, exactly") {
  const Problem p = parse_problem("mha B=2 Sq=3 Sk=1 H=2 D=4 Dv=3 dtype=fp64");
  const TensorSet in = naive::inputs(
      p, [](Index b, Index i, Index h, Index d) { return double(b + 2 * i - 3 * h + d); },
      [](Index b, Index, Index g, Index d) { return double(1 + b - g + 2 * d); },
      [](Index b, Index, Index g, Index d) { return 0.1 * double(1 + d + 10 * g + 100 * b); });
  const Truth t = attend(p, in);
  for (Index b = 0; b < 2; ++b)
    for (Index i = 0; i < 3; ++i)
      for (Index h = 0; h < 2; ++h) {
        double dot = 0;
        for (Index d = 0; d < 4; ++d) dot += double((b + 2 * i - 3 * h + d) * (1 + b - h + 2 * d));
        CHECK(t.outputs.at("lse").value((b * 2 + h) * 3 + i) == dot / 2);  // 1 / sqrt(4)
        for (Index d = 0; d < 3; ++d)
          CHECK(t.outputs.at("o").value(((b * 3 + i) * 2 + h) * 3 + d) ==
                0.1 * double(1 + d + 10 * h + 100 * b));
      }
}

TEST_CASE("equal scores give the mean of the values and lse = s + ln Sk") {
  const Problem p = parse_problem("mqa B=1 Sq=2 Sk=8 H=2 D=16 Dv=2 dtype=fp64");
  const Truth t = attend(p, naive::inputs(p, one, one, [](Index, Index j, Index, Index d) {
                           return double(d == 0 ? j : j * j);
                         }));
  for (Index row = 0; row < 4; ++row) {
    CHECK(t.outputs.at("o").value(2 * row) == 3.5);       // 28 / 8
    CHECK(t.outputs.at("o").value(2 * row + 1) == 17.5);  // 140 / 8
    CHECK(t.outputs.at("lse").value(row) == Approx(4 + std::log(8.0)).epsilon(1e-15));
  }
}

TEST_CASE("two keys are weighted by the logistic function of their difference") {
  // exp(ln 3) = 3: weights 1/4 and 3/4.
  const OneRow row{{0, std::log(3.0)}, {8, -4}};
  CHECK(row.o() == Approx(-1).epsilon(1e-15));
  CHECK(row.lse() == Approx(std::log(4.0)).epsilon(1e-15));
}

TEST_CASE("scores are scaled by 1 / sqrt(D)") {
  // D = 9, q = 1, k = (ln 3) / 3: the dot product is 3 ln 3, the score ln 3.
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=2 H=1 D=9 Dv=1 dtype=fp64");
  const Truth t = attend(
      p, naive::inputs(
             p, one, [](Index, Index j, Index, Index) { return j == 0 ? 0.0 : std::log(3.0) / 3; },
             [](Index, Index j, Index, Index) { return j == 0 ? 8.0 : -4.0; }));
  CHECK(t.outputs.at("o").value(0) == Approx(-1).epsilon(1e-15));
}

TEST_CASE("large scores of either sign neither overflow nor underflow") {
  const double shift = GENERATE(1e4, -1e4, 1e300);
  const OneRow near{{shift, shift}, {1, 5}};
  CHECK(near.o() == 3);
  CHECK(near.lse() == shift + std::log(2.0));
}

TEST_CASE("a lead of one at +-10000 keeps its weight of e") {
  const double shift = GENERATE(1e4, -1e4);
  const OneRow row{{shift, shift - 1}, {1, 0}};
  CHECK(row.o() == Approx(1 / (1 + std::exp(-1.0))).epsilon(1e-15));
  CHECK(row.lse() == Approx(shift + std::log1p(std::exp(-1.0))).epsilon(1e-15));
}

TEST_CASE("a key far below the largest score has no weight at all") {
  const OneRow row{{-1e4, 1e4, -1e4}, {1e300, 7, -1e300}};
  CHECK(row.o() == 7);
  CHECK(row.lse() == 1e4);
}

TEST_CASE("weights in the subnormal range are not lost") {
  // exp(-720) = 2.03e-313 is subnormal; times 2^1000 it is an ordinary number again.
  const OneRow row{{0, -720}, {0, std::ldexp(1.0, 1000)}};
  CHECK(row.o() == Approx(double(std::ldexp(std::exp(-720.0L), 1000))).epsilon(1e-10));
}

TEST_CASE("without keys all outputs are 0 and lse is -inf") {
  const auto variant = GENERATE("mha", "gqa G=2", "mqa");
  const auto mask = GENERATE("none", "causal", "causal_top_left");
  const Problem p =
      parse_problem(concat(variant, " B=2 Sq=3 Sk=0 H=4 D=8 Dv=4 dtype=fp64 mask=", mask));
  const Truth t = attend(p, naive::inputs(p, one, zero, zero));
  check_all(t.outputs.at("o"), 0);
  check_all(t.outputs.at("lse"), -kInfinity);
  for (const Tensor& tensor : t.conditioning)
    check_all(tensor, tensor.name() == "row_max" ? -kInfinity : 0);
}

TEST_CASE("a row that sees no key is 0 with lse -inf beside rows that see some") {
  const Problem p = parse_problem("mha B=1 Sq=5 Sk=2 H=1 D=4 Dv=3 dtype=fp64 mask=causal");
  const Truth t = attend(p, naive::random_inputs(p));
  for (Index i = 0; i < 5; ++i) {
    const bool empty = i < 3;  // i + 2 - 5 < 0
    CHECK(std::isinf(t.outputs.at("lse").value(i)) == empty);
    for (Index d = 0; d < 3; ++d) CHECK((t.outputs.at("o").value(3 * i + d) == 0) == empty);
    for (const Tensor& tensor : t.conditioning)
      if (tensor.layout() == "BHS" && empty) {
        CAPTURE(tensor.name(), i);
        CHECK(tensor.value(i) == (tensor.name() == "row_max" ? -kInfinity : 0));
      }
  }
}

TEST_CASE("the conditioning of two keys is what one computes by hand") {
  // p = 1 and 3/4, l = 7/4, so that P = 4/7 and 3/7; q = 1, a = |s|.
  const double g = std::log(4.0 / 3);
  const Truth t = OneRow{{0, -g}, {3, -7}}.truth();
  const auto value = [&](const char* name) { return t.conditioning.at(name).value(0); };
  CHECK(t.conditioning.size() == 13);
  CHECK(value("row_max") == 0);
  CHECK(value("row_sum") == Approx(1.75).epsilon(1e-15));
  CHECK(value("abs_mag") == Approx(33.0 / 7).epsilon(1e-15));
  CHECK(value("abs_mag_a") == Approx(3 * g).epsilon(1e-15));
  CHECK(value("abs_mag_gap") == Approx(3 * g).epsilon(1e-15));
  CHECK(value("second_moment") == Approx(4).epsilon(1e-15));  // (1/2 * 7 / l)^2
  CHECK(value("visible_abs_v") == 10);
  CHECK(value("mean_a") == Approx(3 * g / 7).epsilon(1e-15));
  CHECK(value("mean_gap") == Approx(3 * g / 7).epsilon(1e-15));
  CHECK(value("max_a") == Approx(g).epsilon(1e-15));
  CHECK(value("max_gap") == Approx(g).epsilon(1e-15));
  CHECK(value("max_raises") == 1);
}

TEST_CASE("max_raises counts the keys above all before them") {
  const auto raises = [](std::vector<double> s) {
    const std::vector<double> v(s.size(), 1.0);
    return OneRow{std::move(s), v}.truth().conditioning.at("max_raises").value(0);
  };
  CHECK(raises({1, 2, 3}) == 3);
  CHECK(raises({3, 2, 1}) == 1);
  CHECK(raises({2, 2, 2}) == 1);
  CHECK(raises({1, 3, 2, 3, 4}) == 3);
  CHECK(raises({-5}) == 1);
}
