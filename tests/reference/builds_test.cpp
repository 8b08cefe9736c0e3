#include <omp.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "cases/error.h"
#include "reference/build.h"
#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/naive.h"

using namespace attest;
using reference::Emit;

namespace {

struct Threads {
  int before = omp_get_max_threads();
  explicit Threads(int threads) { omp_set_num_threads(threads); }
  ~Threads() { omp_set_num_threads(before); }
};

struct Chosen {
  explicit Chosen(std::string_view name) { reference::choose_instruction_set(name); }
  ~Chosen() { reference::choose_instruction_set(""); }
};

Truth attend(const Problem& problem, const TensorSet& inputs) {
  return reference::attend(problem, inputs, Emit::outputs_and_conditioning);
}

void check_same_bits(const TensorSet& got, const TensorSet& want) {
  REQUIRE(got.size() == want.size());
  for (const Tensor& tensor : want) {
    CAPTURE(tensor.name());
    CHECK(std::ranges::equal(got.at(tensor.name()).bytes(), tensor.bytes()));
  }
}

/// Largest error of exp_shifted(x, shift), in units of the last place of the true result.
double worst_exp_error(const reference::Build& build, const std::vector<double>& x, double shift) {
  std::vector<double> p(x.size());
  build.exp_shifted(x.data(), shift, Index(x.size()), p.data());
  double worst = 0;
  for (std::size_t n = 0; n < x.size(); ++n) {
    const long double want = std::exp(static_cast<long double>(x[n] - shift));
    const int exponent = std::max(std::ilogb(want), -1022);  // subnormal numbers share a spacing
    const auto error = double(std::ldexp(std::fabs(p[n] - want), 52 - exponent));
    worst = error <= worst ? worst : error;  // NaN is larger than anything
  }
  return worst;
}

std::vector<double> uniform(double low, double high, std::size_t count) {
  std::mt19937_64 engine(5);
  std::uniform_real_distribution<double> draw(low, high);
  std::vector<double> x(count);
  for (double& value : x) value = draw(engine);
  return x;
}

template <class Test>
void for_each_build_here(Test test) {
  for (const reference::Build& build : reference::builds())
    if (build.runs_here()) test(build);
}

}  // namespace

TEST_CASE("any number of threads gives the same bits") {
  const std::string text =
      GENERATE("mha B=2 Sq=150 Sk=157 H=3 D=20 Dv=11 dtype=fp64 mask=causal",
               "gqa B=1 Sq=90 Sk=41 H=4 G=2 D=9 dtype=fp64",
               "mqa B=1 Sq=129 Sk=130 H=5 D=16 dtype=fp64 mask=causal_top_left");
  const Problem p = parse_problem(text);
  const TensorSet in = naive::random_inputs(p);
  for (const std::string& set : reference::instruction_sets()) {
    const Chosen chosen(set);
    const Truth want = (Threads(1), attend(p, in));
    for (const int threads : {2, 3, 7}) {
      CAPTURE(set, threads);
      const Threads now(threads);
      const Truth got = attend(p, in);
      check_same_bits(got.outputs, want.outputs);
      check_same_bits(got.conditioning, want.conditioning);
    }
  }
}

TEST_CASE("all instruction sets agree to 1e-13") {
  const Problem p = parse_problem("gqa B=2 Sq=70 Sk=83 H=4 G=2 D=64 Dv=21 dtype=fp64 mask=causal");
  const TensorSet in = naive::random_inputs(p);
  const std::vector<std::string> sets = reference::instruction_sets();
  const Truth want = (Chosen(sets.front()), attend(p, in));
  for (const std::string& set : sets) {
    const Chosen chosen(set);
    CHECK(reference::instruction_set() == set);
    const Truth got = attend(p, in);
    for (const Tensor& tensor : want.outputs)
      for (Index n = 0; n < tensor.size(); ++n) {
        CAPTURE(set, tensor.name(), n);
        const double scale = tensor.name() == "o" ? want.conditioning.at("abs_mag").value(n)
                                                  : 1 + std::fabs(tensor.value(n));
        const double error = std::fabs(got.outputs.at(tensor.name()).value(n) - tensor.value(n));
        REQUIRE(error <= 1e-13 * scale);
      }
  }
}

TEST_CASE("the best instruction set is used unless another one is chosen") {
  const std::vector<std::string> sets = reference::instruction_sets();
  REQUIRE(!sets.empty());
  CHECK(reference::instruction_set() == sets.back());
  {
    const Chosen chosen(sets.front());
    CHECK(reference::instruction_set() == sets.front());
  }
  CHECK(reference::instruction_set() == sets.back());
}

TEST_CASE("an unknown instruction set is refused with the known ones") {
  std::string message;
  try {
    reference::choose_instruction_set("z80");
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK_THAT(message, Catch::Contains("got z80"));
  for (const std::string& set : reference::instruction_sets())
    CHECK_THAT(message, Catch::Contains(set));
  CHECK(reference::instruction_set() == reference::instruction_sets().back());
}

TEST_CASE("exp is within 2 ulp over all normal results") {
  for_each_build_here([](const reference::Build& build) {
    CAPTURE(build.name);
    std::vector<double> grid;
    for (int n = 0; n <= 708 * 64; ++n) grid.push_back(-n / 64.0);
    CHECK(worst_exp_error(build, grid, 0) <= 2);
    CHECK(worst_exp_error(build, uniform(-708, 0, 200'001), 0) <= 2);
    CHECK(worst_exp_error(build, uniform(-1, 0, 100'003), 0) <= 2);
    CHECK(worst_exp_error(build, uniform(-40, 17, 50'005), 17) <= 2);
  });
}

TEST_CASE("exp is within 2 of the smallest number where results are subnormal, and 0 below") {
  for_each_build_here([](const reference::Build& build) {
    CAPTURE(build.name);
    CHECK(worst_exp_error(build, uniform(-746, -707, 20'001), 0) <= 2);
    CHECK(worst_exp_error(build, {-745.1, -745.2, -746, -747, -1e4, -1e308}, 0) <= 2);
  });
}

TEST_CASE("exp(0) is exactly 1 at any place in a vector") {
  for_each_build_here([](const reference::Build& build) {
    for (std::size_t count = 1; count <= 40; ++count) {
      const std::vector<double> x(count, 3.25);
      std::vector<double> p(count);
      build.exp_shifted(x.data(), 3.25, Index(count), p.data());
      CAPTURE(build.name, count);
      CHECK(std::ranges::all_of(p, [](double value) { return value == 1; }));
    }
  });
}

TEST_CASE("the peak is that of at least one thread") {
  CHECK(reference::fma_peak_flops(1) > 1e6);
  CHECK_THROWS_AS(reference::fma_peak_flops(0), Error);
}

TEST_CASE("the version of Eigen is known") {
  CHECK_THAT(std::string(reference::eigen_version()), Catch::StartsWith("3."));
}
