"""Write entries of the log as OCSF events, for a SIEM: class API Activity (6003) of schema version 1.6.0.

What has no attribute there stays under `unmapped`, so that nothing of an entry is lost. The chain is not part of it: an
event is a copy, and what it says is proven with `pydp audit prove` and the number in `metadata.sequence`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydp_cli.audit.lines import Entry, digest_of

SCHEMA = "1.6.0"
_CLASS, _CATEGORY = 6003, 6
_INFORMATIONAL, _SUCCESS = 1, 1
_CREATE, _READ, _UPDATE, _DELETE, _OTHER = 1, 2, 3, 4, 99
_NAMES = {_CREATE: "Create", _READ: "Read", _UPDATE: "Update", _DELETE: "Delete"}
_ACTIVITIES = {
    "erase-user": _DELETE,
    "purge": _DELETE,
    "audit.dropped": _DELETE,
    "export-user": _READ,
    "consent": _CREATE,
    "hold.added": _CREATE,
    "hold.lifted": _UPDATE,
    "request.opened": _CREATE,
    "request": _UPDATE,
    "suppression": _CREATE,
    "rotate-keys": _UPDATE,
}


def ocsf_event(entry: Entry, version: str) -> dict[str, Any]:
    """Give an entry as an event; `version` is that of the program that writes it."""
    command = entry.event.partition(".")[0]
    activity = _ACTIVITIES.get(entry.event, _ACTIVITIES.get(command, _OTHER))
    return {
        "activity_id": activity,
        "activity_name": _NAMES.get(activity, entry.event),
        "actor": {"user": {"name": entry.user}, "app_name": "pydp"},
        "api": {"operation": entry.event, "service": {"name": "pydp"}},
        "category_uid": _CATEGORY,
        "class_uid": _CLASS,
        "metadata": {
            "version": SCHEMA,
            "product": {"name": "pydp", "vendor_name": "pydp", "version": version},
            "original_time": entry.time,
            "sequence": entry.seq,
            "uid": digest_of(entry.to_line()),
        },
        "severity_id": _INFORMATIONAL,
        "src_endpoint": {"hostname": entry.host},
        "status_id": _SUCCESS,
        "time": _milliseconds(entry.time),
        "type_uid": _CLASS * 100 + activity,
        "unmapped": {"details": dict(entry.details), "prev": entry.prev},
    }


def _milliseconds(time: str) -> int:
    return int(datetime.fromisoformat(time.replace("Z", "+00:00")).timestamp() * 1000)
