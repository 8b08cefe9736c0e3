#pragma once

#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "golden/golden_file.h"
#include "harness/candidate.h"

// How a candidate's tensors are checked and read, whatever they are the outputs of.
namespace attest {

/// Null where the case has no such group or tensor.
const Tensor* find(const StoredCase&, const std::string& group, const std::string& name);

/// Throws InfraError unless the golden has everything that a candidate is judged by.
void check_golden(const StoredCase& golden);

/// Throws InfraError unless the output has one of the types.
void check_type(const Problem&, const Tensor& output, std::initializer_list<Dtype>);

/// Throws InfraError where the candidate has inputs that are not the golden's.
void check_inputs(const StoredCase& candidate, const StoredCase& golden);

/// The tensor in a narrower type, if that holds each of its values. NaN becomes all bits set.
std::optional<Tensor> narrowed(const Tensor& wide, Dtype);

/// lse [B,H,Sq] in nats, -inf where a row sees no key.
Tensor in_nats(const Tensor& stored, const Reading&);

/// Throws InfraError for a narrow lse of an arithmetic in fp64.
void check_lse(const Problem&, const Tensor& lse, const Likeness&);

/// "o in bf16, taken for flash-attention (default for bf16)"; what: "o".
std::string taken_for(std::string_view what, Dtype, const Likeness&, const CandidateOptions&);

/// Another reading, or another likeness where none was given, with which a failing case passes: as
/// options ("--o-rounded --lse log2"), empty where there is none. wide: outputs are stored wider
/// than the problem's type.
std::string remedy(const CandidateOptions&, bool wide, bool has_lse,
                   const std::function<bool(const CandidateOptions&)>& passes);

/// SHA-256 over the inputs of a problem, as records have it.
std::string hash_of_inputs(const Problem&, const TensorSet& inputs);

}  // namespace attest
