"""Domains whose members are files: images of digits, texts of licences."""

from __future__ import annotations

import csv
import re
import struct
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deriva_ml_core.catalog import rows
from deriva_ml_core.connection.loading import load_folder
from deriva_ml_core.projects.domains.made import Made, loading, release, shipped
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_tables

if TYPE_CHECKING:
    from deriva_ml_core.connection.handle import DerivaML

_LICENCE = re.compile(r"(?i)(licen[cs]e|copying|notice)[^.]*(\.(txt|md|rst))?")


def digits(ml: DerivaML) -> Made:
    """Images of 8x8 pixels in the asset table Image, the digit of each as a column and as a feature."""
    data = shipped("load_digits")
    with tempfile.TemporaryDirectory(prefix="deriva-ml-demo-") as scratch:
        folder = Path(scratch, "digits")
        folder.mkdir()
        labels = []
        for number, (pixels, digit) in enumerate(zip(data.images, data.target, strict=True)):
            name = f"digit-{number:04d}.png"
            grey = [[round(shade * 255 / 16) for shade in row] for row in pixels.tolist()]
            (folder / name).write_bytes(_png(grey))
            labels.append((name, f"digit {digit}"))
        found = load_folder(
            ml,
            folder,
            _csv(Path(scratch, "labels.csv"), ("file", "Digit"), labels),
            schema="digits",
            features="Digit",
            dataset_types=["Complete", "Labeled"],
            description="Handwritten digits: 1,797 images of 8x8 pixels, labelled",
        )
    return release(ml, found.dataset_rid, stratify="Image.Digit")


def licences(ml: DerivaML) -> Made:
    """A text for each licence file of each installed package; the package's rows are what the texts belong to."""
    ml.create_domain_schema("licences", comment="What the installed packages allow")
    package = TableDef("Package", (ColumnDef("Name", nullok=False), ColumnDef("Version"), ColumnDef("Summary")))
    create_tables(ml.session, "licences", [package])
    ml.create_vocabulary("Licence", "Kinds of licences", schema="licences")
    ml.create_asset("Licence_Text", [ColumnDef("Kind")], referenced_tables=["Package"], schema="licences")
    ml.add_dataset_element_type("Licence_Text")
    record = ml.create_feature("Licence_Text", "Kind", terms=["Licence"], comment="As the package says of itself")
    texts = list(_licence_files())
    with loading(ml, "the licences of installed packages") as execution:
        packages = {name: one for name, one, _ in texts}
        stored = rows.insert(ml.session, "Package", [_package(name, one) for name, one in packages.items()])
        rid_of = {row["Name"]: row["RID"] for row in stored}
        kind_of = {name: _kind(one) for name, one in packages.items()}
        for name, _, path in texts:
            facts = {"Kind": kind_of[name], "Package": rid_of[name]}
            execution.asset_file_path("Licence_Text", path, rename_file=f"{name}-{path.name}", copy_file=True, **facts)
    execution.commit_output_assets()
    found = list(ml.get_table_as_dict("Licence_Text"))
    for kind in sorted({row["Kind"] for row in found}):
        ml.add_term("Licence", kind, f"{kind} licence")
    execution.add_features([record(Licence_Text=row["RID"], Licence=row["Kind"]) for row in found])
    dataset = execution.create_dataset(["Complete", "Labeled"], description="Licence texts of installed packages")
    dataset.add_dataset_members({"Licence_Text": [row["RID"] for row in found]})
    return release(ml, dataset.dataset_rid, stratify="Licence_Text.Kind")


# --- inside ---


def _png(grey: list[list[int]]) -> bytes:
    """A greyscale picture as PNG, so that no imaging library has to be installed (RFC 2083)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(grey[0]), len(grey), 8, 0, 0, 0, 0)
    lines = zlib.compress(b"".join(b"\0" + bytes(row) for row in grey), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", lines) + chunk(b"IEND", b"")


def _csv(path: Path, head: Iterable[str], lines: Iterable[Iterable[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *lines])
    return path


def _licence_files() -> Iterator[tuple[str, Distribution, Path]]:
    """Names and distributions with their licence files, each once, sorted."""
    seen: set[tuple[str, str]] = set()
    named = {found.name: found for found in distributions()}  # asking for a name reads all that a package says
    for name, one in sorted(named.items(), key=lambda pair: str(pair[0]).lower()):
        for file in one.files or ():
            known = (name, file.name)
            if known in seen or not _LICENCE.fullmatch(file.name) or ".dist-info" not in str(file):
                continue
            path = Path(str(one.locate_file(file)))
            if path.is_file() and path.stat().st_size:
                seen.add(known)
                yield name, one, path


def _package(name: str, one: Distribution) -> dict[str, Any]:
    return {"Name": name, "Version": one.version, "Summary": next(iter(_facts(one, "Summary")), None)}


def _facts(one: Distribution, field: str) -> list[str]:
    return [str(fact) for fact in one.metadata.get_all(field) or ()]


def _kind(one: Distribution) -> str:
    """The family of its licence, from what the package says of itself."""
    said = [fact for field in ("License-Expression", "Classifier", "License") for fact in _facts(one, field)]
    text = " ".join(fact for fact in said if not fact.startswith("Pro"))[:400].lower()
    kinds = {"apache": "Apache", "bsd": "BSD", "mit": "MIT", "mozilla": "MPL", "mpl": "MPL", "psf": "PSF", "gpl": "GPL"}
    return next((kind for word, kind in kinds.items() if re.search(rf"\b{word}", text)), "Other")
