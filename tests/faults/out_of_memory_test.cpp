// Every allocation fails once, and from then on for ever: in reading, saving, verifying, scanning, diagnosing and
// repairing. What must come of it: std::bad_alloc or an Error that blames no file, nothing left behind, no descriptor
// or mapping left open; or the very answer of a run without a fault. Source of the method: How SQLite Is Tested,
// "Out-Of-Memory Testing".
#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <new>
#include <string>
#include <vector>

#include <tenon/blueprint.hpp>
#include <tenon/diagnose.hpp>
#include <tenon/listing.hpp>
#include <tenon/plan.hpp>
#include <tenon/render.hpp>
#include <tenon/save.hpp>
#include <tenon/scan.hpp>
#include <tenon/verify.hpp>

#include "faults/effort.hpp"
#include "faults/memory_folder.hpp"
#include "support/memory_checkpoint.hpp"

namespace tenon {
namespace {

/// The allocator below counts while it is armed.
std::atomic<bool> is_armed{false};
std::atomic<std::uint64_t> allocations{0};
std::atomic<std::uint64_t> first_to_fail{0};
std::atomic<std::uint64_t> last_to_fail{0};
std::atomic<std::uint64_t> failed{0};

constexpr std::uint64_t kForEver = ~std::uint64_t{0};

class Armed {
 public:
  Armed(std::uint64_t first, std::uint64_t last) {
    allocations = failed = 0;
    first_to_fail = first;
    last_to_fail = last;
    is_armed = true;
  }
  ~Armed() { is_armed = false; }
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;
};

void* allocate(std::size_t bytes, std::size_t alignment) {
  if (is_armed) {
    const std::uint64_t number = ++allocations;
    if (number >= first_to_fail && number <= last_to_fail) {
      ++failed;
      return nullptr;
    }
  }
  bytes = std::max<std::size_t>(bytes, 1);
  return alignment == 0 ? std::malloc(bytes)
                        : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

/// How many allocations a scenario may have before some are left out: in the quick run few, else what its time is
/// enough for, by what one run took.
std::uint64_t points_at_most(std::chrono::steady_clock::duration of_one) {
  if (!test::is_long()) return 400;
  const test::Until end = test::end_of_test();
  if (end == test::kNoEnd) return kForEver;
  constexpr int kRunsOfAPoint = 4;  // fails once, fails for ever, and as much again to put the folder in order
  const auto time = (end - std::chrono::steady_clock::now()) / kRunsOfAPoint;
  return static_cast<std::uint64_t>(std::max<std::int64_t>(time / std::max(of_one, decltype(of_one){1}), 20));
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* folder = ::opendir("/proc/self/fd");
  while (folder != nullptr && ::readdir(folder) != nullptr) ++count;
  if (folder != nullptr) ::closedir(folder);
  return count;
}

std::string data(const std::string& name) { return TENON_SOURCE_DIR "/tests/conformance/data/" + name; }
std::string golden(const std::string& name) { return TENON_SOURCE_DIR "/tests/golden/" + name; }

Snapshot small_snapshot(char mark, std::size_t tensors) {
  Snapshot snapshot;
  for (std::size_t i = 0; i < tensors; ++i)
    add_tensor(snapshot, "layer." + std::to_string(i) + ".weight",
               make_tensor(DType::UInt8, {4, 25}, std::vector<std::byte>(100, static_cast<std::byte>(mark))));
  return snapshot;
}

/// All bytes of all tensors, so that every way of fetching them is gone.
std::string read_all(const std::string& path) {
  const Checkpoint checkpoint = open(path);
  std::string all(format_name(checkpoint.format()));
  for (std::size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const TensorInfo& info = checkpoint.tensors()[i];
    all += info.name;
    if (info.storage != kNoStorage) all += sha256(checkpoint.tensor(i));
  }
  return all;
}

/// What is done, given a folder of its own; the answer as text.
using Act = std::function<std::string(const std::string& folder)>;
using Files = std::map<std::string, std::string>;

struct Scenario {
  const char* name;
  Act act;
  Act prepare = [](const std::string&) { return std::string{}; };  ///< what stands in the folder before it
};
void PrintTo(const Scenario& row, std::ostream* out) { *out << row.name; }

class OutOfMemory : public test::MemoryFolder, public testing::WithParamInterface<Scenario> {
 protected:
  Files files() const {
    Files all;
    for (const auto& entry : std::filesystem::directory_iterator(folder()))
      all[entry.path().filename().string()] = test::get(entry.path().string());
    return all;
  }

  void prepare() {
    for (const auto& [name, content] : files()) std::filesystem::remove(path(name));
    GetParam().prepare(folder().string());
  }

  /// "" when it ended as it may, else what is wrong.
  std::string fault(std::uint64_t first, std::uint64_t last) {
    const std::size_t descriptors = open_descriptors();
    const std::string wrong = run(first, last);
    if (open_descriptors() != descriptors) return "a descriptor is left open; " + wrong;
    if (!wrong.empty()) return wrong;
    const Files now = files();
    if (now != old_ && now != new_) return "neither the old files nor the new ones are left";
    if (returned_ && now != new_) return "it returned, and the new files are not there";
    return {};
  }

  /// May the run have ended like this?
  std::string run(std::uint64_t first, std::uint64_t last) {
    returned_ = false;
    try {
      std::string answer;
      {
        const Armed armed(first, last);
        answer = GetParam().act(folder().string());
      }
      returned_ = true;
      return answer == answer_ ? "" : "another answer than without a fault: " + answer.substr(0, 200);
    } catch (const std::bad_alloc&) {
      return {};
    } catch (const Error& error) {
      const bool blames_the_file = error.code == Code::Corrupt || error.code == Code::Unsupported ||
                                   error.code == Code::NotFound || error.code == Code::Invalid ||
                                   error.code == Code::Refused;
      return blames_the_file ? std::string("the file is blamed: ") + error.what() : "";
    } catch (const std::exception& error) {
      return std::string("another exception: ") + error.what();
    }
  }

  void sweep(const char* how, const std::function<std::uint64_t(std::uint64_t)>& last_of) {
    const std::uint64_t step = std::max<std::uint64_t>(1, total_ / at_most_);
    for (std::uint64_t n = 1, wrong = 0; wrong < 5; n += step) {
      const std::string what = fault(n, last_of(n));
      const bool fired = failed > 0;
      if (!what.empty()) {
        ++wrong;
        ADD_FAILURE() << "allocation " << n << " of " << total_ << " fails " << how << ": " << what;
      }
      if (files() != old_) prepare();
      if (!fired) break;  // past the last allocation
      ++points_;
    }
  }

  Files old_, new_;
  std::string answer_;
  std::uint64_t total_ = 0;
  std::uint64_t at_most_ = kForEver;
  std::uint64_t points_ = 0;
  bool returned_ = false;
};

TEST_P(OutOfMemory, EveryAllocationFails) {
  prepare();
  old_ = files();
  GetParam().act(folder().string());  // tables that are made once
  prepare();
  const auto began = std::chrono::steady_clock::now();
  {
    const Armed counting(kForEver, kForEver);
    answer_ = GetParam().act(folder().string());
  }
  at_most_ = points_at_most(std::chrono::steady_clock::now() - began);
  total_ = allocations;
  new_ = files();
  prepare();
  sweep("once", [](std::uint64_t n) { return n; });
  sweep("for ever", [](std::uint64_t) { return kForEver; });
  std::cout << "out of memory, " << GetParam().name << ": " << points_ << " points of " << 2 * total_ << "\n";
  EXPECT_GT(points_, 10U);
}

// ---- what is done

Scenario reading(const char* name, const char* file) {
  return {name, [file](const std::string&) { return read_all(data(file)); }};
}

std::string saved(const Snapshot& snapshot, const std::string& path, Format format, std::uint64_t max_shard_bytes) {
  return std::to_string(
      save(snapshot, path, {.format = format, .existing = Existing::Replace, .max_shard_bytes = max_shard_bytes})
          .file_bytes);
}

Act saving(char mark, const std::string& name, Format format, std::uint64_t max_shard_bytes = 0) {
  return [=, snapshot = small_snapshot(mark, 3)](const std::string& folder) {
    return saved(snapshot, folder + "/" + name, format, max_shard_bytes);
  };
}

/// A save over nothing, or over an older one.
std::vector<Scenario> saves() {
  const auto safetensors = [](char mark) { return saving(mark, "m.safetensors", Format::Safetensors); };
  const auto zip = [](char mark) { return saving(mark, "m.pt", Format::PytorchZip); };
  const auto shards = [](char mark) { return saving(mark, "m.safetensors", Format::Safetensors, 100); };
  return {{"save_safetensors", safetensors('b')},
          {"save_safetensors_over", safetensors('b'), safetensors('a')},
          {"save_zip", zip('b')},
          {"save_zip_over", zip('b'), zip('a')},
          {"save_npz", saving('b', "m.npz", Format::Npz)},
          {"save_shards", shards('b')},
          {"save_shards_over", shards('b'), shards('a')}};
}

/// Reads back what it saves first.
Scenario reading_saved(const char* name, const char* file, const char* opened, Format format,
                       std::uint64_t max_shard_bytes = 0) {
  return {name, [opened](const std::string& folder) { return read_all(folder + "/" + opened); },
          saving('a', file, format, max_shard_bytes)};
}

std::string verified(const std::string& path) { return render_text(verify(path), TextStyle{}); }

std::string scanned(const std::string& path) { return render_text(scan(path), TextStyle{}); }

std::string explained(const std::string& folder) {
  ExplainInput input;
  input.text = test::get(golden(folder) + "/error.txt");
  return verdict(explain(input));
}

/// A checkpoint whose names differ from the target's, and what diagnosing finds.
std::string diagnosed(const std::string& folder) {
  test::MemoryCheckpoint target;
  for (const char* name : {"0.weight", "1.weight", "2.weight"})
    target.add(name, DType::UInt8, {4, 25}, std::vector<std::uint8_t>(100));
  const Report report = diagnose(list(open(folder + "/m.safetensors")), list(target.checkpoint()));
  std::string all = verdict(report);
  for (const Cause& cause : report.causes) all += cause.id;
  return all;
}

constexpr const char* kPlan = R"({"ops": [{"op": "strip_prefix", "prefix": "layer.", "applicability": "exact"},
                             {"op": "cast", "pattern": "1.*", "dtype": "int32", "applicability": "exact"}]})";

std::string parsed_plan(const std::string&) {
  std::string all;
  for (const Op& op : parse_plan(kPlan).ops) all += std::string(op_name(op.operation)) + " ";
  return all;
}

/// Refused at its end, with all of the tree standing.
std::string cut_document(const std::string&) {
  try {
    static_cast<void>(parse_plan(std::string_view(kPlan).substr(0, 180)));
  } catch (const Error& error) {
    if (error.code == Code::Corrupt && error.where.byte) return "refused";
    throw;
  }
  return "taken";
}

std::string parsed_blueprint(const std::string&) {
  static const std::string text = test::get(golden("custom_layer_state") + "/target.blueprint.json");
  return std::to_string(parse_blueprint(text, "target.blueprint.json").tensors.size());
}

/// A plan, rehearsed and carried out.
std::string applied(const std::string& folder) {
  const Plan plan = parse_plan(kPlan);
  test::MemoryCheckpoint target;
  for (const char* name : {"0.weight", "1.weight", "2.weight"})
    target.add(name, name[0] == '1' ? DType::Int32 : DType::UInt8, {4, 25}, std::vector<std::int32_t>(100));
  const ApplyResult result = apply(plan, list(open(folder + "/m.safetensors")), list(target.checkpoint()));
  std::string all;
  for (const SnapshotTensor& tensor : result.snapshot.tensors) all += tensor.name + sha256(tensor.load());
  return all;
}

std::vector<Scenario> scenarios() {
  std::vector<Scenario> all = saves();
  for (const Scenario& row :
       {reading("read_torch_zip", "checkpoint.pt"),
        reading("read_torch_legacy", "checkpoint.legacy.pt"),
        reading("read_torch_tar", "old.tar.pt"),
        reading("read_torchscript", "script.ts.pt"),
        reading("read_whole_module", "whole_module.pt"),
        reading("read_gguf", "v3.gguf"),
        reading("read_joblib", "one.joblib"),
        reading("read_pickle", "plain_2.pkl"),
        reading("read_torchsharp", "state_dict.dat"),
        reading_saved("read_safetensors", "m.safetensors", "m.safetensors", Format::Safetensors),
        reading_saved("read_npz", "m.npz", "m.npz", Format::Npz),
        reading_saved("read_shards", "m.safetensors", "m.safetensors.index.json", Format::Safetensors, 100),
        reading_saved("read_folder_of_shards", "pytorch_model.bin", "", Format::PytorchZip, 100),
        Scenario{"verify_torch_zip", [](const std::string&) { return verified(data("checkpoint.pt")); }},
        Scenario{"verify_shards",
                 [](const std::string& folder) { return verified(folder + "/m.safetensors.index.json"); },
                 saving('a', "m.safetensors", Format::Safetensors, 100)},
        Scenario{"scan_torch_zip", [](const std::string&) { return scanned(data("whole_module.pt")); }},
        Scenario{"scan_torch_legacy", [](const std::string&) { return scanned(data("checkpoint.legacy.pt")); }},
        Scenario{"explain_missing_keys", [](const std::string&) { return explained("wrapper_prefix_text"); }},
        Scenario{"explain_unreadable", [](const std::string&) { return explained("corrupt_file_text"); }},
        Scenario{"parse_plan", parsed_plan},
        Scenario{"parse_a_cut_document", cut_document},
        Scenario{"parse_blueprint", parsed_blueprint},
        Scenario{"diagnose", diagnosed, saving('a', "m.safetensors", Format::Safetensors)},
        Scenario{"apply_a_plan", applied, saving('a', "m.safetensors", Format::Safetensors)}})
    all.push_back(row);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Table, OutOfMemory, testing::ValuesIn(scenarios()),
                         [](const auto& row) { return std::string(row.param.name); });

void* allocate_or_throw(std::size_t bytes, std::size_t alignment) {
  if (void* memory = allocate(bytes, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace
}  // namespace tenon

// The program's allocator. Kept apart from its callers: a compiler that sees both sides takes the pair for a mismatch.
#define TENON_APART [[gnu::noinline]]
TENON_APART void* operator new(std::size_t bytes) { return tenon::allocate_or_throw(bytes, 0); }
TENON_APART void* operator new[](std::size_t bytes) { return tenon::allocate_or_throw(bytes, 0); }
TENON_APART void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return tenon::allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
TENON_APART void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return tenon::allocate_or_throw(bytes, static_cast<std::size_t>(alignment));
}
TENON_APART void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return tenon::allocate(bytes, 0); }
TENON_APART void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return tenon::allocate(bytes, 0);
}
TENON_APART void operator delete(void* memory) noexcept { std::free(memory); }
TENON_APART void operator delete[](void* memory) noexcept { std::free(memory); }
TENON_APART void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
TENON_APART void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
TENON_APART void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
TENON_APART void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
TENON_APART void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
TENON_APART void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
