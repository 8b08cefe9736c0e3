// A layer: hidden states x and weights to y, over a cache that it appends to. One launch or a few
// for each stage of cases/stages.h, in their order; every stage leaves its tensors in the outputs.
//
//   qkv q_down q_up kv_down kv_up q_absorb v_up out    gemm.cu
//   q_norm rope_append                                 rope_append.cu
//   assemble, q_pe of q_absorb, gate                   elementwise.cu
//   attention    absorbed: mla_decode.cu; up to 8 queries: decode.cu; else prefill.cu
//
// Rounds to T what a stage leaves, once, and what the attention kernel says; the rest is fp32.
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cases/error.h"
#include "cuda/kernel.h"
#include "cuda/kernels/attention_launch.h"
#include "cuda/kernels/layer_params.h"
#include "cuda/kernels/rope_table.h"
#include "cuda/simt/device_memory.h"

namespace attest::ATTEST_BACKEND {

Kernel prefill();
Kernel decode();
Kernel mla_decode();

namespace {

constexpr Index kDecodeQueries = 8;
constexpr Index kMaxColumns = Index{65535} * kGemmColumns;  // of a weight: a grid's y

struct AttentionKernel {
  Kernel kernel;
  MakeLaunch* launch;
};

AttentionKernel attention_of(const Problem& layer) {
  if (layer.form == Form::absorbed) return {mla_decode(), mla_decode_launch};
  if (layer.Sq <= kDecodeQueries && decode().supports(core_of(layer)).empty())
    return {decode(), decode_launch};
  return {prefill(), prefill_launch};
}

void check_tensor(const TensorSpec& spec, const Tensor& tensor) {
  ATTEST_CHECK(tensor.dtype() == spec.dtype && tensor.shape() == spec.shape, "layer: ", spec.name,
               " must have the dtype and extents of cases/stages.h, got ", tensor.size(),
               " elements of ", name(tensor.dtype()));
}

/// The tensors of one run and the angles, where kernels reach them.
class LayerTensors {
 public:
  /// Throws attest::Error for tensors that are not the layer's, and what check_tables() throws.
  LayerTensors(const Problem& p, const TensorSet& inputs, TensorSet& outputs)
      : table_(rope_table(p)),
        cos_(std::as_bytes(std::span<const float>(table_.cos))),
        sin_(std::as_bytes(std::span<const float>(table_.sin))) {
    for (const TensorSpec& spec : layer_weights(p)) {
      check_tensor(spec, inputs.at(spec.name));
      inputs_.try_emplace(spec.name, inputs.at(spec.name));
    }
    check_tables(p, inputs, p.page > 0 ? p.pool_pages() : 0);
    if (p.page > 0) inputs_.try_emplace("block_table", inputs.at("block_table"));
    if (!p.lens.empty()) inputs_.try_emplace("seqlens_k", inputs.at("seqlens_k"));
    for (const TensorSpec& spec : layer_outputs(p)) {
      check_tensor(spec, outputs.at(spec.name));
      outputs_.try_emplace(spec.name, outputs.at(spec.name));
    }
  }

  /// A PointerOf.
  void* operator()(std::string_view name) const {
    if (name == "cos") return const_cast<float*>(cos_.as<float>());
    if (name == "sin") return const_cast<float*>(sin_.as<float>());
    if (const auto found = outputs_.find(name); found != outputs_.end())
      return found->second.as<void>();
    const auto found = inputs_.find(name);
    return found == inputs_.end() ? nullptr : const_cast<void*>(found->second.as<void>());
  }

  /// Waits for the kernels; throws KernelFault for what they did wrong.
  void copy_back() {
    for (auto& [name, output] : outputs_) output.copy_back();
  }

 private:
  RopeTable table_;  // the emulator's kernels read it
  simt::DeviceInput cos_, sin_;
  std::map<std::string, simt::DeviceInput, std::less<>> inputs_;
  std::map<std::string, simt::DeviceOutput, std::less<>> outputs_;
};

Launch stage_launch(const Problem& p, const RunConfig& config, const Stage& stage,
                    const PointerOf& at) {
  const Dtype dtype = p.dtype;
  switch (stage.kind) {
    case StageKind::gemm: {
      const GemmStage gemm = gemm_stage(p, stage.name, at);
      const Launch product = [=] { launch_gemm(dtype, gemm.layout, gemm.params); };
      if (stage.name != "q_absorb") return product;
      return [product, copy = q_pe_copy(p, at)] {
        product();
        launch_copy(copy);
      };
    }
    case StageKind::norm:
      return [=, params = q_norm_params(p, at)] { launch_rope_append(dtype, params); };
    case StageKind::rope_append:
      return [=, params = rope_append_params(p, at)] { launch_rope_append(dtype, params); };
    case StageKind::assemble:
      return [copies = assemble_copies(p, at)] {
        for (const CopyParams& copy : copies) launch_copy(copy);
      };
    case StageKind::attention:
      return attention_of(p).launch(core_of(p), config, attention_stage_params(p, at));
    case StageKind::gate:
      return [=, params = gate_params(p, at)] { launch_gate(dtype, params); };
  }
  throw Error("layer: a stage must be one of the enumerators");
}

/// All stages, one after the other.
Launch layer_launch(const Problem& p, const RunConfig& config, const LayerTensors& tensors) {
  std::vector<Launch> launches;
  for (const Stage& stage : stages(p))
    launches.push_back(stage_launch(p, config, stage, std::cref(tensors)));
  return [launches] {
    for (const Launch& launch : launches) launch();
  };
}

void run(const Problem& p, const RunConfig& config, const TensorSet& inputs, TensorSet& outputs) {
  ATTEST_CHECK(p.layer.tp == 1, "layer: a launch runs one rank, got tp=", p.layer.tp,
               "; run the problems of shard_of()");
  LayerTensors tensors(p, inputs, outputs);
  const Launch launch = layer_launch(p, config, tensors);
  launch();
  tensors.copy_back();
}

LaunchTimes time(const Problem& p, const RunConfig& config, const TensorSet& inputs,
                 TensorSet& outputs, double seconds) {
  LayerTensors tensors(p, inputs, outputs);
  LaunchTimes times = simt::time_launches(layer_launch(p, config, tensors), seconds);
  tensors.copy_back();
  return times;
}

/// Rows start on 16 bytes and are whole chunks of as many.
std::string check_widths(const Problem& p) {
  struct Width {
    const char* name;
    Index value;
  };
  for (const auto& [name, value] :
       {Width{"E", p.layer.E}, Width{"D", p.D}, Width{"Dv", p.Dv}, Width{"L", p.layer.L},
        Width{"Lq", p.layer.Lq}, Width{"Dn", p.Dn}, Width{"Dr", p.Dr}})
    if (value % 8 != 0) return concat(name, " must be a multiple of 8, got ", name, "=", value);
  for (const TensorSpec& spec : layer_weights(p))
    if (spec.shape[0] > kMaxColumns && spec.layout == "NK")
      return concat(spec.name, " must have at most ", kMaxColumns, " rows, got ", spec.shape[0]);
  return {};
}

std::string supports(const Problem& p) {
  if (p.level != Level::layer) return "level must be layer, got core";
  if (p.layer.tp != 1) return supports(shard_of(p, 0));  // run() takes the shards one by one
  if (p.dtype != Dtype::bf16 && p.dtype != Dtype::fp16)
    return concat("dtype must be bf16 or fp16, got ", name(p.dtype));
  const std::string widths = check_widths(p);
  return widths.empty() ? attention_of(p).kernel.supports(core_of(p)) : widths;
}

Index splits(const Problem& p, Index requested) {
  return attention_of(p).kernel.splits(core_of(p), requested);
}

/// LayerRounding's defaults are this kernel's: gemm.cu accumulates in MMAs of 16 products,
/// tile/norm.cuh adds in 32 lanes, sqrt and division round once each, elementwise.cu's sigmoid is
/// an exponential within 2 ulp, a sum and a division.
Descriptor descriptor(const Problem& p, Index splits) {
  Descriptor result = attention_of(p).kernel.descriptor(core_of(p), splits);
  result.layer = LayerRounding{};
  return result;
}

}  // namespace

Kernel layer() {
  return {.name = "layer",
          .backend = Backend::ATTEST_BACKEND,
          .supports = supports,
          .splits = splits,
          .run = run,
          .descriptor = descriptor,
          .time = time};
}

}  // namespace attest::ATTEST_BACKEND
