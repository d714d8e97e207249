// What decides between two causes of the same names, over made-up networks: names, sizes and counts are drawn, the
// principle is not.
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include <tenon/diagnose.hpp>

namespace tenon {
namespace {

using Names = std::vector<std::string>;

/// A network of drawn names: a first layer, blocks, a head.
class Network {
 public:
  explicit Network(unsigned seed) : random_(seed) {}

  std::size_t number(std::size_t from, std::size_t to) {
    return std::uniform_int_distribution<std::size_t>(from, to)(random_);
  }
  /// A word that no table of the doctor's knows.
  std::string word() {
    std::string text;
    for (std::size_t i = number(2, 3); i > 0; --i) text += kSyllables[number(0, std::size(kSyllables) - 1)];
    return text;
  }
  /// `count` blocks of convolution and normalisation below `stem`, from block `first` on.
  static Names blocks(const std::string& stem, std::size_t first, std::size_t count) {
    Names names;
    for (std::size_t i = first; i < first + count; ++i)
      for (const char* leaf : {"conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"})
        names.push_back(stem + std::to_string(i) + "." + leaf);
    return names;
  }

 private:
  static constexpr const char* kSyllables[] = {"zor", "mil", "quet", "vab", "tund", "resh", "pilo", "gam"};
  std::mt19937 random_;
};

Names behind(const std::string& prefix, const Names& names) {
  Names result;
  for (const std::string& name : names) result.push_back(prefix + name);
  return result;
}

Names joined(Names a, const Names& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::string listed(const std::string& heading, const Names& names) {
  if (names.empty()) return {};
  std::string text = "\t" + heading + " in state_dict: ";
  for (const std::string& name : names) text += (&name == &names.front() ? "\"" : ", \"") + name + "\"";
  return text + ". \n";
}

std::string error_of(const Names& missing, const Names& unexpected, const std::string& shapes = "") {
  return "RuntimeError: Error(s) in loading state_dict for Net:\n" + listed("Missing key(s)", missing) +
         listed("Unexpected key(s)", unexpected) + shapes;
}

std::string pair_text(const std::string& name, const std::string& saved, const std::string& wanted) {
  return "\tsize mismatch for " + name + ": copying a param with shape torch.Size([" + saved +
         "]) from checkpoint, the shape in current model is torch.Size([" + wanted + "]).\n";
}

Names causes_of(const std::string& text) {
  Names ids;
  for (const Cause& cause : explain({text, std::nullopt, std::nullopt}).causes) ids.push_back(cause.id);
  return ids;
}

bool has(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Principle {
  const char* name;
  const char* first;  ///< the cause that explains most
  const char* also;   ///< one that is named beside it; "" for none
  std::function<std::string(Network&)> text;
};
class Principles : public testing::TestWithParam<std::tuple<Principle, int>> {};

TEST_P(Principles, Decide) {
  const auto& [principle, seed] = GetParam();
  Network network(static_cast<unsigned>(seed));
  const std::string text = principle.text(network);
  const Names ids = causes_of(text);
  ASSERT_FALSE(ids.empty()) << text;
  EXPECT_EQ(ids.front(), principle.first) << text << testing::PrintToString(ids);
  if (*principle.also != '\0') {
    EXPECT_TRUE(has(ids, principle.also)) << text << testing::PrintToString(ids);
  }
}

std::string number_text(std::size_t number) { return std::to_string(number); }

const Principle kPrinciples[] = {
    {"APartsOwnNameIsNoWrapper", "renamed_modules", "",
     [](Network& n) {
       const std::string word = n.word();
       const Names part = Network::blocks("", 0, n.number(1, 4));
       return error_of(behind("old_" + word + ".", part), behind("new_" + word + ".", part));
     }},
    {"AWrappersNameIsOne", "wrapper_prefix", "",
     [](Network& n) {
       const Names all = joined({"conv1.weight", "conv1.bias"}, Network::blocks(n.word() + ".", 0, n.number(2, 6)));
       return error_of(all, behind("module.", all));
     }},
    {"CutListsShareForms", "wrapper_prefix", "",
     [](Network& n) {
       const std::string stem = n.word() + ".";
       const std::size_t cut = n.number(2, 4);
       return error_of(joined({"conv1.weight"}, Network::blocks(stem, 0, cut)),
                       behind("backbone.", Network::blocks(stem, cut + 3, n.number(2, 4))));
     }},
    {"ANumberMoreIsARegrouping", "renamed_modules", "",
     [](Network& n) {
       const std::string stem = n.word() + ".";
       const std::size_t count = n.number(2, 5);
       return error_of(Network::blocks(stem + "0.", 0, count), Network::blocks(stem, 0, count));
     }},
    {"OneLayerAgainstASequenceIsAnother", "different_architecture", "",
     [](Network& n) {
       const std::string part = n.word();
       Names stack;
       for (std::size_t i = 0; i < n.number(3, 6); ++i)
         for (const char* leaf : {".weight", ".bias"}) stack.push_back(part + "." + number_text(i * 2) + leaf);
       return error_of({part + ".weight", part + ".bias", n.word() + "_norm.weight"}, stack);
     }},
    {"BlocksFromAnIndexOnAreDepth", "different_config", "",
     [](Network& n) { return error_of(Network::blocks(n.word() + ".", n.number(3, 20), n.number(2, 6)), {}); }},
    {"OneStepOfASequenceIsDepth", "different_config", "",
     [](Network& n) {
       const std::string step = n.word() + ".1." + n.word() + "." + number_text(n.number(5, 30));
       return error_of({step + ".weight", step + ".bias"}, {});
     }},
    {"LayersBetweenStagesMove", "version_drift", "",
     [](Network& n) {
       const std::string stem = n.word() + ".";
       const Names leaves = {"downsample.norm.weight", "downsample.norm.bias", "downsample.reduction.weight"};
       return error_of(behind(stem + "3.", leaves), behind(stem + "0.", leaves));
     }},
    {"BothEndsAndNothingBetween", "input_channels_changed", "head_changed",
     [](Network& n) {
       const std::size_t width = n.number(60, 300), in = n.number(4, 50), out = n.number(2, 20);
       const auto text = [](std::size_t a, std::size_t b) { return number_text(a) + ", " + number_text(b); };
       return error_of({}, {},
                       pair_text(n.word() + ".0.weight", text(width, in), text(width, in + 7)) +
                           pair_text(n.word() + ".mean", number_text(in), number_text(in + 7)) +
                           pair_text(n.word() + ".weight", text(out, width), text(out + 400, width)));
     }},
    {"BothEndsByOneNumber", "different_config", "head_changed",
     [](Network& n) {
       const std::size_t width = n.number(60, 300), in = n.number(100, 500), out = n.number(2, 20),
                         more = n.number(30, 90);
       const auto text = [](std::size_t a, std::size_t b) { return number_text(a) + ", " + number_text(b); };
       return error_of({}, {},
                       pair_text(n.word() + ".0.weight", text(width, in), text(width, in + more)) +
                           pair_text(n.word() + ".weight", text(out, width), text(out + more, width)));
     }},
    {"ATableHasNoBias", "head_changed", "",
     [](Network& n) {
       const std::string classes = number_text(n.number(3, 90)), width = number_text(n.number(64, 512));
       return error_of({}, {},
                       pair_text("class_embed.weight", classes + ", " + width, "1" + classes + ", " + width) +
                           pair_text("class_embed.bias", classes, "1" + classes));
     }},
    {"MaskedPretrainingHasADecoder", "training_only_extras", "",
     [](Network& n) {
       return error_of({"head.weight", "head.bias"}, joined({"mask_token", "decoder_pos_embed"},
                                                            Network::blocks("decoder_blocks.", 0, n.number(3, 6))));
     }},
    {"WholeBlocksAreNotFused", "different_config", "",
     [](Network& n) {
       Names names;
       const std::string stem = n.word() + "." + n.word() + ".";
       for (std::size_t i = 0; i < 5; ++i)
         for (const char* leaf : {"attn.norm.weight", "attn.norm.bias", "attn.qkv.weight", "attn.out.weight"})
           names.push_back(stem + number_text(i * 3 + 7) + "." + leaf);
       return error_of({}, names);
     }},
    {"TheFirstNameThatIsNotThere", "renamed_modules", "new_modules",
     [](Network& n) { return "KeyError: '" + n.word() + "." + n.word() + ".0.conv.weight'"; }},
    {"OneFactorInScoresAndBoxesIsAnchors", "different_config", "",
     [](Network& n) {
       const std::size_t few = n.number(1, 3), more = few * n.number(2, 4);
       const std::string head = n.word() + "_head.";
       std::string shapes;
       for (const auto& [layer, each] : {std::pair("cls_conv", std::size_t{1}), std::pair("reg_conv", std::size_t{4})})
         shapes += pair_text(head + layer + ".weight", number_text(few * each) + ", 256, 1, 1",
                             number_text(more * each) + ", 256, 1, 1") +
                   pair_text(head + layer + ".bias", number_text(few * each), number_text(more * each));
       return error_of({}, {}, shapes);
     }},
    {"ALevelBehindAWrappersIsOneInFront", "wrapper_prefix", "",
     [](Network& n) {
       const std::string level = n.word() + ".", part = n.word() + ".0.";
       return error_of({"module." + level + part + "conv.weight"}, {"module." + part + "conv.weight"});
     }},
    {"LeavesInManyPartsAreOfARelease", "version_drift", "",
     [](Network& n) {
       Names names;
       for (std::size_t i = n.number(3, 6); i > 0; --i)
         names.push_back(n.word() + number_text(i) + ".block." + n.word() + number_text(i) + ".weight");
       return error_of({}, names);
     }},
    {"NormalisationsAloneAreAnOption", "different_config", "",
     [](Network& n) {
       Names names;
       for (std::size_t i = 1; i <= n.number(3, 8); ++i)
         for (const char* leaf : {"weight", "bias", "running_mean", "running_var"})
           names.push_back("conv" + number_text(i) + ".1." + leaf);
       return error_of(names, {});
     }},
    {"ALayerMoreInEveryBlockIsAnOption", "different_config", "",
     [](Network& n) {
       Names names;
       for (std::size_t i = 0; i < n.number(3, 6); ++i)
         for (const char* leaf : {"conv3.weight", "bn3.weight", "bn3.bias", "bn3.running_mean"})
           names.push_back("layer1." + number_text(i) + "." + leaf);
       return error_of(names, {});
     }},
    {"WhatBeginsWithinANetworkIsNoWrappers", "different_config", "",
     [](Network& n) {
       const std::string stage = "backbone.backbone." + n.word();
       return error_of(
           {}, joined(Network::blocks(stage + "2.1.m.", 1, 1), Network::blocks(stage + "3.1.m.", 3, n.number(2, 6))));
     }},
    {"APartPutIntoTheBlocksIsNew", "new_modules", "",
     [](Network& n) {
       const std::string part = n.word();
       Names missing;
       for (std::size_t i = 0; i < n.number(3, 6); ++i)
         for (const char* leaf : {"in.weight", "in.bias", "out.weight", "out.bias"})
           missing.push_back("net.layer." + number_text(i) + "." + part + "." + leaf);
       return error_of(missing, {"cls.weight", "cls.bias"});
     }},
    {"WidthsWithinBlocksAreNoHead", "different_config", "",
     [](Network& n) {
       const std::string layer = n.word();
       std::string shapes;
       for (std::size_t i = 0; i < n.number(2, 5); ++i) {
         const std::string name = "blocks." + number_text(i) + "." + layer + ".linear.";
         shapes += pair_text(name + "weight", "9216, 64", "6144, 64") + pair_text(name + "bias", "9216", "6144");
       }
       return error_of({}, {}, shapes);
     }},
    {"ALayerAloneIsNoNetwork", "different_architecture", "",
     [](Network& n) { return error_of({"weight"}, Network::blocks(n.word() + ".", 0, n.number(1, 4))); }},
    {"ABodyOfPlainLayersIsAnotherNetworks", "different_architecture", "",
     [](Network& n) {
       return error_of(
           joined(Network::blocks("conv_body_down.", 0, n.number(2, 5)), Network::blocks("conv_body_up.", 0, 2)), {});
     }},
    {"LayersOfTheSameNamesAreRenamed", "renamed_modules", "",
     [](Network& n) {
       const std::string old = n.word(), now = n.word() + "s";
       Names missing, unexpected;
       for (const char* leaf : {"norm1.weight", "norm1.bias", "qkv.weight", "qkv.bias", "proj.weight", "proj.bias"}) {
         missing.push_back("net." + now + ".0." + leaf);
         unexpected.push_back("net." + old + ".0." + leaf);
       }
       return error_of(missing, unexpected);
     }},
};

INSTANTIATE_TEST_SUITE_P(Drawn, Principles, testing::Combine(testing::ValuesIn(kPrinciples), testing::Range(0, 8)),
                         [](const auto& row) {
                           return std::string(std::get<0>(row.param).name) + std::to_string(std::get<1>(row.param));
                         });

/// One difference in the words of programs that no table lists: the same causes.
class OtherWords : public testing::TestWithParam<const char*> {};

TEST_P(OtherWords, AreRead) { EXPECT_EQ(causes_of(GetParam()).front(), "head_changed"); }

INSTANTIATE_TEST_SUITE_P(
    Programs, OtherWords,
    testing::Values(
        "WARN Shape of zor.cls.weight in checkpoint is torch.Size([80, 128]), while shape of zor.cls.weight in "
        "model is torch.Size([6, 128]).",
        "Ignoring zor.fc.weight: pretrained has shape (1000, 64) but model has (5, 64)",
        "zor.head.weight: expected (5, 64), loaded (1000, 64)",
        "skipped zor.classifier.weight [1000, 64] in checkpoint vs [5, 64] in model",
        "Shape mismatch for classifier.3.weight: (1000, 64) vs (4, 64)"));

TEST(NativePrograms, AreToldByTheirWords) {
  const std::string cut = "PytorchStreamReader failed reading zip archive: failed finding central directory";
  EXPECT_EQ(causes_of("RuntimeError: " + cut).front(), "corrupt_file");
  EXPECT_EQ(causes_of("terminate called after throwing an instance of 'c10::Error'\n  what():  " + cut).front(),
            "cpp_interop");
  EXPECT_EQ(causes_of("Internal torch error: " + cut).front(), "cpp_interop");
}

/// Messages whose words are known, and what they mean of numbers and names in them.
class KnownMessages : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(KnownMessages, NameTheirCause) {
  const auto& [text, cause] = GetParam();
  const Names ids = causes_of(text);
  ASSERT_FALSE(ids.empty()) << text;
  EXPECT_EQ(ids.front(), cause) << text;
}

INSTANTIATE_TEST_SUITE_P(
    Programs, KnownMessages,
    testing::Values(
        std::pair("ValueError: You are trying to load a weight file containing 9 layers into a model with 40 layers.",
                  "different_architecture"),
        std::pair("ValueError: You are trying to load a weight file containing 36 layers into a model with 40 layers.",
                  "different_config"),
        std::pair("ValueError: Layer count mismatch when loading weights from file. Model expected 9 layers, found 40 "
                  "saved layers.",
                  "different_architecture"),
        std::pair("ValueError: axes don't match array", "layout_changed"),
        std::pair("the weight in the file has the shape (1, 3, 3, 32, 64), and the model's shape is (64, 1, 3, 3, 32)",
                  "layout_changed"),
        std::pair("ValueError: Layer #3 (named \"zor_5\"), weight <tf.Variable 'zor_5/kernel:0'> has shape "
                  "(1, 1, 64, 18), but the saved weight has shape (255, 64, 1, 1).",
                  "head_changed"),
        std::pair("ValueError: Cannot assign value to variable 'zor/kernel:0': Shape mismatch. The variable shape "
                  "(512, 10), and the assigned value shape (512, 100) are incompatible.",
                  "head_changed"),
        std::pair("Assign requires shapes of both tensors to match. lhs shape= [4096,539] rhs shape= [4096,1470]",
                  "head_changed"),
        std::pair("Assign requires shapes of both tensors to match. lhs shape= [25088,1024] rhs shape= [12544,1024]",
                  "different_config"),
        std::pair("FileNotFoundError: [Errno 2] No such file or directory: '/m/model-00003-of-00004.safetensors'",
                  "corrupt_file"),
        std::pair("OSError: You seem to have cloned a repository without having git-lfs installed.", "corrupt_file"),
        std::pair("AssertionError: req MetadataIndex(fqn='zor.weight', offset=torch.Size([0, 0]), index=0) mismatch "
                  "sizes torch.Size([7]) vs torch.Size([7, 3])",
                  "sharded_distributed"),
        std::pair("ValueError: consumed 1000 numels out of 1004 - something is wrong", "sharded_distributed"),
        std::pair("RuntimeError: Missing key in checkpoint state_dict: zor.weight.", "sharded_distributed"),
        std::pair("ValueError: You are trying to save a non contiguous tensor: `zor.weight` which is not allowed.",
                  "tied_or_shared"),
        std::pair("KeyError: 'Trying to restore optimizer state but checkpoint contains only the model.'",
                  "optimizer_state"),
        std::pair("hparams = checkpoint[\"dims\"] KeyError: 'dims'", "nested_container"),
        std::pair("NotFoundError: Key zor/fully_connected/biases not found in checkpoint", "renamed_modules"),
        std::pair("KeyError: 'neck.zor.weight'", "new_modules"),
        std::pair("unexpected key in source state_dict: backbone.conv1.weight, ......", "wrapper_prefix"),
        std::pair("Some weights of the model checkpoint at m were not used when initializing BertModel: "
                  "['bert.zor.0.weight', 'bert.zor.0.bias', 'bert.zor.1.weight']",
                  "wrapper_prefix"),
        std::pair("TypeError: <module '__main__'> is a built-in class", "missing_class"),
        std::pair("a vocab size mismatch between the model (32001) and tokenizer.model (32000)", "vocab_changed"),
        std::pair("The first convolution in the file takes in 3 channels, but the model takes in only one channel",
                  "input_channels_changed")));

/// A classifier's end is left over and other parts are missing: its backbone was found.
TEST(Principle, TheEndOfAClassifierIsNoOtherModel) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    Network network(seed);
    const Names wanted = Network::blocks(network.word() + ".", 0, network.number(2, 6));
    const Names saved = {"norm.weight", "norm.bias", "head.weight", "head.bias"};
    EXPECT_EQ(causes_of(error_of(wanted, saved)).front(), "head_changed");
  }
}

/// Tensors that no layer has, empty on one side or the other, are buffers that grow; weights would be shards.
TEST(Principle, GrowingBuffersAreAModulesOwn) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    Network network(seed);
    const std::string size = std::to_string(network.number(2'000, 90'000));
    const std::string a = network.word() + "_list", b = network.word() + "_store";
    const std::string shapes = pair_text(a, "0", size) + pair_text(b, size + ", 1", "0");
    EXPECT_EQ(causes_of(error_of({}, {}, shapes)).front(), "custom_layer_state");
    const std::string weights = pair_text(a + ".weight", "0", size) + pair_text(b + ".weight", "0", size + ", 8");
    EXPECT_EQ(causes_of(error_of({}, {}, weights)).front(), "sharded_distributed");
  }
}

/// A layer that became a block keeps its letters and its number: `conv1` and `conv1.conv`, `bn1` and `conv1.bn`.
TEST(Principle, ABlockIsCalledAsItsLayersWere) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    Network network(seed);
    const std::string stem = network.word() + "." + network.word() + ".";
    Names wanted, saved;
    for (const char* leaf : {"weight", "bias", "running_mean", "running_var"}) {
      saved.push_back(stem + "bn1." + leaf);
      wanted.push_back(stem + "conv1.bn." + leaf);
    }
    saved.push_back(stem + "conv1.weight");
    wanted.push_back(stem + "conv1.conv.weight");
    EXPECT_EQ(causes_of(error_of(wanted, saved)).front(), "renamed_modules");
  }
}

/// Messages that no table has: what they are about, and what is wrong with it.
class UnknownMessages : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(UnknownMessages, AreReadByTheirWords) {
  const auto& [text, cause] = GetParam();
  const Names ids = causes_of(text);
  ASSERT_FALSE(ids.empty()) << text;
  EXPECT_EQ(ids.front(), cause) << text;
}

INSTANTIATE_TEST_SUITE_P(
    Programs, UnknownMessages,
    testing::Values(std::pair("Zorv: this file is unsafe, refusing to load the pickle", "unsafe_pickle"),
                    std::pair("FooError: weights are incomplete, 12 bytes got", "corrupt_file"),
                    std::pair("FooError: hidden_size of the checkpoint (512) is not equal to 768", "different_config"),
                    std::pair("FooError: the checkpoint has 10 classes, but 3 were expected", "head_changed"),
                    std::pair("FooError: the GPU of the checkpoint is not available", "device_mismatch"),
                    std::pair("FooError: the file was made by a newer version", "format_version"),
                    std::pair("FooError: wrong model architecture, failed", "different_architecture")));

TEST(Prose, OfResultsIsSilent) {
  EXPECT_EQ(causes_of("After loading, the accuracy drops to 10 %").front(), "silent_wrong");
  EXPECT_TRUE(causes_of("The loss is printed after each epoch").empty());
}

}  // namespace
}  // namespace tenon
