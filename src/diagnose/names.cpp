#include "diagnose/names.hpp"

#include <algorithm>

namespace tenon::diagnosis {
namespace {

constexpr std::string_view kHeadWords[] = {"fc",     "classifier", "head",      "heads",   "cls",      "score",
                                           "logits", "bbox",       "predictor", "yolo",    "classify", "linear",
                                           "output", "class",      "seghead",   "qa",      "crf",      "pooler",
                                           "labels", "last",       "action",    "actions", "conf",     "mbox"};
constexpr std::string_view kEmbeddingWords[] = {"embed", "embedding", "embeddings", "emb",    "wte",
                                                "tok",   "token",     "tokens",     "shared", "vocab"};
constexpr std::string_view kCopyWords[] = {"ema",     "shadow",   "teacher", "momentum", "swa",  "avg",
                                           "average", "averaged", "k",       "target",   "best", "averagedmodel"};
constexpr std::string_view kKeptWords[] = {"ema",     "shadow",   "teacher", "swa",          "avg",
                                           "average", "averaged", "best",    "averagedmodel"};
constexpr std::string_view kOptimizerWords[] = {"optimizer", "optim",     "opt", "optimizers", "scheduler",
                                                "scaler",    "scheduler", "amp", "optimiser"};
constexpr std::string_view kContainerWords[] = {"state",  "dict",      "model",   "module",        "net",     "network",
                                                "params", "generator", "weights", "weight",        "ema",     "netg",
                                                "netd",   "backbone",  "encoder", "discriminator", "student", "teacher",
                                                "main",   "g",         "d",       "statedict"};
constexpr std::string_view kBookkeepingWords[] = {
    "epoch",     "step",   "iter",      "iteration", "best",       "acc",     "loss",    "optimizer", "optim",
    "scheduler", "scaler", "args",      "arch",      "config",     "cfg",     "lr",      "hyper",     "version",
    "meta",      "loops",  "callbacks", "opt",       "seed",       "rng",     "history", "date",      "updates",
    "amp",       "metric", "metrics",   "global",    "parameters", "training"};

bool is_separator(char c) { return c == '.' || c == '_' || c == '-' || c == '/'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Words of a name, in lower case: `yolo_head3.1.weight` -> yolo, head3, 1, weight; camelCase is parted, too. Digits at
/// the end of a word stay: `fc1` is a layer within a block, `fc` the last one.
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  char before = 0;
  for (const char c : name) {
    const bool is_hump = c >= 'A' && c <= 'Z' && before >= 'a' && before <= 'z';
    if ((is_separator(c) || is_hump) && !words.back().empty()) words.emplace_back();
    if (!is_separator(c)) words.back() += lower(c);
    before = c;
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

bool is_among(std::string_view word, std::span<const std::string_view> list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool has_word(std::string_view name, std::span<const std::string_view> list) {
  const auto words = words_of(name);
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) { return is_among(word, list); });
}

}  // namespace

std::string_view module_of(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

std::string_view leaf_of(std::string_view name) {
  const auto dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::string_view first_level(std::string_view name) { return name.substr(0, name.find('.')); }

bool is_batch_counter(std::string_view name) { return leaf_of(name) == "num_batches_tracked"; }

bool is_called_head(std::string_view path) {
  const auto words = words_of(path);
  return std::any_of(words.begin(), words.end(), [](const std::string& word) {
    if (is_among(word, kHeadWords)) return true;
    const auto letters = word.find_last_not_of("0123456789") + 1;  // head3 is a head; fc1 is mostly not
    return letters < word.size() && word.compare(0, letters, "head") == 0;
  });
}

bool is_called_embedding(std::string_view path) { return has_word(path, kEmbeddingWords); }
bool is_called_copy(std::string_view path) { return has_word(path, kCopyWords); }
bool is_called_kept_copy(std::string_view path) { return has_word(path, kKeptWords); }
bool is_called_optimizer(std::string_view path) { return has_word(path, kOptimizerWords); }
bool is_called_bookkeeping(std::string_view name) { return has_word(name, kBookkeepingWords); }

bool is_called_container(std::string_view path) {
  const auto words = words_of(path);
  return !is_called_optimizer(path) && !words.empty() &&
         std::any_of(words.begin(), words.end(),
                     [](const std::string& word) { return is_among(word, kContainerWords); });
}

}  // namespace tenon::diagnosis
