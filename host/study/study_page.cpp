#include "host/study/study_page.h"

#include "data/atomic_file.h"
#include "host/files/json.h"
#include "host/numerics/philox_sequence.h"
#include "host/page/base64.h"
#include "host/page/page_style.h"
#include "host/study/study_script.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>

namespace patchforge {
namespace {

void check(std::span<const PngBytes> pictures, const char* kind, std::int64_t count) {
    if (static_cast<std::int64_t>(pictures.size()) < count) {
        throw std::invalid_argument(
            fmt::format("--count: {} patches a part need {} {} patches and there are {}; give more "
                        "patches or a smaller count",
                        count, count, kind, pictures.size()));
    }
    static constexpr std::array<std::uint8_t, 8> signature{0x89, 'P',  'N', 'G',
                                                           '\r', '\n', 26,  '\n'};
    for (const PngBytes& picture : pictures) {
        if (picture.size() < signature.size() ||
            !std::equal(signature.begin(), signature.end(), picture.begin())) {
            throw std::invalid_argument(
                fmt::format("{} patches: one is not a PNG file; encode them as PNG", kind));
        }
    }
}

std::string escape_html(std::string_view text) {
    std::string escaped;
    for (const char c : text) {
        switch (c) {
        case '&':
            escaped += "&amp;";
            break;
        case '<':
            escaped += "&lt;";
            break;
        case '>':
            escaped += "&gt;";
            break;
        case '"':
            escaped += "&quot;";
            break;
        default:
            escaped += c;
        }
    }
    return escaped;
}

// A random byte with an odd number of set bits for a generated picture, even for a real one.
std::uint8_t key_byte(bool generated, PhiloxSequence& random) {
    const auto byte = static_cast<std::uint8_t>(random.bits());
    const bool odd = std::popcount(byte) % 2 == 1;
    return odd == generated ? byte : byte ^ 1;
}

struct Card {
    const PngBytes* picture;
    bool generated;
};

std::string study_data(std::span<const PngBytes> real, std::span<const PngBytes> generated,
                       const StudyOptions& options) {
    PhiloxSequence random(options.seed);
    const std::int64_t count = options.count;
    const auto chosen_real = random.sample(real.size(), count);
    const auto chosen_generated = random.sample(generated.size(), count);
    Json data{{"title", options.title},
              {"seed", options.seed},
              {"exposure", 250},
              {"parts", Json::array()}};
    for (const bool timed : {true, false}) {
        std::vector<Card> cards;
        const std::int64_t first = timed ? 0 : count / 2;
        for (std::int64_t i = first; i < first + count / 2; ++i) {
            cards.push_back({&real[chosen_real[i]], false});
            cards.push_back({&generated[chosen_generated[i]], true});
        }
        Json pictures = Json::array();
        std::vector<std::uint8_t> key;
        for (const std::int64_t index : random.sample(count, count)) {
            pictures.push_back(base64(*cards[index].picture));
            key.push_back(key_byte(cards[index].generated, random));
        }
        data["parts"].push_back({{"arm", timed ? "timed" : "untimed"},
                                 {"key", base64(key)},
                                 {"pictures", std::move(pictures)}});
    }
    // "<" only stands in the title's text; written as an escape it cannot end the script element.
    std::string text = data.dump();
    for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos;) {
        text.replace(at, 1, "\\u003c");
    }
    return text;
}

} // namespace

std::string study_page(std::span<const PngBytes> real, std::span<const PngBytes> generated,
                       const StudyOptions& options) {
    if (options.count < 2 || options.count % 2 != 0) {
        throw std::invalid_argument(
            fmt::format("--count: {} patches a part cannot be half real, half generated; give an "
                        "even number from 2",
                        options.count));
    }
    check(real, "real", options.count);
    check(generated, "generated", options.count);
    const std::string title = escape_html(options.title);
    std::string page = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                       "<link rel=\"icon\" href=\"data:,\">\n<title>";
    page += title + "</title>\n<style>" + page_style + study_style + "</style>\n</head>\n<body>\n";
    page += "<main>\n<h1>" + title + "</h1>\n" + study_body + "</main>\n";
    page += "<script type=\"application/json\" id=\"study-data\">";
    page += study_data(real, generated, options);
    page += "</script>\n<script>" + std::string(study_script) + "</script>\n</body>\n</html>\n";
    return page;
}

void write_study_page(const std::filesystem::path& out, std::span<const PngBytes> real,
                      std::span<const PngBytes> generated, const StudyOptions& options) {
    write_file_atomically(out, study_page(real, generated, options));
}

} // namespace patchforge
