#include "data/tissue.h"

#include "data/ordered_parallel.h"
#include "data/tissue_painter.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <numeric>
#include <stdexcept>
#include <unistd.h>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

constexpr int first_patient = 1001;

void check(const char* option, std::int64_t value, std::int64_t low, std::int64_t high) {
    if (value < low || value > high) {
        throw std::invalid_argument(fmt::format("{}: {} is outside {}..{}; choose a value inside",
                                                option, value, low, high));
    }
}

struct Place {
    int column;
    int row;
    bool cancer;
};

/// Lays the patches on a square grid. Those nearest to a random spot, with a ragged edge, are
/// cancer.
std::vector<Place> lay_out(int patches, RandomSequence& random) {
    const int side = static_cast<int>(std::ceil(std::sqrt(patches)));
    const auto extent = static_cast<float>(side);
    const float centre_x = random.uniform(0.2f, 0.8f) * extent;
    const float centre_y = random.uniform(0.2f, 0.8f) * extent;
    const float share = random.uniform(0.2f, 0.6f);
    std::vector<Place> places(patches);
    std::vector<float> distance(patches);
    for (int i = 0; i < patches; ++i) {
        places[i] = {i % side, i / side, false};
        distance[i] = std::hypot(static_cast<float>(places[i].column) - centre_x,
                                 static_cast<float>(places[i].row) - centre_y) +
                      0.15f * extent * random.uniform();
    }
    std::vector<int> order(patches);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return distance[a] < distance[b]; });
    // Both classes, as soon as there are two patches.
    const int wanted = static_cast<int>(std::lround(share * static_cast<float>(patches)));
    const int cancer = std::clamp(wanted, std::min(1, patches - 1), std::max(1, patches - 1));
    for (int k = 0; k < cancer; ++k) {
        places[order[k]].cancer = true;
    }
    return places;
}

/// The folder is built under another name, so single files need no fsync and no renaming.
class FolderInTheMaking {
  public:
    explicit FolderInTheMaking(const fs::path& target)
        : target_(target.filename().empty() ? target.parent_path() : target),
          building_(target_.string() + fmt::format(".{}.partial", ::getpid())) {
        if (fs::exists(target_) && !(fs::is_directory(target_) && fs::is_empty(target_))) {
            throw std::runtime_error(fmt::format(
                "{}: exists already; choose another folder or remove it first", target_.string()));
        }
        if (fs::exists(target_) &&
            ::faccessat(AT_FDCWD, target_.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
            throw std::runtime_error(fmt::format("{}: may not be written to; choose another folder "
                                                 "or change its permissions",
                                                 target_.string()));
        }
        remove_abandoned();
        std::error_code error;
        fs::create_directories(building_, error);
        if (error) {
            throw std::runtime_error(fmt::format("{}: cannot create the folder: {}; choose one you "
                                                 "may write to",
                                                 target_.string(), error.message()));
        }
    }
    ~FolderInTheMaking() {
        if (!done_) {
            std::error_code ignored;
            fs::remove_all(building_, ignored);
        }
    }
    FolderInTheMaking(const FolderInTheMaking&) = delete;
    FolderInTheMaking& operator=(const FolderInTheMaking&) = delete;

    const fs::path& path() const { return building_; }

    void write(const fs::path& path, std::span<const std::uint8_t> bytes) const {
        const int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
        const bool opened = file >= 0;
        const bool written = opened && ::write(file, bytes.data(), bytes.size()) ==
                                           static_cast<ssize_t>(bytes.size());
        const int error = errno == 0 ? ENOSPC : errno; // a short write leaves errno as it was
        if (opened) {
            ::close(file);
        }
        if (!written) {
            throw std::runtime_error(fmt::format("{}: cannot write {}: {}; free some space or "
                                                 "choose another folder",
                                                 target_.string(), path.filename().string(),
                                                 std::strerror(error)));
        }
    }

    void commit() {
        std::error_code error;
        fs::rename(building_, target_, error); // replaces an empty folder
        if (error) {
            throw std::runtime_error(fmt::format("{}: cannot put the finished folder in place: {}; "
                                                 "choose another folder",
                                                 target_.string(), error.message()));
        }
        done_ = true;
    }

  private:
    /// What processes that were killed left under such names.
    void remove_abandoned() const {
        const fs::path parent = target_.has_parent_path() ? target_.parent_path() : ".";
        const std::string begin = target_.filename().string() + ".";
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(parent, ignored)) {
            const std::string name = entry.path().filename().string();
            int process = 0;
            const char* last = name.data() + name.size();
            if (name.starts_with(begin) && entry.is_directory(ignored) &&
                std::string_view(std::from_chars(name.data() + begin.size(), last, process).ptr,
                                 last) == ".partial" &&
                process > 0 && ::kill(process, 0) != 0 && errno == ESRCH) {
                fs::remove_all(entry.path(), ignored);
            }
        }
    }

    fs::path target_;
    fs::path building_;
    bool done_ = false;
};

} // namespace

TissueReport write_tissue_folder(const fs::path& folder, const TissueOptions& options,
                                 const Progress& progress) {
    check("--patients", options.patients, 1, 9000);
    check("--patches", options.patches_per_patient, 1, 100000);
    check("--size", options.size, 8, 1024);
    check("--threads", options.threads, 0, 1024);
    FolderInTheMaking making(folder);
    TissueReport report;
    std::atomic<std::int64_t> cancer{0};
    const std::int64_t total = std::int64_t{options.patients} * options.patches_per_patient;

    const auto paint_patient = [&](std::int64_t p, TissuePainter& painter) {
        RandomSequence random(mix_bits(options.seed) + static_cast<std::uint64_t>(p));
        const TissueStyle style = TissueStyle::draw(random);
        const std::vector<Place> places = lay_out(options.patches_per_patient, random);
        const std::string name = std::to_string(first_patient + p);
        fs::create_directories(making.path() / name / "0");
        fs::create_directories(making.path() / name / "1");
        for (const Place& place : places) {
            const Image image = painter.paint(style, place.cancer, RandomSequence(random.bits()));
            const std::string file =
                fmt::format("{}_idx5_x{}_y{}_class{}.png", name, place.column * options.size + 1,
                            place.row * options.size + 1, place.cancer ? 1 : 0);
            making.write(making.path() / name / (place.cancer ? "1" : "0") / file,
                         encode_png(image));
        }
        cancer += std::count_if(places.begin(), places.end(),
                                [](const Place& place) { return place.cancer; });
    };
    ordered_parallel(
        options.patients, options.threads,
        [&] { return TissuePainter(options.size, mix_bits(options.seed ^ 0x7155)); }, paint_patient,
        [&](std::int64_t, TissuePainter&) {
            report.patches += options.patches_per_patient;
            if (progress) {
                progress(report.patches, total);
            }
        });
    making.commit();
    report.cancer = cancer;
    return report;
}

} // namespace patchforge
