// A mode of `train translate`: what is trained on what, how it is shown and measured. The family runs it;
// modes/ has a file each.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/packed_set.h"
#include "data/picture.h"
#include "host/train/family.h"
#include "host/translate/translation_trainer.h"

namespace patchforge {

// What was measured on pictures that were held out, for the report; kept in results.json.
struct TranslationResults {
    struct Verdict {
        std::string text;
        bool good = false;
    };
    struct Table {
        std::string caption;
        std::vector<std::string> columns;
        std::vector<std::vector<std::string>> rows;
    };
    std::vector<Verdict> verdicts;
    std::vector<Table> tables;
    std::vector<std::string> notes;
    std::map<std::string, double> figures; // for programs; NaN: not to be had
};

struct TranslateSets {
    const PackedSet* set = nullptr;
    const PackedSet* target = nullptr; // null: without --target
};

// A set of pictures, each row of it one of them at different stages.
struct TranslationSheet {
    std::string name; // of its file
    std::string caption;
    std::vector<std::string> columns;
    std::vector<std::vector<Image>> rows;
};

class TranslationTask {
  public:
    virtual ~TranslationTask() = default;
    virtual TranslationTrainer& trainer() = 0;
    virtual std::string about() const = 0; // the data, in words
    // Facts for params.json that options do not say.
    virtual std::map<std::string, std::string> facts() const { return {}; }
    // The same held-out pictures every time.
    virtual std::vector<TranslationSheet> sheets() = 0;
    // At the end.
    virtual TranslationResults measure(TrainingRun& run) = 0;
};

using MakeTranslationTask = std::unique_ptr<TranslationTask>(Backend& backend,
                                                             const TranslateSets& sets,
                                                             const TranslateOptions& options,
                                                             Placement placement,
                                                             const Sharding& sharding);
MakeTranslationTask super_resolution_task, paired_task, cycle_task, refine_task;

} // namespace patchforge
