"""docs/settings.md says of every setting what the server itself says of it, once."""

from itertools import chain

from model_manager.settings import Settings

from tools.settings_page import GROUPS, PAGE, settings_page


def test_the_page_is_the_one_that_the_code_makes() -> None:
    assert PAGE.read_text() == settings_page(), "make docs"


def test_every_setting_is_on_it_once() -> None:
    assert sorted(chain.from_iterable(GROUPS.values())) == sorted(Settings.model_fields)
