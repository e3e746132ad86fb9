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
NEWEST_SM := $(lastword $(sort $(SM)))

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
TEST_SOURCES := $(wildcard tests/*/*_test.cpp tests/host/*/*_test.cpp)

# nvcc counts when it runs and its headers are there; `make NVCC=` builds for the CPU alone.
CUDA_VERSION := $(if $(NVCC),$(shell $(NVCC) --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p'))
HAVE_CUDA := $(and $(CUDA_VERSION),$(wildcard $(CUDA_HOME)/include/cuda_runtime.h))

HOST_OBJECTS := $(filter-out $B/host/cli/main.cpp.o,$(HOST_SOURCES:%=$B/%.o))

$B/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) -c $< -o $@

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

GENCODE := $(foreach sm,$(SM),-gencode=arch=compute_$(sm),code=sm_$(sm)) \
    -gencode=arch=compute_$(NEWEST_SM),code=compute_$(NEWEST_SM)
$B/nvcc/%.cu.o: %.cu
	@mkdir -p $(@D)
	$(NVCC) -std=c++20 -I. -O3 -lineinfo $(GENCODE) -Xptxas -v,-warn-spills -MD -MP -c $< -o $@ 2> $@.ptxas \
	    || { cat $@.ptxas; exit 1; }
$B/nvcc/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) -isystem $(CUDA_HOME)/include -c $< -o $@

$B/libdata.a: $(DATA_OBJECTS)
$B/libkernels.a: $(KERNEL_OBJECTS)
$B/libcuda_simt.a: $(SIMT_OBJECTS)
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
$B/patchforge-simt: $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $B/libcuda_simt.a $B/libkernels.a
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
TEST_LIBRARIES_simt := $B/libcuda_simt.a $B/libkernels.a
TEST_LIBRARIES_oracle := $B/libkernels.a
TEST_LIBRARIES_kernels := $B/libcuda_simt.a $B/libkernels.a
test_libraries = $(or $(TEST_LIBRARIES_$(1)),$B/libhost.a $B/libdata.a $B/libcuda_simt.a $B/libkernels.a)
$(foreach folder,$(TEST_FOLDERS),$(eval $(call TEST_RULE,$(folder),$(call test_libraries,$(folder:tests/%=%)))))

$B/tests/host_cli: | $B/patchforge

.PHONY: all banner help install-packages test format lint clean

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

test: install-packages ## build and run every test
	@$(MAKE) --no-print-directory test-binaries
	@tests/run.sh $(TEST_BINARIES)
.PHONY: test-binaries
test-binaries: $(TEST_BINARIES) $B/patchforge $B/patchforge-simt

OUR_FILES = $(shell git ls-files '*.cpp' '*.h' '*.cu')
format: ## lay out all sources as .clang-format says
	$(call install,clang-format)
	clang-format -i $(OUR_FILES)

# LINT="host/run/chart.cpp" checks single files.
LINT ?= $(shell git ls-files 'data/*.cpp' 'host/*.cpp' 'kernels/*.cpp')
lint: ## clang-tidy (warnings are errors) and the layout
	$(call install,$(LINT_PACKAGES))
	clang-format --dry-run --Werror $(OUR_FILES)
	printf '%s\n' $(LINT) | xargs -P $(JOBS) -n 1 clang-tidy --quiet --warnings-as-errors='*' -- \
	    -std=c++20 -I. -DPATCHFORGE_ISA=baseline

clean: ## remove what was built
	rm -rf $B

-include $(shell find $B -name '*.d' 2>/dev/null)
