#include "data/file_kind.h"

#include "data/read_bytes.h"

#include <algorithm>
#include <string_view>

namespace patchforge {

namespace {

using namespace std::string_view_literals;

struct Kind {
    std::string_view begins;
    const char* name;
};
constexpr Kind kinds[] = {
    {"\x89PFS\r\n\x1a\n"sv, "a packed set (.pfs)"},
    {"\x89PNG\r\n\x1a\n"sv, "a PNG picture"},
    {"\xff\xd8\xff"sv, "a JPEG picture"},
    {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file"},
    {"PK\x03\x04"sv, "a ZIP archive (as .npz and PyTorch's .pt are)"},
    {"\x93NUMPY"sv, "a NumPy array (.npy)"},
    {"\x1f\x8b"sv, "a gzip file"},
    {"BZh"sv, "a bzip2 file"},
    {"\xfd"
     "7zXZ"sv,
     "an xz file"},
    {"7z\xbc\xaf"sv, "a 7z archive"},
    {"Rar!"sv, "a RAR archive"},
    {"II*\0"sv, "a TIFF picture"},
    {"MM\0*"sv, "a TIFF picture"},
    {"II+\0"sv, "a TIFF picture"},
    {"BM"sv, "a BMP picture"},
    {"GIF8"sv, "a GIF picture"},
    {"RIFF"sv, "a RIFF file (as WebP is)"},
    {"%PDF"sv, "a PDF file"},
    {"PAR1"sv, "a Parquet file"},
    {"\x80\x02"sv, "a Python pickle (as old .pt files are)"},
    {"\x80\x04"sv, "a Python pickle"},
    {"\x7f"
     "ELF"sv,
     "a program"},
    {"\0\0\x08\x03"sv, "an IDX file"},
    {"\0\0\x08\x01"sv, "an IDX file"},
};

} // namespace

std::string file_kind(std::span<const std::uint8_t> head) {
    const std::string_view text(reinterpret_cast<const char*>(head.data()), head.size());
    if (text.empty()) {
        return "an empty file";
    }
    for (const Kind& kind : kinds) {
        if (text.starts_with(kind.begins)) {
            return kind.name;
        }
    }
    const std::string_view start = text.substr(0, 256);
    const bool is_text = std::all_of(start.begin(), start.end(), [](char letter) {
        return static_cast<unsigned char>(letter) >= 0x20 || letter == '\n' || letter == '\r' ||
               letter == '\t';
    });
    return is_text ? "text" : "a file of a kind not known here";
}

std::string file_kind(const std::filesystem::path& path) {
    std::vector<std::uint8_t> head;
    try {
        read_head(path, 256, head);
    } catch (const FileError&) {
        return "a file that cannot be read";
    }
    return file_kind(head);
}

} // namespace patchforge
