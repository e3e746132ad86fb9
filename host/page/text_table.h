// Tables on the console, and what a cell holds.
#pragma once

#include <string>
#include <vector>

namespace patchforge {

// Whether a cell holds a number, perhaps with a deviation, a unit or an interval, or says that there is none.
bool looks_numeric(const std::string& cell);

// A line a row, under one with the columns' names, each column as wide as what it holds: numbers end on
// the right, words begin on the left. Columns that hold nothing but dashes are left out.
std::string table_text(const std::vector<std::string>& columns,
                       const std::vector<std::vector<std::string>>& rows);

} // namespace patchforge
