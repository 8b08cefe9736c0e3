#pragma once

// Stackful fibers: the CUDA threads of the emulator. Boost's public fiber type moves ownership at
// every switch; the emulator switches many million times a second between fibers that a block owns,
// so it uses the assembly layer beneath, two functions.

#include <boost/context/detail/fcontext.hpp>
#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace attest::emulator {

using Arrival = boost::context::detail::transfer_t;

/// A stack, and where the fiber that lives on it stopped.
struct Fiber {
  boost::context::detail::fcontext_t context = nullptr;
  const void* stack_bottom = nullptr;  ///< lowest usable byte
  std::size_t stack_bytes = 0;
  void* asan_frames = nullptr;  ///< AddressSanitizer's fake stack while the fiber does not run
};

/// Maps a stack with a guard page below it. Throws InfraError when the system has no more.
void map_stack(Fiber&);
void unmap_stack(Fiber&);

/// Makes the next switch to `fiber` call entry(arrival) on its stack, whatever ran there before:
/// frames of an abandoned run are not unwound. entry calls enter_fiber(arrival) first and never
/// returns. Neighbours get different `stagger`, or the tops of their stacks share a few cache sets.
void start_fiber(Fiber&, unsigned stagger, void (*entry)(Arrival));

inline void enter_fiber(Arrival arrival) {
  auto& from = *static_cast<Fiber*>(arrival.data);
  from.context = arrival.fctx;
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  if (from.stack_bottom == nullptr) from.stack_bottom = bottom, from.stack_bytes = bytes;
#endif
}

/// Runs `to` until somebody switches back. ends: nobody will.
inline void switch_fiber(Fiber& from, Fiber& to, [[maybe_unused]] bool ends = false) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(ends ? nullptr : &from.asan_frames, to.stack_bottom,
                                 to.stack_bytes);
#endif
  const Arrival arrival = boost::context::detail::jump_fcontext(to.context, &from);
  static_cast<Fiber*>(arrival.data)->context = arrival.fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.asan_frames, nullptr, nullptr);
#endif
}

}  // namespace attest::emulator
