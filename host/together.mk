# Sources of one room are compiled together, TOGETHER at most in one unit that includes them: most of a source's time goes
# to the headers and templates that it shares with its neighbours. `make TOGETHER=1` compiles each alone.

TOGETHER ?= 8
AFTER := $(shell echo $$(($(TOGETHER) + 1)))

# With flags of their own, or measured loops that are optimised as they stand.
ALONE := host/cli/main.cpp host/run/version.cpp host/ranks/job.cpp data/jpeg.cpp data/deflate.cpp data/crc.cpp \
    data/plain_png.cpp kernels/cpu/% tests/ptx/% tests/simt/% \
    tests/data/jpeg_test.cpp tests/kernels/backends.cpp tests/kernels/curand_philox.cpp $(MUCH_BY_ORACLE)

# Fuzzing compiles these anew, with sanitizers; what else stands behind the readers comes from the libraries as they are.
# No unit holds one of them and a source that is not: a program would get both.
READERS := $(shell sed '/^\#/d; s/ .*//' tests/fuzz/readers.txt)
BEHIND_READERS := $(addprefix data/,$(addsuffix .cpp,atomic_file crc deflate escape exif_orientation mapped_file part \
    picture read_bytes))
FUZZED := $(READERS) $(BEHIND_READERS)

number_sign := \#
define newline


endef
# $(call write,file,text) writes what the file does not say yet.
write = $(if $(subst x$(2),,x$(file < $(1))$(newline)),$(shell mkdir -p $(dir $(1)))$(file > $(1),$(2)))
# $(call unit,sources,folder of the objects,unit) is the object of one source, or that of the unit.
unit = $(if $(word 2,$(1)),$(call write,$(2)/$(3).cpp,$(foreach s,$(1),$(number_sign)include "$(s)"$(newline)))$(2)/$(3).cpp.o,$(1:%=$(2)/%.o))
# $(call units,sources,folder of the objects,unit,one word for each unit before)
units = $(if $(1),$(call unit,$(wordlist 1,$(TOGETHER),$(1)),$(2),$(3)_$(words $(4) 1)) \
    $(call units,$(wordlist $(AFTER),999,$(1)),$(2),$(3),$(4) 1))
in_room = $(foreach s,$(2),$(if $(filter $(1),$(dir $(s))),$(s)))
# $(call objects_of,sources of whole rooms,folder of the objects)
objects_of = $(patsubst %,$(2)/%.o,$(filter $(ALONE),$(1))) $(foreach room,$(sort $(dir $(1))), \
    $(call units,$(call in_room,$(room),$(filter-out $(ALONE) $(FUZZED),$(1))),$(2),$(room)together) \
    $(call units,$(call in_room,$(room),$(filter-out $(ALONE),$(filter $(FUZZED),$(1)))),$(2),$(room)readers))

$B/%.cpp.o: $B/%.cpp
	$(CXX) $(BASE) -c $< -o $@
$B/simt/%.cpp.o: $B/simt/%.cpp
	$(CXX) $(BASE) $(SIMT_FLAGS) -c $< -o $@
