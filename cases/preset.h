#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cases/layer.h"
#include "cases/rope.h"

namespace attest {

/// The attention of one published model (or of a small stand-in for it), read from presets/*.yaml.
struct Preset {
  enum class Kind {
    model,    ///< published
    standin,  ///< small, takes the same code paths as a model
    example,  ///< made up, to compare sizes
  };
  /// Whether the numbers were compared with a primary file (a model's configuration or the code
  /// that loads it). `partly`: `note` says what was not.
  enum class Verified { no, partly, yes };
  /// How a model tells positions apart. Without rope: a learned table, or a bias by distance.
  enum class Positions { rope, learned, relative_bias };
  /// A windowed layer's query sees `size` keys at most, its own included.
  struct Window {
    Index size = 0;          ///< 0: no layer has a window
    Index global_every = 0;  ///< n: each n-th layer, counted from 1, has none; 0: every layer has
  };

  std::string name, source, note;
  Kind kind = Kind::model;
  Verified verified = Verified::no;

  Index layers = 0;
  Index E = 0;           ///< model width
  Index H = 0;           ///< query heads
  Index G = 0;           ///< key/value heads; H in MLA
  Index D = 0;           ///< width of q and k; Dn + Dr in MLA
  Index Dv = 0;          ///< width of v
  Index Lq = 0;          ///< MLA: latent width of queries; 0: q is projected in one step
  Index L = 0;           ///< MLA: latent width of the cache; 0: not MLA
  Index Dn = 0, Dr = 0;  ///< MLA: width without and with position
  Index context = 0;     ///< longest context; 0: not stated

  Positions positions = Positions::rope;
  Rope rope;                          ///< kind none unless positions is rope
  std::optional<Rope> rope_windowed;  ///< of windowed layers, where it differs
  Window window;
  bool causal = true;  ///< false: an encoder, which keeps no cache between steps
  bool qkv_bias = false, o_bias = false;
  Norm qk_norm = Norm::none;  ///< of every head of q and k; rms or rms_zero_centered
  bool sinks = false;         ///< one learned logit per query head joins each softmax
  double softcap = 0;         ///< scores become softcap * tanh(score / softcap); 0: no
  Index scale_width = 0;      ///< scores are multiplied by 1 / sqrt(scale_width)

  bool is_mla() const { return L > 0; }

  /// Number of layers with a window.
  Index windowed_layers() const;

  std::string where;  ///< file:line:column
};

std::string_view name(Preset::Kind);
std::string_view name(Preset::Verified);
std::string_view name(Preset::Positions);

/// Presets of one text; README.md has the grammar. Throws attest::Error `file:line:column: rule,
/// got value` for an unknown, repeated or missing key, a wrong type, a value out of range, H that
/// is no multiple of G, keys of MLA and of other attention together, a name given twice.
std::vector<Preset> parse_presets(std::string_view yaml, std::string_view file);

/// Presets of all .yaml files of a folder, in order of file names. Throws what parse_presets()
/// throws, and InfraError for a folder without files or a file that cannot be read.
std::vector<Preset> load_presets(const std::filesystem::path& folder);

/// The preset called `name`. Throws attest::Error that lists similar names.
const Preset& find_preset(const std::vector<Preset>&, std::string_view name);

}  // namespace attest
