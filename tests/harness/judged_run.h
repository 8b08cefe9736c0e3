// A problem that a simulated kernel has run, for the tests of the judge.
#pragma once

#include <limits>
#include <string>

#include "cases/error.h"
#include "harness/inputs.h"
#include "harness/judge.h"
#include "tests/harness/simulated_kernel.h"
#include "tests/harness/truth_by_hand.h"

namespace judged {

using namespace attest;
using simulated::Defect;

inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A problem with its truth and the outputs of a simulated kernel, which a test may then damage.
struct Run {
  Problem problem;
  Truth truth;
  Descriptor descriptor;
  TensorSet outputs;

  Run(const std::string& text, Defect defect = Defect::none, Index splits = 1)
      : problem(parse_problem(text)) {
    const TensorSet inputs = make_inputs(problem);
    simulated::Options options = simulated::options_for(problem);
    options.defect = defect;
    options.splits = splits;
    truth = simulated::truth_of(problem, inputs);
    descriptor = simulated::descriptor_of(problem, options);
    outputs = simulated::run(problem, inputs, options);
  }

  Judgement judged() const { return judge(problem, truth, descriptor, outputs); }

  Index at(Index b, Index i, Index h, Index d) const {
    const Problem& p = problem;
    return ((b * p.Sq + i) * p.H + h) * p.Dv + d;
  }
  double o(Index n) const { return outputs.at("o").value(n); }
  void set_o(Index n, double value) { by_hand::poke(outputs.at("o"), n, value); }
};

inline const std::string kCausal = "mha B=1 Sq=48 Sk=160 H=4 D=64 mask=causal dtype=bf16 seed=3";

inline std::string with_fill(std::string_view fill) { return concat(kCausal, " fill=", fill); }

}  // namespace judged
