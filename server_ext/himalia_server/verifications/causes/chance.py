"""Calls whose result another run does not repeat: chance, the clock, the order of sets and folders, the network."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .cells import Call, CellCode, calls

_SEEDS = {
    "random.seed": "random",
    "numpy.random.seed": "numpy",
    "torch.manual_seed": "torch",
    "torch.random.manual_seed": "torch",
    "tensorflow.random.set_seed": "tensorflow",
    "keras.utils.set_random_seed": "tensorflow",
    "tensorflow.keras.utils.set_random_seed": "tensorflow",
}
_MAKERS = {"seed", "default_rng", "RandomState", "Generator", "SeedSequence", "PCG64", "MT19937", "Philox", "get_state"}
_MAKERS |= {"set_state", "SFC64", "BitGenerator", "bit_generator"}
_RANDOM = {
    "random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "gauss", "normalvariate",
    "triangular", "betavariate", "expovariate", "gammavariate", "lognormvariate", "vonmisesvariate", "paretovariate",
    "weibullvariate", "getrandbits", "randbytes",
}  # fmt: skip
_ALWAYS = {"uuid.uuid4", "uuid.uuid1", "os.urandom", "random.SystemRandom"}
_LEARNERS = re.compile(
    r"sklearn\.(?:datasets\.make_\w+|.*\.(?:train_test_split|shuffle|resample|"
    r"\w*(?:Forest|ExtraTrees?|GradientBoosting|DecisionTree|"
    r"Bagging|AdaBoost|MLP|KMeans|SGD|TSNE|IsolationForest|Perceptron|RandomizedSearch|GaussianMixture|MDS|NMF|"
    r"RandomProjection|Nystroem|RBFSampler|LatentDirichletAllocation|SpectralClustering|BayesianGaussianMixture|"
    r"TruncatedSVD|FastICA|ShuffleSplit|LinearSVC|PassiveAggressive|QuantileTransformer|IterativeImputer|"
    r"permutation_importance|mutual_info)\w*))$"
)
_SHUFFLED = re.compile(r"sklearn\..*\.\w*(?:KFold)$")
_CLOCK = {
    "datetime.datetime.now", "datetime.datetime.utcnow", "datetime.datetime.today", "datetime.date.today",
    "time.time", "time.time_ns", "time.perf_counter", "time.perf_counter_ns", "time.monotonic", "time.process_time",
    "pandas.Timestamp.now", "pandas.Timestamp.today", "pandas.Timestamp.utcnow", "timeit.timeit",
    "timeit.default_timer", "timeit.repeat",
}  # fmt: skip
_CLOCK_BARE = {"time.ctime", "time.localtime", "time.gmtime", "time.asctime"}
_CLOCK_WORDS = {"pandas.to_datetime", "pandas.Timestamp", "numpy.datetime64"}
_LISTINGS = {"os.listdir", "os.scandir", "os.walk", "glob.glob", "glob.iglob", ".iterdir", ".glob", ".rglob"}
_FINISHING = {"as_completed", "imap_unordered"}
_NETWORK = re.compile(
    r"^(?:requests|httpx|urllib\.request|urllib3|aiohttp|yfinance|wikipedia)\.|fetch_openml$|fetch_\w+$|"
    r"load_dataset$|hf_hub_download$|urlopen$|urlretrieve$"
)
_MEASURED = re.compile(r"^\s*%%?(?:time|timeit|prun)\b", re.M)
_STEADY = {"sorted", "len", "sum", "min", "max", "any", "all", "bool", "isinstance", "numpy.unique", "set", "frozenset"}


@dataclass(frozen=True)
class Chance:
    """A place in the code. *kind*: randomness, registry, wall_clock, set_order, file_order, completion_order or
    network."""

    kind: str
    cell: int
    what: str
    advice: str


def find_chances(cells: Sequence[CellCode], above: Sequence[CellCode], aliases: dict[str, str]) -> list[Chance]:
    """Places in *cells*; *above* are all cells down to the one in question, in which seeds may be set."""
    seeded = {_SEEDS[call.name] for call in calls(above, aliases) if call.name in _SEEDS and not call.bare}
    found: list[Chance] = []
    for call in calls(cells, aliases):
        if (one := _of_call(call, seeded)) is not None:
            found.append(one)
    for cell in cells:
        if _MEASURED.search(cell.source):
            found.append(Chance("wall_clock", cell.number, "%time", CLOCK_ADVICE))
        found += _sets(cell)
    return list({(one.kind, one.cell, one.what): one for one in found}.values())


CLOCK_ADVICE = 'Give the time as a parameter, or tag the cell "volatile": its output is then not compared.'
REGISTRY_ADVICE = 'Do not show the version that a run registers, or tag the cell "volatile".'
SET_ADVICE = "Sort before showing: sorted(…); the order of a set is another one in each kernel."


def _of_call(call: Call, seeded: set[str]) -> Chance | None:
    name, what = call.name, ast.unparse(call.node.func) + "(…)"
    last = name.rpartition(".")[2]
    if (advice := _unseeded(call, name, last, seeded)) is not None:
        return Chance("randomness", call.cell, what, advice)
    if call.has("registered_model_name") or last in ("register_model", "create_model_version"):
        return Chance("registry", call.cell, what, REGISTRY_ADVICE)
    if name in _CLOCK or (name in _CLOCK_BARE and call.bare) or (name == "time.strftime" and len(call.node.args) < 2):
        return Chance("wall_clock", call.cell, what, CLOCK_ADVICE)
    if name in _CLOCK_WORDS and any(
        isinstance(one, ast.Constant) and one.value in ("now", "today") for one in call.node.args
    ):
        return Chance("wall_clock", call.cell, what, CLOCK_ADVICE)
    if name in _LISTINGS and not set(call.inside) & {"sorted", "len"}:
        return Chance("file_order", call.cell, what, "Sort what a folder lists: sorted(…).")
    if last in _FINISHING:
        advice = "Gather results in the order of what was submitted, not in the order in which they end."
        return Chance("completion_order", call.cell, what, advice)
    addresses = [one.value for one in call.node.args[:1] if isinstance(one, ast.Constant)]
    if _NETWORK.search(name) or any(re.match(r"https?://|s3://|gs://", str(one)) for one in addresses):
        advice = "Keep what is fetched as a file of the project, and read that."
        return Chance("network", call.cell, what, advice)
    return None


def _unseeded(call: Call, name: str, last: str, seeded: set[str]) -> str | None:
    """What to do about a call that draws random numbers without a seed; None: it does not, or has one."""
    if name in _ALWAYS or name.startswith("secrets."):
        return f"{name} is random by intention: draw from a seeded generator instead."
    if name in ("random.Random", "numpy.random.default_rng", "numpy.random.RandomState") and call.bare:
        return f"Give it a seed: {name.rpartition('.')[2]}(0)."
    module = name.rpartition(".")[0]
    if module == "random" and last in _RANDOM and "random" not in seeded:
        return "Call random.seed(0) first, or draw from random.Random(0)."
    if module == "numpy.random" and last not in _MAKERS and "numpy" not in seeded:
        return "Draw from numpy.random.default_rng(0), or call numpy.random.seed(0) first."
    if module == "torch" and (last.startswith("rand") or last in ("normal", "bernoulli", "multinomial")):
        return None if "torch" in seeded else "Call torch.manual_seed(0) first."
    if (name.startswith("torch.nn.") or name.startswith("torch.utils.data.DataLoader")) and "torch" not in seeded:
        return "Call torch.manual_seed(0) first."
    if name.startswith(("tensorflow.random.", "keras.layers.", "tensorflow.keras.layers.")):
        return None if "tensorflow" in seeded else "Call keras.utils.set_random_seed(0) first."
    if name.startswith("hyperopt.") and last == "fmin" and not call.has("rstate"):
        return "Set rstate=numpy.random.default_rng(0) in fmin(…)."
    if "numpy" in seeded or call.has("random_state") or call.has("seed"):
        return None
    if last == "sample" and name.startswith(".") and (call.has("n") or call.has("frac") or call.node.args):
        return "Set random_state=0 in sample(…)."
    if name == ".rvs" or (name.startswith("scipy.stats.") and last == "rvs"):
        return "Set random_state=0 in rvs(…)."
    if name.startswith("sklearn.dummy.") and call.text("strategy") in ("stratified", "uniform"):
        return f"Set random_state=0 in {last}(…)."
    if _LEARNERS.match(name) or (_SHUFFLED.match(name) and call.has("shuffle")):
        return f"Set random_state=0 in {last}(…)."
    return None


def _sets(cell: CellCode) -> Iterator[Chance]:
    """Sets whose order can be seen: they are shown, iterated or made into a list."""
    if cell.tree is None:
        return
    for node in ast.walk(cell.tree):
        for child in ast.iter_child_nodes(node):
            if not _is_set(child):
                continue
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _STEADY:
                continue
            if isinstance(node, ast.Compare):
                continue
            yield Chance("set_order", cell.number, ast.unparse(child)[:60], SET_ADVICE)


def _is_set(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in ("set", "frozenset") and bool(node.args)
    return isinstance(node, ast.Set | ast.SetComp)
