// The head of what cuda/env.sh links programs against in the driver's place: it finds the driver's functions.
#include <dlfcn.h>

static int no_driver(void) { return 34; } // CUDA_ERROR_STUB_LIBRARY
static int not_found(void) { return 500; } // CUDA_ERROR_NOT_FOUND: the driver is too old for this function

static void find(const char *const *names, void **functions, unsigned long n) {
	void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_GLOBAL);
	for (unsigned long i = 0; i < n; i++) {
		void *at = driver ? dlsym(driver, names[i]) : 0;
		functions[i] = at ? at : (void *)(driver ? not_found : no_driver);
	}
}

