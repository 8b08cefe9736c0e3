#include "cuda/kernels/attention_params.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <vector>

#include "cases/error.h"

namespace attest {
namespace {

constexpr Index kMaxGrid = 65535;  // along y and z (CUDA Programming Guide, compute capabilities)

Strides contiguous(Index S, Index heads, Index width) {
  return {.b = S * heads * width, .s = heads * width, .h = width};
}

/// Strides of k [B, >= Sk, G, width], in pages [pages, page, G, width]; no G where MLA is absorbed.
Strides cache_strides(const Problem& p, const Tensor& cache, Index pages, Index width) {
  const Index lines = p.page > 0 ? pages : p.B, slots = cache.shape().at(1);
  ATTEST_CHECK(cache.shape()[0] == lines && (p.page > 0 ? slots == p.page : slots >= p.Sk),
               "attention: ", cache.name(), " must be ", lines, p.page > 0 ? " pages" : " rows",
               " of ", p.page > 0 ? concat(p.page) : concat("at least ", p.Sk), " keys, got ",
               cache.shape()[0], " of ", slots);
  ATTEST_CHECK(cache.size() == lines * slots * p.G * width, "attention: ", cache.name(),
               " must have G x width = ", p.G, " x ", width, " elements a key, got ", cache.size(),
               " for ", lines, " x ", slots, " keys");
  return contiguous(slots, p.G, width);
}

void check_cache_dtypes(const Problem& p, const TensorSet& inputs) {
  const CacheNames names = cache_names(p);
  for (const char* name : {names.k, names.v}) {
    const Tensor* cache = name == nullptr ? nullptr : &inputs.at(name);
    ATTEST_CHECK(cache == nullptr || cache->dtype() == p.cache_dtype(), "attention: ", name,
                 " must hold ", attest::name(p.cache_dtype()), ", got ",
                 attest::name(cache->dtype()));
  }
  for (const char* name : {"k_scale", "v_scale"}) {
    if (!p.kv || (p.form == Form::absorbed && name[0] == 'v')) continue;
    const Tensor& scale = inputs.at(name);
    ATTEST_CHECK((scale.dtype() == Dtype::fp32 && scale.shape() == std::vector<Index>{p.G}),
                 "attention: ", name, " must be ", p.G, " entries of fp32, got ", scale.size(),
                 " of ", attest::name(scale.dtype()));
  }
}

/// Entries behind the last key that any query sees may be anything.
void check_block_table(const Problem& p, const Tensor& table, Index pages) {
  const Index width = p.table_width();
  ATTEST_CHECK((table.shape() == std::vector<Index>{p.B, width}), "attention: block_table must be ",
               p.B, " x ", width, " entries, got ", table.size());
  const std::span<const std::int32_t> entries = table.as<std::int32_t>();
  for (Index b = 0; b < p.B; ++b)
    for (Index n = 0; n < key_tiles(p.visible(b).end, p.page); ++n) {
      const std::int32_t page = entries[static_cast<std::size_t>(b * width + n)];
      ATTEST_CHECK(page >= 0 && page < pages, "attention: block_table must hold pages in [0, ",
                   pages, "), got ", page, " at [", b, ", ", n, "]; its keys are seen");
    }
}

void check_lengths(const Problem& p, const Tensor& lens) {
  ATTEST_CHECK((lens.dtype() == Dtype::int32 && lens.shape() == std::vector<Index>{p.B}),
               "attention: seqlens_k must be ", p.B, " entries of int32, got ", lens.size(), " of ",
               name(lens.dtype()));
  for (Index b = 0; b < p.B; ++b) {
    const Index length = lens.as<std::int32_t>()[static_cast<std::size_t>(b)];
    ATTEST_CHECK(length >= 0 && length <= p.Sk, "attention: seqlens_k must lie in [0, Sk = ", p.Sk,
                 "], got ", length, " at [", b, "]");
    ATTEST_CHECK(length == p.length(b), "attention: seqlens_k must hold the problem's lens, got ",
                 length, " at [", b, "] where it says ", p.length(b));
  }
}

PairStrides pair_strides(const std::vector<Index>& shape) {
  const Index matrix = shape[2] * shape[3];
  return {.b = shape[0] == 1 ? 0 : shape[1] * matrix, .h = shape[1] == 1 ? 0 : matrix};
}

/// Of a dense tensor whose axes b, s and heads lie in the order of `letters`.
Strides strides_of(const std::string& letters, Index B, Index S, Index heads, Index width) {
  Strides strides{};
  Index step = width;
  for (std::size_t axis = letters.size() - 1; axis-- > 0;) {
    const char letter = letters[axis];
    (letter == 'B' ? strides.b : letter == 'S' ? strides.s : strides.h) = step;
    step *= letter == 'B' ? B : letter == 'S' ? S : heads;
  }
  return strides;
}

/// Of a layout other than bshd.
void set_strides(AttentionParams& params, const Problem& p) {
  if (p.layout == Layout::qkv) {
    params.q_stride = contiguous(p.Sq, p.H + 2 * p.G, p.D);
    params.k_stride = params.v_stride = params.q_stride;
    return;
  }
  const std::string order = letters(p.layout);
  params.q_stride = strides_of(order, p.B, p.Sq, p.H, p.D);
  params.k_stride = strides_of(order, p.B, p.Sk, p.G, p.D);
  params.v_stride = strides_of(order, p.B, p.Sk, p.G, p.Dv);
  params.o_stride = strides_of(order, p.B, p.Sq, p.H, p.Dv);
}

void set_scales(AttentionParams& params, const Problem& p) {
  const double scale = softmax_scale(p), factor = p.softcap > 0 ? p.softcap : scale;
  const auto factor_log2 = static_cast<float>(factor * std::numbers::log2e);
  const bool biased = p.alibi || p.attn_bias != PerPair::none;
  params.cap_scale = p.softcap > 0 ? static_cast<float>(scale / p.softcap) : 0.0f;
  params.bias_scale = factor_log2;
  params.scale_log2 = biased ? 1.0f : factor_log2;
}

}  // namespace

Capacity capacity_of(const Problem& p) {
  if (p.D <= 64 && p.Dv <= 64) return Capacity::d64;
  return p.D <= 128 ? Capacity::d128 : Capacity::d192_128;
}

int score_width(Capacity capacity) {
  switch (capacity) {
    case Capacity::d64:
      return 64;
    case Capacity::d128:
      return 128;
    case Capacity::d192_128:
      return 192;
  }
  throw Error("capacity: must be one of the enumerators");
}

Index score_chain(const Problem& p) { return score_width(capacity_of(p)) / 16; }

std::string check_core(const Problem& p, Index max_D, Index max_Dv) {
  if (p.level != Level::core) return "level must be core, got layer";
  if (p.D > max_D) return concat("D must be at most ", max_D, ", got D=", p.D);
  if (p.Dv > max_Dv) return concat("Dv must be at most ", max_Dv, ", got Dv=", p.Dv);
  if (p.B * p.G > kMaxGrid)
    return concat("B * G must be at most ", kMaxGrid, ", got B=", p.B, " G=", p.G);
  return {};
}

std::string check_rows(const Problem& p, Index max_D, Index max_Dv) {
  if (p.dtype != Dtype::bf16 && p.dtype != Dtype::fp16)
    return concat("dtype must be bf16 or fp16, got ", name(p.dtype));
  if (p.D % 8 != 0) return concat("D must be a multiple of 8, got D=", p.D);
  if (p.Dv % 8 != 0) return concat("Dv must be a multiple of 8, got Dv=", p.Dv);
  if (p.page % 8 != 0) return concat("page must be a multiple of 8, got page=", p.page);
  return check_core(p, max_D, max_Dv);
}

std::string check_attention(const Problem& p) {
  if (p.form == Form::absorbed) return "form must be expanded, got absorbed";
  return check_rows(p, 192, 128);
}

double softmax_scale(const Problem& p) {
  if (p.scale > 0) return p.scale;
  if (p.variant != Variant::mla) return 1.0 / std::sqrt(static_cast<double>(p.D));
  // 1 without YaRN: nothing else has an mscale_all_dim.
  const double mscale = 0.1 * p.rope.mscale_all_dim * std::log(p.rope.factor) + 1;
  return mscale * mscale / std::sqrt(static_cast<double>(p.Dn + p.Dr));
}

CacheNames cache_names(const Problem& p) {
  if (p.layout == Layout::qkv) return {"qkv", nullptr};
  if (p.form == Form::absorbed) return {"latent_cache", nullptr};
  if (p.page > 0) return {"k_cache", "v_cache"};
  return {"k", "v"};
}

AttentionParams contiguous_params(const Problem& p) {
  AttentionParams params{};
  const Index slots = p.page > 0 ? p.page : p.Sk;
  params.q_stride = contiguous(p.Sq, p.H, p.D);
  params.k_stride = contiguous(slots, p.G, p.D);
  params.v_stride = contiguous(slots, p.G, p.Dv);
  params.o_stride = contiguous(p.Sq, p.H, p.Dv);
  params.page = static_cast<int>(p.page);
  params.pages_per_row = static_cast<int>(p.page > 0 ? p.table_width() : 0);
  params.B = static_cast<int>(p.B);
  params.Sq = static_cast<int>(p.Sq);
  params.Sk = static_cast<int>(p.Sk);
  params.H = static_cast<int>(p.H);
  params.G = static_cast<int>(p.G);
  params.D = static_cast<int>(p.D);
  params.Dv = static_cast<int>(p.Dv);
  params.left = p.window.left < 0 ? kUnbounded : static_cast<int>(p.window.left);
  params.right = p.window.right < 0 ? kUnbounded : static_cast<int>(p.window.right);
  if (p.mask != Mask::none) params.right = 0;
  params.bottom_right = p.mask != Mask::causal_top_left;
  params.sink = p.sink == Sink::one ? 0.0f : -std::numeric_limits<float>::infinity();
  params.bias_stride = pair_strides(p.pair_shape(p.attn_bias));
  params.mask_stride = pair_strides(p.pair_shape(p.attn_mask));
  set_scales(params, p);
  return params;
}

void check_tables(const Problem& p, const TensorSet& inputs, Index pages) {
  if (const Tensor* lens = inputs.find("seqlens_k")) check_lengths(p, *lens);
  ATTEST_CHECK(p.lens.empty() || inputs.find("seqlens_k"),
               "attention: inputs must hold seqlens_k where lens is given, got none for lens=",
               print_lens(p.lens));
  if (p.page > 0) check_block_table(p, inputs.at("block_table"), pages);
}

AttentionParams attention_params(const Problem& p, const TensorSet& inputs) {
  check_cache_dtypes(p, inputs);
  AttentionParams params = contiguous_params(p);
  if (p.layout != Layout::bshd) {
    set_strides(params, p);
    check_tables(p, inputs, 0);
    return params;
  }
  const CacheNames names = cache_names(p);
  const Tensor& k = inputs.at(names.k);
  const Index pages = k.shape().at(0);
  params.k_stride = cache_strides(p, k, pages, p.D);
  if (names.v != nullptr) params.v_stride = cache_strides(p, inputs.at(names.v), pages, p.Dv);
  check_tables(p, inputs, pages);
  return params;
}

Index longest_entry(const Problem& p) {
  return std::ranges::max_element(p.lens) - p.lens.begin();  // 0 where all have Sk keys
}

Index key_tiles(Index keys, Index block_k) { return (keys + block_k - 1) / block_k; }

Index packed_rows(const Problem& p) { return p.H / p.G * p.Sq; }

Index choose_splits(Index blocks, Index tiles, Index requested) {
  // More would make the merge longer than the attention.
  constexpr Index kMaxSplits = 256;
  if (requested > 0) return std::min(requested, kMaxSplits);
  // Enough blocks for a large GPU, but at least four tiles of keys each: below that the merge costs
  // more than the parallelism brings.
  constexpr Index kTargetBlocks = 264, kMinTiles = 4;
  const Index wanted = (kTargetBlocks + blocks - 1) / blocks;
  return std::clamp<Index>(tiles / kMinTiles, 1, std::min(wanted, kMaxSplits));
}

}  // namespace attest
