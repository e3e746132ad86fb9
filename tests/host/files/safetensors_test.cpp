#include "host/files/safetensors.h"
#include "host/files/tensor_facts.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "tests/host/temporary_folder.h"

namespace patchforge {
namespace {

std::vector<std::byte> file_of(const std::string& header, const std::string& data) {
    std::vector<std::byte> bytes(8 + header.size() + data.size());
    const std::uint64_t length = header.size();
    std::memcpy(bytes.data(), &length, 8);
    std::memcpy(bytes.data() + 8, header.data(), header.size());
    std::memcpy(bytes.data() + 8 + header.size(), data.data(), data.size());
    return bytes;
}

std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string fault_of(const std::vector<std::byte>& bytes) {
    try {
        decode_safetensors(bytes, "weights.safetensors");
    } catch (const std::runtime_error& error) {
        return error.what();
    }
    return "accepted";
}

// Without the entry of its checksum.
std::string bare(const std::vector<std::byte>& bytes) {
    std::string header = text_of(bytes).substr(8), data;
    std::uint64_t length = 0;
    std::memcpy(&length, bytes.data(), 8);
    data = header.substr(length);
    header.resize(length);
    header.erase(header.find_last_not_of(' ') + 1);
    const std::size_t begin = header.find("\"__metadata__\"");
    const std::size_t end = header.find('}', begin) + 1;
    header.erase(begin, end - begin + (header[end] == ',' ? 1 : 0));
    header.resize((header.size() + 7) / 8 * 8, ' ');
    return text_of(file_of(header, data));
}

// The bytes that the reference implementation's own test demands for this tensor.
TEST(Safetensors, WritesTheReferenceBytes) {
    const float values[6] = {0, 1, 2, 3, 4, 5};
    const unsigned char expected[] = {
        64, 0,  0,   0,   0,   0,   0,   0,   123, 34,  97,  116, 116, 110, 46,  48,
        34, 58, 123, 34,  100, 116, 121, 112, 101, 34,  58,  34,  70,  51,  50,  34,
        44, 34, 115, 104, 97,  112, 101, 34,  58,  91,  49,  44,  50,  44,  51,  93,
        44, 34, 100, 97,  116, 97,  95,  111, 102, 102, 115, 101, 116, 115, 34,  58,
        91, 48, 44,  50,  52,  93,  125, 125, 0,   0,   0,   0,   0,   0,   128, 63,
        0,  0,  0,   64,  0,   0,   64,  64,  0,   0,   128, 64,  0,   0,   160, 64};
    const auto bytes = encode_safetensors({make_f32("attn.0", {1, 2, 3}, values)});
    EXPECT_EQ(bare(bytes), std::string(reinterpret_cast<const char*>(expected), sizeof expected));
    EXPECT_EQ(bare(encode_safetensors({})), std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
}

TEST(Safetensors, OrdersByTypeThenNameAndPadsTheHeader) {
    const float one = 1;
    const std::uint64_t number = 7;
    const std::vector<Tensor> tensors = {{"flag", "BOOL", {1}, {std::byte{1}}},
                                         make_f32("b", {1}, &one),
                                         make_f32("a", {1}, &one),
                                         make_u64("z", {}, &number)};
    const auto bytes = encode_safetensors(tensors, {{"k", "v"}});
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    EXPECT_EQ(header % 8, 0u);
    const std::string begin = text_of(bytes).substr(8, 160);
    EXPECT_EQ(begin.find("{\"__metadata__\":{\"k\":\"v\",\"crc32\":\""), 0u) << begin;
    EXPECT_EQ(begin.find("\"},\"z\":{"), 42u) << begin;
    const TensorFile file = decode_safetensors(bytes, "x");
    ASSERT_EQ(file.tensors.size(), 4u);
    EXPECT_EQ(file.tensors[0].name, "z");
    EXPECT_EQ(file.tensors[1].name, "a");
    EXPECT_EQ(file.tensors[2].name, "b");
    EXPECT_EQ(file.tensors[3].name, "flag");
    EXPECT_TRUE(file.tensors[0].shape.empty());
    EXPECT_EQ(file.metadata.at("k"), "v");
    EXPECT_EQ(encode_safetensors({tensors[3], tensors[2], tensors[1], tensors[0]}, {{"k", "v"}}),
              bytes);
}

// One flipped bit, wherever it lies. In the name of the entry itself it takes the checksum away: nothing else is damaged.
TEST(Safetensors, EveryFlippedBitIsNoticed) {
    const std::vector<float> values = {1, 2, 3, 4, 5};
    const std::uint64_t step = 1;
    const auto sound = encode_safetensors(
        {make_f32("0.weight", {5}, values.data()), make_u64("step", {}, &step)}, {{"k", "\"v\""}});
    EXPECT_FALSE(decode_safetensors(sound, "x").metadata.contains("crc32")); // ours, not the user's
    const std::size_t key = text_of(sound).find("crc32");
    int unnoticed = 0;
    for (std::size_t bit = 0; bit < 8 * sound.size(); ++bit) {
        auto damaged = sound;
        damaged[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
        try {
            decode_safetensors(damaged, "x");
            EXPECT_TRUE(bit / 8 >= key && bit / 8 < key + 5) << bit;
            ++unnoticed;
        } catch (const std::runtime_error& error) {
            EXPECT_NE(std::string(error.what()).find("x: "), std::string::npos) << error.what();
        }
    }
    EXPECT_GT(unnoticed, 0);
    auto cut = sound;
    cut.resize(sound.size() - 1);
    EXPECT_THROW(decode_safetensors(cut, "x"), std::runtime_error);
}

// What earlier versions wrote, and other programs write.
TEST(Safetensors, NoChecksumIsNoFault) {
    EXPECT_EQ(decode_safetensors(
                  file_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "z"), "x")
                  .tensors.size(),
              1u);
}

TEST(TensorFacts, AreBoundedBeforeTheyAreUsed) {
    const std::uint64_t numbers[] = {7, 8};
    TensorFile file{"f",
                    {make_u64("one", {}, numbers), make_u64("none", {0}, numbers),
                     make_u64("two", {2}, numbers)},
                    {{"width", "50"},
                     {"zero", "0"},
                     {"many", "65536"},
                     {"words", "50px"},
                     {"huge", "99999999999999999999"},
                     {"classes", names_entry({"a\nb", "\xFF"})},
                     {"lines", "a\nb"},
                     {"torn", "[\"a\""},
                     {"numbers", "[1]"}}};
    EXPECT_EQ(scalar_u64(file, "one"), 7u);
    EXPECT_EQ(metadata_extent(file, "width"), 50);
    EXPECT_EQ(metadata_extent(file, "absent"), std::nullopt);
    EXPECT_EQ(names_of(file, "classes"), (std::vector<std::string>{"a\nb", "\\xFF"}));
    EXPECT_EQ(names_of(file, "lines"), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(names_of(file, "absent"), std::nullopt);
    for (const char* tensor : {"none", "two", "absent"}) {
        EXPECT_THROW(scalar_u64(file, tensor), std::runtime_error) << tensor;
    }
    for (const char* key : {"zero", "many", "words", "huge"}) {
        EXPECT_THROW(metadata_extent(file, key), std::runtime_error) << key;
    }
    for (const char* key : {"torn", "numbers"}) {
        EXPECT_THROW(names_of(file, key), std::runtime_error) << key;
    }
}

// Every type of number, in its own bits: the largest finite one passes, infinity and NaN do not.
TEST(Safetensors, ReadsFiniteNumbersAlone) {
    const TemporaryFolder folder;
    struct Type {
        const char* name;
        std::size_t bytes;
        std::uint64_t largest, infinity, nan;
    };
    for (const Type& type :
         {Type{"F16", 2, 0x7BFF, 0xFC00, 0x7E01}, Type{"BF16", 2, 0x7F7F, 0xFF80, 0x7F81},
          Type{"F32", 4, 0x7F7FFFFF, 0xFF800000, 0x7FC00000},
          Type{"F64", 8, 0x7FEFFFFFFFFFFFFF, 0xFFF0000000000000, 0x7FF0000000000001}}) {
        for (const std::uint64_t bits : {type.largest, type.infinity, type.nan}) {
            SCOPED_TRACE(testing::Message() << type.name << ' ' << std::hex << bits);
            Tensor tensor{"0.weight", type.name, {1, 3}, std::vector<std::byte>(3 * type.bytes)};
            std::memcpy(tensor.bytes.data() + 2 * type.bytes, &bits, type.bytes);
            const float one = 1;
            write_safetensors(folder / "w.safetensors", {tensor, make_f32("0.bias", {1}, &one)});
            std::string fault;
            try {
                read_safetensors(folder / "w.safetensors");
            } catch (const std::runtime_error& error) {
                fault = error.what();
            }
            if (bits == type.largest) {
                EXPECT_EQ(fault, "");
            } else {
                EXPECT_NE(fault.find("w.safetensors: the tensor '0.weight' is not finite at "
                                     "element 2; "),
                          std::string::npos)
                    << fault;
            }
        }
    }
    // Whole numbers have all bits to themselves.
    const std::int64_t whole = -1;
    write_safetensors(folder / "n.safetensors", {make_i64("n", {1}, &whole)});
    EXPECT_EQ(i64(read_safetensors(folder / "n.safetensors").at("n"))[0], -1);
}

TEST(Safetensors, RoundTripsThroughAFile) {
    const TemporaryFolder folder;
    const std::vector<float> values = {1.5F, -0.0F, 3e-39F, 1e38F, 0, 6};
    const std::int64_t signed_number = -3;
    write_safetensors(folder / "w.safetensors", {make_f32("0.weight", {2, 3}, values.data()),
                                                 make_i64("n", {1}, &signed_number)});
    const TensorFile file = read_safetensors(folder / "w.safetensors");
    const Tensor& weight = file.at("0.weight");
    EXPECT_EQ(weight.shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(weight.size(), 6);
    EXPECT_EQ(std::memcmp(f32(weight).data(), values.data(), 24), 0);
    EXPECT_EQ(i64(file.at("n"))[0], -3);
    EXPECT_THROW(f32(file.at("n")), std::runtime_error);
    try {
        file.at("2.weight");
        FAIL();
    } catch (const std::runtime_error& error) {
        const std::string text = error.what();
        EXPECT_NE(text.find("w.safetensors"), std::string::npos) << text;
        EXPECT_NE(text.find("0.weight"), std::string::npos) << text;
    }
}

// What people give for weights is called what it is, with what to do.
TEST(Safetensors, NamesOtherFiles) {
    const auto said = [](std::string text) {
        text.resize(64, ' ');
        const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
        return fault_of({bytes, bytes + text.size()});
    };
    const std::string zip("PK\x03\x04", 4);
    const std::string name_follows(26, ' ');
    EXPECT_NE(said(zip + name_follows + "archive/data.pkl").find("a pickle"), std::string::npos);
    EXPECT_NE(said(zip + name_follows + "archive/data.pkl").find("save_file"), std::string::npos);
    EXPECT_NE(said("\x80\x02\x8a\x0a").find("a pickle"), std::string::npos);
    EXPECT_NE(said(zip + name_follows + "x.npy").find("a zip archive"), std::string::npos);
    EXPECT_NE(said("\x89HDF\r\n\x1a\n").find("an HDF5 file"), std::string::npos);
    EXPECT_NE(said("\x89PFS\r\n\x1a\n").find("a packed set"), std::string::npos);
}

// The length of a header may have the bytes that another format begins with: 0x0280 to 0x0580 those of a
// pickle.
TEST(Safetensors, HeadersOfEveryLengthAreRead) {
    int like_pickles = 0;
    for (std::size_t padding = 0; padding < 1500; ++padding) {
        const std::vector<std::byte> bytes =
            encode_safetensors({}, {{"note", std::string(padding, 'x')}});
        like_pickles += bytes[0] == std::byte{0x80} && bytes[1] >= std::byte{2};
        EXPECT_EQ(fault_of(bytes), "accepted") << padding;
    }
    EXPECT_GT(like_pickles, 0);
}

TEST(Safetensors, RefusesWhatIsMalformed) {
    const auto tensor = [](const std::string& body) { return "{\"a\":{" + body + "}}"; };
    const std::string good = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
    const std::string data(8, 'x');
    EXPECT_EQ(fault_of(file_of(tensor(good), data)), "accepted");
    EXPECT_EQ(fault_of(file_of(tensor(good) + "   ", data)), "accepted");

    const struct {
        std::vector<std::byte> bytes;
        const char* reason;
    } cases[] = {
        {{}, "too few"},
        {std::vector<std::byte>(7), "too few"},
        {std::vector<std::byte>(8, std::byte{0xFF}), "over the limit"},
        {std::vector<std::byte>(8), "begin with '{'"},
        {std::vector<std::byte>{std::byte{9}, {}, {}, {}, {}, {}, {}, {}}, "inside the header"},
        {file_of(" {}", ""), "begin with '{'"},
        {file_of("[]", ""), "begin with '{'"},
        {file_of("{", ""), "not valid JSON"},
        {file_of("{} x", ""), "not valid JSON"},
        {file_of("{\"\xFF\":1}", ""), "not valid JSON"},
        {file_of(tensor(good), data + "y"), "belong to no tensor"},
        {file_of(tensor(good), "1234567"), "file ends before"},
        {file_of(tensor(R"("dtype":"F31","shape":[2],"data_offsets":[0,8])"), data),
         "unknown dtype"},
        {file_of(tensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"), data),
         "does not fill"},
        {file_of(tensor(R"("dtype":"F32","shape":[-2],"data_offsets":[0,8])"), data),
         "whole number"},
        {file_of(tensor(R"("dtype":"F32","shape":[2.0],"data_offsets":[0,8])"), data),
         "whole number"},
        {file_of(tensor(R"("dtype":"F32","shape":2,"data_offsets":[0,8])"), data), "lists"},
        {file_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"), data),
         "does not fill"},
        {file_of(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,8,9])"), data), "lists"},
        {file_of(tensor(R"("dtype":"F32","shape":[2])"), data), "needs exactly"},
        {file_of(tensor(good + R"(,"extra":1)"), data), "needs exactly"},
        {file_of(tensor(R"("dtype":"F32","shape":[4611686018427387904,4611686018427387904],)"
                        R"("data_offsets":[0,8])"),
                 data),
         "has an extent of"},
        {file_of(tensor(R"("dtype":"F32","shape":[2147483647,0,2147483648],"data_offsets":[0,0])"),
                 ""),
         "has an extent of"},
        {file_of(tensor(R"("dtype":"F32","shape":[2147483647,2147483647,2147483647],)"
                        R"("data_offsets":[0,8])"),
                 data),
         "does not fill"},
        {file_of(tensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8])"),
                 data),
         "whole number"},
        {file_of("{\"a\":{" + good + "},\"a\":{" + good + "}}", data), "stands twice"},
        {file_of(tensor(good + R"(,"dtype":"F32")"), data), "stands twice"},
        {file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})",
                 "1234567"),
         "an overlap"},
        {file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})",
                 data),
         "a hole"},
        {file_of(R"({"__metadata__":{"a":1}})", ""), "not a text"},
        {file_of(R"({"__metadata__":[]})", ""), "not an object"},
        {file_of("{\"a\":" + std::string(64, '[') + std::string(64, ']') + "}", ""), "nested"},
    };
    for (const auto& one : cases) {
        const std::string fault = fault_of(one.bytes);
        EXPECT_NE(fault.find(one.reason), std::string::npos) << one.reason << " / " << fault;
        if (fault != "accepted") {
            EXPECT_EQ(fault.find("weights.safetensors: "), 0u) << fault;
        }
    }
}

TEST(Safetensors, DoesNotWriteWhatItWouldNotRead) {
    const float value = 1;
    const Tensor good = make_f32("a", {1}, &value);
    Tensor longer = good;
    longer.bytes.resize(5);
    Tensor unknown = good;
    unknown.dtype = "F31";
    Tensor reserved = good;
    reserved.name = "__metadata__";
    Tensor negative = good;
    negative.shape = {-1, -1};
    EXPECT_THROW(encode_safetensors({longer}), std::invalid_argument);
    EXPECT_THROW(encode_safetensors({unknown}), std::invalid_argument);
    EXPECT_THROW(encode_safetensors({reserved}), std::invalid_argument);
    EXPECT_THROW(encode_safetensors({negative}), std::invalid_argument);
    EXPECT_THROW(encode_safetensors({good, good}), std::invalid_argument);
    EXPECT_THROW(make_f32("a", {-1}, &value), std::invalid_argument);
}

} // namespace
} // namespace patchforge
