#include "cases/tensor.h"

#include <cmath>
#include <cstdint>
#include <numeric>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

TEST_CASE("a new tensor is NaN in every float format, so that unwritten elements show") {
  for (Dtype dtype : {Dtype::fp64, Dtype::fp32, Dtype::fp16, Dtype::bf16}) {
    const Tensor t("o", dtype, "BSHD", {2, 3, 1, 5});
    CAPTURE(name(dtype));
    CHECK(t.size() == 30);
    CHECK(t.bytes().size() == 30 * size_of(dtype));
    int nans = 0;
    for (Index n = 0; n < t.size(); ++n) nans += std::isnan(t.value(n));
    CHECK(nans == 30);
  }
}

TEST_CASE("the buffer is aligned for vector loads") {
  const Tensor t("q", Dtype::bf16, "S", {3});
  CHECK(reinterpret_cast<std::uintptr_t>(t.bytes().data()) % 64 == 0);
}

TEST_CASE("a byte written before or behind the buffer breaks the canary, one inside does not") {
  const Index size = GENERATE(0, 1, 63, 64);
  const Index offset = GENERATE(-64, -1, 0, 63);
  Tensor t("k", Dtype::int32, "S", {size});
  CAPTURE(size, offset);
  for (std::byte& b : t.bytes()) b = std::byte{0};
  REQUIRE(t.canary_intact());
  std::byte* place = t.bytes().data() + (offset < 0 ? offset : offset + 4 * size);
  const std::byte before = *place;
  *place = std::byte{0};
  CHECK_FALSE(t.canary_intact());
  *place = before;
  CHECK(t.canary_intact());
}

TEST_CASE("a view is row-major, last axis contiguous") {
  Tensor t("v", Dtype::fp32, "BSGD", {2, 3, 4, 5});
  const auto elements = t.as<float>();
  std::iota(elements.begin(), elements.end(), 0.0f);
  const TensorView view = t.view();
  CHECK(view.shape == std::vector<Index>{2, 3, 4, 5});
  CHECK(view.strides == std::vector<Index>{60, 20, 5, 1});
  const Index index[] = {1, 2, 3, 4};
  CHECK(decode(view.dtype, view.at(index)) == 60 + 40 + 15 + 4);
  CHECK(t.value(119) == 119);
}

TEST_CASE("a view with other strides addresses a transposed or reversed tensor") {
  Tensor t("x", Dtype::fp64, "SD", {2, 3});
  std::iota(t.as<double>().begin(), t.as<double>().end(), 0.0);
  const TensorView transposed{t.bytes().data(), Dtype::fp64, {3, 2}, {1, 3}};
  const Index index[] = {2, 1};
  CHECK(decode(Dtype::fp64, transposed.at(index)) == 5);
  const TensorView reversed{t.bytes().data() + 5 * 8, Dtype::fp64, {6}, {-1}};
  const Index last[] = {4};
  CHECK(decode(Dtype::fp64, reversed.at(last)) == 1);
}

TEST_CASE("the digest covers type, shape and bytes") {
  // printf 'int32|2x1|\1\0\0\0\2\0\0\0' | sha256sum
  Tensor t("x", Dtype::int32, "SD", {2, 1});
  t.as<std::int32_t>()[0] = 1;
  t.as<std::int32_t>()[1] = 2;
  CHECK(t.sha256() == "0b4f2278371c246f6c3cfa9743d7d787af433a0a41b4ffd1fdfbe2f5ff6aee01");
  // printf 'bfloat16|0|' | sha256sum
  CHECK(Tensor("y", Dtype::bf16, "S", {0}).sha256() ==
        "a1cd2131373ae72e42c6fcb8d86f4aacf89c2167f8d22066d128eeb43054c6a3");
  Tensor other("x", Dtype::int32, "SD", {1, 2});
  other.as<std::int32_t>()[0] = 1;
  other.as<std::int32_t>()[1] = 2;
  CHECK(other.sha256() != t.sha256());
  other.as<std::int32_t>()[1] = 3;
  CHECK(other.sha256() != t.sha256());
}

TEST_CASE("wrong element types, layouts and extents are refused") {
  Tensor t("x", Dtype::bf16, "SD", {2, 2});
  CHECK_THROWS_WITH(t.as<float>(), Catch::Contains("elements of bf16 have 2 bytes") &&
                                       Catch::Contains("got a view of 4 bytes"));
  CHECK(t.as<std::uint16_t>().size() == 4);
  CHECK_THROWS_WITH(Tensor("x", Dtype::bf16, "S", {2, 2}), Catch::Contains("got S for 2 axes"));
  CHECK_THROWS_WITH(Tensor("x", Dtype::bf16, "S", {-1}), Catch::Contains("got -1"));
}

TEST_CASE("a set keeps its order and its references, and refuses a name twice") {
  TensorSet set;
  Tensor& q = set.add(Tensor("q", Dtype::bf16, "S", {1}));
  for (const char* more : {"k", "v", "o", "lse"}) set.add(Tensor(more, Dtype::bf16, "S", {1}));
  CHECK(&q == &set.at("q"));
  std::string names;
  for (const Tensor& tensor : set) names += tensor.name() + ' ';
  CHECK(names == "q k v o lse ");
  CHECK(set.find("w") == nullptr);
  CHECK_THROWS_WITH(set.at("w"), Catch::Contains("must hold w"));
  CHECK_THROWS_WITH(set.add(Tensor("q", Dtype::fp16, "S", {1})), Catch::Contains("got q twice"));
}
