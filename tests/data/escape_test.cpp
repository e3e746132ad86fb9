#include "data/escape.h"

#include <gtest/gtest.h>

namespace patchforge {
namespace {

TEST(Escape, BytesThatAreNotUtf8AreWrittenOut) {
    EXPECT_EQ(utf8_text("Gewebe ä 細胞"), "Gewebe ä 細胞");
    EXPECT_EQ(utf8_text("caf\xe9!"), "caf\\xE9!");
    EXPECT_EQ(utf8_text("\xc3"), "\\xC3");
    EXPECT_EQ(utf8_text("\xed\xa0\x80"), "\\xED\\xA0\\x80"); // a surrogate
    EXPECT_EQ(utf8_text("\xc0\xaf"), "\\xC0\\xAF");          // an overlong slash
    EXPECT_EQ(utf8_text("\xf4\x90\x80\x80"), "\\xF4\\x90\\x80\\x80");
    EXPECT_EQ(utf8_text(utf8_text("caf\xe9")), utf8_text("caf\xe9"));
}

TEST(Escape, ANameMovesNoCursorAndBeginsNoLine) {
    EXPECT_EQ(terminal_text("a\nb\tc"), "a\\nb\\tc");
    EXPECT_EQ(terminal_text("\x1b[31mred\x7f\r"), "\\x1B[31mred\\x7F\\x0D");
    EXPECT_EQ(terminal_text("\xc2\x9b"
                            "31m \xc2\xa0 \xc3\x9b"),
              "\\x9B31m \xc2\xa0 \xc3\x9b");
    EXPECT_EQ(terminal_text("caf\xe9 ä"), "caf\\xE9 ä");
}

TEST(Escape, FieldsOfTables) {
    EXPECT_EQ(csv_field("plain name"), "plain name");
    EXPECT_EQ(csv_field("a,b"), "\"a,b\"");
    EXPECT_EQ(csv_field("say \"x\""), "\"say \"\"x\"\"\"");
    EXPECT_EQ(csv_field("two\nlines"), "\"two\nlines\"");
    EXPECT_EQ(csv_field("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
    EXPECT_EQ(csv_field("-1+2"), "'-1+2");
    EXPECT_EQ(csv_field("\xff"), "\\xFF");
    EXPECT_EQ(csv_field("\x1b[31m"), "\\x1B[31m");
    EXPECT_EQ(quoted_csv_field("plain"), "\"plain\"");
    EXPECT_EQ(quoted_csv_field("=1 \"x\""), "\"'=1 \"\"x\"\"\"");
}

} // namespace
} // namespace patchforge
