#include "data/labels_file.h"

#include "tests/data/folder_fixture.h"

namespace patchforge {
namespace {

std::string label_of(LabelsFile& table, const std::string& picture) {
    const LabelsFile::Row* row = table.find(picture);
    return row ? row->label + (row->patient.empty() ? "" : " of " + row->patient) : "none";
}

TEST(LabelsFile, WithAndWithoutAHeaderAndInEverySeparator) {
    for (const char* text :
         {"file,label,patient\na.png,cat,p1\n\"b, c.png\",dog,p2\n",
          "\xEF\xBB\xBFpatient_id;class;Image\r\np1;cat;a.png\r\np2;dog;b, c.png\r\n",
          "a.png\tcat\tp1\nb, c.png\tdog\tp2",
          "id,other,target,case\na,?,cat,p1\n\"b, c\",?,dog,p2\n"}) {
        LabelsFile table(text, "t.csv");
        EXPECT_EQ(table.size(), 2u) << text;
        EXPECT_TRUE(table.knows_patients());
        EXPECT_EQ(label_of(table, "deep/er/a.png"), "cat of p1") << text;
        EXPECT_EQ(label_of(table, "b, c.png"), "dog of p2") << text;
        EXPECT_EQ(label_of(table, "ab.png"), "none");
    }
}

TEST(LabelsFile, PathsCountMoreThanNames) {
    LabelsFile table("x/1.png,a\n./y/1.png,b\n2.png,c\nz/1.png,d\n", "t.csv");
    EXPECT_FALSE(table.knows_patients());
    EXPECT_EQ(label_of(table, "x/1.png"), "a");
    EXPECT_EQ(label_of(table, "y/1.png"), "b");
    EXPECT_EQ(label_of(table, "q/2.png"), "c");
    EXPECT_EQ(table.unused(), std::vector<std::string>{"z/1.png"});
    EXPECT_NE(error_of([&] { table.find("r/2.png"); }).find("may be q/2.png or r/2.png"),
              std::string::npos);
}

TEST(LabelsFile, FaultsAreNamedWithTheirLine) {
    const auto fault = [](const std::string& text) {
        return error_of([&] { LabelsFile(text, "t.csv"); });
    };
    EXPECT_EQ(fault("a.png,1\na.png,1\n"), "");
    EXPECT_TRUE(fault("a.png,1\nb.png,\n").starts_with("t.csv, line 2: "));
    EXPECT_TRUE(fault("a.png,1\n\n\"b\n.png\",2\na.png,2\n").starts_with("t.csv, line 5: "));
    EXPECT_NE(fault("label,weight\n1,2\n").find("'file'"), std::string::npos);
    EXPECT_NE(fault("image,MEL,NV\na,0,1\n").find("'label'"), std::string::npos);
    EXPECT_NE(fault("file,label\n"), "");
    EXPECT_NE(fault(""), "");
    EXPECT_NE(fault(std::string("a,1\0", 4)), "");
}

TEST(LabelsFile, ClassesAreOrderedByValueWhereTheyAreNumbers) {
    using Names = std::vector<std::string>;
    EXPECT_EQ(in_class_order({"10", "9", "10", "-1"}), (Names{"-1", "9", "10"}));
    EXPECT_EQ(in_class_order({"10", "9", "x"}), (Names{"10", "9", "x"}));
}

} // namespace
} // namespace patchforge
