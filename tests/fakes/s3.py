"""An S3 in this process: moto's server. It takes any signature."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.server import ThreadedMotoServer

BUCKET = "pictures"


@contextmanager
def s3_server() -> Iterator[str]:
    """The address of an S3."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def emptied(address: str) -> dict[str, str]:
    """The S3 with nothing but an empty bucket `pictures`; the environment that leads there."""
    with httpx.Client(base_url=address, trust_env=False) as client:
        client.post("/moto-api/reset").raise_for_status()
        client.put(f"/{BUCKET}").raise_for_status()
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
    }
