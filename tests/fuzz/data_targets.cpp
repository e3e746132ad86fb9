#include "tests/fuzz/data_targets.h"

#include "data/escape.h"
#include "data/idx.h"
#include "data/jpeg.h"
#include "data/labels_file.h"
#include "data/layout.h"
#include "data/npy.h"
#include "data/packed_set.h"
#include "data/packed_set_format.h"
#include "data/packed_set_writer.h"
#include "data/png.h"
#include "data/read_bytes.h"
#include "tests/data/png_maker.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
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

void use_text(std::string_view text) {
    use({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
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
    FuzzBytes large = target.corpus.front(); // 2^13 x 2^13
    large[18] = large[22] = 0x20;
    large[19] = large[23] = 0;
    mend_png(large);
    target.damaged = {large, FuzzBytes(large.begin(), large.begin() + 20)};
    target.read = [turn = 0](const FuzzBytes& bytes) mutable {
        accepted([&] { png_size(bytes, "fuzz"); });
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
        is_packed_set(file->path());
        const PackedSet set = PackedSet::open(file->path());
        for (std::int64_t i = 0; i < set.count(); ++i) {
            use(set.patch(i));
            const std::string_view name = set.name(i);
            use({reinterpret_cast<const std::uint8_t*>(name.data()), name.size()});
            const int sum = set.x(i) + set.y(i);
            use({reinterpret_cast<const std::uint8_t*>(&sum), sizeof sum});
        }
        set.class_counts();
        set.file_bytes();
        for (const std::vector<std::string>& names :
             {std::vector<std::string>{"b", "a", "c"}, std::vector<std::string>{"a"}}) {
            accepted([&] { set.with_classes(names).class_counts(); });
        }
        accepted([&] { set.patch(set.count()); });
        set.verify();
    };
    target.mend = mend_packed_set;
    return target;
}

FuzzTarget npy_target() {
    FuzzTarget target;
    target.name = "npy";
    const auto file_with = [](const std::string& type, const std::string& shape, std::size_t size,
                              const char* by_columns = "False") {
        const std::string header = "{'descr': '" + type + "', 'fortran_order': " + by_columns +
                                   ", 'shape': " + shape + ", }\n";
        std::string file("\x93NUMPY\x01\x00", 8);
        file += static_cast<char>(header.size());
        file += '\0';
        file += header;
        return fuzz_bytes(file + std::string(size, '\1'));
    };
    const auto add = [&](const std::string& type, const std::string& shape, std::size_t size) {
        target.corpus.push_back(file_with(type, shape, size));
    };
    add("|u1", "(4, 5)", 20);
    add("|u1", "(4, 5, 3)", 60);
    add("<f4", "(2, 3)", 24); // of bytes 1: a number near 0
    add(">f2", "(2, 3)", 12);
    target.corpus.push_back(file_with("|u1", "(4, 5)", 20, "True"));
    for (const char* type : {"|i1", "<i2", ">i2", "<i4", "<u2", ">u4"}) { // 1, 257, ...
        add(type, "(3,)", static_cast<std::size_t>(3 * (type[2] - '0')));
    }
    target.damaged = {
        file_with("<i8", "(3,)", 24), // numbers that are no class
        file_with("<u8", "(3,)", 24),          file_with("<f8", "(3,)", 24),
        file_with("<U1", "(3,)", 12),          file_with("|u1", "(0,)", 0),
        file_with("|u1", "(2, 4, 5, 3)", 120), file_with("|u1", "(99999999, 99999999)", 10)};
    add("|b1", "(1, 2, 2)", 4);
    target.read = [](const FuzzBytes& bytes) {
        if (read_npy_header(bytes, "fuzz").sizes.size() == 1) {
            NpyArray(bytes, "fuzz").whole_numbers();
            return;
        }
        npy_picture_size(bytes, "fuzz");
        use(decode_npy_picture(bytes, 1, "fuzz").pixels);
        use(decode_npy_picture(bytes, 3, "fuzz").pixels);
    };
    add("|u1", "(3,)", 3);
    return target;
}

/// A small grey baseline JPEG, and the same with another segment ahead of its size.
FuzzTarget jpeg_target() {
    FuzzTarget target;
    target.name = "jpeg";
    FuzzBytes file{0xff, 0xd8, 0xff, 0xdb, 0, 67, 0};
    file.insert(file.end(), 64, 1);
    const auto add = [&](const FuzzBytes& bytes) {
        file.insert(file.end(), bytes.begin(), bytes.end());
    };
    add({0xff, 0xc0, 0, 11, 8, 0, 8, 0, 16, 1, 1, 0x11, 0});
    for (const std::uint8_t table : {0x00, 0x10}) { // one code of one bit, for 0
        add({0xff, 0xc4, 0, 20, table, 1});
        file.insert(file.end(), 16, 0);
    }
    add({0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x0f, 0xff, 0xd9});
    FuzzBytes commented = file;
    const FuzzBytes comment{0xff, 0xfe, 0, 6, 't', 'e', 'x', 't'};
    commented.insert(commented.begin() + 2, comment.begin(), comment.end());
    target.corpus = {file, commented};
    target.read = [](const FuzzBytes& bytes) {
        find_jpeg_size(bytes, "fuzz");
        if (reads_jpeg()) {
            use(decode_jpeg(bytes, 3, "fuzz").pixels);
        }
    };
    return target;
}

FuzzTarget labels_target() {
    FuzzTarget target;
    target.name = "labels";
    target.takes_most = true;
    target.corpus = {fuzz_bytes("file,label,patient\na.png,cat,p\n\"b, \"\"c\"\".png\",dog,q\n"),
                     fuzz_bytes("x/1.png;3\ny/1.png;8\r\n"), fuzz_bytes("id\ttarget\n1\t2\n"),
                     fuzz_bytes("\xEF\xBB\xBFimage,class\n./1.png,10\n2.png,9\n2.png,9\n")};
    target.damaged = {fuzz_bytes("a.png,1\na.png,2\n"), fuzz_bytes("file,label\n")};
    const auto file = std::make_shared<MemoryFile>();
    target.read = [file](const FuzzBytes& bytes) {
        file->fill(bytes);
        LabelsFile table{std::filesystem::path(file->path())};
        std::vector<std::string> labels;
        for (const char* picture : {"x/1.png", "deep/er/a.png", "1.png", "other/1.png"}) {
            accepted([&] {
                if (const LabelsFile::Row* row = table.find(picture)) {
                    labels.push_back(row->label);
                }
            });
        }
        in_class_order(labels);
        table.unused();
    };
    return target;
}

/// Names of folders and files, one a line: how they lie is decided, whatever they are.
FuzzTarget layout_target() {
    FuzzTarget target;
    target.name = "layout";
    target.takes_most = true;
    target.corpus = {
        fuzz_bytes("8863/0/8863_idx5_x1_y51_class0.png\n8863/1/8863_idx5_x1_y1_class1.png"),
        fuzz_bytes("train/cat/1.png\ntest/cat/2.png\nval/dog/3.png\n4.png"),
        fuzz_bytes("mydata/0/1.png\nmydata/1/1.png\np1/a/1.png\np2/a/1.png\np2/b/1.png"),
        fuzz_bytes("cat/train/1.png\ncat/test/1.png\ndog/train/1.png"),
        fuzz_bytes("in/a/1.png\nin/b/1.png\nin/c/1.png\nin/d/1.png\nin/e/1.png\nin/f/1.png"),
        fuzz_bytes("0/1.png\n1/1.png\n2/1.png"),
        fuzz_bytes("8863/0/1.png\n8863/1/1.png\n8864/0/1.png\n8864/1/1.png\n8865/0/1.png")};
    target.read = [](const FuzzBytes& bytes) {
        std::vector<std::string> paths;
        std::string path;
        for (const std::uint8_t byte : bytes) {
            if (byte == '\n') {
                paths.push_back(std::move(path));
                path.clear();
            } else {
                path += static_cast<char>(byte);
            }
        }
        paths.push_back(path);
        use_text(layout_name(Layout::flat));
        std::sort(paths.begin(), paths.end());
        for (const std::optional<Layout> forced :
             {std::optional<Layout>(Layout::patients), std::optional<Layout>(Layout::flat),
              std::optional<Layout>()}) {
            const Arrangement arrangement = arrange("fuzz", paths, {}, forced);
            for (const std::string& one : paths) {
                for (const std::string_view part : arrangement.place(one).components) {
                    use({reinterpret_cast<const std::uint8_t*>(part.data()), part.size()});
                }
                terminal_text(one);
                csv_field(one);
            }
        }
    };
    return target;
}

} // namespace

std::vector<FuzzTarget> data_fuzz_targets() {
    return {png_target(),    jpeg_target(),   npy_target(),       idx_target(),
            labels_target(), layout_target(), packed_set_target()};
}

} // namespace patchforge
