"""
What a plugin must do to be trusted, as tests that its author inherits.

    class TestAcme(AssetHandlerSuite):
        handler = acme_plugin          # a module, or an object with the hooks

Needs the fixtures of this package: `pytest_plugins = ["deriva_ml.testing"]` in conftest.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from deriva_ml_core.assets.handlers import fetch_asset, store_output
from deriva_ml_core.assets.preparing import PREPARE
from deriva_ml_core.errors import DerivaMLException
from deriva_ml_core.hookvalues import AssetRef, OutputFile, Prepared, StoredObject, Transfer

if TYPE_CHECKING:
    from deriva_ml_core.connection import DerivaML
    from deriva_ml_core.executions.execution import Execution

NAME = "handler-under-test"
_SIZES = (0, 1, 2**20 + 1)


class _Suite:
    handler: ClassVar[Any] = None
    """The plugin: a module, or an object with the hooks."""

    @pytest.fixture
    def ml(self, deriva_catalog: DerivaML) -> DerivaML:
        """A catalog that knows the plugin."""
        assert self.handler is not None, "say which plugin is tested: handler = …"
        deriva_catalog.plugins.add(self.handler, NAME)
        return deriva_catalog


class AssetHandlerSuite(_Suite):
    """For a plugin that stores outputs and fetches them again."""

    output_table: ClassVar[str] = "Execution_Asset"
    """An asset table whose outputs it stores."""

    def stored(self, ml: DerivaML, folder: Path, content: bytes, name: str = "file.bin", **more: Any) -> StoredObject:
        """Store some bytes."""
        path = folder / hashlib.sha256(name.encode()).hexdigest()[:8]
        path.write_bytes(content)
        output = OutputFile(
            path=path,
            schema="deriva-ml",
            table=self.output_table,
            file_name=name,
            size_bytes=len(content),
            execution_rid="1-TEST",
            md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )
        progress = more.get("progress", lambda _: None)
        return store_output(ml.session, output, Transfer(progress, folder / f"{path.name}.resume", 5 * 2**20))

    @staticmethod
    def fetched(ml: DerivaML, stored: StoredObject, target: Path, **more: Any) -> bytes:
        """Fetch them again."""
        wanted = AssetRef(stored.url, "file.bin", stored.md5, stored.size_bytes)
        return fetch_asset(ml.session, wanted, target, **more).read_bytes()

    @pytest.mark.parametrize("size", _SIZES)
    def test_what_is_stored_comes_back(self, ml: DerivaML, tmp_path: Path, size: int) -> None:
        """Each byte, whatever the size."""
        content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

        stored = self.stored(ml, tmp_path, content)

        assert self.fetched(ml, stored, tmp_path / "back") == content

    def test_the_same_stored_again_has_the_same_url(self, ml: DerivaML, tmp_path: Path) -> None:
        """A command that goes on after a crash must not make a second asset."""
        assert self.stored(ml, tmp_path, b"same").url == self.stored(ml, tmp_path, b"same").url

    def test_other_content_under_the_same_name_has_another_url(self, ml: DerivaML, tmp_path: Path) -> None:
        """Two runs that both write model.pt must not share an object."""
        first, second = self.stored(ml, tmp_path, b"one"), self.stored(ml, tmp_path, b"two")

        assert first.url != second.url
        assert self.fetched(ml, first, tmp_path / "back") == b"one"

    @pytest.mark.parametrize("name", ["a b.txt", "ü&%?#.txt", "x" * 120 + ".txt", "v1:2.txt"])
    def test_any_name_will_do(self, ml: DerivaML, tmp_path: Path, name: str) -> None:
        """Users name files as they like."""
        stored = self.stored(ml, tmp_path, b"content", name)

        assert self.fetched(ml, stored, tmp_path / "back") == b"content"

    def test_urls_of_others_are_left_alone(self, ml: DerivaML, tmp_path: Path) -> None:
        """Another plugin may know them: the answer is None, not an error."""
        asset = AssetRef("no-such-scheme-anywhere://x/y", "y")
        target = tmp_path / "back"
        arguments: dict[str, Any] = {
            "asset": asset,
            "target": target,
            "progress": lambda _: None,
            "catalog": ml.session,
        }

        assert ml.plugins.first("deriva_fetch_asset", **arguments) is None
        assert not target.exists()

    def test_an_object_that_is_gone_is_an_error_and_leaves_no_file(self, ml: DerivaML, tmp_path: Path) -> None:
        """Half a file must never be taken for one."""
        stored = self.stored(ml, tmp_path, b"content")
        gone = StoredObject(stored.url.replace("file.bin", "gone.bin"), stored.size_bytes, stored.md5)
        assert gone.url != stored.url, "the URL must hold the file's name"

        with pytest.raises(DerivaMLException):
            self.fetched(ml, gone, tmp_path / "back")
        assert not (tmp_path / "back").exists()

    def test_progress_is_told(self, ml: DerivaML, tmp_path: Path) -> None:
        """As many bytes as there are, on the way in and out."""
        content = b"y" * (2**20 + 3)
        sent: list[int] = []
        came: list[int] = []

        stored = self.stored(ml, tmp_path, content, progress=sent.append)
        self.fetched(ml, stored, tmp_path / "back", progress=came.append)

        assert (sum(sent), sum(came)) == (len(content), len(content))

    def test_files_travel_at_the_same_time(self, ml: DerivaML, tmp_path: Path) -> None:
        """Hooks are called in several threads."""

        def travel(number: int) -> bool:
            content = bytes([number]) * 10_000
            stored = self.stored(ml, tmp_path, content, f"{number}.bin")
            return self.fetched(ml, stored, tmp_path / f"back-{number}") == content

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(travel, range(24)))

    def test_a_run_records_what_it_stored_and_another_uses_it(self, ml: DerivaML, deriva_execution: Execution) -> None:
        """From one execution's output to the next one's input, through the catalog."""
        deriva_execution.asset_file_path(self.output_table, "out.txt").write_text("result")
        report = deriva_execution.commit_output_assets()
        (path,) = next(paths for table, paths in report.assets.items() if table.endswith(f"/{self.output_table}"))
        assert path.asset_rid is not None

        other = ml.create_execution(workflow=deriva_execution.configuration.workflow, assets=[path.asset_rid])

        assert other.asset_paths[self.output_table][0].read_text() == "result"
        other.abort()


class OutputPreparerSuite(_Suite):
    """For a plugin that looks at outputs before they are stored. Give `sample` and what comes of it."""

    table: ClassVar[str] = "Execution_Asset"
    expected_columns: ClassVar[Mapping[str, Any]] = {}
    """What it says of the sample."""

    def sample(self, folder: Path) -> Path:
        """
        Write a file that it knows.

        Raises:
            NotImplementedError: the suite does not know which.
        """
        raise NotImplementedError

    def prepared(self, ml: DerivaML, path: Path, folder: Path) -> Prepared | None:
        """What the plugin says of a file."""
        output = OutputFile(path, "demo", self.table, path.name, path.stat().st_size, "1-TEST")
        folder.mkdir()
        name = ml.plugins.add(self.handler, NAME)
        answer: Prepared | None = ml.plugins.one(PREPARE, name, output=output, folder=folder, catalog=ml.session)
        return answer

    def test_the_sample_is_known(self, ml: DerivaML, tmp_path: Path) -> None:
        """It says what it should."""
        answer = self.prepared(ml, self.sample(tmp_path), tmp_path / "own")

        assert answer is not None
        assert {name: answer.columns.get(name) for name in self.expected_columns} == dict(self.expected_columns)

    def test_the_file_itself_stays_as_it_is(self, ml: DerivaML, tmp_path: Path) -> None:
        """What the model wrote is what is stored."""
        path = self.sample(tmp_path)
        before = (path.read_bytes(), path.stat().st_mtime_ns)

        self.prepared(ml, path, tmp_path / "own")

        assert (path.read_bytes(), path.stat().st_mtime_ns) == before

    def test_further_outputs_lie_in_the_given_folder(self, ml: DerivaML, tmp_path: Path) -> None:
        """They are removed with it when all is uploaded."""
        answer = self.prepared(ml, self.sample(tmp_path), tmp_path / "own")

        assert answer is not None
        for further in answer.further:
            assert further.path.is_file()
            assert further.path.is_relative_to(tmp_path / "own")

    @pytest.mark.parametrize("content", [b"", b"\x00\xff no such format"])
    def test_a_damaged_file_is_refused_or_left_alone(self, ml: DerivaML, tmp_path: Path, content: bytes) -> None:
        """With a reason for a person; an exception would only say that the plugin failed."""
        path = self.sample(tmp_path)
        path.write_bytes(content)

        answer = self.prepared(ml, path, tmp_path / "own")

        assert answer is None or answer.refusal or not answer.columns


class ObserverSuite(_Suite):
    """For a plugin that observes executions."""

    def test_a_run_is_not_changed(self, ml: DerivaML, deriva_execution: Execution, caplog: Any) -> None:
        """It ends Uploaded, and nothing was reported of the plugin."""
        deriva_execution.asset_file_path("Execution_Asset", "out.txt").write_text("result")
        deriva_execution.commit_output_assets()

        assert deriva_execution.status.value == "Uploaded"
        assert f"plugin {ml.plugins.add(self.handler, NAME)}" not in caplog.text
        assert ml.plugins.broken == []
