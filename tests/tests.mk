# Tests and fuzzing; read by the Makefile.

TEST_SOURCES := $(filter-out tests/fuzz/%,$(wildcard tests/*/*_test.cpp tests/host/*/*_test.cpp))

# The one test that reads a header of the CUDA toolkit, after all other folders.
$B/simt/tests/kernels/curand_philox.cpp.o: BASE += -idirafter $(CUDA_HOME)/include \
    -idirafter $(CUDA_HOME)/include/cccl -DCURAND_PHILOX='"$(CUDA_HOME)/include/curand_philox4x32_x.h"'

# One test binary a folder: tests/data -> build/tests/data, tests/host/run -> build/tests/host_run.
TEST_FOLDERS := $(patsubst %/,%,$(sort $(dir $(TEST_SOURCES))))
TEST_BINARIES := $(foreach folder,$(TEST_FOLDERS),$B/tests/$(subst /,_,$(folder:tests/%=%)))
define TEST_RULE
$B/tests/$(subst /,_,$(1:tests/%=%)): $(call objects_of,$(wildcard $(1)/*.cpp),$B/simt) \
        $(patsubst %,$B/simt/%.o,tests/main.cpp $(if $(filter tests/host/%,$(1)),tests/kernels/backends.cpp)) $(2)
	@mkdir -p $$(@D)
	$$(CXX) $$(CXXFLAGS) -o $$@ $$^ -lgtest $$(LIBRARIES)
endef
TEST_LIBRARIES_data := $B/libdata.a
TEST_LIBRARIES_ptxas := $B/libdata.a
TEST_LIBRARIES_bench := $B/libdata.a
PLANTED_BUGS := $(wildcard tests/simt/planted/*.c*)
TEST_LIBRARIES_simt := $(PLANTED_BUGS:%=$B/simt/%.o) $B/libsimt.a
TEST_LIBRARIES_ptx := $B/libcuda_simt.a $B/libkernels.a
TEST_LIBRARIES_oracle := $B/libkernels.a
TEST_LIBRARIES_ladder := $(patsubst %,$B/simt/%.o,$(LADDER_SOURCES) bench/persistent_gate.cu \
    tests/kernels/backends.cpp) $B/libcuda_simt.a $B/libkernels.a
# The product that stands in for cuBLAS is a kernel too.
KERNELS_OF_TESTS := tests/kernels/cublas_stand_in.cu
TEST_LIBRARIES_kernels := $(KERNELS_OF_TESTS:%=$B/simt/%.o) $B/libcuda_simt.a $B/libkernels.a
TEST_LIBRARIES_counted := $(CHECKED_OBJECTS) \
    $(patsubst %,$B/bench/%_cases.cpp.o,linear convolution training map attack) \
    $B/bench/measure.cpp.o $B/bench/peak.cpp.o \
    $B/libhost.a $B/libdata.a $B/libkernels.a
test_libraries = $(or $(TEST_LIBRARIES_$(1)),$B/libhost.a $B/libdata.a $B/libcuda_simt.a $B/libkernels.a)
$(foreach folder,$(TEST_FOLDERS),$(eval $(call TEST_RULE,$(folder),$(call test_libraries,$(folder:tests/%=%)))))

# Kernels under the executor's eyes: checked memory accesses, and threads in other orders.
$B/tests/simt-checked: $(SIMT_SOURCES:%=$B/simt/%.o) $B/simt/tests/main.cpp.o \
        $(patsubst %,$B/simt-checked/%.o,$(filter-out %/planted_test.cpp,$(wildcard tests/simt/*.cpp)) $(PLANTED_BUGS)) \
        $B/simt/tests/simt/planted_test.cpp.o
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -o $@ $^ -lgtest $(LIBRARIES)
KERNEL_TESTS := $(call objects_of,$(wildcard tests/kernels/*.cpp),$B/simt) $B/simt/tests/main.cpp.o
$B/kernels-checked: $(CHECKED_OBJECTS) $(KERNELS_OF_TESTS:%=$B/simt-checked/%.o) $(KERNEL_TESTS) \
        $B/libkernels.a
	$(CXX) $(CXXFLAGS) -o $@ $^ -lgtest $(LIBRARIES)
$B/tests/kernels-checked: $B/kernels-checked
$B/tests/kernels-reverse: $B/tests/kernels
# Once with every access watched and threads shuffled, once reversed; that all orders give the same bits is shown by Determinism.*.
SCHEDULE_kernels-checked := random:1
SCHEDULE_kernels-reverse := reverse
$B/tests/kernels-checked $B/tests/kernels-reverse:
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nPATCHFORGE_SIMT_SCHEDULE=%s exec %s --gtest_filter="*/cuda*-*Determinism*" "$$@"\n' \
	    $(SCHEDULE_$(@F)) $< > $@
	@chmod +x $@
$B/tests/kernels-asan: $(patsubst %,$B/simt-asan/%.o,$(SIMT_SOURCES) $(CUDA_SOURCES) $(KERNELS_OF_TESTS)) \
        $(KERNEL_TESTS) $(CUDA_HOST_SOURCES:%=$B/simt/%.o) $B/libkernels.a
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -fsanitize=address -o $@ $^ -lgtest $(LIBRARIES)
TEST_BINARIES += $(addprefix $B/tests/,kills fuzz simt-checked kernels-checked kernels-reverse)

# The same tests with the shipped PTX in place of the kernels' text, for each architecture; tests/ptx reads and
# runs it, with whatever vectors this machine has.
PTX_ISA := $(shell grep -q -w avx2 /proc/cpuinfo 2> /dev/null && echo -mavx2 -mfma)
$B/simt/tests/ptx/%.cpp.o: BASE += -O3 -fno-strict-aliasing -fno-math-errno -fno-trapping-math $(PTX_ISA)
ON_PTX_FOLDERS := tests/ptx/shipped tests/kernels $(addprefix tests/host/,model train gan classifier)
$B/on-ptx: $(patsubst %,$B/simt/%.o,$(filter-out %_test.cpp,$(wildcard tests/ptx/*.cpp)) tests/main.cpp) \
        $(call objects_of,$(wildcard $(ON_PTX_FOLDERS:%=%/*.cpp)),$B/simt) \
        $(KERNELS_OF_TESTS:%=$B/simt/%.o) $B/libhost.a $B/libdata.a $B/libcuda_simt.a $B/libkernels.a
	$(CXX) $(CXXFLAGS) -o $@ $^ -lgtest $(LIBRARIES)
# All of it on the newest architecture; on others the operations, whose PTX differs in a few kernels.
ON_PTX_NEWEST := *cuda*:*Cuda*:*TensorCores*:PtxShipped*:*/PtxShipped*
ON_PTX_OTHERS := Every/*cuda*:Rounded/*cuda*:PtxShipped*:*/PtxShipped*-*Gan*:*Classifier*:*Network*:*Layers*
on_ptx_tests = $(if $(filter $(1),$(NEWEST_SM)),$(ON_PTX_NEWEST),$(ON_PTX_OTHERS))
define ON_PTX_RULE
$B/tests/on-ptx-sm_$(1): $B/on-ptx $(CUDA_SOURCES:%=$B/ptx/sm_$(1)/%.ptx)
	@mkdir -p $$(@D)
	@printf '#!/bin/sh\nPATCHFORGE_PTX=%s PATCHFORGE_PTX_ALL="%s" exec %s --gtest_filter="%s" "$$$$@"\n' \
	    $B/ptx/sm_$(1) '$(ON_PTX_NEWEST)' $$< '$(call on_ptx_tests,$(1))' > $$@
	@chmod +x $$@
endef
$(foreach sm,$(SM),$(eval $(call ON_PTX_RULE,$(sm))))
# Without nvcc there is no PTX, and the runner is told so.
$B/tests/on-ptx: tests/tests.mk
	@mkdir -p $(@D)
	@printf '#!/bin/sh\n%s\n%s\n' 'echo "skipped because nvcc is not here: the shipped PTX was not run"' \
	    'echo 0 0 1 > $${PATCHFORGE_TEST_SUMMARY:-/dev/null}' > $@
	@chmod +x $@
TEST_BINARIES += $(if $(HAVE_CUDA),$(SM:%=$B/tests/on-ptx-sm_%),$B/tests/on-ptx)

$B/tests/host_cli $B/tests/host_end_to_end: | $B/patchforge-cpu $B/patchforge-simt $B/patchforge-checked
# What build/patchforge-simt finds in NCCL's place when this folder is in LD_LIBRARY_PATH.
$B/tests/nccl/libnccl.so.2: tests/host/ranks/nccl_stand_in.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(SIMT_FLAGS) -fPIC -shared -o $@ $<
$B/tests/host_end_to_end: | $B/tests/nccl/libnccl.so.2

# Begun first, so that no core waits for them at the end.
LONGEST := $(addprefix $B/tests/,kernels-checked kernels-reverse kernels host_end_to_end counted host_gan on-ptx-sm_%)
test: install-packages ## build and run every test
	@$(MAKE) --no-print-directory test-binaries
	@JOBS=$(JOBS) tests/run.sh $(filter $(LONGEST),$(TEST_BINARIES)) $(filter-out $(LONGEST),$(TEST_BINARIES))
.PHONY: test-binaries
test-binaries: $(TEST_BINARIES) $B/patchforge-cpu $B/patchforge-simt

.PHONY: test-asan
test-asan: $B/tests/kernels-asan ## every CUDA kernel on the executor, under AddressSanitizer
	$< --gtest_filter='*/cuda*'

# The tests of kernels, networks and training with the kernels that nvcc compiled, as one file that needs
# nothing but a driver: every library but the system's own is linked in. Most tests are the objects of the
# executor's build: they see the contract in kernels/backend.h alone. The others read the toolkit's header.
GPU_TESTS := $(wildcard tests/kernels/*.cpp tests/host/model/*.cpp tests/host/network/*.cpp tests/host/train/*.cpp \
    tests/host/gan/*.cpp tests/host/classifier/*.cpp tests/host/plan/*.cpp)
GPU_ONLY := $(addprefix tests/kernels/,determinism_test.cpp cublas_test.cpp launch_test.cpp) $(wildcard tests/gpu/*.cpp tests/ladder/*.cpp)
GPU_TEST_OBJECTS := $(patsubst %,$B/simt/%.o,$(filter-out $(GPU_ONLY),$(GPU_TESTS))) $(GPU_ONLY:%=$B/gpu/%.o) \
    $(patsubst %,$B/nvcc/%.o,$(LADDER_SOURCES) bench/persistent_gate.cu)
$B/gpu/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) -isystem $(CUDA_HOME)/include -c $< -o $@
$B/test-gpu: $(GPU_TEST_OBJECTS) $B/libhost.a $B/libdata.a $B/libcuda.a $B/libkernels.a
	$(CXX) $(CXXFLAGS) -static-libstdc++ -static-libgcc -o $@ -Wl,--start-group $^ -Wl,--end-group \
	    -l:libgtest.a -l:libpng.a $(if $(JPEG),-l:libturbojpeg.a) $(if $(DEFLATE),-l:libdeflate.a) -l:libz.a -l:liblapacke.a -l:libopenblas.a -l:libgfortran.a \
	    -l:libquadmath.a $(CUDA_LINK) -pthread -lm
.PHONY: test-gpu sanitize-gpu build-test-gpu
build-test-gpu: $(if $(HAVE_CUDA),$B/test-gpu)
	@$(if $(HAVE_CUDA),:,echo "test-gpu: nvcc is not here; install the CUDA toolkit or copy build/test-gpu from elsewhere" && exit 1)
test-gpu: build-test-gpu $B/tests/ptx ## the same tests on a GPU: build/test-gpu runs wherever a driver is
	$B/tests/ptx --gtest_filter='PtxForms.*'
	$B/test-gpu
sanitize-gpu: build-test-gpu ## the tests of the CUDA backend under compute-sanitizer's four tools
	@sanitizer=$$(command -v compute-sanitizer || ls $(CUDA_HOME)/bin/compute-sanitizer 2> /dev/null) || { \
	    echo "sanitize-gpu: compute-sanitizer is neither in PATH nor in $(CUDA_HOME)/bin: nothing was checked;" \
	        "it comes with the CUDA toolkit (package cuda-sanitizer)"; exit 1; }; \
	[ -n "$(GPU)" ] || { echo "sanitize-gpu: nvidia-smi finds no GPU here: nothing was checked"; exit 1; }; \
	for tool in memcheck racecheck synccheck initcheck; do \
	    echo "== $$tool"; \
	    $$sanitizer --tool $$tool --error-exitcode 1 $B/test-gpu \
	        --gtest_filter='*/cuda*:Ladder*:PersistentGate*-*/Cublas*' || exit 1; \
	done

# Each tests/fuzz/<x>_fuzz.cpp is one program, built with sanitizers; the readers come from an archive, so that
# a program links what it names. INPUTS=1000000 SEED=7 change the run.
FUZZ_PROGRAMS := $(patsubst tests/fuzz/%.cpp,$B/fuzz/%,$(wildcard tests/fuzz/*_fuzz.cpp))
FUZZ_SOURCES := $(sort $(filter-out %_fuzz.cpp %_test.cpp,$(wildcard tests/fuzz/*.cpp)) tests/data/png_maker.cpp \
    $(BEHIND_READERS) $(READERS))
FUZZ_LIBRARIES := $B/libhost.a $B/libdata.a $B/libkernels.a $B/kernels/no_cuda/no_cuda.cpp.o
# Optimising what two sanitizers add takes GCC longer than the inputs of `make test` take.
FUZZ_FLAGS := -O0 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
# Containers pass between code with sanitizers and code without.
FUZZ_RUN := ASAN_OPTIONS=detect_container_overflow=0:allocator_may_return_null=1
$B/fuzz/%.o: %
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(FUZZ_FLAGS) -c $< -o $@
$B/fuzz/%.cpp.o: $B/fuzz/%.cpp
	$(CXX) $(BASE) $(FUZZ_FLAGS) -c $< -o $@
$B/fuzz/libreaders.a: $(call objects_of,$(FUZZ_SOURCES),$B/fuzz)
$(FUZZ_PROGRAMS): $B/fuzz/%: $B/fuzz/tests/fuzz/%.cpp.o $B/fuzz/libreaders.a $(FUZZ_LIBRARIES)
	$(CXX) $(CXXFLAGS) $(FUZZ_FLAGS) -o $@ -Wl,--start-group $^ -Wl,--end-group $(LIBRARIES)
$B/fuzz-test: $(patsubst %,$B/fuzz/%.o,tests/fuzz/fuzz_test.cpp tests/main.cpp) $B/fuzz/libreaders.a $(FUZZ_LIBRARIES)
	$(CXX) $(CXXFLAGS) $(FUZZ_FLAGS) -o $@ -Wl,--start-group $^ -Wl,--end-group -lgtest $(LIBRARIES)
$B/tests/fuzz: $B/fuzz-test
	@mkdir -p $(@D)
	@printf '#!/bin/sh\n%s exec %s "$$@"\n' $(FUZZ_RUN) $< > $@
	@chmod +x $@
INPUTS ?= 100000
SEED ?= 1
.PHONY: fuzz
fuzz: $(FUZZ_PROGRAMS) ## fuzz the file readers under sanitizers (INPUTS=100000 each, SEED=1)
	@set -e; for program in $^; do $(FUZZ_RUN) $$program $(INPUTS) $(SEED); done

# The same inputs once more, without sanitizers and with counters: how much of each reader they reach.
COVERED_PROGRAMS := $(FUZZ_PROGRAMS:$B/fuzz/%=$B/covered/%)
$(patsubst %,$B/covered/%.o,$(READERS)): COVERED := --coverage
$B/covered/%.o: %
	@mkdir -p $(@D)
	$(CXX) $(BASE) -O0 $(COVERED) -c $< -o $@
$(COVERED_PROGRAMS): $B/covered/%: $B/covered/tests/fuzz/%.cpp.o $(FUZZ_SOURCES:%=$B/covered/%.o) $(FUZZ_LIBRARIES)
	$(CXX) $(CXXFLAGS) --coverage -o $@ -Wl,--start-group $^ -Wl,--end-group $(LIBRARIES)
.PHONY: fuzz-coverage
fuzz-coverage: $(COVERED_PROGRAMS) ## lines of each reader that the fuzzing reaches; fails below 90 % (INPUTS, SEED, MISSED=1)
	@rm -f $(READERS:%=$B/covered/%.gcda)
	@set -e; for program in $^; do $$program $(INPUTS) $(SEED) > /dev/null; done
	@python3 tests/fuzz/coverage.py $B/covered tests/fuzz/readers.txt 90 $(if $(MISSED),--missed)

# Verbs that write results, killed at random moments and called again: equal bytes (KILLS=300, SEED=1).
KILLS ?= 300
.PHONY: kills
kills: $B/patchforge-cpu ## kill verbs that write results at random moments and call them again: equal bytes (KILLS=300, SEED=1)
	@python3 tests/kills/kills.py $< --kills $(KILLS) --seed $(SEED)
# In `make test`: a kill a verb, of those whose calls take less than a second.
$B/tests/kills: tests/kills/kills.py $B/patchforge-cpu
	@mkdir -p $(@D)
	@printf '#!/bin/sh\n%s\nexec python3 %s %s --kills 7 --verbs "%s"\n' \
	    'command -v python3 > /dev/null || { echo "skipped because python3 is not here"; echo 0 0 1 > $$PATCHFORGE_TEST_SUMMARY; exit; }' \
	    $^ "train gan,train classifier,tissue,pack,generate,attack,classify" > $@
	@chmod +x $@
# Builds both programs itself. CONFIGS=cpu1,cpu2,simt and SETS="^gan-" choose; the option sets stand in tests/same_bytes.
CONFIGS ?= cpu1,cpu2,simt
.PHONY: same-bytes
same-bytes: ## compare tensors, tables and pictures with those of REV=<commit>, byte by byte
	@python3 tests/same_bytes/same_bytes.py "$(REV)" --configs "$(CONFIGS)" --sets "$(SETS)" --jobs $(JOBS)
