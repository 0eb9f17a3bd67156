"""Fetching from addresses that people type in: what is allowed, and every way to be led astray that is known."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from comfy_nodes.outfit_tuner.pictures import MAX_BYTES
from comfy_nodes.outfit_tuner.references import AllowedHosts, Fetcher, FetchError
from comfy_nodes.outfit_tuner.references.addresses import is_public
from tests.outfit_tuner.references.shop import PUBLIC, Internet, Names, Shop, answer, open_shop, trust

PICTURE = b"\x89PNG, as far as the fetcher cares"
DRESS = "https://shop.example/dress.png?X-Amz-Signature=topsecret"


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with open_shop() as shop:
        shop.pages["/dress.png"] = answer(body=PICTURE)
        shop.pages["/dress.png?X-Amz-Signature=topsecret"] = answer(body=PICTURE)
        yield shop


def fetcher(
    shop: Shop,
    hosts: str = "shop.example *.shop.example cdn.example",
    names: Names | None = None,
    network: Internet | None = None,
    seconds: float = 20.0,
) -> Fetcher:
    return Fetcher(
        AllowedHosts(hosts), resolve=names or Names(), network=network or Internet(shop), tls=trust(), seconds=seconds
    )


async def refused(fetch: Fetcher, url: str) -> str:
    with pytest.raises(FetchError) as error:
        await fetch.fetch(url)
    assert "topsecret" not in str(error.value)
    assert str(error.value).endswith(".")
    return error.value.code


async def test_a_picture_of_an_allowed_host_comes_back(shop: Shop) -> None:
    network = Internet(shop)
    assert await fetcher(shop, network=network).fetch(DRESS) == PICTURE
    assert network.connected == [PUBLIC]
    assert shop.requests[0].startswith(b"GET /dress.png?X-Amz-Signature=topsecret HTTP/1.1\r\nHost: shop.example\r\n")


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
        ("https://shop.example:8443/dress.png", "shop.example:8443"),
        ("https://[2606:2800:220:1::1]/dress.png", "[2606:2800:220:1::1]"),
    ],
)
def test_the_host_is_named_as_http_wants_it(url: str, named: str) -> None:
    place = AllowedHosts("* *:8443").check(url)
    assert place.name == named
    assert repr(place) == f"Place({place.host}:{place.port})"


@pytest.mark.parametrize("kind", ["image/jpeg", "IMAGE/WEBP", "image/png; charset=x", "binary/octet-stream", ""])
async def test_types_that_pictures_come_as(shop: Shop, kind: str) -> None:
    shop.pages["/dress.png"] = answer(body=PICTURE, content_type=kind)
    assert await fetcher(shop).fetch("https://shop.example/dress.png") == PICTURE


@pytest.mark.parametrize(
    ("hosts", "url", "code"),
    [
        ("", DRESS, "no_hosts_allowed"),
        (" , ", DRESS, "no_hosts_allowed"),
        ("shop.example", "http://shop.example/dress.png", "not_https"),
        ("shop.example", "file:///etc/passwd", "not_https"),
        ("shop.example", "gopher://shop.example/", "not_https"),
        ("shop.example", "//shop.example/dress.png", "not_https"),
        ("shop.example", "dress.png", "not_https"),
        ("shop.example", "", "not_https"),
        ("shop.example", "https://", "bad_url"),
        ("*", "https:///dress.png", "bad_url"),
        ("shop.example", "https://shop.example\n.elsewhere.example/", "bad_url"),
        ("*", "https://shop.example%00.elsewhere.example/", "bad_url"),
        ("shop.example", "https://shop.example:99999/", "bad_url"),
        ("shop.example", "https://shop.example:0/", "bad_url"),
        ("shop.example", "https://shop.example/" + "x" * 9000, "bad_url"),
        ("shop.example", "https://me:topsecret@shop.example/", "credentials_in_url"),
        ("shop.example", "https://elsewhere.example\\@shop.example/", "credentials_in_url"),
        ("shop.example", "https://elsewhere.example/", "host_not_allowed"),
        ("shop.example", "https://shop.example.elsewhere.example/", "host_not_allowed"),
        ("shop.example", "https://notshop.example/", "host_not_allowed"),
        ("shop.example", "https://www.shop.example/", "host_not_allowed"),
        ("*.shop.example", "https://shop.example/", "host_not_allowed"),
        ("*.shop.example", "https://notshop.example/", "host_not_allowed"),
        ("shop.example", "https://shop.example:8443/", "host_not_allowed"),
        ("*", "https://shop.example:22/", "host_not_allowed"),
        ("shop.example", "https://127.0.0.1/", "host_not_allowed"),
    ],
)
async def test_addresses_that_are_not_asked(shop: Shop, hosts: str, url: str, code: str) -> None:
    names = Names()
    assert await refused(fetcher(shop, hosts, names), url) == code
    assert (names.asked, shop.connections) == ([], 0)


@pytest.mark.parametrize(
    ("hosts", "url"),
    [
        ("shop.example", "https://SHOP.example/dress.png"),
        ("cdn.example, SHOP.example", "https://shop.example:443/dress.png"),
        ("https://shop.example:443/", "https://shop.example/dress.png"),
        ("*.shop.example", "https://a.shop.example/dress.png"),
        ("*.example", "https://shop.example/dress.png"),
        ("*", "https://shop.example/dress.png"),
        ("shop.example:8443", "https://shop.example:8443/dress.png"),
        ("*:8443", "https://shop.example:8443/dress.png"),
    ],
)
async def test_addresses_that_are(shop: Shop, hosts: str, url: str) -> None:
    assert await fetcher(shop, hosts).fetch(url) == PICTURE


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
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", PUBLIC, "2606:2800:220:1::1", "2a00:1450:4001::8a", "::ffff:8.8.8.8", "64:ff9b::808:808"],
)
def test_what_is(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "fd00::1"])
async def test_an_allowed_name_that_leads_inside_is_refused(shop: Shop, address: str) -> None:
    for found in ([address], [PUBLIC, address], [address, PUBLIC]):
        network = Internet(shop)
        names = Names(shop_example=[found])
        assert await refused(fetcher(shop, names=names, network=network), DRESS) == "private_address"
        assert network.connected == []


async def test_a_name_that_changes_its_answer_gets_no_second_question(shop: Shop) -> None:
    """DNS rebinding: a public address for the check, this machine's for the connection."""
    network, names = Internet(shop), Names(shop_example=[[PUBLIC], ["127.0.0.1"]])
    assert await fetcher(shop, names=names, network=network).fetch(DRESS) == PICTURE
    assert (names.asked, network.connected) == (["shop.example"], [PUBLIC])


async def test_a_name_that_changes_its_answer_between_two_hops_is_refused_at_the_second(shop: Shop) -> None:
    shop.pages["/go"] = answer(302, location="/dress.png")
    network, names = Internet(shop), Names(shop_example=[[PUBLIC], ["127.0.0.1"]])
    code = await refused(fetcher(shop, names=names, network=network), "https://shop.example/go")
    assert (code, network.connected) == ("private_address", [PUBLIC])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "0", "[::1]", "[::ffff:127.0.0.1]", "127.1"],
)
async def test_no_way_to_write_this_machine_gets_through_with_the_real_resolver(shop: Shop, host: str) -> None:
    fetch = Fetcher(AllowedHosts(f"*:{shop.port}"), tls=trust())
    code = await refused(fetch, f"https://{host}:{shop.port}/dress.png")
    assert code in ("private_address", "unreachable", "bad_url")  # not every system knows the odd ones
    assert shop.connections == 0


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("https://127.0.0.1/dress.png", "host_not_allowed"),
        ("https://2130706433/", "host_not_allowed"),
        ("https://[::1]/", "host_not_allowed"),
        ("https://169.254.169.254/latest/meta-data/", "host_not_allowed"),
        ("https://elsewhere.example/dress.png", "host_not_allowed"),
        ("//elsewhere.example/dress.png", "host_not_allowed"),
        ("http://shop.example/dress.png", "not_https"),
        ("file:///etc/passwd", "not_https"),
        ("https://me:topsecret@shop.example/", "credentials_in_url"),
        ("https://shop.example:22/", "host_not_allowed"),
        ("https://inside.shop.example/dress.png", "private_address"),
        ("https://[/", "bad_url"),
        ("", "bad_answer"),
        ("/loop", "too_many_redirects"),
    ],
)
async def test_redirects_are_checked_like_the_first_address(shop: Shop, location: str, code: str) -> None:
    shop.pages["/loop"] = answer(302, location=location)
    names = Names(inside_shop_example=[["127.0.0.1"]])
    assert await refused(fetcher(shop, names=names), "https://shop.example/loop") == code


async def test_a_redirect_to_this_machine_is_refused_even_where_every_host_is_allowed(shop: Shop) -> None:
    shop.pages["/go"] = answer(307, location=f"https://127.0.0.1:{shop.port}/dress.png")
    network = Internet(shop)

    async def literal(host: str, port: int) -> list[str]:
        return [host] if host[0].isdigit() else [PUBLIC]

    fetch = Fetcher(AllowedHosts(f"* *:{shop.port}"), resolve=literal, network=network, tls=trust())
    assert await refused(fetch, "https://shop.example/go") == "private_address"
    assert network.connected == [PUBLIC]


async def test_an_allowed_redirect_is_followed_and_its_signature_stays_unsaid(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shop.pages["/go"] = answer(301, location="https://cdn.example/dress.png?X-Amz-Signature=topsecret")
    assert await fetcher(shop).fetch("https://shop.example/go") == PICTURE
    assert "topsecret" not in caplog.text


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (answer(403, b"<Error>expired</Error>", content_type="application/xml"), "bad_status"),
        (answer(500), "bad_status"),
        (answer(204), "bad_status"),
        (answer(206, b"half"), "bad_status"),
        (answer(body=b"<html>", content_type="text/html"), "not_a_picture"),
        (answer(body=b"<svg/>", content_type="image/svg+xml"), "not_a_picture"),
        (answer(body=b"GIF89a", content_type="image/gif"), "not_a_picture"),
        (answer(body=b"x", content_encoding="gzip"), "bad_answer"),
        (answer(body=b"x", content_encoding="br"), "bad_answer"),
        (answer(body=b"x", content_length=str(MAX_BYTES + 1)), "too_large"),
        (answer(body=b"x", content_length="5"), "unreachable"),
        (b"this is not HTTP\r\n\r\n", "unreachable"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000 + b"\r\n\r\n", "unreachable"),
        (b"", "unreachable"),
    ],
)
async def test_answers_that_are_no_picture(shop: Shop, page: bytes, code: str) -> None:
    shop.pages["/dress.png?X-Amz-Signature=topsecret"] = page
    assert await refused(fetcher(shop), DRESS) == code


async def test_a_body_without_end_is_cut_off(shop: Shop) -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
        while True:
            writer.write(bytes(2**20))
            await writer.drain()

    shop.pages["/dress.png"] = endless
    assert await refused(fetcher(shop), "https://shop.example/dress.png") == "too_large"


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
    slow = Fetcher(AllowedHosts("shop.example"), resolve=lost, network=Internet(shop), tls=trust(), seconds=0.1)
    assert await refused(slow, DRESS) == "timeout"


async def test_a_certificate_of_another_name_or_of_nobody_known_is_refused(shop: Shop) -> None:
    assert await refused(fetcher(shop, "other.example"), "https://other.example/dress.png") == "bad_certificate"
    stranger = Fetcher(AllowedHosts("shop.example"), resolve=Names(), network=Internet(shop))
    assert await refused(stranger, DRESS) == "bad_certificate"
    assert shop.requests == []


async def test_of_several_addresses_one_that_answers_is_enough(shop: Shop) -> None:
    dead = "2606:2800:220:1::1"
    network = Internet(shop, frozenset({dead}))
    names = Names(shop_example=[[dead, PUBLIC]])
    assert await fetcher(shop, names=names, network=network).fetch(DRESS) == PICTURE
    assert network.connected == [dead, PUBLIC]
    nowhere = Internet(shop, frozenset({PUBLIC}))
    assert await refused(fetcher(shop, network=nowhere), DRESS) == "unreachable"
    assert await refused(fetcher(shop, names=Names(shop_example=[[]])), DRESS) == "unreachable"
