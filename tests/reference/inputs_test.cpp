#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "cases/error.h"
#include "reference/reference.h"
#include "tests/catch.h"
#include "tests/reference/naive.h"

using namespace attest;
using reference::Emit;

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A copy of x [B, S, heads, width] with these strides, NaN in between.
struct Spread {
  std::vector<double> storage;
  TensorView view;

  Spread(const Tensor& x, std::vector<Index> strides)
      : view{nullptr, Dtype::fp64, x.shape(), std::move(strides)} {
    Index last = 0;
    for (std::size_t axis = 0; axis < 4; ++axis)
      last += (view.shape[axis] - 1) * view.strides[axis];
    storage.assign(std::size_t(last) + 1, kNaN);
    view.data = reinterpret_cast<const std::byte*>(storage.data());
    Index n = 0, at[4];
    for (at[0] = 0; at[0] < view.shape[0]; ++at[0])
      for (at[1] = 0; at[1] < view.shape[1]; ++at[1])
        for (at[2] = 0; at[2] < view.shape[2]; ++at[2])
          for (at[3] = 0; at[3] < view.shape[3]; ++at[3]) {
            const double value = x.value(n++);
            std::memcpy(const_cast<std::byte*>(view.at(at)), &value, sizeof value);
          }
  }
  Spread(const Spread&) = delete;
};

void check_same_bits(const Truth& got, const Truth& want) {
  for (const Tensor& tensor : want.outputs) {
    CAPTURE(tensor.name());
    CHECK(std::ranges::equal(got.outputs.at(tensor.name()).bytes(), tensor.bytes()));
  }
}

std::string message_of(const Problem& p, const TensorView& q, const TensorView& k,
                       const TensorView& v) {
  try {
    reference::attend(p, q, k, v, Emit::outputs);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

Tensor tensor16(const char* name, Dtype dtype, std::vector<Index> shape,
                const std::vector<std::uint16_t>& bits) {
  Tensor result(name, dtype, "BSHD", std::move(shape));
  std::ranges::copy(bits, result.as<std::uint16_t>().begin());
  return result;
}

}  // namespace

TEST_CASE("strides do not matter, and what lies between the elements is not read") {
  const Problem p = parse_problem("gqa B=2 Sq=3 Sk=5 H=4 G=2 D=6 Dv=7 dtype=fp64 mask=causal");
  const TensorSet in = naive::random_inputs(p);
  const Truth want = reference::attend(p, in, Emit::outputs);

  SECTION("stored as [B, heads, S, width]") {
    const Spread q(in.at("q"), {72, 6, 18, 1}), k(in.at("k"), {60, 6, 30, 1}),
        v(in.at("v"), {70, 7, 35, 1});
    check_same_bits(reference::attend(p, q.view, k.view, v.view, Emit::outputs), want);
  }
  SECTION("padded in every axis") {
    const Spread q(in.at("q"), {400, 100, 20, 3}), k(in.at("k"), {300, 50, 16, 2}),
        v(in.at("v"), {1001, 200, 90, 11});
    check_same_bits(reference::attend(p, q.view, k.view, v.view, Emit::outputs), want);
  }
}

TEST_CASE("one head that is broadcast by a stride of 0 equals repeated heads") {
  const Problem one_head = parse_problem("mqa B=1 Sq=2 Sk=3 H=4 D=5 dtype=fp64");
  const Problem all_heads = parse_problem("mha B=1 Sq=2 Sk=3 H=4 D=5 dtype=fp64");
  const TensorSet in = naive::random_inputs(one_head);
  TensorView k = in.at("k").view(), v = in.at("v").view();
  for (TensorView* x : {&k, &v}) x->shape[2] = 4, x->strides[2] = 0;
  check_same_bits(reference::attend(all_heads, in.at("q").view(), k, v, Emit::outputs),
                  reference::attend(one_head, in, Emit::outputs));
}

TEST_CASE("16-bit inputs have the values that their formats define") {
  // One key: the output is v. Bit patterns from IEEE 754-2019, section 3.4, and bfloat16.
  const auto [dtype, v_bits, values] =
      GENERATE(table<Dtype, std::vector<std::uint16_t>, std::vector<double>>({
          {Dtype::fp16,
           {0x3C00, 0xC000, 0x3555, 0x0001, 0x83FF, 0x7BFF},
           {1, -2, 0.333251953125, 0x1p-24, -1023 * 0x1p-24, 65504}},
          {Dtype::bf16,
           {0x3F80, 0xC000, 0x3EAB, 0x0001, 0x807F, 0x7F7F},
           {1, -2, 0.333984375, 0x1p-133, -127 * 0x1p-133, 255 * 0x1p120}},
      }));
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=1 H=1 D=1 Dv=6 dtype=fp64");
  const Tensor q = tensor16("q", dtype, {1, 1, 1, 1}, {0x0000});
  const Tensor v = tensor16("v", dtype, {1, 1, 1, 6}, v_bits);
  const Truth t = reference::attend(p, q.view(), q.view(), v.view(), Emit::outputs);
  for (Index d = 0; d < 6; ++d) CHECK(t.outputs.at("o").value(d) == values.at(std::size_t(d)));
}

TEST_CASE("inputs of mixed types are read each in its own") {
  const Problem p = parse_problem("mha B=1 Sq=1 Sk=2 H=1 D=1 Dv=1 dtype=bf16");
  Tensor q("q", Dtype::fp32, "BSHD", {1, 1, 1, 1});
  q.as<float>()[0] = 1;
  const Tensor k = tensor16("k", Dtype::fp16, {1, 2, 1, 1}, {0x3C00, 0x3C00});  // 1, 1
  const Tensor v = tensor16("v", Dtype::bf16, {1, 2, 1, 1}, {0x4040, 0x40A0});  // 3, 5
  const Truth t = reference::attend(p, q.view(), k.view(), v.view(), Emit::outputs);
  CHECK(t.outputs.at("o").value(0) == 4);
  CHECK(t.outputs.at("lse").value(0) == Approx(1 + std::log(2.0)).epsilon(1e-15));
}

TEST_CASE("an infinity or NaN that is read is refused with the name of its tensor") {
  const Problem p = parse_problem("gqa B=2 Sq=3 Sk=5 H=4 G=2 D=6 dtype=fp64");
  for (const std::string name : {"q", "k", "v"})
    for (const double bad : {kNaN, kInfinity, -kInfinity}) {
      TensorSet in = naive::random_inputs(p);
      const auto x = in.at(name).as<double>();
      for (const std::size_t n : {std::size_t{0}, x.size() / 2, x.size() - 1}) {
        CAPTURE(name, bad, n);
        const double good = std::exchange(x[n], bad);
        CHECK_THAT(message_of(p, in.at("q").view(), in.at("k").view(), in.at("v").view()),
                   Catch::Contains("infinity or NaN in " + name));
        x[n] = good;
      }
    }
}

TEST_CASE("keys that no query sees may hold anything") {
  const Problem p = parse_problem("mha B=1 Sq=2 Sk=5 H=1 D=3 dtype=fp64 mask=causal_top_left");
  TensorSet in = naive::random_inputs(p);
  const Truth want = reference::attend(p, in, Emit::outputs);
  for (const char* name : {"k", "v"}) {
    const auto x = in.at(name).as<double>();
    std::fill(x.begin() + 2 * 3, x.end(), kNaN);
  }
  check_same_bits(reference::attend(p, in, Emit::outputs), want);
  in.at("v").as<double>()[5] = kNaN;  // key 1, which query 1 sees
  CHECK_THROWS_AS(reference::attend(p, in, Emit::outputs), Error);
}

TEST_CASE("a tensor that does not fit the problem is refused with both shapes") {
  const Problem p = parse_problem("gqa B=2 Sq=3 Sk=5 H=4 G=2 D=6 Dv=7 dtype=fp64");
  const TensorSet in = naive::random_inputs(p);
  const TensorView q = in.at("q").view(), k = in.at("k").view(), v = in.at("v").view();
  CHECK(message_of(p, q, k, v).empty());
  CHECK_THAT(message_of(p, k, k, v), Catch::Contains("q must have the shape 2x3x4x6, got 2x5x2x6"));
  CHECK_THAT(message_of(p, q, q, v), Catch::Contains("k must have the shape 2x5x2x6, got 2x3x4x6"));
  CHECK_THAT(message_of(p, q, k, k), Catch::Contains("v must have the shape 2x5x2x7, got 2x5x2x6"));
  TensorView no_strides = q;
  no_strides.strides.pop_back();
  CHECK_THAT(message_of(p, no_strides, k, v), Catch::Contains("q must have the shape"));
}

TEST_CASE("lengths beside the inputs must be those of the problem") {
  const Problem p = parse_problem("mha B=2 Sq=1 Sk=3 H=1 D=2 dtype=fp64 lens=3,1");
  const auto refusal = [&](Dtype dtype, std::vector<std::int32_t> lens) {
    TensorSet in = naive::random_inputs(p);
    Tensor& tensor = in.add(Tensor("seqlens_k", dtype, "B", {std::ssize(lens)}));
    std::memcpy(tensor.bytes().data(), lens.data(), tensor.bytes().size());
    try {
      reference::attend(p, in, Emit::outputs);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refusal(Dtype::int32, {3, 1}).empty());
  CHECK(refusal(Dtype::int32, {3, 2}) ==
        "reference: seqlens_k must hold the problem's lens, got 2 for 1 at [1]");
  CHECK(refusal(Dtype::int32, {3, 1, 1}) ==
        "reference: seqlens_k must be int32 of shape 2, got another");
  CHECK(refusal(Dtype::fp32, {3, 1}) ==
        "reference: seqlens_k must be int32 of shape 2, got another");
}

TEST_CASE("integers and broken problems are refused") {
  Problem p = parse_problem("mha B=1 Sq=1 Sk=1 H=1 D=2 dtype=fp64");
  const TensorSet in = naive::random_inputs(p);
  const TensorView q = in.at("q").view(), k = in.at("k").view(), v = in.at("v").view();
  TensorView integers = k;
  integers.dtype = Dtype::int32;
  CHECK_THAT(message_of(p, q, integers, v), Catch::Contains("k must be floating-point, got int32"));
  p.Sq = 0;
  CHECK_THAT(message_of(p, q, k, v), Catch::Contains("Sq must lie in"));
}
