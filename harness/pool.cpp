#include "harness/pool.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <string>
#include <thread>

#include "cases/error.h"
#include "harness/run_case.h"

extern char** environ;

namespace attest {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t g_interrupted = 0;
void note_interrupt(int) { g_interrupted = 1; }

constexpr std::size_t kKeptStderr = 4096;  // bytes of a worker's last words

/// One worker process, its pipes, and the case it works on.
struct Worker {
  pid_t pid = -1;
  int to = -1, from = -1, errors = -1;
  std::string answer, last_words;
  const Case* current = nullptr;
  Clock::time_point sent;

  bool alive() const { return pid > 0; }
};

void close_fd(int& fd) {
  if (fd >= 0) close(fd);
  fd = -1;
}

void make_pipe(int (&ends)[2]) {
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw InfraError(concat("run: a pipe to a worker must open, got ", std::strerror(errno)));
}

Worker spawn(const std::vector<std::string>& command) {
  int in[2], out[2], err[2];
  make_pipe(in), make_pipe(out), make_pipe(err);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  Worker worker;
  const int error = posix_spawnp(&worker.pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]), close(out[1]), close(err[1]);
  worker.to = in[1], worker.from = out[0], worker.errors = err[0];
  if (error != 0) {
    close_fd(worker.to), close_fd(worker.from), close_fd(worker.errors);
    throw InfraError(
        concat("run: a worker must start, got ", std::strerror(error), " for ", command.front()));
  }
  fcntl(worker.from, F_SETFL, O_NONBLOCK);
  fcntl(worker.errors, F_SETFL, O_NONBLOCK);
  return worker;
}

/// Reads what is there. False at the end of the stream.
bool drain(int fd, std::string& text) {
  char buffer[1 << 16];
  for (;;) {
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count > 0)
      text.append(buffer, static_cast<std::size_t>(count));
    else
      return count < 0 && (errno == EAGAIN || errno == EINTR);
  }
}

void keep_last_words(Worker& worker) {
  drain(worker.errors, worker.last_words);
  if (worker.last_words.size() > kKeptStderr)
    worker.last_words.erase(0, worker.last_words.size() - kKeptStderr);
}

/// Ends the process and says how it ended, such as "signal 11 (Segmentation fault)".
std::string bury(Worker& worker, bool kill_it) {
  if (kill_it) kill(worker.pid, SIGKILL);
  int status = 0;
  while (waitpid(worker.pid, &status, 0) < 0 && errno == EINTR) {
  }
  keep_last_words(worker);
  close_fd(worker.to), close_fd(worker.from), close_fd(worker.errors);
  worker.pid = -1;
  std::string end = WIFSIGNALED(status) ? concat("signal ", WTERMSIG(status), " (",
                                                 strsignal(WTERMSIG(status)), ")")
                                        : concat("exit code ", WEXITSTATUS(status));
  if (!worker.last_words.empty()) end += "; it said: " + worker.last_words;
  return end;
}

class Pool {
 public:
  Pool(const std::vector<Case>& cases, const PoolOptions& options,
       const std::function<void(const Case&)>& start,
       const std::function<void(const Record&)>& done)
      : options_(options), start_(start), done_(done) {
    for (const Case& c : cases) waiting_.push_back(&c);
    workers_.resize(std::min<std::size_t>(static_cast<std::size_t>(options.jobs), cases.size()));
  }

  ~Pool() {
    for (Worker& worker : workers_)
      if (worker.alive()) bury(worker, true);
  }

  void run() {
    while (!g_interrupted && busy()) {
      for (Worker& worker : workers_)
        if (!worker.current && !waiting_.empty()) send(worker);
      wait();
      for (Worker& worker : workers_)
        if (worker.current) receive(worker);
    }
    for (Worker& worker : workers_)
      if (worker.current) waiting_.push_front(worker.current);
    for (const Case* c : waiting_)
      done_(unfinished(*c, Verdict::not_run, "run: was interrupted before this case ended"));
  }

 private:
  bool busy() const {
    return !waiting_.empty() || std::any_of(workers_.begin(), workers_.end(),
                                            [](const Worker& w) { return w.current != nullptr; });
  }

  void send(Worker& worker) {
    if (!worker.alive()) worker = spawn(options_.worker);
    worker.current = waiting_.front();
    waiting_.pop_front();
    worker.sent = Clock::now();
    start_(*worker.current);
    const std::string line = print(*worker.current) + '\n';  // shorter than PIPE_BUF: one write
    [[maybe_unused]] const ssize_t written = write(worker.to, line.data(), line.size());
  }

  void wait() {
    std::vector<pollfd> fds;
    for (const Worker& worker : workers_) {
      if (!worker.current) continue;
      fds.push_back({worker.from, POLLIN, 0});
      fds.push_back({worker.errors, POLLIN, 0});
    }
    poll(fds.data(), fds.size(), 100);
  }

  void receive(Worker& worker) {
    const bool open = drain(worker.from, worker.answer);
    keep_last_words(worker);
    const std::size_t end = worker.answer.find('\n');
    if (end != std::string::npos) {
      Record record = parse_record(worker.answer.substr(0, end));
      worker.answer.erase(0, end + 1);
      worker.current = nullptr;
      worker.last_words.clear();
      done_(record);
    } else if (!open) {
      lose(worker, CrashReason::crash, concat("the worker ended with ", bury(worker, true)));
    } else if (std::chrono::duration<double>(Clock::now() - worker.sent).count() >
               options_.timeout) {
      bury(worker, true);
      lose(worker, CrashReason::hang,
           concat("the case must end within ", options_.timeout, " s (--timeout), got no answer"));
    }
  }

  void lose(Worker& worker, CrashReason reason, std::string message) {
    const Case* lost = worker.current;
    worker = Worker{};
    done_(unfinished(*lost, Verdict::crash, std::move(message), reason));
  }

  const PoolOptions& options_;
  const std::function<void(const Case&)>& start_;
  const std::function<void(const Record&)>& done_;
  std::deque<const Case*> waiting_;
  std::vector<Worker> workers_;
};

/// Workers share the processors: each gets its part as OpenMP threads, unless the user has said.
void share_processors(int jobs) {
  const int processors = static_cast<int>(std::thread::hardware_concurrency());
  setenv("OMP_NUM_THREADS", std::to_string(std::max(1, processors / jobs)).c_str(), 0);
}

}  // namespace

void run_pool(const std::vector<Case>& cases, const PoolOptions& options,
              const std::function<void(const Case&)>& start,
              const std::function<void(const Record&)>& done) {
  share_processors(options.jobs);
  std::signal(SIGPIPE, SIG_IGN);  // a dead worker shows as an end of stream
  Pool(cases, options, start, done).run();
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = note_interrupt;  // no SA_RESTART: poll() returns at once
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_interrupted != 0; }

int serve_cases(const std::string& failures) {
  std::signal(SIGINT, SIG_IGN);  // Ctrl-C reaches the whole process group; the parent decides
  std::string line;
  while (std::getline(std::cin, line)) {
    const Case which = parse_case(line);
    Record record;
    try {
      record = run_case(which, failures);
    } catch (const std::exception& error) {
      record = unfinished(which, Verdict::not_run, error.what());
    }
    std::cout << to_json(record) << '\n' << std::flush;
  }
  return 0;
}

}  // namespace attest
