#include "tests/cuda/naive_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "tests/catch.h"

namespace attest::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Index of an element in memory, by the letters of the axes; axes of extent 1 have index 0.
Index place(const Tensor& x, Index b, Index s, Index h, Index d) {
  Index n = 0;
  for (std::size_t axis = 0; axis < x.layout().size(); ++axis) {
    const char letter = x.layout()[axis];
    const Index extent = x.shape()[axis];
    const Index index = letter == 'B' || letter == 'P' ? b
                        : letter == 'S'                ? s
                        : letter == 'H'                ? h
                                                       : d;
    n = n * extent + (extent == 1 ? 0 : index);
  }
  return n;
}

double default_scale(const Problem& p) {
  return 1 / std::sqrt(static_cast<double>(p.variant == Variant::mla ? p.Dn + p.Dr : p.D));
}

/// Where a problem's q, k and v are.
struct Places {
  const Problem& p;
  const TensorSet& inputs;

  const Tensor& tensor(char name) const {
    if (p.layout == Layout::qkv) return inputs.at("qkv");
    if (name == 'q') return inputs.at("q");
    if (p.form == Form::absorbed) return inputs.at("latent_cache");
    return inputs.at(std::string(1, name) + (p.page > 0 ? "_cache" : ""));
  }
  Index q(Index b, Index i, Index h, Index d) const { return place(tensor('q'), b, i, h, d); }
  Index cached(char name, Index b, Index j, Index g, Index d) const {
    if (p.layout == Layout::qkv) g += name == 'k' ? p.H : p.H + p.G;
    if (p.page == 0) return place(tensor(name), b, j, g, d);
    const Index entry = b * ((p.Sk + p.page - 1) / p.page) + j / p.page;
    const auto page = static_cast<Index>(inputs.at("block_table").value(entry));
    return place(tensor(name), page, j % p.page, g, d);
  }
};

/// Keys that the longest of the batch entries has which share x.
Index longest(const Problem& p, const Tensor& x, Index b) {
  if (x.shape()[0] > 1) return p.length(b);
  Index most = 0;
  for (Index n = 0; n < p.B; ++n) most = std::max(most, p.length(n));
  return most;
}

void fill_bias(const Problem& p, Tensor& x) {
  const Value draw = noise("attn_bias");
  auto out = x.as<float>();
  const auto& shape = x.shape();
  for (Index n = 0; n < x.size(); ++n) {
    const Index j = n % p.Sk, i = n / p.Sk % p.Sq, h = n / p.Sk / p.Sq % shape[1];
    const Index b = n / p.Sk / p.Sq / shape[1];
    if (j >= longest(p, x, b)) continue;  // stays NaN
    const double value = (i + 3 * j + h) % 13 == 12 ? -kInfinity : draw(b, i, h, j);
    out[static_cast<std::size_t>(n)] = static_cast<float>(value);
  }
}

/// Of query 2 all keys; else every fourth.
void fill_mask(const Problem& p, Tensor& x) {
  for (Index n = 0; n < x.size(); ++n) {
    const Index j = n % p.Sk, i = n / p.Sk % p.Sq, of_matrix = n / p.Sk / p.Sq;
    x.as<std::uint8_t>()[static_cast<std::size_t>(n)] =
        i == 2 || (j + 3 * i + 5 * of_matrix) % 4 == 1 ? 1 : 0;
  }
}

void fill_tables(const Problem& p, TensorSet& inputs) {
  if (!p.lens.empty())
    for (Index b = 0; b < p.B; ++b)
      inputs.at("seqlens_k").as<std::int32_t>()[static_cast<std::size_t>(b)] =
          static_cast<std::int32_t>(p.length(b));
  if (p.page == 0) return;
  const Index width = p.table_width();
  for (Index n = 0; n < p.B * width; ++n)
    inputs.at("block_table").as<std::int32_t>()[static_cast<std::size_t>(n)] =
        n % width * p.page < p.length(n / width) ? static_cast<std::int32_t>(p.pool_pages() - 1 - n)
                                                 : std::numeric_limits<std::int32_t>::max();
}

/// bf16 has 8 bits.
double to_bf16(double x) {
  const int exponent = x == 0 ? 0 : std::ilogb(x) - 7;
  return std::ldexp(std::nearbyint(std::ldexp(x, -exponent)), exponent);
}

/// What one query of one head does with the keys.
struct Row {
  const Problem& p;
  const TensorSet& inputs;
  Slip slip;
  Index b, i, h;

  Index g() const { return (h / (p.H / p.G) + (slip == Slip::next_head ? 1 : 0)) % p.G; }

  bool sees(Index j) const {
    const Index n = p.length(b), at = p.mask == Mask::causal_top_left ? i : i + n - p.Sq;
    const Index more = slip == Slip::next_key ? 1 : 0, less = slip == Slip::last_key ? 1 : 0;
    if (j >= n) return false;
    if (p.mask != Mask::none && j > at + more - less) return false;
    if (p.mask == Mask::none && p.window.right < 0 && j >= n - less) return false;
    if (p.window.right >= 0 && j > at + p.window.right + more - less) return false;
    if (p.window.left >= 0 && j < at - p.window.left) return false;
    return p.attn_mask == PerPair::none || slip == Slip::no_mask ||
           pair(inputs.at("attn_mask"), j) == 0;
  }

  double pair(const Tensor& x, Index j) const {
    const Index of_b = x.shape()[0] > 1 ? b : 0, of_h = x.shape()[1] > 1 ? h : 0;
    return x.value(((of_b * x.shape()[1] + of_h) * p.Sq + i) * p.Sk + j);
  }

  double bias(Index j) const {
    if (slip == Slip::no_bias) return 0;
    if (p.attn_bias != PerPair::none) return pair(inputs.at("attn_bias"), j);
    if (!p.alibi) return 0;
    const Index at = p.mask == Mask::causal_top_left ? i : i + p.length(b) - p.Sq;
    return -inputs.at("alibi_slopes").value(h) * static_cast<double>(std::abs(at - j));
  }

  double score(Index j) const {
    const Places at{p, inputs};
    double s = 0;
    for (Index d = 0; d < p.D; ++d)
      s += at.tensor('q').value(at.q(b, i, h, d)) *
           at.tensor('k').value(at.cached('k', b, j, g(), d));
    s *= p.scale > 0 ? p.scale : default_scale(p);
    if (slip == Slip::bias_before_cap) s += bias(j);
    if (p.softcap > 0) s = p.softcap * std::tanh(s / p.softcap);
    return slip == Slip::bias_before_cap ? s : s + bias(j);
  }

  double sink() const {
    if (p.sink == Sink::none || slip == Slip::no_sink) return -kInfinity;
    return p.sink == Sink::one ? 0 : inputs.at("sinks").value(h);
  }

  /// Weights of the keys, not divided by their sum yet. j counts the row's keys.
  double weight(double x, Index j) const {
    const double w = std::exp(x);
    if (slip == Slip::rounded_p) return to_bf16(w);
    return slip == Slip::rough_exponential ? w * (1 + (j % 2 == 0 ? 0x1p-11 : -0x1p-11)) : w;
  }
};

}  // namespace

TensorSet attention_inputs(const Problem& p) {
  TensorSet inputs;
  for (const TensorSpec& spec : inputs_of(p)) inputs.add(make_tensor(spec));
  fill_tables(p, inputs);
  const double scale = p.scale > 0 ? p.scale : default_scale(p);
  const Places at{p, inputs};
  const auto set = [&](char name, Index n, double x) {
    const_cast<Tensor&>(at.tensor(name)).as<float>()[static_cast<std::size_t>(n)] =
        static_cast<float>(x);
  };
  const Value q = noise("q", 2 / (scale * std::sqrt(static_cast<double>(p.D))));
  const Value k = noise("k"), v = noise("v");
  for (Index b = 0; b < p.B; ++b) {
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h)
        for (Index d = 0; d < p.D; ++d) set('q', at.q(b, i, h, d), q(b, i, h, d));
    for (Index j = 0; j < p.length(b); ++j)
      for (Index g = 0; g < p.G; ++g) {
        for (Index d = 0; d < p.D; ++d) set('k', at.cached('k', b, j, g, d), k(b, j, g, d));
        for (Index d = 0; d < p.Dv && p.form == Form::expanded; ++d)
          set('v', at.cached('v', b, j, g, d), v(b, j, g, d));
      }
  }
  for (const auto& [name, most] : {std::pair{"alibi_slopes", 0.3}, {"sinks", 2.0}})
    if (inputs.find(name))
      for (Index h = 0; h < p.H; ++h)
        inputs.at(name).as<float>()[static_cast<std::size_t>(h)] =
            static_cast<float>(most * static_cast<double>(h + 1) / static_cast<double>(p.H));
  if (p.attn_bias != PerPair::none) fill_bias(p, inputs.at("attn_bias"));
  if (p.attn_mask != PerPair::none) fill_mask(p, inputs.at("attn_mask"));
  return inputs;
}

TensorSet run_attention(const Kernel& kernel, const Problem& p, const TensorSet& inputs,
                        Schedule schedule) {
  RunConfig config;
  config.schedule = schedule;
  TensorSet outputs, ordered;
  for (const TensorSpec& spec : outputs_of(p)) outputs.add(make_tensor(spec));
  kernel.run(p, config, inputs, outputs);
  for (const Tensor& x : outputs) {
    CHECK(x.canary_intact());
    ordered.add(x.name() == "o" ? stored_as(x, "BSHD") : x);
  }
  return ordered;
}

Expected naive_attention(const Problem& p, const TensorSet& inputs, Slip slip) {
  const auto rows = static_cast<std::size_t>(p.B * p.Sq * p.H);
  const std::vector<double> zeros(rows * static_cast<std::size_t>(p.Dv));
  Expected want{zeros, zeros, std::vector<double>(rows)};
  const Places at{p, inputs};
  for (Index n = 0; n < p.B * p.Sq * p.H; ++n) {
    const Row row{p, inputs, slip, n / p.H / p.Sq, n / p.H % p.Sq, n % p.H};
    std::vector<double> s(static_cast<std::size_t>(p.Sk), -kInfinity);
    double m = row.sink(), l = 0;
    for (Index j = 0; j < p.Sk; ++j) {
      if (!row.sees(j)) continue;
      s[static_cast<std::size_t>(j)] = row.score(j);
      m = std::max(m, s[static_cast<std::size_t>(j)]);
    }
    double& lse = want.lse[static_cast<std::size_t>((row.b * p.H + row.h) * p.Sq + row.i)];
    lse = -kInfinity;
    if (m == -kInfinity) continue;
    l = std::exp(row.sink() - m);
    for (const double x : s) l += std::exp(x - m);
    lse = m + std::log(l);
    for (Index j = 0; j < p.Sk; ++j) {
      const double x = s[static_cast<std::size_t>(j)];
      if (x == -kInfinity) continue;
      for (Index d = 0; d < p.Dv; ++d) {
        const Index from = at.cached('v', row.b, j, row.g(), d);
        const double term = row.weight(x - m, j) / l * at.tensor('v').value(from);
        want.o[static_cast<std::size_t>(n * p.Dv + d)] += term;
        want.abs_mag[static_cast<std::size_t>(n * p.Dv + d)] += std::abs(term);
      }
    }
  }
  return want;
}

}  // namespace attest::test
