// Source: the advisories of picklescan and fickling, CPython's documentation of its library, and the code of the named
// packages. A row covers all that stands below it; what is expressly quiet is an exception to a wider row.
#include "scan/denied_globals.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>
#include <unordered_map>
#include <unordered_set>

namespace tenon::scanning {

namespace {

struct Row {
  std::string_view why;
  std::string_view names;  ///< dotted, separated by spaces
};

constexpr Row kDenied[] = {
    {"starts programs or shell commands",
     "os posix nt subprocess pty platform.popen popen2 popen3 commands pexpect sh plumbum invoke fabric paramiko "
     "psutil.Popen torch.utils.collect_env torch.utils.bottleneck torch.utils.cpp_extension torch.utils.benchmark "
     "torch.utils.hipify torch.distributed.launch torch.distributed.run torch.distributed.elastic "
     "torch.distributed.launcher torch._inductor torch.utils.model_dump torch.utils.model_zoo torch._appdirs "
     "torch.backends._coreml torch.utils._zip torch.testing torch.onnx.verification torch.utils.viz asyncio "
     "multiprocessing webbrowser antigravity distutils ensurepip venv pip setuptools pkg_resources "
     "numpy.distutils numpy.f2py numpy.testing docker kubernetes ansible idlelib lib2to3 turtledemo imaplib pydoc "
     "_osx_support osx_support _pyrepl pyrepl _aix_support cgi crypt uuid nturl2path ctypes.util mailcap IPython "
     "ipykernel jupyter_client nbconvert git pygit2 dvc gi dbus win32com win32api win32process win32gui pythoncom "
     "wmi mlflow celery wandb.sdk.launch accelerate.commands transformers.commands deepspeed.launcher "
     "horovod.runner horovod.run py.process cffi.ffiplatform pyximport scipy.weave weave scipy._lib._testutils "
     "pytest _pytest nose hypothesis test.support test.regrtest test.libregrtest test.__main__ test.pythoninfo "
     "test.script_helper ray._private.services luigi.contrib dask.distributed"},
    {"runs Python code that the file brings along",
     "builtins.exec builtins.eval builtins.compile builtins.execfile builtins.apply builtins.breakpoint "
     "builtins.input builtins.raw_input code codeop bdb pdb cmd doctest timeit trace profile cProfile hotshot "
     "lsprof runpy unittest pstats rlcompleter compileall py_compile compiler rexec symtable torch.jit "
     "torch._dynamo torch.fx torch.package torch.utils.data.datapipes torch.utils.data._utils "
     "torch.utils._config_module torch.utils._config_typing torch._functorch torch.export torch._export "
     "torch._higher_order_ops torch.compiler torch._guards torch.utils._sympy torch.utils.show_pickle "
     "torch.utils._pytree torch.utils.pytree torch.utils._python_dispatch torch.utils.mobile_optimizer "
     "torch._prims torch._refs torch._decomp torch._meta_registrations torch._numpy torch._lazy torch._custom_op "
     "torch._custom_ops torch._library pandas.eval pandas.core.computation numexpr sympy.sympify "
     "sympy.core.sympify sympy.parsing sympy.lambdify numpy.safe_eval numpy.lib.utils numpy.lib._utils_impl "
     "asteval simpleeval RestrictedPython jinja2 mako chameleon genshi tornado.template django.template yaml.load "
     "yaml.unsafe_load yaml.full_load yaml.unsafe_load_all yaml.load_all yaml.full_load_all ruamel.yaml "
     "yaml.constructor yaml.loader hydra.utils fire pkgutil keras.layers.Lambda "
     "keras.src.layers.core.lambda_layer tensorflow.python.ops.script_ops dill cloudpickle jsonpickle numba "
     "llvmlite cupy.RawKernel cupy.RawModule pyopencl execnet rpyc Pyro4 Pyro5 matlab.engine oct2py rpy2 "
     "fairseq.utils.import_user_module detectron2.config.lazy mmengine.config.Config.fromfile "
     "mmcv.Config.fromfile transformers.dynamic_module_utils transformers.utils.import_utils "
     "diffusers.utils.dynamic_modules_utils typing.get_type_hints typing._eval_type typing.ForwardRef "
     "dataclasses.make_dataclass inspect.getattr_static torch.onnx ray.cloudpickle pyspark.cloudpickle "
     "pyspark.serializers gin.parse_config gin.parse_config_file hydra._internal.utils sympy.utilities.lambdify "
     "sympy.utilities.exceptions"},
    {"imports modules by name",
     "builtins.__import__ builtins.reload importlib imp ihooks imputil zipimport pkgutil.resolve_name "
     "pydoc.locate site modulefinder sitecustomize usercustomize six.moves six._import_module "
     "werkzeug.utils.import_string django.utils.module_loading mmengine.registry.build_from_cfg torch._classes "
     "torch._utils_internal torch.utils.backend_registration"},
    {"unpickles or loads more data, with everything that loading runs",
     "pickle cPickle marshal shelve pickletools torch.load torch.serialization torch.storage torch.hub "
     "torch.multiprocessing torch.distributed.rpc torch.distributed.distributed_c10d "
     "torch.distributed._shard.checkpoint numpy.load numpy.loads numpy.loadtxt numpy.genfromtxt numpy.fromfile "
     "numpy.memmap numpy.save numpy.savez numpy.savetxt numpy.lib.npyio numpy.lib._npyio_impl numpy.lib.format "
     "numpy.DataSource numpy.lib._datasource numpy.lib._format_impl numpy.fromregex numpy.ndfromtxt "
     "numpy.mafromtxt numpy.open_memmap numpy.lib.memmap numpy.core.memmap numpy.ma.core._pickle numpy.compat "
     "numpy.core._methods numpy.ndarray.tofile pandas.read_pickle pandas.read_csv pandas.read_table "
     "pandas.read_json pandas.read_hdf pandas.read_sql pandas.read_html pandas.read_xml pandas.read_excel "
     "pandas.read_parquet pandas.read_feather pandas.read_stata pandas.read_sas pandas.read_spss pandas.read_orc "
     "pandas.read_fwf pandas.read_clipboard pandas.read_gbq pandas.io pandas.compat.pickle_compat pandas.HDFStore "
     "pandas.ExcelFile pandas.ExcelWriter pandas.to_pickle joblib.load joblib.dump joblib.numpy_pickle "
     "joblib.numpy_pickle_compat joblib.memory joblib.Memory joblib.externals joblib._store_backends "
     "joblib.parallel joblib.Parallel joblib.pool joblib.executor joblib.numpy_pickle_utils "
     "joblib._memmapping_reducer joblib.disk joblib.func_inspect joblib.hashing sklearn.externals "
     "sklearn.datasets sklearn.utils._testing scipy.io scipy.misc scipy.datasets h5py zarr tables netCDF4 "
     "skops.io.load keras.models.load_model keras.saving keras.src.saving keras.src.legacy.saving "
     "tensorflow.keras.models.load_model tensorflow.saved_model tensorflow.python.saved_model "
     "keras.utils.get_file tensorflow.keras.utils.get_file keras.utils.data_utils tf_keras.src.saving "
     "tensorflow.python.keras.saving keras.engine.saving xgboost.Booster.load_model catboost.CatBoost.load_model "
     "gensim.models.KeyedVectors.load spacy.load nltk.data nltk.download flair.file_utils fasttext.load_model "
     "transformers.pipeline transformers.pipelines datasets.load_dataset huggingface_hub "
     "timm.models.load_checkpoint torchvision.io torchaudio.load kagglehub gdown onnx.load onnx.hub "
     "onnx.external_data_helper onnxruntime.InferenceSession safetensors.torch.load_file "
     "pytorch_lightning.utilities.cloud_io lightning_fabric.utilities.cloud_io pytorch_lightning.core.saving "
     "smart_open cloudpathlib s3fs gcsfs mlflow.pyfunc srsly sympy.printing.preview PIL.Image.open PIL.ImageMath "
     "PIL.ImageShow PIL.ImageGrab imageio skimage.io tifffile statsmodels.iolib.smpickle statsmodels.iolib.api "
     "nibabel gensim.utils.unpickle spacy.util.load_model torchvision.datasets.utils keras.src.utils.file_utils "
     "keras.src.utils.get_file datasets.load.load_dataset fsspec.open fsspec.core"},
    {"opens, writes or removes files",
     "builtins.open builtins.file io shutil tempfile fileinput glob pathlib zipfile tarfile mmap sqlite3 dbm "
     "anydbm dbhash dumbdbm gdbm bsddb whichdb linecache filecmp gzip bz2 lzma logging logging.FileHandler "
     "logging.config logging.handlers argparse.FileType posixfile nt.open fcntl codecs.open xml lxml plistlib "
     "netrc configparser.ConfigParser.read csv.reader distutils.file_util distutils.dir_util ZODB aiofiles "
     "send2trash watchdog openpyxl xlrd cv2.imread cv2.imwrite cv2.FileStorage cv2.VideoCapture"},
    {"opens network connections",
     "socket ssl select selectors urllib urllib2 http httplib httplib2 ftplib smtplib poplib nntplib telnetlib "
     "xmlrpc xmlrpclib socketserver SocketServer BaseHTTPServer SimpleHTTPServer CGIHTTPServer SimpleXMLRPCServer "
     "cookielib robotparser wsgiref asyncore asynchat smtpd requests urllib3 httpx aiohttp websocket websockets "
     "twisted tornado flask fastapi starlette uvicorn gunicorn bottle django pycurl curl scapy boto boto3 "
     "botocore google.cloud azure.storage grpc zmq redis pymongo psycopg2 MySQLdb pymysql sqlalchemy selenium "
     "playwright mechanize requests_html telegram slack_sdk discord paho kafka pika "
     "torch.distributed.init_process_group torch.distributed.TCPStore torch.distributed.rendezvous "
     "torch.distributed.remote_device ftputil nmap impacket dns"},
    {"loads native code or reaches memory directly",
     "ctypes cffi _ctypes torch.ops torch._ops torch.classes torch."
     "library torch._C numpy.ctypeslib "
     "numpy.core._internal tensorflow.load_op_library tensorflow.load_library "
     "tensorflow.python.framework.load_library dl pycuda pyarrow.jvm jpype py4j clr pythonnet winreg msvcrt gc "
     "tracemalloc faulthandler _testcapi testcapi"},
    {"reaches any attribute or calls any function by its name",
     "builtins.getattr builtins.setattr builtins.delattr builtins.globals builtins.locals builtins.vars "
     "builtins.map builtins.filter builtins.super builtins.classmethod builtins.staticmethod builtins.property "
     "builtins.print builtins.help builtins.dir builtins.exit builtins.quit builtins.reduce operator functools "
     "functools.reduce functools.partial functools.partialmethod itertools.starmap itertools.accumulate "
     "itertools.filterfalse itertools.takewhile itertools.dropwhile itertools.groupby itertools.imap "
     "itertools.ifilter heapq.merge heapq.nlargest heapq.nsmallest bisect.insort cytoolz toolz funcy inspect ast "
     "dis opcode copyreg.add_extension copyreg.pickle copyreg.constructor copyreg.remove_extension "
     "copyreg.clear_extension_cache numpy.vectorize numpy.frompyfunc numpy.apply_along_axis numpy.apply_over_axes "
     "numpy.piecewise numpy.fromfunction numpy.nditer pandas.DataFrame.apply pandas.Series.apply "
     "pandas.core.frame.DataFrame.query pandas.DataFrame.query pandas.core.frame.DataFrame.eval re.sub re.subn "
     "string.Formatter"},
    {"starts threads or processes, or changes the interpreter",
     "sys threading thread _thread atexit signal sched concurrent contextlib weakref.finalize resource "
     "posixpath.os time.sleep locale.os warnings.sys random.os cgitb tkinter Tkinter turtle readline curses "
     "getpass queue.threading syslog nis spwd ossaudiodev audioop msilib winsound interpreters multiprocess "
     "billiard gevent eventlet greenlet trio anyio curio joblib.externals.loky pathos ray._private uvloop"},
    {"makes functions, classes or code objects", "builtins.type builtins.__build_class__ types new codecs"},
};

/// Parts of denied modules, or of Python's library, that hold data: not on the list of allowed names, and no gadgets.
constexpr std::string_view kQuiet =
    "builtins collections datetime decimal fractions numbers math cmath statistics random secrets hashlib hmac "
    "base64 binascii zlib struct array string enum re sre_compile sre_parse sre_constants copy copyreg abc "
    "typing typing_extensions dataclasses weakref heapq bisect queue Queue itertools calendar zoneinfo ipaddress "
    "json time uuid.SafeUUID uuid.UUID uuid.uuid4 uuid.uuid1 operator.itemgetter operator.add operator.sub "
    "operator.mul operator.truediv operator.lt operator.gt operator.le operator.ge operator.eq operator.ne "
    "operator.and_ operator.or_ operator.not_ operator.neg operator.pos operator.abs operator.matmul "
    "operator.mod operator.pow operator.floordiv logging.getLogger logging.Logger logging.RootLogger "
    "logging.Formatter logging.Filter logging.LoggerAdapter logging.Manager logging.PlaceHolder "
    "logging.NullHandler logging.PercentStyle logging.StrFormatStyle io.BytesIO io.StringIO StringIO cStringIO "
    "UserDict UserList UserString exceptions sets argparse optparse getopt textwrap pprint reprlib difflib "
    "unicodedata stringprep shlex fnmatch html gettext locale errno stat signal.Signals warnings keyword token "
    "graphlib colorsys configparser csv quopri uu types.SimpleNamespace types.MappingProxyType "
    "types.GenericAlias types.NoneType types.UnionType types.EllipsisType types.NotImplementedType pathlib.Path "
    "pathlib.PurePath pathlib._local.Path pathlib._local.PurePath contextlib.nullcontext inspect.Signature "
    "inspect.Parameter inspect._ParameterKind inspect._empty threading.local threading.Lock threading.RLock "
    "thread.allocate_lock _thread.RLock _thread.allocate_lock multiprocessing.synchronize.Lock "
    "joblib.numpy_pickle.NumpyArrayWrapper joblib.numpy_pickle_compat.NDArrayWrapper "
    "joblib.numpy_pickle_compat.ZNDArrayWrapper numpy.ma.core.MaskedArray numpy.ma.core._mareconstruct "
    "numpy.core.records.recarray numpy.rec.recarray sklearn.utils.fixes.parse_version "
    "torch.jit._pickle torch.serialization.LoadEndianness torch.jit._script.RecursiveScriptModule "
    "torch.utils.data.dataset torch.utils.data.dataloader torch.distributed.checkpoint torch._C._nn "
    "torch._C._VariableFunctions torch._C.Generator keras.utils.generic_utils "
    "sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper "
    "sklearn.externals.joblib.numpy_pickle.NDArrayWrapper";

/// The modules of Python 2.7 to 3.14 without the underscores in front.
constexpr std::string_view kStandardLibrary =
    "BaseHTTPServer Bastion CGIHTTPServer MimeWriter SimpleHTTPServer SimpleXMLRPCServer SocketServer Tkinter "
    "abc aifc aix_support android_support annotationlib anydbm apple_support argparse array ast asynchat asyncio "
    "asyncore atexit audioop base64 bdb binascii bisect blake2 bootsubprocess bsddb builtins bz2 cPickle "
    "cProfile calendar ce cgi cgitb chunk cmath cmd code codecs codecs_cn codecs_hk codecs_iso2022 codecs_jp "
    "codecs_kr codecs_tw codeop collections collections_abc colorize colorsys commands compat_pickle compileall "
    "compiler compression concurrent configparser contextlib contextvars cookielib copy copyreg crypt csv ctypes "
    "curses curses_panel dataclasses datetime dbhash dbm decimal difflib dis distutils dl doctest dumbdbm "
    "elementtree email encodings ensurepip enum errno faulthandler fcntl filecmp fileinput fnmatch fractions "
    "frozen_importlib frozen_importlib_external ftplib functools gc gdbm genericpath getopt getpass gettext glob "
    "graphlib grp gzip hashlib heapq hmac hotshot html htmllib http httplib idlelib ihooks imaplib imghdr imp "
    "importlib imputil inspect interpchannels interpqueues interpreters io ios_support ipaddress itertools json "
    "keyword lib2to3 linecache locale logging lsprof lzma macpath mailbox mailcap markupbase marshal math md5 "
    "mhlib mimetools mimetypes mmap modulefinder msi msilib msvcrt multibytecodec multifile multiprocessing "
    "netrc nis nntplib nt ntpath nturl2path numbers opcode opcode_metadata operator optparse os os2 os2emxpath "
    "ossaudiodev osx_support overlapped pathlib pdb pickle pickletools pipes pkgutil platform plistlib popen2 "
    "popen3 poplib posix posixfile posixpath posixshmem posixsubprocess pprint profile pstats pty pwd py_abc "
    "py_compile pyclbr pydecimal pydoc pydoc_data pyexpat pyio pyrepl queue quopri random re readline "
    "remote_debugging reprlib resource rexec rfc822 riscos riscosenviron rlcompleter robotparser runpy sched "
    "scproxy secrets select selectors sgmllib sha1 sha256 sha3 sha512 shelve shlex shutil signal site "
    "sitebuiltins sitecustomize smtpd smtplib sndhdr socket socketserver spwd sqlite3 sre sre_compile "
    "sre_constants sre_parse ssl stat statistics string stringprep strptime struct subprocess suggestions sunau "
    "symtable sys sysconfig syslog tabnanny tarfile telnetlib tempfile termios textwrap thread threading "
    "threading_local time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle "
    "turtledemo types typing unicodedata unittest urllib urllib2 urlparse usercustomize uu uuid venv warnings "
    "wave weakref weakrefset webbrowser whichdb winapi winreg winsound wsgiref xdrlib xml xmlrpc xmlrpclib "
    "zipapp zipfile zipimport zlib zoneinfo";

/// Single files of Python's library whose names people give to their own packages: `code.models.Net` is none of it.
constexpr std::string_view kSingleFiles =
    "code cmd profile trace parser token symbol site resource commands timeit types select signal platform io";

/// Attributes that are a way out whatever module they are taken from.
constexpr std::string_view kAttributes =
    "os sys subprocess builtins importlib pickle ctypes socket shutil posix nt pty marshal runpy codeop imp "
    "pkgutil eval exec execfile system popen Popen check_output check_call getoutput getstatusoutput "
    "import_module __import__ execv execve execvp execl spawnl spawnv fork_exec posix_spawn run_path run_module "
    "load_module load_library runcode runsource run_command exec_command exec_module _load_unlocked unsafe_load "
    "open_code";

template <class Visit>
void for_each_word(std::string_view words, Visit visit) {
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find(' ', at), words.size());
    if (end > at) visit(words.substr(at, end - at));
    at = end + 1;
  }
}

std::unordered_set<std::string_view> set_of(std::string_view words) {
  std::unordered_set<std::string_view> set;
  for_each_word(words, [&](std::string_view word) { set.insert(word); });
  return set;
}

const std::unordered_map<std::string_view, Denial>& table() {
  static const auto made = [] {
    std::unordered_map<std::string_view, Denial> rows;
    for (const Row& row : kDenied)
      for_each_word(row.names, [&](std::string_view name) { rows.emplace(name, Denial{true, row.why}); });
    for_each_word(kQuiet, [&](std::string_view name) { rows[name] = Denial{false, {}}; });
    return rows;
  }();
  return made;
}

/// The longest row that is `full` or stands above it.
const Denial* covering_row(std::string_view full) {
  for (;;) {
    const auto found = table().find(full);
    if (found != table().end()) return &found->second;
    const std::size_t dot = full.rfind('.');
    if (dot == std::string_view::npos) return nullptr;
    full = full.substr(0, dot);
  }
}

std::string_view without_underscores(std::string_view name) {
  name.remove_prefix(std::min(name.find_first_not_of('_'), name.size()));
  return name;
}

}  // namespace

std::optional<Denial> denial_of(std::string_view full) {
  const Denial* row = covering_row(full);
  if (row == nullptr) row = covering_row(without_underscores(full));
  if (row != nullptr) return *row;
  if (is_standard_library(full.substr(0, full.find('.'))))
    return Denial{true, "is a part of Python's library that describes no data"};
  return std::nullopt;
}

bool is_standard_library(std::string_view top) {
  static const auto set = set_of(kStandardLibrary);
  return set.contains(without_underscores(top));
}

bool is_own_package(std::string_view module) {
  static const auto set = set_of(kSingleFiles);
  const std::size_t dot = module.find('.');
  return dot != std::string_view::npos && set.contains(module.substr(0, dot));
}

bool is_dangerous_attribute(std::string_view name) {
  static const auto set = set_of(kAttributes);
  return set.contains(name) || set.contains(without_underscores(name));
}

}  // namespace tenon::scanning
