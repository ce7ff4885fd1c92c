"""What a user agent says of itself: browser, operating system, class of device, robot; by ua-parser."""

from __future__ import annotations

import re

import ua_parser

SPIDER = "Spider"  # ua-parser's device of a robot that it knows
# Robots, monitors and scripts that say what they are. Cubot is a maker of phones.
ROBOT = re.compile(
    r"bot|crawl|spider|slurp|headless|phantomjs|lighthouse|pingdom|uptime|facebookexternalhit|^curl/|^wget/"
    r"|python-requests|python-urllib|scrapy|go-http-client|^java/|okhttp-monitor"
)
CONSOLE = re.compile(r"xbox|playstation|nintendo")
TELEVISION = re.compile(
    r"smart[-_ ]?tv|hbbtv|apple ?tv|google ?tv|android ?tv|web0s|netcast|viera|bravia|roku|crkey|\btv\b"
    r"|\baft[a-z]{1,3}\b"  # Amazon's sticks
)
TABLET = re.compile(r"ipad|tablet|kindle|silk/")
MOBILE_SYSTEMS = frozenset({"iOS", "Windows Phone", "Windows Mobile", "BlackBerry OS", "KaiOS", "Symbian OS"})
DESKTOP = re.compile(r"linux|x11|cros ")


def normalise_user_agent(raw: str) -> tuple[str | None, str | None, str, bool]:
    """The families of browser and operating system (null when unknown), the class of device (mobile, tablet,
    desktop, tv, bot or other), and whether it is a robot."""
    parsed = ua_parser.parse(raw)
    system = parsed.os.family if parsed.os else None
    agent = raw.lower()
    is_spider = parsed.device is not None and parsed.device.family == SPIDER
    is_bot = is_spider or ROBOT.search(agent.replace("cubot", "")) is not None
    browser = parsed.user_agent.family if parsed.user_agent else None
    return browser, system, "bot" if is_bot else _device(agent, system), is_bot


def _device(agent: str, system: str | None) -> str:
    """Android without "mobile" is a tablet, by its makers' convention; old Windows agents name a "Tablet PC"."""
    if CONSOLE.search(agent):
        return "other"
    if TELEVISION.search(agent):
        return "tv"
    if "windows nt" in agent or "macintosh" in agent:
        return "desktop"
    if "iphone" in agent or "ipod" in agent:
        return "mobile"
    if TABLET.search(agent):
        return "tablet"
    if "mobi" in agent or system in MOBILE_SYSTEMS:
        return "mobile"
    if "android" in agent:
        return "tablet"
    return "desktop" if DESKTOP.search(agent) else "other"
