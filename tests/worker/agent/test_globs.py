"""Tests that glob patterns match as ripgrep reads them and as models mean them."""

import time

import pytest

from worker.agent.globs import BadGlob, compile_glob, last_names, static_prefix


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*.py", "a.py"),
        ("*.py", "a/b/c.py"),
        ("**/*.py", "c.py"),
        ("**/*.py", "a/b/c.py"),
        ("src/*.ts", "src/a.ts"),
        ("src/**", "src/a/b.ts"),
        ("src/", "src/a/b.ts"),
        ("src/**/page.tsx", "src/page.tsx"),
        ("src/**/page.tsx", "src/a/b/page.tsx"),
        ("*.{ts,tsx}", "a/b.tsx"),
        ("{src,lib}/*.{ts,js}", "lib/a.js"),
        ("a?c.txt", "abc.txt"),
        ("[ab]c", "bc"),
        ("[!a]c", "bc"),
        ("[a-c]x", "bx"),
        ("app/[id]/page.tsx", "app/[id]/page.tsx"),
        ("app/[id]/page.tsx", "app/i/page.tsx"),
        ("**/[...slug]/*", "app/[...slug]/page.tsx"),
        ("app/(shop)/[[...all]]/*", "app/(shop)/[[...all]]/page.tsx"),
        ("**/*[Cc]heckout*", "src/Checkout.tsx"),
        ("./src/*", "src/a"),
        ("**/a*b/**/*c*.ts", "x/ab/a/aab/y/cc.ts"),
        ("*ab*ab", "aabab"),
        ("src/**.ts", "src/a/b.ts"),
        ("a**/b", "ax/y/b"),
        ("größ*", "größer 😀.md"),
        ("a[", "a["),
        (r"a\*b", "a*b"),
    ],
)
def test_a_pattern_matches(pattern: str, path: str) -> None:
    assert compile_glob(pattern).fullmatch(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("src/*.ts", "src/a/b.ts"),
        ("*.py", "a.pyc"),
        ("a?c", "a/c"),
        ("[!a]c", "/c"),
        ("src/*", "lib/a"),
        ("[id]", "x"),
        ("*.TS", "a.ts"),
        (".", "ab"),
        ("*ab*ab", "xab"),
        ("**/a*b/c", "ab/x/c"),
    ],
)
def test_a_pattern_does_not_match(pattern: str, path: str) -> None:
    assert not compile_glob(pattern).fullmatch(path)


def test_case_can_be_ignored() -> None:
    assert compile_glob("SRC/*.TS", ignores_case=True).fullmatch("src/a.ts")


def test_a_pattern_that_would_take_too_long_is_refused_or_quick() -> None:
    for pattern in ("{a,b}" * 20, "x" * 1000):
        with pytest.raises(BadGlob):
            compile_glob(pattern)
    began = time.monotonic()
    for pattern in (
        "*" * 200 + "b",
        "**/" * 60 + "b",
        "*a" * 60 + "b",
        "*?" * 60 + "b",
        "**/a/" * 40 + "b",
        "[" * 300,
        "{" * 300,
        "[z-a]",
    ):
        try:
            compile_glob(pattern).fullmatch("a/" * 30 + "a" * 60)
        except BadGlob:
            continue
    assert time.monotonic() - began < 5


def test_many_wildcards_cause_no_exponential_backtracking() -> None:
    began = time.monotonic()
    for pattern in ("*?" * 40 + "Z", "*a" * 60 + "Z", "**a" * 40 + "Z", "**/*a" * 40 + "Z", "**/" + "*[ab]" * 40 + "Z"):
        assert not compile_glob(pattern).fullmatch("a" * 100)
        assert not compile_glob(pattern).fullmatch("a/" * 100 + "a" * 60)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("pattern", "names"),
    [("*.{ts,tsx}", {"*.ts", "*.tsx"}), ("src/**/*.py", {"*.py"}), ("src/**", set()), ("a/", set())],
)
def test_the_last_name_of_a_pattern_narrows_a_search(pattern: str, names: set[str]) -> None:
    assert set(last_names(pattern)) == names


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [("src/app/*.ts", "src/app"), ("**/*.ts", ""), ("a/[id]/b", "a"), ("x.ts", ""), ("./a/b", "a")],
)
def test_the_folders_a_pattern_begins_with_narrow_a_walk(pattern: str, prefix: str) -> None:
    assert static_prefix(pattern) == prefix
