// What the parts of the simulated driver share: the objects behind its handles, the queues of work, the lock.
//
// Work that a program enqueues (copies, memsets, kernels, graphs) is only noted. It is done when the program waits
// for something, on a thread of the simulator's own, in an order among the streams that a seed chooses; work that
// nobody waits for may stay undone. Device memory can be accessed by nobody except while work is done.
//
// Where a device is lenient, or its manual leaves something open, this takes the way that shows errors:
//   - copies from pinned memory read it when they are done; those from pageable memory at once; those to pageable
//   memory
//     wait. A synchronous copy from pageable memory returns before its end, for streams that do not wait for it.
//   - copies within a device, and memsets, do not make the host wait.
//   - a capture refuses copies of pageable memory, which it could only do when the graph runs.
//   - nodes of a graph run in any order that its edges allow, streams in any that events allow.
//   - a fault is reported when the host next waits, and by every call in its context from then on; the context can
//   only
//     be destroyed. What remains in a context when it is destroyed is a leak, unless it has failed.
//
// The environment:
//   GODCEM_SIM_SEED     chooses the orders; 1
//   GODCEM_SIM_DEVICES  how many there are; 1
//   GODCEM_SIM_MEMORY   bytes of each; 4 GiB
//   GODCEM_SIM_ARCH     compute capability times 10; 90
//   GODCEM_SIM_SMS      multiprocessors; 132
//   GODCEM_SIM_DRIVER   version of the driver, 1000 major + 10 minor; 12040
//   GODCEM_SIM_FAIL     what fails, "lost@12,oom": see cuda_state.cc
//   GODCEM_SIM_LOG      a file, or - for stderr: every refusal, and all work as it is enqueued and done
//   GODCEM_SIM_QUIET    1: faults, misuse and leaks are not written to stderr
//   GODCEM_SIM_LEAKS    fatal: a process that leaves anything ends with status 99 (not one that ends without running
//                       its destructors, as Go programs do: they ask simcudaLive)
#pragma once
#include <cstdarg>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cuda_types.h"
#include "rt.h"

#define SIM_EXPORT extern "C" __attribute__((visibility("default")))

namespace sim {

struct Context;
struct Stream;
struct Graph;
struct Exec;
struct Node;
struct Capture;

enum class Kind : uint8_t { context, module, function, stream, event, graph, node, exec };
const char *name(Kind k);

// An Object is what a handle points to. Objects are never freed, so that a stale handle is known to be one.
struct Object {
  Kind kind;
  bool dead = false;
  Context *ctx;
  Object(Kind k, Context *c);
  virtual ~Object() {}
};

// find gives the object of a handle: nullptr if it is not one of that kind, or destroyed.
template <class T>
T *find(const void *handle);
bool destroyed(const void *handle);  // it was an object once

// An Allocation is memory of a device, managed memory, or pinned host memory, with guards on either side. The
// bytes between its ends and the pages' are slack: a fixed pattern that is compared after each kernel.
struct Allocation {
  enum Kind { device, managed, pinned, registered } kind;
  Context *ctx;
  char *base;   // what the program got
  size_t size;  // what it asked for
  char *pages;  // the accessible pages: base is in them
  size_t paged;
  unsigned flags = 0;
  bool open = false;  // device memory: accessible now
};

struct Dim {
  unsigned x, y, z;
};

// An extent is a box of bytes in memory: depth planes of height rows.
struct Extent {
  char *at = nullptr;
  size_t pitch = 0, plane = 0;
};

// A Task is a piece of work, in a stream or as a node of a graph.
struct Task {
  enum Kind { empty, kernel, copy, fill, host, graph } kind = empty;
  Context *ctx = nullptr;
  // kernel
  struct Function *fn = nullptr;
  Dim grid{}, block{};
  unsigned shared = 0;
  std::vector<char> args;
  std::vector<size_t> offsets;
  // copy, fill
  Extent dst, src;
  size_t width = 0, height = 1, depth = 1;
  std::shared_ptr<std::vector<char>> staged;  // of a copy from pageable memory: its bytes, row by row
  unsigned value = 0, element = 1;
  // host
  CUhostFn call = nullptr;
  CUstreamCallback callback = nullptr;
  CUstream stream = nullptr;
  void *data = nullptr;
  // graph: child or launched
  std::shared_ptr<struct Plan> plan;

  std::string describe() const;
};

// An Op is a task in a stream.
struct Op {
  uint64_t id = 0;
  Task task;
  Stream *stream = nullptr;
  std::vector<std::shared_ptr<Op>> after;
  bool done = false;
  double time = 0;  // seconds, when it was done
};
using OpRef = std::shared_ptr<Op>;

struct Stream : Object {
  unsigned flags = 0;
  int priority = 0;
  bool legacy = false;
  OpRef last;  // nullptr: nothing was ever enqueued
  Capture *capture = nullptr;
  uint64_t id = 0;
  explicit Stream(Context *c) : Object(Kind::stream, c) {}
};

struct Event : Object {
  unsigned flags = 0;
  OpRef op;                      // of the last record
  Capture *capture = nullptr;    // recorded in this capture
  std::vector<Node *> captured;  // after these nodes
  explicit Event(Context *c) : Object(Kind::event, c) {}
};

struct Module : Object {
  sim_module *image = nullptr;
  std::map<std::string, struct Function *> functions;
  explicit Module(Context *c) : Object(Kind::module, c) {}
};

struct Function : Object {
  Module *module = nullptr;
  const sim_kernel *kernel = nullptr;
  sim_kernel_info info{};
  int dynamic = -1;  // bytes of dynamic shared memory allowed by cuFuncSetAttribute; -1: not set
  explicit Function(Context *c) : Object(Kind::function, c) {}
};

struct Node : Object {
  Graph *graph = nullptr;
  Task task;
  int type = CU_NODE_EMPTY;
  Graph *child = nullptr;
  std::vector<Node *> after;
  explicit Node(Context *c) : Object(Kind::node, c) {}
};

struct Graph : Object {
  std::vector<Node *> nodes;
  bool owned = false;  // by a node of another graph, or being captured
  explicit Graph(Context *c) : Object(Kind::graph, c) {}
};

// A Plan is a graph as it was instantiated.
struct Plan {
  struct Item {
    Task task;
    Node *node;
    std::vector<size_t> after;
  };
  std::vector<Item> items;
};

struct Exec : Object {
  std::shared_ptr<Plan> plan;
  OpRef last;  // launches of one exec follow each other
  uint64_t flags = 0;
  explicit Exec(Context *c) : Object(Kind::exec, c) {}
};

struct Capture {
  Stream *origin = nullptr;
  Graph *graph = nullptr;
  int mode = 0;
  bool invalid = false;
  std::thread::id thread;
  uint64_t id = 0;
  std::map<Stream *, std::vector<Node *>> tips;  // the last nodes of each stream in it
};

struct Device {
  size_t total = 0, used = 0;
  bool lost = false;
  Context *primary = nullptr;
  int retained = 0;
  unsigned primary_flags = 0;
};

struct Context : Object {
  int device;
  bool primary = false;
  unsigned flags = 0;
  CUresult error = CUDA_SUCCESS;  // sticky
  Stream *legacy = nullptr;
  std::map<std::thread::id, Stream *> per_thread;
  std::set<Stream *> streams;  // alive
  std::set<Context *> peers;
  std::map<int, size_t> limits;
  uint64_t id = 0;
  explicit Context(int dev) : Object(Kind::context, nullptr), device(dev) { ctx = this; }
};

// The settings, from the environment.
struct Settings {
  uint64_t seed = 1;
  size_t memory = size_t(4) << 30;
  int devices = 1;
  int driver = 12040;
  int arch = 90;
  int sms = 132;
  std::map<std::string, long> fail;  // what -> at which time, from 1; 0: always
  bool quiet = false;
};

struct State {
  std::recursive_mutex lock;
  Settings set;
  bool started = false;  // cuInit has succeeded
  std::vector<Device> devices;
  std::unordered_map<const void *, Object *> objects;
  std::map<uintptr_t, Allocation> memory;  // by base
  std::map<uintptr_t, size_t> freed;       // bases of what was freed
  std::vector<Capture *> captures;         // going on
  std::vector<OpRef> pending;
  std::map<std::string, uint64_t> counts;
  std::string fault;  // the last one
  size_t leaked = 0;  // objects that were alive when their context was destroyed
  std::string leaks;
  uint64_t ops = 0;
};
State &state();

// What a thread has: a stack of contexts, its mode towards captures.
struct ThreadState {
  std::vector<Context *> stack;
  int mode = CU_CAPTURE_GLOBAL;
  bool inside = false;  // a host function that the simulator calls: no call of the driver is allowed
};
ThreadState &self();

// A Call is a call of the driver: it holds the lock, and knows whether it may go on.
class Call {
 public:
  // Flags of what a call needs.
  enum { initialized = 1, context = 2 };
  Call(const char *function, int needs = initialized | context);
  CUresult error = CUDA_SUCCESS;
  Context *ctx = nullptr;
  // fail notes why the call fails, and returns its code.
  CUresult fail(CUresult code, const char *format, ...) __attribute__((format(printf, 3, 4)));
  // unsafe is for calls that a capture forbids: they invalidate it.
  CUresult unsafe();
  // owned says what is wrong with an object that must be of this call's context.
  const char *function;

 private:
  std::unique_lock<std::recursive_mutex> hold;
};

// BEGIN opens each function of the driver; NEEDS_CONTEXT and BEGIN_ANY differ in what must be there.
#define BEGIN(what)                                  \
  sim::Call call(what);                              \
  if (call.error != CUDA_SUCCESS) return call.error; \
  sim::Context *ctx = call.ctx;                      \
  (void)ctx
#define BEGIN_ANY(what)                         \
  sim::Call call(what, sim::Call::initialized); \
  if (call.error != CUDA_SUCCESS) return call.error
#define REQUIRE(condition, code, ...)                      \
  do {                                                     \
    if (!(condition)) return call.fail(code, __VA_ARGS__); \
  } while (0)
#define TRY(expression)                    \
  do {                                     \
    CUresult try_ = (expression);          \
    if (try_ != CUDA_SUCCESS) return try_; \
  } while (0)

// cuda_state.cc
void log(const char *format, ...) __attribute__((format(printf, 1, 2)));
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));  // to stderr too
std::string text(const char *format, ...) __attribute__((format(printf, 1, 2)));
std::string vtext(const char *format, va_list args);
uint64_t draw();                  // the next number of the seed's sequence
bool injected(const char *what);  // GODCEM_SIM_FAIL says that this one fails
void count(const char *what);
double now();
const char *error_name(CUresult code);
// on_worker runs f on the simulator's own thread and waits for it.
void on_worker(const std::function<void()> &f);

// cuda_memory.cc
Allocation *allocation(const void *p, size_t size = 0);  // the one that holds p (and size bytes from there)
CUresult allocate(Call &call, Allocation::Kind kind, size_t size, unsigned flags, char **out);
void release(Allocation *a);
void open(Context *ctx);  // makes the memory accessible that a context's kernels may access
void open(Allocation *a);
void close_all();
bool slack_intact(std::string &err);

// cuda_queue.cc
CUresult enqueue(Call &call, Stream *s, Task task, OpRef *out = nullptr);
CUresult drain(Call &call, const std::vector<OpRef> &targets);
CUresult drain_context(Call &call, Context *ctx);
void forget(Context *ctx);  // drops its pending work
// stream_of resolves a handle, or says why it cannot be used.
CUresult stream_of(Call &call, CUstream h, Stream **out);

// cuda_task.cc
CUresult execute(Task &t, std::string &err);

// cuda_capture.cc
Node *add_node(Graph *g, Task task, std::vector<Node *> after, int type);
CUresult captured(Call &call, Stream *s, Task task);  // the stream is capturing: makes a node
CUresult implicit(Call &call, Stream *s);             // legacy stream while others capture
void abandon(Stream *s);                              // a stream that captures is destroyed
std::shared_ptr<Plan> plan(Graph *g);

// cuda_copy.cc
CUresult copy_task(Call &call, Task &t, const CUDA_MEMCPY3D &p, bool host_ok);

// cuda_device.cc
void destroy(Context *ctx);
void live(Context *ctx, std::string &list, size_t &n);  // objects alive in it

template <class T>
T *find(const void *handle) {
  auto it = state().objects.find(handle);
  if (it == state().objects.end() || it->second->dead) return nullptr;
  return dynamic_cast<T *>(it->second);
}

}  // namespace sim
