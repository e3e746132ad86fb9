#include "data/deflate.h"

#include <new>

#ifdef PATCHFORGE_DEFLATE
#include <libdeflate.h>

#include <memory>
#else
#include <zlib.h>
#endif

namespace patchforge {

#ifdef PATCHFORGE_DEFLATE

namespace {

template <auto release>
struct Release {
    template <class Handle>
    void operator()(Handle* handle) const {
        release(handle);
    }
};

} // namespace

bool inflate_whole(std::span<const std::uint8_t> stream, std::span<std::uint8_t> bytes) {
    thread_local const std::unique_ptr<libdeflate_decompressor,
                                       Release<libdeflate_free_decompressor>>
        decompressor(libdeflate_alloc_decompressor());
    return decompressor &&
           libdeflate_zlib_decompress(decompressor.get(), stream.data(), stream.size(),
                                      bytes.data(), bytes.size(), nullptr) == LIBDEFLATE_SUCCESS;
}

std::vector<std::uint8_t> deflate_whole(std::span<const std::uint8_t> bytes) {
    thread_local const std::unique_ptr<libdeflate_compressor, Release<libdeflate_free_compressor>>
        compressor(libdeflate_alloc_compressor(1));
    if (!compressor) {
        throw std::bad_alloc();
    }
    std::vector<std::uint8_t> stream(
        libdeflate_zlib_compress_bound(compressor.get(), bytes.size()));
    stream.resize(libdeflate_zlib_compress(compressor.get(), bytes.data(), bytes.size(),
                                           stream.data(), stream.size()));
    return stream;
}

#else

bool inflate_whole(std::span<const std::uint8_t> stream, std::span<std::uint8_t> bytes) {
    uLongf size = bytes.size();
    uLong taken = stream.size();
    return uncompress2(bytes.data(), &size, stream.data(), &taken) == Z_OK && size == bytes.size();
}

std::vector<std::uint8_t> deflate_whole(std::span<const std::uint8_t> bytes) {
    uLongf size = compressBound(bytes.size());
    std::vector<std::uint8_t> stream(size);
    if (compress2(stream.data(), &size, bytes.data(), bytes.size(), Z_DEFAULT_COMPRESSION) !=
        Z_OK) {
        throw std::bad_alloc(); // there is room and the level is right
    }
    stream.resize(size);
    return stream;
}

#endif

} // namespace patchforge
