#include "diagnose/engine.hpp"

#include <algorithm>
#include <map>
#include <span>

#include "base/text.hpp"
#include "diagnose/coverage.hpp"
#include "diagnose/drops.hpp"
#include "diagnose/function/function_difference.hpp"
#include "diagnose/names.hpp"
#include "diagnose/origins/origin_rules.hpp"
#include "diagnose/origins/origins.hpp"
#include "diagnose/repairs/repairs.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr std::size_t kMostCauses = 5;
constexpr double kSure = 0.6;                        // below it two candidates are named, and what decides between them
constexpr double kLeastShare = 0.5;                  // what a cause weighs that explains one row of many
constexpr double kFaintSecond = 0.2, kFaint = 0.27;  // shares of the best weight below which a cause is not given

/// How sure the way of one tensor from its name in the file to its name in the state is.
struct Trust {
  double confidence = 1;
  bool apply = true;
};

struct Step {
  plan::State state;
  Gap gap;
};

/// What the operations lead to; nothing when one of them does not apply, gives two tensors one name, or makes matters
/// worse.
std::optional<Step> attempt(const Case& facts, const std::vector<Op>& ops) {
  Step step{facts.state, {}};
  for (const Op& op : ops)
    if (step.state.run(op) == 0 && !std::holds_alternative<KeepTarget>(op.operation)) return std::nullopt;
  if (step.state.collision()) return std::nullopt;
  step.gap = gap_between(step.state, facts.target);
  if (step.gap.size() > facts.gap.size()) return std::nullopt;
  return step;
}

/// Tensors that the operations renamed are as sure as the finding, and done unasked only where the finding is.
void lower_trust(std::vector<Trust>& trust, const plan::State& before, const plan::State& after,
                 const Finding& finding) {
  const bool is_exact = std::all_of(finding.ops.begin(), finding.ops.end(),
                                    [](const Op& op) { return op.applicability == Applicability::Exact; });
  std::vector<const std::string*> names(trust.size(), nullptr);
  for (const Planned& tensor : before.tensors()) names[tensor.source] = &tensor.spec.name;
  for (const Planned& tensor : after.tensors()) {
    if (*names[tensor.source] == tensor.spec.name) continue;
    Trust& its = trust[tensor.source];
    its.confidence = std::min(its.confidence, finding.cause.confidence);
    its.apply = its.apply && is_exact;
  }
}

/// How many rows of a text each finding explains: the ones it tells of, or resolves by operations.
using Explained = std::map<std::string, double>;

std::string key_of(const Cause& cause) { return cause.id + '\n' + cause.summary; }

void note_explained(const Finding& finding, std::size_t resolved, Explained& explained) {
  const std::size_t told = finding.told_want.size() + finding.told_have.size();
  const std::size_t most = std::max({static_cast<std::size_t>(finding.cause.keys), told, resolved});
  explained[key_of(finding.cause)] = static_cast<double>(most);
}

void record(Finding finding, Report& report) {
  for (Op& op : finding.ops) {
    finding.cause.ops.push_back(report.plan.ops.size());
    report.plan.ops.push_back(std::move(op));
  }
  std::move(finding.dtype_changes.begin(), finding.dtype_changes.end(),
            std::back_inserter(report.difference.dtype_changes));
  report.causes.push_back(std::move(finding.cause));
}

/// Whether one of the causes from `begin` on does harm.
bool is_explained(const Report& report, std::size_t begin) {
  return std::any_of(report.causes.begin() + static_cast<std::ptrdiff_t>(begin), report.causes.end(),
                     [](const Cause& cause) { return cause.severity != Severity::Note; });
}

/// Rows that a finding without operations explains: later rules look at the rest.
void tell(const Finding& finding, Case& facts) {
  facts.told.want.resize(facts.target.tensors.size(), false);
  facts.told.have.resize(facts.checkpoint.tensors.size(), false);
  for (const std::size_t index : finding.told_want) facts.told.want[index] = true;
  for (const std::size_t index : finding.told_have) facts.told.have[facts.state.tensors()[index].source] = true;
}

/// Whether a cause is found already; the first `skipped` ones are of parts, and do not speak for the rest.
bool is_found(const Report& report, std::string_view id, std::size_t skipped) {
  return std::any_of(report.causes.begin() + static_cast<std::ptrdiff_t>(skipped), report.causes.end(),
                     [&](const Cause& cause) { return cause.id == id; });
}

/// The file was found to be no model at all: its keys are no question any more.
bool is_no_checkpoint(const Case& facts, const Report& report) {
  return facts.knowledge == Knowledge::Whole && report.causes.size() == 1 &&
         report.causes[0].severity == Severity::Error &&
         (report.causes[0].id == "wrong_object" || report.causes[0].id == "corrupt_file");
}

/// The rules are asked in turn; what one finds changes the case for those behind it.
class Inquiry {
 public:
  Inquiry(Case& facts, Report& report) : trust(facts.checkpoint.tensors.size()), facts_(facts), report_(report) {}

  void ask(std::span<const Rule> rules) {
    const std::size_t begin = report_.causes.size();
    for (const Rule& rule : rules) {
      if (is_no_checkpoint(facts_, report_)) return;
      if (rule.speaks == Speaks::WhenUnexplained && is_explained(report_, begin)) continue;
      if (is_said(rule)) continue;
      for (int round = 0; round < rule.rounds && ask(rule); ++round) {
      }
    }
  }

  /// What is found up to now is of parts, and does not speak for the rest.
  void begin_rest() { skipped_ = report_.causes.size(); }

  std::vector<Trust> trust;
  Explained explained;

 private:
  /// Origins and shapes lead to some causes on two ways; one is enough.
  bool is_said(const Rule& rule) const {
    return facts_.knowledge == Knowledge::Whole && rule.rounds == 1 && is_found(report_, rule.id, skipped_);
  }

  /// True when asking again may find more.
  bool ask(const Rule& rule) {
    auto finding = rule.find(facts_);
    if (!finding) return false;
    finding->cause.id = std::string(rule.id);
    if (finding->ops.empty()) finding->ops = repair_of(rule.id, facts_, *finding);
    tell(*finding, facts_);
    const std::size_t open_before = facts_.gap.size();
    const bool is_remark = finding->ops.empty();
    if (!is_remark) {
      auto step = attempt(facts_, finding->ops);
      if (!step) return false;
      lower_trust(trust, facts_.state, step->state, *finding);
      facts_.state = std::move(step->state);
      facts_.gap = std::move(step->gap);
    }
    note_explained(*finding, open_before - facts_.gap.size(), explained);
    record(std::move(*finding), report_);
    return !is_remark;  // a remark changed nothing: it would say the same again
  }

  Case& facts_;
  Report& report_;
  std::size_t skipped_ = 0;
};

std::vector<std::string> names_of(const Listing& listing, const std::vector<std::size_t>& indexes) {
  std::vector<std::string> names;
  for (const std::size_t index : indexes) names.push_back(listing.tensors[index].name);
  return names;
}

std::string how_text(const Mapped& mapped, const Origin* origin) {
  if (origin == nullptr || origin->match.how == match::How::Identical)
    return mapped.from.size() == 1 && mapped.from[0] == mapped.to ? "identical" : "rename";
  return std::string(match::how_name(origin->match.how));
}

/// What the plan fills, and what only the matcher knows an origin for. `grounds`: the trust before the matcher.
void fill_mapping(const Case& facts, const std::vector<Trust>& trust, const std::vector<Trust>& grounds,
                  Report& report) {
  std::vector<const Pair*> filled(facts.target.tensors.size(), nullptr);
  for (const Pair& pair : facts.gap.matched) filled[pair.target] = &pair;
  for (std::size_t i = 0; i < filled.size(); ++i) {
    Mapped mapped{facts.want(i).name, {}, {}, 0, false};
    const Origin* origin = facts.origins && facts.origins->of[i] ? &*facts.origins->of[i] : nullptr;
    if (filled[i] != nullptr) {
      const Planned& tensor = facts.state.tensors()[filled[i]->state];
      mapped.from = names_of(facts.checkpoint, sources(tensor));
      mapped.confidence = trust[tensor.source].confidence;
      mapped.apply = trust[tensor.source].apply;
      if (origin != nullptr && names_of(facts.checkpoint, origin->sources) != mapped.from) origin = nullptr;
    } else if (origin != nullptr) {
      mapped.from = names_of(facts.checkpoint, origin->sources);
    }
    if (mapped.from.empty()) continue;
    if (origin != nullptr && (origin->match.how != match::How::Identical || !origin->match.apply)) {
      mapped.confidence = origin->match.confidence;
      mapped.apply = origin->match.apply;
      // The match rests on what unwrapped or renamed before it, which may be open.
      for (const std::size_t source : origin->sources) {
        mapped.confidence = std::min(mapped.confidence, grounds[source].confidence);
        mapped.apply = mapped.apply && grounds[source].apply;
      }
    }
    mapped.how = how_text(mapped, origin);
    report.mapping.push_back(std::move(mapped));
  }
}

std::uint64_t less(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : 0; }

/// A plan that resolves nothing is none: its operations are taken back from the causes.
void drop_idle_plan(const Balance& before, Report& report) {
  const bool changes_dtypes = std::any_of(report.plan.ops.begin(), report.plan.ops.end(), [](const Op& op) {
    return std::holds_alternative<Cast>(op.operation) || std::holds_alternative<Dequantize>(op.operation);
  });
  const Balance& done = report.resolves;
  if (changes_dtypes || done.missing + done.unexpected + done.mismatched > 0) return;
  report.plan.ops.clear();
  for (Cause& cause : report.causes) cause.ops.clear();
  report.leaves = before;
}

/// What explains most first; what does no harm last.
void order_causes(Report& report) {
  std::stable_sort(report.causes.begin(), report.causes.end(), [](const Cause& a, const Cause& b) {
    return a.severity != b.severity ? a.severity < b.severity : a.keys > b.keys;
  });
}

/// How much a cause explains of what a text shows, weighed by how sure it is.
double weight(const Cause& cause, double shown, const Explained& explained) {
  const auto found = explained.find(key_of(cause));
  const double rows = found == explained.end() ? static_cast<double>(cause.keys) : found->second;
  const double share = shown > 0 ? std::min(1.0, rows / shown) : 1;
  return cause.confidence * (kLeastShare + (1 - kLeastShare) * share);
}

/// From a text alone several causes may fit the same rows. The ones that explain little beside the best are left out.
void weigh_causes(const Balance& before, const Explained& explained, Report& report) {
  const auto shown = static_cast<double>(before.missing + before.unexpected + before.mismatched);
  std::stable_sort(report.causes.begin(), report.causes.end(), [&](const Cause& a, const Cause& b) {
    return a.severity != b.severity ? a.severity < b.severity
                                    : weight(a, shown, explained) > weight(b, shown, explained);
  });
  if (report.causes.empty()) return;
  const double best = weight(report.causes.front(), shown, explained);
  std::size_t rank = 0;
  std::erase_if(report.causes, [&](const Cause& cause) {
    const bool is_faint = weight(cause, shown, explained) < best * (rank < 2 ? kFaintSecond : kFaint);
    ++rank;
    return is_faint && cause.ops.empty();
  });
}

/// At most five; where nothing is sure, what decides between the first two.
void close_causes(Report& report) {
  if (report.causes.size() > kMostCauses) report.causes.resize(kMostCauses);
  if (report.causes.size() < 2 || report.causes.front().confidence >= kSure) return;
  report.advice.push_back("not sure: `" + report.causes[0].id + "` or `" + report.causes[1].id +
                          "`; what decides    tenon check FILE --against MODEL");
}

}  // namespace

Difference difference_of(const Case& facts) {
  Difference difference;
  if (facts.knowledge == Knowledge::Whole) difference.matched = facts.gap.matched.size();
  for (const std::size_t index : facts.gap.missing) difference.missing.push_back(facts.want(index).name);
  for (const std::size_t index : facts.gap.unexpected) difference.unexpected.push_back(facts.have(index).name);
  for (const Pair& pair : facts.gap.mismatched)
    difference.mismatched.push_back(
        {facts.want(pair.target).name, *facts.have(pair.state).shape, *facts.want(pair.target).shape});
  return difference;
}

void solve(Case& facts, Report& report) {
  const Balance at_start = facts.gap.balance();
  Inquiry inquiry(facts, report);
  if (facts.knowledge == Knowledge::Partial) inquiry.ask(kTextRules);
  const std::span<const Rule> rules(kRules);
  const auto on_shapes =
      std::find_if(rules.begin(), rules.end(), [](const Rule& rule) { return rule.id == kFirstOnShapes; });
  const auto before = static_cast<std::size_t>(on_shapes - rules.begin());
  inquiry.ask(rules.first(before));
  for (const Rule& rule : kPartRules) {
    inquiry.begin_rest();
    inquiry.ask({&rule, 1});
  }
  inquiry.begin_rest();
  const std::vector<Trust> grounds = inquiry.trust;
  facts.origins = origins_of(facts);
  if (facts.origins) inquiry.ask(kOriginRules);
  inquiry.ask({&kLostTie, 1});
  inquiry.ask(rules.subspan(before));
  if (auto difference = function_difference(facts))
    facts.function = std::make_shared<const FunctionDifference>(std::move(*difference));
  inquiry.ask(kFunctionRules);
  inquiry.ask(kLastRules);
  report.leaves = facts.gap.balance();
  report.resolves = {less(at_start.missing, report.leaves.missing), less(at_start.unexpected, report.leaves.unexpected),
                     less(at_start.mismatched, report.leaves.mismatched)};
  drop_idle_plan(at_start, report);
  report.drops = drop_verdicts(report.plan, facts.checkpoint, facts.target, facts.knowledge);
  hold_back_harmful(report);
  if (facts.knowledge == Knowledge::Whole) {
    fill_mapping(facts, inquiry.trust, grounds, report);
    report.coverage = coverage_of(facts);
  }
  if (facts.knowledge == Knowledge::Whole)
    order_causes(report);
  else
    weigh_causes(at_start, inquiry.explained, report);
  close_causes(report);
}

}  // namespace tenon::diagnosis
