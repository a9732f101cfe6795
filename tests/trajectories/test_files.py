"""Tests of trajectories of pytrees: access, labelled copies, and files, which are complete or not written."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import implicitbias as ib
from implicitbias._core.trees import tree_shape
from implicitbias.trajectories import DenseOutput, Stats

TIMES = np.array([0.0, 0.5, 2.0])


class Growing(DenseOutput):
    """Dense output that is the start times 1 + t, without an integration."""

    def __init__(self, start: np.ndarray, dual: bool) -> None:
        self.start, self.has_dual = start, dual

    def state(self, times: np.ndarray) -> np.ndarray:
        return np.outer(1.0 + times, self.start)

    def dual(self, times: np.ndarray) -> np.ndarray | None:
        return np.outer(times, [1.0, -1.0]) if self.has_dual else None


def trajectory(tree: Any, dual: bool = False) -> ib.Trajectory:
    shape, flat = tree_shape(tree)
    return ib.Trajectory(
        times=TIMES,
        start=shape.numpy_tree(flat),
        final=shape.numpy_tree(3.0 * flat),
        status=ib.Status.MAX_STEPS,
        stats=Stats(7, 4, 3, 35, 7, 0.1),
        observables={"loss": TIMES * 2, "word": np.array(["a", "b", "c"]), "matrix": np.ones((3, 2, 2))},
        dense=Growing(flat, dual),
        shape=shape,
        notes=("first.", "second: ü."),
    )


def module() -> Any:
    return eqx.nn.MLP(2, 1, 3, 1, activation=jnp.tanh, key=jax.random.key(0))


TREES: dict[str, Any] = {
    "array": np.arange(1.0, 4.0),
    "matrix": np.arange(6.0).reshape(2, 3),
    "tuple": (np.arange(2.0), np.ones((2, 2))),
    "dict": {"b": np.arange(2.0), "a": [np.ones(1), (np.full((1, 2), 3.0),)]},
    "number in it": {"w": np.ones(2), "scale": np.asarray(2.5)},
}


# Oracle: what was put in.
@pytest.mark.parametrize("dual", [False, True])
@pytest.mark.parametrize("name", TREES)
def test_a_round_trip(name: str, dual: bool, tmp_path: Path) -> None:
    before, path = trajectory(TREES[name], dual), tmp_path / "run.npz"
    before.save(path)
    after = ib.Trajectory.load(path)
    same(after, before)
    assert jax.tree.structure(after.final) == jax.tree.structure(TREES[name])
    assert (after.status, after.stats, after.notes) == (before.status, before.stats, before.notes)
    assert repr(after) == repr(before)
    for key, values in before.observables.items():
        np.testing.assert_array_equal(after.observables[key], values)
    if dual:
        np.testing.assert_array_equal(after.dual(0.5), before.dual(0.5))
    with pytest.raises(ib.InputError, match="only at the kept times"):
        after.state(0.25)
    after.save(path)  # This replaces the file from which it was loaded.
    same(ib.Trajectory.load(str(path)), before)
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


def same(one: ib.Trajectory, other: ib.Trajectory) -> None:
    np.testing.assert_array_equal(one.times, other.times)
    for a, b in ((one.start, other.start), (one.final, other.final), (one.states, other.states)):
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
            np.testing.assert_array_equal(x, y)
            assert not x.flags.writeable


def test_a_module_needs_its_like(tmp_path: Path) -> None:
    before = trajectory(module())
    before.save(tmp_path / "net.npz")
    plain = ib.Trajectory.load(tmp_path / "net.npz")
    assert set(plain.final) == {f".layers[{i}].{leaf}" for i in (0, 1) for leaf in ("weight", "bias")}
    np.testing.assert_array_equal(plain.final[".layers[1].weight"], before.final.layers[1].weight)
    after = ib.Trajectory.load(tmp_path / "net.npz", like=module())
    same_leaf = after.state(0.5).layers[0].weight
    np.testing.assert_array_equal(same_leaf, before.state(0.5).layers[0].weight)
    x = np.ones(2)
    assert float(after.final(x)[0]) == float(before.final(x)[0])


@pytest.mark.parametrize(
    "like",
    [
        np.ones(4),
        (np.ones(2), np.ones((2, 3))),
        {"b": np.ones(2)},
        eqx.nn.Linear(2, 2, key=jax.random.key(1)),
    ],
)
def test_another_like_is_refused(like: Any, tmp_path: Path) -> None:
    trajectory(TREES["tuple"]).save(tmp_path / "run.npz")
    with pytest.raises(ib.InputError, match=r"like has the leaves .* but the file holds"):
        ib.Trajectory.load(tmp_path / "run.npz", like=like)


def test_files_that_are_none(tmp_path: Path) -> None:
    whole = tmp_path / "run.npz"
    trajectory(TREES["tuple"]).save(whole)
    content = whole.read_bytes()
    bad = {"empty": b"", "text": b"hello", "short": content[: len(content) // 2], "head": content[:10]}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ib.InputError, match="not a saved trajectory"):
            ib.Trajectory.load(tmp_path / name)
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ib.InputError, match="not a saved trajectory"):
        ib.Trajectory.load(tmp_path / "other.npz")
    np.save(tmp_path / "plain.npy", np.ones(3))
    with pytest.raises(ib.InputError, match="not a saved trajectory"):
        ib.Trajectory.load(tmp_path / "plain.npy")
    for name in ("missing.npz", "."):
        with pytest.raises(ib.InputError, match="no file"):
            ib.Trajectory.load(tmp_path / name)
    with np.load(whole) as archive:
        arrays = dict(archive)
    header = json.loads(str(arrays["header"]))
    for change in ({"version": 99}, {"kind": "other.Thing"}):
        np.savez(tmp_path / "changed.npz", **{**arrays, "header": np.array(json.dumps(header | change))})
        with pytest.raises(ib.InputError, match="is expected"):
            ib.Trajectory.load(tmp_path / "changed.npz")


@pytest.mark.parametrize("missing", ["times", "states", "final"])
def test_a_file_that_lacks_an_array(missing: str, tmp_path: Path) -> None:
    trajectory(TREES["tuple"]).save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz") as archive:
        arrays = {name: archive[name] for name in archive.files if name != missing}
    np.savez(tmp_path / "part.npz", **arrays)
    with pytest.raises(ib.InputError, match="not a saved trajectory"):
        ib.Trajectory.load(tmp_path / "part.npz")


def test_one_flipped_byte_is_seen(tmp_path: Path) -> None:
    trajectory(TREES["tuple"]).save(tmp_path / "run.npz")
    content = bytearray((tmp_path / "run.npz").read_bytes())
    content[content.index(b"states.npy") + 60] ^= 0xFF
    (tmp_path / "run.npz").write_bytes(bytes(content))
    with pytest.raises(ib.InputError, match="not a saved trajectory"):
        ib.Trajectory.load(tmp_path / "run.npz")


def test_an_interrupted_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, path = trajectory(TREES["tuple"]), tmp_path / "run.npz"
    before.save(path)

    def broken(stream: Any, **arrays: Any) -> None:
        stream.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", broken)
    with pytest.raises(KeyboardInterrupt):
        trajectory(TREES["dict"]).save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]
    same(ib.Trajectory.load(path), before)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises((ib.InputError, FileNotFoundError), match="nowhere"):
        trajectory(TREES["tuple"]).save(tmp_path / "nowhere" / "run.npz")


def test_observables_of_changing_shape_are_refused(tmp_path: Path) -> None:
    odd = np.empty(3, dtype=object)
    odd[:] = [np.ones(1), np.ones(2), None]
    with pytest.raises(ib.InputError, match="'odd'"):
        dataclasses.replace(trajectory(TREES["tuple"]), observables={"odd": odd}).save(tmp_path / "run.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_labelled_copy_of_a_pytree() -> None:
    data = trajectory(TREES["dict"]).to_dataset()
    assert {"state['b']", "state['a'][0]", "state['a'][1][0]"} <= set(data)
    assert data["state['a'][1][0]"].shape == (3, 1, 2)
    np.testing.assert_array_equal(data["state['b']"].values[1], [0.0, 1.5])
    assert data.attrs["notes"] == "first. second: ü."
    number = trajectory(TREES["number in it"]).to_dataset()
    assert number["state['scale']"].dims == ("time",)
    matrix = trajectory(TREES["matrix"]).to_dataset()
    assert matrix["state"].shape == (3, 2, 3)
    assert set(trajectory(module()).to_dataset()) >= {"state.layers[0].weight"}


# Oracle: the arrays. A mask is not a parameter and must not be loaded as one.
def test_masks_are_not_parameters(tmp_path: Path) -> None:
    problem = ib.Problem(lambda p, X: X @ p[0], np.eye(2), np.array([1.0, 2.0]))
    trajectory = ib.simulate(ib.GradientFlow(problem), (np.zeros(2), np.array([False, True])), t1=1.0)
    trajectory.save(tmp_path / "a.npz")
    final = ib.Trajectory.load(tmp_path / "a.npz").final
    assert list(final) == ["[0]"]
    np.testing.assert_array_equal(final["[0]"], trajectory.final[0])
