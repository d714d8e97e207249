// Symptom: what a message means, whatever program says it. Several messages are one symptom; one symptom may have
// several causes, and the causes' rules weigh them.
#pragma once

#include <cstdint>
#include <string>

namespace tenon::diagnosis {

enum class Symptom : std::uint8_t {
  // Reading: the bytes.
  CutArchive,      ///< no central directory, no end record
  DamagedArchive,  ///< an entry that cannot be read, a checksum
  LoadKey,         ///< the unpickler met a first byte that is no pickle; `detail` is that byte as Python prints it
  BadMagic,        ///< the legacy format's magic number
  EarlyEnd,        ///< the bytes end too soon
  StorageSize,     ///< a storage of another size than recorded
  BadHeader,       ///< safetensors' header contradicts the file
  LargeHeader,     ///< safetensors' header is beyond the reader's limit, or text is read as its length
  LfsPointer,      ///< the words of a git-lfs pointer
  WebPage,         ///< HTML
  BadHdf5,         ///< HDF5's signature, superblock or chunks
  BadTensorTable,  ///< TensorFlow's bundle: table, checksum
  BadHash,         ///< a download's digest is another
  AbsentFile,      ///< a file of a model's folder is not there; `detail`: which
  AbsentShard,     ///< one of a checkpoint's numbered files is not there; `detail`: which
  BadStream,       ///< opcodes of a pickle that make no sense
  // Reading: the kind of object.
  StateDictToJit,   ///< a torch.save file where a TorchScript archive is wanted
  ArchiveToPickle,  ///< a TorchScript or LibTorch archive where a torch.save file is wanted
  ObjectNotDict,    ///< a module or other object where a state dict is wanted; `detail`: its class
  DictNotModule,    ///< a state dict where a module is wanted; `detail`: what was asked of it
  AbsentMember,     ///< KeyError for a part of the loaded dict; `detail`: the key
  AbsentPart,       ///< ... which a line of the text takes out of the loaded file; `detail`: the key
  TextNotTensors,   ///< binary read as text, or text as binary
  PlainPickle,      ///< one format's inner pickle given to a reader of plain pickles, or the reverse
  OtherConfig,      ///< the folder's description is of another kind of model
  OtherFramework,   ///< a TensorFlow, Flax or ONNX file where PyTorch's is wanted, or the reverse
  // Reading: classes and code.
  AbsentClass,       ///< unpickling or building needs a class that is not there; `detail`: its name
  AbsentModule,      ///< ... a module of Python; `detail`: its name
  AbsentOperator,    ///< TorchScript's code calls an operator that is not registered; `detail`: its name
  ModuleAttribute,   ///< a library's module lacks a function that the code calls; `detail`: the module
  ForeignAttribute,  ///< an object of another version lacks an attribute; `detail`: which
  UnknownArgument,   ///< a constructor gets an option that it does not know, or lacks one; `detail`: which
  UnsafePickle,      ///< the reader refuses what the pickle would call; `detail`: the global
  // Reading: versions.
  FileVersion,   ///< the container's version is beyond the reader
  OldPickle,     ///< pickle protocol, Python 2's strings
  OldKeras,      ///< HDF5 layouts and readers of other ages
  KerasFormat,   ///< Keras 3 and the formats that it left
  OpsetVersion,  ///< an exchange format's operator set
  // Devices and dtypes.
  AbsentDevice,  ///< tensors of a device that is not there; `detail`
  TwoDevices,    ///< operands on two devices
  OtherDType,    ///< operands or tensors of two dtypes; `detail`: which
  NoKernel,      ///< an operation does not exist for a dtype; `detail`: the dtype
  // Quantised and adapted weights.
  QuantState,    ///< a quantised tensor's state does not fit
  AdapterFiles,  ///< an adapter's description or keys
  // Optimizers.
  OptimizerGroups,  ///< parameter groups differ
  OptimizerShape,   ///< a moment's shape meets another parameter's
  OptimizerMember,  ///< KeyError for a part of an optimizer's state; `detail`: the key
  OptimizerObject,  ///< a whole optimizer where its state dict is wanted; `detail`: its class
  OptimizerFrame,   ///< a traceback goes through an optimizer
  OptimizerOther,   ///< other words of optimizers, schedulers and scalers
  // Saving.
  LocalObject,    ///< pickle meets a local function or class; `detail`: its path
  Unpicklable,    ///< pickle meets another object that it cannot write; `detail`: which
  NotScriptable,  ///< TorchScript meets what it cannot write
  NoConfig,       ///< Keras: a layer without get_config, a subclassed model
  NotJson,        ///< an option that JSON cannot hold
  FullDisk,       ///< no space, or a quota
  Denied,         ///< permissions, read-only file systems
  NoFolder,       ///< the folder does not exist
  LockedFile,     ///< another process has the file
  SizeLimit,      ///< 2 GB, 4 GiB, 64 KiB limits of formats and calls
  WriteFailed,    ///< a write failed, cause not said
  NoMemory,       ///< memory ran out while writing or reading
  NameTaken,      ///< two tensors or layers of one name
  BadName,        ///< a name that the format or framework does not allow
  SharedTensors,  ///< safetensors refuses tensors that share memory
  // Shapes and layers, told by a message instead of a list.
  LayerCount,        ///< Keras: other numbers of layers
  LayerCountsFar,    ///< ... half as many again, or more, which no option of one network makes; `detail`: both
  LayerWeights,      ///< Keras: other numbers of weights in a layer
  LayerOfOneKind,    ///< Keras: ... and the two layers are of one kind; `detail`: both names
  LayerOfOldName,    ///< Keras: ... and the file has the kind as Keras 1 called it; `detail`: both names
  LayerOfOtherKind,  ///< Keras: ... and they are of two kinds; `detail`: both names
  UnbuiltLayer,      ///< Keras: a layer without variables yet
  KernelShape,       ///< Keras, TensorFlow, old PyTorch: shapes differ, keys are not told
  ProductShapes,     ///< a layer gets an input of another width than its weight takes, while the model runs
  KernelOutputs,     ///< Keras: of one kernel or bias, the last axis alone differs; `detail`: both extents
  KernelTurned,      ///< Keras: the window stands at the other end of the axes
  AxesOfOne,         ///< axes of one element came or went; the name is not told
  AxesTurned,        ///< Keras: a conversion between layouts meets axes that it does not fit
  InputWidth,        ///< a convolution gets another number of channels
  SameShapeCopy,     ///< "While copying the parameter ..." with equal shapes
  RunningStats,      ///< statistics of InstanceNorm from before 0.4
  RenamedOnLoad,     ///< a loader's own renaming has gone wrong
  TensorCount,       ///< GGUF: the reader knows another number of tensors for this model
  OtherModel,        ///< the reader says that it is another model
  OtherOption,       ///< an option of the checkpoint and of the model differ, told by name
  ClassCount,        ///< numbers of classes differ, told by number
  InputSpace,        ///< reinforcement learning: the environment's observations are others than those saved
  OutputSpace,       ///< ... its actions
  InputSize,         ///< an input of another size than the model was made for
  VocabularySize,    ///< a vocabulary and a table of other sizes, told in words
  EmptyIndex,        ///< index out of range in an embedding
  MissingCount,      ///< how many keys are missing, and not which; `detail`: the number
  // Distributed.
  ShardWords,   ///< FSDP, DeepSpeed, Megatron, DCP: shards, ranks, world sizes
  ShardReader,  ///< a message that only the reader of distributed checkpoints has
  MetaTensor,   ///< a placeholder has no data
  // C++ and other languages.
  CppArchive,     ///< a name that a C++ archive does not have
  CppValue,       ///< an IValue of another kind
  OtherLanguage,  ///< TorchSharp, R and others: their own format is wanted
  CppTrace,       ///< words of C++: c10::Error, what(), terminate called
  NativeProgram,  ///< the program that complains is not Python: LibTorch's exception, TorchSharp, R, Rust, TensorRT
  // Prose.
  SilentWords,      ///< it loads, and the results are wrong
  ExtraStateWords,  ///< extra state, hooks of custom modules, unregistered tensors
};

struct Sighting {
  Symptom symptom;
  std::string detail;
  std::string excerpt;  ///< the words of the text, for evidence
};

}  // namespace tenon::diagnosis
