// Sums over ranks on GPUs: the CUDA kernels on two to four of the executor's devices, joined by what stands
// in for NCCL. The same program on real GPUs: GpuRanksTest in tests/host/end_to_end.
#include <gtest/gtest.h>

#include <array>
#include <map>

#include "host/plan/rank_link.h"
#include "host/ranks/device_exchange.h"
#include "host/ranks/host_exchange.h"
#include "tests/host/ranks/gpu_ranks.h"
#include "tests/host/ranks/small_trainings.h"

namespace patchforge {
namespace {

using testing::nccl_faults;
using testing::run_on_gpus;
using testing::ScopedVariable;
using Result = testing::TrainingResult;

std::unique_ptr<Backend> gpu_of(const Ranks& ranks) {
    return make_cuda_backend(ranks.rank(), {.overlap_launches = ranks.size() == 3});
}

class NcclTest : public ::testing::Test {
  protected:
    void TearDown() override {
        nccl_faults = {};
        simt::set_schedule({});
        EXPECT_EQ(testing::living_communicators(), 0);
    }
};

// Sums of numbers that differ in size, so that every order has a result of its own.
class Sums {
  public:
    Sums(int shards, int ranks, int filled) : tree_(shards, ranks), filled_(filled) {}

    static constexpr std::int64_t size = 411; // in pieces of 100
    static float number(int shard, std::int64_t i, int iteration) {
        const auto n = static_cast<float>((i * 37 + shard * 101 + iteration * 13) % 211 - 105);
        return n * n * n / 7.0f;
    }
    std::vector<float> expected(int iteration) const {
        std::vector<float> sums;
        for (std::int64_t i = 0; i < size; ++i) {
            std::vector<float> numbers;
            for (int shard = 0; shard < filled_; ++shard) {
                numbers.push_back(number(shard, i, iteration));
            }
            sums.push_back(sum_over_shards(numbers));
        }
        return sums;
    }

    // What a rank ends with in each of three replays of a recording. Pieces are put into their slots by the
    // recording itself, one after the other, and the total is taken away at its end: so nothing is right that
    // comes too early or too late.
    std::vector<std::vector<float>> replayed(Backend& backend, Exchange& exchange, int rank) const {
        const ShardTree::Plan plans[2] = {tree_.plan(rank, filled_, false),
                                          tree_.plan(rank, filled_, true)};
        const int slots = tree_.slots(rank);
        DeviceArray<float> own(backend, slots * size), summed(backend, slots * size),
            total(backend, size);
        const auto recording = backend.record([&] {
            int pieces = 0;
            for (std::int64_t end = size; end > 0; end = std::max<std::int64_t>(end - 100, 0)) {
                const std::int64_t first = std::max<std::int64_t>(end - 100, 0);
                for (int slot = 0; slot < slots; ++slot) {
                    const std::int64_t at = slot * size + first;
                    backend.affine(summed.view().part(at, end - first),
                                   own.view().part(at, end - first), 1, 0);
                }
                exchange.start(plans[pieces++ % 2].steps, summed.data() + first, size, end - first);
            }
            exchange.finish();
            backend.affine(total.view(), summed.view().part(0, size), 1, 0);
            backend.fill(summed.view(), -1e30f);
        });
        std::vector<std::vector<float>> results;
        for (int iteration = 0; iteration < 3; ++iteration) {
            const std::vector<float> numbers = held(plans[0], slots, iteration);
            own.upload(numbers.data(), slots * size);
            recording->replay();
            total.download(results.emplace_back(size).data(), size);
        }
        return results;
    }
    const ShardTree& tree() const { return tree_; }

  private:
    // What a rank's shards have left in its slots.
    std::vector<float> held(const ShardTree::Plan& plan, int slots, int iteration) const {
        std::vector<float> numbers(static_cast<std::size_t>(slots * size));
        const auto at = [&](int slot, std::int64_t i) -> float& {
            return numbers[static_cast<std::size_t>(slot * size + i)];
        };
        for (const ShardTree::Leaf& leaf : plan.leaves) {
            for (std::int64_t i = 0; i < size; ++i) {
                at(leaf.slot, i) = number(leaf.shard, i, iteration);
                for (const ShardTree::Addition& sum : leaf.additions) {
                    at(sum.into, i) += at(sum.from, i);
                }
            }
        }
        return numbers;
    }

    ShardTree tree_;
    int filled_;
};

TEST_F(NcclTest, EverySumIsThatOfOneDevice) {
    for (const auto order : {simt::Schedule::Order::forward, simt::Schedule::Order::reverse}) {
        simt::set_schedule({order, 0});
        for (const auto& [shards, ranks, filled] : {std::array{2, 2, 2}, {5, 3, 5}, {7, 4, 3}}) {
            const Sums sums(shards, ranks, filled);
            run_on_gpus(ranks, [&](Ranks& own) {
                const auto gpu = gpu_of(own);
                const auto exchange = make_exchange(*gpu, &own, sums.tree(), Sums::size);
                const auto results = sums.replayed(*gpu, *exchange, own.rank());
                for (int iteration = 0; iteration < 3; ++iteration) {
                    EXPECT_EQ(results[static_cast<std::size_t>(iteration)],
                              sums.expected(iteration))
                        << filled << " of " << shards << " shards, rank " << own.rank() << " of "
                        << ranks << ", replay " << iteration;
                }
            });
        }
    }
}

// A communicator that forks once and not again, so that later pieces wait for nothing of what works them out.
class ForksOnce final : public Communicator {
  public:
    explicit ForksOnce(Communicator& whole) : whole_(whole) {}
    void fork() override {
        if (forks_++ == 0) {
            whole_.fork();
        }
    }
    void exchange(const std::vector<Message>& messages) override { whole_.exchange(messages); }
    void add(Vector<float> into, Vector<const float> numbers) override {
        whole_.add(into, numbers);
    }
    void join() override {
        whole_.join();
        forks_ = 0;
    }

  private:
    Communicator& whole_;
    int forks_ = 0;
};

// What two ranks make of sums that something is wrong with: an error's text, or what differs.
std::string found_wrong(bool forks_once, double patience = 30) {
    const Sums sums(4, 2, 4);
    std::string found;
    try {
        run_on_gpus(
            2,
            [&](Ranks& own) {
                const auto gpu = gpu_of(own);
                auto exchange = make_exchange(*gpu, &own, sums.tree(), Sums::size);
                ForksOnce careless(*communicator_of(*gpu));
                if (forks_once) {
                    exchange = std::make_unique<DeviceExchange>(*gpu, careless, Sums::size);
                }
                const auto results = sums.replayed(*gpu, *exchange, own.rank());
                for (int iteration = 0; iteration < 3; ++iteration) {
                    if (results[static_cast<std::size_t>(iteration)] != sums.expected(iteration)) {
                        found = "other bytes";
                    }
                }
            },
            patience);
    } catch (const std::exception& error) {
        found = error.what();
    }
    return found;
}

TEST_F(NcclTest, WhatIsWrongIsFound) {
    EXPECT_EQ(found_wrong(false), "");
    EXPECT_EQ(found_wrong(true), "other bytes");
    nccl_faults.late = true;
    EXPECT_EQ(found_wrong(false), "other bytes");
    nccl_faults = {.lost = 9};
    const std::string silent = "nothing came from the other ranks for 0.5 s; one of them hangs or "
                               "is cut off; resume from the last checkpoint, or give a longer "
                               "--rank-timeout";
    EXPECT_EQ(found_wrong(false, 0.5), silent);
    nccl_faults = {.wrong_peer = true};
    EXPECT_EQ(found_wrong(false, 0.5), silent);
    nccl_faults = {.lost = 9, .remote_error = true};
    EXPECT_EQ(
        found_wrong(false),
        "NCCL: remote process exited or there was a network error; another rank or its GPU is "
        "gone or cut off; resume from the last checkpoint (NCCL_DEBUG=WARN makes NCCL say "
        "more)");
}

// What rank 0 ends with; every rank must hold the same files.
template <class Train>
Result trained(int ranks, const Train& train) {
    std::vector<Result> results(static_cast<std::size_t>(ranks));
    run_on_gpus(ranks, [&](Ranks& own) {
        const auto gpu = gpu_of(own);
        results[static_cast<std::size_t>(own.rank())] = train(*gpu, Sharding{4, &own});
    });
    for (const Result& one : results) {
        EXPECT_EQ(one.files, results.front().files);
    }
    return results.front();
}

TEST_F(NcclTest, AGanEndsInTheSameBytesOnAnyNumberOfGpus) {
    GanOptions options = testing::gan_options();
    options.normalisation_g = Normalisation::batch;
    const auto on = [&](int ranks) {
        return trained(ranks, [&](Backend& gpu, const Sharding& sharding) {
            return testing::trained_gan(options, gpu, sharding,
                                        ranks == 2 ? Placement::streamed : Placement::automatic, 4);
        });
    };
    const Result one = on(1);
    EXPECT_EQ(one.metrics.size(), 4u);
    for (const int ranks : {2, 3, 4}) {
        EXPECT_TRUE(on(ranks) == one) << ranks << " GPUs";
    }
}

TEST_F(NcclTest, AClassifierEndsInTheSameBytesOnAnyNumberOfGpus) {
    ClassifierOptions options = testing::classifier_options();
    set_adversarial_method(options.adversarial, "pgd-2");
    options.weight_decay = 0.01;
    const auto on = [&](int ranks) {
        return trained(ranks, [&](Backend& gpu, const Sharding& sharding) {
            return testing::trained_classifier(options, gpu, sharding, 4);
        });
    };
    const Result one = on(1);
    for (const int ranks : {2, 3, 4}) {
        EXPECT_TRUE(on(ranks) == one) << ranks << " GPUs";
    }
}

TEST_F(NcclTest, PoolsHoldTheSameBytesOnAnyNumberOfGpus) {
    const auto on = [&](int ranks) {
        return trained(ranks, [&](Backend& gpu, const Sharding& sharding) {
            return testing::trained_translation(
                testing::translation_options(TranslationMode::cycle), gpu, sharding, 2);
        });
    };
    const Result one = on(1);
    for (const int ranks : {2, 3}) {
        EXPECT_TRUE(on(ranks) == one) << ranks << " GPUs";
    }
}

// docs/scale.md says how many bytes.
TEST_F(NcclTest, SumsSendTheBytesOfTheFormula) {
    std::int64_t before = 0;
    double numbers = 0;
    const auto sent = [&](int ranks, bool checked) {
        before = bytes_of_sums_sent();
        run_on_gpus(ranks, [&](Ranks& own) {
            const auto gpu = make_cuda_backend(own.rank(), {.check_launches = checked});
            const testing::RandomPatches patches(testing::seed_of_trainings, 16, 1, 5, 7, 2);
            GanTrainer trainer(*gpu, testing::gan_options(), patches.rows, Placement::automatic,
                               {4, &own});
            numbers = static_cast<double>(trainer.generator().all().value.size +
                                          trainer.discriminator().all().value.size);
            trainer.run(3);
        });
        return static_cast<double>(bytes_of_sums_sent() - before);
    };
    for (const int ranks : {2, 4}) {
        const double bytes = sent(ranks, false);
        EXPECT_EQ(bytes, 3 * rank_traffic(numbers, ranks).sent) << ranks << " ranks";
    }
    const double bytes = sent(2, true); // and without a recording
    EXPECT_EQ(bytes, 3 * rank_traffic(numbers, 2).sent);
}

std::string refusal(const std::function<std::unique_ptr<Backend>(const Ranks&)>& make) {
    const Sums sums(2, 2, 2);
    try {
        run_on_gpus(2, [&](Ranks& own) {
            const auto backend = make(own);
            make_exchange(*backend, &own, sums.tree(), Sums::size);
        });
    } catch (const std::exception& error) {
        return error.what();
    }
    return "";
}

TEST_F(NcclTest, WhatDoesNotFitTogetherIsRefused) {
    EXPECT_EQ(refusal(gpu_of), "");
    EXPECT_EQ(refusal([](const Ranks&) { return make_cuda_backend(0); }),
              "--device: rank 0 and rank 1 have the same GPU (cuda:0 and cuda:0); start as many "
              "ranks as there are GPUs on a machine, and leave --device at auto");
    EXPECT_EQ(refusal([](const Ranks& ranks) {
                  return ranks.rank() == 0 ? make_cuda_backend(0) : make_cpu_backend();
              }),
              "--device: rank 0 works on cuda:0 and rank 1 on cpu; give --device cpu, or each rank "
              "a GPU");
    nccl_faults.version = 21405;
    EXPECT_EQ(refusal(gpu_of), "several ranks on GPUs: NCCL 2.14.5 is installed; install 2.16.0 or "
                               "later, or give --device cpu");
}

TEST_F(NcclTest, ARankThatFailsOrIsSilentEndsTheOthers) {
    for (const bool silent : {false, true}) {
        try {
            run_on_gpus(
                3,
                [&](Ranks& own) {
                    const auto gpu = gpu_of(own);
                    const testing::RandomPatches patches(testing::seed_of_trainings, 19, 1, 5, 7,
                                                         2);
                    GanTrainer trainer(*gpu, testing::gan_options(), patches.rows,
                                       Placement::automatic, {4, &own});
                    trainer.run(1);
                    if (own.rank() == 1 && !silent) {
                        throw std::runtime_error("the disk is gone");
                    }
                    if (own.rank() != 1) {
                        trainer.run(3);
                    }
                },
                silent ? 0.5 : 30);
            ADD_FAILURE();
        } catch (const std::runtime_error& error) {
            EXPECT_NE(std::string(error.what()).find(silent ? "nothing came" : "the disk is gone"),
                      std::string::npos)
                << error.what();
        }
    }
}

TEST_F(NcclTest, TwoRanksMeetInARoundAndEachHasOneMessageInIt) {
    for (int shards = 1; shards <= 9; ++shards) {
        for (int ranks = 1; ranks <= shards; ++ranks) {
            const ShardTree tree(shards, ranks);
            for (int filled = 1; filled <= shards; ++filled) {
                for (const bool rightwards : {false, true}) {
                    std::map<std::pair<int, int>, std::pair<int, bool>> meetings;
                    for (int rank = 0; rank < ranks; ++rank) {
                        int round = 0;
                        for (const auto& step : tree.plan(rank, filled, rightwards).steps) {
                            EXPECT_GE(step.round, round);
                            round = step.round;
                            if (step.peer >= 0) {
                                const bool sends = step.kind == ShardTree::Step::Kind::send ||
                                                   step.kind == ShardTree::Step::Kind::send_total;
                                EXPECT_GT(round, 0);
                                EXPECT_TRUE(
                                    meetings.insert({{rank, round}, {step.peer, sends}}).second);
                            }
                        }
                    }
                    for (const auto& [at, met] : meetings) {
                        const auto other = meetings.find({met.first, at.second});
                        ASSERT_NE(other, meetings.end());
                        EXPECT_EQ(other->second, std::pair(at.first, !met.second));
                    }
                }
            }
        }
    }
}

} // namespace
} // namespace patchforge
