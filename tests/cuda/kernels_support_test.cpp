#include "tests/cuda/kernels_support.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include "tests/catch.h"

namespace attest::test {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::uint64_t mix(std::uint64_t x) {  // SplitMix64 (Steele, Lea, Flood 2014)
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

double uniform(std::uint64_t bits) { return (static_cast<double>(bits >> 11) + 0.5) * 0x1p-53; }

void fill(Tensor& tensor, const Value& value) {
  const auto& shape = tensor.shape();
  auto bits = tensor.as<std::uint16_t>();
  std::size_t n = 0;
  for (Index b = 0; b < shape[0]; ++b)
    for (Index s = 0; s < shape[1]; ++s)
      for (Index h = 0; h < shape[2]; ++h)
        for (Index d = 0; d < shape[3]; ++d) bits[n++] = encode(tensor.dtype(), value(b, s, h, d));
}

/// |got - want|, 0 for the same infinity, infinity where one is NaN or they are not both finite.
double difference(double got, double want) {
  if (got == want) return 0;
  return std::isfinite(got) && std::isfinite(want) ? std::abs(got - want) : kInfinity;
}

}  // namespace

std::uint16_t encode(Dtype dtype, double x) {
  // Scales the last bit that the format keeps to 1 and rounds there (the mode is nearest, even).
  const FloatFormat format = format_of(dtype);
  const int mantissa_bits = format.precision - 1;
  const auto sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
  if (x == 0) return sign;
  const int exponent = std::max(std::ilogb(x), format.min_exponent);
  const double steps = std::nearbyint(std::ldexp(std::abs(x), mantissa_bits - exponent));
  const int biased = exponent - format.min_exponent;  // plus 1 from the hidden bit in steps
  return static_cast<std::uint16_t>(sign + (biased << mantissa_bits) + static_cast<int>(steps));
}

TensorSet make_inputs(const Problem& p, const Value& q, const Value& k, const Value& v) {
  TensorSet inputs;
  fill(inputs.add(Tensor("q", p.dtype, "BSHD", {p.B, p.Sq, p.H, p.D})), q);
  fill(inputs.add(Tensor("k", p.dtype, "BSHD", {p.B, p.Sk, p.G, p.D})), k);
  fill(inputs.add(Tensor("v", p.dtype, "BSHD", {p.B, p.Sk, p.G, p.Dv})), v);
  return inputs;
}

Value noise(std::string_view name, double deviation) {
  const std::uint64_t key = std::hash<std::string_view>{}(name);
  return [key, deviation](Index b, Index s, Index h, Index d) {
    std::uint64_t bits = key;
    for (Index index : {b, s, h, d}) bits = mix(bits ^ static_cast<std::uint64_t>(index));
    return deviation * std::sqrt(-2 * std::log(uniform(bits))) *
           std::cos(2 * std::numbers::pi * uniform(mix(bits)));
  };
}

TensorSet noise_inputs(const Problem& p) {
  return make_inputs(p, noise("q", 1.5), noise("k", 1.5), noise("v"));
}

TensorSet run(const Kernel& kernel, const Problem& p, const TensorSet& inputs, Index splits,
              Schedule schedule) {
  RunConfig config;
  config.splits = splits;
  config.schedule = schedule;
  TensorSet outputs;
  outputs.add(Tensor("o", p.dtype, "BSHD", {p.B, p.Sq, p.H, p.Dv}));
  outputs.add(Tensor("lse", Dtype::fp32, "BHS", {p.B, p.H, p.Sq}));
  kernel.run(p, config, inputs, outputs);
  return outputs;
}

Expected expected(const Problem& p, const TensorSet& inputs) {
  const Tensor &q = inputs.at("q"), &k = inputs.at("k"), &v = inputs.at("v");
  Expected result{std::vector<double>(static_cast<std::size_t>(p.B * p.Sq * p.H * p.Dv)), {}, {}};
  result.abs_mag = result.o;
  result.lse.resize(static_cast<std::size_t>(p.B * p.H * p.Sq));
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) {
        const Index g = h / (p.H / p.G);
        std::vector<double> s;
        for (Index j = 0; j < p.Sk; ++j) {
          const bool hidden = (p.mask == Mask::causal && j > i + p.Sk - p.Sq) ||
                              (p.mask == Mask::causal_top_left && j > i);
          if (hidden) break;
          double dot = 0;
          for (Index d = 0; d < p.D; ++d)
            dot += q.value(((b * p.Sq + i) * p.H + h) * p.D + d) *
                   k.value(((b * p.Sk + j) * p.G + g) * p.D + d);
          s.push_back(dot / std::sqrt(static_cast<double>(p.D)));
        }
        const double m = s.empty() ? 0.0 : *std::max_element(s.begin(), s.end());
        double l = 0;
        for (double x : s) l += std::exp(x - m);
        result.lse[static_cast<std::size_t>((b * p.H + h) * p.Sq + i)] = m + std::log(l);
        for (std::size_t j = 0; j < s.size(); ++j)
          for (Index d = 0; d < p.Dv; ++d) {
            const auto n = static_cast<std::size_t>(((b * p.Sq + i) * p.H + h) * p.Dv + d);
            const double term = std::exp(s[j] - m) / l *
                                v.value(((b * p.Sk + static_cast<Index>(j)) * p.G + g) * p.Dv + d);
            result.o[n] += term;
            result.abs_mag[n] += std::abs(term);
          }
      }
  return result;
}

Errors errors(const Problem& p, const TensorSet& outputs, const Expected& want) {
  Errors worst;
  const double u = unit_roundoff(p.dtype);
  for (std::size_t n = 0; n < want.o.size(); ++n) {
    const double error = difference(outputs.at("o").value(static_cast<Index>(n)), want.o[n]);
    if (error > 0)
      worst.o = std::max(worst.o, error / (u * (want.abs_mag[n] + std::abs(want.o[n])) + 1e-30));
  }
  for (std::size_t n = 0; n < want.lse.size(); ++n) {
    const double error = difference(outputs.at("lse").value(static_cast<Index>(n)), want.lse[n]);
    if (error > 0) worst.lse = std::max(worst.lse, error / (1e-6 * (1 + std::abs(want.lse[n]))));
  }
  return worst;
}

bool same_bits(const TensorSet& left, const TensorSet& right) {
  for (const char* name : {"o", "lse"})
    if (left.at(name).sha256() != right.at(name).sha256()) return false;
  return true;
}

}  // namespace attest::test

TEST_CASE("the kernel tests' own rounding inverts decoding and ties to even", "[kernels]") {
  using attest::Dtype;
  for (Dtype dtype : {Dtype::bf16, Dtype::fp16}) {
    int wrong = 0;
    for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
      const double x = attest::decode(dtype, &bits);
      if (std::isfinite(x)) wrong += attest::test::encode(dtype, x) != bits;
    }
    CAPTURE(attest::name(dtype));
    CHECK(wrong == 0);
  }
  CHECK(attest::test::encode(Dtype::fp16, 1 + 0x1p-11) == 0x3c00);
  CHECK(attest::test::encode(Dtype::fp16, 1 + 0x3p-11) == 0x3c02);
  CHECK(attest::test::encode(Dtype::bf16, 1 + 0x1.1p-8) == 0x3f81);
}
