// NVIDIA's product, to compare gemm.cu with. The library is half a gigabyte and only this needs it,
// so nothing is linked: it is loaded when it is first asked for, from where the loader looks
// (LD_LIBRARY_PATH, ld.so.conf), then $CUDA_HOME, then /usr/local/cuda. Programs start without it.
#include <cublasLt.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "cases/error.h"
#include "cuda/kernels/gemm_product.h"
#include "cuda/multiplier.h"
#include "cuda/simt/device_timing.h"

namespace attest::gpu {
namespace {

constexpr std::size_t kWorkspace = std::size_t{32} << 20;  // what cuBLAS itself takes on sm_90

std::string file_name() { return concat("libcublasLt.so.", CUBLAS_VER_MAJOR); }

/// The functions that are called, all or none.
class Library {
 public:
  Library() {
    std::vector<std::string> files = {file_name()};
    if (const char* home = std::getenv("CUDA_HOME"))
      files.push_back(concat(home, "/lib64/", file_name()));
    files.push_back("/usr/local/cuda/lib64/" + file_name());
    for (std::size_t n = 0; handle_ == nullptr && n < files.size(); ++n)
      handle_ = dlopen(files[n].c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr) {
      missing_ = concat("no ", file_name(), " (cuBLAS of CUDA ", CUBLAS_VER_MAJOR,
                        "); put its folder into LD_LIBRARY_PATH");
      return;
    }
    find(version, "cublasLtGetVersion");
    find(status_text, "cublasLtGetStatusString");
    find(create, "cublasLtCreate");
    find(destroy, "cublasLtDestroy");
    find(create_product, "cublasLtMatmulDescCreate");
    find(destroy_product, "cublasLtMatmulDescDestroy");
    find(set_product, "cublasLtMatmulDescSetAttribute");
    find(create_matrix, "cublasLtMatrixLayoutCreate");
    find(destroy_matrix, "cublasLtMatrixLayoutDestroy");
    find(create_preference, "cublasLtMatmulPreferenceCreate");
    find(destroy_preference, "cublasLtMatmulPreferenceDestroy");
    find(set_preference, "cublasLtMatmulPreferenceSetAttribute");
    find(choose, "cublasLtMatmulAlgoGetHeuristic");
    find(multiply, "cublasLtMatmul");
  }

  /// Empty, or what the machine lacks.
  const std::string& missing() const { return missing_; }

  decltype(&cublasLtGetVersion) version = nullptr;
  decltype(&cublasLtGetStatusString) status_text = nullptr;
  decltype(&cublasLtCreate) create = nullptr;
  decltype(&cublasLtDestroy) destroy = nullptr;
  decltype(&cublasLtMatmulDescCreate) create_product = nullptr;
  decltype(&cublasLtMatmulDescDestroy) destroy_product = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) set_product = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) create_matrix = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_matrix = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) choose = nullptr;
  decltype(&cublasLtMatmul) multiply = nullptr;

 private:
  template <class Function>
  void find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(handle_, name));
    if (function == nullptr && missing_.empty()) missing_ = concat(file_name(), " has no ", name);
  }

  void* handle_ = nullptr;  // stays open
  std::string missing_;
};

const Library& library() {
  static const Library all;
  return all;
}

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw InfraError(
        concat("cublaslt: ", call, " must succeed, got ", library().status_text(status)));
}

/// What a create function of the library makes, with the function that ends it.
template <class Handle>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, cublasStatus_t (*)(Handle)>;

template <class Handle, class... Arguments>
Owned<Handle> make(cublasStatus_t (*create)(Handle*, Arguments...),
                   cublasStatus_t (*destroy)(Handle), const char* call,
                   std::type_identity_t<Arguments>... arguments) {
  Handle handle = nullptr;
  check(create(&handle, arguments...), call);
  return {handle, destroy};
}

/// Matrices of the library are column-major: c [M,N] of ours is its [N,M], w [N,K] its [K,N], a
/// [M,K] its [K,M], so that c = a w^T becomes c = w^T a.
class Product {
 public:
  Product(const Tensor& a, const Tensor& w, Tensor& c)
      : params_(product_params(a, w, c)), a_(a), w_(w), c_(c) {
    const auto type = a.dtype() == Dtype::bf16 ? CUDA_R_16BF : CUDA_R_16F;
    const auto matrix = [&](int rows, int columns) {
      return make(lib_.create_matrix, lib_.destroy_matrix, "cublasLtMatrixLayoutCreate", type,
                  static_cast<std::uint64_t>(rows), static_cast<std::uint64_t>(columns),
                  std::int64_t{rows});
    };
    w_layout_ = matrix(params_.K, params_.N);
    a_layout_ = matrix(params_.K, params_.M);
    c_layout_ = matrix(params_.N, params_.M);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    check(lib_.set_product(product_.get(), CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                           sizeof transposed),
          "cublasLtMatmulDescSetAttribute");
    choose();
    ATTEST_CUDA_CHECK(cudaMalloc(&workspace_, kWorkspace));
  }
  ~Product() { cudaFree(workspace_); }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  void launch() const {
    const float alpha = 1, beta = 0;
    check(lib_.multiply(handle_.get(), product_.get(), &alpha, w_.as<void>(), w_layout_.get(),
                        a_.as<void>(), a_layout_.get(), &beta, c_.as<void>(), c_layout_.get(),
                        c_.as<void>(), c_layout_.get(), &chosen_.algo, workspace_, kWorkspace,
                        nullptr),
          "cublasLtMatmul");
  }
  void copy_back() { c_.copy_back(); }

 private:
  /// The algorithm that the library thinks fastest.
  void choose() {
    const auto preference =
        make(lib_.create_preference, lib_.destroy_preference, "cublasLtMatmulPreferenceCreate");
    check(lib_.set_preference(preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                              &kWorkspace, sizeof kWorkspace),
          "cublasLtMatmulPreferenceSetAttribute");
    int found = 0;
    check(lib_.choose(handle_.get(), product_.get(), w_layout_.get(), a_layout_.get(),
                      c_layout_.get(), c_layout_.get(), preference.get(), 1, &chosen_, &found),
          "cublasLtMatmulAlgoGetHeuristic");
    if (found == 0) throw InfraError("cublaslt: must have an algorithm for the product, got none");
  }

  using Matrix = Owned<cublasLtMatrixLayout_t>;

  const Library& lib_ = library();
  GemmParams params_;
  simt::DeviceInput a_, w_;
  simt::DeviceOutput c_;
  Owned<cublasLtHandle_t> handle_ = make(lib_.create, lib_.destroy, "cublasLtCreate");
  Owned<cublasLtMatmulDesc_t> product_ =
      make(lib_.create_product, lib_.destroy_product, "cublasLtMatmulDescCreate",
           CUBLAS_COMPUTE_32F, CUDA_R_32F);
  Matrix a_layout_{nullptr, nullptr}, w_layout_{nullptr, nullptr}, c_layout_{nullptr, nullptr};
  cublasLtMatmulHeuristicResult_t chosen_{};
  void* workspace_ = nullptr;
};

std::string missing() {
  return simt::device_name().empty() ? std::string("no GPU") : library().missing();
}

std::string version() {
  if (!library().missing().empty()) return {};
  const std::size_t number = library().version();  // 130100: 13.1.0
  return concat(number / 10000, '.', number / 100 % 100, '.', number % 100);
}

void require_library() {
  if (!library().missing().empty())
    throw InfraError("cublaslt: needs more: " + library().missing());
}

void run(const Tensor& a, const Tensor& w, Tensor& c) {
  require_library();
  Product product(a, w, c);
  product.launch();
  product.copy_back();
}

LaunchTimes time(const Tensor& a, const Tensor& w, Tensor& c, double seconds) {
  require_library();
  Product product(a, w, c);
  LaunchTimes times = simt::time_launches([&] { product.launch(); }, seconds);
  product.copy_back();
  return times;
}

}  // namespace

Multiplier cublaslt() {
  return {.name = "cublaslt",
          .backend = Backend::gpu,
          .missing = missing,
          .version = version,
          .run = run,
          .time = time};
}

}  // namespace attest::gpu
