// `attest cache` as a user meets it.
#include <algorithm>

#include "tests/program/shell.h"

namespace {

Result cache(const std::string& arguments) {
  return shell("ATTEST_HOME='" ATTEST_SOURCE_DIR "' " ATTEST_PROGRAM " cache " + arguments);
}

/// The text with runs of spaces as one, so that a test speaks of values and not of columns.
std::string squeezed(std::string text) {
  const auto both_spaces = [](char a, char b) { return a == ' ' && b == ' '; };
  text.erase(std::unique(text.begin(), text.end(), both_spaces), text.end());
  return text;
}

}  // namespace

TEST_CASE("cache without arguments prints the table of exact sizes") {
  const Result result = cache("");
  CHECK(result.exit_code == 0);
  CHECK(squeezed(result.output) ==
        "KV cache of one sequence (B 1) in bf16. S tokens; numbers of one token in one layer; "
        "GB is 10^9 B, GiB 2^30 B.\n"
        "\n"
        " S numbers a layer layers bytes GB GiB\n"
        "LLaMA-3 8B, if it were MHA 32 x 128 8192 8192 128 MiB 32 4294967296 4.295 4.000\n"
        "LLaMA-3 8B, GQA 8 x 128 8192 2048 32 MiB 32 1073741824 1.074 1.000\n"
        "GQA 4 x 128 of 32 heads 8192 1024 16 MiB 32 536870912 0.537 0.500\n"
        "LLaMA-3 70B, if it were MHA 64 x 128 8192 16384 256 MiB 80 21474836480 21.475 20.000\n"
        "LLaMA-3 70B, GQA 8 x 128 8192 2048 32 MiB 80 2684354560 2.684 2.500\n"
        "LLaMA-3.1 405B, GQA 8 x 128 8192 2048 32 MiB 126 4227858432 4.228 3.938\n"
        "MQA 1 x 128 of 32 heads 8192 256 4 MiB 32 134217728 0.134 0.125\n"
        "MHA 32 x 128, 60 layers 8192 8192 128 MiB 60 8053063680 8.053 7.500\n"
        "MLA expanded, 32 x (192 + 128) 8192 10240 160 MiB 32 5368709120 5.369 5.000\n"
        "same, 60 layers 8192 10240 160 MiB 60 10066329600 10.066 9.375\n"
        "MLA latent 512 without rope key (not enough) 8192 512 8 MiB 32 268435456 0.268 0.250\n"
        "same, 60 layers (not enough) 8192 512 8 MiB 60 503316480 0.503 0.469\n"
        "MLA latent 512 + 64 8192 576 9 MiB 32 301989888 0.302 0.281\n"
        "same, 60 layers: DeepSeek-V2 8192 576 9 MiB 60 566231040 0.566 0.527\n"
        "DeepSeek-V3 latent 8192 576 9 MiB 61 575668224 0.576 0.536\n"
        "DeepSeek-V3 expanded, 128 x (192 + 128) 8192 40960 640 MiB 61 40936407040 40.936 38.125\n"
        "DeepSeek-V3 latent 131072 576 144 MiB 61 9210691584 9.211 8.578\n"
        "DeepSeek-V3 expanded 131072 40960 10 GiB 61 654982512640 654.983 610.000\n"
        "MHA 128 x 128, as large, no MLA 131072 32768 8 GiB 61 523986010112 523.986 488.000\n"
        "DeepSeek-V3 latent, fp8 of 656 B 131072 - 82 MiB 61 5244977152 5.245 4.885\n"
        "Falcon-40B, GQA 8 x 64 2048 1024 4 MiB 60 251658240 0.252 0.234\n"
        "Falcon-40B misread as MQA 1 x 128 2048 256 1 MiB 60 62914560 0.063 0.059\n"
        "\n"
        "MHA 32 x 128 / latent 576 14.22x\n"
        "MLA expanded, 32 heads / latent 576 17.78x\n"
        "MHA 128 x 128 / latent 576 56.89x\n"
        "DeepSeek-V3 expanded / latent 576 71.11x\n");
}

TEST_CASE("the columns of the cache table end in line") {
  const std::string output = cache("").output;
  const std::size_t first = output.find("\n\n") + 2, last = output.find("\n\n", first);
  const std::string rows = output.substr(first, last - first);
  const std::size_t width = rows.find('\n');
  CHECK(width > 100);
  CHECK((rows.size() + 1) % (width + 1) == 0);
  for (std::size_t at = width; at < rows.size(); at += width + 1) CHECK(rows[at] == '\n');
}

TEST_CASE("cache of one model says bytes, ratio, parameters and operations") {
  const Result result = cache("deepseek-v3 --length 131072");
  CHECK(result.exit_code == 0);
  const std::string output = squeezed(result.output);
  for (const char* line :
       {"deepseek-v3: MLA, 61 layers, E 7168, H 128 Lq 1536 L 512 Dn 128 Dr 64 Dv 128\n",
        "verified: true\n", "KV cache, bf16, B 1, S 131072\n",
        " latent, L + Dr 1152 150994944 144 MiB 9210691584 8.578 GiB 56.89x\n",
        " latent in fp8 656 85983232 82 MiB 5244977152 4.885 GiB 99.90x\n",
        " expanded, H (Dn + Dr + Dv) 81920 10737418240 10 GiB 654982512640 610 GiB 0.80x\n",
        " projections 187105280 11413422080\n", " norms, biases, sinks 2048 124928\n",
        // 2 * 61 * 128 * 1088 * 131072 multiply-adds of decode
        " decode, S 131072, absorbed 22826844160 2226940542976\n",
        "One layer as a case (decode):\n mla B=1 Sq=1 Sk=131072 H=128 "})
    CHECK_THAT(output, Catch::Contains(line));

  const std::string dense = squeezed(cache("llama-3-8b --batch 3 --dtype fp32").output);
  CHECK_THAT(dense, Catch::Contains("KV cache, fp32, B 3, S 8192\n"));
  CHECK_THAT(dense, Catch::Contains(" GQA, 2 G D 8192 201326592 192 MiB 6442450944 6 GiB 4.00x\n"));
  CHECK_THAT(cache("qwen2.5-72b").output, Catch::Contains("from memory, verified: false"));
  CHECK_THAT(squeezed(cache("gpt-oss-20b").output),
             Catch::Contains("windowed layers keep only their window 204472320 195 MiB\n"));
  CHECK_THAT(cache("t5-large").output, Catch::Contains("t5-large, which needs a bias by distance"));
  CHECK_THAT(cache("bert-large").output, Catch::Contains("an encoder caches none"));
}

TEST_CASE("the list of presets says dimensions, whether verified, and the source") {
  const Result result = cache("--list");
  CHECK(result.exit_code == 0);
  const std::string output = squeezed(result.output);
  CHECK_THAT(output, Catch::Contains("falcon-7b model MQA 32 4544 H 71 G 1 D 64 true litgpt\n"));
  CHECK_THAT(output, Catch::Contains("llama-1-7b model MHA 32 4096 H 32 G 32 D 128 false from"));
  CHECK_THAT(output,
             Catch::Contains("tiny-mla standin MLA 2 64 H 4 Lq 32 L 48 Dn 16 Dr 8 Dv 40 -"));
  CHECK(std::count(output.begin(), output.end(), '\n') == 60);
}

TEST_CASE("what cache cannot answer is named, with exit code 2") {
  const auto [arguments, message] = GENERATE(table<std::string, std::string>({
      {"deepsek-v3", "similar names: deepseek-v3"},
      {"llama-3-8b --length 0", "length and batch must be at least 1, got length=0"},
      {"llama-3-8b --length 99999999999999999", "less than 2^63"},
      {"llama-3-8b --length eight", "--length"},
      {"llama-3-8b --dtype bf17", "dtype: must be one of"},
      {"llama-3-8b --dtype int32", "must be a floating-point type, got int32"},
      {"--length 5", "--length requires preset"},
      {"--list llama-3-8b", "excludes"},
      {"llama-3-8b --colour", "--colour"},
  }));
  CAPTURE(arguments);
  const Result result = cache(arguments);
  CHECK(result.exit_code == 2);
  CHECK_THAT(result.output, Catch::Contains(message));
}
