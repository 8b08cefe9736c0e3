#include "harness/poison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "cases/stages.h"
#include "harness/rounding.h"

namespace attest {
namespace {

struct Poison {
  const char* name;
  double value;
};

/// e4m3 has no infinity; both would become its largest number.
std::vector<Poison> poisons(Dtype cache) {
  if (cache == Dtype::e4m3) return {{"448", max_finite(cache)}};
  return {{"+inf", std::numeric_limits<double>::infinity()}, {"1e4", 1e4}};
}

/// k and v of a layer are no caches, but made of one.
bool is_cache(const Problem& p, const Tensor& x) {
  const std::string& name = x.name();
  return name.ends_with("_cache") || (p.level == Level::core && (name == "k" || name == "v"));
}

/// Whether the rows of a layer's new tokens count: before the call they hold no key yet.
enum class At { call, end };

/// Which rows of a cache hold a key: of [B, Sk, ...], or in pages of [pages, page, ...]. [rows]
std::vector<bool> used_rows(const Problem& p, const Tensor& cache, const Tensor* block_table,
                            At at) {
  std::vector<bool> used(static_cast<std::size_t>(cache.shape()[0] * cache.shape()[1]));
  const bool before = at == At::call && p.level == Level::layer;
  for (Index b = 0; b < p.B; ++b)
    for (Index j = 0; j < (before ? cached_tokens(p, b) : p.length(b)); ++j) {
      Index row = b * p.Sk + j;
      if (p.page > 0) {
        const auto entry = static_cast<std::size_t>(b * p.table_width() + j / p.page);
        row = block_table->as<std::int32_t>()[entry] * p.page + j % p.page;
      }
      used[static_cast<std::size_t>(row)] = true;
    }
  return used;
}

/// Copies share their storage; this one has its own.
Tensor copy_of(const Tensor& x) {
  Tensor copy(x.name(), x.dtype(), x.layout(), x.shape());
  std::ranges::copy(x.bytes(), copy.bytes().begin());
  return copy;
}

std::uint64_t bits_of(const Tensor& x, Index n) {
  const std::size_t size = size_of(x.dtype());
  std::uint64_t bits = 0;
  std::memcpy(&bits, x.bytes().data() + static_cast<std::size_t>(n) * size, size);
  return bits;
}

/// `0x3f80 (1)`. The sign of a NaN says nothing.
std::string text_of(std::uint64_t bits, double value) {
  return fmt::format("0x{:x} ({:.6g})", bits, std::isnan(value) ? std::abs(value) : value);
}

Element element_of(const Tensor& got, const Tensor& want, Index n) {
  std::vector<Index> index(want.shape().size());
  for (std::size_t axis = index.size(), rest = static_cast<std::size_t>(n); axis-- > 0;) {
    const auto extent = static_cast<std::size_t>(want.shape()[axis]);
    index[axis] = static_cast<Index>(rest % extent);
    rest /= extent;
  }
  return {want.name(), index, got.value(n), want.value(n), 0};
}

/// Elements that differ in a bit: how many, and the first.
struct Difference {
  Index count = 0, total = 0;
  Element first = {};
  std::uint64_t got_bits = 0, want_bits = 0;
};

/// Of caches that are outputs, slots without a key keep what they held and are left out.
Difference difference(const Problem& p, const Tensor* block_table, const TensorSet& got,
                      const TensorSet& want) {
  Difference found;
  for (const Tensor& x : want) {
    const Tensor& other = got.at(x.name());
    const std::vector<bool> used =
        is_cache(p, x) ? used_rows(p, x, block_table, At::end) : std::vector<bool>{};
    const Index row = used.empty() ? 1 : x.size() / std::ssize(used);
    found.total += x.size();
    for (Index n = 0; n < x.size(); ++n) {
      if (bits_of(other, n) == bits_of(x, n)) continue;
      if (!used.empty() && !used[static_cast<std::size_t>(n / row)]) continue;
      if (found.count++ > 0) continue;
      found.first = element_of(other, x, n);
      found.got_bits = bits_of(other, n);
      found.want_bits = bits_of(x, n);
    }
  }
  return found;
}

}  // namespace

bool has_unused_slots(const Problem& p) {
  return p.page > 0 || !p.lens.empty() || p.level == Level::layer;
}

TensorSet with_unused_slots(const Problem& p, const TensorSet& inputs, double value) {
  TensorSet poisoned;
  for (const Tensor& x : inputs) {
    if (!is_cache(p, x)) {
      poisoned.add(x);
      continue;
    }
    const bool ordered = x.layout()[0] == 'B' && x.layout()[1] == 'S';
    Tensor cache = ordered || p.page > 0 ? copy_of(x) : stored_as(x, "BSHD");
    const std::vector<bool> used = used_rows(p, cache, inputs.find("block_table"), At::call);
    if (used.empty()) {
      poisoned.add(x);
      continue;
    }
    const std::size_t row_bytes = x.bytes().size() / used.size();
    std::vector<std::byte> row(row_bytes);
    encode(x.dtype(), std::vector<double>(row_bytes / size_of(x.dtype()), value), row.data());
    for (std::size_t n = 0; n < used.size(); ++n)
      if (!used[n]) std::memcpy(cache.bytes().data() + n * row_bytes, row.data(), row_bytes);
    poisoned.add(stored_as(cache, x.layout()));
  }
  return poisoned;
}

void ask_poison(const Problem& p, const TensorSet& inputs, const TensorSet& outputs,
                const Rerun& rerun, Judgement& j) {
  if (!has_unused_slots(p)) return;
  for (const Poison& poison : poisons(p.cache_dtype())) {
    const TensorSet again = rerun(with_unused_slots(p, inputs, poison.value));
    const Difference found = difference(p, inputs.find("block_table"), again, outputs);
    if (found.count == 0) continue;
    j.verdict = Verdict::fail;
    j.check = Check::poison;
    j.worst = {found.first};
    j.failing = found.count;
    j.total = found.total;
    j.message = fmt::format(
        "{} got {} with {} in slots that no key has, want {} as with NaN there  ({} of {})",
        place_of(found.first), text_of(found.got_bits, found.first.got), poison.name,
        text_of(found.want_bits, found.first.want), found.count, found.total);
    return;
  }
}

}  // namespace attest
