//go:build !gpu

package main

// gpuBuild: this program is built with CUDA.
const gpuBuild = false
