#include "reference/pages.h"

#include <cstring>

#include "cases/error.h"

namespace attest::reference {

Tensor gather_pages(const std::string& name, const Tensor& pool, const Tensor& block_table,
                    const Problem& p) {
  const std::vector<Index> table_shape{p.B, p.table_width()};
  ATTEST_CHECK(block_table.dtype() == Dtype::int32 && block_table.shape() == table_shape,
               "reference: block_table must be int32 of shape ", p.B, "x", p.table_width(),
               ", got another");
  ATTEST_CHECK(pool.shape().size() >= 2 && pool.shape()[1] == p.page, "reference: the pool of ",
               name, " must have pages of ", p.page, " rows, got others");
  const Index pages = pool.shape()[0];
  std::vector<Index> shape = pool.shape();
  shape[0] = p.B;
  shape[1] = p.Sk;
  std::string layout = pool.layout();
  layout[0] = 'B';
  Tensor rows(name, pool.dtype(), layout, shape);
  if (rows.size() == 0) return rows;
  const auto table = block_table.as<std::int32_t>();
  const auto row_bytes = rows.bytes().size() / static_cast<std::size_t>(p.B * p.Sk);
  const auto row = [&](Index n) { return static_cast<std::size_t>(n) * row_bytes; };
  for (Index b = 0; b < p.B; ++b)
    for (Index j = 0; j < p.length(b); ++j) {
      const Index page = table[static_cast<std::size_t>(b * p.table_width() + j / p.page)];
      ATTEST_CHECK(page >= 0 && page < pages, "reference: block_table must hold pages in [0, ",
                   pages, "), got ", page, " at [", b, ", ", j / p.page, "]");
      std::memcpy(rows.bytes().data() + row(b * p.Sk + j),
                  pool.bytes().data() + row(page * p.page + j % p.page), row_bytes);
    }
  return rows;
}

}  // namespace attest::reference
