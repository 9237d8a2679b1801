"""Generated C under the strictest warnings: GCC and Clang, every core, C99 and C++; and the same bytes twice."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from common import SHARED, publish, table

from intaglio import build, pipeline, targets

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
AS_CPP = ["-x", "c++", "-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]


def main() -> None:
    import wake

    models = sorted((SHARED / "models").glob("*_int8.tflite")) if SHARED.exists() else []
    models += [word.path for word in wake.wake_word.wake_words()]
    results = {path.stem: check(path) for path in models}
    header = ["", *results]
    combinations = list(next(iter(results.values()))["clean"])
    rows = [[c, *("clean" if r["clean"][c] else "FAILS" for r in results.values())] for c in combinations]
    rows.append(["two runs, same bytes", *("yes" if r["repeatable"] else "NO" for r in results.values())])
    rows.append(["sha256 of the files", *(r["sha256"][:12] for r in results.values())])
    text = (
        f"# Generated C under strict warnings\n\nMade by `make bench`, with `{' '.join(STRICT)}` and, as C++,\n"
        f"`{' '.join(AS_CPP)}`.\n\n"
    )
    publish("strict", text + table(header, rows), results)
    if any(not all(r["clean"].values()) or not r["repeatable"] for r in results.values()):
        raise SystemExit("strict: some combination fails")


def check(path: Path) -> dict[str, Any]:
    """One model, every compiler and core."""
    files = pipeline.compile_graph(pipeline.load(path), "host")
    again = pipeline.compile_graph(pipeline.load(path), "host")
    digest = hashlib.sha256(b"".join(name.encode() + body for name, body in sorted(files.items()))).hexdigest()
    clean: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as tmp:
        folder = Path(tmp)
        for name, body in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(body)
        sources = [folder / name for name in files if name.endswith(".c")]
        for target_name in targets.names():
            target = targets.load(target_name)
            for compiler in ("gcc", "clang"):
                clean[f"{target_name}, {compiler}"] = all(
                    compiles(build.compile_command(target, s, folder / "o.o", [*STRICT, f"-I{folder}"], compiler))
                    for s in sources
                )
        for cpp in ("g++", "clang++"):
            clean[f"host as C++, {cpp}"] = all(
                compiles([cpp, *AS_CPP, f"-I{folder}", "-c", s, "-o", folder / "o.o"]) for s in sources
            )
    return {"clean": clean, "repeatable": files == again, "sha256": digest}


def compiles(command: list[str | Path]) -> bool:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[:2000])
    return done.returncode == 0


if __name__ == "__main__":
    main()
