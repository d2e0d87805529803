"""What was measured, as text for the terminal and as the last section of the README: ratios first."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
BUSY = 0.5
"""The load average, before anything is measured, from which a machine counts as busy with something else."""
PACKAGES = ("pydp-cli", "pyarrow", "numpy", "cryptography", "pandas", "duckdb", "polars")


def machine() -> dict[str, object]:
    """Describe the machine: cores, memory, processor, versions."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(pages * page / 2**30),
        "processor": _processor(),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def as_text(results: dict[str, Any]) -> str:
    """Lay the results out in Markdown: ratios and their limits, times, the machine."""
    lines = []
    if results["figures"]:
        lines += ["| figure | measured | limit | met |", "|---|---:|---:|---|"]
        lines += [_figure(figure) for figure in results["figures"]]
        lines.append("")
    lines += [
        f"Whole processes, {results['rows']:,} rows, best of {results['rounds']} rounds:",
        "",
        "| who | seconds | processor s | rows/s | peak MiB |",
        "|---|---:|---:|---:|---:|",
    ]
    for contest, field in results["speed"].items():
        for name, run in field.items():
            lines.append(_row(f"{contest}: {name}", run, f"{results['rows'] / run['best_s']:,.0f}"))
    for part in ("start", "memory"):
        for name, run in results.get(part, {}).items():
            lines.append(_row(name, run))
    described = results["machine"]
    packages = ", ".join(f"{name} {described[name]}" for name in ("python", *PACKAGES) if described[name])
    size = f"{described['cores']} cores, {described['memory_gib']} GiB"
    lines += ["", f"Machine: {size}, {described['processor']}, {described['system']}; {packages}."]
    if described["load"] > BUSY:
        lines += ["", f"It was busy with other work (load {described['load']}): wall times are not its best."]
    return "\n".join(lines)


def _row(who: str, run: dict[str, Any], rate: str = "") -> str:
    return f"| {who} | {run['best_s']:.2f} | {run['cpu_s']:.2f} | {rate} | {run['peak_mib']:,.0f} |"


def _figure(figure: dict[str, Any]) -> str:
    unit = figure["unit"] if figure["unit"] == "×" else f" {figure['unit']}"
    row = f"| {figure['what']} | {figure['value']:.3g}{unit} |"
    if "met" not in figure:
        return f"{row} | |"
    sign, limit = ("≤", figure["at_most"]) if "at_most" in figure else ("≥", figure["at_least"])
    return f"{row} {sign} {limit:.2g}{unit} | {'yes' if figure['met'] else '**no**'} |"


def write_readme(path: Path, results: dict[str, Any]) -> None:
    """Put the results into their section of the README."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    path.write_text(f"{before}{BEGIN}\n{as_text(results)}\n{END}{after}", encoding="utf-8")
