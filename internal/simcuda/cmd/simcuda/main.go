// Simcuda builds the simulated CUDA driver and compiler, unless they are in the cache, and prints the folder that holds
// libcuda.so.1 and libnvrtc.so.12: for LD_LIBRARY_PATH.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/godcem/godcem/internal/simcuda"
)

func main() {
	asan := flag.Bool("asan", false, "with AddressSanitizer, for processes that have it")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "simcuda: argument %q, want none\n", flag.Arg(0))
		os.Exit(2)
	}
	dir, err := simcuda.Libraries(*asan)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(dir)
}
