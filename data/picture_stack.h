#pragma once

#include "data/folder_tree.h"
#include "data/mapped_file.h"
#include "data/npy.h"
#include "data/part.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace patchforge {

/// A file that holds many pictures, and the one with their classes.
struct StackPair {
    Part part = Part::all;
    std::string name; ///< of its pictures in the set: "train/00017"
    std::filesystem::path pictures;
    std::filesystem::path labels; ///< empty: none
};

/// Brings the arrays of a folder together: MNIST's files as they are published, renamed by browsers
/// (`train-images.idx3-ubyte`), unpacked into folders of their own, or beside their `.gz`; EMNIST's;
/// `x_train.npy` and `y_train.npy`; `images.npy` and `labels.npy`. The words of the names tell what
/// is what. `only`, where not empty, is the file that the user named: it and what belongs to it.
///
/// Throws std::runtime_error when the folder holds several sets, or files that cannot be told apart.
std::vector<StackPair> find_stacks(const std::filesystem::path& root, const FolderTree& tree,
                                   const std::string& only = {});

/// Whether a file of that name may be one: `.npy`, or IDX.
bool is_stack_name(const std::string& name);

/// True for an array file that holds more than one picture, or numbers that are no picture; by its
/// header. Such files are not patches of their own.
bool is_stack(const std::filesystem::path& npy);

/// The pictures of a file, IDX or `.npy`: (count, height, width), (count, height, width, 1 or 3) or
/// (count, 1 or 3, height, width).
class PictureStack {
  public:
    /// Throws std::runtime_error naming the file when it is damaged or holds no pictures.
    explicit PictureStack(const std::filesystem::path& path);

    std::int64_t count() const { return count_; }
    const PictureShape& shape() const { return shape_; }
    Image picture(std::int64_t i, int channels);

  private:
    std::unique_ptr<MappedFile> file_; // of arrays
    std::unique_ptr<NpyArray> array_;
    std::vector<std::uint8_t> values_; // of IDX files, which may be compressed
    PictureShape shape_;
    std::int64_t count_ = 0;
};

/// One whole number for each picture, from an IDX or `.npy` file.
std::vector<std::int64_t> read_stack_labels(const std::filesystem::path& path);

} // namespace patchforge
