#include "rt.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <mutex>
#include <string>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#include "check.h"
#include "image.h"

#define SIM_API extern "C" __attribute__((visibility("default")))

struct sim_kernel {
  const sim_module* module;
  const sim_entry* entry;
  sim_state* state;
};

struct sim_module {
  void* handle;
  const sim_image* image;
  std::vector<sim_kernel> kernels;
};

namespace {

constexpr int max_threads = SIM_MAX_THREADS;
constexpr size_t stack_size = 128 << 10;
constexpr size_t page = 4096;
constexpr size_t shared_room = (SIM_MAX_SHARED + page - 1) / page * page;
constexpr size_t shared_guard = 1 << 20;  // on both sides of the shared memory

void say(char* err, size_t n, const char* format, ...) {
  if (!err || !n) return;
  va_list args;
  va_start(args, format);
  vsnprintf(err, n, format, args);
  va_end(args);
}

// ---- Fibers: a stack and a place to go on. Callee-saved registers lie on the stack.

#if defined(__x86_64__)
asm(R"(
.text
.p2align 4
.type sim_switch, @function
sim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size sim_switch, .-sim_switch
)");
#elif defined(__aarch64__)
asm(R"(
.text
.p2align 4
.type sim_switch, %function
sim_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size sim_switch, .-sim_switch
)");
#else
#error "the block executor knows x86-64 and arm64"
#endif
extern "C" __attribute__((visibility("hidden"))) void sim_switch(void** save, void* load);

struct fiber {
  void* sp = nullptr;
  unsigned char* stack = nullptr;  // its lowest byte
  bool begun = false;
  void* fake = nullptr;  // AddressSanitizer's part of its stack
};

enum status : unsigned char { fresh, ready, at_barrier, at_warp, done };

struct thread {
  fiber* on;
  status state;
  unsigned char op;
  const char* at;
  int source, pred;
  unsigned mask;
  unsigned long long value;  // given to a collective, and its result
};

struct random_numbers {
  uint64_t s;
  uint64_t next() {
    uint64_t z = s += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  unsigned below(unsigned n) { return (unsigned)((next() >> 32) * n >> 32); }
};

unsigned gcd(unsigned a, unsigned b) { return b ? gcd(b, a % b) : a; }

// An order of n things: i -> (a*i + b) mod n, with a that has no divisor in common with n.
struct order {
  uint64_t n, a, b;
  order(unsigned count, random_numbers* r) : n(count), a(1), b(0) {
    if (n < 2) return;
    b = r->below(count);
    do a = 1 + r->below(count - 1);
    while (gcd((unsigned)a, count) != 1);
  }
  unsigned at(uint64_t i) const { return (unsigned)((a * i + b) % n); }
};

// The executor. There is one; a launch has it to itself.
struct executor {
  std::mutex lock;
  volatile bool running = false;
  pthread_t owner;

  const sim_kernel* kernel = nullptr;
  sim_state* state = nullptr;
  void* const* params = nullptr;
  unsigned threads = 0, finished = 0;
  uint3 block_dim, grid_dim;
  random_numbers random;

  thread t[max_threads];
  fiber fibers[max_threads];
  std::vector<fiber*> idle;
  unsigned current = 0;
  fiber* on = nullptr;  // the fiber that runs; NULL: main
  fiber main;           // whose stack is the caller's
  size_t main_size = 0;
  bool from_main = false;  // the last switch was
  unsigned queue[max_threads], head = 0, queued = 0;
  unsigned waiting = 0;  // at the barrier
  int barrier_count = 0;

  unsigned char* shared = nullptr;  // SIM_MAX_SHARED bytes before a guard page
  size_t shared_size = 0;
  unsigned char* stacks = nullptr;
  size_t stacks_size = 0;
  unsigned char* emergency = nullptr;

  int error = 0;
  char text[1024];
  // Of a fault, from the signal's handler.
  int fault_signal = 0;
  bool fault_known = false;  // its address
  uintptr_t fault_address = 0;
};

executor X;

// AddressSanitizer learns that a switch is done, and we where the caller's stack is.
void arrived(void* fake) {
#ifdef __SANITIZE_ADDRESS__
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(fake, &bottom, &size);
  if (X.from_main) X.main.stack = (unsigned char*)bottom, X.main_size = size;
#else
  (void)fake;
#endif
}

// Goes on with another fiber, until somebody comes back. ended: nobody will.
void go(fiber* to, bool ended = false) {
  fiber* from = X.on ? X.on : &X.main;
  X.from_main = from == &X.main;
  X.on = to == &X.main ? nullptr : to;
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(ended ? nullptr : &from->fake, to->stack, to == &X.main ? X.main_size : stack_size);
#endif
  void* forget;
  sim_switch(ended ? &forget : &from->sp, to->sp);
  arrived(from->fake);
}

void push(unsigned id) { X.queue[(X.head + X.queued++) % max_threads] = id; }

void push_in_order(unsigned first, unsigned n) {
  order o(n, &X.random);
  for (unsigned i = 0; i < n; i++) push(first + o.at(i));
}

void set_current(unsigned id) {
  X.current = sim_now.thread = id;
  unsigned x = X.block_dim.x, y = X.block_dim.y;
  X.state->thread = id < x ? uint3{id, 0, 0} : uint3{id % x, id / x % y, id / x / y};
}

std::string place() {
  char b[256];
  const uint3 &g = X.state->block, &t = X.state->thread;
  if (X.grid_dim.y * X.grid_dim.z * X.block_dim.y * X.block_dim.z == 1) {
    snprintf(b, sizeof b, "kernel %s, block %u, thread %u", X.kernel->entry->name, g.x, t.x);
  } else {
    snprintf(b, sizeof b, "kernel %s, block (%u, %u, %u), thread (%u, %u, %u)", X.kernel->entry->name, g.x, g.y, g.z,
             t.x, t.y, t.z);
  }
  return b;
}

// Ends the launch with an error, from within a fiber or from main.
void stop(int code, const char* format, ...) {
  char b[512];
  va_list args;
  va_start(args, format);
  vsnprintf(b, sizeof b, format, args);
  va_end(args);
  if (!X.error) {
    X.error = code;
    snprintf(X.text, sizeof X.text, "%s: %s", place().c_str(), b);
  }
  if (X.on) go(&X.main, true);
}

void dispatch();

extern "C" __attribute__((visibility("hidden"))) void sim_fiber_main() {
  arrived(nullptr);
  for (;;) {
    X.kernel->entry->run(X.params);
    X.t[X.current].state = done;
    X.finished++;
    // The next, if it has not begun, on this same fiber: kernels without barriers are a loop.
    if (X.queued && X.t[X.queue[X.head]].state == fresh) {
      unsigned id = X.queue[X.head];
      X.head = (X.head + 1) % max_threads, X.queued--;
      X.t[id].on = X.on;
      X.t[id].state = ready;
      set_current(id);
      continue;
    }
    X.idle.push_back(X.on);
    dispatch();
  }
}

void begin(fiber* f) {
  f->begun = true;
  f->fake = nullptr;
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(f->stack, stack_size);  // a fiber before it may have been left in the middle
#endif
  void** sp = (void**)(f->stack + stack_size);
#if defined(__x86_64__)
  *--sp = nullptr;  // where a return address would be, so that the stack is aligned as after a call
  *--sp = (void*)sim_fiber_main;
  for (int i = 0; i < 6; i++) *--sp = nullptr;
#else
  sp -= 20;
  memset(sp, 0, 160);
  sp[11] = (void*)sim_fiber_main;  // x30
#endif
  f->sp = sp;
}

void report_stuck();

// Goes on with the next thread, or with main where there is none; it returns when the current thread may go on.
void dispatch() {
  if (!X.queued) {
    if (X.finished < X.threads) report_stuck();
    go(&X.main);
    return;
  }
  unsigned id = X.queue[X.head];
  X.head = (X.head + 1) % max_threads, X.queued--;
  thread& t = X.t[id];
  if (t.state == fresh) {
    t.on = X.idle.back();
    X.idle.pop_back();
    if (!t.on->begun) begin(t.on);
  }
  t.state = ready;
  set_current(id);
  fiber* to = t.on;
  sim_now.stack = (uintptr_t)to->stack;
  sim_now.stack_end = sim_now.stack + stack_size;
  if (to != X.on) go(to);  // else the only one to go on is the one that asks
}

bool same(const char* a, const char* b) { return a == b || strcmp(a, b) == 0; }

// Nobody can go on, but not all have ended.
void report_stuck() {
  unsigned one = max_threads, other = max_threads;
  for (unsigned i = 0; i < X.threads; i++) {
    if (X.t[i].state == at_warp || (X.t[i].state == at_barrier && one == max_threads)) one = i;
  }
  const thread& t = X.t[one];
  for (unsigned i = 0; i < X.threads && other == max_threads; i++) {
    const thread& u = X.t[i];
    bool differs = u.state != t.state || (u.state != done && !same(u.at, t.at));
    if (differs && (t.state == at_barrier || (i / 32 == one / 32 && t.mask >> i % 32 & 1))) other = i;
  }
  set_current(one);
  const char* what =
      t.state == at_barrier ? "waits at the barrier" : "waits at the warp's shuffle, ballot or barrier";
  if (other == max_threads) {
    stop(SIM_BARRIER, "%s of %s for threads that never come", what, t.at);
  } else if (X.t[other].state == done) {
    stop(SIM_BARRIER, "%s of %s, but thread %u has ended", what, t.at, other);
  } else {
    stop(SIM_BARRIER, "%s of %s, but thread %u waits at %s", what, t.at, other, X.t[other].at);
  }
}

int do_barrier(const char* at, int pred) {
  thread& t = X.t[X.current];
  t.at = at;
  t.pred = pred;
  t.state = at_barrier;
  if (++X.waiting < X.threads) {
    dispatch();
    return X.barrier_count;
  }
  int count = 0;
  for (unsigned i = 0; i < X.threads; i++) {
    if (!same(X.t[i].at, at)) {
      stop(SIM_BARRIER, "is at the barrier of %s while thread %u is at that of %s", at, i, X.t[i].at);
    }
    count += X.t[i].pred;
  }
  X.waiting = 0;
  X.barrier_count = count;
  check_barrier();
  push_in_order(0, X.threads);
  dispatch();
  return X.barrier_count;
}

unsigned long long do_warp(int op, unsigned mask, unsigned long long value, int source, const char* at) {
  unsigned id = X.current, first = id / 32 * 32, lanes = X.threads - first < 32 ? X.threads - first : 32;
  unsigned lane = id - first;
  if (lanes < 32) mask &= (1u << lanes) - 1;
  thread& t = X.t[id];
  if (!(mask >> lane & 1)) stop(SIM_BARRIER, "%s: lane %u is not in the mask %08x that it gives", at, lane, mask);
  if (op == SIM_WARP_SHUFFLE && (source < 0 || source > 31 || !(mask >> source & 1))) {
    stop(SIM_BARRIER, "%s: a shuffle reads lane %d, which is not in the mask %08x", at, source, mask);
  }
  t.op = (unsigned char)op, t.mask = mask, t.value = value, t.source = source, t.at = at;
  t.state = at_warp;
  for (unsigned i = 0; i < lanes; i++) {
    if (!(mask >> i & 1)) continue;
    const thread& u = X.t[first + i];
    if (u.state != at_warp) {
      dispatch();
      return t.value;
    }
    if (u.op != op || u.mask != mask || !same(u.at, at)) {
      stop(SIM_BARRIER, "is at the warp's operation of %s (mask %08x) while lane %u is at that of %s (mask %08x)", at,
           mask, i, u.at, u.mask);
    }
  }
  unsigned ballot = 0;
  unsigned long long values[32];
  for (unsigned i = 0; i < lanes; i++) {
    values[i] = X.t[first + i].value;
    if (mask >> i & 1 && values[i]) ballot |= 1u << i;
  }
  order o(lanes, &X.random);
  for (unsigned k = 0; k < lanes; k++) {
    unsigned i = o.at(k);
    if (!(mask >> i & 1)) continue;
    thread& u = X.t[first + i];
    if (op == SIM_WARP_SHUFFLE) u.value = values[u.source];
    if (op == SIM_WARP_BALLOT) u.value = ballot;
    u.state = ready;
    push(first + i);
  }
  if (op == SIM_WARP_SYNC && mask == (lanes < 32 ? (1u << lanes) - 1 : ~0u)) check_warp(first / 32);
  dispatch();
  return t.value;
}

void do_misaligned(const void* p, unsigned align, const char* file, unsigned line) {
  if (!p) stop(SIM_ILLEGAL, "%s:%u: access to address 0", file, line);
  stop(SIM_MISALIGNED, "%s:%u: access to address %p, which is not a multiple of %u", file, line, p, align);
}

void do_trap(const char* at) { stop(SIM_ASSERT, "__trap() at %s", at); }

// ---- Faults.

struct sigaction previous[NSIG];
const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

extern "C" __attribute__((visibility("hidden"))) void sim_fault_landing() {
  uintptr_t a = X.fault_address;
  const unsigned char* p = (const unsigned char*)a;
  if (X.fault_signal == SIGFPE) {
    stop(SIM_ASSERT, "a whole number divided by 0");
  } else if (X.fault_signal == SIGILL) {
    stop(SIM_ASSERT, "an illegal instruction");
  } else if (!X.fault_known) {
    stop(SIM_ILLEGAL, "access to an address that cannot be one");
  } else if (p >= X.shared - shared_guard && p < X.shared + SIM_MAX_SHARED + shared_guard) {
    stop(SIM_ILLEGAL, "access to shared memory at byte %td of %zu", p - (X.shared + SIM_MAX_SHARED - X.shared_size),
         X.shared_size);
  } else if (p >= X.stacks && p < X.stacks + X.stacks_size) {
    stop(SIM_ILLEGAL, "the stack of the thread overflows (%zu bytes)", stack_size);
  } else {
    stop(SIM_ILLEGAL, "access to address %#lx, where there is no memory", (unsigned long)a);
  }
  abort();
}

void on_fault(int sig, siginfo_t* info, void* context) {
  if (X.running && X.on && pthread_equal(pthread_self(), X.owner)) {
    X.fault_signal = sig;
    X.fault_address = (uintptr_t)info->si_addr;
    X.fault_known = info->si_code > 0 && info->si_code != SI_KERNEL;
    ucontext_t* c = (ucontext_t*)context;
    uintptr_t sp = (uintptr_t)X.emergency + stack_size - 64;
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(X.emergency + stack_size / 2, stack_size / 2);
#endif
#if defined(__x86_64__)
    c->uc_mcontext.gregs[REG_RSP] = (greg_t)(sp - 8);
    c->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)sim_fault_landing;
#else
    c->uc_mcontext.sp = sp;
    c->uc_mcontext.pc = (uintptr_t)sim_fault_landing;
#endif
    return;
  }
  struct sigaction* old = &previous[sig];
  if (old->sa_flags & SA_SIGINFO) {
    old->sa_sigaction(sig, info, context);
  } else if (old->sa_handler == SIG_DFL || old->sa_handler == SIG_IGN) {
    sigaction(sig, old, nullptr);  // it comes again at once
  } else {
    old->sa_handler(sig);
  }
}

bool prepare(char* err, size_t n) {
  static bool ready = false;
  if (ready) return true;
  size_t guard = page, each = stack_size + guard;
  X.stacks_size = each * (max_threads + 1) + guard;
  X.stacks =
      (unsigned char*)mmap(nullptr, X.stacks_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  unsigned char* s = (unsigned char*)mmap(nullptr, shared_room + 2 * shared_guard, PROT_NONE,
                                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (X.stacks == MAP_FAILED || s == MAP_FAILED || mprotect(s + shared_guard, shared_room, PROT_READ | PROT_WRITE)) {
    say(err, n, "no memory for the threads of a block: %s", strerror(errno));
    return false;
  }
  X.shared = s + shared_guard + shared_room - SIM_MAX_SHARED;
  for (int i = 0; i <= max_threads; i++) {
    unsigned char* stack = X.stacks + guard + i * each;
    if (mprotect(stack, stack_size, PROT_READ | PROT_WRITE)) {
      say(err, n, "no memory for the threads of a block: %s", strerror(errno));
      return false;
    }
    (i < max_threads ? X.fibers[i].stack : X.emergency) = stack;
  }
  for (int sig : fault_signals) {
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_sigaction = on_fault;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigfillset(&a.sa_mask);
    sigaction(sig, &a, &previous[sig]);
  }
  ready = true;
  return true;
}

// Runs one block.
void run_block() {
  X.finished = X.waiting = X.head = X.queued = 0;
  X.idle.clear();
  for (int i = max_threads; i-- > 0;) X.idle.push_back(&X.fibers[i]);
  for (unsigned i = 0; i < X.threads; i++) X.t[i].state = fresh;
  memset(X.shared + SIM_MAX_SHARED - X.shared_size, 0xff, X.shared_size);  // NaN, if anybody reads it
  check_block(X.state->block.x + X.grid_dim.x * (X.state->block.y + X.grid_dim.y * X.state->block.z));
  push_in_order(0, X.threads);
  dispatch();
  if (X.error) {
    for (fiber& f : X.fibers) f.begun = false;
  }
}

}  // namespace

void sim_stop(int code, const char* format, ...) {
  char b[512];
  va_list args;
  va_start(args, format);
  vsnprintf(b, sizeof b, format, args);
  va_end(args);
  stop(code, "%s", b);
  abort();
}
void sim_hold() { X.lock.lock(); }
void sim_let_go() { X.lock.unlock(); }

// ---- The interface.

SIM_API int sim_module_load(const void* image, size_t size, sim_module** out, char* err, size_t n) {
  const unsigned char* b = (const unsigned char*)image;
  if (!image || !out) return say(err, n, "sim_module_load: no image"), SIM_INVALID;
  if ((size && size < 16) || memcmp(b, "SIMCUBIN", 8) != 0) {
    return say(err, n, "not an image of the simulated NVRTC (it begins with SIMCUBIN)"), SIM_INVALID;
  }
  uint64_t length = 0;
  for (int i = 0; i < 8; i++) length |= (uint64_t)b[8 + i] << 8 * i;
  if ((size && length > size - 16) || length == 0 || length > 1u << 30) {
    return say(err, n, "an image of %zu bytes that says it has %llu", size, (unsigned long long)length + 16),
           SIM_INVALID;
  }
  const char* tmp = getenv("TMPDIR");
  std::string path = std::string(tmp && *tmp ? tmp : "/tmp") + "/godcem-image-XXXXXX";
  int fd = mkstemp(&path[0]);
  if (fd < 0) return say(err, n, "%s: %s", path.c_str(), strerror(errno)), SIM_WORLD;
  for (uint64_t at = 0; at < length;) {
    ssize_t k = write(fd, b + 16 + at, length - at);
    if (k < 0 && errno == EINTR) continue;
    if (k <= 0) {
      say(err, n, "%s: %s", path.c_str(), strerror(errno));
      close(fd);
      unlink(path.c_str());
      return SIM_WORLD;
    }
    at += k;
  }
  close(fd);
  void* h = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* why = h ? nullptr : dlerror();
  if (!h) say(err, n, "the image does not load: %s", why);
  unlink(path.c_str());
  if (!h) return SIM_INVALID;
  const sim_image* im = (const sim_image*)dlsym(h, "sim_image_table");
  if (!im || im->abi != SIM_ABI) {
    dlclose(h);
    return say(err, n, "the image is of another version of the simulator"), SIM_INVALID;
  }
  if (sim_checking() && !im->checked) {
    dlclose(h);
    return say(err, n, "GODCEM_SIM_CHECK is set, but the image was compiled without it"), SIM_INVALID;
  }
  sim_module* m = new sim_module{h, im, {}};
  for (int i = 0; i < im->count; i++) m->kernels.push_back({m, &im->entries[i], im->state});
  sim_state& s = *im->state;
  s.barrier = do_barrier;
  s.warp = do_warp;
  s.access = check_access;
  s.fence = check_fence;
  s.misaligned = do_misaligned;
  s.trap = do_trap;
  *out = m;
  return SIM_OK;
}

SIM_API void sim_module_unload(sim_module* m) {
  if (!m) return;
  std::lock_guard<std::mutex> hold(X.lock);
  dlclose(m->handle);
  delete m;
}

SIM_API int sim_module_count(const sim_module* m) { return (int)m->kernels.size(); }
SIM_API const sim_kernel* sim_module_at(const sim_module* m, int i) {
  return i < 0 || i >= (int)m->kernels.size() ? nullptr : &m->kernels[i];
}
SIM_API const sim_kernel* sim_module_kernel(const sim_module* m, const char* name) {
  for (const sim_kernel& k : m->kernels) {
    if (strcmp(k.entry->name, name) == 0) return &k;
  }
  return nullptr;
}

SIM_API sim_kernel_info sim_kernel_describe(const sim_kernel* k) {
  const sim_entry* e = k->entry;
  return {e->name, e->params, e->sizes, e->shared, e->max_threads};
}

SIM_API int sim_launch(const sim_kernel* k, const unsigned grid[3], const unsigned block[3], size_t dynamic,
                       void* const* params, uint64_t seed, char* err, size_t n) {
  const sim_entry* e = k->entry;
  uint64_t threads = (uint64_t)block[0] * block[1] * block[2];
  if (!block[0] || !block[1] || !block[2] || threads > SIM_MAX_THREADS || block[0] > 1024 || block[1] > 1024 ||
      block[2] > 64) {
    return say(err, n, "kernel %s: a block of %u x %u x %u threads, want 1 to %d", e->name, block[0], block[1],
               block[2], SIM_MAX_THREADS),
           SIM_INVALID;
  }
  if (threads > (uint64_t)e->max_threads) {
    return say(err, n, "kernel %s: a block of %u threads, its __launch_bounds__ say %d", e->name, (unsigned)threads,
               e->max_threads),
           SIM_INVALID;
  }
  if (!grid[0] || !grid[1] || !grid[2] || grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535) {
    return say(err, n, "kernel %s: a grid of %u x %u x %u blocks, want 1 to 2147483647 x 65535 x 65535", e->name,
               grid[0], grid[1], grid[2]),
           SIM_INVALID;
  }
  if (e->shared > SIM_MAX_STATIC_SHARED || e->shared + dynamic > SIM_MAX_SHARED) {
    return say(err, n,
               "kernel %s: %lu bytes of static and %zu of dynamic shared memory, want at most %d, and %d together",
               e->name, e->shared, dynamic, SIM_MAX_STATIC_SHARED, SIM_MAX_SHARED),
           SIM_INVALID;
  }
  size_t bytes = 0;
  for (int i = 0; i < e->params; i++) bytes += e->sizes[i];
  if (bytes > SIM_MAX_PARAMS) {
    return say(err, n, "kernel %s: %zu bytes of arguments, want at most %d", e->name, bytes, SIM_MAX_PARAMS),
           SIM_INVALID;
  }
  std::lock_guard<std::mutex> hold(X.lock);
  if (!prepare(err, n)) return SIM_WORLD;
  X.kernel = k, X.state = k->state, X.params = params;
  X.threads = (unsigned)threads;
  X.block_dim = {block[0], block[1], block[2]};
  X.grid_dim = {grid[0], grid[1], grid[2]};
  X.random.s = seed;
  X.error = 0;
  size_t fixed = (e->shared + 15) / 16 * 16, moving = (dynamic + 15) / 16 * 16;
  X.shared_size = fixed + moving;
  X.state->block_dim = X.block_dim, X.state->grid_dim = X.grid_dim;
  X.state->shared = X.shared + SIM_MAX_SHARED - X.shared_size;
  X.state->dynamic = X.state->shared + fixed;
  // A fault must be handled on another stack than the one that may have caused it. Threads of Go have one.
  stack_t before, mine;
  bool lent = sigaltstack(nullptr, &before) == 0 && before.ss_flags & SS_DISABLE;
  if (lent) {
    memset(&mine, 0, sizeof mine);
    mine.ss_sp = X.emergency, mine.ss_size = stack_size / 2;
    sigaltstack(&mine, nullptr);
  }
  X.owner = pthread_self();
  X.running = true;
  sim_now.active = k->module->image->checked != 0;
  sim_now.threads = X.threads;
  sim_now.stacks = (uintptr_t)X.stacks, sim_now.stacks_end = sim_now.stacks + X.stacks_size;
  sim_now.shared = (uintptr_t)X.state->shared;
  sim_now.shared_region = (uintptr_t)X.shared, sim_now.shared_end = sim_now.shared_region + SIM_MAX_SHARED;
  sim_now.state = (uintptr_t)k->state;
  check_launch();
  uint64_t blocks = (uint64_t)grid[0] * grid[1] * grid[2];
  order rows(grid[0], &X.random);
  for (uint64_t i = 0; i < blocks && !X.error; i++) {
    X.state->block = {rows.at(i % grid[0]), (unsigned)(i / grid[0] % grid[1]), (unsigned)(i / grid[0] / grid[1])};
    run_block();
  }
  X.running = sim_now.active = false;
  if (lent) sigaltstack(&before, nullptr);
  if (X.error) {
    say(err, n, "%s", X.text);
    return X.error;
  }
  return SIM_OK;
}
