// The race detector, driven by hand: what it calls ordered, and what not.
#include <vector>

#include "cuda/simt/race.h"
#include "cuda/simt/race_global.h"
#include "tests/catch.h"

using namespace attest::emulator;

namespace {

constexpr std::uint32_t kAll = 0xffffffffu;
constexpr auto kRead = AccessKind::read, kWrite = AccessKind::write;

/// A detector at the start of a block of 1024 threads with 64 bytes of shared memory.
struct Started : RaceDetector {
  Started() { start(64); }

  /// Whether the access of 4 bytes is ordered after what was before.
  bool operator()(AccessKind kind, unsigned thread, std::size_t offset = 0) {
    return access({this, static_cast<std::uint16_t>(thread), kind}, offset, 4);
  }
};

}  // namespace

TEST_CASE("a thread does not race with itself", "[simt]") {
  Started ordered;
  for (const AccessKind kind : {kWrite, kRead, kWrite, kWrite, kRead}) CHECK(ordered(kind, 700));
}

TEST_CASE("reads do not race with reads", "[simt]") {
  Started ordered;
  for (unsigned t = 0; t < 1024; ++t) CHECK(ordered(kRead, t));
}

TEST_CASE("of many readers each is remembered until a barrier", "[simt]") {
  for (const unsigned readers : {1u, 2u, 3u, 31u, 32u, 33u, 64u, 1024u}) {
    for (const unsigned writer : {0u, 1u, 31u, 32u, 40u, 1023u}) {
      CAPTURE(readers, writer);
      const bool alone = readers == 1 && writer == 0;
      Started ordered;
      for (unsigned t = 0; t < readers; ++t) CHECK(ordered(kRead, t));
      CHECK(ordered(kWrite, writer) == alone);
      if (!alone) {
        CHECK(ordered.race().before.kind == kRead);
        CHECK(ordered.race().before.thread != writer);
        CHECK(ordered.race().before.thread < readers);
      }

      Started after;
      for (unsigned t = 0; t < readers; ++t) CHECK(after(kRead, t));
      after.barrier();
      CHECK(after(kWrite, writer));
    }
  }
}

TEST_CASE("bytes are told apart", "[simt]") {
  Started ordered;
  CHECK(ordered(kWrite, 0, 8));
  CHECK(ordered(kWrite, 100, 4));
  CHECK(ordered(kWrite, 200, 12));
  CHECK_FALSE(ordered(kRead, 300, 11));
  CHECK(ordered.race().offset == 11);
  CHECK(ordered.race().before.thread == 0);
}

TEST_CASE("a barrier orders the block, a __syncwarp its lanes", "[simt]") {
  const auto after_sync = [](unsigned writer, std::uint32_t mask, unsigned reader) {
    Started ordered;
    ordered(kWrite, writer);
    ordered.sync_warp(writer / 32, mask);
    return ordered(kRead, reader);
  };
  CHECK(after_sync(3, kAll, 4));
  CHECK(after_sync(3, 0x18, 4));
  CHECK_FALSE(after_sync(3, 0x10, 4));  // the writer is not among the lanes,
  CHECK_FALSE(after_sync(3, 0x08, 4));  // the reader is not
  CHECK_FALSE(after_sync(3, kAll, 36));

  Started ordered;
  ordered.sync_warp(0, kAll);
  CHECK(ordered(kWrite, 3));
  CHECK_FALSE(ordered(kRead, 4));  // the __syncwarp was before the write
}

TEST_CASE("order is transitive", "[simt]") {
  Started ordered;
  ordered(kWrite, 1);
  ordered.sync_warp(0, 0b0110);
  ordered.sync_warp(0, 0b1100);
  CHECK(ordered(kRead, 3));
  CHECK_FALSE(ordered(kRead, 0));
}

TEST_CASE("readers that a __syncwarp left out are still unordered", "[simt]") {
  const auto write = [](std::uint32_t mask, unsigned writer) {
    Started ordered;
    for (const unsigned t : {0u, 1u, 2u}) CHECK(ordered(kRead, t));
    ordered.sync_warp(0, mask);
    return ordered(kWrite, writer);
  };
  CHECK(write(0b1111, 3));
  CHECK_FALSE(write(0b1110, 3));
  CHECK_FALSE(write(0b1011, 3));
  CHECK_FALSE(write(0b0111, 3));

  Started ordered;  // one of them reads again behind the __syncwarp
  for (const unsigned t : {0u, 1u, 2u}) CHECK(ordered(kRead, t));
  ordered.sync_warp(0, kAll);
  CHECK(ordered(kRead, 1));
  CHECK_FALSE(ordered(kWrite, 0));
  CHECK(ordered.race().before.thread == 1);
}

TEST_CASE("the latest reader does not hide others", "[simt]") {
  Started other_warp;
  CHECK(other_warp(kRead, 5));
  CHECK(other_warp(kRead, 40));
  CHECK_FALSE(other_warp(kWrite, 5));
  CHECK(other_warp.race().before.thread == 40);

  Started behind_sync;  // lane 0 is ordered before the write, lane 1 is not
  CHECK(behind_sync(kRead, 0));
  behind_sync.sync_warp(0, kAll);
  CHECK(behind_sync(kRead, 1));
  CHECK(behind_sync(kRead, 2));
  CHECK_FALSE(behind_sync(kWrite, 2));
  CHECK(behind_sync.race().before.thread == 1);

  Started left_out;  // lane 0 has not waited for the others
  CHECK(left_out(kRead, 0));
  left_out.sync_warp(0, 0b0110);
  CHECK(left_out(kRead, 1));
  CHECK_FALSE(left_out(kWrite, 1));
  CHECK(left_out.race().before.thread == 0);
}

TEST_CASE("a read of a whole warp is over before any of its lanes writes", "[simt]") {
  const auto write = [](unsigned lane_before, AccessKind after, unsigned writer) {
    Started ordered;
    if (lane_before < 32) CHECK(ordered(kRead, lane_before));
    CHECK(ordered(AccessKind::warp_read, 7));
    CHECK(ordered(after, 8));
    return ordered(kWrite, writer);
  };
  const auto whole = AccessKind::warp_read;
  CHECK(write(32, whole, 9));
  CHECK_FALSE(write(32, whole, 39));
  CHECK_FALSE(write(3, whole, 9));  // what single lanes read is not
  CHECK(write(3, whole, 3));
  CHECK_FALSE(write(32, kRead, 9));
  CHECK(write(32, kRead, 8));

  Started ordered;  // what it reads must be ordered before it, as for any read
  CHECK(ordered(kWrite, 6));
  CHECK_FALSE(ordered(whole, 7));
}

TEST_CASE("a copy in flight excludes everybody until it lands", "[simt]") {
  Started ordered;
  CHECK(ordered(AccessKind::copy_in_flight, 5));
  ordered.barrier();
  for (const unsigned thread : {5u, 6u, 40u})
    for (const AccessKind kind : {kRead, kWrite, AccessKind::copy_in_flight})
      CHECK_FALSE(ordered(kind, thread));
  CHECK(ordered(AccessKind::copy_landed, 5));
  CHECK(ordered(kRead, 5));
  CHECK_FALSE(ordered(kRead, 6));
  ordered.barrier();
  CHECK(ordered(kRead, 6));
}

TEST_CASE("a copy is a write when it starts and when it lands", "[simt]") {
  Started ordered;
  CHECK(ordered(kRead, 40));
  CHECK_FALSE(ordered(AccessKind::copy_in_flight, 5));
  ordered.barrier();
  CHECK(ordered(AccessKind::copy_in_flight, 5));
  ordered.barrier();  // between issue and wait: orders nothing
  CHECK(ordered(AccessKind::copy_landed, 5));
  CHECK_FALSE(ordered(kWrite, 40));
}

TEST_CASE("blocks know nothing of each other", "[simt]") {
  Started ordered;
  CHECK(ordered(kWrite, 0));
  CHECK(ordered(AccessKind::copy_in_flight, 0, 4));  // of a block that failed
  ordered.start(64);
  CHECK(ordered(kWrite, 1));
  CHECK(ordered(kWrite, 1, 4));
  ordered.start(128);
  CHECK(ordered(kWrite, 2, 124));
}

TEST_CASE("writes to global memory race when they overlap and nothing orders them", "[simt]") {
  struct Who {
    std::int64_t block;
    std::uint32_t interval;
    std::uint16_t thread;
  };
  const auto races = [](Who a, std::uintptr_t at_a, Who b, std::uintptr_t at_b) {
    std::vector<GlobalWrite> writes;
    for (int n = 0; n < 2; ++n) {  // each twice, and others around them
      writes.push_back({at_a, 4, nullptr, a.block, a.interval, a.thread});
      writes.push_back({at_b, 4, nullptr, b.block, b.interval, b.thread});
      writes.push_back({50, 50, nullptr, 7, 1, 0});
      writes.push_back({108, 1, nullptr, 8, 1, 0});
    }
    return find_global_race(writes).has_value();
  };
  CHECK(races({0, 1, 0}, 100, {1, 1, 0}, 100));
  CHECK(races({0, 1, 0}, 100, {1, 9, 0}, 103));
  CHECK(races({0, 1, 0}, 103, {1, 9, 0}, 100));
  CHECK_FALSE(races({0, 1, 0}, 100, {1, 1, 0}, 104));
  CHECK_FALSE(races({0, 1, 0}, 104, {1, 1, 0}, 100));
  CHECK(races({0, 1, 0}, 100, {0, 1, 32}, 100));
  CHECK_FALSE(races({0, 1, 0}, 100, {0, 2, 32}, 100));  // a barrier is in between
  CHECK_FALSE(races({0, 1, 0}, 100, {0, 1, 31}, 100));  // of one warp: not judged

  std::vector<GlobalWrite> around{
      {100, 20, nullptr, 0, 1, 0}, {104, 4, nullptr, 0, 1, 0}, {112, 4, nullptr, 1, 1, 0}};
  CHECK(find_global_race(around).has_value());
}
