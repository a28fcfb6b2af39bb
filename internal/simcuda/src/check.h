// The checking mode: what rt.cc tells of a launch, and what instrumented kernels call.
#ifndef GODCEM_SIM_CHECK_H
#define GODCEM_SIM_CHECK_H

#include "image.h"

void check_launch(int instrumented, const sim_state* state);
void check_block(unsigned long number);
void check_barrier();
void check_warp(unsigned warp);
void check_access(const void* p, unsigned long size, int kind, const void* pc);
void check_fence();

#endif
