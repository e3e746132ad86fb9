// Memory that all ranks of a job read and write, where they are processes of one machine.
#pragma once

#include <cstddef>
#include <memory>

#include "host/ranks/ranks.h"

namespace patchforge {

class SharedMemory {
  public:
    // `bytes` zeros. Null where the ranks are on several machines or may not open each other's memory: all of
    // them have the same answer. Every rank calls it, for the same pieces in the same order. It has no name, and
    // is gone with the last process. Without ranks it is memory of this process.
    static std::unique_ptr<SharedMemory> make(Ranks* ranks, std::size_t bytes);
    ~SharedMemory();
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    std::byte* data() const;
    // Puts the pages from `first` on, which is a multiple of a page, in the place of those that `memory` has: whole
    // pages of mapped memory. They begin with what rank 0 has there. Every rank calls it.
    void replace(void* memory, std::size_t bytes, std::size_t first);
    // Returns when all ranks have called it. What they wrote before, all read afterwards. Throws what RankWait
    // throws.
    void meet();

    static std::size_t whole_pages(std::size_t bytes);

  private:
    struct Header;
    SharedMemory(Ranks* ranks, int file, std::byte* mapping, std::size_t bytes)
        : ranks_(ranks), file_(file), mapping_(mapping), bytes_(bytes) {}
    Header& header() const;

    Ranks* ranks_; // null: one process
    int file_;
    std::byte* mapping_; // the header's page, then data()
    std::size_t bytes_;  // of both
};

} // namespace patchforge
