"""A campaign as JUnit's XML, which CI systems read."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from jepsenvm.campaign.judgement import UNDECIDED, Judgement
from jepsenvm.campaign.planned import describe
from jepsenvm.campaign.report_links import report_address, section_links
from jepsenvm.campaign.summary import Result, Summary
from jepsenvm.errors import printable_line


def junit(summary: Summary, base: str = "") -> str:
    """Return the XML of a campaign: one test case for each run.

    A run that is worse than expected has failed. A run that is unknown, or was not run, is an
    error, so that no CI system takes it for a success. The property ``report`` of a test case is
    the address of its report, and the text of a failure or an error has those of its sections.
    ``base`` is the path from the folder of the XML to that of the campaign, for these addresses.
    """
    results = list(summary.results)
    suite = ET.Element(
        "testsuite",
        name=printable_line(summary.name),
        tests=str(len(results)),
        failures=str(sum(one.judgement is Judgement.WORSE for one in results)),
        errors=str(sum(one.judgement in UNDECIDED for one in results)),
        skipped="0",
    )
    for result in results:
        _case(suite, result, base)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, result: Result, base: str) -> None:
    last = result.record.last
    seconds = last.ended - last.began if last and last.ended is not None else 0.0
    run = result.run
    case = ET.SubElement(
        suite,
        "testcase",
        classname=printable_line(describe(run.settings)),
        name=printable_line(run.title),
        time=f"{seconds:.1f}",
    )
    if address := report_address(result, base):
        properties = ET.SubElement(case, "properties")
        ET.SubElement(properties, "property", name="report", value=address)
    text = printable_line(f"{result.verdict}, expected {run.expected}: {result.text}")
    links = "\n".join(f"{link.title}: {link.address}" for link in section_links(result, base))
    if result.judgement is Judgement.WORSE:
        ET.SubElement(case, "failure", message=text).text = links
    elif result.judgement in UNDECIDED:
        ET.SubElement(case, "error", message=text).text = links
    elif result.judgement is Judgement.BETTER:
        ET.SubElement(case, "system-out").text = text
