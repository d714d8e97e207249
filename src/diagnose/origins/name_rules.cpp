#include "diagnose/origins/name_rules.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMaxExpressionBytes = 900;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// A name as text between numbers: `a.`, `.b` and 3 of `a.3.b`.
struct Form {
  std::vector<std::string> texts;    ///< one more than numbers
  std::vector<std::string> numbers;  ///< as written
};

Form form_of(std::string_view name) {
  Form form{{""}, {}};
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (!is_digit(name[i])) {
      form.texts.back() += name[i];
    } else {
      if (i == 0 || !is_digit(name[i - 1])) {
        form.numbers.emplace_back();
        form.texts.emplace_back();
      }
      form.numbers.back() += name[i];
    }
  }
  return form;
}

/// What follows the last dot, where it is the same in all names; "" else.
std::string common_leaf(const NameChange& change) {
  const auto leaf = [](const std::string& name) {
    const auto dot = name.rfind('.');
    return dot == std::string::npos ? std::string() : name.substr(dot);
  };
  const std::string last = leaf(change.from);
  if (std::any_of(last.begin(), last.end(), is_digit)) return {};
  for (const std::string& to : change.to)
    if (leaf(to) != last || to.size() == last.size()) return {};
  return change.from.size() == last.size() ? std::string() : last;
}

struct Row {
  std::size_t change = 0;
  Form from;
  std::vector<Form> to;
  std::string leaf;
};
using Rows = std::vector<const Row*>;

/// Where a number of a given name comes from: a number of the name looked for, or itself.
struct Origin {
  std::optional<std::size_t> slot;
  std::string literal;
};

/// Nothing where it neither stays nor is always the same.
std::optional<Origin> number_origin(const Rows& rows, std::size_t name, std::size_t number) {
  const auto wanted = [&](const Row* row) -> const std::string& { return row->to[name].numbers[number]; };
  const bool is_constant =
      std::all_of(rows.begin(), rows.end(), [&](const Row* row) { return wanted(row) == wanted(rows[0]); });
  if (is_constant && rows.size() > 1) return Origin{{}, wanted(rows[0])};
  for (std::size_t slot = 0; slot < rows[0]->from.numbers.size(); ++slot)
    if (std::all_of(rows.begin(), rows.end(), [&](const Row* row) { return row->from.numbers[slot] == wanted(row); }))
      return Origin{slot, {}};
  if (is_constant) return Origin{{}, wanted(rows[0])};
  return std::nullopt;
}

std::size_t distinct(const Rows& rows, std::size_t slot) {
  std::set<std::string> values;
  for (const Row* row : rows) values.insert(row->from.numbers[slot]);
  return values.size();
}

/// Whether `number` follows from `slot` alone.
bool follows(const Rows& rows, std::size_t slot, std::size_t name, std::size_t number) {
  std::map<std::string, std::string> known;
  for (const Row* row : rows) {
    const auto& value = row->to[name].numbers[number];
    if (known.try_emplace(row->from.numbers[slot], value).first->second != value) return false;
  }
  return true;
}

/// All names by what stands between their numbers: only names of one form can match one expression.
class Forms {
 public:
  explicit Forms(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      Form form = form_of(name);
      numbers_[key_of(form.texts)].push_back(std::move(form.numbers));
    }
  }

  /// How many names of this form have an allowed number in every place; null allows all.
  std::size_t count(const std::vector<std::string>& texts,
                    const std::vector<const std::set<std::string>*>& allowed) const {
    const auto found = numbers_.find(key_of(texts));
    if (found == numbers_.end()) return 0;
    return static_cast<std::size_t>(
        std::count_if(found->second.begin(), found->second.end(), [&](const std::vector<std::string>& numbers) {
          for (std::size_t i = 0; i < numbers.size(); ++i)
            if (allowed[i] != nullptr && !allowed[i]->contains(numbers[i])) return false;
          return true;
        }));
  }

 private:
  static std::string key_of(const std::vector<std::string>& texts) {
    std::string key;
    for (const std::string& text : texts) key += text + '\n';
    return key;
  }

  std::unordered_map<std::string, std::vector<std::vector<std::string>>> numbers_;
};

class Maker {
 public:
  explicit Maker(const Forms& forms) : forms_(forms) {}

  void make(const Rows& rows) {
    std::vector<std::vector<Origin>> origins(rows[0]->to.size());
    for (std::size_t name = 0; name < origins.size(); ++name)
      for (std::size_t number = 0; number < rows[0]->to[name].numbers.size(); ++number) {
        const auto origin = number_origin(rows, name, number);
        if (!origin) return make_parts(rows, slot_to_part(rows, name, number));
        origins[name].push_back(*origin);
      }
    emit(rows, origins);
  }

  std::vector<NameRule> rules;

 private:
  static std::size_t slot_to_part(const Rows& rows, std::size_t name, std::size_t number) {
    std::size_t best = 0, best_count = SIZE_MAX;
    for (const bool must_follow : {true, false}) {
      for (std::size_t slot = 0; slot < rows[0]->from.numbers.size(); ++slot) {
        const std::size_t count = distinct(rows, slot);
        if (count < 2 || count >= best_count || (must_follow && !follows(rows, slot, name, number))) continue;
        best = slot;
        best_count = count;
      }
      if (best_count != SIZE_MAX) break;
    }
    return best;
  }

  void make_parts(const Rows& rows, std::size_t slot) {
    std::map<std::string, Rows> parts;
    for (const Row* row : rows) parts[row->from.numbers.empty() ? "" : row->from.numbers[slot]].push_back(row);
    if (parts.size() < 2) return emit_each(rows);
    for (const auto& [value, part] : parts) make(part);
  }

  void emit_each(const Rows& rows) {
    for (const Row* row : rows) make({row});
  }

  /// The expression: numbers that stay as groups, others by value; the leaf last.
  void emit(const Rows& rows, const std::vector<std::vector<Origin>>& origins) {
    NameRule rule;
    for (const bool any_number : {true, false}) {
      rule = built(rows, origins, any_number);
      if (!touches_others(rows, any_number)) break;
      if (!any_number && rows.size() > 1) return emit_each(rows);
    }
    if (rule.from.size() > kMaxExpressionBytes && rows.size() > 1) return emit_each(rows);
    for (const Row* row : rows) rule.changes.push_back(row->change);
    rules.push_back(std::move(rule));
  }

  static std::string alternatives(const std::set<std::string>& values) {
    std::string text;
    for (const std::string& value : values) text += (text.empty() ? "" : "|") + regex_text(value);
    return text;
  }

  static NameRule built(const Rows& rows, const std::vector<std::vector<Origin>>& origins, bool any_number) {
    const Row& first = *rows[0];
    std::vector<std::size_t> group(first.from.numbers.size(), 0);
    std::size_t groups = 0;
    NameRule rule{regex_text(first.from.texts[0]), {}, false, {}};
    for (std::size_t slot = 0; slot < first.from.numbers.size(); ++slot) {
      std::set<std::string> values;
      for (const Row* row : rows) values.insert(row->from.numbers[slot]);
      if (values.size() == 1) {
        rule.from += *values.begin();
      } else {
        group[slot] = ++groups;
        rule.from += any_number ? std::string(R"((\d+))") : "(" + alternatives(values) + ")";
      }
      rule.from += regex_text(first.from.texts[slot + 1]);
    }
    std::set<std::string> leaves;
    for (const Row* row : rows) leaves.insert(row->leaf.empty() ? "" : row->leaf.substr(1));
    const bool has_leaves = leaves.size() > 1;
    if (has_leaves) rule.from += R"(\.()" + alternatives(leaves) + ")";
    if (!has_leaves && !first.leaf.empty()) rule.from += regex_text(first.leaf);
    rule.is_regex = groups > 0 || has_leaves;
    for (std::size_t name = 0; name < first.to.size(); ++name) {
      std::string to = replacement_text(first.to[name].texts[0]);
      for (std::size_t number = 0; number < origins[name].size(); ++number) {
        const Origin& origin = origins[name][number];
        const bool is_group = origin.slot && group[*origin.slot] > 0;
        to += is_group ? "$" + std::to_string(group[*origin.slot]) : first.to[name].numbers[number];
        to += replacement_text(first.to[name].texts[number + 1]);
      }
      to += has_leaves ? ".$" + std::to_string(groups + 1) : first.leaf;
      rule.to.push_back(std::move(to));
    }
    if (!rule.is_regex) {
      rule.from = spelled(first.from) + first.leaf;
      for (std::size_t name = 0; name < first.to.size(); ++name) rule.to[name] = spelled(first.to[name]) + first.leaf;
    }
    return rule;
  }

  static std::string replacement_text(const std::string& text) {
    std::string result;
    for (const char c : text) result += c == '$' ? std::string("$$") : std::string(1, c);
    return result;
  }

  static std::string spelled(const Form& form) {
    std::string text = form.texts[0];
    for (std::size_t i = 0; i < form.numbers.size(); ++i) text += form.numbers[i] + form.texts[i + 1];
    return text;
  }

  /// Whether the expression matches a name that is none of the rows'.
  bool touches_others(const Rows& rows, bool any_number) const {
    const Form& first = rows[0]->from;
    std::vector<std::set<std::string>> values(first.numbers.size());
    std::set<std::string> leaves;
    for (const Row* row : rows) {
      leaves.insert(row->leaf);
      for (std::size_t slot = 0; slot < values.size(); ++slot) values[slot].insert(row->from.numbers[slot]);
    }
    std::vector<const std::set<std::string>*> allowed;
    for (const auto& set : values) allowed.push_back(any_number && set.size() > 1 ? nullptr : &set);
    std::size_t touched = 0;
    for (const std::string& leaf : leaves) {
      std::vector<std::string> texts = first.texts;
      texts.back() += leaf;
      touched += forms_.count(texts, allowed);
    }
    return touched != rows.size();
  }

  const Forms& forms_;
};

}  // namespace

std::string regex_text(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view(R"(\^$.|?*+()[]{})").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

std::vector<NameRule> name_rules(const std::vector<NameChange>& changes, const std::vector<std::string>& all_names) {
  const Forms forms(all_names);
  std::vector<Row> rows;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    Row row{i, {}, {}, common_leaf(changes[i])};
    const auto stem = [&](const std::string& name) { return name.substr(0, name.size() - row.leaf.size()); };
    row.from = form_of(stem(changes[i].from));
    for (const std::string& to : changes[i].to) row.to.push_back(form_of(stem(to)));
    rows.push_back(std::move(row));
  }
  std::map<std::vector<std::string>, std::size_t> at;
  std::vector<Rows> groups;  // in the order of the changes
  for (const Row& row : rows) {
    std::vector<std::string> key = row.from.texts;
    for (const Form& to : row.to) {
      key.emplace_back("\n");
      key.insert(key.end(), to.texts.begin(), to.texts.end());
    }
    key.emplace_back(row.leaf.empty() ? "" : ".");
    const auto [found, is_new] = at.try_emplace(std::move(key), groups.size());
    if (is_new) groups.emplace_back();
    groups[found->second].push_back(&row);
  }
  Maker maker(forms);
  for (const Rows& group : groups) maker.make(group);
  return std::move(maker.rules);
}

}  // namespace tenon::diagnosis
