// Memory: of devices, managed, pinned.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "cuda_state.h"

namespace sim {

static const size_t kPage = size_t(sysconf(_SC_PAGESIZE));
static const size_t kAlign = 256;           // of what cuMemAlloc returns
static const size_t kGuard = 16 << 20;      // addresses on either side of an allocation that fault
static const unsigned char kPoison = 0xff;  // NaN as float and as double, -1 as an integer

static size_t up(size_t n, size_t to) { return (n + to - 1) / to * to; }

Allocation *allocation(const void *p, size_t size) {
  auto &m = state().memory;
  auto it = m.upper_bound(uintptr_t(p));
  if (it == m.begin()) return nullptr;
  Allocation &a = (--it)->second;
  size_t at = size_t(static_cast<const char *>(p) - a.base);
  if (at > a.size || size > a.size - at || (at == a.size && size == 0 && a.size > 0)) return nullptr;
  return &a;
}

// allocate makes an allocation of its own pages, between guards. It is put at the end of them, so that what goes
// beyond it faults; one in four is put at their start, so that what goes below it does.
CUresult allocate(Call &call, Allocation::Kind kind, size_t size, unsigned flags, char **out) {
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the address");
  REQUIRE(size > 0, CUDA_ERROR_INVALID_VALUE, "0 bytes");
  TRY(call.unsafe());
  Device &d = state().devices[size_t(call.ctx->device)];
  bool on_device = kind == Allocation::device || kind == Allocation::managed;
  if (on_device) {
    count("alloc");
    REQUIRE(!injected("oom"), CUDA_ERROR_OUT_OF_MEMORY, "%zu bytes: as GODCEM_SIM_FAIL has it", size);
    REQUIRE(size <= d.total && up(size, 512) <= d.total - d.used, CUDA_ERROR_OUT_OF_MEMORY,
            "%zu bytes, where %zu of %zu are free", size, d.total - d.used, d.total);
  } else {
    count("pinned");
  }
  size_t body = up(size, kAlign), paged = up(body, kPage);
  char *at = static_cast<char *>(
      mmap(nullptr, paged + 2 * kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  REQUIRE(at != MAP_FAILED, CUDA_ERROR_OUT_OF_MEMORY, "%zu bytes: the host has no memory: %s", size, strerror(errno));
  char *pages = at + kGuard;
  if (mprotect(pages, paged, PROT_READ | PROT_WRITE)) {
    munmap(at, paged + 2 * kGuard);
    return call.fail(CUDA_ERROR_OUT_OF_MEMORY, "%zu bytes: the host has no memory: %s", size, strerror(errno));
  }
  memset(pages, kPoison, paged);
  char *base = draw() % 4 ? pages + paged - body : pages;
  if (kind == Allocation::device) mprotect(pages, paged, PROT_NONE);
  state().memory[uintptr_t(base)] = Allocation{kind, call.ctx, base, size, pages, paged, flags};
  if (on_device) d.used += up(size, 512);
  sim_memory_add(base, size);
  // Hosts write their memory unseen.
  if (kind != Allocation::device) sim_memory_written(base, size);
  log("%s: %zu bytes at %p", call.function, size, static_cast<void *>(base));
  *out = base;
  return CUDA_SUCCESS;
}

// release ends an allocation. Its addresses are never used again, and fault.
void release(Allocation *a) {
  sim_memory_remove(a->base);
  if (a->kind == Allocation::device || a->kind == Allocation::managed)
    state().devices[size_t(a->ctx->device)].used -= up(a->size, 512);
  if (a->kind != Allocation::registered)
    mmap(a->pages, a->paged, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  state().freed[uintptr_t(a->base)] = a->size;
  state().memory.erase(uintptr_t(a->base));
}

void open(Allocation *a) {
  if (a->kind != Allocation::device || a->open) return;
  mprotect(a->pages, a->paged, PROT_READ | PROT_WRITE);
  a->open = true;
}

void open(Context *ctx) {
  for (auto &entry : state().memory) {
    Allocation &a = entry.second;
    if (a.kind != Allocation::device) continue;
    bool may = a.ctx == ctx || ctx->peers.count(a.ctx);
    if (may) {
      open(&a);
    } else if (a.open) {
      mprotect(a.pages, a.paged, PROT_NONE);
      a.open = false;
    }
  }
}

void close_all() {
  for (auto &entry : state().memory) {
    Allocation &a = entry.second;
    if (!a.open) continue;
    mprotect(a.pages, a.paged, PROT_NONE);
    a.open = false;
  }
}

// slack_intact says whether the bytes around the open allocations are as they were, and mends them.
bool slack_intact(std::string &err) {
  bool ok = true;
  for (auto &entry : state().memory) {
    Allocation &a = entry.second;
    if (!a.open) continue;
    char *end = a.base + a.size, *last = a.pages + a.paged;
    for (char *p = a.pages; p < last; p++) {
      if (p == a.base) p = end;
      if (p >= last) break;
      if (static_cast<unsigned char>(*p) == kPoison) continue;
      if (ok)
        err = p < a.base ? text("write %zu bytes below the %zu bytes at %p", size_t(a.base - p), a.size,
                                static_cast<void *>(a.base))
                         : text("write %zu bytes beyond the %zu bytes at %p", size_t(p - end), a.size,
                                static_cast<void *>(a.base));
      ok = false;
      *p = char(kPoison);
    }
  }
  return ok;
}

// why says what an address is that is in no allocation.
static std::string why(const void *p) {
  auto &f = state().freed;
  auto it = f.upper_bound(uintptr_t(p));
  if (it != f.begin()) {
    --it;
    if (uintptr_t(p) - it->first < it->second) return text("%p is in memory that was freed", p);
  }
  Allocation *a = allocation(p);
  if (a) return text("%p is in the allocation of %zu bytes at %p", p, a->size, static_cast<void *>(a->base));
  return text("%p is no address of an allocation", p);
}

static CUresult free_memory(Call &call, void *p, bool host) {
  if (!p) return CUDA_SUCCESS;
  TRY(call.unsafe());
  auto it = state().memory.find(uintptr_t(p));
  bool right = it != state().memory.end() && it->second.kind != Allocation::registered &&
               (it->second.kind == Allocation::pinned) == host;
  if (!right) {
    // A program that frees twice, or by a wrong function, is wrong; the driver's code for it is easily overlooked.
    complain("%s: %s", call.function, why(p).c_str());
    return CUDA_ERROR_INVALID_VALUE;
  }
  // As on a device, freeing waits for all work.
  CUresult r = drain_context(call, it->second.ctx);
  log("%s: %p", call.function, p);
  it = state().memory.find(uintptr_t(p));
  if (it != state().memory.end()) release(&it->second);
  return r;
}

}  // namespace sim

using sim::Allocation;

static CUresult allocate(const char *function, Allocation::Kind kind, size_t size, unsigned flags, void *out) {
  BEGIN(function);
  char *p = nullptr;
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the address");
  TRY(sim::allocate(call, kind, size, flags, &p));
  *static_cast<char **>(out) = p;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *out, size_t size) {
  return allocate("cuMemAlloc", Allocation::device, size, 0, out);
}

SIM_EXPORT CUresult cuMemAllocPitch_v2(CUdeviceptr *out, size_t *pitch, size_t width, size_t height,
                                       unsigned element) {
  BEGIN("cuMemAllocPitch");
  REQUIRE(pitch && out && width && height, CUDA_ERROR_INVALID_VALUE, "%zu by %zu", width, height);
  REQUIRE(element == 4 || element == 8 || element == 16, CUDA_ERROR_INVALID_VALUE, "elements of %u bytes", element);
  size_t p = sim::up(width, 512);
  char *at = nullptr;
  TRY(sim::allocate(call, Allocation::device, p * height, 0, &at));
  *out = CUdeviceptr(at);
  *pitch = p;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemAllocManaged(CUdeviceptr *out, size_t size, unsigned flags) {
  return allocate("cuMemAllocManaged", Allocation::managed, size, flags, out);
}

SIM_EXPORT CUresult cuMemFree_v2(CUdeviceptr p) {
  BEGIN("cuMemFree");
  return sim::free_memory(call, reinterpret_cast<void *>(p), false);
}

SIM_EXPORT CUresult cuMemHostAlloc(void **out, size_t size, unsigned flags) {
  return allocate("cuMemHostAlloc", Allocation::pinned, size, flags, out);
}

SIM_EXPORT CUresult cuMemAllocHost_v2(void **out, size_t size) {
  return allocate("cuMemAllocHost", Allocation::pinned, size, 0, out);
}

SIM_EXPORT CUresult cuMemFreeHost(void *p) {
  BEGIN("cuMemFreeHost");
  return sim::free_memory(call, p, true);
}

SIM_EXPORT CUresult cuMemHostRegister_v2(void *p, size_t size, unsigned flags) {
  BEGIN("cuMemHostRegister");
  REQUIRE(p && size, CUDA_ERROR_INVALID_VALUE, "%zu bytes at %p", size, p);
  TRY(call.unsafe());
  auto next = sim::state().memory.lower_bound(uintptr_t(p));
  REQUIRE(!sim::allocation(p) && (next == sim::state().memory.end() || next->first >= uintptr_t(p) + size),
          CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, "%zu bytes at %p", size, p);
  char *at = static_cast<char *>(p);
  sim::state().memory[uintptr_t(p)] = Allocation{Allocation::registered, ctx, at, size, at, 0, flags};
  sim_memory_add(at, size);
  sim_memory_written(at, size);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemHostUnregister(void *p) {
  BEGIN("cuMemHostUnregister");
  TRY(call.unsafe());
  auto it = sim::state().memory.find(uintptr_t(p));
  REQUIRE(it != sim::state().memory.end() && it->second.kind == Allocation::registered,
          CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, "%p", p);
  CUresult r = sim::drain_context(call, it->second.ctx);
  sim_memory_remove(p);
  sim::state().memory.erase(uintptr_t(p));
  return r;
}

SIM_EXPORT CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *out, void *p, unsigned flags) {
  BEGIN("cuMemHostGetDevicePointer");
  Allocation *a = sim::allocation(p);
  REQUIRE(out && !flags && a && (a->kind == Allocation::pinned || a->kind == Allocation::registered),
          CUDA_ERROR_INVALID_VALUE, "%p is not pinned", p);
  *out = CUdeviceptr(p);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemHostGetFlags(unsigned *out, void *p) {
  BEGIN("cuMemHostGetFlags");
  Allocation *a = sim::allocation(p);
  REQUIRE(out && a && a->kind == Allocation::pinned, CUDA_ERROR_INVALID_VALUE, "%p is not pinned", p);
  *out = a->flags;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  BEGIN("cuMemGetInfo");
  const sim::Device &d = sim::state().devices[size_t(ctx->device)];
  if (free) *free = d.total - d.used;
  if (total) *total = d.total;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr p) {
  BEGIN("cuMemGetAddressRange");
  Allocation *a = sim::allocation(reinterpret_cast<void *>(p));
  REQUIRE(a && (a->kind == Allocation::device || a->kind == Allocation::managed), CUDA_ERROR_NOT_FOUND, "%s",
          sim::why(reinterpret_cast<void *>(p)).c_str());
  if (base) *base = CUdeviceptr(a->base);
  if (size) *size = a->size;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuPointerGetAttribute(void *data, int attribute, CUdeviceptr p) {
  BEGIN_ANY("cuPointerGetAttribute");
  REQUIRE(data, CUDA_ERROR_INVALID_VALUE, "nowhere to put the value");
  Allocation *a = sim::allocation(reinterpret_cast<void *>(p));
  REQUIRE(a, CUDA_ERROR_INVALID_VALUE, "%s", sim::why(reinterpret_cast<void *>(p)).c_str());
  bool host = a->kind == Allocation::pinned || a->kind == Allocation::registered;
  switch (attribute) {
    case 1:  // CONTEXT
      *static_cast<CUcontext *>(data) = reinterpret_cast<CUcontext>(a->ctx);
      break;
    case 2:  // MEMORY_TYPE
      *static_cast<unsigned *>(data) = host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
      break;
    case 3:  // DEVICE_POINTER
      *static_cast<CUdeviceptr *>(data) = p;
      break;
    case 4:  // HOST_POINTER
      REQUIRE(a->kind != Allocation::device, CUDA_ERROR_INVALID_VALUE, "device memory has no host address");
      *static_cast<CUdeviceptr *>(data) = p;
      break;
    case 8:  // IS_MANAGED
      *static_cast<unsigned *>(data) = a->kind == Allocation::managed;
      break;
    case 9:  // DEVICE_ORDINAL
      *static_cast<int *>(data) = a->ctx->device;
      break;
    case 11:  // RANGE_START_ADDR
      *static_cast<CUdeviceptr *>(data) = CUdeviceptr(a->base);
      break;
    case 12:  // RANGE_SIZE
      *static_cast<size_t *>(data) = a->size;
      break;
    default:
      return call.fail(CUDA_ERROR_NOT_SUPPORTED, "attribute %d", attribute);
  }
  return CUDA_SUCCESS;
}

// Advice changes nothing here.
static CUresult advice(const char *function, CUdeviceptr p, size_t n) {
  BEGIN(function);
  Allocation *a = sim::allocation(reinterpret_cast<void *>(p), n);
  REQUIRE(a && a->kind == Allocation::managed, CUDA_ERROR_INVALID_VALUE,
          "the %zu bytes at %#llx are not managed memory", n, p);
  return CUDA_SUCCESS;
}
SIM_EXPORT CUresult cuMemAdvise(CUdeviceptr p, size_t n, int, CUdevice) { return advice("cuMemAdvise", p, n); }
SIM_EXPORT CUresult cuMemPrefetchAsync(CUdeviceptr p, size_t n, CUdevice, CUstream) {
  return advice("cuMemPrefetchAsync", p, n);
}
