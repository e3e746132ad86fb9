// One HTML page that holds everything it shows: no other file, nothing fetched, readable in light
// and dark, on a phone and in print.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "data/png.h"

namespace patchforge {

// Everything is shown in the order of the calls. All texts are plain: they are escaped here.
class Report {
  public:
    // `summary` stands under the title: what this page is about, in a sentence or two.
    explicit Report(std::string title, std::string summary = "");

    void section(const std::string& heading); // listed at the top of the page
    void subsection(const std::string& heading);
    void paragraph(const std::string& text);
    void note(const std::string& text);               // small and soft
    void verdict(const std::string& text, bool good); // green or red, with a mark
    void code(const std::string& text);               // a command or output, as it is

    // Large numbers with a word each: {"0.693", "generator loss"}.
    void key_figures(const std::vector<std::pair<std::string, std::string>>& figures);
    // Names and values, a dash for an empty one; with a `summary` folded away under it.
    void facts(const std::vector<std::pair<std::string, std::string>>& pairs,
               const std::string& summary = "");
    // Columns that hold only numbers (also as 12.5 %, 3e-4, 0.82 ± 0.01, - or – for none) are
    // right-aligned; those that hold nothing but "-" are left out. What does not fit the screen is
    // scrolled under its caption. Throws std::invalid_argument when a row has not as many cells as
    // there are columns.
    void table(const std::string& caption, const std::vector<std::string>& columns,
               const std::vector<std::vector<std::string>>& rows);

    // What chart_svg or histogram_svg made.
    void chart(const std::string& svg, const std::string& caption);
    // Every pixel drawn as scale x scale, without blur.
    void image(const Image& picture, const std::string& caption, int scale = 1);
    // PNG bytes as they are.
    void png(const std::vector<std::uint8_t>& bytes, int width, int height,
             const std::string& caption, int scale = 1);
    // Side by side as far as there is room.
    void gallery(const std::vector<std::pair<Image, std::string>>& pictures, int scale = 1);

    // Everything that `other` shows, behind what is here.
    void append(const Report& other);

    // A page stays under 5 MB: pictures that would not fit are named instead of shown.
    static constexpr std::size_t picture_budget = 4'500'000;

    std::string html() const;
    // A file that appears whole or not at all.
    void write(const std::filesystem::path& path) const;

  private:
    std::string figure(const std::vector<std::uint8_t>& png, int width, int height,
                       const std::string& caption, int scale);

    std::string title_;
    std::string summary_;
    std::vector<std::string> sections_;
    std::string body_;
    std::size_t picture_bytes_ = 0;
};

std::string base64(const std::vector<std::uint8_t>& bytes);

} // namespace patchforge
