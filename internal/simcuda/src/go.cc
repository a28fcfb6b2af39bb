// What the Go package simcuda calls: pointers and numbers only.
#include <stdlib.h>
#include <string.h>

#include <string>

#include "compile.h"
#include "rt.h"

#define SIM_API extern "C" __attribute__((visibility("default")))

// Compiles a source. Gives 0 and the image, or 1 and the log; the caller copies *out and frees it.
SIM_API int sim_go_compile(const char* source, size_t size, int checked, char** out, size_t* out_size) {
  sim_compile_options o;
  o.contract = false;
  o.checked = checked != 0;
  std::string image, log;
  bool ok = sim_compile(std::string(source, size), "kernel.cu", o, &image, &log);
  const std::string& r = ok ? image : log;
  *out = (char*)malloc(r.size() + 1);
  if (!*out) return -1;
  memcpy(*out, r.data(), r.size());
  *out_size = r.size();
  return ok ? 0 : 1;
}

SIM_API void sim_go_copy(void* to, const void* from, size_t n) { memcpy(to, from, n); }
SIM_API void sim_go_free(void* p) { free(p); }

// A kernel's description; its name, at most 255 bytes, ends with 0, and at most 512 sizes are written.
struct sim_go_kernel {
  uint64_t shared, params, max_threads;
  char name[256];
  uint32_t sizes[512];
};
SIM_API void sim_go_describe(const sim_kernel* k, sim_go_kernel* out) {
  sim_kernel_info i = sim_kernel_describe(k);
  out->shared = i.shared, out->params = i.params, out->max_threads = i.max_threads;
  strncpy(out->name, i.name, sizeof out->name - 1);
  for (int p = 0; p < i.params && p < 512; p++) out->sizes[p] = i.sizes[p];
}

struct sim_go_arguments {
  const sim_kernel* kernel;
  uint64_t blocks, threads, dynamic, seed;
  void* const* params;
  char* err;
  uint64_t err_size;
};
SIM_API int sim_go_launch(const sim_go_arguments* a) {
  unsigned grid[3] = {(unsigned)a->blocks, 1, 1}, block[3] = {(unsigned)a->threads, 1, 1};
  return sim_launch(a->kernel, grid, block, a->dynamic, a->params, a->seed, a->err, a->err_size);
}
