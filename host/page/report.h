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

struct PictureSheet;

enum class Tone { good, bad, neutral };

// Everything is shown in the order of the calls, but for what is said under the title and the
// settings, which come last. All texts are plain: they are escaped here.
class Report {
  public:
    // `summary` stands under the title: what this page is about, in a sentence or two.
    explicit Report(std::string title, std::string summary = "");

    // What came out, in a sentence: under the title and before everything else. A page of several
    // parts shows the sentences of all of them. Empty: nothing.
    void lead(const std::string& text, Tone tone = Tone::neutral);
    // Names and values, folded, at the end of the page under one heading with those of other parts.
    void settings(const std::string& of,
                  const std::vector<std::pair<std::string, std::string>>& pairs);

    void section(const std::string& heading); // listed at the top of the page
    void subsection(const std::string& heading);
    void paragraph(const std::string& text);
    void note(const std::string& text);               // small and soft
    void verdict(const std::string& text, bool good); // green or red, with a mark

    // Large numbers with a word each: {"0.693", "generator loss"}.
    void key_figures(const std::vector<std::pair<std::string, std::string>>& figures);
    // Columns that hold only numbers (also as 12.5 %, 3e-4, 0.82 ± 0.01, - or – for none) are
    // right-aligned; those that hold nothing but dashes are left out. What does not fit is scrolled
    // under its caption, with a shadow where there is more; on a phone a table of a few wide rows
    // becomes cards. Throws std::invalid_argument when a row has not as many cells as there are
    // columns.
    void table(const std::string& caption, const std::vector<std::string>& columns,
               const std::vector<std::vector<std::string>>& rows);

    // What chart_svg or histogram_svg made. Charts that follow each other stand in two columns where
    // there is room.
    void chart(const std::string& svg, const std::string& caption);
    // Every pixel drawn as scale x scale, without blur.
    void image(const Image& picture, const std::string& caption, int scale = 1);
    // PNG bytes as they are.
    void png(const std::vector<std::uint8_t>& bytes, int width, int height,
             const std::string& caption, int scale = 1);
    // Side by side as far as there is room.
    void gallery(const std::vector<std::pair<Image, std::string>>& pictures, int scale = 1);
    // Small, as many in a row as there is room for.
    void strip(const std::vector<std::pair<Image, std::string>>& pictures);
    // Rows of pictures with their names as text. Sheets that have names of columns and follow each
    // other stand in two columns, as charts do.
    void sheet(const PictureSheet& sheet, const std::string& caption);

    // Everything that `other` shows, behind what is here.
    void append(const Report& other);

    // A page stays under 5 MB: pictures that would not fit are named instead of shown.
    static constexpr std::size_t picture_budget = 4'500'000;

    std::string html() const;
    // A file that appears whole or not at all.
    void write(const std::filesystem::path& path) const;

  private:
    struct Settings {
        std::string of;
        std::vector<std::pair<std::string, std::string>> pairs;
    };

    // The element of a picture; empty when the page has no room for it.
    std::string picture(const std::vector<std::uint8_t>& png, int width, int height,
                        const std::string& what, int scale);
    std::string figure(const std::vector<std::uint8_t>& png, int width, int height,
                       const std::string& caption, int scale);
    std::string settings_html() const;

    std::string title_;
    std::string summary_;
    std::vector<std::pair<std::string, Tone>> leads_;
    std::vector<std::string> sections_;
    std::vector<Settings> settings_;
    std::string body_;
    std::size_t picture_bytes_ = 0;
};

} // namespace patchforge
