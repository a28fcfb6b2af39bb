// Streams as queues: what is enqueued, what waits for what, and when it is done.
#include <algorithm>
#include <cstring>

#include "cuda_state.h"

namespace sim {

std::string Task::describe() const {
  switch (kind) {
    case kernel:
      return text("kernel %s<<<%u, %u>>>", fn->info.name, grid.x * grid.y * grid.z, block.x * block.y * block.z);
    case copy:
      return text("copy of %zu bytes from %p to %p", width * height * depth, static_cast<void *>(src.at),
                  static_cast<void *>(dst.at));
    case fill:
      return text("memset of %zu bytes at %p", width * height * depth, static_cast<void *>(dst.at));
    case host:
      return "host function";
    case graph:
      return text("graph of %zu nodes", plan->items.size());
    case empty:
      break;
  }
  return "mark";
}

// stream_of resolves a handle: 0 and 1 are the context's legacy stream, 2 the calling thread's own.
CUresult stream_of(Call &call, CUstream h, Stream **out) {
  Context *ctx = call.ctx;
  if (uintptr_t(h) <= 1) {
    *out = ctx->legacy;
    return CUDA_SUCCESS;
  }
  if (uintptr_t(h) == 2) {
    Stream *&s = ctx->per_thread[std::this_thread::get_id()];
    if (!s) {
      s = new Stream(ctx);
      ctx->streams.insert(s);
    }
    *out = s;
    return CUDA_SUCCESS;
  }
  Stream *s = find<Stream>(h);
  if (!s) {
    complain("%s: %p is %s", call.function, static_cast<void *>(h),
             destroyed(h) ? "a stream that was destroyed" : "no stream");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  REQUIRE(s->ctx == ctx, CUDA_ERROR_INVALID_HANDLE, "the stream belongs to another context than the current one");
  *out = s;
  return CUDA_SUCCESS;
}

// ordered gives the ops that a new op of a stream comes after: the stream's last; between the legacy stream and
// blocking ones each other's.
static std::vector<OpRef> ordered(Stream *s) {
  std::vector<OpRef> after;
  auto add = [&](const OpRef &op) {
    if (op && !op->done) after.push_back(op);
  };
  add(s->last);
  if (s->legacy) {
    for (Stream *t : s->ctx->streams)
      if (!(t->flags & CU_STREAM_NON_BLOCKING)) add(t->last);
  } else if (!(s->flags & CU_STREAM_NON_BLOCKING)) {
    add(s->ctx->legacy->last);
  }
  return after;
}

// push puts a task at a stream's end.
static OpRef push(Stream *s, Task task) {
  OpRef op = std::make_shared<Op>();
  op->id = ++state().ops;
  op->task = std::move(task);
  op->task.ctx = s->ctx;
  op->stream = s;
  op->after = ordered(s);
  s->last = op;
  state().pending.push_back(op);
  return op;
}

// enqueue puts a task at a stream's end, or into the graph that the stream captures.
CUresult enqueue(Call &call, Stream *s, Task task, OpRef *out) {
  if (s->capture) return captured(call, s, std::move(task));
  TRY(implicit(call, s));
  OpRef op = push(s, std::move(task));
  log("%s: #%llu in stream %llu: %s", call.function, static_cast<unsigned long long>(op->id),
      static_cast<unsigned long long>(s->id), op->task.describe().c_str());
  if (out) *out = op;
  return CUDA_SUCCESS;
}

static bool ready(const Op &op) {
  for (const OpRef &a : op.after)
    if (!a->done) return false;
  return true;
}

static void mark(const OpRef &op, std::set<const Op *> &needed) {
  std::vector<const Op *> todo{op.get()};
  while (!todo.empty()) {
    const Op *o = todo.back();
    todo.pop_back();
    if (o->done || !needed.insert(o).second) continue;
    for (const OpRef &a : o->after) todo.push_back(a.get());
  }
}

static void finish(const OpRef &op) {
  op->done = true;
  op->time = now();
  op->after.clear();
  op->task.staged.reset();
  auto &p = state().pending;
  p.erase(std::find(p.begin(), p.end(), op));
}

// step does one op, and notes a fault.
static void step(const OpRef &op) {
  Context *ctx = op->task.ctx;
  if (!ctx->dead && !ctx->error) {
    std::string err;
    log("#%llu: %s", static_cast<unsigned long long>(op->id), op->task.describe().c_str());
    CUresult r = execute(op->task, err);
    if (r) {
      ctx->error = r;
      state().fault = op->task.describe() + ": " + err;
      complain("%s: %s", error_name(r), state().fault.c_str());
      if (state().devices[size_t(ctx->device)].lost) {
        for (auto &o : state().objects)
          if (Context *c = dynamic_cast<Context *>(o.second))
            if (c->device == ctx->device) c->error = r;
      }
    }
  }
  finish(op);
}

// drain works until the targets are done. What else is done before them, the seed decides: nothing, or whatever is
// ready.
CUresult drain(Call &call, const std::vector<OpRef> &targets) {
  std::set<const Op *> needed;
  for (const OpRef &t : targets)
    if (t) mark(t, needed);
  if (!needed.empty()) {
    bool eager = draw() % 2;
    on_worker([&] {
      for (;;) {
        bool left = false;
        for (const OpRef &t : targets) left = left || (t && !t->done);
        if (!left) break;
        std::vector<OpRef> can;
        for (const OpRef &op : state().pending)
          if (ready(*op) && (eager || needed.count(op.get()))) can.push_back(op);
        step(can[draw() % can.size()]);
      }
      close_all();
    });
  }
  if (call.ctx && call.ctx->error) return call.fail(call.ctx->error, "%s", state().fault.c_str());
  return CUDA_SUCCESS;
}

CUresult drain_context(Call &call, Context *ctx) {
  std::vector<OpRef> targets;
  for (const OpRef &op : state().pending)
    if (op->task.ctx == ctx) targets.push_back(op);
  return drain(call, targets);
}

void forget(Context *ctx) {
  std::vector<OpRef> all = state().pending;
  for (const OpRef &op : all)
    if (op->task.ctx == ctx) finish(op);
}

// progress does some of what is ready, as a device does while the host looks at it.
static void progress() {
  if (state().pending.empty() || draw() % 4 == 0) return;
  on_worker([] {
    for (size_t n = 1 + draw() % 4; n > 0 && !state().pending.empty(); n--) {
      std::vector<OpRef> can;
      for (const OpRef &op : state().pending)
        if (ready(*op)) can.push_back(op);
      step(can[draw() % can.size()]);
    }
    close_all();
  });
}

static CUresult make_stream(const char *function, CUstream *out, unsigned flags, int priority) {
  BEGIN(function);
  REQUIRE(out && !(flags & ~unsigned(CU_STREAM_NON_BLOCKING)), CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
  static uint64_t ids = 2;
  Stream *s = new Stream(ctx);
  s->flags = flags;
  s->priority = priority;
  s->id = ++ids;
  ctx->streams.insert(s);
  *out = reinterpret_cast<CUstream>(static_cast<Object *>(s));
  return CUDA_SUCCESS;
}

// event_of resolves a handle of an event.
static CUresult event_of(Call &call, CUevent h, Event **out) {
  Event *e = find<Event>(h);
  if (!e) {
    complain("%s: %p is %s", call.function, static_cast<void *>(h),
             destroyed(h) ? "an event that was destroyed" : "no event");
    return CUDA_ERROR_INVALID_HANDLE;
  }
  *out = e;
  return CUDA_SUCCESS;
}

}  // namespace sim

using namespace sim;

SIM_EXPORT CUresult cuStreamCreate(CUstream *out, unsigned flags) {
  return make_stream("cuStreamCreate", out, flags, 0);
}

SIM_EXPORT CUresult cuStreamCreateWithPriority(CUstream *out, unsigned flags, int priority) {
  return make_stream("cuStreamCreateWithPriority", out, flags, std::max(-5, std::min(0, priority)));
}

SIM_EXPORT CUresult cuStreamDestroy_v2(CUstream h) {
  BEGIN("cuStreamDestroy");
  REQUIRE(uintptr_t(h) > 2, CUDA_ERROR_INVALID_HANDLE, "a default stream cannot be destroyed");
  Stream *s;
  TRY(stream_of(call, h, &s));
  if (s->capture) abandon(s);
  ctx->streams.erase(s);  // its work goes on
  s->dead = true;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamSynchronize(CUstream h) {
  BEGIN("cuStreamSynchronize");
  Stream *s;
  TRY(stream_of(call, h, &s));
  count("sync");
  if (s->capture) {
    s->capture->invalid = true;
    return call.fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the stream is capturing");
  }
  TRY(implicit(call, s));
  if (s->legacy) return drain(call, ordered(s));
  return drain(call, {s->last});
}

SIM_EXPORT CUresult cuCtxSynchronize(void) {
  BEGIN("cuCtxSynchronize");
  count("sync");
  TRY(call.unsafe());
  return drain_context(call, ctx);
}

SIM_EXPORT CUresult cuStreamQuery(CUstream h) {
  BEGIN("cuStreamQuery");
  Stream *s;
  TRY(stream_of(call, h, &s));
  if (s->capture) {
    s->capture->invalid = true;
    return call.fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "the stream is capturing");
  }
  TRY(implicit(call, s));
  progress();
  if (ctx->error) return call.fail(ctx->error, "%s", state().fault.c_str());
  std::vector<OpRef> left = ordered(s);
  return left.empty() ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

SIM_EXPORT CUresult cuStreamGetFlags(CUstream h, unsigned *out) {
  BEGIN("cuStreamGetFlags");
  Stream *s;
  TRY(stream_of(call, h, &s));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the flags");
  *out = s->flags;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamGetPriority(CUstream h, int *out) {
  BEGIN("cuStreamGetPriority");
  Stream *s;
  TRY(stream_of(call, h, &s));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the priority");
  *out = s->priority;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamGetId(CUstream h, unsigned long long *out) {
  BEGIN("cuStreamGetId");
  Stream *s;
  TRY(stream_of(call, h, &s));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the id");
  *out = s->id;
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamGetCtx(CUstream h, CUcontext *out) {
  BEGIN("cuStreamGetCtx");
  Stream *s;
  TRY(stream_of(call, h, &s));
  REQUIRE(out, CUDA_ERROR_INVALID_VALUE, "nowhere to put the context");
  *out = reinterpret_cast<CUcontext>(static_cast<Object *>(s->ctx));
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuStreamWaitEvent(CUstream h, CUevent event, unsigned flags) {
  BEGIN("cuStreamWaitEvent");
  Stream *s;
  Event *e;
  TRY(stream_of(call, h, &s));
  TRY(event_of(call, event, &e));
  REQUIRE(flags <= 1, CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
  if (e->capture) {
    // Joins the stream to the capture that the event was recorded in.
    REQUIRE(!s->legacy, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, "the legacy stream cannot be captured");
    REQUIRE(!s->capture || s->capture == e->capture, CUDA_ERROR_STREAM_CAPTURE_MERGE,
            "two captures would become one");
    s->capture = e->capture;
    auto &tips = s->capture->tips[s];
    for (Node *n : e->captured)
      if (std::find(tips.begin(), tips.end(), n) == tips.end()) tips.push_back(n);
    return CUDA_SUCCESS;
  }
  if (s->capture) {
    if (!e->op) return CUDA_SUCCESS;
    s->capture->invalid = true;
    return call.fail(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, "the event was recorded outside of the capture");
  }
  TRY(implicit(call, s));
  if (!e->op || e->op->done) return CUDA_SUCCESS;  // never recorded, or over
  OpRef op = push(s, Task());
  op->after.push_back(e->op);
  return CUDA_SUCCESS;
}

static CUresult host_function(Call &call, CUstream h, Task t) {
  Stream *s;
  TRY(stream_of(call, h, &s));
  t.kind = Task::host;
  t.stream = h;
  return enqueue(call, s, std::move(t));
}

SIM_EXPORT CUresult cuLaunchHostFunc(CUstream h, CUhostFn fn, void *data) {
  BEGIN("cuLaunchHostFunc");
  REQUIRE(fn, CUDA_ERROR_INVALID_VALUE, "no function");
  Task t;
  t.call = fn;
  t.data = data;
  return host_function(call, h, t);
}

SIM_EXPORT CUresult cuStreamAddCallback(CUstream h, CUstreamCallback fn, void *data, unsigned flags) {
  BEGIN("cuStreamAddCallback");
  REQUIRE(fn && !flags, CUDA_ERROR_INVALID_VALUE, "no function, or flags %#x", flags);
  Stream *s;
  TRY(stream_of(call, h, &s));
  if (s->capture) {
    s->capture->invalid = true;
    return call.fail(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "callbacks cannot be captured");
  }
  Task t;
  t.callback = fn;
  t.data = data;
  return host_function(call, h, t);
}

SIM_EXPORT CUresult cuEventCreate(CUevent *out, unsigned flags) {
  BEGIN("cuEventCreate");
  REQUIRE(out && flags < 8, CUDA_ERROR_INVALID_VALUE, "flags %#x", flags);
  REQUIRE(!(flags & CU_EVENT_INTERPROCESS), CUDA_ERROR_NOT_SUPPORTED, "events between processes");
  Event *e = new Event(ctx);
  e->flags = flags;
  *out = reinterpret_cast<CUevent>(static_cast<Object *>(e));
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuEventDestroy_v2(CUevent h) {
  BEGIN("cuEventDestroy");
  Event *e;
  TRY(event_of(call, h, &e));
  e->dead = true;
  e->op.reset();
  return CUDA_SUCCESS;
}

SIM_EXPORT CUresult cuEventRecord(CUevent h, CUstream stream) {
  BEGIN("cuEventRecord");
  Event *e;
  Stream *s;
  TRY(event_of(call, h, &e));
  TRY(stream_of(call, stream, &s));
  REQUIRE(e->ctx == ctx, CUDA_ERROR_INVALID_HANDLE, "the event belongs to another context than the stream");
  if (s->capture) {
    e->capture = s->capture;
    e->captured = s->capture->tips[s];
    e->op.reset();
    return CUDA_SUCCESS;
  }
  e->capture = nullptr;
  e->captured.clear();
  return enqueue(call, s, Task(), &e->op);
}

SIM_EXPORT CUresult cuEventRecordWithFlags(CUevent h, CUstream stream, unsigned flags) {
  return flags ? CUDA_ERROR_NOT_SUPPORTED : cuEventRecord(h, stream);
}

SIM_EXPORT CUresult cuEventQuery(CUevent h) {
  BEGIN("cuEventQuery");
  Event *e;
  TRY(event_of(call, h, &e));
  REQUIRE(!e->capture, CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture");
  TRY(call.unsafe());
  progress();
  if (ctx->error) return call.fail(ctx->error, "%s", state().fault.c_str());
  return !e->op || e->op->done ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

SIM_EXPORT CUresult cuEventSynchronize(CUevent h) {
  BEGIN("cuEventSynchronize");
  Event *e;
  TRY(event_of(call, h, &e));
  count("sync");
  REQUIRE(!e->capture, CUDA_ERROR_CAPTURED_EVENT, "the event was recorded in a capture");
  TRY(call.unsafe());
  return drain(call, {e->op});
}

SIM_EXPORT CUresult cuEventElapsedTime(float *ms, CUevent start, CUevent end) {
  BEGIN("cuEventElapsedTime");
  Event *a, *b;
  TRY(event_of(call, start, &a));
  TRY(event_of(call, end, &b));
  REQUIRE(ms, CUDA_ERROR_INVALID_VALUE, "nowhere to put the time");
  REQUIRE(a->op && b->op && !((a->flags | b->flags) & CU_EVENT_DISABLE_TIMING), CUDA_ERROR_INVALID_HANDLE,
          "an event was not recorded, or takes no times");
  REQUIRE(a->op->done && b->op->done, CUDA_ERROR_NOT_READY, "an event has not happened yet");
  *ms = float(1e3 * (b->op->time - a->op->time));
  return CUDA_SUCCESS;
}
