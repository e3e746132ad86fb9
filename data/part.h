#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

/// What a set, or a part of it, is for. `usual` asks for the one that the job at hand takes.
enum class Part { usual, all, train, test, validation };
std::string part_name(Part part);

/// The words of a name in small letters: "Seg_Train-2" gives seg, train, 2.
std::vector<std::string> words_of(std::string_view name);

/// A name split into the part that one of its words tells, and the rest.
struct PartWord {
    Part part = Part::all; ///< all: no word, or words of two parts
    std::string rest;      ///< the other words, but those that say nothing (set, data, images, …)
};
/// Train: train, training, trn, trainset, …; test: test, testing, tst, t10k, eval, holdout, …;
/// validation: val, valid, validation, dev, ….
PartWord part_word(std::string_view name);

/// Which of the folders that lie side by side are parts: those whose name says nothing else
/// ("Train", "training_set", "val-images") and those that differ in the part alone ("seg_train" and
/// "seg_test").
std::map<std::string, Part, std::less<>> parts_among(const std::set<std::string>& folders);

} // namespace patchforge
