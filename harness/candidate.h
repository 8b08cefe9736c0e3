#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cases/descriptor.h"
#include "golden/golden_file.h"
#include "harness/record.h"

namespace attest {

/// What somebody else's program is taken to round. It declares nothing itself, so a name stands for
/// it: `attest compare --like`.
struct Likeness {
  std::string_view name;
  std::string_view assumes;     ///< in words; what `--list-like` shows
  bool mma;                     ///< products in 16-wide MMAs that add in fp32 and may truncate
  Dtype arithmetic;             ///< of everything else
  double u_exp;                 ///< relative error of the exponential
  std::optional<Dtype> p_type;  ///< what p is rounded to; empty: the problem's type
  Index block_k;                ///< keys per step of the running maximum; 0: all at once
};

std::span<const Likeness> likenesses();

/// Throws attest::Error that lists the names.
const Likeness& find_likeness(std::string_view name);

/// The default for a program that stores o in this type.
const Likeness& likeness_for(Dtype o_type);

/// How the stored tensors are to be read.
struct Reading {
  bool o_rounded = false;     ///< o was rounded to the problem's type, then stored in a wider one
  bool lse_log2 = false;      ///< lse is in units of ln 2
  bool lse_plus_inf = false;  ///< lse is +inf where a row sees no key

  bool operator==(const Reading&) const = default;
};

/// What the command line says of a candidate.
struct CandidateOptions {
  std::string like = {};             ///< name of a likeness; empty: by the type of o
  std::optional<Dtype> p_type = {};  ///< replace what the likeness says
  Index block_k = 0, splits = 0;     ///< the same; 0: as the likeness says, one part
  Reading reading = {};
};

/// The rounding of a likeness for one problem, of a layer that of its stages too. No order of
/// additions is assumed: 17 roundings for each 16-wide MMA, else one for each product and two more
/// (a scale folded into q, a p divided by l before p v).
Descriptor descriptor_of(const Likeness&, const Problem&, Dtype o_type, const CandidateOptions&);

/// Throws InfraError that names cases of the candidate which the golden lacks.
void check_cases(const GoldenFile& candidate, const GoldenFile& golden);

/// One judged case, and what it was taken for.
struct Candidate {
  Record record;
  const Likeness* like;     ///< null where none is needed
  std::string taken_for;    ///< "o in bf16, taken for flash-attention (default for bf16)"
  std::string passes_with;  ///< "--lse log2": options with which a failing case passes
};

/// Judges the outputs of one case by the truth and conditioning that the golden stores for it, with
/// every check of judge(). A failing case is dumped to `failures` unless that is empty; the message
/// names the dump.
///
/// candidate: o [B,Sq,H,Dv] in the problem's type, fp32 or fp64; lse [B,H,Sq] in fp32 or fp64 or
/// none; of a layer see candidate_layer.h. golden: tier full. Throws InfraError for others, for
/// inputs in the candidate that are not the golden's, and where options.reading or an arithmetic in
/// fp64 contradicts what is stored.
Candidate judge_candidate(const StoredCase& candidate, const StoredCase& golden,
                          const CandidateOptions&, const std::filesystem::path& failures);

}  // namespace attest
