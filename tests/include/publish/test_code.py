"""What a release says of the code that it came from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from include import code


def test_the_hash_of_the_code_is_another_when_a_file_of_it_is_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(name: str, content: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        clock.append(clock[-1] + 1)
        os.utime(path, (clock[-1], clock[-1]))
        return code.hash_of_code()

    clock = [1_700_000_000]
    monkeypatch.setattr(code, "PROJECT", tmp_path)
    for folder in code.FOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / "requirements.txt").write_text("duckdb==1\n")
    first = write("include/a.py", "1")
    assert write("include/a.py", "1") == first
    changed = {
        first,
        write("include/a.py", "2"),
        write("include/a/b.sql", "2"),
        write("dbt_project/models/c.yml", "2"),
        write("requirements.txt", "duckdb==2\n"),
        write("ml/a.html", ""),
    }
    assert len(changed) == 6
    last = code.hash_of_code()
    assert write("dbt_project/target/a.sql", "1") == write("include/notes.md", "1") == last
    (tmp_path / "include/a/b.sql").rename(tmp_path / "include/b.sql")
    assert code.hash_of_code() not in changed
