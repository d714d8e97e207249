// Blueprints (`*.blueprint.json`, schema tenon.blueprint/1): what a model wants, written down without its values.
//
//   {"schema": "tenon.blueprint/1", "class": "MyModel",
//    "tensors": [{"name": "fc.weight", "dtype": "float32", "shape": [10, 800], "role": "parameter", "tied_to": null}],
//    ...}
//
// name, dtype and shape are required; members that this version does not know are left alone: later versions add to the
// schema.
#include <string>
#include <unordered_set>

#include <tenon/error.hpp>
#include <tenon/listing.hpp>

#include "io/mapped_file.hpp"
#include "model/json_document.hpp"

namespace tenon {
namespace {

using Json = nlohmann::json;

class BlueprintReader {
 public:
  BlueprintReader(const std::string& file, const Limits& limits) : file_(file), limits_(limits) {}

  Listing read(const Json& document) {
    if (!document.is_object() || !document.contains("schema"))
      throw Error(Code::Unsupported, {file_, {}, "schema", {}}, "the file is JSON, but no blueprint",
                  "\"schema\": \"tenon.blueprint/1\"", "no schema", "give a checkpoint or a blueprint");
    const std::string schema = text(document, "schema");
    if (schema != "tenon.blueprint/1")
      throw Error(Code::Unsupported, {file_, {}, "schema", {}}, "unknown schema", "tenon.blueprint/1", schema);
    Listing listing;
    listing.label = file_;
    listing.has_blueprint = true;
    if (document.contains("class") && !document["class"].is_null()) listing.class_name = text(document, "class");
    if (!document.contains("tensors") || !document["tensors"].is_array())
      throw wrong("tensors", "the blueprint lists no tensors", "an array", "none");
    for (const Json& row : document["tensors"]) listing.tensors.push_back(tensor(row, listing.tensors.size()));
    return listing;
  }

 private:
  TensorSpec tensor(const Json& row, std::size_t index) {
    place_ = "tensors[" + std::to_string(index) + "]";
    if (!row.is_object()) throw wrong({}, "a tensor is no object", "{\"name\", \"dtype\", \"shape\"}", row.type_name());
    TensorSpec spec;
    spec.name = text(row, "name");
    if (!names_.insert(spec.name).second)
      throw wrong("name", "two tensors have one name", "names once only", spec.name);
    spec.dtype = parse_dtype(text(row, "dtype"));
    if (!spec.dtype) throw wrong("dtype", "unknown dtype", "a name such as float32", text(row, "dtype"));
    spec.shape = shape(row);
    spec.role = role(row);
    if (row.contains("tied_to") && !row["tied_to"].is_null()) spec.tied_to = text(row, "tied_to");
    return spec;
  }

  Shape shape(const Json& row) const {
    if (!row.contains("shape") || !row["shape"].is_array())
      throw wrong("shape", "no shape", "an array of extents", "none");
    if (row["shape"].size() > limits_.tensor_rank)
      throw wrong("shape", "too many axes", "at most " + std::to_string(limits_.tensor_rank),
                  std::to_string(row["shape"].size()));
    Shape extents;
    for (const Json& extent : row["shape"]) {
      const bool fits = extent.is_number_unsigned() && extent.get<std::uint64_t>() <= std::uint64_t{INT64_MAX};
      if (!fits)
        throw wrong("shape", "an extent is no whole number from 0 up", "0, 1, 2, ...", extent.dump(-1, ' ', true));
      extents.push_back(extent.get<std::int64_t>());
    }
    element_count(extents);  // so that no later product can overflow
    return extents;
  }

  Role role(const Json& row) const {
    if (!row.contains("role") || row["role"].is_null()) return Role::Unknown;
    const std::string name = text(row, "role");
    if (name == "parameter") return Role::Parameter;
    if (name == "buffer") return Role::Buffer;
    throw wrong("role", "unknown role", "parameter or buffer", name);
  }

  std::string text(const Json& object, const char* member) const {
    const auto found = object.find(member);
    if (found == object.end() || !found->is_string())
      throw wrong(member, "a text is missing", std::string("\"") + member + "\": \"...\"",
                  found == object.end() ? "nothing" : found->type_name());
    return found->get<std::string>();
  }

  Error wrong(std::string_view member, std::string what, std::string expected, std::string found) const {
    std::string key = place_;
    if (!member.empty()) key += (key.empty() ? "" : ".") + std::string(member);
    return Error(Code::Corrupt, {file_, {}, key, {}}, std::move(what), std::move(expected), std::move(found));
  }

  const std::string& file_;
  const Limits& limits_;
  std::string place_;
  std::unordered_set<std::string> names_;
};

}  // namespace

Listing read_blueprint(const std::string& path, const Limits& limits) {
  const std::string text = io::read_text(path, limits.json_file_bytes);
  return BlueprintReader(path, limits).read(model::parse_document(text, path, limits));
}

}  // namespace tenon
