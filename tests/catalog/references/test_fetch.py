"""Fetching from addresses that people type in: every way to be led astray that is known."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from comfy_nodes.outfit_tuner.references import addresses as of_the_pack
from server.catalog.limits import FILE_BYTES
from server.catalog.references.addresses import is_public, place_of
from server.catalog.references.fetch import Fetcher
from server.cli.logs import configure_logging
from server.errors import InvalidReference, TooLarge, VestigeError
from tests.outfit_tuner.references.shop import PUBLIC, Internet, Names, Shop, answer, open_shop, trust

PICTURE = b"\x89PNG, as far as the fetcher cares"
DRESS = "https://shop.example/dress.png?X-Amz-Signature=topsecret"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        shop.pages["/dress.png"] = answer(body=PICTURE)
        shop.pages["/dress.png?X-Amz-Signature=topsecret"] = answer(body=PICTURE)
        yield shop


def fetcher(shop: Shop, names: Names | None = None, network: Internet | None = None, seconds: float = 20.0) -> Fetcher:
    return Fetcher(resolve=names or Names(), network=network or Internet(shop), tls=trust(), seconds=seconds)


async def refused(fetch: Fetcher, url: str) -> str:
    with pytest.raises(VestigeError) as error:
        await fetch.fetch(url)
    assert "topsecret" not in str(error.value.payload())
    assert error.value.message.endswith(".")
    return str(error.value.details.get("reason", error.value.code))


async def test_a_presigned_picture_comes_back(shop: Shop) -> None:
    network = Internet(shop)
    assert await fetcher(shop, network=network).fetch(DRESS) == PICTURE
    assert network.connected == [PUBLIC]
    assert shop.requests[0].startswith(b"GET /dress.png?X-Amz-Signature=topsecret HTTP/1.1\r\nHost: shop.example\r\n")


async def test_what_came_of_it_is_counted(shop: Shop) -> None:
    registry = CollectorRegistry()
    fetch = Fetcher(resolve=Names(), network=Internet(shop), tls=trust(), registry=registry)
    await fetch.fetch(DRESS)
    for url in ("https://shop.example/nothing", "http://shop.example/", "https://shop.example/nothing"):
        await refused(fetch, url)
    outcomes = {"ok": 1, "bad_status": 2, "not_https": 1}
    for outcome, count in outcomes.items():
        assert registry.get_sample_value("vestige_reference_fetches_total", {"outcome": outcome}) == count
    assert registry.get_sample_value("vestige_reference_fetch_seconds_count") == 4


async def test_nothing_is_sent_that_tells_who_asks(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    shop.pages["/again"] = answer(302, location="/dress.png", set_cookie="seen=1; Path=/")
    assert await fetcher(shop).fetch("https://shop.example/again#fragment") == PICTURE
    for request in shop.requests:
        names = {line.partition(b":")[0].lower() for line in request.split(b"\r\n")[1:] if line}
        assert names == {b"host", b"accept", b"accept-encoding", b"user-agent", b"connection"}
        assert b"fragment" not in request


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://shop.example/dress.png", "shop.example"),
        ("https://SHOP.example:443/dress.png", "shop.example"),
        ("https://shop.example:8443/dress.png", "shop.example:8443"),
        ("https://[2606:2800:220:1::1]/dress.png", "[2606:2800:220:1::1]"),
        ("https://bücher.example/kleid-ä.png", "xn--bcher-kva.example"),
    ],
)
def test_the_host_is_named_as_http_wants_it(url: str, named: str) -> None:
    place = place_of(url)
    assert place.name == named
    assert repr(place) == f"Place({place.host}:{place.port})"


async def test_a_name_in_another_alphabet_is_asked_for_in_ascii(shop: Shop) -> None:
    shop.pages["/kleid-%C3%A4.png"] = answer(body=PICTURE)
    assert await fetcher(shop).fetch("https://shop.example/kleid-ä.png") == PICTURE


@pytest.mark.parametrize("kind", ["image/jpeg", "IMAGE/WEBP", "image/png; charset=x", "binary/octet-stream", ""])
async def test_types_that_pictures_come_as(shop: Shop, kind: str) -> None:
    shop.pages["/dress.png"] = answer(body=PICTURE, content_type=kind)
    assert await fetcher(shop).fetch("https://shop.example/dress.png") == PICTURE


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://shop.example/dress.png", "not_https"),
        ("file:///etc/passwd", "not_https"),
        ("gopher://shop.example/", "not_https"),
        ("data:image/png;base64,AAAA", "not_https"),
        ("//shop.example/dress.png", "not_https"),
        ("dress.png", "not_https"),
        ("", "not_https"),
        ("https://", "bad_url"),
        ("https:///dress.png", "bad_url"),
        ("https://shop.example\n.elsewhere.example/", "bad_url"),
        ("https://shop.example%00.elsewhere.example/", "bad_url"),
        ("https://shop.example:99999/", "bad_url|port"),
        ("https://shop.example:0/", "port"),
        ("https://shop.example:22/", "port"),
        ("https://shop.example:6379/", "port"),
        ("https://shop.example/" + "x" * 9000, "bad_url"),
        ("https://me:topsecret@shop.example/", "credentials_in_url"),
        ("https://elsewhere.example\\@shop.example/", "credentials_in_url"),
        ("https://\ud800.example/", "bad_url"),
    ],
)
async def test_addresses_that_are_not_asked(shop: Shop, url: str, reason: str) -> None:
    names = Names()
    assert await refused(fetcher(shop, names), url) in reason.split("|")
    assert (names.asked, shop.connections) == ([], 0)


PRIVATE = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0",  # noqa: S104 # not bound to
    "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "192.0.0.8", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.2.3",
    "240.0.0.1", "255.255.255.255",
    "::1", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "fe80::1", "fe80::1%eth0", "fc00::1",
    "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "3fff::1", "5f00::1", "100::1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808", "4000::1", "localhost", "", "1.2.3",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public_here_and_in_the_pack(address: str) -> None:
    assert not is_public(address)
    assert not of_the_pack.is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", PUBLIC, "2606:2800:220:1::1", "2a00:1450:4001::8a", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_what_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "fd00::1"])
async def test_a_name_that_leads_inside_is_refused(shop: Shop, address: str) -> None:
    for found in ([address], [PUBLIC, address], [address, PUBLIC]):
        network = Internet(shop)
        names = Names(shop_example=[found])
        assert await refused(fetcher(shop, names, network), DRESS) == "private_address"
        assert network.connected == []


async def test_a_name_that_changes_its_answer_gets_no_second_question(shop: Shop) -> None:
    """DNS rebinding: a public address for the check, this machine's for the connection."""
    network, names = Internet(shop), Names(shop_example=[[PUBLIC], ["127.0.0.1"]])
    assert await fetcher(shop, names, network).fetch(DRESS) == PICTURE
    assert (names.asked, network.connected) == (["shop.example"], [PUBLIC])


async def test_a_name_that_changes_its_answer_between_two_hops_is_refused_at_the_second(shop: Shop) -> None:
    shop.pages["/go"] = answer(302, location="/dress.png")
    network, names = Internet(shop), Names(shop_example=[[PUBLIC], ["127.0.0.1"]])
    assert await refused(fetcher(shop, names, network), "https://shop.example/go") == "private_address"
    assert network.connected == [PUBLIC]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "127.1",
        "169.254.169.254",
        "2852039166",
        "[::ffff:169.254.169.254]",
        "①②⑦.⓪.⓪.①",
    ],
)
async def test_no_way_to_write_this_machine_gets_through_with_the_real_resolver(shop: Shop, host: str) -> None:
    network = Internet(shop)
    reason = await refused(Fetcher(network=network, tls=trust()), f"https://{host}/dress.png")
    assert reason in ("private_address", "unreachable", "bad_url")  # not every system knows the odd ones
    assert network.connected == []


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("https://127.0.0.1/dress.png", "private_address"),
        ("https://[::1]/", "private_address"),
        ("https://169.254.169.254/latest/meta-data/", "private_address"),
        ("https://inside.shop.example/dress.png", "private_address"),
        ("http://169.254.169.254/latest/meta-data/", "not_https"),
        ("http://shop.example/dress.png", "not_https"),
        ("file:///etc/passwd", "not_https"),
        ("https://me:topsecret@shop.example/", "credentials_in_url"),
        ("https://shop.example:22/", "port"),
        ("https://[/", "bad_url"),
        ("", "too_many_redirects"),
        ("/loop", "too_many_redirects"),
    ],
)
async def test_redirects_are_checked_like_the_first_address(shop: Shop, location: str, reason: str) -> None:
    async def literal(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host.startswith("inside") else [host] if host[0].isdigit() or ":" in host else [PUBLIC]

    shop.pages["/loop"] = answer(302, location=location)
    network = Internet(shop)
    fetch = Fetcher(resolve=literal, network=network, tls=trust())
    assert await refused(fetch, "https://shop.example/loop") == reason
    assert set(network.connected) == {PUBLIC}


@pytest.fixture
def debugging(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log as `vestige serve --log-level debug` sets it up."""
    configure_logging("debug")
    logging.getLogger().addHandler(caplog.handler)
    return caplog


async def test_a_redirect_is_followed_and_its_signature_stays_unsaid(
    shop: Shop, debugging: pytest.LogCaptureFixture
) -> None:
    shop.pages["/go"] = answer(301, location=DRESS.replace("shop", "other"))
    logging.getLogger("anybody").debug("is written down")
    await refused(fetcher(shop), "https://shop.example/go")  # the certificate is another shop's
    shop.pages["/go"] = answer(301, location=DRESS)
    assert await fetcher(shop).fetch("https://shop.example/go") == PICTURE
    assert "is written down" in debugging.text
    assert "topsecret" not in debugging.text


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (answer(500), "bad_status"),
        (answer(204), "bad_status"),
        (answer(206, b"half"), "bad_status"),
        (answer(304), "bad_status"),
        (answer(body=b"<html>", content_type="text/html"), "not_a_picture"),
        (answer(body=b"<svg/>", content_type="image/svg+xml"), "not_a_picture"),
        (answer(body=b"GIF89a", content_type="image/gif"), "not_a_picture"),
        (answer(body=b"x", content_encoding="gzip"), "packed"),
        (answer(body=b"x", content_encoding="br"), "packed"),
        (answer(body=b"x", content_length=str(FILE_BYTES + 1)), "too_large"),
        (answer(body=b"x", content_length="5"), "unreachable"),
        (b"this is not HTTP\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n", "unreachable"),
        (b"", "unreachable"),
    ],
)
async def test_answers_that_are_no_picture(shop: Shop, page: bytes, reason: str) -> None:
    shop.pages["/dress.png?X-Amz-Signature=topsecret"] = page
    assert await refused(fetcher(shop), DRESS) == reason


@pytest.mark.parametrize("status", [400, 403, 404, 410])
async def test_an_address_that_has_run_out_says_what_to_do(shop: Shop, status: int) -> None:
    shop.pages["/dress.png"] = answer(status, b"<Error>expired</Error>", content_type="application/xml")
    with pytest.raises(InvalidReference, match=f"answered {status}: the address may have expired, so copy a fresh one"):
        await fetcher(shop).fetch("https://shop.example/dress.png")


async def test_a_body_without_end_is_cut_off(shop: Shop) -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        while True:
            writer.write(bytes(2**20))
            await writer.drain()

    shop.pages["/dress.png"] = endless
    with pytest.raises(TooLarge, match="10 MB"):
        await fetcher(shop).fetch("https://shop.example/dress.png")


@pytest.mark.parametrize("where", ["headers", "body"])
async def test_a_drip_is_not_waited_for(shop: Shop, where: str) -> None:
    async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n" + (b"\r\n" if where == "body" else b"X: "))
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    shop.pages["/dress.png"] = drip
    assert await refused(fetcher(shop, seconds=0.4), "https://shop.example/dress.png") == "timeout"


async def test_a_host_that_says_nothing_is_not_waited_for(shop: Shop) -> None:
    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    async def lost(host: str, port: int) -> list[str]:
        await asyncio.sleep(5)
        return [PUBLIC]

    shop.pages["/dress.png"] = silent
    assert await refused(fetcher(shop, seconds=0.3), "https://shop.example/dress.png") == "timeout"
    slow = Fetcher(resolve=lost, network=Internet(shop), tls=trust(), seconds=0.1)
    assert await refused(slow, DRESS) == "timeout"


async def test_name_servers_that_keep_silent_hold_up_nothing_but_fetches(monkeypatch: pytest.MonkeyPatch) -> None:
    silence = threading.Event()

    def ask(*_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        silence.wait(30)
        raise OSError("nobody answers")

    monkeypatch.setattr("server.catalog.references.fetch.socket.getaddrinfo", ask)
    fetch = Fetcher(seconds=0.3)
    fetches = [asyncio.create_task(refused(fetch, f"https://silent-{n}.example/")) for n in range(60)]
    assert await asyncio.to_thread(lambda: "at once") == "at once"
    assert set(await asyncio.gather(*fetches)) == {"timeout"}
    assert not silence.is_set()
    silence.set()


async def test_a_certificate_of_another_name_or_of_nobody_known_is_refused(shop: Shop) -> None:
    assert await refused(fetcher(shop), "https://other.example/dress.png") == "bad_certificate"
    assert await refused(Fetcher(resolve=Names(), network=Internet(shop)), DRESS) == "bad_certificate"
    assert shop.requests == []


async def test_of_several_addresses_one_that_answers_is_enough(shop: Shop) -> None:
    dead = "2606:2800:220:1::1"
    network = Internet(shop, frozenset({dead}))
    names = Names(shop_example=[[dead, PUBLIC]])
    assert await fetcher(shop, names, network).fetch(DRESS) == PICTURE
    assert network.connected == [dead, PUBLIC]
    assert await refused(fetcher(shop, network=Internet(shop, frozenset({PUBLIC}))), DRESS) == "unreachable"
    assert await refused(fetcher(shop, Names(shop_example=[[]])), DRESS) == "unreachable"
