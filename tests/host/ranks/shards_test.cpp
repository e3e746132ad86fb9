// Batches cut into shards: the sums' order, and trainings whose bytes depend on the shards and not on
// how many ranks share them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>

#include "host/files/safetensors.h"
#include "host/plan/rank_link.h"
#include "host/ranks/host_exchange.h"
#include "host/ranks/shard_tree.h"
#include "tests/host/ranks/small_trainings.h"
#include "tests/host/ranks/thread_ranks.h"
#include "tests/kernels/backends.h"

namespace patchforge {
namespace {

using testing::classifier_options;
using testing::gan_options;
using testing::trained_classifier;
using Result = testing::TrainingResult;
constexpr unsigned seed = testing::seed_of_trainings;

// The bracketing that the tree is defined by, as text.
std::string bracketing(int filled) {
    std::vector<std::string> nodes;
    for (int i = 0; i < filled; ++i) {
        nodes.push_back(std::to_string(i));
    }
    for (std::size_t step = 1; step < nodes.size(); step *= 2) {
        for (std::size_t i = 0; i + step < nodes.size(); i += 2 * step) {
            nodes[i] = "(" + nodes[i] + "+" + nodes[i + step] + ")";
        }
    }
    return nodes.front();
}

// What the plans of all ranks, each run as far as it can, make of the shards' names.
std::vector<std::string> executed(int shards, int ranks, int filled, bool rightwards) {
    using Kind = ShardTree::Step::Kind;
    const ShardTree tree(shards, ranks);
    struct Rank {
        ShardTree::Plan plan;
        std::vector<std::string> slots;
        std::size_t step = 0;
    };
    std::vector<Rank> all;
    const auto join = [](const std::string& a, const std::string& b) {
        // Shards are in order from left to right, whoever adds.
        return std::stoi(a.substr(a.find_first_not_of('('))) <
                       std::stoi(b.substr(b.find_first_not_of('(')))
                   ? "(" + a + "+" + b + ")"
                   : "(" + b + "+" + a + ")";
    };
    for (int rank = 0; rank < ranks; ++rank) {
        Rank& one = all.emplace_back();
        one.plan = tree.plan(rank, filled, rightwards);
        one.slots.resize(static_cast<std::size_t>(tree.slots(rank)));
        for (const ShardTree::Leaf& leaf : one.plan.leaves) {
            one.slots.at(static_cast<std::size_t>(leaf.slot)) = std::to_string(leaf.shard);
            for (const auto& sum : leaf.additions) {
                std::string& into = one.slots.at(static_cast<std::size_t>(sum.into));
                into = join(into, one.slots.at(static_cast<std::size_t>(sum.from)));
            }
        }
    }
    std::map<std::pair<int, int>, std::deque<std::string>> sent;
    for (bool moved = true; moved;) {
        moved = false;
        for (int rank = 0; rank < ranks; ++rank) {
            Rank& one = all[static_cast<std::size_t>(rank)];
            while (one.step < one.plan.steps.size()) {
                const ShardTree::Step& step = one.plan.steps[one.step];
                std::string& slot = one.slots.at(static_cast<std::size_t>(step.slot));
                if (step.kind == Kind::add) {
                    slot = join(slot, one.slots.at(static_cast<std::size_t>(step.from)));
                } else if (step.kind == Kind::send || step.kind == Kind::send_total) {
                    sent[{rank, step.peer}].push_back(slot);
                } else {
                    auto& box = sent[{step.peer, rank}];
                    if (box.empty()) {
                        break;
                    }
                    slot = step.kind == Kind::add_received ? join(slot, box.front()) : box.front();
                    box.pop_front();
                }
                ++one.step;
                moved = true;
            }
        }
    }
    std::vector<std::string> results;
    for (Rank& one : all) {
        EXPECT_EQ(one.step, one.plan.steps.size());
        results.push_back(one.slots.front());
    }
    return results;
}

TEST(ShardTree, EverySumHasTheSameBracketsOnEveryRank) {
    EXPECT_EQ(bracketing(6), "(((0+1)+(2+3))+(4+5))");
    for (int shards = 1; shards <= 9; ++shards) {
        for (int ranks = 1; ranks <= shards; ++ranks) {
            for (int filled = 1; filled <= shards; ++filled) {
                for (const bool rightwards : {false, true}) {
                    for (const std::string& sum : executed(shards, ranks, filled, rightwards)) {
                        ASSERT_EQ(sum, bracketing(filled))
                            << shards << " shards, " << ranks << " ranks, " << filled << " filled";
                    }
                }
            }
        }
    }
}

TEST(ShardTree, RanksHoldNeighboursAndEachHasOne) {
    for (int shards = 1; shards <= 16; ++shards) {
        for (int ranks = 1; ranks <= shards; ++ranks) {
            const ShardTree tree(shards, ranks);
            int next = 0;
            for (int rank = 0; rank < ranks; ++rank) {
                const std::vector<int> its = tree.shards_of(rank);
                EXPECT_LE(std::abs(static_cast<int>(its.size()) - shards / ranks), 1);
                for (const int shard : its) {
                    EXPECT_EQ(shard, next++);
                }
            }
            EXPECT_EQ(next, shards);
        }
    }
    EXPECT_THROW(ShardTree(2, 3), std::invalid_argument);
}

// What rank 0 ends with; every rank must hold the same files.
template <class Train>
Result trained(int ranks, int shards, const Train& train, bool one_machine = true) {
    std::vector<Result> results(static_cast<std::size_t>(ranks));
    testing::ThreadRanks(ranks, one_machine).run([&](Ranks& own) {
        results[static_cast<std::size_t>(own.rank())] = train(Sharding{shards, &own});
    });
    for (const Result& one : results) {
        EXPECT_EQ(one.files, results.front().files);
    }
    return results.front();
}

Result gan_of(const GanOptions& options, const Sharding& sharding,
              Placement placement = Placement::automatic) {
    return testing::trained_gan(options, *make_cpu_backend({.threads = 1}), sharding, placement);
}

TEST(Shards, AGanEndsInTheSameBytesOnAnyNumberOfRanks) {
    const std::vector<std::pair<const char*, void (*)(GanOptions&)>> variants = {
        {"plain", [](GanOptions&) {}},
        {"penalty, critic, history, average",
         [](GanOptions& o) {
             choose_loss(o, "wgan-gp");
             o.n_critic = 2;
             o.lambda_history = 0.1;
             o.ema = 0.9;
             o.instance_noise = 0.1;
         }},
        {"statistics, classes",
         [](GanOptions& o) {
             o.normalisation_d = o.normalisation_g = Normalisation::batch;
             o.conditional = true;
             o.lambda_pixel = 0.3;
         }},
        {"virtual batches, features, closeness",
         [](GanOptions& o) {
             o.normalisation_g = Normalisation::virtual_batch;
             o.feature_matching = true;
             o.closeness_columns = 3;
         }},
    };
    for (const auto& [name, apply] : variants) {
        GanOptions options = gan_options();
        apply(options);
        const auto on = [&](int ranks) {
            return trained(ranks, 4, [&](const Sharding& sharding) {
                return gan_of(options, sharding,
                              ranks == 2 ? Placement::streamed : Placement::automatic);
            });
        };
        const Result one = on(1);
        EXPECT_EQ(one.metrics.size(), 7u);
        for (const int ranks : {2, 3, 4}) {
            EXPECT_TRUE(on(ranks) == one) << name << " on " << ranks << " ranks";
        }
    }
}

TEST(Shards, AClassifierEndsInTheSameBytesOnAnyNumberOfRanks) {
    ClassifierOptions defended = classifier_options();
    set_adversarial_method(defended.adversarial, "pgd-2");
    defended.adversarial.pairing = 0.5;
    defended.augmentation = Augmentation::flips;
    defended.noise = 0.05;
    defended.weight_decay = 0.01;
    defended.class_weights = ClassWeights::balanced;
    for (const ClassifierOptions& options : {classifier_options(), defended}) {
        const auto on = [&](int ranks) {
            return trained(ranks, 4, [&](const Sharding& sharding) {
                return trained_classifier(options, *make_cpu_backend({.threads = 1}), sharding);
            });
        };
        const Result one = on(1);
        for (const int ranks : {2, 3, 4}) {
            EXPECT_TRUE(on(ranks) == one) << ranks << " ranks";
        }
    }
}

TEST(Shards, PoolsHoldTheSameBytesOnAnyNumberOfRanks) {
    for (const TranslateOptions& options :
         {testing::translation_options(TranslationMode::cycle),
          testing::translation_options(TranslationMode::refine), testing::refine_at_scales()}) {
        const auto on = [&](int ranks) {
            return trained(ranks, 4, [&](const Sharding& sharding) {
                return testing::trained_translation(options, *make_cpu_backend({.threads = 1}),
                                                    sharding);
            });
        };
        const Result one = on(1);
        EXPECT_EQ(one.metrics.size(), 5u);
        for (const int ranks : {2, 3, 4}) {
            EXPECT_TRUE(on(ranks) == one) << mode_name(options.mode) << " on " << ranks << " ranks";
        }
    }
}

// Networks that are large enough for pages of their own: ranks of one machine share them and send nothing, others sum
// gradients by messages, and the bytes are those of one process.
TEST(Shards, RanksThatShareMemoryEndInTheBytesOfThoseThatSendMessages) {
    GanOptions options = gan_options();
    options.hidden_dims = {901, 707};
    const auto gan = [&](const Sharding& sharding) { return gan_of(options, sharding); };
    ClassifierOptions with_decay = classifier_options();
    with_decay.hidden_dims = {901, 707};
    with_decay.weight_decay = 0.01;
    set_adversarial_method(with_decay.adversarial, "pgd-2");
    const auto classifier = [&](const Sharding& sharding) {
        return trained_classifier(with_decay, *make_cpu_backend({.threads = 1}), sharding);
    };
    const auto compare = [](const auto& train) {
        const Result one = trained(1, 4, train);
        const std::int64_t before = bytes_of_sums_sent();
        for (const int ranks : {2, 3, 4}) {
            EXPECT_TRUE(trained(ranks, 4, train) == one) << ranks << " ranks";
        }
        EXPECT_EQ(bytes_of_sums_sent(), before);
        EXPECT_TRUE(trained(2, 4, train, false) == one);
        EXPECT_GT(bytes_of_sums_sent(), before);
    };
    compare(gan);
    compare(classifier);
}

// What a run in one piece does, a cut one does within rounding, where nothing is drawn for rows.
void expect_near(const Result& cut, const Result& whole) {
    for (std::size_t step = 0; step < whole.metrics.size(); ++step) {
        for (std::size_t i = 0; i < whole.metrics[step].size(); ++i) {
            const double expected = whole.metrics[step][i];
            EXPECT_TRUE(std::abs(cut.metrics[step][i] - expected) <=
                        1e-4 * (1 + std::abs(expected)))
                << "metric " << i << " of step " << step << ": " << cut.metrics[step][i]
                << " instead of " << expected;
        }
    }
    for (const auto& [name, bytes] : whole.files) {
        if (name == "state.safetensors") {
            // First moments are means of gradients: they show their scale, which Adam hides.
            const TensorFile expected = decode_safetensors(bytes, name);
            const TensorFile found = decode_safetensors(cut.files.at(name), name);
            for (const Tensor& tensor : expected.tensors) {
                if (tensor.name.find("first_moment") == std::string::npos) {
                    continue;
                }
                double error = 0, size = 0;
                const auto values = f32(tensor), others = f32(found.at(tensor.name));
                for (std::size_t i = 0; i < values.size(); ++i) {
                    error += std::pow(values[i] - others[i], 2);
                    size += std::pow(values[i], 2);
                }
                EXPECT_TRUE(std::sqrt(error) <= 1e-3 * std::sqrt(size) + 1e-9)
                    << tensor.name << ": " << std::sqrt(error) << " of " << std::sqrt(size);
            }
        }
    }
}

class ShardsTest : public testing::BackendTest {};
PATCHFORGE_ON_EVERY_BACKEND(ShardsTest);

TEST_P(ShardsTest, FourShardsTrainLikeOneBatch) {
    ClassifierOptions classifier = classifier_options();
    classifier.dropout = 0;
    classifier.weight_decay = 0.01;
    expect_near(trained_classifier(classifier, backend(), {4, nullptr}),
                trained_classifier(classifier, backend(), {}));
    GanOptions gan = gan_options();
    gan.dropout = 0;
    gan.lambda_pixel = 0.3;
    const auto run = [&](const Sharding& sharding) {
        return testing::trained_gan(gan, backend(), sharding);
    };
    expect_near(run({4, nullptr}), run({}));
    for (const TranslationMode mode : {TranslationMode::cycle, TranslationMode::refine}) {
        const TranslateOptions options = testing::translation_options(mode);
        expect_near(testing::trained_translation(options, backend(), {2, nullptr}, 3),
                    testing::trained_translation(options, backend(), {}, 3));
    }
}

// docs/scale.md and `make plan` say how many bytes.
TEST(Shards, SumsSendTheBytesOfTheFormula) {
    const auto cpu = make_cpu_backend({.threads = 1});
    const testing::RandomPatches patches(seed, 19, 1, 5, 7, 2);
    GanTrainer alone(*cpu, gan_options(), patches.rows);
    const auto numbers = static_cast<double>(alone.generator().all().value.size +
                                             alone.discriminator().all().value.size);
    for (const int ranks : {1, 2, 4}) {
        const std::int64_t before = bytes_of_sums_sent();
        trained(ranks, 4,
                [&](const Sharding& sharding) { return gan_of(gan_options(), sharding); });
        // Two of the seven batches have two shards with rows, which one rank holds or two.
        const double bytes = 4 * numbers;
        const double few = ranks - 1 + (ranks == 4 ? 1 : 0);
        EXPECT_EQ(static_cast<double>(bytes_of_sums_sent() - before),
                  5 * rank_traffic(numbers, ranks).sent + 2 * few * bytes)
            << ranks << " ranks";
    }
}

TEST(Shards, TheTableOfLinksIsThatOfTheirPage) {
    std::ifstream file("docs/scale.md");
    const std::string page((std::istreambuf_iterator<char>(file)), {});
    for (const RankLink& link : rank_links()) {
        const std::string row =
            fmt::format("| `{}` | {:g} | {:g} | {} |\n", link.name, link.bytes_per_second * 1e-9,
                        link.seconds_a_message * 1e6, link.source);
        EXPECT_NE(page.find(row), std::string::npos) << row;
    }
    EXPECT_EQ(&rank_link("ib"), &rank_links()[1]);
    EXPECT_THROW(rank_link("string"), std::invalid_argument);
    // 2 ranks send each number once and receive it once; 8 GB at 50 GB/s and two messages.
    EXPECT_DOUBLE_EQ(communication_seconds(rank_traffic(2e9, 2), rank_link("ib")), 0.160004);
}

TEST(Shards, ABatchThatCannotBeCutIsRefused) {
    GanOptions options = gan_options();
    options.batch_size = 6;
    try {
        gan_of(options, {4, nullptr});
        FAIL();
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "--batch-size 6: cannot be cut into 4 equal shards; give a "
                                   "multiple of --shards");
    }
}

TEST(Shards, ARankThatFailsOrIsSilentEndsTheOthers) {
    const auto failing = [](bool silent, bool shares_memory) {
        GanOptions options = gan_options();
        if (shares_memory) {
            options.hidden_dims = {901, 707};
        }
        testing::ThreadRanks(3).run(
            [&](Ranks& own) {
                if (own.rank() == 1 && shares_memory) {
                    testing::trained_gan(options, *make_cpu_backend({.threads = 1}), {4, &own},
                                         Placement::automatic, 2);
                }
                if (own.rank() == 1) {
                    if (!silent) {
                        throw std::runtime_error("the disk is gone");
                    }
                    return;
                }
                gan_of(options, {4, &own});
            },
            shares_memory ? 2 : 0.3);
    };
    for (const bool silent : {false, true}) {
        for (const bool shares_memory : {false, true}) {
            try {
                failing(silent, shares_memory);
                ADD_FAILURE();
            } catch (const std::runtime_error& error) {
                EXPECT_NE(
                    std::string(error.what()).find(silent ? "nothing came" : "the disk is gone"),
                    std::string::npos)
                    << error.what();
            }
        }
    }
}

} // namespace
} // namespace patchforge
