#include "data/picture_stack.h"

#include "data/idx.h"
#include "data/read_bytes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>

namespace patchforge {

namespace {

namespace fs = std::filesystem;

enum class Holds { pictures, labels, unknown };

/// What the words of a file's name tell of it.
struct Told {
    Holds holds = Holds::unknown;
    Part part = Part::all;
    std::string set; ///< the words that remain: "emnist letters"
};

Told told_by(const std::string& stem) {
    static constexpr std::array<std::string_view, 8> picture_words = {
        "x", "images", "image", "imgs", "pictures", "patches", "pixels", "inputs"};
    static constexpr std::array<std::string_view, 6> label_words = {"y",       "labels", "label",
                                                                    "targets", "target", "classes"};
    static constexpr std::array<std::string_view, 9> format_words = {
        "idx", "idx1", "idx2", "idx3", "idx4", "ubyte", "gz", "npy", "int"};
    const auto among = [](const std::string& word, auto& words) {
        return std::find(words.begin(), words.end(), word) != words.end();
    };
    Told told;
    std::string rest;
    for (const std::string& word : words_of(stem)) {
        if (among(word, picture_words)) {
            told.holds = Holds::pictures;
        } else if (among(word, label_words)) {
            told.holds = Holds::labels;
        } else if (!among(word, format_words)) {
            rest += (rest.empty() ? "" : " ") + word;
        }
    }
    const PartWord word = part_word(rest);
    told.part = word.part;
    told.set = word.part == Part::all ? rest : word.rest;
    return told;
}

bool is_npy_name(const std::string& name) {
    return name.ends_with(".npy") || name.ends_with(".NPY");
}

std::vector<std::int64_t> sizes_of(const fs::path& path) {
    if (is_npy_name(path.string())) {
        std::vector<std::uint8_t> head;
        read_head(path, std::size_t{1} << 17, head);
        return read_npy_header(head, path.string()).sizes;
    }
    return read_idx(path).sizes;
}

std::string without_gz(const std::string& path) {
    return path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path;
}

/// A compressed file beside the same one uncompressed, as torchvision leaves them, says nothing new.
std::vector<std::string> without_twins(const FolderTree& tree) {
    std::vector<std::string> paths;
    for (const std::string& path : tree.idx) {
        const std::string plain = without_gz(path);
        if (plain == path || !std::binary_search(tree.idx.begin(), tree.idx.end(), plain)) {
            paths.push_back(path);
        }
    }
    paths.insert(paths.end(), tree.arrays.begin(), tree.arrays.end());
    return paths;
}

/// The folder that counts: a file alone in a folder of its own name (as Kaggle unpacks MNIST) lies
/// beside that folder.
std::string folder_of(const std::string& path) {
    const fs::path file = path;
    fs::path folder = file.parent_path();
    if (!folder.empty() && without_gz(folder.filename()) == without_gz(file.filename())) {
        folder = folder.parent_path();
    }
    return folder.string();
}

} // namespace

std::vector<StackPair> find_stacks(const fs::path& root, const FolderTree& tree,
                                   const std::string& only) {
    using Key = std::tuple<std::string, std::string, Part>; // folder, set, part
    std::map<Key, StackPair> pairs;
    const Told wanted = told_by(only);
    for (const std::string& path : without_twins(tree)) {
        Told told = told_by(fs::path(path).filename().string());
        if (!only.empty() && (told.set != wanted.set || told.part != wanted.part)) {
            continue;
        }
        if (told.holds == Holds::unknown) {
            told.holds = sizes_of(root / path).size() >= 3 ? Holds::pictures : Holds::labels;
        }
        StackPair& pair = pairs[{folder_of(path), told.set, told.part}];
        fs::path& place = told.holds == Holds::pictures ? pair.pictures : pair.labels;
        if (!place.empty()) {
            throw std::runtime_error(fmt::format(
                "{}: holds {} and {}, whose names do not tell which is which; leave one of them "
                "there, or give the file of pictures itself",
                root.string(), place.filename().string(), path));
        }
        pair.part = told.part;
        place = root / path;
    }
    std::vector<StackPair> found;
    std::map<std::string, std::string> sets; // their words and a file of each
    for (auto& [key, pair] : pairs) {
        if (pair.pictures.empty()) {
            continue;
        }
        const auto& [folder, set, part] = key;
        sets.emplace(folder + "/" + set, pair.pictures.filename().string());
        pair.name = part == Part::all ? "" : part_name(part) + "/";
        found.push_back(pair);
    }
    if (sets.size() > 1) {
        std::vector<std::string> names;
        for (const auto& [key, name] : sets) {
            names.push_back(name);
        }
        throw std::runtime_error(fmt::format("{}: holds {} sets ({}); give the file of pictures of "
                                             "one of them instead of the folder",
                                             root.string(), sets.size(), fmt::join(names, ", ")));
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const StackPair& a, const StackPair& b) { return a.part < b.part; });
    return found;
}

bool is_stack_name(const std::string& name) {
    return is_npy_name(name) || is_idx_name(name);
}

bool is_stack(const fs::path& npy) {
    const std::vector<std::int64_t> sizes = sizes_of(npy);
    // Labels in a column, (count, 1), have the shape of a picture.
    return picture_shape(sizes).channels == 0 ||
           (sizes.size() == 2 && told_by(npy.filename().string()).holds == Holds::labels);
}

PictureStack::PictureStack(const fs::path& path) {
    std::vector<std::int64_t> sizes;
    if (is_npy_name(path.string())) {
        file_ = std::make_unique<MappedFile>(path);
        array_ = std::make_unique<NpyArray>(file_->bytes(), path.string());
        sizes = array_->sizes();
    } else {
        IdxArray array = read_idx(path);
        sizes = array.sizes;
        values_ = std::move(array.values);
    }
    if (sizes.size() >= 3 && sizes[0] > 0) {
        count_ = sizes[0];
        // One picture of three dimensions is (colours, height, width); here they are separate.
        shape_ = sizes.size() == 4 ? picture_shape(std::span(sizes).subspan(1))
                                   : picture_shape(std::span(sizes).last(2));
    }
    if (shape_.channels == 0) {
        throw std::runtime_error(
            fmt::format("{}: {} values are no pictures; give an array of (count, height, width), "
                        "(count, height, width, 3) or (count, 3, height, width)",
                        path.string(), fmt::join(sizes, " x ")));
    }
}

Image PictureStack::picture(std::int64_t i, int channels) {
    const std::size_t size =
        static_cast<std::size_t>(shape_.channels) * shape_.height * shape_.width;
    std::vector<std::uint8_t> samples(size);
    if (array_) {
        array_->levels(i * static_cast<std::int64_t>(size), samples);
    } else {
        std::copy_n(values_.data() + i * static_cast<std::int64_t>(size), size, samples.data());
    }
    return picture_from(std::move(samples), shape_, channels);
}

std::vector<std::int64_t> read_stack_labels(const fs::path& path) {
    std::vector<std::int64_t> sizes;
    std::vector<std::int64_t> labels;
    if (is_npy_name(path.string())) {
        const MappedFile file(path);
        const NpyArray array(file.bytes(), path.string());
        sizes = array.sizes();
        labels = array.whole_numbers();
    } else {
        const IdxArray array = read_idx(path);
        sizes = array.sizes;
        labels.assign(array.values.begin(), array.values.end());
    }
    if (sizes[0] != static_cast<std::int64_t>(labels.size())) { // (count, 1) is as good as (count)
        throw std::runtime_error(fmt::format(
            "{}: {} values are not one label for each picture; give an array of (count)",
            path.string(), fmt::join(sizes, " x ")));
    }
    return labels;
}

} // namespace patchforge
