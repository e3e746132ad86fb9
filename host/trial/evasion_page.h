// What an evasion found, as a page: what can be concluded first, then pictures, then figures.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "host/classifier/real_or_fake.h"
#include "host/page/image_grid.h"
#include "host/trial/evasion.h"

namespace patchforge {

class Report;

struct EvasionFindings {
    std::vector<std::string> models;
    std::vector<std::string> classes;
    std::vector<EvasionRow> rows;
    bool conditional = false;               // the fakes have classes of their own
    std::int32_t searched = -1;             // the class that codes were searched for
    std::string against;                    // the model that was searched against
    std::optional<RealOrFakeCounts> told{}; // by a network trained to tell fakes from real patches
    PictureSheet groups;                    // some of each group
    PictureSheet search; // codes before and after the search; no rows without one
    std::vector<std::string> table_columns{}, together_columns{};
    std::vector<std::vector<std::string>> table{}, together{}; // as the console shows them
};

// The names of the groups.
std::string fakes_of(const std::string& class_name);
std::string real_of(const std::string& class_name);
inline constexpr const char* all_fakes = "fakes";
inline constexpr const char* all_real = "real";
inline constexpr const char* noise_group = "noise";
inline constexpr const char* before_search = "before the search";
std::string searched_for(const std::string& class_name, const std::string& model);

// What can be concluded and what cannot, a sentence each.
std::vector<std::string> evasion_sentences(const EvasionFindings& findings);

void add_evasion_sections(Report& report, const EvasionFindings& findings);

} // namespace patchforge
