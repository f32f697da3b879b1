"""In a browser a report sorts, filters and fits a telephone, runs no text of a plugin, and asks nobody for anything."""

import json
import os
import shutil

import pytest
from commands import Home
from reported import GAN, change, relabel, small_run

from benchfw.report import write_report

CHROMIUM = shutil.which("chromium")
BAD = "<script>alert(1)</script>"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="there is no chromium on the path; CI must have one"
)


def hostile(row):
    """The row with markup wherever a plugin or a file may put text."""
    axes = row["axes"] | {
        "dataset": BAD,
        "augmenter": row["axes"]["augmenter"].replace("smote", f'{BAD}" onload="alert(2)'),
    }
    row = row | {"axes": axes, "reason": row["reason"] and f"{BAD}<img src=x onerror=alert(3)>"}
    row["warnings"] = [f"{BAD}</script><img src=x onerror=alert(4)>"]
    return json.loads(json.dumps(row).replace("recall:3", f"recall:{BAD}").replace('"3"', json.dumps(BAD)))


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("browser"))
    yield small_run(home)
    home.stop()


@pytest.fixture(scope="module")
def usual(run):
    return write_report(run)


@pytest.fixture(scope="module")
def dangerous(run):
    return write_report(change(run, run.parent / "hostile", hostile))


@pytest.fixture
def opened(browser):
    """Open a report: opened(path, width) -> the page, with what went wrong and what was asked for."""
    contexts = []

    def open_(path, width=1280, **settings):
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.complaints, page.dialogs, page.requests, page.failures = [], [], [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("requestfailed", lambda request: page.failures.append((request.url, request.failure)))
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()


def column(page, grid, head):
    """The texts of a column, as far as they are shown."""
    place = page.locator(f"#grid-{grid} thead th").all_inner_texts()
    at = next(i for i, text in enumerate(place) if text.strip().startswith(head))
    return page.locator(f"#grid-{grid} tbody tr:visible td:nth-child({at + 1})").all_inner_texts()


def button(page, grid, head):
    return page.locator(f"#grid-{grid} thead button", has_text=head).first


@pytest.mark.parametrize("kind", ["usual", "dangerous"])
def test_nothing_complains_nothing_is_asked_for_and_no_dialog_opens(kind, opened, request):
    path = request.getfixturevalue(kind)
    page = opened(path)
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    for choice in page.locator("select").all():
        values = choice.evaluate("one => Array.from(one.options, option => option.value)")
        choice.select_option(values[-1])
        choice.select_option(values[0])
    for head in page.locator("thead button").all():
        head.click()
    page.wait_for_timeout(100)
    assert page.complaints == []
    assert page.dialogs == []
    assert [url for url in page.requests if not url.startswith("data:")] == [path.as_uri()]


def test_text_of_plugins_stays_text(dangerous, opened):
    page = opened(dangerous)
    assert page.locator("script").count() == 2
    assert page.locator("[onload], [onerror]").count() == 0
    assert page.locator("img:not([src^='data:'])").count() == 0
    assert page.locator("h3", has_text=BAD).count() > 0
    assert page.locator(".recalls th", has_text=BAD).count() > 0
    assert page.locator("svg desc", has_text=BAD).count() > 0


def test_a_click_sorts_a_table_and_another_turns_it_round(usual, opened):
    page = opened(usual)
    before = column(page, "lines", "balanced accuracy")
    numbers = sorted(float(text.split()[0]) for text in before if text)
    button(page, "lines", "balanced accuracy").click()
    assert [float(text.split()[0]) for text in column(page, "lines", "balanced accuracy") if text] == numbers[::-1]
    head = page.locator("#grid-lines thead th[aria-sort]")
    assert head.get_attribute("aria-sort") == "descending"
    button(page, "lines", "balanced accuracy").click()
    found = column(page, "lines", "balanced accuracy")
    assert [float(text.split()[0]) for text in found if text] == numbers
    assert found[-1] == ""  # what has no number comes last either way
    assert head.get_attribute("aria-sort") == "ascending"


def test_the_keyboard_reaches_a_head_and_sorts(usual, opened):
    page = opened(usual)
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#grid-lines thead button')"):
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    page.keyboard.press("Enter")
    assert page.locator("#grid-lines thead th[aria-sort]").count() == 1


def test_the_first_key_offers_to_skip_to_the_answer(usual, opened):
    page = opened(usual)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the answer"
    assert page.locator(".skip").bounding_box()["x"] >= 0


def test_a_word_and_a_choice_filter_a_table(usual, opened):
    page = opened(usual)
    page.locator("#grid-lines input").fill("smote")
    assert set(column(page, "lines", "augmenter")) == {"smote"}
    page.locator("#grid-lines select.filter", has_text="la-natural").select_option("la-natural")
    assert column(page, "lines", "correction") == ["la-natural"]
    assert page.locator("#grid-lines output").inner_text() == "1 of 9 lines"


def test_another_metric_changes_the_tables(usual, opened):
    page = opened(usual)
    page.locator("#grid-lines select.metric").select_option("accuracy")
    heads = [text.strip() for text in page.locator("#grid-lines thead th").all_inner_texts()]
    assert "accuracy" in heads
    numbers = json.loads(page.locator("#numbers").inner_text() or page.locator("#numbers").text_content())
    assert column(page, "lines", "accuracy") == [
        row[0] for row in numbers["grids"]["lines"]["metrics"]["accuracy"]["rows"]
    ]
    assert page.locator("#grid-tests select.metric").input_value() == "accuracy"


def test_fidelity_shows_the_means_first_and_classes_when_asked(usual, opened):
    page = opened(usual)
    assert set(column(page, "fidelity", "class")) == {"(all)"}
    page.locator("#grid-fidelity select.filter").last.select_option("")
    assert "5" in column(page, "fidelity", "class")


def test_the_footnotes_follow_the_metric(usual, opened):
    page = opened(usual)
    lines, tests = page.locator("[data-footnote=lines]"), page.locator("[data-footnote=tests]")
    assert lines.text_content().startswith("Shares are in points")
    assert "difference: mean of balanced accuracy" in tests.text_content()
    page.locator("#grid-lines select.metric").select_option("nll")
    assert lines.text_content().startswith("n: repetitions done")
    assert "difference: mean of nll" in tests.text_content()


def test_another_matrix_is_shown(usual, opened):
    page = opened(usual)
    choice = page.locator("select.line").last
    choice.select_option(label=f"{GAN} + linear@steps=5 + none")
    figure = page.locator(".confusion").last
    assert figure.locator("caption").inner_text().startswith(GAN)
    assert figure.locator("tbody td").count() == 100
    scopes = figure.locator("th").evaluate_all("all => all.map(one => one.scope)")
    assert sorted(scopes) == ["col"] * 10 + ["row"] * 10
    assert " of class" not in figure.locator("tbody td").first.get_attribute("title")
    assert " taken for " in figure.locator("tbody td").first.get_attribute("title")


def test_the_theme_follows_the_system_and_a_button(usual, opened):
    page = opened(usual, color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.locator("#theme").click()
    light = page.evaluate(background)
    assert page.locator("#theme").inner_text() == "theme: light"
    page.locator("#theme").click()
    assert page.evaluate(background) == dark != light


@pytest.mark.parametrize("kind", ["usual", "dangerous"])
@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_does_not_scroll_sideways(kind, width, opened, request):
    page = opened(request.getfixturevalue(kind), width)
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_telephone_shows_every_column_of_the_first_tables(usual, opened):
    page = opened(usual, 390)
    for table in (".scores", ".verdicts"):
        edges = page.locator(f"{table} :is(th, td)").evaluate_all(
            "all => all.map(one => one.getBoundingClientRect()).filter(box => box.width).map(box => box.right)"
        )
        assert len(edges) > 8
        assert max(edges) <= 390
    told = page.locator(".verdicts tbody tr").first.locator("td").nth(1)
    assert "against no augmentation" in told.evaluate("one => getComputedStyle(one, '::before').content")


PRINTED = 702  # pixels between the margins of A4


@pytest.mark.parametrize("kind", ["usual", "dangerous"])
def test_no_table_is_wider_than_a_printed_page_and_shrinks_it(kind, opened, request):
    page = opened(request.getfixturevalue(kind), PRINTED)
    page.emulate_media(media="print")
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= PRINTED
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('.lead')).fontSize)") >= 9 / 0.75


def test_a_setting_leads_to_its_answer(run, tmp_path, opened):
    many = relabel(run, tmp_path / "many", lambda axes: [axes | {"dataset": f"set-{i}"} for i in range(6)])
    page = opened(write_report(many))
    assert page.locator(".settings tbody tr").count() == 6
    assert page.locator("details.answer[open]").count() == 0
    page.locator(".settings a", has_text="set-4").click()
    assert page.locator("details.answer[open] summary").inner_text().startswith("With linear@steps=5")


def test_it_reads_without_its_script(usual, opened):
    page = opened(usual, java_script_enabled=False)
    assert page.locator("h2").count() == 9
    assert page.locator("#theme").is_hidden()
    assert page.locator("#grid-lines tbody tr").count() == 9


def test_the_policy_stops_what_slips_through(usual, opened):
    page = opened(usual)
    page.evaluate("""() => {
        const place = document.body.appendChild(document.createElement("div"));
        place.innerHTML = "<img src='https://localhost/x.png' onerror='alert(5)'><p style='color: red'></p>";
        place.appendChild(document.createElement("script")).textContent = "alert(6)";
    }""")
    page.wait_for_timeout(100)
    assert page.dialogs == []
    assert [url for url, why in page.failures if why == "csp"] == ["https://localhost/x.png"]
    assert len([text for text in page.complaints if "Content Security Policy" in text]) >= 3


def test_printing_opens_what_is_folded(usual, opened):
    page = opened(usual)
    folded = "document.querySelectorAll('details:not([open])').length"
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.folded = {folded}; }})")
    assert len(page.pdf(format="A4")) > 10_000
    assert page.evaluate("window.folded") == 0
    assert page.evaluate(folded) > 0
