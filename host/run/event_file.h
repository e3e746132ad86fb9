// A TensorBoard event file: scalars and pictures over steps. Format: docs/formats.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "data/png.h"

namespace patchforge {

// One new file `events.out.tfevents.<seconds>.<host>.<process>.<n>` in `folder`, which must exist.
// TensorBoard reads all event files of a folder as one run, so a resumed run simply begins another, and says in it
// from which step on what earlier files hold is void.
// Failures of writing are std::runtime_error naming the file.
class EventFile {
  public:
    explicit EventFile(const std::filesystem::path& folder);
    ~EventFile(); // writes what is left; failures are lost here, so flush() last
    EventFile(const EventFile&) = delete;
    EventFile& operator=(const EventFile&) = delete;

    const std::filesystem::path& path() const { return path_; }

    // Call first in a run that is gone on with: what was told of `step` and later ones is told again.
    void start(std::int64_t step);

    // Tags like "loss/d": what stands before the slash groups charts.
    void scalar(std::string_view tag, std::int64_t step, double value);
    void image(std::string_view tag, std::int64_t step, const Image& image);
    void flush();

  private:
    void add(std::int64_t step, std::string_view value);

    std::filesystem::path path_;
    int descriptor_ = -1;
    std::string pending_;
};

// The pieces, for tests and readers.

// CRC-32C (Castagnoli: polynomial 0x1EDC6F41, reflected), as iSCSI uses it.
std::uint32_t crc32c(std::string_view bytes);

// u64 length, masked CRC of the length, `data`, masked CRC of `data`; little-endian.
std::string event_record(std::string_view data);

// Serialized Event messages.
std::string encode_version_event(double wall_time);
std::string encode_start_event(double wall_time, std::int64_t step);
std::string encode_scalar_event(double wall_time, std::int64_t step, std::string_view tag,
                                float value);

} // namespace patchforge
