#include "data/pack.h"

#include "data/atomic_file.h"
#include "data/escape.h"
#include "data/ordered_parallel.h"
#include "data/packed_set.h"
#include "data/packed_set_writer.h"
#include "data/picture.h"
#include "data/resample.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
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
    if (options.channels != 0 && options.channels != 1 && options.channels != 3) {
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

constexpr const char* side_file_ending = ".skipped.txt";

/// Before any work: a packed set replaces nothing but a packed set.
void check_out(const fs::path& out) {
    const std::string name = out.string();
    const auto refuse = [&](const std::string& what) {
        throw std::invalid_argument(fmt::format("--out {}: {}", name, what));
    };
    if (out.filename().empty() || name == "-") {
        refuse("a packed set needs a file of its own; name one, such as set.pfs");
    }
    if (out.filename().string().size() + std::string(side_file_ending).size() > 255) {
        refuse(fmt::format("the name is too long for the file '{}' beside it; use at most {} bytes",
                           side_file_ending, 255 - std::string(side_file_ending).size()));
    }
    std::error_code error;
    const fs::file_status status = fs::status(out, error);
    if (fs::is_directory(status)) {
        refuse("is a folder; name a file, such as set.pfs");
    }
    if (fs::exists(status) && !fs::is_regular_file(status)) {
        refuse("is a pipe or a device, and a packed set is written in several places; name a file");
    }
    if (fs::exists(status) && fs::file_size(out, error) > 0 && !is_packed_set(out)) {
        refuse("holds something else than a packed set, which stays; name another file");
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
        list_ += fmt::format("{}\t{}\n", reason, terminal_text(path));
    }

    void write_list(const fs::path& out) {
        const fs::path side_file = out.string() + side_file_ending;
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

std::string size_text(PictureSize size) {
    return fmt::format("{}x{}", size.width, size.height);
}

/// What reading the header of one file gave: a size, or a reason why not.
struct Surveyed {
    PictureSize size;
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
                    found[i].size = read_picture_size(folder.root / folder.entries[i].path);
                } catch (const PictureError& error) {
                    found[i].reason = error.reason();
                }
            }
        },
        [](std::int64_t, int&) {});
    return found;
}

PictureSize most_common(const std::vector<Surveyed>& surveyed) {
    std::map<std::pair<int, int>, std::int64_t> counts; // of width and height
    for (const Surveyed& file : surveyed) {
        if (file.reason.empty()) {
            ++counts[{file.size.width, file.size.height}];
        }
    }
    PictureSize best;
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

/// Waits while another thread decodes a large picture, too.
Image decode(const fs::path& path, PictureSize size, int channels) {
    static std::mutex one_large_picture;
    std::unique_lock lock(one_large_picture, std::defer_lock);
    if (std::int64_t{size.width} * size.height > large_picture_pixels) {
        lock.lock();
    }
    return read_picture(path, channels);
}

Image fitted(Image image, PictureSize target, OddSize odd_size) {
    if (image.width == target.width && image.height == target.height) {
        return image;
    }
    return odd_size == OddSize::pad ? pad_to(image, target.width, target.height)
                                    : resize_to(image, target.width, target.height);
}

/// Whether all pictures are grey, though they may be stored in colour. Where they are not, the first
/// pictures commonly tell, so little is decoded.
bool all_grey(const PatchFolder& folder, const std::vector<Surveyed>& surveyed,
              const std::function<bool(std::int64_t)>& is_left_out, int threads) {
    constexpr std::int64_t chunk = 16;
    const auto total = static_cast<std::int64_t>(folder.entries.size());
    std::atomic<bool> colour = false;
    ordered_parallel((total + chunk - 1) / chunk, threads, [] { return 0; },
                     [&](std::int64_t c, int&) {
                         for (std::int64_t i = c * chunk; i < std::min(total, (c + 1) * chunk);
                              ++i) {
                             if (colour || is_left_out(i) || surveyed[i].size.grey) {
                                 continue;
                             }
                             try {
                                 if (!is_grey(decode(folder.root / folder.entries[i].path,
                                                     surveyed[i].size, 3))) {
                                     colour = true;
                                 }
                             } catch (const std::runtime_error&) {
                                 // What cannot be read is said when it is packed.
                             }
                         }
                     },
                     [](std::int64_t, int&) {});
    return !colour;
}

/// The size of the set, once it is sure that most of the pictures have a place in it.
PictureSize size_of_set(const PatchFolder& folder, const std::vector<Surveyed>& surveyed,
                        const PackOptions& options) {
    const PictureSize target =
        options.width > 0 ? PictureSize{options.width, options.height} : most_common(surveyed);
    const auto readable = std::count_if(surveyed.begin(), surveyed.end(),
                                        [](const Surveyed& file) { return file.reason.empty(); });
    if (readable == 0) {
        throw std::runtime_error(fmt::format(
            "{}: none of its {} pictures can be read ({}: {}); give a folder of sound patches",
            folder.root.string(), surveyed.size(), folder.entries.front().path,
            surveyed.front().reason));
    }
    const auto fitting = std::count_if(surveyed.begin(), surveyed.end(), [&](const Surveyed& file) {
        return file.reason.empty() && file.size == target;
    });
    if (options.odd_size == OddSize::skip && 2 * fitting < readable) {
        throw std::runtime_error(fmt::format(
            "{}: only {} of {} patches are of {} pixels, {}, and the others would be left out; use "
            "--odd-size resize (or pad) to keep all of them, of `patchforge pack` where a verb "
            "lacks it",
            folder.root.string(), fitting, readable, size_text(target),
            options.width > 0 ? "which --size asks for" : "their most common size"));
    }
    return target;
}

void count_class(PackReport& report, std::int32_t label) {
    if (label >= 0) {
        ++report.classes[static_cast<std::size_t>(label)].second;
    }
}

/// One run of neighbouring entries, decoded.
struct Chunk {
    std::vector<std::uint8_t> pixels;
    std::vector<std::string> reasons; // empty where decoded
};

void pack_pictures(const PatchFolder& folder, const fs::path& out, const PackOptions& options,
                   const Progress& progress, PackReport& report, Skipped& skipped) {
    const std::vector<Surveyed> surveyed = survey(folder, options.threads);
    const PictureSize target = size_of_set(folder, surveyed, options);
    const auto is_left_out = [&](std::int64_t i) {
        return !surveyed[i].reason.empty() ||
               (surveyed[i].size != target && options.odd_size == OddSize::skip);
    };
    report.width = target.width;
    report.height = target.height;
    report.channels = options.channels != 0                                      ? options.channels
                      : all_grey(folder, surveyed, is_left_out, options.threads) ? 1
                                                                                 : 3;
    const std::int64_t patch_bytes = std::int64_t{report.channels} * target.width * target.height;
    const std::int64_t chunk = std::clamp<std::int64_t>(chunk_bytes / patch_bytes, 1, 256);
    const auto total = static_cast<std::int64_t>(folder.entries.size());
    PackedSetWriter writer(out, report.channels, target.height, target.width);

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
                const Image image = fitted(
                    decode(folder.root / folder.entries[i].path, surveyed[i].size, report.channels),
                    target, options.odd_size);
                work.pixels.insert(work.pixels.end(), image.pixels.begin(), image.pixels.end());
            } catch (const PictureError& error) {
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
                count_class(report, entry.label);
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

/// Names are <part>/<number>.
void pack_stacks(const PatchFolder& folder, const fs::path& out, const PackOptions& options,
                 const Progress& progress, PackReport& report) {
    std::vector<PictureStack> stacks;
    std::vector<std::vector<std::int64_t>> labels;
    std::int64_t total = 0;
    report.channels = options.channels == 0 ? 1 : options.channels;
    for (const StackPair& pair : folder.stacks) {
        stacks.emplace_back(pair.pictures);
        labels.push_back(pair.labels.empty() ? std::vector<std::int64_t>()
                                             : read_stack_labels(pair.labels));
        if (!pair.labels.empty() && std::ssize(labels.back()) != stacks.back().count()) {
            throw std::runtime_error(
                fmt::format("{}: holds {} labels for the {} pictures of {}; fetch both files again",
                            pair.labels.string(), labels.back().size(), stacks.back().count(),
                            pair.pictures.filename().string()));
        }
        total += stacks.back().count();
        if (options.channels == 0 && stacks.back().shape().channels == 3) {
            report.channels = 3;
        }
    }
    const PictureShape& first = stacks.front().shape();
    const PictureSize target = options.width > 0 ? PictureSize{options.width, options.height}
                                                 : PictureSize{first.width, first.height};
    report.width = target.width;
    report.height = target.height;
    std::map<std::string, std::int32_t> numbers;
    for (const std::string& name : folder.class_names) {
        numbers.emplace(name, static_cast<std::int32_t>(numbers.size()));
    }
    PackedSetWriter writer(out, report.channels, report.height, report.width);
    for (std::size_t s = 0; s < stacks.size(); ++s) {
        const StackPair& pair = folder.stacks[s];
        const PictureSize size{stacks[s].shape().width, stacks[s].shape().height};
        if (size != target && (options.odd_size == OddSize::skip || options.strict)) {
            throw std::runtime_error(
                fmt::format("{}: pictures of {} instead of {}; use --odd-size resize or pad",
                            pair.pictures.string(), size_text(size), size_text(target)));
        }
        for (std::int64_t i = 0; i < stacks[s].count(); ++i) {
            const Image image =
                fitted(stacks[s].picture(i, report.channels), target, options.odd_size);
            const std::int32_t label =
                labels[s].empty() ? -1 : numbers.at(std::to_string(labels[s][i]));
            const std::string name = fmt::format("{}{:05}", pair.name, i);
            writer.append(image.pixels, {.name = name, .label = label});
            count_class(report, label);
            if (progress && (i + 1) % 4096 == 0) {
                progress(report.seen + i + 1, total);
            }
        }
        report.seen += stacks[s].count();
        report.odd += size != target ? stacks[s].count() : 0;
        if (progress) {
            progress(report.seen, total);
        }
    }
    report.packed = writer.count();
    writer.finish(folder.class_names, {}, layout_name(folder.layout));
}

} // namespace

PackReport pack_folder(const fs::path& folder_path, const fs::path& out, const PackOptions& options,
                       const Progress& progress) {
    check(options);
    check_out(out);
    PatchFolder folder = scan_patch_folder(folder_path, options.folder);
    remove_copies(folder);
    PackReport report;
    report.file = out;
    report.layout = folder.layout;
    report.reason = folder.reason;
    report.part = folder.part;
    report.parts = folder.parts;
    report.patients = std::ssize(folder.patient_names);
    for (const std::string& name : folder.class_names) {
        report.classes.emplace_back(name, 0);
    }
    Skipped skipped(report, options.strict);
    if (folder.layout == Layout::arrays) {
        pack_stacks(folder, out, options, progress, report);
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
