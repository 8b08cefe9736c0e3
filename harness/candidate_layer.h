#pragma once

#include "harness/candidate.h"

namespace attest {

/// judge_candidate() for a layer. The candidate stores y [B,Sq,E] in the problem's type, fp32 or
/// fp64, which is judged end to end (layer_judge.h), or with y all that the stages leave
/// (cases/stages.h), in the problem's type and lse in fp32 or fp64: then every stage is judged,
/// from the bits that the candidate stored before it. With tp > 1 every rank has stages of its own,
/// so that only y is asked. A failing case is not dumped: its inputs are those of the golden.
///
/// The caches are whole, as after the call; rows of no new token must have the bits of the inputs.
/// Throws InfraError where y is missing and for other types.
Candidate judge_layer_candidate(const StoredCase& candidate, const StoredCase& golden,
                                const CandidateOptions&);

}  // namespace attest
