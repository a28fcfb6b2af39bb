// Initialisation and devices.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

#include "cuda_state.h"

using namespace sim;

SIM_EXPORT CUresult cuInit(unsigned flags) {
  if (self().inside) return CUDA_ERROR_NOT_PERMITTED;
  std::lock_guard<std::recursive_mutex> hold(state().lock);
  State &s = state();
  if (flags) return CUDA_ERROR_INVALID_VALUE;
  auto fails = s.set.fail.find("init");
  if (fails != s.set.fail.end()) return fails->second ? CUresult(fails->second) : CUDA_ERROR_UNKNOWN;
  if (s.set.devices < 1) return CUDA_ERROR_NO_DEVICE;
  if (s.started) return CUDA_SUCCESS;
  s.started = true;
  s.devices.resize(size_t(s.set.devices));
  for (Device &d : s.devices) d.total = s.set.memory;
  log("cuInit: %d devices of %zu bytes, seed %llu", s.set.devices, s.set.memory,
      static_cast<unsigned long long>(s.set.seed));
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDriverGetVersion(int *out) {
  if (!out) return CUDA_ERROR_INVALID_VALUE;
  *out = state().set.driver;
  return CUDA_SUCCESS;
}

#define DEVICE(d)                                                                                         \
  REQUIRE(d >= 0 && size_t(d) < state().devices.size(), CUDA_ERROR_INVALID_DEVICE, "device %d of %zu", d, \
          state().devices.size())

SIM_EXPORT CUresult cuDeviceGet(CUdevice *out, int ordinal) {
  BEGIN_ANY("cuDeviceGet");
  DEVICE(ordinal);
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the device");
  *out = ordinal;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetCount(int *out) {
  BEGIN_ANY("cuDeviceGetCount");
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the count");
  *out = int(state().devices.size());
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetName(char *out, int n, CUdevice d) {
  BEGIN_ANY("cuDeviceGetName");
  DEVICE(d);
  REQUIRE(out && n > 0, CUDA_ERROR_INVALID_VALUE, "nowhere to put the name");
  snprintf(out, size_t(n), "Simulated CUDA device %d", d);
  return CUDA_SUCCESS;
}

static CUresult uuid(CUuuid *out, CUdevice d) {
  BEGIN_ANY("cuDeviceGetUuid");
  DEVICE(d);
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the identity");
  memcpy(out->bytes, "simulated device", 16);
  out->bytes[9] = char('0' + d % 10);
  return CUDA_SUCCESS;
}
SIM_EXPORT CUresult cuDeviceGetUuid(CUuuid *out, CUdevice d) { return uuid(out, d); }
SIM_EXPORT CUresult cuDeviceGetUuid_v2(CUuuid *out, CUdevice d) { return uuid(out, d); }

SIM_EXPORT CUresult cuDeviceTotalMem_v2(size_t *out, CUdevice d) {
  BEGIN_ANY("cuDeviceTotalMem");
  DEVICE(d);
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the size");
  *out = state().devices[size_t(d)].total;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetPCIBusId(char *out, int n, CUdevice d) {
  BEGIN_ANY("cuDeviceGetPCIBusId");
  DEVICE(d);
  REQUIRE(out && n > 0, CUDA_ERROR_INVALID_VALUE, "nowhere to put the name");
  snprintf(out, size_t(n), "0000:%02x:00.0", d + 1);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetAttribute(int *out, int attribute, CUdevice d) {
  BEGIN_ANY("cuDeviceGetAttribute");
  DEVICE(d);
  REQUIRE(out && attribute > 0 && attribute < 160, CUDA_ERROR_INVALID_VALUE, "attribute %d", attribute);
  const Settings &s = state().set;
  switch (attribute) {
    case 1:  // MAX_THREADS_PER_BLOCK
    case 2:  // MAX_BLOCK_DIM_X
    case 3:  // MAX_BLOCK_DIM_Y
      *out = SIM_MAX_THREADS;
      break;
    case 4:  // MAX_BLOCK_DIM_Z
      *out = 64;
      break;
    case 5:   // MAX_GRID_DIM_X
    case 11:  // MAX_PITCH
      *out = 0x7fffffff;
      break;
    case 6:  // MAX_GRID_DIM_Y
    case 7:  // MAX_GRID_DIM_Z
      *out = 65535;
      break;
    case 8:  // MAX_SHARED_MEMORY_PER_BLOCK
      *out = SIM_MAX_STATIC_SHARED;
      break;
    case 9:  // TOTAL_CONSTANT_MEMORY
      *out = 65536;
      break;
    case 10:  // WARP_SIZE
      *out = 32;
      break;
    case 12:  // MAX_REGISTERS_PER_BLOCK
    case 82:  // MAX_REGISTERS_PER_MULTIPROCESSOR
      *out = 65536;
      break;
    case 13:  // CLOCK_RATE, kHz
      *out = 1980000;
      break;
    case 14:  // TEXTURE_ALIGNMENT
    case 30:  // SURFACE_ALIGNMENT
      *out = 512;
      break;
    case 16:  // MULTIPROCESSOR_COUNT
      *out = s.sms;
      break;
    case 33:  // PCI_BUS_ID
      *out = d + 1;
      break;
    case 36:  // MEMORY_CLOCK_RATE, kHz
      *out = 3201000;
      break;
    case 37:  // GLOBAL_MEMORY_BUS_WIDTH, bits
      *out = 6144;
      break;
    case 38:  // L2_CACHE_SIZE
      *out = 50 << 20;
      break;
    case 39:  // MAX_THREADS_PER_MULTIPROCESSOR
      *out = s.arch == 75 ? 1024 : s.arch == 86 || s.arch == 89 ? 1536 : 2048;
      break;
    case 40:  // ASYNC_ENGINE_COUNT
      *out = 3;
      break;
    case 75:  // COMPUTE_CAPABILITY_MAJOR
      *out = s.arch / 10;
      break;
    case 76:  // COMPUTE_CAPABILITY_MINOR
      *out = s.arch % 10;
      break;
    case 81:  // MAX_SHARED_MEMORY_PER_MULTIPROCESSOR
      *out = SIM_MAX_SHARED + 1024;
      break;
    case 97:  // MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
      *out = SIM_MAX_SHARED;
      break;
    case 106:  // MAX_BLOCKS_PER_MULTIPROCESSOR
      *out = 32;
      break;
    case 111:  // RESERVED_SHARED_MEMORY_PER_BLOCK
      *out = 1024;
      break;
    case 15:  // GPU_OVERLAP
    case 19:  // CAN_MAP_HOST_MEMORY
    case 31:  // CONCURRENT_KERNELS
    case 32:  // ECC_ENABLED
    case 41:  // UNIFIED_ADDRESSING
    case 78:  // STREAM_PRIORITIES_SUPPORTED
    case 79:  // GLOBAL_L1_CACHE_SUPPORTED
    case 80:  // LOCAL_L1_CACHE_SUPPORTED
    case 83:  // MANAGED_MEMORY
    case 90:  // COMPUTE_PREEMPTION_SUPPORTED
    case 99:  // HOST_REGISTER_SUPPORTED
      *out = 1;
      break;
    default:
      *out = 0;
  }
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceCanAccessPeer(int *out, CUdevice a, CUdevice b) {
  BEGIN_ANY("cuDeviceCanAccessPeer");
  DEVICE(a);
  DEVICE(b);
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the answer");
  *out = a != b;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuDeviceGetP2PAttribute(int *out, int attribute, CUdevice a, CUdevice b) {
  BEGIN_ANY("cuDeviceGetP2PAttribute");
  DEVICE(a);
  DEVICE(b);
  REQUIRE(out && a != b && attribute >= 1 && attribute <= 4, CUDA_ERROR_INVALID_VALUE, "attribute %d", attribute);
  *out = attribute == 2;  // access, without atomics and arrays
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuProfilerStart(void) { return CUDA_SUCCESS; }
SIM_EXPORT CUresult cuProfilerStop(void) { return CUDA_SUCCESS; }

// cuGetProcAddress gives the second variant of a function, where it has one: those of cuda.h 11.8 to 12.
SIM_EXPORT CUresult cuGetProcAddress_v2(const char *name, void **out, int, uint64_t, int *status) {
  if (!name || !out) return CUDA_ERROR_INVALID_VALUE;
  static void *const own = [] {
    Dl_info info{};
    dladdr(reinterpret_cast<void *>(&cuInit), &info);
    return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  }();
  *out = nullptr;
  for (const char *suffix : {"_v2", ""})
    if (own && !*out) *out = dlsym(own, (std::string(name) + suffix).c_str());
  if (status) *status = *out ? 0 : 1;
  return *out ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
