#include "cases/preset_layer.h"

#include <cmath>

#include "cases/error.h"

namespace attest {
namespace {

constexpr Index kMaxAbsorbed = 4;  // queries

Variant variant_of(const Preset& preset) {
  if (preset.is_mla()) return Variant::mla;
  if (preset.G == preset.H) return Variant::mha;
  return preset.G == 1 ? Variant::mqa : Variant::gqa;
}

}  // namespace

std::string missing_in_layer(const Preset& preset) {
  if (preset.positions == Preset::Positions::relative_bias) return "a bias by distance";
  if (preset.o_bias && !preset.qkv_bias) return "a bias of the output projection alone";
  if (preset.D != preset.Dv && !preset.is_mla()) return "values of another width than keys";
  return "";
}

Problem layer_of(const Preset& preset, const LayerExtent& extent) {
  const std::string missing = missing_in_layer(preset);
  ATTEST_CHECK(missing.empty(), "layer: its stages must be those of cases/stages.h, got ",
               preset.name, ", which needs ", missing);
  Problem p;
  p.variant = variant_of(preset);
  p.B = extent.B;
  p.Sq = extent.Sq;
  p.Sk = extent.Sk;
  p.dtype = extent.dtype;
  p.H = preset.H;
  p.G = preset.G;
  p.D = preset.D;
  p.Dv = preset.Dv;
  p.level = Level::layer;
  p.layer.E = preset.E;
  p.rope = preset.rope;
  p.mask = preset.causal ? Mask::causal : Mask::none;
  if (preset.is_mla()) {
    p.form = extent.Sq <= kMaxAbsorbed ? Form::absorbed : Form::expanded;
    p.layer.L = preset.L;
    p.layer.Lq = preset.Lq;
    p.Dn = preset.Dn;
    p.Dr = preset.Dr;
  } else {
    if (preset.scale_width != preset.D)
      p.scale = 1 / std::sqrt(static_cast<double>(preset.scale_width));
    p.layer.norm = preset.qk_norm;
    p.layer.bias = preset.o_bias ? Bias::all : preset.qkv_bias ? Bias::qkv : Bias::none;
  }
  p.softcap = preset.softcap;
  if (preset.sinks) p.sink = Sink::learned;
  if (preset.window.size > 0) {
    p.window.left = preset.window.size - 1;
    if (preset.rope_windowed) p.rope = *preset.rope_windowed;
  }
  validate(p);
  return p;
}

}  // namespace attest
