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
	$$(CXX) $$(BASE) -O3 $$(ISA_$(1)) -DPATCHFORGE_ISA=$(1) -c $$< -o $$@
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

# One test binary a folder: tests/data -> build/tests/data, tests/host/run -> build/tests/host_run.
TEST_FOLDERS := $(patsubst %/,%,$(sort $(dir $(wildcard tests/*/*_test.cpp tests/host/*/*_test.cpp))))
TEST_BINARIES := $(foreach folder,$(TEST_FOLDERS),$B/tests/$(subst /,_,$(folder:tests/%=%)))
define TEST_RULE
$B/tests/$(subst /,_,$(1:tests/%=%)): $(patsubst %,$B/simt/%.o,$(wildcard $(1)/*.cpp) tests/main.cpp) \
        $(2)
	@mkdir -p $$(@D)
	$$(CXX) $$(CXXFLAGS) -o $$@ $$^ -lgtest $$(LIBRARIES)
endef
TEST_LIBRARIES_data := $B/libdata.a
TEST_LIBRARIES_simt := $B/libcuda_simt.a $B/libkernels.a
TEST_LIBRARIES_kernels := $B/libcuda_simt.a $B/libkernels.a
test_libraries = $(or $(TEST_LIBRARIES_$(1)),$B/libhost.a $B/libdata.a $B/libcuda_simt.a $B/libkernels.a)
$(foreach folder,$(TEST_FOLDERS),$(eval $(call TEST_RULE,$(folder),$(call test_libraries,$(folder:tests/%=%)))))

-include $(shell find $B -name '*.d' 2>/dev/null)
