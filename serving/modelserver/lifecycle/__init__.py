"""The life of a model version: found, loaded, warmed, available, drained, gone.

    manager      what the doors call          settings     what it may be told
    watch        looks at the disk            source       what lies there
    lineup       decides, for one model       engine       does it: threads, lock, table
    loading      folder to ServedVersion      warmup       tfrecord, crc32c: the records replayed
    versions     states, users in flight      routes       a request's look-up, without a lock
    readiness    waiting for models           crew         threads that can be waited for
    batching/    runs put together

Imports only runtimes, metrics and the shared rooms; the doors and their calls lie above.
"""
