-- How platforms want values spelled before they are hashed: `spell_<name>`, by the names used in formats.yml. Each takes
-- one text and gives one; null stays null. Addresses and numbers come as include/normalise writes them: e-mail in lower
-- case, numbers in E.164.

create or replace temp macro spell_trimmed(value) as regexp_replace(value, '^\s+|\s+$', '', 'g');

create or replace temp macro spell_lower(value) as lower(value);

create or replace temp macro spell_without_spaces(value) as regexp_replace(value, '\s', '', 'g');

create or replace temp macro spell_single_spaced(value) as
    regexp_replace(spell_trimmed(value), '\s+', ' ', 'g');

create or replace temp macro spell_without_punctuation(value) as regexp_replace(value, '[\p{P}\p{S}]', '', 'g');

-- Who is neither has no letter (Meta).
create or replace temp macro spell_f_or_m(value) as
    case
        when lower(spell_trimmed(value)) in ('f', 'female', 'woman') then 'f'
        when lower(spell_trimmed(value)) in ('m', 'male', 'man') then 'm'
    end;

-- The parts of a date, of four and two digits.
create or replace temp macro spell_year(value) as split_part(value, '-', 1);

create or replace temp macro spell_month(value) as split_part(value, '-', 2);

create or replace temp macro spell_day(value) as split_part(value, '-', 3);

-- The two letters of a state of the USA, by its name or its ISO 3166-2 code; other regions as they are (Meta).
create or replace temp macro spell_us_state(value) as
    coalesce(getvariable('us_states')[lower(spell_trimmed(value))], value);

-- Digits only, without leading zeros: 447… and not +447… (Meta, TikTok).
create or replace temp macro spell_digits(value) as regexp_replace(regexp_replace(value, '\D', '', 'g'), '^0+', '');

-- The five digits of a ZIP+4 (Meta).
create or replace temp macro spell_before_dash(value) as split_part(value, '-', 1);

-- name+tag@ is name@.
create or replace temp macro spell_without_tag(value) as regexp_replace(value, '\+[^@]*@', '@');

-- Of addresses at gmail.com alone dots and tags do not count (UID2, "Normalization and Encoding").
create or replace temp macro spell_one_gmail_spelling(value) as
    case
        when ends_with(value, '@gmail.com')
            then replace(split_part(split_part(value, '@', 1), '+', 1), '.', '') || '@gmail.com'
        else value
    end;

create or replace temp macro spell_sha256_hex(value) as sha256(value);

-- Base64 of the hash's 32 bytes, never of its hexadecimal text.
create or replace temp macro spell_sha256_base64(value) as base64(from_hex(sha256(value)));

-- A cell that a spreadsheet would take for a formula is text; a number with a sign is none.
create or replace temp macro spell_no_formula(value) as
    case
        when regexp_matches(value, '^[=+\-@\t\r]') and not regexp_full_match(value, '[+-]?[0-9][0-9 .,()-]*')
            then '''' || value
        else value
    end;
