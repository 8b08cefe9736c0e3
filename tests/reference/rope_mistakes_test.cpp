#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "reference/rope.h"
#include "tests/catch.h"

using namespace attest;
using namespace attest::reference;

// Mistakes that implementations of rotary embeddings have made, each against the scores that are
// right: a comparison of scores can only see those that move them.
namespace {

constexpr Index Dn = 128, Dr = 64;
const std::vector<Index> kQueries = {15962, 131071};
const std::vector<Index> kKeys = {0, 1, 257, 1857, 4095, 15962, 131071};

std::vector<double> normal(std::size_t count, unsigned seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<double> draw;
  std::vector<double> x(count);
  for (double& value : x) value = draw(engine);
  return x;
}

/// What makes the scores of one head of latent attention, ready to be changed.
struct Scoring {
  Rope rope;
  double scale;
  RopeTable q, k;  ///< of kQueries, kKeys

  explicit Scoring(const std::string& text) : rope(parse_rope(text)) {
    check(rope, Dr);
    scale = mla_scale_factor(rope) / std::sqrt(double(Dn + Dr));
    tables(rope);
  }

  void tables(const Rope& other) {
    q = rope_table(other, Dr, kQueries);
    k = rope_table(other, Dr, kKeys);
  }

  /// Tables of these frequencies, the angle of a position and a frequency being as said.
  using Angle = std::function<double(Index, double)>;
  void tables(const std::vector<double>& frequencies, const Angle& angle) {
    const auto fill = [&](RopeTable& table, const std::vector<Index>& positions) {
      const double A = concentration(rope);
      for (std::size_t n = 0; n < table.cos.size(); ++n) {
        const std::size_t pairs = frequencies.size();
        const double turned = angle(positions[n / pairs], frequencies[n % pairs]);
        table.cos[n] = A * std::cos(turned), table.sin[n] = A * std::sin(turned);
      }
    };
    fill(q, kQueries), fill(k, kKeys);
  }

  /// scale (q_nope k_nope + rotated q_pe k_pe), [queries, keys]
  std::vector<double> scores() const {
    std::vector<double> q_pe = normal(kQueries.size() * Dr, 1), k_pe = normal(kKeys.size() * Dr, 2);
    const auto q_nope = normal(kQueries.size() * Dn, 3), k_nope = normal(kKeys.size() * Dn, 4);
    rotate(q, 1, Dr, q_pe.data());
    rotate(k, 1, Dr, k_pe.data());
    std::vector<double> s;
    for (std::size_t i = 0; i < kQueries.size(); ++i)
      for (std::size_t j = 0; j < kKeys.size(); ++j) {
        double sum = 0;
        for (std::size_t d = 0; d < Dn; ++d) sum += q_nope[i * Dn + d] * k_nope[j * Dn + d];
        for (std::size_t d = 0; d < Dr; ++d) sum += q_pe[i * Dr + d] * k_pe[j * Dr + d];
        s.push_back(scale * sum);
      }
    return s;
  }
};

/// Largest difference of scores over the root mean square of those that are right.
double movement(const std::vector<double>& right, const std::vector<double>& wrong) {
  double worst = 0, squares = 0;
  for (std::size_t n = 0; n < right.size(); ++n) {
    worst = std::max(worst, std::abs(wrong[n] - right[n]));
    squares += right[n] * right[n];
  }
  return worst / std::sqrt(squares / double(right.size()));
}

// To a format of that many bits of precision, subnormal numbers aside.
double rounded(double x, int bits) {
  int exponent;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, bits)), exponent - bits);
}

double product(Index position, double frequency) { return double(position) * frequency; }

double at_default_scale(const Scoring& s) { return s.scale / mla_scale_factor(s.rope); }

RopeTable keys_at(const Scoring& s, const std::function<Index(Index)>& position_of) {
  std::vector<Index> positions;
  for (const Index j : kKeys) positions.push_back(position_of(j));
  return rope_table(s.rope, Dr, positions);
}

const char* const kV3 = "yarn:pairing:interleaved,factor:40,orig:4096,mscale_all_dim:1";
const char* const kV2 =
    "yarn:pairing:interleaved,factor:40,orig:4096,mscale:0.707,mscale_all_dim:0.707";
const char* const kUnequal = "yarn:factor:40,orig:4096,mscale_all_dim:0.707";
const char* const kKimi = "yarn:theta:50000,factor:32,orig:4096,mscale_all_dim:1";
const char* const kGptOss = "yarn:theta:150000,factor:32,orig:4096,truncate:false";

struct Mistake {
  std::string name, rope;
  std::function<void(Scoring&)> make;
  double least = 0.1;  ///< movement; one of 2^-8 hides among the roundings of bf16
};

const std::vector<Mistake> kMistakes = {
    {"the softmax scale lacks the factor of MLA", kV2,
     [](Scoring& s) { s.scale = at_default_scale(s); }},
    {"the softmax scale uses mscale in place of mscale_all_dim", kUnequal,
     [](Scoring& s) {
       s.scale = at_default_scale(s) * std::pow(yarn_mscale(s.rope.factor, s.rope.mscale), 2);
     }},
    {"cos and sin are multiplied by mscale, not by the ratio", kV2,
     [](Scoring& s) {
       s.rope.mscale_all_dim = 0;
       s.tables(s.rope);
     }},
    {"mscale is taken for its tenth", kV2,
     [](Scoring& s) {
       const double m = yarn_mscale(s.rope.factor, 0.1 * s.rope.mscale_all_dim);
       s.scale = at_default_scale(s) * m * m;
     }},
    {"the scale after absorption is that of the latent width", kV3,
     [](Scoring& s) { s.scale = 1 / std::sqrt(512.0 + Dr); }},
    {"the scale is 1", kV3, [](Scoring& s) { s.scale = 1; }},
    {"the scale is that of another head width", kV3,
     [](Scoring& s) { s.scale = mla_scale_factor(s.rope) / std::sqrt(40.0); }},
    {"the scale lacks log2(e) before exp2", kV3, [](Scoring& s) { s.scale *= std::log(2.0); }},
    {"keys are rotated in the cache and again when read", kV3,
     [](Scoring& s) { s.k = keys_at(s, [](Index j) { return 2 * j; }); }},
    {"keys are cached before rotation", kV3,
     [](Scoring& s) { s.k = keys_at(s, [](Index) { return 0; }); }},
    {"pairs are halves, not neighbours", kV3,
     [](Scoring& s) { s.q.pairing = s.k.pairing = RopePairing::half; }},
    {"only the queries are permuted", kV3,
     [](Scoring& s) { s.q.pairing = RopePairing::deinterleave; }},
    {"beta_fast and beta_slow change places", kV3,
     [](Scoring& s) {
       Rope plain = s.rope;
       plain.factor = 1;
       std::vector<double> f = inverse_frequencies(plain, Dr);
       const CorrectionRange range = yarn_correction_range(s.rope, Dr);
       for (Index r = 0; r < Dr / 2; ++r) {
         const double ramp = yarn_ramp({range.high, range.low}, r);
         f[std::size_t(r)] *= ramp / s.rope.factor + (1 - ramp);
       }
       s.tables(f, product);
     }},
    {"the correction range is rounded", kGptOss,
     [](Scoring& s) {
       s.rope.truncate = true;
       s.tables(s.rope);
     }},
    {"beta_fast stays at its default", "yarn:factor:32,orig:4096,beta_fast:1",
     [](Scoring& s) {
       s.rope.beta_fast = 32;
       s.tables(s.rope);
     }},
    {"the longest context passes for the original one", kV3,
     [](Scoring& s) {
       s.rope.orig *= 40;
       s.tables(s.rope);
     }},
    {"theta stays at its default", kKimi,
     [](Scoring& s) {
       s.rope.theta = 10000;
       s.tables(s.rope);
     }},
    {"frequencies are fp16", "default",
     [](Scoring& s) {
       std::vector<double> f = inverse_frequencies(s.rope, Dr);
       for (double& frequency : f) frequency = rounded(frequency, 11);
       s.tables(f, product);
     }},
    {"positions are bf16", "default",
     [](Scoring& s) {
       s.tables(inverse_frequencies(s.rope, Dr), [](Index position, double frequency) {
         return rounded(double(position), 8) * frequency;
       });
     }},
    {"angles are fp32", "default",
     [](Scoring& s) {
       s.tables(inverse_frequencies(s.rope, Dr), [](Index position, double frequency) {
         return double(float(position) * float(frequency));
       });
     },
     1e-4},
    {"cos and sin are bf16", "default",
     [](Scoring& s) {
       for (RopeTable* table : {&s.q, &s.k})
         for (std::vector<double>* values : {&table->cos, &table->sin})
           for (double& value : *values) value = rounded(value, 8);
     },
     1e-3},
    {"the query stands one position too far", "default",
     [](Scoring& s) {
       s.q = rope_table(s.rope, Dr, std::vector<Index>{kQueries[0] + 1, kQueries[1] + 1});
     }},
    {"positions count retained rows after 100 were evicted", "default",
     [](Scoring& s) { s.k = keys_at(s, [](Index j) { return std::max<Index>(0, j - 100); }); }},
    {"the table of an earlier offset is used again", "default",
     [](Scoring& s) {
       s.q = rope_table(s.rope, Dr, std::vector<Index>{0, 1});
     }},
};

}  // namespace

TEST_CASE("every known mistake moves the scores") {
  for (const Mistake& mistake : kMistakes) {
    const Scoring right(mistake.rope);
    Scoring wrong = right;
    mistake.make(wrong);
    const double moved = movement(right.scores(), wrong.scores());
    CAPTURE(mistake.name, moved);
    CHECK(moved > mistake.least);
  }
}

TEST_CASE("the table of a position does not depend on the other positions") {
  const Rope rope = parse_rope(kV3);
  const RopeTable all = rope_table(rope, Dr, kKeys);
  for (std::size_t n = 0; n < kKeys.size(); ++n) {
    const RopeTable one = rope_table(rope, Dr, std::vector<Index>{kKeys[n]});
    for (std::size_t r = 0; r < Dr / 2; ++r) {
      CHECK(one.cos[r] == all.cos[n * Dr / 2 + r]);
      CHECK(one.sin[r] == all.sin[n * Dr / 2 + r]);
    }
  }
}
