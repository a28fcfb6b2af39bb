// The state of the simulated driver: settings, log, seeded choices, objects, the thread that does the work.
#include "cuda_state.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace sim {

static uint64_t number(const char *name, uint64_t otherwise) {
  const char *s = getenv(name);
  if (!s || !*s) return otherwise;
  char *end;
  uint64_t n = strtoull(s, &end, 0);
  if (*end) {
    fprintf(stderr, "simcuda: %s=%s is no number\n", name, s);
    exit(2);
  }
  return n;
}

// GODCEM_SIM_FAIL is a list "what@n,what": the n-th kernel to run loses the device (lost) or fails
// (fault, ecc), the n-th allocation (oom), load of a module (module), instantiation (graph) or copy (copy) fails;
// each one without n. "init=803" gives cuInit's code; without it that is CUDA_ERROR_UNKNOWN.
static std::map<std::string, long> failures() {
  static const std::set<std::string> known = {"lost", "fault", "ecc", "oom", "init", "module", "graph", "copy"};
  std::map<std::string, long> out;
  const char *s = getenv("GODCEM_SIM_FAIL");
  std::string list = s ? s : "";
  while (!list.empty()) {
    size_t comma = list.find(',');
    std::string item = list.substr(0, comma);
    list = comma == std::string::npos ? "" : list.substr(comma + 1);
    size_t at = item.find_first_of("@=");
    std::string what = item.substr(0, at);
    if (!known.count(what)) {
      fprintf(stderr, "simcuda: GODCEM_SIM_FAIL: %s: want lost, fault, ecc, oom, init, module, graph or copy\n",
              item.c_str());
      exit(2);
    }
    out[what] = at == std::string::npos ? 0 : atol(item.c_str() + at + 1);
  }
  return out;
}

State &state() {
  static State *s = [] {
    State *s = new State;  // for the life of the process
    Settings &t = s->set;
    t.seed = number("GODCEM_SIM_SEED", 1);
    t.memory = number("GODCEM_SIM_MEMORY", t.memory);
    t.devices = int(number("GODCEM_SIM_DEVICES", 1));
    t.driver = int(number("GODCEM_SIM_DRIVER", t.driver));
    t.arch = int(number("GODCEM_SIM_ARCH", t.arch));
    t.sms = int(number("GODCEM_SIM_SMS", t.sms));
    t.quiet = number("GODCEM_SIM_QUIET", 0) != 0;
    t.fail = failures();
    return s;
  }();
  return *s;
}

ThreadState &self() {
  static thread_local ThreadState t;
  return t;
}

std::string vtext(const char *format, va_list args) {
  va_list again;
  va_copy(again, args);
  int n = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  std::string s(size_t(n) + 1, 0);
  vsnprintf(&s[0], s.size(), format, args);
  s.pop_back();
  return s;
}

std::string text(const char *format, ...) {
  va_list args;
  va_start(args, format);
  std::string s = vtext(format, args);
  va_end(args);
  return s;
}

static FILE *log_file() {
  static FILE *f = []() -> FILE * {
    const char *path = getenv("GODCEM_SIM_LOG");
    if (!path || !*path) return nullptr;
    if (!strcmp(path, "-")) return stderr;
    FILE *f = fopen(path, "a");
    if (!f) fprintf(stderr, "simcuda: GODCEM_SIM_LOG=%s: %s\n", path, strerror(errno));
    return f;
  }();
  return f;
}

static void write(FILE *f, const std::string &s) {
  fprintf(f, "simcuda: %s\n", s.c_str());
  fflush(f);
}

void log(const char *format, ...) {
  FILE *f = log_file();
  if (!f) return;
  va_list args;
  va_start(args, format);
  write(f, vtext(format, args));
  va_end(args);
}

void complain(const char *format, ...) {
  va_list args;
  va_start(args, format);
  std::string s = vtext(format, args);
  va_end(args);
  FILE *f = log_file();
  if (f) write(f, s);
  if (f != stderr && !state().set.quiet) write(stderr, s);
}

uint64_t draw() {
  static uint64_t x = state().set.seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;  // splitmix64
  uint64_t z = (x += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

bool injected(const char *what) {
  auto it = state().set.fail.find(what);
  if (it == state().set.fail.end()) return false;
  static std::map<std::string, long> *seen = new std::map<std::string, long>;
  long n = ++(*seen)[what];
  return it->second == 0 || n == it->second;
}

void count(const char *what) { state().counts[what]++; }

double now() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return double(t.tv_sec) + 1e-9 * double(t.tv_nsec);
}

const char *name(Kind k) {
  static const char *const names[] = {"context", "module", "function",   "stream",
                                      "event",   "graph",  "graph node", "executable graph"};
  return names[int(k)];
}

Object::Object(Kind k, Context *c) : kind(k), ctx(c) { state().objects[this] = this; }

bool destroyed(const void *handle) {
  auto it = state().objects.find(handle);
  return it != state().objects.end() && it->second->dead;
}

Call::Call(const char *f, int needs) : function(f) {
  ThreadState &me = self();
  if (me.inside) {
    error = CUDA_ERROR_NOT_PERMITTED;
    complain("%s: called by a host function that a stream runs", f);
    return;
  }
  hold = std::unique_lock<std::recursive_mutex>(state().lock);
  if ((needs & initialized) && !state().started) {
    error = fail(CUDA_ERROR_NOT_INITIALIZED, "cuInit has not been called");
    return;
  }
  if (!(needs & context)) return;
  if (me.stack.empty() || !me.stack.back()) {
    error = fail(CUDA_ERROR_INVALID_CONTEXT, "no context is current on this thread");
    return;
  }
  ctx = me.stack.back();
  if (ctx->dead) {
    error = fail(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the current context was destroyed");
    return;
  }
  if (ctx->error) error = fail(ctx->error, "the context has failed before: %s", state().fault.c_str());
}

CUresult Call::fail(CUresult code, const char *format, ...) {
  va_list args;
  va_start(args, format);
  log("%s: %s: %s", function, error_name(code), vtext(format, args).c_str());
  va_end(args);
  return code;
}

// The thread that does the work. It takes no signals but those that its own code raises, and has a stack for
// handlers, so that handlers of a host such as the Go runtime find it fit.
namespace {
struct Worker {
  std::mutex m;
  std::condition_variable wake, finished;
  const std::function<void()> *job = nullptr;

  static void *loop(void *arg) {
    Worker &w = *static_cast<Worker *>(arg);
    size_t size = 256 << 10;
    void *mem = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mem != MAP_FAILED) {
      stack_t alt{};
      alt.ss_sp = mem;
      alt.ss_size = size;
      sigaltstack(&alt, nullptr);
    }
    self().inside = true;
    std::unique_lock<std::mutex> lock(w.m);
    for (;;) {
      while (!w.job) w.wake.wait(lock);
      (*w.job)();
      w.job = nullptr;
      w.finished.notify_all();
    }
  }

  Worker() {
    sigset_t all, old;
    sigfillset(&all);
    for (int s : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) sigdelset(&all, s);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 8 << 20);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_t t;
    if (int e = pthread_create(&t, &attr, loop, this)) {
      fprintf(stderr, "simcuda: cannot start a thread: %s\n", strerror(e));
      abort();
    }
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &old, nullptr);
  }
};
}  // namespace

void on_worker(const std::function<void()> &f) {
  static Worker *w = new Worker;
  std::unique_lock<std::mutex> lock(w->m);
  w->job = &f;
  w->wake.notify_one();
  while (w->job) w->finished.wait(lock);
}

}  // namespace sim

// What tests ask of the simulator, beside the driver's own functions.

static size_t give(const std::string &s, char *out, size_t n) {
  if (out && n) snprintf(out, n, "%s", s.c_str());
  return s.size();
}

// simcudaLive writes what objects and memory are alive, a line each, and returns how many: contexts, modules,
// streams, events, graphs, executable graphs, device and pinned memory.
SIM_EXPORT size_t simcudaLive(char *out, size_t n) {
  std::lock_guard<std::recursive_mutex> hold(sim::state().lock);
  std::string s;
  size_t alive = 0;
  sim::live(nullptr, s, alive);
  give(s, out, n);
  return alive;
}

// simcudaLeaked is the same for what was alive when its context was destroyed.
SIM_EXPORT size_t simcudaLeaked(char *out, size_t n) {
  std::lock_guard<std::recursive_mutex> hold(sim::state().lock);
  give(sim::state().leaks, out, n);
  return sim::state().leaked;
}

// simcudaFault writes what the last fault of a kernel or a copy was, and returns its length.
SIM_EXPORT size_t simcudaFault(char *out, size_t n) {
  std::lock_guard<std::recursive_mutex> hold(sim::state().lock);
  return give(sim::state().fault, out, n);
}

// simcudaCount tells how often something happened: "kernel" and "graph" (run), "launch", "graphLaunch", "h2d", "d2h",
// "d2d", "memset", "sync", "alloc", "pinned".
SIM_EXPORT uint64_t simcudaCount(const char *what) {
  std::lock_guard<std::recursive_mutex> hold(sim::state().lock);
  auto it = sim::state().counts.find(what);
  return it == sim::state().counts.end() ? 0 : it->second;
}
