// What an image (a compiled kernel file) and the block executor share. Included by shim.h, which kernels are compiled
// with, and by rt.cc: it must need no other header.
#ifndef GODCEM_SIM_IMAGE_H
#define GODCEM_SIM_IMAGE_H

#define SIM_ABI 1

struct uint3 {
  unsigned x, y, z;
};

// Operations of sim_state.warp.
enum { SIM_WARP_SYNC, SIM_WARP_SHUFFLE, SIM_WARP_BALLOT };
// Kinds of sim_state.access.
enum { SIM_READ, SIM_WRITE, SIM_ATOMIC };

// The state of the thread that runs, which the executor changes at every switch, and the executor's functions.
struct sim_state {
  uint3 thread, block, block_dim, grid_dim;
  unsigned char* shared;   // the block's static shared memory
  unsigned char* dynamic;  // and its dynamic one
  // A barrier of the block; returns how many threads gave a pred that is not 0. at is its place in the source.
  int (*barrier)(const char* at, int pred);
  // A collective operation of the lanes in mask; for a shuffle, source is the lane whose value is wanted.
  unsigned long long (*warp)(int op, unsigned mask, unsigned long long value, int source, const char* at);
  void (*access)(const void* p, unsigned long size, int kind, const void* pc);
  void (*fence)();
  void (*misaligned)(const void* p, unsigned align, const char* file, unsigned line);
  void (*trap)(const char* at);
};

struct sim_entry {
  const char* name;
  void (*run)(void* const* params);  // the kernel, as the current thread
  int params;
  const unsigned* sizes;
  unsigned long shared;
  int max_threads;
};

struct sim_image {
  unsigned abi;
  int count;
  const sim_entry* entries;
  sim_state* state;
  int checked;  // instrumented
};

#endif
