// Races on device memory within one launch: two threads touch the same word, one of them writes,
// and nothing orders them. Threads of a block are ordered as they are for shared memory; threads of
// different blocks only by a grid barrier or by an atomic operation somewhere between the two
// accesses (which may or may not be the one that orders them: such pairs are given the benefit of
// the doubt).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace simt {

class BufferRaces {
  public:
    // An access as much as races need to know of it. One record serves all accesses of a thread
    // from the same instruction between two synchronisations.
    struct Record {
        const void* pc;
        std::uint32_t block, epoch, clock, synchronisations;
        std::uint16_t thread;
        std::uint8_t bytes; // of the word, a bit each
        bool operator==(const Record&) const = default;
    };
    // Of one word: its last write and its last reads by two threads, as places in the records.
    struct Word {
        std::uint32_t write = 0, reads[2] = {0, 0};
    };

    void launch_started();
    // A grid barrier, or an access that may carry news from one block to another.
    void synchronised() { ++synchronisations_; }
    std::uint32_t synchronisations() const { return synchronisations_; }

    std::uint32_t place_of(const Record& record);
    // Null for a place from an earlier launch.
    const Record* at(std::uint32_t place) const {
        return place < first_ ? nullptr : &records_[place - first_];
    }

  private:
    static constexpr std::size_t recent_size = 64;

    std::vector<Record> records_;
    std::uint32_t first_ = 1; // the place of records_[0]; places of earlier launches are smaller
    std::uint32_t synchronisations_ = 0;
    std::uint32_t recent_[recent_size] = {}; // by instruction
};

} // namespace simt
