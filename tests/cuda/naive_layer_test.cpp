#include "tests/cuda/naive_layer.h"

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "cuda/kernels/rope_table.h"

namespace attest::test {
namespace {

constexpr double kU = 0x1p-24;  // of fp32

void fill_weight(Tensor& tensor, double mean, double deviation) {
  const Value value = noise(tensor.name(), deviation);
  Index n = 0;
  for (std::uint16_t& bits : tensor.as<std::uint16_t>())
    bits = encode(tensor.dtype(), mean + value(0, 0, 0, n++));
}

/// Entries of pages that hold keys are shuffled; the others lead away.
void fill_table(const Problem& p, Tensor& table) {
  std::vector<std::int32_t> pages(static_cast<std::size_t>(p.pool_pages()));
  std::iota(pages.begin(), pages.end(), 0);
  std::ranges::shuffle(pages, std::mt19937(7));
  for (Index b = 0; b < p.B; ++b)
    for (Index n = 0; n < p.table_width(); ++n) {
      const auto at = static_cast<std::size_t>(b * p.table_width() + n);
      table.as<std::int32_t>()[at] = n * p.page < p.length(b) ? pages[at] : 0x7fffffff;
    }
}

Index row_width(const Tensor& cache) {
  return cache.size() / (cache.shape()[0] * cache.shape()[1]);
}

struct Row {
  std::vector<double> y, magnitude, bound;
};

/// The first `normed` values of a row. Squares are added in 32 chains, then over lanes; each value
/// passes through a dozen operations more (tile/norm.cuh).
void normalize(Row& row, const LayerRun& run, Norm norm, Index normed, const std::string& which) {
  if (norm == Norm::none) return;
  double mean = 0, absolute = 0, squares = 0;
  for (Index d = 0; d < normed; ++d) mean += row.y[static_cast<std::size_t>(d)];
  mean = norm == Norm::layer ? mean / static_cast<double>(normed) : 0;
  for (Index d = 0; d < normed; ++d) {
    const double x = row.y[static_cast<std::size_t>(d)];
    absolute += norm == Norm::layer ? std::abs(x) / static_cast<double>(normed) : 0;
    squares += (x - mean) * (x - mean);
  }
  const double inverse = 1 / std::sqrt(squares / static_cast<double>(normed) + run.p.layer.eps);
  for (Index d = 0; d < normed; ++d) {
    const auto n = static_cast<std::size_t>(d);
    double w = norm == Norm::l2 ? 1 : run.value("w_" + which + "_norm", d);
    if (norm == Norm::rms_zero_centered) w += 1;
    const double b = norm == Norm::layer ? run.value("b_" + which + "_norm", d) : 0;
    row.magnitude[n] = (std::abs(row.y[n]) + absolute) * inverse * std::abs(w) + std::abs(b);
    row.y[n] = (row.y[n] - mean) * inverse * w + b;
    row.bound[n] = (static_cast<double>(normed) / 32 + 16) * kU * row.magnitude[n];
  }
}

/// Turns the rotary part of `width` values that starts at `first`. cos, sin, two products and a sum
/// round.
void rotate(Row& row, const Rope& rope, Index first, Index width, double position) {
  const std::vector<double> frequencies = rope_frequencies(rope, width);
  const std::size_t pairs = frequencies.size(), start = static_cast<std::size_t>(first);
  const bool half = rope.pairing == RopePairing::half;
  const Row before = row;
  for (std::size_t r = 0; r < pairs; ++r) {
    const double angle = position * frequencies[r], length = rope_concentration(rope);
    const double cos = length * std::cos(angle), sin = length * std::sin(angle);
    const std::size_t a = start + (half ? r : 2 * r), b = start + (half ? r + pairs : 2 * r + 1);
    const bool apart = rope.pairing == RopePairing::deinterleave;
    const std::size_t new_a = apart ? start + r : a, new_b = apart ? start + r + pairs : b;
    const auto set = [&](std::size_t to, double x_sign, std::size_t x, std::size_t y) {
      row.y[to] = before.y[x] * cos + x_sign * before.y[y] * sin;
      row.magnitude[to] = before.magnitude[x] * std::abs(cos) + before.magnitude[y] * std::abs(sin);
      row.bound[to] = before.bound[x] * std::abs(cos) + before.bound[y] * std::abs(sin) +
                      4 * kU * row.magnitude[to];
    };
    set(new_a, -1, a, b);
    set(new_b, 1, b, a);
  }
}

/// What becomes of one row of one token.
struct RowTask {
  std::string_view x, y;
  Index first_x, first_y, width;  ///< elements of x and y, and of the row
  Norm norm;
  Index normed;
  std::string weights;  ///< "q", "k", "kv"
  Index first_turned, turned;
  double position;
};

void judge_row(WorstRatio& worst, const LayerRun& run, const RowTask& task, Mistake mistake) {
  Row row;
  for (Index d = 0; d < task.width; ++d) row.y.push_back(run.value(task.x, task.first_x + d));
  for (double x : row.y) row.magnitude.push_back(std::abs(x));
  row.bound.assign(row.y.size(), 0.0);
  Rope rope = run.p.rope;
  if (mistake == Mistake::other_pairing)
    rope.pairing =
        rope.pairing == RopePairing::half ? RopePairing::deinterleave : RopePairing::half;
  const double position = task.position + (mistake == Mistake::next_position ? 1 : 0);
  const auto turn = [&] {
    if (task.turned > 0) rotate(row, rope, task.first_turned, task.turned, position);
  };
  if (mistake == Mistake::turned_twice || mistake == Mistake::turned_before_norm) turn();
  if (mistake != Mistake::no_norm) normalize(row, run, task.norm, task.normed, task.weights);
  if (mistake != Mistake::turned_before_norm) turn();
  for (std::size_t d = 0; d < row.y.size(); ++d) {
    const double want = row.y[d], got = run.value(task.y, task.first_y + static_cast<Index>(d));
    // A value that was only copied has no bound at all.
    const double error = row.bound[d];
    worst.add(got, want, error == 0 ? 0 : error + rounding(run.p.dtype, std::abs(want) + error));
  }
}

void append_token(WorstRatio& worst, const LayerRun& run, Index b, Index i, Mistake mistake) {
  const Problem& p = run.p;
  const Index token = b * p.Sq + i, slot = run.slot(b, p.position(b, i));
  const double position = static_cast<double>(p.position(b, i));
  if (p.variant == Variant::mla) {
    const Index C = p.layer.L + p.Dr;
    for (Index h = 0; h < p.H; ++h)
      judge_row(worst, run,
                {"q", "q_rot", (token * p.H + h) * p.D, (token * p.H + h) * p.D, p.D, Norm::none, 0,
                 "", p.Dn, p.Dr, position},
                mistake);
    judge_row(worst, run,
              {"kv_down", "latent_cache", token * C, slot * C, C, Norm::rms, p.layer.L, "kv",
               p.layer.L, p.Dr, position},
              mistake);
    return;
  }
  const Index R = p.H / p.G, blocks = R * (p.layer.gate ? 2 : 1), D = p.D;
  for (Index g = 0; g < p.G; ++g) {
    const Index group = (token * p.G + g) * (blocks + 2) * D, row = (slot * p.G + g) * D;
    for (Index r = 0; r < R; ++r)
      judge_row(worst, run,
                {"qkv", "q_rot", group + r * D, (token * p.H + g * R + r) * D, D, p.layer.norm, D,
                 "q", 0, D, position},
                mistake);
    judge_row(worst, run,
              {"qkv", "k_cache", group + blocks * D, row, D, p.layer.norm, D, "k", 0, D, position},
              mistake);
    judge_row(
        worst, run,
        {"qkv", "v_cache", group + (blocks + 1) * D, row, D, Norm::none, 0, "", 0, 0, position},
        mistake);
  }
}

/// Infinity for each row of a cache that is not a new token's and has other bits than before.
void judge_old_rows(WorstRatio& worst, const LayerRun& run, const char* name) {
  const Tensor &before = run.inputs.at(name), &now = run.outputs.at(name);
  const auto bytes = static_cast<std::size_t>(row_width(now) * 2);
  std::vector<bool> is_new(now.bytes().size() / bytes);
  for (Index b = 0; b < run.p.B; ++b)
    for (Index i = 0; i < run.p.Sq; ++i)
      is_new[static_cast<std::size_t>(run.slot(b, run.p.position(b, i)))] = true;
  for (std::size_t n = 0; n < is_new.size(); ++n)
    if (!is_new[n] &&
        std::memcmp(before.bytes().data() + n * bytes, now.bytes().data() + n * bytes, bytes) != 0)
      worst.add(1, 0, 0);
}

}  // namespace

TensorSet layer_inputs(const Problem& p) {
  TensorSet inputs;
  for (const TensorSpec& spec : layer_weights(p)) {
    Tensor& tensor = inputs.add(make_tensor(spec));
    const bool gain = spec.name.ends_with("_norm") && spec.name[0] == 'w';
    const double columns = spec.layout == "NK" ? static_cast<double>(spec.shape[1]) : 1;
    fill_weight(tensor, gain && p.layer.norm != Norm::rms_zero_centered ? 1 : 0,
                spec.layout == "N" ? 0.25 : 1 / std::sqrt(columns));
  }
  for (const TensorSpec& spec : layer_caches(p)) inputs.add(make_tensor(spec));
  if (p.page > 0) fill_table(p, inputs.at("block_table"));
  if (!p.lens.empty()) {
    auto lens = inputs.add(Tensor("seqlens_k", Dtype::int32, "B", {p.B})).as<std::int32_t>();
    for (Index b = 0; b < p.B; ++b)
      lens[static_cast<std::size_t>(b)] = static_cast<std::int32_t>(p.length(b));
  }
  const LayerRun run{p, inputs, inputs};
  for (const char* name : {"k_cache", "v_cache", "latent_cache"}) {
    if (!inputs.find(name)) continue;
    Tensor& cache = inputs.at(name);
    const Index width = row_width(cache);
    const Value value = noise(name);
    for (Index b = 0; b < p.B; ++b)
      for (Index j = 0; j < cached_tokens(p, b); ++j)
        for (Index d = 0; d < width; ++d)
          cache.as<std::uint16_t>()[static_cast<std::size_t>(run.slot(b, j) * width + d)] =
              encode(p.dtype, value(b, j, 0, d));
  }
  return inputs;
}

TensorSet layer_outputs_before(const Problem& p, const TensorSet& inputs) {
  TensorSet outputs;
  for (const TensorSpec& spec : layer_outputs(p)) {
    Tensor& tensor = outputs.add(make_tensor(spec));
    if (const Tensor* before = inputs.find(spec.name))
      std::ranges::copy(before->bytes(), tensor.bytes().begin());
  }
  return outputs;
}

Index LayerRun::slot(Index b, Index j) const {
  if (p.page == 0) return b * p.Sk + j;
  const auto page =
      static_cast<Index>(inputs.at("block_table").value(b * p.table_width() + j / p.page));
  return page * p.page + j % p.page;
}

double worst_append(const LayerRun& run, Mistake mistake) {
  WorstRatio worst;
  for (Index b = 0; b < run.p.B; ++b)
    for (Index i = 0; i < run.p.Sq; ++i) append_token(worst, run, b, i, mistake);
  for (const TensorSpec& spec : layer_caches(run.p))
    if (spec.name != "block_table") judge_old_rows(worst, run, spec.name.c_str());
  return worst.worst();
}

}  // namespace attest::test
