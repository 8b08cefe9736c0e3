// One product by gemm.cu of tensors that lie on the host: what a benchmark times.
#include "cuda/kernels/gemm_product.h"
#include "cuda/multiplier.h"
#include "cuda/simt/device_timing.h"

namespace attest::ATTEST_BACKEND {
namespace {

/// The tensors of one product, where the kernel reaches them.
class Product {
 public:
  Product(const Tensor& a, const Tensor& w, Tensor& c)
      : params_(product_params(a, w, c)), dtype_(a.dtype()), a_(a), w_(w), c_(c) {
    params_.a = a_.as<void>();
    params_.w = w_.as<void>();
    params_.c = c_.as<void>();
  }
  void launch() const { launch_gemm(dtype_, WeightLayout::nk, params_); }
  void copy_back() { c_.copy_back(); }

 private:
  GemmParams params_;
  Dtype dtype_;
  simt::DeviceInput a_, w_;
  simt::DeviceOutput c_;
};

std::string missing() { return simt::device_name().empty() ? "no GPU" : ""; }

void run(const Tensor& a, const Tensor& w, Tensor& c) {
  Product product(a, w, c);
  product.launch();
  product.copy_back();
}

LaunchTimes time(const Tensor& a, const Tensor& w, Tensor& c, double seconds) {
  Product product(a, w, c);
  LaunchTimes times = simt::time_launches([&] { product.launch(); }, seconds);
  product.copy_back();
  return times;
}

}  // namespace

Multiplier gemm() {
  return {.name = "gemm",
          .backend = Backend::ATTEST_BACKEND,
          .missing = missing,
          .version = nullptr,
          .run = run,
          .time = time};
}

}  // namespace attest::ATTEST_BACKEND
