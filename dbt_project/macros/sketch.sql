{#
    Sketches of sets of people: of each set the people whose keyed hash lies below a threshold, about `size` of them.
    All sets share the hash, so who is in the sketches of two sets is in both sets and below both thresholds, and the
    people of an overlap are estimated by those found divided by the share of the hashes below the smaller threshold
    (a threshold sample; Cohen and Kaplan 2007, Dasgupta, Lang, Rhodes and Thaler 2016). Its standard error is
    sqrt(people * (1 - share) / share). A set of at most `size` people is its own sketch, and all about it is exact.
    Plain SQL: every engine finds the same people. Of a sketch nothing is published but counts.
#}

{# How many hashes there are: 60 bits are a positive number in the signed 64 bits of every engine. #}
{% macro sketch_range() -%}
    1152921504606846976
{%- endmacro %}

{# The hash of a person: the first 60 bits of their pseudonym, which is an HMAC in hex and so keyed already. #}
{% macro sketch_hash(pseudonym) -%}
    {{ return(adapter.dispatch('sketch_hash', 'tandem')(pseudonym)) }}
{%- endmacro %}

{% macro default__sketch_hash(pseudonym) -%}
    cast('0x' || substr({{ pseudonym }}, 1, 15) as bigint)
{%- endmacro %}

{% macro spark__sketch_hash(pseudonym) -%}
    cast(conv(substr({{ pseudonym }}, 1, 15), 16, 10) as bigint)
{%- endmacro %}

{# The threshold below which a set of so many people has about `size` of them. #}
{% macro sketch_threshold(people, size) -%}
    case
        when {{ people }} <= {{ size }} then {{ sketch_range() }}
        else cast(floor(cast({{ size }} as double) / {{ people }} * {{ sketch_range() }}) as bigint)
    end
{%- endmacro %}

{# The sketches of the sets of a relation with `set_id`, `unit` and `person_hash`, a person once per set. #}
{% macro sketches_of(relation, size) -%}
    select
        members.unit,
        members.set_id,
        members.person_hash,
        thresholds.threshold,
    from {{ relation }} as members
    inner join (
        select
            set_id,
            {{ sketch_threshold('count(*)', size) | indent(8) }} as threshold,
        from {{ relation }}
        group by set_id
    ) as thresholds
        on members.set_id = thresholds.set_id
    where members.person_hash < thresholds.threshold
{%- endmacro %}
