"""Routes added at run time that last: they are there again at the next start, until somebody takes them away (docs/routes.md)."""
import gc

import pytest
from libbridge import Bridge, BridgeError, NotFound


@pytest.fixture
def start(tmp_path):
    """start() gives a bridge on the same file; the one before has ended."""
    running = []

    def go(config=None, store=True):
        while running:
            running.pop().close()
        bridge = Bridge(store=f"sqlite:{tmp_path}/bridge.db" if store else None)
        running.append(bridge)
        if config:
            bridge.load(config)
        return bridge
    yield go
    while running:
        running.pop().close()


def copied(bridge, source, target, value="1"):
    """What is published at source: what is at target then, or None."""
    bridge.publish(source, value, retain=True)
    try:
        return bytes(bridge.get(target).payload).decode()
    except NotFound:
        return None


def test_a_lasting_route_is_there_again_with_all_its_options(start):
    one = start()
    one.route("raw/{x...}", "shown/{x...}", retain=True, max_qos=1, priority=3, transform="scale 2", lasting=True, on_error="pass")
    one.route("coap:r/{room}", "home/{room}", lasting=True)
    one.route("gone/{x}", "not/{x}")
    gc.collect()  # nobody holds them
    said = one.explain("raw/never"), one.explain("home/hall")
    for _ in range(2):
        again = start()
        assert (again.explain("raw/never"), again.explain("home/hall")) == said
        assert copied(again, "raw/a", "shown/a", "21") == "42"
        assert copied(again, "gone/a", "not/a") is None


@pytest.mark.parametrize("how", ["closed", "forgotten", "forgotten by the next"])
def test_a_lasting_route_that_is_taken_away_stays_away(start, how):
    one = start()
    route = one.route("a/{x}", "b/{x}", lasting=True)
    kept = one.route("c/{x}", "d/{x}", lasting=True)
    assert copied(one, "a/1", "b/1") == "1"
    if how == "closed":
        route.close()
    else:
        if how == "forgotten by the next":
            one = start()
        one.forget_route("a/{x}", "b/{x}")
        with pytest.raises(NotFound):
            one.forget_route("a/{x}", "b/{x}")
    assert copied(one, "a/2", "b/2") is None
    two = start()
    assert copied(two, "a/3", "b/3") is None and copied(two, "c/1", "d/1") == "1"
    assert kept is not None


def test_what_was_forgotten_may_be_closed(start):
    one = start()
    route = one.route("a/{x}", "b/{x}", lasting=True)
    one.forget_route("a/{x}", "b/{x}")
    again = one.route("a/{x}", "b/{x}")
    route.close()  # says nothing about the other
    assert copied(one, "a/1", "b/1") == "1"
    again.close()


def test_who_adds_it_at_each_start_meets_no_conflict(start):
    for n in range(3):
        bridge = start()
        bridge.route("a/{x}", "b/{x}", transform=f"scale {n + 1}", lasting=True)
        assert copied(bridge, "a/1", "b/1", "10") == str((n + 1) * 10)
        with pytest.raises(BridgeError):
            bridge.route("a/{x}", "b/{x}", lasting=True)  # twice in one run


def test_the_config_counts(start):
    """A kept route at the place of one of the config gives way, and is forgotten."""
    one = start()
    one.route("a/{x}", "b/{x}", transform="scale 2", lasting=True)
    two = start('{"routes": [{"source": "a/{x}", "target": "b/{x}", "transform": "scale 3"}]}')
    assert copied(two, "a/1", "b/1", "10") == "30"
    three = start()
    assert copied(three, "a/2", "b/2", "10") is None


def test_without_a_store_nothing_lasts(start):
    with pytest.raises(BridgeError, match="needs a store"):
        start(store=False).route("a/{x}", "b/{x}", lasting=True)


def test_a_route_that_cannot_be_restored_is_told_and_stays(start, tmp_path, caplog):
    one = start()

    @one.transform("double")
    def double(message):
        return message.value * 2

    one.route("a/{x}", "b/{x}", transform="call double", lasting=True)
    two = start()
    assert copied(two, "a/1", "b/1", "10") is None
