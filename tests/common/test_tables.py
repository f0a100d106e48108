"""Tables are written for spreadsheets."""

import pandas as pd
import pytest

from mrgantry.common.errors import DataError
from mrgantry.common.tables import read_foreign_table, write_table


def test_whole_numbers_stay_whole_beside_empty_cells(tmp_path):
    rows = [{"a": 3, "b": 0.1, "c": True}, {"a": None, "b": float("nan"), "c": False}]
    write_table(tmp_path / "t.csv", rows)
    assert (tmp_path / "t.csv").read_text() == "a,b,c\n3,0.1,True\n,,False\n"


def test_columns_are_chosen_and_decimals_cut(tmp_path):
    table = pd.DataFrame({"a": [1 / 3], "b": [2], "c": ["x, y"]})
    write_table(tmp_path / "t.csv", table, ["c", "a"], digits=3)
    assert (tmp_path / "t.csv").read_text() == 'c,a\n"x, y",0.333\n'


def test_a_table_without_rows_has_its_header(tmp_path):
    write_table(tmp_path / "t.csv", [], ["a", "b"])
    assert (tmp_path / "t.csv").read_text() == "a,b\n"


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_table(tmp_path / "file/t.csv", [{"a": 1}])


SAVED = "file;subject;tumour;pixel_mm\na.png;Jörg;ja;0,9375\nb.png;;nein;1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_of_any_program_are_read(tmp_path, encoding, delimiter, end):
    text = SAVED.replace(",", ".").replace(";", delimiter).replace("\n", end)
    (tmp_path / "table").write_bytes(text.encode(encoding))
    table = read_foreign_table(tmp_path / "table")
    assert list(table) == ["file", "subject", "tumour", "pixel_mm"]
    assert table.to_dict("list")["subject"] == ["Jörg", ""]


def test_what_is_no_table_is_refused(tmp_path):
    (tmp_path / "empty").write_text("")
    with pytest.raises(DataError, match="is not a readable table"):
        read_foreign_table(tmp_path / "empty")
    (tmp_path / "ragged").write_text("a,b\n1,2\n1,2,3,4\n")
    with pytest.raises(DataError, match="is not a readable table"):
        read_foreign_table(tmp_path / "ragged")
