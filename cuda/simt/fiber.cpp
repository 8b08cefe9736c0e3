#include "cuda/simt/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cases/error.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace attest::emulator {
namespace {

constexpr std::size_t kStackBytes = std::size_t{128} << 10;
constexpr std::size_t kCacheLine = 64, kCacheSets = 64;

std::size_t page_bytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

}  // namespace

void map_stack(Fiber& fiber) {
  const std::size_t guard = page_bytes(), bytes = guard + kStackBytes;
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (mapped == MAP_FAILED || mprotect(mapped, guard, PROT_NONE) != 0)
    throw InfraError(concat("emulator: cannot map a stack of ", kStackBytes,
                            " bytes: ", std::strerror(errno),
                            "; raise vm.max_map_count or lower OMP_NUM_THREADS"));
  fiber.stack_bottom = static_cast<std::byte*>(mapped) + guard;
  fiber.stack_bytes = kStackBytes;
}

void unmap_stack(Fiber& fiber) {
  if (fiber.stack_bottom == nullptr) return;
  const std::size_t guard = page_bytes();
  auto* bottom = static_cast<std::byte*>(const_cast<void*>(fiber.stack_bottom));
  munmap(bottom - guard, guard + fiber.stack_bytes);
}

void start_fiber(Fiber& fiber, unsigned stagger, void (*entry)(Arrival)) {
  auto* bottom = static_cast<std::byte*>(const_cast<void*>(fiber.stack_bottom));
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(bottom, fiber.stack_bytes);
#endif
  const std::size_t bytes = fiber.stack_bytes - stagger % kCacheSets * kCacheLine;
  fiber.context = boost::context::detail::make_fcontext(bottom + bytes, bytes, entry);
}

}  // namespace attest::emulator
