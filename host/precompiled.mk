# Headers of other libraries that most sources include, compiled once for each level of effort: half a second less a
# source. ccache cannot look into them, so that with it, as by `make PRECOMPILED=`, every source reads them anew.

PRECOMPILED ?= $(if $(findstring ccache,$(realpath $(shell command -v $(firstword $(CXX))))),,yes)
ifneq ($(PRECOMPILED),)
PRECOMPILED_FLAGS := $(filter-out -MMD -MP,$(BASE))
# GCC 12 no longer knows that libstdc++'s strings, precompiled, are the system's, and warns of what it inlines from them.
NOT_OF_STRINGS := -Wno-array-bounds -Wno-restrict -Wno-stringop-overflow -Wno-stringop-overread
# $(1): name, $(2): header, $(3): flags, as those of the objects $(4)
define PRECOMPILED_RULE
$B/precompiled/$(1).h: $(2)
	@mkdir -p $$(@D) && cp $$< $$@
$B/precompiled/$(1).h.gch: $B/precompiled/$(1).h host/precompiled.h
	$$(CXX) $(PRECOMPILED_FLAGS) $(3) -x c++-header $$< -o $$@
$(4): BASE += -include $B/precompiled/$(1).h $(NOT_OF_STRINGS)
$(4): | $B/precompiled/$(1).h.gch
endef
host_objects = $(filter $(addprefix $B/host/,$(addsuffix /%,$(1))),$(HOST_OBJECTS))
$(eval $(call PRECOMPILED_RULE,O0,host/precompiled.h,-O0,$(call host_objects,cli)))
$(eval $(call PRECOMPILED_RULE,O1,host/precompiled.h,-O1,$(call host_objects,$(THIN_ROOMS))))
$(eval $(call PRECOMPILED_RULE,O2,host/precompiled.h,,$(filter-out $(call host_objects,cli $(THIN_ROOMS)),$(HOST_OBJECTS)) $(DATA_OBJECTS)))
$(eval $(call PRECOMPILED_RULE,O3,host/precompiled.h,-O3 -fno-trapping-math,$(filter $B/kernels/cpu/%,$(KERNEL_OBJECTS))))
$(eval $(call PRECOMPILED_RULE,simt,host/precompiled.h,$(SIMT_FLAGS),$(SIMT_OBJECTS)))
$(eval $(call PRECOMPILED_RULE,checked,host/precompiled.h,$(CHECKED_FLAGS),$(CUDA_SOURCES:%=$B/simt-checked/%.o)))
$(eval $(call PRECOMPILED_RULE,tests-O0,tests/precompiled.h,-O0 $(SIMT_FLAGS),$(THIN_TEST_OBJECTS)))
$(eval $(call PRECOMPILED_RULE,tests-O1,tests/precompiled.h,$(TEST_EFFORT) $(SIMT_FLAGS),$(OBJECTS_OF_LOOPS)))
endif
