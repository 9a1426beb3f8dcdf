"""A page without sight or mouse: its accessibility tree, as Chromium hands it to screen readers, and its tab order."""

import itertools

NAMED = {"application", "button", "checkbox", "image", "link", "region", "slider", "table", "Video"}
# What has the focus. That of an unseen input shows on the element which stands for it.
FOCUSED = """() => {
  const element = document.activeElement;
  const inPlace = ":has(> .unseen:focus-visible) > .primary, .chart:has(+ .unseen:focus-visible)"
  const seen = element.classList.contains("unseen") ? document.querySelector(inPlace) : element;
  const style = seen && getComputedStyle(seen);
  return {
    tag: element.tagName.toLowerCase(),
    name: (element.getAttribute("aria-label") || element.labels?.[0]?.textContent || element.textContent).trim(),
    // the browser's own controls of a video show where the focus is by themselves
    outlined: element.tagName === "VIDEO" || (Boolean(style) && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2),
  };
}"""


def tree(page):
    """(role, name, properties) of every node that is not ignored, in order."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    found = []
    for node in nodes:
        if not node.get("ignored"):
            properties = {of["name"]: of["value"].get("value") for of in node.get("properties", ())}
            found.append((node["role"]["value"], node.get("name", {}).get("value", "").strip(), properties))
    return found


def check_tree(page):
    """Whatever can be used or looked at has a name, headings leave no level out, regions are told apart, and there is one main part."""
    nodes = tree(page)
    assert [role for role, name, _ in nodes if role in NAMED and not name] == []
    levels = [properties["level"] for role, _, properties in nodes if role == "heading"]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels
    regions = [name for role, name, _ in nodes if role == "region"]
    assert len(regions) == len(set(regions)), regions
    assert [role for role, *_ in nodes].count("main") == 1
    return nodes


def tab_stops(page, most=200):
    """What the Tab key reaches from the top of the page, after checking that each stop has a name and a focus that is seen."""
    page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
    stops = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(FOCUSED)
        if stop["tag"] == "body":
            return stops
        assert stop["name"] and stop["outlined"], stop
        stops.append(stop["name"])
    raise AssertionError(f"the Tab key does not leave the page after {most} stops")
