#include <algorithm>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "cases/error.h"
#include "tests/catch.h"
#include "tests/cuda/kernels_support.h"

// Batch entries of different lengths: each of them has the bits that it has in a run of its own.

using namespace attest;

namespace {

constexpr std::uint16_t kNan = 0xffff;  // in bf16 and in fp16

struct KernelCase {
  const char* kernel;
  const char* problem;
};

const KernelCase kCases[] = {
    {"prefill", "gqa B=4 Sq=70 Sk=200 H=4 G=2 D=64 dtype=bf16 lens=65,7,0,200"},
    {"prefill", "mqa B=2 Sq=25 Sk=150 H=7 D=72 Dv=40 dtype=fp16 lens=64,149"},
    {"decode", "gqa B=4 Sq=5 Sk=333 H=14 G=2 D=128 dtype=fp16 lens=129,1,333,3"},
    {"decode", "mla B=3 Sq=17 Sk=100 H=2 D=48 Dv=24 dtype=fp16 Dr=16 lens=0,63,100"},
    {"mla_decode",
     "mla B=4 Sq=9 Sk=155 H=5 D=56 Dv=40 dtype=bf16 form=absorbed Dn=24 Dr=16 lens=32,155,4,0"},
    {"mla_decode",
     "mla B=2 Sq=3 Sk=70 H=9 D=576 Dv=512 dtype=fp16 form=absorbed Dn=128 Dr=64 lens=33,1"},
};

std::vector<std::string> cache_names(const Problem& p) {
  if (p.form == Form::absorbed) return {"latent_cache"};
  return {"k", "v"};
}

/// Rows first .. first + count - 1 of a tensor seen as rows of equal size, `lines` times `slots`.
std::span<std::uint16_t> rows_of(Tensor& x, Index rows, Index first, Index count) {
  const Index width = x.size() / std::max<Index>(1, rows);
  return x.as<std::uint16_t>().subspan(static_cast<std::size_t>(first * width),
                                       static_cast<std::size_t>(count * width));
}

Tensor lengths(const std::vector<Index>& lens) {
  Tensor tensor("seqlens_k", Dtype::int32, "B", {std::ssize(lens)});
  std::ranges::transform(lens, tensor.as<std::int32_t>().begin(),
                         [](Index n) { return static_cast<std::int32_t>(n); });
  return tensor;
}

/// q and the cache of noise, without pages; NaN behind the lengths.
TensorSet dense_inputs(const Problem& p) {
  TensorSet inputs;
  inputs.add(Tensor("q", p.dtype, "BSHD", {p.B, p.Sq, p.H, p.D}));
  if (p.form == Form::absorbed) {
    inputs.add(Tensor("latent_cache", p.dtype, "BSC", {p.B, p.Sk, p.D}));
  } else {
    inputs.add(Tensor("k", p.dtype, "BSHD", {p.B, p.Sk, p.G, p.D}));
    inputs.add(Tensor("v", p.dtype, "BSHD", {p.B, p.Sk, p.G, p.Dv}));
  }
  for (const char* name : {"q", "latent_cache", "k", "v"}) {
    if (!inputs.find(name)) continue;
    Index n = 0;
    for (std::uint16_t& bits : inputs.at(name).as<std::uint16_t>())
      bits = test::encode(p.dtype, test::noise(name)(0, 0, 0, n++));
  }
  for (const std::string& name : cache_names(p))
    for (Index b = 0; b < p.B; ++b)
      std::ranges::fill(
          rows_of(inputs.at(name), p.B * p.Sk, b * p.Sk + p.length(b), p.Sk - p.length(b)), kNan);
  inputs.add(lengths(p.lens));
  return inputs;
}

/// The same in pages, the last of the pool first; entries for pages without keys lead nowhere.
TensorSet in_pages(const Problem& p, TensorSet& dense) {
  const Index width = p.table_width(), count = p.B * width + 1;
  TensorSet inputs;
  inputs.add(dense.at("q"));
  inputs.add(dense.at("seqlens_k"));
  Tensor table("block_table", Dtype::int32, "BN", {p.B, width});
  for (Index n = 0; n < p.B * width; ++n)
    table.as<std::int32_t>()[static_cast<std::size_t>(n)] =
        n % width * p.page < p.length(n / width) ? static_cast<std::int32_t>(count - 1 - n)
                                                 : std::numeric_limits<std::int32_t>::max();
  for (const std::string& name : cache_names(p)) {
    std::vector<Index> shape = dense.at(name).shape();
    shape[0] = count;
    shape[1] = p.page;
    Tensor& pool = inputs.add(Tensor(name.size() == 1 ? name + "_cache" : name, p.dtype,
                                     dense.at(name).layout(), shape));  // NaN
    for (Index b = 0; b < p.B; ++b)
      for (Index j = 0; j < p.length(b); ++j) {
        const Index page = count - 1 - (b * width + j / p.page);
        std::ranges::copy(rows_of(dense.at(name), p.B * p.Sk, b * p.Sk + j, 1),
                          rows_of(pool, count * p.page, page * p.page + j % p.page, 1).begin());
      }
  }
  inputs.add(table);
  return inputs;
}

/// Batch entry b as a problem of its own, whose Sk is its length.
Problem entry_of(const Problem& p, Index b) {
  Problem one = p;
  one.B = 1;
  one.Sk = p.length(b);
  one.lens.clear();
  return one;
}

TensorSet entry_of(const Problem& p, TensorSet& dense, Index b) {
  TensorSet inputs;
  const Problem one = entry_of(p, b);
  Tensor& q = inputs.add(Tensor("q", p.dtype, "BSHD", {1, p.Sq, p.H, p.D}));
  std::ranges::copy(rows_of(dense.at("q"), p.B, b, 1), q.as<std::uint16_t>().begin());
  for (const std::string& name : cache_names(p)) {
    std::vector<Index> shape = dense.at(name).shape();
    shape[0] = 1;
    shape[1] = one.Sk;
    Tensor& cache = inputs.add(Tensor(name, p.dtype, dense.at(name).layout(), shape));
    std::ranges::copy(rows_of(dense.at(name), p.B * p.Sk, b * p.Sk, one.Sk),
                      cache.as<std::uint16_t>().begin());
  }
  return inputs;
}

/// Whether an output of batch entry b has these bits.
bool same_bits(const Problem& p, const TensorSet& outputs, Index b, const TensorSet& one) {
  return std::ranges::all_of(std::vector<std::string>{"o", "lse"}, [&](const std::string& name) {
    const auto all = outputs.at(name).bytes(), want = one.at(name).bytes();
    const std::size_t size = all.size() / static_cast<std::size_t>(p.B);
    return std::ranges::equal(all.subspan(static_cast<std::size_t>(b) * size, size), want);
  });
}

const Kernel& kernel_of(const KernelCase& c, Backend backend = Backend::emu) {
  return find_kernel(c.kernel, backend);
}

std::string refusal(const KernelCase& c, const Problem& p, const TensorSet& inputs) {
  try {
    test::run(kernel_of(c), p, inputs);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

void check_entries(const KernelCase& c, Backend backend, Mask mask, Index splits) {
  Problem p = parse_problem(c.problem);
  p.mask = mask;
  TensorSet dense = dense_inputs(p);
  std::vector<TensorSet> want;
  for (Index b = 0; b < p.B; ++b)
    want.push_back(test::run(kernel_of(c, backend), entry_of(p, b), entry_of(p, dense, b), splits));
  for (const Index page : {0, 8, 24, 128}) {
    p.page = page;
    const TensorSet inputs = page > 0 ? in_pages(p, dense) : dense;
    REQUIRE(kernel_of(c, backend).supports(p).empty());
    const TensorSet got = test::run(kernel_of(c, backend), p, inputs, splits);
    for (Index b = 0; b < p.B; ++b) {
      CAPTURE(c.kernel, print(p), splits, b);
      CHECK(same_bits(p, got, b, want[static_cast<std::size_t>(b)]));
    }
  }
}

}  // namespace

TEST_CASE("each batch entry has the bits that it has in a run of its own", "[kernels][lens]") {
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  check_entries(c, Backend::emu, GENERATE(Mask::none, Mask::causal, Mask::causal_top_left),
                GENERATE(1, 3));
}

TEST_CASE("on a GPU too, each batch entry has the bits of its own run", "[kernels][lens][gpu]") {
  if (device_name(Backend::gpu).empty()) {
    WARN("not run: no GPU");
    return;
  }
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  check_entries(c, Backend::gpu, GENERATE(Mask::none, Mask::causal, Mask::causal_top_left), 3);
}

TEST_CASE("a batch entry without keys has o = 0 and lse = -inf", "[kernels][lens]") {
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  const Problem p = parse_problem(c.problem);
  const TensorSet outputs = test::run(kernel_of(c), p, dense_inputs(p));
  CAPTURE(c.kernel, c.problem);
  for (Index b = 0; b < p.B; ++b) {
    const Index row = p.H * p.Sq;
    bool zero = true, none = true;
    for (Index n = 0; n < row; ++n)
      none =
          none && outputs.at("lse").value(b * row + n) == -std::numeric_limits<double>::infinity();
    for (Index n = 0; n < row * p.Dv; ++n)
      zero = zero && outputs.at("o").value(b * row * p.Dv + n) == 0;
    CHECK(zero == (p.length(b) == 0));
    CHECK(none == (p.length(b) == 0));
  }
}

TEST_CASE("kernels refuse lengths that do not fit the problem", "[kernels][lens]") {
  const KernelCase c = GENERATE(from_range(std::begin(kCases), std::end(kCases)));
  const Problem p = parse_problem(c.problem);
  CAPTURE(c.kernel, c.problem);
  const auto with = [&](const Tensor& lens) {
    const TensorSet inputs = dense_inputs(p);
    TensorSet other;
    for (const Tensor& x : inputs) other.add(x.name() == "seqlens_k" ? lens : x);
    return refusal(c, p, other);
  };
  CHECK(with(lengths(p.lens)).empty());
  std::vector<Index> lens = p.lens;
  for (const Index length : {Index{-1}, p.Sk + 1}) {
    lens[1] = length;
    CHECK(with(lengths(lens)) ==
          concat("attention: seqlens_k must lie in [0, Sk = ", p.Sk, "], got ", length, " at [1]"));
  }
  lens[1] = p.lens[1] + (p.lens[1] < p.Sk ? 1 : -1);
  CHECK(with(lengths(lens)) == concat("attention: seqlens_k must hold the problem's lens, got ",
                                      lens[1], " at [1] where it says ", p.lens[1]));
  lens.push_back(0);
  CHECK(with(lengths(lens)) == concat("attention: seqlens_k must be ", p.B,
                                      " entries of int32, got ", p.B + 1, " of int32"));
  CHECK(with(Tensor("seqlens_k", Dtype::fp32, "B", {p.B})).find(" of fp32") != std::string::npos);
  CHECK(with(Tensor("other", Dtype::int32, "B", {p.B})) ==
        concat("attention: inputs must hold seqlens_k where lens is given, got none for lens=",
               print_lens(p.lens)));
}
