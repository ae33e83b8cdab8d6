//! Globals that run code. A pickle that only mentions one of them is refused: no weights need it, and who would load the same
//! file elsewhere should know.

/// Modules of which every name is refused.
const MODULES: &str = "\
    os posix nt posixpath ntpath sys subprocess shutil socket ssl pty commands popen2 runpy importlib imp ctypes \
    _ctypes cffi code codeop pdb bdb timeit cProfile profile doctest asyncio multiprocessing threading _thread \
    signal webbrowser urllib urllib2 http httplib requests aiohttp ftplib smtplib telnetlib pip setuptools \
    distutils venv pydoc pickle _pickle cPickle dill cloudpickle joblib marshal shelve inspect gc atexit pkgutil \
    zipimport sysconfig linecache fileinput xmlrpc torch.hub numpy.distutils torch.utils.cpp_extension \
    torch._inductor torch.multiprocessing";

/// Names of modules that are else harmless.
const NAMES: &str = "\
    io.open _io.open io.FileIO _io.FileIO io.open_code operator.attrgetter operator.methodcaller \
    operator.itemgetter _operator.attrgetter _operator.methodcaller functools.reduce functools.partialmethod \
    torch.load torch.serialization.load torch.jit.load torch.save numpy.load numpy.save numpy.savetxt \
    numpy.fromfile numpy.testing._private.utils.runstring numpy.f2py.crackfortran.getlincoef pandas.read_pickle \
    pathlib.Path.write_text types.FunctionType types.LambdaType types.CodeType types.MethodType types.ModuleType \
    torch._dynamo.guards.GuardBuilder.get uuid._popen test.support.script_helper.assert_python_ok";

/// The modules of Python's built-in functions, and those of them that only make values.
const BUILTINS: &str = "builtins __builtin__ __builtins__";
const HARMLESS: &str = "\
    bool int long float complex str unicode bytes bytearray tuple list dict set frozenset slice range xrange \
    object type NoneType Ellipsis NotImplemented Exception ValueError TypeError KeyError RuntimeError property \
    classmethod staticmethod print len min max sum abs round sorted reversed enumerate zip repr hash id divmod pow \
    ord chr";

/// Whether `module.name` runs code.
pub(super) fn runs_code(module: &str, name: &str) -> bool {
    if lists(BUILTINS, module) {
        return !lists(HARMLESS, name);
    }
    let below =
        |refused: &str| module.strip_prefix(refused).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    // protocol 4 takes attributes of attributes: the module that another one imported, or `__class__.__bases__`
    let reaches = |part: &str| {
        matches!(part, "os" | "sys" | "subprocess")
            || (part.len() > 4 && part.starts_with("__") && part.ends_with("__"))
    };
    MODULES.split_ascii_whitespace().any(below)
        || lists(NAMES, &format!("{module}.{name}"))
        || name.split('.').any(reaches)
}

fn lists(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|listed| listed == name)
}
