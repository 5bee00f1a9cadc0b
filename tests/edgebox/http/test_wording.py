"""An error is told in the language of the page, with the reason in it."""

import gettext
from io import BytesIO

import pytest
from babel.messages.mofile import write_mo

from edgebox.domain.secret import COMMON, FORM, LENGTH, LOGIN, PATTERN, SecretWeak
from edgebox.http import wording
from sync.transport.errors import LinkDown
from tests.edgebox.test_translations import LANGUAGES_TRANSLATED, catalogue


@pytest.mark.parametrize("language", LANGUAGES_TRANSLATED)
@pytest.mark.parametrize("reason", [FORM, LENGTH, COMMON, PATTERN, LOGIN])
def test_a_reason_is_translated_too(language: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = BytesIO()
    write_mo(compiled, catalogue(language))
    compiled.seek(0)
    translations = gettext.GNUTranslations(compiled)
    monkeypatch.setattr(wording, "words", lambda _language: translations)
    sentence, _ = wording.describe(SecretWeak(reason=reason), language)
    assert reason not in sentence
    assert translations.gettext(reason) in sentence


def test_a_technical_reason_stays_as_it_is() -> None:
    for reason in ("", "status 404", "{reason}"):
        assert f"({reason})" in wording.describe(LinkDown(reason=reason), "en")[0]
