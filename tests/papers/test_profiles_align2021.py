"""Settings of align2021: tasks that can be fine-tuned, where they are annotated."""

import pytest

from xsim_lib.papers.align2021.tasks import transfer_task
from xsim_lib.study import profiles


# ---------------------------------------------------------------- settings
def test_the_chapters_settings_name_tasks_that_can_be_fine_tuned():
    settings = profiles.paper_settings("align2021", "smoke")
    made = transfer_task(settings, "ner", "ar", 3)
    assert (made.name, made.source, made.settings.seed) == ("ner", "ar", 3)
    assert tuple(made.tests) == settings.transfer.targets
    assert "gsw" not in made.tests  # unseen languages are no targets
    with pytest.raises(ValueError, match="task: expected one of parsing, pos, ner; got 'nli'"):
        transfer_task(settings, "nli", "en", 1)
    with pytest.raises(ValueError, match="got 'xx'"):
        transfer_task(settings, "pos", "xx", 1)
    with pytest.raises(ValueError, match=r"sources, targets: parsing has train .*got 'xx'"):
        profiles.paper_settings("align2021", "smoke", sources=["xx"])


def test_entities_of_real_text_are_tested_where_they_are_annotated():
    settings = profiles.paper_settings("align2021", "real")
    assert settings.tested("ner") == ("en", "de", "pt", "ru", "sv", "zh")
    assert len(settings.tested("pos")) == 18
    with pytest.raises(ValueError, match="parsing has train sentences in en; got 'ru'"):
        profiles.paper_settings("align2021", "real", sources=["en", "ru"])
