"""Names, places and devices that the demo is made of. All of it invented or reserved for fiction:
e-mail and web addresses below example.com, example.net and example.org (RFC 2606), telephone numbers from
555-0100 upwards, IP addresses of the benchmarking and carrier ranges (RFC 2544, RFC 6598)."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FEMALE = _words("""
Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Betty Sandra Margaret Ashley
Kimberly Emily Donna Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Sharon Laura Cynthia Dorothy Amy Kathleen
Angela Shirley Emma Brenda Pamela Nicole Anna Samantha Katherine Christine Helen Debra Rachel Carolyn Janet Maria
Catherine Heather Diane Olivia Julie Joyce Victoria Ruth Virginia Lauren Kelly Christina Joan Evelyn Judith Andrea
Hannah Megan Cheryl Jacqueline Martha Madison Teresa Gloria Sara Janice Ann Abigail Sophia Frances Jean Alice
""")
MALE = _words("""
James Robert John Michael David William Richard Joseph Thomas Charles Christopher Daniel Matthew Anthony Mark Donald
Steven Andrew Paul Joshua Kenneth Kevin Brian Timothy Ronald George Jason Edward Jeffrey Ryan Jacob Gary Nicholas Eric
Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel Gregory Alexander Patrick Frank Raymond Jack Dennis Jerry
Tyler Aaron Jose Adam Nathan Henry Zachary Douglas Peter Kyle Noah Ethan Jeremy Walter Christian Keith Roger Terry
Austin Sean Gerald Carl Harold Dylan Arthur Lawrence Jordan Jesse Bryan Billy
""")
FAMILY = _words("""
Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson
Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young
Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter
Roberts Gomez Phillips Evans Turner Diaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales Murphy Cook Rogers
Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson Watson Brooks Chavez
Wood James Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders Patel Myers Long Ross Foster Jimenez Powell
Jenkins Perry Russell Sullivan Bell Coleman Butler Henderson Barnes Gonzales Fisher Vasquez Simmons Romero Jordan
Patterson Alexander Hamilton Graham Reynolds Griffin Wallace Moreno West Cole Hayes Bryant Herrera Gibson Ellis Tran
Medina Aguilar Stevens Murray Ford Castro Marshall Owens Harrison Fernandez McDonald Woods Washington Kennedy Wells
Vargas Henry Chen Freeman Webb Tucker Guzman Burns Crawford Olson Simpson Porter Hunter Gordon Mendez Silva Shaw
Snyder Mason Dixon Munoz Hunt Hicks Holmes Palmer Wagner Black Robertson Boyd Rose Stone Salazar Fox Warren Mills
Meyer Rice Schmidt Garza Daniels Ferguson Nichols Stephens Soto Weaver Ryan Gardner Payne Grant Dunn Kelley Spencer
Hawkins Arnold Pierce Hansen Peters Santos Hart Bradley Knight Elliott Cunningham Duncan Armstrong Hudson Carroll Lane
Riley Andrews Alvarado Ray Delgado Berry Perkins Hoffman Johnston Matthews Pena Richards Contreras Willis Carpenter
Lawrence Sandoval
""")
STREETS = _words("""
Oak Maple Cedar Pine Elm Washington Lake Hill Walnut Spring North Ridge Church Willow Mill Sunset Railroad Jefferson
Center Highland Forest Jackson River Cherry Franklin Park Meadow Lincoln Chestnut Dogwood Hickory Madison Liberty
Prospect Broadway Laurel Birch Monroe Locust Valley
""")
STREET_TYPES = ("St", "Ave", "Rd", "Dr", "Ln", "Ct")
# city, state, first three digits of the postcode
PLACES = (
    ("Cincinnati", "OH", "452"),
    ("Dayton", "OH", "454"),
    ("Columbus", "OH", "432"),
    ("Hamilton", "OH", "450"),
    ("Springfield", "OH", "455"),
    ("Toledo", "OH", "436"),
    ("Covington", "KY", "410"),
    ("Lexington", "KY", "405"),
    ("Louisville", "KY", "402"),
    ("Florence", "KY", "410"),
    ("Indianapolis", "IN", "462"),
    ("Richmond", "IN", "473"),
    ("Fort Wayne", "IN", "468"),
    ("Huntington", "WV", "257"),
    ("Charleston", "WV", "253"),
    ("Knoxville", "TN", "379"),
)
AREA_CODES = _words("""
201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 248 251 252 253
254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 321 323
325 330 334 336 337 347 351 352 360 361 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417 419 423 425 430
432 434 435 440 443 478 479 480 484 501 502 503 504 505
""")
MAIL_DOMAINS = (
    "mail.example.com",
    "post.example.net",
    "inbox.example.org",
    "home.example.net",
    "work.example.com",
    "students.example.org",
)
RUBBISH_EMAILS = ("test@test.com", "n/a", "none@none.com", "-", "noemail@example.com")
RUBBISH_PHONES = ("000000000", "n/a", "9999999999", "0", "unknown")

SHOP = "https://shop.example.com"
_CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/62.0.3202.94"
_WEBKIT = "AppleWebKit/604.3.5 (KHTML, like Gecko) Version/11.0"
# device type, operating system, share, user agent
BROWSERS = (
    ("desktop", "Windows", 0.26, f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36"),
    (
        "desktop",
        "Windows",
        0.10,
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:57.0) Gecko/20100101 Firefox/57.0",
    ),
    ("desktop", "Windows", 0.05, f"Mozilla/5.0 (Windows NT 10.0) {_CHROME} Safari/537.36 Edge/16.16299"),
    (
        "desktop",
        "Mac OS X",
        0.09,
        f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_1) {_WEBKIT} Safari/604.3.5",
    ),
    (
        "mobile",
        "iOS",
        0.22,
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 11_1 like Mac OS X) {_WEBKIT} Mobile/15B93 Safari/604.1",
    ),
    ("mobile", "Android", 0.18, f"Mozilla/5.0 (Linux; Android 7.0; SM-G930V) {_CHROME} Mobile Safari/537.36"),
    (
        "tablet",
        "iOS",
        0.07,
        f"Mozilla/5.0 (iPad; CPU OS 11_1 like Mac OS X) {_WEBKIT} Mobile/15B93 Safari/604.1",
    ),
    ("tablet", "Android", 0.03, f"Mozilla/5.0 (Linux; Android 7.0; SM-T813) {_CHROME} Safari/537.36"),
)
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; AhrefsBot/5.2; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/62.0.3202.94 Safari/537.36",
    "python-requests/2.18.4",
    # One that hides behind an ordinary browser: only its pace gives it away.
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_CHROME} Safari/537.36",
)
# operating system, operating system version, manufacturer, model, share
PHONES = (
    ("iOS", "11.1", "Apple", "iPhone9,1", 0.35),
    ("iOS", "10.3.3", "Apple", "iPhone8,1", 0.20),
    ("Android", "7.0", "samsung", "SM-G930V", 0.30),
    ("Android", "8.0.0", "Google", "Pixel", 0.15),
)
# where a visit came from: weight, referrer, (source, medium, name)
LANDINGS = (
    (0.52, "", None),
    (0.20, "https://www.search.example.com/", None),
    (0.12, "https://www.search.example.com/", ("search", "cpc", "brand")),
    (0.08, "https://social.example.net/", ("social", "paid", "autumn_savings")),
    (0.08, "", ("newsletter", "email", "weekly")),
)
