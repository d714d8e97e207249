// From a hand-assembled pickle in an archive to the rows of a checkpoint: names, containers, objects, wrappers, and
// what is refused.
#include <tenon/checkpoint.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/cursor.hpp"
#include "base/text.hpp"
#include "container/zip_writer.hpp"
#include "formats/detect.hpp"
#include "support/folder.hpp"
#include "support/pickles.hpp"

namespace tenon {
namespace {

using namespace std::string_literals;
using namespace test::pickles;

class Open : public test::TemporaryFolder {
 protected:
  /// Writes an archive around the object and opens it. Storages 0 and 1 hold four floats each.
  Checkpoint open_object(const std::string& value, const OpenOptions& options = {}) {
    container::ZipWriter zip;
    zip.add("a/data.pkl", "\x80\2" + value + ".");
    zip.add("a/data/0", std::string(16, '\1'));
    zip.add("a/data/1", std::string(16, '\2'));
    zip.add("a/version", "3\n");
    std::string bytes;
    zip.write([&](std::span<const std::byte> piece) { bytes += base::as_text(piece); });
    test::put(path("x.pt"), bytes);
    return tenon::open(path("x.pt"), options);
  }

  std::string names(const std::string& value) {
    std::string all;
    const Checkpoint checkpoint = open_object(value);
    for (const TensorInfo& tensor : checkpoint.tensors()) all += (all.empty() ? "" : " ") + tensor.name;
    return all;
  }

  std::string objects(const std::string& value) {
    std::string all;
    const Checkpoint checkpoint = open_object(value);
    for (const Object& object : checkpoint.objects())
      all += (all.empty() ? "" : " ") + object.name + ":" + type_name(object.value);
    return all;
  }

  Error error_of(const std::string& value) {
    try {
      const Checkpoint checkpoint = open_object(value);
      for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) (void)checkpoint.tensor(i);
    } catch (const Error& error) {
      return error;
    }
    return Error(Code::Invalid, {}, "nothing was thrown");
  }
};

// ---- names

TEST_F(Open, NamesAreTheKeysFromTheTop) {
  EXPECT_EQ(names(pair()), "");
  EXPECT_EQ(names(dict(text("w"), pair(), text("x.y"), dict(text("b"), pair()))), "w x.y.b");
  EXPECT_EQ(names(list(pair(), tuple(pair(), pair()))), "0 1.0 1.1");
  EXPECT_EQ(names(dict(number(0), pair(), text("0"), pair(), number(-5), pair(), kTrue, pair(), kNone, pair())),
            "0 0 -5 True None");
  EXPECT_EQ(names(dict(tuple(number(1), text("a")), pair(), "U\1z"s, pair(), "C\1\xe9"s, pair())), "(1,a) z \xc3\xa9");
  EXPECT_EQ(names(dict(text("a"), dict(text(""), pair()), text(""), pair())), "a. ");
}

TEST_F(Open, IntegerKeysAreToldFromTextThatLooksLikeThem) {
  const Checkpoint checkpoint = open_object(dict(number(7), pair(), text("7"), pair(), text("l"), list(pair())));
  EXPECT_TRUE(checkpoint.tensors()[0].integer_key);
  EXPECT_FALSE(checkpoint.tensors()[1].integer_key);
  EXPECT_TRUE(checkpoint.tensors()[2].integer_key);
  EXPECT_EQ(checkpoint.tensors()[2].key(), "0");
  EXPECT_EQ(checkpoint.containers()[checkpoint.tensors()[2].container].path, "l");
}

TEST_F(Open, TheLaterOfTwoEqualKeysWins) {
  EXPECT_EQ(names(dict(text("w"), number(1), text("v"), pair(), text("w"), pair("1"))), "w v");
  EXPECT_EQ(objects(dict(text("w"), pair(), text("w"), number(1))), "w:int");
}

TEST_F(Open, AModuleIsNamedAsItsStateDictIs) {
  const std::string empty = dict();
  const std::string child =
      object("torch.nn.modules.linear", "Linear",
             dict(text("training"), kTrue, text("_parameters"), dict(text("weight"), pair(), text("bias"), kNone),
                  text("_buffers"), empty, text("_modules"), empty));
  const std::string module = object("__main__", "Net",
                                    dict(text("_parameters"), empty, text("_buffers"), dict(text("scale"), pair("1")),
                                         text("_modules"), dict(text("fc"), child), text("width"), number(3)));
  EXPECT_EQ(names(module), "scale fc.weight");
  EXPECT_EQ(objects(module), "fc.training:bool width:int");
  const Checkpoint checkpoint = open_object(module);
  EXPECT_EQ(checkpoint.containers()[0].kind, ContainerKind::Module);
  EXPECT_EQ(checkpoint.containers()[0].type, "__main__.Net");
  EXPECT_EQ(checkpoint.containers()[1].type, "torch.nn.modules.linear.Linear");
}

// LSTM's `_flat_weights`: a list of the very same parameters.
TEST_F(Open, AnAttributeThatRepeatsAModulesParametersIsNoSecondSetOfWeights) {
  const std::string state =
      dict(text("_parameters"), dict(text("w"), pair() + "q\1"), text("_buffers"), dict(), text("_modules"), dict(),
           text("_flat_weights"), list("h\1"), text("own"), list(pair("1")));
  EXPECT_EQ(names(object("torch.nn", "LSTM", state)), "w own.0");
}

// ---- wrappers

TEST_F(Open, WrappersAreLookedThrough) {
  const Checkpoint checkpoint = open_object(dict(
      text("p"), call("torch._utils", "_rebuild_parameter", pair(), kTrue, kOrdered), text("s"),
      call("torch._utils", "_rebuild_parameter_with_state", pair(), kFalse, kOrdered, dict(text("tag"), number(1))),
      text("t"),
      call("torch._tensor", "_rebuild_from_type_v2", global("torch._utils", "_rebuild_tensor_v2"), global("lib", "Sub"),
           tuple(storage("0", 4), number(0), tuple(number(4)), tuple(number(1)), kFalse, kOrdered), dict()),
      text("m"),
      call("torch._utils", "_rebuild_meta_tensor_no_storage", global("torch", "bfloat16"), tuple(number(5)),
           tuple(number(1)), kFalse)));
  ASSERT_EQ(checkpoint.tensors().size(), 4U);
  EXPECT_EQ(checkpoint.tensors()[0].type, "torch.nn.Parameter");
  EXPECT_EQ(checkpoint.tensors()[0].requires_grad, true);
  EXPECT_EQ(checkpoint.tensors()[1].requires_grad, false);
  EXPECT_EQ(checkpoint.tensors()[2].type, "lib.Sub");
  EXPECT_EQ(checkpoint.tensors()[2].shape, (Shape{4}));
  EXPECT_EQ(checkpoint.tensors()[3].storage, kNoStorage);
  EXPECT_EQ(checkpoint.tensors()[3].dtype, DType::BFloat16);
  EXPECT_THROW((void)checkpoint.tensor("m"), Error);
  ASSERT_EQ(checkpoint.objects().size(), 1U);
  EXPECT_EQ(checkpoint.objects()[0].name, "s.<state>");
}

TEST_F(Open, SharedStoragesAreOne) {
  const Checkpoint checkpoint = open_object(dict(text("a"), pair("0"), text("b"), pair("0", 2), text("c"), pair("1")));
  EXPECT_EQ(checkpoint.tensors()[0].storage, checkpoint.tensors()[1].storage);
  EXPECT_NE(checkpoint.tensors()[0].storage, checkpoint.tensors()[2].storage);
  EXPECT_EQ(checkpoint.tensors()[1].offset_bytes, 8U);
}

TEST_F(Open, ASparseTensorIsItsParts) {
  const std::string layout = call("torch.serialization", "_get_layout", text("torch.sparse_coo"));
  const std::string size = call("torch", "Size", tuple(number(3)));
  EXPECT_EQ(
      names(dict(text("s"), call("torch._utils", "_rebuild_sparse_tensor", layout, tuple(pair(), pair("1"), size)))),
      "s.<indices> s.<values>");
  const Error error = error_of(dict(text("s"), call("torch._utils", "_rebuild_sparse_tensor", layout, tuple(pair()))));
  EXPECT_EQ(error.code, Code::Corrupt);
  EXPECT_EQ(error.where.key, "s");
  EXPECT_EQ(error_of(dict(text("s"),
                          call("torch._utils", "_rebuild_sparse_tensor", layout, tuple(number(1), number(2), size))))
                .code,
            Code::Corrupt);
}

// quint4x2: two elements a byte, and storages that count bytes.
TEST_F(Open, PackedElementsTakeTheirBitsOnly) {
  const auto packed = [](int rows, const std::string& stride) {
    return call("torch._utils", "_rebuild_qtensor", storage("0", 16, "QUInt4x2Storage"), number(0),
                tuple(number(rows), number(4)), stride,
                tuple(global("torch", "per_tensor_affine"), "G\x3f\xf0\0\0\0\0\0\0"s, number(0)), kFalse, kOrdered);
  };
  const std::string dense = tuple(number(4), number(1));
  const Checkpoint checkpoint = open_object(dict(text("q"), packed(8, dense)));
  EXPECT_EQ(checkpoint.tensors()[0].dtype, DType::QUInt4x2);
  EXPECT_EQ(byte_size(checkpoint.tensors()[0].shape, DType::QUInt4x2), 16U);
  std::vector<std::byte> bytes(16);
  copy_dense(checkpoint.tensor("q"), bytes);
  EXPECT_EQ(bytes[15], std::byte{1});
  EXPECT_EQ(error_of(dict(text("q"), packed(9, dense))).code, Code::Corrupt);
  EXPECT_EQ(error_of(dict(text("q"), packed(8, tuple(number(1), number(4))))).code, Code::Unsupported);
}

TEST_F(Open, NumpyArraysAreTensorsWhereverTheirBytesStand) {
  const auto array = [](const std::string& dtype, const std::string& order, const std::string& fortran,
                        const std::string& elements) {
    const std::string type =
        call("numpy", "dtype", text(dtype), kFalse, kTrue) + tuple(number(3), text(order), kNone, kNone, kNone) + "b";
    return call("numpy.core.multiarray", "_reconstruct", global("numpy", "ndarray"), tuple(number(0)), "C\1b"s) +
           tuple(number(1), tuple(number(2), number(2)), type, fortran, elements) + "b";
  };
  const Checkpoint checkpoint = open_object(
      dict(text("raw"), array("u1", "|", kFalse, "C\4abcd"s), text("turned"), array("u1", "|", kTrue, "C\4abcd"s),
           text("big"), array("u2", ">", kFalse, "C\10\0\1\0\2\0\3\0\4"s), text("text"),
           array("u1", "|", kFalse, call("_codecs", "encode", text("ab\xc3\xa9\xc3\xbf"), text("latin1")))));
  const auto dense = [&](const char* name) {
    const Tensor tensor = checkpoint.tensor(name);
    std::string bytes(byte_size(tensor.shape, tensor.dtype), '\0');
    copy_dense(tensor, std::as_writable_bytes(std::span(bytes)));
    return bytes;
  };
  EXPECT_EQ(checkpoint.tensors()[0].type, "numpy.ndarray");
  EXPECT_EQ(dense("raw"), "abcd");
  EXPECT_EQ(dense("turned"), "acbd");
  EXPECT_EQ(dense("big"), "\1\0\2\0\3\0\4\0"s);
  EXPECT_EQ(dense("text"), "ab\xe9\xff");
}

TEST_F(Open, ADeviceTensorSentAsAnArrayHasItsOwnType) {
  const std::string type =
      call("numpy", "dtype", text("f4"), kFalse, kTrue) + tuple(number(3), text("<"), kNone, kNone, kNone) + "b";
  const std::string array =
      call("numpy.core.multiarray", "_reconstruct", global("numpy", "ndarray"), tuple(number(0)), "C\1b"s) +
      tuple(number(1), tuple(number(1)), type, kFalse, "C\4\0\0\xc0\x3f"s) + "b";
  const Checkpoint checkpoint =
      open_object(dict(text("d"), call("torch._utils", "_rebuild_device_tensor_from_numpy", array,
                                       global("torch", "bfloat16"), text("xla:0"), kFalse)));
  EXPECT_EQ(checkpoint.tensors()[0].dtype, DType::BFloat16);
  const Tensor tensor = checkpoint.tensor("d");
  EXPECT_EQ(base::as_text(tensor.storage), "\xc0\x3f");
}

// ---- objects

TEST_F(Open, TheLargestPartsWithoutTensorsAreObjects) {
  EXPECT_EQ(objects(dict(text("epoch"), number(3), text("w"), pair(), text("cfg"), dict(text("a"), list(number(1))),
                         text("mixed"), list(text("x"), pair()))),
            "epoch:int cfg:dict mixed.0:str");
  EXPECT_EQ(objects(number(5)), ":int");
  EXPECT_EQ(objects(dict(text("ns"), object("argparse", "Namespace", dict(text("lr"), number(1))))),
            "ns:argparse.Namespace");
}

TEST_F(Open, NothingIsCalledAndEveryUnknownClassIsARecord) {
  const Checkpoint checkpoint = open_object(dict(text("evil"), call("os", "system", text("true")), text("w"), pair()));
  const auto& record = std::get<Record>(checkpoint.objects()[0].value.is);
  EXPECT_EQ(record.type, "os.system");
  EXPECT_EQ(std::get<std::string>(record.arguments.at(0).is), "true");
  EXPECT_EQ(names(object("lib", "Ema", dict(text("shadow"), dict(text("w"), pair())))), "shadow.w");
  EXPECT_EQ(names(call("lib", "wrap", pair())), "<arg0>");
}

TEST_F(Open, ValuesThatReferToThemselvesEnd) {
  EXPECT_EQ(names(dict(text("w"), pair(), text("l"), "]q\1h\1a"s)), "w");
  EXPECT_EQ(names("}q\1(" + text("w") + pair() + text("me") + "h\1u"), "w");
  // Two dicts that hold each other, one of them with a tensor: it is listed below both.
  const std::string both = "](}q\1(" + text("b") + "}q\2" + text("a") + "h\1s" + text("w") + pair() + "uh\2e";
  EXPECT_EQ(names(both), "0.w 1.a.w");
}

TEST_F(Open, SharedReferencesAreListedUnderEveryPathUpToALimit) {
  EXPECT_EQ(names(dict(text("a"), dict(text("w"), pair()) + "q\1", text("b"), "h\1"s)), "a.w b.w");
  std::string bomb = list(pair()) + "q\1" + "0";
  for (int level = 1; level < 40; ++level) {
    const std::string get = std::string("h") + static_cast<char>(level);
    bomb += "](" + get + get + get + get + "eq" + static_cast<char>(level + 1) + "0";
  }
  bomb += "h\50";
  Limits limits;
  limits.walked_paths = 10'000;
  try {
    open_object(bomb, {.mode = ReadMode::Map, .salvage = Salvage::No, .limits = limits});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::Limit) << error.what();
  }
}

TEST_F(Open, DepthHasALimit) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), ']') + pair() +
           std::string(static_cast<std::size_t>(depth), 'a');
  };
  EXPECT_NO_THROW(open_object(nested(900)));
  EXPECT_EQ(error_of(nested(1100)).code, Code::Limit);
  EXPECT_EQ(error_of(std::string(200'000, '(') + std::string(200'000, 't')).code, Code::Limit);
}

TEST_F(Open, VersionsOfAStateDictAreKeptAsMetadata) {
  const auto versioned = [](const std::string& entry) {
    return global("collections", "OrderedDict") + ")R(" + text("bn.weight") + pair() + "u" +
           dict(text("_metadata"), global("collections", "OrderedDict") + ")R(" + text("") +
                                       dict(text("version"), number(1)) + text("bn") + entry + "u") +
           "b";
  };
  const Checkpoint checkpoint = open_object(dict(text("model"), versioned(dict(text("version"), number(2)))));
  ASSERT_EQ(checkpoint.metadata().size(), 1U);
  EXPECT_EQ(checkpoint.metadata()[0].first, "_metadata");
  EXPECT_EQ(checkpoint.metadata()[0].second, R"({"":1,"bn":2})");
  EXPECT_TRUE(open_object(versioned(dict(text("version"), number(2), text("more"), kTrue))).metadata().empty());
}

// ---- refusals

struct Bad {
  const char* name;
  std::string tensor;
  const char* says;
};
class BadTensors : public Open, public testing::WithParamInterface<Bad> {};
TEST_P(BadTensors, AreRefusedByName) {
  const Error error = error_of(dict(text("first"), pair(), text("w"), GetParam().tensor));
  EXPECT_EQ(code_name(error.code), code_name(Code::Corrupt)) << error.what();
  EXPECT_EQ(error.where.key, "w") << error.what();
  EXPECT_EQ(error.where.member, "a/data.pkl");
  EXPECT_TRUE(error.where.byte.has_value());
  EXPECT_NE(error.what_happened.find(GetParam().says), std::string::npos) << error.what();
  // With --salvage the rest is there.
  const Checkpoint rest = open_object(dict(text("first"), pair(), text("w"), GetParam().tensor),
                                      {.mode = ReadMode::Map, .salvage = Salvage::Yes, .limits = {}});
  ASSERT_EQ(rest.tensors().size(), 1U);
  EXPECT_FALSE(rest.warnings().empty());
}

std::string v2(const std::string& store, const std::string& offset, const std::string& size,
               const std::string& stride) {
  return call("torch._utils", "_rebuild_tensor_v2", store, offset, size, stride, kFalse, kOrdered);
}
const std::string kOne = tuple(number(1));

INSTANTIATE_TEST_SUITE_P(
    Rows, BadTensors,
    testing::Values(Bad{"past_the_storage", pair("0", 3), "past its storage"},
                    Bad{"negative_offset", v2(storage("0", 4), number(-1), kOne, kOne), "negative"},
                    Bad{"negative_size", v2(storage("0", 4), number(0), tuple(number(-1)), kOne), "negative"},
                    Bad{"negative_stride", v2(storage("0", 4), number(0), kOne, tuple(number(-1))), "negative"},
                    Bad{"ranks_differ", v2(storage("0", 4), number(0), kOne, tuple(number(1), number(1))), "length"},
                    Bad{"size_is_text", v2(storage("0", 4), number(0), text("x"), kOne), "shape"},
                    Bad{"size_of_text", v2(storage("0", 4), number(0), tuple(text("x")), kOne), "integer"},
                    Bad{"offset_is_text", v2(storage("0", 4), text("x"), kOne, kOne), "integer"},
                    Bad{"no_arguments", call("torch._utils", "_rebuild_tensor_v2"), "too few arguments"},
                    Bad{"no_storage", v2(text("storage"), number(0), kOne, kOne), "no storage"},
                    Bad{"module_as_storage", v2(tuple(text("module"), global("a", "B")) + "Q", number(0), kOne, kOne),
                        "no storage"},
                    Bad{"storage_longer_than_its_record", v2(storage("0", 1000), number(0), kOne, kOne), "shorter"},
                    Bad{"storage_negative", v2(storage("0", -4), number(0), kOne, kOne), ""},
                    Bad{"missing_record", v2(storage("7", 4), number(0), kOne, kOne), "no entry"},
                    Bad{"key_with_a_path", v2(storage("../version", 4), number(0), kOne, kOne), "plain name"},
                    Bad{"unknown_storage_class", v2(storage("0", 4, "OddStorage"), number(0), kOne, kOne), "class"},
                    Bad{"short_persistent_id",
                        v2(tuple(text("storage"), global("torch", "FloatStorage")) + "Q", number(0), kOne, kOne),
                        "too short"},
                    Bad{"parameter_of_nothing", call("torch._utils", "_rebuild_parameter"), "too few arguments"},
                    Bad{"negated_integers",
                        call("torch._utils", "_rebuild_tensor_v2", storage("0", 2, "LongStorage"), number(0), kOne,
                             kOne, kFalse, kOrdered, dict(text("neg"), kTrue)),
                        "negated"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(Open, AnUnknownDtypeIsUnsupportedAndNeverABug) {
  for (const char* name : {"float3_e1m1", "F4", "string"}) {
    const Error error =
        error_of(dict(text("w"), call("torch._utils", "_rebuild_tensor_v3", storage("0", 16, "UntypedStorage"),
                                      number(0), kOne, kOne, kFalse, kOrdered, global("torch", name))));
    EXPECT_EQ(error.code, Code::Unsupported) << name << error.what();
    EXPECT_EQ(error.where.key, "w");
  }
}

TEST_F(Open, AMissingNameIsAnsweredByTheNearest) {
  const Checkpoint checkpoint =
      open_object(dict(text("layer1.weight"), pair(), text("layer2.weight"), pair(), text("bias"), pair()));
  EXPECT_EQ(checkpoint.find("layer2.weight"), 1U);
  EXPECT_FALSE(checkpoint.find("layer").has_value());
  try {
    (void)checkpoint.tensor("layer1.wieght");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code, Code::NotFound);
    EXPECT_NE((error.found + error.next).find("layer1.weight"), std::string::npos) << error.found;
  }
}

// A tensor's bytes may hold a zip's signature; what a file begins as decides.
TEST_F(Open, BytesThatLookLikeTheEndOfAnArchiveDoNotDecide) {
  const std::string header = R"({"w":{"dtype":"U8","shape":[22],"data_offsets":[0,22]}})";
  std::string bytes(8, '\0');
  bytes[0] = static_cast<char>(header.size());
  const std::string end = "PK\5\6" + std::string(18, '\0');
  test::put(path("w.safetensors"), bytes + header + end);
  EXPECT_EQ(tenon::open(path("w.safetensors")).format(), Format::Safetensors);
  EXPECT_TRUE(formats::is_archive(base::as_bytes("#!/bin/sh\n" + end)));
}

TEST_F(Open, ACutArchiveGivesWithSalvageWhatIsWhole) {
  open_object(dict(text("a"), pair("0"), text("b"), pair("1")));
  const std::string whole = test::get(path("x.pt"));
  test::put(path("cut.pt"), whole.substr(0, whole.find(std::string(16, '\2')) + 3));
  EXPECT_THROW(tenon::open(path("cut.pt")), Error);
  const Checkpoint rest = tenon::open(path("cut.pt"), {.mode = ReadMode::Map, .salvage = Salvage::Yes, .limits = {}});
  ASSERT_EQ(rest.tensors().size(), 1U);
  EXPECT_EQ(rest.tensors()[0].name, "a");
  EXPECT_EQ(base::as_text(rest.tensor(0).storage), std::string(16, '\1'));
}

TEST_F(Open, TwoTensorsOfALostStorageAreBothLeftOutWithSalvage) {
  const Checkpoint rest = open_object(dict(text("a"), pair("lost"), text("b"), pair("lost"), text("c"), pair("0")),
                                      {.mode = ReadMode::Map, .salvage = Salvage::Yes, .limits = {}});
  ASSERT_EQ(rest.tensors().size(), 1U);
  EXPECT_EQ(rest.tensors()[0].name, "c");
  EXPECT_EQ(rest.warnings().size(), 2U);
}

TEST_F(Open, ABlueprintBesideTheFileBelongsToIt) {
  open_object(dict(text("a"), pair()));
  test::put(path("x.pt.blueprint.json"), R"({"schema": "tenon.blueprint/1", "tensors": []})");
  EXPECT_NE(tenon::open(path("x.pt")).blueprint_json().find("tenon.blueprint/1"), std::string::npos);
}

}  // namespace
}  // namespace tenon
