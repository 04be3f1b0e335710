"""Tables that a spreadsheet program opens without taking a text for a formula."""

import csv
import json

import numpy as np
import pytest
import soundfile as sf

import steps
from serflow.bundle.output import collect_predictions, write_rows
from serflow.report.evaluation_charts import compare_runs
from serflow.runtime.errors import UserError
from serflow.storage import read_csv, read_table, table_of, write_csv, write_json, write_table

# OWASP, "CSV Injection": =, +, -, @, tab, carriage return, line feed and the wide forms of the first four.
FORMULAS = ['=cmd|" /C calc"!A0', "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠1", "'=1"]
PLAIN = ["", "'", "'a", "a=1", " =1", "x\n=1", 'a "b",;\t']


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_text_gets_a_quote_and_is_read_back_without_it(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    rows = [(text, number) for text in (*FORMULAS, *PLAIN) for number in (-1, -0.25, None)]
    write_csv(path, ["text", "=number"], rows)
    with path.open(newline="", encoding="utf-8") as file:
        header, *written = csv.reader(file, delimiter="," if suffix == "csv" else "\t")
    assert header == ["text", "'=number"]
    expected = [f"'{text}" if text in FORMULAS else text for text, _ in rows]
    assert [text for text, _ in written] == expected
    assert [number for _, number in written[:3]] == ["-1", "-0.25", ""]
    read = read_csv(path)
    assert [row["text"] for row in read] == [text for text, _ in rows]


@pytest.mark.parametrize("content", ["", "a,b\n1\n", 'a,b\n"1,2\n', "a\n" + "x" * 200_000, "a\n\xff\n"])
def test_what_is_no_table_is_refused(tmp_path, content):
    (tmp_path / "x.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"x\.csv: not a readable table .*; delete it to have it made again"):
        read_csv(tmp_path / "x.csv")


def test_labels_in_csv_only(tmp_path, capsys):
    columns = {"file": "string", "label": "string", "p_=A": "float32"}
    rows = [("=x.wav", "@HYPERLINK(1)", -0.5)]
    write_rows(rows, columns, None)
    assert capsys.readouterr().out == "file,label,p_=A\n'=x.wav,'@HYPERLINK(1),-0.5\n"
    write_rows(rows, columns, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == [{"file": "=x.wav", "label": "@HYPERLINK(1)", "p_=A": -0.5}]
    write_rows(rows, columns, tmp_path / "x.parquet")
    assert read_table(tmp_path / "x.parquet").to_pylist()[0]["file"] == "=x.wav"


def test_labels_of_all_shards(tmp_path):
    schema = {"file": "string", "start": "float64", "label": "string"}
    write_table(tmp_path / "x.parquet", table_of([("-b.wav", -0.5, "=A")], schema))
    shard, tables = tmp_path / "x.parquet", [tmp_path / "labels.csv", tmp_path / "timeline.csv"]
    collect_predictions([shard], timelines=[shard], output=tables[0], timeline=tables[1])
    for path in tables:
        assert path.read_text() == "file,start,label\n'-b.wav,-0.5,'=A\n"


def test_the_catalogue_and_what_the_page_reads_of_it(tmp_path):
    name, rng = '=cmd|" -C calc"!A0.wav', np.random.default_rng(0)
    (tmp_path / "audio").mkdir()
    for file in ("1001_DFA_ANG_XX.wav", "1002_IEO_SAD_XX.wav", name):
        sf.write(tmp_path / "audio" / file, 0.1 * rng.normal(size=16_000), 16_000)
    indices = steps.read_corpus(tmp_path, tmp_path / "audio", policy="exclude")
    path = steps.catalog(indices, tmp_path / "catalog", policy="exclude")["excluded"]
    with path.open(newline="") as file:
        assert f"'{name}" in [row["file"] for row in csv.DictReader(file, delimiter="\t")]
    assert name in [row["file"] for row in read_csv(path)]


def test_the_comparison(tmp_path):
    row = {"run": "=model seed 0", "model": "-x", "uar": -0.25, "fold": None, "accuracy": 0.5}
    write_json(tmp_path / "evaluation.json", {"comparison": [row]})
    with pytest.raises(KeyError):  # the chart needs more columns; the table is written first
        compare_runs(tmp_path / "evaluation.json", table=tmp_path / "x.csv", figure=tmp_path / "x.png")
    assert (tmp_path / "x.csv").read_text() == "run,model,uar,fold,accuracy\n'=model seed 0,'-x,-0.25,,0.5\n"
