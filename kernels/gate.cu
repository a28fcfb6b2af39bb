#include "common.cu"
// Gates (dcem/gate.go): gradients pass for the samples whose cost is finite, and are 0 for the others.

template <class T> __device__ inline bool gate_finite(T v) { return v - v == 0; }

// gate_row writes the gradients of a problem's samples. dx, g: (N, D); f: (N). lost counts the samples whose gradients
// were not finite and did not pass. THREADS threads, no barriers.
template <class T, unsigned N, unsigned D, unsigned THREADS>
__device__ inline void gate_row(T* dx, const T* f, const T* g, long long* lost) {
  for (unsigned i = threadIdx.x; i < N * D; i += THREADS) dx[i] = gate_finite(f[i / D]) ? g[i] : T(0);
  unsigned long long count = 0;
  for (unsigned i = threadIdx.x; i < N; i += THREADS) {
    if (gate_finite(f[i])) continue;
    bool all = true;
    for (unsigned j = 0; j < D; j++) all = all && gate_finite(g[i * D + j]);
    if (!all) count++;
  }
  if (count > 0) atomicAdd((unsigned long long*)lost, count);
}

// cost_gate_row writes the gradients of N costs. dx, f, g: (N). excluded counts the costs that are not finite.
template <class T, unsigned N, unsigned THREADS>
__device__ inline void cost_gate_row(T* dx, const T* f, const T* g, long long* excluded) {
  unsigned long long count = 0;
  for (unsigned i = threadIdx.x; i < N; i += THREADS) {
    bool ok = gate_finite(f[i]);
    dx[i] = ok ? g[i] : T(0);
    if (!ok) count++;
  }
  if (count > 0) atomicAdd((unsigned long long*)excluded, count);
}
