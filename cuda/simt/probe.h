#pragma once

namespace attest {

/// Seconds that the emulator takes for one m16n8k16 product of a warp, eight in a row, on one
/// thread: the unit in which emulated work is compared between machines. Takes about 50 ms.
double mma_probe_seconds();

}  // namespace attest
