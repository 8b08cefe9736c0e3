#include "reference/decode.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "cases/error.h"

namespace attest::reference {
namespace {

// Values of all bit patterns of a 16-bit type: one call of decode() a pattern, not an element.
std::vector<double> make_table(Dtype dtype) {
  std::vector<double> table(std::size_t{1} << 16);
  for (std::size_t n = 0; n < table.size(); ++n) {
    const auto bits = static_cast<std::uint16_t>(n);
    table[n] = decode(dtype, &bits);
  }
  return table;
}

const double* table_of(Dtype dtype) {
  static const std::vector<double> fp16 = make_table(Dtype::fp16);
  static const std::vector<double> bf16 = make_table(Dtype::bf16);
  return dtype == Dtype::fp16 ? fp16.data() : bf16.data();
}

void decode_row(Dtype dtype, const std::byte* first, Index width, Index stride, double* out) {
  if (size_of(dtype) != 2) return decode(dtype, first, width, stride, out);
  const double* table = table_of(dtype);
  for (Index d = 0; d < width; ++d) {
    std::uint16_t bits;
    std::memcpy(&bits, first + 2 * d * stride, 2);
    out[d] = table[bits];
  }
}

// Counts instead of stopping, which compilers turn into vector code.
bool all_finite(const double* values, Index count) {
  Index others = 0;
  for (Index n = 0; n < count; ++n)
    others += std::abs(values[n]) <= std::numeric_limits<double>::max() ? 0 : 1;
  return others == 0;
}

}  // namespace

void decode_heads(std::string_view name, const TensorView& x, Index b, Index rows, double* out) {
  const Index heads = x.shape[2], width = x.shape[3];
  bool finite = true;
#pragma omp parallel for collapse(2) schedule(static) reduction(&& : finite)
  for (Index h = 0; h < heads; ++h)
    for (Index i = 0; i < rows; ++i) {
      const Index position[] = {b, i, h, 0};
      double* row = out + (h * rows + i) * width;
      decode_row(x.dtype, x.at(position), width, x.strides[3], row);
      finite = finite && all_finite(row, width);
    }
  ATTEST_CHECK(finite, "reference: inputs must be finite, got an infinity or NaN in ", name,
               " at batch entry ", b, "; keys behind the last that a query sees may hold anything");
}

bool decode_row(const TensorView& w, Index skip, Index n, double* out) {
  const Index first = skip + n * w.strides[0];
  decode_row(w.dtype, w.data + first * static_cast<Index>(size_of(w.dtype)), w.shape[1],
             w.strides[1], out);
  return all_finite(out, w.shape[1]);
}

}  // namespace attest::reference
