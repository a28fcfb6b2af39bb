// The checking mode: what rt.cc tells of a launch, and what instrumented kernels call.
#ifndef GODCEM_SIM_CHECK_H
#define GODCEM_SIM_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "image.h"

// What rt.cc knows; it keeps this up to date while a launch runs.
struct sim_view {
  bool active = false;                   // a launch of an instrumented kernel
  unsigned thread = 0;                   // of the block
  unsigned threads = 0;                  // in a block
  uintptr_t stack = 0, stack_end = 0;    // of the thread
  uintptr_t stacks = 0, stacks_end = 0;  // of all threads
  uintptr_t shared = 0, shared_end = 0;  // in use
  uintptr_t shared_region = 0;           // its memory ends at shared_end
  uintptr_t state = 0;                   // of the image
};
extern sim_view sim_now;

// Ends the launch with an error; code is one of rt.h. It does not return.
[[noreturn]] void sim_stop(int code, const char* format, ...) __attribute__((format(printf, 2, 3)));
// Keeps launches away.
void sim_hold();
void sim_let_go();

void check_launch();
void check_block(unsigned long number);
void check_barrier();
void check_warp(unsigned warp);  // __syncwarp() of all its lanes
void check_access(const void* p, unsigned long size, int kind, const void* pc);
void check_fence();

#endif
