#include "cases/error.h"
#include "harness/tolerance.h"

namespace attest {
namespace {

std::span<const double> values(const TensorSet& set, const char* name,
                               const std::vector<Index>& shape) {
  const Tensor* tensor = set.find(name);
  ATTEST_CHECK(tensor, "tolerance: the truth must hold ", name,
               ", got none; ask the reference for outputs and conditioning");
  ATTEST_CHECK(tensor->shape() == shape && tensor->dtype() == Dtype::fp64,
               "tolerance: the truth must be fp64 and have the problem's shapes, got another ",
               name, "; compute it for this problem");
  return tensor->as<double>();
}

}  // namespace

Conditioning::Conditioning(const Problem& p, const Truth& truth) : problem_(p) {
  const std::vector<Index> element{p.B, p.Sq, p.H, p.Dv}, row{p.B, p.H, p.Sq};
  const TensorSet &outputs = truth.outputs, &conditioning = truth.conditioning;
  o_ = values(outputs, "o", element);
  lse_ = values(outputs, "lse", row);
  abs_mag_ = values(conditioning, "abs_mag", element);
  abs_mag_a_ = values(conditioning, "abs_mag_a", element);
  abs_mag_gap_ = values(conditioning, "abs_mag_gap", element);
  second_moment_ = values(conditioning, "second_moment", element);
  visible_abs_v_ = values(conditioning, "visible_abs_v", element);
  visible_ = values(conditioning, "visible", row);
  row_max_ = values(conditioning, "row_max", row);
  row_sum_ = values(conditioning, "row_sum", row);
  mean_a_ = values(conditioning, "mean_a", row);
  mean_gap_ = values(conditioning, "mean_gap", row);
  max_a_ = values(conditioning, "max_a", row);
  max_gap_ = values(conditioning, "max_gap", row);
  max_raises_ = values(conditioning, "max_raises", row);
}

bool Conditioning::empty(Index b, Index i, Index h) const {
  return visible_[static_cast<std::size_t>((b * problem_.H + h) * problem_.Sq + i)] == 0;
}

RowConditioning Conditioning::row(Index b, Index i, Index h) const {
  const Problem& p = problem_;
  const auto n = static_cast<std::size_t>((b * p.H + h) * p.Sq + i);
  const auto width = static_cast<std::size_t>(p.Dv);
  const std::size_t first = static_cast<std::size_t>((b * p.Sq + i) * p.H + h) * width;
  const auto part = [&](std::span<const double> all) { return all.subspan(first, width); };
  return {.visible = static_cast<Index>(visible_[n]),
          .lse = lse_[n],
          .row_max = row_max_[n],
          .row_sum = row_sum_[n],
          .mean_a = mean_a_[n],
          .mean_gap = mean_gap_[n],
          .max_a = max_a_[n],
          .max_gap = max_gap_[n],
          .max_raises = max_raises_[n],
          .o = part(o_),
          .abs_mag = part(abs_mag_),
          .abs_mag_a = part(abs_mag_a_),
          .abs_mag_gap = part(abs_mag_gap_),
          .second_moment = part(second_moment_),
          .visible_abs_v = part(visible_abs_v_)};
}

}  // namespace attest
