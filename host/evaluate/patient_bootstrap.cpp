#include "host/evaluate/patient_bootstrap.h"

#include <map>

#include "host/distance/memorisation.h"

namespace patchforge {

RowGroups rows_of_patients(std::span<const std::int32_t> patients, std::size_t count) {
    std::map<std::int32_t, std::vector<std::int64_t>> rows;
    for (std::size_t i = 0; i < count; ++i) {
        rows[patients.empty() ? static_cast<std::int32_t>(i) : patients[i]].push_back(
            static_cast<std::int64_t>(i));
    }
    RowGroups result;
    for (auto& [patient, of_patient] : rows) {
        result.push_back(std::move(of_patient));
    }
    return result;
}

std::vector<std::int64_t> resampled_rows(const RowGroups& groups, PhiloxSequence& random) {
    std::vector<std::int64_t> rows;
    for (std::size_t draw = 0; draw < groups.size(); ++draw) {
        const std::vector<std::int64_t>& drawn = groups[random.below(groups.size())];
        rows.insert(rows.end(), drawn.begin(), drawn.end());
    }
    return rows;
}

Interval percentile_interval(const std::vector<double>& values) {
    return values.empty() ? Interval{} : Interval{quantile(values, 0.025), quantile(values, 0.975)};
}

} // namespace patchforge
