// `attest bench kernels,gemm` and the GPU lane as a user meets them.
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/program/shell.h"

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

Result bench(const std::string& arguments) {
  return shell(std::string(ATTEST_PROGRAM) + " bench " + arguments);
}

/// A file that goes with its owner.
struct ScratchFile {
  std::string path = (fs::temp_directory_path() / ("attest-bench-test-XXXXXX")).string();
  ScratchFile() { close(mkstemp(path.data())); }
  ~ScratchFile() { fs::remove_all(path); }
};

}  // namespace

TEST_CASE("emulated kernels are timed into JSON lines whose numbers agree with each other") {
  const ScratchFile file;
  const Result result = bench("kernels --backend emu --match kernel=decode --json " + file.path);
  CAPTURE(result.output);
  REQUIRE(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Contains("decode emulated"));
  std::ifstream lines(file.path);
  int rows = 0;
  for (std::string line; std::getline(lines, line); ++rows) {
    const Json row = Json::parse(line);
    CHECK(row.at("schema") == 1);
    CHECK_THAT(row.at("case").get<std::string>(), Catch::Contains("| kernel=decode"));
    CHECK(row.at("kernel") == "decode");
    CHECK(row.at("backend") == "emu");
    CHECK(row.at("device") == "emulated");
    const double seconds = row.at("seconds"), flops = row.at("flops"), bytes = row.at("bytes");
    CHECK(seconds > 0);
    CHECK(row.at("seconds_min").get<double>() <= seconds);
    CHECK(row.at("seconds_max").get<double>() >= seconds);
    // B=2 Sq=1 Sk=512 H=16 G=4 D=128: two products; q, k, v, o of 2 bytes and lse of 4.
    CHECK(flops == 2.0 * 2 * 16 * (128 + 128) * 512);
    CHECK(bytes == 2 * (2.0 * 2 * 16 * 128 + 2.0 * 2 * 512 * 4 * 128) + 4.0 * 2 * 16);
    CHECK(row.at("tflops").get<double>() == Approx(flops / seconds * 1e-12));
    CHECK(row.at("gbs").get<double>() == Approx(bytes / seconds * 1e-9));
    const double work = row.at("mma").get<double>() * row.at("probe_seconds").get<double>();
    CHECK(row.at("probe_ratio").get<double>() == Approx(seconds / work));
  }
  CHECK(rows == 1);
}

TEST_CASE("whole layers and products get rows in one file, with the work that they cannot avoid") {
  const ScratchFile file;
  const Result result =
      bench("kernels,gemm --match 'gqa B=2 .*kernel=layer|gemm M=16 ' --json " + file.path);
  CAPTURE(result.output);
  REQUIRE(result.exit_code == 0);
  std::ifstream lines(file.path);
  std::vector<Json> rows;
  for (std::string line; std::getline(lines, line);) rows.push_back(Json::parse(line));
  REQUIRE(rows.size() == 2);
  // Two tokens by w_qkv [1536, 1024] and w_o [1024, 1024]; 8 heads of 128 over 512 keys.
  constexpr double kWeights = 1536.0 * 1024 + 1024.0 * 1024;
  CHECK(rows[0].at("kernel") == "layer");
  CHECK(rows[0].at("flops") == 2 * 2 * kWeights + 2.0 * 2 * 8 * (128 + 128) * 512);
  CHECK(rows[0].at("bytes") == 2 * (kWeights + 2 * 2 * 1024 + 2.0 * 512 * 2 * (128 + 128)));
  CHECK(rows[1].at("case") == "gemm M=16 N=1024 K=1024 dtype=bf16");
  CHECK(rows[1].at("kernel") == "gemm");
  CHECK(rows[1].at("backend") == "emu");
  CHECK(rows[1].at("flops") == 2.0 * 16 * 1024 * 1024);
  CHECK(rows[1].at("bytes") == 2.0 * (16 * 1024 + 1024 * 1024 + 16 * 1024));
  CHECK(rows[1].at("mma") == 1024 / 8 * (1024 / 16));  // one tile of 16 rows
  for (const Json& row : rows) {
    const double work = row.at("mma").get<double>() * row.at("probe_seconds").get<double>();
    CHECK(row.at("probe_ratio").get<double>() == Approx(row.at("seconds").get<double>() / work));
  }
}

TEST_CASE("a benchmark of products says that none ran on a GPU, and why") {
  const Result result = bench("gemm --match 'gemm M=1 '");
  CHECK(result.exit_code == 0);
  CHECK_THAT(result.output, Catch::Matches("[^]*cublaslt beside it +not run +(no GPU|no build with "
                                           "a CUDA toolkit|add --backend gpu)[^]*"));
}

TEST_CASE("a benchmark on a GPU that is not there is an infrastructure error") {
  if (bench("kernels --backend gpu --match 'no such case'").exit_code == 5) return;  // there is one
  const ScratchFile file;
  const Result result = bench("kernels --backend emu,gpu --json " + file.path);
  CHECK(result.exit_code == 3);
  CHECK_THAT(result.output, Catch::Contains("bench: backend gpu needs a ") &&
                                Catch::Contains("run attest doctor"));
  CHECK(fs::file_size(file.path) == 0);  // nothing was timed before the message
}

TEST_CASE("a benchmark that is asked for nothing, for nonsense or for an unwritable file says so") {
  CHECK(bench("kernels --match 'no such case'").exit_code == 5);
  CHECK(bench("kernels --match '('").exit_code == 2);
  CHECK(bench("gemm --match 'no such product'").exit_code == 5);
  CHECK(bench("gemm --match '('").exit_code == 2);
  CHECK(bench("kernels --backend tpu").exit_code == 2);
  CHECK(bench("colour").exit_code == 2);
  const Result misplaced = bench("judge --json /dev/null");
  CHECK(misplaced.exit_code == 2);
  CHECK_THAT(misplaced.output, Catch::Contains("--json"));
  const Result unwritable = bench("kernels --match kernel=decode --json /dev/null/rows");
  CHECK(unwritable.exit_code == 3);
  CHECK_THAT(unwritable.output, Catch::Contains("/dev/null/rows"));
}

TEST_CASE("the GPU lane ends with 5 where there is no GPU and with 2 for a wrong option") {
  const ScratchFile scratch;
  fs::remove(scratch.path);
  fs::create_directory(scratch.path);
  const std::string stub = scratch.path + "/nvidia-smi";
  std::ofstream(stub) << "#!/bin/sh\necho 'No devices found.'\n";
  fs::permissions(stub, fs::perms::owner_all);
  const std::string lane = "PATH=" + scratch.path + ":$PATH " + ATTEST_SOURCE_DIR + "/ci/gpu.sh";
  const Result none = shell(lane);
  CHECK(none.exit_code == 5);
  CHECK_THAT(none.output, Catch::Contains("no GPU at hand"));
  for (const char* wrong :
       {" --colour red", " --steps", " --steps gate,paint", " --prebuilt /none"}) {
    CAPTURE(wrong);
    const Result result = shell(lane + wrong);
    CHECK(result.exit_code == 2);
    CHECK_THAT(result.output, Catch::Contains("options are"));
  }
}
