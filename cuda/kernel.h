#pragma once

#include <span>
#include <string>
#include <string_view>

#include "cases/case.h"
#include "cases/descriptor.h"
#include "cases/tensor.h"
#include "cuda/launch_times.h"

namespace attest {

/// Anything that can be tested. Stateless; the functions may be called from any one thread.
struct Kernel {
  std::string_view name;
  Backend backend;

  /// Empty where the kernel can run the problem, else the reason, such as "D must be at most 192,
  /// got D=256".
  std::string (*supports)(const Problem&);

  /// Parts that the keys are cut into when `requested` (0: the kernel chooses) is asked for.
  Index (*splits)(const Problem&, Index requested);

  /// inputs: the contiguous tensors of inputs_of(problem) (cases/inputs.h). Dense caches may have
  /// more slots than Sk, pools more pages than Problem::pool_pages(). In absorbed form the first Dv
  /// columns of latent_cache are the values. Key j of batch entry b lies in page block_table[b,
  /// j/page], slot j % page; seqlens_k holds the problem's lens. Slots and entries of keys that no
  /// query sees, such as those from lens[b] on, are not read, nor their attn_bias and attn_mask.
  ///
  /// outputs, allocated by the caller: o [B,Sq,H,Dv] of problem.dtype, lse [B,H,Sq] fp32, nats. Of
  /// level=layer (with tp = 1): layer_outputs(problem) (cases/stages.h), whose caches hold what
  /// they held before the call, the same as in inputs.
  ///
  /// Throws KernelFault when the emulator or the device reports misuse, attest::Error for a cache
  /// of other extents, for a seqlens_k with other lengths than the problem and for entries outside
  /// [0,P) of keys that a query sees.
  void (*run)(const Problem&, const RunConfig&, const TensorSet& inputs, TensorSet& outputs);

  /// What the kernel rounds, for the problem run with `splits` parts.
  Descriptor (*descriptor)(const Problem&, Index splits);

  /// Like run(), but launches for about `seconds` with caches overwritten in between and as long
  /// without, at least 5 times each, all on tensors that are on the device already.
  LaunchTimes (*time)(const Problem&, const RunConfig&, const TensorSet& inputs, TensorSet& outputs,
                      double seconds) = nullptr;
};

/// All kernels of this build: every ATTEST_KERNEL line, emulated, and again for the GPU where the
/// build has a CUDA toolkit.
std::span<const Kernel> kernels();

/// Throws attest::Error that lists what exists.
const Kernel& find_kernel(std::string_view name, Backend);

/// True where the GPU build is in this program (a device may still be missing at run time).
bool has_gpu_build();

/// What runs the kernels of a backend: "emulated", or the GPU's name; empty where there is none.
std::string device_name(Backend);

/// The same, with what its peaks can be computed from.
DeviceInfo device_info(Backend);

}  // namespace attest
