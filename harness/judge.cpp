#include "harness/judge.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cases/error.h"
#include "harness/compare.h"
#include "harness/gates.h"
#include "harness/offenders.h"

namespace attest {
namespace {

constexpr std::string_view kVerdicts[] = {"PASS", "FAIL",  "CRASH", "UNTRUSTED",
                                          "SKIP", "XFAIL", "XPASS", "NOT_RUN"};
constexpr std::string_view kChecks[] = {
    "none",       "canary",   "poison", "nonfinite", "exact", "hard_bound", "lse_bound",
    "stat_bound", "lse_stat", "rho",    "rho_row",   "bias",  "nmse"};

template <class Enum, std::size_t N>
Enum parse_name(std::string_view what, const std::string_view (&names)[N], std::string_view text) {
  const auto* found = std::find(std::begin(names), std::end(names), text);
  ATTEST_CHECK(found != std::end(names), what, ": must be a known name, got ", text);
  return static_cast<Enum>(found - std::begin(names));
}

void check_tensor(const TensorSet& outputs, const char* name, const std::vector<Index>& shape,
                  std::initializer_list<Dtype> dtypes) {
  const Tensor* tensor = outputs.find(name);
  ATTEST_CHECK(tensor, "judge: outputs must hold o and lse, got no ", name);
  ATTEST_CHECK(tensor->shape() == shape, "judge: ", name,
               " must have the problem's shape, got another; o is [B,Sq,H,Dv], lse [B,H,Sq]");
  ATTEST_CHECK(std::count(dtypes.begin(), dtypes.end(), tensor->dtype()), "judge: ", name,
               " must be of the type that the descriptor declares (lse: fp32 or fp64), got ",
               attest::name(tensor->dtype()));
}

/// Whether the values have mean zero; those of absorbed MLA are its keys.
bool has_zero_mean(const Problem& p) {
  const FillInfo& fill = info(p.fill);
  return p.form == Form::absorbed ? fill.zero_mean_k : fill.zero_mean_v;
}

/// Which gates a problem's fill admits. TOLERANCE.md, table "which gate, when"
struct Gates {
  bool exact, stat, rho, row, bias, nmse;
  Index rows, width;
};

Gates gates_of(const Problem& p, const Descriptor& d, const Comparison& c) {
  const FillInfo& fill = info(p.fill);
  const bool iid = fill.tag == FillTag::iid, spread = iid && has_zero_mean(p);
  return {.exact = fill.tag == FillTag::exact && stores_top_value(d, 0),
          .stat = iid,
          .rho = fill.tag != FillTag::coherent,
          .row = spread,
          .bias = spread && p.softcap == 0 && c.bias_rows >= kBiasRows,
          .nmse = p.fill != Fill::denormal,
          .rows = c.statistical_rows,
          .width = p.Dv};
}

/// Largest error^2 over sum (sum P |v|)^2: the constant, or what the kernel's own model explains.
double nmse_allowed(const Descriptor& d, const Sums& s) {
  return std::fmax(nmse_limit(d), s.abs_mag2 > 0 ? 4 * s.sigma2 / s.abs_mag2 : 0);
}

/// Root mean square error that the tightest of the gates would pass.
double tightest_gate(const Gates& gates, const Descriptor& d, const Sums& s) {
  if (gates.exact || s.count == 0) return 0;
  double allowed2 = s.hard2;
  if (gates.stat) allowed2 = std::fmin(allowed2, s.stat2);
  if (gates.rho) allowed2 = std::fmin(allowed2, std::pow(rho_limit(gates.rows), 2) * s.sigma2);
  if (gates.nmse) allowed2 = std::fmin(allowed2, nmse_allowed(d, s) * s.abs_mag2);
  return std::sqrt(allowed2 / static_cast<double>(s.count));
}

/// The first check that fails. Every comparison passes if "<=", which no NaN does.
Check first_failure(const Gates& gates, const Descriptor& d, const Comparison& c) {
  const Metrics& m = c.metrics;
  if (m.nonfinite_failing > 0) return Check::nonfinite;
  if (m.exact_failing > 0) return Check::exact;
  if (m.hard_failing > 0) return Check::hard_bound;
  if (m.lse_failing > 0) return Check::lse_bound;
  if (gates.stat && m.stat_failing > 0) return Check::stat_bound;
  if (gates.stat && m.lse_stat_failing > 0) return Check::lse_stat;
  if (gates.rho && !(m.rho <= rho_limit(gates.rows))) return Check::rho;
  if (gates.row && !(m.rho_row <= rho_row_limit(gates.width))) return Check::rho_row;
  if (gates.bias && !(m.bias_z <= kBiasLimit)) return Check::bias;
  if (gates.nmse && !(m.nmse_a <= nmse_allowed(d, c.sums))) return Check::nmse;
  return Check::none;
}

/// "rho 1.61 above 1.25 (the error is larger than the declared roundings explain)"
std::string statistic_message(const Gates& gates, const Descriptor& d, const Comparison& c,
                              const Problem& p, Check check) {
  const Metrics& m = c.metrics;
  switch (check) {
    case Check::rho:
      return concat("rho ", m.rho, " above ", rho_limit(gates.rows),
                    ": the error as a whole exceeds the declared roundings");
    case Check::rho_row: {
      const Index n = c.worst_rho_row;
      return concat("rho of row o[b=", n / (p.H * p.Sq), ",i=", n / p.H % p.Sq, ",h=", n % p.H,
                    "] ", m.rho_row, " above ", rho_row_limit(gates.width));
    }
    case Check::bias:
      return concat("bias ", m.bias_z, " standard errors, above ", kBiasLimit,
                    ": roundings lean one way, as truncation does");
    case Check::nmse:
      return concat("error^2 over (sum P|v|)^2 is ", m.nmse_a, ", above ", nmse_allowed(d, c.sums));
    default:
      return "";
  }
}

bool element_wise(Check check) { return check >= Check::nonfinite && check <= Check::lse_stat; }

void explain_elements(const Problem& p, const Truth& truth, const Descriptor& d,
                      const TensorSet& outputs, bool exact, Judgement& j) {
  const Offenders found = find_offenders(p, truth, d, outputs, exact, j.check);
  j.worst = found.worst;
  j.failing = found.failing;
  j.total = found.total;
  j.message = concat(print(found.worst.front()), "  (", found.failing, " of ", found.total, ")");
  if (!found.hint.empty()) j.message += concat("; ", found.hint);
  if (is_of_lse(j.check)) j.message += "; o is within its bound";
  if (j.check == Check::nonfinite && std::isnan(j.worst.front().got))
    j.message += "; NaN comes from what was read before it was written, or from infinities";
}

/// A pass counts only where some gate is narrower than o itself; rows that see no key always count.
void ask_trust(bool all_rows_empty, Judgement& j) {
  const Metrics& m = j.metrics;
  if (all_rows_empty || (m.rms > 0 && m.tightest < m.rms)) return;
  j.verdict = Verdict::untrusted;
  j.message = m.rms > 0 ? concat("the tightest gate allows an rms error of ", m.tightest,
                                 " where o has rms ", m.rms, "; nothing is proved")
                        : "the true o is all zero; nothing is proved";
}

}  // namespace

std::string_view name(Verdict verdict) { return kVerdicts[static_cast<std::size_t>(verdict)]; }
std::string_view name(Check check) { return kChecks[static_cast<std::size_t>(check)]; }
Verdict parse_verdict(std::string_view text) {
  return parse_name<Verdict>("verdict", kVerdicts, text);
}
Check parse_check(std::string_view text) { return parse_name<Check>("check", kChecks, text); }

TensorSet in_order(const TensorSet& outputs) {
  TensorSet ordered;
  for (const Tensor& x : outputs) ordered.add(x.name() == "o" ? stored_as(x, "BSHD") : x);
  return ordered;
}

Judgement judge(const Problem& p, const Truth& truth, const Descriptor& d,
                const TensorSet& stored) {
  const TensorSet outputs = in_order(stored);
  check_tensor(outputs, "o", {p.B, p.Sq, p.H, p.Dv}, {d.o_type});
  check_tensor(outputs, "lse", {p.B, p.H, p.Sq}, {Dtype::fp32, Dtype::fp64});
  const bool exact = info(p.fill).tag == FillTag::exact;
  const Comparison c = compare(p, truth, d, outputs, exact);
  const Gates gates = gates_of(p, d, c);

  Judgement j;
  j.metrics = c.metrics;
  j.metrics.tightest = tightest_gate(gates, d, c.sums);
  j.total = p.B * p.Sq * p.H * p.Dv;
  j.worst = read_elements(p, truth, d, outputs, c.worst.list());
  for (const Tensor& tensor : stored)
    if (j.check == Check::none && !tensor.canary_intact()) {
      j.check = Check::canary;
      j.message = concat(tensor.name(), ": bytes before or behind the tensor were overwritten");
    }
  if (j.check == Check::none) j.check = first_failure(gates, d, c);
  if (j.check != Check::none) {
    j.verdict = Verdict::fail;
    if (element_wise(j.check))
      explain_elements(p, truth, d, outputs, exact, j);
    else if (j.message.empty())
      j.message = statistic_message(gates, d, c, p, j.check);
    return j;
  }
  ask_trust(c.sums.count == 0, j);
  if (!gates.exact && !gates.stat && c.metrics.stat_failing > 0) {
    j.warn = true;
    if (j.message.empty())
      j.message = concat(c.metrics.stat_failing,
                         " elements of o beyond the statistical bound "
                         "(roundings of a coherent fill may line up)");
  }
  return j;
}

}  // namespace attest
