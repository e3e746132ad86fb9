// Models of other programs before verbs, and what is scored where classes are foreign or unknown.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "data/png.h"
#include "host/files/safetensors.h"
#include "tests/host/end_to_end/program.h"

namespace patchforge {
namespace {

using testing::bytes_of_file;
using testing::Outcome;
using testing::run_program;
using testing::ScratchFolder;

// 4 x 4 grey pictures, dark and bright in turn: <folder>/<class of i>/<i>.png.
void draw(const std::filesystem::path& folder, const std::vector<std::string>& classes) {
    for (std::size_t i = 0; i < 8; ++i) {
        const std::filesystem::path to = folder / classes[i % classes.size()];
        std::filesystem::create_directories(to);
        Image image{4, 4, 1, std::vector<std::uint8_t>(16)};
        for (std::size_t p = 0; p < 16; ++p) {
            image.pixels[p] = static_cast<std::uint8_t>((i % 2 ? 180 : 60) + 3 * i + p);
        }
        write_png(to / (std::to_string(i) + ".png"), image);
    }
}

// Calls what is brighter than the middle class 1: Linear(16, 2), ReLU, Linear(2, 2) without a word
// about it. Its hidden numbers are negative for dark pictures, so that the activation matters.
std::string weights(const ScratchFolder& folder) {
    std::vector<float> first(32);
    for (std::size_t i = 0; i < 16; ++i) {
        first[i] = 0.1f;
        first[16 + i] = -0.1f;
    }
    const float zeros[2] = {}, second[4] = {-1, 1, 1, -1};
    const std::string path = folder / "plain.safetensors";
    write_safetensors(
        path, {make_f32("fc1.weight", {2, 16}, first.data()), make_f32("fc1.bias", {2}, zeros),
               make_f32("fc2.weight", {2, 2}, second), make_f32("fc2.bias", {2}, zeros)});
    return path;
}

const std::vector<std::string> network = {"--network", "1x4x4; 16>2 relu; 2>2"};

Outcome classify(const std::string& data, const std::string& model,
                 const std::vector<std::string>& more) {
    std::vector<std::string> call = {"classify", data, "--model", model, "--device", "cpu"};
    call.insert(call.end(), more.begin(), more.end());
    return run_program("patchforge-cpu", call);
}

TEST(BroughtInModel, IsRefusedWithoutItsNetworkAndNamesAreMapped) {
    const ScratchFolder folder("brought-in");
    const std::string model = weights(folder);
    draw(folder.path() / "named", {"dark", "light"});
    const Outcome bare = classify(folder / "named", model, {});
    EXPECT_EQ(bare.status, 1) << bare.output;
    EXPECT_NE(bare.output.find("does not say what its network is"), std::string::npos);
    const Outcome read = classify(folder / "named", model, network);
    EXPECT_EQ(read.status, 0) << read.output;
    EXPECT_NE(read.output.find("is read as 1x4x4; 16>2 relu"), std::string::npos) << read.output;
    // Classes by number are the data's in their order.
    EXPECT_NE(read.output.find("right: 8 of 8 labelled (1.0000)"), std::string::npos)
        << read.output;
    const Outcome info = run_program("patchforge-cpu", {"info", model, network[0], network[1]});
    EXPECT_NE(info.output.find("is its 3.weight"), std::string::npos) << info.output;

    const std::string mine = folder / "mine.safetensors";
    const Outcome imported =
        run_program("patchforge-cpu", {"import", model, network[0], network[1], "--class-names",
                                       "dark,light", "--out", mine});
    ASSERT_EQ(imported.status, 0) << imported.output;
    EXPECT_NE(classify(folder / "named", mine, {}).output.find("right: 8 of 8"), std::string::npos);
    EXPECT_EQ(classify(folder / "named", mine, network).status, 2); // it says so itself
}

// A score counts pictures whose class the model knows, by name or number, and no other.
TEST(BroughtInModel, ForeignClassesAreNotScored) {
    const ScratchFolder folder("foreign");
    const std::string plain = weights(folder), model = folder / "mine.safetensors";
    ASSERT_EQ(run_program("patchforge-cpu", {"import", plain, network[0], network[1],
                                             "--class-names", "dark,light", "--out", model})
                  .status,
              0);
    const auto said = [&](const std::vector<std::string>& classes) {
        const std::string data = folder / classes.front();
        draw(data, classes);
        return classify(data, model, {}).output;
    };
    EXPECT_NE(said({"0", "1"}).find("right: 8 of 8 labelled (1.0000)"), std::string::npos);
    const std::string foreign = said({"x_dark", "y_light"});
    EXPECT_EQ(foreign.find("right:"), std::string::npos) << foreign;
    EXPECT_NE(foreign.find("not scored: 8 pictures"), std::string::npos) << foreign;
    const std::string some = said({"dark", "light", "dark", "other"});
    EXPECT_NE(some.find("right: 6 of 6 labelled (1.0000)"), std::string::npos) << some;
    EXPECT_NE(some.find("not scored: 2 pictures"), std::string::npos) << some;
}

TEST(BroughtInModel, WithoutLabelsItsOwnAnswersAreAttacked) {
    const ScratchFolder folder("unlabelled");
    const std::string model = weights(folder);
    draw(folder.path() / "flat", {"."});
    std::vector<std::string> call = {"attack",       "--model",  model,   "--data", folder / "flat",
                                     "--method",     "fgsm",     "--eps", "0,0.4",  "--out",
                                     folder / "out", "--device", "cpu"};
    call.insert(call.end(), network.begin(), network.end());
    const Outcome attack = run_program("patchforge-cpu", call);
    ASSERT_EQ(attack.status, 0) << attack.output;
    EXPECT_NE(attack.output.find("no labels: right is what the model answers"), std::string::npos);
    const std::string csv = bytes_of_file(folder / "out/attack.csv");
    EXPECT_NE(csv.find(",0,0,8,,8,0,1.000000,1.000000,"), std::string::npos) << csv;
    EXPECT_NE(csv.find(",0.4,0,8,,8,8,1.000000,0.000000,"), std::string::npos) << csv;
    // Two models: what both answer alike.
    call[1] = "--models";
    call[2] = model + "," + folder / "again.safetensors";
    std::filesystem::copy(model, folder / "again.safetensors");
    call[10] = folder / "both";
    call.push_back("--transfer");
    const Outcome both = run_program("patchforge-cpu", call);
    EXPECT_EQ(both.status, 0) << both.output;
    EXPECT_NE(both.output.find("alike without an attack, which is so for 8 of 8"),
              std::string::npos)
        << both.output;
    EXPECT_NE(both.output.find("1.000 (8/8)"), std::string::npos) << both.output;
}

// The Python of docs/bring-your-own-model.md, run as it stands.
TEST(BroughtInModel, ExportedFromPyTorchAnswersAsThere) {
    const char* chosen = std::getenv("PEER_PYTHON");
    const std::string python = chosen ? chosen : "python3";
    const ScratchFolder folder("pytorch");
    const std::string page = bytes_of_file("docs/bring-your-own-model.md");
    const std::size_t begin = page.find("```python\n") + 10;
    std::ofstream(folder / "export.py") << page.substr(begin, page.find("```", begin) - begin);
    std::ofstream(folder / "my_code.py") << R"(
import torch
from torch import nn
torch.manual_seed(3)
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.pool = nn.MaxPool2d(2)
        self.body = nn.Conv2d(16, 32, 3, padding=1)
        self.norm = nn.BatchNorm2d(32)
        self.head = nn.Linear(32, 2)
    def forward(self, x):
        x = self.pool(self.stem(x))
        x = torch.relu(self.norm(self.body(x)))
        return self.head(x.mean((2, 3)))
model = Net()
for _ in range(3):
    model(torch.randn(16, 3, 50, 50) + 1)
model.eval()
x = (torch.arange(3 * 50 * 50).reshape(1, 3, 50, 50) * 37 % 251).float() / 255
mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.70, 0.54, 0.69), (0.13, 0.18, 0.13)))
)";
    std::ofstream(folder / "run.py") << R"(
import runpy, sys
try:
    import torch, safetensors.torch
except ImportError:
    sys.exit(77)
runpy.run_path("export.py")
from my_code import mean, model, std, x
with torch.no_grad():
    open("said", "w").write("%.6f" % model((x - mean) / std).softmax(1)[0, 1])
)";
    // One process: importing PyTorch takes seconds.
    const int status = std::system(
        ("cd " + folder.path().string() + " && " + python + " run.py > /dev/null").c_str());
    if (WEXITSTATUS(status) == 77 || WEXITSTATUS(status) == 127) {
        GTEST_SKIP() << python << " has no torch and safetensors (PEER_PYTHON names another)";
    }
    ASSERT_EQ(status, 0);
    Image image{50, 50, 3, std::vector<std::uint8_t>(7500)};
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
        image.pixels[i] = static_cast<std::uint8_t>(i * 37 % 251);
    }
    write_png(folder / "x.png", image);
    const Outcome here =
        classify(folder / "x.png", folder / "mine.safetensors", {"--csv", folder / "here.csv"});
    ASSERT_EQ(here.status, 0) << here.output;
    const std::string csv = bytes_of_file(folder / "here.csv");
    EXPECT_NE(csv.find("p(no cancer),p(cancer)"), std::string::npos) << csv;
    const double p = std::stod(csv.substr(csv.rfind(',') + 1));
    EXPECT_FALSE(!(std::abs(p - std::stod(bytes_of_file(folder / "said"))) <= 2e-6)) << csv;
    EXPECT_GT(p, 0.001);
    EXPECT_LT(p, 0.999);
}

} // namespace
} // namespace patchforge
