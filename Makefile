# patchforge: `make help` lists the targets.
#
# Knobs: SM="80 90" architectures for nvcc, JOBS=2, DATA=<folder> for `make run`, NVCC= to build without CUDA.

SHELL := bash
.DEFAULT_GOAL := all
JOBS ?= $(shell nproc)

CXX ?= g++
NVCC ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc))
CUDA_HOME := $(patsubst %/bin/nvcc,%,$(NVCC))
SM ?= 80 90
NEWEST_SM := $(shell printf '%s\n' $(SM) | sort -n | tail -1)

# Compile in parallel unless the caller says how.
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(JOBS)
endif

B := build
WARNINGS := -Wall -Wextra -Werror
CXXFLAGS ?= -O2 -g1
BASE := -std=c++20 -I. $(WARNINGS) $(CXXFLAGS) -MMD -MP -pthread -ffp-contract=off
LIBRARIES := -lpng -lz -lfmt -lopenblas -llapacke -pthread

DATA_SOURCES := $(wildcard data/*.cpp)
KERNEL_SOURCES := $(wildcard kernels/*.cpp kernels/cpu/*.cpp)
# These are compiled once for each instruction set; kernels/cpu/dispatch.cpp picks one at run time.
VECTOR_SOURCES := $(wildcard kernels/cpu/vector/*.cpp)
CUDA_SOURCES := $(wildcard kernels/cuda/*.cu)
CUDA_HOST_SOURCES := $(wildcard kernels/cuda/*.cpp)
SIMT_SOURCES := $(wildcard tests/simt/runtime/*.cpp)
HOST_SOURCES := $(wildcard host/*.cpp host/*/*.cpp)

DATA_OBJECTS := $(DATA_SOURCES:%=$B/%.o)
KERNEL_OBJECTS := $(KERNEL_SOURCES:%=$B/%.o) \
    $(foreach isa,baseline avx2 avx512,$(VECTOR_SOURCES:%=$B/$(isa)/%.o))
SIMT_OBJECTS := $(CUDA_SOURCES:%=$B/simt/%.o) $(CUDA_HOST_SOURCES:%=$B/simt/%.o) $(SIMT_SOURCES:%=$B/simt/%.o)
CUDA_OBJECTS := $(CUDA_SOURCES:%=$B/nvcc/%.o) $(CUDA_HOST_SOURCES:%=$B/nvcc/%.o)
TEST_SOURCES := $(filter-out tests/fuzz/%,$(wildcard tests/*/*_test.cpp tests/host/*/*_test.cpp))

# nvcc counts when it runs and its headers are there; `make NVCC=` builds for the CPU alone.
CUDA_VERSION := $(if $(NVCC),$(shell $(NVCC) --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p'))
HAVE_CUDA := $(and $(CUDA_VERSION),$(wildcard $(CUDA_HOME)/include/cuda_runtime.h))

HOST_OBJECTS := $(filter-out $B/host/cli/main.cpp.o,$(HOST_SOURCES:%=$B/%.o))

$B/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) -c $< -o $@

# Loops over pixels that are not worth three versions. Nobody reads the exception flags of floating-point
# numbers: without them, choices become selections.
$B/kernels/cpu/%.cpp.o: BASE += -O3 -fno-trapping-math
# What is compiled with less effort, because the machine's time goes elsewhere: the command line (CLI11's
# templates take long to optimise: -O0 saves 40 %), the host's thin loops and the tests. The evaluation's
# loops over features and the operations stay at -O2.
$B/host/cli/%.cpp.o: BASE += -O0
$(foreach folder,attack files model run study train,$(eval $B/host/$(folder)/%.cpp.o: BASE += -O1))
$B/simt/tests/host/%.cpp.o $B/simt/tests/data/%.cpp.o: BASE += -O0
$B/simt/tests/kernels/%.cpp.o $B/simt/tests/oracle/%.cpp.o: BASE += -O1

ISA_baseline := -msse2
ISA_avx2 := -mavx2 -mfma
ISA_avx512 := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512
define VECTOR_RULE
$B/$(1)/%.cpp.o: %.cpp
	@mkdir -p $$(@D)
	$$(CXX) $$(BASE) -O3 -ffp-contract=fast $$(ISA_$(1)) -DPATCHFORGE_ISA=$(1) -c $$< -o $$@
endef
$(foreach isa,baseline avx2 avx512,$(eval $(call VECTOR_RULE,$(isa))))

# The CUDA sources, unmodified, as C++ for the executor in tests/simt.
SIMT_FLAGS := -DPATCHFORGE_SIMT -Itests/simt/include
$B/simt/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(SIMT_FLAGS) -x c++ -c $< -o $@
$B/simt/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(SIMT_FLAGS) -c $< -o $@

# The same with every access to memory reported to the executor (tests/simt/runtime/memory_hooks.cpp).
# The executor comes first among the objects, so that it keeps its own copies of inline functions: those must
# not report accesses.
CHECKED_FLAGS := $(SIMT_FLAGS) -g -fno-tree-vectorize -fsanitize=thread,alignment
CHECKED_OBJECTS := $(SIMT_SOURCES:%=$B/simt/%.o) $(CUDA_SOURCES:%=$B/simt-checked/%.o) $(CUDA_HOST_SOURCES:%=$B/simt/%.o)
$B/simt-checked/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(CHECKED_FLAGS) -x c++ -c $< -o $@
$B/simt-checked/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(CHECKED_FLAGS) -c $< -o $@

# The same under AddressSanitizer, which knows the guards around every buffer of the executor.
ASAN_FLAGS := $(SIMT_FLAGS) -g -fsanitize=address
$B/simt-asan/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(ASAN_FLAGS) -x c++ -c $< -o $@
$B/simt-asan/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(ASAN_FLAGS) -c $< -o $@

GENCODE := $(foreach sm,$(SM),-gencode=arch=compute_$(sm),code=sm_$(sm)) \
    -gencode=arch=compute_$(NEWEST_SM),code=compute_$(NEWEST_SM)
# What was compiled for other architectures is compiled again.
$(shell mkdir -p $B; [ "$$(cat $B/architectures.txt 2>/dev/null)" = "$(SM)" ] || echo "$(SM)" > $B/architectures.txt)
$B/nvcc/%.cu.o: %.cu $B/architectures.txt
	@mkdir -p $(@D)
	$(NVCC) -std=c++20 -I. -O3 -lineinfo $(GENCODE) -Xptxas -v,-warn-spills -MD -MP -c $< -o $@ 2> $@.ptxas \
	    || { cat $@.ptxas; exit 1; }
$B/nvcc/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) -isystem $(CUDA_HOME)/include -c $< -o $@

$B/libdata.a: $(DATA_OBJECTS)
$B/libkernels.a: $(KERNEL_OBJECTS)
$B/libcuda_simt.a: $(SIMT_OBJECTS)
$B/libsimt.a: $(SIMT_SOURCES:%=$B/simt/%.o)
$B/libcuda.a: $(CUDA_OBJECTS)
$B/libhost.a: $(HOST_OBJECTS)
$B/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	ar crs $@ $^

# The commit goes into one object, which is rebuilt only when the commit changes.
COMMIT := $(shell git describe --always --dirty=+ 2>/dev/null || echo unknown)
$(shell mkdir -p $B; [ "$$(cat $B/commit.txt 2>/dev/null)" = "$(COMMIT)" ] || echo "$(COMMIT)" > $B/commit.txt)
$B/host/run/version.cpp.o: $B/commit.txt
$B/host/run/version.cpp.o: BASE += -DPATCHFORGE_COMMIT='"$(COMMIT)"'

# The program; patchforge-simt holds the CUDA path on the executor, to test it without a GPU.
CUDA_LIBRARY := $(if $(HAVE_CUDA),$B/libcuda.a,$B/kernels/no_cuda/no_cuda.cpp.o)
CUDA_LINK := $(if $(HAVE_CUDA),-L$(CUDA_HOME)/lib64 -lcudart_static -ldl -lrt)
LINK = $(CXX) $(CXXFLAGS) -o $@ -Wl,--start-group $(filter %.o %.a,$^) -Wl,--end-group $(LIBRARIES)
$B/patchforge: $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $(CUDA_LIBRARY) $B/libkernels.a
	$(LINK) $(CUDA_LINK)
# Always without CUDA: what the tests run, so that they need not wait for nvcc.
$B/patchforge-cpu: $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $B/kernels/no_cuda/no_cuda.cpp.o $B/libkernels.a
	$(LINK)
$B/patchforge-simt: $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $B/libcuda_simt.a $B/libkernels.a
	$(LINK)
# The same with kernels that report every access: slow, and able to count bytes.
$B/patchforge-checked: $(CHECKED_OBJECTS) $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $B/libkernels.a
	$(LINK)

# The one test that reads a header of the CUDA toolkit, after all other folders.
$B/simt/tests/kernels/curand_philox.cpp.o: BASE += -idirafter $(CUDA_HOME)/include \
    -idirafter $(CUDA_HOME)/include/cccl -DCURAND_PHILOX='"$(CUDA_HOME)/include/curand_philox4x32_x.h"'

# One test binary a folder: tests/data -> build/tests/data, tests/host/run -> build/tests/host_run.
TEST_FOLDERS := $(patsubst %/,%,$(sort $(dir $(TEST_SOURCES))))
TEST_BINARIES := $(foreach folder,$(TEST_FOLDERS),$B/tests/$(subst /,_,$(folder:tests/%=%)))
define TEST_RULE
$B/tests/$(subst /,_,$(1:tests/%=%)): $(patsubst %,$B/simt/%.o,$(wildcard $(1)/*.cpp) tests/main.cpp \
        $(if $(filter tests/host/%,$(1)),tests/kernels/backends.cpp)) $(2)
	@mkdir -p $$(@D)
	$$(CXX) $$(CXXFLAGS) -o $$@ $$^ -lgtest $$(LIBRARIES)
endef
TEST_LIBRARIES_data := $B/libdata.a
TEST_LIBRARIES_ptxas := $B/libdata.a
PLANTED_BUGS := $(wildcard tests/simt/planted/*.c*)
TEST_LIBRARIES_simt := $(PLANTED_BUGS:%=$B/simt/%.o) $B/libsimt.a
TEST_LIBRARIES_oracle := $B/libkernels.a
LADDER_SOURCES := $(wildcard bench/ladder/*.cu) bench/ladder/rungs.cpp
TEST_LIBRARIES_ladder := $(patsubst %,$B/simt/%.o,$(LADDER_SOURCES) bench/persistent_gate.cu \
    tests/kernels/backends.cpp) $B/libcuda_simt.a $B/libkernels.a
TEST_LIBRARIES_kernels := $B/libcuda_simt.a $B/libkernels.a
TEST_LIBRARIES_counted := $(CHECKED_OBJECTS) \
    $(patsubst %,$B/bench/%.cpp.o,linear_cases training_cases attack_cases measure peak) \
    $B/libhost.a $B/libdata.a $B/libkernels.a
test_libraries = $(or $(TEST_LIBRARIES_$(1)),$B/libhost.a $B/libdata.a $B/libcuda_simt.a $B/libkernels.a)
$(foreach folder,$(TEST_FOLDERS),$(eval $(call TEST_RULE,$(folder),$(call test_libraries,$(folder:tests/%=%)))))

# Kernels under the executor's eyes: checked memory accesses, and threads in other orders.
$B/tests/simt-checked: $(SIMT_SOURCES:%=$B/simt/%.o) $B/simt/tests/main.cpp.o \
        $(patsubst %,$B/simt-checked/%.o,$(wildcard tests/simt/*.cpp) $(PLANTED_BUGS))
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -o $@ $^ -lgtest $(LIBRARIES)
# The product that stands in for cuBLAS is a kernel too, in a file of tests.
KERNELS_OF_TESTS := tests/kernels/cublas_test.cpp
KERNEL_TESTS := $(filter-out $(KERNELS_OF_TESTS),$(wildcard tests/kernels/*.cpp)) tests/main.cpp
$B/kernels-checked: $(CHECKED_OBJECTS) $(KERNELS_OF_TESTS:%=$B/simt-checked/%.o) $(KERNEL_TESTS:%=$B/simt/%.o) \
        $B/libkernels.a
	$(CXX) $(CXXFLAGS) -o $@ $^ -lgtest $(LIBRARIES)
$B/tests/kernels-checked: $B/kernels-checked
$B/tests/kernels-reverse $B/tests/kernels-random: $B/tests/kernels
SCHEDULE_kernels-checked := forward
SCHEDULE_kernels-reverse := reverse
SCHEDULE_kernels-random := random:1
$B/tests/kernels-checked $B/tests/kernels-reverse $B/tests/kernels-random:
	@mkdir -p $(@D)
	@printf '#!/bin/sh\nPATCHFORGE_SIMT_SCHEDULE=%s exec %s --gtest_filter="*/cuda*" "$$@"\n' \
	    $(SCHEDULE_$(@F)) $< > $@
	@chmod +x $@
$B/tests/kernels-asan: $(patsubst %,$B/simt-asan/%.o,$(SIMT_SOURCES) $(CUDA_SOURCES) $(KERNELS_OF_TESTS)) \
        $(patsubst %,$B/simt/%.o,$(KERNEL_TESTS) $(CUDA_HOST_SOURCES)) $B/libkernels.a
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -fsanitize=address -o $@ $^ -lgtest $(LIBRARIES)
TEST_BINARIES += $(addprefix $B/tests/,fuzz simt-checked kernels-checked kernels-reverse kernels-random)

$B/tests/host_cli $B/tests/host_end_to_end: | $B/patchforge-cpu $B/patchforge-simt $B/patchforge-checked

.PHONY: all banner help install-packages run test format lint clean

all: banner $B/patchforge ## build the program (this is what plain `make` does)

GPU := $(shell nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | paste -sd, | sed 's/,/, /g')
banner:
	@echo "compiler       $$($(CXX) --version | head -1)"
	@echo "nvcc           $(if $(HAVE_CUDA),$(CUDA_VERSION) ($(NVCC)),none: the program runs on the CPU alone)"
	@echo "GPU            $(or $(GPU),none here)"
	@echo "architectures  $(if $(HAVE_CUDA),$(SM:%=sm_%)$(comma) PTX compute_$(NEWEST_SM)$(comma) )x86-64 (AVX2 and AVX-512 chosen at run time)"
comma := ,

help: ## list the targets
	@echo "make <target> [SM=\"80 90\"] [JOBS=2] [NVCC=]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

PACKAGES := g++ git libpng-dev zlib1g-dev libfmt-dev nlohmann-json3-dev libcli11-dev \
    librandom123-dev libopenblas-dev liblapacke-dev libgtest-dev
LINT_PACKAGES := clang-format clang-tidy
# $(call install,packages): instant when nothing is missing.
define install
@command -v dpkg-query > /dev/null || { echo "not Debian: install these yourself: $(1)"; exit 0; }; \
    missing=$$(for p in $(1); do \
        dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok installed' || echo $$p; done); \
    [ -n "$$missing" ] || exit 0; \
    echo "installing from Debian's packages:" $$missing; \
    as_root=; [ $$(id -u) = 0 ] || as_root=sudo; \
    $$as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq \
        --no-install-recommends $$missing > /dev/null
endef

install-packages: ## install what is missing from Debian's packages (root or sudo)
	$(call install,$(PACKAGES))

# What nvcc says of every kernel, for every architecture; needs no GPU.
PTX := $(CUDA_SOURCES:%=$B/ptx/%.ptx)
$B/ptx/%.cu.ptx: %.cu $B/architectures.txt
	@mkdir -p $(@D)
	$(NVCC) -std=c++20 -I. -O3 -arch=compute_$(NEWEST_SM) -MD -MP -ptx $< -o $@ 2> $@.log || { cat $@.log; exit 1; }

# And what the machine code says. Where no cuobjdump is installed, the one from PyPI is put into $B.
DISASSEMBLER := $B/disassembler/nvidia/cu13/bin/cuobjdump
CUOBJDUMP ?= $(firstword $(shell command -v cuobjdump) $(wildcard $(CUDA_HOME)/bin/cuobjdump) $(DISASSEMBLER))
$(DISASSEMBLER):
	python3 -m pip install --quiet --retries 0 --timeout 15 --no-deps --upgrade --target $B/disassembler \
	    nvidia-cuda-cuobjdump==13.5.37 nvidia-cuda-nvdisasm==13.5.37
SASS := $(CUDA_SOURCES:%=$B/sass/%.sass)
# One instruction a line, after its address.
$B/sass/%.sass: $B/nvcc/%.o | $(CUOBJDUMP)
	@mkdir -p $(@D)
	@echo "$(notdir $(CUOBJDUMP)) -sass $<"
	@PATH="$(abspath $(dir $(CUOBJDUMP))):$$PATH" $(CUOBJDUMP) -sass $< > $@.full
	@sed -nE -e 's/^\s*(arch = |Function : )/\1/p' -e 's|^\s*/\*([0-9a-f]+)\*/\s+([^;]*[^; ]) *;.*|\1 \2|p' $@.full > $@
	@rm $@.full
.PHONY: sass
sass: $(SASS)

CHECK_PTXAS = $(MAKE) --no-print-directory sass || rm -rf $B/sass; \
    tests/check_ptxas.sh $(1) kernels/cuda/ptxas_budget.txt kernels/cuda/instruction_claims.txt \
    $B/nvcc/kernels/cuda $B/ptx/kernels/cuda $B/sass/kernels/cuda
check-ptxas: $(CUDA_SOURCES:%=$B/nvcc/%.o) $(PTX) ## compare registers, spills, shared memory and instructions of every kernel with the budget
	@$(call CHECK_PTXAS,check)
ptxas-budget: $(CUDA_SOURCES:%=$B/nvcc/%.o) $(PTX) ## write the budget that check-ptxas compares with
	@$(call CHECK_PTXAS,write)
check-ptxas-all: ## check-ptxas for A100, RTX 30 and 40, H100, B200 and RTX 50 (takes minutes)
ptxas-budget-all: ## write the budget of all of these
check-ptxas-all ptxas-budget-all: %-all:
	@$(MAKE) --no-print-directory $* SM="80 86 89 90 100 120" B=$B/every-architecture
.PHONY: check-ptxas ptxas-budget check-ptxas-all ptxas-budget-all

instruction-mix: $(CUDA_SOURCES:%=$B/nvcc/%.o) sass ## write what the hot loops of the products consist of (docs/measured)
	@mkdir -p docs/measured
	@PATH="$(abspath $(dir $(CUOBJDUMP))):$$PATH"; \
	    python3 bench/instruction_mix.py --sass $B/sass/kernels/cuda --budget kernels/cuda/ptxas_budget.txt \
	    --tools "nvcc $(CUDA_VERSION), cuobjdump $$($(CUOBJDUMP) --version | sed -n 's/.*, V//p')" --commit $(COMMIT) \
	    --out docs/measured/instruction_mix.md
.PHONY: instruction-mix

# DATA=<folder of real patches or .pfs> instead of the stand-in; NAME=<folder in runs/>.
NAME ?= tour
STAND_IN := build/stand-in
# Without a GPU the program without CUDA does it: nvcc would take most of the time and serve nothing.
RUN_PROGRAM := $(if $(GPU),$B/patchforge,$B/patchforge-cpu)
run: install-packages ## build, train a GAN and a classifier on DATA or the stand-in, attack: runs/$(NAME)
	@$(MAKE) --no-print-directory banner $(RUN_PROGRAM)
	@$(if $(DATA),,[ -e $(STAND_IN).done ] || { rm -rf $(STAND_IN); \
	    $(RUN_PROGRAM) tissue $(STAND_IN) --patients 40 --patches 100 && touch $(STAND_IN).done; })
	@$(RUN_PROGRAM) tour --data $(or $(DATA),$(STAND_IN)) --out runs/$(NAME)

# PLAN="--precision tf32 --json plan.json": further options.
BATCH ?= 64
plan: $B/patchforge-checked ## print the recorded GAN iteration of BATCH=64 patches, its bytes counted, beside its floor
	@$< plan --batch-size $(BATCH) $(PLAN)
.PHONY: plan

test: install-packages ## build and run every test
	@$(MAKE) --no-print-directory test-binaries
	@tests/run.sh $(TEST_BINARIES)
.PHONY: test-binaries
test-binaries: $(TEST_BINARIES) $B/patchforge-cpu $B/patchforge-simt

.PHONY: test-asan
test-asan: $B/tests/kernels-asan ## every CUDA kernel on the executor, under AddressSanitizer
	$< --gtest_filter='*/cuda*'

# The tests of kernels, networks and training with the kernels that nvcc compiled, as one file that needs
# nothing but a driver: every library but the system's own is linked in. Most tests are the objects of the
# executor's build: they see the contract in kernels/backend.h alone. The others read the toolkit's header.
GPU_TESTS := $(wildcard tests/kernels/*.cpp tests/host/model/*.cpp tests/host/train/*.cpp tests/host/plan/*.cpp)
GPU_ONLY := tests/kernels/determinism_test.cpp tests/kernels/cublas_test.cpp $(wildcard tests/gpu/*.cpp tests/ladder/*.cpp)
GPU_TEST_OBJECTS := $(patsubst %,$B/simt/%.o,$(filter-out $(GPU_ONLY),$(GPU_TESTS))) $(GPU_ONLY:%=$B/gpu/%.o) \
    $(patsubst %,$B/nvcc/%.o,$(LADDER_SOURCES) bench/persistent_gate.cu)
$B/gpu/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) -isystem $(CUDA_HOME)/include -c $< -o $@
$B/test-gpu: $(GPU_TEST_OBJECTS) $B/libhost.a $B/libdata.a $B/libcuda.a $B/libkernels.a
	$(CXX) $(CXXFLAGS) -static-libstdc++ -static-libgcc -o $@ -Wl,--start-group $^ -Wl,--end-group \
	    -l:libgtest.a -l:libpng.a -l:libz.a -l:liblapacke.a -l:libopenblas.a -l:libgfortran.a \
	    -l:libquadmath.a $(CUDA_LINK) -pthread -lm
.PHONY: test-gpu sanitize-gpu build-test-gpu
build-test-gpu: $(if $(HAVE_CUDA),$B/test-gpu)
	@$(if $(HAVE_CUDA),:,echo "test-gpu: nvcc is not here; install the CUDA toolkit or copy build/test-gpu from elsewhere" && exit 1)
test-gpu: build-test-gpu ## the same tests on a GPU: build/test-gpu runs wherever a driver is
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
FUZZ_SOURCES := $(filter-out %_fuzz.cpp %_test.cpp,$(wildcard tests/fuzz/*.cpp)) tests/data/png_maker.cpp $(DATA_SOURCES) \
    $(wildcard host/files/*.cpp)
FUZZ_FLAGS := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
$B/fuzz/%.o: %
	@mkdir -p $(@D)
	$(CXX) $(BASE) $(FUZZ_FLAGS) -c $< -o $@
$B/fuzz/libreaders.a: $(FUZZ_SOURCES:%=$B/fuzz/%.o)
$(FUZZ_PROGRAMS): $B/fuzz/%: $B/fuzz/tests/fuzz/%.cpp.o $B/fuzz/libreaders.a
	$(CXX) $(CXXFLAGS) $(FUZZ_FLAGS) -o $@ $^ $(LIBRARIES)
$B/tests/fuzz: $(patsubst %,$B/fuzz/%.o,tests/fuzz/fuzz_test.cpp tests/main.cpp) $B/fuzz/libreaders.a
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) $(FUZZ_FLAGS) -o $@ $^ -lgtest $(LIBRARIES)
INPUTS ?= 100000
SEED ?= 1
.PHONY: fuzz
fuzz: $(FUZZ_PROGRAMS) ## fuzz the file readers under sanitizers (INPUTS=100000 each, SEED=1)
	@set -e; for program in $^; do $$program $(INPUTS) $(SEED); done

OUR_FILES = $(shell git ls-files '*.cpp' '*.h' '*.cu')
format: ## lay out all sources as .clang-format says
	$(call install,clang-format)
	clang-format -i $(OUR_FILES)

# FILES="host/run/chart.cpp" checks those alone. Clang cannot read kernels/cpu/vector: it has no __builtin_shuffle.
FILES ?= $(filter-out kernels/cpu/vector/%,$(shell git ls-files 'data/*.cpp' 'host/*.cpp' 'kernels/*.cpp'))
lint: ## clang-tidy (warnings are errors) and the layout
	$(call install,$(LINT_PACKAGES))
	clang-format --dry-run --Werror $(OUR_FILES)
	printf '%s\n' $(FILES) | xargs -P $(JOBS) -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- \
	    -std=c++20 -I. -DPATCHFORGE_ISA=baseline -DPATCHFORGE_SIMT -Itests/simt/include

clean: ## remove what was built
	rm -rf $B

# Benchmarks; their numbers go to docs/measured.
BENCH_OBJECTS := $(patsubst %,$B/%.o,bench/measure.cpp bench/peak.cpp)
.PRECIOUS: $B/bench/%.cpp.o
$B/bench/peak.cpp.o: BASE += -O3 -ffp-contract=fast
$B/bench/%: $B/bench/%.cpp.o $(BENCH_OBJECTS) $B/libhost.a $B/libdata.a $(CUDA_LIBRARY) $B/libkernels.a
	$(LINK) $(CUDA_LINK)
$B/bench/kernels: $(patsubst %,$B/bench/%_cases.cpp.o,linear training attack)

.PHONY: bench bench-peers bench-attack bench-precision cross-check
BENCH_DEVICE ?= cpu
# A Python that has PyTorch, or any.
PEER_PYTHON ?= $(or $(shell for p in python3 /usr/bin/python3; do \
    $$p -c 'import torch' 2> /dev/null && echo $$p && break; done),python3)
bench: $B/bench/kernels $B/bench/iteration ## measure operations and whole iterations (BENCH_DEVICE=cpu|cuda)
	@mkdir -p docs/measured
	$B/bench/kernels --device $(BENCH_DEVICE) --out docs/measured/kernels_$(BENCH_DEVICE).md
	$B/bench/iteration --device $(BENCH_DEVICE) --out docs/measured/iteration_$(BENCH_DEVICE).md

bench-peers: $B/bench/iteration ## the same iteration in PyTorch and JAX, side by side in one run
	@mkdir -p docs/measured
	$(PEER_PYTHON) bench/peers/compare.py --device $(BENCH_DEVICE) --ours $B/bench/iteration \
	    --out docs/measured/peers_$(BENCH_DEVICE).md
	python3 bench/readme_speed.py

bench-attack: $B/bench/attack_steps ## attack steps and the same loop in PyTorch, side by side in one run
	@mkdir -p docs/measured
	$(PEER_PYTHON) bench/peers/compare.py --bench attack --device $(BENCH_DEVICE) --ours $B/bench/attack_steps \
	    --out docs/measured/attack_peers_$(BENCH_DEVICE).md

bench-precision: $B/bench/precision $(RUN_PROGRAM) ## products against float64 and a GAN's losses, in every --precision
	@mkdir -p docs/measured
	@[ -e $(STAND_IN).done ] || { rm -rf $(STAND_IN); \
	    $(RUN_PROGRAM) tissue $(STAND_IN) --patients 40 --patches 100 && touch $(STAND_IN).done; }
	$B/bench/precision --data $(STAND_IN) --device $(BENCH_DEVICE) --out docs/measured/precision.md

bench-data: $B/patchforge ## reading patches: packing, and starting on a set of full size
	bench/data.sh
.PHONY: bench-data

cross-check: $B/patchforge ## FGSM by PyTorch on the same weights and patches: the bytes compared (MODEL=run DATA=patches)
	$(PEER_PYTHON) tests/host/attack/cross_check_pytorch.py --program $B/patchforge --model $(MODEL) --data $(DATA)

# Programs with kernels of their own; without nvcc they are built for the executor and measure nothing.
KERNELS_OF_BENCH := $(if $(HAVE_CUDA),$B/nvcc,$B/simt)
BENCH_CUDA := $(if $(HAVE_CUDA),$B/libcuda.a,$B/libcuda_simt.a)
$B/ladder: $(patsubst %,$(KERNELS_OF_BENCH)/%.o,$(LADDER_SOURCES) bench/ladder/ladder.cpp)
$B/persistent: $(patsubst %,$(KERNELS_OF_BENCH)/%.o,bench/persistent.cpp bench/persistent_gate.cu)
$B/cublas: $(patsubst %,$(KERNELS_OF_BENCH)/%.o,bench/cublas.cpp bench/cublas_epilogue.cu)
$B/ladder $B/persistent $B/cublas: $(BENCH_OBJECTS) $B/libhost.a $B/libdata.a $(BENCH_CUDA) $B/libkernels.a
	$(LINK) $(CUDA_LINK)

.PHONY: ladder bench-gpu build-bench-gpu
ladder: $B/ladder ## the two hardest kernels from naive to shipped: predicted and measured (bench/ladder)
	@mkdir -p docs/measured
	@$B/ladder --out docs/measured/ladder.md

# Everything that is claimed of a GPU, measured in one go on the machine's first one.
build-bench-gpu: $B/bench/kernels $B/bench/iteration $B/bench/attack_steps $B/cublas $B/persistent $B/ladder
bench-gpu: ## measure on a GPU: operations, iteration, cuBLAS, PyTorch, JAX, ladder; writes docs/measured
	@[ -n "$(GPU)" ] || { echo "bench-gpu: nvidia-smi finds no GPU here: nothing was measured; clone this" \
	    "repository on a machine with a GPU, its driver and nvcc, and run make bench-gpu there"; exit 1; }
	@[ -n "$(HAVE_CUDA)" ] || { echo "bench-gpu: nvcc is not here: nothing was measured; install the CUDA" \
	    "toolkit"; exit 1; }
	@$(MAKE) --no-print-directory build-bench-gpu
	@PEER_PYTHON=$(PEER_PYTHON) bench/gpu.sh $B

-include $(shell find $B -name '*.d' 2>/dev/null)
