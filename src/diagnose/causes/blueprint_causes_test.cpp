// The causes that speak from blueprints: which of them speaks, its first line and what it says to write.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>
#include <string>

#include <tenon/diagnose.hpp>

#include "support/blueprints.hpp"

namespace tenon {
namespace {

using Edit = std::function<void(Blueprint& from, Blueprint& to)>;

Report report_of(const Edit& edit) {
  Blueprint from = test::small_blueprint();
  from.unsaved.clear();  // weights in no state dict are a cause of their own
  Blueprint to = from;
  edit(from, to);
  return diagnose(list(from, "saved"), list(to, "model"));
}

ModuleSpec& module(Blueprint& blueprint, const std::string& path) {
  return *std::find_if(blueprint.modules.begin(), blueprint.modules.end(),
                       [&](const ModuleSpec& row) { return row.path == path; });
}

void compute_otherwise(Blueprint& blueprint) {
  blueprint.probe->outputs[0].digest = "sha256:other";
  blueprint.probe->outputs[0].sample[0] = 99;
}

struct Row {
  const char* name;
  Edit edit;
  const char* id;
  const char* summary;
  const char* help;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class BlueprintCause : public testing::TestWithParam<Row> {};

TEST_P(BlueprintCause, SaysWhatIsWrongAndWhatToWrite) {
  const Report report = report_of(GetParam().edit);
  EXPECT_EQ(report.fits, false);
  ASSERT_EQ(report.causes.size(), 1U);
  const Cause& cause = report.causes.front();
  EXPECT_EQ(cause.id, GetParam().id);
  EXPECT_EQ(cause.summary, GetParam().summary);
  ASSERT_FALSE(cause.help.empty());
  EXPECT_EQ(cause.help.front(), GetParam().help);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BlueprintCause,
    testing::Values(
        Row{"layer_added",
            [](Blueprint&, Blueprint& to) {
              to.modules.push_back({"blocks.3.drop", "Dropout", false, {}, ""});
            },
            "parameter_free_change", "the model runs a layer that the saved one did not have: `blocks.3.drop`",
            "take `blocks.3.drop` out again    model.blocks[3].drop = torch.nn.Identity()"},
        Row{"layer_removed",
            [](Blueprint&, Blueprint& to) {
              to.modules.erase(to.modules.begin() + 2);
              to.graph.reset();
            },
            "parameter_free_change", "the saved model ran a layer that this one does not have: `pool`",
            "put `pool` back    MaxPool2d(kernel_size=2, stride=2)"},
        Row{"layer_swapped", [](Blueprint&, Blueprint& to) { module(to, "act").type = "GELU"; },
            "parameter_free_change", "`act` is another layer than in the saved model",
            "make `act` what it was    ReLU()"},
        Row{"option", [](Blueprint&, Blueprint& to) { module(to, "conv").options[0].second = "[2,2]"; },
            "parameter_free_change", "`conv` differs from the saved model: option dilation",
            "make `conv` what it was    Conv2d(dilation=1)"},
        Row{"operation_added", [](Blueprint& from, Blueprint&) { from.graph->nodes.pop_back(); },
            "parameter_free_change", "the model runs an operation that the saved one did not: `add` in `forward`",
            "take the operation out of `forward` again    add(alpha=1)"},
        Row{"operation_removed", [](Blueprint&, Blueprint& to) { to.graph->nodes.pop_back(); }, "parameter_free_change",
            "the saved model ran an operation that this one does not: `add` in `forward`",
            "put the operation back into `forward`    add(alpha=1)"},
        Row{"tie_lost", [](Blueprint&, Blueprint& to) { to.tensors[4].tied_to.clear(); }, "tied_or_shared",
            "`out.weight` was tied to `fc.weight` and is a tensor of its own",
            "tie them again    model.out.weight = model.fc.weight"},
        Row{"tie_new", [](Blueprint& from, Blueprint&) { from.tensors[4].tied_to.clear(); }, "tied_or_shared",
            "`out.weight` was a tensor of its own and is tied to `fc.weight`",
            "give `out.weight` its own again, or see that both saved values are equal    tenon diff"},
        Row{"tied_to_another", [](Blueprint&, Blueprint& to) { to.tensors[4].tied_to = "conv.weight"; },
            "tied_or_shared", "`out.weight` was tied to `fc.weight` and is tied to `conv.weight`",
            "tie them again    model.out.weight = model.fc.weight"},
        Row{"shared_module_lost", [](Blueprint& from, Blueprint&) { module(from, "fc").same_as = "conv"; },
            "tied_or_shared", "`fc` was the same module as `conv` and is a module of its own",
            "tie them again    model.fc = model.conv"},
        Row{"other_output", [](Blueprint&, Blueprint& to) { compute_otherwise(to); }, "silent_wrong",
            "the model computes something else than the saved one, with the same weights and input",
            "compare `forward` in both versions of the code"},
        Row{"other_output_of_a_module",
            [](Blueprint&, Blueprint& to) {
              compute_otherwise(to);
              to.probe->modules[1].sample[0] = 99;
            },
            "silent_wrong", "the model computes something else than the saved one, with the same weights and input",
            "compare `forward` of `fc` in both versions of the code"},
        Row{"other_output_and_no_weights_known",
            [](Blueprint& from, Blueprint& to) {
              compute_otherwise(to);
              from.probe->state.clear();
            },
            "silent_wrong", "the model computes something else than the saved one, with the same input",
            "compare `forward` in both versions of the code"},
        Row{"other_output_shape", [](Blueprint&, Blueprint& to) { to.probe->outputs[0].shape = {6}; }, "silent_wrong",
            "the model computes something else than the saved one, with the same input",
            "compare `forward` in both versions of the code"},
        Row{"kept_beside_in_the_model",
            [](Blueprint&, Blueprint& to) {
              to.tensors.pop_back();
              to.unsaved = {{"steps", "non-persistent buffer"}};
            },
            "custom_layer_state", "the model keeps outside its state dict what the file holds: `steps`",
            "register it, and save anew    self.register_buffer(name, tensor, persistent=True)"},
        Row{"kept_beside_in_the_saved_model",
            [](Blueprint& from, Blueprint&) {
              from.tensors.pop_back();
              from.unsaved = {{"steps", "tensor attribute"}};
            },
            "custom_layer_state", "the saved model kept outside its state dict what the model wants: `steps`",
            "register it, and save anew    self.register_buffer(name, tensor); torch.nn.Parameter(tensor) where it is "
            "trained"},
        Row{"weights_in_a_list",
            [](Blueprint&, Blueprint& to) {
              to.unsaved = {{"layers.0.weight", "module in a list"}};
            },
            "custom_layer_state", "the model has weights that no state dict holds: `layers.0.weight`",
            "register it, and save anew    torch.nn.ModuleList or ModuleDict for the list or dict"}),
    [](const auto& row) { return row.param.name; });

/// Lost state explains other outputs: the cause that names it gives the probe as evidence, and no second one speaks.
TEST(BlueprintCauses, WhatIsExplainedIsNotSaidTwice) {
  const Report report = report_of([](Blueprint& from, Blueprint& to) {
    to.unsaved = from.unsaved = {{"layers.0.weight", "module in a list"}};
    compute_otherwise(to);
  });
  ASSERT_EQ(report.causes.size(), 1U);
  EXPECT_EQ(report.causes[0].id, "custom_layer_state");
  EXPECT_NE(std::find_if(report.causes[0].evidence.begin(), report.causes[0].evidence.end(),
                         [](const std::string& clause) { return clause.starts_with("probe: output 0"); }),
            report.causes[0].evidence.end());
}

/// Another environment explains nothing by itself: it may show in a result, and the probe says that it does.
TEST(BlueprintCauses, ANoteKeepsNobodyFromSpeaking) {
  const Report report = report_of([](Blueprint&, Blueprint& to) {
    to.environment[1].second = R"("torch 2.4.0")";
    compute_otherwise(to);
  });
  ASSERT_EQ(report.causes.size(), 2U);
  EXPECT_EQ(report.causes[0].id, "silent_wrong");
  EXPECT_EQ(report.causes[1].id, "environment_changed");
}

TEST(BlueprintCauses, WhatALimitLeftOutIsSaid) {
  const Report report = report_of([](Blueprint&, Blueprint& to) {
    to.probe.reset();
    to.left_out = {"probe: inputs and outputs have 9 bytes, the limit is 8"};
  });
  EXPECT_EQ(report.fits, true);
  ASSERT_EQ(report.not_checked.size(), 3U);
  EXPECT_EQ(report.not_checked[1],
            "left out of the target's blueprint: probe: inputs and outputs have 9 bytes, the limit is 8");
}

TEST(BlueprintCauses, AnotherMemoryLayoutFitsWithANote) {
  const Report report = report_of([](Blueprint&, Blueprint& to) { to.tensors[0].stride = Stride{9, 1, 3, 1}; });
  EXPECT_EQ(report.fits, true);
  EXPECT_TRUE(report.causes.empty());
  EXPECT_TRUE(report.difference.layout_changes.empty());  // one channel: the elements stand as before
  const Report other = report_of([](Blueprint&, Blueprint& to) { to.tensors[2].stride = Stride{1, 3}; });
  EXPECT_EQ(other.fits, true);
  ASSERT_EQ(other.difference.layout_changes.size(), 1U);
  ASSERT_EQ(other.notes.size(), 1U);
  EXPECT_NE(other.notes[0].find("permuted in the model); harmless"), std::string::npos) << other.notes[0];
}

class NoBlueprintCause : public testing::TestWithParam<Row> {};

TEST_P(NoBlueprintCause, Fits) {
  const Report report = report_of(GetParam().edit);
  EXPECT_EQ(report.fits, true);
  EXPECT_TRUE(report.causes.empty()) << report.causes.front().summary;
}

INSTANTIATE_TEST_SUITE_P(
    Table, NoBlueprintCause,
    testing::Values(Row{"equal", [](Blueprint&, Blueprint&) {}, "", "", ""},
                    Row{"a_constant_kept_as_an_attribute",
                        [](Blueprint&, Blueprint& to) {
                          to.unsaved = {{"mean", "tensor attribute"}};
                        },
                        "", "", ""},
                    Row{"frozen", [](Blueprint&, Blueprint& to) { to.tensors[0].requires_grad = false; }, "", "", ""},
                    Row{"other_threads", [](Blueprint&, Blueprint& to) { to.environment[2].second = "64"; }, "", "",
                        ""},
                    Row{"inplace", [](Blueprint&, Blueprint& to) { module(to, "act").options.clear(); }, "", "", ""}),
    [](const auto& row) { return row.param.name; });

/// How much a yes rests on.
TEST(BlueprintCauses, AYesSaysWhatItRestsOn) {
  EXPECT_EQ(report_of([](Blueprint&, Blueprint&) {}).proved, Proved::Function);
  EXPECT_EQ(report_of([](Blueprint&, Blueprint& to) { to.probe.reset(); }).proved, Proved::Architecture);
  const auto without_modules = [](Blueprint&, Blueprint& to) {
    to.probe.reset();
    to.modules.clear();
  };
  EXPECT_EQ(report_of(without_modules).proved, Proved::Shapes);
}

/// Another environment is worth knowing, and no reason not to load.
TEST(BlueprintCauses, AnotherEnvironmentIsANote) {
  const Report report = report_of([](Blueprint&, Blueprint& to) { to.environment[1].second = R"("libtorch 2.4.0")"; });
  EXPECT_EQ(report.fits, true);
  ASSERT_EQ(report.causes.size(), 1U);
  EXPECT_EQ(report.causes[0].id, "environment_changed");
  EXPECT_EQ(report.causes[0].severity, Severity::Note);
  EXPECT_EQ(report.causes[0].summary, "framework was torch 1.13.1 and is libtorch 2.4.0");
}

/// A wrapper's prefix is taken off before modules are laid side by side: no layer is new because of it.
TEST(BlueprintCauses, AWrapperIsNoOtherFunction) {
  const Report report = report_of([](Blueprint& from, Blueprint&) {
    for (TensorSpec& spec : from.tensors) {
      spec.name = "module." + spec.name;
      if (!spec.tied_to.empty()) spec.tied_to = "module." + spec.tied_to;
    }
    for (ModuleSpec& row : from.modules) {
      row.path = row.path.empty() ? "module" : "module." + row.path;
      if (!row.same_as.empty()) row.same_as = "module." + row.same_as;
    }
    from.modules.insert(from.modules.begin(), {"", "DataParallel", false, {}, ""});
    for (GraphNode& node : from.graph->nodes) {
      node.module = node.module.empty() ? "module" : "module." + node.module;
      for (Operand& operand : node.operands)
        if (operand.from == Operand::From::Tensor) operand.name = "module." + operand.name;
    }
    from.probe.reset();
  });
  ASSERT_EQ(report.causes.size(), 1U);
  EXPECT_EQ(report.causes[0].id, "wrapper_prefix");
  EXPECT_TRUE(report.architecture.empty()) << report.architecture[0].module << ": " << report.architecture[0].what;
}

}  // namespace
}  // namespace tenon
