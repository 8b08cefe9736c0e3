#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "cases/error.h"
#include "tests/catch.h"
#include "tests/cuda/kernels_support.h"

// What kernels read of a cache: k and v in pages give the bits that they give in a row, and slots
// that no row of a block sees may hold anything.

using namespace attest;
using test::same_bits;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct KernelCase {
  const char* kernel;
  Index block_rows;  // packed rows of one block
  const char* problem;
};

const KernelCase kCases[] = {
    {"prefill", 64, "gqa B=2 Sq=70 Sk=200 H=4 G=2 D=64 dtype=bf16 mask=causal"},
    {"prefill", 64, "mqa B=1 Sq=25 Sk=150 H=7 D=72 Dv=40 dtype=fp16 mask=causal_top_left"},
    {"prefill", 64, "mla B=3 Sq=66 Sk=90 H=2 D=192 Dv=128 dtype=bf16 Dr=64 mask=causal"},
    {"decode", 16, "gqa B=3 Sq=5 Sk=333 H=14 G=2 D=128 dtype=fp16 mask=causal"},
    {"decode", 16, "mha B=2 Sq=20 Sk=141 H=3 D=64 dtype=bf16 mask=causal_top_left"},
    {"decode", 16, "mla B=2 Sq=17 Sk=100 H=2 D=48 Dv=24 dtype=fp16 Dr=16 mask=causal"},
    {"mla_decode", 16,
     "mla B=3 Sq=9 Sk=155 H=5 D=56 Dv=40 dtype=bf16 form=absorbed Dn=24 Dr=16 mask=causal"},
    {"mla_decode", 16,
     "mla B=2 Sq=3 Sk=70 H=9 D=576 Dv=512 dtype=fp16 form=absorbed Dn=128 Dr=64 "
     "mask=causal_top_left"},
};

std::vector<const char*> cache_names(const Problem& p) {
  if (p.form == Form::absorbed) return {"latent_cache"};
  return {"k", "v"};
}

std::uint16_t bits_of(Dtype dtype, double x) {
  if (std::isnan(x)) return 0x7fff;
  if (std::isinf(x)) return dtype == Dtype::bf16 ? 0x7f80 : 0x7c00;
  return test::encode(dtype, x);
}

void fill(Tensor& tensor, double x) {
  std::ranges::fill(tensor.as<std::uint16_t>(), bits_of(tensor.dtype(), x));
}

/// Row `slot` of row `line` of [.., slots, ..].
std::span<std::uint16_t> row_of(Tensor& cache, Index line, Index slot) {
  const Index rows = cache.shape()[0] * cache.shape()[1], width = cache.size() / rows;
  const Index n = (line * cache.shape()[1] + slot) * width;
  return cache.as<std::uint16_t>().subspan(static_cast<std::size_t>(n),
                                           static_cast<std::size_t>(width));
}

TensorSet dense_inputs(const Problem& p) {
  if (p.form == Form::expanded) return test::noise_inputs(p);
  TensorSet inputs;
  inputs.add(Tensor("q", p.dtype, "BSHD", {p.B, p.Sq, p.H, p.D}));
  inputs.add(Tensor("latent_cache", p.dtype, "BSC", {p.B, p.Sk, p.D}));
  for (const char* name : {"q", "latent_cache"}) {
    const test::Value value = test::noise(name);
    Index n = 0;
    for (std::uint16_t& bits : inputs.at(name).as<std::uint16_t>())
      bits = test::encode(p.dtype, value(0, 0, 0, n++));
  }
  return inputs;
}

/// The same with `slots` slots a batch entry, those from Sk on x.
TensorSet with_capacity(const Problem& p, TensorSet& dense, Index slots, double x) {
  TensorSet inputs;
  inputs.add(dense.at("q"));
  for (const char* name : cache_names(p)) {
    std::vector<Index> shape = dense.at(name).shape();
    shape[1] = slots;
    Tensor& cache = inputs.add(Tensor(name, p.dtype, dense.at(name).layout(), shape));
    fill(cache, x);
    for (Index b = 0; b < p.B; ++b)
      for (Index j = 0; j < p.Sk; ++j)
        std::ranges::copy(row_of(dense.at(name), b, j), row_of(cache, b, j).begin());
  }
  return inputs;
}

/// Pages 0 .. count-1 in an order; those of batch entries alternate in all but "in_turn".
std::vector<std::int32_t> page_order(const Problem& p, const std::string& order, Index count) {
  std::vector<std::int32_t> pages(static_cast<std::size_t>(count));
  const Index used = p.B * p.table_width();
  for (Index n = 0; n < count; ++n) {
    const bool alternates = n < used && order != "in_turn";
    const Index page = alternates ? n % p.table_width() * p.B + n / p.table_width() : n;
    pages[static_cast<std::size_t>(n)] =
        static_cast<std::int32_t>(order == "reversed" ? count - 1 - page : page);
  }
  std::mt19937 generator(7);
  if (order == "shuffled") std::ranges::shuffle(pages, generator);
  return pages;
}

/// The same in pages. What no query sees, slots and spare pages, is x, its table entries lead away.
TensorSet in_pages(const Problem& p, TensorSet& dense, const std::string& order, double x) {
  const Index width = p.table_width(), count = p.B * width + 3;
  const Index seen = p.visible(0).end;
  const std::vector<std::int32_t> pages = page_order(p, order, count);
  TensorSet inputs;
  inputs.add(dense.at("q"));
  for (const char* name : cache_names(p)) {
    std::vector<Index> shape = dense.at(name).shape();
    shape[0] = count;
    shape[1] = p.page;
    const std::string paged = p.form == Form::absorbed ? name : name + std::string("_cache");
    Tensor& cache = inputs.add(Tensor(paged, p.dtype, dense.at(name).layout(), shape));
    fill(cache, x);
    for (Index b = 0; b < p.B; ++b)
      for (Index j = 0; j < seen; ++j) {
        const Index page = pages[static_cast<std::size_t>(b * width + j / p.page)];
        std::ranges::copy(row_of(dense.at(name), b, j), row_of(cache, page, j % p.page).begin());
      }
  }
  auto table =
      inputs.add(Tensor("block_table", Dtype::int32, "BN", {p.B, width})).as<std::int32_t>();
  for (Index b = 0; b < p.B; ++b)
    for (Index n = 0; n < width; ++n) {
      const auto at = static_cast<std::size_t>(b * width + n);
      table[at] = n * p.page < seen ? pages[at] : std::numeric_limits<std::int32_t>::max();
    }
  return inputs;
}

/// Elements of o and lse of the first `queries` queries that differ.
Index differences(const Problem& p, const TensorSet& left, const TensorSet& right, Index queries) {
  Index count = 0;
  const auto compare = [&](const char* name, Index n) {
    count += !(left.at(name).value(n) == right.at(name).value(n));
  };
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < queries; ++i)
      for (Index h = 0; h < p.H; ++h) {
        compare("lse", (b * p.H + h) * p.Sq + i);
        for (Index d = 0; d < p.Dv; ++d) compare("o", ((b * p.Sq + i) * p.H + h) * p.Dv + d);
      }
  return count;
}

const Kernel& kernel_of(const KernelCase& c, Backend backend = Backend::emu) {
  return find_kernel(c.kernel, backend);
}

}  // namespace

TEST_CASE("kernels do not read keys that no row of a block sees", "[kernels][paged]") {
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  const double x = GENERATE(kNan, kInfinity, 1e4);
  const Index splits = GENERATE(1, 3);
  CAPTURE(c.kernel, c.problem, x, splits);
  const Problem p = parse_problem(c.problem);
  TensorSet inputs = dense_inputs(p);
  const TensorSet clean = test::run(kernel_of(c), p, inputs, splits);
  // The first block's last row is a row of query `last`, all rows of those before it are its own.
  const Index R = p.H / p.G, last = std::min(p.Sq, (c.block_rows - 1) / R + 1) - 1;
  const Index queries = std::min(p.Sq, c.block_rows / R);
  REQUIRE(p.visible(0, last).end < p.Sk);
  for (const char* name : cache_names(p))
    for (Index b = 0; b < p.B; ++b)
      for (Index j = p.visible(0, last).end; j < p.Sk; ++j)
        std::ranges::fill(row_of(inputs.at(name), b, j), bits_of(p.dtype, x));
  CHECK(differences(p, clean, test::run(kernel_of(c), p, inputs, splits), queries) == 0);
}

TEST_CASE("kernels do not read slots behind the last key", "[kernels][paged]") {
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  const double x = GENERATE(kNan, kInfinity, 1e4);
  const Index more = GENERATE(1, 64);
  CAPTURE(c.kernel, c.problem, x, more);
  Problem p = parse_problem(c.problem);
  p.mask = GENERATE(Mask::none, Mask::causal);
  TensorSet dense = dense_inputs(p);
  const TensorSet inputs = with_capacity(p, dense, p.Sk + more, x);
  CHECK(same_bits(test::run(kernel_of(c), p, dense, 2), test::run(kernel_of(c), p, inputs, 2)));
}

TEST_CASE("a cache in pages gives the bits of one in a row", "[kernels][paged]") {
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  CAPTURE(c.kernel, c.problem);
  Problem p = parse_problem(c.problem);
  TensorSet dense = dense_inputs(p);
  struct Filling {
    const char* order;
    double unseen;
    Index splits;
  };
  constexpr Filling kFillings[] = {{"in_turn", kNan, 1},  {"alternating", kNan, 3},
                                   {"reversed", 1e4, 2},  {"reversed", kInfinity, 1},
                                   {"shuffled", kNan, 3}, {"shuffled", kInfinity, 2},
                                   {"shuffled", 1e4, 3}};
  for (const auto& [order, unseen, splits] : kFillings) {
    const TensorSet want = test::run(kernel_of(c), p, dense, splits);
    for (const Index page : {8, 16, 24, 64, 128}) {
      CAPTURE(splits, page, order, unseen);
      Problem paged = p;
      paged.page = page;
      REQUIRE(kernel_of(c).supports(paged).empty());
      const TensorSet inputs = in_pages(paged, dense, order, unseen);
      REQUIRE(same_bits(want, test::run(kernel_of(c), paged, inputs, splits)));
    }
  }
}

TEST_CASE("no schedule of the emulator changes a bit of a paged run", "[kernels][paged]") {
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  CAPTURE(c.kernel, c.problem);
  Problem p = parse_problem(c.problem);
  TensorSet dense = dense_inputs(p);
  p.page = 24;
  const TensorSet inputs = in_pages(p, dense, "shuffled", kNan);
  const TensorSet want = test::run(kernel_of(c), p, inputs, 2);
  for (const Schedule schedule : {1, 2, 12345})
    CHECK(same_bits(want, test::run(kernel_of(c), p, inputs, 2, schedule)));
}

TEST_CASE("kernels run pages without keys", "[kernels][paged]") {
  const auto* kernel = GENERATE("prefill", "decode");
  Problem p = parse_problem("gqa B=2 Sq=3 Sk=0 H=4 G=2 D=64 dtype=bf16");
  TensorSet dense = dense_inputs(p);
  p.page = 16;
  const TensorSet outputs =
      test::run(find_kernel(kernel, Backend::emu), p, in_pages(p, dense, "in_turn", kNan));
  for (Index n = 0; n < outputs.at("o").size(); ++n) REQUIRE(outputs.at("o").value(n) == 0);
}

TEST_CASE("kernels refuse caches that do not fit the problem", "[kernels][paged]") {
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  CAPTURE(c.kernel, c.problem);
  Problem p = parse_problem(c.problem);
  p.mask = Mask::none;
  TensorSet dense = dense_inputs(p);
  const auto refusal = [&](const TensorSet& inputs) {
    try {
      test::run(kernel_of(c), p, inputs);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  p.page = 12;
  CHECK(kernel_of(c).supports(p) == "page must be a multiple of 8, got page=12");
  p.page = 16;
  TensorSet inputs = in_pages(p, dense, "in_turn", kNan);
  CHECK(refusal(inputs).empty());
  const Index width = p.table_width(), count = p.B * width + 3, n = p.B * width - 1;
  const std::string rule =
      concat("attention: block_table must hold pages in [0, ", count, "), got ");
  const std::string place = concat(" at [", p.B - 1, ", ", width - 1, "]");
  for (const std::int32_t page : {-1, static_cast<int>(count)}) {
    inputs.at("block_table").as<std::int32_t>()[static_cast<std::size_t>(n)] = page;
    CHECK(refusal(inputs).starts_with(concat(rule, page, place)));
  }
  if (p.form == Form::expanded) {
    TensorSet unequal;
    for (const Tensor& x : std::as_const(inputs))
      unequal.add(x.name() == "v_cache" ? Tensor("v_cache", p.dtype, "PSHD", {1, 16, p.G, p.Dv})
                                        : x);
    CHECK(refusal(unequal).find("v_cache must be") != std::string::npos);
  }
  p.page = 24;
  CHECK(refusal(inputs).find("pages of 24 keys") != std::string::npos);
  p.page = 0;
  ++p.Sk;
  CHECK(refusal(dense).find(concat("rows of at least ", p.Sk, " keys")) != std::string::npos);
}

TEST_CASE("on a GPU too, pages give the bits of a cache in a row", "[kernels][paged][gpu]") {
  if (device_name(Backend::gpu).empty()) {
    WARN("not run: no GPU");
    return;
  }
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  const Index page = GENERATE(8, 24, 128);
  CAPTURE(c.kernel, c.problem, page);
  Problem p = parse_problem(c.problem);
  TensorSet dense = dense_inputs(p);
  const TensorSet want = test::run(kernel_of(c, Backend::gpu), p, dense, 3);
  p.page = page;
  const TensorSet inputs = in_pages(p, dense, "shuffled", kNan);
  CHECK(same_bits(want, test::run(kernel_of(c, Backend::gpu), p, inputs, 3)));
}
