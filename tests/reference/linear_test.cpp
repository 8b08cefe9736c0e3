#include "reference/linear.h"

#include <omp.h>

#include <array>
#include <bit>
#include <cmath>
#include <random>

#include "cases/error.h"
#include "reference/reference.h"
#include "tests/catch.h"

using namespace attest;
using Real = long double;

namespace {

struct Data {
  Index M, N, K;
  Tensor w;  // [N, K]
  std::vector<double> x, b, y, magnitude;
};

/// A tensor [N, K] of bf16 or fp64 numbers.
Tensor random_matrix(Dtype dtype, Index N, Index K) {
  std::mt19937_64 engine(3);
  std::normal_distribution<float> normal;
  Tensor w("w", dtype, "NK", {N, K});
  if (dtype == Dtype::fp64)
    for (double& value : w.as<double>()) value = normal(engine);
  else
    for (std::uint16_t& bits : w.as<std::uint16_t>())
      bits = std::uint16_t(std::bit_cast<std::uint32_t>(normal(engine)) >> 16);
  return w;
}

Data make_data(Dtype dtype, Index M, Index N, Index K) {
  std::mt19937_64 engine(4);
  std::normal_distribution<double> normal;
  Data data{M, N, K, random_matrix(dtype, N, K), {}, {}, {}, {}};
  for (Index n = 0; n < M * K; ++n) data.x.push_back(normal(engine));
  for (Index n = 0; n < N; ++n) data.b.push_back(normal(engine));
  data.y.resize(std::size_t(M * N), NAN);
  data.magnitude = data.y;
  return data;
}

void run(Data& data, const TensorView& w, const double* b) {
  reference::linear("w", {.rows = data.M,
                          .N = data.N,
                          .K = data.K,
                          .x = data.x.data(),
                          .x_stride = data.K,
                          .w = &w,
                          .b = b,
                          .y = data.y.data(),
                          .magnitude = data.magnitude.data(),
                          .y_stride = data.N});
}

/// Largest error over the magnitude, of y and of the magnitude; w [N, K] by strides.
double worst_error(const Data& data, Index n_stride, Index k_stride, bool with_bias) {
  Real worst = 0;
  for (Index m = 0; m < data.M; ++m)
    for (Index n = 0; n < data.N; ++n) {
      Real y = with_bias ? data.b[std::size_t(n)] : 0, magnitude = std::fabs(y);
      for (Index k = 0; k < data.K; ++k) {
        const Real term =
            Real(data.x[std::size_t(m * data.K + k)]) * data.w.value(n * n_stride + k * k_stride);
        y += term;
        magnitude += std::fabs(term);
      }
      const auto at = std::size_t(m * data.N + n);
      for (const Real error : {data.y[at] - y, data.magnitude[at] - magnitude})
        worst = std::fabs(error) <= worst * magnitude ? worst : std::fabs(error) / magnitude;
    }
  return double(worst);
}

}  // namespace

TEST_CASE("a projection is x w^T + b, its magnitude the sum of absolute terms") {
  for (const Dtype dtype : {Dtype::bf16, Dtype::fp64})
    for (const auto& [M, N, K] : {std::array<Index, 3>{1, 1, 1}, {1, 31, 65}, {3, 70, 129}}) {
      CAPTURE(name(dtype), M, N, K);
      Data data = make_data(dtype, M, N, K);
      run(data, data.w.view(), data.b.data());
      CHECK(worst_error(data, K, 1, true) < 1e-14);
      run(data, data.w.view(), nullptr);
      CHECK(worst_error(data, K, 1, false) < 1e-14);
    }
}

TEST_CASE("a weight may be read along its other axis") {
  Data data = make_data(Dtype::bf16, 2, 40, 33);
  TensorView transposed = data.w.view();  // the same bytes as [K, N]
  transposed.strides = {1, 40};
  run(data, transposed, nullptr);
  CHECK(worst_error(data, 1, 40, false) < 1e-14);
}

// Head h of x [2, 3 x 7] begins at 7 h, of which 5 values count; of w [3, 40, 5] at 200 h; of y
// [2, 3 x 41] at 41 h.
TEST_CASE("heads are projected side by side and leave the columns between them alone") {
  Data all = make_data(Dtype::bf16, 2, 120, 5);  // w: three heads one behind the other
  all.x = make_data(Dtype::bf16, 2, 1, 21).x;
  std::vector<double> y(2 * 3 * 41, 99), magnitude = y;
  TensorView w = all.w.view();
  w.shape[0] = 40;
  reference::linear("w", {.rows = 2,
                          .N = 40,
                          .K = 5,
                          .x = all.x.data(),
                          .x_stride = 21,
                          .w = &w,
                          .b = nullptr,
                          .y = y.data(),
                          .magnitude = magnitude.data(),
                          .y_stride = 123,
                          .heads = 3,
                          .x_head = 7,
                          .w_head = 200,
                          .y_head = 41});
  for (std::size_t m = 0; m < 2; ++m)
    for (std::size_t h = 0; h < 3; ++h)
      for (std::size_t n = 0; n < 41; ++n) {
        Real sum = n < 40 ? 0 : 99, abs_sum = sum;
        for (std::size_t k = 0; k < 5 && n < 40; ++k) {
          const Real term =
              Real(all.x[m * 21 + h * 7 + k]) * all.w.value(Index((h * 40 + n) * 5 + k));
          sum += term, abs_sum += std::fabs(term);
        }
        CAPTURE(m, h, n);
        CHECK(std::fabs(y[m * 123 + h * 41 + n] - sum) <= 1e-15 * abs_sum);
        CHECK(std::fabs(magnitude[m * 123 + h * 41 + n] - abs_sum) <= 1e-15 * abs_sum);
      }
}

TEST_CASE("a projection has the same bits for any number of threads") {
  const int before = omp_get_max_threads();
  for (const std::string& set : reference::instruction_sets()) {
    reference::choose_instruction_set(set);
    for (const Index M : {1, 5, 64}) {
      Data one = make_data(Dtype::bf16, M, 333, 517);
      omp_set_num_threads(1);
      run(one, one.w.view(), one.b.data());
      for (const int threads : {2, 3, 7}) {
        CAPTURE(set, M, threads);
        Data many = make_data(Dtype::bf16, M, 333, 517);
        omp_set_num_threads(threads);
        run(many, many.w.view(), many.b.data());
        CHECK(many.y == one.y);
        CHECK(many.magnitude == one.magnitude);
      }
    }
  }
  reference::choose_instruction_set("");
  omp_set_num_threads(before);
}

TEST_CASE("a weight that is not finite is refused with its name") {
  Data data = make_data(Dtype::fp64, 2, 40, 33);
  data.w.as<double>()[40 * 33 - 1] = INFINITY;
  std::string message;
  try {
    run(data, data.w.view(), nullptr);
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message == "reference: weights must be finite, got an infinity or NaN in w");
}
