// The draws: which bits, and what they depend on. What the fills do with them: fills_test.cpp.
#include "harness/inputs.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "cases/case.h"
#include "cases/error.h"
#include "harness/philox.h"
#include "tests/catch.h"

using namespace attest;

namespace {

/// True where every element of `small` equals the element of `large` with the same indices.
bool is_corner(const Tensor& small, const Tensor& large) {
  const TensorView a = small.view(), b = large.view();
  const std::size_t size = size_of(small.dtype());
  for (Index n = 0; n < small.size(); ++n) {
    std::array<Index, 4> index;
    for (std::size_t axis = 0; axis < 4; ++axis) index[axis] = n / a.strides[axis] % a.shape[axis];
    if (std::memcmp(a.at(index), b.at(index), size) != 0) return false;
  }
  return true;
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return std::ranges::equal(a.bytes(), b.bytes());
}

}  // namespace

TEST_CASE("Philox gives the words that numpy gives") {
  // numpy.random.Philox(key=np.array([7, int(hashlib.sha256(b"q").hexdigest()[:16], 16)],
  //                     np.uint64), counter=[0, 5, 3, 1]).random_raw(12)
  const std::array<std::array<std::uint64_t, 4>, 3> row = {{
      {0xb73029d96dbbe7cd, 0x5e952f8f8e019ea1, 0xfae129225332ce0f, 0x4744ae50994fbb55},
      {0x3b71199c78fa7df7, 0xa349718c20f5f861, 0x9ad9af4cbe95422b, 0x3ab58fa50b7e7bc9},
      {0x084a7403b3daddb9, 0xbeedfc0f92197f3e, 0x95b89f1b153b8ce0, 0x3bfb9cad2ba27458},
  }};
  const Stream stream(7, "q");
  for (std::size_t d = 0; d < 3; ++d) {
    const Draw draw = stream.at(1, 5, 3, static_cast<Index>(d));
    CAPTURE(d);
    CHECK(std::ranges::equal(draw.word, row[d]));
  }
}

TEST_CASE("the generator is the Philox4x64-10 of the published test vectors") {
  // Random123, kat_vectors: philox4x64 10, counter and key 0.
  const auto words = r123::Philox4x64()({{0, 0, 0, 0}}, {{0, 0}});
  CHECK(words[0] == 0x16554d9eca36314c);
  CHECK(words[1] == 0xdb20fe9d672d0fdc);
  CHECK(words[2] == 0xd7e772cee186176b);
  CHECK(words[3] == 0x7e68b68aec7ba23b);
}

TEST_CASE("a stream's second key is the start of SHA-256 over the tensor's name") {
  // printf q | sha256sum, and so on
  CHECK(Stream(0, "q").key[1] == 0x8e35c2cd3bf6641b);
  CHECK(Stream(0, "k").key[1] == 0x8254c329a92850f6);
  CHECK(Stream(0, "v").key[1] == 0x4c94485e0c21ae6c);
  CHECK(Stream(~std::uint64_t{0}, "v").key[0] == ~std::uint64_t{0});
}

TEST_CASE("normal, uniform and heavy are the fields that they are said to be") {
  const Draw low{{{0, 0, 0, 0}}};
  CHECK(low.normal() == -6);
  CHECK(low.uniform() == 0);
  CHECK(low.heavy() == -6 * 256);  // all 64 trailing zeros count as 8

  const std::uint64_t ones = ~std::uint64_t{0};
  const Draw high{{{ones, ones, ones, ones}}};
  CHECK(high.normal() == 6 - 12 * 0x1p-16);
  CHECK(high.uniform() == 1 - 0x1p-24);
  CHECK(high.heavy() == high.normal());

  // One 16-bit field at a time: the first twelve count equally, the last four not at all.
  for (std::size_t field = 0; field < 16; ++field) {
    Draw one{{{0, 0, 0, 0}}};
    one.word[field / 4] = std::uint64_t{0x8000} << 16 * (field % 4);
    CAPTURE(field);
    CHECK(one.normal() == (field < 12 ? -5.5 : -6));
  }
  CHECK(Draw{{{0, 0, 0, 12}}}.heavy() == -24);  // 12 = 0b1100
  CHECK(Draw{{{0, 0, 0, 0xFFFFFFFFFF}}}.uniform() == 0);
}

TEST_CASE("262144 draws have the moments of their distributions") {
  // The sums of the integers behind the numbers, from numpy; then what they should be near to:
  // four standard deviations of the mean and of the variance.
  const Stream stream(0, "q");
  Index sum = 0, squares = 0, uniforms = 0;
  for (Index s = 0; s < 512; ++s)
    for (Index h = 0; h < 4; ++h)
      for (Index d = 0; d < 128; ++d) {
        const Draw draw = stream.at(0, s, h, d);
        const auto z = static_cast<Index>(draw.normal() * 0x1p16);
        sum += z;
        squares += z * z;
        uniforms += static_cast<Index>(draw.uniform() * 0x1p24);
      }
  CHECK(sum == 15315152);
  CHECK(squares == 1121255158798346);
  CHECK(uniforms == 2197171167694);

  const double count = 262144;
  CHECK(static_cast<double>(sum) * 0x1p-16 / count == Approx(0).margin(4 / std::sqrt(count)));
  CHECK(static_cast<double>(squares) * 0x1p-32 / count ==
        Approx(1).margin(4 * std::sqrt(2 / count)));
  CHECK(static_cast<double>(uniforms) * 0x1p-24 / count ==
        Approx(0.5).margin(4 / std::sqrt(12 * count)));
}

TEST_CASE("a smaller problem's tensors are corners of a larger one's") {
  const FillInfo& fill = GENERATE(from_range(fills().begin(), fills().end()));
  if (fill.fill == Fill::needle || fill.fill == Fill::tailhot) return;  // they look at the mask
  // Same D, which scales some fills; Dv enters onehot alone.
  Problem small = parse_problem("gqa B=1 Sq=3 Sk=9 H=4 G=2 D=32 dtype=bf16 seed=3");
  Problem large = parse_problem("mha B=2 Sq=8 Sk=70 H=6 D=32 dtype=bf16 mask=causal seed=3");
  small.fill = large.fill = fill.fill;
  if (fill.fill != Fill::onehot) large.Dv = 48;
  const TensorSet few = make_inputs(small), many = make_inputs(large);
  CAPTURE(fill.name);
  for (const Tensor& tensor : few) CHECK(is_corner(tensor, many.at(tensor.name())));
}

TEST_CASE("a narrower D is a corner too where the recipe does not scale by it") {
  const TensorSet few = make_inputs(parse_problem("mha B=1 Sq=3 Sk=4 H=2 D=8 dtype=fp32"));
  const TensorSet many = make_inputs(parse_problem("mha B=1 Sq=3 Sk=4 H=2 D=72 dtype=fp32"));
  for (const Tensor& tensor : few) CHECK(is_corner(tensor, many.at(tensor.name())));
}

TEST_CASE("tensors and seeds have draws of their own, dtypes share them") {
  const Problem p = parse_problem("mha B=1 Sq=4 Sk=4 H=2 D=16 dtype=fp64 seed=1");
  Problem other_seed = p, other_dtype = p;
  other_seed.seed = 2;
  other_dtype.dtype = Dtype::fp16;
  const TensorSet inputs = make_inputs(p);
  CHECK_FALSE(same_bytes(inputs.at("q"), inputs.at("k")));
  CHECK_FALSE(same_bytes(inputs.at("k"), inputs.at("v")));
  CHECK_FALSE(same_bytes(inputs.at("q"), make_inputs(other_seed).at("q")));

  const TensorSet rounded = make_inputs(other_dtype);
  for (Index n = 0; n < inputs.at("q").size(); ++n)
    CHECK(rounded.at("q").value(n) == Approx(inputs.at("q").value(n)).epsilon(0x1p-11));
}

TEST_CASE("the bits do not depend on the number of threads") {
  Problem p = parse_problem("gqa B=2 Sq=70 Sk=300 H=4 G=2 D=64 dtype=bf16 mask=causal seed=5");
  p.fill = GENERATE(Fill::normal, Fill::needle, Fill::cancel);
  const int before = omp_get_max_threads();
  omp_set_num_threads(1);
  const TensorSet one = make_inputs(p);
  omp_set_num_threads(5);
  const TensorSet five = make_inputs(p);
  omp_set_num_threads(before);
  for (const Tensor& tensor : one) CHECK(same_bytes(tensor, five.at(tensor.name())));
}

TEST_CASE("inputs have the problem's shapes, layout and dtype") {
  const TensorSet inputs =
      make_inputs(parse_problem("gqa B=2 Sq=3 Sk=5 H=4 G=2 D=16 Dv=8 dtype=fp16"));
  CHECK(inputs.size() == 3);
  CHECK(inputs.at("q").shape() == std::vector<Index>{2, 3, 4, 16});
  CHECK(inputs.at("k").shape() == std::vector<Index>{2, 5, 2, 16});
  CHECK(inputs.at("v").shape() == std::vector<Index>{2, 5, 2, 8});
  for (const Tensor& tensor : inputs) {
    CHECK(tensor.layout() == "BSHD");
    CHECK(tensor.dtype() == Dtype::fp16);
    CHECK(tensor.canary_intact());
  }
}

TEST_CASE("with lens, inputs say the lengths and hold NaN behind them") {
  const Problem p = parse_problem("gqa B=3 Sq=2 Sk=9 H=4 G=2 D=8 Dv=16 dtype=bf16 lens=1,9,0");
  Problem all = p;
  all.lens.clear();
  const TensorSet inputs = make_inputs(p), full = make_inputs(all);
  CHECK(input_names(p) == std::vector<std::string>{"q", "k", "v", "seqlens_k"});
  CHECK(inputs.size() == 4);
  CHECK(std::ranges::equal(inputs.at("seqlens_k").as<std::int32_t>(), p.lens));
  CHECK(same_bytes(inputs.at("q"), full.at("q")));
  Index wrong = 0;
  for (const char* name : {"k", "v"}) {
    const auto got = inputs.at(name).as<std::uint16_t>(), want = full.at(name).as<std::uint16_t>();
    for (Index n = 0; n < std::ssize(got); ++n) {
      const Index row = n * 27 / std::ssize(got);
      const bool key = row % 9 < p.length(row / 9);
      const auto at = static_cast<std::size_t>(n);
      wrong += got[at] != (key ? want[at] : 0xffff);
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("in pages with lens, the table leads nowhere for pages without keys") {
  const Problem p =
      parse_problem("gqa B=4 Sq=2 Sk=9 H=4 G=2 D=8 dtype=bf16 lens=1,9,0,4 page=4 seed=3");
  Problem all = p;
  all.lens.clear();
  const TensorSet inputs = make_inputs(p), full = make_inputs(all);
  CHECK(input_names(p) ==
        std::vector<std::string>{"q", "k_cache", "v_cache", "block_table", "seqlens_k"});
  const auto table = inputs.at("block_table").as<std::int32_t>(),
             pages = full.at("block_table").as<std::int32_t>();
  for (Index n = 0; n < 4 * 3; ++n) {
    CAPTURE(n);
    const bool keys = n % 3 * 4 < p.length(n / 3);
    CHECK(table[static_cast<std::size_t>(n)] ==
          (keys ? pages[static_cast<std::size_t>(n)] : std::numeric_limits<std::int32_t>::max()));
  }
  // 14 keys of 2 heads and 8 channels.
  const auto k = inputs.at("k_cache").as<std::uint16_t>();
  CHECK(std::ranges::count_if(k, [](std::uint16_t x) { return x != 0xffff; }) == 14 * 2 * 8);
}

TEST_CASE("a problem that breaks a rule gets no inputs") {
  Problem p;
  p.H = 3;
  p.G = 2;
  CHECK_THROWS_AS(make_inputs(p), Error);
}
