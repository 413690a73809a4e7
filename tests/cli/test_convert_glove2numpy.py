def test_conversion_says_what_it_wrote_and_names_a_bad_line(process, tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\n")
    result = process("scripts/convert_glove2numpy.py", "v.txt")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "v.npy: 2 rows of 2 columns, float32",
        "v.word: 2 tokens",
    ]
    assert process("scripts/convert_glove2numpy.py", "v.txt").returncode == 0  # they are the same
    before = (tmp_path / "v.npy").read_bytes()
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 5\n")
    result = process("scripts/convert_glove2numpy.py", "v.txt")
    assert result.returncode == 2
    assert "v.npy already exists and would be replaced" in result.stderr
    assert (tmp_path / "v.npy").read_bytes() == before
    for name in ("v.npy", "v.word"):
        (tmp_path / name).unlink()
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\nc 5\n")
    result = process("scripts/convert_glove2numpy.py", "v.txt")
    assert result.returncode == 2
    assert result.stderr == (
        "convert_glove2numpy.py: error: v.txt, line 3: 1 numbers; wanted a token and 2 numbers\n"
    )


def test_dim_is_checked_against_the_columns(process, tmp_path):
    (tmp_path / "v.txt").write_text("a 1 2\nb 3 4\n")
    result = process("scripts/convert_glove2numpy.py", "v.txt", "--dim", "3")
    assert result.returncode == 2
    assert result.stderr == (
        "convert_glove2numpy.py: error: v.txt has 2 numbers in a row; wanted 3\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["v.txt"]
    result = process("scripts/convert_glove2numpy.py", "v.txt", "--dim", "2")
    assert result.returncode == 0
    assert result.stdout.splitlines()[0] == "v.npy: 2 rows of 2 columns, float32"
