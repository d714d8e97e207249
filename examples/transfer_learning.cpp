// The main job, as a story: a network learns the digits 0 to 4, is saved, meets a model that it does not fit, and goes
// on to 5 to 9.
//
// usage: transfer_learning [FOLDER]     files go to FOLDER (a new one in the temporary folder if not given)
#include <zlib.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include <tenon/render.hpp>
#include <tenon/torch.hpp>
#include <tenon/verify.hpp>

namespace nn = torch::nn;
namespace fs = std::filesystem;

// ---- the data: 1,797 images of 8 x 8 pixels (examples/data/digits.LICENCE.md)

struct Digits {
  torch::Tensor images;  // [n, 1, 8, 8] float32, 0..1
  torch::Tensor labels;  // [n] int64

  Digits rows(std::int64_t first, std::int64_t count) const {
    return {images.narrow(0, first, count), labels.narrow(0, first, count)};
  }
  std::int64_t size() const { return labels.size(0); }
};

Digits read_digits(const std::string& path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error(path + ": cannot be read");
  std::vector<float> pixels;
  std::vector<std::int64_t> labels;
  char line[1024];
  while (gzgets(file, line, sizeof line) != nullptr) {
    const char* at = line;
    for (int i = 0; i < 64; ++i) {
      pixels.push_back(std::strtof(at, const_cast<char**>(&at)) / 16);
      ++at;  // the comma
    }
    labels.push_back(std::strtol(at, nullptr, 10));
  }
  gzclose(file);
  const auto count = static_cast<std::int64_t>(labels.size());
  return {torch::tensor(pixels).view({count, 1, 8, 8}), torch::tensor(labels)};
}

/// The digits first..first+4, counted from 0, in the order of the seed.
Digits five_digits(const Digits& all, std::int64_t first, std::uint64_t seed) {
  torch::manual_seed(seed);
  const auto rows = ((all.labels >= first) & (all.labels < first + 5)).nonzero().flatten();
  const auto order = rows.index_select(0, torch::randperm(rows.size(0)));
  return {all.images.index_select(0, order), all.labels.index_select(0, order) - first};
}

// ---- the models

/// Two convolutions with batch norm; 32 features out.
struct BackboneImpl : nn::Module {
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::BatchNorm2d bn1{nullptr}, bn2{nullptr};

  BackboneImpl() {
    conv1 = register_module("conv1", nn::Conv2d(nn::Conv2dOptions(1, 16, 3).padding(1)));
    bn1 = register_module("bn1", nn::BatchNorm2d(16));
    conv2 = register_module("conv2", nn::Conv2d(nn::Conv2dOptions(16, 32, 3).padding(1)));
    bn2 = register_module("bn2", nn::BatchNorm2d(32));
  }
  torch::Tensor forward(torch::Tensor x) {
    x = torch::max_pool2d(torch::relu(bn1(conv1(x))), 2);
    x = torch::relu(bn2(conv2(x)));
    return x.amax({2, 3});
  }
};
TORCH_MODULE(Backbone);

/// What was trained first: layers and head side by side.
struct FirstNetImpl : BackboneImpl {
  nn::Linear fc{nullptr};
  FirstNetImpl() { fc = register_module("fc", nn::Linear(32, 5)); }
  torch::Tensor forward(torch::Tensor x) { return fc(BackboneImpl::forward(x)); }
};
TORCH_MODULE(FirstNet);

/// What is to go on: the same layers under a prefix, and a head of another name.
struct SecondNetImpl : nn::Module {
  Backbone backbone{nullptr};
  nn::Sequential head{nullptr};
  SecondNetImpl() {
    backbone = register_module("backbone", Backbone());
    head = register_module("head", nn::Sequential(nn::Linear(32, 5)));
  }
  torch::Tensor forward(torch::Tensor x) { return head->forward(backbone(x)); }
};
TORCH_MODULE(SecondNet);

// ---- training

template <class Net>
void train(Net& net, torch::optim::Optimizer& optimizer, const Digits& data, int steps) {
  net->train();
  const std::int64_t batch = std::min<std::int64_t>(data.size(), 64);
  for (int step = 0; step < steps; ++step) {
    const auto rows = torch::randint(data.size(), {batch}, torch::kInt64);
    optimizer.zero_grad();
    const auto answers = net->forward(data.images.index_select(0, rows));
    torch::cross_entropy_loss(answers, data.labels.index_select(0, rows)).backward();
    optimizer.step();
  }
}

template <class Net>
double accuracy(Net& net, const Digits& data) {
  torch::NoGradGuard no_grad;
  net->eval();
  return (net->forward(data.images).argmax(1) == data.labels).to(torch::kFloat64).mean().template item<double>();
}

// ---- the story

void chapter(int number, const std::string& title) { std::printf("\n%d. %s\n\n", number, title.c_str()); }

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string shape_of(const torch::Tensor& tensor) {
  std::string text = "[";
  for (const auto extent : tensor.sizes()) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

/// What LibTorch itself does with the two cases that matter here. Returns the silent one in words.
std::string plain_libtorch(const FirstNet& trained, const std::string& file, const fs::path& folder) {
  SecondNet model;
  try {
    torch::load(model, file);
    std::puts("   torch::load(model, first.pt): no error");
  } catch (const c10::Error& error) {
    std::printf("   torch::load(model, first.pt) throws:\n     %s\n",
                first_line(error.what_without_backtrace()).c_str());
  }
  // LibTorch's own archive of a head for five digits, loaded into a head for ten.
  const std::string archive = (folder / "head.archive").string();
  torch::save(trained->fc, archive);
  nn::Linear ten(32, 10);
  const std::string before = shape_of(ten->weight);
  torch::load(ten, archive);
  const std::string after = shape_of(ten->weight);
  std::printf(
      "   torch::load of that network's own head, Linear(32, 5), into Linear(32, 10): no error;\n"
      "     the weight was %s and is now %s, while the layer still says it has %lld outputs\n",
      before.c_str(), after.c_str(), static_cast<long long>(ten->options.out_features()));
  return before == after ? "nothing: LibTorch refused both"
                         : "torch::load put a weight of " + after + " into a Linear(32, 10) and said nothing";
}

struct Spread {
  std::vector<double> values;
  double mean() const {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum / static_cast<double>(values.size());
  }
  double deviation() const {
    double sum = 0;
    for (const double v : values) sum += (v - mean()) * (v - mean());
    return std::sqrt(sum / static_cast<double>(values.size() - 1));
  }
};

std::string percent(const Spread& spread) {
  char text[64];
  std::snprintf(text, sizeof text, "%.1f %% +- %.1f", 100 * spread.mean(), 100 * spread.deviation());
  return text;
}

int tell(const fs::path& folder, const std::string& data_file) {
  constexpr int kSeeds = 10, kLabelled = 50;
  constexpr double kRate = 3e-3;
  constexpr int kStops[] = {5, 10, 20,
                            40};  // steps after which accuracy is taken; the second one is the closing line's
  const Digits all = read_digits(data_file);
  const std::string first_file = (folder / "first.pt").string();

  chapter(1, "A network learns the digits 0 to 4, and is saved.");
  const Digits old_task = five_digits(all, 0, 1);
  torch::manual_seed(1);
  FirstNet trained;
  torch::optim::Adam optimizer(trained->parameters(), kRate);
  train(trained, optimizer, old_task.rows(0, 700), 300);
  std::printf("   accuracy on %lld images it has not seen: %.1f %%\n", static_cast<long long>(old_task.size() - 700),
              100 * accuracy(trained, old_task.rows(700, old_task.size() - 700)));
  const auto saved = tenon::torch::save(*trained, first_file, {.existing = tenon::Existing::Replace});
  std::printf("   tenon::torch::save: first.pt, %llu bytes, synced to the disk\n",
              static_cast<unsigned long long>(saved.file_bytes));

  chapter(2,
          "A model for 5 to 9 has the same layers under `backbone.` and another head.\n   What does LibTorch do on its "
          "own?");
  const std::string silent = plain_libtorch(trained, first_file, folder);

  chapter(3, "What does tenon say?");
  SecondNet model;
  const tenon::Report report = tenon::torch::check(*model, first_file);
  tenon::TextStyle style;
  style.width = 80;
  std::fputs(tenon::render_text(report, {}, style).c_str(), stdout);
  try {
    tenon::torch::load(*model, first_file);
    std::puts("   a load without repair went through: that is wrong");
    return 1;
  } catch (const tenon::torch::LoadError& error) {
    std::printf("\n   tenon::torch::load, strict, throws and changes nothing:\n     %s\n", error.found.c_str());
  }

  chapter(4, "The exact part of the plan is carried out, and training goes on.");
  const auto loaded = tenon::torch::load(*model, first_file, {.repair = tenon::torch::Repair::Exact});
  std::printf("   %zu tensors taken from the file, %zu kept as the model has them\n", loaded.loaded,
              loaded.kept.size());
  if (!torch::equal(model->backbone->conv1->weight, trained->conv1->weight)) return 1;

  std::printf("   %d labelled images of 5 to 9, %d seeds, accuracy on all the other images:\n\n", kLabelled, kSeeds);
  std::puts("   steps     transferred       from scratch");
  Spread transferred[std::size(kStops)], scratch[std::size(kStops)];
  for (int seed = 1; seed <= kSeeds; ++seed) {
    const Digits task = five_digits(all, 5, static_cast<std::uint64_t>(seed));
    const Digits few = task.rows(0, kLabelled), unseen = task.rows(kLabelled, task.size() - kLabelled);
    for (const bool transfer : {false, true}) {
      torch::manual_seed(static_cast<std::uint64_t>(100 + seed));  // the same start and the same batches for both
      model = SecondNet();
      if (transfer) tenon::torch::load(*model, first_file, {.repair = tenon::torch::Repair::Exact});
      torch::optim::Adam fine_tuning(model->parameters(), kRate);
      int done = 0;
      for (std::size_t stop = 0; stop < std::size(kStops); ++stop) {
        train(model, fine_tuning, few, kStops[stop] - done);
        done = kStops[stop];
        (transfer ? transferred : scratch)[stop].values.push_back(accuracy(model, unseen));
      }
    }
  }
  for (std::size_t stop = 0; stop < std::size(kStops); ++stop)
    std::printf("   %5d   %15s    %15s\n", kStops[stop], percent(transferred[stop]).c_str(),
                percent(scratch[stop]).c_str());

  chapter(5, "The result is saved and verified.");
  const std::string last_file = (folder / "second.safetensors").string();
  tenon::torch::save(*model, last_file, {.existing = tenon::Existing::Replace});
  const tenon::VerifiedFile verified = tenon::verify(last_file);
  std::printf("   second.safetensors: %s, %llu bytes checked\n\n", verified.ok ? "whole" : "damaged",
              static_cast<unsigned long long>(verified.checked_bytes));

  std::string causes, repairs;
  for (const tenon::Cause& cause : report.causes) causes += (causes.empty() ? "" : ", ") + cause.id;
  for (const tenon::Op& op : loaded.plan.ops)
    repairs += (repairs.empty() ? "" : ", ") + std::string(tenon::op_name(op.operation));
  std::printf("failed silently:  %s\n", silent.c_str());
  std::printf("tenon said:       %s\n", causes.c_str());
  std::printf("tenon repaired:   %zu of %zu tensors by %s\n", loaded.loaded, loaded.loaded + loaded.kept.size(),
              repairs.c_str());
  std::printf("accuracy on 5-9:  %s transferred, %s from scratch (%d steps, %d seeds)\n",
              percent(transferred[1]).c_str(), percent(scratch[1]).c_str(), kStops[1], kSeeds);
  return verified.ok ? 0 : 1;
}

int main(int count, char** arguments) {
  try {
    torch::set_num_threads(1);  // the network is small, and one thread gives the same figures on every machine
    const bool own_folder = count < 2;
    const fs::path folder = own_folder ? fs::temp_directory_path() / "tenon-transfer-learning" : fs::path(arguments[1]);
    fs::create_directories(folder);
    const int code = tell(folder, TENON_EXAMPLE_DATA "/digits.csv.gz");
    if (own_folder) fs::remove_all(folder);
    return code;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "transfer_learning: %s\n", error.what());
    return 1;
  }
}
