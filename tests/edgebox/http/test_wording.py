"""An error is told in the language of the page, with the reason in it."""

import gettext
from io import BytesIO

import pytest
from babel.messages.mofile import write_mo

from content_packs.base.wording import describe
from edgebox.domain.secret import COMMON, FORM, LENGTH, LOGIN, PATTERN, SecretWeak
from sync.transport.errors import LinkDown
from tests.test_translations import LANGUAGES_TRANSLATED, catalogue


@pytest.mark.parametrize("language", LANGUAGES_TRANSLATED)
@pytest.mark.parametrize("reason", [FORM, LENGTH, COMMON, PATTERN, LOGIN])
def test_a_reason_is_translated_too(language: str, reason: str) -> None:
    compiled = BytesIO()
    write_mo(compiled, catalogue("edgebox", language))
    compiled.seek(0)
    translations = gettext.GNUTranslations(compiled)
    sentence, _ = describe(SecretWeak(reason=reason), translations)
    assert reason not in sentence
    assert translations.gettext(reason) in sentence


def test_a_technical_reason_stays_as_it_is() -> None:
    for reason in ("", "status 404", "{reason}"):
        assert f"({reason})" in describe(LinkDown(reason=reason), gettext.NullTranslations())[0]
