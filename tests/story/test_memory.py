"""The memory of a whole bridge has a limit when it is asked for: near it new work is refused, in each protocol's own words, and what
is there goes on."""
import subprocess

from peers import mqtt


def test_near_the_limit_new_messages_and_clients_are_refused(start_bridged):
    bridge = start_bridged("mqtt://127.0.0.1:0", "http://127.0.0.1:0/resources", "--max-memory", "4", listeners=2)
    port = bridge.port("mqtt")

    with mqtt.Client(port, version=5) as client:
        client.connect("filler")
        for size in (60000, 1000, 1):  # to the brim
            for i in range(10000):
                client.send(mqtt.publish(f"full/{size}/{i}", b"x" * size, qos=1, pid=1, retain=True, version=5))
                reason = client.wait_for(mqtt.PUBACK, 1).reason
                if reason >= 0x80:
                    break
            assert reason == 0x97  # quota exceeded
            assert size < 60000 or i > 20

        status = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "-d", "1",
                                 f"http://127.0.0.1:{bridge.port('http')}/resources/one/more"], capture_output=True, text=True, timeout=30)
        assert status.stdout in ("429", "503")
        with mqtt.Client(port, version=5) as late:
            late.send(mqtt.connect("late", version=5))
            assert late.receive().reason in (0x89, 0x97)

        client.ping()
        client.send(mqtt.publish("full/60000/0", b"", qos=1, pid=2, retain=True, version=5))  # what frees memory is still done
        assert client.wait_for(mqtt.PUBACK, 2).reason in (0, 0x10)
