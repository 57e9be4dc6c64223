"""The base URL: the usual spellings mean one place, and no other is ever requested."""

import pytest

from pipeline.errors import SettingsError
from pipeline.illuminate.address import Address

LIVE = "https://demo.example.org/live"


def refusal(url: str) -> str:
    with pytest.raises(SettingsError) as error:
        Address.parse(url)
    return str(error.value)


# What is accepted.


@pytest.mark.parametrize(
    "url",
    [
        LIVE,
        f"{LIVE}/",
        f"{LIVE}///",
        f"  {LIVE}\n",
        f"{LIVE}/rest_server.php/Api",
        f"{LIVE}/rest_server.php/Api/",
        f"{LIVE}//rest_server.php/Api//",
        "HTTPS://Demo.Example.ORG/live/",
        LIVE.replace("/live", ":443/live"),
        LIVE.replace("/live", ".:443//live"),
    ],
)
def test_every_usual_spelling_means_the_same_place(url):
    address = Address.parse(url)
    assert address == Address(LIVE)
    assert address.token_url == f"{LIVE}/?OAuth2_AccessToken"
    assert address.method_url("Assessments") == f"{LIVE}/rest_server.php/Api/Assessments/"


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://demo.example.org:8443/dna/", "https://demo.example.org:8443/dna"),
        ("https://demo.example.org", "https://demo.example.org"),
        ("https://[2001:db8::1]:8443/live", "https://[2001:db8::1]:8443/live"),
        ("https://127.0.0.1/live", "https://127.0.0.1/live"),
    ],
)
def test_host_port_and_path_are_kept(url, base):
    assert Address.parse(url).base == base


@pytest.mark.parametrize(
    "base",
    [
        "http://127.0.0.1:8080/live",
        "http://127.8.9.1/live",
        "http://localhost:8080/live",
        "http://[::1]:8080/live",
        "http://[::1]/live",
    ],
)
def test_plain_http_is_accepted_to_this_machine(base):
    assert Address.parse(f"{base}/").base == base


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080", "127.1.2.3:8080"]
)
def test_this_machine_is_one_source_however_it_is_called(host):
    assert Address.parse(f"http://{host}/live/").source == "http://127.0.0.1:8080/live"


def test_any_other_source_is_called_by_its_base_url():
    assert Address.parse(f"{LIVE}/").source == LIVE
    assert Address.parse("https://[2001:db8::1]/live").source == "https://[2001:db8::1]/live"
    assert Address.parse("https://localhost.example/live").source != "https://127.0.0.1/live"


# What is refused.


def test_a_placeholder_is_refused():
    with pytest.raises(SettingsError, match="a placeholder in angle brackets"):
        Address.parse("https://<district>.illuminateed.com/live")


@pytest.mark.parametrize(
    "url",
    [
        "http://demo.example.org/live",
        "http://127.0.0.1.evil.test/live",
        "http://localhost.evil.test/live",
        "http://evil-localhost/live",
        "http://0.0.0.0/live",
        "http://10.0.0.1/live",
        "http://[2001:db8::1]/live",
        "http://127.0.0.1\\.evil.test/live",
        "http://127.1/live",
        "http://2130706433/live",
    ],
)
def test_plain_http_to_another_machine_is_refused(url):
    assert "https" in refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost@evil.test/live",
        "http://127.0.0.1:80@evil.test/live",
        "https://clara:canary-7Kq@demo.example.org/live",
        "https://canary-7Kq@demo.example.org/live",
        "http://clara:canary-7Kq@127.0.0.1/live",
        "https://clara:canary-7Kq@[::1/live",
        "https://clara:canary-7Kq@demo.example.org:port/live",
        "https://clara:canary-7Kq@demo\u2100.example.org/live",
        "ftp://clara:canary-7Kq@demo.example.org/live",
    ],
)
def test_credentials_in_the_url_are_refused_and_not_repeated(url):
    text = refusal(url)
    assert "canary-7Kq" not in text
    assert "clara" not in text


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "/",
        "demo.example.org/live",
        "//demo.example.org/live",
        "https://",
        "https:///live",
        "https://:8080/live",
        "ftp://demo.example.org/live",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://demo.example.org/live?year=23",
        "https://demo.example.org/live#top",
        "https://demo.example.org:port/live",
        "https://demo.example.org:99999/live",
        "https://[::1/live",
        "https://[no-address]/live",
        "https://demo\u2100.example.org/live",
    ],
)
def test_what_is_no_web_address_is_refused_by_the_name_of_its_setting(url):
    assert "ILLUMINATE_BASE_URL" in refusal(url)
