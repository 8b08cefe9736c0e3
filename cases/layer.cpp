#include "cases/layer.h"

#include <algorithm>
#include <array>

#include "cases/enum_names.h"
#include "cases/error.h"
#include "cases/number.h"
#include "cases/problem.h"
#include "cases/stages.h"

namespace attest {
namespace {

constexpr std::array<std::string_view, 2> kLevels = {"core", "layer"};
constexpr std::array<std::string_view, 5> kNorms = {"none", "rms", "rms_zero_centered", "l2",
                                                    "layer"};
constexpr std::array<std::string_view, 3> kBiases = {"none", "qkv", "all"};

constexpr Index kMaxWidth = Index{1} << 20;
constexpr Index kMaxElements = Index{1} << 31;

void check_width(std::string_view key, Index value, Index low) {
  ATTEST_CHECK(value >= low && value <= kMaxWidth, "problem: ", key, " must lie in [", low, ", ",
               kMaxWidth, "] in a layer, got ", key, "=", value);
}

void check_matrix(std::string_view name, Index rows, Index columns) {
  ATTEST_CHECK(rows <= kMaxElements / columns, "problem: ", name,
               " must have at most 2^31 elements, ", "got ", rows, " x ", columns,
               "; choose a smaller problem");
}

void check_mla(const Problem& p) {
  check_width("L", p.layer.L, 1);
  check_width("Lq", p.layer.Lq, 0);
  ATTEST_CHECK(p.layer.norm == Norm::none && p.layer.bias == Bias::none && !p.layer.gate,
               "problem: norm, bias and gate belong to other variants, got one in mla");
  check_matrix("w_uq", p.H * p.D, p.layer.Lq > 0 ? p.layer.Lq : p.layer.E);
  check_matrix("w_ukv", p.H * (p.Dn + p.Dv), p.layer.L);
}

void check_others(const Problem& p) {
  ATTEST_CHECK(p.layer.L == 0 && p.layer.Lq == 0, "problem: L and Lq belong to mla, got them in ",
               name(p.variant));
  ATTEST_CHECK(p.D == p.Dv, "problem: a layer of ", name(p.variant),
               " projects q, k and v to one width, got D=", p.D, " Dv=", p.Dv);
  check(p.rope, p.D);
  check_matrix("w_qkv", (p.H * (p.layer.gate ? 2 : 1) + 2 * p.G) * p.D, p.layer.E);
}

void check_tp(const Problem& p) {
  const Index tp = p.layer.tp;
  check_width("tp", tp, 1);
  ATTEST_CHECK(p.H % tp == 0, "problem: H must be a multiple of tp, got H=", p.H, " tp=", tp);
  ATTEST_CHECK(p.variant == Variant::mla || p.G % tp == 0 || tp % p.G == 0,
               "problem: G must be a multiple of tp, or tp of G, got G=", p.G, " tp=", tp);
}

}  // namespace

std::string_view name(Level level) { return kLevels[static_cast<std::size_t>(level)]; }
std::string_view name(Norm norm) { return kNorms[static_cast<std::size_t>(norm)]; }
std::string_view name(Bias bias) { return kBiases[static_cast<std::size_t>(bias)]; }
Level parse_level(std::string_view text) { return parse_enum<Level>("level", kLevels, text); }
Norm parse_norm(std::string_view text) { return parse_enum<Norm>("norm", kNorms, text); }
Bias parse_bias(std::string_view text) { return parse_enum<Bias>("bias", kBiases, text); }

std::string print(const Layer& layer) {
  const Layer defaults;
  std::string text = concat(" E=", layer.E);
  if (layer.L != defaults.L) text += concat(" L=", layer.L);
  if (layer.Lq != defaults.Lq) text += concat(" Lq=", layer.Lq);
  if (layer.tp != defaults.tp) text += concat(" tp=", layer.tp);
  if (layer.norm != defaults.norm) text += concat(" norm=", name(layer.norm));
  if (layer.bias != defaults.bias) text += concat(" bias=", name(layer.bias));
  if (layer.gate != defaults.gate) text += " gate=1";
  if (layer.eps != defaults.eps) text += concat(" eps=", shortest(layer.eps));
  return text;
}

void check_layer(const Problem& p) {
  if (p.level == Level::core) {
    ATTEST_CHECK(p.layer == Layer{}, "problem: E, L, Lq, tp, norm, bias, gate and eps belong to ",
                 "level=layer, got one in level=core");
    return;
  }
  check_width("E", p.layer.E, 1);
  ATTEST_CHECK(p.layer.eps >= 0 && p.layer.eps < 1,
               "problem: eps must lie in [0, 1), got eps=", shortest(p.layer.eps));
  ATTEST_CHECK(p.mask != Mask::causal_top_left,
               "problem: a layer's new tokens are the last of their sequence, so that its mask is "
               "none or causal, got causal_top_left");
  for (Index b = 0; b < p.B; ++b)
    ATTEST_CHECK(
        p.length(b) >= p.Sq, "problem: a layer appends its Sq tokens to the cache, so that ",
        "no length is below Sq, got ", p.length(b), " for batch entry ", b, " with Sq=", p.Sq);
  ATTEST_CHECK(info(p.fill).of_layer,
               "problem: a layer's fill must make hidden states, not scores, "
               "got fill=",
               name(p.fill));
  p.variant == Variant::mla ? check_mla(p) : check_others(p);
  check_matrix("w_o", p.H * p.Dv, p.layer.E);
  check_tp(p);
  for (const TensorSpec& spec : layer_outputs(p)) {
    double elements = 1;
    for (Index extent : spec.shape) elements *= static_cast<double>(extent);
    ATTEST_CHECK(elements <= static_cast<double>(kMaxElements), "problem: ", spec.name,
                 " must have at most 2^31 elements, got ", elements, "; choose a smaller problem");
  }
}

}  // namespace attest
