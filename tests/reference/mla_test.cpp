#include <cmath>
#include <random>

#include "cases/error.h"
#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/naive.h"

using namespace attest;
using reference::Emit;

namespace {

/// A numbers array with a shape, row-major; index in the order of the extents.
struct Array {
  std::vector<Index> shape;
  std::vector<double> values;

  Array(std::mt19937_64& engine, std::vector<Index> extents) : shape(std::move(extents)) {
    Index count = 1;
    for (Index extent : shape) count *= extent;
    std::normal_distribution<double> normal;
    for (Index n = 0; n < count; ++n) values.push_back(normal(engine));
  }
  double operator()(std::initializer_list<Index> at) const {
    Index n = 0;
    std::size_t axis = 0;
    for (Index i : at) n = n * shape[axis++] + i;
    return values[static_cast<std::size_t>(n)];
  }
};

/// One multi-latent attention before its projections; every dimension is a different number.
struct Latent {
  Index B = 3, Sq = 5, Sk = 7, H = 4, L = 24, Dn = 16, Dr = 8, Dv = 12;
  std::mt19937_64 engine{11};
  Array q_nope{engine, {B, Sq, H, Dn}}, q_pe{engine, {B, Sq, H, Dr}};
  Array c_kv{engine, {B, Sk, L}}, k_pe{engine, {B, Sk, Dr}};
  Array w_uk{engine, {H, Dn, L}}, w_uv{engine, {H, L, Dv}};

  std::string shared =
      concat("mla B=", B, " Sq=", Sq, " Sk=", Sk, " H=", H, " dtype=fp64 mask=causal Dr=", Dr,
             " rope=yarn:factor:40,orig:4096,mscale_all_dim:0.707");
  Problem expanded = parse_problem(concat(shared, " D=", Dn + Dr, " Dv=", Dv));
  Problem absorbed = parse_problem(concat(shared, " D=", L + Dr, " form=absorbed Dn=", Dn));

  Truth run_expanded() const {
    const auto q = [&](Index b, Index i, Index h, Index d) {
      return d < Dn ? q_nope({b, i, h, d}) : q_pe({b, i, h, d - Dn});
    };
    const auto k = [&](Index b, Index j, Index h, Index d) {
      if (d >= Dn) return k_pe({b, j, d - Dn});
      double sum = 0;
      for (Index c = 0; c < L; ++c) sum += w_uk({h, d, c}) * c_kv({b, j, c});
      return sum;
    };
    const auto v = [&](Index b, Index j, Index h, Index d) {
      double sum = 0;
      for (Index c = 0; c < L; ++c) sum += c_kv({b, j, c}) * w_uv({h, c, d});
      return sum;
    };
    return reference::attend(expanded, naive::inputs(expanded, q, k, v), Emit::outputs);
  }

  TensorSet absorbed_inputs() const {
    TensorSet set;
    set.add(naive::tensor("q", {B, Sq, H, L + Dr}, [&](Index b, Index i, Index h, Index d) {
      if (d >= L) return q_pe({b, i, h, d - L});
      double sum = 0;
      for (Index n = 0; n < Dn; ++n) sum += q_nope({b, i, h, n}) * w_uk({h, n, d});
      return sum;
    }));
    Tensor latent("latent_cache", Dtype::fp64, "BSC", {B, Sk, L + Dr});
    double* next = latent.as<double>().data();
    for (Index b = 0; b < B; ++b)
      for (Index j = 0; j < Sk; ++j)
        for (Index d = 0; d < L + Dr; ++d) *next++ = d < L ? c_kv({b, j, d}) : k_pe({b, j, d - L});
    set.add(latent);
    return set;
  }
};

double value(const Tensor& o, Index b, Index i, Index h, Index d) {
  const auto& shape = o.shape();
  return o.value(((b * shape[1] + i) * shape[2] + h) * shape[3] + d);
}

}  // namespace

TEST_CASE("absorbed and expanded MLA agree to 1e-12") {
  const Latent n;
  const Truth expanded = n.run_expanded();
  const Truth absorbed = reference::attend(n.absorbed, n.absorbed_inputs(), Emit::outputs);
  const Tensor &o = expanded.outputs.at("o"), &latent = absorbed.outputs.at("o");
  REQUIRE(latent.shape() == std::vector<Index>{n.B, n.Sq, n.H, n.L});
  double error = 0, largest = 0;
  for (Index b = 0; b < n.B; ++b)
    for (Index i = 0; i < n.Sq; ++i)
      for (Index h = 0; h < n.H; ++h)
        for (Index d = 0; d < n.Dv; ++d) {
          double sum = 0;
          for (Index c = 0; c < n.L; ++c) sum += value(latent, b, i, h, c) * n.w_uv({h, c, d});
          error = std::max(error, std::abs(sum - value(o, b, i, h, d)));
          largest = std::max(largest, std::abs(sum));
        }
  CHECK(error < 1e-12 * largest);
  CHECK(largest > 1);
  const Tensor &lse = expanded.outputs.at("lse"), &other = absorbed.outputs.at("lse");
  for (Index row = 0; row < lse.size(); ++row)
    CHECK(std::abs(lse.value(row) - other.value(row)) < 1e-12 * (1 + std::abs(lse.value(row))));
}

TEST_CASE("absorbed MLA is the definition, value by value") {
  const Latent n;
  const TensorSet inputs = n.absorbed_inputs();
  const Truth truth = reference::attend(n.absorbed, inputs, Emit::outputs);
  const Tensor &q = inputs.at("q"), &latent = inputs.at("latent_cache");
  const long double scale = std::pow(1 + 0.1L * 0.707L * std::log(40.0L), 2) /
                            std::sqrt(static_cast<long double>(n.Dn + n.Dr));
  const Index b = 2, i = 3, h = 1, width = n.L + n.Dr;
  long double l = 0;
  std::vector<long double> o(static_cast<std::size_t>(n.L));
  for (Index j = 0; j <= i + n.Sk - n.Sq; ++j) {
    const auto key = [&](Index d) { return latent.value((b * n.Sk + j) * width + d); };
    long double s = 0;
    for (Index d = 0; d < width; ++d) s += scale * value(q, b, i, h, d) * key(d);
    l += std::exp(s);
    for (Index c = 0; c < n.L; ++c) o[static_cast<std::size_t>(c)] += std::exp(s) * key(c);
  }
  for (Index c = 0; c < n.L; ++c)
    CHECK(value(truth.outputs.at("o"), b, i, h, c) ==
          Approx(static_cast<double>(o[static_cast<std::size_t>(c)] / l)).epsilon(1e-12));
  CHECK(truth.outputs.at("lse").value((b * n.H + h) * n.Sq + i) ==
        Approx(static_cast<double>(std::log(l))).epsilon(1e-12));
}

TEST_CASE("the softmax scale of MLA knows Dn + Dr and the stretch of the context, not D") {
  const auto scale = [](const char* text) {
    return reference::softmax_scale(
        parse_problem(concat("mla B=1 Sq=1 Sk=2 H=3 dtype=bf16 Dr=64 ", text)));
  };
  // 1 / sqrt(192), and times (1 + 0.1 m ln 40)^2 for m = 1 and 0.707
  CHECK(scale("D=192 Dv=128") == Approx(0.07216878364870322).epsilon(1e-14));
  CHECK(scale("D=576 form=absorbed Dn=128") == Approx(0.07216878364870322).epsilon(1e-14));
  CHECK(scale("D=576 form=absorbed Dn=128 rope=yarn:factor:40,orig:4096,mscale_all_dim:1") ==
        Approx(0.1352337788608801).epsilon(1e-14));
  CHECK(scale("D=192 Dv=128 rope=yarn:factor:40,orig:4096,mscale_all_dim:0.707") ==
        Approx(0.11472138679292612).epsilon(1e-14));
  CHECK(scale("D=192 Dv=128 rope=yarn:factor:40,orig:4096") ==
        Approx(0.07216878364870322).epsilon(1e-14));
  CHECK(reference::softmax_scale(parse_problem("mha B=1 Sq=1 Sk=2 H=3 D=64 dtype=bf16")) == 0.125);
}
