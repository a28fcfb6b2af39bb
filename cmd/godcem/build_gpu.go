//go:build gpu

package main

import _ "github.com/godcem/godcem/engine/backend/cuda/probe" // says why, where there is no GPU

// gpuBuild: this program is built with CUDA.
const gpuBuild = true
