// What a user's first program does: writes a tiny safetensors file by hand, opens it with tenon, counts its tensors.
#include <tenon/checkpoint.hpp>
#include <tenon/version.hpp>

#include <cstdio>
#include <fstream>
#include <string>

int main() {
  const std::string header = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  std::string bytes(1, static_cast<char>(header.size()));
  bytes += std::string(7, '\0') + header + std::string(8, '\0');
  std::ofstream("tiny.safetensors", std::ios::binary) << bytes;

  const tenon::Checkpoint checkpoint = tenon::open("tiny.safetensors");
  std::printf("tenon %s: %zu tensor\n", std::string(tenon::version()).c_str(), checkpoint.tensors().size());
  return checkpoint.tensors().size() == 1 ? 0 : 1;
}
