// A checkpoint taken up again by way of its files, as a resumed run does it.
#pragma once

#include <cstddef>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/host/temporary_folder.h"

namespace patchforge::testing {

template <class Trainer>
void restore(Trainer& trainer, const std::map<std::string, std::vector<std::byte>>& checkpoint) {
    const TemporaryFolder folder;
    for (const auto& [name, bytes] : checkpoint) {
        std::ofstream(folder / name, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()),
                   static_cast<std::streamsize>(bytes.size()));
    }
    trainer.restore(folder.path());
}

} // namespace patchforge::testing
