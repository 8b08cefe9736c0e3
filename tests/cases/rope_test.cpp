#include "cases/rope.h"

#include <limits>
#include <random>
#include <vector>

#include "cases/error.h"
#include "tests/catch.h"

using namespace attest;

namespace {

template <class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A valid embedding for heads of 128, every member that its kind has at random.
Rope draw(std::mt19937_64& engine) {
  const auto uniform = [&](double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(engine);
  };
  const auto whole = [&](Index low, Index high) {
    return std::uniform_int_distribution<Index>(low, high)(engine);
  };
  Rope rope;
  rope.kind = static_cast<RopeKind>(whole(0, 4));
  if (rope.kind == RopeKind::none) return rope;
  rope.theta = uniform(1000, 1e7);
  rope.dim = whole(0, 1) * 2 * whole(1, 64);
  rope.pairing = static_cast<RopePairing>(whole(0, 2));
  if (rope.kind == RopeKind::unscaled) return rope;
  rope.factor = whole(0, 1) ? double(whole(1, 64)) : uniform(1, 64);
  if (rope.kind == RopeKind::linear) return rope;
  rope.orig = whole(200, 1 << 17);
  if (rope.kind == RopeKind::llama3) {
    rope.low_freq_factor = uniform(0.5, 2);
    rope.high_freq_factor = uniform(3, 9);
    return rope;
  }
  rope.beta_fast = uniform(28, 40);
  rope.beta_slow = uniform(0.5, 28);
  rope.mscale = uniform(0, 2);
  rope.mscale_all_dim = uniform(0, 2);
  rope.truncate = whole(0, 1) == 1;
  return rope;
}

}  // namespace

TEST_CASE("the embeddings of known models have these texts") {
  const std::string text = GENERATE(values<std::string>({
      "none", "default",
      "default:theta:1e+06,dim:64",                                     // partial rotation
      "linear:factor:4",                                                // position interpolation
      "llama3:theta:5e+05,factor:8,orig:8192",                          // Llama 3.1
      "llama3:theta:5e+05,factor:32,orig:8192",                         // Llama 3.2
      "yarn:factor:40,orig:4096",                                       // Megatron's MLA defaults
      "yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1",  // DeepSeek-V3
      "yarn:pairing:deinterleave,factor:40,orig:4096,mscale:0.707,mscale_all_dim:0.707",
      "yarn:theta:50000,factor:32,orig:4096,beta_fast:1,mscale_all_dim:1",  // Kimi K2
      "yarn:theta:150000,factor:32,orig:4096,truncate:false",               // gpt-oss
  }));
  CAPTURE(text);
  const Rope rope = parse_rope(text);
  check(rope, 64);
  CHECK(print(rope) == text);
}

TEST_CASE("the keys set the members that they name") {
  const Rope yarn = parse_rope(
      "yarn:theta:3,dim:4,pairing:interleaved,factor:5,orig:6,beta_fast:7,beta_slow:0.5,mscale:8,"
      "mscale_all_dim:9,truncate:false");
  Rope expected;
  expected.kind = RopeKind::yarn, expected.theta = 3, expected.dim = 4;
  expected.pairing = RopePairing::interleaved, expected.factor = 5, expected.orig = 6;
  expected.beta_fast = 7, expected.beta_slow = 0.5, expected.mscale = 8;
  expected.mscale_all_dim = 9, expected.truncate = false;
  CHECK(yarn == expected);
  const Rope llama = parse_rope("llama3:orig:6,low_freq_factor:2,high_freq_factor:3");
  CHECK((llama.low_freq_factor == 2 && llama.high_freq_factor == 3));
  CHECK(parse_rope("none") == Rope{});
}

TEST_CASE("a text in another order or with defaults prints in canonical form") {
  CHECK(print(parse_rope("yarn:orig:4096,mscale:1.0,factor:4e1,theta:10000,truncate:true")) ==
        "yarn:factor:40,orig:4096");
  CHECK(print(parse_rope("yarn:orig:4096,factor:40,mscale:-0")) ==
        "yarn:factor:40,orig:4096,mscale:0");
}

TEST_CASE("every valid embedding reads back equal") {
  std::mt19937_64 engine(1);
  std::vector<int> kinds(5);
  for (int n = 0; n < 2000; ++n) {
    const Rope rope = draw(engine);
    CAPTURE(print(rope));
    REQUIRE_NOTHROW(check(rope, 128));
    REQUIRE(parse_rope(print(rope)) == rope);
    ++kinds.at(std::size_t(rope.kind));
  }
  for (const int count : kinds) CHECK(count > 300);
}

TEST_CASE("a text that is no embedding is refused by its rule") {
  const auto [text, rule] = GENERATE(table<std::string, std::string>({
      {"", "rope: must be one of none default linear llama3 yarn, got nothing"},
      {"ntk", "rope: must be one of none default linear llama3 yarn, got ntk"},
      {"yarn:", "as key:value, got ''"},
      {"yarn:factor:40,", "as key:value, got ''"},
      {"yarn:factor", "as key:value, got 'factor'"},
      {"yarn:colour:red",
       "takes theta dim pairing factor orig beta_fast beta_slow mscale "
       "mscale_all_dim truncate as key:value, got 'colour:red'"},
      {"yarn:factor:40,factor:40", "a key must be given once, got factor twice"},
      {"yarn:factor:4x", "factor must be a finite number, got factor:4x"},
      {"yarn:factor:", "factor must be a finite number, got factor:"},
      {"yarn:factor:nan", "got factor:nan"},
      {"yarn:mscale:inf", "got mscale:inf"},
      {"yarn:mscale:1e999", "got mscale:1e999"},
      {"yarn:orig:4096.5", "orig must be a whole number"},
      {"yarn:truncate:no", "rope truncate: must be one of false true, got no"},
      {"default:pairing:neox",
       "rope pairing: must be one of half interleaved deinterleave, got neox"},
      {"none:theta:10000", "rope: none takes nothing, got theta:10000"},
      {"default:factor:1", "rope: default takes theta dim pairing, got factor:1; leave it out"},
      {"linear:orig:4096", "rope: linear takes theta dim pairing factor, got orig:4096"},
      {"llama3:truncate:true", "got truncate:true"},
      {"yarn:low_freq_factor:1", "got low_freq_factor:1"},
  }));
  CAPTURE(text);
  CHECK_THAT(message_of([&] { parse_rope(text); }), Catch::Contains(rule));
}

TEST_CASE("an embedding that breaks a rule is refused with the numbers") {
  const auto [text, rule] = GENERATE(table<std::string, std::string>({
      {"default:dim:63",
       "must be even and lie in [2, head width], got dim:63 on heads of width 64"},
      {"default:dim:66", "got dim:66 on heads of width 64"},
      {"default:dim:-2", "got dim:-2 on heads of width 64"},
      {"default:theta:1", "theta must be above 1 and finite, got theta:1"},
      {"linear:factor:0.5", "factor must lie in [1, 1e+06], got factor:0.5"},
      {"linear:factor:1e7", "got factor:1e+07"},
      {"yarn:factor:40", "orig must lie in [1, 1099511627776], got orig:0; give the context"},
      {"llama3:factor:8", "got orig:0; give the context"},
      {"yarn:orig:-1", "got orig:-1"},
      {"yarn:orig:4096,beta_fast:1,beta_slow:32",
       "beta_fast must be at least beta_slow, got beta_fast:1 beta_slow:32; swap them"},
      {"yarn:orig:4096,beta_slow:0", "beta_slow must be above 0"},
      {"yarn:orig:4096,mscale:-1", "mscale must lie in [0, 100], got mscale:-1"},
      {"yarn:orig:4096,mscale_all_dim:101", "mscale_all_dim must lie in [0, 100]"},
      {"yarn:orig:6", "orig must be at least 2 pi beta_slow"},
      {"yarn:orig:4096,theta:20",
       "orig must be at most 2 pi beta_fast theta, so that some pair "
       "turns less than beta_fast times, got orig:4096 beta_fast:32 "
       "theta:20"},
      {"llama3:orig:8192,low_freq_factor:4",
       "high_freq_factor must be above low_freq_factor, got "
       "low_freq_factor:4 high_freq_factor:4"},
      {"llama3:orig:8192,low_freq_factor:0", "low_freq_factor must be above 0"},
  }));
  CAPTURE(text);
  const Rope rope = parse_rope(text);
  CHECK_THAT(message_of([&] { check(rope, 64); }), Catch::Contains(rule));
}

TEST_CASE("an odd head needs a rotary width of its own") {
  CHECK_THAT(message_of([] { check(parse_rope("default"), 7); }),
             Catch::Contains("got dim:0 on heads of width 7; give an even dim"));
  CHECK_NOTHROW(check(parse_rope("default:dim:6"), 7));
  CHECK_NOTHROW(check(parse_rope("none"), 7));
  CHECK(rotary_width(parse_rope("default:dim:6"), 7) == 6);
  CHECK(rotary_width(parse_rope("default"), 8) == 8);
}

TEST_CASE("members that the kind does not have are refused in a struct as well") {
  Rope rope;
  rope.theta = 500;
  CHECK_THAT(message_of([&] { check(rope, 64); }),
             Catch::Contains("rope: none takes nothing, got theta:500"));
  rope.kind = RopeKind::unscaled;
  CHECK_NOTHROW(check(rope, 64));
  rope.truncate = false;
  CHECK_THAT(message_of([&] { check(rope, 64); }), Catch::Contains("got truncate:false"));
}

TEST_CASE("infinities and NaN are refused in a struct as well") {
  const double bad =
      GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
  const auto member = GENERATE(&Rope::theta, &Rope::factor, &Rope::beta_fast, &Rope::beta_slow,
                               &Rope::mscale, &Rope::mscale_all_dim);
  Rope rope = parse_rope("yarn:factor:40,orig:4096");
  rope.*member = bad;
  CHECK_THROWS_AS(check(rope, 64), Error);
}
