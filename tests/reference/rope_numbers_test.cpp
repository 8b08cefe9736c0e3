#include <cmath>
#include <string>
#include <vector>

#include "reference/rope.h"
#include "tests/catch.h"

using namespace attest;
using namespace attest::reference;

// Worked numbers of published models, computed with 40 digits from the formulas in rope.h.
namespace {

constexpr Index kD = 64;

bool near(double got, double expected) { return std::abs(got - expected) <= 1e-12 * expected; }

std::vector<double> frequencies(const std::string& text, Index D = kD) {
  const Rope rope = parse_rope(text);
  check(rope, D);
  return inverse_frequencies(rope, D);
}

struct Known {
  Index r;
  double frequency;
};

void check_frequencies(const std::string& text, Index D, const std::vector<Known>& known) {
  const std::vector<double> f = frequencies(text, D);
  REQUIRE(Index(f.size()) == D / 2);
  for (const auto& [r, frequency] : known) {
    CAPTURE(text, r, f.at(std::size_t(r)), frequency);
    CHECK(near(f[std::size_t(r)], frequency));
  }
}

}  // namespace

TEST_CASE("Llama 3.1 has these frequencies") {
  check_frequencies("llama3:theta:5e+05,factor:8,orig:8192", 128,
                    {{28, 3.211445994752591e-03},
                     {29, 2.166570763503359e-03},
                     {30, 1.371893567761138e-03},
                     {31, 8.567514129196321e-04},
                     {32, 5.248461609929547e-04},
                     {33, 3.126937503840652e-04},
                     {34, 1.785078127679964e-04},
                     {35, 9.556212353964683e-05},
                     {63, 3.068925988914511e-07}});
}

TEST_CASE("llama3 keeps pairs up to 28, blends 29 to 34, divides the rest") {
  const std::vector<double> plain = frequencies("default:theta:5e+05", 128);
  const std::vector<double> f = frequencies("llama3:theta:5e+05,factor:8,orig:8192", 128);
  for (std::size_t r = 0; r < 64; ++r) {
    CAPTURE(r);
    if (r <= 28) CHECK(f[r] == plain[r]);
    if (r >= 29) CHECK(f[r] < 0.999 * plain[r]);
    if (r <= 34) CHECK(f[r] > 1.001 * plain[r] / 8);
    if (r >= 35) CHECK(f[r] == plain[r] / 8);
  }
}

TEST_CASE("DeepSeek-V2 and V3 have these frequencies") {
  check_frequencies("yarn:factor:40,orig:4096", kD,
                    {{0, 1.0},
                     {1, 7.498942093324559e-01},
                     {5, 2.371373705661655e-01},
                     {10, 5.623413251903491e-02},
                     {11, 3.900692656714386e-02},
                     {12, 2.687936011143122e-02},
                     {15, 8.334508951020777e-03},
                     {16, 5.5e-03},
                     {20, 7.905694150420946e-04},
                     {22, 1.778279410038922e-04},
                     {23, 3.333803580408310e-05},
                     {24, 2.5e-05},
                     {31, 3.333803580408310e-06}});
  CHECK(near(frequencies("default")[11], 4.2169650342858e-02));
}

TEST_CASE("Kimi K2 has these frequencies, with beta_fast 32 and with 1 as published") {
  check_frequencies("yarn:theta:50000,factor:32,orig:4096", kD,
                    {{8, 6.687403049764e-02},
                     {9, 4.383875049879e-02},
                     {12, 1.170923094930e-02},
                     {16, 1.583881484062e-03},
                     {20, 3.614046773573e-05},
                     {31, 8.764412911590e-07}});
  const std::vector<double> plain = frequencies("default:theta:50000");
  const std::vector<double> f = frequencies("yarn:theta:50000,factor:32,orig:4096,beta_fast:1");
  for (std::size_t r = 0; r < 32; ++r) CHECK(f[r] == (r <= 19 ? plain[r] : plain[r] / 32));
}

TEST_CASE("gpt-oss has these frequencies, whose correction range is not rounded") {
  check_frequencies("yarn:theta:150000,factor:32,orig:4096,truncate:false", kD,
                    {{9, 3.170569618466e-02},
                     {12, 6.794959489732e-03},
                     {16, 4.564839192232e-04},
                     {17, 1.293187012451e-04},
                     {18, 3.830881237375e-05}});
  check_frequencies("yarn:theta:150000,factor:32,orig:4096", kD,
                    {{9, 3.162075227535e-02},
                     {12, 7.015713910504e-03},
                     {16, 5.809475019311e-04},
                     {17, 2.279477957951e-04}});
}

TEST_CASE("the correction range of YaRN starts and ends at these pairs") {
  struct Row {
    std::string text;
    double low, high, raw_low, raw_high;
  };
  const std::vector<Row> rows = {
      {"yarn:factor:40,orig:4096", 10, 23, 10.472240810318, 22.513440636877},
      {"yarn:theta:50000,factor:32,orig:4096", 8, 20, 8.914498965224, 19.164574888627},
      {"yarn:theta:50000,factor:32,orig:4096,beta_fast:1", 19, 20, 19.164574888627,
       19.165574888627},
      {"yarn:theta:150000,factor:32,orig:4096", 8, 18, 8.092779115512402, 17.39802450158856},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    Rope rope = parse_rope(row.text);
    const CorrectionRange whole = yarn_correction_range(rope, kD);
    CHECK((whole.low == row.low && whole.high == row.high));
    rope.truncate = false;
    const CorrectionRange raw = yarn_correction_range(rope, kD);
    CHECK((near(raw.low, row.raw_low) && near(raw.high, row.raw_high)));
  }
}

TEST_CASE("the correction range is clamped to 0 and Dr - 1, not to the last pair") {
  const auto range = [](const std::string& text) {
    check(parse_rope(text), kD);
    return yarn_correction_range(parse_rope(text), kD);
  };
  CHECK(range("yarn:factor:2,orig:100").low == 0);
  CHECK(range("yarn:factor:2,orig:131072").high == 35);
  CHECK(range("yarn:theta:20,factor:2,orig:4000").high == 63);
}

TEST_CASE("concentration and softmax scale take these values") {
  struct Row {
    std::string text;
    double mscale, mscale_all, concentration, mla_factor, mla_scale;
  };
  const std::vector<Row> rows = {
      {"yarn:factor:40,orig:4096,mscale_all_dim:1", 1.368887945411394, 1.368887945411394, 1,
       1.873854207092627, 0.13523377886088009},  // DeepSeek-V3
      {"yarn:factor:40,orig:4096,mscale:0.707,mscale_all_dim:0.707", 1.260803777405855,
       1.260803777405855, 1, 1.589626165120874, 0.11472138679292612},  // DeepSeek-V2
      {"yarn:factor:40,orig:4096", 1.368887945411394, 1, 1.368887945411394, 1,
       0.07216878364870323},  // Megatron's defaults
      {"yarn:factor:40,orig:4096,mscale_all_dim:0.707", 1.368887945411394, 1.260803777405855,
       1.085726399256135, 1.589626165120874, 0.11472138679292612},
      {"yarn:theta:50000,factor:32,orig:4096,mscale_all_dim:1", 1.346573590279973,
       1.346573590279973, 1, 1.813260434039496, 0.13086079996295008},  // Kimi K2
      {"yarn:theta:150000,factor:32,orig:4096,truncate:false", 1.346573590279973, 1,
       1.346573590279973, 1, 0.07216878364870323},  // gpt-oss
      {"llama3:theta:5e+05,factor:8,orig:8192", 1, 1, 1, 1, 0.07216878364870323},
      {"none", 1, 1, 1, 1, 0.07216878364870323},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const Rope rope = parse_rope(row.text);
    check(rope, kD);
    if (rope.kind == RopeKind::yarn) {
      CHECK(near(yarn_mscale(rope.factor, rope.mscale), row.mscale));
      CHECK(near(yarn_mscale(rope.factor, rope.mscale_all_dim), row.mscale_all));
    }
    const double A = concentration(rope);
    CHECK(near(A, row.concentration));
    CHECK(near(mla_scale_factor(rope), row.mla_factor));
    CHECK(near(mla_scale_factor(rope) / std::sqrt(192.0), row.mla_scale));
    CHECK(near(A * A * mla_scale_factor(rope), row.mscale * row.mscale));  // the rotary logits
  }
  CHECK(near(std::pow(concentration(parse_rope(rows[3].text)), 2), 1.178801814041693));
  CHECK(near(std::pow(concentration(parse_rope(rows[5].text)), 2), 1.813260434039496));
}

TEST_CASE("the ramp of YaRN rises from kept to divided pairs") {
  const CorrectionRange range{10, 23};
  CHECK(yarn_ramp(range, 0) == 0);
  CHECK(yarn_ramp(range, 10) == 0);
  CHECK(near(yarn_ramp(range, 11), 1.0 / 13));
  CHECK(yarn_ramp(range, 23) == 1);
  CHECK(yarn_ramp(range, 31) == 1);
  const std::vector<double> plain = frequencies("default");
  const std::vector<double> f = frequencies("yarn:factor:40,orig:4096");
  for (std::size_t r = 0; r < 32; ++r) {
    CAPTURE(r);
    if (r <= 10) CHECK(f[r] == plain[r]);
    if (r >= 23) CHECK(f[r] == plain[r] / 40);
    if (r > 10 && r < 23) CHECK(f[r] / plain[r] < f[r - 1] / plain[r - 1]);
  }
}

TEST_CASE("a factor of 1 changes nothing, linear divides all frequencies") {
  const std::vector<double> plain = frequencies("default");
  const std::vector<double> yarn = frequencies("yarn:factor:1,orig:4096");
  const std::vector<double> llama = frequencies("llama3:factor:1,orig:8192");
  const std::vector<double> quarter = frequencies("linear:factor:4");
  for (std::size_t r = 0; r < 32; ++r) {
    CAPTURE(r);
    CHECK(std::abs(yarn[r] - plain[r]) <= 4e-16 * plain[r]);
    CHECK(std::abs(llama[r] - plain[r]) <= 4e-16 * plain[r]);
    CHECK(quarter[r] == plain[r] / 4);
  }
  CHECK(concentration(parse_rope("yarn:factor:1,orig:4096,mscale:2")) == 1);
  CHECK(mla_scale_factor(parse_rope("yarn:factor:1,orig:4096,mscale_all_dim:2")) == 1);
}

TEST_CASE("frequencies follow the rotary width, not that of the head") {
  CHECK(frequencies("default:dim:64", 128) == frequencies("default", 64));
  CHECK(frequencies("yarn:dim:64,factor:40,orig:4096", 128) ==
        frequencies("yarn:factor:40,orig:4096", 64));
  CHECK(frequencies("none").empty());
}
