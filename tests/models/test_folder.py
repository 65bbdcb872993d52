"""Model folders that somebody else left: shards, and configurations that cannot be."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from simlm.errors import UserError
from simlm.models.fetch import copy_model
from simlm.models.folder import CONFIG, INDEX, PICKLE, WEIGHTS, check_folder
from simlm.models.load import load_body
from simlm.models.save import save_model
from simlm.stages.models import local_digest
from tests.pretraining.toys import TOKENIZER, bert


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound folder."""
    folder = tmp_path_factory.mktemp("models") / "whole"
    save_model(bert(), TOKENIZER, folder, "an encoder", {})
    return folder


@pytest.fixture(params=[WEIGHTS, PICKLE])
def sharded(request: pytest.FixtureRequest, whole: Path, tmp_path: Path) -> Path:
    """The same in two shards with an index, of safetensors or pickles."""
    folder = shutil.copytree(whole, tmp_path / "sharded")
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    stem, suffix = os.path.splitext(request.param)
    names = {name: f"{stem}-{1 + place % 2:05}-of-00002{suffix}" for place, name in enumerate(weights)}
    for file in set(names.values()):
        shard = {name: weights[name] for name in weights if names[name] == file}
        save_file(shard, folder / file, {"format": "pt"}) if suffix == ".safetensors" else torch.save(
            shard, folder / file
        )
    (folder / f"{request.param}{INDEX}").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    return folder


def test_shards_become_one_file(whole: Path, sharded: Path, tmp_path: Path) -> None:
    check_folder(sharded)
    copy_model(str(sharded), "", tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {path.name for path in whole.iterdir()}
    found, expected = load_file(tmp_path / "copy" / WEIGHTS), load_file(whole / WEIGHTS)
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
    load_body(tmp_path / "copy", TOKENIZER)


def test_shards_that_lack_or_are_damaged(sharded: Path, tmp_path: Path) -> None:
    shard, index = next(sharded.glob("*-00002-of-00002.*")), next(sharded.glob(f"*{INDEX}"))
    shard.write_bytes(shard.read_bytes()[:20])
    refused(sharded, f"{shard}: .*damaged")
    shard.unlink()
    refused(sharded, f"{shard} is missing, and {index.name} names it")
    for content, said in (('{"weight_map": {"a": "../x"}}', "names files that are none beside it"), ("[]", "no index")):
        index.write_text(content)
        refused(sharded, f"{index}: {said}")


def refused(folder: Path, said: str) -> None:
    with pytest.raises(UserError, match=f"^{said}"):
        check_folder(folder)
    with pytest.raises(UserError, match=f"^{said}"):
        copy_model(str(folder), "", folder.parent / "target")
    assert not (folder.parent / "target").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1,000,000,000, and its weights have"),
        ({"vocab_size": 10**12}, "vocab_size is 1,000,000,000,000, and its weights have"),
        ({"num_hidden_layers": 1}, "by it there are too few layers for bert.encoder.layer.1"),
        ({"num_hidden_layers": -1}, "by it there are too few layers for bert.encoder.layer.0"),
        ({"intermediate_size": 3}, r"by it encoder\.layer\.0\.intermediate.dense.weight is of size \(3, "),
        ({"hidden_size": "x"}, "no configuration of a model"),
        ({"num_attention_heads": 7}, "no configuration of a model"),
        ({"model_type": "none"}, "no configuration of a model"),
    ],
)
def test_a_configuration_that_is_wrong_is_named_where_it_lies(
    change: dict[str, Any], said: str, whole: Path, tmp_path: Path
) -> None:
    """Before anything is built of it: a model of a million layers would take all memory."""
    folder = shutil.copytree(whole, tmp_path / "bad")
    (folder / CONFIG).write_text(json.dumps(json.loads((folder / CONFIG).read_text()) | change))
    with pytest.raises(UserError, match=f"^{folder / CONFIG}: {said}"):
        check_folder(folder)
    if "and its weights have" in said:  # as what the Hub gives
        with pytest.raises(UserError, match=said):
            copy_model(str(folder), "", tmp_path / "target")


def test_a_name_that_is_not_utf8_has_a_digest_too(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9")).touch()
    assert len(local_digest(str(tmp_path))) == 64


def test_a_pipe_is_no_configuration_and_no_vocabulary(whole: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(whole, tmp_path / "bad")
    (folder / CONFIG).unlink()
    os.mkfifo(folder / CONFIG)
    refused(folder, f"{folder}: not a model folder, its config.json is a FIFO")
    os.replace(shutil.copy(whole / CONFIG, tmp_path), folder / CONFIG)
    os.mkfifo(folder / "vocab.txt")
    refused(folder, f"{folder / 'vocab.txt'} is a FIFO where a file has to be")
