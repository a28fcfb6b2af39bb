// Capture of streams into graphs.
#include <algorithm>

#include "cuda_state.h"

namespace sim {

Node *add_node(Graph *g, Task task, std::vector<Node *> after, int type) {
  Node *n = new Node(g->ctx);
  n->graph = g;
  n->task = std::move(task);
  n->type = type;
  for (Node *a : after)
    if (std::find(n->after.begin(), n->after.end(), a) == n->after.end()) n->after.push_back(a);
  g->nodes.push_back(n);
  return n;
}

static int type_of(const Task &t) {
  switch (t.kind) {
    case Task::kernel:
      return CU_NODE_KERNEL;
    case Task::copy:
      return CU_NODE_MEMCPY;
    case Task::fill:
      return CU_NODE_MEMSET;
    case Task::host:
      return CU_NODE_HOST;
    case Task::graph:
      return CU_NODE_GRAPH;
    case Task::empty:
      break;
  }
  return CU_NODE_EMPTY;
}

// captured makes a task a node of the graph that its stream captures.
CUresult captured(Call &call, Stream *s, Task task) {
  Capture *c = s->capture;
  REQUIRE(!c->invalid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "the capture has failed before");
  task.ctx = s->ctx;
  int type = type_of(task);
  log("%s: captured: %s", call.function, task.describe().c_str());
  c->tips[s] = {add_node(c->graph, std::move(task), c->tips[s], type)};
  return CUDA_SUCCESS;
}

// implicit refuses work in the legacy stream while a blocking stream of the context is captured: the one would wait
// for the other.
CUresult implicit(Call &call, Stream *s) {
  if (!s->legacy) return CUDA_SUCCESS;
  for (Stream *t : s->ctx->streams) {
    if (!t->capture || (t->flags & CU_STREAM_NON_BLOCKING)) continue;
    t->capture->invalid = true;
    return call.fail(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the legacy stream would wait for one that is capturing");
  }
  return CUDA_SUCCESS;
}

// unsafe refuses a call that could wait for the device, or change what a capture depends on.
CUresult Call::unsafe() {
  for (Capture *c : state().captures) {
    bool own = c->thread == std::this_thread::get_id();
    bool forbidden = (c->mode == CU_CAPTURE_GLOBAL && self().mode == CU_CAPTURE_GLOBAL) ||
                     (own && c->mode != CU_CAPTURE_RELAXED && self().mode != CU_CAPTURE_RELAXED);
    if (!forbidden) continue;
    c->invalid = true;
    complain("%s: not allowed while a stream is captured", function);
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  return CUDA_SUCCESS;
}

static void end(Capture *c) {
  for (auto &tip : c->tips) tip.first->capture = nullptr;
  c->origin->capture = nullptr;
  for (auto &o : state().objects)
    if (Event *e = dynamic_cast<Event *>(o.second))
      if (e->capture == c) {
        e->capture = nullptr;
        e->captured.clear();
      }
  auto &all = state().captures;
  all.erase(std::find(all.begin(), all.end(), c));
}

static void discard(Graph *g) {
  g->dead = true;
  for (Node *n : g->nodes) n->dead = true;
}

void abandon(Stream *s) {
  Capture *c = s->capture;
  c->invalid = true;
  if (c->origin != s) {
    c->tips.erase(s);
    s->capture = nullptr;
    return;
  }
  end(c);
  discard(c->graph);
  delete c;
}

}  // namespace sim

using namespace sim;

SIM_EXPORT CUresult cuStreamBeginCapture_v2(CUstream h, int mode) {
  BEGIN("cuStreamBeginCapture");
  Stream *s;
  TRY(stream_of(call, h, &s));
  REQUIRE(mode >= CU_CAPTURE_GLOBAL && mode <= CU_CAPTURE_RELAXED, CUDA_ERROR_INVALID_VALUE, "mode %d", mode);
  REQUIRE(!s->legacy, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the legacy stream cannot be captured");
  REQUIRE(!s->capture, CUDA_ERROR_ILLEGAL_STATE, "the stream is captured already");
  static uint64_t ids = 0;
  Capture *c = new Capture;
  c->origin = s;
  c->mode = mode;
  c->thread = std::this_thread::get_id();
  c->id = ++ids;
  c->graph = new Graph(ctx);
  c->graph->owned = true;
  c->tips[s] = {};
  s->capture = c;
  state().captures.push_back(c);
  count("capture");
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamEndCapture(CUstream h, CUgraph *out) {
  BEGIN("cuStreamEndCapture");
  Stream *s;
  TRY(stream_of(call, h, &s));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the graph");
  *out = nullptr;
  Capture *c = s->capture;
  REQUIRE(c, CUDA_ERROR_ILLEGAL_STATE, "the stream is not captured");
  REQUIRE(c->origin == s, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, "the capture began in another stream");
  REQUIRE(c->mode == CU_CAPTURE_RELAXED || c->thread == std::this_thread::get_id(),
          CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, "the capture began in another thread");
  CUresult r = c->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED : CUDA_SUCCESS;
  if (!r) {
    // All nodes must lead to the origin's last ones.
    std::set<Node *> reached;
    std::vector<Node *> todo = c->tips[s];
    while (!todo.empty()) {
      Node *n = todo.back();
      todo.pop_back();
      if (reached.insert(n).second) todo.insert(todo.end(), n->after.begin(), n->after.end());
    }
    for (auto &tip : c->tips)
      for (Node *n : tip.second)
        if (!reached.count(n)) r = CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
  }
  Graph *g = c->graph;
  end(c);
  delete c;
  if (r) {
    discard(g);
    return call.fail(r, "the capture is void");
  }
  g->owned = false;
  *out = reinterpret_cast<CUgraph>(static_cast<Object *>(g));
  log("%s: %zu nodes", call.function, g->nodes.size());
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamIsCapturing(CUstream h, int *out) {
  BEGIN("cuStreamIsCapturing");
  Stream *s;
  TRY(stream_of(call, h, &s));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the status");
  TRY(implicit(call, s));
  *out = !s->capture ? CU_CAPTURE_NONE : s->capture->invalid ? CU_CAPTURE_INVALIDATED : CU_CAPTURE_ACTIVE;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamGetCaptureInfo_v2(CUstream h, int *status, uint64_t *id, CUgraph *graph,
                                              const CUgraphNode **nodes, size_t *n) {
  BEGIN("cuStreamGetCaptureInfo");
  Stream *s;
  TRY(stream_of(call, h, &s));
  REQUIRE(status, CUDA_ERROR_INVALID_VALUE, "nowhere to put the status");
  TRY(implicit(call, s));
  Capture *c = s->capture;
  *status = !c ? CU_CAPTURE_NONE : c->invalid ? CU_CAPTURE_INVALIDATED : CU_CAPTURE_ACTIVE;
  if (!c) return CUDA_SUCCESS;
  if (id) *id = c->id;
  if (graph) *graph = reinterpret_cast<CUgraph>(static_cast<Object *>(c->graph));
  std::vector<Node *> &tips = c->tips[s];
  if (nodes) *nodes = reinterpret_cast<const CUgraphNode *>(tips.data());
  if (n) *n = tips.size();
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuThreadExchangeStreamCaptureMode(int *mode) {
  BEGIN_ANY("cuThreadExchangeStreamCaptureMode");
  REQUIRE(mode && *mode >= 0 && *mode <= CU_CAPTURE_RELAXED, CUDA_ERROR_INVALID_VALUE, "no mode");
  std::swap(*mode, self().mode);
  return CUDA_SUCCESS;
}
