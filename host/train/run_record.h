// What params.json holds of a training, and what a resumed one may ask for: made from the
// descriptions of its options.
#pragma once

#include "host/options/options.h"
#include "host/run/run_folder.h"

namespace patchforge {

struct RunRecord {
    Parameters parameters;
    ResumeRules rules;

    // What is known of a run beside its options: the data's hash, the device that was found, ...
    // It replaces what an option of that name said.
    void fact(const std::string& name, ParameterValue value) {
        std::erase_if(parameters, [&](const auto& one) { return one.first == name; });
        parameters.emplace_back(name, std::move(value));
    }
    void changeable_fact(const std::string& name, ParameterValue value) {
        fact(name, std::move(value));
        rules.may_change.push_back(name);
    }
};

template <class... Described>
RunRecord record_of(Described... values) {
    RunRecord record;
    Options options;
    (describe(options, values), ...);
    record.parameters = options.parameters();
    record.rules.may_change = options.may_change();
    const auto defaults = [&](auto value) {
        Options standard;
        describe(standard, value);
        for (const auto& [name, held] : standard.parameters()) {
            record.rules.standard[name] = parameter_text(held);
        }
    };
    (defaults(Described{}), ...);
    return record;
}

} // namespace patchforge
