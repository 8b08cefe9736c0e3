#include "harness/golden_make.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "cases/error.h"
#include "golden/golden_file.h"
#include "harness/golden_truth.h"
#include "harness/inputs.h"
#include "harness/provenance.h"
#include "harness/tolerance.h"

namespace attest {
namespace {

/// The first element where `stored` leaves `computed` by more than twice the bound, as a message;
/// empty where there is none. Infinities must be equal, and NaN stand where NaN stands.
std::string first_difference(const Tensor& stored, const Tensor& computed,
                             const std::vector<double>& bound) {
  for (Index n = 0; n < stored.size(); ++n) {
    const double got = stored.value(n), want = computed.value(n);
    const double allowed = 2 * bound[static_cast<std::size_t>(n)];
    const bool agrees =
        got == want || std::abs(got - want) <= allowed || (std::isnan(got) && std::isnan(want));
    if (!agrees)
      return concat("element ", n, " must be ", want, " within ", allowed, ", got ", got);
  }
  return "";
}

/// Candidates and digests lack what is needed to compute a case again.
void check_complete(const std::filesystem::path& path, const StoredCase& stored) {
  std::vector<std::pair<std::string, std::string>> needed;
  for (const std::string& name : golden_output_names(stored.problem))
    needed.emplace_back("outputs", name);
  for (const std::string& name : input_names(stored.problem)) needed.emplace_back("inputs", name);
  for (const auto& [group, name] : needed) {
    const auto found = stored.groups.find(group);
    if (found == stored.groups.end() || !found->second.find(name))
      throw InfraError(concat("golden: ", path.string(), " must store ", group, "/", name,
                              " to be computed again, got a case of tier ", stored.tier,
                              " without, ", print(stored.problem), "; run attest golden generate"));
  }
}

void compare_inputs(const StoredCase& stored, std::vector<GoldenDifference>& differences) {
  for (const Tensor& drawn : make_inputs(stored.problem)) {
    const Tensor& kept = stored.groups.at("inputs").at(drawn.name());
    if (kept.sha256() != drawn.sha256())
      differences.push_back({print(stored.problem), concat("inputs/", drawn.name()),
                             "must hold the bits that the seed draws, got others"});
  }
}

/// How far the outputs of a computation in fp64 may lie apart, by name.
std::map<std::string, std::vector<double>> output_bounds(const Problem& p, const Truth& truth) {
  if (p.level == Level::core) {
    Bounds bounds = derive_bounds(p, truth, reference_descriptor(p));
    return {{"o", std::move(bounds.hard_bound)}, {"lse", std::move(bounds.lse_bound)}};
  }
  std::map<std::string, std::vector<double>> bounds;
  for (const Tensor& output : truth.outputs)
    bounds[output.name()].assign(static_cast<std::size_t>(output.size()),
                                 golden_layer_bound(truth, output));
  return bounds;
}

void compare_outputs(const StoredCase& stored, const Truth& truth,
                     std::vector<GoldenDifference>& differences) {
  const auto bounds = output_bounds(stored.problem, truth);
  const TensorSet& outputs = stored.groups.at("outputs");
  for (const std::string& name : golden_output_names(stored.problem))
    if (const std::string message =
            first_difference(outputs.at(name), truth.outputs.at(name), bounds.at(name));
        !message.empty())
      differences.push_back({print(stored.problem), concat("outputs/", name), message});
}

/// Conditioning needs few correct digits: 1e-9 of the tensor's largest number leaves room for any
/// order of summation. A rounding may carry p_j over a power of two, which moves its term of
/// second_moment by a factor of four, and may break a tie of scores that max_raises counts.
void compare_conditioning(const StoredCase& stored, const Truth& truth,
                          std::vector<GoldenDifference>& differences) {
  const auto found = stored.groups.find("conditioning");
  if (found == stored.groups.end()) return;
  for (const Tensor& computed : truth.conditioning) {
    const Tensor* kept = found->second.find(computed.name());
    if (!kept || computed.name() == "max_raises") continue;
    double largest = 0;
    for (Index n = 0; n < computed.size(); ++n)
      if (std::isfinite(computed.value(n)))
        largest = std::max(largest, std::abs(computed.value(n)));
    std::vector<double> bound(static_cast<std::size_t>(computed.size()), 1e-9 * largest);
    if (computed.name() == "second_moment")
      for (Index n = 0; n < computed.size(); ++n)
        bound[static_cast<std::size_t>(n)] += 1.5 * computed.value(n);
    if (const std::string message = first_difference(*kept, computed, bound); !message.empty())
      differences.push_back({print(stored.problem), "conditioning/" + computed.name(), message});
  }
}

}  // namespace

void generate_golden(const std::filesystem::path& target, const std::vector<Problem>& problems,
                     const std::string& command, const std::function<void(const Problem&)>& wrote) {
  ATTEST_CHECK(!problems.empty(), "golden: a file must hold at least one case, got none");
  GoldenWriter writer(target, provenance(command));
  for (const Problem& problem : problems) {
    const TensorSet inputs = make_inputs(problem);
    const Truth truth = golden_truth(problem, inputs);
    writer.add({.problem = problem,
                .tier = "full",
                .groups = {{"inputs", inputs},
                           {"outputs", truth.outputs},
                           {"conditioning", truth.conditioning}},
                .attributes = {}});
    if (wrote) wrote(problem);
  }
  writer.publish();
}

std::vector<GoldenDifference> verify_golden(const std::filesystem::path& path) {
  const GoldenFile file(path);
  std::vector<GoldenDifference> differences;
  for (const std::string& id : file.case_ids()) {
    const StoredCase stored = file.read(id);
    check_complete(path, stored);
    compare_inputs(stored, differences);
    const Truth truth = golden_truth(stored.problem, stored.groups.at("inputs"));
    compare_outputs(stored, truth, differences);
    compare_conditioning(stored, truth, differences);
  }
  return differences;
}

Descriptor reference_descriptor(const Problem& p) {
  const double u = unit_roundoff(Dtype::fp64);
  return {.u_acc = u,
          .depth_qk = p.D,
          .chain_qk = p.D,
          .depth_pv = std::max<Index>(p.Sk, 1),
          .chain_pv = std::max<Index>(p.Sk, 1),
          .depth_l = std::max<Index>(p.Sk, 1),
          .u_a = u,
          .u_exp = 4 * u,
          .p_type = Dtype::fp64,
          .l_from_rounded_p = false,
          .block_k = std::max<Index>(p.Sk, 1),
          .splits = 1,
          .o_type = Dtype::fp64,
          .u_tanh = 4 * u};
}

}  // namespace attest
