# patchforge: `make help` lists the targets.
#
# Knobs: SM="80 90" architectures for nvcc (all: every one that is checked), JOBS=2, DATA=<folder> for `make run`, NVCC= to build without CUDA.

SHELL := bash
.DEFAULT_GOAL := all
JOBS ?= $(shell nproc)

CXX ?= g++
NVCC ?= $(firstword $(shell command -v nvcc) $(wildcard /usr/local/cuda/bin/nvcc))
CUDA_HOME := $(patsubst %/bin/nvcc,%,$(NVCC))
SM ?= 80 90
# A100, RTX 30 and 40, H100, B200, RTX 50. On what is missing the driver compiles the PTX, once.
ifeq ($(SM),all)
override SM := 80 86 89 90 100 120
endif
NEWEST_SM := $(shell printf '%s\n' $(SM) | sort -n | tail -1)

# Compile in parallel unless the caller says how.
ifeq ($(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(JOBS)
endif

B := build
WARNINGS := -Wall -Wextra -Werror
CXXFLAGS ?= -O2 -g1
# GCC collects its garbage when its heap has grown, and the precompiled headers alone are as large as what it grows to:
# without that, a test is compiled in 4.7 s instead of 5.9, in 16 MB more.
COLLECT_LATE := --param ggc-min-heapsize=524288
BASE := -std=c++20 -I. $(WARNINGS) $(CXXFLAGS) $(COLLECT_LATE) -MMD -MP -pthread -ffp-contract=off
LIBRARIES := -lpng -lz -lfmt -lopenblas -llapacke -pthread

# JPEG is read where TurboJPEG's header is; `make JPEG=` builds without.
JPEG ?= $(shell echo '\#include <turbojpeg.h>' | $(CXX) -E -x c++ - > /dev/null 2>&1 && echo yes)
ifneq ($(JPEG),)
LIBRARIES += -lturbojpeg
endif

# Common PNG files are read and written by libdeflate where its header is; `make DEFLATE=` builds without.
DEFLATE ?= $(shell echo '\#include <libdeflate.h>' | $(CXX) -E -x c++ - > /dev/null 2>&1 && echo yes)
ifneq ($(DEFLATE),)
LIBRARIES += -ldeflate
endif

# Several processes, by Open MPI, where its compiler is; `make MPI=` builds without.
MPI ?= $(shell command -v mpicc)
MPI_FLAGS := $(if $(MPI),$(shell $(MPI) --showme:compile 2> /dev/null))
ifneq ($(MPI_FLAGS),)
LIBRARIES += $(shell $(MPI) --showme:link)
endif

# NCCL is looked for when it is needed (kernels/cuda/nccl.h). Where its header is, here or in NCCL=<prefix>/include, the
# calls are compared with it.
NCCL ?=
NCCL_HEADER := $(firstword $(wildcard $(addsuffix /include/nccl.h,$(NCCL) $(CUDA_HOME) /usr)))
$B/nvcc/kernels/cuda/nccl.cpp.o: BASE += $(if $(NCCL_HEADER),-DPATCHFORGE_NCCL_HEADER='"$(NCCL_HEADER)"')

DATA_SOURCES := $(wildcard data/*.cpp)
KERNEL_SOURCES := $(wildcard kernels/*.cpp kernels/cpu/*.cpp)
# These are compiled once for each instruction set; kernels/cpu/dispatch.cpp picks one at run time.
VECTOR_SOURCES := $(wildcard kernels/cpu/vector/*.cpp)
CUDA_SOURCES := $(wildcard kernels/cuda/*.cu)
CUDA_HOST_SOURCES := $(wildcard kernels/cuda/*.cpp)
SIMT_SOURCES := $(wildcard tests/simt/runtime/*.cpp)
HOST_SOURCES := $(wildcard host/*.cpp host/*/*.cpp host/*/*/*.cpp)
LADDER_SOURCES := $(wildcard bench/ladder/*.cu) bench/ladder/rungs.cpp

MUCH_BY_ORACLE := $(addprefix tests/host/,gan/gradient_penalty_test.cpp network/graph_test.cpp network/layers_test.cpp)
include host/together.mk
DATA_OBJECTS := $(call objects_of,$(DATA_SOURCES),$B)
KERNEL_OBJECTS := $(call objects_of,$(KERNEL_SOURCES),$B) \
    $(foreach isa,baseline avx2 avx512,$(VECTOR_SOURCES:%=$B/$(isa)/%.o))
SIMT_OBJECTS := $(CUDA_SOURCES:%=$B/simt/%.o) $(CUDA_HOST_SOURCES:%=$B/simt/%.o) $(SIMT_SOURCES:%=$B/simt/%.o)
CUDA_OBJECTS := $(CUDA_SOURCES:%=$B/nvcc/%.o) $(CUDA_HOST_SOURCES:%=$B/nvcc/%.o)

# nvcc counts when it runs and its headers are there; `make NVCC=` builds for the CPU alone.
CUDA_VERSION := $(if $(NVCC),$(shell $(NVCC) --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p'))
HAVE_CUDA := $(and $(CUDA_VERSION),$(wildcard $(CUDA_HOME)/include/cuda_runtime.h))

HOST_OBJECTS := $(call objects_of,$(filter-out host/cli/main.cpp,$(HOST_SOURCES)),$B)

$B/%.cpp.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(BASE) -c $< -o $@
%/data/jpeg.cpp.o %/tests/data/jpeg_test.cpp.o: BASE += $(if $(JPEG),-DPATCHFORGE_JPEG)
%/data/deflate.cpp.o %/data/crc.cpp.o: BASE += $(if $(DEFLATE),-DPATCHFORGE_DEFLATE)

$B/host/ranks/job.cpp.o: BASE += $(if $(MPI_FLAGS),-DPATCHFORGE_MPI $(MPI_FLAGS:-I%=-isystem %))

# Loops over pixels that are not worth three versions. Nobody reads the exception flags of floating-point
# numbers: without them, choices become selections.
$B/kernels/cpu/%.cpp.o: BASE += -O3 -fno-trapping-math
%/data/plain_png.cpp.o: BASE += -O3
# What is compiled with less effort, because the machine's time goes elsewhere: the command line (CLI11's
# templates take long to optimise: -O0 saves 40 %), the host's thin loops and the tests. The evaluation's
# loops over features and the operations stay at -O2.
$B/host/cli/%.cpp.o: BASE += -O0
THIN_ROOMS := attack classifier files gan model network options page privacy ranks run session study sweep train trial
$(THIN_ROOMS:%=$B/host/%/%.cpp.o): BASE += -O1
# Tests that work out much by the oracle's loops are compiled as those of the operations are: at -O0 the first takes 28 s.
TEST_EFFORT := -O1 -ftree-loop-vectorize
TESTS_OF_LOOPS := $(wildcard tests/kernels/*.cpp tests/oracle/*.cpp tests/simt/*_test.cpp) $(MUCH_BY_ORACLE)
THIN_TESTS := $(filter-out $(MUCH_BY_ORACLE),$(wildcard tests/data/*.cpp tests/host/*/*.cpp))
# Each alone, as the tests on a GPU take them, and together.
OBJECTS_OF_LOOPS := $(TESTS_OF_LOOPS:%=$B/simt/%.o) $(call objects_of,$(TESTS_OF_LOOPS),$B/simt)
THIN_TEST_OBJECTS := $(THIN_TESTS:%=$B/simt/%.o) $(call objects_of,$(THIN_TESTS),$B/simt)
$(THIN_TEST_OBJECTS): BASE += -O0
$(OBJECTS_OF_LOOPS): BASE += $(TEST_EFFORT)

ISA_baseline := -msse2
ISA_avx2 := -mavx2 -mfma
ISA_avx512 := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma -mprefer-vector-width=512
define VECTOR_RULE
$B/$(1)/%.cpp.o: %.cpp
	@mkdir -p $$(@D)
	$$(CXX) $$(BASE) -O3 -ffp-contract=fast $$(ISA_$(1)) -DPATCHFORGE_ISA=$(1) -c $$< -o $$@
endef
$(foreach isa,baseline avx2 avx512,$(eval $(call VECTOR_RULE,$(isa))))

# Loops of a dozen products take a fifth longer where they lie across one more line of 64 bytes than they need.
%/kernels/cpu/vector/window.cpp.o: BASE += -falign-loops=64

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
CHECKED_FLAGS := $(SIMT_FLAGS) -fno-tree-vectorize -fsanitize=thread,alignment
CHECKED_OBJECTS := $(SIMT_SOURCES:%=$B/simt/%.o) $(CUDA_SOURCES:%=$B/simt-checked/%.o) $(CUDA_HOST_SOURCES:%=$B/simt/%.o)
$B/simt-checked/tests/%.o: BASE += -O1
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
NVCC_FLAGS := -std=c++20 -I. -O3 -lineinfo $(GENCODE) -Xptxas -v,-warn-spills -MD -MP --keep
# What was compiled otherwise, for other architectures say, is compiled again.
$(shell mkdir -p $B; [ "$$(cat $B/nvcc_flags.txt 2>/dev/null)" = "$(NVCC_FLAGS)" ] || echo "$(NVCC_FLAGS)" > $B/nvcc_flags.txt)
# The PTX that ptxas was given stays beside the object: the tests run it, and nvcc need not make it twice.
$B/nvcc/%.cu.o: %.cu $B/nvcc_flags.txt
	@rm -rf $@.kept && mkdir -p $@.kept
	$(NVCC) $(NVCC_FLAGS) --keep-dir $@.kept -c $< -o $@ 2> $@.ptxas || { cat $@.ptxas; exit 1; }
	@find $@.kept -type f ! -name '*.ptx' -delete
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
# Linked again when it shall hold CUDA kernels and does not, or the other way round.
$(shell mkdir -p $B; [ -e $B/cuda.txt ] && [ "$$(cat $B/cuda.txt)" = "$(HAVE_CUDA)" ] || echo "$(HAVE_CUDA)" > $B/cuda.txt)
$B/patchforge: $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $(CUDA_LIBRARY) $B/libkernels.a $B/cuda.txt
	$(LINK) $(CUDA_LINK)
# Always without CUDA: what the tests run, so that they need not wait for nvcc.
$B/patchforge-cpu: $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $B/kernels/no_cuda/no_cuda.cpp.o $B/libkernels.a
	$(LINK)
# What stands in for NCCL calls the executor's streams (tests/host/ranks/nccl_stand_in.h).
$B/patchforge-simt: $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $B/libcuda_simt.a $B/libkernels.a
	$(LINK) -rdynamic
# The same with kernels that report every access: slow, and able to count bytes.
$B/patchforge-checked: $(CHECKED_OBJECTS) $B/host/cli/main.cpp.o $B/libhost.a $B/libdata.a $B/libkernels.a
	$(LINK)

.PHONY: all banner help option-tables install-packages run test format lint clean

all: banner $B/patchforge ## build the program (this is what plain `make` does)

GPU := $(shell nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | paste -sd, | sed 's/,/, /g')
banner:
	@echo "compiler       $$($(CXX) --version | head -1)"
	@echo "nvcc           $(if $(HAVE_CUDA),$(CUDA_VERSION) ($(NVCC)),none: the program runs on the CPU alone)"
	@echo "JPEG           $(if $(JPEG),read by TurboJPEG,not read: TurboJPEG (libturbojpeg0-dev) is not here)"
	@echo "PNG            $(if $(DEFLATE),by libdeflate,by zlib: libdeflate (libdeflate-dev) is not here)"
	@echo "MPI            $(if $(MPI_FLAGS),$$(mpirun --version | head -1),none: one process; libopenmpi-dev and openmpi-bin are not here)"
	@echo "NCCL           $(if $(HAVE_CUDA),for several ranks on GPUs: looked for at run time$(comma) calls $(if $(NCCL_HEADER),compared with $(NCCL_HEADER),not compared: nccl.h is not here),not asked for without CUDA)"
	@echo "GPU            $(or $(GPU),none here)"
	@echo "architectures  $(if $(HAVE_CUDA),$(SM:%=sm_%)$(comma) PTX compute_$(NEWEST_SM)$(comma) )x86-64 (AVX2 and AVX-512 chosen at run time)"
comma := ,

option-tables: $B/patchforge-cpu ## write docs/options.md, every verb with its options
	@$< help --markdown > $B/options.md
	@mv $B/options.md docs/options.md

help: ## list the targets
	@echo "make <target> [SM=\"80 90\"|all] [JOBS=2] [NVCC=]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

PACKAGES := g++ git libpng-dev libdeflate-dev libturbojpeg0-dev zlib1g-dev libfmt-dev nlohmann-json3-dev libcli11-dev \
    librandom123-dev libopenblas-dev liblapacke-dev libgtest-dev
# Not installed by themselves: with them the program is built for several processes (docs/scale.md).
OPTIONAL_PACKAGES := libopenmpi-dev openmpi-bin
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

install-packages: ## install what is missing from Debian's packages (root or sudo); OPTIONAL=yes: MPI too
	$(call install,$(PACKAGES) $(if $(OPTIONAL),$(OPTIONAL_PACKAGES)))

# DATA=<folder of real patches or .pfs> instead of the stand-in; NAME=<folder in runs/>. Both may hold any character:
# the shell takes them from its environment.
NAME ?= tour
export DATA NAME
STAND_IN := build/stand-in
# Without a GPU the kernels for it are left out, unless they were built: nvcc would take most of the time and serve nothing.
run: install-packages ## build, train a GAN and a classifier on DATA or the stand-in, attack: runs/$(NAME)
	@$(MAKE) --no-print-directory banner
	@$(MAKE) --no-print-directory $(if $(or $(GPU),$(wildcard $B/libcuda.a)),,NVCC=) $B/patchforge
	@[ -n "$$DATA" ] || [ -e $(STAND_IN).done ] || { rm -rf $(STAND_IN); \
	    $B/patchforge tissue $(STAND_IN) --patients 40 --patches 100 && touch $(STAND_IN).done; }
	@$B/patchforge tour --data "$${DATA:-$(STAND_IN)}" --out "runs/$$NAME"

# 468 patients of 593 patches are the 277,524 of the published set.
STAND_IN_WHOLE := build/stand-in-whole
.PHONY: seed
seed: install-packages $B/patchforge ## both published runs at full size on DATA or a stand-in of 277,524 patches: docs/measured/seed.md
	@[ -n "$$DATA" ] || [ -e $(STAND_IN_WHOLE).pfs ] || { rm -rf $(STAND_IN_WHOLE); \
	    $B/patchforge tissue $(STAND_IN_WHOLE) --patients 468 --patches 593 && \
	    $B/patchforge pack $(STAND_IN_WHOLE) --out $(STAND_IN_WHOLE).pfs && rm -rf $(STAND_IN_WHOLE); }
	@PROGRAM=$B/patchforge bench/sweep_page.sh seed "data=$${DATA:-$(STAND_IN_WHOLE).pfs}"

# RANKS=8 LINK=nvlink|ib|ethernet: what several processes would send. PLAN="--precision tf32 --json plan.json": further options.
BATCH ?= 64
plan: $B/patchforge-checked ## print the recorded GAN iteration of BATCH=64 patches, its bytes counted, beside its floor
	@$< plan --batch-size $(BATCH) $(if $(RANKS),--ranks $(RANKS) $(if $(LINK),--link $(LINK))) $(PLAN)
.PHONY: plan

OUR_FILES = $(shell git ls-files '*.cpp' '*.h' '*.cu')
format: ## lay out all sources as .clang-format says
	$(call install,clang-format)
	clang-format -i $(OUR_FILES)

# FILES="host/page/chart.cpp" checks those alone. Clang cannot read kernels/cpu/vector: it has no __builtin_shuffle.
FILES ?= $(filter-out kernels/cpu/vector/%,$(shell git ls-files 'data/*.cpp' 'host/*.cpp' 'kernels/*.cpp'))
lint: ## clang-tidy (warnings are errors) and the layout
	$(call install,$(LINT_PACKAGES))
	clang-format --dry-run --Werror $(OUR_FILES)
	printf '%s\n' $(FILES) | xargs -P $(JOBS) -I{} clang-tidy --quiet --warnings-as-errors='*' {} -- \
	    -std=c++20 -I. -DPATCHFORGE_ISA=baseline -DPATCHFORGE_SIMT -Itests/simt/include

clean: ## remove what was built
	rm -rf $B

include host/precompiled.mk host/cli/install.mk tests/tests.mk bench/bench.mk kernels/cuda/check.mk

# Not what stands in the builds of other revisions.
-include $(shell find $B -path $B/same-bytes -prune -o -name '*.d' -print 2>/dev/null)
