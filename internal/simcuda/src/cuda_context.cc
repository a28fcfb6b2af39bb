// Contexts: the threads' stacks of them, primary ones, their ends.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "cuda_state.h"

namespace sim {

static CUcontext handle(Context *c) { return reinterpret_cast<CUcontext>(static_cast<Object *>(c)); }

static Context *make(int device, unsigned flags) {
  static uint64_t ids = 0;
  Context *c = new Context(device);
  c->flags = flags;
  c->id = ++ids;
  c->legacy = new Stream(c);
  c->legacy->legacy = true;
  c->legacy->id = 1;
  return c;
}

// live lists what is alive in a context; nullptr: in all, with the contexts themselves.
void live(Context *ctx, std::string &list, size_t &n) {
  for (auto &entry : state().memory) {
    const Allocation &a = entry.second;
    if (ctx && a.ctx != ctx) continue;
    static const char *const kinds[] = {"device", "managed", "pinned", "registered"};
    list += text("%zu bytes of %s memory at %p\n", a.size, kinds[a.kind], static_cast<void *>(a.base));
    n++;
  }
  std::map<Kind, size_t> counts;
  for (auto &entry : state().objects) {
    Object *o = entry.second;
    if (o->dead || (ctx && o->ctx != ctx)) continue;
    switch (o->kind) {
      case Kind::function:
      case Kind::node:
        continue;  // part of others
      case Kind::context:
        if (ctx) continue;
        break;
      case Kind::stream: {
        const Context *c = o->ctx;
        bool own = c->streams.count(static_cast<Stream *>(o));
        for (auto &t : c->per_thread) own = own && t.second != o;
        if (!own) continue;
        break;
      }
      case Kind::graph:
        if (static_cast<Graph *>(o)->owned) continue;
        break;
      default:
        break;
    }
    counts[o->kind]++;
    n++;
  }
  for (auto &c : counts) list += text("%zu of kind %s\n", c.second, name(c.first));
}

// destroy ends a context, and says what was left in it, unless the context has failed: then nothing could be freed.
// A device frees what is left in silence.
void destroy(Context *ctx) {
  std::string list;
  size_t n = 0;
  if (!ctx->error) live(ctx, list, n);
  if (n) {
    complain("leak: a context is destroyed with\n%s", list.c_str());
    state().leaked += n;
    state().leaks += list;
  }
  forget(ctx);
  std::vector<Allocation *> gone;
  for (auto &entry : state().memory)
    if (entry.second.ctx == ctx) gone.push_back(&entry.second);
  for (Allocation *a : gone) release(a);
  for (auto it = state().captures.begin(); it != state().captures.end();)
    it = (*it)->origin->ctx == ctx ? state().captures.erase(it) : it + 1;
  for (auto &entry : state().objects) {
    Object *o = entry.second;
    if (o->ctx != ctx || o->dead) continue;
    o->dead = true;
    if (o->kind == Kind::module) sim_module_unload(static_cast<Module *>(o)->image);
  }
}

static CUresult context_of(Call &call, CUcontext h, Context **out) {
  Context *c = find<Context>(h);
  if (!c) {
    complain("%s: %p is %s", call.function, static_cast<void *>(h),
             destroyed(h) ? "a context that was destroyed" : "no context");
    return destroyed(h) ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_ERROR_INVALID_CONTEXT;
  }
  *out = c;
  return CUDA_SUCCESS;
}

static CUresult device_of(Call &call, int d, Device **out) {
  REQUIRE(d >= 0 && size_t(d) < state().devices.size(), CUDA_ERROR_INVALID_DEVICE, "device %d of %zu", d,
          state().devices.size());
  *out = &state().devices[size_t(d)];
  return CUDA_SUCCESS;
}

}  // namespace sim

using namespace sim;

SIM_EXPORT CUresult cuCtxCreate_v2(CUcontext *out, unsigned flags, CUdevice device) {
  BEGIN_ANY("cuCtxCreate");
  Device *d;
  TRY(device_of(call, device, &d));
  REQUIRE(out && flags < 0x100, CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
  REQUIRE(!d->lost, CUDA_ERROR_DEVICE_UNAVAILABLE, "the device is lost");
  Context *c = make(device, flags);
  self().stack.push_back(c);
  *out = handle(c);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxCreate_v3(CUcontext *out, void *, int n, unsigned flags, CUdevice device) {
  return n ? CUDA_ERROR_NOT_SUPPORTED : cuCtxCreate_v2(out, flags, device);
}

SIM_EXPORT CUresult cuCtxCreate_v4(CUcontext *out, void *params, unsigned flags, CUdevice device) {
  return params ? CUDA_ERROR_NOT_SUPPORTED : cuCtxCreate_v2(out, flags, device);
}

SIM_EXPORT CUresult cuCtxDestroy_v2(CUcontext h) {
  BEGIN_ANY("cuCtxDestroy");
  Context *c;
  TRY(context_of(call, h, &c));
  REQUIRE(!c->primary, CUDA_ERROR_INVALID_CONTEXT, "a primary context is released, not destroyed");
  call.ctx = c;
  drain_context(call, c);
  destroy(c);
  auto &stack = self().stack;
  if (!stack.empty() && stack.back() == c) stack.pop_back();
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxPushCurrent_v2(CUcontext h) {
  BEGIN_ANY("cuCtxPushCurrent");
  Context *c;
  TRY(context_of(call, h, &c));
  self().stack.push_back(c);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxPopCurrent_v2(CUcontext *out) {
  BEGIN_ANY("cuCtxPopCurrent");
  auto &stack = self().stack;
  REQUIRE(!stack.empty(), CUDA_ERROR_INVALID_CONTEXT, "no context is current on this thread");
  if (out) *out = handle(stack.back());
  stack.pop_back();
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxSetCurrent(CUcontext h) {
  BEGIN_ANY("cuCtxSetCurrent");
  auto &stack = self().stack;
  Context *c = nullptr;
  if (h) TRY(context_of(call, h, &c));
  if (!stack.empty()) stack.pop_back();
  if (c) stack.push_back(c);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetCurrent(CUcontext *out) {
  BEGIN_ANY("cuCtxGetCurrent");
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the context");
  *out = self().stack.empty() ? nullptr : handle(self().stack.back());
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetDevice(CUdevice *out) {
  BEGIN_ANY("cuCtxGetDevice");
  REQUIRE(!self().stack.empty() && !self().stack.back()->dead, CUDA_ERROR_INVALID_CONTEXT,
          "no context is current on this thread");
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the device");
  *out = self().stack.back()->device;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetFlags(unsigned *out) {
  BEGIN("cuCtxGetFlags");
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the flags");
  *out = ctx->flags;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetId(CUcontext h, unsigned long long *out) {
  BEGIN_ANY("cuCtxGetId");
  Context *c;
  if (!h && !self().stack.empty()) h = handle(self().stack.back());
  TRY(context_of(call, h, &c));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the id");
  *out = c->id;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetApiVersion(CUcontext h, unsigned *out) {
  BEGIN_ANY("cuCtxGetApiVersion");
  Context *c;
  if (!h && !self().stack.empty()) h = handle(self().stack.back());
  TRY(context_of(call, h, &c));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the version");
  *out = 3020;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  BEGIN("cuCtxGetStreamPriorityRange");
  if (least) *least = 0;
  if (greatest) *greatest = -5;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxGetLimit(size_t *out, int limit) {
  BEGIN("cuCtxGetLimit");
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the limit");
  static const std::map<int, size_t> defaults = {{0, 1024}, {1, 1 << 20}, {2, 8 << 20}, {3, 2},
                                                 {4, 2048}, {5, 128},     {6, 0}};
  auto it = defaults.find(limit);
  REQUIRE(it != defaults.end(), CUDA_ERROR_UNSUPPORTED_LIMIT, "limit %d", limit);
  auto set = ctx->limits.find(limit);
  *out = set == ctx->limits.end() ? it->second : set->second;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxSetLimit(int limit, size_t value) {
  BEGIN("cuCtxSetLimit");
  REQUIRE(limit >= 0 && limit <= 6, CUDA_ERROR_UNSUPPORTED_LIMIT, "limit %d", limit);
  ctx->limits[limit] = value;
  return CUDA_SUCCESS;
}

// Preferences that change nothing here.
SIM_EXPORT CUresult cuCtxGetCacheConfig(int *out) {
  BEGIN("cuCtxGetCacheConfig");
  if (out) *out = 0;
  return CUDA_SUCCESS;
}
SIM_EXPORT CUresult cuCtxSetCacheConfig(int) {
  BEGIN("cuCtxSetCacheConfig");
  return CUDA_SUCCESS;
}
SIM_EXPORT CUresult cuCtxGetSharedMemConfig(int *out) {
  BEGIN("cuCtxGetSharedMemConfig");
  if (out) *out = 1;
  return CUDA_SUCCESS;
}
SIM_EXPORT CUresult cuCtxSetSharedMemConfig(int) {
  BEGIN("cuCtxSetSharedMemConfig");
  return CUDA_SUCCESS;
}
SIM_EXPORT CUresult cuCtxResetPersistingL2Cache(void) {
  BEGIN("cuCtxResetPersistingL2Cache");
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxEnablePeerAccess(CUcontext h, unsigned flags) {
  BEGIN("cuCtxEnablePeerAccess");
  Context *c;
  TRY(context_of(call, h, &c));
  REQUIRE(!flags, CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
  REQUIRE(c->device != ctx->device, CUDA_ERROR_INVALID_DEVICE, "both contexts are on device %d", c->device);
  REQUIRE(ctx->peers.insert(c).second, CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, "it is enabled already");
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuCtxDisablePeerAccess(CUcontext h) {
  BEGIN("cuCtxDisablePeerAccess");
  Context *c;
  TRY(context_of(call, h, &c));
  REQUIRE(ctx->peers.erase(c), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED, "it is not enabled");
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice device) {
  BEGIN_ANY("cuDevicePrimaryCtxRetain");
  Device *d;
  TRY(device_of(call, device, &d));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the context");
  REQUIRE(!d->lost, CUDA_ERROR_DEVICE_UNAVAILABLE, "the device is lost");
  if (!d->primary) {
    d->primary = make(device, d->primary_flags);
    d->primary->primary = true;
  }
  d->retained++;
  *out = handle(d->primary);
  return CUDA_SUCCESS;
}

static CUresult end_primary(Call &call, Device *d) {
  if (!d->primary) return CUDA_SUCCESS;
  call.ctx = d->primary;
  drain_context(call, d->primary);
  destroy(d->primary);
  d->primary = nullptr;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  BEGIN_ANY("cuDevicePrimaryCtxRelease");
  Device *d;
  TRY(device_of(call, device, &d));
  REQUIRE(d->retained > 0, CUDA_ERROR_INVALID_CONTEXT, "it is released more often than retained");
  return --d->retained ? CUDA_SUCCESS : end_primary(call, d);
}

SIM_EXPORT CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  BEGIN_ANY("cuDevicePrimaryCtxReset");
  Device *d;
  TRY(device_of(call, device, &d));
  return end_primary(call, d);
}

SIM_EXPORT CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
  BEGIN_ANY("cuDevicePrimaryCtxGetState");
  Device *d;
  TRY(device_of(call, device, &d));
  if (flags) *flags = d->primary_flags;
  if (active) *active = d->primary != nullptr;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned flags) {
  BEGIN_ANY("cuDevicePrimaryCtxSetFlags");
  Device *d;
  TRY(device_of(call, device, &d));
  REQUIRE(flags < 0x100, CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
  d->primary_flags = flags;
  return CUDA_SUCCESS;
}

// A process that ends says what it left: a program that is done with the driver has nothing alive.
__attribute__((destructor)) static void at_end() {
  State &s = state();
  if (!s.started) return;
  std::string list;
  size_t n = 0;
  live(nullptr, list, n);
  if (n) complain("leak: the process ends with\n%s", list.c_str());
  const char *strict = getenv("GODCEM_SIM_LEAKS");
  if (strict && !strcmp(strict, "fatal") && (n || s.leaked)) _Exit(99);
}
