// Graphs: captured and made by hand.
#include <thread>

#include "driver.h"

static const int N = 256;

// A World is what most cases need.
struct World {
  CUcontext ctx = context();
  CUfunction set = kernel("set"), next = kernel("next"), one = kernel("one"), twice = kernel("twice");
  CUdeviceptr p = alloc(4 * N), q = alloc(4 * N);
  CUstream s, t;
  unsigned *host, *back;
  World() {
    OK(cuStreamCreate(&s, CU_STREAM_NON_BLOCKING));
    OK(cuStreamCreate(&t, CU_STREAM_NON_BLOCKING));
    void *m;
    OK(cuMemHostAlloc(&m, 4 * N, 0));
    host = static_cast<unsigned *>(m);
    OK(cuMemHostAlloc(&m, 4 * N, 0));
    back = static_cast<unsigned *>(m);
    for (int i = 0; i < N; i++) host[i] = unsigned(i), back[i] = 0;
  }
  CUevent event() {
    CUevent e;
    OK(cuEventCreate(&e, CU_EVENT_DISABLE_TIMING));
    return e;
  }
};

CASE(capture_and_replay) {
  World w;
  CUevent fork = w.event(), join = w.event();
  OK(cuStreamBeginCapture_v2(w.s, CU_CAPTURE_THREAD_LOCAL));
  int status;
  OK(cuStreamIsCapturing(w.s, &status));
  CHECK(status == CU_CAPTURE_ACTIVE);
  OK(cuMemcpyHtoDAsync_v2(w.p, w.host, 4 * N, w.s));
  OK(launch1(w.twice, 1, N, w.s, w.p, N));
  OK(cuEventRecord(fork, w.s));
  OK(cuStreamWaitEvent(w.t, fork, 0));
  OK(launch1(w.next, 1, N / 2, w.t, w.q, w.p, N / 2));
  OK(launch1(w.next, 1, N / 2, w.s, w.q + 2 * N, w.p + 2 * N, N / 2));
  OK(cuEventRecord(join, w.t));
  OK(cuStreamWaitEvent(w.s, join, 0));
  OK(launch1(w.one, 1, N, w.s, w.q, N));
  OK(cuMemcpyDtoHAsync_v2(w.back, w.q, 4 * N, w.s));
  CUgraph g;
  OK(cuStreamEndCapture(w.s, &g));
  size_t nodes = 0, roots = 0, edges = 0;
  OK(cuGraphGetNodes(g, nullptr, &nodes));
  OK(cuGraphGetRootNodes(g, nullptr, &roots));
  OK(cuGraphGetEdges(g, nullptr, nullptr, &edges));
  CHECK(nodes == 6 && roots == 1 && edges == 6);
  CHECK(simcudaCount("kernel") == 0);
  CUgraphExec e;
  OK(cuGraphInstantiateWithFlags(&e, g, 0));
  OK(cuGraphDestroy(g));
  OK(cuGraphUpload(e, w.s));
  for (unsigned run = 0; run < 3; run++) {
    for (unsigned i = 0; i < N; i++) w.host[i] = i + run;
    OK(cuGraphLaunch(e, w.s));
    OK(cuStreamSynchronize(w.s));
    for (unsigned i = 0; i < N; i++) CHECK(w.back[i] == 2 * (i + run) + 2);
  }
  OK(cuGraphLaunch(e, w.s));
  OK(cuGraphExecDestroy(e));  // what is launched goes on
  OK(cuStreamSynchronize(w.s));
  WANT(CUDA_ERROR_INVALID_VALUE, cuGraphLaunch(e, w.s));
  CHECK(simcudaCount("graph") == 4 && simcudaCount("kernel") == 16);
}

// forbidden checks that a call in a capture gives a code, and voids the capture.
template <class F>
static void forbidden(bool bug, int mode, CUresult code, F call, unsigned flags = CU_STREAM_NON_BLOCKING) {
  World w;
  CUstream s;
  OK(cuStreamCreate(&s, flags));
  OK(cuMemsetD32_v2(w.p, 1, N));
  OK(cuCtxSynchronize());
  OK(cuStreamBeginCapture_v2(s, mode));
  OK(launch1(w.twice, 1, N, s, w.p, N));
  if (bug) {
    WANT(code, call(w, s));
    int status;
    OK(cuStreamIsCapturing(s, &status));
    CHECK(status == CU_CAPTURE_INVALIDATED);
    WANT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, launch1(w.twice, 1, N, s, w.p, N));
  }
  CUgraph g;
  WANT(bug ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS, cuStreamEndCapture(s, &g));
  CHECK(bug == (g == nullptr));
  OK(cuStreamSynchronize(s));  // it is a stream again
  OK(launch1(w.twice, 1, N, s, w.p, N));
  OK(cuCtxSynchronize());
}

CASE(capture_synchronises) {
  forbidden(bug, 1, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
            [](World &, CUstream s) { return cuStreamSynchronize(s); });
}
CASE(capture_queries) {
  forbidden(bug, 2, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [](World &, CUstream s) { return cuStreamQuery(s); });
}
CASE(capture_waits_for_all) {
  forbidden(bug, 1, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [](World &, CUstream) { return cuCtxSynchronize(); });
}
CASE(capture_allocates) {
  CUdeviceptr p;
  forbidden(bug, 0, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [&](World &, CUstream) { return cuMemAlloc_v2(&p, 4); });
}
CASE(capture_frees) {
  forbidden(bug, 1, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, [](World &w, CUstream) { return cuMemFree_v2(w.q); });
}
CASE(capture_loads_a_module) {
  CUmodule m;
  forbidden(bug, 0, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
            [&](World &, CUstream) { return cuModuleLoadData(&m, image()); });
}
CASE(capture_copies_and_waits) {
  unsigned v;
  forbidden(bug, 1, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
            [&](World &w, CUstream) { return cuMemcpyDtoH_v2(&v, w.p, 4); });
}
CASE(capture_of_pageable_memory) {
  unsigned v;
  forbidden(bug, 1, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
            [&](World &w, CUstream s) { return cuMemcpyDtoHAsync_v2(&v, w.p, 4, s); });
}
CASE(capture_beside_the_legacy_stream) {
  forbidden(
      bug, 2, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, [](World &w, CUstream) { return cuMemsetD32_v2(w.q, 1, N); }, 0);
}
CASE(capture_waits_for_work_outside) {
  forbidden(bug, 1, CUDA_ERROR_STREAM_CAPTURE_ISOLATION, [](World &w, CUstream s) {
    CUevent e = w.event();
    OK(cuEventRecord(e, w.t));
    return cuStreamWaitEvent(s, e, 0);
  });
}

CASE(capture_modes) {
  World w;
  CUdeviceptr p;
  OK(cuStreamBeginCapture_v2(w.s, CU_CAPTURE_RELAXED));
  OK(cuMemAlloc_v2(&p, 4));
  CUgraph g;
  OK(cuStreamEndCapture(w.s, &g));
  OK(cuStreamBeginCapture_v2(w.s, CU_CAPTURE_THREAD_LOCAL));
  std::thread([&] {
    OK(cuCtxSetCurrent(w.ctx));
    OK(cuMemAlloc_v2(&p, 4));
    CUgraph no;
    WANT(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, cuStreamEndCapture(w.s, &no));
  }).join();
  OK(cuStreamEndCapture(w.s, &g));
  OK(cuStreamBeginCapture_v2(w.s, CU_CAPTURE_GLOBAL));
  std::thread([&] {
    OK(cuCtxSetCurrent(w.ctx));
    int mode = CU_CAPTURE_RELAXED;
    OK(cuThreadExchangeStreamCaptureMode(&mode));
    OK(cuMemAlloc_v2(&p, 4));
    OK(cuThreadExchangeStreamCaptureMode(&mode));
    CHECK(mode == CU_CAPTURE_RELAXED);
    WANT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuMemAlloc_v2(&p, 4));
  }).join();
  WANT(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, cuStreamEndCapture(w.s, &g));
}

CASE(capture_of_two_streams) {
  World w;
  CUevent e = w.event(), back = w.event();
  CUgraph g;
  WANT(CUDA_ERROR_ILLEGAL_STATE, cuStreamEndCapture(w.s, &g));
  WANT(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, cuStreamBeginCapture_v2(nullptr, 0));
  OK(cuStreamBeginCapture_v2(w.s, CU_CAPTURE_THREAD_LOCAL));
  WANT(CUDA_ERROR_ILLEGAL_STATE, cuStreamBeginCapture_v2(w.s, CU_CAPTURE_THREAD_LOCAL));
  OK(launch1(w.set, 1, N, w.s, w.p, 1, N));
  OK(cuEventRecord(e, w.s));
  OK(cuStreamWaitEvent(w.t, e, 0));
  OK(launch1(w.next, 1, N, w.t, w.q, w.p, N));
  WANT(CUDA_ERROR_CAPTURED_EVENT, cuEventSynchronize(e));
  WANT(CUDA_ERROR_CAPTURED_EVENT, cuEventQuery(e));
  WANT(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, cuStreamEndCapture(w.t, &g));
  if (!bug) {
    OK(cuEventRecord(back, w.t));
    OK(cuStreamWaitEvent(w.s, back, 0));
  }
  WANT(bug ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED : CUDA_SUCCESS, cuStreamEndCapture(w.s, &g));
  OK(cuStreamSynchronize(w.t));
}

CASE(captures_merged) {
  World w;
  CUevent e = w.event();
  OK(cuStreamBeginCapture_v2(w.s, CU_CAPTURE_THREAD_LOCAL));
  OK(cuStreamBeginCapture_v2(w.t, CU_CAPTURE_THREAD_LOCAL));
  OK(cuEventRecord(e, w.s));
  if (bug) WANT(CUDA_ERROR_STREAM_CAPTURE_MERGE, cuStreamWaitEvent(w.t, e, 0));
  CUgraph g;
  OK(cuStreamEndCapture(w.s, &g));
  OK(cuStreamEndCapture(w.t, &g));
}

static CUDA_KERNEL_NODE_PARAMS params(CUfunction f, void **args) {
  CUDA_KERNEL_NODE_PARAMS p{};
  p.func = f;
  p.gridDimX = p.gridDimY = p.gridDimZ = p.blockDimY = p.blockDimZ = 1;
  p.blockDimX = N;
  p.kernelParams = args;
  return p;
}

CASE(graph_without_dependency) {
  World w;
  CUgraph g;
  OK(cuGraphCreate(&g, 0));
  uint64_t n = N;
  void *args[] = {&w.p, &n};
  CUgraphNode fill, twice, one;
  CUDA_MEMSET_NODE_PARAMS f{w.p, 0, 5, 4, N, 1};
  OK(cuGraphAddMemsetNode(&fill, g, nullptr, 0, &f, w.ctx));
  CUDA_KERNEL_NODE_PARAMS a = params(w.twice, args), b = params(w.one, args);
  OK(cuGraphAddKernelNode_v2(&twice, g, &fill, 1, &a));
  OK(cuGraphAddKernelNode_v2(&one, g, bug ? &fill : &twice, 1, &b));
  CUgraphExec e;
  OK(cuGraphInstantiateWithFlags(&e, g, 0));
  OK(cuGraphLaunch(e, w.s));
  unsigned v;
  OK(cuMemcpyDtoHAsync_v2(&v, w.p, 4, w.s));
  CHECK(v == 11 || (bug && v == 12));
  if (v != 11) symptom();
}

CASE(graph_uses_freed_memory) {
  World w;
  OK(cuStreamBeginCapture_v2(w.s, CU_CAPTURE_THREAD_LOCAL));
  OK(launch1(w.set, 1, N, w.s, w.p, 1, N));
  OK(cuMemcpyDtoHAsync_v2(w.back, w.q, 4 * N, w.s));
  CUgraph g;
  CUgraphExec e;
  OK(cuStreamEndCapture(w.s, &g));
  OK(cuGraphInstantiateWithFlags(&e, g, 0));
  if (bug) OK(cuMemFree_v2(w.q));
  OK(cuGraphLaunch(e, w.s));
  WANT(bug ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS, cuStreamSynchronize(w.s));
}

CASE(graphs_by_hand) {
  World w;
  CUgraph inner, outer, twin;
  OK(cuGraphCreate(&inner, 0));
  OK(cuGraphCreate(&outer, 0));
  uint64_t n = N, v = 3;
  void *args[] = {&w.p, &n}, *set[] = {&w.p, &v, &n};
  CUDA_KERNEL_NODE_PARAMS k = params(w.twice, args), s = params(w.set, set), o = params(w.one, args);
  CUgraphNode a, b, c, d, mark;
  OK(cuGraphAddKernelNode_v2(&a, inner, nullptr, 0, &k));
  OK(cuGraphAddKernelNode_v2(&b, outer, nullptr, 0, &s));
  OK(cuGraphAddEmptyNode(&mark, outer, nullptr, 0));
  OK(cuGraphAddChildGraphNode(&c, outer, &b, 1, inner));
  OK(cuGraphAddKernelNode_v2(&d, outer, nullptr, 0, &o));
  CUgraphNode from[] = {c, mark}, to[] = {d, b};
  OK(cuGraphAddDependencies(outer, from, to, 2));
  WANT(CUDA_ERROR_INVALID_VALUE, cuGraphAddDependencies(outer, from, to, 1));
  WANT(CUDA_ERROR_INVALID_VALUE, cuGraphAddKernelNode_v2(&a, outer, &a, 1, &k));
  int type;
  OK(cuGraphNodeGetType(c, &type));
  CHECK(type == CU_NODE_GRAPH);
  CUgraphExec e, bad;
  OK(cuGraphInstantiateWithFlags(&e, outer, 0));
  auto run = [&] {
    OK(cuGraphLaunch(e, w.s));
    unsigned r;
    OK(cuMemcpyDtoHAsync_v2(&r, w.p, 4, w.s));
    return r;
  };
  CHECK(run() == 7);
  v = 10;
  OK(cuGraphLaunch(e, w.s));  // with 3: what is launched does not change
  OK(cuMemcpyDtoHAsync_v2(w.back, w.p, 4, w.s));
  OK(cuGraphExecKernelNodeSetParams_v2(e, b, &s));
  CHECK(run() == 21 && w.back[0] == 7);
  OK(cuGraphClone(&twin, outer));  // with 3 again
  CUgraphExecUpdateResultInfo info;
  OK(cuGraphExecUpdate_v2(e, twin, &info));
  CHECK(run() == 7);
  OK(cuGraphDestroyNode(mark));
  WANT(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, cuGraphExecUpdate_v2(e, outer, &info));
  CUgraphNode back[] = {d}, start[] = {b};
  OK(cuGraphAddDependencies(outer, back, start, 1));
  WANT(CUDA_ERROR_INVALID_VALUE, cuGraphInstantiateWithFlags(&bad, outer, 0));  // a cycle
  OK(cuGraphDestroy(twin));
  WANT(CUDA_ERROR_INVALID_VALUE, cuGraphDestroy(twin));
}
