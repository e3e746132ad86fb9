# What nvcc made of the kernels; read by the Makefile.

# The PTX of every kernel, for every architecture; needs no GPU. Of one architecture alone nvcc keeps it without its name.
define PTX_RULE
$B/ptx/sm_$(1)/%.cu.ptx: $B/nvcc/%.cu.o
	@mkdir -p $$(@D)
	@cp $$<.kept/$(if $(word 2,$(SM)),$$(*F).compute_$(1),$$(*F)).ptx $$@
endef
$(foreach sm,$(sort $(SM)),$(eval $(call PTX_RULE,$(sm))))
PTX := $(CUDA_SOURCES:%=$B/ptx/sm_$(NEWEST_SM)/%.ptx)

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
    $B/nvcc/kernels/cuda $B/ptx/sm_$(NEWEST_SM)/kernels/cuda $B/sass/kernels/cuda
check-ptxas: $(CUDA_SOURCES:%=$B/nvcc/%.o) $(PTX) ## compare registers, spills, shared memory and instructions of every kernel with the budget
	@$(call CHECK_PTXAS,check)
ptxas-budget: $(CUDA_SOURCES:%=$B/nvcc/%.o) $(PTX) ## write the budget that check-ptxas compares with
	@$(call CHECK_PTXAS,write)
check-ptxas-all: ## check-ptxas for A100, RTX 30 and 40, H100, B200 and RTX 50 (takes minutes)
ptxas-budget-all: ## write the budget of all of these
check-ptxas-all ptxas-budget-all: %-all:
	@$(MAKE) --no-print-directory $* SM=all B=$B/every-architecture
.PHONY: check-ptxas ptxas-budget check-ptxas-all ptxas-budget-all

instruction-mix: $(CUDA_SOURCES:%=$B/nvcc/%.o) sass ## write what the hot loops of the products consist of (docs/measured)
	@mkdir -p docs/measured
	@PATH="$(abspath $(dir $(CUOBJDUMP))):$$PATH"; \
	    python3 bench/instruction_mix.py --sass $B/sass/kernels/cuda --budget kernels/cuda/ptxas_budget.txt \
	    --tools "nvcc $(CUDA_VERSION), cuobjdump $$($(CUOBJDUMP) --version | sed -n 's/.*, V//p')" --commit $(COMMIT) \
	    --out docs/measured/instruction_mix.md
.PHONY: instruction-mix
