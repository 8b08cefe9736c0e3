#include <cmath>
#include <limits>

#include "golden/chunks.h"
#include "tests/golden/files.h"

using namespace golden_test;

TEST_CASE("a golden file gives back what was written, bit for bit") {
  const Folder folder;
  StoredCase small = sample(kSmall);
  small.attributes = {{"run", "kernel=decode splits=3"}, {"verdict", "FAIL"}, {"empty", ""}};
  const StoredCase large = sample("mha B=2 Sq=64 Sk=1025 H=3 D=72 Dv=80 dtype=fp16");
  const StoredCase fp64 = sample("mqa B=1 Sq=2 Sk=3 H=2 D=4 dtype=fp64");
  const StoredCase fp32 = sample("mqa B=1 Sq=2 Sk=3 H=2 D=4 dtype=fp32");
  write(folder / "a.h5", {small, large, fp64, fp32});

  const GoldenFile file(folder / "a.h5");
  CHECK(file.case_ids().size() == 4);
  const std::vector<std::string> ids = file.case_ids();
  CHECK(std::is_sorted(ids.begin(), ids.end()));
  for (const StoredCase& c : {small, large, fp64, fp32}) {
    CAPTURE(print(c.problem));
    CHECK(same(file.read(case_id(c.problem)), c));
  }
  CHECK(file.provenance().producer == kProvenance.producer);
  CHECK(file.provenance().profile == kProvenance.profile);
  CHECK(file.provenance().command == kProvenance.command);
  CHECK(folder.names() == std::vector<std::string>{"a.h5"});
}

TEST_CASE("every 16-bit pattern survives as bf16 and as fp16, NaN payloads included") {
  const auto dtype = GENERATE(Dtype::bf16, Dtype::fp16);
  const Folder folder;
  StoredCase c;
  c.problem = parse_problem(concat("mha B=1 Sq=64 Sk=1 H=1 D=1024 dtype=", name(dtype)));
  c.groups["inputs"].add(counting("q", dtype, "BSHD", {1, 64, 1, 1024}));
  write(folder / "a.h5", {c});
  const StoredCase back = GoldenFile(folder / "a.h5").read(case_id(c.problem));
  const auto bits = back.groups.at("inputs").at("q").as<std::uint16_t>();
  REQUIRE(bits.size() == 65536);
  for (std::size_t n = 0; n < bits.size(); ++n) REQUIRE(bits[n] == n);
}

TEST_CASE("every 8-bit pattern survives as e4m3 and as e5m2, with the scales beside it") {
  const auto kv = GENERATE(Dtype::e4m3, Dtype::e5m2);
  const Folder folder;
  StoredCase c;
  c.problem = parse_problem(concat("mha B=1 Sq=1 Sk=16 H=1 D=16 dtype=bf16 kv=", name(kv)));
  c.groups["inputs"].add(counting("k", kv, "BSHD", {1, 16, 1, 16}));
  c.groups["inputs"].add(counting("k_scale", Dtype::fp32, "G", {1}, 0x3f800001));
  write(folder / "a.h5", {c});
  const StoredCase back = GoldenFile(folder / "a.h5").read(case_id(c.problem));
  CHECK(same(back, c));
  const auto bytes = back.groups.at("inputs").at("k").bytes();
  for (std::size_t n = 0; n < 256; ++n) CHECK(std::to_integer<unsigned>(bytes[n]) == n);

  c.groups["inputs"] = {};
  c.groups["inputs"].add(counting("k", Dtype::bf16, "BSHD", {1, 16, 1, 16}));
  CHECK(refuses([&] { write(folder / "b.h5", {c}); },
                concat("must hold inputs/k as ", torch_name(kv), ", got bfloat16")));
}

TEST_CASE("fp64 keeps infinities, NaN payloads, subnormals and negative zero") {
  const std::vector<double> values = {-std::numeric_limits<double>::infinity(),
                                      std::numeric_limits<double>::denorm_min(), -0.0,
                                      std::nan("0x123"), std::numeric_limits<double>::max()};
  const Folder folder;
  StoredCase c;
  c.problem = parse_problem("mha B=1 Sq=5 Sk=0 H=1 D=8 dtype=bf16");
  Tensor lse("lse", Dtype::fp64, "BHS", {1, 1, 5});
  std::copy(values.begin(), values.end(), lse.as<double>().begin());
  c.groups["outputs"].add(lse);
  write(folder / "a.h5", {c});
  const StoredCase back = GoldenFile(folder / "a.h5").read(case_id(c.problem));
  CHECK(std::memcmp(back.groups.at("outputs").at("lse").bytes().data(), values.data(), 40) == 0);
}

TEST_CASE("the lengths of batch entries are kept as one int32 each, where the problem has them") {
  const Folder folder;
  StoredCase c = sample("gqa B=3 Sq=1 Sk=6 H=4 G=2 D=8 dtype=bf16 lens=6,0,5");
  c.groups["inputs"].add(counting("seqlens_k", Dtype::int32, "B", {3}, 4));
  write(folder / "a.h5", {c});
  CHECK(same(GoldenFile(folder / "a.h5").read(case_id(c.problem)), c));

  const auto writes = [&](const Tensor& lens) {
    StoredCase other = sample("gqa B=3 Sq=1 Sk=6 H=4 G=2 D=8 dtype=bf16 lens=6,0,5");
    other.groups["inputs"].add(lens);
    return [&folder, other] { write(folder / "b.h5", {other}); };
  };
  CHECK(refuses(writes(counting("seqlens_k", Dtype::int32, "B", {2})),
                "must hold inputs/seqlens_k as B 3, got B 2"));
  CHECK(refuses(writes(counting("seqlens_k", Dtype::bf16, "B", {3})),
                "must hold inputs/seqlens_k as int32, got bfloat16"));
}

TEST_CASE("tensors without elements keep their shape") {
  const Folder folder;
  const StoredCase c = sample("gqa B=2 Sq=3 Sk=0 H=4 G=2 D=8 dtype=bf16");
  write(folder / "a.h5", {c});
  const StoredCase back = GoldenFile(folder / "a.h5").read(case_id(c.problem));
  CHECK(same(back, c));
  CHECK(back.groups.at("inputs").at("k").shape() == std::vector<Index>{2, 0, 2, 8});
}

TEST_CASE("a digest keeps shapes and hashes without elements, under the same logical hash") {
  const Folder folder;
  StoredCase c = sample(kSmall);
  write(folder / "full.h5", {c});
  c.tier = "digest";
  write(folder / "digest.h5", {c});

  const GoldenFile full(folder / "full.h5"), digest(folder / "digest.h5");
  const std::string id = case_id(c.problem);
  CHECK(digest.read(id).groups.empty());
  CHECK(digest.read(id).tier == "digest");
  REQUIRE(digest.digests(id).size() == 6);
  const Digest& v = digest.digests(id)[3];
  CHECK(v.group + "/" + v.name == "inputs/v");
  CHECK(v.shape == std::vector<Index>{1, 6, 2, 8});
  CHECK(v.dtype == Dtype::bf16);
  CHECK(v.sha256 == c.groups.at("inputs").at("v").sha256());
  CHECK_FALSE(v.stored);
  CHECK(digest.logical_hash() == full.logical_hash());
}

TEST_CASE("the logical hash is SHA-256 over ids, paths and tensor hashes in order") {
  const Folder folder;
  StoredCase c;
  c.problem = Problem{};  // case 4f1934871428140e
  Tensor lse("lse", Dtype::fp64, "BHS", {1, 1, 1});
  lse.as<double>()[0] = 1.0;
  c.groups["outputs"].add(lse);
  write(folder / "a.h5", {c});
  // h=$(printf 'float64|1x1x1|\0\0\0\0\0\0\360\77' | sha256sum | cut -c-64)
  // printf '4f1934871428140e\noutputs/lse %s\n' $h | sha256sum
  CHECK(GoldenFile(folder / "a.h5").logical_hash() ==
        "50214e94fbbadd39f8f24fbb62e8e352a5b3d0d631ef940b94e68c7b1c7eb5c2");
}

TEST_CASE("the same cases give the same bytes, other values another logical hash") {
  const Folder folder;
  StoredCase c = sample(kSmall);
  const StoredCase other = sample("mha B=2 Sq=33 Sk=65 H=3 D=72 dtype=fp16");
  write(folder / "a.h5", {c, other});
  write(folder / "b.h5", {c, other});
  CHECK(bytes_of(folder / "a.h5") == bytes_of(folder / "b.h5"));
  const std::string hash = GoldenFile(folder / "a.h5").logical_hash();
  c.groups.at("outputs").at("o").as<double>()[5] = 0;
  write(folder / "b.h5", {c, other});
  CHECK(GoldenFile(folder / "b.h5").logical_hash() != hash);
}

TEST_CASE("many cases fit one file and cost little beside their elements") {
  const Folder folder;
  GoldenWriter writer(folder / "a.h5", kProvenance);
  for (int seed = 1; seed <= 300; ++seed)
    writer.add(sample(concat("mha B=1 Sq=1 Sk=2 H=1 D=8 dtype=bf16 seed=", seed)));
  writer.publish();
  const GoldenFile file(folder / "a.h5");
  REQUIRE(file.case_ids().size() == 300);
  CHECK(file.contains(case_id(parse_problem("mha B=1 Sq=1 Sk=2 H=1 D=8 dtype=bf16 seed=300"))));
  CHECK(fs::file_size(folder / "a.h5") < 300 * 12000);
}

TEST_CASE("a case that breaks a rule is refused when it is added") {
  const Folder folder;
  StoredCase c = sample(kSmall);
  std::string rule = "must hold each problem once, got gqa B=1";
  const auto breakage = GENERATE(range(0, 6));
  if (breakage == 1) {
    rule = "must hold cases of tier full or digest, got half";
    c.tier = "half";
  } else if (breakage == 2) {
    rule = "must hold outputs/o as BSHD 1x4x4x8, got BSHD 1x4x4x16";
    c.problem.Dv = 8;
    c.groups["outputs"] = {};
    c.groups["outputs"].add(Tensor("o", Dtype::fp64, "BSHD", {1, 4, 4, 16}));
  } else if (breakage == 3) {
    rule = "must hold inputs/q as bfloat16, got float16";
    c.groups["inputs"] = {};
    c.groups["inputs"].add(Tensor("q", Dtype::fp16, "BSHD", {1, 4, 4, 8}));
  } else if (breakage == 4) {
    rule = "must name tensors with 1 to 64 letters, digits and underscores, got outputs/../x";
    c.groups["outputs"].add(Tensor("../x", Dtype::fp64, "S", {1}));
  } else if (breakage == 5) {
    rule = "neither problem nor tier, got tier";
    c.attributes["tier"] = "x";
  }
  CAPTURE(rule);
  GoldenWriter writer(folder / "a.h5", kProvenance);
  if (breakage == 0) writer.add(c);
  CHECK(refuses([&] { writer.add(c); }, rule));
  CHECK(refuses([&] { writer.publish(); }, "got a writer that failed"));
  CHECK_FALSE(fs::exists(folder / "a.h5"));
}

TEST_CASE("an unknown case is the user's error, not the file's") {
  const Folder folder;
  write(folder / "a.h5", {sample(kSmall)});
  const GoldenFile file(folder / "a.h5");
  CHECK(refuses([&] { file.read("0123"); }, "must hold the case, got 0123"));
  CHECK_THROWS_AS(file.digests("0123"), Error);
}
