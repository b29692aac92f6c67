"""Tests without a broker, without fixed ports, and without waiting for an hour."""
import pytest
from sensor import watch

pytest_plugins = ["libbridge.testing"]


def test_a_freezer_that_is_warm_for_an_hour_is_told(bridge):
    watch(bridge, bridge.clock.now)
    alarms = bridge.subscribe("freezer/+/alarm")

    bridge.publish("freezer/cellar/temperature", -3.5)
    bridge.clock.advance(minutes=61)
    bridge.publish("freezer/cellar/temperature", -3.0)

    alarm = next(alarms)
    assert (alarm.path, alarm.value) == ("freezer/cellar/alarm", -3.0)


def test_the_alarm_is_forgotten_after_a_day(bridge):
    bridge.publish("freezer/cellar/alarm", -3.0, retain=True, ttl=24 * 3600)

    bridge.clock.advance(hours=25)

    with pytest.raises(LookupError):
        bridge.get("freezer/cellar/alarm")
