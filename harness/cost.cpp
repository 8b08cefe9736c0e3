#include "harness/cost.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "cases/inputs.h"
#include "cases/layer_work.h"
#include "cases/stages.h"
#include "cuda/kernel.h"
#include "harness/poison.h"
#include "harness/selection.h"

namespace attest {
namespace {

/// What one of each kind takes, in units of the mma probe. Least squares over the CPU seconds of
/// 4,656 nightly cases, one thread of an AMD EPYC with AVX-512 whose probe takes 308 ns (2026-11):
/// sums by variant and kernel come out at 0.7 to 1.3 of what was measured, those of the smoke, gate
/// and nightly tiers at 0.96 to 1.1. Other compilers and processors shift single constants.
constexpr WorkCounts kProbes = {
    1.4,      // mma
    480,      // prefill
    400,      // decode
    330,      // mla_decode
    740,      // ffma, as fma: over the cases of fp32.yaml
    0.008,    // fma
    155,      // gemm
    70,       // block
    1000,     // run
    0.057,    // drawn
    0.00025,  // truth
    0.8,      // truth_row
    0.065,    // judged
    0.0003,   // judged_flops
    800,      // cases
};

double& at(WorkCounts& work, Work kind) { return work[static_cast<std::size_t>(kind)]; }

Index tiles(Index n, Index tile) { return (n + tile - 1) / tile; }

double elements(const TensorSpec& spec) {
  return std::accumulate(spec.shape.begin(), spec.shape.end(), 1.0, std::multiplies<>());
}

/// How a kernel of attention cuts its work. cuda/kernels/<name>.cu
struct AttentionTiles {
  Work step;
  Index rows, keys;  // of one block's pass
  Index mma;         // products of that pass
  bool splits;
};

AttentionTiles tiles_of(std::string_view kernel, const Problem& p) {
  if (kernel == "mla_decode") {
    const bool narrow = p.D <= 128 && p.Dv <= 64;
    return {Work::mla_decode, 16, 32, narrow ? 48 : 272, true};
  }
  if (kernel == "ffma") return {Work::ffma, 16, 32, 0, false};
  const Index width = p.D <= 64 && p.Dv <= 64 ? 128 : p.D <= 128 ? 256 : 320;
  if (kernel == "decode") return {Work::decode, 16, 64, width / 2, true};
  return {Work::prefill, 64, 64, 2 * width, false};
}

void add_attention(std::string_view kernel, const Problem& p, Index splits, WorkCounts& work) {
  const AttentionTiles t = tiles_of(kernel, p);
  const Index ratio = p.H / p.G, rows = ratio * p.Sq;
  for (Index b = 0; b < p.B; ++b)
    for (Index first = 0; first < rows; first += t.rows) {
      const Index last = std::min(first + t.rows, rows) - 1;
      const Index begin = p.visible(b, first / ratio).begin, end = p.visible(b, last / ratio).end;
      const Index passed = std::max<Index>(0, tiles(end, t.keys) - begin / t.keys);
      const double passes = static_cast<double>(p.G * passed);
      at(work, t.step) += passes;
      at(work, Work::mma) += passes * static_cast<double>(t.mma);
      if (t.step == Work::ffma)  // a warp has 4 rows
        at(work, Work::fma) +=
            passes * static_cast<double>(4 * tiles(last - first + 1, 4) * t.keys * (p.D + p.Dv));
      at(work, Work::block) += static_cast<double>(p.G * splits);
    }
  if (t.splits) at(work, Work::block) += static_cast<double>(tiles(p.B * p.Sq * p.H, 4));
}

/// c [M, N] = a [M, K] w^T, `count` times. M_max: the rows that there could be.
void add_gemm(Index M, Index M_max, Index N, Index K, Index count, WorkCounts& work) {
  const Index rows = M_max <= 16 ? 16 : 64;
  const double blocks = static_cast<double>(count * tiles(M, rows) * tiles(N, 128));
  const double passes = blocks * static_cast<double>(tiles(K, 64));
  at(work, Work::gemm) += passes;
  at(work, Work::mma) += passes * static_cast<double>(4 * rows);
  at(work, Work::block) += blocks;
}

/// One rank of a layer, one launch of each of its kernels. cuda/kernels/layer.cu
void add_layer(const Problem& p, WorkCounts& work) {
  const Index M = p.B * p.Sq;
  for (const TensorSpec& weight : layer_weights(p)) {
    if (weight.shape.size() != 2) continue;
    if (weight.name == "w_ukv" && p.form == Form::absorbed) {
      add_gemm(M, M, p.layer.L, p.Dn, p.H, work);
      add_gemm(M, M, p.Dv, p.layer.L, p.H, work);
    } else if (weight.name == "w_ukv") {
      for (Index b = 0; b < p.B; ++b)
        add_gemm(p.length(b), p.Sk, weight.shape[0], weight.shape[1], 1, work);
    } else {
      add_gemm(M, M, weight.shape[0], weight.shape[1], 1, work);
    }
  }
  const Problem core = core_of(p);
  const char* kernel = p.form == Form::absorbed ? "mla_decode" : p.Sq <= 8 ? "decode" : "prefill";
  add_attention(kernel, core, 1, work);
  at(work, Work::block) += static_cast<double>(M * (p.H + 2 * p.G)) / 4;  // rope_append
  if (p.layer.gate) at(work, Work::block) += static_cast<double>(M * p.H * p.D) / 128;
}

void scale_launches(double runs, WorkCounts& work) {
  for (std::size_t n = 0; n < static_cast<std::size_t>(Work::run); ++n) work[n] *= runs;
  at(work, Work::run) = runs;
}

WorkCounts layer_case(const Problem& p) {
  WorkCounts work{};
  const Index tp = p.layer.tp;
  add_layer(tp > 1 ? shard_of(p, 0) : p, work);
  scale_launches(static_cast<double>(3 * tp), work);
  for (const TensorSpec& spec : layer_weights(p)) at(work, Work::drawn) += elements(spec);
  for (const TensorSpec& spec : layer_caches(p)) at(work, Work::drawn) += elements(spec);
  for (const TensorSpec& spec : layer_outputs(p)) at(work, Work::judged) += elements(spec);
  const double flops = layer_work(p).flops;
  at(work, Work::truth) = flops;
  at(work, Work::judged_flops) = flops;
  return work;
}

WorkCounts core_case(const Case& c) {
  const Problem& p = c.problem;
  WorkCounts work{};
  const Index splits = find_kernel(c.run.kernel, Backend::emu).splits(p, c.run.splits);
  add_attention(c.run.kernel, p, splits, work);
  scale_launches(has_unused_slots(p) ? 3 : 1, work);
  for (const TensorSpec& spec : inputs_of(p)) at(work, Work::drawn) += elements(spec);
  at(work, Work::truth) = p.flops();
  at(work, Work::truth_row) = static_cast<double>(p.B * p.H * p.Sq);
  at(work, Work::judged) = static_cast<double>(p.B * p.H * p.Sq * p.Dv);
  return work;
}

}  // namespace

WorkCounts work_of(const Case& c) {
  WorkCounts work = c.problem.level == Level::layer ? layer_case(c.problem) : core_case(c);
  at(work, Work::cases) = 1;
  return work;
}

Timing estimate(const WorkCounts& work, double probe) {
  const auto seconds = [&](std::initializer_list<Work> kinds) {
    double sum = 0;
    for (Work kind : kinds) {
      const std::size_t n = static_cast<std::size_t>(kind);
      sum += work[n] * kProbes[n];
    }
    return sum * probe;
  };
  return {.inputs = seconds({Work::drawn}),
          .reference = seconds({Work::truth, Work::truth_row, Work::cases}),
          .kernel = seconds({Work::mma, Work::prefill, Work::decode, Work::mla_decode, Work::ffma,
                             Work::fma, Work::gemm, Work::block, Work::run}),
          .judge = seconds({Work::judged, Work::judged_flops})};
}

std::string cost_table(const std::vector<Case>& cases, double probe, int cores) {
  struct Row {
    std::size_t cases = 0;
    Timing seconds;
  };
  std::map<std::string, Row> rows;
  Row total;
  std::size_t elsewhere = 0;
  for (const Case& c : cases) {
    if (c.run.backend != Backend::emu) {
      ++elsewhere;
      continue;
    }
    const Timing t = estimate(work_of(c), probe);
    for (Row* row :
         {&rows[fmt::format("{:<9}{}", name(c.problem.variant), c.run.kernel)], &total}) {
      ++row->cases;
      row->seconds.inputs += t.inputs;
      row->seconds.reference += t.reference;
      row->seconds.kernel += t.kernel;
      row->seconds.judge += t.judge;
    }
  }
  std::string text = fmt::format("{:<21}{:>6}{:>9}{:>11}{:>9}{:>9}{:>9}\n", "variant  kernel",
                                 "cases", "inputs", "reference", "kernel", "judging", "seconds");
  rows["total"] = total;  // after the variants
  for (const auto& [key, row] : rows)
    text += fmt::format("{:<21}{:>6}{:>9.2f}{:>11.2f}{:>9.2f}{:>9.2f}{:>9.2f}\n", key, row.cases,
                        row.seconds.inputs, row.seconds.reference, row.seconds.kernel,
                        row.seconds.judge, row.seconds.total());
  if (elsewhere > 0) text += fmt::format("{} cases on a GPU are not counted\n", elsewhere);
  return text + fmt::format(
                    "about {:.1f} s on {} free cores, of which each takes {:.0f} ns for an "
                    "emulated mma (measured now)\n",
                    total.seconds.total() / cores, cores, probe * 1e9);
}

std::string shard_costs(const std::vector<Case>& cases, std::string_view shard, double probe) {
  std::map<std::uint64_t, std::pair<std::size_t, double>> shards;  // cases, seconds
  for (const Case& c : cases) {
    auto& [count, seconds] = shards[std::stoull(shard_like(shard, c.problem))];
    ++count;
    if (c.run.backend == Backend::emu) seconds += estimate(work_of(c), probe).total();
  }
  std::string text;
  for (const auto& [number, sums] : shards)
    text += fmt::format("shard {}{}: {} cases, {:.1f} s of work\n", number,
                        shard.substr(shard.find('/')), sums.first, sums.second);
  return text;
}

}  // namespace attest
