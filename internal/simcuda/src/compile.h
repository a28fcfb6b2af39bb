// From CUDA C to an image by g++. Part of the NVRTC look-alike, and called by the Go package directly.
#ifndef GODCEM_SIM_COMPILE_H
#define GODCEM_SIM_COMPILE_H

#include <string>
#include <vector>

struct sim_compile_options {
  int arch = 90;
  bool contract = true;  // products and sums into fma; --fmad=false switches it off
  std::string standard = "c++17";
  std::vector<std::string> defines;  // "-DX=1"
  bool checked = false;              // instrumented for the checking mode
};

// Returns whether it compiled; image or log is what came of it. name is what messages call the source.
bool sim_compile(const std::string& source, const std::string& name, const sim_compile_options& options,
                 std::string* image, std::string* log);

#endif
