#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cases/dtype.h"

namespace attest {

/// A strided window on elements that somebody else owns. Strides count elements.
struct TensorView {
  const std::byte* data = nullptr;
  Dtype dtype = Dtype::fp64;
  std::vector<Index> shape, strides;

  /// Address of the element at `index` (one entry per axis, in range).
  const std::byte* at(std::span<const Index> index) const;
};

/// An owned, contiguous, row-major tensor (last axis fastest), 64-byte aligned.
///
/// The buffer starts as NaN in every float format (all bits set), and a canary of 64 bytes stands
/// before and behind it, so that elements nobody wrote and writes outside both show.
class Tensor {
 public:
  Tensor(std::string name, Dtype dtype, std::string layout, std::vector<Index> shape);

  const std::string& name() const { return name_; }
  const std::string& layout() const { return layout_; }  ///< one letter an axis, such as "BSHD"
  Dtype dtype() const { return dtype_; }
  const std::vector<Index>& shape() const { return shape_; }
  Index size() const { return size_; }  ///< number of elements

  std::span<std::byte> bytes() { return {data_, byte_count_}; }
  std::span<const std::byte> bytes() const { return {data_, byte_count_}; }

  /// The elements as T. Throws attest::Error unless sizeof(T) is the size of an element.
  template <class T>
  std::span<T> as() {
    check_element_size(sizeof(T));
    return {reinterpret_cast<T*>(data_), static_cast<std::size_t>(size_)};
  }
  template <class T>
  std::span<const T> as() const {
    check_element_size(sizeof(T));
    return {reinterpret_cast<const T*>(data_), static_cast<std::size_t>(size_)};
  }

  /// Value of element n in row-major order, as a double. Exact.
  double value(Index n) const;

  TensorView view() const;

  /// False after somebody wrote outside the buffer.
  bool canary_intact() const;

  /// SHA-256 over (dtype | shape | raw bytes), in hex: `torch dtype`, '|', extents joined with 'x',
  /// '|', bytes. golden/schema.md fixes it.
  std::string sha256() const;

 private:
  void check_element_size(std::size_t size) const;

  std::string name_, layout_;
  Dtype dtype_;
  std::vector<Index> shape_;
  Index size_ = 1;
  std::size_t byte_count_ = 0;
  std::shared_ptr<std::byte> storage_;  // copies share it; nobody copies and then writes
  std::byte* data_ = nullptr;
};

/// Named tensors in insertion order.
class TensorSet {
 public:
  /// Returns the stored tensor. Throws attest::Error for a name that is already there.
  Tensor& add(Tensor);

  /// Throws attest::Error for an unknown name.
  const Tensor& at(std::string_view name) const;
  Tensor& at(std::string_view name);

  const Tensor* find(std::string_view name) const;  ///< null when absent

  auto begin() const { return tensors_.begin(); }
  auto end() const { return tensors_.end(); }
  std::size_t size() const { return tensors_.size(); }

 private:
  std::deque<Tensor> tensors_;  // references stay valid
};

}  // namespace attest
