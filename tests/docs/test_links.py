"""Links between documents lead somewhere."""
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [file for file in sorted(ROOT.rglob("*.md"))
             if not any(part.startswith(("build", ".")) for part in file.relative_to(ROOT).parts)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_links_lead_to_files(document):
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    broken = [target for target in targets if target and "://" not in target and not (document.parent / target).exists()]
    assert not broken


def test_each_reason_is_in_the_index_under_a_number_of_its_own():
    why = ROOT / "docs" / "why"
    pages = sorted(page.name for page in why.glob("[0-9]*.md"))
    assert set(re.findall(r"\]\(([0-9][^)]*)\)", (why / "README.md").read_text())) == set(pages)
    assert len({page[:2] for page in pages}) == len(pages)
