// The checking mode. Each 4 bytes (or, where somebody uses less, each byte) of memory that kernels touch have a
// record of who wrote them last and who has read them since, in this launch. An access is compared with those of
// other threads: something must have put the two into an order. Within a block this is a barrier, within a warp also
// __syncwarp(); shuffles do not order memory. Between blocks it is __threadfence() and then an atomic operation on
// the one side, and an atomic operation on the same address, later, on the other; a barrier passes on to its block
// what one of its threads has learnt so.
#include "check.h"

#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "rt.h"

#define SIM_API extern "C" __attribute__((visibility("default")))

sim_view sim_now;

namespace {

constexpr uintptr_t page_size = 4096;

// Who, and when: in which launch, and after how many barriers of the block and the warp.
struct moment {
  uint32_t launch = 0, block = 0, barriers = 0, warp_barriers = 0;
  uint16_t thread = 0;
  bool atomic = false;
};

struct record {
  moment write, reads[2];
};

struct shadow {
  uint8_t written[page_size / 8] = {};  // a bit per byte
  bool fine = false;                    // a record per byte; else per 4
  std::unique_ptr<record[]> records;

  record* at(uintptr_t offset) {
    if (!records) records.reset(new record[fine ? page_size : page_size / 4]);
    return &records[fine ? offset : offset / 4];
  }
  void refine() {
    if (fine) return;
    fine = true;
    if (!records) return;
    std::unique_ptr<record[]> old = std::move(records);
    records.reset(new record[page_size]);
    for (uintptr_t i = 0; i < page_size; i++) records[i] = old[i / 4];
  }
};

// What atomic operations on an address have published: the accesses of a block up to a fence.
struct published {
  uint32_t index, barriers, warp_barriers;
  uint16_t thread;
};
struct meeting {
  std::unordered_map<uint32_t, published> by_block;
  uint32_t count = 0;
};
// What a thread has learnt: all that was published at a meeting before a time.
struct knowledge {
  const meeting* at;
  uint32_t count;
};

struct fence {
  bool valid;
  uint32_t barriers, warp_barriers;
};

struct checker {
  std::map<uintptr_t, size_t> allocations;
  std::unordered_map<uintptr_t, shadow> pages;
  uintptr_t last_page = 0;
  shadow* last_shadow = nullptr;

  uint32_t launch = 0, block = 0, barriers = 0;
  uint32_t warp_barriers[SIM_MAX_THREADS / 32];
  std::unordered_map<uintptr_t, std::unique_ptr<meeting>> meetings;
  std::vector<knowledge> of_thread[SIM_MAX_THREADS], of_block;
  bool any_of_thread = false;
  fence fences[SIM_MAX_THREADS];

  // The image's own memory: constants and static variables.
  uintptr_t image = 0, image_end = 0;
};

checker C;

shadow* page(uintptr_t a) {
  uintptr_t number = a / page_size;
  if (C.last_shadow && C.last_page == number) return C.last_shadow;
  C.last_page = number;
  return C.last_shadow = &C.pages[number];
}

shadow* known_page(uintptr_t a) {
  auto i = C.pages.find(a / page_size);
  return i == C.pages.end() ? nullptr : &i->second;
}

moment now() {
  moment m;
  m.launch = C.launch, m.block = C.block, m.barriers = C.barriers;
  m.warp_barriers = C.warp_barriers[sim_now.thread / 32];
  m.thread = (uint16_t)sim_now.thread;
  return m;
}

bool knows(const std::vector<knowledge>& all, const moment& m) {
  for (const knowledge& k : all) {
    auto i = k.at->by_block.find(m.block);
    if (i == k.at->by_block.end() || i->second.index >= k.count) continue;
    const published& p = i->second;
    if (m.barriers < p.barriers || m.thread == p.thread ||
        (m.thread / 32 == p.thread / 32 && m.warp_barriers < p.warp_barriers)) {
      return true;
    }
  }
  return false;
}

// Whether a moment of the past comes before the current thread's now, or does not matter.
bool ordered(const moment& m, bool shared) {
  if (m.launch != C.launch) return true;
  if (m.block != C.block) return shared || knows(C.of_block, m) || knows(C.of_thread[sim_now.thread], m);
  return m.thread == sim_now.thread || m.barriers < C.barriers ||
         (m.thread / 32 == sim_now.thread / 32 && m.warp_barriers < C.warp_barriers[sim_now.thread / 32]);
}

std::string describe(uintptr_t a) {
  char b[160];
  if (a >= sim_now.shared_region && a < sim_now.shared_end) {
    snprintf(b, sizeof b, "shared memory at byte %td of %zu", (ptrdiff_t)(a - sim_now.shared),
             (size_t)(sim_now.shared_end - sim_now.shared));
    return b;
  }
  auto above = C.allocations.upper_bound(a), below = above;
  size_t before = SIZE_MAX, beyond = SIZE_MAX;  // how far the neighbours are
  if (above != C.allocations.end()) before = above->first - a;
  if (above != C.allocations.begin()) {
    --below;
    if (a < below->first + below->second) {
      snprintf(b, sizeof b, "address %#lx (byte %zu of an allocation of %zu)", (unsigned long)a,
               (size_t)(a - below->first), below->second);
      return b;
    }
    beyond = a - below->first - below->second;
  }
  constexpr size_t near = 1 << 20;
  if (beyond <= before && beyond < near) {
    snprintf(b, sizeof b, "address %#lx (%zu bytes beyond the end of an allocation of %zu)", (unsigned long)a, beyond,
             below->second);
    return b;
  }
  if (before < near) {
    snprintf(b, sizeof b, "address %#lx (%zu bytes before an allocation of %zu)", (unsigned long)a, before,
             above->second);
    return b;
  }
  snprintf(b, sizeof b, "address %#lx", (unsigned long)a);
  return b;
}

[[noreturn]] void race(const moment& m, bool before_wrote, int kind, unsigned long size, uintptr_t a) {
  const char* does = kind == SIM_READ ? "reads" : kind == SIM_WRITE ? "writes" : "changes atomically";
  const char* did = m.atomic ? "changed atomically" : before_wrote ? "wrote" : "read";
  if (m.block == C.block) {
    sim_stop(SIM_RACE, "%s %lu bytes of %s, which thread %u %s with no barrier in between", does, size,
             describe(a).c_str(), m.thread, did);
  }
  sim_stop(SIM_RACE,
           "%s %lu bytes of %s, which block %u, thread %u %s, with no fence and atomic operation in between", does,
           size, describe(a).c_str(), m.block, m.thread, did);
}

void compare(record* r, int kind, bool shared, unsigned long size, uintptr_t a, const moment& m) {
  bool atomic = kind == SIM_ATOMIC;
  if (!(atomic && r->write.atomic) && !ordered(r->write, shared)) race(r->write, true, kind, size, a);
  if (kind == SIM_READ) {
    // Two readers are kept: of one thread, or in order before this one, the older one may go.
    moment* to = &r->reads[0];
    if (!(to->thread == m.thread && to->block == m.block) && !ordered(*to, shared)) to = &r->reads[1];
    *to = m;
    return;
  }
  for (const moment& p : r->reads) {
    if (!ordered(p, shared)) race(p, false, kind, size, a);
  }
  r->write = m;
  r->write.atomic = atomic;
}

// The range of addresses of the image that a state belongs to.
int find_image(dl_phdr_info* info, size_t, void*) {
  uintptr_t lo = UINTPTR_MAX, hi = 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const auto& h = info->dlpi_phdr[i];
    if (h.p_type != PT_LOAD) continue;
    lo = std::min<uintptr_t>(lo, info->dlpi_addr + h.p_vaddr);
    hi = std::max<uintptr_t>(hi, info->dlpi_addr + h.p_vaddr + h.p_memsz);
  }
  if (sim_now.state < lo || sim_now.state >= hi) return 0;
  C.image = lo, C.image_end = hi;
  return 1;
}

// The first byte of a range that is not written; size: none.
unsigned long first_unwritten(uintptr_t a, unsigned long size) {
  for (unsigned long i = 0; i < size;) {
    shadow* s = known_page(a + i);
    uintptr_t offset = (a + i) % page_size;
    if (!s) return i;
    if (offset % 8 == 0 && size - i >= 8 && s->written[offset / 8] == 0xff) {
      i += 8;
      continue;
    }
    if (!(s->written[offset / 8] >> offset % 8 & 1)) return i;
    i++;
  }
  return size;
}

void set_written(uintptr_t a, size_t size, bool written) {
  for (size_t i = 0; i < size;) {
    shadow* s = page(a + i);
    uintptr_t offset = (a + i) % page_size;
    if (offset % 8 == 0 && size - i >= 8) {
      s->written[offset / 8] = written ? 0xff : 0;
      i += 8;
      continue;
    }
    if (written)
      s->written[offset / 8] |= 1 << offset % 8;
    else
      s->written[offset / 8] &= ~(1 << offset % 8);
    i++;
  }
}

void drop(uintptr_t a, size_t size) {
  C.last_shadow = nullptr;
  uintptr_t first = (a + page_size - 1) / page_size, end = (a + size) / page_size;
  for (uintptr_t p = first; p < end; p++) C.pages.erase(p);
  if (first > end) {
    set_written(a, size, false);
    return;
  }
  set_written(a, first * page_size - a, false);
  set_written(end * page_size, a + size - end * page_size, false);
}

struct holding {
  holding() { sim_hold(); }
  ~holding() { sim_let_go(); }
};

}  // namespace

void check_launch() {
  if (!sim_now.active) return;
  C.launch++;
  C.meetings.clear();
  C.image = C.image_end = 0;
  dl_iterate_phdr(find_image, nullptr);
}

void check_block(unsigned long number) {
  if (!sim_now.active) return;
  C.block = (uint32_t)number;
  C.barriers = 0;
  memset(C.warp_barriers, 0, sizeof C.warp_barriers);
  memset(C.fences, 0, sizeof C.fences);
  C.of_block.clear();
  if (C.any_of_thread) {
    for (auto& v : C.of_thread) v.clear();
    C.any_of_thread = false;
  }
  set_written(sim_now.shared, sim_now.shared_end - sim_now.shared, false);
}

void check_barrier() {
  if (!sim_now.active) return;
  C.barriers++;
  if (!C.any_of_thread) return;
  for (auto& v : C.of_thread) {
    C.of_block.insert(C.of_block.end(), v.begin(), v.end());
    v.clear();
  }
  C.any_of_thread = false;
}

void check_warp(unsigned warp) {
  if (!sim_now.active) return;
  C.warp_barriers[warp]++;
  if (!C.any_of_thread) return;
  std::vector<knowledge> all;
  for (unsigned i = warp * 32; i < warp * 32 + 32; i++)
    all.insert(all.end(), C.of_thread[i].begin(), C.of_thread[i].end());
  if (all.empty()) return;
  for (unsigned i = warp * 32; i < warp * 32 + 32; i++) C.of_thread[i] = all;
}

void check_fence() {
  if (!sim_now.active) return;
  C.fences[sim_now.thread] = {true, C.barriers, C.warp_barriers[sim_now.thread / 32]};
}

void check_access(const void* p, unsigned long size, int kind, const void*) {
  if (!sim_now.active || !size) return;
  uintptr_t a = (uintptr_t)p;
  if (a >= sim_now.state && a < sim_now.state + sizeof(sim_state)) return;  // threadIdx and its kin
  if (a >= sim_now.stacks && a < sim_now.stacks_end) {
    if (a < sim_now.stack || a >= sim_now.stack_end)
      sim_stop(SIM_RACE, "uses local memory of another thread, at address %#lx", (unsigned long)a);
    return;
  }
  const char* does = kind == SIM_READ ? "reads" : kind == SIM_WRITE ? "writes" : "changes atomically";
  if (size <= 16 && (size & (size - 1)) == 0 && a % size) {
    sim_stop(SIM_MISALIGNED, "%s %lu bytes of %s, which is not a multiple of %lu", does, size, describe(a).c_str(),
             size);
  }
  bool shared =
      a >= sim_now.shared_region && a < sim_now.shared_end + (1 << 20) && sim_now.shared_end > sim_now.shared_region;
  bool own = a >= C.image && a < C.image_end;
  bool bounded = shared || own;
  if (shared && (a < sim_now.shared || a + size > sim_now.shared_end)) {
    sim_stop(SIM_ILLEGAL, "%s %lu bytes of shared memory at byte %td of %zu", does, size,
             (ptrdiff_t)(a - sim_now.shared), (size_t)(sim_now.shared_end - sim_now.shared));
  }
  if (!bounded && !C.allocations.empty()) {
    auto i = C.allocations.upper_bound(a);
    if (i == C.allocations.begin() || (--i, a + size > i->first + i->second)) {
      sim_stop(SIM_ILLEGAL, "%s %lu bytes of %s, which is not allocated", does, size, describe(a).c_str());
    }
    bounded = true;
  }
  if (bounded && !own) {
    if (kind != SIM_WRITE) {
      unsigned long i = first_unwritten(a, size);
      if (i < size)
        sim_stop(SIM_UNINIT, "%s %lu bytes of %s, which nobody has written", does, size, describe(a + i).c_str());
    } else {
      set_written(a, size, true);
    }
  }
  moment m = now();
  bool whole = a % 4 == 0 && size % 4 == 0;
  for (unsigned long i = 0; i < size;) {
    shadow* s = page(a + i);
    if (!whole) s->refine();
    record* r = s->at((a + i) % page_size);
    compare(r, kind, shared, size, a, m);
    i += s->fine ? 1 : 4;
  }
  if (kind != SIM_ATOMIC || shared) return;
  std::unique_ptr<meeting>& at = C.meetings[a];
  if (!at) at.reset(new meeting);
  if (at->count) {
    C.of_thread[sim_now.thread].push_back({at.get(), at->count});
    C.any_of_thread = true;
  }
  const fence& f = C.fences[sim_now.thread];
  if (f.valid) at->by_block[C.block] = {at->count++, f.barriers, f.warp_barriers, (uint16_t)sim_now.thread};
}

SIM_API int sim_checking(void) {
  static const bool on = [] {
    const char* s = getenv("GODCEM_SIM_CHECK");
    return s && *s == '1';
  }();
  return on;
}

SIM_API void sim_memory_add(const void* base, size_t size) {
  if (!sim_checking() || !size) return;
  holding h;
  drop((uintptr_t)base, size);
  C.allocations[(uintptr_t)base] = size;
}

SIM_API void sim_memory_remove(const void* base) {
  if (!sim_checking()) return;
  holding h;
  auto i = C.allocations.find((uintptr_t)base);
  if (i == C.allocations.end()) return;
  drop(i->first, i->second);
  C.allocations.erase(i);
}

SIM_API void sim_memory_written(const void* p, size_t size) {
  if (!sim_checking()) return;
  holding h;
  set_written((uintptr_t)p, size, true);
}

SIM_API void sim_memory_unknown(const void* p, size_t size) {
  if (!sim_checking()) return;
  holding h;
  set_written((uintptr_t)p, size, false);
}

// What no allocation has counts as written: the host's memory.
SIM_API void sim_memory_copied(const void* dst, const void* src, size_t size) {
  if (!sim_checking()) return;
  holding h;
  uintptr_t d = (uintptr_t)dst, s = (uintptr_t)src;
  auto i = C.allocations.upper_bound(s);
  bool device = i != C.allocations.begin() && (--i, s < i->first + i->second);
  std::vector<bool> state(size);
  for (size_t k = 0; k < size; k++) state[k] = !device || first_unwritten(s + k, 1) == 1;
  for (size_t k = 0; k < size; k++) set_written(d + k, 1, state[k]);
}

SIM_API const void* sim_memory_unwritten(const void* p, size_t size) {
  if (!sim_checking()) return nullptr;
  holding h;
  unsigned long i = first_unwritten((uintptr_t)p, size);
  return i < size ? (const char*)p + i : nullptr;
}
