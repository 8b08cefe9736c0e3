#include "harness/candidate_read.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "cases/error.h"
#include "cases/sha256.h"
#include "harness/inputs.h"
#include "harness/rounding.h"

namespace attest {

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

void check_inputs(const StoredCase& candidate, const StoredCase& golden) {
  for (const Tensor& input : golden.groups.at("inputs"))
    if (const Tensor* used = find(candidate, "inputs", input.name());
        used && used->sha256() != input.sha256())
      throw InfraError(concat(
          "compare: inputs of the candidate must be the golden's, got other bits in ", input.name(),
          " for ", print(golden.problem), "; compute from the inputs of the golden"));
}

std::optional<Tensor> narrowed(const Tensor& wide, Dtype dtype) {
  Tensor narrow(wide.name(), dtype, wide.layout(), wide.shape());
  for (Index n = 0; n < wide.size(); ++n) {
    const double value = wide.value(n);
    if (std::isnan(value)) continue;  // as a new tensor has it
    if (round_to(dtype, value) != value) return std::nullopt;
    encode(dtype, value, narrow.bytes().data() + static_cast<std::size_t>(n) * size_of(dtype));
  }
  return narrow;
}

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

void check_lse(const Problem& p, const Tensor& lse, const Likeness& like) {
  if (like.arithmetic == Dtype::fp64 && lse.dtype() != Dtype::fp64)
    throw InfraError(concat("compare: lse must be fp64 with --like ", like.name, ", got ",
                            name(lse.dtype()), " for ", print(p),
                            "; store lse in fp64, leave it out, or give --like naive-fp32"));
}

std::string taken_for(std::string_view what, Dtype type, const Likeness& like,
                      const CandidateOptions& options) {
  std::string text =
      concat(what, " in ", name(type), options.reading.o_rounded ? " (--o-rounded)" : "",
             ", taken for ", like.name);
  if (options.like.empty()) text += concat(" (default for ", name(type), ")");
  if (options.p_type) text += concat(" with p in ", name(*options.p_type));
  if (options.block_k > 0) text += concat(" with blocks of ", options.block_k, " keys");
  if (options.splits > 1) text += concat(" with ", options.splits, " splits");
  return text;
}

namespace {

/// The options that stand for a reading.
std::string options_of(const Reading& reading) {
  std::string lse = reading.lse_log2 ? "log2" : "";
  if (reading.lse_plus_inf) lse += lse.empty() ? "+inf-empty" : ",+inf-empty";
  if (lse.empty()) return reading.o_rounded ? "--o-rounded" : "neither --o-rounded nor --lse";
  return concat(reading.o_rounded ? "--o-rounded " : "", "--lse ", lse);
}

}  // namespace

std::string remedy(const CandidateOptions& options, bool wide, bool has_lse,
                   const std::function<bool(const CandidateOptions&)>& passes) {
  CandidateOptions other = options;
  for (const unsigned bits : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
    other.reading = {(bits & 4) != 0, (bits & 2) != 0, (bits & 1) != 0};
    const bool means_nothing = (other.reading.o_rounded && !wide) || (bits & 3 && !has_lse);
    if (other.reading == options.reading || means_nothing) continue;
    if (passes(other)) return options_of(other.reading);
  }
  if (!options.like.empty()) return "";
  other.reading = options.reading;
  for (const Likeness& likeness : likenesses()) {
    other.like = likeness.name;
    if (passes(other)) return concat("--like ", likeness.name);
  }
  return "";
}

std::string hash_of_inputs(const Problem& p, const TensorSet& inputs) {
  std::string joined;
  for (const std::string& name : input_names(p)) joined += name + inputs.at(name).sha256();
  return sha256(joined);
}

}  // namespace attest
