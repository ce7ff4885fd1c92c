"""A configuration file is read as plain values with their lines; what it cannot do is harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.config.document import MAXIMUM_BYTES, Document, read_document


@pytest.fixture
def read(tmp_path: Path):
    def write_and_read(content: str | bytes) -> Document:
        path = tmp_path / "models.yml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_document(path)

    return write_and_read


def messages(document: Document) -> list[str]:
    return [str(problem) for problem in document.problems]


def test_values_and_the_lines_of_their_keys_are_read(read):
    document = read("# first\na:\n  b: 1\n  c:\n    - x\n    - y: true\n")
    assert document.data == {"a": {"b": 1, "c": ["x", {"y": True}]}}
    assert [document.line(path) for path in [("a",), ("a", "b"), ("a", "c", 1), ("a", "c", 1, "y")]] == [
        2,
        3,
        6,
        6,
    ]


def test_a_key_that_is_not_there_has_the_line_of_what_is_around_it(read):
    assert read("a:\n  b: 1\n").line(("a", "missing", "deeper")) == 1


def test_words_that_mean_booleans_in_old_yaml_stay_words(read):
    assert read("a: [no, off, yes, y]\n").data == {"a": ["no", "off", "yes", "y"]}


def test_unreadable_yaml_is_named_with_its_line(read):
    assert messages(read("a: 1\nb: [1, 2\nc: 3\n")) == [
        "models.yml:3 file: not readable as YAML: did not find expected ',' or ']'"
    ]


def test_every_repeated_key_is_named_with_its_line(read):
    document = read("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert messages(document) == [
        "models.yml:2 b.c: found the key 'c' 2 times, allowed: once",
        "models.yml:3 a: found the key 'a' 2 times, allowed: once",
    ]


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/name:os.system",
        "!include",
        "!!binary",
        "!!set",
        "!!timestamp",
    ],
)
def test_a_tag_is_refused(read, tag):
    document = read(f"a: 1\nb: {tag} x\n")
    assert document.data is None
    assert len(document.problems) == 1
    assert str(document.problems[0]).startswith("models.yml:2 file: found the tag '")


def test_an_alias_bomb_is_refused(read):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    document = read("\n".join(lines))
    assert document.data is None
    assert messages(document) == [
        "models.yml:1 file: not readable as YAML: found more than 50000 values after expanding aliases"
    ]


def test_an_alias_inside_itself_is_refused(read):
    assert read("a: &a [1, *a]\n").data is None


def test_an_anchor_that_comes_twice_is_refused(read):
    assert messages(read("a: &x 1\nb: &x 2\nc: *x\n")) == [
        "models.yml:2 file: found the anchor '&x' again, allowed: once"
    ]


def test_many_aliases_are_refused(read):
    document = read("a: &a 1\nb: [" + ", ".join(["*a"] * 200) + "]\n")
    assert "found too much nesting, allowed: 20 levels and 100 aliases" in str(document.problems[0])


def test_deep_nesting_is_refused(read):
    document = read("a: " + "[" * 500 + "]" * 500)
    assert "found too much nesting, allowed: 20 levels and 100 aliases" in str(document.problems[0])


def test_a_huge_file_is_refused(read):
    document = read("a: " + "x" * MAXIMUM_BYTES)
    assert messages(document) == [
        f"models.yml:1 file: found {MAXIMUM_BYTES + 3} bytes, allowed: at most 1000000"
    ]


def test_bytes_that_are_no_text_are_named_with_their_line(read):
    assert messages(read(b"a: 1\nb: \xff\xfe\n")) == [
        "models.yml:2 file: found the byte 0xff, allowed: text in UTF-8"
    ]


def test_a_byte_order_mark_is_no_problem(read):
    assert read(b"\xef\xbb\xbfa: 1\n").data == {"a": 1}


@pytest.mark.parametrize("content", ["", "# nothing yet\n", "---\n"])
def test_an_empty_file_has_no_values_and_no_problems(read, content):
    document = read(content)
    assert document.data is None
    assert document.problems == []


def test_two_documents_in_one_file_are_refused(read):
    assert "found another document" in str(read("a: 1\n---\nb: 2\n").problems[0])


def test_a_shared_mapping_can_be_written_once(read):
    document = read("a: &shared {x: 1, y: 2}\nb:\n  <<: *shared\n  y: 3\n")
    assert document.data["b"] == {"x": 1, "y": 3}


def test_a_key_that_is_a_list_is_refused(read):
    assert messages(read("a: 1\n? [b, c]\n: 2\n")) == [
        "models.yml:2 file: not readable as YAML: a key must be a plain word"
    ]


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path):
    (tmp_path / "models.yml").mkdir()
    assert messages(read_document(tmp_path / "models.yml")) == [
        "models.yml:1 file: cannot be read: Is a directory"
    ]
