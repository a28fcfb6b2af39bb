// What tasks do, on the simulator's thread.
#include <cstring>

#include "cuda_state.h"

namespace sim {

static CUresult code_of(int sim) {
  switch (sim) {
    case SIM_OK:
      return CUDA_SUCCESS;
    case SIM_ILLEGAL:
    case SIM_UNINIT:
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    case SIM_MISALIGNED:
      return CUDA_ERROR_MISALIGNED_ADDRESS;
    case SIM_BARRIER:
      return CUDA_ERROR_LAUNCH_TIMEOUT;  // a device would wait for ever
    default:
      return CUDA_ERROR_LAUNCH_FAILED;
  }
}

static CUresult run_kernel(Task &t, std::string &err) {
  Device &d = state().devices[size_t(t.ctx->device)];
  if (injected("lost")) {
    d.lost = true;
    err = "the device is lost, as GODCEM_SIM_FAIL has it";
    return CUDA_ERROR_LAUNCH_FAILED;
  }
  if (injected("ecc")) {
    err = "uncorrectable memory error, as GODCEM_SIM_FAIL has it";
    return CUDA_ERROR_ECC_UNCORRECTABLE;
  }
  if (injected("fault")) {
    err = "illegal address, as GODCEM_SIM_FAIL has it";
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  if (t.fn->module->dead) {
    err = "its module was unloaded";
    return CUDA_ERROR_LAUNCH_FAILED;
  }
  count("kernel");
  std::vector<void *> params;
  for (size_t at : t.offsets) params.push_back(t.args.data() + at);
  const unsigned grid[3] = {t.grid.x, t.grid.y, t.grid.z}, block[3] = {t.block.x, t.block.y, t.block.z};
  char message[1024] = "";
  open(t.ctx);
  int r = sim_launch(t.fn->kernel, grid, block, t.shared, params.data(), draw(), message, sizeof message);
  err = message;
  if (r) return code_of(r);
  return slack_intact(err) ? CUDA_SUCCESS : CUDA_ERROR_ILLEGAL_ADDRESS;
}

// reach makes an extent's memory accessible, and says whether all of it is in one allocation, or none of it in any.
static bool reach(const Task &t, const Extent &e, std::string &err) {
  size_t size = (t.depth - 1) * e.plane + (t.height - 1) * e.pitch + t.width;
  Allocation *a = allocation(e.at, size);
  if (a) {
    open(a);
    return true;
  }
  auto it = state().freed.upper_bound(uintptr_t(e.at));
  if (it != state().freed.begin() && uintptr_t(e.at) - (--it)->first < it->second) {
    err = text("%p is in memory that was freed", static_cast<void *>(e.at));
    return false;
  }
  if (allocation(e.at) || allocation(e.at + size - 1)) {
    err = text("%zu bytes at %p go beyond an allocation", size, static_cast<void *>(e.at));
    return false;
  }
  return true;  // pageable memory of the host
}

static CUresult run_copy(Task &t, std::string &err) {
  if (injected("copy")) {
    err = "as GODCEM_SIM_FAIL has it";
    return CUDA_ERROR_ILLEGAL_ADDRESS;
  }
  if (!reach(t, t.dst, err) || (!t.staged && !reach(t, t.src, err))) return CUDA_ERROR_ILLEGAL_ADDRESS;
  const Allocation *to = allocation(t.dst.at);
  bool to_host = !to || to->kind == Allocation::pinned || to->kind == Allocation::registered;
  size_t row = 0;
  for (size_t z = 0; z < t.depth; z++) {
    for (size_t y = 0; y < t.height; y++, row++) {
      char *dst = t.dst.at + z * t.dst.plane + y * t.dst.pitch;
      const char *src = t.staged ? t.staged->data() + row * t.width : t.src.at + z * t.src.plane + y * t.src.pitch;
      if (sim_checking() && to_host && !t.staged) {
        if (const void *at = sim_memory_unwritten(src, t.width)) {
          err = text("the host would get the byte at %p (%zu of %zu), which nobody has written", at,
                     size_t(static_cast<const char *>(at) - t.src.at), t.width);
          return CUDA_ERROR_ILLEGAL_ADDRESS;
        }
      }
      memmove(dst, src, t.width);
      if (t.staged)
        sim_memory_written(dst, t.width);
      else
        sim_memory_copied(dst, src, t.width);
    }
  }
  return CUDA_SUCCESS;
}

static CUresult run_fill(Task &t, std::string &err) {
  if (!reach(t, t.dst, err)) return CUDA_ERROR_ILLEGAL_ADDRESS;
  for (size_t y = 0; y < t.height; y++) {
    char *row = t.dst.at + y * t.dst.pitch;
    if (t.element == 1) memset(row, int(t.value), t.width);
    for (size_t x = 0; t.element > 1 && x < t.width; x += t.element) memcpy(row + x, &t.value, t.element);
    sim_memory_written(row, t.width);
  }
  return CUDA_SUCCESS;
}

// run_plan does a graph's nodes in an order that their edges allow and the seed chooses.
static CUresult run_plan(Task &t, std::string &err) {
  Plan &p = *t.plan;
  size_t n = p.items.size();
  std::vector<std::vector<size_t>> next(n);
  std::vector<size_t> waits(n), can;
  for (size_t i = 0; i < n; i++) {
    waits[i] = p.items[i].after.size();
    for (size_t a : p.items[i].after) next[a].push_back(i);
    if (!waits[i]) can.push_back(i);
  }
  while (!can.empty()) {
    size_t at = draw() % can.size(), i = can[at];
    can[at] = can.back();
    can.pop_back();
    p.items[i].task.ctx = t.ctx;
    if (CUresult r = execute(p.items[i].task, err)) {
      err = text("node %zu of %zu, %s: %s", i, n, p.items[i].task.describe().c_str(), err.c_str());
      return r;
    }
    for (size_t j : next[i])
      if (!--waits[j]) can.push_back(j);
  }
  return CUDA_SUCCESS;
}

CUresult execute(Task &t, std::string &err) {
  switch (t.kind) {
    case Task::empty:
      return CUDA_SUCCESS;
    case Task::kernel:
      return run_kernel(t, err);
    case Task::copy:
      return run_copy(t, err);
    case Task::fill:
      return run_fill(t, err);
    case Task::host:
      close_all();
      if (t.callback)
        t.callback(t.stream, CUDA_SUCCESS, t.data);
      else
        t.call(t.data);
      return CUDA_SUCCESS;
    case Task::graph:
      count("graph");
      return run_plan(t, err);
  }
  return CUDA_ERROR_UNKNOWN;
}

}  // namespace sim
