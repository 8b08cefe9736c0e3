#include "harness/stage_bound.h"

#include <cmath>

#include "cases/error.h"
#include "harness/gates.h"

namespace attest {
namespace {

double gamma(double depth, double u) { return depth * u / (1 - depth * u); }

/// Relative error of a norm's result over `width` values. [L2]
double norm_error(const LayerRounding& r, Index width) {
  const double lanes = static_cast<double>(r.lanes);
  const double chain = std::ceil(static_cast<double>(width) / lanes) + std::log2(lanes);
  return (chain + 4) / 2 * r.u_a + r.u_rsqrt + 4 * r.u_a + (chain + 2) * r.u_a;
}

/// Distance of neighbouring numbers of a type around x.
double spacing(Dtype dtype, double x) {
  const double smallest = min_subnormal(dtype);
  if (x == 0) return smallest;
  int exponent;
  std::frexp(x, &exponent);
  return std::fmax(std::ldexp(2 * unit_roundoff(dtype), exponent - 1), smallest);
}

}  // namespace

Index gemm_depth(const Problem& p, const Stage& stage) {
  const auto is = [&](std::string_view name) { return stage.name == name; };
  if (is("q_absorb")) return p.Dn;
  if (is("kv_up") || is("v_up")) return p.layer.L;
  if (is("q_up") && p.layer.Lq > 0) return p.layer.Lq;
  return is("out") ? p.H * p.Dv : p.layer.E;
}

StageRounding::StageRounding(const Problem& p, const Stage& stage, Dtype stored,
                             const Descriptor& d)
    : stored_(stored) {
  const LayerRounding& r = d.layer;
  const bool mla = p.variant == Variant::mla;
  switch (stage.kind) {
    case StageKind::gemm: {  // [L1]
      const Index chain = (gemm_depth(p, stage) + r.mma_width - 1) / r.mma_width;
      hard_ = gamma(static_cast<double>(r.mma_depth * chain + 1), r.u_acc);
      typical_ = kTypicalSum * gamma(static_cast<double>(chain + 1), r.u_acc);
      return;
    }
    case StageKind::norm:
      hard_ = norm_error(r, p.layer.Lq);
      break;
    case StageKind::rope_append:  // [L3]
      hard_ = norm_error(r, mla ? p.layer.L : p.D) + 4 * r.u_a;
      break;
    case StageKind::gate:  // [L4]
      hard_ = r.u_sigmoid + 2 * r.u_a;
      break;
    case StageKind::assemble:
    case StageKind::attention:
      break;
  }
  typical_ = kTypicalSum * hard_;
}

StageBound StageRounding::of(double want, double magnitude) const {
  if (magnitude == 0) return {0, 0};
  const double u = unit_roundoff(stored_);
  const double before = hard_ * magnitude, step = spacing(stored_, want);
  const double typical = typical_ * magnitude;
  return {.hard = before * (1 + u) + u * std::fabs(want) + min_subnormal(stored_) / 2,
          .sigma = std::sqrt(step * step / 12 + typical * typical)};
}

}  // namespace attest
