#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "tests/catch.h"
#include "tests/cuda/kernels_support.h"

// MLA: mla_decode on the latent cache, and the scale with which prefill and decode run the expanded
// form. The oracle is a double loop; scales are numbers that the papers' formulas give.

using namespace attest;
using test::noise;
using test::same_bits;

namespace {

constexpr std::uint16_t kNan = 0x7fff;  // in bf16 and in fp16

const Kernel& mla_decode() { return find_kernel("mla_decode", Backend::emu); }

std::vector<double> values_of(const Tensor& tensor) {
  std::vector<double> result(static_cast<std::size_t>(tensor.size()));
  for (std::size_t n = 0; n < result.size(); ++n) result[n] = tensor.value(static_cast<Index>(n));
  return result;
}

/// Attention of absorbed form (k and v the same tensor) or expanded form, one row at a time.
test::Expected oracle(const Problem& p, const TensorSet& inputs, double scale) {
  const bool absorbed = p.form == Form::absorbed;
  const auto q = values_of(inputs.at("q"));
  const auto k = values_of(inputs.at(absorbed ? "latent_cache" : "k"));
  const auto v = absorbed ? k : values_of(inputs.at("v"));
  const auto rows = static_cast<std::size_t>(p.B * p.Sq * p.H);
  const auto width = static_cast<std::size_t>(p.Dv);
  test::Expected want{std::vector<double>(rows * width), std::vector<double>(rows * width),
                      std::vector<double>(rows)};
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) {
        const Index g = absorbed ? 0 : h;
        const double* q_row = &q[static_cast<std::size_t>(((b * p.Sq + i) * p.H + h) * p.D)];
        std::vector<double> s;
        for (Index j = 0; j < p.Sk; ++j) {
          if (p.mask == Mask::causal && j > i + p.Sk - p.Sq) break;
          if (p.mask == Mask::causal_top_left && j > i) break;
          const double* k_row = &k[static_cast<std::size_t>(((b * p.Sk + j) * p.G + g) * p.D)];
          double dot = 0;
          for (Index d = 0; d < p.D; ++d) dot += q_row[d] * k_row[d];
          s.push_back(scale * dot);
        }
        const double m = s.empty() ? 0.0 : *std::max_element(s.begin(), s.end());
        double l = 0;
        for (double x : s) l += std::exp(x - m);
        want.lse[static_cast<std::size_t>((b * p.H + h) * p.Sq + i)] = m + std::log(l);
        const auto o = static_cast<std::size_t>((b * p.Sq + i) * p.H + h) * width;
        for (std::size_t j = 0; j < s.size(); ++j) {
          const Index row = (b * p.Sk + static_cast<Index>(j)) * p.G + g;
          const double* v_row = &v[static_cast<std::size_t>(row * (absorbed ? p.D : p.Dv))];
          for (std::size_t d = 0; d < width; ++d) {
            const double term = std::exp(s[j] - m) / l * v_row[d];
            want.o[o + d] += term;
            want.abs_mag[o + d] += std::abs(term);
          }
        }
      }
  return want;
}

/// P rounded to the dtype costs u A, o rounded to it u |o|; the rest is noise of fp32.
void check_close(const Problem& p, const TensorSet& outputs, const test::Expected& want) {
  const test::Errors worst = test::errors(p, outputs, want);
  CHECK(worst.o <= 1.05);
  CHECK(worst.lse <= 10);
}

/// q [B,Sq,H,D] and latent_cache [B,Sk,D] of noise whose scaled scores deviate by about 2: the
/// softmax is neither flat nor one-hot.
TensorSet latent_noise(const Problem& p) {
  TensorSet inputs;
  const auto add = [&](Tensor& tensor, const test::Value& value) {
    auto bits = tensor.as<std::uint16_t>();
    for (std::size_t n = 0; n < bits.size(); ++n)
      bits[n] = test::encode(p.dtype, value(0, 0, 0, static_cast<Index>(n)));
  };
  const double q = 2 * std::sqrt(static_cast<double>(p.Dn + p.Dr) / static_cast<double>(p.D));
  add(inputs.add(Tensor("q", p.dtype, "BSHD", {p.B, p.Sq, p.H, p.D})), noise("q", q));
  add(inputs.add(Tensor("latent_cache", p.dtype, "BSC", {p.B, p.Sk, p.D})), noise("cache"));
  return inputs;
}

double unscaled(const Problem& p) { return 1 / std::sqrt(static_cast<double>(p.Dn + p.Dr)); }

std::string absorbed(std::string_view shape, std::string_view rest) {
  return std::string("mla ") + std::string(shape) + " form=absorbed " + std::string(rest);
}

constexpr const char* kShapes[] = {
    "B=2 Sq=3 Sk=77 H=5 D=56 Dv=40 Dn=24 Dr=16",    "B=1 Sq=1 Sk=257 H=16 D=80 Dv=64 Dn=48 Dr=16",
    "B=3 Sq=2 Sk=31 H=9 D=128 Dv=64 Dn=40 Dr=64",   "B=1 Sq=40 Sk=33 H=2 D=72 Dv=64 Dn=8 Dr=8",
    "B=2 Sq=5 Sk=65 H=3 D=96 Dv=72 Dn=16 Dr=24",    "B=1 Sq=4 Sk=130 H=7 D=248 Dv=200 Dn=32 Dr=48",
    "B=1 Sq=2 Sk=95 H=20 D=528 Dv=512 Dn=64 Dr=16", "B=1 Sq=19 Sk=6 H=1 D=136 Dv=8 Dn=24 Dr=128",
    "B=1 Sq=6 Sk=97 H=11 D=576 Dv=384 Dn=8 Dr=192",
};

}  // namespace

TEST_CASE("mla_decode agrees with a double loop over shapes, masks and types", "[kernels][mla]") {
  const auto* shape = GENERATE(from_range(std::begin(kShapes), std::end(kShapes)));
  const auto* mask = GENERATE("none", "causal", "causal_top_left");
  const auto* dtype = GENERATE("bf16", "fp16");
  const Problem p = parse_problem(absorbed(shape, std::string("dtype=") + dtype + " mask=" + mask));
  CAPTURE(print(p));
  REQUIRE(mla_decode().supports(p).empty());
  const TensorSet inputs = latent_noise(p);
  check_close(p, test::run(mla_decode(), p, inputs), oracle(p, inputs, unscaled(p)));
}

TEST_CASE("mla_decode runs DeepSeek's widths with all heads", "[kernels][mla]") {
  const Problem p = parse_problem(
      "mla B=1 Sq=2 Sk=100 H=128 D=576 Dv=512 dtype=bf16 form=absorbed Dn=128 Dr=64 mask=causal");
  const TensorSet inputs = latent_noise(p);
  check_close(p, test::run(mla_decode(), p, inputs), oracle(p, inputs, 0.07216878364870323));
}

TEST_CASE("the scale of MLA knows the head before absorption and YaRN", "[kernels][mla]") {
  struct Scale {
    const char* rope;
    double value;  // of Dn + Dr = 192
  };
  const auto scale = GENERATE(
      Scale{"none", 0.07216878364870323}, Scale{"default", 0.07216878364870323},
      Scale{"linear:factor:40", 0.07216878364870323},
      Scale{"yarn:factor:40,orig:4096", 0.07216878364870323},  // mscale_all_dim 0
      Scale{"yarn:factor:40,orig:4096,mscale_all_dim:1", 0.13523377886088009},
      Scale{"yarn:factor:40,orig:4096,mscale:0.707,mscale_all_dim:0.707", 0.11472138679292612},
      Scale{"yarn:factor:40,orig:4096,mscale_all_dim:0.707", 0.11472138679292612},
      Scale{"yarn:theta:50000,factor:32,orig:4096,mscale_all_dim:1", 0.13086079996295008},
      Scale{"yarn:factor:1,orig:4096,mscale_all_dim:1", 0.07216878364870323});
  const auto* kernel = GENERATE("mla_decode", "prefill", "decode");
  CAPTURE(scale.rope, kernel);
  const bool latent = kernel == std::string_view("mla_decode");
  const Problem p = parse_problem(
      (latent ? absorbed("B=1 Sq=2 Sk=40 H=3 D=576 Dv=512 Dn=128 Dr=64", "dtype=fp16")
              : std::string("mla B=1 Sq=2 Sk=40 H=3 G=3 D=192 Dv=128 Dr=64 dtype=fp16")) +
      " rope=" + scale.rope);
  const TensorSet inputs = latent ? latent_noise(p) : test::noise_inputs(p);
  const TensorSet outputs = test::run(find_kernel(kernel, Backend::emu), p, inputs);
  check_close(p, outputs, oracle(p, inputs, scale.value));
}

TEST_CASE("mla_decode gives the same answer for every number of splits", "[kernels][mla]") {
  const Index splits = GENERATE(1, 2, 3, 5, 99, 256);
  const auto* text = GENERATE("B=1 Sq=1 Sk=450 H=17 D=72 Dv=56 Dn=24 Dr=16 dtype=bf16",
                              "B=2 Sq=6 Sk=70 H=3 D=96 Dv=64 Dn=8 Dr=32 dtype=fp16 mask=causal",
                              "B=1 Sq=12 Sk=5 H=2 D=104 Dv=88 Dn=8 Dr=16 dtype=bf16 mask=causal",
                              "B=1 Sq=3 Sk=161 H=4 D=576 Dv=512 Dn=128 Dr=64 dtype=bf16");
  CAPTURE(splits, text);
  const Problem p = parse_problem(absorbed(text, ""));
  const TensorSet inputs = latent_noise(p);
  check_close(p, test::run(mla_decode(), p, inputs, splits), oracle(p, inputs, unscaled(p)));
}

TEST_CASE("no schedule of the emulator changes a bit of mla_decode", "[kernels][mla]") {
  const auto* text = GENERATE("B=2 Sq=5 Sk=200 H=7 D=72 Dv=56 Dn=24 Dr=16 dtype=bf16 mask=causal",
                              "B=1 Sq=2 Sk=170 H=9 D=576 Dv=512 Dn=128 Dr=64 dtype=fp16");
  CAPTURE(text);
  const Problem p = parse_problem(absorbed(text, ""));
  const TensorSet inputs = latent_noise(p);
  const TensorSet first = test::run(mla_decode(), p, inputs, 2);
  check_close(p, first, oracle(p, inputs, unscaled(p)));
  for (Schedule schedule : {0, 1, 2, 3, 12345}) {
    CAPTURE(schedule);
    CHECK(same_bits(first, test::run(mla_decode(), p, inputs, 2, schedule)));
  }
}

TEST_CASE("with one key, o is its latent bit for bit", "[kernels][mla]") {
  const auto* shape = GENERATE("B=2 Sq=3 Sk=1 H=4 D=104 Dv=40 Dn=8 Dr=64",
                               "B=1 Sq=1 Sk=1 H=3 D=576 Dv=512 Dn=128 Dr=64");
  const Problem p = parse_problem(absorbed(shape, "dtype=bf16"));
  CAPTURE(shape);
  const TensorSet inputs = latent_noise(p);
  const TensorSet outputs = test::run(mla_decode(), p, inputs);
  const Tensor &o = outputs.at("o"), &cache = inputs.at("latent_cache");
  for (Index n = 0; n < o.size(); ++n) {
    const Index b = n / (p.Sq * p.H * p.Dv), d = n % p.Dv;
    REQUIRE(o.value(n) == cache.value(b * p.D + d));
  }
}

TEST_CASE("rows that see no key are zero, and minus infinity in lse", "[kernels][mla]") {
  const auto* text = GENERATE("B=2 Sq=3 Sk=0 H=5 D=56 Dv=40 Dn=24 Dr=16 dtype=bf16",
                              "B=1 Sq=40 Sk=33 H=3 D=72 Dv=64 Dn=8 Dr=8 dtype=fp16 mask=causal",
                              "B=1 Sq=9 Sk=2 H=16 D=576 Dv=512 Dn=8 Dr=64 dtype=bf16 mask=causal");
  const Index splits = GENERATE(0, 3);
  CAPTURE(text, splits);
  const Problem p = parse_problem(absorbed(text, ""));
  const TensorSet outputs = test::run(mla_decode(), p, latent_noise(p), splits);
  const Index blind = p.Sq - p.Sk;  // queries 0 .. blind-1
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) {
        const double lse = outputs.at("lse").value((b * p.H + h) * p.Sq + i);
        REQUIRE((lse == -HUGE_VAL) == (i < blind));
        for (Index d = 0; i < blind && d < p.Dv; ++d)
          REQUIRE(outputs.at("o").value(((b * p.Sq + i) * p.H + h) * p.Dv + d) == 0);
      }
}

TEST_CASE("mla_decode does not read cache rows that no query sees", "[kernels][mla]") {
  const auto* shape = GENERATE("B=2 Sq=3 Sk=77 H=7 D=56 Dv=40 Dn=24 Dr=16",
                               "B=2 Sq=2 Sk=40 H=3 D=576 Dv=512 Dn=128 Dr=64");
  const Index splits = GENERATE(1, 2);
  CAPTURE(shape, splits);
  const Problem p = parse_problem(absorbed(shape, "dtype=bf16 mask=causal_top_left"));
  TensorSet inputs = latent_noise(p);
  const TensorSet clean = test::run(mla_decode(), p, inputs, splits);
  auto cache = inputs.at("latent_cache").as<std::uint16_t>();
  for (Index b = 0; b < p.B; ++b)
    std::fill(cache.begin() + (b * p.Sk + p.Sq) * p.D, cache.begin() + (b + 1) * p.Sk * p.D, kNan);
  CHECK(same_bits(clean, test::run(mla_decode(), p, inputs, splits)));
}

TEST_CASE("batch entries of mla_decode do not meet", "[kernels][mla]") {
  const Problem p = parse_problem(
      absorbed("B=2 Sq=3 Sk=77 H=7 D=56 Dv=40 Dn=24 Dr=16", "dtype=fp16 mask=causal"));
  TensorSet inputs = latent_noise(p);
  const TensorSet clean = test::run(mla_decode(), p, inputs, 2);
  auto cache = inputs.at("latent_cache").as<std::uint16_t>();
  std::fill(cache.begin() + p.Sk * p.D, cache.end(), kNan);
  const TensorSet poisoned = test::run(mla_decode(), p, inputs, 2);
  for (const char* name : {"o", "lse"}) {
    const Tensor &left = clean.at(name), &right = poisoned.at(name);
    for (Index n = 0; n < left.size(); ++n)
      REQUIRE((n < left.size() / 2 ? left.value(n) == right.value(n) : std::isnan(right.value(n))));
    CHECK(right.canary_intact());
  }
}

TEST_CASE("kernels of MLA refuse the other form and what does not fit", "[kernels][mla]") {
  const auto reason = [](const char* kernel, const std::string& text) {
    return find_kernel(kernel, Backend::emu).supports(parse_problem(text));
  };
  const auto refused = [&](const char* shape, const char* dtype = "dtype=bf16") {
    return reason("mla_decode", absorbed(shape, dtype));
  };
  const char* deepseek = "B=1 Sq=1 Sk=1 H=128 D=576 Dv=512 Dn=128 Dr=64";
  CHECK(refused(deepseek).empty());
  CHECK(refused(deepseek, "dtype=fp32") == "dtype must be bf16 or fp16, got fp32");
  CHECK(refused("B=1 Sq=1 Sk=1 H=1 D=60 Dv=40 Dn=8 Dr=20") ==
        "D must be a multiple of 8, got D=60");
  CHECK(refused("B=1 Sq=1 Sk=1 H=1 D=640 Dv=512 Dn=8 Dr=128") ==
        "D must be at most 576, got D=640");
  CHECK(refused("B=1 Sq=1 Sk=1 H=1 D=552 Dv=520 Dn=8 Dr=32") ==
        "Dv must be at most 512, got Dv=520");
  CHECK(refused("B=1 Sq=9 Sk=1 H=128 D=56 Dv=40 Dn=8 Dr=16") ==
        "H * Sq must be at most 1024, got 1152; a longer query belongs to the expanded form");
  const char* expanded = GENERATE("mla B=1 Sq=1 Sk=1 H=2 G=2 D=192 Dv=128 Dr=64 dtype=bf16",
                                  "mqa B=1 Sq=1 Sk=1 H=2 D=64 dtype=bf16");
  CHECK(reason("mla_decode", expanded) == "form must be absorbed, got expanded");
  for (const char* kernel : {"prefill", "decode"}) {
    CHECK(reason(kernel, absorbed(deepseek, "dtype=bf16")) ==
          "form must be expanded, got absorbed");
    CHECK(reason(kernel, expanded).empty());
  }
}

TEST_CASE("the descriptor of mla_decode counts what it does", "[kernels][mla]") {
  const Problem p =
      parse_problem(absorbed("B=1 Sq=1 Sk=1000 H=128 D=576 Dv=512 Dn=128 Dr=64", "dtype=bf16"));
  const Descriptor d = mla_decode().descriptor(p, 3);
  CHECK(d.chain_qk == 9 + 3);  // nine mma a warp, and three more warps
  CHECK(d.depth_qk == 17 * 9 + 3);
  CHECK(d.chain_pv == 2 * 11);  // 32 tiles in 3 splits: at most 11, two mma each
  CHECK(d.depth_pv == 17 * 2 * 11);
  CHECK(d.depth_l == 8 + 11 + 2);  // a lane's 8 p of a tile, 11 tiles, 2 shuffles
  CHECK(d.block_k == 32);
  CHECK(d.splits == 3);
  CHECK(mla_decode().splits(p, 0) == 8);  // at least four tiles each
}

TEST_CASE("mla_decode on a GPU agrees with a double loop and with itself", "[kernels][mla][gpu]") {
  if (device_name(Backend::gpu).empty()) {
    WARN("not run: no GPU");
    return;
  }
  const auto* text = GENERATE("B=2 Sq=3 Sk=777 H=5 D=56 Dv=40 Dn=24 Dr=16 dtype=bf16 mask=causal",
                              "B=1 Sq=2 Sk=500 H=128 D=576 Dv=512 Dn=128 Dr=64 dtype=fp16");
  CAPTURE(text);
  const Problem p = parse_problem(absorbed(text, ""));
  const TensorSet inputs = latent_noise(p);
  const TensorSet outputs = test::run(find_kernel("mla_decode", Backend::gpu), p, inputs, 3);
  const test::Errors worst = test::errors(p, outputs, oracle(p, inputs, unscaled(p)));
  CHECK(worst.o <= 1.05);
  CHECK(worst.lse <= 20);
  CHECK(same_bits(outputs, test::run(find_kernel("mla_decode", Backend::gpu), p, inputs, 3)));
}
