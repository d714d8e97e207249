// PyTorch's own words when names or shapes do not agree, from 0.3 to 2.x.
//
//   RuntimeError: Error(s) in loading state_dict for ResNet:
//     Missing key(s) in state_dict: "fc.weight", "fc.bias".
//     Unexpected key(s) in state_dict: "module.fc.weight".
//     size mismatch for fc.weight: copying a param with shape torch.Size([10, 512]) from checkpoint,
//       the shape in current model is torch.Size([5, 512]).
//   0.4.1         copying a param of torch.Size([10, 512]) from checkpoint,
//                   where the shape is torch.Size([5, 512]) in current model.
//   0.4, 0.3      While copying the parameter named "fc.weight", whose dimensions in the model are torch.Size([5, 512])
//                   and whose dimensions in the checkpoint are torch.Size([10, 512]).
//   0.3           KeyError: 'unexpected key "fc.weight" in state_dict'
//   strict=False  _IncompatibleKeys(missing_keys=['fc.weight'], unexpected_keys=[])
//
// Source: torch/nn/modules/module.py of these versions.
#include <algorithm>

#include "diagnose/text/recognisers.hpp"
#include "diagnose/text/scanner.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxClassBytes = 200;
constexpr std::size_t kMaxNameBytes = 2'000;

void append(std::vector<std::string>& to, std::vector<std::string> names) {
  std::move(names.begin(), names.end(), std::back_inserter(to));
}

void read_class(std::string_view text, TextFacts& facts) {
  Scanner in(text);
  if (!in.find("in loading state_dict for ")) return;
  if (const auto name = in.until(":", kMaxClassBytes)) facts.target_class = *name;
}

void read_lists(std::string_view text, std::string_view phrase, std::vector<std::string>& to, bool& is_cut) {
  for (Scanner in(text); in.find(phrase);) {
    in.accept(":");
    in.accept("[") || in.accept("{") || in.accept("(");
    append(to, in.quoted_list(is_cut));
  }
}

void read_bracketed(std::string_view text, std::string_view phrase, std::vector<std::string>& to, bool& is_cut) {
  for (Scanner in(text); in.find(phrase);) {
    if (in.accept("[")) append(to, in.quoted_list(is_cut));
  }
}

std::string without_spaces(std::string name) {
  name.erase(std::remove(name.begin(), name.end(), ' '), name.end());
  return name;
}

void read_size_mismatches(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("size mismatch for ");) {
    auto key = in.until(": copying a param", kMaxNameBytes);
    if (!key) continue;
    in.accept("with shape");
    in.accept("of");
    const auto saved = in.shape();
    if (!saved || !in.accept("from checkpoint,")) continue;
    in.accept("where the shape is") || in.accept("the shape in current model is");
    if (const auto wanted = in.shape()) facts.mismatched.push_back({without_spaces(*key), *saved, *wanted});
  }
}

/// The model comes first here. Equal shapes mean that something else went wrong while copying: no mismatch.
void read_copy_failures(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("hile copying the parameter named ");) {
    const std::size_t start = in.position();
    auto key = in.quoted();
    const bool is_bare = !key;  // some releases and programs quote nothing
    if (is_bare) key = in.until(",", kMaxNameBytes);
    if (is_bare && key && key->find_first_of(" :\n") != std::string::npos) {
      in.move_to(start);  // a sentence that goes on, not a name
      continue;
    }
    if (!key || (!is_bare && !in.accept(",")) || !in.accept("whose dimensions in the model are")) continue;
    const auto wanted = in.shape();
    if (!wanted || !in.accept("and whose dimensions in the checkpoint are")) continue;
    const auto saved = in.shape();
    if (saved && *saved != *wanted) facts.mismatched.push_back({*key, *saved, *wanted});
  }
}

/// `Unexpected running stats buffer(s) "a" and "b" for InstanceNorm2d with track_running_stats=False.`
void read_running_stats(std::string_view text, TextFacts& facts) {
  for (Scanner in(text); in.find("nexpected running stats buffer(s) ");) {
    auto name = in.quoted();
    while (name) {
      facts.unexpected.push_back(std::move(*name));
      const bool has_more = in.accept("and") || in.accept(",");
      name = has_more ? in.quoted() : std::nullopt;
    }
  }
}

}  // namespace

void recognise_state_dict_errors(const PlainText& plain, TextFacts& facts) {
  const std::string_view text = plain.flat;
  read_class(text, facts);
  read_lists(text, "issing key(s) in state_dict", facts.missing, facts.is_cut);
  read_lists(text, "nexpected key(s) in state_dict", facts.unexpected, facts.is_cut);
  const std::size_t listed = facts.unexpected.size();
  read_lists(text, "unexpected key ", facts.unexpected, facts.is_cut);
  facts.is_first_only = listed == 0 && facts.unexpected.size() == 1;
  read_lists(text, "missing keys in state_dict: \"{", facts.missing, facts.is_cut);
  read_bracketed(text, "missing_keys=", facts.missing, facts.is_cut);
  read_bracketed(text, "unexpected_keys=", facts.unexpected, facts.is_cut);
  read_size_mismatches(text, facts);
  read_copy_failures(text, facts);
  read_running_stats(text, facts);
}

}  // namespace tenon::diagnosis
