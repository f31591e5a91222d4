"""`python -m serving.healthcheck [URL]`: exit code 0 if the URL answers 200, for a container's HEALTHCHECK.

A slim image has no curl. Only the standard library is imported, so a look costs some 50 ms of CPU.
"""

import sys
import urllib.error
import urllib.request

READY = "http://127.0.0.1:8080/readyz"
TIMEOUT_S = 3.0


def main(arguments: list[str]) -> int:
    """Ask once; says on stderr what is wrong and returns the exit code."""
    url = arguments[0] if arguments else READY
    if not url.startswith("http://"):
        print(f"serving.healthcheck: {url} is no http:// address", file=sys.stderr)
        return 2
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the container itself, never a proxy
    try:
        with opener.open(url, timeout=TIMEOUT_S):
            return 0
    except urllib.error.HTTPError as error:
        print(f"{url} answers {error.code}: {error.read(500).decode(errors='replace')}", file=sys.stderr)
    except OSError as error:
        print(f"{url} does not answer: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
