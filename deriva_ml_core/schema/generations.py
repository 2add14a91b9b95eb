"""
The two generations of the deriva-ml schema that live catalogs have, and the words that each of them takes.

Everything above asks this module instead of looking for columns itself. Statuses are named here by the words of the
newer generation (COMPAT §10); an older catalog is told the nearest of its own words, and read back into ours.

Source: reference/deriva-ml-schema.json and COMPAT §17.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

ML_SCHEMA = "deriva-ml"

STATUSES = ("Created", "Running", "Stopped", "Failed", "Pending_Upload", "Uploaded", "Aborted")


@dataclass(frozen=True, slots=True)
class Generation:
    """
    What one generation of the schema has and says.

    Args:
        name: "1.54" or "1.24".
        durations: the column of Execution for each of "execution", "download", "upload", where there is one.
        statuses: our status word to the word that this catalog stores, where they differ.
        readings: a stored word to our status word, where they differ.
        substitutes: by vocabulary, the nearest term that it has for one that only the newer generation starts with.
        links_dataset_version: Dataset_Execution has a Dataset_Version column.
        has_directories: the table Directory_Dataset exists.
        has_status_vocabulary: Execution.Status is a foreign key to the vocabulary Execution_Status.
    """

    name: str
    durations: Mapping[str, str]
    statuses: Mapping[str, str]
    readings: Mapping[str, str]
    substitutes: Mapping[str, Mapping[str, str]]
    links_dataset_version: bool
    has_directories: bool
    has_status_vocabulary: bool

    def status_word(self, status: str) -> str:
        """The word to store for one of our statuses."""
        return self.statuses.get(status, status)

    def read_status(self, word: str | None) -> str:
        """Our status for a stored word; a row without one was only created."""
        return self.readings.get(word, word) if word else "Created"

    def substitute(self, vocabulary: str, term: str) -> str | None:
        """The term to use where this one is missing from a vocabulary of ours; None if there is nothing like it."""
        return self.substitutes.get(vocabulary, {}).get(term)

    def duration_column(self, phase: str) -> str | None:
        """Column of Execution that holds the duration of "execution", "download" or "upload"; None if there is none."""
        return self.durations.get(phase)


GENERATION_1_54 = Generation(
    name="1.54",
    durations=MappingProxyType(
        {"execution": "Execution_Duration", "download": "Download_Duration", "upload": "Upload_Duration"}
    ),
    statuses=MappingProxyType({}),
    readings=MappingProxyType({}),
    substitutes=MappingProxyType({}),
    links_dataset_version=True,
    has_directories=True,
    has_status_vocabulary=True,
)

GENERATION_1_24 = Generation(
    name="1.24",
    durations=MappingProxyType({"execution": "Duration"}),
    statuses=MappingProxyType({"Stopped": "Pending", "Pending_Upload": "Pending", "Uploaded": "Completed"}),
    # Initializing was used by releases of that generation while inputs arrived.
    readings=MappingProxyType({"Initializing": "Created", "Pending": "Pending_Upload", "Completed": "Uploaded"}),
    substitutes=MappingProxyType(
        {"Asset_Type": {"Metrics_File": "Execution_Metadata"}, "Dataset_Type": {"Directory": "File"}}
    ),
    links_dataset_version=False,
    has_directories=False,
    has_status_vocabulary=False,
)

GENERATIONS: Mapping[str, Generation] = MappingProxyType({g.name: g for g in (GENERATION_1_54, GENERATION_1_24)})


def detect_generation(columns: Mapping[str, Collection[str]]) -> Generation | None:
    """
    The generation of a catalog, or None where the tables are not those of deriva-ml.

    Args:
        columns: the columns of each table of the deriva-ml schema.
    """
    execution = columns.get("Execution", ())
    if "Execution_Duration" in execution:
        return GENERATION_1_54
    return GENERATION_1_24 if "Duration" in execution else None
