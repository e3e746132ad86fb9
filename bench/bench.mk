# Benchmarks; their numbers go to docs/measured. Read by the Makefile.
BENCH_OBJECTS := $(patsubst %,$B/%.o,bench/measure.cpp bench/peak.cpp bench/workload.cpp)
.PRECIOUS: $B/bench/%.cpp.o
$B/bench/peak.cpp.o: BASE += -O3 -ffp-contract=fast
$B/bench/%: $B/bench/%.cpp.o $(BENCH_OBJECTS) $B/libhost.a $B/libdata.a $(CUDA_LIBRARY) $B/libkernels.a
	$(LINK) $(CUDA_LINK)
$B/bench/kernels: $(patsubst %,$B/bench/%_cases.cpp.o,linear convolution training map attack)

.PHONY: bench peers bench-peers bench-precision cross-check
BENCH_DEVICE ?= cpu
# A Python that has PyTorch, or any.
PEER_PYTHON ?= $(or $(shell for p in python3 /usr/bin/python3; do \
    $$p -c 'import torch' 2> /dev/null && echo $$p && break; done),python3)
bench: $B/bench/kernels $B/bench/iteration ## measure operations and whole iterations (BENCH_DEVICE=cpu|cuda)
	@mkdir -p docs/measured
	$B/bench/kernels --device $(BENCH_DEVICE) --out docs/measured/kernels_$(BENCH_DEVICE).md
	$B/bench/iteration --device $(BENCH_DEVICE) --out docs/measured/iteration_$(BENCH_DEVICE).md

# The newest PyTorch and JAX of PyPI in a virtual environment of their own; PEER_PYTHON=... takes another.
peers: $B/peers/bin/python ## install or bring up to date what benchmarks compare with, under build/
	$B/peers/bin/pip install --quiet --upgrade torch jax numpy
$B/peers/bin/python:
	python3 -m venv $B/peers
PEERS := $(if $(filter file,$(origin PEER_PYTHON)),peers)
PEER := $(if $(PEERS),$B/peers/bin/python,$(PEER_PYTHON))
BENCH_STEPS := $(patsubst %,$B/bench/%,iteration classifier_step attack_steps convolutions \
    translation_step)
# Of a comparison its name and that of its page.
compare = $(PEER) bench/peers/compare.py --bench $1 --device $(BENCH_DEVICE) --ours $B/bench \
    --out docs/measured/$2_$(BENCH_DEVICE).md

bench-peers: $(PEERS) $(BENCH_STEPS) ## whole iterations, steps and attacks beside PyTorch and JAX, in one run each
	@mkdir -p docs/measured
	$(call compare,gan,peers)
	$(call compare,gan-layers,gan_layers_peers)
	$(call compare,classifier,classifier_peers)
	$(call compare,attack,attack_peers)
	$(call compare,convolution,convolution_peers) --seconds 0.02
	$(call compare,translate,translate_peers)
	python3 bench/readme_speed.py

bench-verbs: $B/patchforge-cpu $B/bench/kernel_distance ## generate beside OpenCV's writer, kernel distance beside torch-fidelity
	@mkdir -p docs/measured
	$(PEER_PYTHON) bench/peers/verbs.py --program $B/patchforge-cpu --kernel-distance $B/bench/kernel_distance \
	    --out docs/measured/verbs_peers_cpu.md
.PHONY: bench-verbs

bench-robustness: $B/patchforge-cpu ## robust accuracy beside foolbox and torchattacks, on the same models and patches
	@mkdir -p docs/measured
	$(PEER_PYTHON) bench/peers/robustness.py --program $B/patchforge-cpu --out docs/measured/attack_robustness.md
.PHONY: bench-robustness

bench-memory: $B/bench/trace_memory ## memory of a pass through the named networks
	$B/bench/trace_memory --out docs/measured/trace_memory.md
.PHONY: bench-memory

bench-precision: $B/bench/precision $(RUN_PROGRAM) ## products against float64 and a GAN's losses, in every --precision
	@mkdir -p docs/measured
	@[ -e $(STAND_IN).done ] || { rm -rf $(STAND_IN); \
	    $(RUN_PROGRAM) tissue $(STAND_IN) --patients 40 --patches 100 && touch $(STAND_IN).done; }
	$B/bench/precision --data $(STAND_IN) --device $(BENCH_DEVICE) --out docs/measured/precision.md

bench-data: $B/patchforge ## reading patches: packing, and starting on a set of full size
	bench/data.sh
.PHONY: bench-data bench-ranks

bench-ranks: $(RUN_PROGRAM) ## two ranks of one thread beside one process of two threads, and what they send
	python3 bench/ranks.py --program $<

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
build-bench-gpu: $B/bench/kernels $(BENCH_STEPS) $B/cublas $B/persistent $B/ladder
bench-gpu: ## measure on a GPU: operations, iteration, cuBLAS, PyTorch, JAX, ladder; writes docs/measured
	@[ -n "$(GPU)" ] || { echo "bench-gpu: nvidia-smi finds no GPU here: nothing was measured; clone this" \
	    "repository on a machine with a GPU, its driver and nvcc, and run make bench-gpu there"; exit 1; }
	@[ -n "$(HAVE_CUDA)" ] || { echo "bench-gpu: nvcc is not here: nothing was measured; install the CUDA" \
	    "toolkit"; exit 1; }
	@$(MAKE) --no-print-directory build-bench-gpu
	@PEER_PYTHON=$(PEER_PYTHON) bench/gpu.sh $B
