#include "harness/stage_compare.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>

#include "cases/error.h"
#include "harness/gates.h"
#include "harness/stage_bound.h"

namespace attest {
namespace {

/// Rows of a stored tensor, all axes but the first two and what lies in them, and which of the true
/// tensor's rows each of them must equal.
struct RowMap {
  Index width;                     ///< elements of a row
  std::vector<Index> stored;       ///< [rows of the truth]; -1: nobody's
  std::vector<Index> index_shape;  ///< of a row, for messages
};

/// Row of position j of batch entry b in a cache [B,Sk,...] or, with pages, [P,page,...].
Index cache_row(const Problem& p, const TensorSet& inputs, Index b, Index j) {
  if (p.page == 0) return b * p.Sk + j;
  const auto table = inputs.at("block_table").as<std::int32_t>();
  return table[static_cast<std::size_t>(b * p.table_width() + j / p.page)] * p.page + j % p.page;
}

RowMap map_rows(const Problem& p, const Tensor& want, bool cache, const TensorSet& inputs) {
  RowMap map;
  const Index rows = want.shape()[0] * want.shape()[1], length = want.shape()[1];
  map.width = rows > 0 ? want.size() / rows : 0;
  map.index_shape.assign(want.shape().begin() + 2, want.shape().end());
  for (Index b = 0; b < want.shape()[0]; ++b)
    for (Index i = 0; i < length; ++i) {
      if (cache)
        map.stored.push_back(cache_row(p, inputs, b, p.position(b, i)));
      else  // kv, k and v have a row for every slot, but no tokens behind the length
        map.stored.push_back(length == p.Sk && length != p.Sq && i >= p.length(b) ? -1
                                                                                  : b * length + i);
    }
  return map;
}

/// Everything one pass over a tensor shows.
struct Tally {
  Index nonfinite = 0, inexact = 0, beyond = 0, total = 0, rounded = 0;
  double ratio = 0, z2 = 0, want2 = 0, hard2 = 0;
  std::vector<std::pair<double, Element>> worst;  // ratio first, largest first

  void keep(double at, Element element) {
    constexpr std::size_t kLength = 8;
    if (worst.size() == kLength && at <= worst.back().first) return;
    const auto place = std::find_if(worst.begin(), worst.end(),
                                    [&](const auto& other) { return other.first < at; });
    worst.insert(place, {at, std::move(element)});
    if (worst.size() > kLength) worst.pop_back();
  }
};

Element element_at(const Tensor& want, const RowMap& map, Index row, Index n, double got,
                   double true_value, double bound) {
  std::vector<Index> index = {row / want.shape()[1], row % want.shape()[1]};
  std::vector<Index> inner(map.index_shape.size());
  for (std::size_t axis = inner.size(); axis-- > 0; n /= map.index_shape[axis])
    inner[axis] = n % map.index_shape[axis];
  index.insert(index.end(), inner.begin(), inner.end());
  return {want.name(), index, got, true_value, bound};
}

void compare_tensor(const RowMap& map, const StageRounding& rounding, const Tensor& want,
                    const Tensor& magnitude, const Tensor& got, Tally& tally) {
  const auto wants = want.as<double>(), magnitudes = magnitude.as<double>();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (Index row = 0; row < std::ssize(map.stored); ++row) {
    const Index stored = map.stored[static_cast<std::size_t>(row)];
    if (stored < 0) continue;
    for (Index n = 0; n < map.width; ++n) {
      const auto at = static_cast<std::size_t>(row * map.width + n);
      const double value = got.value(stored * map.width + n);
      const StageBound bound = rounding.of(wants[at], magnitudes[at]);
      const double error = value - wants[at];
      ++tally.total;
      const auto keep = [&](double ratio) {
        tally.keep(ratio, element_at(want, map, row, n, value, wants[at], bound.hard));
      };
      if (!std::isfinite(value)) {
        ++tally.nonfinite;
        keep(kInfinity);
        continue;
      }
      tally.want2 += wants[at] * wants[at];
      tally.hard2 += bound.hard * bound.hard;
      if (bound.hard == 0) {
        if (error != 0) ++tally.inexact, keep(kInfinity);
        continue;
      }
      const double ratio = std::fabs(error) / bound.hard;
      tally.beyond += !(ratio <= 1);
      tally.z2 += error * error / (bound.sigma * bound.sigma);
      ++tally.rounded;
      if (ratio > tally.ratio || ratio > 1) keep(ratio);
      tally.ratio = std::max(tally.ratio, ratio);
    }
  }
}

/// A cache row of no new token that changed, as a message.
std::string touched_row(const RowMap& map, const Tensor& before, const Tensor& after) {
  const std::size_t bytes = static_cast<std::size_t>(map.width) * size_of(after.dtype());
  std::vector<bool> fresh(static_cast<std::size_t>(after.size() / map.width));
  for (const Index row : map.stored) fresh[static_cast<std::size_t>(row)] = true;
  for (std::size_t row = 0; row < fresh.size(); ++row)
    if (!fresh[row] && std::memcmp(before.bytes().data() + row * bytes,
                                   after.bytes().data() + row * bytes, bytes) != 0)
      return concat(after.name(), "[", row / static_cast<std::size_t>(after.shape()[1]), ",",
                    row % static_cast<std::size_t>(after.shape()[1]),
                    "] was overwritten, though no new token belongs there");
  return "";
}

Check first_failure(const Tally& t, double rho, bool touched) {
  if (t.nonfinite > 0) return Check::nonfinite;
  if (t.inexact > 0 || touched) return Check::exact;
  if (t.beyond > 0) return Check::hard_bound;
  return rho <= rho_limit(t.rounded) ? Check::none : Check::rho;
}

}  // namespace

StageResult compare_stage(const Problem& p, const Stage& stage, const Truth& truth,
                          const Descriptor& d, const TensorSet& inputs, const TensorSet& outputs) {
  StageResult result{.stage = std::string(stage.name)};
  for (const TensorSpec& spec : stage.outputs) {
    const Tensor& got = outputs.at(spec.name);
    ATTEST_CHECK(got.shape() == spec.shape && got.dtype() == spec.dtype, "judge: ", spec.name,
                 " must have the shape and type of the stage ", stage.name, ", got others");
    const Tensor &want = truth.outputs.at(spec.name), &magnitude = truth.conditioning.at(spec.name);
    const Tensor* before = inputs.find(spec.name);
    const RowMap map = map_rows(p, want, before != nullptr, inputs);
    Tally tally;
    compare_tensor(map, StageRounding(p, stage, got.dtype(), d), want, magnitude, got, tally);
    const std::string touched = before ? touched_row(map, *before, got) : "";
    const double rho =
        tally.rounded > 0 ? std::sqrt(tally.z2 / static_cast<double>(tally.rounded)) : 0;
    result.ratio = std::max(result.ratio, tally.ratio);
    result.rho = std::max(result.rho, rho);
    result.total += tally.total;
    if (result.verdict == Verdict::fail) continue;
    result.check = first_failure(tally, rho, !touched.empty());
    if (result.check != Check::none) {
      result.verdict = Verdict::fail;
      result.failing = tally.nonfinite + tally.inexact + tally.beyond;
      for (auto& [ratio, element] : tally.worst) result.worst.push_back(std::move(element));
      const bool elements = result.failing > 0;
      result.message =
          elements
              ? concat(print(result.worst.front()), "  (", result.failing, " of ", tally.total, ")")
          : !touched.empty() ? touched
                             : concat(spec.name, ": rho ", rho, " above ", rho_limit(tally.rounded),
                                      ": the error as a whole exceeds the declared roundings");
    } else if (tally.rounded > 0 && !(tally.hard2 < tally.want2)) {
      result.verdict = Verdict::untrusted;
      result.message =
          concat(spec.name, ": the bound allows an error of its rms; nothing is proved");
    }
  }
  return result;
}

}  // namespace attest
