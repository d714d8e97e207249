#include <gtest/gtest.h>

#include <random>

#include "base/utf8.hpp"
#include "diagnose/text/text_facts.hpp"

namespace tenon::diagnosis {
namespace {

using Names = std::vector<std::string>;

struct TextCase {
  const char* name;
  std::string text;
  Names missing, unexpected;
  std::vector<std::string> mismatched;  ///< `key checkpoint model`
  std::string target_class;
};
class Dialects : public testing::TestWithParam<TextCase> {};

std::string row_text(const Mismatch& row) {
  std::string text = row.key + " ";
  for (const auto extent : row.checkpoint) text += std::to_string(extent) + ",";
  text += " ";
  for (const auto extent : row.model) text += std::to_string(extent) + ",";
  return text;
}

TEST_P(Dialects, AreRead) {
  const TextFacts facts = read_text(GetParam().text);
  EXPECT_EQ(facts.missing, GetParam().missing);
  EXPECT_EQ(facts.unexpected, GetParam().unexpected);
  std::vector<std::string> rows;
  for (const Mismatch& row : facts.mismatched) rows.push_back(row_text(row));
  EXPECT_EQ(rows, GetParam().mismatched);
  EXPECT_EQ(facts.target_class, GetParam().target_class);
}

const std::string kModern =
    "Traceback (most recent call last):\n  File \"train.py\", line 1, in <module>\nRuntimeError: Error(s) in loading "
    "state_dict "
    "for ResNet:\n\tMissing key(s) in state_dict: \"fc.weight\", \"fc.bias\". \n\tUnexpected key(s) in state_dict: "
    "\"module.fc.weight\", \"module.fc.bias\". \n\tsize mismatch for conv1.weight: copying a param with shape "
    "torch.Size([64, 3, "
    "7, 7]) from checkpoint, the shape in current model is torch.Size([64, 1, 7, 7]).\n";
const Names kMissing{"fc.weight", "fc.bias"}, kUnexpected{"module.fc.weight", "module.fc.bias"};
const std::vector<std::string> kMismatched{"conv1.weight 64,3,7,7, 64,1,7,7,"};

std::string with_crlf(std::string text) {
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.replace(at, 1, "\r\n");
  return text;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    Texts, Dialects,
    testing::Values(
        TextCase{"Modern", kModern, kMissing, kUnexpected, kMismatched, "ResNet"},
        TextCase{"Crlf", with_crlf(kModern), kMissing, kUnexpected, kMismatched, "ResNet"},
        TextCase{"Colours", replaced(kModern, "Missing", "\x1b[31mMissing\x1b[0m"), kMissing, kUnexpected, kMismatched,
                 "ResNet"},
        TextCase{"TypographicQuotes", replaced(kModern, "\"", "\xe2\x80\x9d"), kMissing, kUnexpected, kMismatched,
                 "ResNet"},
        TextCase{"Repeated", kModern + kModern, kMissing, kUnexpected, kMismatched, "ResNet"},
        TextCase{"WrappedLines", replaced(kModern, "module.fc.weight", "module.fc.\n    weight"), kMissing, kUnexpected,
                 kMismatched, "ResNet"},
        TextCase{"OldWording",
                 "size mismatch for fc.bias: copying a param of torch.Size([1000]) from checkpoint, where the shape is "
                 "torch.Size([10]) in "
                 "current model.",
                 {},
                 {},
                 {"fc.bias 1000, 10,"},
                 ""},
        TextCase{"WhileCopying",
                 "RuntimeError: While copying the parameter named fc.weight: ...\nRuntimeError: While copying the "
                 "parameter named \"fc.weight\", "
                 "whose dimensions in the model are torch.Size([10, 512]) and whose dimensions in the checkpoint are "
                 "torch.Size([1000, 512]).",
                 {},
                 {},
                 {"fc.weight 1000,512, 10,512,"},
                 ""},
        TextCase{"WhileCopyingEqualShapes",
                 "While copying the parameter named \"a\", whose dimensions in the model are torch.Size([1]) and whose "
                 "dimensions in the "
                 "checkpoint are torch.Size([1]), an exception occurred",
                 {},
                 {},
                 {},
                 ""},
        TextCase{"Scalar",
                 "size mismatch for t: copying a param with shape torch.Size([]) from checkpoint, the shape in current "
                 "model is torch.Size([1]).",
                 {},
                 {},
                 {"t  1,"},
                 ""},
        TextCase{"Incompatible",
                 "_IncompatibleKeys(missing_keys=['a.b', 'c'], unexpected_keys=[])",
                 {"a.b", "c"},
                 {},
                 {},
                 ""},
        TextCase{"OldKeyError",
                 "KeyError: 'unexpected key \"module.conv1.weight\" in state_dict'",
                 {},
                 {"module.conv1.weight"},
                 {},
                 ""},
        TextCase{"OddNames", "Unexpected key(s) in state_dict: \"a/b[0].c\", \"d e\".", {}, {"a/b[0].c", "de"}, {}, ""},
        TextCase{"GroupsUnderAHeading",
                 "[02/04 19:09:27 loading]: Some model parameters are not in the checkpoint:\n  fpn.lateral2.{bias, "
                 "weight}\n  rpn.conv.weight\n[02/04 19:09:27 loading]: The file has tensors not used by the "
                 "model:\n  pred_b\n  pred_w\n",
                 {"fpn.lateral2.bias", "fpn.lateral2.weight", "rpn.conv.weight"},
                 {"pred_b", "pred_w"},
                 {},
                 ""},
        TextCase{"CountInAHeading",
                 "Unexpected keys (24): ['a.qkv.bias', 'b.qkv.bias', ... ]",
                 {},
                 {"a.qkv.bias", "b.qkv.bias"},
                 {},
                 ""},
        TextCase{"BulletsUnderAHeading",
                 "These weights are absent from the file:\n- enc.0.weight\n- enc.1.weight\n",
                 {"enc.0.weight", "enc.1.weight"},
                 {},
                 {},
                 ""},
        TextCase{"AFileIsNoTensor", "weights not found: /models/net.pth", {}, {}, {}, ""},
        TextCase{"ShapesWithoutBrackets",
                 "Cannot copy param 0 weights from layer 'conv1/7x7'; shape mismatch.  Source param shape is 64 1 7 7 "
                 "(3136); target param shape is 64 2 7 7 (6272).",
                 {},
                 {},
                 {"conv1/7x7.weight 64,1,7,7, 64,2,7,7,"},
                 ""},
        TextCase{"GgmlListsTheFastestAxisFirst",
                 "tensor 'token_embd.weight' has wrong shape; expected  4096, 32001, got  4096, 32000,     1,     1",
                 {},
                 {},
                 {"token_embd.weight 32000,4096, 32001,4096,"},
                 ""},
        TextCase{"TheKeyBehindAClass",
                 "KeyError: \"Detector: 'backbone.layers.0.table'\"",
                 {"backbone.layers.0.table"},
                 {},
                 {},
                 ""},
        TextCase{"LinesPrintedInALoop",
                 "WARNING - epoch not found in model dictionary\nWARNING - optimizer not found in model dictionary\n"
                 "WARNING - best_iou not found in model dictionary\n",
                 {},
                 {"epoch", "optimizer", "best_iou"},
                 {},
                 ""},
        TextCase{"ALoneLineWithANoun", "Key v1_5 not found in checkpoint", {"v1_5"}, {}, {}, ""},
        TextCase{"WordsUnderAHeading",
                 "The checkpoint state_dict contains keys that are not used by the model:\n  pixel_mean\n  stride\n",
                 {},
                 {"pixel_mean", "stride"},
                 {},
                 ""},
        TextCase{"ExtentsBetweenCrosses",
                 "size mismatch for a.weight: copying a param with shape torch.Size([18 x 256 x 1]) from checkpoint, "
                 "the shape in current model is torch.Size([21x256x1]).",
                 {},
                 {},
                 {"a.weight 18,256,1, 21,256,1,"},
                 ""},
        TextCase{"NamesBetweenBlanks",
                 "ValueError: Missing parameters: zor.0.weight zor.1.weight zor.2.bias.",
                 {"zor.0.weight", "zor.1.weight", "zor.2.bias"},
                 {},
                 {},
                 ""},
        TextCase{"NamesLevelByLevel",
                 "The checkpoint is missing required keys: {('zor', 'norm', 'bias'), ('zor', 'query', 'kernel')}.",
                 {"zor.norm.bias", "zor.query.kernel"},
                 {},
                 {},
                 ""},
        TextCase{"ALoggersMark",
                 "INFO:root:zor.0.pe is not in the checkpoint\nINFO:root:zor.1.pe is not in the checkpoint\n",
                 {"zor.0.pe", "zor.1.pe"},
                 {},
                 {},
                 ""},
        TextCase{
            "AWeightIsTurnedByItsBias",
            "Unable to load 'zor.weight' to the model due to incompatible shapes: (64, 1000) in the checkpoint but "
            "(64, 4) in the model!\nUnable to load 'zor.bias' to the model due to incompatible shapes: (1000,) in "
            "the checkpoint but (4,) in the model!\n",
            {},
            {},
            {"zor.weight 1000,64, 4,64,", "zor.bias 1000, 4,"},
            ""},
        TextCase{"Nothing", "Killed", {}, {}, {}, ""}, TextCase{"Empty", "", {}, {}, {}, ""},
        TextCase{"Unfinished", "size mismatch for a: copying a param with shape torch.Size([1", {}, {}, {}, ""}),
    [](const auto& row) { return row.param.name; });

TEST(ReadText, SeesThatAListIsCut) {
  const TextFacts facts = read_text("Missing key(s) in state_dict: \"a.weight\", \"b.weight\", ... ");
  EXPECT_EQ(facts.missing, (Names{"a.weight", "b.weight"}));
  EXPECT_TRUE(facts.is_cut);
  EXPECT_FALSE(read_text(kModern).is_cut);
  EXPECT_TRUE(read_text("Missing key(s) in state_dict: \"a.weight\", \"b.wei...").missing.size() == 1);
}

struct SymptomCase {
  const char* text;
  Symptom symptom;
  const char* detail;
};
class Symptoms : public testing::TestWithParam<SymptomCase> {};

TEST_P(Symptoms, AreSeen) {
  const TextFacts facts = read_text("Traceback:\n  x.py\n" + std::string(GetParam().text) + "\n");
  const Sighting* sighting = facts.find(GetParam().symptom);
  ASSERT_NE(sighting, nullptr) << GetParam().text;
  EXPECT_EQ(sighting->detail, GetParam().detail);
  EXPECT_FALSE(sighting->excerpt.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Texts, Symptoms,
    testing::Values(
        SymptomCase{"RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
                    Symptom::CutArchive, ""},
        SymptomCase{"PytorchStreamReader failed reading file data/11: invalid header or archive is corrupted",
                    Symptom::DamagedArchive, ""},
        SymptomCase{"_pickle.UnpicklingError: invalid load key, '<'.", Symptom::LoadKey, "<"},
        SymptomCase{"_pickle.UnpicklingError: invalid load key, '\\x00'.", Symptom::LoadKey, "\\x00"},
        SymptomCase{"RuntimeError: Invalid magic number; corrupt file?", Symptom::BadMagic, ""},
        SymptomCase{"RuntimeError: unexpected EOF, expected 3 more bytes. The file might be corrupted.",
                    Symptom::EarlyEnd, ""},
        SymptomCase{"EOFError: Ran out of input", Symptom::EarlyEnd, ""},
        SymptomCase{"RuntimeError: storage has wrong size: expected 5 got 64", Symptom::StorageSize, ""},
        SymptomCase{"RuntimeError: storage has wrong byte size: expected 5 got 64", Symptom::StorageSize, ""},
        SymptomCase{"safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge",
                    Symptom::LargeHeader, ""},
        SymptomCase{"what():  PytorchStreamReader failed locating file constants.pkl: file not found",
                    Symptom::StateDictToJit, ""},
        SymptomCase{"ModuleNotFoundError: No module named '__torch__'", Symptom::ArchiveToPickle, ""},
        SymptomCase{"TypeError: Expected state_dict to be dict-like, got <class 'net.ResNet'>.", Symptom::ObjectNotDict,
                    "net.ResNet"},
        SymptomCase{"AttributeError: 'ResNet' object has no attribute 'copy'", Symptom::ObjectNotDict, "ResNet"},
        SymptomCase{"TypeError: 'Adam' object is not subscriptable", Symptom::ObjectNotDict, "Adam"},
        SymptomCase{"AttributeError: 'collections.OrderedDict' object has no attribute 'state_dict'",
                    Symptom::DictNotModule, "state_dict"},
        SymptomCase{"KeyError: 'state_dict'", Symptom::AbsentMember, "state_dict"},
        SymptomCase{"KeyError: 'state_dict", Symptom::AbsentMember, "state_dict"}));

TEST(ReadText, AnyBytesAreTaken) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string text = kModern;
    for (int change = 0; change < 40; ++change) text[random() % text.size()] = static_cast<char>(random());
    text.resize(random() % text.size());
    const TextFacts facts = read_text(text);
    EXPECT_LE(facts.missing.size() + facts.unexpected.size(), 10U);
  }
}

TEST(ReadText, AColumnOfATableIsNoTensor) {
  std::string text = "name,kind,status\n";
  for (int i = 0; i < 10; ++i) text += "a." + std::to_string(i) + ".weight,parameter,missing\n";
  for (const std::string& name : read_text(text).missing) EXPECT_NE(name, "parameter");
}

TEST(ReadText, EvidenceEndsInAWholeCharacter) {
  for (const char* words :
       {" the checkpoint is missing 3 state keys", " shape mismatch (3, 3, 64, 10) and (3, 3, 64, 12)"})
    for (const char* front : {"", "x", "xx"}) {
      std::string text = front;
      for (int i = 0; i < 80; ++i) text += "\xc3\xa9";
      const TextFacts facts = read_text(text + words);
      ASSERT_FALSE(facts.sightings.empty()) << words;
      for (const Sighting& sighting : facts.sightings) EXPECT_TRUE(base::is_utf8(sighting.excerpt)) << words;
    }
}

TEST(ReadText, ALongTextIsReadToItsEnd) {
  std::string text = "Missing key(s) in state_dict: ";
  for (int i = 0; i < 200'000; ++i) text += "\"layers." + std::to_string(i) + ".weight\", ";
  for (int i = 0; i < 20'000; ++i)
    text += " size mismatch for Missing key(s) in state_dict: KeyError: ' invalid load key, '";
  EXPECT_EQ(read_text(text).missing.size(), 200'000U);
}

}  // namespace
}  // namespace tenon::diagnosis
