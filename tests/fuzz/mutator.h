#pragma once

#include "data/random_sequence.h"

#include <cstdint>
#include <cstdio>
#include <exception>
#include <functional>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

/// A seeded mutator for file readers. A reader may accept an input or throw std::runtime_error or
/// std::invalid_argument; anything else is a defect: another exception, a crash, a hang, or what
/// the sanitizers report. The same seed gives the same inputs.
namespace patchforge {

using FuzzBytes = std::vector<std::uint8_t>;

inline FuzzBytes fuzz_bytes(std::string_view text) {
    return {text.begin(), text.end()};
}

struct FuzzTarget {
    std::string name;
    std::vector<FuzzBytes> corpus;    ///< sound files to start from
    std::vector<FuzzBytes> damaged{}; ///< others, of faults that few changes would not bring about
    std::function<void(const FuzzBytes&)> read;
    /// Makes checksums right again, so that damage gets past them; may be empty.
    std::function<void(FuzzBytes&)> mend;
    bool takes_most = false; ///< most damage makes another sound input
};

/// One mutated input: 1 to 6 changes to a sound file, mostly few.
inline FuzzBytes mutate(const FuzzTarget& target, RandomSequence& random) {
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random.bits() % n); };
    const auto pick = [&]() -> const FuzzBytes& {
        const std::size_t one = below(target.corpus.size() + target.damaged.size());
        return one < target.corpus.size() ? target.corpus[one]
                                          : target.damaged[one - target.corpus.size()];
    };
    FuzzBytes bytes = pick();
    for (std::size_t changes = 1 + below(1 + below(6)); changes > 0; --changes) {
        if (bytes.empty()) {
            bytes = pick();
        }
        // Half of the changes go to the first 256 bytes: headers decide most.
        const std::size_t reach =
            below(2) ? std::min<std::size_t>(256, bytes.size()) : bytes.size();
        const std::size_t at = below(reach);
        const std::size_t run = std::min(bytes.size() - at, 1 + below(64));
        switch (below(9)) {
        case 0:
            bytes[at] ^= static_cast<std::uint8_t>(1u << below(8));
            break;
        case 1:
            bytes[at] = static_cast<std::uint8_t>(random.bits());
            break;
        case 2: { // a number at the limits, in either byte order
            constexpr std::uint64_t numbers[] = {0,          1,          0x7f,       0x80,
                                                 0xff,       0x7fff,     0x8000,     0xffff,
                                                 0x7fffffff, 0x80000000, 0xffffffff, 0x3fffffff,
                                                 ~0ull,      ~0ull >> 1, 1ull << 40, ~0ull - 7};
            const std::uint64_t number = numbers[below(std::size(numbers))];
            const std::size_t width = std::size_t{1} << below(4);
            const bool big = below(2);
            for (std::size_t b = 0; b < width && at + b < bytes.size(); ++b) {
                const std::size_t shift = 8 * (big ? width - 1 - b : b);
                bytes[at + b] = static_cast<std::uint8_t>(number >> shift);
            }
            break;
        }
        case 3:
            bytes.resize(at);
            break;
        case 4:
            bytes.erase(bytes.begin() + at, bytes.begin() + at + run);
            break;
        case 5: {
            const FuzzBytes copy(bytes.begin() + at, bytes.begin() + at + run);
            bytes.insert(bytes.begin() + below(bytes.size()), copy.begin(), copy.end());
            break;
        }
        case 6:
            bytes.insert(bytes.begin() + at, run, static_cast<std::uint8_t>(random.bits()));
            break;
        case 7: { // the end of another sound file
            const FuzzBytes& other = pick();
            const std::size_t from = below(other.size());
            bytes.resize(at);
            bytes.insert(bytes.end(), other.begin() + from, other.end());
            break;
        }
        default:
            bytes[at] = static_cast<std::uint8_t>(bytes[at] + (below(2) ? 1 : 255));
        }
    }
    if (target.mend && below(4) != 0) {
        target.mend(bytes);
    }
    return bytes;
}

struct FuzzResult {
    std::int64_t accepted = 0;
    std::int64_t refused = 0;
    std::string defect; ///< empty when there was none
};

/// For readers that are asked more than one thing of an input: what one refuses does not keep it from the others.
template <class F>
bool accepted(F read) {
    try {
        read();
        return true;
    } catch (const std::runtime_error&) {
    } catch (const std::invalid_argument&) {
    }
    return false;
}

/// The sound and the damaged files as they are, then `count` mutated inputs. Stops at the first defect and leaves
/// the input in `defect_file`.
inline FuzzResult run_fuzz(const FuzzTarget& target, std::int64_t count, std::uint64_t seed,
                           const std::string& defect_file) {
    FuzzResult result;
    std::vector<FuzzBytes> unchanged = target.corpus;
    unchanged.insert(unchanged.end(), target.damaged.begin(), target.damaged.end());
    for (std::int64_t i = -std::ssize(unchanged); i < count; ++i) {
        RandomSequence random(mix_bits(seed) + static_cast<std::uint64_t>(i));
        const FuzzBytes bytes = i < 0
                                    ? unchanged[static_cast<std::size_t>(i + std::ssize(unchanged))]
                                    : mutate(target, random);
        std::string escaped;
        try {
            target.read(bytes);
            ++result.accepted;
        } catch (const std::runtime_error&) {
            ++result.refused;
        } catch (const std::invalid_argument&) {
            ++result.refused;
        } catch (const std::exception& error) {
            escaped = error.what();
        }
        if (!escaped.empty()) {
            result.defect = target.name + " reader, seed " + std::to_string(seed) + ", input " +
                            std::to_string(i) + ": threw " + escaped;
            if (std::FILE* file = std::fopen(defect_file.c_str(), "wb")) {
                std::fwrite(bytes.data(), 1, bytes.size(), file);
                std::fclose(file);
            }
            break;
        }
    }
    return result;
}

/// The main of a fuzz program: [count of inputs for each target] [seed].
inline int fuzz_main(int argc, char** argv, const std::vector<FuzzTarget>& targets) {
    const std::int64_t count = argc > 1 ? std::atoll(argv[1]) : 100000;
    const std::uint64_t seed = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
    for (const FuzzTarget& target : targets) {
        const FuzzResult result = run_fuzz(target, count, seed, "fuzz-defect.bin");
        if (!result.defect.empty()) {
            std::printf("%s; the input is in fuzz-defect.bin\n", result.defect.c_str());
            return 1;
        }
        std::printf("%-12s %lld inputs with seed %llu: %lld accepted, %lld refused, no defect\n",
                    target.name.c_str(), static_cast<long long>(count),
                    static_cast<unsigned long long>(seed), static_cast<long long>(result.accepted),
                    static_cast<long long>(result.refused));
        std::fflush(stdout);
    }
    return 0;
}

} // namespace patchforge
