// The block executor: loads images that the NVRTC look-alike makes and runs their kernels on the CPU. Linked into the
// simulated libcuda.so.1 and into the library that the Go package simcuda loads.
//
// Everything here may be called from any thread; launches are done one at a time.
#ifndef GODCEM_SIM_RT_H
#define GODCEM_SIM_RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// What a call returns. The text in err says more: kernel, block, thread, address.
enum {
  SIM_OK = 0,
  SIM_INVALID = 1,     // the caller's mistake: bad image, unknown kernel, limits
  SIM_NOT_FOUND = 2,   // no kernel of that name
  SIM_ILLEGAL = 3,     // access outside of memory (CUDA_ERROR_ILLEGAL_ADDRESS)
  SIM_MISALIGNED = 4,  // CUDA_ERROR_MISALIGNED_ADDRESS
  SIM_BARRIER = 5,     // a barrier or a shuffle that not all threads reach (a GPU would hang or go wrong)
  SIM_ASSERT = 6,      // __trap() or an arithmetic fault
  SIM_RACE = 7,        // checking mode: unordered accesses
  SIM_UNINIT = 8,      // checking mode: a read of memory that nobody has written
  SIM_WORLD = 9,       // the system: no memory, dlopen fails
};

// Limits that sim_launch enforces (those of a GPU of compute capability 9.0).
enum {
  SIM_MAX_THREADS = 1024,
  SIM_MAX_STATIC_SHARED = 48 << 10,
  SIM_MAX_SHARED = 227 << 10,  // static and dynamic together
  SIM_MAX_PARAMS = 4096,       // bytes
};

typedef struct sim_module sim_module;
typedef struct sim_kernel sim_kernel;

typedef struct sim_kernel_info {
  const char* name;
  int params;             // how many
  const uint32_t* sizes;  // of each, in bytes
  size_t shared;          // static shared bytes
  int max_threads;        // by __launch_bounds__; else SIM_MAX_THREADS
} sim_kernel_info;

// An image is "SIMCUBIN", the length of the rest as a little-endian uint64, and an ELF shared object. The bytes are
// copied. size 0: the length is taken from the image (cuModuleLoadData gives none).
int sim_module_load(const void* image, size_t size, sim_module** out, char* err, size_t err_size);
// No kernel of the module may run or be launched any more.
void sim_module_unload(sim_module* m);
int sim_module_count(const sim_module* m);
const sim_kernel* sim_module_at(const sim_module* m, int i);
// NULL: there is none.
const sim_kernel* sim_module_kernel(const sim_module* m, const char* name);
sim_kernel_info sim_kernel_describe(const sim_kernel* k);

// Runs a kernel to its end, on this thread. params[i] points to the i-th argument. Blocks run one after another, in
// an order that seed chooses, as are the orders of the threads between their barriers. Device memory must be
// accessible. Limits are checked first: SIM_INVALID means that nothing has run.
int sim_launch(const sim_kernel* k, const unsigned grid[3], const unsigned block[3], size_t dynamic_shared,
               void* const* params, uint64_t seed, char* err, size_t err_size);

// The checking mode. sim_checking is 1 where the environment has GODCEM_SIM_CHECK=1; the compiler look-alike then
// instruments kernels (their images differ), and accesses are compared with what follows. Without it these do
// nothing.
int sim_checking(void);
// Tells of an allocation that kernels may access, with unknown content, and of its end. Where none was ever told,
// bounds are not checked.
void sim_memory_add(const void* base, size_t size);
void sim_memory_remove(const void* base);
// The bytes have been written by something else than a kernel (copy from the host, memset); have unknown content
// again; have been copied (the state of src's bytes becomes that of dst's; both ranges may be outside of any
// allocation).
void sim_memory_written(const void* p, size_t size);
void sim_memory_unknown(const void* p, size_t size);
void sim_memory_copied(const void* dst, const void* src, size_t size);
// The first byte in the range that nobody has written; NULL: none, or not checking.
const void* sim_memory_unwritten(const void* p, size_t size);

#ifdef __cplusplus
}
#endif
#endif
