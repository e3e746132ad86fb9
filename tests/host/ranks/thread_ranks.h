// Ranks that are threads of one process.
#pragma once

#include <atomic>
#include <cstring>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "host/ranks/ranks.h"

namespace patchforge::testing {

class ThreadRanks {
  public:
    explicit ThreadRanks(int size, bool one_machine = true)
        : size_(size), one_machine_(one_machine) {}

    // Calls `job` in a thread for each rank; the first exception is thrown again, after it was told
    // to the other ranks. `patience` in seconds.
    void run(const std::function<void(Ranks&)>& job, double patience = 60) {
        std::vector<std::thread> threads;
        std::vector<std::exception_ptr> failed(static_cast<std::size_t>(size_));
        for (int rank = 0; rank < size_; ++rank) {
            threads.emplace_back([&, rank] {
                One one(*this, rank);
                one.patience = patience;
                try {
                    job(one);
                } catch (const RankFailure&) {
                } catch (const std::exception& error) {
                    failed[static_cast<std::size_t>(rank)] = std::current_exception();
                    tell_failure(one, error.what());
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        for (const std::exception_ptr& one : failed) {
            if (one) {
                std::rethrow_exception(one);
            }
        }
    }

    std::int64_t bytes_sent() const { return bytes_sent_; }

  private:
    struct Route {
        int from, to;
        Tag tag;
        auto operator<=>(const Route&) const = default;
    };
    struct Sent final : Ranks::Message {
        bool done() override { return true; }
    };
    struct Received final : Ranks::Message {
        ThreadRanks& all;
        Route route;
        void* memory;
        std::size_t count;
        bool there = false;
        Received(ThreadRanks& ranks, Route of, void* into, std::size_t bytes)
            : all(ranks), route(of), memory(into), count(bytes) {}
        bool done() override {
            if (there) {
                return true;
            }
            const std::lock_guard lock(all.mutex_);
            auto& box = all.boxes_[route];
            if (box.empty()) {
                return false;
            }
            if (box.front().size() != count) {
                throw std::logic_error("ThreadRanks: a message of another length");
            }
            std::memcpy(memory, box.front().data(), count);
            box.pop_front();
            return there = true;
        }
    };
    class One final : public Ranks {
      public:
        One(ThreadRanks& all, int rank) : all_(all), rank_(rank) {}
        int rank() const override { return rank_; }
        int size() const override { return all_.size_; }
        bool one_machine() const override { return all_.one_machine_; }
        std::string name() const override { return "rank " + std::to_string(rank_); }
        std::unique_ptr<Message> send(const void* bytes, std::size_t count, int to,
                                      Tag tag) override {
            const auto* first = static_cast<const std::byte*>(bytes);
            const std::lock_guard lock(all_.mutex_);
            all_.boxes_[{rank_, to, tag}].emplace_back(first, first + count);
            all_.bytes_sent_ += static_cast<std::int64_t>(count);
            return std::make_unique<Sent>();
        }
        std::unique_ptr<Message> receive(void* bytes, std::size_t count, int from,
                                         Tag tag) override {
            return std::make_unique<Received>(all_, Route{from, rank_, tag}, bytes, count);
        }
        std::int64_t waiting(int from, Tag tag) override {
            const std::lock_guard lock(all_.mutex_);
            const auto& box = all_.boxes_[{from, rank_, tag}];
            return box.empty() ? -1 : static_cast<std::int64_t>(box.front().size());
        }

      private:
        ThreadRanks& all_;
        int rank_;
    };

    int size_;
    bool one_machine_;
    std::mutex mutex_;
    std::map<Route, std::deque<std::vector<std::byte>>> boxes_;
    std::atomic<std::int64_t> bytes_sent_ = 0;
};

} // namespace patchforge::testing
