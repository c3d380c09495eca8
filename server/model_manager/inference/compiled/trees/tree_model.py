"""Decision trees as flat arrays → one ONNX TreeEnsemble in double precision, in the order scikit-learn adds them up.

The operator of ai.onnx.ml 5 keeps thresholds, leaves and sums in float64 (those before it answer in float32). Trees are
added in the order given, each leaf to one target, so sums carry the same rounding as scikit-learn's own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from model_manager.inference.compiled.form import NotCovered
from model_manager.signature import Array
from model_manager.version import pip_install

MAX_NODES: Final = 500_000
"""Above this many nodes an ensemble stays with scikit-learn: while it is built, the model takes 0.4 KB a node."""

_LESS_OR_EQUAL, _MEMBER = 0, 6
_SUM: Final = 1


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree: an array entry per node. `weight` counts at leaves only; `target` is the sum it is added to.

    A row goes left if its feature is <= threshold, or is in the node's `members` (for nodes that have any), or is NaN
    where `missing_left` says so.
    """

    left: Array
    right: Array
    feature: Array
    threshold: Array
    missing_left: Array
    is_leaf: Array
    weight: Array
    target: int
    members: dict[int, Array] | None = None


def constant_tree(weight: float, target: int) -> Tree:
    """A tree that is a single leaf, to add a constant first."""
    zero, leaf = np.zeros(1, dtype=np.int64), np.ones(1, dtype=np.bool_)
    return Tree(zero, zero, zero, np.zeros(1), zero, leaf, np.array([weight]), target)


def build_tree_model(trees: Sequence[Tree], *, targets: int, width: int, float32: bool) -> bytes:
    """Serialize trees as a model from X (rows, width) float64 to Y (rows, targets) float64, sums per target.

    `float32` rounds X to float32 first, as scikit-learn's own trees do. Raises NotCovered without the onnx package,
    for more than MAX_NODES nodes, or for categories that the operator cannot hold.
    """
    if sum(len(tree.left) for tree in trees) > MAX_NODES:
        raise NotCovered(f"its trees have more than {MAX_NODES} nodes")
    try:
        from onnx import TensorProto, helper
    except ImportError:
        raise NotCovered(f"onnx is not installed: {pip_install('compiled')}") from None
    nodes: list[Any] = []
    source = "X"
    if float32:
        nodes.append(helper.make_node("Cast", ["X"], ["X32"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Cast", ["X32"], ["X64"], to=TensorProto.DOUBLE))
        source = "X64"
    nodes.append(_ensemble_node(source, trees, targets))
    graph = helper.make_graph(
        nodes,
        "trees",
        [helper.make_tensor_value_info("X", TensorProto.DOUBLE, [None, width])],
        [helper.make_tensor_value_info("Y", TensorProto.DOUBLE, [None, targets])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 5)]
    model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
    return model


def _ensemble_node(source: str, trees: Sequence[Tree], targets: int) -> Any:
    from onnx import helper, numpy_helper

    arrays = _flatten(trees)
    node = helper.make_node("TreeEnsemble", [source], ["Y"], domain="ai.onnx.ml")
    node.attribute.extend(
        helper.make_attribute(name, value)
        for name, value in (("aggregate_function", _SUM), ("post_transform", 0), ("n_targets", targets))
    )
    for name, array in arrays.items():
        if name in ("nodes_splits", "nodes_modes", "leaf_weights", "membership_values"):
            node.attribute.append(helper.make_attribute(name, numpy_helper.from_array(array, name)))
        else:
            # Filled directly: make_attribute looks at every element on its own.
            attribute = node.attribute.add(name=name, type=helper.make_attribute(name, [0]).type)
            attribute.ints.extend(array.tolist())
    return node


def _flatten(trees: Iterable[Tree]) -> dict[str, Array]:
    """Lay all trees out as the operator wants them: inner nodes and leaves numbered apart, across all trees."""
    parts: dict[str, list[Array]] = {}
    inner_count = leaf_count = 0
    for tree in trees:
        inner, leaves = _parts(tree, inner_count, leaf_count)
        for name, values in {**inner, **leaves}.items():
            parts.setdefault(name, []).append(values)
        inner_count += len(inner["nodes_splits"])
        leaf_count += len(leaves["leaf_weights"])
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    if not len(arrays["membership_values"]):
        del arrays["membership_values"]
    return arrays


def _parts(tree: Tree, inner_base: int, leaf_base: int) -> tuple[dict[str, Array], dict[str, Array]]:
    is_leaf = tree.is_leaf.astype(np.bool_)
    at = np.flatnonzero(~is_leaf)
    leaf_at = np.flatnonzero(is_leaf)
    number = np.empty(len(is_leaf), dtype=np.int64)
    number[at] = inner_base + np.arange(len(at))
    number[leaf_at] = leaf_base + np.arange(len(leaf_at))
    leaves = {
        "leaf_targetids": np.full(len(leaf_at), tree.target, dtype=np.int64),
        "leaf_weights": tree.weight[leaf_at].astype(np.float64),
    }
    if not len(at):  # a root is an inner node there: one whose branches both end at the only leaf
        at, left, right = np.zeros(1, dtype=np.intp), leaf_at, leaf_at
    else:
        left, right = tree.left[at], tree.right[at]
    modes, members = _memberships(tree, at)
    inner = {
        "tree_roots": np.array([inner_base], dtype=np.int64),
        "nodes_splits": tree.threshold[at].astype(np.float64),
        "nodes_featureids": np.maximum(tree.feature[at], 0).astype(np.int64),
        "nodes_modes": modes,
        "nodes_truenodeids": number[left],
        "nodes_trueleafs": is_leaf[left].astype(np.int64),
        "nodes_falsenodeids": number[right],
        "nodes_falseleafs": is_leaf[right].astype(np.int64),
        "nodes_missing_value_tracks_true": tree.missing_left[at].astype(np.int64),
        "membership_values": members,
    }
    return inner, leaves


def _memberships(tree: Tree, at: Array) -> tuple[Array, Array]:
    """Modes of the inner nodes, and the values of those that test for membership, each run closed by a NaN."""
    modes = np.full(len(at), _LESS_OR_EQUAL, dtype=np.uint8)
    if not tree.members:
        return modes, np.empty(0)
    runs: list[Array] = []
    for position, node in enumerate(at.tolist()):
        if node in tree.members:
            modes[position] = _MEMBER
            runs.extend((tree.members[node].astype(np.float64), np.array([np.nan])))
    return modes, np.concatenate(runs) if runs else np.empty(0)
