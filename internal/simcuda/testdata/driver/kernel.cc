// Modules, launches and what kernels do wrong.
#include "driver.h"

CASE(launches) {
  context();
  CUfunction set = kernel("set"), next = kernel("next"), reverse = kernel("reverse");
  unsigned host[1000];
  CUdeviceptr p = alloc(sizeof host), q = alloc(sizeof host);
  uint64_t v = 42, n = 1000;
  void *params[] = {&p, &v, &n};
  OK(cuLaunchKernel(set, 8, 1, 1, 128, 1, 1, 0, nullptr, params, nullptr));
  v = 1, n = 0;  // the arguments were copied
  struct {
    uint64_t out, in, n;
  } args = {q, p, 1000};
  size_t size = sizeof args;
  void *extra[] = {reinterpret_cast<void *>(1), &args, reinterpret_cast<void *>(2), &size, nullptr};
  OK(cuLaunchKernel(next, 8, 1, 1, 128, 1, 1, 0, nullptr, nullptr, extra));
  OK(cuMemcpyDtoH_v2(host, q, sizeof host));
  for (unsigned h : host) CHECK(h == 43);
  for (unsigned i = 0; i < 1000; i++) host[i] = i;
  OK(cuMemcpyHtoD_v2(p, host, sizeof host));
  OK(launch1(reverse, 1, 64, nullptr, p));
  OK(cuMemcpyDtoH_v2(host, p, sizeof host));
  for (unsigned i = 0; i < 1000; i++) CHECK(host[i] == (i < 64 ? 63 - i : i));
  CHECK(simcudaCount("launch") == 3 && simcudaCount("kernel") == 3);
}

CASE(modules) {
  context();
  CUmodule m;
  CUfunction f;
  OK(cuModuleLoadData(&m, image()));
  WANT(CUDA_ERROR_NOT_FOUND, cuModuleGetFunction(&f, m, "nothing"));
  OK(cuModuleGetFunction(&f, m, "reverse"));
  int threads, shared, blocks, best;
  OK(cuFuncGetAttribute(&threads, 0, f));
  OK(cuFuncGetAttribute(&shared, 1, f));
  CHECK(threads == 64 && shared == 256);
  OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 64, 0));
  CHECK(blocks == 32);
  OK(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, f, 64, 100 << 10));
  CHECK(blocks == 2);
  OK(cuOccupancyMaxPotentialBlockSize(&blocks, &best, f, nullptr, 0, 0));
  CHECK(best == 64 && blocks == 32 * 132);
  char junk[64] = "SIMCUBIN, but not much of it", log[200] = "";
  int option[] = {5, 6};
  void *value[] = {log, reinterpret_cast<void *>(sizeof log)};
  WANT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadDataEx(&m, junk, 2, option, value));
  CHECK(log[0]);
  WANT(CUDA_ERROR_INVALID_IMAGE, cuModuleLoadData(&m, "nothing of the kind"));
  WANT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&m, "\177ELF code for a device"));
  WANT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&m, "// PTX of the real compiler\n.version 8.0"));
  WANT(CUDA_ERROR_FILE_NOT_FOUND, cuModuleLoad(&m, "/nowhere/at/all"));
  WANT(CUDA_ERROR_INVALID_HANDLE, cuModuleUnload(nullptr));
}

CASE(limits) {
  context();
  CUfunction set = kernel("set"), reverse = kernel("reverse");
  CUdeviceptr p = alloc(4096);
  uint64_t v = 1, n = 1;
  void *params[] = {&p, &v, &n};
  auto launch = [&](CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                    unsigned shared) {
    return cuLaunchKernel(f, gx, gy, gz, bx, by, bz, shared, nullptr, params, nullptr);
  };
  OK(launch(set, 1, 1, 1, 1024, 1, 1, 0));
  OK(launch(set, 2, 2, 2, 8, 8, 8, 48 << 10));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(set, 1, 1, 1, 1025, 1, 1, 0));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(set, 1, 1, 1, 32, 33, 1, 0));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(set, 1, 1, 1, 1, 1, 65, 0));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(set, 1, 1, 1, 0, 1, 1, 0));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(set, 0, 1, 1, 1, 1, 1, 0));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(set, 1, 65536, 1, 1, 1, 1, 0));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(set, 0x80000000u, 1, 1, 1, 1, 1, 0));
  WANT(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, launch(reverse, 1, 1, 1, 65, 1, 1, 0));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(set, 1, 1, 1, 32, 1, 1, (48 << 10) + 1));
  WANT(CUDA_ERROR_INVALID_VALUE, launch(reverse, 1, 1, 1, 64, 1, 1, 48 << 10));
  OK(cuFuncSetAttribute(set, 8, 100 << 10));
  OK(launch(set, 1, 1, 1, 32, 1, 1, 100 << 10));
  WANT(CUDA_ERROR_INVALID_VALUE, cuFuncSetAttribute(set, 8, 300 << 10));
  WANT(CUDA_ERROR_INVALID_VALUE, cuLaunchKernel(set, 1, 1, 1, 32, 1, 1, 0, nullptr, nullptr, nullptr));
  WANT(CUDA_ERROR_INVALID_HANDLE, cuLaunchKernel(nullptr, 1, 1, 1, 32, 1, 1, 0, nullptr, params, nullptr));
  WANT(CUDA_ERROR_INVALID_HANDLE,
       cuLaunchKernel(set, 1, 1, 1, 32, 1, 1, 0, reinterpret_cast<CUstream>(params), params, nullptr));
  OK(cuCtxSynchronize());
}

// fails checks that a launch is accepted, fails when it is waited for, and leaves the context useless: the error
// comes late, and stays.
static void fails(CUresult launched, CUresult code, const char *says) {
  WANT(CUDA_SUCCESS, launched);
  CUresult r = cuCtxSynchronize();
  WANT(code, r);
  char fault[1024];
  simcudaFault(fault, sizeof fault);
  if (!strstr(fault, says)) {
    fprintf(stderr, "the fault is %s, want something about %s\n", fault, says);
    _Exit(1);
  }
  if (!code) return;
  CUdeviceptr p;
  WANT(code, cuMemAlloc_v2(&p, 4));
  WANT(code, cuCtxSynchronize());
  CUcontext c;
  OK(cuCtxGetCurrent(&c));
  OK(cuCtxDestroy_v2(c));
  context();
  p = alloc(4);
  OK(cuMemsetD32_v2(p, 1, 1));
  OK(cuCtxSynchronize());
}

#define FAILS(call, code, says) fails(call, bug ? code : CUDA_SUCCESS, bug ? says : "")

CASE(kernel_writes_beyond) {
  context();
  CUdeviceptr p = alloc(1000);
  FAILS(launch1(kernel("poke"), 1, 32, nullptr, p, bug ? 1 << 20 : 999, 1), CUDA_ERROR_ILLEGAL_ADDRESS, "poke");
}

CASE(kernel_writes_just_beyond) {
  context();
  CUdeviceptr p = alloc(1000);
  FAILS(launch1(kernel("poke"), 1, 32, nullptr, p, 999 + bug, 1), CUDA_ERROR_ILLEGAL_ADDRESS,
        "0 bytes beyond the 1000 bytes");
}

CASE(kernel_writes_just_below) {
  context();
  CUdeviceptr p = alloc(1000);
  FAILS(launch1(kernel("poke"), 1, 32, nullptr, p, bug ? -1 : 0, 1), CUDA_ERROR_ILLEGAL_ADDRESS, "poke");
}

CASE(kernel_reads_misaligned) {
  context();
  CUdeviceptr p = alloc(64), q = alloc(64);
  FAILS(launch1(kernel("peek"), 1, 32, nullptr, q, p, 8 + bug), CUDA_ERROR_MISALIGNED_ADDRESS, "peek");
}

CASE(kernel_uses_freed_memory) {
  context();
  CUdeviceptr p = alloc(64);
  if (bug) OK(cuMemFree_v2(p));
  FAILS(launch1(kernel("set"), 1, 32, nullptr, p, 1, 16), CUDA_ERROR_ILLEGAL_ADDRESS, "set");
}

CASE(kernel_uses_memory_of_another_context) {
  context();
  CUdeviceptr other = alloc(64);
  context();
  CUdeviceptr mine = alloc(64);
  FAILS(launch1(kernel("set"), 1, 32, nullptr, bug ? other : mine, 1, 16), CUDA_ERROR_ILLEGAL_ADDRESS, "set");
}

CASE(kernel_uses_null) {
  context();
  CUdeviceptr p = bug ? 0 : alloc(64);
  FAILS(launch1(kernel("set"), 1, 32, nullptr, p, 1, 16), CUDA_ERROR_ILLEGAL_ADDRESS, "set");
}

CASE(barrier_not_reached_by_all) {
  context();
  CUdeviceptr p = alloc(256);
  FAILS(launch1(kernel("stuck"), 1, 64, nullptr, p, bug), CUDA_ERROR_LAUNCH_TIMEOUT, "stuck");
}

CASE(function_of_an_unloaded_module) {
  context();
  CUmodule m;
  CUfunction f;
  OK(cuModuleLoadData(&m, image()));
  OK(cuModuleGetFunction(&f, m, "set"));
  CUdeviceptr p = alloc(64);
  OK(launch1(f, 1, 32, nullptr, p, 1, 16));  // unloading waits for it
  if (bug) OK(cuModuleUnload(m));
  WANT(bug ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS, launch1(f, 1, 32, nullptr, p, 1, 16));
  OK(cuCtxSynchronize());
}

CASE(function_of_another_context) {
  context();
  CUfunction f = kernel("set");
  if (bug) context();
  CUdeviceptr p = alloc(64);
  WANT(bug ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS, launch1(f, 1, 32, nullptr, p, 1, 16));
}

// With GODCEM_SIM_FAIL=lost@2,ecc@5.
CASE(device_lost) {
  CUcontext c = context();
  CUfunction set = kernel("set");
  CUdeviceptr p = alloc(64);
  OK(launch1(set, 1, 32, nullptr, p, 1, 16));
  OK(cuCtxSynchronize());
  OK(launch1(set, 1, 32, nullptr, p, 1, 16));
  WANT(CUDA_ERROR_LAUNCH_FAILED, cuCtxSynchronize());
  WANT(CUDA_ERROR_LAUNCH_FAILED, cuMemFree_v2(p));
  OK(cuCtxDestroy_v2(c));
  WANT(CUDA_ERROR_DEVICE_UNAVAILABLE, cuCtxCreate_v2(&c, 0, 0));
  WANT(CUDA_ERROR_DEVICE_UNAVAILABLE, cuDevicePrimaryCtxRetain(&c, 0));
}

// With GODCEM_SIM_FAIL=fault@1.
CASE(fault_injected) {
  context();
  CUdeviceptr p = alloc(64);
  OK(launch1(kernel("set"), 1, 32, nullptr, p, 1, 16));
  WANT(CUDA_ERROR_ILLEGAL_ADDRESS, cuCtxSynchronize());
}

// With GODCEM_SIM_FAIL=oom@2,module@2,graph@1,copy@2.
CASE(others_injected) {
  context();
  CUdeviceptr p = alloc(4), q;
  WANT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&q, 4));
  q = alloc(4);
  CUmodule m;
  OK(cuModuleLoadData(&m, image()));
  WANT(CUDA_ERROR_NO_BINARY_FOR_GPU, cuModuleLoadData(&m, image()));
  CUgraph g;
  CUgraphExec e;
  OK(cuGraphCreate(&g, 0));
  WANT(CUDA_ERROR_OUT_OF_MEMORY, cuGraphInstantiateWithFlags(&e, g, 0));
  OK(cuGraphInstantiateWithFlags(&e, g, 0));
  unsigned v = 1;
  OK(cuMemcpyHtoD_v2(p, &v, 4));
  OK(cuCtxSynchronize());
  WANT(CUDA_ERROR_ILLEGAL_ADDRESS, cuMemcpyDtoH_v2(&v, p, 4));
}

// With GODCEM_SIM_CHECK=1, and kernels compiled so: what copies and memsets write is known, and nothing else.
CASE(kernel_reads_what_nobody_wrote) {
  context();
  CUdeviceptr p = alloc(1024), q = alloc(1024), r = alloc(1024);
  void *host;
  OK(cuMemHostAlloc(&host, 512, 0));
  memset(host, 0, 512);
  OK(cuMemsetD8_v2(p, 0, bug ? 508 : 512));
  OK(cuMemcpyHtoDAsync_v2(p + 512, host, 512, nullptr));
  OK(cuMemcpyDtoDAsync_v2(q, p, 1024, nullptr));
  FAILS(launch1(kernel("next"), 1, 256, nullptr, r, q, 256), CUDA_ERROR_ILLEGAL_ADDRESS, "next");
}

CASE(kernels_race) {
  context();
  CUdeviceptr p = alloc(256);
  OK(cuMemsetD8_v2(p, 0, 256));
  FAILS(launch1(kernel(bug ? "shift" : "reverse"), 1, 64, nullptr, p), CUDA_ERROR_LAUNCH_FAILED, "shift");
}
