// The grammar of networks (docs/formats.md): round trips, counting, refusals.
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "host/network/layer_facts.h"
#include "host/network/named_networks.h"

namespace patchforge {
namespace {

// Every kind of layer and every word, on pictures of many sizes.
const std::vector<std::string> texts = {
    "64>256 relu @0; 256>7500 tanh @2",
    "100>256 leaky_relu slope=0.2 dropout=0.3 norm=batch @0; 256>1 sigmoid @4",
    "21>19 leaky_relu slope=0.1 norm=virtual:4 closeness=6x3 fixed @0; 25>1 identity @4",
    "3x8x8; conv 3>4 k3 init=0.02 closeness=2x3 nobias as=a @0; 146>3 as=b; 146>3 from=a; add b",
    "3x50x50; conv 3>16 k3 p1 relu norm=batch nobias @0; pool max k2; 10000>2 identity @5",
    "3x49x49; conv 3>8 k4 s2 p1 d1; transposed 8>8 k4 s2 p1 o1; conv 8>8 k3 d2 as=a; pool average "
    "k3 s2 p1 ceil; pool global; "
    "8>2",
    "3x48x48; depthwise k3 s2 p1 norm=instance leaky_relu; pool adaptive n6; pool sum; 3>4 tanh",
    "1x28x28; reflect 3; conv 1>4 k7 norm=group:2 sigmoid; bilinear; crop 50; nearest crop; "
    "shuffle 2; "
    "39204>1",
    "3x32x32; conv 3>8 k3 p1 relu as=skip; conv 8>8 k3 p1; add skip relu; concat skip; conv 16>1 "
    "k32",
    "3x96x96; pad 2; conv 3>4 k5 s2 as=half; transposed 4>3 k4 s2 p1; add input; concat input; "
    "conv 6>4 k4 s2 p1; concat half; conv 8>4 k1 as=a; conv 4>4 k1 as=b; add half from=a; add b",
    "16x1x1; conv 16>8 k1 relu; view 2x2x2; upsampled 2>3 crop; 27>2",
    "12x1x1; view 3x2x2; crop 1; concat input; 15>2",
    "3x9x12; crop 7x10; 210>1",
    "64>3136 relu; view 64x7x7; transposed 64>32 k4 s2 p1 relu; upsampled 32>3 tanh",
};

std::string refusal(const std::string& text) {
    try {
        network_shape_from_description(text);
    } catch (const std::runtime_error& error) { // anything else is a crash
        return error.what();
    }
    return "";
}

TEST(NetworkText, ComesBack) {
    for (std::string text : texts) {
        if (refusal(text).empty()) {
            const NetworkShape shape = network_shape_from_description(text);
            const std::string described = describe(shape);
            const NetworkShape again = network_shape_from_description(described);
            EXPECT_EQ(describe(again), described) << text;
            ASSERT_EQ(again.layers.size(), shape.layers.size());
            for (std::size_t l = 0; l < shape.layers.size(); ++l) {
                EXPECT_EQ(again.layers[l].out(), shape.layers[l].out()) << described;
                EXPECT_EQ(again.layers[l].weight_shape(), shape.layers[l].weight_shape());
                EXPECT_EQ(again.sources(static_cast<std::int64_t>(l)),
                          shape.sources(static_cast<std::int64_t>(l)));
            }
        } else {
            ADD_FAILURE() << refusal(text);
        }
    }
    // What is complete already is said again word by word.
    for (const std::size_t complete : {0u, 1u, 2u}) {
        EXPECT_EQ(describe(network_shape_from_description(texts[complete])), texts[complete]);
    }
}

// The page that specifies the text: its examples are networks.
TEST(NetworkText, ExamplesOfThePage) {
    std::ifstream page("docs/formats.md");
    ASSERT_TRUE(page) << "run from the root of the repository";
    int examples = 0;
    bool inside = false;
    for (std::string line; std::getline(page, line);) {
        inside = line.starts_with("### ") ? line == "### The text of a network" : inside;
        if (inside && line.starts_with("    ")) {
            EXPECT_EQ(refusal(line.substr(4)), "");
            ++examples;
        }
    }
    EXPECT_EQ(examples, 6);
}

TEST(NetworkText, CountsAsSequentialDoes) {
    const auto counted = [](const std::string& text) {
        return describe(network_shape_from_description(text));
    };
    EXPECT_EQ(counted("3>4 relu; 4>2"), "3>4 relu @0; 4>2 identity @2");
    EXPECT_EQ(counted("3>4 relu dropout=0.5; 4>2"), "3>4 relu dropout=0.5 @0; 4>2 identity @3");
    // Conv2d 0, BatchNorm2d 1, ReLU 2, MaxPool2d 3, Conv2d 4, Flatten 5, Linear 6
    EXPECT_EQ(counted("1x8x8; conv 1>2 k3 p1 norm=batch relu; pool max k2; conv 2>3 k3 p1; 48>2"),
              "1x8x8; conv 1>2 k3 p1 relu norm=batch @0; pool max k2; conv 2>3 k3 p1 @4; "
              "48>2 identity @6");
    // 1x1 maps are flattened, too.
    EXPECT_EQ(counted("1x8x8; conv 1>2 k3 relu; pool global; linear 2>3; linear 3>2"),
              "1x8x8; conv 1>2 k3 relu @0; pool global; 2>3 identity @4; 3>2 identity @5");
    EXPECT_EQ(counted("2x1x1; linear 2>3"), "2>3 identity @1");
    // nn.Sequential has no module for a sum; its normalisation still has a number of its own.
    EXPECT_EQ(counted("1x4x4; conv 1>1 k3 p1 as=a; add input; conv 1>2 k1"),
              "1x4x4; conv 1>1 k3 p1 as=a @0; add input; conv 1>2 k1 @1");
    EXPECT_EQ(counted("1x4x4; conv 1>1 k3 p1; add input norm=batch; conv 1>2 k1"),
              "1x4x4; conv 1>1 k3 p1 @0; add input norm=batch @1; conv 1>2 k1 @3");
    // Noise has the number of its activation or of the next module; weights right behind have the next one.
    EXPECT_EQ(counted("1x4x4; conv 1>1 k1; noise 0.1 relu; conv 1>1 k1"),
              "1x4x4; conv 1>1 k1 @0; noise 0.1 relu @1; conv 1>1 k1 @2");
    EXPECT_EQ(counted("1x4x4; conv 1>1 k1; noise 0.1; pool max k2; conv 1>1 k1"),
              "1x4x4; conv 1>1 k1 @0; noise 0.1 @1; pool max k2; conv 1>1 k1 @2");
    EXPECT_EQ(counted("1x4x4; conv 1>1 k1; noise 0.1; conv 1>1 k1 norm=batch; conv 1>1 k1"),
              "1x4x4; conv 1>1 k1 @0; noise 0.1 @1; conv 1>1 k1 norm=batch @2; conv 1>1 k1 @4");
    EXPECT_EQ(counted("1x4x4; noise 0.1; noise 0.1 as=a; add input; conv 1>1 k1; linear 16>2"),
              "1x4x4; noise 0.1 @0; noise 0.1 as=a @1; add input; conv 1>1 k1 @2; "
              "16>2 identity @4");
    EXPECT_EQ(counted("1x4x4; noise 0.1; linear 16>2"), "1x4x4; noise 0.1 @0; 16>2 identity @1");
    // A number that is given is where the count goes on.
    EXPECT_EQ(counted("3>4 relu @7; 4>2"), "3>4 relu @7; 4>2 identity @9");
}

TEST(NetworkText, SizesOfLayers) {
    const auto out = [](const std::string& text) {
        return network_shape_from_description(text).layers.back().out().text();
    };
    EXPECT_EQ(out("3x50x50; conv 3>8 k4 s2 p1"), "8x25x25");
    EXPECT_EQ(out("3x49x49; conv 3>8 k4 s2 p1"), "8x24x24");
    EXPECT_EQ(out("8x24x24; transposed 8>3 k4 s2 p1 o1"), "3x49x49");
    EXPECT_EQ(out("3x25x25; pool max k2"), "3x12x12");
    EXPECT_EQ(out("3x25x25; pool max k2 ceil"), "3x13x13");
    EXPECT_EQ(out("8x7x7; upsampled 8>4 crop"), "4x13x13");
    EXPECT_EQ(out("4x28x28; shuffle 2"), "1x56x56");
    EXPECT_EQ(out("3x50x50; crop 49"), "3x49x49");
    EXPECT_EQ(out("3x32x96; conv 3>5 k32"), "5x1x65");
}

// Each of them names the layer and what is wrong with it.
TEST(NetworkText, Refusals) {
    const std::vector<std::pair<std::string, std::string>> bad = {
        {"", "no layer"},
        {"3x8x8", "no layer"},
        {"3>4; ; 4>2", "a layer is empty"},
        {"3>4 swish", "layer 1 (3>4 swish): unknown word 'swish'"},
        {"3>4; 5>2", "layer 2 (5>2): it says 5, but 4 come in"},
        {"3x8x8; conv 4>8 k3", "layer 1 (conv 4>8 k3): it says 4, but 3 come in"},
        {"3x8x8; conv k3", "does not say 'inputs>outputs'"},
        {"3x8x8; convolve 3>8 k3", "there is no layer 'convolve'"},
        {"conv 3>8 k3", "begin with the size"},
        {"3x8x8; conv 3>8 k9", "layer 1"},
        {"3x8x8; conv 3>8 k0", "layer 1"},
        {"3x8x8; conv 3>8 s0", "layer 1"},
        {"3x8x8; conv 3>8 k99999999999999999999", "unknown word"},
        {"3x8x8; conv 3>99999999999999999999 k3", "does not say 'inputs>outputs'"},
        {"3x8x8; pool max k9", "layer 1"},
        {"3x8x8; pool", "which pool?"},
        {"3x8x8; pool adaptive n9", "layer 1"},
        {"3x8x8; crop 9", "it is larger than what comes in"},
        {"3x8x8; crop", "by how many?"},
        {"3x8x8; reflect 8", "layer 1"},
        {"3x8x8; shuffle 2", "its channels are no multiple of 4"},
        {"3x8x8; shuffle 65536", "layer 1"},
        {"3x8x8; view 3x8x9", "192 numbers come in"},
        {"3x8x8; conv 3>3 k3 as=a; add input", "add: the sizes differ, 3x6x6 and 3x8x8"},
        {"3x8x8; conv 3>3 k3 as=a; concat input", "concat: the maps differ"},
        {"3x8x8; conv 3>3 k3; add", "needs a second value"},
        {"3x8x8; conv 3>3 k3; add b", "no layer before has as=b"},
        {"3x8x8; conv 3>3 k3 from=b", "no layer before has as=b"},
        {"3x8x8; conv 3>3 k3 p1 as=a; conv 3>3 k3 p1 as=a", "another layer has this name"},
        {"3x8x8; conv 3>3 k3 as=input", "that is what the network reads"},
        {"3x8x8; conv 3>3 k3 relu tanh", "says a second time"},
        {"3x8x8; conv 3>3 k3 norm=batch norm=instance", "says a second time"},
        {"3x8x8; conv 3>3 k3 k5", "unknown word 'k5'"},
        {"3>4 @0; 4>2 @0", "@0: another layer's tensors have this number"},
        {"3>4 norm=batch @0; 4>2 @1", "@1: another layer's tensors have this number"},
        {"3>4 @-1", "bad number in '@-1'"},
        {"3>4 dropout=1", "bad number"},
        {"3>4 slope=nan", "bad number"},
        {"3>4 norm=instance", "needs maps"},
        {"3>4 norm=group:4", "use fewer groups"},
        {"3x8x8; conv 3>4 k3 norm=group:3", "cannot be cut"},
        {"3x8x8; conv 3>4 k3 norm=virtual:4", "for flat values"},
        {"3>4 closeness=2x2 head; 6>2", "nothing may follow"},
        {"3>4 closeness=2x2; 6>2; 3>4 from=input", "layer 2 (6>2): no layer reads it"},
        {"3>4 closeness=2x2; 6>5 slope=0", "layer 2 (6>5 slope=0): bad number"},
        {"3>4 closeness=2x2 as=a; 6>2 as=a", "another layer has this name"},
        {"65536>65536 closeness=65536x65536", "too large"},
        {"3x8x8; conv 3>4 k3; conv 3>5 k3 from=input", "layer 1 (conv 3>4 k3): no layer reads it"},
        {"3x8x8; pool max k2 fixed", "nothing that is trained"},
        {"3x8x8; film", "steered by what?"},
        {"3>6 as=style; view 6x1x1 as=maps; 6>6 from=style as=more; film style from=maps; add more",
         "steered by 12 numbers"},
        {"6>6 as=style; view 3x2x1 as=maps; film style from=maps", "nothing else may read"},
        {"3x8x8; noise 0.1 spectral", "spectral: it has no weights"},
        {"3x8x8; pool max k2 init=0.1", "init=: it has no weights"},
        {"3x8x8; conv 3>4 k3 init=0", "bad number"},
        {"3x8x8; conv 3>4 k3 noaffine", "it has no norm="},
        {"3>4 norm=batch noaffine", "it has no norm= of maps"},
        {"3x8x8; conv 3>4 k3 spectral fixed", "what they are"},
        {"3x8x8; conv 3>4 k3 head tanh; conv 3>4 k3 from=input", "nothing may follow"},
        {"3x8x8; conv 3>4 k3 head", "the last layer is one already"},
        {"3x8x8; deviation 0", "bad number"},
        {"16777216>16777216", "too large"},
        {"65536x65536x65536; pool global", "more than 2^24 numbers"},
        {"1x4096x4096; conv 1>65536 k1", "layer 1"},
        {"1x1x1; pad 65536", "layer 1"},
    };
    for (const auto& [text, why] : bad) {
        const std::string said = refusal(text);
        EXPECT_NE(said.find(why), std::string::npos) << text << ": " << said;
        EXPECT_NE(said.find("network '" + text), std::string::npos) << said;
    }
}

TEST(NetworkText, OfAnOptionNamesIt) {
    EXPECT_EQ(option_network("--network-g", "3>4 tanh").outputs(), 4);
    try {
        option_network("--network-g", "3>4 tahn");
        ADD_FAILURE();
    } catch (const std::invalid_argument& error) { // a wrong call
        EXPECT_EQ(std::string(error.what()).rfind("--network-g: network '3>4 tahn': layer 1", 0),
                  0u)
            << error.what();
    }
}

// Any text is a network that can be written down and read again, or an error.
TEST(NetworkText, MutatedTexts) {
    constexpr std::uint64_t seed = 90210;
    std::mt19937_64 engine(seed);
    const std::vector<std::string> pieces = {";",
                                             " ",
                                             "conv",
                                             ">",
                                             "k3",
                                             "s2",
                                             "0",
                                             "9",
                                             "99999999999",
                                             "65536",
                                             "-1",
                                             "from=",
                                             "as=",
                                             "as=a",
                                             "input",
                                             "add",
                                             "concat",
                                             "a",
                                             "@",
                                             "@1",
                                             "x",
                                             "3x8x8",
                                             "view",
                                             "shuffle",
                                             "pad",
                                             "reflect",
                                             "crop",
                                             "bilinear",
                                             "pool",
                                             "max",
                                             "d2",
                                             "o1",
                                             "relu",
                                             "fixed",
                                             "nobias",
                                             "norm=group:",
                                             "closeness=2x2",
                                             "nan",
                                             "\t",
                                             "\xff",
                                             "upsampled",
                                             "transposed",
                                             "depthwise",
                                             "norm=batch"};
    const auto random = [&](std::size_t n) { return static_cast<std::size_t>(engine() % n); };
    int valid = 0;
    for (int i = 0; i < 20000; ++i) {
        std::string text = texts[random(texts.size())];
        for (std::size_t change = 1 + random(2); change > 0; --change) {
            const std::size_t at = random(text.size() + 1);
            switch (random(4)) {
            case 0:
                text.insert(at, pieces[random(pieces.size())]);
                break;
            case 1:
                text.insert(at, " " + pieces[random(pieces.size())] + " ");
                break;
            case 2:
                text.erase(at, 1 + random(6));
                break;
            default:
                if (at < text.size()) {
                    text[at] = "0123456789>x; kspdo=@"[random(21)];
                }
            }
        }
        SCOPED_TRACE("seed " + std::to_string(seed) + ", text " + std::to_string(i) + ": " + text);
        std::string described;
        try {
            described = describe(network_shape_from_description(text));
        } catch (const std::runtime_error&) {
            continue; // std::logic_error and all others end the test
        }
        ++valid;
        ASSERT_EQ(refusal(described), "");
        ASSERT_EQ(describe(network_shape_from_description(described)), described);
    }
    EXPECT_GT(valid, 500) << "too few of the texts were networks to say anything";
}

// Layer, what it gives, its parameters, its operations: worked out by hand.
TEST(NetworkTable, SaysWhatALayerHoldsAndCosts) {
    const auto facts = layer_facts(
        network_shape_from_description("3x50x50; conv 3>16 k4 s2 p1 spectral leaky_relu as=maps; "
                                       "conv 16>16 k3 p1 nobias norm=batch; "
                                       "add maps relu; pool max k2; linear 2304>2 fixed; 2>1"));
    ASSERT_EQ(facts.size(), 6u);
    const auto expect = [&](std::size_t layer, const char* text, const char* gives,
                            std::int64_t parameters, double operations) {
        EXPECT_EQ(facts[layer].text, text);
        EXPECT_EQ(facts[layer].gives(), gives);
        EXPECT_EQ(facts[layer].parameters, parameters) << text;
        EXPECT_EQ(facts[layer].operations, operations) << text;
    };
    expect(0, "conv 3>16 k4 s2 p1 leaky_relu slope=0.2 spectral as=maps @0", "16x25x25", 784,
           2.0 * 16 * 625 * 48);
    expect(1, "conv 16>16 k3 p1 norm=batch nobias @2", "16x25x25", 2304 + 32, 2.0 * 16 * 625 * 144);
    expect(2, "add maps relu", "16x25x25", 0, 0);
    expect(3, "pool max k2", "16x12x12", 0, 0);
    EXPECT_EQ(facts[4].parameters, 0);
    EXPECT_EQ(facts[4].gives(), "2");
    EXPECT_EQ(facts[5].parameters, 3);
    EXPECT_EQ(facts[5].operations, 4);
    const auto compared = layer_facts(network_shape_from_description(
        "3>4 relu closeness=2x5 nobias as=a @0; 6>1; concat a; 7>1"));
    EXPECT_EQ(compared[0].text, "3>4 relu nobias @0");
    EXPECT_EQ(compared[1].text, "closeness=2x5 as=a");
    EXPECT_EQ(compared[1].gives(), "6");
    EXPECT_EQ(compared[1].parameters, 40);
    EXPECT_EQ(compared[1].operations, 80);
    EXPECT_EQ(layer_facts(multilayer_perceptron(45, {33}, 1, Activation::relu, 0.2f, true, 0,
                                                Activation::identity))[0]
                  .parameters,
              46 * 33);
}

} // namespace
} // namespace patchforge
