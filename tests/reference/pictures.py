"""What stands in a picture of a graph, read as XML."""

import xml.etree.ElementTree as ET

SVG = "{http://www.w3.org/2000/svg}"


def nodes(svg):
    """The texts of each box, the op first where there is one."""
    groups = ET.fromstring(svg).iter(f"{SVG}g")
    found = [group for group in groups if group.get("class", "").startswith("node")]
    return [[text.text for text in group.iter(f"{SVG}text")] for group in found]


def texts(svg):
    return [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]
