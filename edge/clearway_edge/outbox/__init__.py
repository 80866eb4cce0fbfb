"""Batches that wait for the log, and the books about every record.

To be read in this order; each file imports only from those above it:

- ``outbox``: what an outbox promises, and the values that go in and come out;
- ``ledger``: the books in memory, a page for each stream and hour;
- ``batch_store``: where batches lie, and in which order they leave;
- ``eviction``, ``settling``: what a full outbox gives up; how batches leave the books;
- ``ledger_outbox``: what every outbox does alike, over a ledger and a store;
- ``memory_outbox``: the one without a disk;
- ``wal_mending``, ``outbox_file``: the file, opened as it must be, or set aside and begun anew;
- ``sqlite_batches``: the store in that file;
- ``recovery``, ``counts_copy``, ``salvage``: after a crash or damage, the books put right, their
  second copy, and a damaged file read out;
- ``sqlite_outbox``: the one on disk, of all these;
- ``disk_patience``: waits for a disk that takes nothing;
- ``reports``, ``books``: parcels of what the gateway says of itself.
"""
