"""Who may come in and who may do what: password files, ACL files, and listeners that others can reach (docs/security.md)."""
import signal

import pytest
from peers.process import run
from peers.tools import Mosquitto, coap_client, curl, need

RULES = """\
topic read public/#
user alice
topic home/#
topic deny home/safe/#
user bob
topic read home/+/temp
pattern mail/%u/#
"""
HTTP = "http://127.0.0.1:0/resources"


@pytest.fixture
def people(tmp_path):
    """people(alice="secret") writes a password file with mosquitto_passwd and gives its name."""
    path = tmp_path / "people"

    def write(**passwords):
        path.write_text("")
        for i, (name, password) in enumerate(passwords.items()):
            kind = ("sha512-pbkdf2", "sha512")[i % 2]
            run(need("mosquitto_passwd"), "-H", kind, "-b", path, name, password)
        return path
    return write


@pytest.fixture
def rules(tmp_path):
    path = tmp_path / "rules"
    path.write_text(RULES)
    return path


def publish(port, *options):
    """mosquitto_pub at QoS 1, told to say what the broker answered."""
    return run(need("mosquitto_pub"), "-h", "127.0.0.1", "-p", port, "-q", "1", "-V", "mqttv5", *options, check=False)


@pytest.fixture
def guarded(start_bridged, people, rules):
    """A bridged whose people are alice and bob, over MQTT and HTTP."""
    files = f"?password_file={people(alice='secret', bob='pw')}&acl_file={rules}"
    return start_bridged("mqtt://127.0.0.1:0" + files, HTTP + files)


@pytest.mark.parametrize("options, good", [
    (("-u", "alice", "-P", "secret"), True),
    (("-u", "alice", "-P", "wrong"), False),
    (("-u", "alice"), False),
    (("-u", "carol", "-P", "secret"), False),
    ((), False),
])
def test_mqtt_lets_in_who_knows_the_password(guarded, options, good):
    done = publish(guarded.port("mqtt"), "-t", "home/x", "-m", "1", *options)

    assert (done.returncode == 0) == good, done


@pytest.mark.parametrize("options, status", [
    (("-u", "alice:secret"), 201),
    (("-u", "bob:pw"), 403),
    (("-u", "alice:wrong"), 401),
    ((), 401),
])
def test_http_lets_in_who_knows_the_password(guarded, options, status):
    assert curl("-X", "PUT", "-d", "1", *options, guarded.url("http") + "/home/hall/temp")[0] == status


def test_the_acl_file_says_what_each_may_read_and_write(guarded):
    port, http = guarded.port("mqtt"), guarded.url("http")
    bob = Mosquitto(port)
    heard = bob.subscribe("home/+/temp", "mail/#", options=("-v", "-u", "bob", "-P", "pw"))

    for topic in ("home/hall/temp", "home/safe/temp", "home/hall/light", "mail/bob/1", "mail/alice/1"):
        publish(port, "-u", "alice", "-P", "secret", "-t", topic, "-m", "x", "-r")
    publish(port, "-u", "bob", "-P", "pw", "-t", "mail/bob/1", "-m", "mine", "-r")

    assert heard.lines(2) == ["home/hall/temp x", "mail/bob/1 mine"]  # not what is not his to read or was not hers to write
    assert curl("-u", "bob:pw", http + "/home/hall/temp") == (200, b"x")
    assert curl("-u", "bob:pw", http + "/home/hall/light")[0] == 403
    assert curl("-u", "alice:secret", http + "/home/safe/temp")[0] == 403
    bob.close()


def test_a_name_that_nobody_has_proved_is_no_name(start_bridged, rules):
    program = start_bridged(f"mqtt://127.0.0.1:0?acl_file={rules}", f"{HTTP}?acl_file={rules}")

    curl("-X", "PUT", "-d", "1", "-u", "alice:whatever", program.url("http") + "/home/x")
    done = publish(program.port("mqtt"), "-u", "alice", "-P", "whatever", "-t", "home/x", "-m", "1", "-r")

    assert b"Not authorized" in done.stderr + done.stdout or done.returncode != 0
    assert curl(program.url("http") + "/public/x")[0] == 404
    assert curl("-u", "alice:whatever", program.url("http") + "/home/x")[0] in (401, 403)


def test_anonymous_deny_wants_a_proof(start_bridged):
    program = start_bridged("mqtt://127.0.0.1:0?anonymous=deny")

    for options in ((), ("-u", "alice"), ("-u", "alice", "-P", "x")):
        assert publish(program.port("mqtt"), "-t", "a", "-m", "1", *options).returncode != 0


def test_anonymous_allow_beside_a_password_file(start_bridged, people):
    program = start_bridged(f"mqtt://127.0.0.1:0?anonymous=allow&password_file={people(alice='secret')}")
    port = program.port("mqtt")

    assert publish(port, "-t", "a", "-m", "1").returncode == 0
    assert publish(port, "-t", "a", "-m", "1", "-u", "alice", "-P", "secret").returncode == 0
    assert publish(port, "-t", "a", "-m", "1", "-u", "alice", "-P", "wrong").returncode != 0


@pytest.mark.parametrize("option", ["password_file={people}", "acl_file={rules}", "anonymous=allow", "anonymous=deny"])
def test_others_are_let_in_with_a_policy(start_bridged, people, rules, option):
    option = option.format(people=people(alice="x"), rules=rules)

    assert "0.0.0.0" in start_bridged(f"mqtt://0.0.0.0:0?{option}").urls[0]


@pytest.mark.parametrize("url", ["mqtt://0.0.0.0:0", "mqtt://:0", "mqtt://[::]:0", "http://0.0.0.0:0/resources", "coap://0.0.0.0:0"])
def test_others_are_not_let_in_without(bridged_program, url):
    code, _, err = bridged_program(url)

    assert code == 2 and "password_file=" in err and "anonymous=allow" in err


@pytest.mark.parametrize("option, text, words", [
    ("password_file", "bob:secret\n", "line 1: the password of bob is not hashed"),
    ("acl_file", "user alice\ntopic reed home/#\n", 'line 2: "reed" is none of read, write, readwrite and deny'),
    ("acl_file", None, "No such file"),
])
def test_a_bad_file_is_told_at_the_start(bridged_program, tmp_path, option, text, words):
    path = tmp_path / "bad"
    if text:
        path.write_text(text)

    code, _, err = bridged_program(f"mqtt://127.0.0.1:0?{option}={path}")

    assert code != 0 and words in err and str(path) in err
    assert "secret" not in err


@pytest.mark.parametrize("where", ["bridge", "listener"])
def test_sighup_reads_the_files_again(start_bridged, people, tmp_path, where):
    file = people(alice="old")
    config = tmp_path / "bridge.json"
    if where == "bridge":
        config.write_text(f'{{"listen": ["mqtt://127.0.0.1:0"], "passwords": "{file}"}}')
    else:
        config.write_text(f'{{"listen": ["mqtt://127.0.0.1:0?password_file={file}"]}}')
    program = start_bridged(options=["-c", config], listeners=1)
    port = program.port("mqtt")

    def comes_in(name, password):
        return publish(port, "-t", "a", "-m", "1", "-u", name, "-P", password).returncode == 0

    assert comes_in("alice", "old")
    file.write_text("alice:plain\n")
    program.send_signal(signal.SIGHUP)
    program.wait_for_error("stays as it was")
    assert "is not hashed" in program.errors()
    assert comes_in("alice", "old")  # the old file holds on
    people(alice="new")
    program.send_signal(signal.SIGHUP)
    program.wait_for_error("again")
    assert comes_in("alice", "new") and not comes_in("alice", "old")


def test_rules_are_about_canonical_paths(start_bridged, people, rules, tmp_path):
    config = tmp_path / "bridge.json"
    config.write_text(f"""{{"listen": ["mqtt://127.0.0.1:0", "{HTTP}"], "passwords": "{people(alice='secret', bob='pw')}",
        "allow": "{rules}", "routes": [{{"source": "mqtt:my/{{what}}", "target": "home/{{what}}/temp"}},
                                       {{"source": "mqtt:vault/{{what}}", "target": "home/safe/{{what}}"}}]}}""")
    program = start_bridged(options=["-c", config], listeners=2)
    port, http = program.port("mqtt"), program.url("http")
    alice = Mosquitto(port)
    heard = alice.subscribe("#", options=("-v", "-u", "alice", "-P", "secret"))

    publish(port, "-u", "alice", "-P", "secret", "-t", "vault/key", "-m", "no", "-r")
    publish(port, "-u", "alice", "-P", "secret", "-t", "my/hall", "-m", "yes", "-r")

    assert heard.line() == "my/hall yes"
    assert curl("-u", "bob:pw", http + "/home/hall/temp") == (200, b"yes")
    alice.close()


def test_coap_has_no_names_and_gets_what_the_nameless_get(start_bridged, rules):
    program = start_bridged(f"coap://127.0.0.1:0/r?acl_file={rules}")

    assert b"4.04" in coap_client("-m", "get", program.url("coap") + "/public/x").stdout + \
        coap_client("-m", "get", program.url("coap") + "/public/x").stderr
    said = coap_client("-m", "get", program.url("coap") + "/home/x")
    assert b"4.01" in said.stdout + said.stderr
