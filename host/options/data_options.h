// Which patches a verb reads, and how.
#pragma once

#include <string>

#include "data/pack.h"
#include "host/options/options.h"

namespace patchforge {

struct DataOptions {
    std::string data; // a folder of patches or a .pfs file
    PackOptions pack; // for a folder; its threads are those of the verb

    // What --part auto means to the verb.
    DataOptions& usually(Part part) { return pack.folder.usual_part = part, *this; }
};

inline const Choices<Part> part_choices = {{"auto", Part::usual},
                                           {"all", Part::all},
                                           {"train", Part::train},
                                           {"test", Part::test},
                                           {"validation", Part::validation}};

enum class DataNeed { required, optional };

void describe_data(Options& options, DataOptions& data, DataNeed need = DataNeed::required);
// Without `data` itself, for verbs that name the folder otherwise.
void describe_reading(Options& options, PackOptions& pack);

} // namespace patchforge
