"""Imported before anything else that opens sockets: gevent's patches, and gRPC's own part in them.

Locust runs its users as greenlets. Without `init_gevent` the first gRPC call of one of them would
stop all the others; it has to come after the patches and before the first channel.
"""

from gevent import monkey

monkey.patch_all()

import grpc.experimental.gevent as grpc_gevent  # noqa: E402  # only now

grpc_gevent.init_gevent()
