// Memory: what copies and memsets do, and what is wrong with it.
#include "driver.h"

CASE(copies) {
  context();
  unsigned host[64], back[64];
  for (unsigned i = 0; i < 64; i++) host[i] = 1000 + i;
  CUdeviceptr p = alloc(sizeof host), q = alloc(sizeof host);
  OK(cuMemcpyHtoD_v2(p, host, sizeof host));
  OK(cuMemcpyDtoD_v2(q, p, sizeof host));
  OK(cuMemcpyDtoH_v2(back, q, sizeof host));
  CHECK(memcmp(host, back, sizeof host) == 0);
  OK(cuMemcpy(CUdeviceptr(back), p + 4, 4));
  CHECK(back[0] == 1001);
  OK(cuMemsetD32_v2(p, 7, 64));
  OK(cuMemsetD16_v2(p + 4, 0x102, 2));
  OK(cuMemsetD8_v2(p + 8, 9, 4));
  OK(cuMemsetD2D32_v2(p + 16, 32, 5, 2, 3));  // elements 4, 5, 12, 13, 20, 21
  OK(cuMemcpyDtoH_v2(back, p, sizeof back));
  for (unsigned i = 0; i < 64; i++) {
    bool five = i >= 4 && i < 24 && i % 8 >= 4 && i % 8 < 6;
    CHECK(back[i] == (i == 1 ? 0x1020102u : i == 2 ? 0x9090909u : five ? 5u : 7u));
  }
  // Rows 1 and 2, columns 2 to 4, of an 8 by 8 matrix into the corner of another.
  CUDA_MEMCPY2D r{};
  r.srcMemoryType = CU_MEMORYTYPE_HOST, r.srcHost = host, r.srcPitch = 32, r.srcXInBytes = 8, r.srcY = 1;
  r.dstMemoryType = CU_MEMORYTYPE_DEVICE, r.dstDevice = q, r.dstPitch = 32, r.WidthInBytes = 12, r.Height = 2;
  OK(cuMemcpy2D_v2(&r));
  OK(cuMemcpyDtoH_v2(back, q, sizeof back));
  CHECK(back[0] == 1010 && back[2] == 1012 && back[8] == 1018 && back[10] == 1020 && back[3] == 1003 &&
        back[16] == 1016);
  // A box of 2 by 2 by 2 elements out of 4 by 4 by 4.
  CUDA_MEMCPY3D b{};
  b.srcMemoryType = CU_MEMORYTYPE_DEVICE, b.srcDevice = q, b.srcPitch = 16, b.srcHeight = 4, b.srcXInBytes = 4,
  b.srcY = 1, b.srcZ = 2;
  b.dstMemoryType = CU_MEMORYTYPE_HOST, b.dstHost = back, b.dstPitch = 8, b.dstHeight = 2;
  b.WidthInBytes = 8, b.Height = b.Depth = 2;
  OK(cuMemcpy3D_v2(&b));
  const unsigned box[] = {1037, 1038, 1041, 1042, 1053, 1054, 1057, 1058};
  CHECK(memcmp(back, box, sizeof box) == 0);
  size_t pitch;
  CUdeviceptr rows;
  OK(cuMemAllocPitch_v2(&rows, &pitch, 100, 3, 4));
  CHECK(pitch >= 100 && pitch % 256 == 0 && rows % 256 == 0 && p % 256 == 0);
  CUdeviceptr base;
  size_t size;
  OK(cuMemGetAddressRange_v2(&base, &size, p + 5));
  CHECK(base == p && size == sizeof host);
}

CASE(pinned_and_managed) {
  context();
  void *pin;
  CUdeviceptr managed;
  OK(cuMemHostAlloc(&pin, 400, 0));
  OK(cuMemAllocManaged(&managed, 400, 1));
  memset(pin, 1, 400);  // the host may
  memset(reinterpret_cast<void *>(managed), 2, 400);
  unsigned type = 0, is = 9;
  OK(cuPointerGetAttribute(&type, 2, CUdeviceptr(pin)));
  OK(cuPointerGetAttribute(&is, 8, managed));
  CHECK(type == CU_MEMORYTYPE_HOST && is == 1);
  unsigned mine[100];
  OK(cuMemHostRegister_v2(mine, sizeof mine, 0));
  WANT(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, cuMemHostRegister_v2(mine, 4, 0));
  OK(cuMemHostUnregister(mine));
  WANT(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, cuMemHostUnregister(mine));
  CUfunction set = kernel("set");
  OK(launch1(set, 1, 128, nullptr, managed, 5, 100));
  OK(cuCtxSynchronize());
  CHECK(reinterpret_cast<unsigned *>(managed)[99] == 5);
  OK(cuMemFreeHost(pin));
  OK(cuMemFree_v2(managed));
}

CASE(memory_is_poisoned) {
  context();
  CUdeviceptr p = alloc(4096);
  float back[1024];
  OK(cuMemcpyDtoH_v2(back, p, sizeof back));
  for (float v : back) CHECK(v != v);
}

CASE(host_reads_device) {
  context();
  CUdeviceptr p = alloc(64);
  OK(cuMemsetD8_v2(p, 1, 64));
  OK(cuCtxSynchronize());
  if (bug) printf("%d\n", *reinterpret_cast<volatile char *>(p));
}

CASE(host_writes_device) {
  context();
  CUdeviceptr p = alloc(64);
  if (bug) *reinterpret_cast<volatile char *>(p) = 1;
  OK(cuMemsetD8_v2(p, 1, 64));
}

CASE(host_uses_freed_pinned) {
  context();
  void *pin;
  OK(cuMemHostAlloc(&pin, 64, 0));
  if (bug) OK(cuMemFreeHost(pin));
  *static_cast<volatile char *>(pin) = 1;
}

CASE(freed_twice) {
  context();
  CUdeviceptr p = alloc(64);
  OK(cuMemFree_v2(p));
  if (bug) WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(p));
}

CASE(freed_wrongly) {
  context();
  CUdeviceptr p = alloc(64);
  void *pin;
  OK(cuMemHostAlloc(&pin, 64, 0));
  if (bug) {
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(p + 4));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFree_v2(CUdeviceptr(pin)));
    WANT(CUDA_ERROR_INVALID_VALUE, cuMemFreeHost(reinterpret_cast<void *>(p)));
  }
  OK(cuMemFree_v2(p));
  OK(cuMemFreeHost(pin));
}

CASE(copy_beyond_the_end) {
  context();
  CUdeviceptr p = alloc(64);
  char host[65];
  CUresult code = bug ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  WANT(code, cuMemcpyDtoH_v2(host, p, 64 + bug));
  WANT(code, cuMemcpyHtoD_v2(p, host, 64 + bug));
  WANT(code, cuMemsetD8_v2(p + bug, 0, 64));
  WANT(code, cuMemcpyHtoD_v2(p - bug, host, 4));
}

CASE(copy_of_freed_memory) {
  context();
  CUdeviceptr p = alloc(64);
  char host[64];
  if (bug) OK(cuMemFree_v2(p));
  WANT(bug ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS, cuMemcpyDtoH_v2(host, p, 64));
}

CASE(device_memory_as_host_memory) {
  context();
  CUdeviceptr p = alloc(64), q = alloc(64);
  char host[64] = {};
  WANT(bug ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS,
       cuMemcpyHtoD_v2(q, bug ? reinterpret_cast<void *>(p) : host, 64));
  WANT(bug ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS,
       cuMemcpyDtoH_v2(bug ? reinterpret_cast<void *>(q) : host, p, 64));
}

CASE(host_memory_as_device_memory) {
  context();
  CUdeviceptr p = alloc(64);
  char host[64] = {};
  WANT(bug ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS, cuMemcpyDtoD_v2(p, bug ? CUdeviceptr(host) : p, 64));
}

// With GODCEM_SIM_MEMORY=1048576.
CASE(out_of_memory) {
  context();
  size_t free0, free1, total;
  OK(cuMemGetInfo_v2(&free0, &total));
  CHECK(total == 1 << 20 && free0 == total);
  CUdeviceptr p = alloc(700000), q = 0;
  OK(cuMemGetInfo_v2(&free1, &total));
  CHECK(free1 <= free0 - 700000);
  WANT(bug ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_SUCCESS, cuMemAlloc_v2(&q, bug ? 400000 : 300000));
  CHECK(bug == (q == 0));
  WANT(CUDA_ERROR_OUT_OF_MEMORY, cuMemAlloc_v2(&q, ~size_t(0)));
  WANT(CUDA_ERROR_INVALID_VALUE, cuMemAlloc_v2(&q, 0));
  OK(cuMemFree_v2(p));
  p = alloc(700000);
}

CASE(leak_at_the_context_end) {
  CUcontext c = context();
  CUdeviceptr p = alloc(64);
  CUstream s;
  OK(cuStreamCreate(&s, 0));
  char list[1000];
  CHECK(simcudaLive(list, sizeof list) == 3 && strstr(list, "64 bytes of device memory") &&
        strstr(list, "1 of kind stream"));
  if (!bug) {
    OK(cuMemFree_v2(p));
    OK(cuStreamDestroy_v2(s));
  }
  OK(cuCtxDestroy_v2(c));
  CHECK(simcudaLeaked(list, sizeof list) == (bug ? 2 : 0));
  CHECK(simcudaLive(nullptr, 0) == 0);
}

// With GODCEM_SIM_LEAKS=fatal.
CASE(leak_at_exit) {
  CUcontext c = context();
  CUdeviceptr p = alloc(64);
  if (bug) return;
  OK(cuMemFree_v2(p));
  OK(cuCtxDestroy_v2(c));
}

// With GODCEM_SIM_CHECK=1.
CASE(copy_of_what_nobody_wrote) {
  context();
  CUdeviceptr p = alloc(64), q = alloc(64);
  OK(cuMemsetD8_v2(p, 1, bug ? 60 : 64));
  OK(cuMemcpyDtoD_v2(q, p, 64));
  char host[64];
  WANT(bug ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS, cuMemcpyDtoH_v2(host, q, 64));
}
