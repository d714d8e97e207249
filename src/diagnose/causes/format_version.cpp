// format_version: the container or the serialised form is newer or older than the reader.
#include "diagnose/reading.hpp"
#include "diagnose/rules.hpp"

namespace tenon::diagnosis {
namespace {

constexpr Reading kReadings[] = {
    {Symptom::FileVersion, 0.93, "the file's format version is not one that this reader knows",
     "the writer is newer or older than the reader; often an old library is found first on the path",
     "read it with the version that wrote it, or write it anew    tenon convert FILE out.safetensors"},
    {Symptom::OldPickle, 0.85, "the pickle was written by another age of Python than reads it",
     "protocol 5 needs Python 3.8; strings of Python 2 need encoding=\"latin1\"",
     "load it with encoding=\"latin1\" or a newer Python, and save it anew"},
    {Symptom::OldKeras, 0.8, "the HDF5 file has the layout of another Keras, or another h5py reads it",
     "attributes and group names of the layout changed between releases; h5py 3 gives text where 2 gave bytes",
     "read it with the release that wrote it, and save it anew"},
    {Symptom::KerasFormat, 0.8, "the file has a format that this Keras does not load",
     "Keras 3 reads .keras and legacy HDF5 files, and no SavedModel folders",
     "convert it with the Keras that wrote it, or load it as a layer: keras.layers.TFSMLayer"},
    {Symptom::OpsetVersion, 0.7, "the exchange format's operator set is another than the reader's",
     "operators change with the set's version", "export with the version that the reader knows"},
    {Symptom::CppArchive, 0.3, "the writer and the reader may be of two releases",
     "LibTorch and PyTorch of other versions name what an archive holds in other ways",
     "use one release on both sides"},
    {Symptom::TextNotTensors, 0.3, "the bytes may be those of another version's format",
     "a reader of text met bytes that no text has", "see what the file is    tenon inspect FILE"},
};

}  // namespace

std::optional<Finding> find_format_version(const Case& facts) {
  if (facts.text == nullptr || facts.checkpoint.values) return std::nullopt;
  return read_sightings(facts, kReadings);
}

}  // namespace tenon::diagnosis
