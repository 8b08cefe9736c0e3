#pragma once

#include <string>
#include <string_view>

#include "cases/dtype.h"

namespace attest {

/// What a problem covers: `core` is q, k, v -> o, lse; `layer` is hidden states and weights ->
/// output.
enum class Level { core, layer };

/// Normalization of every head of q and k before they turn (of all variants but MLA, which has its
/// latent norms). Names in case strings: none rms rms_zero_centered l2 layer.
enum class Norm {
  none,
  rms,                ///< x / sqrt(mean(x^2) + eps) * w      (Qwen3)
  rms_zero_centered,  ///< the same times 1 + w               (Gemma 3)
  l2,                 ///< the same without weight (Llama 4; a mean of squares in spite of its name)
  layer,              ///< (x - mean(x)) / sqrt(var(x) + eps) * w + b
};

/// Which projections have a bias. Names: none qkv all.
enum class Bias { none, qkv, all };

std::string_view name(Level);
std::string_view name(Norm);
std::string_view name(Bias);
Level parse_level(std::string_view);
Norm parse_norm(std::string_view);
Bias parse_bias(std::string_view);

/// What only level=layer has. Defaults never change: ids and goldens hang on them.
struct Layer {
  Index E = 0;             ///< width of the hidden states
  Index L = 0;             ///< of mla: width of the latent of keys and values
  Index Lq = 0;            ///< of mla: width of the latent of queries; 0: there is none
  Index tp = 1;            ///< ranks that share the heads; their outputs add up
  Norm norm = Norm::none;  ///< of q and k, not of mla
  Bias bias = Bias::none;  ///< not of mla
  bool gate = false;       ///< o is multiplied by sigmoid(gate); not of mla
  double eps = 1e-6;       ///< of every norm

  bool operator==(const Layer&) const = default;
};

struct Problem;

/// The members as a case string has them, each with a blank before it; defaults are left out.
std::string print(const Layer&);

/// Throws attest::Error that names the first rule of layers which the problem breaks, also where a
/// problem of level=core has what only layers have.
void check_layer(const Problem&);

}  // namespace attest
