#include "harness/candidate.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <numbers>

#include "cases/error.h"
#include "cases/sha256.h"
#include "harness/dump.h"
#include "harness/inputs.h"
#include "harness/rounding.h"

namespace attest {
namespace {

constexpr std::array<Likeness, 3> kLikenesses = {
    {{.name = "flash-attention",
      .assumes = "tensor cores (16-wide MMAs) that add in fp32 and may truncate; softmax in fp32 "
                 "with a running maximum over blocks of 32 keys; p rounded to the case's 16-bit "
                 "type, the row sum adds it unrounded",
      .mma = true,
      .arithmetic = Dtype::fp32,
      .u_exp = 0x1p-22,  // ex2.approx (PTX ISA)
      .p_type = std::nullopt,
      .block_k = 32},
     {.name = "naive-fp32",
      .assumes = "all of it in fp32, sums in any order, exp within 4 ulp, softmax over all keys at "
                 "once; p is not rounded further",
      .mma = false,
      .arithmetic = Dtype::fp32,
      .u_exp = 0x1p-21,
      .p_type = Dtype::fp32,
      .block_k = 0},
     {.name = "exact-fp64",
      .assumes =
          "all of it in fp64, sums in any order; o rounds to the type it is stored in, lse is fp64",
      .mma = false,
      .arithmetic = Dtype::fp64,
      .u_exp = 0x1p-50,
      .p_type = Dtype::fp64,
      .block_k = 0}}};

Index parts(Index whole, Index part) { return (whole + part - 1) / part; }

const Tensor* find(const StoredCase& stored, const std::string& group, const std::string& name) {
  const auto found = stored.groups.find(group);
  return found == stored.groups.end() ? nullptr : found->second.find(name);
}

void check_golden(const StoredCase& golden) {
  const std::string problem = print(golden.problem);
  if (golden.tier != "full")
    throw InfraError(concat("compare: the golden must be of the tier full, got ", golden.tier,
                            " for ", problem, "; make it again: attest golden generate \"", problem,
                            "\" -o FILE"));
  for (const char* group : {"inputs", "outputs", "conditioning"})
    if (!golden.groups.contains(group))
      throw InfraError(
          concat("compare: the golden must hold inputs, outputs and conditioning, got no ", group,
                 " for ", problem, "; the order is attest compare CANDIDATE GOLDEN"));
}

void check_type(const Problem& p, const Tensor& output, std::initializer_list<Dtype> dtypes) {
  if (std::count(dtypes.begin(), dtypes.end(), output.dtype())) return;
  std::string allowed;
  for (const Dtype dtype : dtypes) allowed += concat(allowed.empty() ? "" : ", ", name(dtype));
  throw InfraError(concat("compare: ", output.name(), " of the candidate must be one of ", allowed,
                          ", got ", name(output.dtype()), " for ", print(p),
                          "; store it as it was computed"));
}

void check_candidate(const StoredCase& candidate, const StoredCase& golden) {
  const Problem& p = golden.problem;
  const Tensor *o = find(candidate, "outputs", "o"), *lse = find(candidate, "outputs", "lse");
  if (!o)
    throw InfraError(concat("compare: the candidate must store outputs/o, got none of it for ",
                            print(p), " (tier ", candidate.tier,
                            "); write it or leave the case out"));
  check_type(p, *o, {p.dtype, Dtype::fp32, Dtype::fp64});
  if (lse) check_type(p, *lse, {Dtype::fp32, Dtype::fp64});
  for (const Tensor& input : golden.groups.at("inputs"))
    if (const Tensor* used = find(candidate, "inputs", input.name());
        used && used->sha256() != input.sha256())
      throw InfraError(
          concat("compare: inputs of the candidate must be the golden's, got other bits in ",
                 input.name(), " for ", print(p), "; compute from the inputs of the golden"));
}

/// The tensor in a narrower type, if that holds each of its values.
std::optional<Tensor> narrowed(const Tensor& wide, Dtype dtype) {
  Tensor narrow(wide.name(), dtype, wide.layout(), wide.shape());
  for (Index n = 0; n < wide.size(); ++n) {
    const double value = wide.value(n);
    if (!std::isnan(value) && round_to(dtype, value) != value) return std::nullopt;
    encode(dtype, value, narrow.bytes().data() + static_cast<std::size_t>(n) * size_of(dtype));
  }
  return narrow;
}

/// lse [B,H,Sq] in nats, -inf where a row sees no key.
Tensor in_nats(const Tensor& stored, const Reading& reading) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Tensor lse("lse", Dtype::fp64, "BHS", stored.shape());
  for (Index n = 0; n < stored.size(); ++n) {
    double value = stored.value(n);
    if (reading.lse_log2) value *= std::numbers::ln2;
    if (reading.lse_plus_inf && value == kInfinity) value = -kInfinity;
    lse.as<double>()[static_cast<std::size_t>(n)] = value;
  }
  return lse;
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
                               const CandidateOptions& options, const Reading& reading) {
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

/// "--o-rounded --lse log2": the options that stand for a reading.
std::string options_of(const Reading& reading) {
  std::string lse = reading.lse_log2 ? "log2" : "";
  if (reading.lse_plus_inf) lse += lse.empty() ? "+inf-empty" : ",+inf-empty";
  if (lse.empty()) return reading.o_rounded ? "--o-rounded" : "neither --o-rounded nor --lse";
  return concat(reading.o_rounded ? "--o-rounded " : "", "--lse ", lse);
}

/// Another reading, or another likeness where none was given, with which a failing case passes: as
/// options, empty where there is none.
std::string remedy(const Problem& p, const TensorSet& stored, const Truth& truth,
                   const CandidateOptions& options) {
  const bool has_lse = stored.find("lse"), wide = stored.at("o").dtype() != p.dtype;
  for (const unsigned bits : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
    const Reading other{(bits & 4) != 0, (bits & 2) != 0, (bits & 1) != 0};
    const bool means_nothing = (other.o_rounded && !wide) || (bits & 3 && !has_lse);
    if (other == options.reading || means_nothing) continue;
    const auto judged = judge_as(p, stored, truth, options, other);
    if (judged && judged->judgement.verdict == Verdict::pass) return options_of(other);
  }
  if (!options.like.empty()) return "";
  for (const Likeness& likeness : kLikenesses) {
    CandidateOptions like = options;
    like.like = likeness.name;
    const auto judged = judge_as(p, stored, truth, like, options.reading);
    if (judged->judgement.verdict == Verdict::pass) return concat("--like ", likeness.name);
  }
  return "";
}

std::string taken_for(const Judged& judged, const CandidateOptions& options, bool has_lse) {
  const Dtype o_type = judged.descriptor.o_type;
  std::string text =
      concat("o in ", name(o_type), options.reading.o_rounded ? " (--o-rounded)" : "",
             ", taken for ", judged.like->name);
  if (options.like.empty()) text += concat(" (default for ", name(o_type), ")");
  if (options.p_type) text += concat(" with p in ", name(*options.p_type));
  if (options.block_k > 0) text += concat(" with blocks of ", options.block_k, " keys");
  if (options.splits > 1) text += concat(" with ", options.splits, " splits");
  return has_lse ? text : text + ", without lse: only o is checked";
}

std::string hash_of(const Problem& p, const TensorSet& inputs) {
  std::string joined;
  for (const std::string& name : input_names(p)) joined += name + inputs.at(name).sha256();
  return sha256(joined);
}

}  // namespace

std::span<const Likeness> likenesses() { return kLikenesses; }

const Likeness& find_likeness(std::string_view name) {
  std::string known;
  for (const Likeness& likeness : kLikenesses) {
    if (likeness.name == name) return likeness;
    known += concat(' ', likeness.name);
  }
  throw Error(concat("like: must be one of", known, ", got ", name,
                     "; attest compare --list-like says what each assumes"));
}

const Likeness& likeness_for(Dtype o_type) {
  if (o_type == Dtype::fp64) return find_likeness("exact-fp64");
  return find_likeness(o_type == Dtype::fp32 ? "naive-fp32" : "flash-attention");
}

Descriptor descriptor_of(const Likeness& like, const Problem& p, Dtype o_type,
                         const CandidateOptions& options) {
  const Index all = std::max<Index>(p.Sk, 1), splits = std::max<Index>(options.splits, 1);
  const Index wanted = options.block_k > 0 ? options.block_k : like.block_k;
  const Index block_k = wanted > 0 ? wanted : all;
  const Index keys = std::min(all, block_k * parts(parts(all, block_k), splits));  // of one split
  const double u = unit_roundoff(like.arithmetic);
  const auto chain = [&](Index terms) { return like.mma ? parts(terms, 16) : terms + 2; };
  const Index per_link = like.mma ? 17 : 1;
  return {.u_acc = like.mma ? 0x1p-23 : u,
          .depth_qk = per_link * chain(p.D),
          .chain_qk = chain(p.D),
          .depth_pv = per_link * chain(keys),
          .chain_pv = chain(keys),
          .depth_l = keys,
          .u_a = u,
          .u_exp = like.u_exp,
          .p_type = options.p_type.value_or(like.p_type.value_or(p.dtype)),
          .l_from_rounded_p = false,
          .block_k = block_k,
          .splits = splits,
          .o_type = o_type};
}

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
  check_candidate(candidate, golden);
  const Problem& p = golden.problem;
  const TensorSet& stored = candidate.groups.at("outputs");
  const Question question{p,
                          golden.groups.at("inputs"),
                          {golden.groups.at("outputs"), golden.groups.at("conditioning")},
                          {}};
  const auto start = std::chrono::steady_clock::now();
  const auto judged = judge_as(p, stored, question.truth, options, options.reading);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  if (!judged)
    throw InfraError(concat("compare: with --o-rounded every element of o must be a ",
                            name(p.dtype), " number, got others for ", print(p),
                            "; leave --o-rounded out"));
  const Tensor* lse = stored.find("lse");
  if (lse && judged->like->arithmetic == Dtype::fp64 && lse->dtype() != Dtype::fp64)
    throw InfraError(concat("compare: lse must be fp64 with --like ", judged->like->name, ", got ",
                            name(lse->dtype()), " for ", print(p),
                            "; store lse in fp64, leave it out, or give --like naive-fp32"));

  Candidate result{.record = {},
                   .like = judged->like,
                   .taken_for = taken_for(*judged, options, lse),
                   .passes_with = {}};
  Record& record = result.record;
  record.which.problem = p;
  record.judgement = judged->judgement;
  record.descriptor = judged->descriptor;
  record.device = "candidate";
  record.seconds.judge = spent.count();
  record.inputs_sha256 = hash_of(p, question.inputs);
  record.o_sha256 = stored.at("o").sha256();
  if (lse) record.lse_sha256 = lse->sha256();
  std::string& message = record.judgement.message;
  if (!lse) message += concat(message.empty() ? "" : "; ", "no lse: its checks are left out");
  if (record.judgement.verdict == Verdict::fail) {
    result.passes_with = remedy(p, stored, question.truth, options);
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
