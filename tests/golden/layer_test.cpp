#include "cases/stages.h"
#include "tests/golden/files.h"

using namespace golden_test;

namespace {

const std::string kGqa =
    "gqa B=2 Sq=2 Sk=9 H=4 G=2 D=8 dtype=bf16 level=layer E=24 norm=rms bias=all gate=1 "
    "lens=9,5 page=4 mask=causal";
const std::string kMla =
    "mla B=1 Sq=2 Sk=5 H=3 D=12 Dv=10 dtype=fp16 level=layer E=24 L=16 form=absorbed Dr=4";

Tensor of(const TensorSpec& spec, Dtype dtype) {
  return counting(spec.name, dtype, spec.layout, spec.shape, 0x3C00);
}

/// Everything that a layer takes and leaves, the stages in between too.
StoredCase layer(const std::string& text) {
  StoredCase c;
  c.problem = parse_problem(text);
  for (const auto& specs : {layer_weights(c.problem), layer_caches(c.problem)})
    for (const TensorSpec& spec : specs) c.groups["inputs"].add(of(spec, spec.dtype));
  if (!c.problem.lens.empty())
    c.groups["inputs"].add(counting("seqlens_k", Dtype::int32, "B", {c.problem.B}));
  for (const TensorSpec& spec : layer_outputs(c.problem))
    c.groups["outputs"].add(of(spec, Dtype::fp64));
  return c;
}

/// Whether a file refuses the tensor in a case of the problem.
bool refused(const std::string& text, const std::string& group, const Tensor& tensor,
             const std::string& rule) {
  const Folder folder;
  StoredCase c;
  c.problem = parse_problem(text);
  c.groups[group].add(tensor);
  return refuses([&] { write(folder / "a.h5", {c}); }, rule);
}

}  // namespace

TEST_CASE("a layer keeps what it takes and every tensor that its stages leave") {
  const Folder folder;
  const StoredCase gqa = layer(kGqa), mla = layer(kMla);
  write(folder / "a.h5", {gqa, mla});
  const GoldenFile file(folder / "a.h5");
  for (const StoredCase& c : {gqa, mla}) {
    CAPTURE(print(c.problem));
    const StoredCase back = file.read(case_id(c.problem));
    CHECK(back.problem == c.problem);
    for (const auto& [group, tensors] : c.groups) {
      CHECK(back.groups.at(group).size() == tensors.size());
      for (const Tensor& tensor : tensors)
        CHECK(back.groups.at(group).at(tensor.name()).sha256() == tensor.sha256());
    }
  }
}

TEST_CASE("tensors of a layer have the shapes and types of its stages") {
  const auto zeros = [](const char* name, Dtype dtype, const char* layout,
                        std::vector<Index> shape) {
    return counting(name, dtype, layout, std::move(shape), 0, 0);
  };
  CHECK(refused(kGqa, "inputs", zeros("w_o", Dtype::bf16, "NK", {32, 24}),
                "must hold inputs/w_o as NK 24x32, got NK 32x24"));
  CHECK(refused(kGqa, "inputs", zeros("w_qkv", Dtype::fp32, "NK", {96, 24}),
                "must hold inputs/w_qkv as bfloat16, got float32"));
  CHECK(refused(kGqa, "inputs", zeros("block_table", Dtype::bf16, "BN", {2, 3}),
                "must hold inputs/block_table as int32, got bfloat16"));
  CHECK(refused(kGqa, "outputs", zeros("k_cache", Dtype::fp64, "BSHD", {2, 9, 2, 8}),
                "must hold outputs/k_cache as PSHD 8x4x2x8, got BSHD 2x9x2x8"));
  CHECK(refused(kMla, "got", zeros("y", Dtype::fp64, "BSE", {1, 2, 23}),
                "must hold got/y as BSE 1x2x24, got BSE 1x2x23"));
}

TEST_CASE("conditioning of an absorbed layer is as wide as its latent, that of others as o") {
  const Tensor narrow = counting("abs_mag", Dtype::fp64, "BSHD", {1, 2, 3, 10});
  CHECK(refused(kMla, "conditioning", narrow,
                "must hold conditioning/abs_mag as BSHD 1x2x3x16, got BSHD 1x2x3x10"));
  CHECK_FALSE(refused(kMla.substr(0, kMla.find(" form=")) + " Dr=4", "conditioning", narrow, ""));
}
