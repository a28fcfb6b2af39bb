package kernels

import "embed"

// CUDA holds the kernels as CUDA C, by file name. Each file begins with the files that it needs, one per line:
//
//	#include "common.cu"
//
// They compile with NVRTC as they are: no other headers, no standard library.
//
//go:embed *.cu
var CUDA embed.FS
