// What kernels that are compiled with -fsanitize=thread call before each access to memory, in place
// of ThreadSanitizer's runtime: that one knows OS threads, of which a block has only one. The names
// are fixed by GCC's and Clang's instrumentation. Not instrumented itself.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "cuda/simt/block.h"

namespace {

using attest::emulator::AccessKind;

inline void watch(AccessKind kind, const void* address, std::size_t bytes, const void* pc) {
  attest::emulator::Block* block = attest::emulator::current_block;
  if (block != nullptr) block->watch(kind, *block->lane, address, bytes, pc);
}

}  // namespace

// The return address must be taken in the callback itself.
#define ATTEST_WATCH(name, kind, bytes)                                   \
  void __tsan_##name(void* address) {                                     \
    watch(AccessKind::kind, address, bytes, __builtin_return_address(0)); \
  }
#define ATTEST_WATCH_SIZE(bytes)                   \
  ATTEST_WATCH(read##bytes, read, bytes)           \
  ATTEST_WATCH(write##bytes, write, bytes)         \
  ATTEST_WATCH(unaligned_read##bytes, read, bytes) \
  ATTEST_WATCH(unaligned_write##bytes, write, bytes)

extern "C" {

ATTEST_WATCH_SIZE(1)
ATTEST_WATCH_SIZE(2)
ATTEST_WATCH_SIZE(4)
ATTEST_WATCH_SIZE(8)
ATTEST_WATCH_SIZE(16)

void __tsan_read_range(void* address, std::size_t bytes) {
  watch(AccessKind::read, address, bytes, __builtin_return_address(0));
}
void __tsan_write_range(void* address, std::size_t bytes) {
  watch(AccessKind::write, address, bytes, __builtin_return_address(0));
}

// Clang's words for what GCC inlines.
void* __tsan_memcpy(void* to, const void* from, std::size_t bytes) {
  watch(AccessKind::read, from, bytes, __builtin_return_address(0));
  watch(AccessKind::write, to, bytes, __builtin_return_address(0));
  return std::memcpy(to, from, bytes);
}
void* __tsan_memmove(void* to, const void* from, std::size_t bytes) {
  watch(AccessKind::read, from, bytes, __builtin_return_address(0));
  watch(AccessKind::write, to, bytes, __builtin_return_address(0));
  return std::memmove(to, from, bytes);
}
void* __tsan_memset(void* to, int value, std::size_t bytes) {
  watch(AccessKind::write, to, bytes, __builtin_return_address(0));
  return std::memset(to, value, bytes);
}

// Reference counts of the host code beside a kernel; kernels have no atomics.
std::uint32_t __tsan_atomic32_fetch_add(volatile void* x, std::uint32_t n, int) {
  return __atomic_fetch_add(static_cast<volatile std::uint32_t*>(x), n, __ATOMIC_ACQ_REL);
}

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_read(void**) {}
void __tsan_vptr_update(void**, void*) {}

}  // extern "C"
