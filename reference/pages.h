#pragma once

#include <string>

#include "cases/problem.h"
#include "cases/tensor.h"

namespace attest::reference {

/// The rows of a paged cache in the order of their keys: row j of batch entry b is row j % page of
/// page block_table[b, j / page] of the pool.
///
/// pool [pages, page, ...]  block_table [B, ceil(Sk / page)] int32  ->  [B, Sk, ...] with this
/// name, of the pool's type, bit for bit; rows from length(b) on are NaN, and no entry of the table
/// is looked up for them. Throws attest::Error for shapes that do not fit the problem, or an entry
/// that is no page of the pool.
Tensor gather_pages(const std::string& name, const Tensor& pool, const Tensor& block_table,
                    const Problem&);

}  // namespace attest::reference
