"""NMEA receivers, and the lines that bytes come over."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from doubles.edge_doubles import Bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.lines import FileLine, SerialLine, TcpLine
from clearway_edge.sources.nmea import FLAG_HDOP, NmeaSource, SentenceReader, checksum
from clearway_edge.sources.vehicle import VehicleSettings

FRAME = bytes(range(32))


def receiver(vehicle_class=None):
    return VehicleSettings(
        provider="fleet", vehicle="car", vehicle_class=vehicle_class, cut_trip_ends=False
    )


def fixes(data, **more):
    source = NmeaSource(Bytes(data), receiver(**more))
    readings, dropped = [], {}
    over = False
    while not over:
        over = source._line.is_over  # one more read: the line is quiet
        intake = source.read(0)
        readings += intake.readings
        for key, count in intake.dropped.items():
            dropped[key[1]] = dropped.get(key[1], 0) + count
    return readings, dropped


def sentence(body):
    return f"${body}*{checksum(body.encode()):02X}\r\n".encode()


RMC = "GNRMC,103607.25,A,5327.03942,N,00214.42462,W,10.0,270.5,060321,,,A,V"


def test_rmc_becomes_a_fix_west_of_greenwich():
    [reading], dropped = fixes(sentence(RMC))
    assert reading.values["observed_at"] == 1_615_026_967_250
    assert reading.values["lon_deg"] == pytest.approx(-(2 + 14.42462 / 60))
    assert reading.values["lat_deg"] == pytest.approx(53 + 27.03942 / 60)
    assert reading.values["speed_kmh"] == pytest.approx(18.52)
    assert reading.values["heading_deg"] == 270.5
    assert dropped == {}


def test_standing_receiver_has_speed_zero_and_no_course():
    [reading], _ = fixes(sentence(RMC.replace("10.0,270.5", "0.0,")))
    assert reading.values["speed_kmh"] == 0.0
    assert reading.values["heading_deg"] is None


def test_wrong_missing_and_torn_checksums_are_counted_and_not_used():
    good = sentence(RMC)
    wrong = good.replace(b"10.0", b"11.0")
    bare = f"${RMC}\r\n".encode()
    torn = b"$GNRMC,1036" + good
    readings, dropped = fixes(wrong + bare + torn)
    assert len(readings) == 1
    assert dropped == {"bad_checksum": 2}


def test_receiver_without_fix_is_counted_and_has_no_position():
    readings, dropped = fixes(sentence("GNRMC,,V,,,,,,,,,,N,V"))
    assert (readings, dropped) == ([], {"no_fix": 1})


def test_poor_geometry_of_the_same_second_is_flagged():
    gga = "GNGGA,103607.25,5327.03942,N,00214.42462,W,1,06,9.88,56.0,M,48.5,M,,"
    [reading], _ = fixes(sentence(gga) + sentence(RMC))
    assert reading.values["flags"] == FLAG_HDOP
    [other], _ = fixes(sentence(gga.replace("103607", "103606")) + sentence(RMC))
    assert other.values["flags"] is None


@pytest.mark.parametrize("old_new", [("5327.03942", "XXXX"), ("060321", "310221"), (",N,", ",Q,")])
def test_unparsable_field_under_a_right_checksum_is_counted(old_new):
    readings, dropped = fixes(sentence(RMC.replace(*old_new, 1)))
    assert (readings, dropped) == ([], {"unparsable_sentence": 1})


@pytest.mark.real_data
def test_recorded_logs_never_raise_and_broken_ones_are_counted(real_data):
    folder = real_data / "sensors/pynmeagps_logs"
    counts = {}
    for file in sorted(folder.glob("*.log")):
        readings, dropped = fixes(file.read_bytes())
        counts[file.stem] = (len(readings), dropped)
    assert counts["pygpsdata-nmeabadck"] == (1, {"bad_checksum": 2})
    assert counts["pygpsdata-nmeastartup"] == (0, {"no_fix": 1})
    mixed = (folder / "pygpsdata-mixed.log").read_bytes()  # binary frames between the sentences
    assert sum(valid for _, valid in SentenceReader().feed(mixed)) >= 3
    assert sum(n for n, _ in counts.values()) >= 5


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400), st.integers(1, 40))
def test_any_noise_is_survived_and_a_fix_after_it_found(noise, piece):
    source = NmeaSource(Bytes(noise + b"\r\n" + sentence(RMC), piece), receiver())
    found = []
    while not source._line.is_over:
        found += source.read(0).readings
    found += source.read(0).readings
    assert found[-1].values["observed_at"] == 1_615_026_967_250


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), max_size=20))
def test_fixes_do_not_depend_on_how_the_bytes_are_cut(cuts):
    data = sentence(RMC) * 3
    reader, found, start = SentenceReader(), 0, 0
    for cut in [*cuts, len(data)]:
        found += sum(valid for _, valid in reader.feed(data[start : start + cut]))
        start += cut
    found += sum(valid for _, valid in reader.feed(data[start:]))
    assert found == 3


def test_serial_line_reads_a_real_terminal():
    ours, theirs = os.openpty()
    line = SerialLine(os.ttyname(theirs), 9600)
    try:
        assert line.receive(0.01) == b""
        os.write(ours, FRAME)
        received = b""
        while len(received) < 32:
            received += line.receive(1.0)
        assert received == FRAME
    finally:
        line.close()
        os.close(ours)
        os.close(theirs)


def test_missing_serial_port_says_what_to_check():
    with pytest.raises(SourceUnavailable, match="Plug the device in"):
        SerialLine("/dev/does-not-exist", 9600).receive(0.1)


def test_tcp_line_reads_and_notices_the_end():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            connection.sendall(b"$GP")
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        line = TcpLine(*server.getsockname())
        assert line.receive(2.0) == b"$GP"
        with pytest.raises(SourceUnavailable, match="closed the connection"):
            line.receive(2.0)
        thread.join()
        line.close()


def test_file_line_ends_without_an_error(tmp_path):
    file = tmp_path / "log"
    file.write_bytes(b"abc")
    line = FileLine(file)
    assert (line.receive(0), line.receive(0), line.at_end) == (b"abc", b"", True)
    line.close()
