// Modules, functions, launches, occupancy.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cuda_state.h"

namespace sim {

static CUresult module_of(Call &call, CUmodule h, Module **out) {
  Module *m = find<Module>(h);
  if (!m) {
    complain("%s: %p is %s", call.function, static_cast<void *>(h),
             destroyed(h) ? "a module that was unloaded" : "no module");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  *out = m;
  return CUDA_SUCCESS;
}

static CUresult function_of(Call &call, CUfunction h, Function **out) {
  Function *f = find<Function>(h);
  if (!f) {
    complain("%s: %p is %s", call.function, static_cast<void *>(h),
             destroyed(h) ? "a function of a module that was unloaded" : "no function");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  *out = f;
  return CUDA_SUCCESS;
}

static void finish_load(const std::string &err, unsigned n, const int *options, void **values) {
  // CU_JIT_ERROR_LOG_BUFFER is 5, its size 6; INFO 3 and 4.
  char *buffer = nullptr;
  size_t size = 0;
  for (unsigned i = 0; i < n; i++) {
    if (options[i] == 5) buffer = static_cast<char *>(values[i]);
    if (options[i] == 6) size = size_t(uintptr_t(values[i]));
  }
  if (buffer && size) snprintf(buffer, size, "%s", err.c_str());
}

static CUresult load(const char *function, CUmodule *out, const void *image, size_t size, unsigned n = 0,
                     const int *options = nullptr, void **values = nullptr) {
  BEGIN(function);
  REQUIRE(out && image, CUDA_ERROR_INVALID_VALUE, "no image");
  REQUIRE(n == 0 || (options && values), CUDA_ERROR_INVALID_VALUE, "%u options that are null", n);
  TRY(call.unsafe());
  REQUIRE(!injected("module"), CUDA_ERROR_NO_BINARY_FOR_GPU, "as GODCEM_SIM_FAIL has it");
  std::string err;
  if (size < 16 && size != 0) err = text("%zu bytes", size);
  if (size == 0 || size >= 16) {
    const char *p = static_cast<const char *>(image);
    if (memcmp(p, "\177ELF", 4) == 0 || memcmp(p, "//", 2) == 0 || memcmp(p, ".version", 8) == 0) {
      // What the real compiler makes, or PTX: the simulator runs what its own compiler makes.
      complain("%s: this is code for a real device: compile with the simulator's libnvrtc", function);
      finish_load("code for a real device", n, options, values);
      return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    if (memcmp(p, "SIMCUBIN", 8) != 0) err = "it does not begin with SIMCUBIN";
  }
  sim_module *m = nullptr;
  if (err.empty()) {
    char message[1024] = "";
    if (sim_module_load(image, size, &m, message, sizeof message)) err = message[0] ? message : "it cannot be loaded";
  }
  finish_load(err, n, options, values);
  if (!err.empty()) {
    complain("%s: invalid image: %s", function, err.c_str());
    return CUDA_ERROR_INVALID_IMAGE;
  }
  Module *mod = new Module(ctx);
  mod->image = m;
  *out = reinterpret_cast<CUmodule>(static_cast<Object *>(mod));
  log("%s: %d kernels", function, sim_module_count(m));
  return CUDA_SUCCESS;
}

// check says whether a launch is within the device's limits.
static CUresult check(Call &call, const Function *f, Dim g, Dim b, unsigned shared) {
  const char *k = f->info.name;
  unsigned long long threads = 1ull * b.x * b.y * b.z;
  bool grid = g.x >= 1 && g.y >= 1 && g.z >= 1 && g.x <= 0x7fffffffu && g.y <= 65535 && g.z <= 65535;
  bool block = threads >= 1 && b.x <= 1024 && b.y <= 1024 && b.z <= 64 && threads <= SIM_MAX_THREADS;
  if (!grid || !block) {
    complain(
        "%s: kernel %s: grid (%u, %u, %u) of blocks of (%u, %u, %u) threads: want 1 to 1024 threads, and 1 to "
        "2147483647, 65535, 65535 blocks",
        call.function, k, g.x, g.y, g.z, b.x, b.y, b.z);
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (threads > unsigned(f->info.max_threads)) {
    complain("%s: kernel %s: %llu threads, where its launch bounds allow %d", call.function, k, threads,
             f->info.max_threads);
    return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  }
  size_t dynamic = SIM_MAX_STATIC_SHARED - std::min<size_t>(f->info.shared, SIM_MAX_STATIC_SHARED);
  if (f->dynamic >= 0) dynamic = size_t(f->dynamic);
  if (shared > dynamic) {
    complain("%s: kernel %s: %u bytes of dynamic shared memory beside %zu static ones, where %zu are allowed",
             call.function, k, shared, f->info.shared, dynamic);
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

// kernel_task makes a launch a task, with its arguments copied.
CUresult kernel_task(Call &call, Task &t, CUfunction h, Dim grid, Dim block, unsigned shared, void **params,
                     void **extra) {
  Function *f;
  TRY(function_of(call, h, &f));
  REQUIRE(f->ctx == call.ctx, CUDA_ERROR_INVALID_HANDLE, "kernel %s belongs to another context than the current one",
          f->info.name);
  TRY(check(call, f, grid, block, shared));
  t.kind = Task::kernel;
  t.fn = f;
  t.grid = grid;
  t.block = block;
  t.shared = shared;
  size_t size = 0;
  for (int i = 0; i < f->info.params; i++) {
    size_t n = f->info.sizes[i], align = n % 8 == 0 ? 8 : n % 4 == 0 ? 4 : n % 2 == 0 ? 2 : 1;
    size = (size + align - 1) / align * align;
    t.offsets.push_back(size);
    size += n;
  }
  if (size > SIM_MAX_PARAMS) {
    complain("%s: kernel %s: %zu bytes of arguments, where %d are allowed", call.function, f->info.name, size,
             SIM_MAX_PARAMS);
    return CUDA_ERROR_INVALID_VALUE;
  }
  t.args.resize(size);
  if (!extra) {
    if (f->info.params && !params) {
      complain("%s: kernel %s: no arguments, where it has %d", call.function, f->info.name, f->info.params);
      return CUDA_ERROR_INVALID_VALUE;
    }
    for (int i = 0; i < f->info.params; i++) {
      REQUIRE(params[i], CUDA_ERROR_INVALID_VALUE, "kernel %s: argument %d is null", f->info.name, i);
      memcpy(t.args.data() + t.offsets[size_t(i)], params[i], f->info.sizes[i]);
    }
    return CUDA_SUCCESS;
  }
  // The arguments as one buffer: CU_LAUNCH_PARAM_BUFFER_POINTER is 1, its size 2, the end 0.
  REQUIRE(!params, CUDA_ERROR_INVALID_VALUE, "kernel %s: both kernelParams and extra", f->info.name);
  const char *buffer = nullptr;
  size_t given = 0;
  for (void **e = extra; *e; e += 2) {
    if (uintptr_t(*e) == 1) buffer = static_cast<const char *>(e[1]);
    if (uintptr_t(*e) == 2) given = *static_cast<size_t *>(e[1]);
  }
  REQUIRE(buffer && given == size, CUDA_ERROR_INVALID_VALUE, "kernel %s: %zu bytes of arguments, where it has %zu",
          f->info.name, given, size);
  if (size) memcpy(t.args.data(), buffer, size);
  return CUDA_SUCCESS;
}

static CUresult launch(const char *function, CUfunction f, Dim grid, Dim block, unsigned shared, CUstream h,
                       void **params, void **extra) {
  BEGIN(function);
  Stream *s;
  TRY(stream_of(call, h, &s));
  Task t;
  TRY(kernel_task(call, t, f, grid, block, shared, params, extra));
  count("launch");
  return enqueue(call, s, std::move(t));
}

// resident is the number of blocks of a kernel that fit on a multiprocessor.
static int resident(const Function *f, int threads, size_t dynamic) {
  if (threads > f->info.max_threads) return 0;
  int arch = state().set.arch, warps = (threads + 31) / 32;
  int most = arch == 75 ? 32 : arch == 86 || arch == 89 ? 48 : 64;
  size_t shared = f->info.shared + dynamic + 1024;
  if (shared > SIM_MAX_SHARED + 1024) return 0;
  return std::min({32, most / warps, int((SIM_MAX_SHARED + 1024) / shared)});
}

}  // namespace sim

using namespace sim;

SIM_EXPORT CUresult cuModuleLoadData(CUmodule *out, const void *image) {
  return load("cuModuleLoadData", out, image, 0);
}

SIM_EXPORT CUresult cuModuleLoadDataEx(CUmodule *out, const void *image, unsigned n, int *options, void **values) {
  return load("cuModuleLoadDataEx", out, image, 0, n, options, values);
}

SIM_EXPORT CUresult cuModuleLoadFatBinary(CUmodule *out, const void *image) {
  return load("cuModuleLoadFatBinary", out, image, 0);
}

SIM_EXPORT CUresult cuModuleLoad(CUmodule *out, const char *path) {
  std::vector<char> bytes;
  {
    BEGIN("cuModuleLoad");
    REQUIRE(path, CUDA_ERROR_INVALID_VALUE, "no path");
    FILE *f = fopen(path, "rb");
    REQUIRE(f, CUDA_ERROR_FILE_NOT_FOUND, "%s: %s", path, strerror(errno));
    char block[65536];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) bytes.insert(bytes.end(), block, block + n);
    fclose(f);
    REQUIRE(bytes.size() >= 16, CUDA_ERROR_INVALID_IMAGE, "%s: %zu bytes", path, bytes.size());
  }
  return load("cuModuleLoad", out, bytes.data(), bytes.size());
}

SIM_EXPORT CUresult cuModuleUnload(CUmodule h) {
  BEGIN("cuModuleUnload");
  Module *m;
  TRY(module_of(call, h, &m));
  TRY(call.unsafe());
  call.ctx = m->ctx;
  CUresult r = drain_context(call, m->ctx);
  m->dead = true;
  for (auto &f : m->functions) f.second->dead = true;
  sim_module_unload(m->image);
  return r;
}

SIM_EXPORT CUresult cuModuleGetFunction(CUfunction *out, CUmodule h, const char *name) {
  BEGIN("cuModuleGetFunction");
  Module *m;
  TRY(module_of(call, h, &m));
  REQUIRE(out && name, CUDA_ERROR_INVALID_VALUE, "no name");
  const sim_kernel *k = sim_module_kernel(m->image, name);
  REQUIRE(k, CUDA_ERROR_NOT_FOUND, "the module has no kernel %s", name);
  Function *&f = m->functions[name];
  if (!f) {
    f = new Function(m->ctx);
    f->module = m;
    f->kernel = k;
    f->info = sim_kernel_describe(k);
  }
  *out = reinterpret_cast<CUfunction>(static_cast<Object *>(f));
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuModuleGetFunctionCount(unsigned *out, CUmodule h) {
  BEGIN("cuModuleGetFunctionCount");
  Module *m;
  TRY(module_of(call, h, &m));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the count");
  *out = unsigned(sim_module_count(m->image));
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuModuleGetGlobal_v2(CUdeviceptr *, size_t *, CUmodule h, const char *name) {
  BEGIN("cuModuleGetGlobal");
  Module *m;
  TRY(module_of(call, h, &m));
  return call.fail(CUDA_ERROR_NOT_FOUND, "the simulator has no global variables: %s", name ? name : "(null)");
}

SIM_EXPORT CUresult cuModuleGetLoadingMode(int *mode) {
  if (!mode) return CUDA_ERROR_INVALID_VALUE;
  *mode = 1;  // eager
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuFuncGetModule(CUmodule *out, CUfunction h) {
  BEGIN("cuFuncGetModule");
  Function *f;
  TRY(function_of(call, h, &f));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the module");
  *out = reinterpret_cast<CUmodule>(static_cast<Object *>(f->module));
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuFuncGetAttribute(int *out, int attribute, CUfunction h) {
  BEGIN("cuFuncGetAttribute");
  Function *f;
  TRY(function_of(call, h, &f));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the value");
  switch (attribute) {
    case 0:  // MAX_THREADS_PER_BLOCK
      *out = f->info.max_threads;
      break;
    case 1:  // SHARED_SIZE_BYTES
      *out = int(f->info.shared);
      break;
    case 2:  // CONST_SIZE_BYTES
    case 3:  // LOCAL_SIZE_BYTES
    case 7:  // CACHE_MODE_CA
      *out = 0;
      break;
    case 4:  // NUM_REGS: the simulator has none
      *out = 32;
      break;
    case 5:  // PTX_VERSION
    case 6:  // BINARY_VERSION
      *out = state().set.arch;
      break;
    case 8:  // MAX_DYNAMIC_SHARED_SIZE_BYTES
      *out = f->dynamic >= 0 ? f->dynamic : int(SIM_MAX_STATIC_SHARED - f->info.shared);
      break;
    case 9:  // PREFERRED_SHARED_MEMORY_CARVEOUT
      *out = -1;
      break;
    default:
      return call.fail(CUDA_ERROR_INVALID_VALUE, "attribute %d", attribute);
  }
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuFuncSetAttribute(CUfunction h, int attribute, int value) {
  BEGIN("cuFuncSetAttribute");
  Function *f;
  TRY(function_of(call, h, &f));
  if (attribute == 9) return CUDA_SUCCESS;
  REQUIRE(attribute == 8, CUDA_ERROR_INVALID_VALUE, "attribute %d", attribute);
  REQUIRE(value >= 0 && size_t(value) + f->info.shared <= SIM_MAX_SHARED, CUDA_ERROR_INVALID_VALUE,
          "%d bytes of dynamic shared memory beside %zu static ones, where a block has %d", value, f->info.shared,
          SIM_MAX_SHARED);
  f->dynamic = value;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuFuncSetCacheConfig(CUfunction h, int) {
  BEGIN("cuFuncSetCacheConfig");
  Function *f;
  return function_of(call, h, &f);
}

SIM_EXPORT CUresult cuFuncSetSharedMemConfig(CUfunction h, int) {
  BEGIN("cuFuncSetSharedMemConfig");
  Function *f;
  return function_of(call, h, &f);
}

SIM_EXPORT CUresult cuLaunchKernel(CUfunction f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                                   unsigned bz, unsigned shared, CUstream h, void **params, void **extra) {
  return launch("cuLaunchKernel", f, {gx, gy, gz}, {bx, by, bz}, shared, h, params, extra);
}

SIM_EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig *c, CUfunction f, void **params, void **extra) {
  if (!c) return CUDA_ERROR_INVALID_VALUE;
  if (c->numAttrs) return CUDA_ERROR_NOT_SUPPORTED;
  return launch("cuLaunchKernelEx", f, {c->gridDimX, c->gridDimY, c->gridDimZ},
                {c->blockDimX, c->blockDimY, c->blockDimZ}, c->sharedMemBytes, c->hStream, params, extra);
}

SIM_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int *out, CUfunction h, int threads, size_t dynamic) {
  BEGIN("cuOccupancyMaxActiveBlocksPerMultiprocessor");
  Function *f;
  TRY(function_of(call, h, &f));
  REQUIRE(out && threads > 0, CUDA_ERROR_INVALID_VALUE, "%d threads", threads);
  *out = resident(f, threads, dynamic);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *out, CUfunction h, int threads,
                                                                         size_t dynamic, unsigned) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessor(out, h, threads, dynamic);
}

SIM_EXPORT CUresult cuOccupancyMaxPotentialBlockSize(int *blocks, int *threads, CUfunction h, CUoccupancyB2DSize size,
                                                     size_t dynamic, int limit) {
  BEGIN("cuOccupancyMaxPotentialBlockSize");
  Function *f;
  TRY(function_of(call, h, &f));
  REQUIRE(blocks && threads, CUDA_ERROR_INVALID_VALUE, "nowhere to put the sizes");
  int best = 0;
  for (int n = std::min(f->info.max_threads, limit > 0 ? limit : SIM_MAX_THREADS) / 32 * 32; n >= 32; n -= 32) {
    int fit = resident(f, n, size ? size(n) : dynamic);
    if (fit * n <= best) continue;
    best = fit * n;
    *threads = n;
    *blocks = fit * state().set.sms;
  }
  REQUIRE(best > 0, CUDA_ERROR_INVALID_VALUE, "no block fits");
  return CUDA_SUCCESS;
}
