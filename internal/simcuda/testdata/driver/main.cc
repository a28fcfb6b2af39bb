#include "driver.h"

Case *Case::first;

static char *loaded;

void want(CUresult got, CUresult code, const char *what, const char *file, int line) {
  if (got == code) return;
  const char *g = "?", *w = "?";
  cuGetErrorName(got, &g);
  cuGetErrorName(code, &w);
  char fault[1024] = "";
  simcudaFault(fault, sizeof fault);
  fprintf(stderr, "%s:%d: %s gives %d (%s), want %d (%s); last fault: %s\n", file, line, what, got, g, code, w,
          fault);
  _Exit(1);
}

void check(bool ok, const char *what, const char *file, int line) {
  if (ok) return;
  fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
  _Exit(1);
}

void symptom() { _Exit(3); }

CUcontext context(int device) {
  OK(cuInit(0));
  CUcontext c;
  OK(cuCtxCreate_v2(&c, 0, device));
  return c;
}

const char *image() { return loaded; }

CUfunction kernel(const char *name) {
  CUmodule m;
  CUfunction f;
  OK(cuModuleLoadData(&m, loaded));
  OK(cuModuleGetFunction(&f, m, name));
  return f;
}

CUdeviceptr alloc(size_t n) {
  CUdeviceptr p = 0;
  OK(cuMemAlloc_v2(&p, n));
  return p;
}

// driver IMAGE CASE [bug]: exits with 0 if the case is fine, 1 if not, 3 with a symptom. driver list: names them all.
int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "list")) {
    for (Case *c = Case::first; c; c = c->next) puts(c->name);
    return 0;
  }
  if (argc < 3) return 2;
  // Beside the image is one for the checking mode.
  char path[4096];
  const char *checking = getenv("GODCEM_SIM_CHECK");
  snprintf(path, sizeof path, "%s%s", argv[1], checking && *checking == '1' ? ".checked" : "");
  FILE *f = fopen(path, "rb");
  if (!f) return 2;
  fseek(f, 0, SEEK_END);
  long n = ftell(f);
  rewind(f);
  loaded = static_cast<char *>(malloc(size_t(n)));
  if (fread(loaded, 1, size_t(n), f) != size_t(n)) return 2;
  fclose(f);
  for (Case *c = Case::first; c; c = c->next) {
    if (strcmp(c->name, argv[2])) continue;
    c->run(argc > 3);
    return 0;
  }
  fprintf(stderr, "no case %s\n", argv[2]);
  return 2;
}
