// Random programs on several streams, ordered by events, against the same done one after another.
#include <vector>

#include "driver.h"

static const int N = 64, BUFFERS = 5, STREAMS = 3, OPS = 60;

static uint64_t seed = 1;
static unsigned pick(unsigned n) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return unsigned(seed >> 33) % n;
}

struct Step {
  unsigned kind, out, in, stream;
};

// A Runner enqueues steps, and orders those that touch the same buffer; drop leaves out one wait.
struct Runner {
  CUfunction next = kernel("next"), one = kernel("one"), twice = kernel("twice");
  CUdeviceptr buffers[BUFFERS];
  CUstream streams[STREAMS];
  unsigned *back;
  CUevent wrote[BUFFERS] = {};
  std::vector<CUevent> read[BUFFERS];
  bool careless = false;

  Runner() {
    for (CUstream &s : streams) OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    for (CUdeviceptr &b : buffers) b = alloc(4 * N);
    void *m;
    OK(cuMemHostAlloc(&m, 4 * N * BUFFERS, 0));
    back = static_cast<unsigned *>(m);
    for (unsigned i = 0; i < BUFFERS; i++) OK(cuMemsetD32_v2(buffers[i], i, N));
    OK(cuCtxSynchronize());
  }
  void wait(CUstream s, CUevent e) {
    if (e && !careless) OK(cuStreamWaitEvent(s, e, 0));
  }
  void step(const Step &p) {
    CUstream s = streams[p.stream];
    wait(s, wrote[p.in]);
    wait(s, wrote[p.out]);
    for (CUevent e : read[p.out]) wait(s, e);
    switch (p.kind) {
      case 0:
        OK(launch1(next, 1, N, s, buffers[p.out], buffers[p.in], N));
        break;
      case 1:
        OK(launch1(one, 1, N, s, buffers[p.out], N));
        break;
      case 2:
        OK(launch1(twice, 1, N, s, buffers[p.out], N));
        break;
      default:
        OK(cuMemcpyDtoDAsync_v2(buffers[p.out], buffers[p.in], 4 * N, s));
    }
    CUevent e;
    OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    OK(cuEventRecord(e, s));
    read[p.in].push_back(e);
    read[p.out].clear();
    wrote[p.out] = e;
  }
  // join makes the first stream wait for the others.
  void join() {
    for (int i = 1; i < STREAMS; i++) {
      CUevent e;
      OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
      OK(cuEventRecord(e, streams[i]));
      OK(cuStreamWaitEvent(streams[0], e, 0));
    }
  }
  void fetch() {
    for (int i = 0; i < BUFFERS; i++) OK(cuMemcpyDtoHAsync_v2(back + i * N, buffers[i], 4 * N, streams[0]));
    OK(cuStreamSynchronize(streams[0]));
  }
};

static void expect(const Runner &r, const unsigned *result) {
  for (int i = 0; i < BUFFERS; i++)
    for (int j = 0; j < N; j++)
      if (r.back[i * N + j] != result[i]) symptom();
}

static void programs(bool bug, bool graph) {
  context();
  for (int round = 0; round < 5; round++) {
    std::vector<Step> steps;
    for (int i = 0; i < OPS; i++) {
      Step p{pick(4), pick(BUFFERS), pick(BUFFERS), pick(STREAMS)};
      if (p.kind == 1 || p.kind == 2 || p.in == p.out) p.kind = 1 + p.kind % 2, p.in = p.out;
      steps.push_back(p);
    }
    Runner r;
    r.careless = bug;
    unsigned result[BUFFERS];
    for (unsigned i = 0; i < BUFFERS; i++) result[i] = i;
    for (int times = 0; times < (graph ? 2 : 1); times++)
      for (const Step &p : steps)
        result[p.out] = p.kind == 0   ? result[p.in] + 1
                        : p.kind == 1 ? result[p.out] + 1
                        : p.kind == 2 ? 2 * result[p.out]
                                      : result[p.in];
    if (!graph) {
      for (const Step &p : steps) r.step(p);
      r.join();
      r.fetch();
      expect(r, result);
      continue;
    }
    OK(cuStreamBeginCapture_v2(r.streams[0], CU_CAPTURE_THREAD_LOCAL));
    CUevent fork;
    OK(cuEventCreate(&fork, CU_EVENT_DISABLE_TIMING));
    OK(cuEventRecord(fork, r.streams[0]));
    for (int i = 1; i < STREAMS; i++) OK(cuStreamWaitEvent(r.streams[i], fork, 0));
    for (const Step &p : steps) r.step(p);
    r.join();
    CUgraph g;
    CUgraphExec e;
    OK(cuStreamEndCapture(r.streams[0], &g));
    OK(cuGraphInstantiateWithFlags(&e, g, 0));
    OK(cuGraphLaunch(e, r.streams[0]));
    OK(cuGraphLaunch(e, r.streams[0]));
    r.fetch();
    expect(r, result);
  }
}

CASE(random_programs) { programs(bug, false); }
CASE(random_graphs) { programs(bug, true); }
