#include "scan/judge.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace tenon::scanning {
namespace {

struct Row {
  const char* module;
  const char* name;
  ScanVerdict verdict;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.module << '.' << row.name; }

class Names : public testing::TestWithParam<Row> {};

TEST_P(Names, AreJudged) {
  const auto [module, name, verdict] = GetParam();
  EXPECT_EQ(judge(module, name, Home::Pickle).verdict, verdict);
}

constexpr auto S = ScanVerdict::Safe, U = ScanVerdict::UnknownCode, D = ScanVerdict::Dangerous;

INSTANTIATE_TEST_SUITE_P(Allowed, Names,
                         testing::Values(Row{"torch._utils", "_rebuild_tensor_v2", S}, Row{"torch", "FloatStorage", S},
                                         Row{"collections", "OrderedDict", S}, Row{"__builtin__", "set", S},
                                         Row{"numpy._core.multiarray", "scalar", S},
                                         Row{"copy_reg", "_reconstructor", S}, Row{"uuid", "UUID", S}));

// No prefix makes a name safe, and no name is safe in another module.
INSTANTIATE_TEST_SUITE_P(
    Unknown, Names,
    testing::Values(Row{"torch.nn.modules.linear", "Linear", U}, Row{"torch", "_rebuild_tensor_v2", U},
                    Row{"torch.nn", "OrderedDict", U}, Row{"__main__", "Net", U}, Row{"mypkg.config", "Cfg", U},
                    Row{"sklearn.svm._classes", "SVC", U}, Row{"transformers.training_args", "TrainingArguments", U},
                    Row{"collections", "namedtuple", U}, Row{"enum", "Enum", U},
                    Row{"fairseq.logging.meters", "AverageMeter", U},
                    Row{"code.models", "Net", U},  // somebody's own package of that name
                    Row{"joblib.numpy_pickle", "NumpyArrayWrapper", U}, Row{"optparse", "Values", U},
                    Row{"logging", "getLogger", U}, Row{"copyreg", "__newobj__", U}, Row{"mypkg", "Outer.Inner", U},
                    Row{"pandas.core.frame", "DataFrame", U}, Row{"builtins", "ValueError", U}));

INSTANTIATE_TEST_SUITE_P(
    Dangerous, Names,
    testing::Values(Row{"os", "system", D}, Row{"posix", "system", D}, Row{"nt", "system", D},
                    Row{"subprocess", "Popen", D}, Row{"__builtin__", "eval", D}, Row{"builtins", "getattr", D},
                    Row{"_io", "FileIO", D}, Row{"_pickle", "loads", D}, Row{"_operator", "methodcaller", D},
                    Row{"cProfile", "runctx", D}, Row{"idlelib.pyshell", "ModifiedInterpreter.runcode", D},
                    Row{"torch.utils.collect_env", "run", D}, Row{"torch.hub", "load", D},
                    Row{"torch.fx.graph_module", "reduce_graph_module", D}, Row{"torch", "load", D},
                    Row{"torch.serialization", "load", D}, Row{"numpy.f2py.crackfortran", "getlincoef", D},
                    Row{"numpy", "load", D}, Row{"pandas", "read_pickle", D}, Row{"joblib", "load", D},
                    Row{"zipapp", "create_archive", D},  // of the standard library, on no list by itself
                    Row{"collections", "abc.sys.exit", D}, Row{"collections", "_sys.modules", D},
                    Row{"torch."
                        "library",
                        "torch.utils.collect_env.run", D},
                    Row{"random", "_os.system", D}, Row{"mypkg", "__dict__", D},
                    Row{"builtins", "object.__subclasses__", D}, Row{"torch.serialization", "os", D},
                    Row{"uuid", "_get_command_stdout", D}, Row{"functools", "partial", D},
                    Row{"collections", "OrderedDict.__init__.__globals__", D}));

TEST(Judge, SaysWhatAnOldNameIsToday) {
  EXPECT_NE(judge("__builtin__", "eval", Home::Pickle).why.find("builtins.eval"), std::string::npos);
}

TEST(Judge, ClassesOfAnArchiveAreItsOwnOnly) {
  EXPECT_EQ(judge("__torch__.Net", "Net", Home::BareScript).verdict, ScanVerdict::Safe);
  EXPECT_EQ(judge("__torch__.Net", "Net", Home::Pickle).verdict, ScanVerdict::UnknownCode);
  EXPECT_EQ(judge("torch.jit._pickle", "restore_type_tag", Home::BareScript).verdict, ScanVerdict::Safe);
  EXPECT_EQ(judge("torch.jit._pickle", "anything", Home::BareScript).verdict, ScanVerdict::UnknownCode);
}

}  // namespace
}  // namespace tenon::scanning
