#pragma once

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include "cases/case.h"
#include "cases/error.h"
#include "harness/inputs.h"

// Attention straight from its definition, in double: what the tests of the fills look at.
namespace attest::naive {

/// A tensor of four axes as doubles.
struct Values {
  std::vector<Index> shape;
  std::vector<double> all;

  explicit Values(const Tensor& tensor) : shape(tensor.shape()) {
    for (Index n = 0; n < tensor.size(); ++n) all.push_back(tensor.value(n));
  }
  double at(Index b, Index s, Index h, Index d) const {
    const Index n = ((b * shape[1] + s) * shape[2] + h) * shape[3] + d;
    return all[static_cast<std::size_t>(n)];
  }
};

struct Inputs {
  Problem problem;
  Values q, k, v;

  explicit Inputs(const Problem& p) : Inputs(p, make_inputs(p)) {}

 private:
  Inputs(const Problem& p, const TensorSet& set)
      : problem(p), q(set.at("q")), k(set.at("k")), v(set.at("v")) {}
};

inline Problem problem_of(std::string_view text, Fill fill) {
  Problem p = parse_problem(text);
  p.fill = fill;
  return p;
}

/// The scaled scores of one row.
struct ScoreRow {
  Index b, i, h, g;
  std::vector<double> s;  ///< of the visible keys

  double max() const { return *std::ranges::max_element(s); }
  Index winner() const { return std::ranges::max_element(s) - s.begin(); }

  /// How far the winner leads.
  double margin() const {
    double lead = HUGE_VAL;
    for (Index j = 0; j < std::ssize(s); ++j)
      if (j != winner()) lead = std::min(lead, max() - s[static_cast<std::size_t>(j)]);
    return lead;
  }
};

/// All rows that see a key.
inline std::vector<ScoreRow> score_rows(const Inputs& in) {
  const Problem& p = in.problem;
  std::vector<ScoreRow> rows;
  for (Index b = 0; b < p.B; ++b)
    for (Index i = 0; i < p.Sq; ++i)
      for (Index h = 0; h < p.H; ++h) {
        ScoreRow row{b, i, h, h / (p.H / p.G), {}};
        for (Index j = 0; j < p.visible(b, i).end; ++j) {
          double dot = 0;
          for (Index d = 0; d < p.D; ++d) dot += in.q.at(b, i, h, d) * in.k.at(b, j, row.g, d);
          row.s.push_back((1 / std::sqrt(static_cast<double>(p.D))) * dot);
        }
        if (!row.s.empty()) rows.push_back(row);
      }
  return rows;
}

/// o[d] = sum_j P_j v[j,d] and abs_mag[d] = sum_j P_j |v[j,d]|.
struct Channel {
  double o, abs_mag;
};
inline Channel attend(const ScoreRow& row, const Values& v, Index d) {
  double l = 0;
  Channel sums{0, 0};
  const double m = row.max();
  for (Index j = 0; j < std::ssize(row.s); ++j) {
    const double p = std::exp(row.s[static_cast<std::size_t>(j)] - m);
    const double value = v.at(row.b, j, row.g, d);
    l += p;
    sums.o += p * value;
    sums.abs_mag += p * std::fabs(value);
  }
  return {sums.o / l, sums.abs_mag / l};
}

struct Spread {
  double mean, deviation, low, high;
};
inline Spread spread(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double count = static_cast<double>(values.size()), mean = sum / count;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const auto [low, high] = std::ranges::minmax(values);
  return {mean, std::sqrt(squares / count), low, high};
}

}  // namespace attest::naive
