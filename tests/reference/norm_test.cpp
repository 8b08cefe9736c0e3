#include "reference/norm.h"

#include <cmath>
#include <vector>

#include "tests/catch.h"

using namespace attest;
using reference::normalize;
using Values = std::vector<double>;

namespace {

struct Normed {
  Values y, magnitude;
};

Normed normed(Norm kind, double eps, Values x, const Values& w, const Values& b) {
  Values magnitude(x.size());
  const auto width = Index(w.size());
  normalize({kind, eps, w.data(), b.data(), Index(x.size()) / width, width}, x.data(),
            magnitude.data());
  return {x, magnitude};
}

void check_near(const Values& got, const Values& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t n = 0; n < got.size(); ++n) CHECK(got[n] == Approx(want[n]).epsilon(1e-15));
}

}  // namespace

// Row (3, -4, 12, 0): mean 11/4, mean of squares 169/4, so that eps = 27/4 makes the root 7 and
// eps = 0 makes it 13/2; row (1, 1, 1, 1): root 1 with eps = 0.
TEST_CASE("an rms norm divides by the root of the mean square, not of the sum") {
  const Values x = {3, -4, 12, 0, 1, 1, 1, 1}, w = {1, 2, -0.5, 4};
  const auto [y, magnitude] = normed(Norm::rms, 0, x, w, {});
  check_near(y, {6 / 13.0, -16 / 13.0, -12 / 13.0, 0, 1, 2, -0.5, 4});
  check_near(magnitude, {6 / 13.0, 16 / 13.0, 12 / 13.0, 0, 1, 2, 0.5, 4});
}

TEST_CASE("eps is added to the mean square under the root") {
  check_near(normed(Norm::rms, 27 / 4.0, {3, -4, 12, 0}, {7, 7, 7, 7}, {}).y, {3, -4, 12, 0});
}

TEST_CASE("a zero-centered weight is one plus what is stored, and its magnitude that of both") {
  const Values x = {3, -4, 12, 0}, w = {1, -1, -0.5, 4};
  const auto [y, magnitude] = normed(Norm::rms_zero_centered, 0, x, w, {});
  check_near(y, {12 / 13.0, 0, 12 / 13.0, 0});
  check_near(magnitude, {12 / 13.0, 16 / 13.0, 36 / 13.0, 0});
}

TEST_CASE("the l2 norm has no weight") {
  Values x = {3, -4, 12, 0};
  normalize({Norm::l2, 0, nullptr, nullptr, 1, 4}, x.data(), nullptr);
  check_near(x, {6 / 13.0, -8 / 13.0, 24 / 13.0, 0});
}

// Row (1, 3, 8): mean 4, mean square about it 26/3; eps = 1/3 makes the root 3.
TEST_CASE("a layer norm takes the mean away and adds a bias after the weight") {
  const auto [y, magnitude] = normed(Norm::layer, 1 / 3.0, {1, 3, 8}, {3, -6, 3}, {10, 20, -30});
  check_near(y, {7, 22, -26});
  check_near(magnitude, {5 + 10, 14 + 20, 12 + 30});
}

TEST_CASE("a layer norm's magnitude counts the mean of absolute values") {
  const auto [y, magnitude] = normed(Norm::layer, 0, {-2, 2}, {1, 1}, {0, 0});
  check_near(y, {-1, 1});
  check_near(magnitude, {2, 2});
}
