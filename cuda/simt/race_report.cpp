// Races in words. Addresses of code become lines of source by addr2line.
#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "cases/error.h"
#include "cuda/simt/race.h"
#include "cuda/simt/race_global.h"

namespace attest::emulator {
namespace {

std::vector<std::string> lines_of(const std::string& command) {
  std::vector<std::string> lines;
  FILE* output = popen(command.c_str(), "r");
  if (output == nullptr) return lines;
  char line[4096];
  while (std::fgets(line, sizeof line, output) != nullptr) lines.emplace_back(line);
  pclose(output);
  return lines;
}

/// ` at shared_tile.cuh:33`: the innermost line outside of the emulator, for kernels are inlined
/// into each other; or ` at code address 0x..` where that cannot be found.
std::string line_text(const void* return_address) {
  const auto* call = static_cast<const std::byte*>(return_address) - 1;
  Dl_info module;
  if (dladdr(call, &module) == 0) return concat(" at code address ", return_address);
  const auto* base = static_cast<const std::byte*>(module.dli_fbase);
  const bool movable = reinterpret_cast<const ElfW(Ehdr)*>(base)->e_type == ET_DYN;
  const void* in_file = movable ? reinterpret_cast<const void*>(call - base) : call;

  std::error_code missing;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", missing);
  const std::string unknown = concat(" at code address ", in_file);
  if (missing || program.find('\'') != std::string::npos) return unknown;
  for (const std::string& line :
       lines_of(concat("addr2line -i -e '", program, "' ", in_file, " 2>/dev/null"))) {
    const std::string_view path = line;
    if (path.starts_with("??") || path.find("/simt/") != std::string::npos) continue;
    const std::size_t name = path.rfind('/') + 1, end = path.find_first_of(" \n", name);
    return concat(" at ", path.substr(name, end - name));
  }
  return unknown;
}

std::string thread_text(unsigned thread) {
  return concat("thread ", thread, " (warp ", thread / 32, " lane ", thread % 32, ')');
}

std::string now_text(AccessKind kind) {
  switch (kind) {
    case AccessKind::read:
    case AccessKind::warp_read:
      return "reads";
    case AccessKind::write:
      return "writes";
    default:
      return "starts a cp.async to";
  }
}

std::string before_text(const RaceAccess& before) {
  const std::string who = thread_text(before.thread), line = line_text(before.pc);
  switch (before.kind) {
    case AccessKind::read:
    case AccessKind::warp_read:
      return concat(who, " has read", line, " with no barrier in between");
    case AccessKind::write:
      return concat(who, " has written", line, " with no barrier in between");
    case AccessKind::copy_in_flight:
      return concat(who, " fills by cp.async", line, " and has not waited for");
    default:
      return concat(who, " has filled by cp.async", line, " with no barrier after its wait");
  }
}

}  // namespace

std::string race_text(const Race& race) {
  return concat("race: ", thread_text(race.now.thread), ' ', now_text(race.now.kind), " byte ",
                race.offset, " of shared memory", line_text(race.now.pc), ", which ",
                before_text(race.before));
}

std::string race_text(const GlobalRace& race) {
  const auto text = [](const GlobalWrite& w) {
    return concat(thread_text(w.thread), " of block ", w.block, line_text(w.pc));
  };
  return concat("race: ", text(race.first), " and ", text(race.second),
                " write the same global memory in one launch, and nothing orders them");
}

}  // namespace attest::emulator
