"""Documents of a URL: asked now and then, over real sockets."""

from __future__ import annotations

import pytest
from doubles.document_server import DocumentServer
from doubles.edge_certificates import self_signed
from doubles.edge_doubles import TurnableClock

from clearway_core.errors import SettingsError, SourceUnavailable
from clearway_edge.settings.settings import read_settings
from clearway_edge.sources.polled import http_poll
from clearway_edge.sources.polled.http_poll import HttpPoll, PolledSource, PollSettings
from clearway_edge.sources.source import Intake


@pytest.fixture
def server():
    running = DocumentServer()
    yield running
    running.close()


def poll_of(url, **more):
    clock = TurnableClock()
    return HttpPoll(PollSettings(url=url, every_s=10.0, **more), clock), clock


def test_document_is_asked_for_at_its_pace(server):
    server.body = b"one"
    poll, clock = poll_of(server.url)
    assert poll.fetch(0.2) == b"one"
    assert poll.fetch(0.2) is None
    assert (len(server.asked), clock.slept_s) == (1, [0.2])
    clock.forward(10)
    assert poll.fetch(0.2) == b"one"
    assert len(server.asked) == 2


def test_what_has_not_changed_is_not_sent_again(server):
    server.body, server.headers = b"one", {"ETag": '"v1"', "Last-Modified": "yesterday"}
    poll, clock = poll_of(server.url)
    assert poll.fetch(0) == b"one"
    clock.forward(10)
    assert poll.fetch(0) is None
    assert server.asked[1]["if-none-match"] == '"v1"'
    assert server.asked[1]["if-modified-since"] == "yesterday"
    server.body, server.headers = b"two", {"ETag": '"v2"'}
    clock.forward(10)
    assert poll.fetch(0) == b"two"


@pytest.mark.parametrize(("status", "retry"), [(404, None), (500, None), (401, None), (429, "60")])
def test_refusing_server_is_one_clear_line_until_it_answers_again(server, status, retry):
    server.status = status
    server.headers = {} if retry is None else {"Retry-After": retry}
    poll, clock = poll_of(f"{server.url}?key=SECRET")
    for _ in range(2):  # the second time nobody is asked, and it is still so
        with pytest.raises(SourceUnavailable, match=f"answers {status}: expected 200") as caught:
            poll.fetch(0)
        assert "SECRET" not in str(caught.value)
    assert len(server.asked) == 1
    server.status, server.body = 200, b"back"
    clock.forward(10)
    if retry is not None:
        with pytest.raises(SourceUnavailable):
            poll.fetch(0)
        clock.forward(float(retry))
    assert poll.fetch(0) == b"back"
    clock.forward(1)
    assert poll.fetch(0) is None


def test_absent_server_and_unknown_host_are_one_clear_line_each():
    gone = DocumentServer()
    gone.close()
    for url in (gone.url, "http://no-such-host.invalid/feed"):
        with pytest.raises(SourceUnavailable, match=r"cannot be asked: .*Check the address"):
            poll_of(url)[0].fetch(0)


def test_endless_and_dripping_answers_are_cut_off(server, monkeypatch):
    monkeypatch.setattr(http_poll, "MAX_BYTES", 5000)
    server.body = b"x" * 6000
    with pytest.raises(SourceUnavailable, match="more than 5000 bytes"):
        poll_of(server.url)[0].fetch(0)
    monkeypatch.setattr(http_poll, "MAX_BYTES", 10**9)
    monkeypatch.setattr(http_poll, "_ANSWER_S", 0.2)
    server.drip_s = 0.1
    with pytest.raises(SourceUnavailable, match=r"not whole after 0\.2 s"):
        poll_of(server.url)[0].fetch(0)


def test_https_is_checked_and_keys_travel_in_their_header(tmp_path):
    certificate, key = self_signed(tmp_path)
    (tmp_path / "key").write_text("feed-key\n")
    server = DocumentServer(certificate, key)
    try:
        server.body = b"safe"
        trusted, _ = poll_of(
            server.url, ca_file=certificate, key_header="X-Key", key_file=tmp_path / "key"
        )
        assert trusted.fetch(0) == b"safe"
        assert server.asked[0]["x-key"] == "feed-key"
        with pytest.raises(SourceUnavailable, match=r"cannot be asked: .*certificate"):
            poll_of(server.url)[0].fetch(0)
        with pytest.raises(SourceUnavailable, match=r"ca_file .* cannot be used"):
            poll_of(server.url, ca_file=tmp_path / "absent")[0].fetch(0)
    finally:
        server.close()


def test_redirection_to_a_file_is_refused(server, tmp_path):
    (tmp_path / "secret").write_text("secret")
    server.status, server.headers = 302, {"Location": f"file://{tmp_path}/secret"}
    with pytest.raises(SourceUnavailable):
        poll_of(server.url)[0].fetch(0)


def test_unusable_document_is_counted_once_and_said_until_a_good_one_comes(server):
    def decode(body):
        if body == b"bad":
            message = "gives nonsense: expected sense"
            raise ValueError(message)
        return Intake()

    poll, clock = poll_of(server.url)
    source = PolledSource(poll, decode, contract="gps_ping/1")
    server.body = b"bad"
    assert source.read(0).dropped == {("gps_ping/1", "unparsable_document"): 1}
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1:\d+/feed gives nonsense"):
        source.read(0)
    server.body = b"good"
    clock.forward(10)
    assert source.read(0) == Intake()
    assert source.read(0) == Intake()
    source.close()


def test_faults_of_settings_name_line_and_remedy(tmp_path):
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[gateway]\nname = "gw"\ntime_zone = "UTC"\n'
        '[[source]]\nkind = "gtfs_realtime"\nname = "a"\nurl = "ftp://x/y"\nevery_s = 0\n'
        'provider = "P P"\nvehicle_class = "tram"\nkey_header = "X: Y"\n'
        '[[source]]\nkind = "purpleair"\nname = "b"\nurl = "http://[x"\nsensor = "s"\n'
        '[[source]]\nkind = "airgradient"\nname = "c"\nsensor = "s"\nlon_deg = 1\nlat_deg = 1\n'
    )
    with pytest.raises(SettingsError) as caught:
        read_settings(file)
    faults = "\n".join(caught.value.faults)
    for text in (
        "got 'ftp://x/y'", "every_s", "provider", "vehicle_class", "key_file", "key_header",
        "got 'http://[x'", "source[1].lon_deg", "source[2].url: missing", "line 7",
    ):  # fmt: skip
        assert text in faults, text
