// The NVRTC look-alike, libnvrtc.so.12: CUDA C becomes an image for the simulated driver. Its functions and their
// codes are those of NVIDIA's library, as far as a compiler of one source without headers needs them.
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

#include "compile.h"

#define NVRTC_API extern "C" __attribute__((visibility("default")))

enum nvrtcResult {
  NVRTC_SUCCESS = 0,
  NVRTC_ERROR_OUT_OF_MEMORY = 1,
  NVRTC_ERROR_PROGRAM_CREATION_FAILURE = 2,
  NVRTC_ERROR_INVALID_INPUT = 3,
  NVRTC_ERROR_INVALID_PROGRAM = 4,
  NVRTC_ERROR_INVALID_OPTION = 5,
  NVRTC_ERROR_COMPILATION = 6,
  NVRTC_ERROR_BUILTIN_OPERATION_FAILURE = 7,
  NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION = 8,
  NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION = 9,
  NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID = 10,
  NVRTC_ERROR_INTERNAL_ERROR = 11,
};

struct nvrtcProgram_ {
  unsigned long long magic = 0x6e76727463u;
  std::string source, name, log, image, ptx;
  bool compiled = false;
};
typedef nvrtcProgram_* nvrtcProgram;

namespace {

bool checking() {
  const char* s = getenv("GODCEM_SIM_CHECK");
  return s && *s == '1';
}

bool valid(nvrtcProgram p) { return p && p->magic == 0x6e76727463u; }

// Whether o begins with one of NVRTC's two spellings, --long and -short; the rest is in *value.
bool is(const std::string& o, const char* longer, const char* shorter, std::string* value) {
  for (const char* f : {longer, shorter}) {
    size_t n = f ? strlen(f) : 0;
    if (f && o.compare(0, n, f) == 0) {
      *value = o.substr(n);
      return true;
    }
  }
  return false;
}

nvrtcResult read_options(int n, const char* const* options, sim_compile_options* out, std::string* log) {
  static const int archs[] = {50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90};
  std::vector<std::string> all;
  for (int i = 0; i < n; i++) {
    if (!options || !options[i]) return NVRTC_ERROR_INVALID_INPUT;
    std::string o = options[i];
    if ((o == "-D" || o == "-arch" || o == "--gpu-architecture" || o == "-std" || o == "--std") && i + 1 < n) {
      o += (o == "-D" ? "" : "=") + std::string(options[++i]);  // given as two
    }
    all.push_back(o);
  }
  for (const std::string& o : all) {
    std::string v;
    bool known = true;
    if (is(o, "--gpu-architecture=", "-arch=", &v)) {
      bool real = v.compare(0, 3, "sm_") == 0, any = false;
      if (!real && v.compare(0, 8, "compute_") != 0) known = false;
      int a = atoi(v.c_str() + (real ? 3 : 8));
      for (int x : archs) any = any || x == a;
      known = known && any;
      out->arch = a;
    } else if (is(o, "--fmad=", "-fmad=", &v)) {
      known = v == "true" || v == "false";
      out->contract = v == "true";
    } else if (is(o, "--std=", "-std=", &v)) {
      known = v == "c++11" || v == "c++14" || v == "c++17" || v == "c++20";
      out->standard = v;
    } else if (o.compare(0, 2, "-D") == 0 && o.size() > 2) {
      out->defines.push_back(o);
    } else if (is(o, "--define-macro=", nullptr, &v)) {
      out->defines.push_back("-D" + v);
    } else if (is(o, "--ftz=", "-ftz=", &v) || is(o, "--prec-div=", "-prec-div=", &v) ||
               is(o, "--prec-sqrt=", "-prec-sqrt=", &v) || is(o, "--use_fast_math", "-use_fast_math", &v)) {
      // Only what leaves arithmetic as IEEE has it.
      known = (v == "false" && o.find("ftz") != std::string::npos) ||
              (v == "true" && o.find("prec") != std::string::npos);
    } else {
      static const char* const ignored[] = {"-default-device",
                                            "--device-as-default-execution-space",
                                            "-lineinfo",
                                            "--generate-line-info",
                                            "-G",
                                            "--device-debug",
                                            "-w",
                                            "--disable-warnings",
                                            "--restrict",
                                            "-restrict",
                                            "--extra-device-vectorization",
                                            "--display-error-number",
                                            "-no-source-include",
                                            "--no-source-include"};
      known = false;
      for (const char* k : ignored) known = known || o == k;
      known = known || is(o, "--maxrregcount=", "-maxrregcount=", &v) ||
              is(o, "--diag-suppress=", "-diag-suppress=", &v) || is(o, "--split-compile=", "-split-compile=", &v) ||
              is(o, "--ptxas-options=", "-Xptxas=", &v);
    }
    if (!known) {
      *log =
          "nvrtc: error: invalid value for --gpu-architecture, or an option that the simulated compiler does not "
          "know: " +
          o + "\n";
      return NVRTC_ERROR_INVALID_OPTION;
    }
  }
  return NVRTC_SUCCESS;
}

nvrtcResult give(const std::string& s, size_t extra, char* out) {
  if (!out) return NVRTC_ERROR_INVALID_INPUT;
  memcpy(out, s.data(), s.size() + extra);
  return NVRTC_SUCCESS;
}

nvrtcResult size(const std::string& s, size_t extra, size_t* out) {
  if (!out) return NVRTC_ERROR_INVALID_INPUT;
  *out = s.size() + extra;
  return NVRTC_SUCCESS;
}

}  // namespace

NVRTC_API const char* nvrtcGetErrorString(nvrtcResult r) {
  static const char* const names[] = {"NVRTC_SUCCESS",
                                      "NVRTC_ERROR_OUT_OF_MEMORY",
                                      "NVRTC_ERROR_PROGRAM_CREATION_FAILURE",
                                      "NVRTC_ERROR_INVALID_INPUT",
                                      "NVRTC_ERROR_INVALID_PROGRAM",
                                      "NVRTC_ERROR_INVALID_OPTION",
                                      "NVRTC_ERROR_COMPILATION",
                                      "NVRTC_ERROR_BUILTIN_OPERATION_FAILURE",
                                      "NVRTC_ERROR_NO_NAME_EXPRESSIONS_AFTER_COMPILATION",
                                      "NVRTC_ERROR_NO_LOWERED_NAMES_BEFORE_COMPILATION",
                                      "NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID",
                                      "NVRTC_ERROR_INTERNAL_ERROR"};
  return r >= 0 && r <= NVRTC_ERROR_INTERNAL_ERROR ? names[r] : "NVRTC_ERROR unknown";
}

// The minor version says whether kernels are instrumented, so that no cache takes the ones for the others.
NVRTC_API nvrtcResult nvrtcVersion(int* major, int* minor) {
  if (!major || !minor) return NVRTC_ERROR_INVALID_INPUT;
  *major = 12;
  *minor = checking() ? 98 : 9;
  return NVRTC_SUCCESS;
}

static const int supported[] = {75, 80, 86, 87, 89, 90};

NVRTC_API nvrtcResult nvrtcGetNumSupportedArchs(int* n) {
  if (!n) return NVRTC_ERROR_INVALID_INPUT;
  *n = sizeof supported / sizeof *supported;
  return NVRTC_SUCCESS;
}

NVRTC_API nvrtcResult nvrtcGetSupportedArchs(int* archs) {
  if (!archs) return NVRTC_ERROR_INVALID_INPUT;
  memcpy(archs, supported, sizeof supported);
  return NVRTC_SUCCESS;
}

NVRTC_API nvrtcResult nvrtcCreateProgram(nvrtcProgram* out, const char* source, const char* name, int headers,
                                         const char* const*, const char* const*) {
  if (!out || !source || headers < 0) return NVRTC_ERROR_INVALID_INPUT;
  if (headers > 0) return NVRTC_ERROR_PROGRAM_CREATION_FAILURE;  // the simulated compiler takes none
  nvrtcProgram p = new nvrtcProgram_;
  p->source = source;
  p->name = name && *name ? name : "default_program";
  *out = p;
  return NVRTC_SUCCESS;
}

NVRTC_API nvrtcResult nvrtcDestroyProgram(nvrtcProgram* p) {
  if (!p || !valid(*p)) return NVRTC_ERROR_INVALID_PROGRAM;
  (*p)->magic = 0;
  delete *p;
  *p = nullptr;
  return NVRTC_SUCCESS;
}

NVRTC_API nvrtcResult nvrtcCompileProgram(nvrtcProgram p, int n, const char* const* options) {
  if (!valid(p)) return NVRTC_ERROR_INVALID_PROGRAM;
  if (n < 0) return NVRTC_ERROR_INVALID_INPUT;
  sim_compile_options o;
  o.checked = checking();
  p->log.clear();
  nvrtcResult r = read_options(n, options, &o, &p->log);
  if (r != NVRTC_SUCCESS) return r;
  p->compiled = sim_compile(p->source, p->name, o, &p->image, &p->log);
  // The driver's JIT takes the same image: what a program asks for as PTX.
  p->ptx = p->image;
  return p->compiled ? NVRTC_SUCCESS : NVRTC_ERROR_COMPILATION;
}

NVRTC_API nvrtcResult nvrtcGetCUBINSize(nvrtcProgram p, size_t* n) {
  if (!valid(p)) return NVRTC_ERROR_INVALID_PROGRAM;
  return size(p->image, 0, n);
}
NVRTC_API nvrtcResult nvrtcGetCUBIN(nvrtcProgram p, char* out) {
  if (!valid(p)) return NVRTC_ERROR_INVALID_PROGRAM;
  if (!p->compiled) return NVRTC_ERROR_INVALID_PROGRAM;
  return give(p->image, 0, out);
}
NVRTC_API nvrtcResult nvrtcGetPTXSize(nvrtcProgram p, size_t* n) {
  if (!valid(p)) return NVRTC_ERROR_INVALID_PROGRAM;
  return size(p->ptx, 1, n);
}
NVRTC_API nvrtcResult nvrtcGetPTX(nvrtcProgram p, char* out) {
  if (!valid(p) || !p->compiled) return NVRTC_ERROR_INVALID_PROGRAM;
  return give(p->ptx, 1, out);
}
NVRTC_API nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram p, size_t* n) {
  if (!valid(p)) return NVRTC_ERROR_INVALID_PROGRAM;
  return size(p->log, 1, n);
}
NVRTC_API nvrtcResult nvrtcGetProgramLog(nvrtcProgram p, char* out) {
  if (!valid(p)) return NVRTC_ERROR_INVALID_PROGRAM;
  return give(p->log, 1, out);
}
NVRTC_API nvrtcResult nvrtcAddNameExpression(nvrtcProgram p, const char*) {
  return valid(p) ? NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID
                  : NVRTC_ERROR_INVALID_PROGRAM;  // templates are not looked up
}
NVRTC_API nvrtcResult nvrtcGetLoweredName(nvrtcProgram p, const char*, const char**) {
  return valid(p) ? NVRTC_ERROR_NAME_EXPRESSION_NOT_VALID : NVRTC_ERROR_INVALID_PROGRAM;
}
