// Command ptxas compiles every kernel that the engine emits for the programs of this repository, and for the cases
// that all backends pass, with NVIDIA's own compiler for several devices, and writes what each needs: registers,
// spills, shared memory. It needs NVRTC (`make cuda`), not a GPU.
//
//	go run ./bench/ptxas [-arch 75,80,86,89,90] [-json out/ptxas.json]
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/godcem/godcem/bench/record"
	"github.com/godcem/godcem/internal/nvrtc"
)

func main() {
	archs := flag.String("arch", "75,80,86,89,90", "compute capabilities")
	path := flag.String("json", "out/ptxas.json", "file for the report")
	flag.Parse()
	if err := start(*archs, *path); err != nil {
		fmt.Fprintln(os.Stderr, "ptxas:", err)
		os.Exit(1)
	}
}

func start(list, path string) error {
	archs, err := parse(list)
	if err != nil {
		return err
	}
	lib, err := nvrtc.Open()
	if err != nil {
		return err
	}
	r := compileAll(lib, programs(), archs)
	r.print(os.Stdout)
	for _, b := range r.broken() {
		fmt.Println("beyond the limits:", b)
	}
	if err := record.Write(path, r); err != nil {
		return err
	}
	if n := len(r.broken()); n > 0 {
		return fmt.Errorf("%d kernels are beyond the limits", n)
	}
	return nil
}

func parse(list string) (archs []int, err error) {
	for _, w := range strings.Split(list, ",") {
		a, err := strconv.Atoi(w)
		if err != nil || sms[a] == 0 {
			return nil, fmt.Errorf("-arch %s: %q, want some of 75, 80, 86, 89, 90", list, w)
		}
		archs = append(archs, a)
	}
	return archs, nil
}
