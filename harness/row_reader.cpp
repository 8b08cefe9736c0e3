#include <algorithm>
#include <cmath>
#include <cstring>

#include "harness/compare.h"
#include "harness/rounding.h"

namespace attest {
namespace {

/// All values of a 16-bit type, so that reading a row costs a load an element.
std::vector<float> all_values(Dtype dtype) {
  std::vector<float> table(1 << 16);
  for (std::uint32_t bits = 0; bits < table.size(); ++bits) {
    const auto stored = static_cast<std::uint16_t>(bits);
    table[bits] = static_cast<float>(decode(dtype, &stored));
  }
  return table;
}

void decode_narrow(const std::vector<float>& table, const std::byte* first, std::span<double> out) {
  for (double& value : out) {
    std::uint16_t bits;
    std::memcpy(&bits, first, sizeof bits);
    value = table[bits];
    first += sizeof bits;
  }
}

void decode_row(Dtype dtype, const std::byte* first, std::span<double> out) {
  static const std::vector<float> fp16 = all_values(Dtype::fp16), bf16 = all_values(Dtype::bf16);
  if (dtype == Dtype::fp16) return decode_narrow(fp16, first, out);
  if (dtype == Dtype::bf16) return decode_narrow(bf16, first, out);
  decode(dtype, first, static_cast<Index>(out.size()), 1, out.data());
}

/// x - x is 0 for finite x only.
bool all_finite(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value - value;
  return sum == 0;
}

/// NaN equals nothing; an infinity equals only itself.
bool class_agrees(double got, double want) {
  return std::isfinite(got) ? std::isfinite(want) : got == want;
}

}  // namespace

RowReader::RowReader(const Problem& p, const Truth& truth, const Descriptor& descriptor,
                     const TensorSet& outputs, bool exact)
    : problem_(p),
      descriptor_(descriptor),
      got_o_(outputs.at("o")),
      got_lse_(outputs.at("lse")),
      want_o_(truth.outputs.at("o").as<double>()),
      want_lse_(truth.outputs.at("lse").as<double>()),
      conditioning_(p, truth),
      exact_(exact) {
  const auto width = static_cast<std::size_t>(p.Dv);
  for (auto* buffer : {&got_, &error_, &hard_, &stat_, &sigma_, &systematic_, &magnitude_})
    buffer->resize(width);
  state_.resize(width);
}

const ComparedRow& RowReader::read(Index n) {
  const Problem& p = problem_;
  row_ = {};
  row_.b = n / (p.H * p.Sq);
  row_.i = n / p.H % p.Sq;
  row_.h = n % p.H;
  row_.empty = conditioning_.empty(row_.b, row_.i, row_.h);
  const auto width = static_cast<std::size_t>(p.Dv);
  const auto want = want_o_.subspan(static_cast<std::size_t>(n) * width, width);
  const std::byte* stored = got_o_.bytes().data();
  decode_row(got_o_.dtype(), stored + static_cast<std::size_t>(n) * width * size_of(got_o_.dtype()),
             got_);
  row_.want = want;
  row_.got = got_;
  row_.state = state_;
  bool exact = row_.empty;
  if (!row_.empty) {
    const RowConditioning conditioning = conditioning_.row(row_.b, row_.i, row_.h);
    row_.lse_bounds = derive_row(p, descriptor_, conditioning, {hard_, stat_, sigma_, systematic_});
    row_.row_sum = conditioning.row_sum;
    exact = exact_ && stores_top_value(descriptor_, conditioning);
    std::copy(conditioning.abs_mag.begin(), conditioning.abs_mag.end(), magnitude_.begin());
    row_.abs_mag = magnitude_;
    row_.hard_bound = hard_;
    row_.stat_bound = stat_;
    row_.sigma = sigma_;
    row_.systematic = systematic_;
  }
  classify(want, exact);
  read_lse();
  return row_;
}

// Classes come before arithmetic, so that no infinity or NaN reaches a sum.
void RowReader::classify(std::span<const double> want, bool exact) {
  const bool finite = all_finite(got_) && all_finite(want);
  row_.error = error_;
  for (std::size_t k = 0; k < got_.size(); ++k) error_[k] = got_[k] - want[k];
  std::memset(state_.data(), kComparable, state_.size());
  if (finite && !exact) return;

  for (std::size_t k = 0; k < got_.size(); ++k) {
    const double nearest = row_.empty ? 0 : want[k];
    if (!class_agrees(got_[k], nearest))
      state_[k] = kWrongClass;
    else if (exact && got_[k] != round_to(got_o_.dtype(), nearest))
      state_[k] = kNotExact;
    row_.wrong_class += state_[k] == kWrongClass;
    row_.not_exact += state_[k] == kNotExact;
    if (std::isfinite(got_[k]) && std::isfinite(want[k])) continue;
    error_[k] = 0;
    if (!row_.empty) sigma_[k] = 0;
    if (!std::isfinite(want[k])) hard_[k] = stat_[k] = magnitude_[k] = 0;
  }
}

void RowReader::read_lse() {
  const Problem& p = problem_;
  const Index n = (row_.b * p.H + row_.h) * p.Sq + row_.i;
  row_.lse_want = row_.empty ? -INFINITY : want_lse_[static_cast<std::size_t>(n)];
  row_.lse_got = got_lse_.value(n);
  row_.lse_error = 0;
  row_.lse_state = kComparable;
  if (!class_agrees(row_.lse_got, row_.lse_want))
    row_.lse_state = row_.empty && std::isfinite(row_.lse_got) ? kNotExact : kWrongClass;
  else if (std::isfinite(row_.lse_got))
    row_.lse_error = row_.lse_got - row_.lse_want;
}

}  // namespace attest
