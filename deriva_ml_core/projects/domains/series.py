"""A domain of a time series: the weather of Seattle, day by day, divided in time."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from deriva_ml_core.catalog import rows
from deriva_ml_core.projects.domains.made import Made, library, loading, release
from deriva_ml_core.schema import patterns
from deriva_ml_core.schema.elements import ColumnDef, TableDef
from deriva_ml_core.schema.tables import create_tables

if TYPE_CHECKING:
    import pandas as pd

    from deriva_ml_core.connection.handle import DerivaML

_QUANTITIES = {"Precipitation": "mm", "Temp_Max": "°C", "Temp_Min": "°C", "Wind": "m/s"}


def weather(ml: DerivaML) -> Made:
    """Month <- Day, one row for each day of four years; what the weather was like is a feature of the day."""
    source = library("vega_datasets", "vega_datasets").local_data.seattle_weather
    days = list(csv.DictReader(source.raw().decode().splitlines()))
    ml.create_domain_schema("weather", comment="The weather of Seattle, 2012-2015, as NOAA recorded it")
    day = TableDef(
        "Day",
        (
            ColumnDef("Month", nullok=False),
            ColumnDef("Date", "date", nullok=False),
            *(ColumnDef(name, "float8", comment=unit) for name, unit in _QUANTITIES.items()),
            ColumnDef("Weather"),
        ),
        foreign_keys=(patterns.foreign_key("Day", "Month", "weather", "Month"),),
    )
    create_tables(ml.session, "weather", [TableDef("Month", (ColumnDef("Name", nullok=False),)), day])
    ml.create_vocabulary("Weather_Kind", "What a day was like", schema="weather")
    for kind in sorted({one["weather"] for one in days}):
        ml.add_term("Weather_Kind", kind, f"A day of {kind}")
    ml.add_dataset_element_type("Day")
    record = ml.create_feature("Day", "Weather", terms=["Weather_Kind"], comment="As the station recorded it")
    with loading(ml, "the weather of Seattle") as execution:
        names = sorted({_month(one) for one in days})
        months = {row["Name"]: row["RID"] for row in rows.insert(ml.session, "Month", [{"Name": n} for n in names])}
        stored = rows.insert(ml.session, "Day", [{"Month": months[_month(one)], **_day(one)} for one in days])
        execution.add_features([record(Day=row["RID"], Weather_Kind=row["Weather"]) for row in stored])
        dataset = execution.create_dataset(["Complete", "Labeled"], description="1,461 days of weather in Seattle")
        dataset.add_dataset_members({"Day": [row["RID"] for row in stored]})
    execution.commit_output_assets()
    return release(ml, dataset.dataset_rid, tables=["Day"], selection_fn=last_days_for_testing)


def last_days_for_testing(
    df: pd.DataFrame,
    train_size: int,
    test_size: int,
    seed: int,  # noqa: ARG001  # what was before and what came later is not a matter of chance
) -> tuple[list[int], list[int]]:
    """The earliest days for training, the latest for testing: who forecasts must not have seen what comes."""
    order = df["Day.Date"].argsort().tolist()
    return order[:train_size], order[len(order) - test_size :]


# --- inside ---


def _month(day: dict[str, str]) -> str:
    return day["date"][:7].replace("/", "-")


def _day(day: dict[str, str]) -> dict[str, object]:
    values = {name: float(day[name.lower()]) for name in _QUANTITIES}
    return {"Date": day["date"].replace("/", "-"), **values, "Weather": day["weather"]}
