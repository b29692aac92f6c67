"""What the stories of uplinks have in common: connecting, and what the bridge says about a connection."""
QUICK = "retry_min=20&retry_max=200"


def stat(bridge, word, name="cloud"):
    return bridge.stats()[f'bridge_uplink_{word}{{name="{name}"}}']


def up(bridge, url, name="cloud"):
    """Connects, and waits until it is up."""
    held = bridge.connect(f"{url}&name={name}&{QUICK}")
    wait_up(bridge, name)
    return held


def wait_up(bridge, name="cloud", words=b"1"):
    state = bridge.subscribe(f"$SYS/broker/connection/{name}/state")
    while next(state).payload != words:
        pass
    state.close()
