// Copies and memsets.
#include <cstring>

#include "cuda_state.h"

namespace sim {

// A Side is one end of a copy.
struct Side {
  int type;
  char *at;
  size_t pitch, plane;
  Allocation *in;  // nullptr: pageable memory of the host
  bool host() const { return !in || in->kind == Allocation::pinned || in->kind == Allocation::registered; }
  // span is the bytes from its first to its last.
  size_t span(const CUDA_MEMCPY3D &p) const {
    return (p.Depth - 1) * plane + (p.Height - 1) * pitch + p.WidthInBytes;
  }
};

static CUresult side(Call &call, Side &s, const CUDA_MEMCPY3D &p, const char *which, int type, void *host,
                     CUdeviceptr device, size_t pitch, size_t height, size_t x, size_t y, size_t z) {
  REQUIRE(type == CU_MEMORYTYPE_HOST || type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED,
          type == CU_MEMORYTYPE_ARRAY ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_VALUE, "%s has memory type %d",
          which, type);
  if (pitch == 0) pitch = p.WidthInBytes + x;
  if (height == 0) height = p.Height + y;
  REQUIRE(p.Height == 1 || pitch >= p.WidthInBytes + x, CUDA_ERROR_INVALID_VALUE,
          "%s has pitch %zu for rows of %zu bytes", which, pitch, p.WidthInBytes + x);
  s.type = type;
  s.pitch = pitch;
  s.plane = pitch * height;
  char *base = type == CU_MEMORYTYPE_HOST ? static_cast<char *>(host) : reinterpret_cast<char *>(device);
  REQUIRE(base, CUDA_ERROR_INVALID_VALUE, "%s is null", which);
  s.at = base + z * s.plane + y * pitch + x;
  size_t span = s.span(p);
  s.in = allocation(s.at, span);
  bool part = !s.in && (allocation(s.at) || allocation(s.at + span - 1));
  if (part || (type == CU_MEMORYTYPE_DEVICE && !s.in)) {
    complain("%s: the %zu bytes of the %s at %p are not in one allocation", call.function, span, which,
             static_cast<void *>(s.at));
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (type == CU_MEMORYTYPE_HOST && s.in && s.in->kind == Allocation::device) {
    complain("%s: the %s at %p is device memory, where memory of the host is wanted", call.function, which,
             static_cast<void *>(s.at));
    return CUDA_ERROR_INVALID_VALUE;
  }
  return CUDA_SUCCESS;
}

static CUresult sides(Call &call, const CUDA_MEMCPY3D &p, Side &dst, Side &src) {
  TRY(side(call, dst, p, "destination", p.dstMemoryType, p.dstHost, p.dstDevice, p.dstPitch, p.dstHeight,
           p.dstXInBytes, p.dstY, p.dstZ));
  return side(call, src, p, "source", p.srcMemoryType, const_cast<void *>(p.srcHost), p.srcDevice, p.srcPitch,
              p.srcHeight, p.srcXInBytes, p.srcY, p.srcZ);
}

static void shape(Task &t, const CUDA_MEMCPY3D &p, const Side &dst, const Side &src) {
  t.kind = Task::copy;
  t.dst = Extent{dst.at, dst.pitch, dst.plane};
  t.src = Extent{src.at, src.pitch, src.plane};
  t.width = p.WidthInBytes;
  t.height = p.Height;
  t.depth = p.Depth;
}

// copy_task makes a copy a node of a graph.
CUresult copy_task(Call &call, Task &t, const CUDA_MEMCPY3D &p, bool pageable) {
  REQUIRE(p.WidthInBytes && p.Height && p.Depth, CUDA_ERROR_INVALID_VALUE, "a copy of nothing");
  Side dst, src;
  TRY(sides(call, p, dst, src));
  if (!pageable && (!dst.in || !src.in)) {
    complain("%s: a graph would copy pageable memory of the host: make it pinned", call.function);
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  }
  shape(t, p, dst, src);
  return CUDA_SUCCESS;
}

// stage copies the source's rows together.
static void stage(Task &t) {
  auto bytes = std::make_shared<std::vector<char>>(t.width * t.height * t.depth);
  char *to = bytes->data();
  for (size_t z = 0; z < t.depth; z++)
    for (size_t y = 0; y < t.height; y++, to += t.width)
      memcpy(to, t.src.at + z * t.src.plane + y * t.src.pitch, t.width);
  t.staged = bytes;
}

// copy does a copy as the driver does it. Without a stream (wait) it is in the legacy one and the host waits, except
// for a copy within a device, and for the last part of one from pageable memory. With a stream nothing waits but a
// copy to pageable memory; the bytes of pageable memory are read at once, those of pinned memory when the copy is
// done.
static CUresult copy(Call &call, const CUDA_MEMCPY3D &p, bool wait, CUstream h) {
  if (p.WidthInBytes == 0 || p.Height == 0 || p.Depth == 0) return CUDA_SUCCESS;
  Stream *s = call.ctx->legacy;
  if (!wait) TRY(stream_of(call, h, &s));
  if (wait) {
    TRY(implicit(call, s));
    TRY(call.unsafe());
  }
  Side dst, src;
  TRY(sides(call, p, dst, src));
  Task t;
  shape(t, p, dst, src);
  count(src.host() ? (dst.host() ? "h2h" : "h2d") : dst.host() ? "d2h" : "d2d");
  if (s->capture) {
    if (!dst.in || !src.in) {
      s->capture->invalid = true;
      complain("%s: a capture cannot have copies of pageable memory of the host: make it pinned", call.function);
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return enqueue(call, s, std::move(t));
  }
  OpRef op;
  if (!src.in) {
    if (wait) {
      OpRef before;
      TRY(enqueue(call, s, Task(), &before));
      TRY(drain(call, {before}));
    }
    stage(t);
    TRY(enqueue(call, s, std::move(t), &op));
    return dst.host() ? drain(call, {op}) : CUDA_SUCCESS;
  }
  TRY(enqueue(call, s, std::move(t), &op));
  bool waits = wait ? src.host() || dst.host() : !dst.in;
  return waits ? drain(call, {op}) : CUDA_SUCCESS;
}

static CUDA_MEMCPY3D line(int dst_type, uintptr_t dst, int src_type, uintptr_t src, size_t size) {
  CUDA_MEMCPY3D p{};
  p.dstMemoryType = dst_type;
  p.dstHost = reinterpret_cast<void *>(dst);
  p.dstDevice = dst;
  p.srcMemoryType = src_type;
  p.srcHost = reinterpret_cast<void *>(src);
  p.srcDevice = src;
  p.WidthInBytes = size;
  p.Height = p.Depth = 1;
  return p;
}

static CUDA_MEMCPY3D plane(const CUDA_MEMCPY2D &q) {
  CUDA_MEMCPY3D p{};
  p.srcXInBytes = q.srcXInBytes;
  p.srcY = q.srcY;
  p.srcMemoryType = q.srcMemoryType;
  p.srcHost = q.srcHost;
  p.srcDevice = q.srcDevice;
  p.srcPitch = q.srcPitch;
  p.dstXInBytes = q.dstXInBytes;
  p.dstY = q.dstY;
  p.dstMemoryType = q.dstMemoryType;
  p.dstHost = q.dstHost;
  p.dstDevice = q.dstDevice;
  p.dstPitch = q.dstPitch;
  p.WidthInBytes = q.WidthInBytes;
  p.Height = q.Height;
  p.Depth = 1;
  return p;
}

// fill does a memset: the host does not wait, with or without a stream.
static CUresult fill(const char *function, CUdeviceptr dst, size_t pitch, unsigned value, unsigned element,
                     size_t width, size_t height, bool legacy, CUstream h) {
  BEGIN(function);
  Stream *s = ctx->legacy;
  if (!legacy) TRY(stream_of(call, h, &s));
  if (legacy) {
    TRY(implicit(call, s));
    TRY(call.unsafe());
  }
  if (width == 0 || height == 0) return CUDA_SUCCESS;
  REQUIRE(dst % element == 0 && (height == 1 || pitch % element == 0), CUDA_ERROR_INVALID_VALUE,
          "%#llx is not aligned to %u bytes", dst, element);
  REQUIRE(height == 1 || pitch >= width * element, CUDA_ERROR_INVALID_VALUE, "pitch %zu for rows of %zu bytes", pitch,
          width * element);
  Task t;
  t.kind = Task::fill;
  t.dst = Extent{reinterpret_cast<char *>(dst), pitch, 0};
  t.value = value;
  t.element = element;
  t.width = width * element;
  t.height = height;
  size_t span = (height - 1) * pitch + t.width;
  if (!allocation(t.dst.at, span)) {
    complain("%s: the %zu bytes at %#llx are not in one allocation", function, span, dst);
    return CUDA_ERROR_INVALID_VALUE;
  }
  count("memset");
  return enqueue(call, s, std::move(t));
}

// peers waits for the work of the two contexts of a copy between them.
static CUresult peers(Call &call, CUcontext a, CUcontext b) {
  for (CUcontext h : {a, b}) {
    Context *c = find<Context>(h);
    REQUIRE(c, CUDA_ERROR_INVALID_CONTEXT, "%p is no context", static_cast<void *>(h));
    TRY(drain_context(call, c));
  }
  return CUDA_SUCCESS;
}

enum { H = CU_MEMORYTYPE_HOST, D = CU_MEMORYTYPE_DEVICE, U = CU_MEMORYTYPE_UNIFIED };

static CUresult straight(const char *function, int dst_type, uintptr_t dst, int src_type, uintptr_t src, size_t size,
                         bool wait, CUstream h) {
  BEGIN(function);
  return copy(call, line(dst_type, dst, src_type, src, size), wait, h);
}

}  // namespace sim

using namespace sim;

SIM_EXPORT CUresult cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t n) {
  return straight("cuMemcpy", U, dst, U, src, n, true, nullptr);
}
SIM_EXPORT CUresult cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream h) {
  return straight("cuMemcpyAsync", U, dst, U, src, n, false, h);
}
SIM_EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t n) {
  return straight("cuMemcpyHtoD", D, dst, H, uintptr_t(src), n, true, nullptr);
}
SIM_EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t n, CUstream h) {
  return straight("cuMemcpyHtoDAsync", D, dst, H, uintptr_t(src), n, false, h);
}
SIM_EXPORT CUresult cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t n) {
  return straight("cuMemcpyDtoH", H, uintptr_t(dst), D, src, n, true, nullptr);
}
SIM_EXPORT CUresult cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t n, CUstream h) {
  return straight("cuMemcpyDtoHAsync", H, uintptr_t(dst), D, src, n, false, h);
}
SIM_EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t n) {
  return straight("cuMemcpyDtoD", D, dst, D, src, n, true, nullptr);
}
SIM_EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t n, CUstream h) {
  return straight("cuMemcpyDtoDAsync", D, dst, D, src, n, false, h);
}

SIM_EXPORT CUresult cuMemcpyPeer(CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n) {
  BEGIN("cuMemcpyPeer");
  TRY(call.unsafe());
  TRY(peers(call, to, from));
  return copy(call, line(D, dst, D, src, n), true, nullptr);
}
SIM_EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext to, CUdeviceptr src, CUcontext from, size_t n,
                                      CUstream h) {
  BEGIN("cuMemcpyPeerAsync");
  REQUIRE(find<Context>(to) && find<Context>(from), CUDA_ERROR_INVALID_CONTEXT, "no context");
  return copy(call, line(D, dst, D, src, n), false, h);
}

static CUresult box(const char *function, const CUDA_MEMCPY3D *p, bool wait, CUstream h) {
  BEGIN(function);
  REQUIRE(p, CUDA_ERROR_INVALID_VALUE, "no description");
  return copy(call, *p, wait, h);
}
static CUresult rectangle(const char *function, const CUDA_MEMCPY2D *p, bool wait, CUstream h) {
  BEGIN(function);
  REQUIRE(p, CUDA_ERROR_INVALID_VALUE, "no description");
  return copy(call, plane(*p), wait, h);
}
SIM_EXPORT CUresult cuMemcpy2D_v2(const CUDA_MEMCPY2D *p) { return rectangle("cuMemcpy2D", p, true, nullptr); }
SIM_EXPORT CUresult cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *p) {
  return rectangle("cuMemcpy2DUnaligned", p, true, nullptr);
}
SIM_EXPORT CUresult cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *p, CUstream h) {
  return rectangle("cuMemcpy2DAsync", p, false, h);
}
SIM_EXPORT CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *p) { return box("cuMemcpy3D", p, true, nullptr); }
SIM_EXPORT CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *p, CUstream h) {
  return box("cuMemcpy3DAsync", p, false, h);
}
// The descriptions of copies between contexts have these where the others have nothing.
SIM_EXPORT CUresult cuMemcpy3DPeer(const CUDA_MEMCPY3D *p) { return box("cuMemcpy3DPeer", p, true, nullptr); }
SIM_EXPORT CUresult cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D *p, CUstream h) {
  return box("cuMemcpy3DPeerAsync", p, false, h);
}

SIM_EXPORT CUresult cuMemsetD8_v2(CUdeviceptr dst, unsigned char v, size_t n) {
  return fill("cuMemsetD8", dst, 0, v, 1, n, 1, true, nullptr);
}
SIM_EXPORT CUresult cuMemsetD16_v2(CUdeviceptr dst, unsigned short v, size_t n) {
  return fill("cuMemsetD16", dst, 0, v, 2, n, 1, true, nullptr);
}
SIM_EXPORT CUresult cuMemsetD32_v2(CUdeviceptr dst, unsigned v, size_t n) {
  return fill("cuMemsetD32", dst, 0, v, 4, n, 1, true, nullptr);
}
SIM_EXPORT CUresult cuMemsetD8Async(CUdeviceptr dst, unsigned char v, size_t n, CUstream h) {
  return fill("cuMemsetD8Async", dst, 0, v, 1, n, 1, false, h);
}
SIM_EXPORT CUresult cuMemsetD16Async(CUdeviceptr dst, unsigned short v, size_t n, CUstream h) {
  return fill("cuMemsetD16Async", dst, 0, v, 2, n, 1, false, h);
}
SIM_EXPORT CUresult cuMemsetD32Async(CUdeviceptr dst, unsigned v, size_t n, CUstream h) {
  return fill("cuMemsetD32Async", dst, 0, v, 4, n, 1, false, h);
}
SIM_EXPORT CUresult cuMemsetD2D8_v2(CUdeviceptr dst, size_t pitch, unsigned char v, size_t w, size_t h) {
  return fill("cuMemsetD2D8", dst, pitch, v, 1, w, h, true, nullptr);
}
SIM_EXPORT CUresult cuMemsetD2D16_v2(CUdeviceptr dst, size_t pitch, unsigned short v, size_t w, size_t h) {
  return fill("cuMemsetD2D16", dst, pitch, v, 2, w, h, true, nullptr);
}
SIM_EXPORT CUresult cuMemsetD2D32_v2(CUdeviceptr dst, size_t pitch, unsigned v, size_t w, size_t h) {
  return fill("cuMemsetD2D32", dst, pitch, v, 4, w, h, true, nullptr);
}
SIM_EXPORT CUresult cuMemsetD2D8Async(CUdeviceptr dst, size_t pitch, unsigned char v, size_t w, size_t h,
                                      CUstream s) {
  return fill("cuMemsetD2D8Async", dst, pitch, v, 1, w, h, false, s);
}
SIM_EXPORT CUresult cuMemsetD2D16Async(CUdeviceptr dst, size_t pitch, unsigned short v, size_t w, size_t h,
                                       CUstream s) {
  return fill("cuMemsetD2D16Async", dst, pitch, v, 2, w, h, false, s);
}
SIM_EXPORT CUresult cuMemsetD2D32Async(CUdeviceptr dst, size_t pitch, unsigned v, size_t w, size_t h, CUstream s) {
  return fill("cuMemsetD2D32Async", dst, pitch, v, 4, w, h, false, s);
}
