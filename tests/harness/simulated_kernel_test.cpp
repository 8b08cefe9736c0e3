#include "tests/harness/simulated_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "harness/inputs.h"
#include "harness/rounding.h"
#include "tests/catch.h"

namespace attest::simulated {
namespace {

constexpr float kLog2E = 1.44269504F, kLn2 = 0.693147181F;
constexpr float kNone = -std::numeric_limits<float>::infinity();

struct Matrix {
  std::vector<double> values;  // [B,S,heads,width]
  Index rows, heads, width;

  explicit Matrix(const Tensor& t) : rows(t.shape()[1]), heads(t.shape()[2]), width(t.shape()[3]) {
    values.resize(static_cast<std::size_t>(t.size()));
    decode(t.dtype(), t.bytes().data(), t.size(), 1, values.data());
  }
  const double* row(Index b, Index s, Index h) const {
    return values.data() + ((b * rows + s) * heads + h) * width;
  }
};

float toward_zero(double x) {
  const auto nearest = static_cast<float>(x);
  return std::abs(static_cast<double>(nearest)) > std::abs(x) ? std::nextafter(nearest, 0.0F)
                                                              : nearest;
}

double truncated(Dtype dtype, double x) {  // x >= 0
  const double nearest = round_to(dtype, x);
  if (nearest <= x) return nearest;
  int exponent;
  std::frexp(nearest, &exponent);
  const FloatFormat format = format_of(dtype);
  const int ulp = std::max(exponent - 1 - (std::frexp(nearest, &exponent) == 0.5 ? 1 : 0),
                           format.min_exponent) -
                  format.precision + 1;
  return nearest - std::ldexp(1.0, ulp);
}

/// sum_n a(n) b(n) + start, as tensor cores or FMAs add it up.
template <class A, class B>
float multiply_add(Index count, A a, B b, float start, bool truncating) {
  float sum = start;
  for (Index n = 0; n < count; n += truncating ? 16 : 1) {
    double part = sum;
    for (Index m = n; m < std::min(count, n + (truncating ? 16 : 1)); ++m) part += a(m) * b(m);
    sum = truncating ? toward_zero(part) : static_cast<float>(part);
  }
  return sum;
}

/// Running softmax of one row over one range of keys.
struct State {
  float m = kNone, l = 0;  // m in units of the raw score
  std::vector<float> o;    // [Dv]
};

struct Row {
  const Problem& p;
  const Options& options;
  const double* q;
  const Matrix &k, &v;
  Index b, g;
};

float exponential(const Row& row, float raw, float m, float scale_log2, Index j) {
  float x = std::fma(raw, scale_log2, -m * scale_log2);
  if (row.options.defect == Defect::exp_slope) x *= 1 + 3e-4F;
  const float noise = static_cast<float>((j * 37 + 11) % 17 - 8) / 8 * 0x1p-23F;
  return x == 0 ? 1 : std::exp2(x) * (1 + noise);
}

void add_block(const Row& row, Index first, Index last, State& state) {
  const Options& options = row.options;
  const float scale_log2 =
      static_cast<float>((1 / std::sqrt(static_cast<double>(row.p.D)))) * kLog2E;
  const bool truncating = options.truncating_mma;
  std::vector<float> s;
  float m = state.m;
  for (Index j = first; j < last; ++j) {
    const double* k = row.k.row(row.b, j, row.g);
    s.push_back(multiply_add(
        row.p.D, [&](Index d) { return row.q[d]; }, [&](Index d) { return k[d]; }, 0.0F,
        truncating));
    m = std::max(m, s.back());
  }
  const bool first_block = state.m == kNone;
  const float alpha = first_block ? 0 : exponential(row, state.m, m, scale_log2, first);
  state.m = m;
  state.l *= alpha;
  if (options.defect != Defect::no_rescale || first_block)
    for (float& o : state.o) o *= alpha;

  std::vector<double> rounded;
  for (std::size_t n = 0; n < s.size(); ++n) {
    const float p = exponential(row, s[n], m, scale_log2, first + static_cast<Index>(n));
    rounded.push_back(options.defect == Defect::p_truncated ? truncated(options.p_type, p)
                                                            : round_to(options.p_type, p));
    state.l += options.defect == Defect::l_from_rounded_p ? static_cast<float>(rounded.back()) : p;
  }
  for (Index d = 0; d < row.p.Dv; ++d) {
    float& o = state.o[static_cast<std::size_t>(d)];
    o = multiply_add(
        last - first, [&](Index n) { return rounded[static_cast<std::size_t>(n)]; },
        [&](Index n) { return row.v.row(row.b, first + n, row.g)[d]; }, o, truncating);
    if (options.defect == Defect::bf16_accumulator)
      o = static_cast<float>(round_to(Dtype::bf16, o));
  }
}

/// One split: o divided by l, lse in nats.
struct Partial {
  std::vector<float> o;
  float lse = kNone;
};

Partial run_split(const Row& row, Index first, Index last) {
  State state;
  state.o.resize(static_cast<std::size_t>(row.p.Dv));
  if (row.options.defect == Defect::unshifted) state.m = 0;
  for (Index j = first; j < last; j += row.options.block_k)
    add_block(row, j, std::min(last, j + row.options.block_k), state);
  if (row.options.defect == Defect::l_too_large) state.l *= 1 + 1e-3F;
  Partial partial{state.o, kNone};
  if (first >= last) return partial;
  for (float& o : partial.o) o /= state.l;
  const float scale = static_cast<float>((1 / std::sqrt(static_cast<double>(row.p.D))));
  partial.lse = state.m * scale + std::log2(state.l) * kLn2;
  return partial;
}

bool reads_unused_slot(const Row& row, Index visible) {
  const Defect defect = row.options.defect;
  if (visible != row.p.length(row.b) || visible == row.p.Sk) return false;
  return defect == Defect::unused_slot ||
         (defect == Defect::finite_slot && std::isfinite(row.k.row(row.b, visible, row.g)[0]));
}

Partial merge(const std::vector<Partial>& parts, const Options& options) {
  if (parts.size() == 1) return parts.front();
  float m = kNone, l = 0;
  for (const Partial& part : parts) m = std::max(m, part.lse);
  Partial all{std::vector<float>(parts.front().o.size()), kNone};
  for (const Partial& part : parts) {
    if (part.lse == kNone) continue;
    const float weight =
        options.defect == Defect::plain_average ? 1 : std::exp2((part.lse - m) * kLog2E);
    l += weight;
    for (std::size_t d = 0; d < all.o.size(); ++d) all.o[d] += weight * part.o[d];
  }
  if (l == 0) return all;
  for (float& o : all.o) o /= l;
  all.lse = m + std::log(l);
  return all;
}

/// Conditioning of one row: the sums of cases/truth.h, in the order of their definitions.
struct RowTruth {
  std::vector<double> s, a;
  double m = -std::numeric_limits<double>::infinity(), l = 0, raises = 0;

  RowTruth(const Problem& p, const double* q, const Matrix& k, Index b, Index g, Index visible) {
    double q2 = 0;
    for (Index d = 0; d < p.D; ++d) q2 += q[d] * q[d];
    for (Index j = 0; j < visible; ++j) {
      const double* k_j = k.row(b, j, g);
      double dot = 0, k2 = 0;
      for (Index d = 0; d < p.D; ++d) dot += q[d] * k_j[d], k2 += k_j[d] * k_j[d];
      s.push_back((1 / std::sqrt(static_cast<double>(p.D))) * dot);
      a.push_back((1 / std::sqrt(static_cast<double>(p.D))) * std::sqrt(q2 * k2));
      raises += s.back() > m;
      m = std::max(m, s.back());
    }
    for (const double score : s) l += std::exp(score - m);
  }
};

}  // namespace

Options options_for(const Problem& p) {
  Options options;
  const bool narrow = p.dtype == Dtype::bf16 || p.dtype == Dtype::fp16;
  options.p_type = options.o_type = narrow ? p.dtype : Dtype::fp32;
  options.truncating_mma = narrow;
  return options;
}

Descriptor descriptor_of(const Problem& p, const Options& o) {
  const Index split = (p.Sk + o.splits - 1) / o.splits;
  const Index blocks = (split + o.block_k - 1) / o.block_k;
  const Index steps = o.truncating_mma ? blocks * ((o.block_k + 15) / 16) : split;
  return {.u_acc = o.truncating_mma ? 0x1p-23 : 0x1p-24,
          .depth_qk = o.truncating_mma ? 17 * ((p.D + 15) / 16) : p.D,
          .chain_qk = o.truncating_mma ? (p.D + 15) / 16 : p.D,
          .depth_pv = o.truncating_mma ? 17 * steps : steps,
          .chain_pv = steps,
          .depth_l = split + 1,
          .u_a = 0x1p-24,
          .u_exp = 0x1p-22,
          .p_type = o.p_type,
          .l_from_rounded_p = false,
          .block_k = o.block_k,
          .splits = o.splits,
          .o_type = o.o_type};
}

TensorSet run(const Problem& p, const TensorSet& inputs, const Options& options) {
  const Matrix q(inputs.at("q")), k(inputs.at("k")), v(inputs.at("v"));
  TensorSet outputs;
  Tensor& o = outputs.add(Tensor("o", options.o_type, "BSHD", {p.B, p.Sq, p.H, p.Dv}));
  Tensor& lse = outputs.add(Tensor("lse", Dtype::fp32, "BHS", {p.B, p.H, p.Sq}));
  const Index split = std::max<Index>(1, (p.Sk + options.splits - 1) / options.splits);
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) {
        const Row row{p, options, q.row(b, i, h), k, v, b, h / (p.H / p.G)};
        Index visible = p.visible(b, i).end;
        if (options.defect == Defect::drop_last_key) visible = std::max<Index>(0, visible - 1);
        visible += reads_unused_slot(row, visible);
        std::vector<Partial> parts;
        for (Index n = 0; n < options.splits; ++n)
          parts.push_back(
              run_split(row, std::min(visible, n * split), std::min(visible, (n + 1) * split)));
        const Partial all = merge(parts, options);
        const std::vector<double> wide(all.o.begin(), all.o.end());
        const auto first = static_cast<std::size_t>(((b * p.Sq + i) * p.H + h) * p.Dv);
        encode(options.o_type, wide, o.bytes().data() + first * size_of(options.o_type));
        lse.as<float>()[static_cast<std::size_t>((b * p.H + h) * p.Sq + i)] = all.lse;
      }
  return outputs;
}

Truth truth_of(const Problem& p, const TensorSet& inputs) {
  const Matrix q(inputs.at("q")), k(inputs.at("k")), v(inputs.at("v"));
  Truth truth;
  const auto element = [&](TensorSet& set, const char* name) {
    const auto all =
        set.add(Tensor(name, Dtype::fp64, "BSHD", {p.B, p.Sq, p.H, p.Dv})).as<double>();
    std::fill(all.begin(), all.end(), 0.0);
    return all;
  };
  const auto per_row = [&](TensorSet& set, const char* name, double empty) {
    const auto all = set.add(Tensor(name, Dtype::fp64, "BHS", {p.B, p.H, p.Sq})).as<double>();
    std::fill(all.begin(), all.end(), empty);
    return all;
  };
  TensorSet& c = truth.conditioning;
  const auto o = element(truth.outputs, "o"), abs_mag = element(c, "abs_mag"),
             abs_mag_a = element(c, "abs_mag_a"), abs_mag_gap = element(c, "abs_mag_gap"),
             second_moment = element(c, "second_moment"), all_v = element(c, "visible_abs_v");
  const double none = -std::numeric_limits<double>::infinity();
  const auto lse = per_row(truth.outputs, "lse", none), seen = per_row(c, "visible", 0),
             row_max = per_row(c, "row_max", none), row_sum = per_row(c, "row_sum", 0),
             mean_a = per_row(c, "mean_a", 0), mean_gap = per_row(c, "mean_gap", 0),
             max_a = per_row(c, "max_a", 0), max_gap = per_row(c, "max_gap", 0),
             max_raises = per_row(c, "max_raises", 0);
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) {
        const Index visible = p.visible(b, i).end, g = h / (p.H / p.G);
        if (visible == 0) continue;
        const RowTruth r(p, q.row(b, i, h), k, b, g, visible);
        const auto n = static_cast<std::size_t>((b * p.H + h) * p.Sq + i);
        const auto first = static_cast<std::size_t>(((b * p.Sq + i) * p.H + h) * p.Dv);
        lse[n] = r.m + std::log(r.l);
        seen[n] = static_cast<double>(visible);
        row_max[n] = r.m;
        row_sum[n] = r.l;
        max_raises[n] = r.raises;
        for (Index j = 0; j < visible; ++j) {
          const auto at = static_cast<std::size_t>(j);
          const double gap = r.m - r.s[at], p_j = std::exp(-gap), weight = p_j / r.l;
          mean_a[n] += weight * r.a[at];
          mean_gap[n] += weight * gap;
          max_a[n] = std::max(max_a[n], r.a[at]);
          max_gap[n] = std::max(max_gap[n], gap);
          const double binade = p_j == 1 || p_j == 0 ? 0 : std::exp2(std::floor(std::log2(p_j)));
          for (std::size_t d = 0; d < static_cast<std::size_t>(p.Dv); ++d) {
            const double v_j = v.row(b, j, g)[d], size = std::abs(v_j);
            o[first + d] += weight * v_j;
            abs_mag[first + d] += weight * size;
            abs_mag_a[first + d] += weight * r.a[at] * size;
            abs_mag_gap[first + d] += weight * gap * size;
            second_moment[first + d] += std::pow(binade * v_j / r.l, 2);
            all_v[first + d] += size;
          }
        }
      }
  return truth;
}

}  // namespace attest::simulated

TEST_CASE("the simulated kernel averages V where all scores are equal") {
  using namespace attest;
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=4 H=1 D=3 dtype=fp32 fill=equal");
  const TensorSet inputs = make_inputs(p);
  const TensorSet got = simulated::run(p, inputs, simulated::options_for(p));
  const Truth truth = simulated::truth_of(p, inputs);
  for (Index d = 0; d < 3; ++d) {
    double mean = 0;
    for (Index j = 0; j < 4; ++j) mean += inputs.at("v").value(3 * j + d) / 4;
    CHECK(truth.outputs.at("o").value(d) == Approx(mean));
    CHECK(got.at("o").value(d) == Approx(mean));
  }
  CHECK(got.at("lse").value(0) == Approx(std::log(4.0)));
}
