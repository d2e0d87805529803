"""Entries as OCSF events."""

import pytest

from pydp_cli.audit.lines import NO_LINE, Entry
from pydp_cli.audit.ocsf import ocsf_event

REQUIRED = {  # of class API Activity and of every event, as the schema says (ocsf/ocsf-schema, Apache-2.0)
    *("activity_id", "actor", "api", "category_uid", "class_uid", "metadata", "severity_id", "src_endpoint"),
    *("time", "type_uid"),
}


def entry(event="export-user.done", time="2026-11-23T12:00:00.250Z"):
    return Entry(7, time, event, {"rows": 3}, NO_LINE, "ann", "host")


def test_an_event_has_what_the_schema_requires():
    event = ocsf_event(entry(), "1.0")
    assert event.keys() >= REQUIRED
    assert (event["class_uid"], event["category_uid"], event["time"]) == (6003, 6, 1_795_435_200_250)
    assert event["api"]["operation"] == "export-user.done"
    assert event["metadata"]["sequence"] == 7


@pytest.mark.parametrize(
    ("name", "activity"),
    [("erase-user.done", 4), ("purge.done", 4), ("export-user.done", 2), ("hold.added", 1), ("hold.lifted", 3)],
)
def test_activities_are_those_of_the_schema(name, activity):
    event = ocsf_event(entry(name), "1.0")
    assert (event["activity_id"], event["type_uid"]) == (activity, 600_300 + activity)


def test_what_the_schema_does_not_know_is_named():
    event = ocsf_event(entry("audit.repaired"), "1.0")
    assert (event["activity_id"], event["activity_name"]) == (99, "audit.repaired")
