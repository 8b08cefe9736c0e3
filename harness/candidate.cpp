#include "harness/candidate.h"

#include <chrono>

#include "cases/error.h"
#include "harness/candidate_layer.h"
#include "harness/candidate_read.h"
#include "harness/dump.h"

namespace attest {
namespace {

void check_outputs(const StoredCase& candidate, const Problem& p) {
  const Tensor *o = find(candidate, "outputs", "o"), *lse = find(candidate, "outputs", "lse");
  if (!o)
    throw InfraError(concat("compare: the candidate must store outputs/o, got none of it for ",
                            print(p), " (tier ", candidate.tier,
                            "); write it or leave the case out"));
  check_type(p, *o, {p.dtype, Dtype::fp32, Dtype::fp64});
  if (lse) check_type(p, *lse, {Dtype::fp32, Dtype::fp64});
}

/// The outputs read in one way, and what is decided of them.
struct Judged {
  TensorSet got;
  const Likeness* like = nullptr;
  Descriptor descriptor = {};
  Judgement judgement = {};
};

/// Nothing where o holds numbers that are none of the problem's type, though it is said to.
std::optional<Judged> judge_as(const Problem& p, const TensorSet& stored, const Truth& truth,
                               const CandidateOptions& options) {
  const Reading& reading = options.reading;
  std::optional<Tensor> o = stored.at("o");
  if (reading.o_rounded) o = narrowed(*o, p.dtype);
  if (!o) return std::nullopt;
  Judged result;
  result.like = options.like.empty() ? &likeness_for(o->dtype()) : &find_likeness(options.like);
  result.descriptor = descriptor_of(*result.like, p, o->dtype(), options);
  result.got.add(*o);
  const Tensor* lse = stored.find("lse");
  const bool converts = reading.lse_log2 || reading.lse_plus_inf;
  if (lse) result.got.add(converts ? in_nats(*lse, reading) : *lse);

  TensorSet asked = result.got;  // judge() wants an lse; the true one passes every check
  if (!lse) asked.add(truth.outputs.at("lse"));
  result.judgement = judge(p, truth, result.descriptor, asked);
  return result;
}

}  // namespace

void check_cases(const GoldenFile& candidate, const GoldenFile& golden) {
  std::size_t strangers = 0;
  std::string named;
  for (const std::string& id : candidate.case_ids())
    if (!golden.contains(id) && ++strangers <= 3)
      named += concat("\n  ", print(candidate.read(id).problem));
  if (strangers > 0)
    throw InfraError(concat("compare: the golden must have every case of the candidate, got ",
                            strangers, " that it lacks; make a golden with them or leave them out:",
                            named, strangers > 3 ? "\n  ..." : ""));
}

Candidate judge_candidate(const StoredCase& candidate, const StoredCase& golden,
                          const CandidateOptions& options, const std::filesystem::path& failures) {
  check_golden(golden);
  check_inputs(candidate, golden);
  if (golden.problem.level == Level::layer)
    return judge_layer_candidate(candidate, golden, options);
  check_outputs(candidate, golden.problem);
  const Problem& p = golden.problem;
  const TensorSet& stored = candidate.groups.at("outputs");
  const Question question{p,
                          golden.groups.at("inputs"),
                          {golden.groups.at("outputs"), golden.groups.at("conditioning")},
                          {}};
  const auto start = std::chrono::steady_clock::now();
  const auto judged = judge_as(p, stored, question.truth, options);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  if (!judged)
    throw InfraError(concat("compare: with --o-rounded every element of o must be a ",
                            name(p.dtype), " number, got others for ", print(p),
                            "; leave --o-rounded out"));
  const Tensor* lse = stored.find("lse");
  if (lse) check_lse(p, *lse, *judged->like);
  Candidate result{.record = {},
                   .like = judged->like,
                   .taken_for = taken_for("o", judged->descriptor.o_type, *judged->like, options),
                   .passes_with = {}};
  if (!lse) result.taken_for += ", without lse: only o is checked";
  Record& record = result.record;
  record.which.problem = p;
  record.judgement = judged->judgement;
  record.descriptor = judged->descriptor;
  record.device = "candidate";
  record.seconds.judge = spent.count();
  record.inputs_sha256 = hash_of_inputs(p, question.inputs);
  record.o_sha256 = stored.at("o").sha256();
  if (lse) record.lse_sha256 = lse->sha256();
  std::string& message = record.judgement.message;
  if (!lse) message += concat(message.empty() ? "" : "; ", "no lse: its checks are left out");
  if (record.judgement.verdict == Verdict::fail) {
    result.passes_with =
        remedy(options, stored.at("o").dtype() != p.dtype, lse, [&](const CandidateOptions& other) {
          const auto again = judge_as(p, stored, question.truth, other);
          return again && again->judgement.verdict == Verdict::pass;
        });
    Case named{.problem = p, .run = {}};
    named.run.kernel = "candidate";  // of the dump's name
    if (!failures.empty())
      message +=
          concat("; inputs, truth, got and bound: ",
                 write_dump(failures, named, question, judged->descriptor, judged->got).string());
  }
  return result;
}

}  // namespace attest
