#include "host/attack/attack_method.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "host/attack/attack_options.h"

namespace patchforge {

bool AttackScene::wanted(std::int32_t answer, std::int32_t label) const {
    return options.targeted() ? answer == label : answer != label;
}

std::vector<std::uint8_t> AttackScene::successes(Matrix<const float> x) const {
    const std::vector<std::int32_t> answers = victim.predictions(x, x.rows);
    const std::vector<std::uint8_t> stopped = victim.detected(x, x.rows);
    std::vector<std::uint8_t> success(answers.size());
    for (std::size_t r = 0; r < success.size(); ++r) {
        success[r] =
            !stopped[r] && wanted(answers[r], batch.host_label(static_cast<std::int64_t>(r)));
    }
    return success;
}

bool AttackMethod::heeds(const std::string& option) const {
    return std::find(options.begin(), options.end(), option) != options.end();
}

bool AttackMethod::takes(Norm norm) const {
    return std::find(norms.begin(), norms.end(), norm) != norms.end();
}

const AttackMethod* attack_method(const std::string& name) {
    for (const AttackMethod* method : attack_methods()) {
        if (method->name == name) {
            return method;
        }
    }
    throw std::invalid_argument(fmt::format("--method {}: is not known; choose one of {}", name,
                                            method_names([](auto&) { return true; })));
}

std::string method_names(const std::function<bool(const AttackMethod&)>& chosen) {
    std::vector<const AttackMethod*> methods;
    for (const AttackMethod* method : attack_methods()) {
        if (chosen(*method)) {
            methods.push_back(method);
        }
    }
    return method_names(methods);
}

std::string method_names(const std::vector<const AttackMethod*>& methods) {
    std::string names;
    for (const AttackMethod* method : methods) {
        names += (names.empty() ? "" : ", ") + std::string(method->name);
    }
    return names;
}

} // namespace patchforge
