#include "harness/candidate_layer.h"

#include <chrono>
#include <cmath>

#include "cases/error.h"
#include "cases/stages.h"
#include "harness/candidate_read.h"
#include "harness/layer_judge.h"
#include "harness/layer_limit.h"

namespace attest {
namespace {

/// Why the stages are not judged, empty where they are.
std::string left_out(const Problem& p, const TensorSet& stored) {
  if (p.layer.tp > 1) return concat("each of the ", p.layer.tp, " ranks has stages of its own");
  std::string missing;
  std::size_t count = 0;
  for (const TensorSpec& spec : layer_outputs(p))
    if (!stored.find(spec.name) && ++count <= 3)
      missing += concat(missing.empty() ? "" : ", ", spec.name);
  if (count == 0) return "";
  return concat("the candidate has no ", missing, count > 3 ? ", ..." : "");
}

Index others_than_y(const Problem& p, const TensorSet& stored) {
  Index count = 0;
  for (const TensorSpec& spec : layer_outputs(p))
    count += spec.name != "y" && stored.find(spec.name) ? 1 : 0;
  return count;
}

const Tensor& check_y(const StoredCase& candidate, const Problem& p) {
  const Tensor* y = find(candidate, "outputs", "y");
  if (!y)
    throw InfraError(concat("compare: the candidate must store outputs/y, got none of it for ",
                            print(p), " (tier ", candidate.tier,
                            "); write it or leave the case out"));
  check_type(p, *y, {p.dtype, Dtype::fp32, Dtype::fp64});
  return *y;
}

/// The stages as a kernel of the problem's type would have stored them.
TensorSet read_stages(const Problem& p, const TensorSet& stored, const Reading& reading) {
  TensorSet stages;
  for (const TensorSpec& spec : layer_outputs(p)) {
    const Tensor& x = stored.at(spec.name);
    if (spec.name == "lse") {
      check_type(p, x, {Dtype::fp32, Dtype::fp64});
      stages.add(reading.lse_log2 || reading.lse_plus_inf ? in_nats(x, reading) : x);
      continue;
    }
    const std::optional<Tensor> own = x.dtype() == p.dtype ? x
                                      : reading.o_rounded  ? narrowed(x, p.dtype)
                                                           : std::nullopt;
    if (!own)
      throw InfraError(concat("compare: every stage must hold numbers of the case's type, ",
                              name(p.dtype), ", got ", spec.name, " in ", name(x.dtype()),
                              reading.o_rounded ? " with others" : "", " for ", print(p),
                              "; store y alone, or give --o-rounded if all were rounded first"));
    stages.add(*own);
  }
  return stages;
}

Judgement judge_y(const Problem& p, const Truth& truth, const Tensor& y, const std::string& why) {
  Judgement j;
  j.total = y.size();
  std::vector<double> values;
  const Tensor& want = truth.outputs.at("y");
  for (Index n = 0; n < y.size(); ++n) {
    values.push_back(y.value(n));
    if (std::isfinite(values.back()) || j.failing++ > 0) continue;
    const Index E = p.layer.E;
    j.worst = {{"y", {n / E / p.Sq, n / E % p.Sq, n % E}, values.back(), want.value(n), 0}};
    j.verdict = Verdict::fail;
    j.check = Check::nonfinite;
  }
  judge_end_to_end(p, truth, values, j);
  if (j.check == Check::nonfinite)
    j.message = concat(print(j.worst.front()), "  (", j.failing, " of ", j.total, ")");
  if (j.verdict == Verdict::pass)
    j.message = concat("end to end: error^2 of y over y^2 is ", j.metrics.nmse);
  if (j.verdict == Verdict::pass && j.end_to_end_limit > kProvesLayer) {
    j.verdict = Verdict::untrusted;
    j.message += concat(", where ", j.end_to_end_limit, " would pass; nothing is proved");
  }
  j.message += concat("; stages are not judged: ", why);
  return j;
}

}  // namespace

Candidate judge_layer_candidate(const StoredCase& candidate, const StoredCase& golden,
                                const CandidateOptions& options) {
  const Problem& p = golden.problem;
  const Tensor& y = check_y(candidate, p);
  const TensorSet& stored = candidate.groups.at("outputs");
  const TensorSet& inputs = golden.groups.at("inputs");
  const Truth truth{golden.groups.at("outputs"), golden.groups.at("conditioning")};
  const Tensor* lse = stored.find("lse");
  const std::string why = left_out(p, stored);
  Candidate result{.record = {}, .like = nullptr, .taken_for = {}, .passes_with = {}};
  Record& record = result.record;
  record.which.problem = p;
  record.device = "candidate";
  record.inputs_sha256 = hash_of_inputs(p, inputs);
  record.o_sha256 = y.sha256();
  if (lse) record.lse_sha256 = lse->sha256();

  const auto start = std::chrono::steady_clock::now();
  if (!why.empty()) {
    record.judgement = judge_y(p, truth, y, why);
    result.taken_for = concat("y in ", name(y.dtype()), ", judged end to end alone");
    if (const Index others = others_than_y(p, stored); others > 0)
      result.taken_for += concat(" (", others, " other tensors given, but ", why, ")");
  } else {
    const auto like_of = [&](const CandidateOptions& how) -> const Likeness& {
      return how.like.empty() ? likeness_for(p.dtype) : find_likeness(how.like);
    };
    const auto judge_as = [&](const CandidateOptions& how) {
      return judge_layer(p, inputs, truth, descriptor_of(like_of(how), p, p.dtype, how),
                         read_stages(p, stored, how.reading));
    };
    result.like = &like_of(options);
    check_lse(p, *lse, *result.like);
    record.descriptor = descriptor_of(*result.like, p, p.dtype, options);
    record.judgement = judge_as(options);
    result.taken_for = taken_for("stages", p.dtype, *result.like, options);
    if (record.judgement.verdict == Verdict::fail)
      result.passes_with = remedy(options, false, true, [&](const CandidateOptions& other) {
        return judge_as(other).verdict == Verdict::pass;
      });
  }
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  record.seconds.judge = spent.count();
  return result;
}

}  // namespace attest
