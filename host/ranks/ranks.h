// The processes of one job, and messages between them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace patchforge {

// What a message is for. Between two ranks those of one tag arrive in order.
enum class Tag { failure, printed, alive, command, gather, sum };
// Of the n-th piece of a sum: pieces overtake each other.
constexpr Tag sum_tag(int n) {
    return static_cast<Tag>(static_cast<int>(Tag::sum) + n);
}

class Ranks {
  public:
    virtual ~Ranks() = default;

    virtual int rank() const = 0; // of this process, from 0
    virtual int size() const = 0;
    virtual std::string name() const = 0; // "rank 2 of 4 on node7", for people

    // Whether all of them are processes of one machine.
    virtual bool one_machine() const = 0;

    // A message on its way.
    class Message {
      public:
        virtual ~Message() = default;
        // Whether the memory may be used again; for one to receive: whether all of it is there.
        virtual bool done() = 0;
    };
    // Both return at once; the memory must stay until done(). Any thread may call them.
    virtual std::unique_ptr<Message> send(const void* bytes, std::size_t count, int to,
                                          Tag tag) = 0;
    virtual std::unique_ptr<Message> receive(void* bytes, std::size_t count, int from, Tag tag) = 0;
    // The bytes of a message of this tag that has come and is not received; -1: none has.
    virtual std::int64_t waiting(int from, Tag tag) = 0;

    // Seconds without a sign of the others after which a wait ends with an error.
    double patience = 300;
};

// Another rank gave up, for this reason.
struct RankFailure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// A wait for others, with pauses. They throw RankFailure, or std::runtime_error when the wait takes longer
// than `patience`.
class RankWait {
  public:
    explicit RankWait(Ranks& ranks);
    // Between two questions: yields, or sleeps for `microseconds`.
    void pause(int microseconds = 0);

  private:
    Ranks& ranks_;
    std::int64_t begun_; // ns
    int pauses_ = 0;
};

void wait_for(Ranks& ranks, Ranks::Message& message);
void send_now(Ranks& ranks, std::span<const std::byte> bytes, int to, Tag tag);
std::vector<std::byte> receive_now(Ranks& ranks, int from, Tag tag);
// A text as what is sent, and what was received as a text.
std::span<const std::byte> bytes_of(std::string_view text);
std::string text_of(std::span<const std::byte> bytes);

// What each rank holds, in order, on rank 0; nothing elsewhere. Without ranks: what it was given.
std::vector<std::vector<float>> gather_on_first(Ranks* ranks, const std::vector<float>& values);

// Tells all others why this one gives up.
void tell_failure(Ranks& ranks, const std::string& reason);

} // namespace patchforge
