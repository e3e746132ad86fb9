#include "tests/fuzz/data_targets.h"

#include "data/idx.h"
#include "data/packed_set.h"
#include "data/packed_set_format.h"
#include "data/packed_set_writer.h"
#include "data/png.h"
#include "data/read_bytes.h"
#include "tests/data/png_maker.h"

#include <cstring>
#include <memory>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

namespace patchforge {

namespace {

/// A file in memory that has a path, for readers that map files.
class MemoryFile {
  public:
    MemoryFile() : descriptor_(memfd_create("patchforge-fuzz", 0)) {
        if (descriptor_ < 0) {
            throw std::logic_error("memfd_create failed");
        }
    }
    ~MemoryFile() { ::close(descriptor_); }
    MemoryFile(const MemoryFile&) = delete;
    MemoryFile& operator=(const MemoryFile&) = delete;

    std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

    void fill(const FuzzBytes& bytes) const {
        if (::ftruncate(descriptor_, static_cast<off_t>(bytes.size())) != 0 ||
            ::pwrite(descriptor_, bytes.data(), bytes.size(), 0) !=
                static_cast<ssize_t>(bytes.size())) {
            throw std::logic_error("writing to memory failed");
        }
    }

  private:
    int descriptor_;
};

/// Something that depends on all values read, so that no read is optimised away.
void use(std::span<const std::uint8_t> bytes) {
    static volatile std::uint32_t sink;
    std::uint32_t sum = 0;
    for (const std::uint8_t byte : bytes) {
        sum += byte;
    }
    sink = sink + sum;
}

void mend_png(FuzzBytes& bytes) {
    for (std::size_t at = 8; at + 12 <= bytes.size();) {
        const std::size_t length =
            std::size_t{bytes[at]} << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
        if (length > bytes.size() - at - 12) {
            return;
        }
        const auto sum = static_cast<std::uint32_t>(crc32_z(0, &bytes[at + 4], length + 4));
        for (int b = 0; b < 4; ++b) {
            bytes[at + 8 + length + b] = static_cast<std::uint8_t>(sum >> (24 - 8 * b));
        }
        at += length + 12;
    }
}

FuzzTarget png_target() {
    FuzzTarget target;
    target.name = "png";
    for (const PngRecipe& recipe : all_recipes()) {
        target.corpus.push_back(make_png(recipe, recipe_samples(recipe)));
    }
    target.read = [turn = 0](const FuzzBytes& bytes) mutable {
        use(decode_png(bytes, ++turn % 2 ? 3 : 1, "fuzz").pixels);
    };
    target.mend = mend_png;
    return target;
}

FuzzTarget idx_target() {
    FuzzTarget target;
    target.name = "idx";
    FuzzBytes plain{0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 5, 0, 0, 0, 4};
    for (int i = 0; i < 120; ++i) {
        plain.push_back(static_cast<std::uint8_t>(i * i));
    }
    FuzzBytes packed(1024);
    z_stream stream{};
    deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
    stream.next_in = plain.data();
    stream.avail_in = static_cast<uInt>(plain.size());
    stream.next_out = packed.data();
    stream.avail_out = static_cast<uInt>(packed.size());
    deflate(&stream, Z_FINISH);
    packed.resize(stream.total_out);
    deflateEnd(&stream);
    target.corpus = {plain, packed, {0, 0, 8, 1, 0, 0, 0, 3, 7, 2, 1}};
    target.read = [](const FuzzBytes& bytes) { use(decode_idx(bytes, "fuzz").values); };
    return target;
}

/// Makes the checksums right of every section that lies inside the file, then that of the header.
void mend_packed_set(FuzzBytes& bytes) {
    using namespace packed_set_format;
    if (bytes.size() < sizeof(Header)) {
        return;
    }
    Header header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.file_bytes = bytes.size();
    for (SectionEntry& entry : header.sections) {
        if (entry.offset <= bytes.size() && entry.bytes <= bytes.size() - entry.offset) {
            entry.checksum =
                static_cast<std::uint32_t>(crc32_z(0, bytes.data() + entry.offset, entry.bytes));
        }
    }
    header.checksum = static_cast<std::uint32_t>(
        crc32_z(0, reinterpret_cast<const Bytef*>(&header), sizeof header - 4));
    std::memcpy(bytes.data(), &header, sizeof header);
}

FuzzBytes packed_set_file(int patches, int side) {
    char folder[] = "/tmp/patchforge-fuzz-XXXXXX";
    if (!mkdtemp(folder)) {
        throw std::logic_error("mkdtemp failed");
    }
    const std::string path = std::string(folder) + "/set.pfs";
    PackedSetWriter writer(path, 3, side, side);
    for (int i = 0; i < patches; ++i) {
        const std::string name = "patch " + std::to_string(i);
        writer.append(std::vector<std::uint8_t>(3 * side * side, static_cast<std::uint8_t>(i)),
                      {name, i % 2, i % 3, i, i});
    }
    writer.finish(std::vector<std::string>{"a", "b"}, std::vector<std::string>{"p", "q", "r"},
                  "fuzz");
    FuzzBytes bytes = read_bytes(path, 1 << 20);
    std::filesystem::remove_all(folder);
    return bytes;
}

FuzzTarget packed_set_target() {
    FuzzTarget target;
    target.name = "packed set";
    target.corpus = {packed_set_file(1, 1), packed_set_file(5, 3)};
    const auto file = std::make_shared<MemoryFile>();
    target.read = [file](const FuzzBytes& bytes) {
        file->fill(bytes);
        const PackedSet set = PackedSet::open(file->path());
        for (std::int64_t i = 0; i < set.count(); ++i) {
            use(set.patch(i));
            const std::string_view name = set.name(i);
            use({reinterpret_cast<const std::uint8_t*>(name.data()), name.size()});
            const int sum = set.x(i) + set.y(i);
            use({reinterpret_cast<const std::uint8_t*>(&sum), sizeof sum});
        }
        set.class_counts();
        set.verify();
    };
    target.mend = mend_packed_set;
    return target;
}

} // namespace

std::vector<FuzzTarget> data_fuzz_targets() {
    return {png_target(), idx_target(), packed_set_target()};
}

} // namespace patchforge
