#include "cases/layout.h"

#include <array>
#include <cstring>

#include "cases/enum_names.h"
#include "cases/error.h"

namespace attest {
namespace {

constexpr std::array<std::string_view, 4> kLayouts = {"bshd", "sbhd", "bhsd", "qkv"};

}  // namespace

std::string_view name(Layout layout) { return kLayouts[static_cast<std::size_t>(layout)]; }

Layout parse_layout(std::string_view text) { return parse_enum<Layout>("layout", kLayouts, text); }

std::string letters(Layout layout) {
  switch (layout) {
    case Layout::sbhd:
      return "SBHD";
    case Layout::bhsd:
      return "BHSD";
    case Layout::bshd:
    case Layout::qkv:
      break;
  }
  return "BSHD";
}

TensorView rearranged(const Tensor& x, std::string_view letters) {
  const TensorView from = x.view();
  TensorView to{from.data, from.dtype, {}, {}};
  for (const char letter : letters) {
    const std::size_t axis = x.layout().find(letter);
    ATTEST_CHECK(axis != std::string::npos && letters.size() == x.layout().size(),
                 "layout: ", x.name(), " must have the axes ", letters, ", got ", x.layout());
    to.shape.push_back(from.shape[axis]);
    to.strides.push_back(from.strides[axis]);
  }
  return to;
}

Tensor stored_as(const Tensor& x, const std::string& letters) {
  if (x.layout() == letters) return x;
  const TensorView from = rearranged(x, letters);
  Tensor to(x.name(), x.dtype(), letters, from.shape);
  const std::size_t size = size_of(x.dtype());
  std::vector<Index> index(from.shape.size(), 0);
  for (Index n = 0; n < to.size(); ++n) {
    std::memcpy(to.bytes().data() + static_cast<std::size_t>(n) * size, from.at(index), size);
    for (std::size_t axis = index.size(); axis-- > 0;) {
      if (++index[axis] < from.shape[axis]) break;
      index[axis] = 0;
    }
  }
  return to;
}

TensorView slice(TensorView x, std::size_t axis, Index first, Index count) {
  x.data += first * x.strides[axis] * static_cast<Index>(size_of(x.dtype));
  x.shape[axis] = count;
  return x;
}

}  // namespace attest
