"""The page at / in a real browser."""
import pytest

from peers.browser import Browser
from peers.http import Http


@pytest.fixture
def port(start_bridged):
    return start_bridged("http://127.0.0.1:0/resources").port("http")


def test_the_page_shows_the_tree_and_talks_to_the_bridge(port, tmp_path):
    with Http(port) as http:
        http.request("PUT", "/resources/home/kitchen/temp", "20")
        http.request("PUT", "/resources/home/lamp", "<b>on</b>")
        with Browser(f"http://127.0.0.1:{port}/") as page:
            page.until("$('tree').textContent.includes('temp')")
            assert "<b>on</b>" in page.eval("$('tree').textContent")  # text, never markup

            page.eval("document.querySelector('[data-path=\"home/kitchen/temp\"]').click()")
            assert page.eval("$('path').textContent + ' ' + $('now').textContent") == "home/kitchen/temp 20"
            for value in ("21.5", "23", "22"):
                http.request("PUT", "/resources/home/kitchen/temp", value)
            page.until("$('now').textContent === '22' && !$('chart').hasAttribute('hidden')")
            assert "max 23" in page.eval("$('scale').textContent")

            page.eval("$('to').value = 'garden/p\u00fcmp 1'; $('payload').value = 'go'; $('put').click()")
            page.until("$('said').textContent.startsWith('201')")
            assert http.request("GET", "/resources/garden/p%C3%BCmp%201").text == "go"
            page.until("$('tree').textContent.includes('p\u00fcmp 1')")
            page.eval("$('to').value = 'garden/p\u00fcmp 1'; $('remove').click()")
            page.until("!$('tree').textContent.includes('p\u00fcmp 1')")

            page.eval("$('pattern').value = 'home/+'; $('listen').click()")
            page.until("$('log').textContent.includes('home/lamp')")
            page.eval("$('why').value = 'home/lamp'; $('explain').click()")
            page.until("$('words').textContent.length > 10")
            page.until("$('numbers').textContent.includes('peers')")
            page.screenshot(tmp_path / "page.png")
