#include "compile.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>

// The headers, as they are: the library is built in the folder where they lie.
asm(R"(
.section .rodata
sim_source_shim_h: .incbin "shim.h"
.byte 0
sim_source_image_h: .incbin "image.h"
.byte 0
.text
)");
extern "C" __attribute__((visibility("hidden"))) const char sim_source_shim_h[], sim_source_image_h[];

extern char** environ;

namespace {

struct token {
  enum type { word, number, punct, other };
  type kind;
  size_t begin, end;
};

// The tokens of a source, without comments, strings and preprocessor lines.
std::vector<token> scan(const std::string& s) {
  std::vector<token> out;
  bool line_start = true;
  for (size_t i = 0; i < s.size();) {
    char c = s[i];
    if (c == '\n') {
      line_start = true;
      i++;
    } else if (isspace((unsigned char)c)) {
      i++;
    } else if (c == '#' && line_start) {
      while (i < s.size() && s[i] != '\n') i += s[i] == '\\' && i + 1 < s.size() ? 2 : 1;
    } else if (s.compare(i, 2, "//") == 0) {
      while (i < s.size() && s[i] != '\n') i++;
    } else if (s.compare(i, 2, "/*") == 0) {
      size_t end = s.find("*/", i + 2);
      i = end == std::string::npos ? s.size() : end + 2;
    } else if (c == '"' || c == '\'') {
      size_t begin = i++;
      while (i < s.size() && s[i] != c) i += s[i] == '\\' ? 2 : 1;
      i = std::min(i + 1, s.size());
      out.push_back({token::other, begin, i});
      line_start = false;
    } else {
      size_t begin = i++;
      token::type k = token::punct;
      if (isalpha((unsigned char)c) || c == '_') {
        k = token::word;
        while (i < s.size() && (isalnum((unsigned char)s[i]) || s[i] == '_')) i++;
      } else if (isdigit((unsigned char)c)) {
        k = token::number;
        while (i < s.size() && (isalnum((unsigned char)s[i]) || s[i] == '.' || s[i] == '\'')) i++;
      }
      out.push_back({k, begin, i});
      line_start = false;
    }
  }
  return out;
}

struct kernel {
  std::string name;
  std::string shared = "0";  // an expression
  std::string threads = "1024";
};

struct edit {
  size_t begin, end;
  std::string text;
};

// Reads the kernels of a source, and rewrites their shared memory.
struct translator {
  const std::string& s;
  std::vector<token> t;
  std::vector<kernel> kernels;
  std::vector<edit> edits;
  std::string error;

  explicit translator(const std::string& source) : s(source), t(scan(source)) {}

  std::string text(size_t i) const { return i < t.size() ? s.substr(t[i].begin, t[i].end - t[i].begin) : ""; }
  bool is(size_t i, const char* what) const {
    return i < t.size() && s.compare(t[i].begin, t[i].end - t[i].begin, what) == 0;
  }
  int line(size_t i) const {
    int n = 1;
    for (size_t k = 0; k < t[i].begin; k++) n += s[k] == '\n';
    return n;
  }
  // The token after the bracket that closes the one at i.
  size_t matching(size_t i) const {
    int depth = 0;
    for (; i < t.size(); i++) {
      if (is(i, "(") || is(i, "[") || is(i, "{")) depth++;
      if ((is(i, ")") || is(i, "]") || is(i, "}")) && --depth == 0) return i + 1;
    }
    return i;
  }

  void fail(size_t i, const std::string& what) {
    if (error.empty()) error = "line " + std::to_string(line(i)) + ": " + what;
  }

  void run() {
    for (size_t i = 0; i < t.size(); i++) {
      if (is(i, "__shared__")) fail(i, "shared memory outside of a kernel: declare it there and pass a pointer");
      if (is(i, "__global__")) i = read_kernel(i);
    }
  }

  size_t read_kernel(size_t i) {
    size_t first = i;
    bool generic = false;
    for (size_t k = i; k-- > 0 && !is(k, ";") && !is(k, "}") && !is(k, "{");) generic = generic || is(k, "template");
    kernel k;
    for (i++; i < t.size(); i++) {
      if (is(i, "__launch_bounds__")) {
        size_t end = matching(i + 1), comma = i + 2;
        while (comma < end - 1 && !is(comma, ",")) comma++;
        k.threads = s.substr(t[i + 2].begin, t[comma - 1].end - t[i + 2].begin);
        i = end - 1;
      } else if (i + 1 < t.size() && t[i].kind == token::word && is(i + 1, "(")) {
        break;
      } else if (is(i, ";") || is(i, "{")) {
        fail(first, "__global__ without a function");
        return i;
      }
    }
    if (i >= t.size()) {
      fail(first, "__global__ without a function");
      return i;
    }
    k.name = text(i);
    i = matching(i + 1);
    if (is(i, ";")) return i;  // declared only
    size_t end = matching(i);
    for (; i < end; i++) {
      if (is(i, "__shared__")) i = read_shared(i, &k);
    }
    if (!generic) kernels.push_back(k);
    return end - 1;
  }

  // __shared__ [__align__(n)] TYPE NAME[COUNT]...; becomes a reference to a place in the block's memory.
  size_t read_shared(size_t i, kernel* k) {
    size_t first = i;
    bool dynamic = i > 0 && is(i - 1, "extern");
    std::string type, name, dims;
    for (i++; i < t.size() && !is(i, ";"); i++) {
      if (is(i, "__align__") || is(i, "alignas")) {
        i = matching(i + 1) - 1;
      } else if (is(i, "extern")) {
        dynamic = true;
      } else if (is(i, "[")) {
        size_t end = matching(i);
        dims += s.substr(t[i].begin, t[end - 1].end - t[i].begin);
        i = end - 1;
      } else if (is(i, "=") || is(i, ",") || is(i, "{")) {
        fail(first, "one shared array per declaration, without a value");
        return i;
      } else {
        if (!name.empty()) type += name + " ";
        name = text(i);
      }
    }
    if (type.empty() || name.empty()) {
      fail(first, "a declaration of shared memory that is not understood");
      return i;
    }
    edit e{dynamic ? std::min(t[first].begin, t[first > 0 && is(first - 1, "extern") ? first - 1 : first].begin)
                   : t[first].begin,
           i < t.size() ? t[i].end : s.size(), ""};
    if (dynamic) {
      e.text = type + "* const " + name + " = (" + type + "*)__sim.dynamic;";
    } else {
      std::string alias = "sim_shared_" + name;
      e.text = "typedef " + type + alias + dims + "; " + alias + "& " + name + " = *(" + alias +
               "*)(__sim.shared + " + k->shared + ");";
      k->shared = "(" + k->shared + " + (sizeof(" + type + dims + ") + 15) / 16 * 16)";
    }
    edits.push_back(e);
    return i;
  }

  // The source for g++. Lines keep their numbers.
  std::string result(const std::string& name) const {
    std::string out = "#line 1 \"" + name + "\"\n";
    size_t at = 0;
    for (const edit& e : edits) {
      out += s.substr(at, e.begin - at) + e.text;
      for (size_t k = e.begin; k < e.end; k++) {
        if (s[k] == '\n') out += '\n';
      }
      at = e.end;
    }
    out += s.substr(at);
    out += "\n#line 1 \"table of kernels\"\nextern \"C\" { sim_state __sim; }\n";
    out += "static const sim_entry sim_entries[] = {\n";
    for (const kernel& k : kernels) out += "SIM_KERNEL(" + k.name + ", " + k.shared + ", " + k.threads + "),\n";
    out += "{0, 0, 0, 0, 0, 0}};\n";
    out += "extern \"C\" __attribute__((visibility(\"default\"))) const sim_image sim_image_table = {SIM_ABI, " +
           std::to_string(kernels.size()) + ", sim_entries, &__sim, SIM_CHECKED};\n";
    return out;
  }
};

std::string read_file(const std::string& path) {
  std::string out;
  if (FILE* f = fopen(path.c_str(), "rb")) {
    char b[1 << 14];
    for (size_t n; (n = fread(b, 1, sizeof b, f)) > 0;) out.append(b, n);
    fclose(f);
  }
  return out;
}

bool write_file(const std::string& path, const std::string& data) {
  FILE* f = fopen(path.c_str(), "wb");
  if (!f) return false;
  bool ok = fwrite(data.data(), 1, data.size(), f) == data.size();
  return fclose(f) == 0 && ok;
}

// Runs a program with its output in a file. Returns its exit status, or -1 with a message.
int run(const std::vector<std::string>& args, const std::string& log, std::string* message) {
  std::vector<char*> argv;
  for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  posix_spawnattr_t attr;
  posix_spawnattr_init(&attr);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attr, &none);
  posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
  pid_t pid;
  int err = posix_spawnp(&pid, argv[0], &files, &attr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attr);
  if (err) {
    *message = "cannot run " + args[0] + ": " + strerror(err) +
               "; install a C++ compiler (g++), or name one in GODCEM_SIM_CXX";
    return -1;
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) {
      *message = std::string("waiting for ") + args[0] + ": " + strerror(errno);
      return -1;
    }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

struct temporary {
  std::string path;
  temporary() {
    const char* t = getenv("TMPDIR");
    path = std::string(t && *t ? t : "/tmp") + "/godcem-sim-XXXXXX";
    if (!mkdtemp(&path[0])) path.clear();
  }
  ~temporary() {
    if (path.empty()) return;
    for (const char* f : {"/kernel.cc", "/kernel.o", "/kernel.so", "/log", "/shim.h", "/image.h"})
      unlink((path + f).c_str());
    rmdir(path.c_str());
  }
};

}  // namespace

bool sim_compile(const std::string& source, const std::string& name, const sim_compile_options& o, std::string* image,
                 std::string* log) {
  translator tr(source);
  tr.run();
  if (!tr.error.empty()) {
    *log = name + ": " + tr.error + "\n";
    return false;
  }
  temporary dir;
  if (dir.path.empty()) {
    *log = std::string("no folder for temporary files: ") + strerror(errno) + "\n";
    return false;
  }
  const std::string& d = dir.path;
  std::string quoted = name;
  for (char& c : quoted) {
    if (c == '"' || c == '\\' || c == '\n') c = '_';
  }
  if (!write_file(d + "/shim.h", sim_source_shim_h) || !write_file(d + "/image.h", sim_source_image_h) ||
      !write_file(d + "/kernel.cc", tr.result(quoted))) {
    *log = "cannot write to " + d + ": " + strerror(errno) + "\n";
    return false;
  }
  const char* cxx = getenv("GODCEM_SIM_CXX");
  if (!cxx || !*cxx) cxx = "g++";
  std::vector<std::string> args = {cxx,
                                   "-x",
                                   "c++",
                                   "-std=" + o.standard,
                                   "-c",
                                   "-O1",
                                   "-fPIC",
                                   "-fvisibility=hidden",
                                   "-nostdinc",
                                   "-nostdinc++",
                                   "-fno-exceptions",
                                   "-fno-rtti",
                                   "-fno-math-errno",
                                   "-fno-strict-aliasing",
                                   "-fno-stack-protector",
                                   "-fstack-clash-protection",
                                   "-fno-asynchronous-unwind-tables",
                                   "-fno-threadsafe-statics",
                                   "-fdiagnostics-color=never",
                                   "-w",
                                   "-ffile-prefix-map=" + d + "/=",
                                   "-fsanitize=alignment",
                                   "-fno-sanitize-recover=alignment",
                                   o.contract ? "-ffp-contract=fast" : "-ffp-contract=off",
                                   "-DSIM_ARCH=" + std::to_string(o.arch * 10),
                                   std::string("-DSIM_CHECKED=") + (o.checked ? "1" : "0")};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma")) args.push_back("-mfma");  // else fma() is a call
#endif
  if (o.checked) {
    for (const char* f : {"-fsanitize=thread", "-DSIM_CHECK=1", "--param=tsan-instrument-func-entry-exit=0",
                          "--param=tsan-distinguish-volatile=0"})
      args.push_back(f);
  }
  for (const std::string& def : o.defines) args.push_back(def);
  for (const std::string& a : {std::string("-include"), d + "/shim.h", "-o" + d + "/kernel.o", d + "/kernel.cc"})
    args.push_back(a);
  std::string message;
  int status = run(args, d + "/log", &message);
  if (status == 0) {
    // No libraries of the sanitizers: the image has its own hooks.
    status = run({cxx, "-shared", "-nostartfiles", "-Wl,-z,now,--build-id=none", "-o", d + "/kernel.so",
                  d + "/kernel.o", "-lm"},
                 d + "/log", &message);
  }
  *log = read_file(d + "/log");
  if (status != 0) {
    *log += message.empty() ? (log->empty() ? std::string(cxx) + " failed with status " + std::to_string(status) : "")
                            : message;
    return false;
  }
  std::string so = read_file(d + "/kernel.so");
  unsigned long long n = so.size();
  image->assign("SIMCUBIN");
  for (int i = 0; i < 8; i++) image->push_back((char)(n >> 8 * i));
  image->append(so);
  return true;
}
