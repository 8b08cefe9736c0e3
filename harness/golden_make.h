#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "cases/descriptor.h"
#include "cases/problem.h"
#include "cases/truth.h"

namespace attest {

/// Writes a golden of the full tier: for every problem its inputs, outputs and conditioning
/// (golden_truth.h).
/// `target` appears, complete and verified, when all is written, and not before. `wrote` is called
/// after each problem. Throws InfraError when the disk refuses, attest::Error for no problem.
void generate_golden(const std::filesystem::path& target, const std::vector<Problem>&,
                     const std::string& command,
                     const std::function<void(const Problem&)>& wrote = {});

/// One tensor of a golden that is not what it should be.
struct GoldenDifference {
  std::string case_string, tensor, message;
};

/// Reads every case, checks all hashes, draws the inputs again and computes the truth again from
/// the stored inputs. o and lse must agree within twice the rounding bound of an fp64 computation,
/// the outputs of a layer within twice golden_layer_bound() (golden_truth.h), conditioning to nine
/// digits, so that files travel between instruction sets. Throws InfraError for a file that cannot
/// be read or lacks what that needs, such as a candidate or a digest.
std::vector<GoldenDifference> verify_golden(const std::filesystem::path&);

/// Rounding of the reference itself: plain fp64 sums over D and Sk.
Descriptor reference_descriptor(const Problem&);

}  // namespace attest
