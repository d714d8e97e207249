#include "model/script/walk.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <tenon/error.hpp>

#include "base/text.hpp"
#include "base/utf8.hpp"
#include "model/script/abstract.hpp"
#include "model/script/operations.hpp"

namespace tenon::model::script {
namespace {

using Json = nlohmann::json;
using Kind = Abstract::Kind;
using Values = std::map<std::string, Abstract, std::less<>>;

constexpr std::size_t kMaxNodes = 100'000;  // as all recorders
constexpr std::size_t kMaxSteps = 1'000'000;
constexpr int kMaxDepth = 500;  ///< of calls, blocks and expressions within each other
constexpr std::int64_t kMaxRounds = 64;
constexpr std::size_t kLongestText = 2'000;
constexpr char kReturned[] = "return";  // no variable can be called so

/// Keywords that say where and how, not what.
constexpr std::array<std::string_view, 5> kUndecided{"device", "layout", "pin_memory", "memory_format", "non_blocking"};

/// Numbers of c10::ScalarType.
constexpr std::array<std::string_view, 16> kDtypes{
    "uint8",     "int8",      "int16",      "int32", "int64", "float16", "float32", "float64",
    "complex32", "complex64", "complex128", "bool",  "qint8", "quint8",  "qint32",  "bfloat16"};

/// A call being followed.
struct Frame {
  std::string module;  ///< path of the module whose method runs
  std::string class_name;
  Values values;
};

/// Counts how deep the walk is: a function may call itself.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) {
    if (depth >= kMaxDepth)
      throw Error(Code::Limit, {}, "calls in the archive's code go too deep",
                  "at most " + std::to_string(kMaxDepth) + " levels");
    ++depth_;
  }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  int& depth_;
};

class Walk {
 public:
  Walk(const Program& program, const ScriptObjects& objects, ScriptConstants& constants)
      : program_(program), objects_(objects), constants_(constants) {}

  std::optional<Graph> run() {
    const ScriptObject* root = objects_.find({});
    const auto code = root == nullptr ? program_.classes.end() : program_.classes.find(root->class_name);
    if (code == program_.classes.end()) return std::nullopt;
    const std::vector<const Function*> entries = entries_of(code->second);
    for (const Function* entry : entries) enter(*entry, root->class_name);
    return entries.empty() ? std::nullopt : std::optional(std::move(graph_));
  }

 private:
  /// `forward`; where there is none, its overloads (`forward__0`), or else all methods that others may call.
  static std::vector<const Function*> entries_of(const ClassCode& code) {
    if (const auto forward = code.methods.find("forward"); forward != code.methods.end()) return {&forward->second};
    std::vector<const Function*> overloads, all;
    for (const auto& [name, method] : code.methods) {
      if (name.starts_with("forward__")) overloads.push_back(&method);
      if (!name.starts_with("_")) all.push_back(&method);
    }
    return overloads.empty() ? all : overloads;
  }

  void enter(const Function& entry, const std::string& class_name) {
    Frame frame{{}, class_name, {}};
    std::uint64_t input = 0;
    for (std::size_t i = 0; i < entry.parameters.size(); ++i) {
      const Parameter& parameter = entry.parameters[i];
      if (i == 0)
        frame.values[parameter.name] = {Kind::Module, {}, {}, {}};
      else if (parameter.initial)
        frame.values[parameter.name] = evaluate(*parameter.initial, frame);
      else
        frame.values[parameter.name] = tensor({Operand::From::Input, input++, {}});
    }
    run_block(entry.body, frame);
  }

  // ---- limits

  void step(std::size_t count = 1) {
    steps_ += count;
    if (steps_ <= kMaxSteps) return;
    throw Error(Code::Limit, {}, "the archive's code takes too many steps to follow",
                "at most " + base::count_text(kMaxSteps));
  }

  // ---- statements

  /// True when the block returned.
  bool run_block(const std::vector<Statement>& block, Frame& frame) {
    for (const Statement& statement : block)
      if (run(statement, frame)) return true;
    return false;
  }

  bool run(const Statement& statement, Frame& frame) {
    const Deeper deeper(depth_);
    step();
    switch (statement.kind) {
      case Statement::Kind::Nothing: return false;
      case Statement::Kind::Evaluate: static_cast<void>(evaluate(statement.value, frame)); return false;
      case Statement::Kind::Assign: assign(statement.target, evaluate(statement.value, frame), frame); return false;
      case Statement::Kind::Return: frame.values[kReturned] = evaluate(statement.value, frame); return true;
      case Statement::Kind::If: return run_if(statement, frame);
      case Statement::Kind::For: run_for(statement, frame); return false;
      case Statement::Kind::While: run_once(statement, {}, evaluate(statement.value, frame), frame); return false;
    }
    return false;
  }

  void assign(const Expr& target, const Abstract& value, Frame& frame) {
    if (target.kind == Expr::Kind::Name) {
      frame.values[target.text] = value;
    } else if (target.kind == Expr::Kind::Sequence) {
      for (std::size_t i = 0; i < target.items.size(); ++i) assign(target.items[i], element(value, i, frame), frame);
    } else if (target.kind == Expr::Kind::Attribute) {
      const Abstract owner = evaluate(target.items[0], frame);
      if (owner.is(Kind::Module)) assigned_[joined(owner.text, target.text)] = value;
    }
  }

  bool run_if(const Statement& statement, Frame& frame) {
    const Abstract condition = evaluate(statement.value, frame);
    const Truth truth = truth_of(condition);
    if (truth != Truth::Unknown) return run_block(truth == Truth::True ? statement.body : statement.otherwise, frame);
    Frame other = frame;
    step(frame.values.size());
    const bool first = run_block(statement.body, frame), second = run_block(statement.otherwise, other);
    merge("if", condition, frame, other);
    return first && second;
  }

  /// Values that two ways leave differently come out of one operation each. `frame` keeps the result.
  void merge(const std::string& op, const Abstract& how, Frame& frame, const Frame& other) {
    for (auto& [name, value] : frame.values) {
      const auto twin = other.values.find(name);
      if (twin == other.values.end() || twin->second == value) continue;
      if (holds_tensor(value) || holds_tensor(twin->second))
        value = add_node(op, {how, value, twin->second}, {}, frame);
      else
        value = symbol(op + "(" + text_of(how) + ", " + text_of(value) + ", " + text_of(twin->second) + ")");
    }
    for (const auto& [name, value] : other.values) frame.values.try_emplace(name, value);
  }

  void run_for(const Statement& statement, Frame& frame) {
    const Abstract range = evaluate_range(statement.value, frame);
    if (!range.is(Kind::Sequence)) return run_once(statement, symbol("round"), range, frame);
    for (const Abstract& item : range.items) {
      assign(statement.target, item, frame);
      if (run_block(statement.body, frame)) return;
    }
  }

  /// The numbers of `range(3)`, the items of a list; else a symbol.
  Abstract evaluate_range(const Expr& expr, Frame& frame) {
    const bool is_range = expr.kind == Expr::Kind::Call && expr.items[0].text == "range";
    if (!is_range) {
      Abstract list = evaluate(expr, frame);
      return list.items.size() <= static_cast<std::size_t>(kMaxRounds) ? list : symbol("a long list");
    }
    std::vector<Abstract> bounds = evaluate_all(expr, frame);
    std::vector<std::int64_t> numbers;
    for (const Abstract& bound : bounds) {
      const Json json = bound.is(Kind::Plain) ? Json::parse(bound.text, nullptr, false) : Json();
      if (json.is_number_integer()) numbers.push_back(json.get<std::int64_t>());
    }
    const bool is_known = numbers.size() == bounds.size() && !bounds.empty() && bounds.size() <= 2;
    const std::int64_t begin = numbers.size() == 2 ? numbers[0] : 0, end = numbers.empty() ? 0 : numbers.back();
    const bool is_short = begin >= -kMaxRounds && begin <= kMaxRounds && end <= begin + kMaxRounds;
    if (!is_known || !is_short) return fold("range", bounds);
    std::vector<Abstract> rounds;
    for (std::int64_t i = begin; i < end; ++i) rounds.push_back(plain(std::to_string(i)));
    return sequence(std::move(rounds));
  }

  /// A loop whose rounds are not known.
  void run_once(const Statement& statement, const std::optional<Abstract>& item, const Abstract& how, Frame& frame) {
    const Frame before = frame;
    step(frame.values.size());
    if (item) assign(statement.target, *item, frame);
    run_block(statement.body, frame);
    frame.values.erase(kReturned);
    for (auto& [name, value] : frame.values) {
      const auto twin = before.values.find(name);
      if (twin == before.values.end() || twin->second == value) continue;
      value = holds_tensor(value) || holds_tensor(twin->second)
                  ? add_node("loop", {how, twin->second, value}, {}, frame)
                  : symbol("loop(" + text_of(how) + ", " + text_of(twin->second) + ", " + text_of(value) + ")");
    }
  }

  // ---- expressions

  Abstract evaluate(const Expr& expr, Frame& frame) {
    const Deeper deeper(depth_);
    step();
    switch (expr.kind) {
      case Expr::Kind::Name: return evaluate_name(expr.text, frame);
      case Expr::Kind::Literal: return evaluate_literal(expr.text);
      case Expr::Kind::Sequence: {
        std::vector<Abstract> items;
        for (const Expr& item : expr.items) items.push_back(evaluate(item, frame));
        return sequence(std::move(items));
      }
      case Expr::Kind::Dict: return evaluate_dict(expr, frame);
      case Expr::Kind::Attribute: return attribute(evaluate(expr.items[0], frame), expr.text, frame);
      case Expr::Kind::Subscript: return evaluate_subscript(expr, frame);
      case Expr::Kind::Call: return evaluate_call(expr, frame);
      case Expr::Kind::Operator: {
        std::vector<Abstract> operands;
        for (const Expr& item : expr.items) operands.push_back(evaluate(item, frame));
        return operate(expr.text, operands, {}, frame);
      }
      case Expr::Kind::Conditional: return evaluate_conditional(expr, frame);
    }
    return {};
  }

  Abstract evaluate_name(const std::string& name, const Frame& frame) {
    const auto found = frame.values.find(name);
    if (found == frame.values.end()) return {Kind::Name, name, {}, {}};
    step(weight_of(found->second));
    return found->second;
  }

  static Abstract evaluate_literal(const std::string& json) {
    return json.size() <= kLongestText ? plain(json) : symbol("a text of " + base::count_text(json.size()) + " bytes");
  }

  /// A dict's values; their keys are passed over.
  Abstract evaluate_dict(const Expr& expr, Frame& frame) {
    std::vector<Abstract> items;
    for (std::size_t i = 1; i < expr.items.size(); i += 2) items.push_back(evaluate(expr.items[i], frame));
    return sequence(std::move(items));
  }

  Abstract evaluate_conditional(const Expr& expr, Frame& frame) {
    const Abstract condition = evaluate(expr.items[0], frame);
    const Truth truth = truth_of(condition);
    if (truth != Truth::Unknown) return evaluate(expr.items[truth == Truth::True ? 1 : 2], frame);
    const Abstract a = evaluate(expr.items[1], frame), b = evaluate(expr.items[2], frame);
    if (a == b) return a;
    if (holds_tensor(a) || holds_tensor(b)) return add_node("if", {condition, a, b}, {}, frame);
    return fold("if", {condition, a, b});
  }

  Abstract evaluate_subscript(const Expr& expr, Frame& frame) {
    const Abstract base = evaluate(expr.items[0], frame), index = evaluate(expr.items[1], frame);
    const Json number = index.is(Kind::Plain) ? Json::parse(index.text, nullptr, false) : Json();
    if (base.is(Kind::Sequence) && number.is_number_integer()) {
      const auto size = static_cast<std::int64_t>(base.items.size());
      const auto place = number.get<std::int64_t>() + (number.get<std::int64_t>() < 0 ? size : 0);
      if (place >= 0 && place < size) return base.items[static_cast<std::size_t>(place)];
    }
    if (holds_tensor(base)) return add_node("getitem", {base, index}, {}, frame);
    return symbol(text_of(base) + "[" + text_of(index) + "]");
  }

  /// Item `index` of what is taken apart. An operation's first result is the operation's.
  Abstract element(const Abstract& value, std::size_t index, const Frame& frame) {
    if (value.is(Kind::Sequence) && index < value.items.size()) return value.items[index];
    if (value.is(Kind::Tensor) && index == 0) return value;
    if (value.is(Kind::Tensor)) return add_node("getitem", {value, plain(std::to_string(index))}, {}, frame);
    return symbol(text_of(value) + "[" + std::to_string(index) + "]");
  }

  Abstract attribute(const Abstract& owner, const std::string& name, const Frame& frame) {
    switch (owner.kind) {
      case Kind::Module: return module_attribute(owner.text, name);
      case Kind::Name:
        return owner.text == "CONSTANTS" ? constant(name) : Abstract{Kind::Name, owner.text + "." + name, {}, {}};
      case Kind::Tensor:
        if (tells_no_tensor("prim." + name)) return symbol(name);
        return add_node("getattr", {owner, plain(as_json(name))}, {}, frame);
      case Kind::Plain:
      case Kind::Symbol:
      case Kind::Sequence: break;
    }
    return symbol(text_of(owner) + "." + name);
  }

  Abstract constant(const std::string& name) {
    ScriptConstant known = constants_.find(name);
    if (known.is_number) return plain(std::move(known.json));
    return {Kind::Tensor, std::move(known.json), {}, {}};
  }

  Abstract module_attribute(const std::string& path, const std::string& name) {
    const std::string full = joined(path, name);
    if (name == "training") return plain("false");
    if (const auto own = assigned_.find(full); own != assigned_.end()) return own->second;
    if (objects_.find(full) != nullptr) return {Kind::Module, full, {}, {}};
    if (objects_.has_tensor(full)) return tensor({Operand::From::Tensor, 0, full});
    const ScriptObject* object = objects_.find(path);
    if (object == nullptr) return symbol(name);
    if (const auto value = object->values.find(name); value != object->values.end())
      return from_json(Json::parse(value->second, nullptr, false));
    const auto code = program_.classes.find(object->class_name);
    if (code != program_.classes.end())
      for (const auto& [constant_name, expr] : code->second.constants)
        if (constant_name == name) {
          Frame empty;
          return evaluate(expr, empty);
        }
    return symbol(name);
  }

  static Abstract from_json(const Json& json) {
    if (!json.is_array()) return evaluate_literal(json.dump());
    std::vector<Abstract> items;
    for (const Json& item : json) items.push_back(from_json(item));
    return sequence(std::move(items));
  }

  // ---- calls

  std::vector<Abstract> evaluate_all(const Expr& call, Frame& frame) {
    std::vector<Abstract> values;
    for (std::size_t i = 1; i < call.items.size(); ++i) values.push_back(evaluate(call.items[i], frame));
    return values;
  }

  Abstract evaluate_call(const Expr& call, Frame& frame) {
    const Expr& callee = call.items[0];
    if (callee.kind == Expr::Kind::Attribute) {
      const Abstract owner = evaluate(callee.items[0], frame);
      if (!owner.is(Kind::Name)) return call_method(owner, callee.text, call, frame);
      return call_function(owner.text + "." + callee.text, call, frame);
    }
    const Abstract function = evaluate(callee, frame);
    if (function.is(Kind::Name)) return call_function(function.text, call, frame);
    return operate("call", evaluate_all(call, frame), call.keywords, frame);
  }

  const Function* find_method(const ScriptObject& object, std::string_view name) const {
    const auto code = program_.classes.find(object.class_name);
    if (code == program_.classes.end()) return nullptr;
    const auto method = code->second.methods.find(name);
    return method == code->second.methods.end() ? nullptr : &method->second;
  }

  Abstract call_method(const Abstract& owner, const std::string& name, const Expr& call, Frame& frame) {
    std::vector<Abstract> arguments = evaluate_all(call, frame);
    const ScriptObject* object = owner.is(Kind::Module) ? objects_.find(owner.text) : nullptr;
    const Function* method = object == nullptr ? nullptr : find_method(*object, name);
    if (method != nullptr) {
      arguments.insert(arguments.begin(), owner);
      std::vector<std::string> keywords = call.keywords;
      keywords.insert(keywords.begin(), std::string());
      return follow(*method, {owner.text, object->class_name, {}}, arguments, keywords);
    }
    arguments.insert(arguments.begin(), owner);
    return operate(name, arguments, {}, frame);
  }

  Abstract call_function(const std::string& name, const Expr& call, Frame& frame) {
    if (name == "annotate" || name == "unchecked_cast")
      return call.items.size() == 3 ? evaluate(call.items[2], frame) : symbol(name);
    if (name == "uninitialized" || name == "torch.device") return symbol("device");
    std::vector<Abstract> arguments = evaluate_all(call, frame);
    if (name == "getattr" && arguments.size() == 2 && arguments[1].is(Kind::Plain)) {
      const Json text = Json::parse(arguments[1].text, nullptr, false);
      return attribute(arguments[0], text.is_string() ? text.get<std::string>() : arguments[1].text, frame);
    }
    if (const auto function = program_.functions.find(name); function != program_.functions.end())
      return follow(function->second, {frame.module, {}, {}}, arguments, call.keywords);
    if (name.starts_with("__torch__.")) return make_object(name, arguments, frame);
    if (name == "torch.append" && !arguments.empty()) return append(call, arguments, frame);
    return operate(operation_name(name), arguments, call.keywords, frame);
  }

  /// A NamedTuple is a tuple; of other objects nothing is known but what went in.
  Abstract make_object(const std::string& name, std::vector<Abstract>& arguments, const Frame& frame) {
    if (program_.classes.count(name) > 0) return sequence(std::move(arguments));
    return operate(short_class(name), arguments, {}, frame);
  }

  Abstract append(const Expr& call, const std::vector<Abstract>& arguments, Frame& frame) {
    Abstract list = arguments[0];
    if (arguments.size() != 2 || !list.is(Kind::Sequence)) return operate("append", arguments, {}, frame);
    list.items.push_back(arguments[1]);
    list = sequence(std::move(list.items));
    assign(call.items[1], list, frame);
    return list;
  }

  /// `torch.relu_` -> `relu`, `ops.quantized.linear` -> `quantized.linear`.
  static std::string operation_name(std::string name) {
    for (const std::string_view prefix : {"torch.", "ops.", "aten."})
      if (name.starts_with(prefix)) name.erase(0, prefix.size());
    const bool is_dunder = name.ends_with("__");
    while (!is_dunder && name.size() > 1 && name.back() == '_') name.pop_back();
    return name;
  }

  Abstract follow(const Function& function, Frame callee, const std::vector<Abstract>& arguments,
                  const std::vector<std::string>& keywords) {
    std::size_t place = 0;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const bool is_named = i < keywords.size() && !keywords[i].empty();
      if (is_named)
        callee.values[keywords[i]] = arguments[i];
      else if (place < function.parameters.size())
        callee.values[function.parameters[place++].name] = arguments[i];
    }
    for (const Parameter& parameter : function.parameters)
      if (callee.values.count(parameter.name) == 0)
        callee.values[parameter.name] = parameter.initial ? evaluate(*parameter.initial, callee) : Abstract();
    run_block(function.body, callee);
    const auto result = callee.values.find(kReturned);
    return result == callee.values.end() ? Abstract() : std::move(result->second);
  }

  // ---- operations

  Abstract operate(const std::string& op, const std::vector<Abstract>& arguments,
                   const std::vector<std::string>& keywords, const Frame& frame) {
    if (passes_on(op) || changes_place_only(op, arguments)) return arguments.empty() ? Abstract() : arguments[0];
    const bool has_tensor = std::any_of(arguments.begin(), arguments.end(), holds_tensor);
    if (op == "__is__" || op == "__isnot__" || op == "len") return fold(op, arguments);
    if (tells_no_tensor(op) || op == "isinstance" || op == "print") return fold(op, arguments);
    if (op == "int" || op == "float" || op == "bool" || op == "str" || op == "__not__") return fold(op, arguments);
    if (!has_tensor && !makes_tensor(op)) return fold(op, arguments);
    return add_node(op, arguments, keywords, frame);
  }

  /// `to(x, device)`: no dtype among the arguments.
  static bool changes_place_only(const std::string& op, const std::vector<Abstract>& arguments) {
    if (op != "to" || arguments.empty()) return false;
    return std::none_of(arguments.begin() + 1, arguments.end(), [](const Abstract& argument) {
      const bool is_flag = argument.text == "true" || argument.text == "false" || argument.text == "null";
      return holds_tensor(argument) || (argument.text != "device" && !is_flag);
    });
  }

  Abstract add_node(const std::string& op, const std::vector<Abstract>& arguments,
                    const std::vector<std::string>& keywords, const Frame& frame) {
    if (graph_.nodes.size() >= kMaxNodes)
      throw Error(Code::Limit, {}, "the archive's code has too many operations",
                  "at most " + base::count_text(kMaxNodes));
    GraphNode node;
    node.op = op;
    node.module = frame.module;
    Json args = Json::array(), named = Json::object();
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      add_operands(arguments[i], node.operands);
      const std::string keyword = i < keywords.size() ? keywords[i] : std::string();
      if (std::find(kUndecided.begin(), kUndecided.end(), keyword) != kUndecided.end()) continue;
      if (keyword.empty() && arguments[i].text == "device" && arguments[i].is(Kind::Symbol)) continue;
      Json json = argument(arguments[i]);
      if (keyword.empty())
        args.push_back(std::move(json));
      else if (!json.is_null())
        named[keyword] = keyword == "dtype" ? dtype(json) : std::move(json);
    }
    for (auto& [name, json] : named.items()) args.push_back(Json{{name, std::move(json)}});
    name_arguments(node.op, args);
    node.args = args.dump();
    step(node.args.size() / 16 + node.operands.size());
    graph_.nodes.push_back(std::move(node));
    return tensor({Operand::From::Node, graph_.nodes.size() - 1, {}});
  }

  static Json dtype(const Json& number) {
    const bool is_known = number.is_number_unsigned() && number.get<std::uint64_t>() < kDtypes.size();
    return is_known ? Json(kDtypes[number.get<std::size_t>()]) : number;
  }

  static void add_operands(const Abstract& value, std::vector<Operand>& operands) {
    if (value.is(Kind::Tensor)) operands.push_back(value.operand);
    for (const Abstract& item : value.items) add_operands(item, operands);
  }

  /// Null for tensors and for lists of nothing else; a constant is its text.
  static Json argument(const Abstract& value) {
    switch (value.kind) {
      case Kind::Plain: return Json::parse(value.text, nullptr, false);
      case Kind::Symbol:
      case Kind::Name: return Json(base::to_valid_utf8(text_of(value)));
      case Kind::Tensor: return value.text.empty() ? Json() : Json::parse(value.text, nullptr, false);
      case Kind::Module: return Json(base::to_valid_utf8("module " + value.text));
      case Kind::Sequence: break;
    }
    Json list = Json::array();
    for (const Abstract& item : value.items) list.push_back(argument(item));
    const bool only_tensors =
        !list.empty() && std::all_of(list.begin(), list.end(), [](const Json& item) { return item.is_null(); });
    return only_tensors ? Json() : list;
  }

  const Program& program_;
  const ScriptObjects& objects_;
  ScriptConstants& constants_;
  Graph graph_;
  Values assigned_;  ///< attributes that the code sets, by full name
  std::size_t steps_ = 0;
  int depth_ = 0;
};

}  // namespace

std::optional<Graph> walk_forward(const Program& program, const ScriptObjects& objects, ScriptConstants& constants) {
  return Walk(program, objects, constants).run();
}

}  // namespace tenon::model::script
