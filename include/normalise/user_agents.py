"""What a user agent says of itself: browser, operating system, class of device, robot; by ua-parser."""

from __future__ import annotations

import re

import ua_parser

SPIDER = "Spider"  # ua-parser's device of a robot that it knows
# Robots and monitors that say what they are. Cubot is a maker of phones.
ROBOT = re.compile(
    r"bot|crawl|spider|slurp|headless|phantomjs|playwright|puppeteer|selenium|cypress|scrapy"
    # Google's, Meta's and those of language models that are not called bots.
    r"|mediapartners-google|apis-google|feedfetcher|google-read-aloud|googleother|google-inspectiontool"
    r"|facebookexternalhit|facebookcatalog|meta-external|anthropic-ai|claude-(user|web)|perplexity-user"
    r"|chatgpt-user|bingpreview|siteaudit|dataprovider|embedly"
    # Monitors, and health checks of load balancers.
    r"|lighthouse|pingdom|uptime|site24x7|statuscake|synthetics|healthchecker|googlehc|kube-probe|blackbox exporter"
    r"|^prometheus|^zabbix|^amazon cloudfront"
)
# What programs ask with. The apps of people say okhttp, CFNetwork or Dart, which is no sign of one.
PROGRAM = re.compile(
    r"^curl/|^wget/|^java/|^ruby|^undici|^axios/|python-requests|python-urllib|python-httpx|aiohttp|go-http-client"
    r"|node-fetch|apache-httpclient|guzzlehttp|libwww-perl|postmanruntime|httpie|okhttp-monitor"
)
CONSOLE = re.compile(r"xbox|playstation|nintendo")
TELEVISION = re.compile(
    r"smart[-_ ]?tv|hbbtv|apple ?tv|google ?tv|android ?tv|web0s|netcast|viera|bravia|roku|crkey|\btv\b"
    r"|\baft[a-z]{1,3}\b"  # Amazon's sticks
)
TABLET = re.compile(r"ipad|tablet|kindle|silk/")
MOBILE_SYSTEMS = frozenset({"iOS", "Windows Phone", "Windows Mobile", "BlackBerry OS", "KaiOS", "Symbian OS"})
DESKTOP = re.compile(r"linux|x11|cros ")
# What Android apps send, phones and tablets alike, and what makers call their tablets.
ANDROID_APP = "dalvik/"
TABLET_MODEL = re.compile(r"\bsm-[tx]\d|\btab\b|\btb-?[x\d]|\b(media|mate)?pad\b")


def normalise_user_agent(raw: str) -> tuple[str | None, str | None, str, bool]:
    """The families of browser and operating system (null when unknown), the class of device (mobile, tablet,
    desktop, tv, bot, program or other), and whether it is a robot; a program is one, unless a server says by it what
    people did."""
    parsed = ua_parser.parse(raw)
    system = parsed.os.family if parsed.os else None
    agent = raw.lower()
    is_spider = parsed.device is not None and parsed.device.family == SPIDER
    browser = parsed.user_agent.family if parsed.user_agent else None
    if PROGRAM.search(agent):
        return browser, system, "program", True
    is_bot = is_spider or ROBOT.search(agent.replace("cubot", "")) is not None
    return browser, system, "bot" if is_bot else _device(agent, system), is_bot


def _device(agent: str, system: str | None) -> str:
    """Android without "mobile" is a tablet, by its makers' convention, which browsers keep and apps do not; old Windows
    agents name a "Tablet PC"."""
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
        is_phone = agent.startswith(ANDROID_APP) and not TABLET_MODEL.search(agent)
        return "mobile" if is_phone else "tablet"
    return "desktop" if DESKTOP.search(agent) else "other"
