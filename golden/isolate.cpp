#include "golden/isolate.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>
#include <fstream>
#include <string>

#include "cases/error.h"

namespace attest::golden {
namespace {

constexpr std::string_view kAccepted = "accepted";

void set_limit(decltype(RLIMIT_AS) resource, std::uint64_t value) {
  rlimit limit{};
  getrlimit(resource, &limit);
  limit.rlim_cur = std::min<rlim_t>(value, limit.rlim_max);
  setrlimit(resource, &limit);
}

// Address space counts from what the parent already had mapped, which may be a GPU's terabytes.
std::uint64_t mapped_bytes() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

void confine(const GoldenLimits& limits) {
  for (int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU, SIGTERM, SIGINT})
    std::signal(signal, SIG_DFL);  // handlers would report a crash that is not the parent's
  const int nowhere = open("/dev/null", O_RDWR);
  dup2(nowhere, STDERR_FILENO);
  set_limit(RLIMIT_CORE, 0);
  set_limit(RLIMIT_FSIZE, 0);
  set_limit(RLIMIT_CPU, limits.max_inspection_seconds);
  set_limit(RLIMIT_AS, mapped_bytes() + limits.max_inspection_bytes);
}

void write_all(int pipe_end, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(pipe_end, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::string read_all(int pipe_end) {
  std::string text;
  char buffer[1024];
  for (;;) {
    const ssize_t count = read(pipe_end, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

[[noreturn]] void run_child(int pipe_end, const std::function<void()>& inspect,
                            const GoldenLimits& limits) {
  std::string report;
  try {
    confine(limits);
    inspect();
    report = kAccepted;
  } catch (const std::exception& error) {
    report = error.what();
  }
  write_all(pipe_end, report);
  _exit(0);  // no exit handlers: they belong to the parent
}

std::string how_it_died(int status) {
  if (WIFSIGNALED(status)) return concat("signal ", WTERMSIG(status));
  return concat("status ", status);
}

}  // namespace

void isolate(const std::function<void()>& inspect, const GoldenLimits& limits) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw InfraError(concat("must be inspected in a child process, got `", std::strerror(errno),
                            "` from pipe2"));
  const pid_t child = fork();
  if (child == 0) run_child(ends[1], inspect, limits);
  const int fork_error = errno;
  close(ends[1]);
  const std::string report = child > 0 ? read_all(ends[0]) : "";
  close(ends[0]);
  if (child < 0)
    throw InfraError(concat("must be inspected in a child process, got `",
                            std::strerror(fork_error), "` from fork"));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (report == kAccepted) return;
  if (!report.empty()) throw InfraError(report);
  throw InfraError(concat("must be a sound HDF5 file, got an inspection that died of ",
                          how_it_died(status), "; it is damaged or hostile, do not trust it"));
}

}  // namespace attest::golden
