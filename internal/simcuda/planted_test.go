package simcuda

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A planted case is a kernel body with a bug that a device punishes, or may, and what the simulator says. Kernels get
// float* p, of 64 elements, unsigned* u, of 8 zeros, and int n = 64, and run on 2 blocks of 64 threads.
type planted struct {
	name, body string
	code       int      // 0: no error, the kernel is right
	says       []string // in the message
	check      bool     // only the checking mode sees it
}

const helpers = `
constexpr unsigned FULL = 0xffffffffu;
__device__ unsigned index() { return blockIdx.x * blockDim.x + threadIdx.x; }
struct pair { float a, b; };
`

var plants = []planted{
	// Accesses.
	{"beyond the end", `if (threadIdx.x == 7) p[n + 64] = 1;`, Illegal, []string{"thread 7"}, false},
	{"far beyond the end", `if (threadIdx.x == 7) p[n + 70000000ll] = 1;`, Illegal, []string{"thread 7"}, false},
	{"before the beginning", `if (threadIdx.x == 3) p[-1024] = 1;`, Illegal, []string{"thread 3"}, false},
	{"null", `float* q = n == 64 ? nullptr : p;
		if (threadIdx.x == 9) q[1] = 1;`, Illegal, []string{"thread 9", "0x4"}, false},
	{"misaligned", `if (threadIdx.x == 1) *(double*)(p + 1) = 1;`,
		Misaligned, []string{"thread 1", "multiple of 8"}, false},
	{"misaligned vector", `if (threadIdx.x == 1) p[0] = ((float4*)(p + 2))->y;`,
		Misaligned, []string{"thread 1", "multiple of 16"}, false},
	{"aligned vector", `if (index() == 1) *(float4*)(p + 4) = make_float4(1, 2, 3, 4);`, 0, nil, false},
	{"beyond shared memory", `__shared__ float s[16]; s[threadIdx.x] = 1; __syncthreads();
		if (index() == 0) p[0] = s[n - 60];`, Illegal, []string{"shared memory at byte", "of 64"}, false},
	{"local memory overflows", `volatile float big[100000];
		for (int i = 0; i < 100000; i++) big[i] = i;
		p[0] = big[n];`, Illegal, []string{"stack"}, false},
	{"division by 0", `if (threadIdx.x == 5) u[0] = n / (n - 64);`, Trap, []string{"divided by 0"}, false},
	{"trap", `if (threadIdx.x == 5) __trap();`, Trap, []string{"__trap()", "thread 5"}, false},

	// Barriers and collectives.
	{"barrier in a branch", `if (threadIdx.x < 40) __syncthreads();`,
		Barrier, []string{"barrier of kernel.cu:", "has ended"}, false},
	{"two barriers", "if (threadIdx.x < 32) {\n __syncthreads(); } else {\n __syncthreads(); }",
		Barrier, []string{"is at the barrier of"}, false},
	{"early return", `if (threadIdx.x == 63) return;
		__syncthreads();`, Barrier, []string{"thread 63 has ended"}, false},
	{"shuffle in a branch", `if (threadIdx.x % 32 < 16) p[0] += __shfl_down_sync(FULL, 1.0f, 1);`,
		Barrier, []string{"shuffle", "has ended"}, false},
	{"shuffle without itself", `__shfl_sync(0xfffffffeu, 1, 1);`,
		Barrier, []string{"lane 0 is not in the mask"}, false},
	{"shuffle reads outside of the mask", `if (threadIdx.x % 32 < 16) p[0] += __shfl_sync(0xffffu, 1.0f, 20);`,
		Barrier, []string{"reads lane 20"}, false},
	{"barrier against shuffle", `if (threadIdx.x < 32) __syncthreads(); else __shfl_sync(FULL, 1, 0);
		__syncthreads();`, Barrier, nil, false},
	{"half warps", `int v = 0; if (threadIdx.x % 32 < 16) v = __shfl_sync(0xffffu, threadIdx.x, 3);
		else v = __shfl_sync(0xffff0000u, threadIdx.x, 19);
		if (v != (threadIdx.x & 48) + 3) __trap();`, 0, nil, false},
	{"collectives", `unsigned lane = threadIdx.x % 32;
		if (__shfl_up_sync(FULL, lane, 2) != (lane < 2 ? lane : lane - 2)) __trap();
		if (__shfl_down_sync(FULL, (double)lane, 3) != (lane > 28 ? lane : lane + 3)) __trap();
		if (__shfl_xor_sync(FULL, lane, 5, 8) != (lane ^ 5)) __trap();
		if (__shfl_sync(FULL, lane, 9, 8) != (lane & 24) + 1) __trap();
		if (__ballot_sync(FULL, lane % 2) != 0xaaaaaaaau) __trap();
		if (!__any_sync(FULL, lane == 31) || __any_sync(FULL, lane == 32)) __trap();
		if (!__all_sync(FULL, lane < 32) || __all_sync(FULL, lane)) __trap();
		if (__syncthreads_count(threadIdx.x % 4 == 0) != 16) __trap();
		if (!__syncthreads_or(threadIdx.x == 63) || __syncthreads_and(threadIdx.x)) __trap();
		__syncwarp();`, 0, nil, false},

	// Unordered accesses.
	{"shared memory without a barrier", `__shared__ float s[64]; s[threadIdx.x] = 0; __syncthreads();
		s[threadIdx.x] = 1; if (blockIdx.x == 0) p[threadIdx.x] = s[63 - threadIdx.x];`,
		Race, []string{"shared memory", "no barrier"}, true},
	{"shared memory with a barrier", `__shared__ float s[64]; s[threadIdx.x] = 1; __syncthreads();
		if (blockIdx.x == 0) p[threadIdx.x] = s[63 - threadIdx.x];`, 0, nil, true},
	{"a barrier between reading and writing again", `__shared__ float s[2]; for (int i = 0; i < 3; i++) {
		if (threadIdx.x == 0) s[0] = i; __syncthreads(); if (blockIdx.x == 0) p[threadIdx.x] = s[0];
		}`, Race, []string{"read with no barrier"}, true},
	{"two buffers in turn", `__shared__ float s[2]; for (int i = 0; i < 5; i++) {
		if (threadIdx.x == 0) s[i % 2] = i; __syncthreads();
		if (blockIdx.x == 0) p[threadIdx.x] = s[i % 2]; }`, 0, nil, true},
	{"shuffles order nothing", `__shared__ float s[64]; s[threadIdx.x] = 1; __shfl_sync(FULL, 1, 0);
		if (blockIdx.x == 0) p[threadIdx.x] = s[threadIdx.x ^ 1];`,
		Race, []string{"no barrier"}, true},
	{"__syncwarp orders a warp", `__shared__ float s[64]; s[threadIdx.x] = 1; __syncwarp();
		if (blockIdx.x == 0) p[threadIdx.x] = s[threadIdx.x ^ 1];`, 0, nil, true},
	{"__syncwarp orders no block", `__shared__ float s[64]; s[threadIdx.x] = 1; __syncwarp();
		if (blockIdx.x == 0) p[threadIdx.x] = s[threadIdx.x ^ 32];`,
		Race, nil, true},
	{"all write the same", `__shared__ float s[1]; s[0] = 1; __syncthreads();
		if (blockIdx.x == 0) p[threadIdx.x] = s[0];`, Race, nil, true},
	{"global memory within a block", `if (blockIdx.x == 0) { p[threadIdx.x] = 0; __syncthreads();
		p[threadIdx.x] = 1; if (threadIdx.x > 0) p[threadIdx.x - 1] += 1;
		}`, Race, []string{"allocation of 256"}, true},
	{"global memory across a barrier", `if (blockIdx.x == 0) { p[threadIdx.x] = 1; __syncthreads();
		if (threadIdx.x > 0) p[threadIdx.x - 1] += 1; }`, 0, nil, true},
	{"two blocks write", `p[threadIdx.x] = 1;`, Race, []string{"block"}, true},
	{"bytes of one word", `if (blockIdx.x == 0) ((unsigned char*)p)[threadIdx.x] = 1;`, 0, nil, true},
	{"bytes of one word twice", `if (blockIdx.x == 0) ((unsigned char*)p)[threadIdx.x / 2] = 1;`, Race, nil, true},
	{"atomics", `atomicAdd(&u[0], 1u); atomicMax(&u[1], threadIdx.x);`, 0, nil, true},
	{"atomics and a plain write", `if (threadIdx.x == 3) u[0] = 1;
		else atomicAdd(&u[0], 1u);`, Race, []string{"atomically"}, true},
	{"last block", `__shared__ unsigned last; if (threadIdx.x == 0) { p[blockIdx.x] = 1;
		__threadfence(); last = atomicInc(&u[0], gridDim.x - 1) == gridDim.x - 1; }
		__syncthreads(); if (last) { float v = p[0] + p[1]; __syncthreads();
		if (threadIdx.x == 0) p[2] = v; }`, 0, nil, true},
	{"last block without a fence", `__shared__ unsigned last; if (threadIdx.x == 0) {
		p[blockIdx.x] = 1; last = atomicInc(&u[0], gridDim.x - 1) == gridDim.x - 1; }
		__syncthreads(); if (last) { float v = p[0] + p[1]; __syncthreads();
		if (threadIdx.x == 0) p[2] = v; }`, Race, []string{"no fence"}, true},
	{"last block, all write", `__shared__ unsigned last;
		if (threadIdx.x < 32) p[blockIdx.x * 32 + threadIdx.x] = 1; __syncthreads();
		if (threadIdx.x == 0) { __threadfence(); last = atomicInc(&u[0], 1) == 1; }
		__syncthreads(); if (last) { float v = p[threadIdx.x]; __syncthreads();
		p[63 - threadIdx.x] = v; }`, 0, nil, true},
	{"last block, the fence before the barrier", `__shared__ unsigned last;
		if (threadIdx.x < 32) p[blockIdx.x * 32 + threadIdx.x] = 1; __threadfence(); 
		if (threadIdx.x == 0) last = atomicInc(&u[0], 1) == 1;
		__syncthreads(); if (last) { float v = p[threadIdx.x]; __syncthreads();
		p[63 - threadIdx.x] = v; }`, Race, []string{"no fence"}, true},
	{"last block, nobody waits", `if (threadIdx.x == 0) { p[blockIdx.x] = 1; __threadfence();
		if (atomicInc(&u[0], 1) == 1) p[2] = p[0] + p[1]; }`, 0, nil, true},
	{"local memory of another thread", `__shared__ float* s[1]; float mine[4] = {1, 2, 3, (float)n};
		if (threadIdx.x == 0) s[0] = mine; __syncthreads();
		if (index() == 1) p[0] = s[0][n - 62];
		__syncthreads();`, Race, []string{"local memory of another thread"}, true},

	// Memory that nobody has written.
	{"unwritten shared memory", `__shared__ float s[64]; if (threadIdx.x > 0) s[threadIdx.x] = 1;
		__syncthreads(); if (blockIdx.x == 0) p[threadIdx.x] = s[threadIdx.x];`,
		Uninit, []string{"shared memory at byte 0"}, true},
	{"shared memory of the block before", `__shared__ float s[64];
		if (n == 64 && blockIdx.x == 0) s[threadIdx.x] = 1;
		else if (blockIdx.x) p[threadIdx.x] = s[threadIdx.x];
		else s[threadIdx.x] = 2;`, Uninit, []string{"shared memory"}, true},
	{"unwritten global memory", `if (index() == 17) p[0] = p[17] + 1;`,
		Uninit, []string{"byte 68 of an allocation of 256"}, true},
	{"unwritten half", `if (index() == 0) { ((pair*)p)->a = 1; pair q = *(pair*)p; p[4] = q.a + q.b;
		}`, Uninit, []string{"byte 4 of"}, true},
	{"written before", `if (index() == 17) { p[17] = 3; p[0] = p[17] + 1; }`, 0, nil, true},
	{"a little before the beginning", `if (index() == 1) p[-1] = 1;`,
		Illegal, []string{"4 bytes before an allocation of 256"}, true},
	{"a little beyond the end", `if (index() == 1) u[8] = 1;`,
		Illegal, []string{"0 bytes beyond the end of an allocation of 32"}, true},
	{"constants", `const float table[4] = {1, 2, 3, 4};
		if (index() < 4) p[index()] = table[(threadIdx.x + n) % 4];`, 0, nil, true},
}

func TestPlanted(t *testing.T) {
	needCompiler(t)
	if Checking() {
		t.Skip("GODCEM_SIM_CHECK is set: the test starts itself again with it")
	}
	runPlanted(t)
	t.Run("checking", func(t *testing.T) {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestPlantedChecked$", "-test.v")
		cmd.Env = append(os.Environ(), "GODCEM_SIM_CHECK=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestPlantedChecked/last_block") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// TestPlantedChecked is what TestPlanted starts.
func TestPlantedChecked(t *testing.T) {
	if !Checking() {
		t.Skip("without GODCEM_SIM_CHECK=1: TestPlanted runs it")
	}
	needCompiler(t)
	runPlanted(t)
}

func runPlanted(t *testing.T) {
	var source strings.Builder
	source.WriteString(helpers)
	for i, c := range plants {
		fmt.Fprintf(&source, "extern \"C\" __global__ void k%d(float* p, unsigned* u, int n) {\n%s\n}\n", i, c.body)
	}
	m, err := Compile(source.String())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for i, c := range plants {
		t.Run(c.name, func(t *testing.T) {
			for seed := range uint64(8) {
				err := launchPlanted(t, m, fmt.Sprintf("k%d", i), seed)
				if c.code == 0 || c.check && !Checking() {
					if err != nil && (c.code == 0 || !errors.As(err, new(*LaunchError))) {
						t.Errorf("seed %d: %v, want no error", seed, err)
					}
					continue
				}
				var le *LaunchError
				if !errors.As(err, &le) || le.Code != c.code {
					t.Errorf("seed %d: error %v, want one of code %d", seed, err, c.code)
					continue
				}
				for _, s := range append(c.says, fmt.Sprintf("kernel k%d, block ", i)) {
					if !strings.Contains(le.Text, s) {
						t.Errorf("seed %d: the error %q lacks %q", seed, le.Text, s)
					}
				}
				if seed == 0 {
					t.Log(le.Text)
				}
			}
		})
	}
}

func launchPlanted(t *testing.T, m *Module, kernel string, seed uint64) error {
	t.Helper()
	p, err := NewMemory(256)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Free()
	u, err := NewMemory(32)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Free()
	clear(u.Bytes())
	u.Written(0, 32)
	return m.Launch(kernel, 2, 64, seed, p.Pointer(), u.Pointer(), int32(64))
}
