// What the checked build remembers of memory: for every word of shared memory the last accesses to
// it, for every byte of shared and device memory whether it was written (a bit each of the byte that
// its word has in `written`).
//
// Two accesses race when different threads make them, at least one writes, not both are atomic, and
// nothing orders them. What orders threads is kept as in FastTrack (Flanagan, Freund, PLDI 2009):
// __syncthreads starts an epoch for the whole block; within an epoch every thread has a clock, and
// a vector of the clocks of others that __syncwarp and named barriers have let it see.
#pragma once

#include "tests/simt/runtime/buffer_races.h"
#include "tests/simt/runtime/checker.h"

#include <map>
#include <vector>

namespace simt {

class Shadow : public Checker {
  public:
    void launch_started(const LaunchGeometry& geometry) override;
    void launch_ended() override {}
    void block_started(Block& block) override;
    void block_barrier(Block& block) override;
    void grid_barrier() override;
    void joined(const std::vector<Thread*>& threads) override;
    void access(Access kind, const void* pointer, std::size_t bytes, const void* pc) override;
    void allocated(const void* pointer, std::size_t bytes) override;
    void freed(const void* pointer) override;
    void written_by_host(const void* pointer, std::size_t bytes) override;
    void copied(const void* to, const void* from, std::size_t bytes) override;

  private:
    // 16 bytes, so that a word's four are one line of the cache.
    struct Past {
        std::uint32_t epoch = 0; // 0: empty
        std::uint32_t clock = 0;
        std::uint32_t pc = 0; // from the program's start
        std::uint16_t thread = 0;
        Access kind = Access::read;
        std::uint8_t bytes = 0; // of the word, a bit each
    };
    struct alignas(64) Word {
        Past past[4];
    };
    struct BlockShadow {
        const std::byte* shared = nullptr;
        std::vector<Word> words;
        std::vector<std::uint8_t> written;
        std::uint32_t index = 0; // of the block in its grid
        std::uint32_t epoch = 0;
        std::vector<std::uint32_t> clock; // of each thread
        std::vector<std::uint32_t> seen;  // [thread][other]: the clock of `other` it has seen
        bool joined = false;              // somebody has seen something
        bool joined_across_warps = false; // in this epoch
    };
    struct Buffer {
        const std::byte* start = nullptr;
        std::size_t bytes = 0;
        std::vector<std::uint8_t> written;
        std::vector<BufferRaces::Word> words;
    };

    void access_shared(BlockShadow& block, Access kind, std::size_t offset, std::size_t bytes,
                       const void* pc);
    void access_word(const BlockShadow& block, Word& word, const Past& now);
    static bool ordered(const BlockShadow& block, std::uint32_t epoch, std::uint32_t clock,
                        unsigned thread, unsigned now_thread);
    void access_buffer(Buffer& buffer, Access kind, std::size_t offset, std::size_t bytes,
                       const void* pc);
    void access_buffer_word(Buffer& buffer, std::size_t word, bool writes, const BlockShadow& block,
                            const BufferRaces::Record& now);
    Buffer* buffer_of(const std::byte* address);

    std::vector<BlockShadow> blocks_;
    std::map<const std::byte*, Buffer> buffers_;
    BufferRaces races_;
    Buffer* recent_[2] = {};
    std::size_t shared_bytes_ = 0;
};

} // namespace simt
