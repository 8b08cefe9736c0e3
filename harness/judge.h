#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cases/descriptor.h"
#include "cases/problem.h"
#include "cases/tensor.h"
#include "cases/truth.h"
#include "harness/metrics.h"

namespace attest {

/// What is decided of one case. Only `pass` (and an expected `xfail`) is good news.
enum class Verdict {
  pass,
  fail,
  crash,      ///< the kernel did what no kernel may do, or died
  untrusted,  ///< nothing failed, but the gates that apply are too wide to prove anything
  skip,       ///< the kernel does not support the problem
  xfail,      ///< failed, as a known failure should
  xpass,      ///< passed, though listed as a known failure
  not_run
};

/// The gates, in the order they are asked; the first that fails names the verdict.
enum class Check {
  none,
  canary,      ///< bytes before or behind an output changed
  poison,      ///< what a cache holds in slots that no key has reaches an output (poison.h)
  nonfinite,   ///< NaN, or an infinity where the truth has none, or the reverse
  exact,       ///< exact fills and rows that see no key
  hard_bound,  ///< no rounding that the descriptor declares explains the error
  lse_bound,
  stat_bound,  ///< independent roundings do not explain the error
  lse_stat,    ///< the same of lse
  rho,         ///< the whole tensor's error is larger than the roundings' variance
  rho_row,     ///< one row's is
  bias,        ///< errors lean towards or away from zero
  nmse         ///< error over sum P |v| is larger than the output type allows
};

std::string_view name(Verdict);
std::string_view name(Check);

/// True for the checks that ask lse alone.
constexpr bool is_of_lse(Check check) {
  return check == Check::lse_bound || check == Check::lse_stat;
}

/// Both throw attest::Error for an unknown name.
Verdict parse_verdict(std::string_view);
Check parse_check(std::string_view);

/// One element of an output.
struct Element {
  std::string tensor;        ///< "o" or "lse"; of a layer, any tensor of cases/stages.h
  std::vector<Index> index;  ///< b, i, h, d for o [B,Sq,H,Dv]; b, h, i for lse [B,H,Sq]; else the
                             ///< tensor's axes, a token's number among the new ones for a cache
  double got, want, bound;   ///< bound: of the check that failed, or the hard bound
  std::string letters = {};  ///< of the axes, where they are others than those
};

/// `o[b=0,i=0,h=3,d=17]`
std::string place_of(const Element&);

/// `o[b=0,i=0,h=3,d=17] got 0.41406 want 0.40613 error 0.00793, 3.29 x bound 0.00241`, with as many
/// digits as it takes to see the difference; `..., must be exact` where the bound is 0 and
/// `..., must be finite` for a NaN or an infinity that the truth has not.
std::string print(const Element&);

/// What is decided of one stage of a layer (cases/stages.h).
struct StageResult {
  std::string stage;                ///< of a layer with ranks qkv/0, qkv/1, ...
  Verdict verdict = Verdict::pass;  ///< pass, fail or untrusted
  Check check = Check::none;
  std::string message = {};
  double ratio = 0;  ///< largest error / hard bound (of attention: of o and lse)
  double rho = 0;
  Index failing = 0, total = 0;
  std::vector<Element> worst = {};
};

struct Judgement {
  Verdict verdict = Verdict::pass;
  bool warn = false;          ///< passed, but a coherent fill exceeded the statistical bound
  Check check = Check::none;  ///< what failed
  std::string message;        ///< empty for a plain pass
  Metrics metrics;
  std::vector<Element> worst;       ///< up to 8, worst error / bound first
  Index failing = 0, total = 0;     ///< elements that the failed check refuses; elements it asked
  std::vector<StageResult> stages;  ///< of a layer, in order (of all shards)
  double end_to_end_limit = 0;      ///< of a layer: what metrics.nmse may reach
};

/// The same with o in the order BSHD, in which it is judged and kept.
TensorSet in_order(const TensorSet& outputs);

/// Judges what a kernel stored for a problem, given the truth and what the kernel declares.
///
/// outputs: o [B,Sq,H,Dv] in any order of its axes (its layout says which), of descriptor.o_type,
/// lse [B,H,Sq] fp32 (or fp64), nats. Which gates apply follows from the problem's fill;
/// TOLERANCE.md derives them. The result does not depend on the number of threads. Throws
/// attest::Error when a tensor is missing or has another shape or type, or the truth holds no
/// conditioning.
Judgement judge(const Problem&, const Truth&, const Descriptor&, const TensorSet& outputs);

}  // namespace attest
