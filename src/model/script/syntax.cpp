#include "model/script/syntax.hpp"

#include <utility>

#include <nlohmann/json.hpp>

#include "model/script/expressions.hpp"

namespace tenon::model::script {
namespace {

constexpr int kMaxBlocks = 100;

class Parser {
 public:
  Parser(const std::vector<Token>& tokens, const std::string& module, const Place& place, Program& program)
      : in_(tokens, place), expressions_(in_), module_(module), program_(program) {}

  void run() {
    while (!in_.is(Token::Kind::End)) {
      if (in_.take_name("class")) {
        parse_class();
      } else if (in_.take_name("def")) {
        Function function = parse_function();
        std::string name = module_ + "." + function.name;
        program_.functions.insert_or_assign(std::move(name), std::move(function));
      } else {
        skip_line();  // op_version_set, imports
      }
    }
  }

 private:
  void skip_line() {
    while (!in_.is(Token::Kind::NewLine) && !in_.is(Token::Kind::End)) in_.step();
    in_.step();
  }

  void need(Token::Kind kind) {
    if (!in_.is(kind)) throw in_.odd("the code breaks off, or a line has more than one statement");
    in_.step();
  }

  void parse_class() {
    ClassCode code;
    const std::string name = in_.need_name();
    if (in_.take_symbol("(")) {
      if (in_.is(Token::Kind::Name)) code.base = in_.need_name();
      while (!in_.take_symbol(")")) {
        if (in_.is(Token::Kind::End)) throw in_.odd("the code lacks a `)`");
        in_.step();
      }
    }
    in_.need_symbol(":");
    need(Token::Kind::NewLine);
    if (in_.is(Token::Kind::Indent)) {
      in_.step();
      while (!in_.is(Token::Kind::Dedent) && !in_.is(Token::Kind::End)) parse_member(code);
      in_.step();
    }
    program_.classes.insert_or_assign(module_ + "." + name, std::move(code));
  }

  void parse_member(ClassCode& code) {
    if (in_.take_name("def")) {
      Function method = parse_function();
      std::string name = method.name;
      code.methods.insert_or_assign(std::move(name), std::move(method));
      return;
    }
    if (in_.is_name("pass") || in_.is_symbol("@")) return skip_line();
    const Expr target = expressions_.expression();
    const bool has_type = in_.take_symbol(":");
    bool is_final = false;
    if (has_type) is_final = parse_type() == "Final";
    std::optional<Expr> value;
    if (in_.take_symbol("=")) value = expressions_.expressions();
    need(Token::Kind::NewLine);
    declare(code, target, has_type, is_final, value);
  }

  /// `x : T`, `x : Final[T] = v`, `__parameters__ = [...]`, `__annotations__["0"] = T`.
  static void declare(ClassCode& code, const Expr& target, bool has_type, bool is_final,
                      const std::optional<Expr>& value) {
    const bool is_annotation = target.kind == Expr::Kind::Subscript && target.items[0].text == "__annotations__";
    if (is_annotation && target.items[1].kind == Expr::Kind::Literal)
      code.attributes.push_back(text_of(target.items[1]));
    if (target.kind != Expr::Kind::Name) return;
    if (has_type && is_final && value)
      code.constants.emplace_back(target.text, *value);
    else if (has_type)
      code.attributes.push_back(target.text);
    else if (value && (target.text == "__parameters__" || target.text == "__buffers__"))
      for (const Expr& item : value->items)
        (target.text == "__buffers__" ? code.buffers : code.parameters).push_back(text_of(item));
  }

  static std::string text_of(const Expr& literal) {
    const auto value = nlohmann::json::parse(literal.text, nullptr, false);
    return value.is_string() ? value.get<std::string>() : literal.text;
  }

  /// The first word of a type; the rest is passed over.
  std::string parse_type() {
    const Expr type = expressions_.expression();
    return type.kind == Expr::Kind::Subscript ? type.items[0].text : type.text;
  }

  Function parse_function() {
    Function function;
    function.name = in_.need_name();
    in_.need_symbol("(");
    while (!in_.take_symbol(")")) {
      if (!in_.take_symbol("*")) function.parameters.push_back(parse_parameter());
      if (!in_.is_symbol(")")) in_.need_symbol(",");
    }
    if (in_.take_symbol("->")) parse_type();
    in_.need_symbol(":");
    function.body = parse_block();
    return function;
  }

  Parameter parse_parameter() {
    Parameter parameter{in_.need_name(), {}, {}};
    if (in_.take_symbol(":")) parameter.type = parse_type();
    if (in_.take_symbol("=")) parameter.initial = expressions_.expression();
    return parameter;
  }

  std::vector<Statement> parse_block() {
    if (++blocks_ > kMaxBlocks) throw in_.odd("blocks of the code are nested too deeply");
    std::vector<Statement> block;
    need(Token::Kind::NewLine);
    need(Token::Kind::Indent);
    while (!in_.is(Token::Kind::Dedent) && !in_.is(Token::Kind::End)) block.push_back(parse_statement());
    in_.step();
    --blocks_;
    return block;
  }

  Statement parse_statement() {
    Statement statement;
    if (in_.take_name("if")) return parse_if();
    if (in_.take_name("while")) return parse_compound(Statement::Kind::While);
    if (in_.take_name("with")) return parse_with();
    if (in_.take_name("for")) {
      Expr target = expressions_.expressions();  // `i in range(...)` is one expression
      return parse_for(std::move(target));
    }
    if (in_.is_name("return")) return parse_return();
    if (in_.is_name("pass") || in_.is_name("del") || in_.is_name("assert") || in_.is_name("raise") ||
        in_.is_name("import") || in_.is_name("break") || in_.is_name("continue") || in_.is_symbol("@")) {
      skip_line();
      return statement;
    }
    return parse_assignment();
  }

  Statement parse_compound(Statement::Kind kind) {
    Statement statement{kind, {}, expressions_.expression(), {}, {}};
    in_.need_symbol(":");
    statement.body = parse_block();
    return statement;
  }

  Statement parse_if() {
    Statement statement = parse_compound(Statement::Kind::If);
    if (in_.take_name("elif")) {
      if (++blocks_ > kMaxBlocks) throw in_.odd("blocks of the code are nested too deeply");
      statement.otherwise.push_back(parse_if());
      --blocks_;
    } else if (in_.take_name("else")) {
      in_.need_symbol(":");
      statement.otherwise = parse_block();
    }
    return statement;
  }

  /// `with torch.no_grad():` runs its body; what it stands for decides no value.
  Statement parse_with() {
    static_cast<void>(expressions_.expression());
    if (in_.take_name("as")) static_cast<void>(expressions_.expression());
    in_.need_symbol(":");
    Statement statement{Statement::Kind::If, {}, {Expr::Kind::Literal, "true", {}, {}}, {}, {}};
    statement.body = parse_block();
    return statement;
  }

  Statement parse_for(Expr target) {
    if (target.kind != Expr::Kind::Operator || target.text != "__contains__" || target.items.size() != 2)
      throw in_.odd("a loop of the code lacks its `in`");
    Statement statement{Statement::Kind::For, std::move(target.items[0]), std::move(target.items[1]), {}, {}};
    in_.need_symbol(":");
    statement.body = parse_block();
    return statement;
  }

  Statement parse_return() {
    in_.step();
    Statement statement{Statement::Kind::Return, {}, {}, {}, {}};
    if (!in_.is(Token::Kind::NewLine)) statement.value = expressions_.expressions();
    need(Token::Kind::NewLine);
    return statement;
  }

  Statement parse_assignment() {
    Statement statement{Statement::Kind::Evaluate, {}, expressions_.expressions(), {}, {}};
    if (in_.take_symbol(":")) parse_type();
    if (in_.take_symbol("=")) {
      statement.kind = Statement::Kind::Assign;
      statement.target = std::move(statement.value);
      statement.value = expressions_.expressions();
    }
    need(Token::Kind::NewLine);
    return statement;
  }

  TokenReader in_;
  Expressions expressions_;
  const std::string& module_;
  Program& program_;
  int blocks_ = 0;
};

}  // namespace

void parse_source(std::string_view source, const std::string& module, const Place& place, Program& program) {
  const std::vector<Token> tokens = tokenize(source, place);
  Parser(tokens, module, place, program).run();
}

}  // namespace tenon::model::script
