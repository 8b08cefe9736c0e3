#include "cases/tensor.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "cases/error.h"
#include "cases/sha256.h"

namespace attest {
namespace {

constexpr std::size_t kGuard = 64;  // bytes of canary on either side, and the alignment
constexpr std::byte kCanary{0xA5};

std::shared_ptr<std::byte> allocate(std::size_t byte_count) {
  const std::size_t padded = (byte_count + kGuard - 1) / kGuard * kGuard + 2 * kGuard;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(kGuard, padded));
  if (!memory) throw std::bad_alloc();
  std::memset(memory, static_cast<int>(kCanary), kGuard);
  std::memset(memory + kGuard, 0xFF, byte_count);
  std::memset(memory + kGuard + byte_count, static_cast<int>(kCanary), kGuard);
  return {memory, [](std::byte* p) { std::free(p); }};
}

bool is_canary(const std::byte* bytes) {
  return std::all_of(bytes, bytes + kGuard, [](std::byte b) { return b == kCanary; });
}

}  // namespace

const std::byte* TensorView::at(std::span<const Index> index) const {
  Index offset = 0;
  for (std::size_t axis = 0; axis < index.size(); ++axis) offset += index[axis] * strides[axis];
  return data + offset * static_cast<Index>(size_of(dtype));
}

Tensor::Tensor(std::string name, Dtype dtype, std::string layout, std::vector<Index> shape)
    : name_(std::move(name)), layout_(std::move(layout)), dtype_(dtype), shape_(std::move(shape)) {
  ATTEST_CHECK(layout_.size() == shape_.size(), "tensor ", name_,
               ": the layout must have one letter an axis, got ", layout_, " for ", shape_.size(),
               " axes");
  for (Index extent : shape_) {
    ATTEST_CHECK(extent >= 0, "tensor ", name_, ": extents must not be negative, got ", extent);
    size_ *= extent;
  }
  byte_count_ = static_cast<std::size_t>(size_) * size_of(dtype_);
  storage_ = allocate(byte_count_);
  data_ = storage_.get() + kGuard;
}

double Tensor::value(Index n) const {
  return decode(dtype_, data_ + n * static_cast<Index>(size_of(dtype_)));
}

TensorView Tensor::view() const {
  TensorView result{data_, dtype_, shape_, std::vector<Index>(shape_.size(), 1)};
  for (std::size_t axis = shape_.size(); axis-- > 1;)
    result.strides[axis - 1] = result.strides[axis] * shape_[axis];
  return result;
}

bool Tensor::canary_intact() const {
  return is_canary(data_ - kGuard) && is_canary(data_ + byte_count_);
}

std::string Tensor::sha256() const {
  std::string extents;
  for (Index extent : shape_) extents += concat(extents.empty() ? "" : "x", extent);
  return Sha256().add(concat(torch_name(dtype_), '|', extents, '|')).add(bytes()).hex();
}

void Tensor::check_element_size(std::size_t size) const {
  ATTEST_CHECK(size == size_of(dtype_), "tensor ", name_, ": elements of ", attest::name(dtype_),
               " have ", size_of(dtype_), " bytes, got a view of ", size, " bytes");
}

Tensor& TensorSet::add(Tensor tensor) {
  ATTEST_CHECK(!find(tensor.name()), "tensor set: names must differ, got ", tensor.name(),
               " twice");
  tensors_.push_back(std::move(tensor));
  return tensors_.back();
}

const Tensor* TensorSet::find(std::string_view name) const {
  for (const Tensor& tensor : tensors_)
    if (tensor.name() == name) return &tensor;
  return nullptr;
}

const Tensor& TensorSet::at(std::string_view name) const {
  const Tensor* found = find(name);
  ATTEST_CHECK(found, "tensor set: must hold ", name, ", got ", size(), " other tensors");
  return *found;
}

Tensor& TensorSet::at(std::string_view name) {
  return const_cast<Tensor&>(std::as_const(*this).at(name));
}

}  // namespace attest
