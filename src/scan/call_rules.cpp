#include "scan/call_rules.hpp"

#include <algorithm>
#include <cctype>
#include <iterator>

#include "scan/denied_globals.hpp"

namespace tenon::scanning {

namespace {

using container::kNoNode;
using container::NodeId;
using container::NodeKind;
using container::PickleCall;
using container::PickleTree;

struct ConditionRow {
  std::string_view module, name;
  Condition condition;
};
constexpr ConditionRow kConditions[] = {
    {"builtins", "getattr", Condition::GetAttr},
    {"functools", "partial", Condition::Partial},
    {"builtins", "type", Condition::TypeOf},
    {"torch.storage", "_load_from_bytes", Condition::LoadFromBytes},
};

bool is_text(const PickleTree& tree, NodeId node) {
  return tree.kind(node) == NodeKind::Text || tree.kind(node) == NodeKind::RawText;
}

bool is_plain_identifier(std::string_view name) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (name.empty() || !is_letter(name[0])) return false;
  if (!std::all_of(name.begin(), name.end(), [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); }))
    return false;
  return !(name.starts_with('_') && name.ends_with('_'));
}

/// A class or function by name that is not dangerous itself.
bool is_quiet_class(NodeId node, const JudgementOf& judgement_of) {
  const Judgement* judgement = judgement_of(node);
  return judgement != nullptr && judgement->verdict != ScanVerdict::Dangerous;
}

bool is_harmless_getattr(const PickleTree& tree, std::span<const NodeId> arguments, const JudgementOf& judgement_of) {
  if (arguments.size() < 2 || arguments.size() > 3 || !is_quiet_class(arguments[0], judgement_of)) return false;
  if (!is_text(tree, arguments[1])) return false;
  const std::string_view attribute = tree.bytes(arguments[1]);
  if (!is_plain_identifier(attribute) || is_dangerous_attribute(attribute)) return false;
  const auto& owner = tree.global(arguments[0]);
  if (owner.module.empty()) return false;
  std::string full(modern_module(owner.module));
  full.append(".").append(owner.name).append(".").append(attribute);
  const auto denial = denial_of(full);
  return !denial || !denial->dangerous;
}

/// Latin-1 and UTF-8 by the names that picklers write.
bool is_plain_codec(std::string_view name) {
  constexpr std::string_view kPlain[] = {"latin1", "latin-1", "latin_1", "iso-8859-1", "iso8859-1",
                                         "utf-8",  "utf8",    "utf_8",   "ascii"};
  return std::find(std::begin(kPlain), std::end(kPlain), name) != std::end(kPlain);
}

std::optional<std::string> misuse_of_encode(const PickleTree& tree, std::span<const NodeId> arguments) {
  if (arguments.empty() || !is_text(tree, arguments[0])) return "is called with something else than text";
  if (arguments.size() > 1 && (!is_text(tree, arguments[1]) || !is_plain_codec(tree.bytes(arguments[1]))))
    return "looks a codec up by name that is neither Latin-1 nor UTF-8";
  return std::nullopt;
}

}  // namespace

Condition condition_of(std::string_view module, std::string_view name) {
  for (const ConditionRow& row : kConditions)
    if (row.module == module && row.name == name) return row.condition;
  return Condition::None;
}

bool is_harmless_call(const PickleTree& tree, const PickleCall& call, Condition condition,
                      const JudgementOf& judgement_of) {
  if (call.keywords != kNoNode) return false;
  const auto arguments = tree.tuple(call.arguments);
  switch (condition) {
    case Condition::None: return false;
    case Condition::GetAttr: return is_harmless_getattr(tree, arguments, judgement_of);
    case Condition::Partial: return arguments.size() == 1 && is_quiet_class(arguments[0], judgement_of);
    case Condition::TypeOf: return arguments.size() == 1;
    case Condition::LoadFromBytes:
      return arguments.size() == 1 &&
             (tree.kind(arguments[0]) == NodeKind::Bytes || tree.kind(arguments[0]) == NodeKind::ByteArray ||
              tree.kind(arguments[0]) == NodeKind::RawText || tree.kind(arguments[0]) == NodeKind::Call);
  }
  return false;
}

Judgement harmless_judgement(Condition condition) {
  switch (condition) {
    case Condition::None: break;
    case Condition::GetAttr:
      return {
          ScanVerdict::UnknownCode, "reads a plain attribute of a class, as Python writes the members of an enum", {}};
    case Condition::Partial:
      return {
          ScanVerdict::UnknownCode, "keeps a class or function with arguments: nothing is called while loading", {}};
    case Condition::TypeOf: return {ScanVerdict::UnknownCode, "asks for the class of a value", {}};
    case Condition::LoadFromBytes: return {ScanVerdict::Safe, "unpickles bytes that were scanned, too", {}};
  }
  return {};
}

std::optional<std::string> misuse(const PickleTree& tree, const PickleCall& call, Use use,
                                  const JudgementOf& judgement_of) {
  const auto arguments = tree.tuple(call.arguments);
  const auto is_class = [&](std::size_t i) { return i < arguments.size() && judgement_of(arguments[i]) != nullptr; };
  switch (use) {
    case Use::Value:
    case Use::Type:
    case Use::Rebuild: return std::nullopt;
    case Use::DefaultDict: {
      if (arguments.empty() || tree.kind(arguments[0]) == NodeKind::None) return std::nullopt;
      const Judgement* factory = judgement_of(arguments[0]);
      if (factory != nullptr && (factory->use == Use::Type || factory->verdict != ScanVerdict::Safe))
        return std::nullopt;
      if (factory != nullptr && (factory->use == Use::Value || factory->use == Use::DefaultDict)) return std::nullopt;
      return "makes its values by something else than a type";
    }
    case Use::Encode: return misuse_of_encode(tree, arguments);
    case Use::Reconstructor:
      return is_class(0) && is_class(1) ? std::nullopt
                                        : std::optional<std::string>("makes an object of a computed class");
    case Use::FromType: {
      const Judgement* function = arguments.empty() ? nullptr : judgement_of(arguments[0]);
      if (function != nullptr && is_class(1) &&
          (function->use == Use::Rebuild || function->verdict != ScanVerdict::Safe))
        return std::nullopt;
      return "calls a function that rebuilds no tensor";
    }
  }
  return std::nullopt;
}

}  // namespace tenon::scanning
