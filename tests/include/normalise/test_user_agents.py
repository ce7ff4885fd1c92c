"""User agents: browser, system, device and robot."""

from __future__ import annotations

import pytest

from include.normalise.user_agents import normalise_user_agent

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"
SAFARI = "AppleWebKit/605.1 Version/17.0"


@pytest.mark.parametrize(
    ("agent", "browser", "system", "device"),
    [
        (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", "Chrome", "Windows", "desktop"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1 Version/17.0 Safari/605.1", "Safari",
         "Mac OS X", "desktop"),
        (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36", "Chrome", "Chrome OS", "desktop"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "Firefox", "Linux", "desktop"),
        ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Tablet PC 2.0)", "IE", "Windows", "desktop"),
        (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) {SAFARI} Mobile/15E Safari/604.1",
         "Mobile Safari", "iOS", "mobile"),
        (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36", "Chrome Mobile", "Android",
         "mobile"),
        (f"Mozilla/5.0 (Linux; Android 9; CUBOT X19) {CHROME} Mobile Safari/537.36", "Chrome Mobile", "Android",
         "mobile"),
        (f"Mozilla/5.0 (Linux; Android 13; SM-X700) {CHROME} Safari/537.36", "Chrome", "Android", "tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1 Version/16.6 Mobile/15E Safari/604.1",
         "Mobile Safari", "iOS", "tablet"),
        ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 Chrome/79.0 Safari/537.36", "Chrome", "Web0S", "tv"),
        (f"Mozilla/5.0 (Linux; Android 9; AFTS) {CHROME} Mobile Safari/537.36", "Chrome Mobile", "Android", "tv"),
        ("Dalvik/2.1.0 (Linux; U; Android 14; SM-S918B Build/UP1A)", "Android", "Android", "mobile"),
        ("Dalvik/2.1.0 (Linux; U; Android 13; SM-X700 Build/TP1A)", "Android", "Android", "tablet"),
        ("Dalvik/2.1.0 (Linux; U; Android 10; Lenovo TB-X606F Build/QP1A)", "Android", "Android", "tablet"),
        ("Dalvik/2.1.0 (Linux; U; Android 13; Redmi Pad Build/TP1A)", "Android", "Android", "tablet"),
        ("okhttp/4.12.0", "okhttp", None, "other"),
        ("Roku/DVP-9.10 (519.10E04111A)", "Roku", "Roku", "tv"),
        ("Mozilla/5.0 (PlayStation 4 3.11) AppleWebKit/537.73", None, None, "other"),
        ("whatever", None, None, "other"),
    ],
)  # fmt: skip
def test_an_agent_tells_browser_system_and_device(agent, browser, system, device):
    assert normalise_user_agent(agent) == (browser, system, device, False)


@pytest.mark.parametrize(
    "agent",
    [
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (Linux; Android 6.0.1) AppleWebKit/537.36 Chrome/120.0 Mobile (compatible; Googlebot/2.1)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/120.0 Safari/537.36",
        "Mozilla/5.0 (compatible; YandexImages/3.0; +http://yandex.com/bots)",
        "facebookexternalhit/1.1",
        "Mediapartners-Google",
        "Mozilla/5.0 (compatible; GoogleOther)",
        "Claude-User/1.0",
        "ELB-HealthChecker/2.0",
        "Site24x7",
    ],
)
def test_robots_say_what_they_are(agent):
    assert normalise_user_agent(agent)[2:] == ("bot", True)


@pytest.mark.parametrize(
    "agent",
    [
        "curl/8.4.0",
        "python-requests/2.31",
        "Python/3.11 aiohttp/3.9.5",
        "axios/1.6.0",
        "PostmanRuntime/7.36.0",
    ],
)
def test_programs_are_robots_of_their_own_kind(agent):
    assert normalise_user_agent(agent)[2:] == ("program", True)
