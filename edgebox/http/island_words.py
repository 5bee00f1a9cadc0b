"""The words that scripts on learner pages need, in the language of the page."""

from functools import cache

from content_packs.base.errors import N_
from edgebox.http.wording import words

_WORDS = {
    "tablet": N_("Saved on this tablet, {count} to send"),
    "school": N_("Saved at school"),
    "hub": N_("Safe at the hub too"),
    "warning": N_("Cannot save here. Tell your teacher."),
    "refused": N_("Some work could not be taken. Tell your teacher."),
    "check": N_("Check"),
    "next": N_("Next"),
    "finish": N_("Finish"),
    "right": N_("Well done!"),
    "not_yet": N_("Not quite."),
    "score": N_("You got {score} of {total}"),
    "praise_1": N_("You got to the end. Try again and collect more stars!"),
    "praise_2": N_("Good work! You are getting better and better."),
    "praise_3": N_("Wonderful! You know this really well."),
    "well_done": N_("Well done! This is saved."),
    "box_away": N_(
        "The school box is not answering. Your work is safe on this tablet. We go on as soon as it is back."
    ),
    "stay_here": N_("Stay here"),
}


@cache
def island_words(language: str) -> dict[str, str]:
    """Return the ready words by the names that scripts know them by."""
    translate = words(language).gettext
    return {name: translate(message) for name, message in _WORDS.items()}


def praise(language: str, stars: int) -> str:
    """Return what the end of a quiz says."""
    return island_words(language)[f"praise_{stars}"]
