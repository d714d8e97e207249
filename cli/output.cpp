#include "output.hpp"

#include <utility>

#include <tenon/error.hpp>

#include "interrupt.hpp"
#include "progress.hpp"

namespace tenon::cli {

namespace {

constexpr const char* kWritable = "safetensors, pytorch-zip or npz";

/// Names of streams are wrong usage; whatever else is no file, the writer refuses.
void refuse_stream(const std::string& out) {
  const bool is_stream = out == "-" || out == "/dev/stdout" || out == "/dev/stderr" || out.starts_with("/dev/fd/") ||
                         out.starts_with("/proc/self/fd/");
  if (!is_stream) return;
  throw Error(Code::Invalid, Where{out, {}, {}, {}}, "a checkpoint cannot be written to a stream",
              "the path of a file, which appears only when it is whole", {}, "write a file, then send it on");
}

}  // namespace

Format output_format(const std::string& out, const std::string& asked) {
  refuse_stream(out);
  for (const Format format : {Format::Safetensors, Format::PytorchZip, Format::Npz})
    if (asked == format_name(format)) return format;
  if (!asked.empty())
    throw Error(Code::Invalid, Where{out, {}, {}, {}}, "tenon writes no format of this name", kWritable, asked,
                "take one of these");
  if (const auto format = format_from_suffix(out)) return *format;
  throw Error(Code::Invalid, Where{out, {}, {}, {}}, "the output's name does not tell its format",
              "the suffix .safetensors, .npz, .pt, .pth, .bin or .ckpt", {}, "take such a name");
}

void add_shard_size(CLI::App* command, std::uint64_t& bytes) {
  command->add_option("--max-shard-size", bytes, "Spread tensors over files of this size, beside an index")
      ->type_name("SIZE")
      ->transform(CLI::AsSizeValue(true).description(""));
}

void add_no_digests(CLI::App* command, bool& no_digests) {
  command->add_flag("--no-digests", no_digests,
                    "Write the bytes that the format's own writer would: no digests in them");
}

SaveReport write_output(Snapshot snapshot, const std::string& out, SaveOptions options, Writing writing,
                        const Session& session) {
  if (writing == Writing::Rehearse) return rehearse_save(snapshot, out, options);
  const WritingSection section;
  ProgressLine line(session, "writing");
  options.progress = line.of_bytes();
  return save(interruptible(std::move(snapshot)), out, options);
}

}  // namespace tenon::cli
