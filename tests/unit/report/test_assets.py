"""The files of other projects that the package carries are those that the decisions name."""

from __future__ import annotations

import hashlib
from importlib.resources import files

PINNED = {
    # echarts 6.1.0 as published on npm: dist/echarts.min.js, LICENSE and NOTICE
    "echarts.min.js": "b66b25aeb4df84e33199dc21694014d336d222cbd9deb0e5a7c14bd6aa0d0fd0",
    "echarts.LICENSE": "634293835b43a6dd2094fa39182a3d9a6b9ca43b7fdb9ac354e8037af2a3093a",
    "echarts.NOTICE": "d491d358344f842685c1b1585970999db65fe30ecf7ef3867af8814f4016c016",
}


def test_the_charts_are_an_unchanged_release() -> None:
    assets = files("jepsenvm.report").joinpath("assets")
    found = {
        name: hashlib.sha256(assets.joinpath(name).read_bytes()).hexdigest() for name in PINNED
    }
    assert found == PINNED


def test_no_script_can_end_its_element() -> None:
    assets = files("jepsenvm.report").joinpath("assets")
    for name in ("echarts.min.js", "report.js"):
        text = assets.joinpath(name).read_text(encoding="utf-8").lower()
        assert "</script" not in text
        assert "<!--" not in text
        assert "\r" not in text
