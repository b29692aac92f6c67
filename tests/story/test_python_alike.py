"""libbridge.Bridge and libbridge.aio.Bridge: the same names, the same signatures, the same words, with and without await."""
import inspect

import pytest

pytest.importorskip("libbridge")
from libbridge import _core, aio, blocking  # noqa: E402

PAIRS = [("Bridge", blocking.Bridge, aio.Bridge), ("Subscription", blocking.Subscription, aio.Subscription), ("Uplink", blocking.Uplink, aio.Uplink)]
ONLY_BLOCKING = {"settle"}  # for tests, whose functions run in another thread
ONLY_AIO = {("Bridge", "open"), ("Bridge", "aclose"), ("Subscription", "aclose")}


def names(cls):
    return {name for name in dir(cls) if not name.startswith("_")}


def parameters(fn):
    return [(p.name, p.kind, p.default) for p in inspect.signature(fn).parameters.values()]


@pytest.mark.parametrize("word, plain, awaited", PAIRS, ids=[p[0] for p in PAIRS])
def test_they_have_the_same_names(word, plain, awaited):
    assert names(plain) - ONLY_BLOCKING == {name for name in names(awaited) if (word, name) not in ONLY_AIO}


@pytest.mark.parametrize("word, plain, awaited", PAIRS, ids=[p[0] for p in PAIRS])
def test_they_take_the_same_words_and_say_what_they_do(word, plain, awaited):
    for name in sorted(names(plain) - ONLY_BLOCKING):
        a, b = getattr(plain, name), getattr(awaited, name)
        if not callable(a):
            continue
        assert (a.__doc__ or "").strip() and (b.__doc__ or "").strip() or word != "Bridge", f"{word}.{name} has no docstring"
        ours, theirs = parameters(a), parameters(b)
        if name == "subscribe":  # a blocking one has patience
            ours = [p for p in ours if p[0] != "timeout"]
        assert ours == theirs, f"{word}.{name}"


@pytest.mark.parametrize("word, plain, awaited", PAIRS, ids=[p[0] for p in PAIRS])
def test_what_waits_is_awaited(word, plain, awaited):
    """Nothing of asyncio's bridge may stop its event loop: what blocks in the other is a coroutine or an async iterator there."""
    waiting = {"Bridge": {"request", "get", "put", "post", "delete", "patch", "history_columns", "run"}, "Subscription": {"get", "take"},
               "Uplink": {"wait_up"}}[word]
    for name in sorted(names(awaited)):
        member = getattr(awaited, name)
        if callable(member) and (word, name) not in ONLY_AIO:
            assert inspect.iscoroutinefunction(member) == (name in waiting), f"{word}.{name}"


def test_an_uplink_comes_from_connect_in_its_own_manner():
    assert issubclass(aio.Uplink, _core.Uplink) and aio.Bridge._uplink is aio.Uplink and blocking.Bridge._uplink is blocking.Uplink
