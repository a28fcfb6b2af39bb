// Order: streams, events, contexts, and what happens without them.
#include <thread>

#include "driver.h"

static const int N = 256;

static unsigned *pinned(size_t n = N) {
  void *p;
  OK(cuMemHostAlloc(&p, n * sizeof(unsigned), 0));
  memset(p, 0, n * sizeof(unsigned));
  return static_cast<unsigned *>(p);
}

static CUstream stream(unsigned flags = CU_STREAM_NON_BLOCKING) {
  CUstream s;
  OK(cuStreamCreate(&s, flags));
  return s;
}

CASE(forgotten_synchronisation) {
  context();
  CUstream s = stream();
  unsigned *host = pinned();
  CUdeviceptr p = alloc(4 * N);
  OK(launch1(kernel("set"), 1, N, s, p, 7, N));
  OK(cuMemcpyDtoHAsync_v2(host, p, 4 * N, s));
  if (!bug) OK(cuStreamSynchronize(s));
  if (host[5] != 7) symptom();
}

CASE(staging_memory_overwritten_early) {
  context();
  CUstream s = stream();
  unsigned *host = pinned(), *back = pinned();
  CUdeviceptr p = alloc(4 * N);
  host[0] = 1;
  OK(cuMemcpyHtoDAsync_v2(p, host, 4 * N, s));
  if (!bug) OK(cuStreamSynchronize(s));
  host[0] = 2;  // for the next step
  OK(cuMemcpyDtoHAsync_v2(back, p, 4 * N, s));
  OK(cuStreamSynchronize(s));
  if (back[0] != 1) symptom();
}

CASE(pageable_memory_is_read_at_once) {
  context();
  CUstream s = stream();
  unsigned host[N] = {1}, back[N];
  CUdeviceptr p = alloc(sizeof host);
  OK(cuMemcpyHtoDAsync_v2(p, host, sizeof host, s));
  host[0] = 2;
  OK(cuMemcpyDtoHAsync_v2(back, p, sizeof host, s));  // waits
  CHECK(back[0] == 1);
}

CASE(streams_without_event) {
  context();
  CUstream a = stream(), b = stream();
  CUfunction set = kernel("set"), next = kernel("next");
  CUdeviceptr p = alloc(4 * N), q = alloc(4 * N);
  unsigned back[N];
  OK(cuMemsetD32_v2(p, 0, N));
  OK(cuCtxSynchronize());
  CUevent e;
  OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
  OK(launch1(set, 1, N, a, p, 7, N));
  OK(cuEventRecord(e, a));
  if (!bug) OK(cuStreamWaitEvent(b, e, 0));
  OK(launch1(next, 1, N, b, q, p, N));
  OK(cuStreamSynchronize(b));
  OK(cuMemcpyDtoHAsync_v2(back, q, sizeof back, b));
  if (back[0] != 8) symptom();
}

// A copy of pageable memory in the legacy stream returns before its end; streams that do not block do not wait for
// it.
CASE(legacy_copy_before_a_stream_that_does_not_block) {
  context();
  CUstream s = stream(bug ? CU_STREAM_NON_BLOCKING : 0);
  CUdeviceptr p = alloc(4 * N), q = alloc(4 * N);
  unsigned host[N], back[N];
  for (unsigned &h : host) h = 7;
  OK(cuMemcpyHtoD_v2(p, host, sizeof host));
  OK(launch1(kernel("next"), 1, N, s, q, p, N));
  OK(cuStreamSynchronize(s));
  OK(cuMemcpyDtoHAsync_v2(back, q, sizeof back, s));
  if (back[0] != 8) symptom();
}

CASE(memset_does_not_wait) {
  context();
  CUstream s = stream();
  CUdeviceptr p = alloc(4 * N), q = alloc(4 * N);
  unsigned back[N];
  OK(cuMemsetD32_v2(p, 7, N));
  if (!bug) OK(cuCtxSynchronize());
  OK(launch1(kernel("next"), 1, N, s, q, p, N));
  OK(cuMemcpyDtoHAsync_v2(back, q, sizeof back, s));
  if (back[0] != 8) symptom();
}

CASE(order_with_the_legacy_stream) {
  context();
  CUstream a = stream(0), b = stream(0);
  CUfunction one = kernel("one"), twice = kernel("twice");
  CUdeviceptr p = alloc(4 * N);
  unsigned back[N];
  OK(cuMemsetD32_v2(p, 1, N));
  OK(launch1(one, 1, N, a, p, N));
  OK(launch1(twice, 1, N, nullptr, p, N));
  OK(launch1(one, 1, N, b, p, N));
  OK(launch1(twice, 1, N, nullptr, p, N));
  OK(cuMemcpyDtoH_v2(back, p, sizeof back));
  CHECK(back[N - 1] == 10);
}

CASE(events) {
  context();
  CUstream s = stream();
  CUevent a, b, plain;
  OK(cuEventCreate(&a, 0));
  OK(cuEventCreate(&b, 0));
  OK(cuEventCreate(&plain, CU_EVENT_DISABLE_TIMING));
  OK(cuEventQuery(a));  // never recorded: nothing to wait for
  OK(cuEventSynchronize(a));
  float ms = -1;
  WANT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, a, b));
  CUdeviceptr p = alloc(4 * N);
  OK(cuEventRecord(a, s));
  OK(launch1(kernel("set"), 1, N, s, p, 7, N));
  OK(cuEventRecord(b, s));
  OK(cuEventRecord(plain, s));
  WANT(CUDA_ERROR_NOT_READY, cuEventElapsedTime(&ms, a, b));
  int polls = 0;
  CUresult r;
  while ((r = cuEventQuery(b)) == CUDA_ERROR_NOT_READY) CHECK(++polls < 1000);
  OK(r);
  OK(cuEventElapsedTime(&ms, a, b));
  CHECK(ms >= 0 && ms < 1e6);
  OK(cuStreamSynchronize(s));
  OK(cuStreamQuery(s));
  WANT(CUDA_ERROR_INVALID_HANDLE, cuEventElapsedTime(&ms, a, plain));
  OK(cuEventDestroy_v2(b));
  WANT(CUDA_ERROR_INVALID_HANDLE, cuEventRecord(b, s));
  WANT(CUDA_ERROR_INVALID_VALUE, cuEventCreate(&b, 0x100));
}

CASE(stream_used_after_its_end) {
  context();
  CUstream s = stream();
  CUdeviceptr p = alloc(4);
  OK(cuMemsetD32Async(p, 3, 1, s));
  if (bug) OK(cuStreamDestroy_v2(s));
  WANT(bug ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS, cuMemsetD32Async(p, 4, 1, s));
  WANT(bug ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS, cuStreamSynchronize(s));
  OK(cuCtxSynchronize());
  unsigned v;
  OK(cuMemcpyDtoH_v2(&v, p, 4));
  CHECK(v == (bug ? 3 : 4));
}

CASE(stream_of_another_context) {
  context();
  CUstream s = stream();
  if (bug) context();
  CUdeviceptr p = alloc(4);
  WANT(bug ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS, cuMemsetD32Async(p, 4, 1, s));
}

CASE(thread_without_context) {
  CUcontext c = context();
  std::thread([&] {
    CUdeviceptr p;
    if (!bug) OK(cuCtxSetCurrent(c));
    WANT(bug ? CUDA_ERROR_INVALID_CONTEXT : CUDA_SUCCESS, cuMemAlloc_v2(&p, 4));
  }).join();
}

CASE(context_used_after_its_end) {
  CUcontext c = context();
  std::thread([&] {
    OK(cuCtxSetCurrent(c));
    if (bug) std::thread([&] { OK(cuCtxDestroy_v2(c)); }).join();
    CUdeviceptr p;
    WANT(bug ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_SUCCESS, cuMemAlloc_v2(&p, 4));
    WANT(bug ? CUDA_ERROR_CONTEXT_IS_DESTROYED : CUDA_SUCCESS, cuCtxPushCurrent_v2(c));
  }).join();
}

CASE(contexts) {
  CUdevice d;
  WANT(CUDA_ERROR_NOT_INITIALIZED, cuDeviceGet(&d, 0));
  CUcontext a = context(), b = context(), c;
  OK(cuCtxGetCurrent(&c));
  CHECK(c == b);
  OK(cuCtxPopCurrent_v2(&c));
  CHECK(c == b);
  OK(cuCtxGetCurrent(&c));
  CHECK(c == a);
  OK(cuCtxSetCurrent(b));
  OK(cuCtxDestroy_v2(b));
  OK(cuCtxGetCurrent(&c));
  CHECK(c == nullptr);
  WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxPopCurrent_v2(&c));
  CUcontext p, q;
  OK(cuDevicePrimaryCtxRetain(&p, 0));
  OK(cuDevicePrimaryCtxRetain(&q, 0));
  CHECK(p == q && p != a);
  OK(cuCtxSetCurrent(p));
  alloc(4);
  WANT(CUDA_ERROR_INVALID_CONTEXT, cuCtxDestroy_v2(p));
  OK(cuDevicePrimaryCtxRelease_v2(0));
  alloc(4);
  OK(cuDevicePrimaryCtxRelease_v2(0));
  CUdeviceptr m;
  WANT(CUDA_ERROR_CONTEXT_IS_DESTROYED, cuMemAlloc_v2(&m, 4));
  WANT(CUDA_ERROR_INVALID_CONTEXT, cuDevicePrimaryCtxRelease_v2(0));
  CHECK(simcudaLeaked(nullptr, 0) == 2);
  WANT(CUDA_ERROR_INVALID_DEVICE, cuCtxCreate_v2(&c, 0, 1));
  int count;
  OK(cuDeviceGetCount(&count));
  CHECK(count == 1);
}

static int calls;
static CUresult inside;

CASE(host_function_calls_the_driver) {
  context();
  CUstream s = stream();
  CUdeviceptr p = alloc(4);
  OK(cuMemsetD32Async(p, 4, 1, s));
  calls = 0;
  OK(cuLaunchHostFunc(
      s, bug ? [](void *) { calls++, inside = cuCtxSynchronize(); } : [](void *) { calls++; }, nullptr));
  CHECK(calls == 0);
  OK(cuStreamSynchronize(s));
  CHECK(calls == 1 && inside == (bug ? CUDA_ERROR_NOT_PERMITTED : CUDA_SUCCESS));
}

// With GODCEM_SIM_DEVICES=2.
CASE(two_devices) {
  CUcontext a = context(0), b = context(1);
  int can = 0;
  OK(cuDeviceCanAccessPeer(&can, 0, 1));
  CHECK(can == 1);
  CUdeviceptr q = alloc(4 * N);
  CUfunction next = kernel("next");
  OK(cuCtxSetCurrent(a));
  CUdeviceptr p = alloc(4 * N);
  OK(launch1(kernel("set"), 1, N, nullptr, p, 7, N));
  OK(cuMemcpyPeer(q, b, p, a, 4 * N));
  OK(cuCtxSynchronize());
  OK(cuCtxSetCurrent(b));
  unsigned back[N];
  OK(launch1(next, 1, N, nullptr, q, q, N));
  OK(cuMemcpyDtoH_v2(back, q, sizeof back));
  CHECK(back[0] == 8);
  if (!bug) OK(cuCtxEnablePeerAccess(a, 0));
  OK(launch1(next, 1, N, nullptr, q, p, N));
  WANT(bug ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS, cuCtxSynchronize());
  OK(cuCtxSetCurrent(a));
  OK(cuCtxSynchronize());  // the other context is not concerned
}

// Each with its setting of GODCEM_SIM_FAIL, _DEVICES, _DRIVER.
CASE(init_fails) { WANT(CUDA_ERROR_UNKNOWN, cuInit(0)); }
CASE(init_mismatch) { WANT(803, cuInit(0)); }
CASE(no_device) { WANT(CUDA_ERROR_NO_DEVICE, cuInit(0)); }
CASE(old_driver) {
  int v, major, minor;
  OK(cuDriverGetVersion(&v));
  context();
  OK(cuDeviceGetAttribute(&major, 75, 0));
  OK(cuDeviceGetAttribute(&minor, 76, 0));
  CHECK(v == 10020 && major == 7 && minor == 5);
}
