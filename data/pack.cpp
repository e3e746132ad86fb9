#include "data/pack.h"

#include "data/atomic_file.h"
#include "data/idx.h"
#include "data/ordered_parallel.h"
#include "data/packed_set_writer.h"
#include "data/png.h"
#include "data/resample.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t chunk_bytes = std::int64_t{1} << 20;
constexpr std::size_t named_in_report = 5;

/// Decoding a picture larger than this takes memory that counts against the 256 MB that packing may
/// use, so only one thread does so at a time.
constexpr std::int64_t large_picture_pixels = std::int64_t{1} << 20;

void check(const PackOptions& options) {
    if (options.channels != 1 && options.channels != 3) {
        throw std::invalid_argument(
            fmt::format("--channels: {} is neither 1 (grey) nor 3 (RGB); choose one of them",
                        options.channels));
    }
    if ((options.width > 0) != (options.height > 0) || options.width < 0 || options.width > 4096 ||
        options.height < 0 || options.height > 4096) {
        throw std::invalid_argument(
            fmt::format("--size: {} x {} is no patch size; use 1 to 4096 for both", options.width,
                        options.height));
    }
    if (options.threads < 0 || options.threads > 1024) {
        throw std::invalid_argument(fmt::format(
            "--threads: {} is outside 0..1024; use 0 for one a processor", options.threads));
    }
}

/// Collects what is left out, in the order of the paths.
class Skipped {
  public:
    Skipped(PackReport& report, bool strict) : report_(report), strict_(strict) {}

    void add(const std::string& path, const std::string& reason) {
        if (strict_) {
            throw std::runtime_error(fmt::format(
                "{}: {}; mend or remove the file, or leave out --strict", path, reason));
        }
        add_ignored(path, reason);
    }

    /// For files that are no patches at all: never an error.
    void add_ignored(const std::string& path, const std::string& reason) {
        ++report_.reasons[reason];
        if (report_.first_named.size() < named_in_report) {
            report_.first_named.push_back(fmt::format("{}: {}", path, reason));
        }
        list_ += fmt::format("{}\t{}\n", reason, path);
    }

    void write_list(const fs::path& out) {
        const fs::path side_file = out.string() + ".skipped.txt";
        if (list_.empty()) {
            fs::remove(side_file);
            return;
        }
        write_file_atomically(side_file, list_);
        report_.side_file = side_file;
    }

  private:
    PackReport& report_;
    bool strict_;
    std::string list_;
};

std::string size_text(PngSize size) {
    return fmt::format("{}x{}", size.width, size.height);
}

/// What reading the header of one file gave: a size, or a reason why not.
struct Surveyed {
    PngSize size;
    std::string reason;
};

/// Runs through all headers. Reading them costs a tenth of decoding, and brings small files into
/// the page cache whole.
std::vector<Surveyed> survey(const PatchFolder& folder, int threads) {
    constexpr std::int64_t chunk = 256;
    const auto total = static_cast<std::int64_t>(folder.entries.size());
    std::vector<Surveyed> found(folder.entries.size());
    ordered_parallel(
        (total + chunk - 1) / chunk, threads, [] { return 0; },
        [&](std::int64_t c, int&) {
            for (std::int64_t i = c * chunk; i < std::min(total, (c + 1) * chunk); ++i) {
                try {
                    found[i].size = read_png_size(folder.root / folder.entries[i].path);
                } catch (const PngError& error) {
                    found[i].reason = error.reason();
                }
            }
        },
        [](std::int64_t, int&) {});
    return found;
}

PngSize most_common(const std::vector<Surveyed>& surveyed) {
    std::map<std::pair<int, int>, std::int64_t> counts; // of width and height
    for (const Surveyed& file : surveyed) {
        if (file.reason.empty()) {
            ++counts[{file.size.width, file.size.height}];
        }
    }
    PngSize best;
    std::tuple<std::int64_t, std::int64_t, int> best_rank{};
    for (const auto& [size, count] : counts) {
        const auto [width, height] = size;
        const std::tuple rank(count, std::int64_t{width} * height, width);
        if (rank > best_rank) {
            best_rank = rank;
            best = {width, height};
        }
    }
    return best;
}

/// The patch brought to the set's size.
Image decode(const fs::path& path, PngSize found, PngSize target, const PackOptions& options) {
    static std::mutex one_large_picture;
    std::unique_lock lock(one_large_picture, std::defer_lock);
    if (std::int64_t{found.width} * found.height > large_picture_pixels) {
        lock.lock();
    }
    Image image = read_png(path, options.channels);
    if (image.width == target.width && image.height == target.height) {
        return image;
    }
    return options.odd_size == OddSize::pad ? pad_to(image, target.width, target.height)
                                            : resize_to(image, target.width, target.height);
}

/// One run of neighbouring entries, decoded.
struct Chunk {
    std::vector<std::uint8_t> pixels;
    std::vector<std::string> reasons; // empty where decoded
};

void pack_pictures(const PatchFolder& folder, const fs::path& out, const PackOptions& options,
                   const Progress& progress, PackReport& report, Skipped& skipped) {
    const std::vector<Surveyed> surveyed = survey(folder, options.threads);
    const PngSize target =
        options.width > 0 ? PngSize{options.width, options.height} : most_common(surveyed);
    if (target.width == 0) {
        throw std::runtime_error(fmt::format(
            "{}: none of its {} PNG files can be read ({}: {}); give a folder of sound patches",
            folder.root.string(), surveyed.size(), folder.entries.front().path,
            surveyed.front().reason));
    }
    report.width = target.width;
    report.height = target.height;
    const std::int64_t patch_bytes = std::int64_t{options.channels} * target.width * target.height;
    const std::int64_t chunk = std::clamp<std::int64_t>(chunk_bytes / patch_bytes, 1, 256);
    const auto total = static_cast<std::int64_t>(folder.entries.size());
    PackedSetWriter writer(out, options.channels, target.height, target.width);

    const auto is_left_out = [&](std::int64_t i) {
        return !surveyed[i].reason.empty() ||
               (surveyed[i].size != target && options.odd_size == OddSize::skip);
    };
    const auto decode_chunk = [&](std::int64_t c, Chunk& work) {
        const std::int64_t first = c * chunk;
        const std::int64_t last = std::min(total, first + chunk);
        work.pixels.clear();
        work.reasons.assign(last - first, {});
        for (std::int64_t i = first; i < last; ++i) {
            if (is_left_out(i)) {
                continue;
            }
            try {
                const Image image =
                    decode(folder.root / folder.entries[i].path, surveyed[i].size, target, options);
                work.pixels.insert(work.pixels.end(), image.pixels.begin(), image.pixels.end());
            } catch (const PngError& error) {
                work.reasons[i - first] = error.reason();
            } catch (const std::runtime_error&) {
                work.reasons[i - first] = "cannot be read"; // gone or closed since the survey
            }
        }
    };
    const auto write_chunk = [&](std::int64_t c, Chunk& work) {
        const std::int64_t first = c * chunk;
        const std::int64_t last = std::min(total, first + chunk);
        std::span<const std::uint8_t> rest(work.pixels);
        for (std::int64_t i = first; i < last; ++i) {
            const PatchEntry& entry = folder.entries[i];
            const std::string& reason =
                surveyed[i].reason.empty() ? work.reasons[i - first] : surveyed[i].reason;
            const bool odd = reason.empty() && surveyed[i].size != target;
            report.odd += odd;
            if (!reason.empty()) {
                ++report.unreadable;
                skipped.add(entry.path, reason);
            } else if (odd && (options.odd_size == OddSize::skip || options.strict)) {
                skipped.add(entry.path, fmt::format("{} instead of {}", size_text(surveyed[i].size),
                                                    size_text(target)));
            } else {
                writer.append(rest.first(patch_bytes),
                              {entry.path, entry.label, entry.patient, entry.x, entry.y});
                rest = rest.subspan(patch_bytes);
            }
        }
        if (progress) {
            progress(last, total);
        }
    };
    ordered_parallel((total + chunk - 1) / chunk, options.threads, [] { return Chunk{}; },
                     decode_chunk, write_chunk);
    report.seen = total;
    report.packed = writer.count();
    writer.finish(folder.class_names, folder.patient_names, layout_name(folder.layout));
}

/// MNIST: one array of grey pictures after the other; names are <part>/<number>.
void pack_idx(const PatchFolder& folder, const fs::path& out, const PackOptions& options,
              const Progress& progress, PackReport& report) {
    std::unique_ptr<PackedSetWriter> writer;
    int classes = 0;
    for (const IdxPair& pair : folder.idx_pairs) {
        const IdxArray images = read_idx(pair.images);
        if (images.sizes.size() != 3) {
            throw std::runtime_error(fmt::format("{}: {} dimensions instead of 3; give an IDX file "
                                                 "of images",
                                                 pair.images.string(), images.sizes.size()));
        }
        const std::int64_t count = images.sizes[0];
        IdxArray labels;
        if (!pair.labels.empty()) {
            labels = read_idx(pair.labels);
            if (labels.sizes != std::vector<std::int64_t>{count}) {
                throw std::runtime_error(fmt::format("{}: does not hold the {} labels of {}; fetch "
                                                     "both files again",
                                                     pair.labels.string(), count,
                                                     pair.images.filename().string()));
            }
        }
        const PngSize size{static_cast<int>(images.sizes[2]), static_cast<int>(images.sizes[1])};
        if (count == 0 || size.width == 0 || size.height == 0) {
            throw std::runtime_error(
                fmt::format("{}: holds no pictures; fetch the file again", pair.images.string()));
        }
        if (!writer) {
            report.width = options.width > 0 ? options.width : size.width;
            report.height = options.width > 0 ? options.height : size.height;
            writer = std::make_unique<PackedSetWriter>(out, options.channels, report.height,
                                                       report.width);
        }
        const bool odd = size.width != report.width || size.height != report.height;
        if (odd && (options.odd_size == OddSize::skip || options.strict)) {
            throw std::runtime_error(
                fmt::format("{}: pictures of {} instead of {}x{}; use --odd-size pad or resize",
                            pair.images.string(), size_text(size), report.width, report.height));
        }
        Image image{size.width, size.height, 1, {}};
        const std::size_t plane = static_cast<std::size_t>(size.width) * size.height;
        std::vector<std::uint8_t> planes;
        for (std::int64_t i = 0; i < count; ++i) {
            const std::uint8_t* first = images.values.data() + i * plane;
            image.pixels.assign(first, first + plane);
            const Image& fitted = !odd ? image
                                  : options.odd_size == OddSize::pad
                                      ? pad_to(image, report.width, report.height)
                                      : resize_to(image, report.width, report.height);
            planes.clear();
            for (int c = 0; c < options.channels; ++c) {
                planes.insert(planes.end(), fitted.pixels.begin(), fitted.pixels.end());
            }
            const int label = labels.values.empty() ? -1 : labels.values[i];
            classes = std::max(classes, label + 1);
            const std::string name = fmt::format("{}/{:05}", pair.part, i);
            writer->append(planes, {.name = name, .label = label});
        }
        report.seen += count;
        report.odd += odd ? count : 0;
        if (progress) {
            progress(report.seen, report.seen);
        }
    }
    report.packed = writer->count();
    std::vector<std::string> class_names;
    class_names.reserve(classes);
    for (int c = 0; c < classes; ++c) {
        class_names.push_back(std::to_string(c));
    }
    writer->finish(class_names, {}, layout_name(folder.layout));
}

} // namespace

PackReport pack_folder(const fs::path& folder_path, const fs::path& out, const PackOptions& options,
                       const Progress& progress) {
    check(options);
    const PatchFolder folder = scan_patch_folder(folder_path, options.part);
    PackReport report;
    report.file = out;
    report.layout = folder.layout;
    report.channels = options.channels;
    Skipped skipped(report, options.strict);
    if (folder.layout == Layout::idx) {
        pack_idx(folder, out, options, progress, report);
    } else {
        pack_pictures(folder, out, options, progress, report, skipped);
    }
    for (const IgnoredFile& file : folder.ignored) {
        skipped.add_ignored(file.path, file.reason);
    }
    skipped.write_list(out);
    return report;
}

} // namespace patchforge
