"""Tests of pytrees as flat vectors: both conversions, the names of leaves, and rejected leaves."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import implicitbias as ib
from implicitbias._core.precision import double_precision
from implicitbias._core.trees import tree_shape

LEAVES = arrays.arrays(
    np.float64, arrays.array_shapes(min_dims=0, max_dims=3, max_side=3), elements=st.floats(-1e9, 1e9)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(st.text("ab", min_size=1, max_size=2), inner, min_size=1, max_size=3)
        | st.tuples(inner, st.none())
    ),
    max_leaves=5,
)


# Oracle: `jax.tree` itself.
@settings(max_examples=30)
@given(TREES)
def test_there_and_back(tree: Any) -> None:
    shape, flat = tree_shape(tree)
    leaves = jax.tree.leaves(tree)
    assert flat.tolist() == [entry for leaf in leaves for entry in np.ravel(leaf).tolist()]
    assert shape.size == flat.size == sum(shape.sizes)
    back = shape.numpy_tree(flat)
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for got, leaf in zip(jax.tree.leaves(back), leaves, strict=True):
        assert type(got) is np.ndarray
        assert not got.flags.writeable
        np.testing.assert_array_equal(got, leaf)
    with double_precision():
        again = np.asarray(shape.flatten(shape.unflatten(jnp.asarray(flat))))
    assert again.tolist() == flat.tolist()
    with double_precision():
        assert np.asarray(shape.flatten(tree)).tolist() == flat.tolist()


def test_leading_axes_lead_every_leaf() -> None:
    shape, flat = tree_shape({"a": np.ones((2, 3)), "b": np.zeros(4)})
    rows = shape.numpy_tree(np.stack([flat, 2 * flat, 3 * flat]))
    assert rows["a"].shape == (3, 2, 3)
    assert rows["b"].shape == (3, 4)
    np.testing.assert_array_equal(rows["a"][2], np.full((2, 3), 3.0))


def test_an_entry_knows_its_leaf() -> None:
    shape, _ = tree_shape({"a": np.ones((2, 2)), "b": [np.zeros(0), np.ones(3)], "c": np.float64(1.0)})
    assert shape.names == ("['a']", "['b'][0]", "['b'][1]", "['c']")
    assert [shape.leaf_of(i) for i in range(8)] == ["['a']"] * 4 + ["['b'][1]"] * 3 + ["['c']"]


def test_a_bare_array_has_one_name_whatever_it_is_called() -> None:
    first, second = tree_shape(np.ones(3), "params")[0], tree_shape(np.ones(3), "start")[0]
    assert first.names == ("params",)
    assert jax.tree.structure(first) == jax.tree.structure(second)  # so that they share a compilation


class Net(eqx.Module):
    """A module with a field of each accepted kind."""

    weight: Any
    mask: Any
    activation: Any
    rate: float
    key: Any
    inner: Any


def test_what_is_not_trained_is_kept() -> None:
    net = Net(
        np.ones(2, np.float32), np.array([True, False]), jnp.tanh, 0.5, jax.random.key(0), {"w": np.zeros(1)}
    )
    shape, flat = tree_shape(net)
    back = shape.numpy_tree(2 * flat)
    assert shape.names == (".weight", ".inner['w']")
    assert back.weight.dtype == np.float64
    assert back.weight.tolist() == [2.0, 2.0]
    assert back.mask is net.mask
    assert back.activation is net.activation
    assert back.rate == 0.5
    assert back.key is net.key


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.longdouble, jnp.bfloat16])
def test_any_floating_type_becomes_float64(kind: Any) -> None:
    assert tree_shape((np.ones(3, dtype=kind), jnp.ones(2)))[1].dtype == np.float64


class Torchlike:
    """An array of another library."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.ones(2)


@pytest.mark.parametrize(
    ("tree", "words"),
    [
        ((np.ones(2), Torchlike()), r"start\[1\] is a .* Torchlike, arrays of NumPy or JAX.*numpy\.asarray"),
        ([np.array([object()])], r"start\[0\] is an array of object"),
        ([np.array(["2020"], dtype="M8[Y]")], r"start\[0\] is an array of datetime64"),
        ([np.ones(2), {1}], r"start\[1\] is a set, which cannot be hashed"),
        ([np.longdouble("1e400") * np.ones(1, np.longdouble)], r"start\[0\] holds 1 NaN or infinite"),
        (
            [np.array([[0.0, np.inf]])],
            r"start\[0\] holds 1 NaN or infinite value\(s\), the first at \[0, 1\]",
        ),
        ({"n": 3, "w": np.ones(1)}, r"start\['n'\] is the Python number 3"),
        ({"flag": True}, r"start is a dict without a floating-point array"),
    ],
)
def test_what_is_no_tree_of_parameters_is_refused(tree: Any, words: str) -> None:
    with pytest.raises(ib.InputError, match=words):
        tree_shape(tree, "start")
