#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

/// A table of labels: one line a picture, separated by commas, semicolons or tabs (told from the first
/// line), fields quoted as in RFC 4180 or not.
///
/// A first line that names columns is a header: the picture is in the column file, filename, path,
/// name, image, id, …; the class in label, class, target, …; the patient, if any, in patient, case,
/// subject, …. Without one the columns are picture, class and, if there is a third, patient.
///
/// A picture is found by its path in the folder, by the end of that path or by its name, each also
/// without the ending (tables often name pictures so).
class LabelsFile {
  public:
    struct Row {
        std::string picture;
        std::string label;
        std::string patient; ///< empty: unknown
    };

    /// Throws std::runtime_error naming the file, and the line where one is at fault.
    explicit LabelsFile(const std::filesystem::path& path);
    /// The same from memory; `name` is what errors call it.
    LabelsFile(std::string_view text, const std::string& name);

    /// Null where no line names the picture. Throws std::runtime_error when the line named another
    /// picture before: a name alone does not tell them apart.
    const Row* find(const std::string& picture);

    bool knows_patients() const { return knows_patients_; }
    std::size_t size() const { return rows_.size(); }
    /// Lines that no picture was found for so far.
    std::vector<std::string> unused() const;

  private:
    void read(std::string_view text);

    std::string name_;
    std::vector<Row> rows_;
    std::vector<std::string> used_by_;
    std::map<std::string, std::size_t, std::less<>> row_of_;
    bool knows_patients_ = false;
};

/// The distinct names in the order in which classes are numbered: by value where all are whole
/// numbers, bytewise otherwise.
std::vector<std::string> in_class_order(const std::vector<std::string>& names);

} // namespace patchforge
