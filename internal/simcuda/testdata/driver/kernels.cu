// p[i] = v for the n elements.
extern "C" __global__ void set(unsigned* p, long long v, long long n) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) p[i] = (unsigned)v;
}
// out[i] = in[i] + 1.
extern "C" __global__ void next(unsigned* out, const unsigned* in, long long n) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = in[i] + 1;
}
// p[i] *= 2, then p[i] += 1.
extern "C" __global__ void twice(unsigned* p, long long n) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) p[i] = 2 * p[i];
}
extern "C" __global__ void one(unsigned* p, long long n) {
  long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) p[i] += 1;
}
// Writes a byte at offset at.
extern "C" __global__ void poke(unsigned char* p, long long at, long long v) {
  if (threadIdx.x == 0) p[at] = (unsigned char)v;
}
// Reads a float at byte offset at.
extern "C" __global__ void peek(float* out, const unsigned char* p, long long at) {
  if (threadIdx.x == 0) out[0] = *(const float*)(p + at);
}
// Reverses 64 elements in shared memory.
extern "C" __global__ void __launch_bounds__(64) reverse(unsigned* p) {
  __shared__ __align__(16) unsigned char shared[64 * sizeof(unsigned)];
  unsigned* s = (unsigned*)shared;
  s[threadIdx.x] = p[threadIdx.x];
  __syncthreads();
  p[threadIdx.x] = s[63 - threadIdx.x];
}
// A barrier that half of the threads do not reach, if which is not 0.
extern "C" __global__ void __launch_bounds__(64) stuck(unsigned* p, long long which) {
  if (which == 0 || threadIdx.x < 40) __syncthreads();
  p[threadIdx.x] = 1;
}
// Each thread reads what its neighbour writes, without a barrier.
extern "C" __global__ void __launch_bounds__(64) shift(unsigned* p) {
  p[threadIdx.x] = p[(threadIdx.x + 1) % 64];
}
