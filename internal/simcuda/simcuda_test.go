package simcuda

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

// needCompiler skips where there is no C++ compiler, and says how to get it.
func needCompiler(t *testing.T) {
	t.Helper()
	if err := Available(); err != nil {
		if _, missing := exec.LookPath("g++"); missing != nil && errors.Is(err, ErrUnavailable) {
			t.Skip(err)
		}
		t.Fatal(err)
	}
}

func TestLaunch(t *testing.T) {
	needCompiler(t)
	m, err := Compile(`
__device__ float warp_sum(float v) {
  for (int d = 16; d > 0; d /= 2) v += __shfl_xor_sync(0xffffffffu, v, d);
  return v;
}
extern "C" __global__ void __launch_bounds__(128) sums(float* out, const float* in, int n, float scale) {
  __shared__ __align__(16) unsigned char shared[4 * sizeof(float)];
  float* part = (float*)shared;
  unsigned i = blockIdx.x * 128 + threadIdx.x;
  float v = warp_sum(i < n ? in[i] : 0);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x == 0) out[blockIdx.x] = scale * (part[0] + part[1] + part[2] + part[3]);
}
`)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	in, out := make([]float32, 300), make([]float32, 3)
	for i := range in {
		in[i] = float32(i)
	}
	for seed := range uint64(5) {
		clear(out)
		if err := m.Launch("sums", 3, 128, seed, out, in, int32(len(in)), float32(2)); err != nil {
			t.Fatal(err)
		}
		if want := [3]float32{2 * 8128, 2 * 24512, 2 * 12210}; [3]float32(out) != want {
			t.Errorf("seed %d: %v, want %v", seed, out, want)
		}
	}
	for _, bad := range []struct {
		err  error
		want string
	}{
		{m.Launch("sums", 3, 129, 0, out, in, int32(300), float32(2)), "129"},
		{m.Launch("sums", 0, 128, 0, out, in, int32(300), float32(2)), "0 blocks"},
		{m.Launch("sums", 3, 128, 0, out, in, 300, float32(2)), "argument 2 is a int, want one of 4 bytes"},
		{m.Launch("sums", 3, 128, 0, out), "1 arguments, want 4"},
		{m.Launch("other", 3, 128, 0, out), `no kernel "other", there are: sums`},
	} {
		if bad.err == nil || !strings.Contains(bad.err.Error(), bad.want) {
			t.Errorf("error %v, want one with %q", bad.err, bad.want)
		}
	}
}

// TestOrders: a seed gives one order of blocks and threads, and other seeds give others.
func TestOrders(t *testing.T) {
	needCompiler(t)
	m, err := Compile(`
extern "C" __global__ void order(unsigned* ticket, int* first, int* after) {
  int self = blockIdx.x * blockDim.x + threadIdx.x;
  first[atomicAdd(&ticket[0], 1u)] = self;
  __syncthreads();
  after[atomicAdd(&ticket[1], 1u)] = self;
}`)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const blocks, threads = 5, 96
	run := func(seed uint64) (all [2 * blocks * threads]int32) {
		n := blocks * threads
		if err := m.Launch("order", blocks, threads, seed, make([]uint32, 2), all[:n], all[n:]); err != nil {
			t.Fatal(err)
		}
		var seen [blocks * threads]int
		for _, i := range all {
			seen[i]++
		}
		for i, times := range seen {
			if times != 2 {
				t.Fatalf("seed %d: thread %d ran %d times, want 2", seed, i, times)
			}
		}
		return all
	}
	orders := map[[2 * blocks * threads]int32]bool{}
	for seed := range uint64(20) {
		a := run(seed)
		if a != run(seed) {
			t.Errorf("seed %d gives two orders", seed)
		}
		orders[a] = true
	}
	if len(orders) != 20 {
		t.Errorf("%d orders of 20 seeds", len(orders))
	}
}
