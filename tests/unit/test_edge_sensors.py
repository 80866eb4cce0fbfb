"""NMEA receivers: bytes in, fixes out."""

from __future__ import annotations

import pytest
from doubles.edge_doubles import Bytes
from hypothesis import given, settings
from hypothesis import strategies as st

from clearway_core.errors import SourceUnavailable
from clearway_edge.sources.devices.nmea import FLAG_HDOP, NmeaSource, SentenceReader, checksum
from clearway_edge.sources.vehicle import VehicleSettings


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


# ---------------------------------------------------------------- sentences of one instant

GGA = "GNGGA,103607.25,5327.03942,N,00214.42462,W,1,06,9.88,56.0,M,48.5,M,,"
BARE = RMC.replace("10.0,270.5", ",")
VTG = "GNVTG,270.5,T,,M,10.0,N,18.52,K,A"
GST = "GNGST,103607.25,6.8,8.0,6.0,120.0,3.0,4.0,11.0"


def test_velocity_of_the_same_instant_fills_what_rmc_lacks():
    [reading], _ = fixes(sentence(BARE) + sentence(VTG))
    assert (reading.values["speed_kmh"], reading.values["heading_deg"]) == (18.52, 270.5)
    knots_only = "GPVTG,,T,,M,10.0,N,,K"
    [reading], _ = fixes(sentence(BARE) + sentence(knots_only))
    assert (reading.values["speed_kmh"], reading.values["heading_deg"]) == (18.52, None)


def test_velocity_never_overrides_rmc_and_never_wanders_to_the_next_second():
    other = VTG.replace("18.52", "99.0").replace("270.5", "1.0")
    [reading], _ = fixes(sentence(RMC) + sentence(other))
    assert (reading.values["speed_kmh"], reading.values["heading_deg"]) == (18.52, 270.5)
    later = BARE.replace("103607", "103608")
    first, second = fixes(sentence(BARE) + sentence(VTG) + sentence(later))[0]
    assert first.values["speed_kmh"] == 18.52
    assert second.values["speed_kmh"] is None


def test_first_of_several_talkers_velocities_counts():
    other = VTG.replace("GN", "GA", 1).replace("18.52", "99.0")
    [reading], _ = fixes(sentence(BARE) + sentence(VTG) + sentence(other))
    assert reading.values["speed_kmh"] == 18.52


def test_velocity_before_any_time_counts_only_where_the_line_had_paused():
    torn = sentence(VTG) + sentence(BARE)
    assert fixes(torn)[0][0].values["speed_kmh"] is None
    line = Bytes(b"")
    source = NmeaSource(line, receiver())
    source.read(0)  # quiet: what comes now begins an instant
    line._pieces = [torn]
    assert source.read(0).readings == []
    [reading] = source.read(0).readings
    assert reading.values["speed_kmh"] == 18.52


def test_accuracy_is_told_only_where_the_receiver_reports_it():
    [reading], _ = fixes(sentence(GST) + sentence(RMC))
    assert reading.values["accuracy_m"] == 5.0
    [reading], _ = fixes(sentence(RMC) + sentence(GST.replace("3.0,4.0", ",")))
    assert "accuracy_m" not in reading.values


@pytest.mark.parametrize("data", [GGA, GGA.replace("103607.25", "103607.250")])
def test_geometry_told_after_the_fix_counts_too(data):
    [reading], _ = fixes(sentence(RMC) + sentence(data))
    assert reading.values["flags"] == FLAG_HDOP


@pytest.mark.parametrize("talker", ["GP", "GN", "GL", "GA", "GB", "BD", "GQ", "GI", "IN"])
def test_every_talker_tells_fixes(talker):
    assert len(fixes(sentence(RMC.replace("GN", talker, 1)))[0]) == 1


def test_sentences_of_manufacturers_and_of_ships_are_no_fixes_and_no_errors():
    others = [
        sentence(RMC.replace("GNRMC", "PURMC")),
        sentence("PUBX,00,103607.25,5327.03942,N"),
        sentence("PMTK010,001"),
        b"!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D\r\n",
        b"!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*00\r\n",
        sentence("GNGSV,1,1,00"),
    ]
    readings, dropped = fixes(b"".join(others) + sentence(RMC))
    assert (len(readings), dropped) == (1, {})


def test_fix_told_by_two_talkers_counts_once():
    twice = sentence(RMC.replace("GN", "GP", 1)) + sentence(RMC.replace("GN", "GA", 1))
    readings, dropped = fixes(twice)
    assert (len(readings), dropped) == (1, {"repeated_fix": 1})


@pytest.mark.parametrize(
    ("mode", "outcome"), [("A", None), ("D", None), ("E", "position_estimated"),
                          ("S", "position_estimated"), ("M", "position_estimated")],
)  # fmt: skip
def test_position_that_was_not_measured_is_flagged(mode, outcome):
    [reading], _ = fixes(sentence(RMC.replace(",A,V", f",{mode},V")))
    assert reading.values["flags"] == outcome


def test_mode_without_a_fix_is_none():
    assert fixes(sentence(RMC.replace(",A,V", ",N,N"))) == ([], {"no_fix": 1})


@pytest.mark.parametrize(
    "old_new",
    [("10.0", "nan"), ("10.0", "1_0"), ("270.5", "inf"), ("5327", "5360"), ("060321", "0603210"),
     ("103607.25", "1036"), ("103607.25", "253607.25"), ("00214.42462", "14"), (",W,", ",,")],
)  # fmt: skip
def test_field_that_only_python_would_take_for_a_number_is_none(old_new):
    readings, dropped = fixes(sentence(RMC.replace(*old_new, 1)))
    assert (readings, dropped) == ([], {"unparsable_sentence": 1})


def test_half_a_sentence_is_forgotten_when_the_cable_was_pulled():
    class Pulled(Bytes):
        def receive(self, timeout_s):
            if self.is_over:
                self._pieces = [sentence(RMC)[30:] + sentence(RMC), b""]
                raise SourceUnavailable("gone")
            return super().receive(timeout_s)

    source = NmeaSource(Pulled(sentence(RMC)[:20], 500), receiver())
    assert source.read(0).readings == []
    with pytest.raises(SourceUnavailable):
        source.read(0)
    intakes = [source.read(0), source.read(0)]
    assert [len(intake.readings) for intake in intakes] == [0, 1]
    assert not any(intake.dropped for intake in intakes)


def test_cable_pulled_gives_the_fix_that_waited_first():
    class Pulled(Bytes):
        def receive(self, timeout_s):
            if self.is_over:
                raise SourceUnavailable("gone")
            return super().receive(timeout_s)

    source = NmeaSource(Pulled(sentence(RMC) + b"$GNRMC,10", 500), receiver())
    assert source.read(0).readings == []
    assert len(source.read(0).readings) == 1
    with pytest.raises(SourceUnavailable):
        source.read(0)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 300), max_size=20), st.binary(max_size=30))
def test_fixes_and_counts_do_not_depend_on_the_cuts(cuts, noise):
    later = [text.replace("103607", "103608") for text in (GGA, BARE, VTG)]
    texts = [VTG, GGA, RMC, GST, *later]
    data = b"".join(sentence(text) + noise + b"\n" for text in texts)
    data += sentence(RMC).replace(b"10.0", b"11.0") + b"$" + b"x" * 600 + sentence(RMC)

    def said(pieces):
        line = Bytes(b"")
        line._pieces = [piece for piece in pieces if piece]  # an empty one would be a pause
        source, found, dropped, over = NmeaSource(line, receiver()), [], {}, False
        while not over:
            over = line.is_over
            intake = source.read(0)
            found += [dict(reading.values) for reading in intake.readings]
            for key, count in intake.dropped.items():
                dropped[key] = dropped.get(key, 0) + count
        return found, dropped

    pieces, start = [], 0
    for cut in cuts:
        pieces.append(data[start : start + cut])
        start += cut
    assert said([*pieces, data[start:]]) == said([data])


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
