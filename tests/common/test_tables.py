"""Tables are written for spreadsheets."""

import pandas as pd
import pytest

from mrgantry.common.errors import DataError
from mrgantry.common.tables import write_table


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
