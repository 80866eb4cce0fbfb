-- Fixes to cells: see congestion_engines.py. A pseudonym is a 128-bit number, which is what a uuid
-- is too: cheaper to compare than text, and unique over providers.
with fixes as (
  select provider, vehicle::uuid as vehicle, epoch_ms(observed_at) as at_ms,
         lon_deg, lat_deg, speed_kmh, occupied, h3_cell
  from read_parquet('$files', hive_partitioning = false)
  where not (lon_deg = 0 and lat_deg = 0) and (accuracy_m is null or accuracy_m <= 50)
),
-- duplicates: the same instant, or the same place within a second where no speed is reported
neighbours as (
  select *,
    lag(at_ms) over w as at_before, lag(lon_deg) over w as lon_before,
    lag(lat_deg) over w as lat_before
  from fixes
  window w as (partition by vehicle order by at_ms)
),
once as (
  select * exclude (at_before, lon_before, lat_before)
  from neighbours
  where at_before is null
     or not (at_ms = at_before
             or (at_ms - at_before <= 1000 and speed_kmh is null
                 and lon_deg = lon_before and lat_deg = lat_before))
),
-- jumps: neither the fix before nor the one after can be reached; they stand alone
steps as (
  select *,
    at_ms - lag(at_ms) over w as ms_before, lead(at_ms) over w - at_ms as ms_after,
    lag(lon_deg) over w as lon_before, lag(lat_deg) over w as lat_before,
    lead(lon_deg) over w as lon_after, lead(lat_deg) over w as lat_after
  from once
  window w as (partition by vehicle order by at_ms)
),
good as (
  select * exclude (ms_before, ms_after, lon_before, lat_before, lon_after, lat_after)
  from steps
  where not coalesce(
    ms_before <= 300000 and ms_after <= 300000
    and 2 * 6371008.8 * asin(sqrt(
      sin(radians(lat_deg - lat_before) / 2) ** 2 + cos(radians(lat_deg))
      * cos(radians(lat_before)) * sin(radians(lon_deg - lon_before) / 2) ** 2))
      > 160 / 3600 * ms_before
    and 2 * 6371008.8 * asin(sqrt(
      sin(radians(lat_deg - lat_after) / 2) ** 2 + cos(radians(lat_deg))
      * cos(radians(lat_after)) * sin(radians(lon_deg - lon_after) / 2) ** 2))
      > 160 / 3600 * ms_after,
    false)
),
-- legs: each fix with the one before it
paired as (
  select *,
    lag(at_ms) over w as start_ms, lag(lon_deg) over w as start_lon,
    lag(lat_deg) over w as start_lat, lag(speed_kmh) over w as start_kmh,
    lag(h3_cell) over w as start_cell
  from good
  window w as (partition by vehicle order by at_ms)
),
-- halts: a run of fixes at one place for more than three minutes
placed as (
  select *,
    coalesce(lon_deg = start_lon and lat_deg = start_lat, false) as stays,
    count(*) filter (where start_lon is null or lon_deg <> start_lon or lat_deg <> start_lat)
      over (partition by vehicle order by at_ms rows unbounded preceding) as place
  from paired
),
halts as (
  select vehicle, place from placed where stays
  group by all having max(at_ms) - min(start_ms) > 180000
),
sorted as (
  select placed.*,
    case
      when start_ms is null or at_ms - start_ms > 120000 or not occupied then null
      when stays and halts.place is not null then 'dwell'
      when speed_kmh is not null and start_kmh is not null and at_ms - start_ms <= 15000
        then 'reported'
      else 'path'
    end as kind
  from placed left join halts
    on placed.vehicle = halts.vehicle and placed.place = halts.place and placed.stays
),
ended as (
  select *,
    kind is not null
      or coalesce(lead(kind) over (partition by vehicle order by at_ms) is not null, false)
      as counted
  from sorted
),
legs as (
  select provider, vehicle, kind, start_ms, at_ms - start_ms as whole_ms, start_cell, h3_cell,
    (case kind
       when 'dwell' then 0
       when 'reported' then round_even((start_kmh + speed_kmh) * (1 / 7.2)::double * (at_ms - start_ms), 0)
       else round_even(1000 * 2 * 6371008.8 * asin(sqrt(
         sin(radians(lat_deg - start_lat) / 2) ** 2 + cos(radians(start_lat))
         * cos(radians(lat_deg)) * sin(radians(lon_deg - start_lon) / 2) ** 2)), 0)
     end)::bigint as whole_mm
  from ended where kind is not null
),
-- a leg that ends in another cell is cut at half its time, and each part at the window's end
halves as (
  select *, unnest(case when start_cell <> h3_cell and kind <> 'dwell' then [0, 1] else [2] end)
    as half
  from legs
),
parts as (
  select * exclude (start_cell, h3_cell, half),
    case half when 1 then h3_cell else start_cell end as cell,
    case half when 1 then whole_ms // 2 else 0 end as from_ms,
    case half when 0 then whole_ms // 2 else whole_ms end as to_ms
  from halves
),
windows as (
  select *, (start_ms + from_ms) // 900000 as first_window,
    unnest(case when (start_ms + to_ms - 1) // 900000 > (start_ms + from_ms) // 900000
                then [0, 1] else [2] end) as side
  from parts
),
pieces as (
  select provider, vehicle, kind, whole_ms, whole_mm, cell,
    case side when 1 then first_window + 1 else first_window end as quarter,
    case side when 1 then (first_window + 1) * 900000 - start_ms else from_ms end as from_ms,
    case side when 0 then (first_window + 1) * 900000 - start_ms else to_ms end as to_ms
  from windows
),
shares as (
  select provider, vehicle, cell, quarter, kind, whole_ms, to_ms - from_ms as ms,
    whole_mm * to_ms // whole_ms - whole_mm * from_ms // whole_ms as mm,
    (kind <> 'dwell' and from_ms <= whole_ms // 2 and whole_ms // 2 < to_ms)::bigint as legs
  from pieces
),
by_vehicle as (
  select any_value(provider) as provider, vehicle, cell, quarter,
    sum(mm)::bigint as distance_mm,
    coalesce(sum(ms) filter (where kind <> 'dwell'), 0)::bigint as duration_ms,
    coalesce(sum(ms) filter (where kind = 'dwell'), 0)::bigint as dwell_ms,
    sum(legs)::bigint as n_legs,
    coalesce(sum(ms) filter (where kind <> 'dwell' and whole_ms <= 15000), 0)::bigint
      as gap_15s_ms,
    coalesce(sum(ms) filter (where kind <> 'dwell' and whole_ms > 15000
                             and whole_ms <= 60000), 0)::bigint as gap_60s_ms,
    coalesce(sum(ms) filter (where kind <> 'dwell' and whole_ms > 60000
                             and whole_ms <= 120000), 0)::bigint as gap_120s_ms,
    coalesce(sum(ms) filter (where kind <> 'dwell' and whole_ms > 120000), 0)::bigint
      as gap_long_ms,
    coalesce(sum(ms) filter (where kind = 'reported'), 0)::bigint as reported_ms
  from shares group by vehicle, cell, quarter
),
seen as (
  select any_value(provider) as provider, vehicle, h3_cell as cell, at_ms // 900000 as quarter,
    count(*) as n_pings
  from ended where counted group by all
),
vehicles as (
  select coalesce(b.provider, s.provider) as provider, cell, quarter,
    coalesce(distance_mm, 0) as distance_mm, coalesce(duration_ms, 0) as duration_ms,
    coalesce(dwell_ms, 0) as dwell_ms, coalesce(n_pings, 0) as n_pings,
    coalesce(n_legs, 0) as n_legs, coalesce(gap_15s_ms, 0) as gap_15s_ms,
    coalesce(gap_60s_ms, 0) as gap_60s_ms, coalesce(gap_120s_ms, 0) as gap_120s_ms,
    coalesce(gap_long_ms, 0) as gap_long_ms, coalesce(reported_ms, 0) as reported_ms,
    (coalesce(distance_mm, 0) + 50) // 100 as dm, (coalesce(duration_ms, 0) + 50) // 100 as ds
  from by_vehicle b full join seen s using (vehicle, cell, quarter)
)
select cell as h3_cell, make_timestamp(quarter * 900000000) as window_start,
  sum(distance_mm)::bigint as distance_mm, sum(duration_ms)::bigint as duration_ms,
  sum(dwell_ms)::bigint as dwell_ms, sum(n_pings)::bigint as n_pings,
  sum(n_legs)::bigint as n_legs, sum(gap_15s_ms)::bigint as gap_15s_ms,
  sum(gap_60s_ms)::bigint as gap_60s_ms, sum(gap_120s_ms)::bigint as gap_120s_ms,
  sum(gap_long_ms)::bigint as gap_long_ms, sum(reported_ms)::bigint as reported_ms,
  count(*) filter (where duration_ms > 0 and n_pings > 0) as n_vehicles,
  count(distinct provider) filter (where duration_ms > 0 and n_pings > 0) as n_providers,
  max(duration_ms) as top_vehicle_ms,
  sum(dm * dm)::bigint as distance_sq_dm2, sum(ds * ds)::bigint as duration_sq_ds2,
  sum(dm * ds)::bigint as distance_duration_dm_ds
from vehicles
group by cell, quarter
having sum(duration_ms) > 0
