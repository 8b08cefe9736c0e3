#include "harness/tolerance.h"

#include <cmath>

#include "cases/error.h"
#include "tests/catch.h"
#include "tests/harness/truth_by_hand.h"

using namespace attest;
using by_hand::silent;
using by_hand::Values;

namespace {

const Problem kProblem = parse_problem("mha B=1 Sq=1 Sk=16 H=1 D=1 dtype=bf16");
constexpr double kU = 0x1p-8;  // unit roundoff of bf16, the type of o here

Bounds bounds(const Values& values, const Descriptor& descriptor, const Problem& p = kProblem) {
  return derive_bounds(p, by_hand::truth(p, values), descriptor);
}

/// The hard bound that an error `e` before the last rounding leaves at o = 0.5. [9]
double stored(double e) { return (1 + kU) * e + kU * 0.5; }

}  // namespace

TEST_CASE("with nothing else rounding, the bound is one rounding of o") {
  const Bounds b = bounds({}, silent());
  CHECK(b.hard_bound[0] == Approx(stored(0)));
  CHECK(b.sigma[0] == Approx(0x1p-8 / std::sqrt(12.0)));  // ulp(0.5) = 2^-8
  CHECK(b.lse_bound[0] == 0);
}

TEST_CASE("rounding p costs its unit roundoff times sum P |v|") {
  Descriptor d = silent();
  d.p_type = Dtype::bf16;
  Values v;
  v.second_moment = 100;  // no help
  CHECK(bounds(v, d).hard_bound[0] == Approx(stored(0x1p-8 * 1)));
}

TEST_CASE("p = 1 is exact, and few rounded keys cost less than all") {
  Descriptor d = silent();
  d.p_type = Dtype::bf16;
  CHECK(bounds({}, d).hard_bound[0] == Approx(stored(0)));
  Values v;
  v.second_moment = 1e-6;  // Cauchy-Schwarz over 16 keys: 2 u sqrt(16 * 1e-6)
  CHECK(bounds(v, d).hard_bound[0] == Approx(stored(2 * 0x1p-8 * 4e-3)));
}

TEST_CASE("the statistical bound of rounded p is 6 deviations of uniform errors") {
  Descriptor d = silent();
  d.p_type = Dtype::bf16;
  Values v;
  v.second_moment = 1e-4;
  v.abs_mag = 100;
  const Bounds b = bounds(v, d);
  CHECK(b.stat_bound[0] == Approx(stored(6 * 2 * 0x1p-8 / std::sqrt(3.0) * 1e-2)).epsilon(1e-6));
  CHECK(b.sigma[0] ==
        Approx(std::hypot(0x1p-8 / std::sqrt(12.0), 2 * 0x1p-8 * 1e-2 / std::sqrt(12.0))));
}

TEST_CASE("p below the smallest subnormal of fp16 costs half of it a key") {
  Descriptor d = silent();
  d.p_type = Dtype::fp16;
  Values v;
  v.visible_abs_v = 1 << 20;
  CHECK(bounds(v, d).hard_bound[0] == Approx(stored(0x1p-25 * 0x1p20 / 2)));
}

TEST_CASE(
    "sums of p v cost gamma of their depth, six square roots of it where they round to nearest") {
  Descriptor d = silent();
  d.u_acc = 1e-5;
  d.depth_pv = 10000;
  d.chain_pv = 1000;
  d.depth_qk = d.chain_qk = 0;
  CHECK(bounds({}, d).hard_bound[0] == Approx(stored(0.1 / 0.9)).epsilon(1e-6));
  CHECK(bounds({}, d).stat_bound[0] ==
        Approx(stored(0.01 / 0.99)).epsilon(1e-6));  // u_acc > u_a: truncates
  d.u_a = 1e-5;
  d.depth_l = 0;
  CHECK(bounds({}, d).stat_bound[0] < stored(6 * std::sqrt(1000) * 1e-5 + 1e-3));
}

TEST_CASE("score errors enter through gamma of q k times |q| |k|") {
  Descriptor d = silent();
  d.u_acc = 1e-7;
  d.depth_qk = 10;
  d.chain_qk = 5;
  d.depth_pv = d.chain_pv = 0;
  Values v;
  v.mean_a = v.max_a = 100;
  v.abs_mag_a = 100;
  // eta = 1e-6 * 100 = 1e-4 for every key: e^eta (e^eta - 1) / eta * eta (sum P |v| + |o|)
  const double eta = 1e-4;
  CHECK(bounds(v, d).hard_bound[0] ==
        Approx(stored(std::exp(eta) * std::expm1(eta) * 1.5)).epsilon(1e-7));
  CHECK(bounds(v, d).lse_bound[0] ==
        Approx(-std::log1p(-std::exp(eta) * std::expm1(eta))).epsilon(1e-5));
  // The statistical bounds take one rounding for each product of the chain.
  const double half = eta / 2;
  CHECK(bounds(v, d).stat_bound[0] ==
        Approx(stored(std::exp(half) * std::expm1(half) * 1.5)).epsilon(1e-7));
  CHECK(bounds(v, d).lse_stat[0] ==
        Approx(-std::log1p(-std::exp(half) * std::expm1(half))).epsilon(1e-5));
}

TEST_CASE("each rescale of the running sums adds an exponential's error") {
  Descriptor d = silent();
  d.u_exp = 1e-6;
  Values v;
  // A row of 16 keys has 4 blocks: rounding may let the maximum rise in each.
  CHECK(bounds(v, d).lse_bound[0] == Approx(5e-6).epsilon(1e-4));
  const double once = bounds(v, d).lse_stat[0];  // its own and one rescale
  CHECK(once == Approx(2e-6).epsilon(1e-5));
  v.max_raises = 3;
  CHECK(bounds(v, d).lse_stat[0] == Approx(4e-6).epsilon(1e-5));
  v.max_raises = 16;
  CHECK(bounds(v, d).lse_stat[0] == Approx(5e-6).epsilon(1e-4));
}

TEST_CASE("a split sees all its blocks raise the maximum, and merging costs two exponentials") {
  Descriptor d = silent();
  d.u_exp = 1e-6;
  d.splits = 2;  // 2 blocks each
  CHECK(bounds({}, d).lse_bound[0] == Approx(3e-6 + 2e-6).epsilon(1e-5));
  CHECK(bounds({}, d).hard_bound[0] == Approx(stored(3e-6 * 1.5 + 2 * 2e-6)).epsilon(1e-6));
}

namespace {

/// What the keys of a problem beside q and k add to the lse bound of a row, given in nats.
double added_to_lse(const std::string& keys, const Values& v, const Descriptor& d) {
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=16 H=1 D=1 dtype=bf16" + keys);
  return bounds(v, d, p).lse_bound[0] - bounds(v, d).lse_bound[0];
}

}  // namespace

TEST_CASE("caps, biases and sinks add their roundings to the exponent") {
  Descriptor d = silent();
  Values v;
  v.row_max = -3, v.mean_gap = 0.5, v.max_gap = 0.5, v.mean_a = 7, v.max_a = 7;
  d.u_tanh = 1e-6;
  CHECK(added_to_lse(" softcap=4", v, d) == Approx(1e-6 * (3 + 0.5)).epsilon(1e-4));
  CHECK(added_to_lse(" softcap=4 alibi=1", v, d) == Approx(1e-6 * 7).epsilon(1e-4));
  d.u_tanh = 0;
  d.u_a = 1e-7;
  CHECK(added_to_lse(" softcap=4", v, d) == Approx(2e-7 * (3 + 0.5)).epsilon(1e-4));
  for (const char* bias : {" alibi=1", " attn_bias=head"})
    CHECK(added_to_lse(bias, v, d) == Approx(4e-7 * (7 + 0.5 + 3)).epsilon(1e-4));
  // A sink: 2 u_a of its score, and a rescale: 3 u_a of the exponent, 2 u_a of l.
  CHECK(added_to_lse(" sink=one", v, d) == Approx(2e-7 * (3 + 0.5) + 5e-7).epsilon(1e-3));
}

TEST_CASE("rows that a mask cuts up may see a key in each block") {
  Descriptor d = silent();  // 4 keys a block
  d.u_exp = 1e-6;
  CHECK(added_to_lse(" mask=causal window=4,-1", {}, d) ==
        Approx(-1e-6).epsilon(1e-3));  // 5 keys in 3 blocks, not 4
  CHECK(added_to_lse(" mask=causal window=4,-1 attn_mask=full", {}, d) ==
        Approx(0).margin(1e-9));  // 5 keys in 4 blocks
}

TEST_CASE("where o is tiny, sigma knows that the exponential returns 0 below 2^-126") {
  Descriptor d = silent();
  d.u_a = 0x1p-24;
  Values v;
  v.o = 0x1p-128, v.abs_mag = 0x1p-128;
  CHECK(bounds(v, d).sigma[0] == Approx(0x1p-126 * 4 / 2 / std::sqrt(3.0)).epsilon(1e-3));
}

TEST_CASE("a row sum of rounded p moves lse by the unit roundoff of p") {
  Descriptor d = silent();
  d.p_type = Dtype::bf16;
  CHECK(bounds({}, d).lse_bound[0] == 0);
  d.l_from_rounded_p = true;
  CHECK(bounds({}, d).lse_bound[0] == Approx(-std::log1p(-0x1p-8)));
}

TEST_CASE("an error that swallows everything makes the bounds infinite, never NaN") {
  Descriptor d = silent();
  d.u_acc = 1;
  Values v;
  v.max_a = v.mean_a = v.abs_mag_a = 1e9;
  v.max_gap = 1e9;
  const Bounds b = bounds(v, d);
  CHECK(b.hard_bound[0] > 1e100);
  CHECK(b.stat_bound[0] > 1e100);
  CHECK(b.lse_bound[0] > 1e100);
  CHECK(b.lse_stat[0] > 1e100);
}

TEST_CASE("one key, or values that are all zero, leave nothing to round") {
  Descriptor d = silent();
  d.u_acc = 0x1p-23;
  d.u_a = 0x1p-24;
  d.p_type = Dtype::bf16;
  const Problem one_key = parse_problem("mha B=1 Sq=1 Sk=1 H=1 D=1 dtype=bf16");
  CHECK(bounds({}, d, one_key).hard_bound[0] == 0);
  CHECK(bounds({}, d, one_key).sigma[0] == 0);
  Values zeros;
  zeros.o = zeros.abs_mag = zeros.visible_abs_v = 0;
  CHECK(bounds(zeros, d).hard_bound[0] == 0);
  CHECK(bounds(zeros, d).sigma[0] == 0);
  CHECK(bounds({}, d).sigma[0] > 0);
}

TEST_CASE("one key is not exact where o is as fine as the exponent's error") {
  Descriptor d = silent();
  d.u_a = 0x1p-24;
  d.o_type = Dtype::fp32;
  const Problem one_key = parse_problem("mha B=1 Sq=1 Sk=1 H=1 D=1 dtype=bf16");
  CHECK(bounds({}, d, one_key).hard_bound[0] > 0x1p-24);
}

TEST_CASE("rows that see no key have zero bounds") {
  const Problem p = parse_problem("mha B=1 Sq=2 Sk=1 H=1 D=1 dtype=bf16 mask=causal");
  const Bounds b = bounds({}, silent(), p);
  CHECK(b.hard_bound[0] == 0);
  CHECK(b.sigma[0] == 0);
  CHECK(b.lse_bound[0] == 0);
}

TEST_CASE("a truth without conditioning, or of another shape, is refused") {
  Truth truth = by_hand::truth(kProblem, {});
  const Problem other = parse_problem("mha B=1 Sq=2 Sk=16 H=1 D=1 dtype=bf16");
  CHECK_THROWS_AS(derive_bounds(other, truth, silent()), Error);
  truth.conditioning = TensorSet();
  CHECK_THROWS_AS(derive_bounds(kProblem, truth, silent()), Error);
}

TEST_CASE("scales of a cache round once more in the exponent and once at the end") {
  const Problem plain = kProblem;
  Problem p = plain;
  p.kv = Dtype::e4m3;
  Descriptor d = silent();
  d.u_a = 0x1p-12;  // large, to stand out
  Values v;
  v.mean_gap = 0;
  v.max_gap = 0;
  v.row_max = 3;
  const double more = bounds(v, d, p).lse_bound[0] - bounds(v, d, plain).lse_bound[0];
  CHECK(more == Approx(3 * 0x1p-12).epsilon(0.05));  // u_a |m|
  Values still;
  const double ending = bounds(still, d, p).hard_bound[0] - bounds(still, d, plain).hard_bound[0];
  CHECK(ending == Approx(0x1p-12 * 0.5).epsilon(0.05));  // u_a |o|
  Problem biased = plain, biased_kv = p;
  biased.alibi = biased_kv.alibi = true;
  Values a;
  a.mean_a = a.max_a = 5;
  const double with_bias = bounds(a, d, biased_kv).lse_bound[0] - bounds(a, d, biased).lse_bound[0];
  CHECK(with_bias == Approx(5 * 0x1p-12).epsilon(0.05));  // u_a a
}

TEST_CASE("one key with a scale may be stored next to a tie on either side") {
  Problem p = parse_problem("mha B=1 Sq=1 Sk=1 H=1 D=1 dtype=bf16 kv=e4m3");
  Descriptor d = silent();
  d.u_a = 0x1p-24;
  Values v;
  v.o = 1 + 0x1p-8 + 0x1p-27;                                // just above a tie of bf16
  CHECK(bounds(v, d, p).hard_bound[0] == 0x1p-8 + 0x1p-27);  // to 1, or 2^-27 less to 1 + 2^-7
  v.o = 1 + 0x1p-9;
  CHECK(bounds(v, d, p).hard_bound[0] == 0x1p-9);
  p.kv.reset();
  v.o = 1 + 0x1p-8 + 0x1p-27;
  CHECK(bounds(v, d, p).hard_bound[0] == 0x1p-8 - 0x1p-27);
}
