#pragma once

#include <functional>
#include <string>
#include <vector>

#include "harness/record.h"

namespace attest {

struct PoolOptions {
  std::vector<std::string> worker;  ///< argv of one worker; it reads case strings, answers records
  int jobs = 1;                     ///< workers at a time
  double timeout = 60;              ///< seconds one case may take before its worker is killed
};

/// Runs every case in exec'd worker processes, which share the processors (OMP_NUM_THREADS, unless
/// the user has set it), and calls `done` once for each, in the order in which
/// they end. `start` is called before a case is sent to a worker.
///
/// A worker reads one case string a line and answers one record a line. One that dies yields CRASH
/// (reason crash) for its case, one that takes too long is killed and yields CRASH (hang); a new
/// one takes over the remaining cases. After SIGINT or SIGTERM (see interrupts()) the workers are
/// killed and the cases without an answer are NOT_RUN.
/// Throws InfraError where no worker can be started.
void run_pool(const std::vector<Case>& cases, const PoolOptions&,
              const std::function<void(const Case&)>& start,
              const std::function<void(const Record&)>& done);

/// Makes SIGINT and SIGTERM end run_pool() in good order instead of the process.
void catch_interrupts();

/// True after such a signal.
bool interrupted();

/// Body of a worker: answers the case strings on stdin until it ends. Returns the exit code.
int serve_cases(const std::string& failures);

}  // namespace attest
