// The table of methods.
#include <gtest/gtest.h>

#include <set>

#include "host/attack/attack_options.h"

namespace patchforge::testing {
namespace {

// A misspelt name would belong to nobody and be refused to everybody.
TEST(AttackMethods, HeedOptionsThatThereAre) {
    std::set<std::string> names;
    for (const AttackMethod* method : attack_methods()) {
        EXPECT_TRUE(names.insert(method->name).second) << method->name << ": stands twice";
        EXPECT_EQ(attack_method(method->name), method);
        for (const std::string& entry : method->options) {
            AttackOptions attack;
            Options options;
            describe(options, attack);
            const std::size_t equals = entry.find('=');
            const Option* option = options.find(entry.substr(0, equals));
            ASSERT_NE(option, nullptr) << method->name << ": " << entry;
            if (equals != std::string::npos) {
                EXPECT_NO_THROW(option->set(entry.substr(equals + 1))) << entry;
            }
        }
    }
    EXPECT_THROW(attack_method("deepfoul"), std::invalid_argument);
}

TEST(AttackMethods, AFastGradientTakesOneStepWhateverTheOthersDo) {
    AttackOptions options;
    options.method = attack_method("fgsm");
    options.steps = 50;
    options.alpha = 0.001;
    EXPECT_EQ(options.steps_of(90), 1);
    EXPECT_EQ(options.alpha_of(0.25, 90), 0.25);
}

} // namespace
} // namespace patchforge::testing
