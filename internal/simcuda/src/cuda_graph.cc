// Graphs: made by hand or captured, instantiated, launched.
#include <algorithm>
#include <cstdio>

#include "cuda_state.h"

namespace sim {

CUresult kernel_task(Call &call, Task &t, CUfunction h, Dim grid, Dim block, unsigned shared, void **params,
                     void **extra);

template <class T>
static CUresult object_of(Call &call, const void *h, const char *what, T **out) {
  T *o = find<T>(h);
  if (!o) {
    complain("%s: %p is %s%s", call.function, h, destroyed(h) ? "no longer a " : "no ", what);
    return CUDA_ERROR_INVALID_VALUE;
  }
  *out = o;
  return CUDA_SUCCESS;
}

// order sorts a graph's nodes so that each comes after what it depends on; empty: it has a cycle.
static std::vector<Node *> order(const Graph *g) {
  std::map<Node *, size_t> waits;
  std::map<Node *, std::vector<Node *>> next;
  std::vector<Node *> out;
  for (Node *n : g->nodes) {
    waits[n] = n->after.size();
    for (Node *a : n->after) next[a].push_back(n);
    if (n->after.empty()) out.push_back(n);
  }
  for (size_t i = 0; i < out.size(); i++)
    for (Node *n : next[out[i]])
      if (--waits[n] == 0) out.push_back(n);
  if (out.size() != g->nodes.size()) out.clear();
  return out;
}

// plan copies a graph as it is now; nullptr: it has a cycle.
std::shared_ptr<Plan> plan(Graph *g) {
  auto p = std::make_shared<Plan>();
  std::map<Node *, size_t> at;
  std::vector<Node *> nodes = order(g);
  if (nodes.size() != g->nodes.size()) return nullptr;
  for (Node *n : nodes) {
    Plan::Item item{n->task, n, {}};
    if (n->child) {
      item.task.kind = Task::graph;
      item.task.plan = plan(n->child);
      if (!item.task.plan) return nullptr;
    }
    for (Node *a : n->after) item.after.push_back(at[a]);
    at[n] = p->items.size();
    p->items.push_back(std::move(item));
  }
  return p;
}

static CUgraph handle(Graph *g) { return reinterpret_cast<CUgraph>(static_cast<Object *>(g)); }
static CUgraphNode handle(Node *n) { return reinterpret_cast<CUgraphNode>(static_cast<Object *>(n)); }

static CUresult nodes_of(Call &call, Graph *g, const CUgraphNode *h, size_t n, std::vector<Node *> &out) {
  REQUIRE(n == 0 || h, CUDA_ERROR_INVALID_VALUE, "%zu nodes that are null", n);
  for (size_t i = 0; i < n; i++) {
    Node *d;
    TRY(object_of(call, h[i], "graph node", &d));
    REQUIRE(d->graph == g, CUDA_ERROR_INVALID_VALUE, "node %zu is of another graph", i);
    out.push_back(d);
  }
  return CUDA_SUCCESS;
}

static CUresult add(Call &call, CUgraphNode *out, CUgraph h, const CUgraphNode *deps, size_t n, Task t, int type,
                    Graph *child = nullptr) {
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the node");
  std::vector<Node *> after;
  TRY(nodes_of(call, g, deps, n, after));
  Node *node = add_node(g, std::move(t), after, type);
  node->child = child;
  *out = handle(node);
  return CUDA_SUCCESS;
}

static Graph *clone(Graph *g) {
  Graph *c = new Graph(g->ctx);
  std::map<Node *, Node *> twin;
  for (Node *n : order(g)) {
    std::vector<Node *> after;
    for (Node *a : n->after) after.push_back(twin[a]);
    twin[n] = add_node(c, n->task, after, n->type);
    if (n->child) {
      twin[n]->child = clone(n->child);
      twin[n]->child->owned = true;
    }
  }
  return c;
}

static void destroy(Graph *g) {
  g->dead = true;
  for (Node *n : g->nodes) {
    n->dead = true;
    if (n->child) destroy(n->child);
  }
}

static CUresult instantiate(const char *function, CUgraphExec *out, CUgraph h, uint64_t flags) {
  BEGIN(function);
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the executable graph");
  REQUIRE(flags == 0 || flags == 1 || flags == 8, CUDA_ERROR_INVALID_VALUE, "flags %#llx",
          static_cast<unsigned long long>(flags));
  TRY(call.unsafe());
  REQUIRE(!injected("graph"), CUDA_ERROR_OUT_OF_MEMORY, "as GODCEM_SIM_FAIL has it");
  std::shared_ptr<Plan> p = plan(g);
  REQUIRE(p, CUDA_ERROR_INVALID_VALUE, "the graph has a cycle");
  Exec *e = new Exec(ctx);
  e->plan = p;
  e->flags = flags;
  *out = reinterpret_cast<CUgraphExec>(static_cast<Object *>(e));
  return CUDA_SUCCESS;
}

static CUresult kernel_params(Call &call, Task &t, const CUDA_KERNEL_NODE_PARAMS *p) {
  REQUIRE(p, CUDA_ERROR_INVALID_VALUE, "no parameters");
  return kernel_task(call, t, p->func, {p->gridDimX, p->gridDimY, p->gridDimZ},
                     {p->blockDimX, p->blockDimY, p->blockDimZ}, p->sharedMemBytes, p->kernelParams, p->extra);
}

// list gives handles as the API does: how many there are where there is no place for them; else as many as fit.
static CUresult list(Call &call, const std::vector<Node *> &nodes, CUgraphNode *out, size_t *n) {
  REQUIRE(n, CUDA_ERROR_INVALID_VALUE, "nowhere to put the number");
  for (size_t i = 0; out && i < *n; i++) out[i] = i < nodes.size() ? handle(nodes[i]) : nullptr;
  *n = out ? std::min(*n, nodes.size()) : nodes.size();
  return CUDA_SUCCESS;
}

}  // namespace sim

using namespace sim;

SIM_EXPORT CUresult cuGraphCreate(CUgraph *out, unsigned flags) {
  BEGIN("cuGraphCreate");
  REQUIRE(out && !flags, CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
  *out = handle(new Graph(ctx));
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphClone(CUgraph *out, CUgraph h) {
  BEGIN("cuGraphClone");
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the graph");
  *out = handle(clone(g));
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphDestroy(CUgraph h) {
  BEGIN("cuGraphDestroy");
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  REQUIRE(!g->owned, CUDA_ERROR_INVALID_VALUE, "the graph belongs to another, or is being captured");
  destroy(g);
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphAddEmptyNode(CUgraphNode *out, CUgraph h, const CUgraphNode *deps, size_t n) {
  BEGIN("cuGraphAddEmptyNode");
  return add(call, out, h, deps, n, Task(), CU_NODE_EMPTY);
}

SIM_EXPORT CUresult cuGraphAddKernelNode_v2(CUgraphNode *out, CUgraph h, const CUgraphNode *deps, size_t n,
                                            const CUDA_KERNEL_NODE_PARAMS *p) {
  BEGIN("cuGraphAddKernelNode");
  Task t;
  TRY(kernel_params(call, t, p));
  return add(call, out, h, deps, n, std::move(t), CU_NODE_KERNEL);
}

SIM_EXPORT CUresult cuGraphAddMemcpyNode(CUgraphNode *out, CUgraph h, const CUgraphNode *deps, size_t n,
                                         const CUDA_MEMCPY3D *p, CUcontext) {
  BEGIN("cuGraphAddMemcpyNode");
  REQUIRE(p, CUDA_ERROR_INVALID_VALUE, "no description");
  Task t;
  TRY(copy_task(call, t, *p, true));
  return add(call, out, h, deps, n, std::move(t), CU_NODE_MEMCPY);
}

SIM_EXPORT CUresult cuGraphAddMemsetNode(CUgraphNode *out, CUgraph h, const CUgraphNode *deps, size_t n,
                                         const CUDA_MEMSET_NODE_PARAMS *p, CUcontext) {
  BEGIN("cuGraphAddMemsetNode");
  REQUIRE(p && p->width && p->height && (p->elementSize == 1 || p->elementSize == 2 || p->elementSize == 4),
          CUDA_ERROR_INVALID_VALUE, "no description, or a wrong one");
  Task t;
  t.kind = Task::fill;
  t.dst = Extent{reinterpret_cast<char *>(p->dst), p->pitch, 0};
  t.value = p->value;
  t.element = p->elementSize;
  t.width = p->width * p->elementSize;
  t.height = p->height;
  REQUIRE(allocation(t.dst.at, (t.height - 1) * p->pitch + t.width), CUDA_ERROR_INVALID_VALUE,
          "%#llx is not in one allocation", p->dst);
  return add(call, out, h, deps, n, std::move(t), CU_NODE_MEMSET);
}

SIM_EXPORT CUresult cuGraphAddHostNode(CUgraphNode *out, CUgraph h, const CUgraphNode *deps, size_t n,
                                       const CUDA_HOST_NODE_PARAMS *p) {
  BEGIN("cuGraphAddHostNode");
  REQUIRE(p && p->fn, CUDA_ERROR_INVALID_VALUE, "no function");
  Task t;
  t.kind = Task::host;
  t.call = p->fn;
  t.data = p->userData;
  return add(call, out, h, deps, n, std::move(t), CU_NODE_HOST);
}

SIM_EXPORT CUresult cuGraphAddChildGraphNode(CUgraphNode *out, CUgraph h, const CUgraphNode *deps, size_t n,
                                             CUgraph child) {
  BEGIN("cuGraphAddChildGraphNode");
  Graph *c;
  TRY(object_of(call, child, "graph", &c));
  Graph *copy = clone(c);
  copy->owned = true;
  return add(call, out, h, deps, n, Task(), CU_NODE_GRAPH, copy);
}

SIM_EXPORT CUresult cuGraphAddDependencies(CUgraph h, const CUgraphNode *from, const CUgraphNode *to, size_t n) {
  BEGIN("cuGraphAddDependencies");
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  std::vector<Node *> a, b;
  TRY(nodes_of(call, g, from, n, a));
  TRY(nodes_of(call, g, to, n, b));
  for (size_t i = 0; i < n; i++) {
    auto &after = b[i]->after;
    REQUIRE(std::find(after.begin(), after.end(), a[i]) == after.end(), CUDA_ERROR_INVALID_VALUE,
            "dependency %zu is there already", i);
    after.push_back(a[i]);
  }
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphDestroyNode(CUgraphNode h) {
  BEGIN("cuGraphDestroyNode");
  Node *n;
  TRY(object_of(call, h, "graph node", &n));
  auto &all = n->graph->nodes;
  all.erase(std::find(all.begin(), all.end(), n));
  for (Node *o : all) o->after.erase(std::remove(o->after.begin(), o->after.end(), n), o->after.end());
  n->dead = true;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphGetNodes(CUgraph h, CUgraphNode *out, size_t *n) {
  BEGIN("cuGraphGetNodes");
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  return list(call, g->nodes, out, n);
}

SIM_EXPORT CUresult cuGraphGetRootNodes(CUgraph h, CUgraphNode *out, size_t *n) {
  BEGIN("cuGraphGetRootNodes");
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  std::vector<Node *> roots;
  for (Node *node : g->nodes)
    if (node->after.empty()) roots.push_back(node);
  return list(call, roots, out, n);
}

SIM_EXPORT CUresult cuGraphGetEdges(CUgraph h, CUgraphNode *from, CUgraphNode *to, size_t *n) {
  BEGIN("cuGraphGetEdges");
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  REQUIRE(n && !from == !to, CUDA_ERROR_INVALID_VALUE, "from and to go together");
  std::vector<Node *> a, b;
  for (Node *node : g->nodes)
    for (Node *before : node->after) {
      a.push_back(before);
      b.push_back(node);
    }
  size_t room = *n;
  TRY(list(call, a, from, n));
  return list(call, b, to, &room);
}

SIM_EXPORT CUresult cuGraphNodeGetType(CUgraphNode h, int *out) {
  BEGIN("cuGraphNodeGetType");
  Node *n;
  TRY(object_of(call, h, "graph node", &n));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the type");
  *out = n->type;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphNodeGetDependencies(CUgraphNode h, CUgraphNode *out, size_t *n) {
  BEGIN("cuGraphNodeGetDependencies");
  Node *node;
  TRY(object_of(call, h, "graph node", &node));
  return list(call, node->after, out, n);
}

// The one of CUDA 11 has a place for a log.
SIM_EXPORT CUresult cuGraphInstantiate(CUgraphExec *out, CUgraph h, CUgraphNode *, char *log, size_t n) {
  if (log && n) log[0] = 0;
  return instantiate("cuGraphInstantiate", out, h, 0);
}
SIM_EXPORT CUresult cuGraphInstantiate_v2(CUgraphExec *out, CUgraph h, CUgraphNode *, char *log, size_t n) {
  if (log && n) log[0] = 0;
  return instantiate("cuGraphInstantiate", out, h, 0);
}
SIM_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph h, unsigned long long flags) {
  return instantiate("cuGraphInstantiate", out, h, flags);
}
SIM_EXPORT CUresult cuGraphInstantiateWithParams(CUgraphExec *out, CUgraph h, CUDA_GRAPH_INSTANTIATE_PARAMS *p) {
  if (!p) return CUDA_ERROR_INVALID_VALUE;
  CUresult r = instantiate("cuGraphInstantiateWithParams", out, h, p->flags & ~uint64_t(2));
  p->result_out = r ? 1 : 0;
  p->hErrNode_out = nullptr;
  return r;
}

SIM_EXPORT CUresult cuGraphExecDestroy(CUgraphExec h) {
  BEGIN("cuGraphExecDestroy");
  Exec *e;
  TRY(object_of(call, h, "executable graph", &e));
  e->dead = true;  // launches that are waiting keep the plan
  e->plan.reset();
  e->last.reset();
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphExecGetFlags(CUgraphExec h, uint64_t *out) {
  BEGIN("cuGraphExecGetFlags");
  Exec *e;
  TRY(object_of(call, h, "executable graph", &e));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the flags");
  *out = e->flags;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphUpload(CUgraphExec h, CUstream stream) {
  BEGIN("cuGraphUpload");
  Exec *e;
  Stream *s;
  TRY(object_of(call, h, "executable graph", &e));
  TRY(stream_of(call, stream, &s));
  REQUIRE(!s->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the stream is capturing");
  return enqueue(call, s, Task());
}

SIM_EXPORT CUresult cuGraphLaunch(CUgraphExec h, CUstream stream) {
  BEGIN("cuGraphLaunch");
  Exec *e;
  Stream *s;
  TRY(object_of(call, h, "executable graph", &e));
  TRY(stream_of(call, stream, &s));
  REQUIRE(e->ctx == ctx, CUDA_ERROR_INVALID_HANDLE, "the graph belongs to another context than the stream");
  Task t;
  t.kind = Task::graph;
  t.plan = std::make_shared<Plan>(*e->plan);  // later changes of the exec are for later launches
  count("graphLaunch");
  OpRef before = e->last, op;
  TRY(enqueue(call, s, std::move(t), &op));
  if (!op) return CUDA_SUCCESS;  // captured
  if (before && !before->done) op->after.push_back(before);
  e->last = op;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec h, CUgraphNode node,
                                                      const CUDA_KERNEL_NODE_PARAMS *p) {
  BEGIN("cuGraphExecKernelNodeSetParams");
  Exec *e;
  TRY(object_of(call, h, "executable graph", &e));
  Task t;
  TRY(kernel_params(call, t, p));
  for (Plan::Item &item : e->plan->items) {
    if (static_cast<void *>(item.node) != static_cast<void *>(node)) continue;
    REQUIRE(item.task.kind == Task::kernel, CUDA_ERROR_INVALID_VALUE, "the node is no kernel");
    item.task = t;
    return CUDA_SUCCESS;
  }
  return call.fail(CUDA_ERROR_INVALID_VALUE, "the node is not in the graph");
}

SIM_EXPORT CUresult cuGraphExecUpdate_v2(CUgraphExec h, CUgraph graph, CUgraphExecUpdateResultInfo *info) {
  BEGIN("cuGraphExecUpdate");
  Exec *e;
  Graph *g;
  TRY(object_of(call, h, "executable graph", &e));
  TRY(object_of(call, graph, "graph", &g));
  std::shared_ptr<Plan> p = plan(g);
  bool same = p && p->items.size() == e->plan->items.size();
  for (size_t i = 0; same && i < p->items.size(); i++)
    same = p->items[i].task.kind == e->plan->items[i].task.kind && p->items[i].after == e->plan->items[i].after;
  if (info) *info = CUgraphExecUpdateResultInfo{same ? 0 : 2, nullptr, nullptr};
  REQUIRE(same, CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, "the graphs differ in their nodes or edges");
  for (size_t i = 0; i < p->items.size(); i++) p->items[i].node = e->plan->items[i].node;
  e->plan = p;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuGraphDebugDotPrint(CUgraph h, const char *path, unsigned) {
  BEGIN("cuGraphDebugDotPrint");
  Graph *g;
  TRY(object_of(call, h, "graph", &g));
  FILE *f = path ? fopen(path, "w") : nullptr;
  REQUIRE(f, CUDA_ERROR_OPERATING_SYSTEM, "%s cannot be written", path ? path : "(null)");
  fprintf(f, "digraph {\n");
  for (Node *n : g->nodes) {
    fprintf(f, "  \"%p\" [label=\"%s\"]\n", static_cast<void *>(n), n->task.describe().c_str());
    for (Node *a : n->after) fprintf(f, "  \"%p\" -> \"%p\"\n", static_cast<void *>(a), static_cast<void *>(n));
  }
  fprintf(f, "}\n");
  fclose(f);
  return CUDA_SUCCESS;
}
